"""Which pages accesses of a program touch, and which of them touch the same ones."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import attrs

from shootdown._programs.program import Pattern, Place, Statement
from shootdown._workloads.fork_storm import glibc_rand

#: What tells accesses apart that touch different pages of a range: the pattern, and but for `all` of which place.
Way: TypeAlias = tuple[Pattern, Place | None]


def pages_of(place: Place, page_size: int) -> tuple[int, int]:
    """Return a place's base pages, `(lo, hi)`."""
    return place.lo // page_size, place.hi // page_size


def way_of(one: Statement) -> Way:
    """Return the way in which a statement touches its place."""
    return one.pattern, None if one.pattern.how == "all" else one.place


@attrs.frozen
class Some:
    """Some pages of a range.

    Args:
        first, last: the first one, and the one after the last.
        count: how many.
        window: the number of the windows that they are in: others of the range have other pages beside them.
    """

    first: int
    last: int
    count: int
    window: int = 0


class Touches:
    """The accesses to one memory, and what maps its pages by the way.

    Args:
        about: the statements that are about it.
        page_size: bytes of a base page.
        told_apart: patterns count; otherwise each access touches all pages of its place.
    """

    def __init__(self, about: Sequence[Statement], page_size: int, *, told_apart: bool) -> None:
        self.page_size = page_size
        self._touches = [one for one in about if one.verb == "touch" or one.word in ("COPY", "ZEROPAGE")]
        if not told_apart:
            self._touches = [attrs.evolve(one, pattern=Pattern()) for one in self._touches]
        self._drawn: dict[Way, Sequence[int]] = {
            way_of(one): touched(one, page_size) for one in self._touches if one.pattern.how != "all"
        }

    def _ways(self, lo: int, hi: int) -> dict[Way, Statement]:
        ways: dict[Way, Statement] = {}
        for one in self._touches:
            assert one.place is not None
            first, end = pages_of(one.place, self.page_size)
            if first <= lo and hi <= end:
                ways.setdefault(way_of(one), one)
        return ways

    def several(self, lo: int, hi: int) -> Statement | None:
        """Return an access to a range that touches other pages than the first one to it does; None if none does."""
        ways = list(self._ways(lo, hi).values())
        return ways[1] if len(ways) > 1 else None

    def pages(self, lo: int, hi: int) -> Sequence[int]:
        """Return the pages of a range that accesses touch, where all touch the same ones."""
        ways = list(self._ways(lo, hi))
        return self._touched(ways[0], lo, hi) if ways else ()

    def _touched(self, way: Way, lo: int, hi: int) -> Sequence[int]:
        if way[0].how == "all":
            return range(lo, hi)
        pages = self._drawn[way]
        return pages[bisect_left(pages, lo) : bisect_left(pages, hi)]

    def groups(self, lo: int, hi: int, around: int = 1) -> Iterator[tuple[frozenset[Way], Some]]:
        """Yield the pages of a range that are touched, those together that the same ways touch.

        Args:
            lo, hi: the range.
            around: pages of a window; of more than one those are together whose windows have pages of the same ways.
        """
        of: dict[int, frozenset[Way]] = {}
        for way in self._ways(lo, hi):
            for page in self._touched(way, lo, hi):
                of[page] = of.get(page, frozenset()) | {way}
        beside: dict[int, frozenset[frozenset[Way]]] = {}
        if around > 1:
            for page, ways in of.items():
                beside[page // around] = beside.get(page // around, frozenset()) | {ways}
        windows = {one: number for number, one in enumerate(dict.fromkeys(beside.values()))}
        found: dict[tuple[frozenset[Way], int], list[int]] = {}
        for page in sorted(of):
            window = windows[beside[page // around]] if around > 1 else 0
            found.setdefault((of[page], window), []).append(page)
        for (ways, window), pages in found.items():
            yield ways, Some(pages[0], pages[-1] + 1, len(pages), window)


def touched(one: Statement, page_size: int) -> Sequence[int]:
    """Return the base pages that a statement touches, ascending, each once."""
    assert one.place is not None
    lo, hi = pages_of(one.place, page_size)
    pattern = one.pattern
    if pattern.how == "all":
        return range(lo, hi)
    if pattern.how == "every":
        return range(lo, hi, pattern.number // page_size)
    return sorted({lo + page for page in draws(pattern, hi - lo)})


def draws(pattern: Pattern, pages: int) -> list[int]:
    """Return the pages that a random pattern draws, in its order."""
    if pattern.how == "rand":
        return [value % pages for value in glibc_rand(pattern.seed, pattern.number)]
    chosen = random.Random(pattern.seed)
    return [chosen.randrange(pages) for _ in range(pattern.number)]
