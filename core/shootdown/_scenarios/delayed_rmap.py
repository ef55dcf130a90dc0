"""A dirty file page leaves the reverse map while a TLB still holds its dirty entry: writeback finds no entry to clean.

munmap() clears a dirty entry, marks the page dirty and takes the page out of the reverse map, then flushes, all under
the page-table lock. Writeback between the last two finds the page unmapped, so it does not wait for that lock; it
clears the dirty flag and writes the page. Another thread writes through its dirty TLB entry after that: the page is
clean, the write is lost. Since 5df397dec7c4 (v6.2) the page stays in the reverse map until the flush is over
(`tlb_delay_rmap()`, `tlb_flush_rmaps()`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.call_parts import OUTER
from shootdown._mm.entries import CleanedPage
from shootdown._mm.model import Model
from shootdown._scenarios.pte import Leaf, LeafEntry, LeafStretch, maps
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
    _unmap(model, _FilePte(leaf, entry, mapcount, dirty, delayed=scene["fix"]))
    model.starts(flusher)
    model.concern(0)
    with model.asm.because("writeback"):
        page = _Page(_FilePte(leaf, entry, mapcount, dirty), cleaned)
        model.calls.page_tables.folio_clear_dirty_for_io(page)
    model.spin()
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


class _FilePte(LeafEntry):
    """The entry of a page of a file.

    Args:
        leaf, entry: as for `LeafEntry`.
        mapcount, dirty: the page's variables.
        delayed: a dirty page leaves the reverse map after the flush.
    """

    def __init__(self, leaf: Leaf, entry: int, mapcount: int, dirty: int, *, delayed: bool = True) -> None:
        super().__init__(leaf, entry, o.INDEX)
        self.mapcount, self.dirty, self.delayed = mapcount, dirty, delayed

    def remove_rmap(self) -> None:
        """Write that the page is mapped by one entry less."""
        self.asm.v_add(self.mapcount, -1, o.SCRATCH2, text="folio_remove_rmap_pte: mapcount--")

    def leave_rmap(self) -> None:
        with self.asm.if_bits(self.register, o.ENTRY_DIRTY) as found:
            self.asm.reached(_CLEARED)
            self.leaf.exchange(self.dirty, 1, o.SCRATCH2, "folio_mark_dirty")
            if not self.delayed:
                self.remove_rmap()
            found.otherwise()
            self.remove_rmap()

    @contextmanager
    def writable(self) -> Iterator[None]:
        self.leaf.load(self.register, self.entry, "read the entry")
        with self.asm.if_bits(self.register, o.ENTRY_PRESENT):
            yield

    def clean(self) -> None:
        self.leaf.store(self.entry, maps(_PAGE, writable=False), "set_pte_at: clean, not writable")
        self.leaf.exchange(self.dirty, 1, o.SCRATCH2, "folio_mark_dirty")


class _FilePages(LeafStretch):
    """The table with that entry: a dirty page is flushed before the table is unlocked (1cf35d47712d)."""

    def __init__(self, leaf: Leaf, entry: _FilePte) -> None:
        super().__init__(leaf, entry)
        self.entry = entry
        self.delays_rmap = entry.delayed

    def flushed_early(self) -> AbstractContextManager[object]:
        return self.leaf.asm.if_bits(self.entry.register, o.ENTRY_DIRTY)

    def flush_rmaps(self) -> None:
        self.entry.remove_rmap()


class _Page(CleanedPage):
    """The page that is written back."""

    def __init__(self, entry: _FilePte, cleaned: int) -> None:
        self.entry, self.asm, self.leaf = entry, entry.asm, entry.leaf
        self.variable = cleaned

    @contextmanager
    def mapped(self) -> Iterator[None]:
        self.leaf.load(o.SCRATCH, self.entry.mapcount, "folio_mapped: read the mapcount")
        with self.asm.if_nonzero(o.SCRATCH):
            yield

    def entries(self) -> tuple[_FilePte, ...]:
        return (self.entry,)

    @contextmanager
    def cleaned(self) -> Iterator[None]:
        self.leaf.exchange(self.entry.dirty, 0, o.CLASS, "folio_test_clear_dirty")
        with self.asm.if_nonzero(o.CLASS):
            yield

    def written(self) -> None:
        self.leaf.exchange(self.variable, 1, o.SCRATCH2, "the page is written to the file")
        self.asm.reached(_CLEANED)


def _unmap(model: Model, entry: _FilePte) -> None:
    """Write munmap() of one file page."""
    asm, gathers = model.asm, model.gathers
    with model.calls.syscall("munmap"), asm.because("munmap"):
        gathers.begin(OUTER)
        model.calls.page_tables.zap_pte_range(OUTER, [_FilePages(entry.leaf, entry)])
        gathers.finish(OUTER)
        asm.reached(_UNMAPPED)
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
