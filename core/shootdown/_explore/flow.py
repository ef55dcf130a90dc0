"""What the steps of a program read and write: which steps are local, and which registers are dead at each step.

A step is local if no other CPU and no agent can observe when it happens: it touches only its task's registers and
gathers and its CPU's own request that has not been sent. Local steps fuse with the step before them. A register that is
written before it is read again is dead; its value is cleared, so that states which differ in nothing else are equal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._machine import ops as o
from shootdown._machine.code import Code
from shootdown._machine.layout import GATHER_PARTS
from shootdown._machine.steps import cells
from shootdown._machine.steps.cells import Cell, Of
from shootdown._machine.steps.row import BY_TABLE, Kind, Row
from shootdown._machine.steps.table import ROWS, steps_that

#: The operand of a step that is a label (0 is `a`).
LABELS = {row.number: row.first(Kind.LABEL) - 1 for row in ROWS if row.first(Kind.LABEL)}
#: Steps after which the program does not continue with the next one.
_ENDS = steps_that(lambda row: row.ends)
LOCAL = steps_that(lambda row: row.local)

#: In masks of live values, bits of a task's gathers follow those of its registers; then comes a bit for the number of
#: pages that its outer gather has queued, which is stored in its third gather (`ops.GATHER_PAGES`).
_GATHERS = o.REGISTERS
QUEUED = _GATHERS + o.GATHERS
THINGS = QUEUED + 1
_LAST = o.GATHERS - 1
#: The operand of a step that holds an index register, plus one.
_INDEX = {row.number: row.first(Kind.INDEX) for row in ROWS if row.first(Kind.INDEX)}


@attrs.frozen(eq=False)
class Flow:
    """What exploration knows of each step of a program.

    Args:
        local: uint8, shape (n,): 1 if the step is local.
        dead: int64, shape (n,): registers (bit r), gathers (bit REGISTERS + g) and queued
            pages (bit QUEUED) whose values no later step reads.
    """

    local: npt.NDArray[np.uint8]
    dead: npt.NDArray[np.int64]


class Text:
    """Facts about a program that follow from its steps alone; computed once for each program.

    Args:
        code: the program.
    """

    def __init__(self, code: Code) -> None:
        numbers = code.steps.tolist()
        #: Operation and operands of each step.
        self.steps: list[tuple[int, ...]] = [tuple(numbers[at : at + 5]) for at in range(0, len(numbers), 5)]
        #: The successors of each step.
        self.after = [successors(step, pc) for pc, step in enumerate(self.steps)]
        #: Some step leads to one before it, or to itself.
        self.looped = any(then <= pc for pc, after in enumerate(self.after) for then in after)
        self.ops = frozenset(step[0] for step in self.steps)
        #: A cache of other results about the program, by their arguments.
        self.memory: dict[Any, Any] = {}

    def places(self, ops: frozenset[int]) -> frozenset[int]:
        """Return where the steps of some operations are."""
        if ops.isdisjoint(self.ops):
            return frozenset()
        key = ("places", ops)
        if key not in self.memory:
            self.memory[key] = frozenset(pc for pc, step in enumerate(self.steps) if step[0] in ops)
        found: frozenset[int] = self.memory[key]
        return found


_texts: WeakKeyDictionary[Code, Text] = WeakKeyDictionary()
#: The same for the programs seen last, by their steps: other cases may have equal ones.
_equal: OrderedDict[bytes, Text] = OrderedDict()
_MOST_TEXTS = 32


def text_of(code: Code) -> Text:
    """Return the `Text` of a program; equal programs share one."""
    text = _texts.get(code)
    if text is None:
        image = code.steps.tobytes()
        text = _equal.pop(image, None) or Text(code)
        _texts[code] = _equal[image] = text
        if len(_equal) > _MOST_TEXTS:
            _equal.popitem(last=False)
    return text


def successors(step: tuple[int, ...], pc: int) -> list[int]:
    """List the steps that can come after a step."""
    op = step[0]
    found = [] if op in _ENDS else [pc + 1]
    if op in LABELS:
        found.append(step[1 + LABELS[op]])
    return found


def index_of(step: Sequence[int]) -> int:
    """Return the index register of a step's variable, plus one; 0 if it has none."""
    place = _INDEX.get(step[0])
    return step[place] if place else 0


