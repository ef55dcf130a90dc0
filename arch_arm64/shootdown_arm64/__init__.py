"""The arm64 architecture: page-table formats, kernels, platforms, and how arm64 flushes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shootdown import Architecture, hookimpl

if TYPE_CHECKING:
    from shootdown.scenarios import Scenario


@hookimpl
def shootdown_architectures() -> Sequence[Architecture]:
    """Offer arm64."""
    from shootdown_arm64._dumps import DUMP_ROOTS
    from shootdown_arm64._emulated import EMULATION
    from shootdown_arm64._flush import Arm64Lowering
    from shootdown_arm64._formats import FORMATS
    from shootdown_arm64._here import CPUINFO
    from shootdown_arm64._kernel import CHANGES, CONTRADICTIONS, EXPECTED, Arm64Kernel, configure
    from shootdown_arm64._measured import MEASURED
    from shootdown_arm64._platforms import FLUSH_WAYS, INSTRUCTIONS, PLATFORMS
    from shootdown_arm64._recorded import RECORDED

    return [
        Architecture(
            api=1,
            name="arm64",
            summary="64-bit Arm: TLBI broadcasts, with and without range operations; 4K, 16K and 64K pages",
            aliases=("aarch64",),
            formats=FORMATS,
            switches=Arm64Kernel,
            changes=CHANGES,
            configure=configure,
            platforms=PLATFORMS,
            lower=Arm64Lowering,
            measured=MEASURED,
            emulation=EMULATION,
            dump_roots=DUMP_ROOTS,
            recorded=RECORDED,
            cpuinfo=CPUINFO,
            contradictions=CONTRADICTIONS,
            flush_ways=FLUSH_WAYS,
            instructions=INSTRUCTIONS,
            expected=EXPECTED,
            preempting_hosts=(),
        )
    ]


@hookimpl
def shootdown_scenarios() -> Sequence[Scenario]:
    """Offer the scenarios about entries with the Contiguous bit, ASIDs that run out, and an erratum of SME."""
    from shootdown_arm64._asid_rollover import ASID_ROLLOVER
    from shootdown_arm64._contpte_partial import CONTPTE_PARTIAL
    from shootdown_arm64._sme_dvmsync import SME_DVMSYNC

    return [CONTPTE_PARTIAL, ASID_ROLLOVER, SME_DVMSYNC]
