"""Steps on entries of page tables, on the frames that they map, and on rights that a call takes away.

Explored programs have them. An entry is that of an atom in the table of register CLASS (the class, plus one).
"""

from __future__ import annotations

from shootdown._machine.steps.cells import (
    ANY_ENTRY,
    ATOM,
    CLASS,
    FRAME,
    HELD,
    PUDS,
    STORES,
    TABLE_ENTRY,
    USER,
    VARIABLE,
)
from shootdown._machine.steps.row import Kind, Operand, Row, Shared, Whose

_ATOM = Operand("atom", Kind.ATOM)
_FROM_REGISTER = Operand("from_register", Kind.TRUTH, "`value` is a register that holds it", default=0)
_VALUE = Operand("value", Kind.READ_IF, "the value that is written", by="from_register")
_READS_ENTRY = (Shared("entry", Whose.ANY),)
_WRITES_ENTRY = (Shared("entry", Whose.ANY, writes=True),)
_REFERENCES = (Shared("frame", Whose.ANY, writes=True),)
_MARKS = (Shared("tlb", Whose.ANY, writes=True),)

MEMORY = (
    Row(
        name="ENTRY_LOAD",
        does="Read an entry.",
        operands=(Operand("register", Kind.WRITTEN), _ATOM),
        reads=(CLASS, STORES, TABLE_ENTRY),
        touches=_READS_ENTRY,
        words="read the entry",
        tells="entry",
    ),
    Row(
        name="ENTRY_STORE",
        does="Write an entry.",
        operands=(_ATOM, _VALUE, _FROM_REGISTER),
        reads=(CLASS, STORES),
        writes=(TABLE_ENTRY.perhaps(), STORES.perhaps()),
        touches=_WRITES_ENTRY,
        words="write the entry",
    ),
    Row(
        name="ENTRY_XCHG",
        does="Write an entry and read its old value, fully ordered, as xchg() does.",
        operands=(_ATOM, _VALUE, Operand("register", Kind.WRITTEN, "gets the old value"), _FROM_REGISTER),
        reads=(CLASS, STORES, TABLE_ENTRY),
        writes=(TABLE_ENTRY,),
        touches=_WRITES_ENTRY,
        words="exchange the entry",
    ),
    Row(
        name="PUT_FRAMES",
        does="Drop a reference to each frame that the value of an entry maps; frames without any are free.",
        operands=(Operand("register", Kind.READ, "a register with the value"),),
        reads=(FRAME, HELD),
        writes=(FRAME.perhaps(), HELD.perhaps()),
        touches=_REFERENCES + _MARKS,
        words="drop the reference to the page",
    ),
    Row(
        name="GET_FRAMES",
        does="Take a reference to each frame that the value of an entry maps, or jump to a label if one is free.",
        operands=(
            Operand("register", Kind.READ, "a register with the value"),
            Operand("label", Kind.LABEL),
        ),
        reads=(FRAME,),
        writes=(FRAME.perhaps(),),
        touches=_REFERENCES,
        words="take a reference to the page",
        tells="refused",
    ),
    Row(
        name="JUMP_REFERENCED",
        does="Jump to a label if a frame that the value of an entry maps has more than one reference.",
        operands=(
            Operand("register", Kind.READ, "a register with the value"),
            Operand("label", Kind.LABEL),
        ),
        reads=(FRAME,),
        touches=(Shared("frame", Whose.ANY),),
        words="has the page other references?",
    ),
    Row(
        name="QUEUE_FRAMES",
        does="Note in a register the frames that an entry's value maps; one noted twice loses a reference.",
        operands=(
            Operand("register", Kind.CHANGED),
            Operand("source", Kind.READ, "a register with the value"),
        ),
        reads=(FRAME,),
        writes=(FRAME.perhaps(),),
        touches=_REFERENCES,
    ),
    Row(
        name="OCCUPANTS",
        does="Note in a register which frames an atom of the mm maps, or may still be reached by on any CPU.",
        operands=(Operand("register", Kind.CHANGED), _ATOM),
        reads=(ANY_ENTRY, ATOM, HELD, PUDS),
        touches=(*_READS_ENTRY, Shared("pud", Whose.ON), Shared("tlb", Whose.ON)),
        words="the pages that the address leads to, here and in TLBs, are those that the call takes away",
        aside=True,
    ),
    Row(
        name="RIGHT_IS_GONE",
        does="End the right to reach the frames noted in a register by an atom of the mm, or to write to them.",
        operands=(Operand("register", Kind.READ), _ATOM, Operand("writes", Kind.TRUTH, default=0)),
        reads=(HELD,),
        writes=(HELD.perhaps(),),
        touches=_MARKS,
        words="the call is over: what it took away may not be used any more",
    ),
    Row(
        name="RIGHT_IS_GONE_UNLESS",
        does="End a right as RIGHT_IS_GONE does, unless a variable says in memory that it was given again.",
        operands=(
            Operand("register", Kind.READ),
            _ATOM,
            Operand("variable", Kind.VARIABLE),
            Operand("writes", Kind.TRUTH, default=0),
        ),
        reads=(HELD, VARIABLE),
        writes=(HELD.perhaps(),),
        touches=(*_MARKS, Shared("variable", Whose.VARIABLE)),
        words="the call is over: what it took away may not be used any more",
    ),
    Row(
        name="USER_MODE",
        does="Enter user mode, or leave it.",
        operands=(Operand("enters", Kind.TRUTH),),
        reads=(USER,),
        writes=(USER.own.perhaps(),),
        touches=(Shared("user", Whose.CPU, writes=True),),
        decides=True,
        words="between user mode and the kernel",
    ),
)