class _Effect:
    """The registers and gathers that a row's step reads and overwrites, as a function of its operands."""

    def __init__(self, row: Row) -> None:
        self.reads = self.writes = 0
        read = [cell for cell in row.reads if cell.when is None]
        written = [cell for cell in row.writes if cell.when is None and not cell.maybe]
        for cell in read:
            self.reads |= _bit(cell)
        for cell in written:
            self.writes |= _bit(cell)
        self.reads |= _is_read(read, Of.REQUEST, _LAST)
        self.writes |= _overwritten(written, Of.REQUEST, _LAST)
        self.writes &= ~self.reads
        #: For each operand that names a gather: the parts of it that are read and overwritten.
        self.gather = row.first(Kind.GATHER)
        self.of_gather = [
            (reads, _overwritten(written, Of.GIVEN, g) & ~reads)
            for g in range(o.GATHERS)
            for reads in (_is_read(read, Of.GIVEN, g),)
        ]
        #: Cells that are overwritten only for some values of an operand.
        self.sometimes = [
            (row.place_of(cell.when.operand), cell.when.values, _bit(cell))
            for cell in row.writes
            if cell.when and _bit(cell)
        ]
        self.operands = [
            (place, operand.kind, row.place_of(operand.by) if operand.by else 0)
            for place, operand in row.placed()
            if operand.kind in _NAMES_REGISTERS
        ]

    def of(self, step: Sequence[int]) -> tuple[int, int]:
        """Return the two masks for a step."""
        reads, writes = self.reads, self.writes
        for place, kind, by in self.operands:
            value = step[place]
            if kind is Kind.WRITTEN:
                writes |= 1 << value
            elif kind is Kind.INDEX:
                reads |= 1 << (value - 1) if value else 0
            elif kind is Kind.LOCK_INDEX:
                reads |= 1 << o.SLOT if value == BY_TABLE else 0
            elif (kind is not Kind.READ_IF or step[by]) and (kind is not Kind.READ_OR_NONE or value >= 0):
                reads |= 1 << value
        if self.gather:
            read, written = self.of_gather[step[self.gather]]
            reads |= read
            writes |= written
        for place, values, bit in self.sometimes:
            if step[place] in values:
                writes |= bit
        return reads, writes


#: Operands that name registers which are read or written.
_NAMES_REGISTERS = {
    Kind.READ, Kind.CHANGED, Kind.WRITTEN, Kind.READ_IF, Kind.READ_OR_NONE, Kind.INDEX, Kind.LOCK_INDEX,
}  # fmt: skip


def _bit(cell: Cell) -> int:
    """The bit of a register, or of the queued pages; 0 for any other cell."""
    if cell.part == "register":
        return 1 << cell.number
    return 1 << QUEUED if cell == attrs.evolve(cells.QUEUED, when=cell.when) else 0


def _is_read(read: Sequence[Cell], of: Of, g: int) -> int:
    """The bits of a gather and of the queued pages that a step reads."""
    parts = {cell.part for cell in read if cell.of is of and cell.part in GATHER_PARTS}
    return (1 << (_GATHERS + g) if parts & _parts(g) else 0) | (1 << QUEUED if parts - _parts(g) else 0)


def _overwritten(written: Sequence[Cell], of: Of, g: int) -> int:
    """The bits of a gather and of the queued pages that a step overwrites completely."""
    parts = {cell.part for cell in written if cell.of is of and cell.part in GATHER_PARTS}
    return (1 << (_GATHERS + g) if parts >= _parts(g) else 0) | (1 << QUEUED if parts - _parts(g) else 0)


def _parts(g: int) -> set[str]:
    """The cells of a gather; the third gather's G_TABLES, the queued pages, has a bit of its own."""
    return set(GATHER_PARTS) - ({cells.QUEUED.part} if g == _LAST else set())


_EFFECTS = {row.number: _Effect(row) for row in ROWS}


def reads_and_writes(step: Sequence[int]) -> tuple[int, int]:
    """Return two masks: the registers and gathers that a step reads, and those that it overwrites completely."""
    return _EFFECTS[step[0]].of(step)


#: The same, kept: programs have many equal steps.
_kept_reads_and_writes = lru_cache(maxsize=1 << 14)(reads_and_writes)


def flow_of(code: Code, quiet: list[int]) -> Flow:
    """Compute which values are dead before each step: backwards, until nothing changes.

    Args:
        code: the program.
        quiet: for each step, whether it is local; see `footprint.quiet_steps`.
    """
    text = text_of(code)
    if "dead" not in text.memory:
        text.memory["dead"] = _dead(text)
    return Flow(local=np.array(quiet, np.uint8), dead=text.memory["dead"])


def _dead(text: Text) -> npt.NDArray[np.int64]:
    touched = [_kept_reads_and_writes(step) for step in text.steps]
    live = [0] * len(text.steps)
    work = range(len(text.steps) - 1, -1, -1)
    backwards = [(pc, *touched[pc], text.after[pc]) for pc in work]
    changed = True
    while changed:
        changed = False
        for pc, reads, writes, after in backwards:
            out = 0
            for then in after:
                out |= live[then]
            now = reads | (out & ~writes)
            if now != live[pc]:
                live[pc] = now
                # only a way back, to a step that was looked at before this one, needs another round
                changed = changed or text.looped
    everything = (1 << THINGS) - 1
    return np.array([everything & ~mask for mask in live], np.int64)
