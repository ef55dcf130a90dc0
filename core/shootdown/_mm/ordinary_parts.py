"""What calls on ordinary memory in explored programs are written with.

A program's memory is atoms (`Model.atom`), each mapped by one entry, and frames with references. Registers: SLOT and
CLASS name the page table; INDEX collects frames to free after the flush, SCRATCH2 those whose right is taken away.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from shootdown._machine import ops as o
from shootdown._mm.file_pages import FilePages
from shootdown._mm.model import Model

#: Registers of a call: frames to free after the flush; frames whose right it takes, or what it did.
QUEUE, TAKEN = o.INDEX, o.SCRATCH2
#: What programs can mark as reached: a call found an entry gone already; a call that takes a right has returned; an
#: entry was moved; a file's page was freed; GUP-fast was inside a table, and has a page; a table was freed; an entry
#: was changed of which a CPU held a copy; a call began while another one of the mm had yet to flush; a page was
#: cleaned; a page that fork() shares was copied.
PLACES = (
    "missed", "returned", "moved", "freed", "walked", "pinned", "table freed", "a copy was alive", "calls overlapped",
    "cleaned", "copied",
)  # fmt: skip
#: The invariants of every program, in the order in which its problem names them.
INVARIANTS = ("walk-cache", "stale-tlb-entry", "gup-fast")


@attrs.frozen
class Pins:
    """The variables of an address whose page GUP-fast may pin while khugepaged replaces it.

    Args:
        references: those of GUP-fast to the page, which khugepaged looks at.
        pinned: GUP-fast has returned the page.
        replaced: khugepaged has replaced it by a copy.
    """

    references: int
    pinned: int
    replaced: int


@attrs.frozen
class HugeSlot:
    """A slot that a huge page may map.

    Args:
        atom: the huge page.
        parts: its parts, all of them.
        splits: some call may split it.
    """

    atom: int
    parts: tuple[int, ...]
    splits: bool


class OrdinaryParts:
    """The parts of a model, and the thread and mm that calls are written for.

    Args:
        model: the model with the programs.
        pte_clear: `xchg` or `store`, as the architecture clears an entry.
        places: those that the programs mark as reached, of `PLACES`.
    """

    def __init__(self, model: Model, pte_clear: str, places: Sequence[str] = ()) -> None:
        self.model = model
        self.places = tuple(places)
        self.asm = model.asm
        self.gathers = model.gathers
        self.lowering = model.lowering
        self._ordered = pte_clear == "xchg"
        #: The files' pages.
        self.files = FilePages(model)
        #: The mm that calls are written for: the class of its page tables.
        self.mm = 0
        #: The number of the thread that calls are written for.
        self.task = 0
        #: By mm and address, what khugepaged or fork() and GUP-fast tell one another.
        self._pins: dict[tuple[int, int], Pins] = {}
        #: By slot, those that a huge page may map; by part of a huge page, the atom of the whole one.
        self.huge_slots: dict[int, HugeSlot] = {}
        self.whole_of: dict[int, int] = {}
        #: By mm and slot: the lock of its entry, and the variable of the table that is deposited with a huge one.
        self._pmd_locks: dict[tuple[int, int], int] = {}
        self.deposited: dict[tuple[int, int], int] = {}
        #: By mm and atom, the variable that says whether fork() has shared the page (no PageAnonExclusive).
        self.shared_pages: dict[tuple[int, int], int] = {}
        #: By mm and atom, the variable that says whether userfaultfd has write-protected the page (pte_uffd_wp()).
        self.protected: dict[tuple[int, int], int] = {}

    def reached(self, place: str) -> None:
        """Mark a place as reached, if the programs mark it."""
        if place in self.places:
            self.asm.reached(self.places.index(place))

    def has_pins(self, mm: int, atom: int) -> None:
        """Declare what GUP-fast tells those who replace or share the page of an address."""
        if (mm, atom) not in self._pins:
            self._pins[mm, atom] = Pins(
                self.model.variable(0, "references of GUP-fast"),
                self.model.variable(0, "GUP-fast has returned the page"),
                self.model.variable(0, "the page was replaced"),
            )

    def has_the_pins_of(self, mm: int, atom: int, other: int) -> None:
        """Declare that the page of an address may come from another one, with what GUP-fast tells of it."""
        if (mm, other) in self._pins:
            self._pins[mm, atom] = self._pins[mm, other]

    @property
    def pins(self) -> dict[int, Pins]:
        """By address, what khugepaged and GUP-fast tell one another of the mm that calls are written for."""
        return {atom: found for (mm, atom), found in self._pins.items() if mm == self.mm}
