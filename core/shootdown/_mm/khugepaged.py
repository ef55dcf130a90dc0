"""Which collapses khugepaged attempts in one PMD range, and how each ends (mm/khugepaged.c, read in 7.2.13 and 7.3.4).

Since 7.2 it tries every enabled order from 2 on, not PMD order alone. An attempt that reaches
pmdp_collapse_flush() has flushed and synchronised, whether it succeeds afterwards or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import attrs

#: The least order below PMD order: KHUGEPAGED_MIN_MTHP_ORDER.
LEAST_ORDER = 2

#: Outcomes by the words of the tracepoint mm_collapse_huge_page (include/trace/events/huge_memory.h).
SUCCEEDED = "succeeded"
ALREADY_LARGE = "pte_mapped_hugepage"
NOT_YOUNG = "lack_referenced_page"
EXCEED_NONE = "exceed_none_pte"
EXCEED_SWAP = "exceed_swap_pte"
EXCEED_SHARED = "exceed_shared_pte"
PAGE_COUNT = "not_suitable_page_count"
NO_MEMORY = "alloc_huge_page_failed"
NO_CHARGE = "ccgroup_charge_failed"
COPY_FAILED = "copy_poisoned_page"

OUTCOMES = (
    SUCCEEDED,
    ALREADY_LARGE,
    NOT_YOUNG,
    EXCEED_NONE,
    EXCEED_SWAP,
    EXCEED_SHARED,
    PAGE_COUNT,
    "page_locked",
    "could_not_delete_page_from_lru",
    NO_MEMORY,
    NO_CHARGE,
    COPY_FAILED,
)

#: Outcomes that are known before anything is flushed: no folio, no charge, a swap entry below PMD order.
BEFORE_FLUSH = frozenset({NO_MEMORY, NO_CHARGE, EXCEED_SWAP})
#: After these mthp_collapse() skips the region; after `_ENDS_RANGE` it ends; after others it tries smaller orders.
_NEXT_REGION = frozenset({SUCCEEDED, ALREADY_LARGE})
_ENDS_RANGE = frozenset({NO_CHARGE, COPY_FAILED})
#: After these madvise_collapse() goes on with the next range; after others the call ends.
_NEXT_RANGE = frozenset({SUCCEEDED, NOT_YOUNG, PAGE_COUNT, "page_locked", "could_not_delete_page_from_lru"})


@attrs.frozen
class Attempt:
    """One call of collapse_huge_page().

    Args:
        order: the order of the folio to make.
        outcome: one of `OUTCOMES`.
    """

    order: int
    outcome: str

    @property
    def flushes(self) -> bool:
        """Whether it reaches pmdp_collapse_flush() and tlb_remove_table_sync_one()."""
        return self.outcome not in BEFORE_FLUSH


@attrs.define
class Pages:
    """The entries of one PTE table, each attribute a list with one item for each entry.

    Args:
        present: it maps a page (other than the zero page).
        young: that page was referenced.
        shared: it may be mapped by other processes too (folio_maybe_mapped_shared()).
        swapped: it is a swap entry, and not present.
        order: the order of the folio that it maps; 0 for a base page.
        huge: the PMD entry maps a huge page instead of this table.
    """

    present: list[bool]
    young: list[bool]
    shared: list[bool]
    swapped: list[bool]
    order: list[int]
    huge: bool = False

    @classmethod
    def full(cls, count: int) -> Pages:
        """Return a table whose entries all map young base pages of this process alone."""
        return cls([True] * count, [True] * count, [False] * count, [False] * count, [0] * count)


@attrs.frozen
class Rules:
    """The rules that decide the attempts, together with the pages.

    Args:
        pmd_order: HPAGE_PMD_ORDER.
        orders: the enabled orders; khugepaged tries those that `below_pmd` allows.
        max_ptes_none: as in sysfs; None is its default, HPAGE_PMD_NR - 1.
        below_pmd: khugepaged tries orders below PMD order (7.2).
        by_process: MADV_COLLAPSE: only PMD order, whatever is enabled, and without limits.
        forced: for some orders, the outcome of every attempt, whatever the pages are.
    """

    pmd_order: int
    orders: frozenset[int]
    max_ptes_none: int | None = None
    below_pmd: bool = True
    by_process: bool = False
    forced: Mapping[int, str] = MappingProxyType({})

    @property
    def count(self) -> int:
        """Entries of a table: HPAGE_PMD_NR."""
        return 1 << self.pmd_order

    @property
    def tried(self) -> frozenset[int]:
        """The orders that are tried: collapse_possible_orders()."""
        if self.by_process:
            return frozenset({self.pmd_order})
        least = LEAST_ORDER if self.below_pmd else self.pmd_order
        return frozenset(order for order in self.orders if least <= order <= self.pmd_order)

    def most_empty(self, order: int) -> int:
        """Return how many entries of a region may be empty: collapse_max_ptes_none()."""
        most = self.count - 1 if self.max_ptes_none is None else self.max_ptes_none
        if self.by_process:
            return self.count
        if order == self.pmd_order:
            return most
        return (1 << order) - 1 if most == self.count - 1 else 0

    def most_shared(self, order: int) -> int:
        """Return how many may map pages that are shared: collapse_max_ptes_shared(), default of max_ptes_shared."""
        if self.by_process:
            return self.count
        return self.count // 2 if order == self.pmd_order else 0


def scan(pages: Pages, rules: Rules) -> list[Attempt]:
    """Do one scan of a PMD range: collapse_scan_pmd(), then mthp_collapse().

    Args:
        pages: the pages of the range; successful attempts change them.
        rules: the rules.

    Returns:
        The attempts, in their order. There are none if the PMD entry is huge already or the scan rejects the range.
    """
    if pages.huge or not rules.tried or not _worth_it(pages, rules):
        return []
    return list(_attempts(pages, rules))


def _worth_it(pages: Pages, rules: Rules) -> bool:
    """Whether collapse_scan_pmd() accepts the range: limits on the whole range, checked before any flush."""
    present, swapped, count = sum(pages.present), sum(pages.swapped), rules.count
    shared = sum(p and s for p, s in zip(pages.present, pages.shared, strict=True))
    only_pmd = rules.tried == {rules.pmd_order}
    most_empty = rules.most_empty(rules.pmd_order) if only_pmd else count - 1
    if count - present - swapped > most_empty or shared > rules.most_shared(rules.pmd_order):
        return False
    if rules.by_process:
        return True
    young = sum(p and y for p, y in zip(pages.present, pages.young, strict=True))
    return swapped <= count // 8 and young > 0 and not (swapped and young < count // 2)


def _attempts(pages: Pages, rules: Rules) -> Iterator[Attempt]:
    """Walk through the range as mthp_collapse() does: from PMD order down, region by region."""
    occupied, unmapped = list(pages.present), sum(pages.swapped)
    offset, order = 0, rules.pmd_order
    while offset < rules.count:
        size = 1 << order
        settled = False
        if order in rules.tried:
            found = sum(occupied[offset : offset + size]) + (unmapped if order == rules.pmd_order else 0)
            if found >= size - rules.most_empty(order):
                outcome = _collapse(pages, rules, offset, order)
                yield Attempt(order, outcome)
                if outcome in _ENDS_RANGE:
                    return
                settled = outcome in _NEXT_REGION
        if not settled and order > LEAST_ORDER and any(other < order for other in rules.tried):
            order -= 1
            continue
        offset += size
        order = min((offset & -offset).bit_length() - 1, rules.pmd_order)


def _collapse(pages: Pages, rules: Rules, offset: int, order: int) -> str:
    """Do one collapse_huge_page(); return its outcome."""
    region = range(offset, offset + (1 << order))
    outcome = rules.forced.get(order)
    if outcome is None:
        outcome = _swap_in(pages, rules, region, order) or _isolate(pages, rules, region, order)
    if outcome == SUCCEEDED:
        for at in region:
            pages.present[at] = pages.young[at] = True
            pages.shared[at] = pages.swapped[at] = False
            pages.order[at] = order
        pages.huge = order == rules.pmd_order
    return outcome


def _swap_in(pages: Pages, rules: Rules, region: range, order: int) -> str | None:
    """Do __collapse_huge_page_swapin(): at PMD order read all swap entries in; below it, the first one ends it."""
    swapped = [at for at in region if pages.swapped[at]]
    if swapped and order < rules.pmd_order:
        return EXCEED_SWAP
    for at in swapped:
        pages.present[at] = pages.young[at] = True
        pages.swapped[at] = False
    return None


def _isolate(pages: Pages, rules: Rules, region: range, order: int) -> str:
    """Do __collapse_huge_page_isolate(), entry by entry; the first unsuitable one decides the outcome."""
    below = order < rules.pmd_order
    empty = shared = young = 0
    for at in region:
        if not pages.present[at]:
            empty += 1
            if empty > rules.most_empty(order):
                return EXCEED_NONE
            continue
        shared += pages.shared[at]
        if shared > rules.most_shared(order):
            return EXCEED_SHARED
        if below and pages.order[at] >= order:
            return ALREADY_LARGE
        young += pages.young[at]
    return SUCCEEDED if young or rules.by_process else NOT_YOUNG


@attrs.frozen
class Pass:
    """The result of one pass over equal ranges.

    Args:
        attempts: the attempts in one range.
        ranges: the number of ranges that it reaches.
    """

    attempts: tuple[Attempt, ...]
    ranges: int

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of attempts by order and outcome, in all ranges: `"2 succeeded": 512`."""
        counted: dict[str, int] = {}
        for attempt in self.attempts:
            name = f"{attempt.order} {attempt.outcome}"
            counted[name] = counted.get(name, 0) + self.ranges
        return counted

    @property
    def flushes(self) -> int:
        """The number of attempts that reach the flush and the sync, in all ranges."""
        return self.ranges * sum(attempt.flushes for attempt in self.attempts)


def passes(pages: Pages, rules: Rules, ranges: int, count: int) -> Iterator[Pass]:
    """Do full passes, one after another, over ranges with equal pages.

    Args:
        pages: the pages of each range at first; the last pass's result at the end.
        rules: the rules.
        ranges: the number of ranges. MADV_COLLAPSE ends with the first one that it can't collapse.
        count: the number of passes.
    """
    for number in range(count):
        before = attrs.evolve(
            pages,
            present=list(pages.present),
            young=list(pages.young),
            shared=list(pages.shared),
            swapped=list(pages.swapped),
            order=list(pages.order),
        )
        attempts = tuple(scan(pages, rules))
        ends = rules.by_process and any(attempt.outcome not in _NEXT_RANGE for attempt in attempts)
        done = Pass(attempts, 1 if ends else ranges)
        if pages == before:  # later passes are the same
            yield from [done] * (count - number)
            return
        yield done
