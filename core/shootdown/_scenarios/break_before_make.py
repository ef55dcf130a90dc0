"""A valid entry changes to another page size in place, while TLBs may hold the old translation and fetch the new one.

Where two TLB entries for one address may conflict (arm64: the access aborts, or hits an amalgam of both; 50e1881ddde2),
the entry is first made invalid, then flushed, and only then written anew: break before make. Generic code does
it where it splits a huge page (`pmdp_invalidate()`) or collapses small ones (`pmdp_collapse_flush()`).
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.call_parts import SCRATCH
from shootdown._mm.model import Model
from shootdown._scenarios.pte import Leaf, maps
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

#: What the entry maps the address as: a block, or small pages through a table.
_SMALL, _BLOCK = 0, 1
_CONFLICT = 1
_INVARIANTS = ("walk-cache", "tlb-conflict")
_SENTENCES = {
    "tlb-conflict": "A CPU may not have both translations of an address at hand, the old size and the new.",
}
_PLACES = ("made", "used-old", "used-new")
_MADE, _USED_OLD, _USED_NEW = range(len(_PLACES))


def _build(scene: Setup) -> Problem:
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    leaf = Leaf(model)
    splits = scene["change"] == "split"
    old, new = (_BLOCK, _SMALL) if splits else (_SMALL, _BLOCK)
    pages = 1 << (model.lowering.geometry.pmd_shift - model.lowering.geometry.page_shift)
    entry = model.entry(0, maps(old, dirty=True), "the entry", lo=0, hi=pages)
    made = model.variable(0, "new entry made")
    changer, user = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2))
    model.starts(changer)
    _change(model, leaf, entry, made, new, splits=splits, breaks=scene["fix"])
    model.starts(user)
    leaf.load(o.SCRATCH, made, "is the new entry there?")
    leaf.access(o.CLASS, entry, write=False)
    with leaf.if_page(o.CLASS, old):
        model.asm.reached(_USED_OLD)
        model.fail_if(
            o.SCRATCH,
            1,
            _CONFLICT,
            "the TLB still holds the old translation, and may fetch the new one besides",
        )
    with leaf.if_page(o.CLASS, new):
        model.asm.reached(_USED_NEW)
    model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        entries=True,
        hypervisor=scene.preempts,
        lanes=(f"{scene['change']}s the huge page", "uses the page"),
    )


def _change(model: Model, leaf: Leaf, entry: int, made: int, new: int, *, splits: bool, breaks: bool) -> None:
    """Write __split_huge_pmd_locked() or collapse_huge_page(): invalid, flush, new; or new in place, then flush."""
    asm = model.asm
    name, where = "collapse_huge_page", "mm/khugepaged.c"
    breaker, maker = "pmdp_collapse_flush", "set_pmd_at"
    if splits:
        name, where = "__split_huge_pmd", "mm/huge_memory.c"
        breaker, maker = "pmdp_invalidate", "pmd_populate"
    with (
        asm.function(name, where),
        asm.because("THP split" if splits else "khugepaged"),
        leaf.mmap_locked(write=not splits),
        leaf.locked(),
    ):
        if breaks:
            with asm.function(breaker, "mm/pgtable-generic.c"):
                leaf.store(entry, 0, "break: the entry is invalid")
                _flush(model, leaf, splits=splits)
        with asm.function(maker, where):
            leaf.store(entry, maps(new, dirty=True), "make: the new entry")
            leaf.exchange(made, 1, o.SCRATCH, "walkers find the new entry")
            asm.reached(_MADE)
        if not breaks:
            _flush(model, leaf, splits=splits)
    model.spin()


def _flush(model: Model, leaf: Leaf, *, splits: bool) -> None:
    geometry = model.lowering.geometry
    pages = 1 << (geometry.pmd_shift - geometry.page_shift)
    leaf.changed()
    with model.asm.function("flush_pmd_tlb_range" if splits else "flush_tlb_range"):
        model.asm.request(SCRATCH, cleared=o.CLEARED_PTES, hi=pages, text="what the entry spans")
        if splits:
            model.lowering.flush_pmd_range(model.asm, SCRATCH)
        else:
            model.lowering.flush_collapsed_pmd(model.asm, SCRATCH)


_IN_PLACE = ("scenario.fix=false",)

BREAK_BEFORE_MAKE = Scenario(
    name="break-before-make",
    summary="an entry changes between table and block while TLBs may hold both translations",
    source="Arm ARM (DDI 0487), break-before-make; 50e1881ddde2; __split_huge_pmd_locked(), mm/huge_memory.c",
    build=_build,
    sentences=_SENTENCES,
    parameters=(Parameter("change", "split", "what becomes of what", choices=("split", "collapse")),),
    switches=(Parameter("fix", True, "the entry is made invalid and flushed before the new one is written"),),
    refuse=lambda scene: scene.lowering.no_break_before_make(),
    window=("made", "used-old", "used-new"),
    expected=(
        Expect("safe", arch="arm64"),
        Expect("bug", arch="arm64", settings=_IN_PLACE),
        Expect("safe", arch="arm64", parameters={"change": "collapse"}),
        Expect("bug", arch="arm64", parameters={"change": "collapse"}, settings=_IN_PLACE),
        Expect("safe", arch="arm64", platform="neoverse-n1", kernel="5.10"),
        Expect("bug", arch="arm64", platform="neoverse-n1", kernel="5.10", settings=_IN_PLACE),
        Expect("bug", arch="arm64", settings=(*_IN_PLACE, "platform.flush=ipi")),
        Expect("not-applicable", arch="x86"),
        Expect("not-applicable", arch="x86", settings=_IN_PLACE),
        Expect("not-applicable", arch="powerpc"),
        Expect("not-applicable", arch="powerpc", platform="power9-hash", settings=_IN_PLACE),
    ),
)
