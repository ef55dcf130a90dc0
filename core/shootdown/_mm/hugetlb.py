"""hugetlb PMD sharing: faults share tables; unmapping, exit, mprotect() and the like unshare them (mm/hugetlb.c).

All slots of a `Mapping` are PUD entries of one file mapping. A table can be shared if the mapping covers its whole PUD
entry (want_pmd_share()); other tables, and all of a private mapping, are never shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import attrs

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.functions import function
from shootdown._machine.label import Label
from shootdown._mm.gather import Gathers
from shootdown._mm.mapping import Mapping
from shootdown._values.kernel import Kernel
from shootdown._values.lowering import Lowering
from shootdown._values.sites import mistake

_FILE = "mm/hugetlb.c"


@attrs.frozen
class Locks:
    """The first lock of each kind: an i_mmap_rwsem for each file, an mmap_lock and a hugetlb vma_lock for each mm, a
    page-table lock for each slot.
    """

    i_mmap: int
    mmap: int
    vma: int
    ptl: int


class Hugetlb:
    """Write what hugetlb code does with shared PMD tables.

    Args:
        asm: the assembler.
        kernel: the kernel with its protocol.
        lowering: how the architecture flushes.
        gathers: the writer of gathers.
        locks: the first lock of each kind.
        slot_pages, huge_pages: base pages in a slot, and in a huge page.
        page_cache: returns the first of a file's variables, one for each slot: whether the page cache holds its pages.

    `recorded_pages` are the base pages that a gather records when a whole slot is unshared.
    """

    def __init__(
        self,
        asm: Assembler,
        kernel: Kernel,
        lowering: Lowering,
        gathers: Gathers,
        locks: Locks,
        slot_pages: int,
        huge_pages: int,
        page_cache: Callable[[int], int],
    ) -> None:
        self.asm = asm
        self.kernel = kernel
        self.lowering = lowering
        self.gathers = gathers
        self.locks = locks
        self.slot_pages = slot_pages
        self.huge_pages = huge_pages
        self.page_cache = page_cache
        # __tlb_adjust_range() takes the size as an unsigned int, which truncates that of a PUD entry to 32 bits.
        span = 1 << lowering.geometry.pud_shift
        recorded = span & 0xFFFF_FFFF if kernel.range_truncation_16k else span
        self.recorded_pages = recorded * slot_pages // span
        self._lists: dict[tuple[int, ...], int] = {}
        #: Whether steps over huge pages that are not mapped are written: they take time and do nothing.
        self.visits = False
        #: Of an explored program: the register that gets a bit for each slot whose table a call frees.
        self.notes_freed: int | None = None
        #: Of an explored program whose slots may have several tables: by slot, the variable that gets the class of one.
        self.freed_classes: dict[int, int] = {}
        #: Of an explored program: by slot, the variable that is zero once the VMA that calls are written for is gone.
        self.vmas: dict[int, int] = {}
        #: Of an explored program: how many tables a slot may have one after another.
        self.table_classes = 1

    def touched(self, m: Mapping) -> tuple[int, int]:
        """Return the range of a mapping's pages in each table, in base pages from the table's first address on."""
        return m.first * self.huge_pages, m.last * self.huge_pages

    # --- locks

    def lock_file(self, m: Mapping, *, write: bool = True) -> None:
        """Take i_mmap_rwsem; taken for writing, it opens the section in which tables are unshared."""
        self.asm.lock(self.locks.i_mmap + m.file, write=write, sleeps=True, text="i_mmap_rwsem")
        if write:
            self.asm.note(o.NOTE_SECTION, 1, m.file)

    def unlock_file(self, m: Mapping, *, write: bool = True) -> None:
        """Release i_mmap_rwsem; from here on another process may reuse an unshared table."""
        if write:
            self.asm.note(o.NOTE_AUDIT, text="what could hardware still use?")
            self.asm.note(o.NOTE_SECTION, 0, m.file)
        self.asm.unlock(self.locks.i_mmap + m.file, write=write, text="i_mmap_rwsem")

    def lock_vma(self, *, write: bool) -> None:
        """Take the hugetlb VMA lock, in kernels that have it."""
        if self.kernel.hugetlb_vma_lock:
            self.asm.lock(self.locks.vma, index=1, write=write, sleeps=True, text="hugetlb vma_lock")

    def if_vma_locked(self) -> AbstractContextManager[object]:
        """Run the steps within if a trylock of the hugetlb VMA lock succeeds, or if the kernel has no such lock."""
        if self.kernel.hugetlb_vma_lock:
            return self.asm.if_locked(self.locks.vma, index=1, text="hugetlb vma_lock")
        return nullcontext()

    def unlock_vma(self, *, write: bool) -> None:
        """Release it."""
        if self.kernel.hugetlb_vma_lock:
            self.asm.unlock(self.locks.vma, index=1, write=write, text="hugetlb vma_lock")

    def lock_table(self) -> None:
        """Take the page-table lock of the table of register SLOT."""
        self.asm.lock(self.locks.ptl, index=2, write=True, sleeps=False, text="page-table lock")

    def unlock_table(self) -> None:
        """Release it."""
        self.asm.unlock(self.locks.ptl, index=2, write=True, text="page-table lock")

    def slots(self, values: tuple[int, ...]) -> int:
        """Store a list of slots for loops; return its base."""
        if values not in self._lists:
            self._lists[values] = self.asm.add_list(list(values))
        return self._lists[values]

    def pick(self, values: tuple[int, ...], register: int = o.INDEX) -> None:
        """Set SLOT to the list's element at the index in the loop's register."""
        self.asm.pick(self.slots(values), register)

    # --- faults and fork

    def touch(self, m: Mapping, *, zeroes: bool = True) -> None:
        """Write an access to each page of a mapping: faults where nothing is mapped, which share tables if possible."""
        asm = self.asm
        room = self.slot_pages // self.huge_pages
        if max(m.pages, m.last) > room:
            raise mistake(f"mapping: {max(m.pages, m.last)} pages in each table: one maps {room} huge pages")
        order = m.order or m.used
        for slots, shares in ((tuple(s for s in order if s not in m.own), True), (m.own, False)):
            if not slots:
                continue
            with asm.loop(len(slots)):
                self.pick(slots)
                asm.work("user_ns", text="user mode")
                asm.load_pud(o.CLASS)
                with asm.if_nonzero(o.CLASS) as mapped:
                    mapped.otherwise()
                    self.fault(m, zeroes=zeroes, shares=shares and self.kernel.pmd_sharing)
                asm.touch(text="the TLB and walk caches may hold the translation")

    @function("hugetlb_fault", _FILE)
    def fault(
        self, m: Mapping, *, zeroes: bool, shares: bool, find: Callable[[Label], None] | None = None
    ) -> None:
        """Write hugetlb_fault() on an address whose PUD entry is none: huge_pmd_share(), else pmd_alloc().

        Two processes that both find nothing to share would allocate a table each; here the allocation is part of the
        same locked section, so that a slot never has two tables of one class.

        Args:
            m: the mapping.
            zeroes: pages that the file does not have are allocated.
            shares: other processes can share its tables.
            find: writes how a table is found or allocated, and where to go if one is there; None: that of the class.
        """
        asm = self.asm
        asm.lock(self.locks.mmap, index=1, write=False, sleeps=True, text="mmap_lock")
        self.lock_vma(write=False)
        there = Label()
        if shares:
            with asm.function("huge_pmd_share"):
                self.lock_file(m, write=False)
                asm.work("share_ns", text="look for a table in the other mappings of the file")
                asm.set(o.SCRATCH, 1)
                if find is not None:
                    find(there)
                else:
                    asm.populate(m.klass, there, text="pud_populate, unless another thread did")
                with asm.if_nonzero(o.SCRATCH):
                    asm.note(o.NOTE_SHARED)
                asm.place(there)
                self.unlock_file(m, write=False)
            if zeroes:
                with asm.if_nonzero(o.SCRATCH) as found:
                    found.otherwise()
                    self._fill_page_cache(m)
        else:
            asm.set_pud(m.klass, text="pmd_alloc")
            if zeroes:
                self._fill_page_cache(m)
        asm.work("fault_ns", max(m.pages, 1), text="map the pages")
        self.unlock_vma(write=False)
        asm.unlock(self.locks.mmap, index=1, write=False, text="mmap_lock")

    def _fill_page_cache(self, m: Mapping) -> None:
        """Write hugetlb_no_page(): pages of the table of register SLOT that the file does not have are allocated.

        A page of a shared mapping stays in the file's page cache when the last process that maps it exits; a page of a
        private one belongs to the process (mm/hugetlb.c: hugetlb_no_page(), VM_MAYSHARE).
        """
        asm = self.asm
        if m.private:
            asm.work("zero_ns", max(m.pages, 1), text="allocate and clear huge pages")
            return
        cache = self.page_cache(m.file)
        with asm.aside():
            asm.v_load(o.SCRATCH, cache, index=o.SLOT)
        with asm.if_nonzero(o.SCRATCH) as cached:
            cached.otherwise()
            with asm.aside():
                asm.v_store(cache, 1, index=o.SLOT)
            asm.work("zero_ns", max(m.pages, 1), text="allocate and clear huge pages")

    def empty_page_cache(self, m: Mapping) -> None:
        """Write remove_inode_hugepages(): the file gives up the pages of a mapping, and later faults allocate again."""
        if not m.used or m.private:
            return
        cache = self.page_cache(m.file)
        with self.asm.aside(), self.asm.loop(len(m.used)):
            self.pick(m.used)
            self.asm.v_store(cache, 0, index=o.SLOT)

    def fork(self, m: Mapping, child_mm: int, parent_mm: int, populated: tuple[int, ...]) -> None:
        """Write dup_mmap() for this VMA: link it to the file, and before v6.0 share the parent's tables."""
        asm = self.asm
        asm.lock(self.locks.i_mmap + m.file, write=True, sleeps=True, text="i_mmap_rwsem")
        asm.work("vma_fork_ns", text="link the child's VMA to the file")
        asm.unlock(self.locks.i_mmap + m.file, write=True, text="i_mmap_rwsem")
        if self.kernel.fork_shares_pmd:
            self.copy_hugetlb_page_range(m, child_mm, parent_mm, populated)

    @function("copy_hugetlb_page_range", _FILE)
    def copy_hugetlb_page_range(
        self, m: Mapping, child_mm: int, parent_mm: int, populated: tuple[int, ...]
    ) -> None:
        """Write what fork() copies of a shared mapping before v6.0: it shares the parent's tables, one by one."""
        asm = self.asm
        if self.kernel.hugetlb_visits_absent and self.visits:
            self._copy_absent(m)
        if not (self.kernel.pmd_sharing and populated):
            return
        with asm.loop(len(populated)):
            self.pick(populated)
            asm.on_mm(parent_mm)
            asm.load_pud(o.CLASS)
            with asm.if_nonzero(o.CLASS):
                asm.on_mm(child_mm)
                self.lock_file(m, write=False)
                asm.work("share_ns", text="look for a table in the other mappings of the file")
                there = Label()
                if self.table_classes == 1:
                    asm.populate(m.klass, there, text="the child maps the table")
                else:
                    self.share_found(there, "the child maps the table")
                asm.note(o.NOTE_SHARED)
                asm.place(there)
                self.unlock_file(m, write=False)
            asm.on_mm(parent_mm)

    def share_found(self, there: Label, text: str) -> None:
        """Write the sharing of the table whose class register CLASS has, where slots may have several tables."""
        for klass in range(self.table_classes):
            with self.asm.if_equal(o.CLASS, klass + 1):
                self.asm.populate(klass, there, text=text)
                self.asm.jump(there)

    def _copy_absent(self, m: Mapping) -> None:
        """Write what fork() does for huge pages of a shared mapping that the parent has not mapped: a look at each.

        Before bcd51a3c679d and e95a9851787d it looks at every page of the VMA, with i_mmap_rwsem held for reading; a
        shared table's pages too, one by one (dst_pte == src_pte).
        """
        pages = (m.unused + len(m.used)) * self.slot_pages // self.huge_pages
        if not m.private:
            self.lock_file(m, write=False)
        self.asm.work("visit_ns", pages, text="step over each huge page")
        if not m.private:
            self.unlock_file(m, write=False)

    def skip_unused(self, m: Mapping) -> None:
        """Write how a walk over a VMA steps over slots that its process never uses."""
        if not (self.visits and m.unused):
            return
        if self.kernel.hugetlb_visits_absent:
            pages = m.unused * self.slot_pages // self.huge_pages
            self.asm.work("visit_ns", pages, text="step over each huge page that has no table")
        else:
            self.asm.work("visit_ns", m.unused, text="step over entries that have no table")

    # --- unsharing

    def flushing(self) -> AbstractContextManager[None]:
        """Apply the what-if `platform.final_level_only`, if set, to what the flushes within drop."""
        scopes = {"true": o.SCOPE_LEAF, "false": o.SCOPE_BOTH}
        return self.asm.dropping(scopes.get(self.lowering.platform.final_level_only))

    @property
    def _marks(self) -> int:
        """The gather's flag for an unsharing: unshared_tables, or freed_tables in the alternative design."""
        return o.FREED_TABLES if self.kernel.unshare_sets_freed_tables else o.UNSHARED_TABLES

    @function("huge_pmd_unshare", _FILE)
    def unshare(self, g: int) -> None:
        """Write huge_pmd_unshare() of a table known to be shared; what gather `g` records depends on the kernel."""
        asm, kernel = self.asm, self.kernel
        marks = 0 if kernel.unshare_flush == "none" else self._marks
        fully = o.FULLY_UNSHARED if kernel.unshare_sync == "last-sharer" else 0
        with asm.because("unsharing"):
            asm.clear_pud(cost="unshare_ns", text="pud_clear")
            if kernel.unshare_sync == "per-table" and kernel.unshare_flush != "after-unlock":
                self.gathers.sync("before the table's count drops")
            asm.unshare(g, marks, more_flags=fully, text="one fewer process maps the table")

    def settle(self, g: int, flush: Callable[[], None]) -> None:
        """Write what follows a loop that unshares, while i_mmap_rwsem is held: the flush, then at most one sync.

        Args:
            g: the gather that `unshare` recorded in.
            flush: writes the flush of this caller.
        """
        if self.kernel.unshare_flush == "locked":
            with self.flushing():
                flush()
        if self.kernel.unshare_flush != "after-unlock":
            self._sync_if_exclusive(g)

    def settle_late(self, g: int, flush: Callable[[], None]) -> None:
        """Write flush and sync after i_mmap_rwsem was dropped: the order that tlb_finish_mmu() warns of."""
        if self.kernel.unshare_flush != "after-unlock":
            return
        with self.asm.if_flags(g, o.FULLY_UNSHARED):
            self.asm.note(o.NOTE_WARNING, text="tlb_finish_mmu() WARNs: fully_unshared_tables is still set")
        if self.kernel.unshare_sync == "per-table":
            with self.asm.if_flags(g, self._marks), self.flushing():
                flush()
                self.gathers.sync("tables were unshared")
            return
        with self.flushing():
            flush()
        self._sync_if_exclusive(g)

    def _sync_if_exclusive(self, g: int) -> None:
        if self.kernel.unshare_sync != "last-sharer":
            return
        with self.asm.if_flags(g, o.FULLY_UNSHARED):
            self.gathers.sync("a table became exclusive")
            self.asm.clear_flags(g, o.FULLY_UNSHARED, text="fully_unshared_tables = 0")

    def flush_marked(self, g: int) -> None:
        """Write the flush of a gather, which runs only if tables were unshared in it."""
        name = "huge_pmd_unshare_flush" if self.kernel.unshare_gather else "__unmap_hugepage_range"
        with self.asm.function(name, _FILE), self.asm.if_flags(g, self._marks):
            self.gathers.flush(g)

    @function("__unmap_hugepage_range", _FILE)
    def zap_range(self, g: int, m: Mapping, *, fullmm: bool = False) -> None:
        """Write __unmap_hugepage_range() over a mapping: unshare shared tables, clear the entries of others."""
        asm = self.asm
        self.gathers.change_page_size(g, huge=True)
        self.skip_unused(m)
        if m.used:
            with asm.loop(len(m.used)):
                self._zap_slot(g, m)
        with self.flushing():
            self.gathers.end_vma(g, fullmm=fullmm)
        self.settle(g, lambda: self.flush_marked(g))

    def _zap_slot(self, g: int, m: Mapping) -> None:
        asm = self.asm
        self.pick(m.used)
        asm.load_pud(o.CLASS, cost="skip_ns")
        with asm.if_nonzero(o.CLASS):
            self.lock_table()
            with asm.if_shared() as branch:
                self.unshare(g)
                if self.kernel.zap_flushes_unshared and self.kernel.unshare_flush != "none":
                    asm.gather_slot(
                        g,
                        0,
                        self.recorded_pages,
                        cleared=o.CLEARED_PMDS,
                        text="tlb_flush_pmd_range over the PUD",
                    )
                branch.otherwise()
                none = self.slot_pages // self.huge_pages - m.pages
                if self.visits and none > 0:
                    asm.work("visit_ns", none, text="step over entries that map nothing")
                if m.pages:
                    asm.work("zap_huge_ns", m.pages, text="clear the entries")
                    self.gathers.cleared(m.pages, huge=True, by="huge_ptep_get_and_clear")
                    self.gathers.queue_huge_pages(g, m.pages, *self.touched(m))
            self.unlock_table()

    def leave(self, slots: Iterable[int]) -> None:
        """Write that a VMA which goes can't be shared with any more, with i_mmap_rwsem held for writing.

        __unmap_hugepage_range_final() clears VM_MAYSHARE, later the VMA lock is freed.
        """
        for slot in slots:
            if slot in self.vmas:
                self.asm.v_store(self.vmas[slot], 0, text="nobody can find its table any more")

    def free_exclusive(self, g: int, m: Mapping) -> None:
        """Write hugetlb_free_pgd_range(): free the PMD tables that only this mm maps."""
        for slots, counted in ((m.shareable, self.kernel.pmd_sharing), (m.own, False)):
            if slots:
                self._free_pgd_range(g, slots, counted)

    @function("hugetlb_free_pgd_range", "mm/memory.c")
    def _free_pgd_range(self, g: int, slots: tuple[int, ...], counted: bool) -> None:
        """Write hugetlb_free_pgd_range() of some slots; `counted`: other processes could have shared their tables."""
        asm = self.asm
        with asm.loop(len(slots)):
            self.pick(slots)
            asm.load_pud(o.CLASS, cost="skip_ns")
            with asm.if_nonzero(o.CLASS):
                asm.clear_pud(text="pud_clear")
                if counted:
                    asm.drop(text="nobody maps the table")
                asm.gather_slot(
                    g,
                    0,
                    1,
                    flags=self.gathers.freed_flags(o.CLEARED_PUDS),
                    cleared=o.CLEARED_PUDS,
                    text="the table waits to be freed",
                )
                self.gathers.queue_tables(g, 1)
                self._note_freed(slots)

    def _note_freed(self, slots: tuple[int, ...]) -> None:
        """Note, if the program asks for it, that the table of register SLOT, one of some slots, is to be freed."""
        if self.notes_freed is None:
            return
        for slot in slots:
            this, others = Label(), Label()
            with self.asm.aside():
                self.asm.jump_equal(o.SLOT, slot, this)
                self.asm.jump(others)
                self.asm.place(this)
                if slot in self.freed_classes:
                    self.asm.v_store(self.freed_classes[slot], o.CLASS, from_register=True)
                self.asm.add(self.notes_freed, 1 << slot)
                self.asm.place(others)
