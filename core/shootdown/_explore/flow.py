"""What the steps of a program read and write: which are local, which registers matter where.

A step is local if no other CPU and no agent can tell when it happens: it touches nothing but its task's registers
and gathers and its CPU's own request that has not been sent. Local steps fuse with the step before them. A register
that is written before it is read again is dead, and its value is cleared: states that differ in nothing else are one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._machine import ops as o
from shootdown._machine.assembler import Code

#: Which operand of a step is a label (0 is `a`).
LABELS = {
    o.JUMP: 0, o.NEXT: 2, o.JUMP_ZERO: 1, o.JUMP_EQUAL: 2, o.JUMP_EXCLUSIVE: 0, o.POPULATE: 1, o.JUMP_FLAGS: 2,
    o.JUMP_CLEARED: 2, o.GATHER_TABLES: 3, o.JUMP_NO_TARGET: 0, o.JUMP_NOT_LOADED: 0, o.JUMP_NOT_GLOBAL: 0,
    o.JUMP_NOT_TRANSITION: 0, o.JUMP_STRIDES: 2, o.JUMP_TARGETS_BELOW: 1, o.JUMP_WHOLE: 0, o.JUMP_EMPTY: 1,
    o.JUMP_NOT_ALONE: 0, o.JUMP_NOT_DUE: 1, o.CHOICE: 0, o.JUMP_NO_BITS: 2, o.V_CAS: 3, o.JUMP_SAME: 2,
    o.TRY_WRITE: 2, o.JUMP_NOT_OWN: 0, o.JUMP_NOT_MASKED: 0, o.JUMP_NOT_PENDING: 1,
}  # fmt: skip

#: Steps after which a program does not go on with the next one.
_ENDS = frozenset({o.HALT, o.PARK, o.FAIL, o.JUMP})

LOCAL = frozenset({
    o.JUMP, o.SET, o.NEXT, o.JUMP_ZERO, o.JUMP_EQUAL, o.WORK, o.MARK, o.NOTE, o.PICK, o.ON_MM, o.EXECUTE,
    o.GATHER_ADD, o.GATHER_SLOT, o.GATHER_RESET, o.GATHER_TABLES, o.GATHER_PAGES, o.GATHER_PART, o.GATHER_REST,
    o.JUMP_FLAGS, o.JUMP_CLEARED, o.CLEAR_FLAGS,
    o.REQUEST, o.COPY_RANGE, o.SET_FLAGS, o.JUMP_NO_TARGET, o.JUMP_TARGETS_BELOW, o.JUMP_WHOLE, o.JUMP_EMPTY,
    o.JUMP_STRIDES, o.CANCEL, o.FAIL, o.JUMP_NO_BITS, o.COPY, o.ADD, o.JUMP_SAME, o.REACHED,
})  # fmt: skip

#: The gathers of a task follow its registers in masks of what is live; then the pages that its outer gather queued,
#: which its last gather keeps (`ops.GATHER_PAGES`) and which are no part of that one here.
_GATHERS = o.REGISTERS
QUEUED = _GATHERS + 3
THINGS = QUEUED + 1
_PAGES = frozenset({o.GATHER_PAGES, o.GATHER_PART, o.GATHER_REST})
_LAST = 2

_USES_SLOT = frozenset({
    o.LOAD_PUD, o.CLEAR_PUD, o.SET_PUD, o.POPULATE, o.JUMP_EXCLUSIVE, o.SHARE, o.DROP, o.UNSHARE, o.TABLE_STATE,
    o.READ_TABLE, o.GATHER_SLOT, o.GATHER_PART, o.GATHER_REST,
})  # fmt: skip
_USES_CLASS = frozenset({o.JUMP_EXCLUSIVE, o.DROP, o.UNSHARE, o.TABLE_STATE})
_USES_GATHER = frozenset({
    o.GATHER_ADD, o.GATHER_SLOT, o.GATHER_RESET, o.GATHER_TABLES, o.GATHER_PAGES, o.GATHER_PART, o.GATHER_REST,
    o.JUMP_FLAGS, o.JUMP_CLEARED, o.CLEAR_FLAGS,
    o.NESTED, o.SET_FLAGS, o.COPY_RANGE, o.UNSHARE, o.FLUSH_BEGIN, o.JUMP_EMPTY, o.JUMP_STRIDES,
})  # fmt: skip
_USES_A = frozenset({o.NEXT, o.JUMP_ZERO, o.JUMP_EQUAL, o.JUMP_NO_BITS, o.ADD, o.JUMP_SAME})
_USES_B = frozenset({o.PICK, o.READ_TABLE, o.V_CAS, o.COPY, o.JUMP_SAME})
_DEFINES_A = frozenset({o.LOAD_PUD, o.SET, o.READ_TABLE, o.V_LOAD, o.ACCESS, o.COPY})
_DEFINES_C = frozenset({o.V_ADD, o.V_XCHG})
_LOCKS = frozenset({o.LOCK_READ, o.LOCK_WRITE, o.UNLOCK_READ, o.UNLOCK_WRITE, o.TRY_WRITE})
_BY_SLOT = 2  # a lock step's b: the lock is that of the table of register SLOT


@attrs.frozen(eq=False)
class Flow:
    """What exploration has to know of each step of a program.

    Args:
        local: uint8, shape (n,): 1 if the step is local.
        dead: int64, shape (n,): registers (bit r), gathers (bit REGISTERS + g) and queued
            pages (bit QUEUED) whose values no later step reads.
    """

    local: npt.NDArray[np.uint8]
    dead: npt.NDArray[np.int64]


class Text:
    """What is known of a program by its text alone; worked out once, however often the program is looked at.

    Args:
        code: the program.
    """

    def __init__(self, code: Code) -> None:
        cells = code.steps.tolist()
        #: Operation and operands of each step.
        self.steps: list[tuple[int, ...]] = [tuple(cells[at : at + 5]) for at in range(0, len(cells), 5)]
        #: The steps that can come after each step.
        self.after = [successors(step, pc) for pc, step in enumerate(self.steps)]
        #: What others have found out and want to find again, by what it depends on.
        self.memory: dict[Any, Any] = {}


_texts: WeakKeyDictionary[Code, Text] = WeakKeyDictionary()


def text_of(code: Code) -> Text:
    """Return what is known of a program by its text."""
    text = _texts.get(code)
    if text is None:
        text = _texts[code] = Text(code)
    return text


def successors(step: tuple[int, ...], pc: int) -> list[int]:
    """List the steps that can come after a step."""
    op = step[0]
    found = [] if op in _ENDS else [pc + 1]
    if op in LABELS:
        found.append(step[1 + LABELS[op]])
    return found


def index_of(step: Iterable[int]) -> int:
    """Say which register, plus one, counts from a step's variable to the one that is meant; 0 if none does."""
    op, _, _, c, d = step
    return c if op == o.V_LOAD else d if op in (o.V_STORE, o.V_ADD) else 0


