"""First accesses to ordinary memory in timed runs: faults on base pages and THPs (mm/memory.c)."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.anonymous_parts import AnonymousParts

#: The most faults that are written one by one; of more pages so many parts are.
_MOST_FAULTS = 1024


class CountedFaults(AnonymousParts):
    """Write faults; see `AnonymousParts`."""

    @function("handle_mm_fault", "mm/memory.c")
    def touch(
        self, pages: int, *, huge: bool, count: int = 1, cached: bool = False, locks: bool = False
    ) -> None:
        """Write first accesses: one fault for each of `pages` base pages, or for each of `count` THPs.

        Args:
            pages, huge, count: what is accessed.
            cached: the pages are a file's, in the page cache.
            locks: as for `faults`.
        """
        asm = self.asm
        if huge:
            asm.work("zero_ns", count, text="allocate and clear a huge page")
            self.lowering.entries_set(asm, count, huge=True)
            self.lowering.entries_mapped(asm, count)
        elif pages:
            self.faults(pages, "fault the pages in", keeps=cached, locks=locks)
            self.lowering.entries_set(asm, pages, huge=False)
            self.lowering.entries_mapped(asm, pages)
        asm.touch(text="the TLB and walk caches may hold the translation")

    def faults(self, pages: int, text: str, *, keeps: bool, locks: bool) -> None:
        """Write faults on base pages without what they do to entries.

        Args:
            pages: how many.
            text: what they do, for stories.
            keeps: no page comes from a zone.
            locks: each takes mmap_lock for reading (do_user_addr_fault() of x86, do_page_fault() elsewhere). Of very
                many pages some are faulted in at a time.
        """
        if not locks:
            self.asm.work("small_fault_ns", pages, text=text, keeps=keeps)
            return
        times = min(pages, _MOST_FAULTS)
        with self.asm.loop(times, o.SCRATCH2), self.calls.mmap_locked(write=False):
            self.asm.work("small_fault_ns", pages // times, text=text, keeps=keeps)
        if pages % times:
            with self.calls.mmap_locked(write=False):
                self.asm.work("small_fault_ns", pages % times, text=text, keeps=keeps)
