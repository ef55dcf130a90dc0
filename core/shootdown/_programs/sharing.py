"""Which private pages several processes have since fork(), and whether one of them is the last that has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._programs.areas import Area
from shootdown._programs.mapped import CELLS, SHARED, SHARED_FREED, STATE, Mapped

#: Owners of a page that are not told from one another any more: never one alone.
_MANY = 1 << 15


class Sharing:
    """Count the owners of the pages of each area, in one address space of a family.

    Who forks and the children have the same pages, a group of owners. Who copies or unmaps them leaves the group; who
    has copied them and forks again begins another. Two groups of an area are told apart; pages of a third are taken to
    have other owners always.

    Args:
        model: the model.
        mapped: what is mapped of the address space.
    """

    def __init__(self, model: Model, mapped: Mapped) -> None:
        self.model = model
        self.asm = model.asm
        self.mapped = mapped
        #: By area, the first of two variables: how many owners each group has. None in a process that has no children.
        self._owners: dict[int, int] | None = None
        #: By area, the variable that says which group the pages of this address space belong to.
        self._groups: dict[int, int] = {}
        self._by_pieces = False

    def forks(self, family: Sequence[Sharing]) -> None:
        """Note, before any program is written, who may have the same pages: children, and itself after `exec`."""
        self._owners = {}
        for other in family:
            other._owners = self._owners

    def share(self, area: Area, child: Sharing) -> None:
        """Write that a child has the pages of an area too, before they are marked as shared."""
        if not self.told(area):
            return
        asm, begun = self.asm, self.model.label()
        with asm.aside():
            for state in (SHARED, SHARED_FREED):
                asm.v_load(o.SCRATCH, self.mapped.cell(STATE, area), text="are others owners too?")
                asm.jump_equal(o.SCRATCH, state, begun)
            self._begin_group(area)
            asm.place(begun)
            asm.v_load(o.SCRATCH, self._group(area))
            asm.v_add(self._owners_of(area), 1, o.SCRATCH2, o.SCRATCH)
            asm.v_store(child._group(area), o.SCRATCH, from_register=True)

    def leave(self, area: Area) -> None:
        """Write that this address space has the pages of an area no more, if others have them too."""
        if self.told(area) and not self._by_pieces:
            self._leave(area, self.mapped.cell(STATE, area))

    def _leave(self, area: Area, before: int) -> None:
        """Write that it leaves a group if a variable says that it had its pages."""
        for state in (SHARED, SHARED_FREED):
            with self.mapped.if_equal(before, state), self.asm.aside():
                self.asm.v_load(o.SCRATCH, self._group(area))
                self.asm.v_add(self._owners_of(area), -1, o.SCRATCH2, o.SCRATCH)

    @contextmanager
    def by_pieces(self, areas: Sequence[Area], kept: int) -> Iterator[None]:
        """Write a loop over pieces of some areas, which leaves groups once; `kept`: as for `Mapped.as_before`."""
        self._by_pieces = True
        yield
        self._by_pieces = False
        for number, area in enumerate(areas):
            if not self.told(area):
                continue
            out = self.model.label()
            with self.asm.aside():
                self.asm.v_load(o.SCRATCH, self.mapped.cell(STATE, area))
                for state in (SHARED, SHARED_FREED):
                    self.asm.jump_equal(o.SCRATCH, state, out)
            self._leave(area, kept + number * CELLS + STATE)
            self.asm.place(out)

    @contextmanager
    def if_last(self, area: Area) -> Iterator[None]:
        """Run the steps within if nobody else has the shared pages of an area any more."""
        asm, last, out = self.asm, self.model.label(), self.model.label()
        with asm.aside():
            asm.v_load(o.SCRATCH, self._group(area))
            asm.v_load(o.SCRATCH2, self._owners_of(area), o.SCRATCH, text="has anybody else the pages?")
            asm.jump_equal(o.SCRATCH2, 1, last)
            asm.jump(out)
            asm.place(last)
        yield
        asm.place(out)

    def told(self, area: Area) -> bool:
        """Whether owners are counted: of base pages, in a process that forks or was forked."""
        return self._owners is not None and area.pages > 0 and area.folio < 0 and not area.huge

    def _begin_group(self, area: Area) -> None:
        """Write that pages which nobody else has are the first of a group, if one has no owners any more."""
        asm, owners, free = self.asm, self._owners_of(area), self.model.label()
        for group in (0, 1):
            asm.set(o.SCRATCH, group)
            asm.v_load(o.SCRATCH2, owners, o.SCRATCH)
            asm.jump_zero(o.SCRATCH2, free)
        asm.v_add(owners, _MANY, o.SCRATCH2, o.SCRATCH)
        asm.place(free)
        asm.v_add(owners, 1, o.SCRATCH2, o.SCRATCH)
        asm.v_store(self._group(area), o.SCRATCH, from_register=True)

    def _owners_of(self, area: Area) -> int:
        assert self._owners is not None
        if area.number not in self._owners:
            self._owners[area.number] = self.model.variable()
            self.model.variable()
        return self._owners[area.number]

    def _group(self, area: Area) -> int:
        if area.number not in self._groups:
            self._groups[area.number] = self.model.variable()
        return self._groups[area.number]
