"""Lowerings of the toy architecture that are right, each in its way."""

from __future__ import annotations

from typing import Any

from tests.core.compliance.toys import vax

from shootdown import MmRules
from shootdown.porting import EVERYTHING, Assembler, mm_rules, ops

Good: Any = vax.VaxLowering


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


class OfKernelAddresses(Good):
    """Not wrong: flushes of kernel addresses interrupt every CPU."""

    def no_kernel_ranges(self) -> None:
        return None

    def flush_kernel_addresses(self, asm: Assembler) -> None:
        asm.kernel_begin(0, cost="flush_ns")
        asm.target_all_online()
        asm.execute("tbia")
        with asm.if_targets() as others:
            asm.execute("tbia", 1, ops.PER_TARGET)
            self.interrupt_for_kernel(asm)
            others.otherwise()
            asm.kernel_self()
            asm.cancel()

    def interrupt_for_kernel(self, asm: Assembler) -> None:
        asm.send(ops.CALL_KERNEL)
        asm.kernel_self()
        asm.wait_for_answers()


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


FLAWLESS = (Good, Tagged, Leaves, Broadcasts, Tracks, OfKernelAddresses, Alone)
