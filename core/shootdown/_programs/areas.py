"""Cut ordinary memory into areas: the largest ranges that every statement and every page table treats alike."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

import attrs

from shootdown._programs.language import size_text
from shootdown._programs.program import Memory, Pattern, Place, Program, Statement, within
from shootdown._values.errors import ShootdownError
from shootdown._workloads.fork_storm import glibc_rand

#: The most areas of a program: each is a few steps of each statement about it.
MOST_AREAS = 4096

#: Kinds of memory without areas.
_UNCUT = ("hugetlb", "vmalloc")


@attrs.frozen
class Area:
    """Pages of one memory that are faulted in, and unmapped, together.

    Args:
        number: among all areas of the program.
        lo, hi: its base pages, `[lo, hi)`, counted from the beginning of its memory.
        first, last: the first page that is touched, and the one after the last.
        pages: how many are touched.
        huge: huge pages that may map it, where it is whole huge pages; else 0.
        tables: PTE tables that it has, where it is whole tables; else 0.
        table: the number of its table within the memory, where it is a part of one; else -1.
        folio: the huge page that it is a part of; -1 for none.
    """

    number: int
    lo: int
    hi: int
    first: int
    last: int
    pages: int
    huge: int = 0
    tables: int = 0
    table: int = -1
    folio: int = -1


@attrs.frozen
class Cut:
    """The areas of one memory.

    Args:
        memory: the memory.
        areas: in the order of addresses.
        table_pages: base pages that a PTE table maps, and a huge page.
        collapses: some statement collapses its pages into huge ones.
        splits: some statement splits its VMA: it unmaps a part, or changes the rights to one.
        reads: some statement may read a page, or map the zero page, before the page is written.
    """

    memory: Memory
    areas: tuple[Area, ...]
    table_pages: int
    collapses: bool = False
    reads: bool = False
    splits: bool = False

    def within(self, lo: int, hi: int) -> tuple[Area, ...]:
        """Return the areas in a range of base pages, which ends where areas end."""
        return tuple(area for area in self.areas if lo <= area.lo and area.hi <= hi)

    def pieces(self, lo: int, hi: int, pages: int, *, last: bool = False) -> tuple[Area, ...]:
        """Return what stands for a piece of so many base pages in each area of a range: its first one, or its last."""
        return tuple(
            attrs.evolve(
                area,
                first=area.hi - pages if last else area.lo,
                last=area.hi if last else area.lo + pages,
                pages=pages,
                huge=pages // self.table_pages if area.huge else 0,
                tables=pages // self.table_pages,
            )
            for area in self.within(lo, hi)
        )

    def parts_of(self, folio: int) -> tuple[Area, ...]:
        """Return the areas that are parts of a huge page."""
        return tuple(area for area in self.areas if area.folio == folio)


def pages_of(place: Place, page_size: int) -> tuple[int, int]:
    """Return a place's base pages, `(lo, hi)`."""
    return place.lo // page_size, place.hi // page_size


def collapses(one: Statement) -> bool:
    """Whether a statement collapses pages into huge ones."""
    return one.verb == "khugepaged" or (one.verb == "madvise" and one.word == "COLLAPSE")


def misfit(program: Program, page_size: int) -> str | None:
    """Return why places don't fit the kernel's page size, or None if they do."""
    for memory in program.memory.values():
        if memory.size % page_size and memory.kind not in _UNCUT:
            return f"{memory.at}: {size_text(memory.size)}: this kernel's pages have {size_text(page_size)}"
    for _, _, one in program.statements():
        ordinary = one.place is not None and program.memory[one.place.memory].kind not in _UNCUT
        if ordinary and one.place and (one.place.lo % page_size or one.place.hi % page_size):
            return f"{one.at}: `{one.text:.60}`: this kernel's pages have {size_text(page_size)}"
        if one.verb == "each" and one.number % page_size:
            return f"{one.at}: `{one.text:.60}`: this kernel's pages have {size_text(page_size)}"
        if ordinary and one.pattern.how == "every" and one.pattern.number % page_size:
            return f"{one.at}: `{one.text:.60}`: this kernel's pages have {size_text(page_size)}"
    return None


def unmaps_by_pieces(program: Program, each: Statement) -> bool:
    """Whether a loop unmaps its place piece by piece, so that its last piece frees a page table."""
    unmapped = (one.place for one in within(each.body) if one.verb == "munmap")
    return any(place is not None and place.piece and program.memory[place.memory].alone for place in unmapped)


def misfit_of_pieces(program: Program, page_size: int, table_pages: int) -> str | None:
    """Return which loop unmaps pieces of several tables, so that some of its turns free one and others don't."""
    for _, _, one in program.statements():
        if one.verb != "each" or one.place is None or not unmaps_by_pieces(program, one):
            continue
        lo, hi = pages_of(one.place, page_size)
        whole = not one.number // page_size % table_pages and not lo % table_pages
        if not whole and lo // table_pages != (hi - 1) // table_pages:
            size = size_text(table_pages * page_size)
            return f"{one.at}: `{one.text:.60}`: it is counted of pieces of {size}, or within one page table's {size}"
    return None


