"""A dirty file page leaves the reverse map while a TLB still holds its dirty entry: writeback finds no entry to clean.

munmap() clears a dirty entry, marks the page dirty and takes the page out of the reverse map, then flushes, all under
the page-table lock. Writeback between the last two finds the page unmapped, so it does not wait for that lock; it
clears the dirty flag and writes the page. Another thread writes through its dirty TLB entry after that: the page is
clean, the write is lost. Since 5df397dec7c4 (v6.2) the page stays in the reverse map until the flush is over
(`tlb_delay_rmap()`, `tlb_flush_rmaps()`).
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.call_parts import OUTER
from shootdown._mm.model import Model
from shootdown._scenarios.pte import Leaf, maps
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_PAGE = 0
_LOST = 1
_INVARIANTS = ("walk-cache", "lost-write")
_SENTENCES = {
    "lost-write": "A page may not be written once it was cleaned, unless somebody learns of it.",
}
_PLACES = ("cleared", "cleaned", "written", "unmapped")
_CLEARED, _CLEANED, _WRITTEN, _UNMAPPED = range(len(_PLACES))


def _build(scene: Setup) -> Problem:
    model = Model(scene.kernel, scene.lowering, cpus=3, mms=1)
    leaf = Leaf(model)
    entry = model.entry(0, maps(_PAGE, dirty=True), "the PTE", lo=0, hi=1)
    mapcount, dirty = model.variable(1, "mapcount"), model.variable(0, "dirty flag")
    cleaned = model.variable(0, "page cleaned")
    unmapper = model.task(mm=0, cpu=0, ready=True)
    flusher = model.task(mm=None, cpu=1, ready=True)
    writer = model.task(mm=0, cpu=2, ready=True)
    model.starts(unmapper)
    _unmap(model, leaf, entry, mapcount, dirty, delayed=scene["fix"])
    model.starts(flusher)
    _write_back(model, leaf, entry, mapcount, dirty, cleaned)
    model.starts(writer)
    leaf.load(o.SCRATCH, cleaned, "was the page cleaned?")
    leaf.access(o.CLASS, entry, write=True)
    with leaf.if_page(o.CLASS, _PAGE):
        model.asm.reached(_WRITTEN)
        model.fail_if(o.SCRATCH, 1, _LOST, "the page was written after it was cleaned, and nobody knows")
    model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        entries=True,
        hypervisor=scene.preempts,
        lanes=("unmaps the page", "writes the page back", "writes to the page"),
    )


def _unmap(model: Model, leaf: Leaf, entry: int, mapcount: int, dirty: int, *, delayed: bool) -> None:
    """Write munmap() of one file page; a dirty one is flushed before the page-table lock is released (1cf35d47712d)."""
    asm, gathers = model.asm, model.gathers

    def remove_rmap() -> None:
        asm.v_add(mapcount, -1, o.SCRATCH2, text="folio_remove_rmap_pte: mapcount--")

    with asm.function("munmap", "mm/mmap.c"), asm.because("munmap"), leaf.mmap_locked(write=True):
        gathers.begin(OUTER)
        with asm.function("zap_pte_range", "mm/memory.c"), leaf.locked():
            gathers.change_page_size(OUTER, huge=False)
            leaf.exchange(entry, 0, o.INDEX, "ptep_get_and_clear_full")
            asm.gather_add(OUTER, 0, 1, cleared=o.CLEARED_PTES, text="one entry cleared")
            with asm.if_bits(o.INDEX, o.ENTRY_DIRTY) as found:
                asm.reached(_CLEARED)
                leaf.exchange(dirty, 1, o.SCRATCH2, "folio_mark_dirty")
                if not delayed:
                    remove_rmap()
                leaf.changed()
                gathers.flush(OUTER)
                if delayed:
                    with asm.function("tlb_flush_rmaps", "mm/mmu_gather.c"):
                        remove_rmap()
                found.otherwise()
                remove_rmap()
                leaf.changed()
        gathers.finish(OUTER)
        asm.reached(_UNMAPPED)
    model.spin()


def _write_back(model: Model, leaf: Leaf, entry: int, mapcount: int, dirty: int, cleaned: int) -> None:
    """Write folio_clear_dirty_for_io(): clean the page in every mm that maps it, then clear its dirty flag."""
    asm = model.asm
    model.concern(0)
    with asm.function("folio_clear_dirty_for_io", "mm/page-writeback.c"), asm.because("writeback"):
        with asm.function("folio_mkclean", "mm/rmap.c"):
            leaf.load(o.SCRATCH, mapcount, "folio_mapped: read the mapcount")
            with asm.if_nonzero(o.SCRATCH), asm.function("page_vma_mkclean_one"), leaf.locked():
                leaf.load(o.INDEX, entry, "read the entry")
                with asm.if_bits(o.INDEX, o.ENTRY_PRESENT):
                    leaf.clear_flush(entry, o.INDEX)
                    leaf.store(entry, maps(_PAGE, writable=False), "set_pte_at: clean, not writable")
                    leaf.exchange(dirty, 1, o.SCRATCH2, "folio_mark_dirty")
        leaf.exchange(dirty, 0, o.CLASS, "folio_test_clear_dirty")
        with asm.if_nonzero(o.CLASS):
            leaf.exchange(cleaned, 1, o.SCRATCH2, "the page is written to the file")
            asm.reached(_CLEANED)
    model.spin()


_BEFORE = ("scenario.fix=false",)

DELAYED_RMAP = Scenario(
    name="delayed-rmap",
    summary="writeback against munmap() of a dirty file page that leaves the reverse map before the flush",
    source="5df397dec7c4 (v6.2)",
    build=_build,
    sentences=_SENTENCES,
    switches=(Parameter("fix", True, "the page leaves the reverse map after the flush, not before"),),
    window=("cleared", "cleaned", "written", "unmapped"),
    expected=(
        Expect("safe", arch="x86"),
        Expect(
            "bug",
            arch="x86",
            settings=_BEFORE,
            why="the flush IPI comes after mapcount-- has let writeback pass",
        ),
        Expect("safe", arch="x86", settings=("platform.flush=invlpgb",)),
        Expect("bug", arch="x86", settings=(*_BEFORE, "platform.flush=invlpgb")),
        Expect("safe", arch="x86", platform="kvm-guest"),
        Expect("bug", arch="x86", platform="kvm-guest", settings=_BEFORE),
        Expect("safe", arch="x86", platform="hyper-v-guest"),
        Expect("bug", arch="x86", platform="hyper-v-guest", settings=_BEFORE),
        Expect("safe", arch="arm64"),
        Expect("bug", arch="arm64", settings=_BEFORE),
        Expect("safe", arch="powerpc"),
        Expect("bug", arch="powerpc", settings=_BEFORE),
        Expect("safe", arch="powerpc", platform="power9-hash"),
        Expect("bug", arch="powerpc", platform="power9-hash", settings=_BEFORE, why="so does the batch's"),
    ),
)
