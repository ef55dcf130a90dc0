"""A second compound_head() of the same page (fe3df441ef88, 5.15): equal while the page is locked.

page_add_file_rmap() sets PageDoubleMap on the head of a page, then clears PageMlocked on it. The older form looks up
the head twice, the newer once: each compound_head() has a READ_ONCE(), which the compiler may not merge. Both forms
give the same result because the page is locked, and splitting a huge page locks it too. Without that premise a split
between the two reads makes the older form act on two different heads.
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_INVARIANTS = ("walk-cache", "one-head")
_SENTENCES = {
    "one-head": "Both operations act on one and the same head page.",
}
_ONE_HEAD = 1
_PLACES = ("split", "of-the-whole", "of-a-part")
_SPLIT, _WHOLE, _PART = range(len(_PLACES))
# The values of the tail page's compound_head: the huge page's head or, after a split, the page itself.
_HEAD, _ITSELF = 1, 2


def build(scene: Setup) -> Problem:
    """Write the programs: one CPU maps the page, another splits it."""
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    head = model.variable(_HEAD, "compound_head")
    page_lock = model.lock()
    mapper = model.task(mm=None, cpu=0, ready=True)
    splitter = model.task(mm=None, cpu=1, ready=True)
    model.starts(mapper)
    _map(model, head, page_lock, scene)
    model.spin()
    model.starts(splitter)
    _split(model, head, page_lock)
    model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        lanes=("map the page", "split the page"),
    )


def _map(model: Model, head: int, page_lock: int, scene: Setup) -> None:
    asm = model.asm
    whole, over, same = model.label(), model.label(), model.label()
    if scene["page_lock"]:
        asm.lock(page_lock, write=True, sleeps=True, text="page lock")
    with asm.function("page_add_file_rmap", "mm/rmap.c"):
        asm.v_load(o.SCRATCH, head, text="compound_head: for SetPageDoubleMap")
        if scene["fix"]:
            asm.copy(o.SCRATCH2, o.SCRATCH, text="the same head: for clear_page_mlock")
        else:
            asm.v_load(o.SCRATCH2, head, text="compound_head: for clear_page_mlock")
        asm.jump_same(o.SCRATCH, o.SCRATCH2, same)
        asm.fail(_ONE_HEAD, text="the two act on different heads")
        asm.place(same)
        asm.jump_equal(o.SCRATCH, _HEAD, whole)
        asm.reached(_PART)
        asm.jump(over)
        asm.place(whole)
        asm.reached(_WHOLE)
        asm.place(over)
    if scene["page_lock"]:
        asm.unlock(page_lock, write=True, text="page lock")


def _split(model: Model, head: int, page_lock: int) -> None:
    asm = model.asm
    with asm.function("split_huge_page_to_list", "mm/huge_memory.c"):
        asm.lock(page_lock, write=True, sleeps=True, text="page lock")
        asm.v_store(head, _ITSELF, text="clear_compound_head of the tail page")
        asm.reached(_SPLIT)
        asm.unlock(page_lock, write=True, text="page lock")


_OLD, _UNLOCKED = "scenario.fix=false", "scenario.page_lock=false"

COMPOUND_HEAD = Scenario(
    name="compound-head",
    summary="one compound_head() instead of two, while the page is locked and while it is not",
    source="fe3df441ef88",
    build=build,
    sentences=_SENTENCES,
    switches=(
        Parameter("fix", True, "the head is looked up once; otherwise twice"),
        Parameter("page_lock", True, "who maps the page has locked it"),
    ),
    flushes=False,
    window=("split", "of-the-whole", "of-a-part"),
    expected=(
        Expect("safe", arch="x86"),
        Expect("safe", arch="x86", settings=(_OLD,), why="the split waits for the page lock"),
        Expect("safe", arch="x86", settings=(_UNLOCKED,), why="there is one head, whichever it is"),
        Expect("bug", arch="x86", settings=(_OLD, _UNLOCKED)),
        Expect("bug", arch="arm64", settings=(_OLD, _UNLOCKED)),
        Expect("safe", arch="powerpc", settings=(_OLD,)),
    ),
)
