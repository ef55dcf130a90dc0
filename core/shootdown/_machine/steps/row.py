"""The rows of the table of steps."""

from __future__ import annotations

from enum import Enum

import attrs

from shootdown._machine import ops
from shootdown._machine.steps.cells import Cell, When


class Kind(Enum):
    """The kind of an operand; the value is its description in the builders' docstrings."""

    VALUE = "a number"
    TRUTH = "true or false"
    LABEL = "a place in the program"
    READ = "a register that is read"
    WRITTEN = "a register that is overwritten"
    CHANGED = "a register that is read and may be overwritten"
    READ_IF = "a number, or a register that is read if the operand `by` says so"
    READ_OR_NONE = "a register that is read, or -1 for none"
    INDEX = "a register that is added to a variable's number, plus one; 0 for none"
    GATHER = "0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather"
    FLAGS = "flags of a gather"
    CLEARED = "levels at which entries were cleared"
    HOW = "how FLUSH_BEGIN counts (`ops.ROUNDED` and the other flags)"
    SCOPE = "what a flush drops"
    CALL = "a call"
    TASK = "a task"
    EVENT = "an event"
    CPU = "a CPU"
    MM = "an mm"
    LOCK = "the first lock of its kind"
    LOCK_INDEX = "0: that lock; 1: the lock of the mm; 2: the lock of the table of register SLOT"
    CLASS = "a class of tables"
    VARIABLE = "a variable, or the first of an array"
    ENTRY = "a single page-table entry"
    ATOM = "an atom: a range of addresses that the program treats alike"
    INVARIANT = "an invariant"
    PLACE = "the number of a place"
    WINDOW = "a counting window"
    SECTION = "an i_mmap_rwsem"
    LIST = "where a list begins"
    INSTRUCTION = "an instruction's number"
    COST = "a cost's number, or -1"


#: A lock step's index: the lock of the task's mm, the lock of the table of register SLOT.
BY_MM, BY_TABLE = 1, 2


@attrs.frozen
class Operand:
    """One operand of a step, as builders take it.

    Args:
        name: the builder's parameter.
        kind: its kind.
        says: its description for readers; empty where name and kind are enough.
        default: the builder's default; None: the parameter is required.
        above: it shares a number of the step with the operand before it, shifted left by this many bits.
        by: for `READ_IF`, the operand that says whether it is a register.
        unused: nothing reads it; a builder writes 0.
        least, most: of a number, the smallest and the largest that mean something; None: what a cell holds, as it is
            written to one.
    """

    name: str
    kind: Kind = Kind.VALUE
    says: str = ""
    default: int | None = None
    above: int = 0
    by: str = ""
    unused: bool = False
    least: int = 0
    most: int | None = None


#: The largest number of an operand that no cell gets.
FREE = 1 << 62

#: A number of a step that nothing reads.
UNUSED = Operand("", unused=True)


class Whose(Enum):
    """Which instance of a kind of thing a step touches."""

    ON = "that of the mm that the task's kernel work concerns"
    CPU = "that of the task's CPU"
    ANY = "any"
    ONE = "there is but one"
    LOCK = "the lock that the operands name"
    VARIABLE = "the variable that an operand names"


@attrs.frozen
class Shared:
    """Something that a step touches and that others could touch too; exploration uses it to find local steps.

    Args:
        what: its kind, such as `pud` or `lock`.
        whose: which instance.
        writes: the step may change it.
        when: only for some values of an operand.
    """

    what: str
    whose: Whose
    writes: bool = False
    when: When | None = None


class Use(Enum):
    """What a step does with a lock."""

    TAKE = "takes it, or waits"
    TRY = "takes it, or goes on elsewhere"
    RELEASE = "releases it"


class Clock(Enum):
    """How a step affects clocks, queues and books of a timed run, apart from its cost."""

    NOTHING = "nothing"
    NOTED = "it changes only the books: the order of CPUs stays as it is"
    ACTS = "it changes clocks or queues"
    SPENDS = "it changes clocks or queues, and takes a time that is known only then"


@attrs.frozen(kw_only=True)
class Row:
    """One step.

    Args:
        name, number: as in `ops`.
        does: what it does: one sentence, which begins the builder's docstring.
        operands: up to four numbers `a b c d`; see `Operand.above`.
        reads, writes: cells of the state, apart from registers that operands name; every step also reads its task's
            step, CPU and mm (`COMMON`), and writes the task's step.
        touches: the things that it touches and that other tasks or agents could touch too.
        lock, for_writing: what it does with a lock, and whether that lock is held for writing.
        local: no other task or agent can observe when it happens, in any program.
        decides: which moves are possible next depends on it: never local.
        awaits: it waits for something that stays true once it is: local as soon as it can be taken.
        enables: its only effect on others is to make their moves possible.
        switches: a CPU may be lazy, or run another mm, after it.
        ends: the program does not go on with the next step.
        over: a task whose next step this is has finished.
        targets: `all` if it targets CPUs whichever mm they have loaded, `mm` if it targets those of an mm, `sent` if
            the choice of targets is over, `left out` if it leaves preempted vCPUs out.
        words: its description in stories if the program gives it none; `{}` is its variable.
        tells: what a story adds from registers or the gather; see `_explore.changes`.
        aside: it is bookkeeping of the model; stories leave it out.
        primitive: how `_explore.mutate` takes it out of a program, to see whether a verdict depends on it: `lock` and
            `mask` together with the other steps of the same name, `alone` each by itself.
        uses: it uses a TLB's translation (`entry`, `table`) or walks without locks (`walk`), so that a missing flush or
            sync matters to it.
        clock: how it affects a timed run.
        varies: its time is ordinary work, to which jitter is added.
        asks_time: the time is written into the state before it.
        counts: counters that it may raise, apart from those of calls that it sends and of instructions.
        builder: the name of its builder; empty if the assembler writes it itself.
        text: the builder's default for `text`.
    """

    name: str
    does: str
    operands: tuple[Operand, ...] = ()
    reads: tuple[Cell, ...] = ()
    writes: tuple[Cell, ...] = ()
    touches: tuple[Shared, ...] = ()
    lock: Use | None = None
    for_writing: bool = False
    local: bool = False
    decides: bool = False
    awaits: bool = False
    enables: bool = False
    switches: bool | When = False
    ends: bool = False
    over: bool = False
    targets: str = ""
    words: str = ""
    tells: str = ""
    aside: bool | When = False
    primitive: str = ""
    uses: str = ""
    clock: Clock = Clock.NOTHING
    varies: bool = False
    asks_time: bool = False
    counts: tuple[str, ...] = ()
    builder: str = attrs.field()
    text: str = ""

    @builder.default
    def _(self) -> str:
        return self.name.lower()

    @property
    def number(self) -> int:
        """The number of the operation."""
        value: int = getattr(ops, self.name)
        return value

    def place_of(self, name: str) -> int:
        """Return the index of the number that holds an operand: 1 to 4, as 0 is the operation."""
        for place, operand in self.placed():
            if operand.name == name:
                return place
        raise KeyError(f"{self.name} has no operand {name!r}")

    def placed(self) -> list[tuple[int, Operand]]:
        """List the operands, each with the index of the number that holds it."""
        found, place = [], 0
        for operand in self.operands:
            place += not operand.above
            found.append((place, operand))
        return found

    def first(self, *kinds: Kind) -> int:
        """Return the index of the number that holds the first operand of some kinds; 0 if none does."""
        return next((place for place, operand in self.placed() if operand.kind in kinds), 0)
