"""How hash kernels flush: for each cleared entry, its hash-table entry and TLB entry are invalidated, in batches.

arch/powerpc/mm/book3s64/hash_tlb.c and hash_native.c, read in v6.16; nothing that is modelled differs since v5.10.
The hardware walks no Linux page table, so that freeing or unsharing tables invalidates nothing, and the flushes that
generic code asks for (`flush_tlb_range()` and its kin) are empty.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from shootdown.porting import NO_LIMIT, Assembler
from shootdown.porting import ops as o
from shootdown_powerpc._lowering import PowerpcLowering

_TLB = "arch/powerpc/mm/book3s64/hash_tlb.c"
_NATIVE = "arch/powerpc/mm/book3s64/hash_native.c"
_PGTABLE = "arch/powerpc/mm/book3s64/hash_pgtable.c"

#: The most entries in a CPU's batch (PPC64_TLB_BATCH_NR).
BATCH = 192
#: The request by which the batch is flushed; see `Lowering.entries_cleared`.
_REQUEST = 2
#: native_tlbie_lock, the only lock that flushes may take.
_TLBIE_LOCK = 0


def batches(first: int, count: int, table_pages: int) -> Iterator[int]:
    """Return the batches in which cleared base pages are flushed: 192, or fewer at the end of a page table.

    Lazy MMU mode, in which a CPU collects, lasts as long as the lock of one page table (zap_pte_range()).

    Args:
        first: number of the first page in a mapping that begins where a table does.
        count: the number of pages.
        table_pages: base pages that a table maps.
    """
    while count > 0:
        here = min(count, table_pages - first % table_pages)
        yield from (min(BATCH, here - done) for done in range(0, here, BATCH))
        first, count = first + here, count - here


@attrs.frozen
class HashLowering(PowerpcLowering):
    """Write flushes as a hash kernel does them; see `shootdown.Lowering`."""

    @property
    def needs_table_invalidate(self) -> bool:
        """Whether tables must be flushed before they are freed: no, tlb_needs_table_invalidate() is radix_enabled()."""
        return False

    @property
    def machine_locks(self) -> int:
        """The number of machine-wide locks: one, native_tlbie_lock, if the CPU does not support concurrent tlbie."""
        return 1

    def no_thp(self) -> str | None:
        """Return why there is no THP: it needs 16M pages as large as a PMD entry, which 64K base pages have."""
        if self.kernel.page_size == 65536:
            return PowerpcLowering.no_thp(self)
        return "no THP with the hash MMU and 4K pages: a PMD entry spans 2M, and huge pages are 16M"

    def no_hardware_dirty(self) -> str | None:
        """Return why the hardware sets no dirty bit: it sets C in the hash table, but nothing in Linux's own entry."""
        return "the hardware changes the hash table alone; software sets the dirty bit of Linux' entries"

    def no_hash_table(self) -> str | None:
        """Translations are found in the hash table: Power ISA 3.0B, Book III, 5.7.9."""
        return None

    # --- what the generic code calls

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write `hash__tlb_flush()`: flush this CPU's batch, which is empty since lazy MMU mode was left."""
        self._nothing(asm, "hash__tlb_flush")

    def flush_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_range()`, which is empty."""
        self._nothing(asm, "flush_tlb_range")

    def flush_mm(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_mm()`, which is empty."""
        self._nothing(asm, "flush_tlb_mm")

    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_page()`, which is empty."""
        self._nothing(asm, "flush_tlb_page")

    def _nothing(self, asm: Assembler, name: str) -> None:
        with asm.function(name, "arch/powerpc/include/asm/book3s/64/tlbflush.h"):
            asm.work("flush_ns", 0, text="the entries were flushed as they were cleared")

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        """Write `hash__pmdp_collapse_flush()`: wait for lockless look-ups, then flush each entry of the table."""
        with asm.function("hash__pmdp_collapse_flush", _PGTABLE):
            self.serialize_against_pte_lookup(asm)
            with asm.function("flush_hash_table_pmd_range", _TLB):
                self.entries_cleared(asm, self.table_pages, huge=False)

    def entries_cleared(self, asm: Assembler, count: int, *, huge: bool, first: int = 0) -> None:
        """Write `hpte_need_flush()` for each entry: base pages in batches, huge ones at once.

        The program is assumed to have touched each base page, and one page of each transparent huge page, so that the
        hash table has one entry for each.
        """
        with asm.function("hpte_need_flush", _TLB), asm.because("TLB flush"):
            sizes = [1] * count if huge else list(batches(first, count, self.table_pages))
            pages = range(first, first + count * (self.table_pages if huge else 1))
            for size in sorted(set(sizes), reverse=True):
                times = sizes.count(size)
                if times > 1:
                    with asm.loop(times, o.SCRATCH2):
                        self._flush(asm, size, pages)
                else:
                    self._flush(asm, size, pages)

    # --- flush_hash_range(), flush_hash_page()

    def _flush(self, asm: Assembler, entries: int, pages: range) -> None:
        """Write a flush of entries: tlbiel if only this CPU has run the mm (mm_is_thread_local()), else tlbie.

        Batches of one size are one loop, so that each flushes the pages of all: they are cleared under one page-table
        lock, and the last batch is flushed before it is released.
        """
        name = "native_flush_hash_range" if entries > 1 else "native_hpte_invalidate"
        with asm.function(name, _NATIVE):
            text = f"{entries} hash-table entries"
            asm.request(_REQUEST, cleared=o.CLEARED_PTES, lo=pages.start, hi=pages.stop, text=text)
            asm.target_mm_cpumask()
            with asm.if_targets() as others:
                self._tlbie(asm, entries)
                others.otherwise()
                with asm.if_in_mm_cpumask() as mine:
                    self._tlbiel(asm, entries)
                    mine.otherwise()
                    self._tlbie(asm, entries)

    def _tlbiel(self, asm: Assembler, entries: int) -> None:
        asm.begin_flush(_REQUEST, ceiling=NO_LIMIT, tracked=False, text="ptesync; this CPU alone")
        asm.execute("tlbiel_ric0_prs0_r0", entries, text="tlbiel by virtual page number")
        asm.flush_local_pages(entries, text="ppc_after_tlbiel_barrier")
        asm.cancel(text="no other CPU")

    def _tlbie(self, asm: Assembler, entries: int) -> None:
        """Write a tlbie for each entry and the barriers after the last, under native_tlbie_lock if needed."""
        locks = not self.cpu.lockless_tlbie
        if locks:
            asm.lock(_TLBIE_LOCK, write=True, sleeps=False, text="native_tlbie_lock")
        asm.begin_flush(_REQUEST, ceiling=NO_LIMIT, tracked=False, text="ptesync; all CPUs")
        self._broadcast(asm, "tlbie_ric0_prs0_r0", entries, "tlbie by virtual page number")
        if self.cpu.p9_tlbie_erat_bug:
            self._broadcast(asm, "tlbie_ric0_prs0_r1", 1, "ptesync; tlbie: CPU_FTR_P9_TLBIE_ERAT_BUG")
        if self.cpu.p9_tlbie_stq_bug:
            self._broadcast(asm, "tlbie_ric0_prs0_r0", 1, "ptesync; tlbie again: CPU_FTR_P9_TLBIE_STQ_BUG")
        asm.execute("tlbsync")
        asm.broadcast(o.SCOPE_BOTH, text="tlbie reaches every CPU")
        asm.complete("eieio; tlbsync; ptesync")
        if locks:
            asm.unlock(_TLBIE_LOCK, write=True, text="native_tlbie_lock")

    def _broadcast(self, asm: Assembler, name: str, times: int, text: str) -> None:
        asm.execute(name, times, broadcasts=True, cost="broadcast_ns", text=text)
