"""Cut ordinary memory into areas: the largest ranges that every statement and every page table treats alike."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import attrs

from shootdown._programs.language import size_text
from shootdown._programs.program import PRIVATE_FILE, Memory, Place, Program, Statement, within
from shootdown._programs.touches import Some, Touches, Way, pages_of, way_of
from shootdown._values.errors import ShootdownError

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
        ways: the accesses that touch its pages, where others touch other pages of the same range; empty: all do.
        window: equal for areas of a file of which a read fault on one maps the others too, as far as they are in the
            page cache; None where nothing but what is touched lies so near.
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
    ways: frozenset[Way] = frozenset()
    window: tuple[int, int] | None = None


@attrs.frozen
class Cut:
    """The areas of one memory.

    Args:
        memory: the memory.
        areas: in the order of addresses, which is that of their numbers.
        table_pages: base pages that a PTE table maps, and a huge page.
        collapses: some statement collapses its pages into huge ones.
        splits: some statement splits its VMA: it unmaps a part, or changes the rights to one.
        reads: some statement may read a page, or map the zero page, before the page is written.
        frees: some statement reclaims pages of it, or lets reclaim drop them (MADV_FREE), where it is thp memory: what
            is split there is no part of a huge page any more.
        around: as for `cut`.
    """

    memory: Memory
    areas: tuple[Area, ...]
    table_pages: int
    collapses: bool = False
    reads: bool = False
    splits: bool = False
    frees: bool = False
    around: int = 1

    def within(self, lo: int, hi: int) -> tuple[Area, ...]:
        """Return the areas in a range of base pages, which ends where areas end."""
        return tuple(area for area in self.areas if lo <= area.lo and area.hi <= hi)

    def about(self, one: Statement, page_size: int) -> tuple[Area, ...]:
        """Return the areas that a statement is about: an access only those whose pages it touches."""
        assert one.place is not None
        areas = self.within(*pages_of(one.place, page_size))
        if one.verb != "touch":
            return areas
        return tuple(area for area in areas if not area.ways or way_of(one) in area.ways)

    def pieces(self, areas: Sequence[Area], pages: int, *, last: bool = False) -> tuple[Area, ...]:
        """Return what stands for a piece of so many base pages in each of some areas: its first one, or its last."""

        def piece(area: Area) -> Area:
            step = (area.hi - area.lo) // area.pages if area.pages else 1
            first, count = area.hi - pages if last else area.lo, pages // step
            return attrs.evolve(
                area,
                first=first,
                last=first + (count - 1) * step + 1,
                pages=count,
                huge=pages // self.table_pages if area.huge else 0,
                tables=pages // self.table_pages,
            )

        return tuple(map(piece, areas))

    def near(self, area: Area) -> tuple[Area, ...]:
        """Return the other areas that a read fault on an area may map too.

        A window begins at a multiple of its size, or with its VMA: one that begins within ends as much later.
        """
        if area.window is None:
            return ()
        last = area.lo + self.around if area.hi - area.lo < self.around else area.hi
        last = min(last, (area.lo // self.table_pages + 1) * self.table_pages)
        return tuple(
            one
            for one in self.areas
            if one.pages and one is not area
            and (one.window == area.window or (one.window is not None and area.hi <= one.lo and one.hi <= last))
        )  # fmt: skip

    def parts_of(self, folio: int) -> tuple[Area, ...]:
        """Return the areas that are parts of a huge page."""
        return tuple(area for area in self.areas if area.folio == folio)


def collapses(one: Statement) -> bool:
    """Whether a statement collapses pages into huge ones."""
    return one.verb == "khugepaged" or (one.verb == "madvise" and one.word == "COLLAPSE")


def swaps(one: Statement) -> bool:
    """Whether a statement reclaims pages, so that huge ones become base pages."""
    return one.verb == "reclaim" or one.word == "PAGEOUT"


def misfit(program: Program, page_size: int) -> str | None:
    """Return why places don't fit the kernel's page size, or None if they do."""
    for memory in program.memory.values():
        odd = next((size for size in (memory.size, memory.begin) if size % page_size), None)
        if odd is not None and memory.kind not in _UNCUT:
            return f"{memory.at}: {size_text(odd)}: this kernel's pages have {size_text(page_size)}"
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
    """Return which loop has pieces that differ: in the pages that are touched, or as some turns free a table."""
    statements = [one for _, _, one in program.statements()]
    for one in statements:
        if one.verb != "each" or one.place is None:
            continue
        for other in statements:
            if _touches_unlike(other, one.place, one.number):
                return (
                    f"{one.at}: `{one.text:.60}`: `{other.text:.40}` touches its pieces in ways that differ"
                )
        if not unmaps_by_pieces(program, one):
            continue
        lo, hi = pages_of(one.place, page_size)
        whole = not one.number // page_size % table_pages and not lo % table_pages
        if not whole and lo // table_pages != (hi - 1) // table_pages:
            size = size_text(table_pages * page_size)
            return f"{one.at}: `{one.text:.60}`: it is counted of pieces of {size}, or within one page table's {size}"
    return None


def _touches_unlike(one: Statement, place: Place, piece: int) -> bool:
    """Whether a statement touches other pages in one piece of a place than in the next one."""
    if one.pattern.how == "all" or one.place is None or one.place.memory != place.memory:
        return False
    if one.place.hi <= place.lo or place.hi <= one.place.lo:
        return False
    step = one.pattern.number
    return one.pattern.how != "every" or piece % step != 0 or (place.lo - one.place.lo) % step != 0


def misfit_of_freed(program: Program, page_size: int, table_pages: int) -> str | None:
    """Return which statement takes a part of a huge page beside reclaim, which would have to split it another way."""
    statements = [one for _, _, one in program.statements() if one.place and one.verb not in ("touch", "gup")]
    freed = {one.place.memory: one for one in statements if one.place and (one.word == "FREE" or swaps(one))}
    for one in statements:
        assert one.place is not None
        memory = program.memory[one.place.memory]
        if memory.kind != "thp" or memory.name not in freed:
            continue
        ends = {*pages_of(one.place, page_size), one.place.piece // page_size}
        ends -= set(pages_of(memory.whole, page_size))
        if any(end % table_pages for end in ends) and (
            one.word not in ("FREE", "PAGEOUT") or one.place.piece
        ):
            size, why = size_text(table_pages * page_size), freed[memory.name]
            return (
                f"{one.at}: `{one.text:.60}`: where {why.word or why.verb} is about {memory.name}, what else is done "
                f"is counted of whole huge pages, of {size}"
            )
    return None


def cut(
    program: Program, page_size: int, table_pages: int, *, counts: bool = False, around: int = 1
) -> dict[str, Cut]:
    """Cut all memory but hugetlb.

    Args:
        program: the program; `misfit` of it is None.
        page_size: bytes of a base page.
        table_pages: base pages that a PTE table maps.
        counts: how many pages are mapped is counted: those are apart that other accesses touch, and single huge pages
            where a process forks, as each may be split by a write, or reclaims them.
        around: base pages of a file that a read fault maps at once; see `kernel.fault_around`.

    Raises:
        ShootdownError: patterns touch the same pages in a way that is not counted, or there are too many areas.
    """
    found: dict[str, Cut] = {}
    total = 0
    forks = counts and any(one.verb == "fork" for _, _, one in program.statements())
    for memory in program.memory.values():
        if memory.kind in _UNCUT:
            continue
        about = [one for _, _, one in program.statements() if one.place and one.place.memory == memory.name]
        single = memory.kind == "thp" and (forks or (counts and any(map(swaps, about))))
        cutter = _Cutter(memory, about, page_size, table_pages, counts=counts, splits=single, around=around)
        found[memory.name] = Cut(
            memory,
            tuple(cutter.areas(total)),
            table_pages,
            any(collapses(one) for one in about),
            any((one.verb == "touch" and one.word == "read") or one.word == "ZEROPAGE" for one in about),
            any(
                one.verb in ("munmap", "mprotect") and one.place and one.place.hi - one.place.lo < memory.size
                for one in about
            ),
            memory.kind == "thp" and any(one.word == "FREE" or swaps(one) for one in about),
            around,
        )
        total += len(found[memory.name].areas)
        if total > MOST_AREAS:
            raise ShootdownError(f"{memory.at}: statements cut memory into more than {MOST_AREAS:,} ranges")
    return found


class _Cutter:
    """Cut one memory.

    Args:
        memory: it.
        about: the statements that are about it.
        page_size, table_pages, counts: as for `cut`.
        splits: any of its huge pages may be split, as a write to one that fork() shares does.
        around: as for `cut`.
    """

    def __init__(
        self,
        memory: Memory,
        about: Sequence[Statement],
        page_size: int,
        table_pages: int,
        *,
        counts: bool,
        splits: bool,
        around: int,
    ) -> None:
        self.memory = memory
        self.about = about
        self.page_size = page_size
        self.table_pages = table_pages
        self.splits = splits
        self.begin, self.end = pages_of(memory.whole, page_size)
        self.has_huge = memory.kind == "thp" or any(collapses(one) for one in about)
        self.touches = Touches(about, page_size, told_apart=counts)
        self.around = max(around, 1) if self._faults_around() else 1

    def areas(self, number: int) -> list[Area]:
        """Return its areas; the first one has a number."""
        found: list[Area] = []
        for lo, hi in pairwise(self._edges()):
            several = self.touches.several(lo, hi)
            if several is None:
                found.append(self._one(number + len(found), lo, hi))
                continue
            if self.has_huge or any(one.verb == "each" for one in self.about):
                raise ShootdownError(
                    f"{several.at}: `{several.text:.60}`: {self.memory.name} is touched in another pattern too, and "
                    "which pages are mapped then is not counted of huge pages and of pieces: touch it in one way, or "
                    "other parts of it"
                )
            size = self.table_pages
            for start in range(lo // size * size, hi, size):
                part = max(start, lo), min(start + size, hi)
                groups = [*self.touches.groups(*part, self.around)] or [(frozenset[Way](), Some(*part, 0))]
                for ways, some in groups:
                    at, ends = number + len(found), (some.first, some.last, some.count)
                    window = (part[0] // self.around, some.window) if self.around > 1 else None
                    found.append(Area(at, *part, *ends, table=start // size, ways=ways, window=window))
        return found

    def _faults_around(self) -> bool:
        """Whether read faults map what lies beside a page: of a file, but for pieces of a loop and those of threads.

        A loop goes through pieces as if the page cache got them one by one.
        """
        return (
            self.memory.kind in ("file", PRIVATE_FILE)
            and self.memory.each == "process"
            and not any(one.verb == "each" for one in self.about)
            and any(
                one.verb == "touch"
                and one.word == "read"
                and (one.place != self.memory.whole or one.pattern.how != "all")
                for one in self.about
            )
        )

    def _edges(self) -> list[int]:
        begin, end, size = self.begin, self.end, self.table_pages
        edges = {begin, end}
        for one in self.about:
            assert one.place is not None
            edges |= set(pages_of(one.place, self.page_size))
        for edge in tuple(edges):
            if edge % size:  # areas are parts of one table, or whole tables
                edges |= _beside(edge, size, begin, end)
        if self.around > 1:
            starts = {begin, *self._edges_of("munmap", "mprotect")}
            edges |= {min(start + self.around, end) for start in starts if start % self.around}
            edges = edges.union(*(_beside(edge, self.around, begin, end) for edge in edges - {begin, end}))
        return sorted(edges | {max(at, begin) for at in range(0, end, size)} if self.splits else edges)

    def _edges_of(self, *verbs: str) -> set[int]:
        """Return where places begin and end that some statements are about."""
        places = [one.place for one in self.about if one.verb in verbs]
        return {edge for place in places if place for edge in pages_of(place, self.page_size)}

    def _one(self, number: int, lo: int, hi: int) -> Area:
        """Return an area of which every access touches the same pages."""
        size = self.table_pages
        whole = lo % size == 0 and hi % size == 0 and not self.splits
        pages = self.touches.pages(lo, hi)
        huge = 0
        if whole and self.memory.kind == "thp" and pages:
            touched_huge = sorted({page // size for page in pages})
            huge = len(touched_huge)
            pages = range(touched_huge[0] * size, (touched_huge[-1] + 1) * size)
        start = lo // size
        is_full = self.begin <= start * size and (start + 1) * size <= self.end
        return Area(
            number,
            lo,
            hi,
            pages[0] if pages else lo,
            pages[-1] + 1 if pages else hi,
            huge * size if huge else len(pages),
            huge,
            len({page // size for page in pages}) if whole else 0,
            -1 if whole else start,
            start if not whole and self.has_huge and is_full else -1,
            window=(lo // self.around, 0) if hi - lo < self.around else None,
        )


def _beside(edge: int, size: int, begin: int, end: int) -> set[int]:
    """Return where the block of a size begins and ends that an edge lies in, within a memory."""
    return {max(edge // size * size, begin), min(-(-edge // size) * size, end)}
