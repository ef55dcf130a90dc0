"""Write programs: what a task does, step by step, and which kernel function each step stands for.

The kernel model and the architectures' flush lowerings write with the same assembler. Branches are context
managers, so that a lowering reads like the code that it describes:

    with asm.function("flush_tlb_mm_range", "arch/x86/mm/tlb.c"):
        asm.begin_flush(g, ceiling=33)
        asm.target_mm_cpumask()
        with asm.if_targets() as branch:
            asm.send_flush_ipis()
            asm.wait_for_answers()
            branch.otherwise()
            asm.flush_this_cpu()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

import attrs

from shootdown._compilation.announcing import tick
from shootdown._machine import ops as o
from shootdown._machine.builders import Builders
from shootdown._machine.checks import as_written, cost_number
from shootdown._machine.fields import PlacedField
from shootdown._machine.functions import Functions
from shootdown._machine.label import Label
from shootdown._values.errors import ShootdownError, shown
from shootdown._values.patch import Field
from shootdown._values.sites import Site, caller, mistake

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from shootdown._values.patch import AppliedPatch


#: The most steps of the programs of one machine: they take some 600 bytes each.
MOST_STEPS = 4_000_000
_OFTEN = 1024  # steps between two signs of life


class StepNote(NamedTuple):
    """What reports and stories say about one step.

    Args:
        function: the kernel function that the step belongs to, or what it does outside of one.
        where: its source file.
        cause: the cause that its IPIs and invalidations are counted under, such as `TLB flush`.
        text: what the step does, in a few words.
        path: the kernel functions around it, outermost first; the last one is `function`.
        reasons: the causes around it, outermost first, such as `("exit", "TLB flush")`.
        aside: it is bookkeeping of the model; stories leave it out.
    """

    function: str
    where: str
    cause: str
    text: str
    path: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    aside: bool = False


class Derived(NamedTuple):
    """Steps that were not written but derived: the `size` steps before them, again and again, with other numbers.

    Each number grows by the same amount each time, from what was written before to what was written after them.

    Args:
        start, end: the first of them, and the one behind the last.
        size: how many there are of one time.
    """

    start: int
    end: int
    size: int


@attrs.frozen(eq=False)
class Code:
    """Finished programs: all steps in one array, with the cost and the note of each.

    Args:
        steps: shape (n * 5,), int64.
        lists: the lists that PICK reads, int64.
        cost: shape (n,), the index of each step's cost in `COST_NAMES`; -1 for none.
        cause: shape (n,), index into `causes`.
        notes: one for each step.
        causes: the names of the causes.
        instructions: the names of the instructions that EXECUTE counts, by number.
        sites: the line that wrote each step; None where shootdown itself did.
        functions: the names of the kernel functions that were called by name, which a patch could replace.
        derived: which steps were derived, in their order.
    """

    steps: npt.NDArray[np.int64]
    lists: npt.NDArray[np.int64]
    cost: npt.NDArray[np.int64]
    cause: npt.NDArray[np.int64]
    notes: tuple[StepNote, ...]
    causes: tuple[str, ...]
    instructions: tuple[str, ...] = ()
    sites: tuple[Site | None, ...] = ()
    functions: frozenset[str] = frozenset()
    derived: tuple[Derived, ...] = ()


def _text(builder: str, text: object) -> None:
    if not isinstance(text, str):
        raise mistake(f"{builder} takes the name of the lock in words, not {text!r:.40}")


def _numbers(step: list[int | Label]) -> TypeGuard[list[int]]:
    """Whether no operand is a label."""
    return Label not in map(type, step)


class Branch:
    """The two arms of a condition."""

    def __init__(self, asm: Assembler) -> None:
        self._asm = asm
        self.unless = Label()
        self._end: Label | None = None

    def otherwise(self) -> None:
        """End the first arm and begin the second."""
        if self._end is not None:
            raise mistake("otherwise() is called twice: a branch has two arms")
        self._end = Label()
        self._asm.jump(self._end)
        self._asm.place(self.unless)

    def close(self) -> None:
        """End the condition."""
        self._asm.place(self._end if self._end is not None else self.unless)


class Assembler(Builders):
    """Collect the steps of all programs of one machine.

    `Builders` has a method for each step. The methods here are the structure of a program (functions, causes, labels)
    and convenient forms: context managers for branches and loops, keywords instead of flag bits.

    Args:
        patch: what replaces some kernel functions.

    `functions` is the table through which kernel functions are called.
    """

    def __init__(self, patch: AppliedPatch | None = None) -> None:
        self.functions = Functions(patch)
        self._steps: list[list[int | Label]] = []
        self._sites: list[Site | None] = []
        self._open: list[tuple[str, Site | None]] = []
        self._lists: list[int] = []
        self._list_ends: list[int] = []
        self._cost: list[int] = []
        self._cause: list[int] = []
        self._notes: list[StepNote] = []
        self._causes: list[str] = ["none"]
        self._instructions: list[str] = []
        self._where = ("", "")
        self._why = "none"
        self._path: tuple[str, ...] = ()
        self._reasons: tuple[str, ...] = ()
        self._aside = False
        self._scope: int | None = None
        self._derived: list[tuple[Derived, npt.NDArray[np.int64]]] = []

    # --- the frame of a program

    @property
    def here(self) -> int:
        """The number of the next step."""
        return len(self._steps)

    def emit(
        self,
        op: int,
        a: int | Label = 0,
        b: int | Label = 0,
        c: int | Label = 0,
        d: int | Label = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write one step by its number (`ops`) and its raw operands: the form of `api=1`, which stays supported.

        The step's own method does the same by name: `asm.set_flags(g, ops.FREED_TABLES)` is
        `asm.emit(ops.SET_FLAGS, g, ops.FREED_TABLES)`.
        """
        self._write(op, a, b, c, d, cost=cost, text=text)

    def _write(
        self,
        op: int,
        a: int | Label = 0,
        b: int | Label = 0,
        c: int | Label = 0,
        d: int | Label = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write one step: an operation, its operands, its cost, and a description for stories."""
        if not len(self._steps) % _OFTEN:
            tick()
            self.expect(len(self._steps))
        if self._scope is not None:
            if op == o.SEND and a in o.INVALIDATING_CALLS:
                b = self._scope
            elif op == o.FLUSH_SELF:
                a = self._scope
        step, bad = as_written(op, (a, b, c, d))
        number, unknown = cost_number(cost)
        if bad or unknown or not isinstance(text, str):
            raise mistake(bad or unknown or f"the text of a step is words, not {text!r:.40}")
        self._steps.append(step)
        self._sites.append(caller())
        self._cost.append(number)
        if self._why not in self._causes:
            self._causes.append(self._why)
        self._cause.append(self._causes.index(self._why))
        self._notes.append(StepNote(*self._where, self._why, text, self._path, self._reasons, self._aside))

    def expect(self, steps: int) -> None:
        """Refuse to write so many steps.

        Raises:
            ShootdownError: they are more than `MOST_STEPS`.
        """
        if steps > MOST_STEPS:
            raise ShootdownError(
                f"the programs have more than {MOST_STEPS:,} steps, which fill the memory: ask for fewer processes, "
                "calls, VMAs or passes"
            )

    def _derive(self, rows: npt.NDArray[np.int64], size: int) -> None:
        """Write the last `size` steps again, several times, with other operands.

        Args:
            rows: operations and operands, shape (times * size, 5).
            size: how many steps there are of one time.
        """
        start, times = self.here, len(rows) // size
        self._derived.append((Derived(start, start + len(rows), size), rows))
        for known in (self._steps, self._sites, self._cost, self._cause, self._notes):
            known.extend(known[start - size :] * times)  # type: ignore[arg-type]

    def _cut(self, end: int) -> None:
        """Forget the steps from `end` on."""
        for known in (self._steps, self._sites, self._cost, self._cause, self._notes):
            del known[end:]
        self._derived = [pair for pair in self._derived if pair[0].end <= end]

    def place(self, label: Label) -> None:
        """Place a label at the next step.

        Raises:
            ShootdownError: it is no label, or it was placed before.
        """
        if not isinstance(label, Label):
            raise mistake(f"{label!r:.40} is no label: model.label() makes one")
        if label.at >= 0:
            raise mistake(
                f"a label is placed twice: first before step {label.at}, now before step {self.here}"
            )
        label.at, label.owner = self.here, self

    def add_list(self, values: list[int]) -> int:
        """Store a list for `pick`; return its base.

        Raises:
            ShootdownError: it is empty, or holds something else than whole numbers from zero on.
        """
        base = len(self._lists)
        numbers = list(values)
        if not numbers or not all(isinstance(value, int) and 0 <= value < 1 << 31 for value in numbers):
            raise mistake(
                f"a list for pick() holds whole numbers from 0 on, one at least, not {numbers!r:.60}"
            )
        self._lists.extend(numbers)
        self._list_ends.append(len(self._lists))
        return base

    @contextmanager
    def function(self, name: str, where: str = "") -> Iterator[None]:
        """Name the kernel function, and its file, that the steps within belong to."""
        if not isinstance(name, str) or not isinstance(where, str):
            raise mistake(
                f"function() takes the names of a function and a file, not {name!r:.40}, {where!r:.40}"
            )
        before, path = self._where, self._path
        self._where, self._path = (name, where or before[1]), (*path, name)
        with self._within(f"function({name!r})"):
            yield
        self._where, self._path = before, path

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Mark the steps within as bookkeeping of the model: stories leave them out."""
        before = self._aside
        self._aside = True
        yield
        self._aside = before

    @contextmanager
    def because(self, cause: str) -> Iterator[None]:
        """Name the cause that the IPIs and invalidations within are counted under."""
        if not isinstance(cause, str):
            raise mistake(f"because() takes a cause in words, not {cause!r:.40}")
        before, reasons = self._why, self._reasons
        self._why, self._reasons = cause, (*reasons, cause)
        yield
        self._why, self._reasons = before, reasons

    @contextmanager
    def dropping(self, scope: int | None) -> Iterator[None]:
        """Let every flush within drop exactly what `scope` says, for what-ifs; None changes nothing."""
        before = self._scope
        self._scope = before if scope is None else scope | o.SCOPE_FORCED
        yield
        self._scope = before

    def finish(self) -> Code:
        """Resolve all labels and return the finished programs.

        Raises:
            ShootdownError: a label was never placed, or a `with` block of the assembler is still open.
        """
        import numpy as np  # imported here: every plugin imports this module, and listing plugins needs no numpy

        for what, site in self._open:
            raise mistake(f"the programs end within a `with` block: {what} is still open", site)
        parts, at = [], 0
        for derived, rows in self._derived:
            parts += [np.array(self._resolved(at, derived.start), np.int64), self._with_rests(rows).ravel()]
            at = derived.end
        parts.append(np.array(self._resolved(at, self.here), np.int64))
        return Code(
            steps=np.concatenate(parts),
            lists=np.array(self._lists or [0], np.int64),
            cost=np.array(self._cost, np.int64),
            cause=np.array(self._cause, np.int64),
            notes=tuple(self._notes),
            causes=tuple(self._causes),
            instructions=tuple(self._instructions),
            sites=tuple(self._sites),
            functions=frozenset(self.functions.reached),
            derived=tuple(derived for derived, _ in self._derived),
        )

    def _resolved(self, start: int, end: int) -> list[int]:
        """Return operations and operands of steps that were written, with numbers in the place of labels."""
        flat: list[int] = []
        for n in range(start, end):
            step = self._steps[n]
            if step[0] != o.PICK and _numbers(step):
                flat += step
                continue
            for operand in step:
                value = operand.at if isinstance(operand, Label) else operand
                if isinstance(operand, Label) and value < 0:
                    raise mistake(
                        "a label is used, and never placed: place(label) says where it is", self._sites[n]
                    )
                if isinstance(operand, Label) and operand.owner is not self:
                    raise mistake("a label is used that was placed in another model", self._sites[n])
                flat.append(value)
            if step[0] == o.PICK:
                flat[-2] = self._rest_of_list(int(flat[-4]))
        return flat

    def _with_rests(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Write how long lists are into the steps that read them."""
        for at in (rows[:, 0] == o.PICK).nonzero()[0].tolist():
            rows[at, 3] = self._rest_of_list(int(rows[at, 1]))
        return rows

    def _rest_of_list(self, base: int) -> int:
        """Say how many numbers of a list there are from a place on; 0 if there is no such place."""
        return next((end - base for end in self._list_ends if base < end), 0)

    @contextmanager
    def _within(self, what: str) -> Iterator[None]:
        """Remember that a `with` block is open."""
        self._open.append((what, caller()))
        try:
            yield
        finally:
            self._open.pop()

    # --- control

    def note(
        self,
        what: int,
        times: int = 1,
        section: int = 0,
        *,
        c: int = 0,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Record an occurrence in the ledger that no other step shows, such as a printed warning.

        Args:
            what: `ops.NOTE_*`.
            times: the number of occurrences; for `NOTE_SECTION`, 1 opens and 0 closes it.
            section: for `NOTE_SECTION`, its i_mmap_rwsem.
            c: the first name of `section`, which plugins of api 1 may use.
            cost: the name of the platform's cost.
            text: what the step does, for stories.
        """
        super().note(what, times, section or c, cost=cost, text=text)

    def work(self, cost: str, times: int = 1, text: str = "") -> None:
        """Let time pass."""
        self._write(o.WORK, 0, times, cost=cost, text=text)

    def execute(
        self,
        name: str,
        times: int = 1,
        per: int = o.PER_REQUEST,
        *,
        broadcasts: bool = False,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Execute an instruction that results count by name (`tlbi_vae1is`), `times` times for each unit of `per`.

        Args:
            name: as results show it.
            times: how many; multiplied by what `per` says (`ops.PER_*`).
            per: the unit (`ops.PER_*`): the whole request, each stride of it, each digit of a range operation.
            broadcasts: each one invalidates on all CPUs; the `send` that follows then counts no broadcasts itself.
            cost: the name of the platform's cost of one.
            text: what the step does, for stories.
        """
        if not isinstance(name, str) or not name:
            raise mistake(f"execute() takes the name of an instruction, not {name!r:.40}")
        if name not in self._instructions:
            self._instructions.append(name)
        price, unknown = cost_number(cost)
        if unknown:
            raise mistake(unknown)
        per |= o.BROADCASTS if broadcasts else 0
        self._write(o.EXECUTE, self._instructions.index(name), times, per, price, text=text or name)

    @contextmanager
    def loop(self, count: int, register: int = o.INDEX) -> Iterator[None]:
        """Repeat the steps within `count` times; the register counts from 0."""
        start = Label()
        self.set(register, 0)
        self.place(start)
        with self._within("loop()"):
            yield
        self.next(register, count, start)

    @contextmanager
    def _branch(self, leave: Callable[[Label], None]) -> Iterator[Branch]:
        """Run the steps within unless `leave`, a step with a label, goes to the other arm."""
        branch = Branch(self)
        leave(branch.unless)
        with self._within("a branch"):
            yield branch
        branch.close()

    def if_flags(self, g: int, flags: int) -> AbstractContextManager[Branch]:
        """Run the steps within if the gather has one of the flags."""
        return self._branch(lambda unless: self.jump_flags(g, flags, unless))

    def if_cleared(self, g: int, flags: int = 0) -> AbstractContextManager[Branch]:
        """Run the steps within if the gather recorded a cleared entry or has one of the flags."""
        return self._branch(lambda unless: self.jump_cleared(g, flags, unless))

    def if_nonzero(self, register: int) -> AbstractContextManager[Branch]:
        """Run the steps within if the register is not zero."""
        return self._branch(lambda unless: self.jump_zero(register, unless))

    def if_equal(self, register: int, value: int) -> AbstractContextManager[Branch]:
        """Run the steps within if the register has a value."""
        return self._branch(
            lambda unless: self._unless(lambda same: self.jump_equal(register, value, same), unless)
        )

    def if_same(self, register: int, other: int) -> AbstractContextManager[Branch]:
        """Run the steps within if two registers are equal."""
        return self._branch(
            lambda unless: self._unless(lambda same: self.jump_same(register, other, same), unless)
        )

    def _unless(self, stay: Callable[[Label], None], unless: Label) -> None:
        """Jump to a label unless `stay`, a step with a label, goes on here."""
        here = Label()
        stay(here)
        self.jump(unless)
        self.place(here)

    def if_shared(self) -> AbstractContextManager[Branch]:
        """Run the steps within if other processes map the table of register CLASS too."""
        return self._branch(self.jump_exclusive)

    def if_targets(self) -> AbstractContextManager[Branch]:
        """Run the steps within if the flush has any target."""
        return self._branch(self.jump_no_target)

    def if_targets_at_least(self, count: int) -> AbstractContextManager[Branch]:
        """Run the steps within if the flush has at least `count` targets."""
        return self._branch(lambda unless: self.jump_targets_below(count, unless))

    def if_alone(self) -> AbstractContextManager[Branch]:
        """Run the steps within if the flushed mm is this task's and no other task uses it."""
        return self._branch(self.jump_not_alone)

    def if_mm_dead(self) -> AbstractContextManager[Branch]:
        """Run the steps within if no task uses the flushed mm any more: mm_users is 0, as in exit_mmap()."""
        return self._branch(self.jump_not_dead)

    def if_own_mm(self) -> AbstractContextManager[Branch]:
        """Run the steps within if the flushed mm is this task's."""
        return self._branch(self.jump_not_own)

    def if_in_mm_cpumask(self) -> AbstractContextManager[Branch]:
        """Run the steps within if this CPU is in the mm's mm_cpumask."""
        return self._branch(self.jump_not_masked)

    def if_time_to_trim(self, period: int) -> AbstractContextManager[Branch]:
        """Run the steps within each `period`-th time that this CPU comes here."""
        return self._branch(lambda unless: self.jump_not_due(period, unless))

    def if_loaded_here(self) -> AbstractContextManager[Branch]:
        """Run the steps within if this CPU has the mm loaded."""
        return self._branch(self.jump_not_loaded)

    def if_global_asid(self) -> AbstractContextManager[Branch]:
        """Run the steps within if the mm has a global ASID."""
        return self._branch(self.jump_not_global)

    def if_in_transition(self) -> AbstractContextManager[Branch]:
        """Run the steps within if the mm is moving to its global ASID."""
        return self._branch(self.jump_not_transition)

    def if_more_strides(self, g: int, strides: int) -> AbstractContextManager[Branch]:
        """Run the steps within if the gather's range has more than `strides` strides."""
        return self._branch(lambda unless: self.jump_strides(g, strides, unless))

    def if_not_empty(self, g: int) -> AbstractContextManager[Branch]:
        """Run the steps within if the gather's range is not empty."""
        return self._branch(lambda unless: self.jump_empty(g, unless))

    def if_flush_pending(self) -> AbstractContextManager[Branch]:
        """Run the steps within if mm_tlb_flush_pending(): a gather of this mm has begun and not finished."""
        return self._branch(self.jump_not_pending)

    def if_bits(self, register: int, mask: int) -> AbstractContextManager[Branch]:
        """Run the steps within if the register has one of the bits."""
        return self._branch(lambda unless: self.jump_no_bits(register, mask, unless))

    def if_ranged(self) -> AbstractContextManager[Branch]:
        """Run the steps within if the flush that has begun flushes a range, not everything."""
        return self._branch(self.jump_whole)

    # --- locks

    def lock(self, first: int, *, index: int = 0, write: bool, sleeps: bool, text: str) -> None:
        """Take a lock for reading or writing; wait while it is held."""
        _text("lock()", text)
        take = self.lock_write if write else self.lock_read
        take(first, index=index, sleeps=sleeps, cost="lock_ns", text=f"take {text}")

    def if_locked(self, first: int, *, index: int = 0, text: str) -> AbstractContextManager[Branch]:
        """Take a lock for writing and run the steps within; the other arm runs if the lock is held."""
        return self._branch(
            lambda unless: self.try_write(first, unless, index=index, text=f"try to take {text}")
        )

    def unlock(self, first: int, *, index: int = 0, write: bool, text: str) -> None:
        """Release a lock; the first waiters get it."""
        _text("unlock()", text)
        release = self.unlock_write if write else self.unlock_read
        release(first, index=index, text=f"release {text}")

    # --- a flush, as architectures lower it

    def begin_flush(
        self,
        g: int,
        *,
        ceiling: int,
        pages: int = 0,
        rounded: bool = False,
        in_pages: bool = False,
        tracked: bool = True,
        stride: int = 0,
        everything: bool = False,
        one_size: bool = False,
        pmd_too: bool = False,
        text: str = "new tlb_gen; decide how much to flush",
    ) -> None:
        """Start the flush of gather `g`: everything if its range is too long.

        Args:
            g: the gather.
            ceiling: the most strides that are flushed one by one; a longer range becomes a full flush.
            pages: likewise the most base pages; 0 for no limit.
            rounded: the range is rounded outwards to whole strides first.
            in_pages: the rest of the flush counts base pages, not strides.
            tracked: CPUs that the flush does not reach catch up by tlb_gen; False on architectures without tlb_gen.
            stride: `BASE_STRIDES` or `PMD_STRIDES` for a fixed stride; `PAIR_STRIDES` where one TLB entry translates
                an even page and the odd one after it (LoongArch, MIPS): the range is rounded to pairs, and each stride
                is one; 0: the stride of the level that was cleared.
            everything: all of the mm goes, whatever the gather recorded (flush_tlb_mm()).
            one_size: the instructions name a page size: translations of pages of another size than the stride stay.
            pmd_too: those of whole PMD entries are invalidated besides.
            text: what the step does, for stories.
        """
        for what, number, least in (("ceiling", ceiling, -1), ("pages", pages, 0), ("stride", stride, 0)):
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise mistake(f"begin_flush(): {what} is {number!r:.40}: a whole number from {least} on")
        page_of_huge = o.BASE_STRIDES | o.PMD_STRIDES  # one address, whatever the size of the page there
        if stride not in (0, o.BASE_STRIDES, o.PMD_STRIDES, o.PAIR_STRIDES, page_of_huge):
            raise mistake(
                f"begin_flush(): stride is {stride}: one of ops.BASE_STRIDES, PMD_STRIDES and PAIR_STRIDES, or 0 for "
                "that of the level that was cleared"
            )
        how = (o.ROUNDED if rounded else 0) | (o.IN_PAGES if in_pages else 0) | stride
        how |= (0 if tracked else o.UNTRACKED) | (o.EVERYTHING if everything else 0)
        how |= (o.ONE_SIZE if one_size else 0) | (o.PMD_TOO if pmd_too else 0)
        self.flush_begin(g, ceiling, pages, how, cost="flush_ns", text=text)

    def target_mm_cpumask(self, *, with_self: bool = False) -> None:
        """Target the CPUs in mm_cpumask, without this one unless `with_self`."""
        self.target_mm(with_self=with_self, text="targets: mm_cpumask")

    def target_all_online(self) -> None:
        """Target all other online CPUs."""
        self.target_online(text="targets: all online CPUs")

    def drop_lazy_targets(self) -> None:
        """Leave out targets in lazy TLB mode."""
        self.target_not_lazy(text="leave lazy CPUs out")

    def drop_targets_not_loaded(self) -> None:
        """Leave out targets that have another mm loaded, unless mm_cpumask is due for trimming."""
        self.target_loaded(text="leave out CPUs that loaded another mm")

    def flag_preempted_targets(self) -> None:
        """Request a flush on guest entry from preempted vCPUs (KVM_VCPU_FLUSH_TLB), and leave them out."""
        self.target_running(text="preempted vCPUs flush when they enter")

    def keep_walking_targets(self) -> None:
        """Keep only targets that are inside a lockless walk of this mm."""
        self.target_walkers(text="keep CPUs inside a lockless walk of this mm")

    def send_flush_ipis(self, scope: int = o.SCOPE_BOTH) -> None:
        """Send the flush IPI to the targets; ranged flushes drop what `scope` says."""
        self.send(o.CALL_FLUSH, scope, text="IPI: flush_tlb_func")

    def wait_for_answers(self, text: str = "wait for all targets") -> None:
        """Wait until all targets have answered."""
        self.wait(text=text)

    def complete(self, text: str) -> None:
        """Wait until broadcast invalidations have completed everywhere (TLBSYNC, DSB, tlbsync)."""
        self.wait(text=text)
        self.note(o.NOTE_COMPLETION, text=text)

    def flush_this_cpu(self, scope: int = o.SCOPE_BOTH) -> None:
        """Flush on this CPU as a target would."""
        self.flush_self(scope, text="flush_tlb_func on this CPU")

    def flush_here(self, scope: int = o.SCOPE_BOTH, *, text: str = "this CPU invalidates") -> None:
        """Invalidate on this CPU what `scope` says of the flush that has begun, whichever mm it has loaded.

        Args:
            scope: `ops.SCOPE_*`: TLB entries, walk-cache entries, or both.
            text: what the step does, for stories.
        """
        self.flush_self(scope, forced=1, text=text)

    def leave_mm_cpumask(
        self, *, here: bool = False, text: str = "CPUs that do not run the mm leave its mm_cpumask"
    ) -> None:
        """Take the CPUs that do not have the mm loaded, lazily or not, out of its mm_cpumask.

        They are reached by no later flush of the mm until they load it again. What they still hold has to be dropped by
        then: by this flush, or by one that they catch up with (`begin_flush(tracked=True)`).

        Args:
            here: this CPU alone.
            text: what the step does, for stories.
        """
        self.leave_mask(here, text=text)

    def field(self, name: str, *, by: str = "mm", first: int = 0) -> PlacedField:
        """Return a variable that the architecture keeps, such as s390's `mm->context.flush_mm`.

        Args:
            name: its name, in stories too; the same name is the same variable.
            by: whose it is: one of each `mm`, of each `cpu`, or of the `machine`.
            first: its value when the run begins.

        Returns:
            What writes the steps: `store()`, `load()`, `add()`, `if_equal()`, and `keep_targets()` of one by CPU.
        """
        if self.functions.fields is None:
            raise mistake(f"field {shown(name)}: this assembler writes for no model")
        try:
            declared = Field(name, by, first)
        except ValueError as error:
            raise mistake(str(error)) from None
        return self.functions.fields.declared(declared, self)

    def invalidate_this_cpu(self, scope: int, *, text: str) -> None:
        """Invalidate on this CPU what `scope` says, whichever mm it has loaded."""
        self.flush_self(scope, forced=1, text=text)

    def broadcast(self, scope: int, *, text: str) -> None:
        """Let the broadcast instructions executed just before reach every CPU, this one included."""
        self.target_every(text="all CPUs, this one too")
        self.send(o.CALL_BROADCAST, scope, -1, text=text)
