"""The rights that calls take away: noted when an entry changes, gone when the call returns."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._mm.model import Model
from shootdown._mm.ordinary_parts import QUEUE, TAKEN, OrdinaryParts


class TakenRights(OrdinaryParts):
    """Write what a call does to rights, also where they are given again before it returns; see `OrdinaryParts`."""

    def __init__(self, model: Model, pte_clear: str, places: Sequence[str] = ()) -> None:
        super().__init__(model, pte_clear, places)
        #: By thread, mm and address: whether a right that the thread takes away was given again since.
        self._given: dict[tuple[int, int, int], int] = {}

    def may_be_given_again(self, task: int, mm: int, atom: int) -> None:
        """Declare that the right to an address which a thread takes away may be given again before it returns."""
        if (task, mm, atom) not in self._given:
            self._given[task, mm, atom] = self.model.variable(0, "the right was given again")

    def note(self, atom: int) -> None:
        """Write that the call takes a right to what an address maps now; by the page-table lock."""
        for one in self.with_whole(atom):
            given = self._given.get((self.task, self.mm, one))
            if given is not None:
                self.asm.v_store(given, 0, text="from here on the call takes it away")
            self.asm.occupants(TAKEN, one)

    def with_whole(self, atom: int) -> tuple[int, ...]:
        """Return an atom, and the huge page that it is a part of: a right to a part is held by both."""
        return (atom, self.whole_of[atom]) if atom in self.whole_of else (atom,)

    def gives(self, atom: int) -> None:
        """Write that an address maps again what it mapped before, with a right that it had; by the page-table lock.

        Register QUEUE is overwritten.
        """
        for (_, mm, where), given in self._given.items():
            if (mm, where) == (self.mm, atom):
                self.asm.v_xchg(given, 1, QUEUE, text="who takes this right away takes what was before")

    def leaves(self, atom: int) -> None:
        """Write that the call at hand takes no right to an address away. Register QUEUE is overwritten."""
        given = self._given.get((self.task, self.mm, atom))
        if given is not None:
            self.asm.v_xchg(given, 1, QUEUE, text="this call leaves the right")

    def returns(self, atoms: Sequence[int], *, writes: bool = False) -> None:
        """Write the return of a call that takes the right to some atoms, or to write to them."""
        for atom in atoms:
            self.right_ends(atom, writes=writes)
        self.reached("returned")
        self.asm.user_mode(True, text="returns to user mode")

    def right_ends(self, atom: int, *, writes: bool = False, unless: int | None = None) -> None:
        """Write that what a call has noted of an address is gone, unless it was given again meanwhile.

        Args:
            atom: the address.
            writes: whether it is only the right to write.
            unless: a variable that says of an address which never is given again that the call has left it its right.
        """
        for one in self.with_whole(atom):
            given = self._given.get((self.task, self.mm, one), unless if one == atom else None)
            if given is None:
                self.asm.right_is_gone(TAKEN, one, writes=writes)
            else:
                self.asm.right_is_gone_unless(TAKEN, one, given, writes=writes)
