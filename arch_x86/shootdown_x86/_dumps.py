"""Roots of x86 page tables that memory images name."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from shootdown.formats import DumpNotes, DumpRoot, DumpRoots

_EM_386, _EM_X86_64 = 3, 62
# QEMU, target/i386/arch_dump.c: each CPU has a note of owner QEMU with a QEMUCPUState of version 1. Before its control
# registers stand two words of 32 bits, 18 registers of 64 and 10 segments of 24 bytes. x86_get_dump_info() makes
# e_machine EM_X86_64 if EFER.LMA is set.
_CONTROL = struct.Struct("<5Q")
_CONTROL_AT = 8 + 18 * 8 + 10 * 24
# Intel SDM volume 3, 2.5: CR0.PG, CR4.PAE, CR4.LA57; 4.3 to 4.5: which bits of CR3 are the table's address.
_PG, _PAE, _LA57 = 1 << 31, 1 << 5, 1 << 12
_TABLE = {"x86-32bit": 0xFFFF_F000, "x86-pae": 0xFFFF_FFE0}
_TABLE_64 = (1 << 52) - (1 << 12)
_START_KERNEL_MAP = 0xFFFF_FFFF_8000_0000  # arch/x86/include/asm/page_64_types.h: __START_KERNEL_map


def _find(notes: DumpNotes) -> Iterator[DumpRoot]:
    cpus = [note.content for note in notes.notes if note.owner == "QEMU"]
    for cpu, content in enumerate(cpus):
        if len(content) < _CONTROL_AT + _CONTROL.size:
            continue
        cr0, _, _, cr3, cr4 = _CONTROL.unpack_from(content, _CONTROL_AT)
        if cr0 & _PG:
            form = _format(notes.elf == _EM_X86_64, cr4)
            yield DumpRoot(
                f"cpu{cpu}", cr3 & _TABLE.get(form, _TABLE_64), form, f"CR3 of CPU {cpu}, in QEMU's note"
            )
    # arch/x86/kernel/vmcore_info_64.c (before 6.9 machine_kexec_64.c): arch_crash_save_vmcoreinfo()
    top, offset = notes.symbol("swapper_pg_dir"), notes.number("phys_base")
    if top is not None and offset is not None:
        form = f"x86_64-{5 if notes.number('pgtable_l5_enabled') else 4}level"
        yield DumpRoot("kernel", top - _START_KERNEL_MAP + offset, form, "swapper_pg_dir, in VMCOREINFO")


def _format(is_64bit: bool, cr4: int) -> str:
    if is_64bit:
        return "x86_64-5level" if cr4 & _LA57 else "x86_64-4level"
    return "x86-pae" if cr4 & _PAE else "x86-32bit"


DUMP_ROOTS = DumpRoots(machines=("x86_64", "i686"), elf=(_EM_386, _EM_X86_64), find=_find)
