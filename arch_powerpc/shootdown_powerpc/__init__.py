"""The powerpc architecture (Book3S-64): page-table formats, kernels, platforms, and how radix and hash flush."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shootdown import Architecture, hookimpl

if TYPE_CHECKING:
    from shootdown.scenarios import Scenario


@hookimpl
def shootdown_architectures() -> Sequence[Architecture]:
    """Offer powerpc."""
    from shootdown_powerpc._dumps import DUMP_ROOTS
    from shootdown_powerpc._emulated import EMULATION
    from shootdown_powerpc._formats import FORMATS
    from shootdown_powerpc._here import CPUINFO
    from shootdown_powerpc._kernel import CHANGES, CONTRADICTIONS, PowerpcKernel, configure
    from shootdown_powerpc._lower import lower
    from shootdown_powerpc._measured import MEASURED
    from shootdown_powerpc._platforms import FLUSH_WAYS, INSTRUCTIONS, PLATFORMS
    from shootdown_powerpc._recorded import RECORDED

    return [
        Architecture(
            api=1,
            name="powerpc",
            summary="64-bit POWER (Book3S): radix and hashed page tables; tlbie, tlbiel with IPIs, hypercalls",
            aliases=("ppc64el", "ppc64le", "ppc64"),
            formats=FORMATS,
            switches=PowerpcKernel,
            changes=CHANGES,
            configure=configure,
            platforms=PLATFORMS,
            lower=lower,
            measured=MEASURED,
            dump_roots=DUMP_ROOTS,
            emulation=EMULATION,
            recorded=RECORDED,
            cpuinfo=CPUINFO,
            contradictions=CONTRADICTIONS,
            flush_ways=FLUSH_WAYS,
            instructions=INSTRUCTIONS,
            preempting_hosts=("kvm",),
        )
    ]


@hookimpl
def shootdown_scenarios() -> Sequence[Scenario]:
    """Offer the scenario about the hash table."""
    from shootdown_powerpc._hash_pte_reuse import HASH_PTE_REUSE

    return [HASH_PTE_REUSE]
