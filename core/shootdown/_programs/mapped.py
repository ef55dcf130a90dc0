"""What is mapped of the ordinary memory of one address space: variables of its areas, and branches on them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._programs.areas import Area, Cut
from shootdown._programs.program import PRIVATE_FILE

#: What an area's pages are: absent; present; present and shared since fork(); present and dirty in a file; present,
#: old and clean since MADV_FREE; the zero page in place of each, or a page of the file that is mapped privately; shared
#: since fork(), old and clean since MADV_FREE. Pages of anonymous memory that are just present are dirty.
NONE, PRESENT, SHARED, DIRTY, FREED, ZERO, SHARED_FREED = range(7)
#: The variables of an area: its pages, whether its VMA is gone, whether it may not be written, its page tables, and
#: the huge page of several areas.
CELLS = 5
STATE, GONE, READONLY, TABLE, FOLIO = range(CELLS)
#: How a huge page that statements take parts of is mapped: not at all, by a table, by a huge entry.
#: It may also be base pages that were never a huge one, where a statement collapses them.
SMALL, HUGE, BASE = 1, 2, 3


def has_base(here: Cut) -> bool:
    """Whether pages of a memory may be base pages until a statement collapses them."""
    return here.collapses and here.memory.kind == "anonymous"


def has_zero(here: Cut) -> bool:
    """Whether pages may be mapped that a write copies: the zero page, or those of a file that is mapped privately."""
    return here.reads and here.memory.kind in ("anonymous", PRIVATE_FILE)


class Mapped:
    """The variables of one address space, those of each area.

    Args:
        model: the model.
        cuts: the areas of each memory, by its name.
        first: its first variable; it has `cells` of them.
        cached: by the numbers of areas of files, the variables that say whether the page cache has their pages.
    """

    def __init__(self, model: Model, cuts: Mapping[str, Cut], first: int, cached: Mapping[int, int]) -> None:
        self.model = model
        self.asm = model.asm
        self.cuts = cuts
        self.cached = cached
        numbers = [area.number for one in cuts.values() for area in one.areas]
        self._places = {number: first + CELLS * at for at, number in enumerate(numbers)}
        #: By memory, the variable that says whether its VMA has an anon_vma: something was written there.
        self.written = {
            name: first + CELLS * len(numbers) + at
            for at, name in enumerate(name for name, here in cuts.items() if has_zero(here))
        }
        self.cells = CELLS * len(numbers) + len(self.written)

    def table_of(self, here: Cut, area: Area) -> int:
        """Return the variable of an area's tables: its own, or that of the first area in the same table."""
        if area.table < 0:
            return self.cell(TABLE, area)
        return self.cell(TABLE, next(one for one in here.areas if one.table == area.table))

    def folio_of(self, here: Cut, area: Area) -> int:
        """Return the variable of an area's huge page."""
        return self.cell(FOLIO, here.parts_of(area.folio)[0])

    def become_small(self, here: Cut, area: Area) -> None:
        """Write that a page table takes the place of the huge page that an area is a part of."""
        self.put(self.folio_of(here, area), SMALL)
        self.put(self.table_of(here, area), 1)

    def declare(self, unmapped: Collection[str]) -> None:
        """Declare the variables of this address space; those of all spaces are declared in their order.

        Args:
            unmapped: the memory that is not mapped at first: a statement maps it.
        """
        for name, here in self.cuts.items():
            for _ in here.areas:
                for part in range(CELLS):
                    small = BASE if part == FOLIO and has_base(here) else 0
                    self.model.variable(small or int(part == GONE and name in unmapped))
        for _ in self.written:
            self.model.variable()

    def cell(self, part: int, area: Area) -> int:
        """Return a variable of an area: `STATE`, `GONE`, `READONLY`, `TABLE` or `FOLIO`."""
        return self._places[area.number] + part

    def note_cached(self, area: Area, there: bool) -> None:
        """Note whether the page cache has an area's pages, where that decides what read faults map."""
        if area.number in self.cached:
            self.put(self.cached[area.number], int(there))

    @contextmanager
    def if_present(self, area: Area) -> Iterator[None]:
        """Run the steps within if an area's pages are mapped."""
        with self.asm.aside():
            self.asm.v_load(o.SCRATCH, self.cell(STATE, area), text="are its pages mapped?")
        with self.asm.if_nonzero(o.SCRATCH):
            yield

    @contextmanager
    def if_pages(self, here: Cut, area: Area, *, cached: bool = False) -> Iterator[None]:
        """Run the steps within if an area's own pages are mapped, and not the zero page in their place.

        Args:
            here, area: the area.
            cached: those of a file that is mapped privately are meant too.
        """
        out = self.model.label()
        if has_zero(here) and not (cached and here.memory.kind == PRIVATE_FILE):
            with self.if_equal(self.cell(STATE, area), ZERO):
                self.asm.jump(out)
        with self.if_present(area):
            yield
        self.asm.place(out)

    @contextmanager
    def if_file_pages(self, here: Cut, area: Area) -> Iterator[None]:
        """Run the steps within if an area maps pages of a file, which other processes may map too."""
        if here.memory.kind == PRIVATE_FILE:
            with self.if_equal(self.cell(STATE, area), ZERO):
                yield
        else:
            with self.if_present(area):
                yield

    def where_vma_ends(self, here: Cut, area: Area, after: Area | None, write: Callable[[], None]) -> None:
        """Write steps that are taken if a VMA ends between two areas; none where none can."""
        if after is not None and here.splits:
            with self.if_vma_ends(area, after):
                write()

    @contextmanager
    def if_vma_ends(self, area: Area, after: Area) -> Iterator[None]:
        """Run the steps within if a VMA ends between two areas: one of them is unmapped, or their rights differ."""
        asm, ends, out = self.asm, self.model.label(), self.model.label()
        with asm.aside():
            asm.v_load(o.SCRATCH, self.cell(GONE, area), text="does a VMA end here?")
            asm.v_load(o.SCRATCH2, self.cell(GONE, after))
            with asm.if_same(o.SCRATCH, o.SCRATCH2) as alike:
                alike.otherwise()
                asm.jump(ends)
            with asm.if_nonzero(o.SCRATCH):
                asm.jump(out)
            asm.v_load(o.SCRATCH, self.cell(READONLY, area))
            asm.v_load(o.SCRATCH2, self.cell(READONLY, after))
            asm.jump_same(o.SCRATCH, o.SCRATCH2, out)
            asm.place(ends)
        yield
        asm.place(out)

    @contextmanager
    def if_equal(self, variable: int, value: int) -> Iterator[None]:
        """Run the steps within if a variable has a value."""
        asm, here, out = self.asm, self.model.label(), self.model.label()
        with asm.aside():
            asm.v_load(o.SCRATCH, variable)
            asm.jump_equal(o.SCRATCH, value, here)
            asm.jump(out)
            asm.place(here)
        yield
        asm.place(out)

    def put(self, variable: int, value: int) -> None:
        """Write a value into a variable."""
        with self.asm.aside():
            self.asm.v_store(variable, value)

    @contextmanager
    def as_before(self, areas: tuple[Area, ...], kept: int) -> Iterator[Callable[[], None]]:
        """Note what is mapped in some areas; what is yielded writes that they are as they were then.

        Args:
            areas: the areas.
            kept: the first of variables for it: `kept_for(areas)` of them.
        """
        cells = [self.cell(part, area) for area in areas for part in range(CELLS)]

        def copy(pairs: Iterable[tuple[int, int]]) -> None:
            with self.asm.aside():
                for source, target in pairs:
                    self.asm.v_load(o.SCRATCH, source)
                    self.asm.v_store(target, o.SCRATCH, from_register=True)

        copy((cell, kept + n) for n, cell in enumerate(cells))
        yield lambda: copy((kept + n, cell) for n, cell in enumerate(cells))

    @staticmethod
    def kept_for(areas: tuple[Area, ...]) -> int:
        """Return how many variables `as_before` needs."""
        return CELLS * len(areas)
