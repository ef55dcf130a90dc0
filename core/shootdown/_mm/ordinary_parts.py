"""What calls on ordinary memory in explored programs are written with.

A program's memory is atoms (`Model.atom`), each mapped by one entry, and frames with references. Registers: SLOT and
CLASS name the page table; INDEX collects frames to free after the flush, SCRATCH2 those whose right is taken away.
"""

from __future__ import annotations

from collections.abc import Sequence

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

    def reached(self, place: str) -> None:
        """Mark a place as reached, if the programs mark it."""
        if place in self.places:
            self.asm.reached(self.places.index(place))
