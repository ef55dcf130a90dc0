"""What a row of the table of steps says."""

from __future__ import annotations

from enum import Enum

import attrs

from shootdown._machine import ops
from shootdown._machine.steps.cells import Cell, When


class Kind(Enum):
    """What an operand is; where it matters, how it is written down."""

    VALUE = "a number"
    TRUTH = "yes or no"
    LABEL = "a place in the program"
    READ = "a register that is read"
    WRITTEN = "a register that is overwritten"
    CHANGED = "a register that is read, and perhaps overwritten"
    READ_IF = "a number, or a register that is read if the operand `by` says so"
    READ_OR_NONE = "a register that is read, or -1 for none"
    INDEX = "a register that is added to a variable's number, plus one; 0 for none"
    GATHER = "0 or 1, a gather; 2, the request of a flush that needs none"
    FLAGS = "flags of a gather"
    CLEARED = "levels at which entries were cleared"
    HOW = "how FLUSH_BEGIN counts"
    SCOPE = "what a flush drops"
    CALL = "a call"
    TASK = "a task"
    EVENT = "an event"
    CPU = "a CPU"
    MM = "an mm"
    LOCK = "the first of some locks"
    LOCK_INDEX = "0: that lock; 1: that of the mm; 2: that of the table of register SLOT"
    CLASS = "a class of tables"
    VARIABLE = "a variable, or the first of an array"
    ENTRY = "an entry that stands alone"
    INVARIANT = "an invariant"
    PLACE = "a place that exploration may reach"
    WINDOW = "a counting window"
    SECTION = "an i_mmap_rwsem"
    LIST = "where a list begins"
    INSTRUCTION = "an instruction's number"
    COST = "a cost's number, or -1"


#: A lock step's index: that of the task's mm, that of the table of register SLOT.
BY_MM, BY_TABLE = 1, 2


@attrs.frozen
class Operand:
    """One operand of a step, as builders take it.

    Args:
        name: the builder's parameter.
        kind: what it is.
        says: what it means, for readers; empty where name and kind say all.
        default: what it is if a builder is not told; None: it has to be told.
        above: it shares its number with the operand before it, this many bits above.
        by: for `READ_IF`, the operand that says whether it is a register.
        unused: nothing reads it; a builder writes 0.
    """

    name: str
    kind: Kind = Kind.VALUE
    says: str = ""
    default: int | None = None
    above: int = 0
    by: str = ""
    unused: bool = False


#: A number that nothing reads.
UNUSED = Operand("", unused=True)


class Whose(Enum):
    """Of what a step touches, which one."""

    ON = "that of the mm that the task's kernel work concerns"
    CPU = "that of the task's CPU"
    ANY = "any"
    ONE = "there is but one"
    LOCK = "the lock that the operands name"
    VARIABLE = "the variable that an operand names"


@attrs.frozen
class Shared:
    """Something that a step touches and others could touch too, as exploration tells such things apart.

    Args:
        what: its kind, such as `pud` or `lock`.
        whose: which one.
        writes: it may change.
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
    """What a step is to the clocks, queues and books of a timed run, beyond a cost of its own."""

    NOTHING = "nothing"
    NOTED = "it acts on the books alone: whose turn it is stays as it is"
    ACTS = "it means something to clocks or queues"
    SPENDS = "it acts, and takes time that only then is known"


@attrs.frozen(kw_only=True)
class Row:
    """One step.

    Args:
        name, number: as in `ops`.
        does: what it does: a sentence, the builder's docstring.
        operands: up to four numbers `a b c d`; see `Operand.above`.
        reads, writes: cells of the state, beyond registers that operands name; every step also reads its task's
            step, CPU and mm (`COMMON`), and goes on.
        touches: what it touches that others could touch too.
        lock, for_writing: what it does with a lock, and which hold on it.
        local: nobody else can tell when it happens, whatever the program.
        decides: it decides what can happen next: never local.
        awaits: it waits for something that, once there, stays: local as soon as it can be taken.
        enables: it only makes other moves possible: what depends on them can't happen before it.
        switches: after it a CPU may be lazy, or run another mm.
        ends: the program does not go on with the next step.
        over: a task whose next step this is has nothing left to do.
        targets: `all` if it aims at CPUs whatever they have loaded, `mm` if it aims at those of an mm, `sent` if the
            choice of targets is over, `left out` if it leaves preempted vCPUs out.
        words: what it does, in a story whose program gives it no words; `{}` is its variable.
        tells: what a story adds that only the task can see; see `_explore.changes`.
        aside: it is there for counting or for the model's books; stories leave it out.
        primitive: what a program is without it, for the question whether a verdict depends on it: `lock` and `mask`
            are taken out together with those of the same name, `alone` each for itself.
        uses: a TLB's translation (`entry`, `table`) or a lockless walk (`walk`) that somebody could break.
        clock: what it is to a timed run.
        varies: its time is ordinary work, which varies a little.
        asks_time: the state must be told what time it is first.
        counts: counters that it may raise, beyond those of what it sends and of instructions.
        builder: the name of its builder; empty if the assembler writes it itself.
        text: what the builder says that it does, if it is not told.
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
        """Say which number of a step an operand is in: 1 to 4, as 0 is the operation."""
        for place, operand in self.placed():
            if operand.name == name:
                return place
        raise KeyError(f"{self.name} has no operand {name!r}")

    def placed(self) -> list[tuple[int, Operand]]:
        """List the operands, each with the number of a step that it is in."""
        found, place = [], 0
        for operand in self.operands:
            place += not operand.above
            found.append((place, operand))
        return found

    def first(self, *kinds: Kind) -> int:
        """Say which number of a step holds the first operand of some kinds; 0 if none does."""
        return next((place for place, operand in self.placed() if operand.kind in kinds), 0)
