"""A method for each step of `steps/requests.py`, as programs write it. Written by `write_builders.py`."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.arguments import truth
from shootdown._machine.label import Label
from shootdown._machine.writer import Writer


class RequestsSteps(Writer):
    """The steps of this family, one method each.

    All take `cost`, the name of the platform's cost (`COST_NAMES`), and `text`, a short description for stories.
    """

    def flush_begin(
        self,
        gather: int,
        ceiling: int,
        pages: int = 0,
        how: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Start the flush of a gather: increment tlb_gen, and choose between a range and everything.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            ceiling: the most strides that are flushed one by one; a longer range becomes a full flush.
            pages: likewise the most base pages; 0: no limit.
            how: how these are counted (`ops.ROUNDED` and the other flags).
        """
        self._write(o.FLUSH_BEGIN, gather, ceiling, pages, how, cost=cost, text=text)

    def target_mm(self, with_self: bool = False, *, cost: str | None = None, text: str = "") -> None:
        """Target the CPUs in mm_cpumask.

        Args:
            with_self: at this one too.
        """
        self._write(o.TARGET_MM, truth(with_self, "with_self"), cost=cost, text=text)

    def target_online(self, *, cost: str | None = None, text: str = "") -> None:
        """Target all online CPUs but this one."""
        self._write(o.TARGET_ONLINE, cost=cost, text=text)

    def target_every(self, *, cost: str | None = None, text: str = "") -> None:
        """Target all online CPUs, this one included."""
        self._write(o.TARGET_EVERY, cost=cost, text=text)

    def target_not_lazy(self, *, cost: str | None = None, text: str = "") -> None:
        """Leave out targets that are in lazy TLB mode."""
        self._write(o.TARGET_NOT_LAZY, cost=cost, text=text)

    def target_loaded(self, *, cost: str | None = None, text: str = "") -> None:
        """Leave out targets that have not loaded this mm, unless mm_cpumask is due for trimming."""
        self._write(o.TARGET_LOADED, cost=cost, text=text)

    def target_running(self, *, cost: str | None = None, text: str = "") -> None:
        """Leave out preempted vCPUs and request a flush on guest entry from them."""
        self._write(o.TARGET_RUNNING, cost=cost, text=text)

    def target_walkers(self, *, cost: str | None = None, text: str = "") -> None:
        """Leave out targets that are not inside a lockless walk of this mm."""
        self._write(o.TARGET_WALKERS, cost=cost, text=text)

    def target_current(self, *, cost: str | None = None, text: str = "") -> None:
        """Leave out targets whose current task is of another mm, or of none: `rq->curr->mm`."""
        self._write(o.TARGET_CURRENT, cost=cost, text=text)

    def jump_no_target(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label if there are no targets.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NO_TARGET, label, cost=cost, text=text)

    def jump_whole(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label if the flush that has begun flushes everything.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_WHOLE, label, cost=cost, text=text)

    def jump_empty(self, gather: int, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label if the range of a gather is empty.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            label: a place in the program.
        """
        self._write(o.JUMP_EMPTY, gather, label, cost=cost, text=text)

    def jump_strides(
        self, gather: int, strides: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label unless the range of a gather has more than `strides` strides.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            strides: a number.
            label: a place in the program.
        """
        self._write(o.JUMP_STRIDES, gather, strides, label, cost=cost, text=text)

    def jump_not_loaded(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless this CPU has this mm loaded.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_LOADED, label, cost=cost, text=text)

    def jump_not_masked(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless this CPU is in the mm's mm_cpumask.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_MASKED, label, cost=cost, text=text)

    def jump_not_alone(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless the mm is this task's and no other task uses it (mm_users is 1).

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_ALONE, label, cost=cost, text=text)

    def jump_not_dead(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless no task uses the mm any more (mm_users is 0): the mm is dead.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_DEAD, label, cost=cost, text=text)

    def leave_mask(self, here: bool = False, *, cost: str | None = None, text: str = "") -> None:
        """Take the CPUs that do not have the mm loaded out of its mm_cpumask.

        Args:
            here: this CPU alone.
        """
        self._write(o.LEAVE_MASK, truth(here, "here"), cost=cost, text=text)

    def jump_not_own(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless the mm is this task's (current->mm == mm).

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_OWN, label, cost=cost, text=text)

    def jump_not_due(self, period: int, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless mm_cpumask is due for trimming: each `period`-th time that this CPU asks.

        Args:
            period: a number.
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_DUE, period, label, cost=cost, text=text)

    def jump_not_global(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless the mm has a global ASID.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_GLOBAL, label, cost=cost, text=text)

    def jump_not_transition(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless the mm is in transition to its global ASID.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_TRANSITION, label, cost=cost, text=text)

    def consider_global(self, cpus: int, *, cost: str | None = None, text: str = "") -> None:
        """Start the mm's transition to a global ASID if it is time and enough CPUs run it.

        Args:
            cpus: the number of CPUs that is enough.
        """
        self._write(o.CONSIDER_GLOBAL, cpus, cost=cost, text=text)

    def end_transition(self, *, cost: str | None = None, text: str = "") -> None:
        """End the transition: all CPUs use the mm's global ASID now."""
        self._write(o.END_TRANSITION, cost=cost, text=text)

    def kernel_begin(self, pages: int, *, cost: str | None = None, text: str = "") -> None:
        """Start a flush of kernel addresses, which are no mm's; the call that is sent concerns none.

        Args:
            pages: base pages; 0: everything, of all mms too.
        """
        self._write(o.KERNEL_BEGIN, pages, cost=cost, text=text)

    def kernel_self(self, *, cost: str | None = None, text: str = "") -> None:
        """Run the handler of a flush of kernel addresses on this CPU."""
        self._write(o.KERNEL_SELF, cost=cost, text=text)

    def send(
        self, call: int, scope: int = o.SCOPE_BOTH, each: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Send a call to the targets; it is pending at each of them.

        Args:
            call: `ops.CALL_*`.
            scope: what it drops (`ops.SCOPE_*`).
            each: the strides that one broadcast invalidates; -1: EXECUTE has counted the broadcasts.
        """
        self._write(o.SEND, call, scope, each, cost=cost, text=text)

    def wait(self, preemptible: bool = False, *, cost: str | None = None, text: str = "") -> None:
        """Wait until no target has the call pending any more.

        Args:
            preemptible: the task may be preempted meanwhile, and go on elsewhere, unless it holds a lock that spins.
        """
        self._write(o.WAIT, truth(preemptible, "preemptible"), cost=cost, text=text)

    def cancel(self, *, cost: str | None = None, text: str = "") -> None:
        """Cancel the request, which has not been sent: it has no targets any more."""
        self._write(o.CANCEL, cost=cost, text=text)

    def flush_self(
        self,
        scope: int = o.SCOPE_BOTH,
        own_handler: bool = False,
        forced: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Run the flush's handler on this CPU.

        Args:
            scope: what it drops (`ops.SCOPE_*`).
            own_handler: the kernel calls the handler here as on any target.
            forced: 1: invalidate, whichever mm is loaded; 2: invalidate and leave the mm.
        """
        self._write(o.FLUSH_SELF, scope, truth(own_handler, "own_handler"), forced, cost=cost, text=text)

    def flush_local_pages(
        self, pages: int, scope: int = o.SCOPE_BOTH, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Flush pages of the mm on this CPU alone: the range of the flush that has begun.

        Args:
            pages: the number of pages.
            scope: what it drops (`ops.SCOPE_*`).
        """
        self._write(o.FLUSH_LOCAL_PAGES, pages, scope, cost=cost, text=text)
