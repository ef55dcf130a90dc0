"""Images of memory: archives of frames, raw ones, ELF cores and LiME."""

from __future__ import annotations

import io
import itertools
import random
import struct
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fuzz.mutations import damaged
from fuzz.readers.reader import INPUTS, Reader, Use, npy, written
from twins.dumps import note, qemu_cpu

from shootdown._pagetables.format import Access
from shootdown._questions.image import opened_image, page_tables

#: Of each format an image, the root of its tables, and settings.
_HASH = {"segment_table": 10485760, "segment_table_shift": 14, "htab_shift": 18}
IMAGES: tuple[tuple[str, str, int, dict[str, int]], ...] = (
    ("x86_64-gap.npz", "x86_64-4level", 0x4000_3000, {}),
    ("x86_64-5level.npz", "x86_64-5level", 0x4000_0000, {}),
    ("x86-pae.npz", "x86-pae", 0x4000_0000, {}),
    ("x86-32bit.npz", "x86-32bit", 0x4000_0000, {}),
    ("riscv-sv32.npz", "riscv-sv32", 0x4000_0000, {}),
    ("riscv-sv39.npz", "riscv-sv39", 0x4000_0000, {}),
    ("arm64-4k-48.npz", "arm64-4k-48", 0x4000_0000, {}),
    ("arm64-16k-47.npz", "arm64-16k-47", 0x4000_0000, {}),
    ("arm64-64k-52.npz", "arm64-64k-52", 0x4000_0000, {}),
    ("ppc64-radix-64k.npz", "ppc64-radix-64k", 0x4000_0000, {}),
    ("ppc64-hash-4k.npz", "ppc64-hash-4k", 0x100_0003, _HASH),
)
_BASE = 0x4000_0000
_FRAME = 4096


@cache
def _arrays(name: str) -> tuple[Any, Any]:
    with np.load(INPUTS / name) as archive:
        return archive["pfn"], archive["data"]


