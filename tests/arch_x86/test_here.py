"""x86 machines are recognised by what their /proc/cpuinfo says."""

from __future__ import annotations

import pytest

from shootdown._plugins.registry import registry
from shootdown._questions.here import platform_like


def recognised(cpuinfo: str) -> str | None:
    return platform_like(registry().architecture("x86"), cpuinfo)


def machine(vendor: str, family: int, flags: str, name: str = "a CPU") -> str:
    return f"vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel name\t: {name}\nflags\t\t: fpu {flags} sse"


@pytest.mark.parametrize(
    ("cpuinfo", "platform"),
    [
        (machine("GenuineIntel", 6, "avx2 avx512f amx_tile"), "intel-server"),
        (machine("GenuineIntel", 6, "avx2"), "intel-client"),
        (machine("GenuineIntel", 6, "avx512f hypervisor"), "kvm-guest"),
        (machine("AuthenticAMD", 23, "avx2"), "amd-server-zen2"),
        (machine("AuthenticAMD", 25, "avx2"), "amd-server"),
        (machine("AuthenticAMD", 26, "avx512f"), "amd-server"),
        (machine("AuthenticAMD", 25, "hypervisor"), "kvm-guest-amd"),
        (machine("AuthenticAMD", 15, "hypervisor", "QEMU TCG CPU version 2.5+"), "qemu-tcg"),
    ],
)
def test_a_machine_is_like_the_platform_of_its_cpu(cpuinfo: str, platform: str) -> None:
    assert recognised(f"processor\t: 0\n{cpuinfo}\n\nprocessor\t: 1\n{cpuinfo}\n") == platform


@pytest.mark.parametrize(
    "cpuinfo", ["", machine("AuthenticAMD", 21, "avx"), machine("CentaurHauls", 6, "sse2")]
)
def test_others_are_like_none(cpuinfo: str) -> None:
    assert recognised(cpuinfo) is None