def reads_and_writes(step: Iterable[int]) -> tuple[int, int]:
    """Say which registers and gathers a step reads, and which it overwrites whatever they held, as two masks."""
    op, a, b, c, d = step
    reads = writes = 0
    if op in _USES_SLOT or (op in _LOCKS and b == _BY_SLOT):
        reads |= 1 << o.SLOT
    if op in _USES_CLASS:
        reads |= 1 << o.CLASS
    if op in _USES_GATHER:
        reads |= 1 << (_GATHERS + a)
    if op in _USES_A:
        reads |= 1 << a
    if op in _USES_B or (op == o.V_STORE and c) or (op == o.V_XCHG and d) or (op == o.ON_MM and b >= 0):
        reads |= 1 << b
    if op == o.V_CAS:
        reads |= 1 << c
    if index := index_of(step):
        reads |= 1 << (index - 1)
    if op in _PAGES:
        reads |= 1 << QUEUED
        if op == o.GATHER_PAGES:
            writes |= 1 << o.SCRATCH
        else:
            reads |= 1 << o.SCRATCH
    if (op == o.GATHER and a != _LAST) or (op == o.REQUEST and a == _LAST):
        writes |= 1 << (_GATHERS + a)
    if op == o.GATHER and a == 0:
        writes |= 1 << QUEUED
    if op == o.COPY_RANGE:
        writes |= 1 << (_GATHERS + 2)
    if op in _DEFINES_A:
        writes |= 1 << a
    if op in _DEFINES_C:
        writes |= 1 << c
    if op == o.PICK:
        writes |= 1 << o.SLOT
    if op == o.SHARE:
        writes |= 1 << o.SCRATCH
    return reads, writes


def flow_of(code: Code, quiet: list[int]) -> Flow:
    """Work out what is dead before each step: backwards, until nothing changes.

    Args:
        code: the program.
        quiet: for each step, whether it is local; see `footprint.quiet_steps`.
    """
    text = text_of(code)
    if "dead" not in text.memory:
        text.memory["dead"] = _dead(text)
    return Flow(local=np.array(quiet, np.uint8), dead=text.memory["dead"])


def _dead(text: Text) -> npt.NDArray[np.int64]:
    n = len(text.steps)
    touched = [reads_and_writes(step) for step in text.steps]
    live = [0] * n
    changed = True
    while changed:
        changed = False
        for pc in range(n - 1, -1, -1):
            reads, writes = touched[pc]
            out = 0
            for then in text.after[pc]:
                out |= live[then]
            now = reads | (out & ~writes)
            if now != live[pc]:
                live[pc] = now
                changed = True
    everything = (1 << THINGS) - 1
    return np.array([everything & ~mask for mask in live], np.int64)
