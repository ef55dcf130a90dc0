"""ELF cores of a whole machine: QEMU's dump-guest-memory, /proc/vmcore, copies of /proc/kcore."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shootdown._images.frames import MOST_RANGES, Dump, Extent, FileFrames, in_order
from shootdown._images.vmcoreinfo import read_vmcoreinfo
from shootdown._values.dump import DumpNote, DumpNotes
from shootdown._values.errors import ShootdownError
from shootdown._values.frames import needed

MAGIC = b"\x7fELF"
_NO_ADDRESS = (1 << 64) - 1  # fs/proc/kcore.c: the p_paddr of ranges that are no RAM
_MOST_NOTES = 1 << 24  # bytes


def open_elf(path: Path) -> Dump:
    """Open an ELF core of a whole machine.

    Args:
        path: the file.

    Raises:
        ShootdownError: pyelftools is not installed, or the file is no core with physical addresses.
    """
    library = needed("elftools.elf.elffile", "images")
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            elf = library.ELFFile(file)
            kind, machine = elf.header.e_type, elf["e_machine"]
            loads = [segment for _, segment in zip(range(MOST_RANGES), elf.iter_segments(), strict=False)]
            found = [_extent(each.header) for each in loads if each.header.p_type == "PT_LOAD"]
            notes = DumpNotes(_number(machine), "", *_notes(loads, path))
        except ShootdownError:
            raise
        except Exception:  # the library lets through whatever its parsers raise
            raise ShootdownError(
                f"memory image {path}: its ELF header or one of its segments is damaged"
            ) from None
    if kind != "ET_CORE":
        raise ShootdownError(f"memory image {path}: an ELF file, but no core: it has no memory of a machine")
    if len(found) > 1 and all(each.first == 0 for each in found):
        raise ShootdownError(
            f"memory image {path}: its segments have no physical addresses, so it is the core of a process, which has "
            "no page tables, or a /proc/kcore of an old kernel"
        )
    held = in_order(
        Extent(each.first, min(each.size, max(size - each.at, 0)), each.at)
        for each in found
        if each.first != _NO_ADDRESS
    )
    missing = sum(
        max(min(each.at + each.size - size, each.size), 0) for each in found if each.first != _NO_ADDRESS
    )
    lacks = f"it is cut off: {missing:,} bytes of its segments are missing" if missing else ""
    return Dump("an ELF core", held, FileFrames(path, held).read, notes=notes, lacks=lacks)


def _extent(header: Any) -> Extent:
    return Extent(header.p_paddr, header.p_filesz, header.p_offset)


def _number(machine: Any) -> int | None:
    from elftools.elf.enums import ENUM_E_MACHINE

    return machine if isinstance(machine, int) else ENUM_E_MACHINE.get(machine)


def _notes(segments: list[Any], path: Path) -> tuple[dict[str, str], tuple[DumpNote, ...]]:
    told: dict[str, str] = {}
    notes: list[DumpNote] = []
    for segment in segments:
        if segment.header.p_type != "PT_NOTE":
            continue
        if segment.header.p_filesz > _MOST_NOTES:
            raise ShootdownError(
                f"memory image {path}: its notes have {segment.header.p_filesz:,} bytes: damaged"
            )
        for owner, number, content in _each(segment):
            if owner == "VMCOREINFO":
                told |= read_vmcoreinfo(content)
            else:
                notes.append(DumpNote(owner, number, content))
    return told, tuple(notes)


def _each(segment: Any) -> Iterator[tuple[str, int, bytes]]:
    """Yield owner, type and content; a note that ends behind its segment is left out."""
    data = segment.data()
    head = struct.Struct("<III" if segment.elffile.little_endian else ">III")
    at = 0
    while at + head.size <= len(data):
        sizes = head.unpack_from(data, at)
        name = at + head.size
        content = name + -(-sizes[0] // 4) * 4
        at = content + -(-sizes[1] // 4) * 4
        if content + sizes[1] > len(data):
            return
        yield (
            data[name : name + sizes[0]].rstrip(b"\0").decode("ascii", "replace"),
            sizes[2],
            data[content : content + sizes[1]],
        )
