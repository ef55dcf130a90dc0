"""Which platform this machine is like, by the implementer and part of MIDR_EL1 as /proc/cpuinfo prints them.

The numbers are those of arch/arm64/include/asm/cputype.h. Only the very CPUs that platforms describe are recognised: a
relative may lack range operations.
"""

from __future__ import annotations


def _cpu(implementer: str, part: str) -> str:
    return rf"(?ms)(?=.*^CPU implementer\s*: {implementer}$)(?=.*^CPU part\s*: {part}$)"


CPUINFO = (
    (_cpu("0x41", "0xd4f"), "neoverse-v2"),
    (_cpu("0x41", "0xd0c"), "neoverse-n1"),
    (_cpu("0x41", "0xd4e"), "cortex-x3"),  # before the cores beside it on the same chip
    (_cpu("0x41", "0xd41"), "cortex-a78"),
    (_cpu("0x43", "0x0af"), "thunderx2"),
    (_cpu("0x50", "0x000"), "emag"),
)
