"""The riscv architecture, for shootdown: page-table formats, kernels, platforms, and how RISC-V flushes."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown import Architecture, hookimpl


@hookimpl
def shootdown_architectures() -> Sequence[Architecture]:
    """Offer riscv."""
    from shootdown_riscv._dumps import DUMP_ROOTS
    from shootdown_riscv._emulated import EMULATION
    from shootdown_riscv._flush import RiscvLowering
    from shootdown_riscv._formats import FORMATS
    from shootdown_riscv._here import CPUINFO
    from shootdown_riscv._kernel import CHANGES, CONTRADICTIONS, EXPECTED, RiscvKernel, configure
    from shootdown_riscv._measured import MEASURED
    from shootdown_riscv._platforms import FLUSH_WAYS, INSTRUCTIONS, PLATFORMS
    from shootdown_riscv._recorded import RECORDED

    return [
        Architecture(
            api=1,
            name="riscv",
            summary="RISC-V: fences by IPI or by SBI call, Svinval; Sv32, Sv39, Sv48 and Sv57",
            aliases=("riscv64", "riscv32"),
            formats=FORMATS,
            switches=RiscvKernel,
            changes=CHANGES,
            configure=configure,
            platforms=PLATFORMS,
            lower=RiscvLowering,
            measured=MEASURED,
            dump_roots=DUMP_ROOTS,
            emulation=EMULATION,
            recorded=RECORDED,
            cpuinfo=CPUINFO,
            contradictions=CONTRADICTIONS,
            flush_ways=FLUSH_WAYS,
            instructions=INSTRUCTIONS,
            preempting_hosts=(),
            expected=EXPECTED,
        )
    ]
