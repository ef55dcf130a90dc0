"""Roots of arm64 page tables that memory images name: the kernel's alone, for no note of a dump has TTBR0_EL1."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown.formats import DumpNotes, DumpRoot, DumpRoots

_EM_AARCH64 = 183


def _find(notes: DumpNotes) -> Iterator[DumpRoot]:
    # arch/arm64/kernel/vmcore_info.c (before 6.9 crash_core.c): arch_crash_save_vmcoreinfo()
    top, offset = notes.symbol("swapper_pg_dir"), notes.number("kimage_voffset")
    if top is None or offset is None:
        return
    yield DumpRoot("kernel", top - offset, _format(notes), "swapper_pg_dir, in VMCOREINFO", upper_half=True)


def _format(notes: DumpNotes) -> str:
    # Arm ARM (DDI 0487), TCR_EL1.T1SZ: the upper half has 2**(64 - T1SZ) bytes; VA_BITS is what Linux was built for.
    size, built = notes.number("TCR_EL1_T1SZ"), notes.number("VA_BITS")
    bits = 64 - size if size is not None else built
    return "" if bits is None or notes.page_bytes is None else f"arm64-{notes.page_bytes >> 10}k-{bits}"


DUMP_ROOTS = DumpRoots(machines=("aarch64",), elf=(_EM_AARCH64,), find=_find)
