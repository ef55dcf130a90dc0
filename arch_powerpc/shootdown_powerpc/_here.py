"""Which platform this machine is like, by what arch/powerpc/kernel/setup-common.c:show_cpuinfo() prints."""

from __future__ import annotations


def _machine(cpu: str, platform: str, mmu: str = "") -> str:
    found = rf"(?ms)(?=.*^cpu\s*: {cpu}\b)(?=.*^platform\s*: {platform}$)"
    return f"{found}(?=.*^MMU\\s*: {mmu}$)" if mmu else found


CPUINFO = (
    (_machine("POWER9", "PowerNV", "Hash"), "power9-hash"),
    (_machine("POWER9", "PowerNV"), "power9"),
    (_machine("POWER9", "pSeries", "Radix"), "power9-guest"),
    (_machine("POWER10", "PowerNV"), "power10"),
    (_machine("POWER10", "pSeries", "Radix"), "power10-lpar"),
    (_machine("POWER8E?", "PowerNV"), "power8"),
)
