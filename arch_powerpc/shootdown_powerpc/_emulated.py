"""How powerpc kernels are booted under an emulator, and what is counted there."""

from __future__ import annotations

from shootdown.measured import SHARED_COUNTS, Emulation, Marks, Pattern

#: Opcode 31 and the extended opcodes of tlbie, tlbiel and tlbsync (Power ISA 3.1, Book III, 6.9.3.3).
_TLBIE, _TLBIEL, _TLBSYNC = (31 << 26 | extended << 1 for extended in (306, 274, 566))
#: The opcode, RIC, PRS, R and the extended opcode: RS and RB are registers.
_OPERANDS = 0x3F << 26 | 3 << 18 | 1 << 17 | 1 << 16 | 0x3FF << 1


def _patterns(name: str, word: int) -> tuple[Pattern, ...]:
    """Return an invalidation's patterns: one for each RIC, PRS and R."""
    return tuple(
        Pattern(f"{name}_ric{ric}_prs{prs}_r{r}", word | ric << 18 | prs << 17 | r << 16, _OPERANDS)
        for ric in range(4)
        for prs in range(2)
        for r in range(2)
    )


EMULATION = Emulation(
    arch="ppc64el",
    qemu="qemu-system-ppc64",
    package="qemu-system-ppc",
    options=("-M", "pseries,x-vof=on"),  # QEMU's own firmware: SLOF takes much longer
    cpu="power9",
    console="hvc0",
    machine="ppc64le",
    compiler="powerpc64le-linux-gnu-gcc",
    magic=(0, b""),  # a vmlinux is what is booted
    elf=21,  # EM_PPC64
    counts=SHARED_COUNTS,
    instructions=(
        *_patterns("tlbie", _TLBIE),
        *_patterns("tlbiel", _TLBIEL),
        Pattern("tlbsync", _TLBSYNC, 0xFC0007FE),
    ),
    # dcbt of no address, with a TH that is reserved (Power ISA 3.1, Book II, 4.3.2)
    marks=Marks(".long 0x7c00022c | (28 + MARK) << 21", 0x7C00022C | 28 << 21, 0xFFFFFFFF, 21),
)