def cut(program: Program, page_size: int, table_pages: int, *, splits: bool = False) -> dict[str, Cut]:
    """Cut all memory but hugetlb.

    Args:
        program: the program; `misfit` of it is None.
        page_size: bytes of a base page.
        table_pages: base pages that a PTE table maps.
        splits: cut thp memory into single huge pages where a process forks, as each may be split by a write.

    Raises:
        ShootdownError: two patterns touch the same pages, or there are too many areas.
    """
    found: dict[str, Cut] = {}
    total = 0
    forks = splits and any(one.verb == "fork" for _, _, one in program.statements())
    for memory in program.memory.values():
        if memory.kind in _UNCUT:
            continue
        about = [one for _, _, one in program.statements() if one.place and one.place.memory == memory.name]
        found[memory.name] = Cut(
            memory,
            tuple(
                _areas(memory, about, page_size, table_pages, total, splits=forks and memory.kind == "thp")
            ),
            table_pages,
            any(collapses(one) for one in about),
            any((one.verb == "touch" and one.word == "read") or one.word == "ZEROPAGE" for one in about),
            any(
                one.verb in ("munmap", "mprotect") and one.place and one.place.hi - one.place.lo < memory.size
                for one in about
            ),
        )
        total += len(found[memory.name].areas)
        if total > MOST_AREAS:
            raise ShootdownError(f"{memory.at}: statements cut memory into more than {MOST_AREAS:,} ranges")
    return found


def _areas(
    memory: Memory,
    about: Sequence[Statement],
    page_size: int,
    table_pages: int,
    number: int,
    *,
    splits: bool,
) -> list[Area]:
    """Cut one memory; `splits`: any of its huge pages may be split, as a write to one that fork() shares does."""
    end = memory.size // page_size
    edges = {0, end}
    for one in about:
        assert one.place is not None
        edges |= set(pages_of(one.place, page_size))
    for edge in tuple(edges):
        if edge % table_pages:  # areas are parts of one table, or whole tables
            edges |= {edge // table_pages * table_pages, min(-(-edge // table_pages) * table_pages, end)}
    if splits:
        edges |= set(range(0, end, table_pages))
    touches = [one for one in about if one.verb == "touch" or one.word in ("COPY", "ZEROPAGE")]
    drawn = {id(one): touched(one, page_size) for one in touches if one.pattern.how != "all"}
    ordered = sorted(edges)
    has_huge = memory.kind == "thp" or any(collapses(one) for one in about)
    areas: list[Area] = []
    for lo, hi in pairwise(ordered):
        whole = lo % table_pages == 0 and hi % table_pages == 0 and not splits
        pages = _population(memory, touches, drawn, lo, hi, page_size)
        huge = (hi - lo) // table_pages if whole and memory.kind == "thp" else 0
        if huge and pages:
            touched_huge = sorted({page // table_pages for page in pages})
            huge = len(touched_huge)
            pages = range(touched_huge[0] * table_pages, (touched_huge[-1] + 1) * table_pages)
        count = huge * table_pages if huge else len(pages)
        start = lo // table_pages
        is_full = (start + 1) * table_pages <= end
        areas.append(
            Area(
                number + len(areas),
                lo,
                hi,
                pages[0] if pages else lo,
                pages[-1] + 1 if pages else hi,
                count,
                huge if pages else 0,
                len({page // table_pages for page in pages}) if whole else 0,
                -1 if whole else start,
                start if not whole and has_huge and is_full else -1,
            )
        )
    return areas


def _population(
    memory: Memory,
    touches: Sequence[Statement],
    drawn: dict[int, Sequence[int]],
    lo: int,
    hi: int,
    page_size: int,
) -> Sequence[int]:
    """Return the pages of an area that are touched."""
    ways: dict[Pattern | tuple[Pattern, Place], Statement] = {}
    for one in touches:
        assert one.place is not None
        first, end = pages_of(one.place, page_size)
        if first <= lo and hi <= end:
            ways.setdefault(one.pattern if one.pattern.how == "all" else (one.pattern, one.place), one)
    if not ways:
        return ()
    if len(ways) > 1:
        one = list(ways.values())[1]
        raise ShootdownError(
            f"{one.at}: `{one.text:.60}`: {memory.name} is touched in another pattern too, and which pages are "
            "mapped then is not counted: touch it in one way, or other parts of it"
        )
    ((_, one),) = ways.items()
    if one.pattern.how == "all":
        return range(lo, hi)
    pages = drawn[id(one)]
    return pages[bisect_left(pages, lo) : bisect_left(pages, hi)]


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
