"""Roots of RISC-V page tables that memory images name: the kernel's alone, for no note of a dump has satp."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown.formats import DumpNotes, DumpRoot, DumpRoots

_EM_RISCV = 243


def _find(notes: DumpNotes) -> Iterator[DumpRoot]:
    # arch/riscv/kernel/vmcore_info.c (before 6.9 crash_core.c): arch_crash_save_vmcoreinfo(). VA_BITS is that of the
    # mode in satp (arch/riscv/include/asm/pgtable.h).
    top, offset, bits = (
        notes.symbol("swapper_pg_dir"),
        notes.number("va_kernel_pa_offset"),
        notes.number("VA_BITS"),
    )
    if top is not None and offset is not None:
        yield DumpRoot(
            "kernel", top - offset, f"riscv-sv{bits}" if bits else "", "swapper_pg_dir, in VMCOREINFO"
        )


DUMP_ROOTS = DumpRoots(machines=("riscv64", "riscv32"), elf=(_EM_RISCV,), find=_find)
