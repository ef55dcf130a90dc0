"""A TLB entry outlives its page: mremap() flushes too late, or madvise() relies on another thread's flush.

`mremap-stale` (CVE-2018-18281, fixed by eb66ae030829 in 4.19): mremap() moves a PTE. A truncation finds the page at the
new address, flushes that, and frees the page; the TLB entry of the old address still leads there unless mremap()
flushes before it drops the page-table locks.

`nested-flush` (fixed by 99baac21e458 in 4.13): two threads drop the same page with MADV_DONTNEED. The second finds
pte_none() and has nothing to flush; but the first has not flushed yet, so that the old page is still accessible after
the second call has returned, unless that call detects the other gather (mm_tlb_flush_nested()) and flushes everything.
"""

from __future__ import annotations

from shootdown._explore.alike import Group
from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.calls import OUTER, SCRATCH
from shootdown._mm.model import Model
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_STALE = 1
_INVARIANTS = ("walk-cache", "stale-tlb-entry")
_SENTENCES = {
    "stale-tlb-entry": "No TLB entry may lead to a page that was freed, or that madvise() has dropped and returned.",
}
_PTE = o.ENTRY_PRESENT | o.ENTRY_WRITABLE | o.ENTRY_DIRTY | 1 << o.ENTRY_PAGE_SHIFT


def _take_entry(scene: Setup, model: Model, entry: int, name: str, page: int) -> None:
    """Write the clearing of the entry of a page; register SCRATCH gets its old value."""
    asm = model.asm
    with asm.function(name):
        if scene.pte_clear == "xchg":
            asm.v_xchg(entry, 0, o.SCRATCH, text="read and clear the PTE")
        else:
            asm.v_load(o.SCRATCH, entry, text="read the PTE")
            asm.v_store(entry, 0, text="clear the PTE")
    model.gathers.cleared(1, huge=False, first=page)


# --- mremap()

_MOVED, _FREED, _OLD = range(3)
#: The base pages between which the page is moved; they are in different page tables.
_OLD_PAGE, _NEW_PAGE = 0, 1 << 10


def _build_mremap(scene: Setup) -> Problem:
    model = Model(scene.kernel, scene.lowering, cpus=3, mms=1, slots=2)
    old = model.entry(0, _PTE, "the old PTE", lo=_OLD_PAGE, hi=_OLD_PAGE + 1)
    new = model.entry(0, 0, "the new PTE", lo=_NEW_PAGE, hi=_NEW_PAGE + 1)
    freed = model.variable(0, "page freed")
    mover, truncater, user = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(3))
    model.starts(mover)
    _move(scene, model, old, new)
    model.starts(truncater)
    _truncate(scene, model, old, new, freed)
    model.starts(user)
    _use(model, old, freed, "user mode writes to a page that was freed")
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=("moved", "freed", "stale"),
        entries=True,
        hypervisor=scene.preempts,
        lanes=("mremap", "ftruncate", "user mode"),
    )


def _move(scene: Setup, model: Model, old: int, new: int) -> None:
    asm, ptl = model.asm, model.locks.ptl
    with model.calls.syscall("mremap", "mm/mremap.c"), asm.because("mremap"):
        with asm.function("move_ptes", "mm/mremap.c"):
            for lock, where in ((ptl, "old"), (ptl + 1, "new")):
                asm.lock(lock, write=True, sleeps=False, text=f"page-table lock of the {where} address")
            _take_entry(scene, model, old, "ptep_get_and_clear", _OLD_PAGE)
            asm.v_store(new, o.SCRATCH, from_register=True, text="set_pte_at the new address")
            asm.reached(_MOVED)
            if scene["fix"]:
                _flush_old(scene, model)
            for lock, where in ((ptl + 1, "new"), (ptl, "old")):
                asm.unlock(lock, write=True, text=f"page-table lock of the {where} address")
        if not scene["fix"]:
            with asm.function("move_page_tables", "mm/mremap.c"):
                _flush_old(scene, model)
    model.spin()


def _flush_old(scene: Setup, model: Model) -> None:
    model.asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=_OLD_PAGE, hi=_OLD_PAGE + 1, text="the old address")
    scene.lowering.flush_range(model.asm, SCRATCH)


def _truncate(scene: Setup, model: Model, old: int, new: int, freed: int) -> None:
    """Write ftruncate() by another thread; it finds the mapping through the file, without mmap_lock."""
    asm, gathers = model.asm, model.gathers
    nothing, over = model.label(), model.label()
    with asm.function("unmap_mapping_range", "mm/memory.c"), asm.because("truncation"):
        gathers.begin(OUTER)
        gathers.change_page_size(OUTER, huge=False)
        with asm.function("zap_pte_range"):
            asm.lock(model.locks.ptl + 1, write=True, sleeps=False, text="page-table lock of the new address")
            asm.v_load(o.SCRATCH, new, text="read the PTE")
            asm.jump_zero(o.SCRATCH, nothing)
            _take_entry(scene, model, new, "ptep_get_and_clear_full", _NEW_PAGE)
            asm.gather_add(
                OUTER, _NEW_PAGE, _NEW_PAGE + 1, cleared=o.CLEARED_PTES, text="tlb_remove_tlb_entry"
            )
            asm.unlock(model.locks.ptl + 1, write=True, text="page-table lock of the new address")
        gathers.finish(OUTER)
        with asm.function("tlb_batch_pages_flush", "mm/mmu_gather.c"):
            asm.v_xchg(freed, 1, o.SCRATCH2, text="the page is freed")
            asm.reached(_FREED)
        asm.jump(over)
        asm.place(nothing)
        asm.unlock(model.locks.ptl + 1, write=True, text="page-table lock of the new address")
        gathers.finish(OUTER)
        asm.place(over)
    model.spin()


