"""powerpc machines are recognised by what their /proc/cpuinfo says."""

from __future__ import annotations

import pytest

from shootdown._plugins.registry import registry
from shootdown._questions.here import platform_like


def recognised(cpuinfo: str) -> str | None:
    return platform_like(registry().architecture("powerpc"), cpuinfo)


def machine(cpu: str, platform: str, mmu: str) -> str:
    return f"cpu\t\t: {cpu}\nclock\t\t: 3800.0MHz\n\ntimebase\t: 512000000\nplatform\t: {platform}\nMMU\t\t: {mmu}"


@pytest.mark.parametrize(
    ("cpuinfo", "platform"),
    [
        (machine("POWER9, altivec supported", "PowerNV", "Radix"), "power9"),
        (machine("POWER9, altivec supported", "PowerNV", "Hash"), "power9-hash"),
        (machine("POWER9 (architected), altivec supported", "pSeries", "Radix"), "power9-guest"),
        (machine("POWER10, altivec supported", "PowerNV", "Radix"), "power10"),
        (machine("POWER10 (architected), altivec supported", "pSeries", "Radix"), "power10-lpar"),
        (machine("POWER8E (raw), altivec supported", "PowerNV", "Hash"), "power8"),
    ],
)
def test_a_machine_is_like_the_platform_of_its_cpu(cpuinfo: str, platform: str) -> None:
    assert recognised(f"processor\t: 0\n{cpuinfo}\n") == platform


@pytest.mark.parametrize("cpuinfo", ["", machine("POWER7", "pSeries", "Hash")])
def test_others_are_like_none(cpuinfo: str) -> None:
    assert recognised(cpuinfo) is None
