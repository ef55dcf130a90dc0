"""Which of the two MMUs a platform has, and how its kernel flushes."""

from __future__ import annotations

from shootdown import Kernel, Lowering, Platform
from shootdown_powerpc._flush import RadixLowering
from shootdown_powerpc._flush_hash import HashLowering
from shootdown_powerpc._platforms import PowerPlatform


def lower(kernel: Kernel, platform: Platform) -> Lowering:
    """Return the lowering of a kernel on a platform, for the platform's MMU.

    Args:
        kernel: one whose `arch` is a `PowerpcKernel`.
        platform: one whose `arch` is a `PowerPlatform`.
    """
    power: PowerPlatform = platform.arch
    return RadixLowering(kernel, platform) if power.mmu == "radix" else HashLowering(kernel, platform)
