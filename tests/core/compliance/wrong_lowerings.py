"""Lowerings of the toy architecture with one mistake each: what a person who ports might write."""

from __future__ import annotations

from typing import Any

import attrs
from tests.core.compliance.toys import vax

from shootdown import MmRules
from shootdown.porting import EVERYTHING, NO_LIMIT, Assembler, Label, PlainLowering, mm_rules, ops

Good: Any = vax.VaxLowering
_HUGE = 512


class Tagged(Good):
    """Not wrong: ASIDs outlive a switch, and CPUs stay in mm_cpumask."""

    mm = mm_rules(256, clear_on_switch=False)


class Leaves(Good):
    """Not wrong: by address only leaf entries go, so that everything goes where tables were freed."""

    page_scope = ops.SCOPE_LEAF


class Broadcasts(Good):
    """Not wrong: the hardware broadcasts."""

    native_way = "broadcast"


class Tracks(Good):
    """Not wrong: IPIs skip lazy CPUs, which catch up by tlb_gen, unless tables were freed."""

    mm = MmRules(clear_on_switch=True, lazy_tlb=True, asids=6, tagged=True)

    def flush(
        self, asm: Assembler, g: int, *, everything: bool = False, stride: int = ops.BASE_STRIDES
    ) -> None:
        self.choose(asm, g, everything, stride)
        asm.target_mm_cpumask()
        with asm.if_targets() as others:
            with asm.if_flags(g, ops.FREED_TABLES | ops.UNSHARED_TABLES | ops.FULLMM) as tables:
                tables.otherwise()
                self.leave_out(asm)
            asm.send_flush_ipis()
            with asm.if_loaded_here():
                asm.flush_this_cpu()
            asm.wait_for_answers()
            others.otherwise()
            with asm.if_loaded_here():
                asm.flush_this_cpu()
            asm.cancel()

    def leave_out(self, asm: Assembler) -> None:
        asm.drop_lazy_targets()

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        asm.set_flags(g, ops.FREED_TABLES)
        self.flush_mm(asm, g)

    def choose(self, asm: Assembler, g: int, everything: bool, stride: int) -> None:
        asm.begin_flush(g, ceiling=EVERYTHING if everything else self.ceiling, stride=stride)


class Alone(Good):
    """Not wrong: the only task of an mm interrupts nobody, and others' contexts are dropped, as on LoongArch."""

    mm = mm_rules(256, clear_on_switch=False)
    tracked = True

    def flush(
        self, asm: Assembler, g: int, *, everything: bool = False, stride: int = ops.BASE_STRIDES
    ) -> None:
        with asm.if_alone() as alone:
            self.here_alone(asm, g, everything, stride)
            alone.otherwise()
            super().flush(asm, g, everything=everything, stride=stride)

    def here_alone(self, asm: Assembler, g: int, everything: bool, stride: int) -> None:
        self.begin(asm, g, everything=everything, stride=stride)
        self.invalidate_here(asm)
        asm.cancel(text="other CPUs' contexts become 0")

    def no_hardware_walker(self) -> str:
        return "a miss traps"


FLAWLESS = (Good, Tagged, Leaves, Broadcasts, Tracks, Alone)


# --- how much


class OnePageOnly(Good):
    """Whatever the range, one page of it goes."""

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        asm.request(2, cleared=ops.CLEARED_PTES, hi=1)
        super().begin(asm, 2, everything=everything, stride=stride)


class HugeStrides(Good):
    """Base pages are flushed in strides of huge pages."""

    def flush_range(self, asm: Assembler, g: int) -> None:
        self.flush(asm, g, stride=ops.PMD_STRIDES)


class GatherInHugeStrides(Good):
    """The gather's range goes in strides of huge pages, whichever level was cleared."""

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        with asm.if_flags(g, self.flags_that_flush_everything) as everything:
            self.flush_mm(asm, g)
            everything.otherwise()
            self.flush(asm, g, stride=ops.PMD_STRIDES)


class NotRounded(Good):
    """A range that begins within a stride loses its end."""

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        asm.begin_flush(
            g, ceiling=EVERYTHING if everything else 600, tracked=False, stride=stride or ops.PMD_STRIDES
        )

    def flush_range(self, asm: Assembler, g: int) -> None:
        self.flush(asm, g, stride=0)

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        asm.copy_range(g, cleared=ops.CLEARED_PUDS)
        self.flush(asm, 2, stride=0)


class NamesTheBaseSize(Good):
    """Instructions name the base page's size: huge pages stay."""

    ceiling = 600

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        asm.begin_flush(
            g,
            ceiling=EVERYTHING if everything else self.ceiling,
            tracked=False,
            stride=ops.BASE_STRIDES,
            one_size=True,
        )


class FirstPagesOfALongRange(Good):
    """A range above the ceiling is cut to its first pages in place of flushing everything."""

    ceiling = 1 << 30

    def flush_range(self, asm: Assembler, g: int) -> None:
        with asm.if_more_strides(g, 16) as long:
            asm.request(2, cleared=ops.CLEARED_PTES, hi=16)
            self.flush(asm, 2)
            long.otherwise()
            self.flush(asm, g)


class MmFlushIsOfThePage(Good):
    """flush_tlb_mm() flushes one page."""

    def flush_mm(self, asm: Assembler, g: int) -> None:
        asm.request(2, cleared=ops.CLEARED_PTES, hi=1)
        self.flush(asm, 2)


class PageFlushesThePageZero(Good):
    """flush_tlb_page() flushes page 0."""

    def flush_page(self, asm: Assembler, g: int) -> None:
        asm.request(2, cleared=ops.CLEARED_PTES, hi=1)
        self.flush(asm, 2)


