"""The API for scenarios: small workloads that `shootdown explore FILE.py` runs under every interleaving.

    from shootdown.scenarios import Model, Parameter, Problem, Scenario, Scene, ops

* A `Scenario` has the question, its `Parameter`s, and the expected verdicts (`Expect`). A file defines one, as
  `SCENARIO`.
* Its `build` gets a `Scene` - kernel, platform, how it flushes, parameters - and returns a `Problem`: the machine and
  the agents that act on it.
* A `Model` writes the machine's programs: `model.calls` the kernel's own calls (munmap, exit, mprotect),
  `model.gathers` and `model.hugetlb` their parts, `model.asm` single steps (`ops`). `Mapping` is a hugetlb
  mapping or a part of one.
* `Leaf` writes what kernel code does to single page-table entries: `maps()` gives their values, `page()` the bit to
  test for a page. `OUTER` is the gather of a call. Kernel functions (`model.calls.page_tables`) take such an entry as a
  `LeafEntry`, and those under one lock as a `LeafStretch`.
* `Group` declares like parts of the machine, `Table` variables that hold records in interchangeable rows.

`docs/how-to/explore-a-race.md` has an example that runs.
"""

from __future__ import annotations

from shootdown._explore.alike import Group, Table
from shootdown._explore.problem import Problem
from shootdown._machine import ops
from shootdown._mm.call_parts import OUTER
from shootdown._mm.gather import Gathers
from shootdown._mm.mapping import Mapping
from shootdown._mm.model import Model
from shootdown._scenarios.pte import Leaf, LeafEntry, LeafStretch, maps, page
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup as Scene

__all__ = [
    "OUTER",
    "Expect",
    "Gathers",
    "Group",
    "Leaf",
    "LeafEntry",
    "LeafStretch",
    "Mapping",
    "Model",
    "Parameter",
    "Problem",
    "Scenario",
    "Scene",
    "Table",
    "maps",
    "ops",
    "page",
]
