"""Writes memory images in the forms of crash dumps, from frames; written from the formats' own descriptions.

ELF: the gABI; the note of a CPU: QEMU, target/i386/arch_dump.c. LiME: its doc/README.md. kdump: makedumpfile's
diskdump_mod.h, header version 6.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

FRAME = 4096
Frames = Mapping[int, bytes]


def runs(frames: Frames) -> list[tuple[int, bytes]]:
    """Join frames that follow one another."""
    found: list[tuple[int, bytearray]] = []
    for address in sorted(frames):
        if found and found[-1][0] + len(found[-1][1]) == address:
            found[-1][1].extend(frames[address])
        else:
            found.append((address, bytearray(frames[address])))
    return [(address, bytes(content)) for address, content in found]


def qemu_cpu(cr0: int, cr3: int, cr4: int) -> bytes:
    """Write the note's content for a CPU with these control registers."""
    return struct.pack("<II", 1, 440) + bytes(18 * 8 + 10 * 24) + struct.pack("<6Q", cr0, 0, 0, cr3, cr4, 0)


def note(owner: str, number: int, content: bytes) -> bytes:
    """Write a note of an ELF file."""
    name = owner.encode() + b"\0"
    head = struct.pack("<III", len(name), len(content), number)
    return head + name + bytes(-len(name) % 4) + content + bytes(-len(content) % 4)


def elf_core(
    path: Path, frames: Frames, *, machine: int, notes: Sequence[bytes] = (), physical: bool = True
) -> Path:
    """Write an ELF core of a machine; without physical addresses it is like that of a process."""
    parts, told = runs(frames), b"".join(notes)
    count = len(parts) + 1
    at = 64 + 56 * count
    headers = [struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(told), len(told), 4)]
    at += len(told)
    for address, content in parts:
        where = address if physical else 0
        headers.append(struct.pack("<IIQQQQQQ", 1, 0, at, address, where, len(content), len(content), 1))
        at += len(content)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = ident + struct.pack("<HHIQQQIHHHHHH", 4, machine, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    path.write_bytes(head + b"".join(headers) + told + b"".join(content for _, content in parts))
    return path


def lime(path: Path, frames: Frames) -> Path:
    """Write a LiME image."""
    parts = [
        struct.pack("<4sIQQ8x", b"EMiL", 1, address, address + len(content) - 1) + content
        for address, content in runs(frames)
    ]
    path.write_bytes(b"".join(parts))
    return path


def kdump(path: Path, frames: Frames, *, machine: str, vmcoreinfo: str) -> Path:
    """Write a kdump, its frames packed with zlib."""
    pages = sorted(address // FRAME for address in frames)
    most = pages[-1] + 1
    bitmap = bytearray(-(-most // 8))
    for page in pages:
        bitmap[page // 8] |= 1 << page % 8
    half = bytes(bitmap) + bytes(-len(bitmap) % FRAME)
    told = note("VMCOREINFO", 0, vmcoreinfo.encode())
    sub = struct.pack("<qiiQQqQqQqQQQQ", 0, 0, 0, 0, 0, 0, 0, FRAME + 104, len(told), 0, 0, 0, 0, most) + told
    sub += bytes(-len(sub) % FRAME)
    names = b"".join(word.encode().ljust(65, b"\0") for word in ("Linux", "host", "6.1.0", "#1", machine, ""))
    head = b"KDUMP   " + struct.pack("<i", 6) + names
    head += bytes(408 - len(head)) + bytes(16)
    blocks = 2 * len(half) // FRAME
    head += struct.pack(
        "<IiiIIIIIIi", 1, FRAME, len(sub) // FRAME, blocks, most, len(pages), 0, len(pages), 0, 1
    )
    head += bytes(FRAME - len(head))
    at = FRAME + len(sub) + 2 * len(half)
    packed = [zlib.compress(frames[page * FRAME]) for page in pages]
    data = at + 24 * len(pages)
    rows = []
    for content in packed:
        rows.append(struct.pack("<qIIQ", data, len(content), 1, 0))
        data += len(content)
    path.write_bytes(head + sub + half + half + b"".join(rows) + b"".join(packed))
    return path
