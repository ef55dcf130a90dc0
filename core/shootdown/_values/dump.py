"""What a memory image says of itself, and the roots of page tables that an architecture finds in that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from shootdown._values.checked import checked


@attrs.frozen
class DumpNote:
    """A note of an ELF file: the gABI's name, type and descriptor.

    Args:
        owner: who wrote it, such as `QEMU`.
        type: its number.
        content: its bytes.
    """

    owner: str
    type: int
    content: bytes


@attrs.frozen
class DumpNotes:
    """What a memory image says of the machine that it was taken from.

    Args:
        elf: e_machine of an ELF file; None for other files.
        machine: as `uname -m` prints it; empty if the image does not say.
        vmcoreinfo: the kernel's own notes (kernel/crash_core.c), such as `SYMBOL(swapper_pg_dir)`; empty without.
        notes: notes of registers, in the order of the file.
    """

    elf: int | None = None
    machine: str = ""
    vmcoreinfo: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    notes: tuple[DumpNote, ...] = ()

    def number(self, name: str) -> int | None:
        """Return `NUMBER(name)` of vmcoreinfo, which is decimal with a sign, or begins with 0x; None without it."""
        return _integer(self.vmcoreinfo.get(f"NUMBER({name})"), 0)

    def symbol(self, name: str) -> int | None:
        """Return `SYMBOL(name)` of vmcoreinfo: an address in bytes; None without it."""
        return _integer(self.vmcoreinfo.get(f"SYMBOL({name})"), 16)

    @property
    def page_bytes(self) -> int | None:
        """The bytes of a page; None if the image does not say."""
        return _integer(self.vmcoreinfo.get("PAGESIZE"), 10)


@attrs.frozen(field_transformer=checked)
class DumpRoot:
    """A root of page tables that an image names.

    Args:
        name: as typed after `--root`, such as `cpu0` or `kernel`.
        address: physical address of the top table, in bytes.
        format: the name of the page-table format; empty if the image does not tell.
        source: where it was found, in a few words.
        upper_half: the root is that of the upper half of the address space, in formats with a root for each half.
    """

    name: str
    address: int
    format: str
    source: str
    upper_half: bool = False


@attrs.frozen(field_transformer=checked)
class DumpRoots:
    """How an architecture finds roots in what an image says of itself.

    Args:
        machines: as `uname -m` prints them: a kdump has that name.
        elf: e_machine of an ELF file (the ELF gABI's list of machines).
        find: returns the roots that the notes tell, in the order in which they are listed.
    """

    machines: tuple[str, ...]
    elf: tuple[int, ...]
    find: Callable[[DumpNotes], Iterable[DumpRoot]]

    def knows(self, notes: DumpNotes) -> bool:
        """Whether an image is of a machine of this architecture."""
        return notes.elf in self.elf or notes.machine in self.machines


def _integer(text: str | None, base: int) -> int | None:
    if text is None:
        return None
    try:
        number = int(text, base)
    except ValueError:
        return None
    return number if abs(number) < 1 << 64 else None  # a damaged one may have any number of digits
