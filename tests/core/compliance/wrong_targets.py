"""Lowerings of the toy with one mistake in which CPUs they reach."""

from __future__ import annotations

from tests.core.compliance.right_lowerings import Alone, Good, OfKernelAddresses, Tagged, Tracks

from shootdown import MmRules
from shootdown.porting import EVERYTHING, Assembler, mm_rules, ops


class OnlyHere(Good):
    """Only this CPU invalidates."""

    def _flush(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        self.begin(asm, g, everything=everything, stride=stride)
        self.invalidate_here(asm)
        asm.cancel()


class NotForAThreadThatBorrows(Good):
    """This CPU invalidates for its own mm alone, and not for one that a kernel thread has borrowed."""

    def invalidate_here(self, asm: Assembler) -> None:
        with asm.if_own_mm():
            super().invalidate_here(asm)


class OnlyThere(Good):
    """This CPU is forgotten."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
        asm.wait_for_answers()


class AloneNothing(Good):
    """Without other CPUs nothing is invalidated."""

    def _flush(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        asm.target_mm_cpumask()
        with asm.if_targets():
            self.begin(asm, g, everything=everything, stride=stride)
            self.interrupt(asm)


class ForgetsLazy(Good):
    """Lazy CPUs are left out, and nothing tells them."""

    def interrupt(self, asm: Assembler) -> None:
        asm.drop_lazy_targets()
        super().interrupt(asm)


class ForgetsWhoIsAway(Good):
    """ASIDs outlive a switch, and CPUs leave mm_cpumask at it: nobody ever flushes them."""

    mm = mm_rules(256)


class AsidsWithoutTracking(Good):
    """CPUs that loaded another mm are left out, and nothing tells them."""

    mm = mm_rules(256, clear_on_switch=False)

    def interrupt(self, asm: Assembler) -> None:
        asm.drop_targets_not_loaded()
        super().interrupt(asm)


class AloneWithItsThreads(Alone):
    """Nobody is interrupted where the flushed mm is this task's, whoever else runs it."""

    def flush(
        self, asm: Assembler, g: int, *, everything: bool = False, stride: int = ops.BASE_STRIDES
    ) -> None:
        with asm.if_own_mm() as own:
            self.here_alone(asm, g, everything, stride)
            own.otherwise()
            Good.flush(self, asm, g, everything=everything, stride=stride)


class AloneIfOthersSleep(Alone):
    """Nobody is interrupted where no other CPU runs the mm, though a thread that sleeps may wake meanwhile."""

    def flush(
        self, asm: Assembler, g: int, *, everything: bool = False, stride: int = ops.BASE_STRIDES
    ) -> None:
        asm.target_mm_cpumask()
        asm.drop_targets_not_loaded()
        asm.drop_lazy_targets()
        with asm.if_targets() as running:
            Good.flush(self, asm, g, everything=everything, stride=stride)
            running.otherwise()
            with asm.if_own_mm() as own:
                self.here_alone(asm, g, everything, stride)
                own.otherwise()
                Good.flush(self, asm, g, everything=everything, stride=stride)


class TracksWithoutSaying(Tracks):
    """Lazy CPUs are left out as if they caught up, and the flush is not tracked."""

    def choose(self, asm: Assembler, g: int, everything: bool, stride: int) -> None:
        asm.begin_flush(g, ceiling=EVERYTHING if everything else self.ceiling, stride=stride, tracked=False)


class HandlerChecks(Good):
    """The handler does nothing where another mm is loaded, though ASIDs keep translations."""

    mm = mm_rules(256, clear_on_switch=False)

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_LEAVE, 0)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)
        asm.wait_for_answers()


class LooksAtWhoHasLeft(Good):
    """Every CPU is interrupted, and its handler does nothing where the mm was left, though ASIDs keep translations."""

    mm, handler_looks_first = mm_rules(256), True

    def choose_targets(self, asm: Assembler) -> None:
        asm.target_all_online()


class KernelOnlyHere(OfKernelAddresses):
    """Of kernel addresses only this CPU invalidates."""

    def flush_kernel_addresses(self, asm: Assembler) -> None:
        asm.kernel_begin(0, cost="flush_ns")
        asm.execute("tbia")
        asm.kernel_self()
        asm.cancel()


class KernelWaitsForNobody(OfKernelAddresses):
    """Of kernel addresses the flush is over before the others have answered."""

    def interrupt_for_kernel(self, asm: Assembler) -> None:
        asm.send(ops.CALL_KERNEL)
        asm.kernel_self()


class BroadcastToTheMask(Good):
    """A broadcast that is said to reach mm_cpumask without this CPU."""

    mm = mm_rules(256)

    def _flush(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        self.begin(asm, g, everything=everything, stride=stride)
        asm.target_mm_cpumask()
        asm.send(ops.CALL_BROADCAST, ops.SCOPE_BOTH)
        asm.complete("done")


class InterruptsItself(Good):
    """This CPU is interrupted too, and invalidates once more by itself."""

    def choose_targets(self, asm: Assembler) -> None:
        asm.target_mm_cpumask(with_self=True)


class SendsToNobody(Good):
    """No targets are chosen."""

    def _flush(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        self.begin(asm, g, everything=everything, stride=stride)
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
        self.invalidate_here(asm)
        asm.wait_for_answers()


class TaggedWithoutAsids(Good):
    """Translations are tagged, and there is one ASID."""

    mm = MmRules(clear_on_switch=True, lazy_tlb=True, asids=1, tagged=True)


class TrimsAndForgets(Tagged):
    """From time to time a CPU that does not run the mm leaves its mm_cpumask, and keeps what it holds."""

    def invalidate_here(self, asm: Assembler) -> None:
        with asm.if_time_to_trim(32) as due:
            asm.leave_mm_cpumask(here=True)
            due.otherwise()
            super().invalidate_here(asm)
