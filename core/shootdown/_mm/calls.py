"""System calls on hugetlb mappings, exit and fork, as steps (mm/mmap.c, mm/mprotect.c, mm/hugetlb.c, mm/rmap.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.functions import function
from shootdown._mm.gather import Gathers
from shootdown._mm.hugetlb import Hugetlb, Locks, Mapping
from shootdown._values.architecture import Lowering
from shootdown._values.kernel import Kernel

OUTER, INNER, SCRATCH = 0, 1, 2


class Calls:
    """Write whole calls of the memory-management API for one kernel on one architecture.

    Args:
        asm, kernel, lowering, gathers, hugetlb, locks: the model's parts.
    """

    def __init__(
        self,
        asm: Assembler,
        kernel: Kernel,
        lowering: Lowering,
        gathers: Gathers,
        hugetlb: Hugetlb,
        locks: Locks,
    ) -> None:
        self.asm = asm
        self.kernel = kernel
        self.lowering = lowering
        self.gathers = gathers
        self.hugetlb = hugetlb
        self.locks = locks

    @contextmanager
    def syscall(self, name: str, where: str = "mm/mmap.c", *, write: bool = True) -> Iterator[None]:
        """Write a system call around the steps within: entry, mmap_lock, return."""
        with self.asm.function(name, where):
            self.asm.lock(self.locks.mmap, index=1, write=write, sleeps=True, text="mmap_lock")
            self.asm.work("syscall_ns", text=f"{name}: entry and VMA work")
            yield
            self.asm.unlock(self.locks.mmap, index=1, write=write, text="mmap_lock")

    @function("free_pgtables", "mm/memory.c")
    def free_pgtables(self, free: Callable[[], None]) -> None:
        """Write free_pgtables(): the tables that no VMA uses any more go.

        Args:
            free: writes which tables that are, and how they go.
        """
        free()

    @function("gup_fast", "mm/gup.c")
    def gup_fast(self, walk: Callable[[], None], slot: int | None = None) -> None:
        """Write gup_fast(): interrupts are off while it walks the page tables.

        Args:
            walk: writes the walk.
            slot: the PUD entry that it begins with.
        """
        if slot is not None:
            self.asm.set(o.SLOT, slot)
        self.asm.irq_off(lockless=True, text="local_irq_save")
        self.gup_fast_pgd_range(walk)
        self.asm.irq_on(lockless=True, text="local_irq_restore")

    @function("gup_fast_pgd_range", "mm/gup.c", named=False)
    def gup_fast_pgd_range(self, walk: Callable[[], None]) -> None:
        """Write the walk of gup_fast(), between local_irq_save() and local_irq_restore()."""
        walk()

    @function("gup_fast_pte_range", "mm/gup.c")
    def gup_fast_pte_range(self, walk: Callable[[], None]) -> None:
        """Write the part of a walk that is inside a table of PTEs."""
        walk()

    # --- processes

    def fork(
        self,
        child: int,
        child_mm: int,
        parent_mm: int,
        mappings: tuple[Mapping, ...],
        *,
        populated: bool,
        cow_pages: int = 0,
    ) -> None:
        """Write fork(): dup_mmap() with its flush of the parent, then the parent's own copy-on-write faults.

        Args:
            child: the task that starts.
            child_mm, parent_mm: their address spaces.
            mappings: hugetlb VMAs that the child inherits.
            populated: the parent has touched them.
            cow_pages: pages of the parent that it writes soon after.
        """
        asm = self.asm
        if self.lowering.new_mm_flushes:
            with asm.function("mm_alloc_pgd", "kernel/fork.c"), asm.because("fork"):
                asm.on_mm(child_mm)
                for _ in range(self.lowering.new_mm_flushes):
                    asm.request(
                        SCRATCH, flags=o.FULLMM, text="flush_tlb_mm: a table of the new mm is populated"
                    )
                    self.lowering.flush_mm(asm, SCRATCH)
                asm.on_mm(parent_mm)

        def copy() -> None:
            asm.work("fork_ns", text="copy the process")
            for m in mappings:
                self.hugetlb.fork(m, child_mm, parent_mm, m.shareable if populated else ())
            with asm.because("fork"):
                self.gathers.cleared(cow_pages, huge=False)

        self.dup_mmap(copy)
        asm.spawn(child, text="wake_up_new_task")
        self.copy_on_write(cow_pages)

    @function("dup_mmap", "mm/mmap.c")
    def dup_mmap(self, copy: Callable[[], None]) -> None:
        """Write dup_mmap(): mappings are copied, then the parent's address space is flushed, with mmap_lock held.

        Args:
            copy: writes how its mappings and page tables are copied.
        """
        asm = self.asm
        asm.lock(self.locks.mmap, index=1, write=True, sleeps=True, text="mmap_lock")
        copy()
        with asm.because("fork"):
            asm.request(SCRATCH, flags=o.FULLMM, text="flush_tlb_mm: entries became read-only")
            self.lowering.flush_mm(asm, SCRATCH)
        asm.unlock(self.locks.mmap, index=1, write=True, text="mmap_lock")

    def copy_on_write(self, pages: int) -> None:
        """Write copy-on-write faults: each replaces one page and flushes it."""

        def replace() -> None:
            self.asm.work("small_fault_ns", text="copy a page")
            self.gathers.cleared(1, huge=False)
            self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, hi=1, text="one page")
            self.lowering.flush_page(self.asm, SCRATCH)
            self.lowering.entries_mapped(self.asm, 1)

        for _ in range(pages):
            self.wp_page_copy(replace)

    @function("change_protection", "mm/mprotect.c")
    def change_protection(self, change: Callable[[], None]) -> None:
        """Write change_protection(): rights of entries change, and what is due is flushed.

        Args:
            change: writes what it does.
        """
        change()

    @function("change_pte_range", "mm/mprotect.c")
    def change_pte_range(self, change: Callable[[], None]) -> None:
        """Write change_pte_range(): the entries of a page table change.

        Args:
            change: writes how they change.
        """
        change()

    @function("move_ptes", "mm/mremap.c")
    def move_ptes(self, move: Callable[[], None]) -> None:
        """Write move_ptes(): the entries of a page table go to another one.

        Args:
            move: writes how they go, and their flush where it comes before the locks are released.
        """
        move()

    @function("move_page_tables", "mm/mremap.c")
    def move_page_tables(self, flush: Callable[[], None]) -> None:
        """Write what move_page_tables() does after the locks of the tables were released (before eb66ae030829).

        Args:
            flush: writes the flush of the old place.
        """
        flush()

    @function("unmap_mapping_range", "mm/memory.c")
    def unmap_mapping_range(self, zap: Callable[[], None]) -> None:
        """Write unmap_mapping_range(): pages of a file that is truncated are unmapped.

        Args:
            zap: writes how their entries are cleared, and flushed.
        """
        with self.asm.because("truncation"):
            zap()

    @function("do_wp_page", "mm/memory.c")
    def do_wp_page(self, fault: Callable[[], None]) -> None:
        """Write do_wp_page(): a write found an entry that may only be read.

        Args:
            fault: writes what is done about it.
        """
        fault()

    @function("wp_page_copy", "mm/memory.c")
    def wp_page_copy(self, replace: Callable[[], None]) -> None:
        """Write wp_page_copy(): a write to a page that others share gets a copy of it.

        Args:
            replace: writes how the page is copied, and its entry cleared, flushed and written anew.
        """
        with self.asm.because("copy on write"):
            replace()

    def exit(
        self,
        mappings: tuple[Mapping, ...],
        *,
        dirty_shared_pages: int = 0,
        others: Callable[[], None] = lambda: None,
        tables: Callable[[], None] = lambda: None,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        """Write exit(): exit_mm() leaves the CPU lazy, exit_mmap() tears everything down through one gather.

        Args:
            mappings: hugetlb VMAs, ascending.
            dirty_shared_pages: dirty pages of shared mappings; they force a flush before their rmap is removed.
            others: writes how entries of other mappings are cleared.
            tables: writes how their page tables go, where these are single ones.
            freed: writes what is freed after the flush, where that is single pages and tables.
        """
        asm = self.asm
        with asm.function("exit_mm", "kernel/exit.c"):
            asm.release_mm(text="current->mm = NULL; the CPU keeps the mm lazily")
        with asm.function("exit_mmap", "mm/mmap.c"), asm.because("exit"):
            self.gathers.begin(OUTER, fullmm=True)
            for m in mappings:
                self.zap_vma(OUTER, m, fullmm=True, last=True)
            if dirty_shared_pages:
                self.zap_dirty(OUTER, dirty_shared_pages)
            others()

            def free() -> None:
                for m in mappings:
                    self.hugetlb.free_exclusive(OUTER, m)
                tables()
                self.gathers.free_tables(OUTER, 4, o.CLEARED_PMDS)

            self.free_pgtables(free)
            self.gathers.finish(OUTER)
            freed()
            self._shoot_lazies()
            asm.work("exit_ns", text="the rest of exit() and wait()")

    @function("cleanup_lazy_tlbs", "kernel/fork.c")
    def _shoot_lazies(self) -> None:
        """Write cleanup_lazy_tlbs(): the last reference to the mm is dropped, and no CPU may keep it loaded lazily."""
        if not self.kernel.lazy_tlb_shootdown:
            return
        asm = self.asm
        with asm.because("lazy TLB shootdown"):
            asm.target_mm_cpumask()
            with asm.if_targets():
                asm.send(o.CALL_LEAVE, 0, text="IPI: do_shoot_lazy_tlb")
                asm.wait_for_answers()

    def zap_dirty(self, g: int, pages: int) -> None:
        """Write zap_pte_range() over dirty pages of a file: flush before their rmap is removed."""
        asm = self.asm
        with asm.function("zap_pte_range", "mm/memory.c"), asm.because("dirty file pages"):
            self.gathers.change_page_size(g, huge=False)
            asm.work("zap_ns", pages, text="clear the entries")
            self.gathers.cleared(pages, huge=False)
            asm.gather_add(g, 0, pages, cleared=o.CLEARED_PTES, text="dirty pages of a file: flush now")
            self.gathers.flush(g)

    @function("unmap_single_vma", "mm/memory.c")
    def zap_vma(self, g: int, m: Mapping, *, fullmm: bool = False, last: bool = False) -> None:
        """Write unmap_single_vma() of a hugetlb VMA; `last`: the VMA goes with what it maps."""
        self.hugetlb.lock_vma(write=True)
        self.hugetlb.lock_file(m)
        self.hugetlb.zap_range(g, m, fullmm=fullmm)
        if last:
            self.hugetlb.leave(m.used)
        self.hugetlb.unlock_vma(write=True)
        self.hugetlb.unlock_file(m)
        self.hugetlb.settle_late(g, lambda: self.hugetlb.flush_marked(g))

    # --- calls on mappings

    def munmap(
        self, mappings: tuple[Mapping, ...], *, upper_tables: int, level: int = o.CLEARED_P4DS
    ) -> None:
        """Write munmap() of whole hugetlb VMAs.

        Args:
            mappings: the VMAs, ascending.
            upper_tables: the number of tables above the PMD level that are freed with them.
            level: the level whose entries pointed to those.
        """
        with self.syscall("munmap"), self.asm.because("munmap"):
            self.unmap_region(mappings, upper_tables=upper_tables, level=level)

    @function("free_pud_range", "mm/memory.c")
    def _free_folded(self, m: Mapping) -> None:
        """Write free_pud_range() and free_p4d_range() where their level is folded at run time.

        The level is never empty there (p4d_none() is 0), so that they come to pud_free_tlb() and p4d_free_tlb(),
        generic ones, for each entry that the hole covers whole. Both set freed_tables and nothing is freed.
        """
        span, slot = self.lowering.folded_span, 1 << self.lowering.geometry.pud_shift
        if not span or not m.used or len(m.used) * slot < span:
            return
        self.asm.gather_add(
            OUTER,
            m.used[0] * self.hugetlb.slot_pages,
            m.used[0] * self.hugetlb.slot_pages + 1,
            flags=o.FREED_TABLES,
            cleared=o.CLEARED_P4DS,
            text="a folded level's table: nothing is freed, freed_tables is set",
        )

    def unmap_region(self, mappings: tuple[Mapping, ...], *, upper_tables: int, level: int) -> None:
        """Write unmap_region(): one gather for all VMAs, then their page tables; see `munmap`."""
        self.gathers.begin(OUTER)
        for m in mappings:
            self.zap_vma(OUTER, m, last=True)
        geometry = self.lowering.geometry
        last = (upper_tables - 1) << (geometry.p4d_shift - geometry.page_shift)

        def free() -> None:
            self.gathers.change_page_size(OUTER, huge=False)
            for m in mappings:
                self.hugetlb.free_exclusive(OUTER, m)
                self._free_folded(m)
            self.gathers.free_tables(OUTER, upper_tables, level, hi=last + 1)

        self.free_pgtables(free)
        self.gathers.finish(OUTER)

    def madvise(self, *mappings: Mapping) -> None:
        """Write madvise(MADV_DONTNEED) of hugetlb VMAs: zap_page_range_single(), later with the gather of the call.

        A hugetlb VMA's huge pages are freed before its locks drop (hugetlb_zap_end()), so it ends the gather that the
        call holds and leaves an empty one, which flushes nothing.
        """
        with self.syscall("madvise", "mm/madvise.c", write=False), self.asm.because("MADV_DONTNEED"):
            if self.kernel.madvise_gather:
                self.gathers.begin(OUTER)
            for m in mappings:
                if not self.kernel.madvise_gather:
                    self.gathers.begin(OUTER)
                self.zap_vma(OUTER, m)
                self.gathers.finish(OUTER)
                if self.kernel.madvise_gather:
                    self.gathers.begin(OUTER)
            if self.kernel.madvise_gather:
                self.gathers.finish(OUTER)

    def mprotect(self, mappings: tuple[Mapping, ...], *, to_class: int | None = None) -> None:
        """Write mprotect() of hugetlb VMAs: hugetlb_change_protection().

        Args:
            mappings: the VMAs, with the classes of their tables before.
            to_class: ignored; accepted so that scenarios of `api=1` that pass it still run.
        """
        del to_class
        outer = self.kernel.mprotect_gather
        with self.syscall("mprotect", "mm/mprotect.c"), self.asm.because("mprotect"):
            if outer:
                self.gathers.begin(OUTER)
            for m in mappings:
                self._change_protection(m)
            if outer:
                self.gathers.finish(OUTER)

    @function("hugetlb_change_protection", "mm/hugetlb.c")
    def _change_protection(self, m: Mapping) -> None:
        asm, kernel = self.asm, self.kernel
        if kernel.unshare_gather:
            self.gathers.begin(INNER, vma=True)
        self.hugetlb.lock_vma(write=True)
        self.hugetlb.lock_file(m)
        self.hugetlb.skip_unused(m)
        with asm.loop(len(m.used)):
            self.hugetlb.pick(m.used)
            asm.load_pud(o.CLASS, cost="skip_ns")
            with asm.if_nonzero(o.CLASS):
                self.hugetlb.lock_table()
                with asm.if_shared() as branch:
                    self.hugetlb.unshare(INNER)
                    self._record(m, whole=True)
                    branch.otherwise()
                    asm.work("zap_huge_ns", m.pages, text="change the entries")
                    self.gathers.cleared(m.pages, huge=True)
                    self._record(m, whole=False)
                self.hugetlb.unlock_table()
        self._flush_unshared(m)
        self.hugetlb.unlock_file(m)
        self.hugetlb.unlock_vma(write=True)
        self._flush_unshared_late(m)

    def _record(self, m: Mapping, *, whole: bool) -> None:
        """Record in the inner gather, if the kernel has one, what changed in the table of register SLOT."""
        if not self.kernel.unshare_gather or (whole and self.kernel.unshare_flush == "none"):
            return
        first, last = (0, self.hugetlb.recorded_pages) if whole else self.hugetlb.touched(m)
        self.asm.gather_slot(INNER, first, last, cleared=o.CLEARED_PMDS, text="tlb_remove_huge_tlb_entry")

    def _flush_unshared(self, m: Mapping) -> None:
        """Flush before i_mmap_rwsem drops: through the gather, or flush_hugetlb_tlb_range() of the whole range."""
        self.hugetlb.settle(INNER, lambda: self._flush_changed(m))

    def _flush_unshared_late(self, m: Mapping) -> None:
        """Finish the call's own gather; in the wrong order (a what-if), flush and sync only here."""
        self.hugetlb.settle_late(INNER, lambda: self._flush_changed(m))
        if self.kernel.unshare_gather:
            self.gathers.finish(INNER)
        else:
            self.asm.clear_flags(INNER, o.UNSHARED_TABLES | o.FULLY_UNSHARED | o.FREED_TABLES)

    def _flush_changed(self, m: Mapping) -> None:
        if self.kernel.unshare_gather:
            self.gathers.flush(INNER)
            return
        asm = self.asm
        pages = self.hugetlb.slot_pages
        lo = m.used[0] * pages if m.used else 0
        hi = (m.used[-1] + 1) * pages if m.used else pages
        asm.request(SCRATCH, cleared=o.CLEARED_PMDS, lo=lo, hi=hi, text="the whole range")
        for flag in (o.UNSHARED_TABLES, o.FREED_TABLES):
            with asm.if_flags(INNER, flag):
                asm.set_flags(SCRATCH, flag, text="tables were unshared")
        self.lowering.flush_hugetlb_range(asm, SCRATCH)

    def mremap(self, m: Mapping, *, upper_tables: int = 0, level: int = o.CLEARED_P4DS) -> None:
        """Write mremap() of a hugetlb VMA to another place.

        move_hugetlb_page_tables() unshares without a page-table lock; then move_vma() unmaps the old place, where only
        tables without any present entry are left, which the move skips.

        Args:
            m: the VMA.
            upper_tables, level: as for `munmap`, of the old place.
        """
        asm, kernel = self.asm, self.kernel
        with self.syscall("mremap", "mm/mremap.c"), asm.because("mremap"):
            if kernel.unshare_gather:
                self.gathers.begin(INNER, vma=True)
            self.hugetlb.lock_vma(write=True)
            self.hugetlb.lock_file(m)
            self.hugetlb.skip_unused(m)
            with asm.function("move_hugetlb_page_tables", "mm/hugetlb.c"), asm.loop(len(m.used)):
                self.hugetlb.pick(m.used)
                asm.load_pud(o.CLASS, cost="skip_ns")
                with asm.if_nonzero(o.CLASS):
                    if m.pages:
                        with asm.if_shared() as branch:
                            self.hugetlb.unshare(INNER)
                            self._record(m, whole=True)
                            branch.otherwise()
                            asm.work("zap_huge_ns", m.pages, text="move the entries")
                            self.gathers.cleared(m.pages, huge=True)
                            self._record(m, whole=False)
            self._flush_unshared(m)
            self.hugetlb.unlock_file(m)
            self.hugetlb.unlock_vma(write=True)
            self._flush_unshared_late(m)
            self.unmap_region((attrs.evolve(m, pages=0),), upper_tables=upper_tables, level=level)

    def split(self, m: Mapping) -> None:
        """Write munmap() of half of a mapping's first table: the VMA splits, which unshares that table first."""
        first = Mapping(m.used[:1], pages=m.pages, first=m.first, last=m.last, klass=m.klass, file=m.file)
        half = self.hugetlb.slot_pages // self.hugetlb.huge_pages // 2
        with self.syscall("munmap"), self.asm.because("munmap"):
            if self.kernel.unshare_at_split != "never":
                self.unshare_all(first)
            self.gathers.begin(OUTER)
            rest = Mapping(
                first.used,
                pages=max(m.pages // 2, 1),
                first=min(m.first, half - 1),
                last=m.first + 1 if m.pages < 3 and m.last > half else min(m.last, half),
                klass=m.klass,
                file=m.file,
            )
            self.zap_vma(OUTER, rest)
            self.gathers.finish(OUTER)

    @function("hugetlb_unshare_pmds", "mm/hugetlb.c")
    def unshare_all(self, m: Mapping) -> None:
        """Write hugetlb_unshare_pmds(): unshare every table of a range and change nothing else."""
        asm, kernel = self.asm, self.kernel
        if kernel.unshare_gather:
            self.gathers.begin(INNER, vma=True)
        self.hugetlb.lock_vma(write=True)
        self.hugetlb.lock_file(m)
        self.hugetlb.skip_unused(m)
        with asm.loop(len(m.used)):
            self.hugetlb.pick(m.used)
            asm.load_pud(o.CLASS, cost="skip_ns")
            with asm.if_nonzero(o.CLASS), asm.if_shared():
                self.hugetlb.lock_table()
                self.hugetlb.unshare(INNER)
                self._record(m, whole=True)
                self.hugetlb.unlock_table()
        self._flush_unshared(m)
        self.hugetlb.unlock_file(m)
        self.hugetlb.unlock_vma(write=True)
        self._flush_unshared_late(m)

    # --- calls that reach all sharers through the file

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
        self.gathers.cleared(1, huge=True)
        first = slot + m.first * self.hugetlb.huge_pages
        hi = first + self.hugetlb.huge_pages
        asm.request(SCRATCH, cleared=o.CLEARED_PMDS, lo=first, hi=hi, text="one entry")
        self.lowering.flush_page(asm, SCRATCH)
