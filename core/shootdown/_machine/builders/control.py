"""A method for each step of `steps/control.py`, as programs write it. Written by `write_builders.py`."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.arguments import truth
from shootdown._machine.label import Label
from shootdown._machine.writer import Writer


class ControlSteps(Writer):
    """The steps of this family, one method each.

    All take `cost`, the name of the platform's cost (`COST_NAMES`), and `text`, a short description for stories.
    """

    def halt(self, *, cost: str | None = None, text: str = "the task is gone") -> None:
        """End the task."""
        self._write(o.HALT, cost=cost, text=text)

    def jump(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP, label, cost=cost, text=text)

    def set(self, register: int, value: int, *, cost: str | None = None, text: str = "") -> None:
        """Set a register.

        Args:
            register: a register that is overwritten.
            value: a number.
        """
        self._write(o.SET, register, value, cost=cost, text=text)

    def next(
        self, register: int, limit: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Increment a register and jump to a label while it is below a limit; else reset it to 0.

        Args:
            register: a register that is read and may be overwritten.
            limit: a number.
            label: a place in the program.
        """
        self._write(o.NEXT, register, limit, label, cost=cost, text=text)

    def jump_zero(self, register: int, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label if a register is zero.

        Args:
            register: a register that is read.
            label: a place in the program.
        """
        self._write(o.JUMP_ZERO, register, label, cost=cost, text=text)

    def jump_equal(
        self, register: int, value: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label if a register has a value.

        Args:
            register: a register that is read.
            value: a number.
            label: a place in the program.
        """
        self._write(o.JUMP_EQUAL, register, value, label, cost=cost, text=text)

    def mark(
        self, window: int, opens: bool, actor: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Open or close a counting window.

        Args:
            window: a counting window.
            opens: true or false.
            actor: the task whose counts are kept apart.
        """
        self._write(o.MARK, window, truth(opens, "opens"), actor, cost=cost, text=text)

    def note(
        self,
        what: int,
        times: int = 1,
        section: int = 0,
        computes: bool = False,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Record an occurrence in the ledger that no other step shows, such as a printed warning.

        Args:
            what: `ops.NOTE_*`.
            times: the number of occurrences; for `NOTE_SECTION`, 1 opens and 0 closes it.
            section: for `NOTE_SECTION`, its i_mmap_rwsem.
            computes: for `NOTE_USES`: the task computes meanwhile.
        """
        self._write(o.NOTE, what, times, section, truth(computes, "computes"), cost=cost, text=text)

    def spawn(self, task: int, *, cost: str | None = None, text: str = "") -> None:
        """Make a task runnable on its home CPU.

        Args:
            task: a task.
        """
        self._write(o.SPAWN, task, cost=cost, text=text)

    def signal(self, event: int, *, cost: str | None = None, text: str = "") -> None:
        """Signal an event: increment its count.

        Args:
            event: an event.
        """
        self._write(o.SIGNAL, event, cost=cost, text=text)

    def await_event(
        self, event: int, count: int, takes: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Sleep until an event was signalled `count` times.

        Args:
            event: an event.
            count: how many times.
            takes: these signals are used up: the next wait is for others.
        """
        self._write(o.AWAIT, event, count, truth(takes, "takes"), cost=cost, text=text)

    def migrate(self, cpu: int, *, cost: str | None = None, text: str = "") -> None:
        """Move to another CPU.

        Args:
            cpu: a CPU.
        """
        self._write(o.MIGRATE, cpu, cost=cost, text=text)

    def resched(self, slice: int, *, cost: str | None = None, text: str = "") -> None:
        """Let the next ready task of the CPU run, if this one has run for a slice.

        Args:
            slice: nanoseconds.
        """
        self._write(o.RESCHED, slice, cost=cost, text=text)

    def use_mm(self, mm: int, *, cost: str | None = None, text: str = "") -> None:
        """Take another mm, as exec_mmap() does: the CPU loads it.

        Args:
            mm: an mm.
        """
        self._write(o.USE_MM, mm, cost=cost, text=text)

    def release_mm(self, *, cost: str | None = None, text: str = "") -> None:
        """Release the task's mm, as exit_mm() does; its CPU keeps it loaded lazily."""
        self._write(o.RELEASE_MM, cost=cost, text=text)

    def host_preempt(self, *, cost: str | None = None, text: str = "") -> None:
        """Let the host preempt the task's vCPU, until another CPU interrupts it."""
        self._write(o.HOST_PREEMPT, cost=cost, text=text)

    def park(self, mode: int, *, cost: str | None = None, text: str = "") -> None:
        """Do nothing more: sleep for ever, so that the CPU turns lazy, or spin in user mode.

        Args:
            mode: 0: sleep; 1: spin.
        """
        self._write(o.PARK, mode, cost=cost, text=text)

    def on_mm(self, mm: int, register: int | None = None, *, cost: str | None = None, text: str = "") -> None:
        """Choose the mm that the task's kernel work is on, its own or another (as reverse-map walks do).

        Args:
            mm: an mm.
            register: added to the mm's number.
        """
        self._write(o.ON_MM, mm, -1 if register is None else register, cost=cost, text=text)

    def pick(self, base: int, register: int, *, cost: str | None = None, text: str = "") -> None:
        """Set register SLOT to an element of a list.

        Args:
            base: where the list begins (`add_list`).
            register: its position in the list.
        """
        self._write(o.PICK, base, register, cost=cost, text=text)

    def irq_off(self, lockless: bool = False, *, cost: str | None = None, text: str = "") -> None:
        """Turn the CPU's interrupts off.

        Args:
            lockless: it is a lockless walk, visible to a targeted sync.
        """
        self._write(o.IRQ_OFF, truth(lockless, "lockless"), cost=cost, text=text)

    def irq_on(self, lockless: bool = False, *, cost: str | None = None, text: str = "") -> None:
        """Turn the CPU's interrupts on again.

        Args:
            lockless: it is a lockless walk, visible to a targeted sync.
        """
        self._write(o.IRQ_ON, truth(lockless, "lockless"), cost=cost, text=text)
