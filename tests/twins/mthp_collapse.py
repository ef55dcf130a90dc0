"""mthp_collapse() as a recursion over halves: the slow twin of its attempts and their outcomes.

Written from mm/khugepaged.c of 7.3.4. The kernel walks with an offset and an order; here a region is decided, or else
its halves are tried. A page is None or a tuple `(young, shared, order of its folio)`.
"""

from __future__ import annotations

from collections import Counter

Page = tuple[bool, bool, int] | None


class Twin:
    """One PMD range of 512 pages.

    Args:
        pages: what its entries map.
        orders: enabled orders.
        none: max_ptes_none.
    """

    def __init__(self, pages: list[Page], orders: set[int], none: int) -> None:
        self.pages, self.orders, self.none = pages, orders, none
        self.mapped_huge = False
        self.tally: Counter[str] = Counter()

    def scan(self) -> Counter[str]:
        """Do one scan: the attempts by order and outcome."""
        self.tally = Counter()
        there = [page for page in self.pages if page]
        limit = self.none if self.orders == {9} else 511
        gives_up = (
            self.mapped_huge
            or 512 - len(there) > limit
            or sum(shared for _, shared, _ in there) > 256
            or not any(young for young, _, _ in there)
        )
        if not gives_up:
            self.bits = [page is not None for page in self.pages]
            self.settle(0, 9)
        return self.tally

    def settle(self, start: int, order: int) -> None:
        """Try a region, then its halves."""
        if order in self.orders and sum(self.bits[start : start + 2**order]) >= 2**order - self.empties(
            order
        ):
            result = self.isolate(start, order)
            self.tally[f"{order} {result}"] += 1
            if result in ("succeeded", "pte_mapped_hugepage"):
                return
        if order > 2 and min(self.orders) < order:
            self.settle(start, order - 1)
            self.settle(start + 2 ** (order - 1), order - 1)

    def empties(self, order: int) -> int:
        """How many pages of a region may be missing."""
        return self.none if order == 9 else 2**order - 1 if self.none == 511 else 0

    def isolate(self, start: int, order: int) -> str:
        """Look at the pages in their order; replace them if nothing is in the way."""
        missing = shared = 0
        referenced = False
        for page in self.pages[start : start + 2**order]:
            if page is None:
                missing += 1
                if missing > self.empties(order):
                    return "exceed_none_pte"
                continue
            shared += page[1]
            if shared > (256 if order == 9 else 0):
                return "exceed_shared_pte"
            if order < 9 and page[2] >= order:
                return "pte_mapped_hugepage"
            referenced = referenced or page[0]
        if not referenced:
            return "lack_referenced_page"
        self.pages[start : start + 2**order] = [(True, False, order)] * 2**order
        self.mapped_huge = order == 9
        return "succeeded"
