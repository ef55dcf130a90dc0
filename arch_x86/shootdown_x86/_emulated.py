"""How x86 kernels are booted under an emulator, and what is counted there."""

from __future__ import annotations

from shootdown.measured import SHARED_COUNTS, Counted, Emulation, Marks, Pattern

#: Prefixes that may stand before an opcode: operand size, repetition, segments, REX (SDM volume 2, 2.1.1 and 2.2.1).
_PREFIXES = bytes((0x66, 0xF2, 0xF3, 0x2E, 0x3E, 0x26, 0x36, 0x64, 0x65, *range(0x40, 0x50)))

#: The models of qemu's TCG have no PCID and no hypervisor's flush, as the platform `qemu-tcg` says.
EMULATION = Emulation(
    arch="amd64",
    qemu="qemu-system-x86_64",
    package="qemu-system-x86",
    options=("-M", "pc"),
    cpu="qemu64",
    console="ttyS0",
    machine="x86_64",
    compiler="x86_64-linux-gnu-gcc",
    magic=(0x202, b"HdrS"),  # Documentation/arch/x86/boot.rst, the real-mode kernel header
    elf=62,  # EM_X86_64
    counts=(
        *SHARED_COUNTS,
        # arch/x86/mm/tlb.c: flush_tlb_mm_range(mm, start, end, stride_shift, freed_tables)
        Counted("flush_tlb_mm_range", ("flush_tlb_mm_range",), by="actor"),
        Counted(
            "flush_tlb_mm_range_all",
            probe="p:shootdown/NAME flush_tlb_mm_range end=$arg3:u64",
            filter="end == 0xffffffffffffffff",  # TLB_FLUSH_ALL
            by="actor",
        ),
        Counted("tlb_row", row="TLB"),
    ),
    instructions=(
        # INVLPG m: 0F 01 /7, with an operand in memory (SDM volume 2, INVLPG; ModR/M bytes: 2.1.3)
        *(Pattern("invlpg", 0x38010F | mod << 22, 0xF8FFFF, _PREFIXES) for mod in range(3)),
        # MOV CR3, r64: 0F 22 /3 (SDM volume 2, MOV - Move to/from control registers)
        Pattern("mov_cr3", 0x18220F, 0x38FFFF, _PREFIXES),
    ),
    # On a host that is busy the timer's interrupts come late, and the kernel panics: "IO-APIC + timer doesn't work!"
    parameters="no_timer_check",
    # NOP r/m32 of eight bytes with a displacement (SDM volume 2, NOP)
    marks=Marks(".byte 0x0f, 0x1f, 0x84, 0, MARK, 0, 0x0b, 0x5d", 0x5D0B000000841F0F, (1 << 64) - 1, 32),
)
