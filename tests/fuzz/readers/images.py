"""Images of memory: archives of frames, and raw ones."""

from __future__ import annotations

import io
import itertools
import random
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fuzz.mutations import damaged
from fuzz.readers.reader import INPUTS, Reader, Use, npy, written

from shootdown._pagetables.format import Access
from shootdown._questions.image import page_tables

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


READERS = (
    Reader("images, npz", npz_image, _use_npz, heavy=True),
    Reader("images, raw", raw_image, _use_raw, heavy=True),
)
