"""What is wrong with a step: operands that name what is not there, numbers that no cell holds.

Everything comes from the table of steps: the kinds of a step's operands, and their bounds where they are numbers. That
a step is made of numbers and labels is checked as it is written; the numbers once, when the machine's sizes are known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any, NamedTuple

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._machine.steps.row import BY_MM, BY_TABLE, FREE, Kind, Operand, Row
from shootdown._machine.steps.table import STEPS
from shootdown._values.errors import nearest
from shootdown._values.platform import COST_NAMES, NANOSECOND

#: Registers whose numbers are below, in the words of a message.
_REGISTERS = (Kind.READ, Kind.WRITTEN, Kind.CHANGED)
_FLAGS = 2 * o.PMD_PAGES - 1
_LEVELS = o.CLEARED_PTES | o.CLEARED_PMDS | o.CLEARED_PUDS | o.CLEARED_P4DS
#: Entries that stand alone: moves name them by eight bits.
MOST_ENTRIES = 256
_CALLS = o.CALL_INVALIDATE_MASKED
_HOWS = 2 * o.EMPTY_TOO - 1


class Sizes(NamedTuple):
    """How many there are of what operands name.

    Args:
        tasks, cpus, mms, slots, events, locks, classes, variables, entries, atoms, windows, sections, lists,
            instructions: of the machine and its programs.
        steps: of all programs.
        most: the largest number that a cell holds.
    """

    tasks: int
    cpus: int
    mms: int
    slots: int
    events: int
    locks: int
    classes: int
    variables: int
    entries: int
    atoms: int
    windows: int
    sections: int
    lists: int
    instructions: int
    steps: int
    most: int


class _Span(NamedTuple):
    """What an operand may be, and what it is called in a message."""

    least: int
    most: int
    noun: str


#: Kinds whose operands have the same span in every machine.
_FIXED = {
    **{kind: _Span(0, o.REGISTERS - 1, "register") for kind in _REGISTERS},
    Kind.READ_OR_NONE: _Span(-1, o.REGISTERS - 1, "register"),
    Kind.INDEX: _Span(0, o.REGISTERS, "register"),
    Kind.GATHER: _Span(0, o.GATHERS - 1, "gather"),
    Kind.TRUTH: _Span(0, 1, "yes (1) or no (0)"),
    Kind.FLAGS: _Span(0, _FLAGS, "flags of a gather"),
    Kind.CLEARED: _Span(0, _LEVELS, "cleared levels"),
    Kind.HOW: _Span(0, _HOWS, "way to count strides"),
    Kind.SCOPE: _Span(0, o.SCOPE_MASK, "scope of a flush"),
    Kind.CALL: _Span(1, _CALLS, "call"),
    Kind.LOCK_INDEX: _Span(0, BY_TABLE, "index of a lock"),
    Kind.COST: _Span(-1, len(COST_NAMES) - 1, "cost"),
}
#: Kinds whose operands are numbered from zero: how many there are.
_COUNTED: dict[Kind, tuple[str, Callable[[Sizes], int]]] = {
    Kind.TASK: ("task", lambda sizes: sizes.tasks),
    Kind.EVENT: ("event", lambda sizes: sizes.events),
    Kind.CPU: ("CPU", lambda sizes: sizes.cpus),
    Kind.MM: ("mm", lambda sizes: sizes.mms),
    Kind.LOCK: ("lock", lambda sizes: sizes.locks),
    Kind.CLASS: ("class of tables", lambda sizes: sizes.classes),
    Kind.VARIABLE: ("variable", lambda sizes: sizes.variables),
    Kind.ENTRY: ("entry that stands alone", lambda sizes: sizes.entries),
    Kind.ATOM: ("atom", lambda sizes: sizes.atoms),
    Kind.WINDOW: ("window", lambda sizes: sizes.windows),
    Kind.SECTION: ("section (i_mmap_rwsem)", lambda sizes: sizes.sections),
    Kind.LIST: ("place in the lists", lambda sizes: sizes.lists),
    Kind.INSTRUCTION: ("instruction", lambda sizes: sizes.instructions),
    Kind.LABEL: ("step", lambda sizes: sizes.steps),
}


class _Check(NamedTuple):
    """One operand of a step: in which number, in which of its bits, and what it is."""

    place: int
    shift: int
    bits: int
    operand: Operand
    by: int


def _checks(row: Row) -> list[_Check]:
    found = []
    placed = row.placed()
    for n, (place, operand) in enumerate(placed):
        if operand.unused:
            continue
        after = placed[n + 1][1] if n + 1 < len(placed) else None
        bits = after.above if after is not None and after.above else 0
        found.append(
            _Check(place, operand.above, bits, operand, row.place_of(operand.by) if operand.by else 0)
        )
    return found


_CHECKS = {number: _checks(row) for number, row in STEPS.items()}


#: The numbers of a step that may be labels.
_LABELS = {
    number: frozenset(check.place for check in checks if check.operand.kind is Kind.LABEL)
    for number, checks in _CHECKS.items()
}
_LEAST_WORD, _MOST_WORD = -(1 << 63), (1 << 63) - 1


def as_written(op: Any, operands: Sequence[Any]) -> tuple[list[int | Label], str]:
    """Check what a step is made of as it is written: an operation that there is, whole numbers, labels in their places.

    Args:
        op: the operation.
        operands: four numbers or labels.

    Returns:
        operation and operands as plain numbers and labels; and what is wrong, or nothing.
    """
    plain: list[int | Label] = []
    for value in (op, *operands):
        if type(value) is not int and not isinstance(value, Label):
            try:
                value = index(value)
            except TypeError:
                return plain, f"{value!r:.40} is no whole number"
        if not isinstance(value, Label) and not _LEAST_WORD <= value <= _MOST_WORD:
            return plain, f"{value!r:.40} does not fit into 64 bits"
        plain.append(value)
    number = plain[0]
    if not isinstance(number, int) or number not in STEPS:
        return plain, f"there is no operation {op!r:.40}: they are those of `ops`"
    for place, value in enumerate(plain):
        if isinstance(value, Label) and place not in _LABELS[number]:
            row = STEPS[number]
            named = next((check.operand for check in _CHECKS[number] if check.place == place), None)
            if named is not None:
                return plain, f"{row.name}: {named.name} is a label, and has to be {named.kind.value}"
            return plain, f"{row.name}: it has a label too many"
    return plain, ""


def wrong(step: Sequence[int], sizes: Sizes) -> str:
    """Say what is wrong with the operands of a step; nothing if all is well.

    Args:
        step: operation and operands.
        sizes: of the machine.
    """
    row = STEPS[step[0]]
    for check in _CHECKS[step[0]]:
        value = step[check.place]
        kind = check.operand.kind
        if check.bits and value >= 0:
            value &= (1 << check.bits) - 1
        value >>= check.shift
        if check.by:
            kind = Kind.READ if step[check.by] else Kind.VALUE
        span = _span(kind, check.operand, step, sizes)
        if not span.least <= value <= span.most:
            return f"{row.name}: {_words(kind, value, span)}"
    return ""


def lies_between(step: Sequence[int], other: Sequence[int]) -> bool:
    """Whether all steps between two are right if both are: the numbers that differ lie in spans of their own.

    Args:
        step, other: operation and operands of two steps of the same operation.
    """
    differ = {place for place in range(1, len(step)) if step[place] != other[place]}
    row = STEPS[step[0]]
    for check in _CHECKS[step[0]]:
        alone = not check.bits and not check.shift
        index = row.first(Kind.LOCK_INDEX) if check.operand.kind is Kind.LOCK else 0
        if (check.place in differ and not alone) or differ & {check.by, index}:
            return False
    return True


def _span(kind: Kind, operand: Operand, step: Sequence[int], sizes: Sizes) -> _Span:
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed
    counted = _COUNTED.get(kind)
    if counted is not None:
        noun, many = counted
        last = many(sizes) - 1
        if kind is Kind.LOCK:
            at = step[STEPS[step[0]].first(Kind.LOCK_INDEX)]
            last -= sizes.mms - 1 if at == BY_MM else sizes.slots - 1 if at == BY_TABLE else 0
        return _Span(0, last, noun)
    if kind is Kind.VALUE:
        return _Span(operand.least, sizes.most if operand.most is None else operand.most, operand.name)
    return _Span(0, FREE, kind.name.lower())


def _words(kind: Kind, value: int, span: _Span) -> str:
    less = 1 if kind is Kind.INDEX else 0
    value, least, most = value - less, max(span.least - less, 0 if less else span.least), span.most - less
    if most < least:
        return f"{span.noun} {value}: there is none"
    if span.most == FREE:
        return f"{span.noun} {value}: it is a number from {least} on"
    if kind is Kind.VALUE:
        return f"{span.noun} {value}: it is a number from {least} to {most}"
    return f"{span.noun} {value}: there are {least} to {most}"


def cost_number(cost: object) -> tuple[int, str]:
    """Return the number of a cost, -1 for none; and what is wrong with its name, or nothing."""
    if not cost:
        return -1, ""
    if cost in COST_NAMES:
        return COST_NAMES.index(str(cost)), ""
    if cost == NANOSECOND:
        return len(COST_NAMES), ""
    return -1, f"there is no cost {cost!r:.40}; {nearest(str(cost), COST_NAMES)}"
