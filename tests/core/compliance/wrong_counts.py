"""Lowerings of the toy with one mistake in what they count, or in what counts are read by."""

from __future__ import annotations

from tests.core.compliance.right_lowerings import Broadcasts, Good

from shootdown.porting import Assembler, ops


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


class CountsHereAlone(Good):
    """What other CPUs execute is not counted."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)
        asm.wait_for_answers()


class CountsInTheMaskHere(Good):
    """What CPUs in mm_cpumask execute is counted where there are no targets."""

    def count_all(self, asm: Assembler, per: int = ops.PER_REQUEST) -> None:
        asm.execute("tbia", 1, ops.IN_MASK)


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


class CountsStridesOfEverything(Good):
    """Everything is counted as a range is."""

    def count_all(self, asm: Assembler, per: int = ops.PER_REQUEST) -> None:
        self.count_pages(asm, per)


class CountsEverythingInRanges(Good):
    """The instruction that drops everything is counted for a range, too."""

    def count_pages(self, asm: Assembler, per: int = ops.PER_REQUEST) -> None:
        super().count_pages(asm, per)
        self.count_all(asm, per)


class CountsCallsThatReachAll(Good):
    """Calls are counted by their reach, and no reach is given."""

    native_way = "hypercall"

    def call_below(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        asm.execute("hypercall", 1, ops.PER_CALL_BELOW)
        super().call_below(asm, g, everything=everything, stride=stride)


class OneNumberForTwoCpus(Good):
    """What runs below knows two CPUs by one number."""

    numbers_below = (0, 64, 64)


class WritesOfOneNumber(Good):
    """Half of what is known of writes to the interrupt controller."""

    def writes_of_ipis(self, cpus: int) -> tuple[int, int]:
        return (1,)  # type: ignore[return-value]


class CountsEverythingInBroadcastRanges(Broadcasts):
    """The broadcast of everything is counted for a range, too."""

    def broadcast(self, asm: Assembler) -> None:
        with asm.if_ranged() as ranged:
            asm.execute("tbis", 1, ops.PER_STRIDE, broadcasts=True)
            asm.execute("tbia", broadcasts=True)
            asm.broadcast(ops.SCOPE_BOTH, text="both reach every CPU")
            ranged.otherwise()
            asm.execute("tbia", broadcasts=True)
            asm.broadcast(ops.SCOPE_BOTH, text="it reaches every CPU")
        asm.complete("done")
