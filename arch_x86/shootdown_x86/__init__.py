"""The x86 architecture: page-table formats, kernels, platforms, and how x86 flushes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shootdown import Architecture, hookimpl

if TYPE_CHECKING:
    from shootdown.scenarios import Scenario


@hookimpl
def shootdown_architectures() -> Sequence[Architecture]:
    """Offer x86."""
    from shootdown_x86._changes import CHANGES
    from shootdown_x86._dumps import DUMP_ROOTS
    from shootdown_x86._emulated import EMULATION
    from shootdown_x86._flush import X86Lowering
    from shootdown_x86._formats import FORMATS
    from shootdown_x86._here import CPUINFO
    from shootdown_x86._kernel import CONTRADICTIONS, EXPECTED, X86Kernel, configure
    from shootdown_x86._measured import MEASURED
    from shootdown_x86._platforms import FLUSH_WAYS, PLATFORMS
    from shootdown_x86._recorded import RECORDED

    return [
        Architecture(
            api=1,
            name="x86",
            summary="x86-64 and 32-bit x86: IPIs, INVLPGB, paravirtual flushes",
            aliases=("amd64", "x86_64", "i386", "i686"),
            aliases_imply={"i386": {"va_bits": 32}, "i686": {"va_bits": 32}},
            formats=FORMATS,
            switches=X86Kernel,
            changes=CHANGES,
            configure=configure,
            platforms=PLATFORMS,
            lower=X86Lowering,
            measured=MEASURED,
            emulation=EMULATION,
            dump_roots=DUMP_ROOTS,
            recorded=RECORDED,
            cpuinfo=CPUINFO,
            contradictions=CONTRADICTIONS,
            flush_ways=FLUSH_WAYS,
            preempting_hosts=("kvm",),
            expected=EXPECTED,
            memory_model="tso",
            pte_clear="xchg",  # native_ptep_get_and_clear(), arch/x86/include/asm/pgtable_64.h, on SMP
        )
    ]


@hookimpl
def shootdown_scenarios() -> Sequence[Scenario]:
    """Offer the scenario about a CPU that switches to an mm while another one flushes it."""
    from shootdown_x86._switch_mm import SWITCH_MM

    return [SWITCH_MM]
