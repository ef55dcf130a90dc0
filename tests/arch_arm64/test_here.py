"""arm64 machines are recognised by what their /proc/cpuinfo says."""

from __future__ import annotations

import pytest

from shootdown._plugins.registry import registry
from shootdown._questions.here import platform_like


def recognised(cpuinfo: str) -> str | None:
    return platform_like(registry().architecture("arm64"), cpuinfo)


@pytest.mark.parametrize(
    ("cpuinfo", "platform"),
    [
        (
            "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd4f\nCPU revision\t: 1",
            "neoverse-v2",
        ),
        (
            "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd0c\nCPU revision\t: 1",
            "neoverse-n1",
        ),
        (
            "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd4e\nCPU revision\t: 1",
            "cortex-x3",
        ),
        (
            "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd41\nCPU revision\t: 1",
            "cortex-a78",
        ),
        (
            "CPU implementer\t: 0x43\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0x0af\nCPU revision\t: 1",
            "thunderx2",
        ),
        (
            "CPU implementer\t: 0x50\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0x000\nCPU revision\t: 1",
            "emag",
        ),
    ],
)
def test_a_machine_is_like_the_platform_of_its_cpu(cpuinfo: str, platform: str) -> None:
    assert recognised(f"processor\t: 0\n{cpuinfo}\n\nprocessor\t: 1\n{cpuinfo}\n") == platform


@pytest.mark.parametrize(
    "cpuinfo",
    [
        "",
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd03\nCPU revision\t: 1",
        "CPU implementer\t: 0x61\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd4f\nCPU revision\t: 1",
    ],
)
def test_others_are_like_none(cpuinfo: str) -> None:
    assert recognised(cpuinfo) is None
