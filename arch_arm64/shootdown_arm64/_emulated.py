"""How arm64 kernels are booted under an emulator, and what is counted there."""

from __future__ import annotations

from shootdown.measured import SHARED_COUNTS, Emulation, Marks, Pattern

#: TLBI of EL1, by CRm and op2 of SYS with op1 0 and CRn 8 (Arm ARM, C5.5 and C6.2, TLBI).
_TLBI = {
    "tlbi_vae1is": (3, 1), "tlbi_aside1is": (3, 2), "tlbi_vale1is": (3, 5),
    "tlbi_vae1": (7, 1), "tlbi_aside1": (7, 2), "tlbi_vale1": (7, 5),
    "tlbi_rvae1is": (2, 1), "tlbi_rvale1is": (2, 5),
}  # fmt: skip

EMULATION = Emulation(
    arch="arm64",
    qemu="qemu-system-aarch64",
    package="qemu-system-arm",
    options=("-M", "virt"),
    cpu="cortex-a72",
    console="ttyAMA0",
    machine="aarch64",
    compiler="aarch64-linux-gnu-gcc",
    magic=(56, b"ARM\x64"),  # Documentation/arch/arm64/booting.rst, the header's magic number
    elf=183,  # EM_AARCH64
    counts=SHARED_COUNTS,
    instructions=tuple(
        Pattern(name, 0xD5088000 | crm << 8 | op2 << 5, 0xFFFFFFE0) for name, (crm, op2) in _TLBI.items()
    ),
    marks=Marks("movz xzr, #0x5d0MARK", 0xD2800000 | 0x5D00 << 5 | 31, 0xFFFFFFFF, 5),
)
