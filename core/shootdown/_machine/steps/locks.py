"""Steps that take and release locks: one writer or many readers."""

from __future__ import annotations

from shootdown._machine.steps.cells import READERS, STORES, WRITER
from shootdown._machine.steps.row import Clock, Kind, Operand, Row, Shared, Use, Whose

_LOCK = Operand("lock", Kind.LOCK, "the first of its kind")
_INDEX = Operand(
    "index",
    Kind.LOCK_INDEX,
    "0: that one; 1: that of the mm; 2: that of the table of register SLOT",
    default=0,
)
_SLEEPS = Operand("sleeps", Kind.TRUTH, "who waits may leave its CPU meanwhile", default=0)
_AT_ONCE = Operand("at_once", Kind.TRUTH, "who waits sleeps at once: it does not spin before", default=0)
_TOUCHES = (Shared("lock", Whose.LOCK, writes=True),)

LOCKS = (
    Row(
        name="LOCK_WRITE",
        does="Take a lock for writing; wait while it is held.",
        operands=(_LOCK, _INDEX, _SLEEPS, _AT_ONCE),
        reads=(WRITER, READERS, STORES),
        writes=(WRITER,),
        touches=_TOUCHES,
        lock=Use.TAKE,
        for_writing=True,
        primitive="lock",
    ),
    Row(
        name="LOCK_READ",
        does="Take a lock for reading; wait while a writer holds it.",
        operands=(_LOCK, _INDEX, _SLEEPS),
        reads=(WRITER, READERS, STORES),
        writes=(READERS,),
        touches=_TOUCHES,
        lock=Use.TAKE,
        primitive="lock",
    ),
    Row(
        name="TRY_WRITE",
        does="Take a lock for writing, or jump to a label if it is held.",
        operands=(_LOCK, _INDEX, Operand("label", Kind.LABEL)),
        reads=(WRITER, READERS, STORES),
        writes=(WRITER.perhaps(),),
        touches=_TOUCHES,
        lock=Use.TRY,
        for_writing=True,
        tells="refused",
    ),
    Row(
        name="UNLOCK_WRITE",
        does="Release a lock that was taken for writing.",
        operands=(_LOCK, _INDEX),
        reads=(WRITER, STORES),
        writes=(WRITER,),
        touches=_TOUCHES,
        lock=Use.RELEASE,
        for_writing=True,
        enables=True,
        primitive="lock",
        clock=Clock.ACTS,
    ),
    Row(
        name="UNLOCK_READ",
        does="Release a lock that was taken for reading.",
        operands=(_LOCK, _INDEX),
        reads=(READERS, STORES),
        writes=(READERS,),
        touches=_TOUCHES,
        lock=Use.RELEASE,
        enables=True,
        primitive="lock",
        clock=Clock.ACTS,
    ),
)
