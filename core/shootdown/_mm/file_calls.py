"""Hole punch, truncation and migration: they reach all processes that map a file (fs/hugetlbfs/inode.c, mm/rmap.c)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import INNER, OUTER, SCRATCH
from shootdown._mm.mapping import Mapping
from shootdown._mm.unsharing import Unsharing


class FileCalls(Unsharing):
    """Write calls that go through the reverse map of a hugetlb file."""

    def zap_file(self, m: Mapping, mms: tuple[int, ...], *, name: str) -> None:
        """Write hole punch or truncation: unmap_hugepage_range() in each process that maps the file.

        Args:
            m: the mapping, the same in every process.
            mms: address spaces that map it, in the order of the file's tree.
            name: the call.
        """
        asm = self.asm
        with asm.function(name, "fs/hugetlbfs/inode.c"), asm.because(name):
            asm.work("syscall_ns", text=f"{name}: entry")
            self.hugetlb.lock_file(m)
            for mm in mms:
                asm.on_mm(mm)
                self.gathers.begin(OUTER)
                self.hugetlb.zap_range(OUTER, m)
                asm.note(o.NOTE_AUDIT, text="what could hardware still use?")
                with self._unlocked(m):
                    self.hugetlb.settle_late(OUTER, lambda: self.hugetlb.flush_marked(OUTER))
                self.gathers.finish(OUTER)
            self.hugetlb.empty_page_cache(m)
            self.hugetlb.unlock_file(m)

    @contextmanager
    def _unlocked(self, m: Mapping) -> Iterator[None]:
        """Release i_mmap_rwsem before the steps within, in the wrong order (a what-if); else write them as they are."""
        late = self.kernel.unshare_flush == "after-unlock"
        if late:
            self.hugetlb.unlock_file(m)
        yield
        if late:
            self.hugetlb.lock_file(m)

    def migrate(self, m: Mapping, mms: tuple[int, ...]) -> None:
        """Write the migration of one page through the reverse map: try_to_migrate_one() in each process.

        All but the last one unshare the table; the last one clears the single entry.
        """
        asm = self.asm
        first = Mapping(m.used[:1], pages=1, first=m.first, last=m.first + 1, klass=m.klass, file=m.file)
        with asm.function("try_to_migrate", "mm/rmap.c"), asm.because("migration"):
            asm.work("syscall_ns", text="isolate the page, allocate another")
            self.hugetlb.lock_file(first)
            for mm in mms:
                asm.on_mm(mm)
                # hugetlb_vma_trylock_write(): i_mmap_rwsem is held already
                with self.hugetlb.if_vma_locked():
                    self._migrate_one(first)
            self.hugetlb.unlock_file(first)

    def _migrate_one(self, m: Mapping) -> None:
        """Write try_to_migrate_one() in one process, its VMA lock held."""
        asm, kernel = self.asm, self.kernel
        if kernel.unshare_gather:
            self.gathers.begin(INNER, vma=True)
        asm.set(o.INDEX, 0)
        self.hugetlb.pick(m.used)
        asm.load_pud(o.CLASS)
        with asm.if_nonzero(o.CLASS) as mapped:
            self.hugetlb.lock_table()
            with asm.if_shared() as branch:
                self.hugetlb.unshare(INNER)
                self._record(m, whole=True)
                self.hugetlb.unlock_table()
                self.hugetlb.unlock_vma(write=True)
                self._flush_unshared(m)
                asm.note(o.NOTE_AUDIT, text="what could hardware still use?")
                with self._unlocked(m):
                    self.hugetlb.settle_late(INNER, lambda: self._flush_changed(m))
                branch.otherwise()
                self._clear_one(m)
                self.hugetlb.unlock_table()
                self.hugetlb.unlock_vma(write=True)
            mapped.otherwise()
            self.hugetlb.unlock_vma(write=True)
        if kernel.unshare_gather:
            self.gathers.finish(INNER)

    @function("huge_ptep_clear_flush", "mm/rmap.c")
    def _clear_one(self, m: Mapping) -> None:
        """Write huge_ptep_clear_flush(): one huge entry, flushed as one page."""
        asm = self.asm
        slot = m.used[0] * self.hugetlb.slot_pages
        asm.work("zap_huge_ns", text="the entry becomes a migration entry")
        self.gathers.cleared(1, huge=True, by="huge_ptep_get_and_clear")
        first = slot + m.first * self.hugetlb.huge_pages
        hi = first + self.hugetlb.huge_pages
        asm.request(SCRATCH, cleared=o.CLEARED_PMDS, lo=first, hi=hi, text="one entry")
        self.lowering.flush_page(asm, SCRATCH)
