"""Roots of powerpc page tables that memory images name: the kernel's, where the MMU works by radix trees."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown.formats import DumpNotes, DumpRoot, DumpRoots

_EM_PPC64 = 21
_PAGE_OFFSET = (
    0xC000_0000_0000_0000  # arch/powerpc/Kconfig: PAGE_OFFSET of 64-bit kernels, the linear mapping
)


def _find(notes: DumpNotes) -> Iterator[DumpRoot]:
    # arch/powerpc/kexec/vmcore_info.c: arch_crash_save_vmcoreinfo(); RADIX_MMU is newer than what stands beside it.
    top = notes.symbol("swapper_pg_dir")
    if top is not None and notes.number("RADIX_MMU") == 1 and notes.page_bytes is not None:
        form = f"ppc64-radix-{notes.page_bytes >> 10}k"
        yield DumpRoot("kernel", top - _PAGE_OFFSET, form, "swapper_pg_dir, in VMCOREINFO")


DUMP_ROOTS = DumpRoots(machines=("ppc64", "ppc64le"), elf=(_EM_PPC64,), find=_find)
