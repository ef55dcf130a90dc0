"""Page-table formats for authors of plugins: the parts of a format, and the tools to try one out.

    from shootdown.formats import AddressSpace, PhysicalMemory, trace
    space = AddressSpace(MY_FORMAT, PhysicalMemory())
    space.map(0x40_0000, 0x1234_5000, 4096, "rw")
    trace(MY_FORMAT, space.memory, space.root, 0x40_0abc).pa

`Format` and its parts are frozen values; `trace` walks in plain Python and keeps every step, `Walker` runs the compiled
walk, `mappings` lists all that is mapped. A `CustomFormat` has a walk of its own, written with `shootdown.kernels`.

An architecture's `dump_roots` is a `DumpRoots`: how it finds a `DumpRoot` in what a memory image says of its machine,
its `DumpNotes`, with a `DumpNote` for each note of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shootdown._pagetables.format import (
    EVERY_ACCESS,
    USER_READ,
    Access,
    AddressExample,
    Attribute,
    BitField,
    CodeBit,
    Contiguous,
    CustomFormat,
    Deny,
    Example,
    Fault,
    Format,
    Kind,
    Level,
    Piece,
    Reason,
    Refused,
    Reserved,
    Settings,
    Slot,
    Test,
    UsedFlags,
    WalkExample,
    bit,
    bits,
)
from shootdown._pagetables.format import FormatSetting as Setting
from shootdown._values.dump import DumpNote, DumpNotes, DumpRoot, DumpRoots

if TYPE_CHECKING:
    from shootdown._pagetables.address_space import AddressSpace
    from shootdown._pagetables.mappings import Mapping, mappings
    from shootdown._pagetables.memory import FRAME_BYTES, PhysicalMemory
    from shootdown._pagetables.walk_steps import Step, Trace, trace
    from shootdown._pagetables.walker import Walker

# The tools need numpy, and `Walker` needs numba: a plugin that only describes a format imports neither.
_HOMES = {
    "FRAME_BYTES": "_pagetables.memory",
    "AddressSpace": "_pagetables.address_space",
    "Mapping": "_pagetables.mappings",
    "PhysicalMemory": "_pagetables.memory",
    "Step": "_pagetables.walk_steps",
    "Trace": "_pagetables.walk_steps",
    "Walker": "_pagetables.walker",
    "mappings": "_pagetables.mappings",
    "trace": "_pagetables.walk_steps",
}

__all__ = [
    "EVERY_ACCESS",
    "FRAME_BYTES",
    "USER_READ",
    "Access",
    "AddressExample",
    "AddressSpace",
    "Attribute",
    "BitField",
    "CodeBit",
    "Contiguous",
    "CustomFormat",
    "Deny",
    "DumpNote",
    "DumpNotes",
    "DumpRoot",
    "DumpRoots",
    "Example",
    "Fault",
    "Format",
    "Kind",
    "Level",
    "Mapping",
    "PhysicalMemory",
    "Piece",
    "Reason",
    "Refused",
    "Reserved",
    "Setting",
    "Settings",
    "Slot",
    "Step",
    "Test",
    "Trace",
    "UsedFlags",
    "WalkExample",
    "Walker",
    "bit",
    "bits",
    "mappings",
    "trace",
]


def __getattr__(name: str) -> Any:
    """Import the tools when they are first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'shootdown.formats' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"shootdown.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