class NextPage(Good):
    """The gather that is flushed is the wrong one."""

    def flush_range(self, asm: Assembler, g: int) -> None:
        self.flush(asm, 1)


class DropsNoLeaves(Good):
    """Ranged flushes drop walk-cache entries alone."""

    page_scope = ops.SCOPE_WALK


class ScopeZeroHere(Good):
    """This CPU's own invalidation drops nothing."""

    def invalidate_here(self, asm: Assembler) -> None:
        asm.invalidate_this_cpu(0, text="nothing")


class EmptyRange(Good):
    """flush_tlb_range() is empty, as on a machine that flushes when it clears."""

    def flush_range(self, asm: Assembler, g: int) -> None:
        asm.work("flush_ns")


class CollapseIsEmpty(Good):
    """The flush of a collapse is empty."""

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        asm.work("flush_ns")


class HugetlbIsEmpty(Good):
    """The flush of huge pages is empty."""

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        asm.work("flush_ns")


# --- tables


class ForgetsTables(Good):
    """By address only leaf entries go, and freed tables make no difference."""

    page_scope = ops.SCOPE_LEAF
    flags_that_flush_everything = ops.FULLMM | ops.NEED_FLUSH_ALL


class EverythingKeepsLinks(Good):
    """A full flush keeps walk-cache entries."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_LEAF)
        with asm.if_in_mm_cpumask():
            asm.invalidate_this_cpu(ops.SCOPE_LEAF, text="leaves")
        asm.wait_for_answers()


class OthersKeepLinks(Good):
    """Other CPUs drop leaf entries only, this one both."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_LEAF)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)
        asm.wait_for_answers()


class NestedIsSkipped(Good):
    """tlb_flush() of a whole mm does nothing: exit needs no flush, but nested gathers look the same."""

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        with asm.if_flags(g, ops.FULLMM) as exits:
            exits.otherwise()
            super().tlb_flush(asm, g)


class LinksAtTheAddressOnly(Good):
    """Walk-cache entries go with the address of a range, and a page table's is not in it."""

    page_scope = ops.SCOPE_LEAF | ops.SCOPE_WALK | ops.SCOPE_AT_VA

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        asm.request(2, cleared=ops.CLEARED_PTES, lo=4 * _HUGE, hi=4 * _HUGE + 1)
        self.flush(asm, 2)


class LazyKeepLinks(Tracks):
    """Lazy CPUs are left out where tables were freed, too."""

    def flush(
        self, asm: Assembler, g: int, *, everything: bool = False, stride: int = ops.BASE_STRIDES
    ) -> None:
        self.choose(asm, g, everything, stride)
        asm.target_mm_cpumask()
        asm.drop_lazy_targets()
        asm.send_flush_ipis()
        with asm.if_loaded_here():
            asm.flush_this_cpu()
        asm.wait_for_answers()


# --- who


class OnlyHere(Good):
    """Only this CPU invalidates."""

    def _flush(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        self.begin(asm, g, everything=everything, stride=stride)
        self.invalidate_here(asm)
        asm.cancel()


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


class BroadcastToTheMask(Good):
    """A broadcast that is said to reach mm_cpumask without this CPU."""

    mm = mm_rules(256)

    def _flush(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        self.begin(asm, g, everything=everything, stride=stride)
        asm.target_mm_cpumask()
        asm.send(ops.CALL_BROADCAST, ops.SCOPE_BOTH)
        asm.complete("done")


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


# --- what is counted


class UnknownCost(Good):
    """A cost that there is not."""

    def count_all(self, asm: Assembler, per: int = ops.PER_REQUEST) -> None:
        asm.execute("tbia", cost="tbia_ns")


class OddName(Good):
    """An instruction's name that tables do not show well."""

    all_instruction = "TBIA (all)"


class CountsAfterTheWait(Good):
    """What targets execute is counted after they have answered."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)
        asm.wait_for_answers()
        self.count_pages(asm, ops.PER_TARGET)


class CountsBeforeItBegins(Good):
    """Strides are counted before there are any."""

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        self.count_pages(asm)
        super().begin(asm, g, everything=everything, stride=stride)


class CountsBroadcastsOfNothing(Good):
    """Broadcast instructions are counted, and IPIs sent."""

    def count_all(self, asm: Assembler, per: int = ops.PER_REQUEST) -> None:
        asm.execute("tbia", broadcasts=True)


class CountsNoBroadcasts(Broadcasts):
    """broadcast() says that its instructions were counted, and they were not."""

    def broadcast(self, asm: Assembler) -> None:
        asm.broadcast(ops.SCOPE_BOTH, text="all")
        asm.complete("done")


class CountsNothing(Good):
    """An instruction is counted zero times."""

    def count_all(self, asm: Assembler, per: int = ops.PER_REQUEST) -> None:
        asm.execute("tbia", 0)


# --- reclaim


class PutsOffAndForgets(Good):
    """Reclaim puts its flushes off, and the batch's flush does nothing."""

    defers_unmaps = "always"

    def arch_tlbbatch_flush(self, asm: Assembler, g: int) -> None:
        asm.work("flush_ns")


class PutsOffToThisCpu(Good):
    """The batch's flush reaches this CPU only."""

    defers_unmaps = "remote"

    def arch_tlbbatch_flush(self, asm: Assembler, g: int) -> None:
        asm.begin_flush(g, ceiling=NO_LIMIT, tracked=False)
        self.invalidate_here(asm)
        asm.cancel()


def wrong() -> list[type[PlainLowering]]:
    """List the wrong lowerings, in the order in which they are written."""
    return [
        value
        for value in globals().values()
        if isinstance(value, type)
        and issubclass(value, PlainLowering)
        and value.__module__ == __name__
        and value not in FLAWLESS
    ]


__all__ = ["FLAWLESS", "attrs", "wrong"]