def _members(arrays: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in arrays.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


def npz_image(rng: random.Random) -> bytes:
    """Make an `.npz`: an archive that is damaged, or whose arrays are; a byte before it says which format it has."""
    if rng.random() < 0.4:
        which = rng.randrange(len(IMAGES))
        archive = (INPUTS / IMAGES[which][0]).read_bytes()
        words = (b"PK\x03\x04", b"PK\x05\x06", b"pfn.npy")
        return bytes([which]) + (damaged(rng, archive, words) if rng.random() < 0.9 else archive)
    frames, whole = rng.randrange(3), rng.random() < 0.4
    if whole:
        frames += 1
    numbers = [
        rng.choice((0, 1, 0x40003, 0x40003, 5, 1 << 20, 1 << 44, (1 << 44) - 1)) for _ in range(frames)
    ]
    if whole:
        numbers[0] = 0x40003  # where the root is
    kind = rng.choice(("<i4", "<u2", "<f8", "?") if rng.random() < 0.2 else ("<u8", ">i8"))
    pfn = npy(np.array(numbers, np.uint64).astype(kind))
    width = 4096 if whole else rng.choice((4096, 4096, 4095, 0, 8))
    more = 0 if whole else rng.choice((0, 0, 1))
    data = npy(np.zeros((frames + more, width), rng.choice(("u1", "u1", "u1", "i1", "<u8"))))
    words = (b"(2,)", b"'|O'", b"(99999999999,)", b"'|u1'", b"True", b"(-1,)", b"{", b"'<V4294967296'")
    if rng.random() < 0.5:
        pfn = damaged(rng, pfn, words)
    if rng.random() < 0.5:
        data = damaged(rng, data[:200], words) + data[200:]
    members = {rng.choice(("pfn.npy", "pfn.npy", "pfn.npy", "pfn", "x")): pfn, "data.npy": data}
    made = _members(members)
    return b"\0" + (damaged(rng, made[-300:], (b"PK",)) if rng.random() < 0.05 else made)


def _use_npz(folder: Path) -> Use:
    def use(data: bytes) -> str:
        _, form, root, settings = IMAGES[data[0]]
        tables = page_tables(
            written(folder, "image.npz", data[1:]), format=form, root=root, settings=settings
        )
        tables.translate(0x40_0000, Access("read", True))
        return "read"

    return use


def raw_image(rng: random.Random) -> bytes:
    """Make an image of the frames of another and some more, with random entries; a byte says which format it has."""
    which = rng.randrange(len(IMAGES) - 1)  # the hash table is too large
    pfn, data = _arrays(IMAGES[which][0])
    frames = {int(number) - (_BASE >> 12): frame for number, frame in zip(pfn.tolist(), data, strict=True)}
    size = max(number + 1 for number in frames if number < 64)
    image = bytearray(_FRAME * (size + rng.randrange(2)))
    for number, frame in frames.items():
        if 0 <= number < size:
            image[number * _FRAME : (number + 1) * _FRAME] = frame.tobytes()
    used = [at for at in range(0, len(image), 8) if any(image[at : at + 8])] or [0]
    for _ in range(rng.choice((0, 1, 3, 9))):
        at = rng.choice(used) if rng.random() < 0.7 else rng.randrange(len(image) // 8) * 8
        old = int.from_bytes(image[at : at + 8], "little")
        new = rng.choice(
            (old ^ 1 << rng.randrange(64), rng.getrandbits(64), _BASE | rng.randrange(size) << 12 | 0x67)
        )
        image[at : at + 8] = new.to_bytes(8, rng.choice(("little", "little", "big")))
    if rng.random() < 0.1:
        image = image[: rng.randrange(len(image))]
    return bytes([which]) + bytes(image)


def _use_raw(folder: Path) -> Use:
    def use(data: bytes) -> str:
        _, form, root, settings = IMAGES[data[0]]
        file = written(folder, "image.raw", data[1:])
        tables = page_tables(file, format=form, root=root, base=_BASE, settings=settings)
        rng = random.Random(data[:8192])
        for access in ("read", "write", "execute"):
            va = rng.choice(
                (0, 0x1000, 0x40_0000, 0x1000_0000, 0x3000_0000, 0xFFFF_FFFF_FFFF_F000, rng.getrandbits(64))
            )
            tables.translate(va, Access(access, rng.random() < 0.5)).to_dict()
        for found in itertools.islice(tables.listing(), 20):
            tables.rights(found.attributes)
        return "walked"

    return use


#: Addresses, sizes and counts at which something ends.
_ODD = (0, 1, 4095, 4096, 0x4000_0000, (1 << 32) - 1, 1 << 40, 1 << 56, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_TOLD = (
    "PAGESIZE=4096", "SYMBOL(swapper_pg_dir)=ffffffff82000000", "NUMBER(phys_base)=-905969664", "NUMBER(VA_BITS)=48",
    "NUMBER(pgtable_l5_enabled)=0", "NUMBER(kimage_voffset)=0xffffc08c87800000", "NUMBER(RADIX_MMU)=1", "PAGESIZE=x",
    "NUMBER(va_kernel_pa_offset)=0xfffffffeffe00000", "SYMBOL(swapper_pg_dir)=" + "f" * 99, "=", "NUMBER(phys_base)=",
)  # fmt: skip
_MACHINES = (3, 21, 22, 62, 183, 243, 258, 0, 65535)


def _mapped(rng: random.Random) -> tuple[int, list[tuple[int, bytes]]]:
    """Return the number of an image, and ranges with its frames, some of which share addresses or have none."""
    which = rng.randrange(len(IMAGES) - 1)
    pfn, data = _arrays(IMAGES[which][0])
    ranges = [(int(number) << 12, frame.tobytes()) for number, frame in zip(pfn.tolist(), data, strict=True)][
        :8
    ]
    for _ in range(rng.choice((0, 0, 1, 2))):
        at, content = rng.choice(ranges)
        part = rng.randrange(len(content))
        ranges.append((at + rng.choice((0, part, -part, 1)), content[: rng.choice((part, len(content)))]))
    return which, [(max(at, 0), content) for at, content in ranges]


def elf_image(rng: random.Random) -> bytes:
    """Make an ELF core: of 32 or 64 bits, of either byte order, with headers that may say anything."""
    which, ranges = _mapped(rng)
    order, wide = rng.choice("<<<>"), rng.random() < 0.7
    told = "\n".join(rng.sample(_TOLD, rng.randrange(len(_TOLD))))
    notes = note("QEMU", 0, qemu_cpu(1 << 31, 0x4000_3000, rng.choice((0, 32, 4128)))) * rng.randrange(3)
    notes += note("VMCOREINFO", 0, told.encode())
    head, row = (64, 56) if wide else (52, 32)
    at = head + row * (len(ranges) + 1)
    rows = [[4, at, 0, 0, len(notes)]]  # type, offset, virtual and physical address, size
    at += len(notes)
    for address, content in ranges:
        rows.append([1, at, address, address, len(content)])
        at += len(content)
    for each in rows if rng.random() < 0.6 else ():
        if rng.random() < 0.3:
            each[rng.randrange(5)] = rng.choice((*_ODD, 2, 3, 6))
    mask = (1 << (64 if wide else 32)) - 1
    headers = b""
    for kind, offset, virtual, physical, size in rows:
        values = [value & mask for value in (offset, virtual, physical, size, size)]
        if wide:
            headers += struct.pack(f"{order}IIQQQQQQ", kind & 0xFFFF_FFFF, 0, *values, 1)
        else:
            headers += struct.pack(f"{order}IIIIIIII", kind & 0xFFFF_FFFF, *values, 0, 1)
    count = len(rows) if rng.random() < 0.9 else rng.choice((0, 1, 60000, 65534, 65535))
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if order == "<" else 2, 1)) + bytes(9)
    words = f"{order}HHI{'QQQ' if wide else 'III'}IHHHHHH"
    machine = rng.choice((62, 62, *_MACHINES))
    start = (
        ident + struct.pack(words, 4, machine, 1, 0, head, 0, 0, head, row, count, 0, 0, 0) + headers + notes
    )
    if rng.random() < 0.5:
        start = damaged(rng, start)
    whole = start + b"".join(content for _, content in ranges)
    return bytes([which]) + (whole if rng.random() < 0.8 else whole[: rng.randrange(4, len(whole))])


def lime_image(rng: random.Random) -> bytes:
    """Make a LiME image, with headers that may say anything."""
    which, ranges = _mapped(rng)
    made = b""
    for address, content in ranges:
        last = address + len(content) - 1
        values = [1, address, last]
        if rng.random() < 0.1:
            values[rng.randrange(3)] = rng.choice(_ODD)
        head = struct.pack("<4sIQQ8x", b"EMiL", values[0] & 0xFFFF_FFFF, *values[1:])
        made += (damaged(rng, head) if rng.random() < 0.05 else head) + content
    return bytes([which]) + (made if rng.random() < 0.8 else made[: rng.randrange(4, len(made))])


def _use_dump(folder: Path) -> Use:
    def use(data: bytes) -> str:
        _, form, root, settings = IMAGES[data[0]]
        opened = opened_image(written(folder, "image.dump", data[1:]))
        for named in opened.roots:
            assert "\n" not in named.name
        tables = page_tables(opened, format=form, root=root, settings=settings)
        for va in (0x40_0000, 0x3000_0000, (1 << 64) - 4096):
            tables.translate(va, Access("read", True)).to_dict()
        for found in itertools.islice(tables.listing(), 20):
            tables.rights(found.attributes)
        return "walked"

    return use


READERS = (
    Reader("images, npz", npz_image, _use_npz, heavy=True),
    Reader("images, raw", raw_image, _use_raw, heavy=True),
    Reader("images, ELF", elf_image, _use_dump, heavy=True),
    Reader("images, LiME", lime_image, _use_dump, heavy=True),
)
