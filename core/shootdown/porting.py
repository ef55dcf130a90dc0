"""The API for architecture plugins, beyond the names in `shootdown` itself.

    from shootdown import Lowering, switch
    from shootdown.porting import Assembler, CacheGeometry, Contradiction, FlushScope, TlbGeometry, ops

* Stage 2, kernels: `Contradiction`, two settings that cannot both hold; `BY_NAME`, every known release series; and
  `SKIP_REDUNDANT_SYNC`, a proposal for mm/ to which an architecture adds a change of its own.
* Stage 3, platforms: `estimated_costs()` from a clock rate, `costs_like()` and `costs_times()` from another platform's,
  `COST_NAMES`, the fields of `Costs`; `TlbGeometry` and `CacheGeometry`, `typical_tlb()` if nothing is known of a
  CPU's caches, `tcg_tlb()` for QEMU's translator, and `with_entries()`, which counts entries from a geometry.
* Stage 4, flushes: `PlainLowering`, a ready lowering of the usual shape; or `Assembler`, with which any `Lowering`
  writes its steps, its `Branch` and `Label`, and `ops`, the constants of steps; `PlacedField`, a variable that the
  architecture keeps; `Place`, the socket, core and thread of a CPU; `EntryFunction`, the kernel functions that change
  entries; `function()` declares that a method writes a kernel function, which a patch may then replace.
  `geometry_of()` a format, `mm_rules()`, `table_flags()`, the ceilings `EVERYTHING` and `NO_LIMIT`; `FlushScope`,
  `WalkScope` and `NOTHING`, what an instruction drops, `scope_of()` for the scope of that in a program, and `Tlb` to
  try it out; `FlushWay`, a way of flushing that `--set platform.flush=` can force.
* `shootdown read`: `Recorded`, with `InterruptRow`, `StackName`, `Evidence` and `Silent`: what the
  architecture's kernels write into traces, counters and logs, and what they don't.
* Trying things out: `shootdown.kernel()`, `shootdown.compare()` and `shootdown.targets()` take names, as the command
  line does; `switches_of()` lists the switches of a class and their documentation.

Page-table formats are in `shootdown.formats`, measurements in `shootdown.measured`, and compiled walks in
`shootdown.kernels`. Names here change only with `Architecture.api`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shootdown._machine import ops
from shootdown._machine.assembler import Assembler
from shootdown._machine.branches import Branch
from shootdown._machine.fields import PlacedField
from shootdown._machine.functions import function
from shootdown._machine.label import Label
from shootdown._porting.costs import costs_like, costs_times, estimated_costs
from shootdown._porting.geometry import geometry_of, tcg_tlb, typical_tlb, with_entries
from shootdown._porting.lowering import EVERYTHING, NO_LIMIT, PLAIN_WAYS, PlainLowering, table_flags
from shootdown._porting.scopes import scope_of
from shootdown._porting.spaces import mm_rules
from shootdown._tlb import NOTHING, CacheGeometry, FlushScope, TlbGeometry
from shootdown._tlb.flush import WalkScope
from shootdown._values.changes import SKIP_REDUNDANT_SYNC
from shootdown._values.flushes import FlushWay
from shootdown._values.kernel import NoSwitches, switches_of
from shootdown._values.lowering import EntryFunction
from shootdown._values.places import Place
from shootdown._values.platform import COST_NAMES
from shootdown._values.recorded import GENERIC_SYSCALLS, Evidence, InterruptRow, Recorded, Silent, StackName
from shootdown._values.series import BY_NAME
from shootdown._values.whatif import Contradiction

if TYPE_CHECKING:
    from shootdown._tlb import Tlb

__all__ = [
    "BY_NAME",
    "COST_NAMES",
    "EVERYTHING",
    "GENERIC_SYSCALLS",
    "NOTHING",
    "NO_LIMIT",
    "PLAIN_WAYS",
    "SKIP_REDUNDANT_SYNC",
    "Assembler",
    "Branch",
    "CacheGeometry",
    "Contradiction",
    "EntryFunction",
    "Evidence",
    "FlushScope",
    "FlushWay",
    "InterruptRow",
    "Label",
    "NoSwitches",
    "Place",
    "PlacedField",
    "PlainLowering",
    "Recorded",
    "Silent",
    "StackName",
    "Tlb",
    "TlbGeometry",
    "WalkScope",
    "costs_like",
    "costs_times",
    "estimated_costs",
    "function",
    "geometry_of",
    "mm_rules",
    "ops",
    "scope_of",
    "switches_of",
    "table_flags",
    "tcg_tlb",
    "typical_tlb",
    "with_entries",
]


def __getattr__(name: str) -> Any:
    """Import the TLB's state, and numba with it, when it is first used."""
    if name != "Tlb":
        raise AttributeError(f"module 'shootdown.porting' has no attribute {name!r}")
    from shootdown._tlb import Tlb

    return Tlb
