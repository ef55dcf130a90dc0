"""ELF cores of a whole machine: QEMU's dump-guest-memory, /proc/vmcore, copies of /proc/kcore."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shootdown._images.frames import ENDLESS, MOST_RANGES, Dump, Extent, FileFrames, in_order
from shootdown._images.vmcoreinfo import read_vmcoreinfo
from shootdown._values.dump import DumpNote, DumpNotes
from shootdown._values.errors import ShootdownError
from shootdown._values.frames import needed

MAGIC = b"\x7fELF"
_MOST_BYTES = 1 << 24  # of notes: a machine of 8,192 CPUs has 8 MiB
_MOST_NOTES = 1 << 17


def open_elf(path: Path) -> Dump:
    """Open an ELF core of a whole machine.

    Args:
        path: the file.

    Raises:
        ShootdownError: pyelftools is not installed, or the file is no core with physical addresses.
    """
    library = needed("elftools.elf.elffile", "images")
    size = _size(path) or ENDLESS  # /proc has files that don't say it
    with path.open("rb") as file:
        try:
            elf = library.ELFFile(file)
            if elf["e_type"] != "ET_CORE":
                raise ShootdownError(
                    f"memory image {path}: an ELF file, but no core: it has no memory of a machine"
                )
            headers = list(_headers(elf, path))
            notes = DumpNotes(_number(elf["e_machine"]), "", *_notes(elf, headers, path))
        except ShootdownError:
            raise
        except Exception:  # the library lets through whatever its parsers raise
            raise ShootdownError(
                f"memory image {path}: its ELF header or one of its segments is damaged"
            ) from None
    # fs/proc/kcore.c: the p_paddr of ranges that are no RAM is -1, of as many bits as the file's addresses have.
    nowhere = (1 << elf.elfclass) - 1
    loads = [
        Extent(each.p_paddr, each.p_filesz, each.p_offset) for each in headers if each.p_type == "PT_LOAD"
    ]
    found = [each for each in loads if each.first != nowhere]
    if len(found) > 1 and all(each.first == 0 for each in found):
        raise ShootdownError(
            f"memory image {path}: its segments have no physical addresses, so it is the core of a process, which has "
            "no page tables, or a /proc/kcore of an old kernel"
        )
    if loads and not found:
        raise ShootdownError(f"memory image {path}: none of its segments has a physical address")
    held = in_order(each.within(size) for each in found)
    missing = sum(each.size - each.within(size).size for each in found)
    lacks = f"it is cut off: {missing:,} bytes of its segments are missing" if missing else ""
    return Dump("an ELF core", held, FileFrames(path, held).read, notes=notes, lacks=lacks)


def _size(path: Path) -> int:
    return path.stat().st_size


def _headers(elf: Any, path: Path) -> Iterator[Any]:
    """Yield the program headers of memory and notes; others, which may name anything, are not looked into."""
    from elftools.common.utils import struct_parse

    count = elf.num_segments()
    if count > MOST_RANGES:
        raise ShootdownError(
            f"memory image {path}: it has {count:,} segments, and at most {MOST_RANGES:,} are read: damaged?"
        )
    for number in range(count):
        at = elf["e_phoff"] + number * elf["e_phentsize"]
        header = struct_parse(elf.structs.Elf_Phdr, elf.stream, stream_pos=at)
        if header.p_type in ("PT_LOAD", "PT_NOTE"):
            yield header


def _number(machine: Any) -> int | None:
    from elftools.elf.enums import ENUM_E_MACHINE

    return machine if isinstance(machine, int) else ENUM_E_MACHINE.get(machine)


def _notes(elf: Any, headers: list[Any], path: Path) -> tuple[dict[str, str], tuple[DumpNote, ...]]:
    segments = [each for each in headers if each.p_type == "PT_NOTE"]
    size = sum(each.p_filesz for each in segments)
    if size > _MOST_BYTES:
        raise ShootdownError(f"memory image {path}: its notes have {size:,} bytes: damaged")
    told: dict[str, str] = {}
    notes: list[DumpNote] = []
    head = struct.Struct("<III" if elf.little_endian else ">III")
    for segment in segments:
        elf.stream.seek(segment.p_offset)
        for owner, number, content in _each(elf.stream.read(segment.p_filesz), head):
            if owner == "VMCOREINFO":
                told |= read_vmcoreinfo(content)
            else:
                notes.append(DumpNote(owner, number, content))
            if len(notes) > _MOST_NOTES:
                raise ShootdownError(f"memory image {path}: it has more than {_MOST_NOTES:,} notes: damaged")
    return told, tuple(notes)


def _each(data: bytes, head: struct.Struct) -> Iterator[tuple[str, int, bytes]]:
    """Yield owner, type and content; a note that ends behind its segment is left out."""
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
