"""Memory images as a hypervisor or a crash kernel leaves them, made from page tables that tests build."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from shootdown._pagetables.format import Format
from shootdown.formats import AddressSpace, PhysicalMemory

FRAME = 4096
SECTION = 1 << 27


def space_at(format_: Format, base: int, **settings: int) -> AddressSpace:
    """Return an address space whose tables are allocated in physical memory that begins at `base`."""
    memory = PhysicalMemory(base=base // SECTION * SECTION, window_bytes=4 * SECTION, first_free=base)
    return AddressSpace(format_, memory, settings=format_.settings(**settings))


def frames_of(memory: PhysicalMemory, first: int, end: int) -> list[int]:
    """List the physical addresses of the frames that were written."""
    return [address for address in range(first, end, FRAME) if memory.holds(address)]


def raw_image(path: Path, space: AddressSpace, base: int, size: int) -> Path:
    """Write what lies from `base` on as a raw image of `size` bytes; what was never written stays a hole."""
    with path.open("wb") as image:
        os.truncate(image.fileno(), size)
        for address in frames_of(space.memory, base, base + min(size, 4 * SECTION)):
            image.seek(address - base)
            image.write(space.memory.read(address, FRAME))
    return path


def npz_image(path: Path, space: AddressSpace, first: int, end: int) -> Path:
    """Write the frames of a range as an `.npz` with pfn and data."""
    frames = frames_of(space.memory, first, end)
    data = np.array([np.frombuffer(space.memory.read(a, FRAME), dtype=np.uint8) for a in frames])
    np.savez_compressed(path, pfn=np.array(frames) // FRAME, data=data.reshape(-1, FRAME))
    return path
