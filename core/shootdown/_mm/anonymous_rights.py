"""mprotect() and write protection by userfaultfd of anonymous memory in timed runs (mm/mprotect.c)."""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine import ops as o
from shootdown._mm.anonymous_parts import AnonymousParts
from shootdown._mm.call_parts import OUTER


class AnonymousRights(AnonymousParts):
    """Write calls that change rights; see `AnonymousParts`."""

    def mprotect(self, pages: int, *, huge: bool, part: range | None = None, widens: bool = False) -> None:
        """Write mprotect(): through a gather where the kernel has it, else one flush_tlb_range() at the end.

        Args:
            pages: how many base pages change.
            huge: a THP maps them.
            part: only these base pages of the THP change, which splits it first.
            widens: the new permissions include the old ones.
        """
        whole = huge and part is None

        def change() -> None:
            if part is not None:
                self.split_thp()
            self.change_entries(
                len(part) if part else pages,
                huge=whole,
                part=part,
                flushes=self.asks_for_flush(widens=widens),
            )

        self.protect(
            change, lambda: self._flush_range(self.table_pages if whole else len(part) if part else pages)
        )

    def protect(self, change: Callable[[], None], flush: Callable[[], None]) -> None:
        """Write mprotect().

        Args:
            change: writes how its entries change.
            flush: writes the flush at the end, in kernels without a gather.
        """
        with self.calls.syscall("mprotect", "mm/mprotect.c"), self.asm.because("mprotect"):
            self._change_rights(change, flush)

    def write_protect(self, change: Callable[[], None], flush: Callable[[], None]) -> None:
        """Write UFFDIO_WRITEPROTECT; arguments as of `protect`. A gather came to both with 4a18419f71cd (5.19)."""
        with (
            self.calls.syscall("mwriteprotect_range", "mm/userfaultfd.c", write=False),
            self.asm.because("userfaultfd"),
        ):
            self._change_rights(change, flush)

    def _change_rights(self, change: Callable[[], None], flush: Callable[[], None]) -> None:
        if self.kernel.mprotect_gather:
            self.gathers.begin(OUTER)
            change()
            self.gathers.end_vma(OUTER)
            self.gathers.finish(OUTER)
        else:
            change()
            self.calls.change_protection(flush)

    def asks_for_flush(self, *, widens: bool) -> bool:
        """Whether entries that change are flushed (pte_needs_flush()); `widens`: new rights include the old ones."""
        return self.kernel.widening_flushes or not widens

    def change_entries(
        self,
        pages: int,
        *,
        huge: bool,
        part: range | None = None,
        flushes: bool = True,
        at: int = 0,
        count: int = 1,
        spread: int | None = None,
    ) -> None:
        """Write change_pte_range() or change_huge_pmd().

        Args:
            pages: how many base pages change.
            huge: THPs map them.
            part: they are these base pages of a large folio.
            flushes: what changes asks for a flush.
            at: the first page.
            count: how many THPs.
            spread: the base pages that they are spread over, where there are some between them.
        """
        asm = self.asm
        if huge and self.kernel.thp_mprotect_flushes:
            self.invalidate_pmds(count)
        asm.work(
            "zap_huge_ns" if huge else "zap_ns", count if huge else pages, text="change entries", keeps=True
        )
        at_once = huge and self.kernel.thp_mprotect_flushes
        changed = count if huge else pages
        self.gathers.cleared(changed, huge=huge, by="pmdp_invalidate" if at_once else "ptep_get_and_clear")
        if part is not None:
            self.lowering.folio_entries_changed(asm, pages, first=part.start, clears=False)
        if changed:
            self.lowering.entries_set(asm, changed, huge=huge)
        if self.kernel.mprotect_gather:
            self.gathers.change_page_size(OUTER, huge=huge)
            size, level = (count * self.table_pages, o.CLEARED_PMDS) if huge else (pages, o.CLEARED_PTES)
            if flushes:
                asm.gather_add(OUTER, at, at + (spread or size), cleared=level, text="entries changed")
