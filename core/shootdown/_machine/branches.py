"""Branches and loops of programs, as context managers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from shootdown._machine import ops as o
from shootdown._machine.arguments import whole
from shootdown._machine.builders.every import Builders
from shootdown._machine.label import Label
from shootdown._values.sites import mistake


class Branch:
    """The two arms of a condition."""

    def __init__(self, asm: Builders) -> None:
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


class Branches(Builders):
    """The steps, and conditions on what most of those that jump ask for: an `if_...` each."""

    @contextmanager
    def loop(self, count: int, register: int = o.INDEX) -> Iterator[None]:
        """Repeat the steps within `count` times, once at least; the register counts from 0."""
        if whole(count, "count") < 1:
            raise mistake(f"loop(): the steps within are taken once at least, not {count} times")
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
