"""How riscv kernels are booted under an emulator, and what is counted there."""

from __future__ import annotations

from shootdown.measured import SHARED_COUNTS, Counted, Emulation, Half, Marks, Pattern

#: funct7 under SYSTEM with funct3 0 and rd 0 (the privileged manual, 1.12: SFENCE.VMA, and chapter 7, Svinval).
_SFENCE_VMA, _SINVAL_VMA = 0b0001001, 0b0001011
_SYSTEM, _RS1, _RS2 = 0b1110011, 31 << 15, 31 << 20
_ALL = (1 << 32) - 1


def _fences(name: str, funct7: int) -> tuple[Pattern, ...]:
    """Return a fence's patterns: those without rs1 or rs2 first; the firmware, in the lower half, executes `m_`.

    Without an ASID they are of entries that any fault on any CPU maps, and of the kernel's own addresses: not counted.
    """
    modes: tuple[tuple[str, Half], ...] = (("", "upper"), ("m_", "lower"))
    return tuple(
        Pattern(
            "" if suffix == "_addr" else f"{prefix}{name}{suffix}",
            funct7 << 25 | _SYSTEM,
            _ALL & ~registers,
            half=half,
        )
        for prefix, half in modes
        for suffix, registers in (("", 0), ("_asid", _RS2), ("_addr", _RS1), ("_addr_asid", _RS1 | _RS2))
    )


#: The default CPU of the virt machine: Sv57, neither Svinval nor Svvptc. Its firmware is OpenSBI.
EMULATION = Emulation(
    arch="riscv64",
    qemu="qemu-system-riscv64",
    package="qemu-system-misc",
    options=("-M", "virt"),
    cpu="rv64",
    console="ttyS0",
    machine="riscv64",
    compiler="riscv64-linux-gnu-gcc",
    magic=(56, b"RSC\x05"),  # Documentation/arch/riscv/boot-image-header.rst
    elf=243,  # EM_RISCV
    counts=(
        *SHARED_COUNTS,
        # arch/riscv/mm/tlbflush.c
        Counted("flush_requests", ("__flush_tlb_range",), by="actor"),
        Counted("flush_whole_mm", ("flush_tlb_mm",), by="actor"),
        Counted("flush_tlb_range", ("flush_tlb_range", "flush_pmd_tlb_range"), by="actor"),
        Counted("flush_tlb_page", ("flush_tlb_page",), by="actor"),
        Counted("flush_tlb_mm_range", ("flush_tlb_mm_range",), by="actor"),
        Counted("flush_ipis", ("__ipi_flush_tlb_range_asid",), by="others"),
    ),
    instructions=(
        *_fences("sfence_vma", _SFENCE_VMA),
        *_fences("sinval_vma", _SINVAL_VMA),
        Pattern("sfence_w_inval", 0x18000073, _ALL),
        Pattern("sfence_inval_ir", 0x18100073, _ALL),
        Pattern("csr_satp", 0x18001073, 0xFFF0707F),  # CSRRW of satp
        Pattern("fence_i", 0x0000100F, 0x0000707F, half="upper"),
    ),
    # LUI to x0: a HINT (the unprivileged manual, RV64I, HINT instructions)
    marks=Marks("lui x0, 0x5d0d0 + MARK", 0x5D0D0037, _ALL, 12),
)
