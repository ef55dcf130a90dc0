"""The flushes that mm/ asks an architecture for: how each is asked for, and what must be gone after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from shootdown._machine import ops as o
from shootdown._values.lowering import Lowering

if TYPE_CHECKING:
    from shootdown._machine.assembler import Assembler
    from shootdown._values.lowering import EntryFunction

#: The task's outer gather, and the request of a flush without one.
GATHER, REQUEST = 0, 2


@attrs.frozen
class Request:
    """One kind of flush.

    Args:
        name: as messages name it.
        method: the method of `Lowering` that writes it.
        cleared: the levels at which entries were cleared.
        flags: of the gather.
        huge: the entries that were cleared are whole PMD entries.
        leaves: translations were cleared; else only tables were freed.
        links: the level whose entries pointed to tables that were freed or unshared: `pmd`, `pud`, or none.
        everything: all of the mm was cleared, whatever the range.
        fixed: it always has this range: `page`, `pmd`, or `pud`; empty if ranges have any length.
        others: it is only asked for where mm_cpumask has another CPU.
    """

    name: str
    method: str
    cleared: int = o.CLEARED_PTES
    flags: int = 0
    huge: bool = False
    leaves: bool = True
    links: str = ""
    everything: bool = False
    fixed: str = ""
    others: bool = False

    def pages(self, lowering: Lowering) -> int:
        """Return the base pages that one entry of the request translates."""
        return table_pages(lowering) if self.huge else 1

    def span(self, lowering: Lowering) -> int:
        """Return the base pages of its range, if that is fixed, else 0."""
        geometry = lowering.geometry
        pud = 1 << (geometry.pud_shift - geometry.page_shift)
        return {"": 0, "page": 1, "pmd": table_pages(lowering), "pud": pud}[self.fixed]


def table_pages(lowering: Lowering) -> int:
    """Return the base pages that a page table of the lowest level maps."""
    return 1 << (lowering.geometry.pmd_shift - lowering.geometry.page_shift)


def requests(lowering: Lowering) -> tuple[Request, ...]:
    """List the kinds of flush that mm/ asks of a kernel on a platform.

    With a hash table, entries are flushed as they are cleared, and nothing else has to be.
    """
    found = [*_of_ranges(lowering), *_of_gathers(lowering)]
    if type(lowering).entries_set is not Lowering.entries_set:
        found.append(Request("the setting of entries", "entries_set", leaves=False))
        found.append(Request("the setting of huge entries", "entries_set", huge=True, leaves=False))
    if lowering.no_hardware_walker() is not None:
        found = [attrs.evolve(request, links="") for request in found]
    if lowering.no_hash_table() is None:
        found = [attrs.evolve(request, leaves=False, links="", everything=False) for request in found]
        found.append(Request("the clearing of entries", "entries_cleared"))
    if lowering.defers_unmaps != "never":
        remote = lowering.defers_unmaps == "remote"
        found.append(Request("a flush that reclaim puts off", "arch_tlbbatch_flush", others=remote))
        found.append(
            Request(
                "the flush of what other CPUs have put off", "arch_flush_tlb_batched_pending", others=remote
            )
        )
    if lowering.no_kernel_ranges() is None:
        found.append(
            Request("flush_tlb_kernel_range()", "flush_kernel_addresses", flags=o.FULLMM, everything=True)
        )
    return tuple(found)


def _of_ranges(lowering: Lowering) -> list[Request]:
    found = [
        Request("flush_tlb_range()", "flush_range"),
        Request("flush_tlb_mm()", "flush_mm", flags=o.FULLMM, everything=True),
        Request("flush_tlb_page()", "flush_page", fixed="page"),
    ]
    if _huge(lowering):
        found.append(
            Request("flush_hugetlb_tlb_range()", "flush_hugetlb_range", cleared=o.CLEARED_PMDS, huge=True)
        )
    if lowering.no_thp() is None:
        found += [
            Request("flush_tlb_range() of huge pages", "flush_range", huge=True),
            Request("flush_pmd_tlb_range()", "flush_pmd_range", huge=True, fixed="pmd"),
            Request("the flush of pmdp_collapse_flush()", "flush_collapsed_pmd", links="pmd", fixed="pmd"),
        ]
    return found


def _of_gathers(lowering: Lowering) -> list[Request]:
    kernel = lowering.kernel
    freed = o.FREED_TABLES if kernel.honour_freed_tables else 0
    all_of_it = o.NEED_FLUSH_ALL if lowering.frees_pmd_tables_with_all else 0
    found = [Request("tlb_flush()", "tlb_flush")]
    if _huge(lowering):
        found.append(Request("tlb_flush() of huge pages", "tlb_flush", cleared=o.CLEARED_PMDS, huge=True))
    if lowering.no_hash_table() is not None and lowering.needs_table_invalidate and freed:
        found += [
            Request(
                "tlb_flush() after page tables were freed",
                "tlb_flush",
                cleared=o.CLEARED_PTES | o.CLEARED_PMDS,
                flags=freed,
                links="pmd",
            ),
            Request(
                "tlb_flush() after nothing but a page table was freed",
                "tlb_flush",
                cleared=o.CLEARED_PMDS,
                flags=freed,
                leaves=False,
                links="pmd",
                fixed="page",
            ),
            Request(
                "tlb_flush() after PMD tables were freed",
                "tlb_flush",
                cleared=o.CLEARED_PTES | o.CLEARED_PMDS | o.CLEARED_PUDS,
                flags=freed | all_of_it,
                links="pud",
            ),
            Request(
                "tlb_flush() of nested gathers",
                "tlb_flush",
                cleared=0,
                flags=o.FULLMM | freed,
                links="pmd",
                everything=True,
            ),
        ]
    if lowering.no_pmd_sharing() is None and kernel.honour_unshared_tables:
        found.append(
            Request(
                "tlb_flush() after a PMD table was unshared",
                "tlb_flush",
                cleared=o.CLEARED_PMDS,
                flags=o.UNSHARED_TABLES,
                huge=True,
                links="pud",
                fixed="pud",
            )
        )
    return found


def _huge(lowering: Lowering) -> bool:
    """Whether there are huge pages of any kind."""
    return lowering.no_thp() is None or lowering.no_pmd_sharing() is None


#: What changed the entries before a flush, by the method that writes it; none before `flush_collapsed_pmd`.
_BY: dict[str, EntryFunction] = {
    "tlb_flush": "ptep_get_and_clear",
    "flush_range": "ptep_get_and_clear",
    "flush_hugetlb_range": "huge_ptep_get_and_clear",
    "flush_page": "ptep_clear_flush",
    "flush_pmd_range": "pmdp_invalidate",
    "flush_mm": "ptep_set_wrprotect",
    "arch_tlbbatch_flush": "ptep_get_and_clear",
    "arch_flush_tlb_batched_pending": "ptep_get_and_clear",
}


def write(asm: Assembler, lowering: Lowering, request: Request, lo: int, hi: int) -> tuple[range, int, bool]:
    """Write a request and the flush that it asks for, after what the architecture does as entries change.

    Args:
        asm: the assembler.
        lowering: whose flush.
        request: the kind.
        lo, hi: the range, in base pages.

    Returns:
        The steps that the lowering wrote, the number of the step that has the range, and whether further ones have it.
    """
    begun = asm.here
    if request.method == "tlb_flush":
        asm.gather(GATHER)
        if lowering.kernel.gather_page_size:
            asm.set_flags(GATHER, o.PMD_PAGES if request.huge else o.BASE_PAGES)
        begun = asm.here
        ranged = _changed(asm, lowering, request, lo, hi)
        at = asm.here
        asm.gather_add(GATHER, lo, hi, flags=request.flags, cleared=request.cleared)
        first = begun if ranged else asm.here
        if request.links:
            lowering.tables_freed(asm, GATHER)
        lowering.tlb_flush(asm, GATHER)
        end = asm.here
        asm.gather_end(GATHER)
        return range(first, end), at, ranged
    ranged = _changed(asm, lowering, request, lo, hi)
    at = asm.here
    asm.request(REQUEST, flags=request.flags, cleared=request.cleared, lo=lo, hi=hi)
    first = begun if ranged else asm.here
    if request.method == "entries_cleared":
        lowering.entries_cleared(asm, hi - lo, huge=False, first=lo)
    elif request.method == "entries_set":
        lowering.entries_set(asm, 1, huge=request.huge)
    elif request.method == "arch_tlbbatch_flush":
        lowering.arch_tlbbatch_add_pending(asm, REQUEST, 1)
        # A batch has pages of many places and no range: by now the request has that of a page far away.
        far = 2 * table_pages(lowering)
        asm.request(REQUEST, cleared=request.cleared, lo=far, hi=far + 1)
        lowering.arch_tlbbatch_flush(asm, REQUEST)
    elif request.method == "arch_flush_tlb_batched_pending":
        asm.request(REQUEST, flags=o.FULLMM)
        lowering.arch_flush_tlb_batched_pending(asm, REQUEST)
    elif request.method == "flush_kernel_addresses":
        lowering.flush_kernel_addresses(asm)
    else:
        getattr(lowering, request.method)(asm, REQUEST)
    return range(first, asm.here), at, ranged or request.method == "entries_cleared"


def _changed(asm: Assembler, lowering: Lowering, request: Request, lo: int, hi: int) -> bool:
    """Write what the architecture does as the entries of a request change; return whether it does anything."""
    first = asm.here
    by = _BY.get(request.method)
    if by is not None and request.leaves:
        count = max((hi - lo) // request.pages(lowering), 1)
        lowering.entries_changed(asm, count, huge=request.huge, by=by, first=lo)
    return asm.here > first