def _use(model: Model, old: int, freed: int, text: str) -> None:
    """Write one user-mode access to the old address; it must not reach a page that was freed before."""
    asm = model.asm
    fault, live = model.label(), model.label()
    with asm.function("user mode"):
        asm.v_load(o.INDEX, old)
        asm.v_load(o.CLASS, freed)
        asm.access(o.SCRATCH, old, write=True, text="write to the old address")
        asm.jump_zero(o.SCRATCH, fault)
        model.fail_if(o.CLASS, 1, _STALE, text)
        asm.jump_zero(o.INDEX, live)
        asm.jump(fault)
        asm.place(live)
        asm.reached(_OLD)
        asm.place(fault)
    model.spin()


# --- two madvise() at once

_MISSED, _RETURNED = range(2)


def _build_nested(scene: Setup) -> Problem:
    model = Model(scene.kernel, scene.lowering, cpus=3, mms=1, slots=1)
    pte = model.entry(0, _PTE, "the PTE", lo=0, hi=1)
    returned = model.variable(0, "madvise() returned")
    threads = [model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2)]
    user = model.task(mm=0, cpu=2, ready=True)
    model.starts(*threads)
    _drop(scene, model, pte, returned)
    model.starts(user)
    _look(model, pte, returned)
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=("missed", "returned"),
        entries=True,
        hypervisor=scene.preempts,
        groups=tuple(Group((cpu,), (task,), ()) for cpu, task in enumerate(threads)),
        lanes=("MADV_DONTNEED", "MADV_DONTNEED", "user mode"),
    )


def _drop(scene: Setup, model: Model, pte: int, returned: int) -> None:
    asm, gathers = model.asm, model.gathers
    none, some = model.label(), model.label()
    with (
        model.calls.syscall("madvise", "mm/madvise.c", write=False),
        asm.because("MADV_DONTNEED"),
        asm.function("zap_page_range_single", "mm/memory.c"),
    ):
        gathers.begin(OUTER)
        gathers.change_page_size(OUTER, huge=False)
        with asm.function("zap_pte_range"):
            asm.lock(model.locks.ptl, write=True, sleeps=False, text="page-table lock")
            asm.v_load(o.SCRATCH, pte, text="read the PTE")
            asm.jump_zero(o.SCRATCH, none)
            _take_entry(scene, model, pte, "ptep_get_and_clear_full", 0)
            asm.gather_add(OUTER, 0, 1, cleared=o.CLEARED_PTES, text="tlb_remove_tlb_entry")
            asm.jump(some)
            asm.place(none)
            asm.reached(_MISSED)
            asm.place(some)
            asm.unlock(model.locks.ptl, write=True, text="page-table lock")
        gathers.finish(OUTER, nested=scene["fix"])
    with asm.function("user mode"):
        asm.v_xchg(returned, 1, o.SCRATCH, text="madvise() has returned")
        asm.reached(_RETURNED)
        asm.access(o.SCRATCH, pte, text="read from the address")
        _no_page(model, "the thread still reads the page that it dropped")
    model.spin()


def _look(model: Model, pte: int, returned: int) -> None:
    asm = model.asm
    early = model.label()
    with asm.function("user mode"):
        asm.v_load(o.INDEX, returned, text="has a madvise() returned?")
        asm.access(o.SCRATCH, pte, text="read from the address")
        asm.jump_zero(o.INDEX, early)
        _no_page(model, "another thread still reads the page that was dropped")
        asm.place(early)
    model.spin()


def _no_page(model: Model, text: str) -> None:
    fault = model.label()
    model.asm.jump_zero(o.SCRATCH, fault)
    model.asm.fail(_STALE, text=text)
    model.asm.place(fault)


_FIX = (Parameter("fix", True, "the code as it has been since the commit named; false: before it"),)
_BEFORE = ("scenario.fix=false",)
_WHERE = (
    *((arch, "") for arch in ("x86", "arm64", "powerpc", "riscv")),
    *(("x86", platform) for platform in ("amd-server", "kvm-guest", "hyper-v-guest", "xen-pv-guest")),
)


def _expected() -> tuple[Expect, ...]:
    both = [
        Expect(verdict, arch, platform, settings=settings)
        for arch, platform in _WHERE
        for verdict, settings in (("safe", ()), ("bug", _BEFORE))
    ]
    both += [
        Expect(
            "safe",
            "powerpc",
            "power9-hash",
            settings=settings,
            why="the hash entry goes before the lock does",
        )
        for settings in ((), _BEFORE)
    ]
    return tuple(both)  # fmt: skip


STALE_ENTRIES = (
    Scenario(
        name="mremap-stale",
        summary="a TLB entry of the old address outlives a page that mremap() moved and a truncation freed",
        source="eb66ae030829 (CVE-2018-18281)",
        build=_build_mremap,
        sentences=_SENTENCES,
        switches=_FIX,
        window=("moved", "freed", "stale"),
        expected=_expected(),
    ),
    Scenario(
        name="nested-flush",
        summary="MADV_DONTNEED returns while another one of the same page has yet to flush",
        source="99baac21e458",
        build=_build_nested,
        sentences=_SENTENCES,
        switches=_FIX,
        window=("missed", "returned"),
        expected=_expected(),
    ),
)
