"""Lowerings of the toy with one mistake in their steps: their order, locks, and ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.core.compliance.right_lowerings import Broadcasts, Good, Tracks

from shootdown.porting import Assembler, Label, PlainLowering, ops

# --- in which order


class BeginsNothing(Good):
    """No flush begins."""

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        asm.work("flush_ns")


class SendsFirst(Good):
    """The call is sent before the range is set."""

    def _flush(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        asm.target_mm_cpumask()
        with asm.if_targets() as others:
            asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
            self.begin(asm, g, everything=everything, stride=stride)
            self.invalidate_here(asm)
            asm.wait_for_answers()
            others.otherwise()
            self.begin(asm, g, everything=everything, stride=stride)
            self.invalidate_here(asm)
            asm.cancel()


class WaitsFirst(Good):
    """It waits before it sends."""

    def interrupt(self, asm: Assembler) -> None:
        asm.wait_for_answers()
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)


class NeverWaits(Good):
    """Nobody waits for the answers."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)


class WaitsOnOneArm(Good):
    """Ranges are waited for, everything is not."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)
        with asm.if_ranged():
            asm.wait_for_answers()


class FenceWithoutWaiting(Broadcasts):
    """Broadcasts are not completed."""

    def broadcast(self, asm: Assembler) -> None:
        asm.broadcast(ops.SCOPE_BOTH, text="all")
        asm.note(ops.NOTE_COMPLETION)


class TargetsBeforeTheFlag(Tracks):
    """Targets are chosen, lazy CPUs left out, and then the flush begins."""

    def flush(
        self, asm: Assembler, g: int, *, everything: bool = False, stride: int = ops.BASE_STRIDES
    ) -> None:
        asm.target_mm_cpumask()
        asm.drop_lazy_targets()
        self.choose(asm, g, everything, stride)
        asm.send_flush_ipis()
        with asm.if_loaded_here():
            asm.flush_this_cpu()
        asm.wait_for_answers()


class CancelsWhatWasSent(Good):
    """The call is cancelled after it was sent."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)
        asm.cancel()


class SendsTwice(Good):
    """Two calls are sent, and one waited for."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_LEAF)
        asm.target_mm_cpumask()
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_WALK)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)
        asm.wait_for_answers()


class WaitsTwice(Good):
    """After the wait there is another one, for nothing."""

    def interrupt(self, asm: Assembler) -> None:
        super().interrupt(asm)
        asm.wait_for_answers()


class CompletesInterrupts(Good):
    """Interrupts are waited for as broadcasts are."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)
        asm.complete("wait until every CPU has invalidated")


class InvalidatesAfterTheWait(Good):
    """This CPU invalidates after the wait, when the request is forgotten."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
        asm.wait_for_answers()
        with asm.if_in_mm_cpumask():
            asm.invalidate_this_cpu(ops.SCOPE_BOTH, text="here")


# --- locks, loops, ends


class KeepsTheLock(Good):
    """A lock is not released."""

    machine_locks = 1

    def interrupt(self, asm: Assembler) -> None:
        asm.lock(0, write=True, sleeps=False, text="tlb lock")
        super().interrupt(asm)


class KeepsTheLockOnOneArm(Good):
    """A lock is released for ranges only."""

    machine_locks = 1

    def interrupt(self, asm: Assembler) -> None:
        asm.lock(0, write=True, sleeps=False, text="tlb lock")
        with asm.if_ranged() as ranged:
            asm.unlock(0, write=True, text="tlb lock")
            ranged.otherwise()
        super().interrupt(asm)


class ReleasesTwice(Good):
    """A lock is released twice."""

    machine_locks = 1

    def interrupt(self, asm: Assembler) -> None:
        asm.lock(0, write=True, sleeps=False, text="tlb lock")
        asm.unlock(0, write=True, text="tlb lock")
        super().interrupt(asm)
        asm.unlock(0, write=True, text="tlb lock")


class TakesTwice(Good):
    """A lock is taken twice."""

    machine_locks = 1

    def interrupt(self, asm: Assembler) -> None:
        asm.lock(0, write=True, sleeps=False, text="tlb lock")
        asm.lock(0, write=True, sleeps=False, text="tlb lock")
        super().interrupt(asm)
        asm.unlock(0, write=True, text="tlb lock")
        asm.unlock(0, write=True, text="tlb lock")


class TakesTwoEitherWayRound(Good):
    """flush_tlb_mm() takes two locks, and flush_tlb_range() the same two the other way round."""

    machine_locks = 2

    def flush_mm(self, asm: Assembler, g: int) -> None:
        with self.both(asm, 0, 1):
            super().flush_mm(asm, g)

    def flush_range(self, asm: Assembler, g: int) -> None:
        with self.both(asm, 1, 0):
            super().flush_range(asm, g)

    @contextmanager
    def both(self, asm: Assembler, first: int, second: int) -> Iterator[None]:
        asm.lock(first, write=True, sleeps=False, text="one lock")
        asm.lock(second, write=True, sleeps=False, text="the other one")
        yield
        asm.unlock(second, write=True, text="the other one")
        asm.unlock(first, write=True, text="one lock")


class NoSuchLock(Good):
    """A lock that the lowering does not declare."""

    def interrupt(self, asm: Assembler) -> None:
        asm.lock(0, write=True, sleeps=False, text="tlb lock")
        super().interrupt(asm)
        asm.unlock(0, write=True, text="tlb lock")


class LoopsForEver(Good):
    """The flush is begun again and again."""

    def flush_range(self, asm: Assembler, g: int) -> None:
        again = Label()
        asm.place(again)
        self.flush(asm, g)
        asm.jump(again)


class LoopsWhileThereAreTargets(Good):
    """It waits in a loop for targets that never go away."""

    def interrupt(self, asm: Assembler) -> None:
        again = Label()
        asm.place(again)
        asm.target_mm_cpumask()
        with asm.if_targets():
            asm.jump(again)
        super().interrupt(asm)


class WritesForEver(Good):
    """The method never stops writing."""

    def flush_page(self, asm: Assembler, g: int) -> None:
        while True:
            asm.work("flush_ns")


class EndsTheTask(Good):
    """The flush ends the task that asked for it."""

    def flush_mm(self, asm: Assembler, g: int) -> None:
        self.flush(asm, g, everything=True)
        asm.halt()


class EndsTheGather(Good):
    """tlb_flush() ends the gather, which mm/ does."""

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        super().tlb_flush(asm, g)
        asm.gather_end(g)


class Raises(Good):
    """A method raises for kernels of a certain kind."""

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        raise KeyError(self.platform.name)


class Undefined(PlainLowering):
    """The format is missing."""
