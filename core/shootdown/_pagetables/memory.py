"""Emulated physical memory: sparse, in frames of 4 KiB, readable by kernels without a copy.

The host makes it sparse: memory is mapped, and a frame takes space once it is written. A
*window* of contiguous physical addresses is found by one subtraction; what lies outside it is found through
a directory of 128 MiB sections (Linux's SECTION_SIZE_BITS on x86-64). A directory alone was measured too: it
puts one more dependent load on each level of a walk, 1.5 times the time of a walk that stays in the caches.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from shootdown._compilation.typed import compiled_type
from shootdown._values.errors import ShootdownError
from shootdown._values.inputs import no_file

FRAME_SHIFT = 12
FRAME_BYTES = 1 << FRAME_SHIFT
SECTION_SHIFT = 27
SECTION_BYTES = 1 << SECTION_SHIFT
ADDRESS_BITS = 56  # bits of a physical address: the most that any supported architecture has (riscv's PPN)

_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if os.uname().sysname == "Linux" else 0)
_HUGEPAGE: int | None = getattr(mmap, "MADV_HUGEPAGE", None)  # Linux has it
_HUGE_BYTES = 1 << 21
_SMALL_PAGES = 20 << 20  # bytes of tables that stay in small pages: a huge page is a tenth of them
_FRAMES_IN_SECTION = 1 << (SECTION_SHIFT - FRAME_SHIFT)

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

#: The most bytes of an `.npz`: its arrays are unpacked into memory, whatever the size of the file.
MOST_NPZ_BYTES = 1 << 31


def _promised(archive: Any, name: str) -> int:
    """Return the bytes of an array of an archive, from the array's header: nothing else is unpacked.

    Raises:
        ValueError: it is no array.
    """
    member = name if name in archive.zip.namelist() else f"{name}.npy"
    with archive.zip.open(member) as packed:
        version = npy.read_magic(packed)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = read(packed)
    return math.prod(shape) * kind.itemsize


@compiled_type("shootdown._compilation.backend.memory_type:teach")
class MemoryView:
    """Where a `PhysicalMemory` lies in this process, as kernels take it; good until memory is added.

    Attributes:
        window: address of the window's first byte in this process.
        window_base: its physical address.
        window_bytes: its length.
        sections: address of the directory in this process: per section, where it lies here, or 0.
        section_count: the directory's length.
    """

    __slots__ = ("keeps_alive", "section_count", "sections", "window", "window_base", "window_bytes")

    def __init__(self, window: Bytes, base: int, directory: Words, sections: tuple[Bytes, ...]) -> None:
        """Keep the addresses, and references to the arrays that they point into."""
        self.keeps_alive = (window, directory, sections)
        self.window = int(window.ctypes.data)
        self.window_base = base
        self.window_bytes = int(window.size)
        self.sections = int(directory.ctypes.data)
        self.section_count = int(directory.size)

    def typical(self) -> MemoryView:
        """Return a view of no memory, which is of the same type to a kernel: another process compiles for it."""
        return MemoryView(np.zeros(0, np.uint8), 0, np.zeros(0, np.uint64), ())


class PhysicalMemory:
    """Sparse physical memory of 4 KiB frames. What was never written reads as zero.

    Args:
        base: physical address of the window's first byte, a multiple of 128 MiB.
        window_bytes: the window's length, a multiple of 128 MiB. Nothing is committed before it is written.
        first_free: physical address from which `allocate` hands out frames; the window's second frame where
            None (a table at 0 would look like none).
    """

    def __init__(
        self, *, base: int = 0, window_bytes: int = 128 * SECTION_BYTES, first_free: int | None = None
    ) -> None:
        if base % SECTION_BYTES or window_bytes % SECTION_BYTES or window_bytes <= 0:
            raise ShootdownError("physical memory: base and window_bytes are multiples of 128 MiB")
        if base + window_bytes > 1 << ADDRESS_BITS:
            raise ShootdownError(f"physical memory ends at 2**{ADDRESS_BITS}")
        self._setup(_anonymous(window_bytes), base, np.zeros(window_bytes >> FRAME_SHIFT, dtype=np.bool_))
        self._next = base + FRAME_BYTES if first_free is None else first_free

    def _setup(self, window: Bytes, base: int, present: npt.NDArray[np.bool_] | None) -> None:
        self._window = window
        self._base = base
        self._present = present  # None: the window is complete (an image)
        self._sections: dict[int, tuple[Bytes, npt.NDArray[np.bool_]]] = {}
        self._directory: Words = np.zeros(1, dtype=np.uint64)
        self._free: dict[int, list[int]] = {}
        self._next = base
        self._huge_to = 0  # how far into the window huge pages were asked for
        self._frames = 0 if present is not None else window.size >> FRAME_SHIFT
        self._view: MemoryView | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, base: int = 0) -> PhysicalMemory:
        """Open a memory image: a raw one is mapped, an `.npz` of frames is copied.

        Args:
            path: raw bytes of physical memory (holes in a sparse file cost nothing), or an `.npz` with `pfn`
                (physical address / 4096) and `data` (4096 bytes for each).
            base: physical address of a raw image's first byte, a multiple of 4096; an `.npz` carries its own.

        Raises:
            ShootdownError: the file can't be read, or is no image.
        """
        file = Path(path)
        try:
            if (problem := no_file(file)) is not None:
                raise ShootdownError(f"memory image {file}: {problem}")
            return cls._from_npz(file) if file.suffix == ".npz" else cls._from_raw(file, base)
        except OSError as problem:
            raise ShootdownError(f"memory image {file}: {problem.strerror or problem}") from None

    @classmethod
    def _from_raw(cls, file: Path, base: int) -> PhysicalMemory:
        if base % FRAME_BYTES or base < 0:
            raise ShootdownError(f"memory image {file}: base {base:#x} is no multiple of {FRAME_BYTES}")
        size = file.stat().st_size & ~7
        if size == 0:
            raise ShootdownError(f"memory image {file}: it is empty")
        if base + size > 1 << ADDRESS_BITS:
            raise ShootdownError(f"memory image {file}: it would end above 2**{ADDRESS_BITS}")
        memory = cls.__new__(cls)
        # Private: accessed flags may be set without touching the file. Without reservation: np.memmap's
        # copy-on-write counts the whole file as memory in use, and a sparse image of 1 TiB is refused.
        with file.open("rb") as opened:
            flags = mmap.MAP_PRIVATE | _NORESERVE
            mapped = mmap.mmap(opened.fileno(), size, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        memory._setup(np.frombuffer(mapped, dtype=np.uint8), base, None)
        return memory

    @classmethod
    def _from_npz(cls, file: Path) -> PhysicalMemory:
        lacking: list[str] = []
        try:
            if not zipfile.is_zipfile(file):
                raise zipfile.BadZipFile
            with (
                warnings.catch_warnings(action="ignore"),
                file.open("rb") as opened,
                np.load(opened) as archive,
            ):
                lacking = [name for name in ("pfn", "data") if name not in archive]
                if not lacking:
                    held = sum(_promised(archive, name) for name in ("pfn", "data"))
                    if held > MOST_NPZ_BYTES:
                        raise ShootdownError(
                            f"memory image {file}: its arrays have {held:,} bytes, and an .npz is copied, so it "
                            f"may have {MOST_NPZ_BYTES:,}; a raw image, which may be sparse, is mapped"
                        )
                frames, data = archive["pfn"], archive["data"]
        except (ShootdownError, PermissionError):
            raise
        except Exception:  # numpy and zipfile let through whatever their parsers raise
            why = f"it lacks {' and '.join(lacking)}" if lacking else "it can't be read"
            raise ShootdownError(f"memory image {file}: no .npz with pfn and data; {why}") from None
        whole = frames.ndim == 1 and frames.dtype.kind in "iu"
        if not whole or data.dtype != np.uint8 or data.shape != (frames.size, FRAME_BYTES):
            raise ShootdownError(
                f"memory image {file}: data must be uint8[frames, 4096] and pfn an integer for each, not "
                f"{data.dtype}{list(data.shape)} and {frames.dtype}{list(frames.shape)}"
            )
        if frames.size and not (frames.min() >= 0 and frames.max() < 1 << (ADDRESS_BITS - FRAME_SHIFT)):
            raise ShootdownError(f"memory image {file}: a frame lies above 2**{ADDRESS_BITS}")
        if np.unique(frames).size != frames.size:
            raise ShootdownError(f"memory image {file}: pfn has a frame twice")
        first = int(frames.min()) >> (SECTION_SHIFT - FRAME_SHIFT) if frames.size else 0
        memory = cls(base=first << SECTION_SHIFT)
        for pfn, content in zip(frames.tolist(), data, strict=True):
            memory.write(pfn << FRAME_SHIFT, content)
        memory._next = (int(frames.max()) + 1) << FRAME_SHIFT if frames.size else FRAME_BYTES
        return memory

    @property
    def view(self) -> MemoryView:
        """The memory as kernels take it. Get it again after memory was allocated or written."""
        if self._view is None:
            sections = tuple(content for content, _ in self._sections.values())
            self._view = MemoryView(self._window, self._base, self._directory, sections)
        return self._view

    @property
    def has_gaps(self) -> bool:
        """Whether frames may be left out, as an `.npz` does; a raw image has all from its base to its end."""
        return self._present is not None

    @property
    def extent(self) -> str:
        """The ranges of physical memory, as text."""
        if self._present is None:
            return f"{self._base:#x} to {self._base + self._window.size:#x}"
        return f"{self._frames:,} frames of {FRAME_BYTES} bytes"

    @property
    def in_one_piece(self) -> bool:
        """Whether everything that was written lies in the window."""
        return not self._sections

    @property
    def frames(self) -> int:
        """The number of frames present (for an image, all of its frames)."""
        return self._frames

    def _place(self, address: int, size: int, *, create: bool) -> Bytes | None:
        """Find the bytes of a range that crosses no section; None where there is no memory."""
        offset = address - self._base
        if offset >= 0 and offset + size <= self._window.size:
            place, present, first = self._window[offset : offset + size], self._present, offset
        elif self._present is None:
            return None
        else:
            section, first = address >> SECTION_SHIFT, address & (SECTION_BYTES - 1)
            if section not in self._sections and not create:
                return None
            content, present = self._section(section)
            place = content[first : first + size]
        if create and present is not None:
            rows = present[first >> FRAME_SHIFT : ((first + size - 1) >> FRAME_SHIFT) + 1]
            self._frames += int(rows.size - np.count_nonzero(rows))
            rows[:] = True
        return place

    def _section(self, number: int) -> tuple[Bytes, npt.NDArray[np.bool_]]:
        found = self._sections.get(number)
        if found is None:
            found = _anonymous(SECTION_BYTES), np.zeros(_FRAMES_IN_SECTION, dtype=np.bool_)
            self._sections[number] = found
            if number >= self._directory.size:
                # Doubling keeps the number of copies small.
                wider = _anonymous(8 * max(number + 1, 2 * self._directory.size)).view(np.uint64)
                for known in self._sections:
                    if known < self._directory.size:
                        wider[known] = self._directory[known]
                self._directory = wider
            self._directory[number] = found[0].ctypes.data
            self._view = None
        return found

    def _spans(self, address: int, size: int, *, create: bool) -> Iterator[tuple[int, int, Bytes | None]]:
        """Cut a range at frames: where each part begins in it, how long it is, and its bytes."""
        if address < 0 or address + size > 1 << ADDRESS_BITS:
            raise ShootdownError(f"physical address {address:#x} is not below 2**{ADDRESS_BITS}")
        done = 0
        while done < size:
            here = address + done
            part = min(size - done, FRAME_BYTES - here % FRAME_BYTES)
            yield done, part, self._place(here, part, create=create)
            done += part

    def holds(self, address: int) -> bool:
        """Whether the frame of a physical address was ever written (or is part of an image)."""
        offset = address - self._base
        if 0 <= offset < self._window.size:
            return self._present is None or bool(self._present[offset >> FRAME_SHIFT])
        section = self._sections.get(address >> SECTION_SHIFT)
        return section is not None and bool(section[1][(address & (SECTION_BYTES - 1)) >> FRAME_SHIFT])

    def held_frames(self, address: int, size: int) -> Iterator[int]:
        """Yield the addresses of the whole frames of a range that are there (`holds`), in order; holes cost nothing.

        Args:
            address: of the first, a multiple of 4096.
            size: bytes.
        """
        parts = [(self._base, self._window.size, self._present)]
        parts += [
            (number << SECTION_SHIFT, SECTION_BYTES, present)
            for number, (_, present) in self._sections.items()
        ]
        for begin, length, present in sorted(parts, key=lambda part: part[0]):
            first, end = max(address, begin), min(address + size, begin + length)
            if first >= end:
                continue
            if present is None:
                yield from range(first, end - FRAME_BYTES + 1, FRAME_BYTES)
            else:
                rows = present[(first - begin) >> FRAME_SHIFT : (end - begin) >> FRAME_SHIFT]
                for row in np.flatnonzero(rows).tolist():
                    yield first + (row << FRAME_SHIFT)

    def reaches(self, address: int) -> bool:
        """Whether a kernel finds memory at a physical address (else its reason is NO_MEMORY)."""
        return 0 <= address < 1 << ADDRESS_BITS and self._place(address, 1, create=False) is not None

    def read(self, address: int, size: int) -> bytes:
        """Read bytes; zeros where nothing was written, `ShootdownError` outside of an image."""
        content = bytearray(size)
        for start, length, place in self._spans(address, size, create=False):
            if place is not None:
                content[start : start + length] = place.tobytes()
            elif self._present is None:
                raise ShootdownError(f"physical address {address + start:#x} lies outside of the image")
        return bytes(content)

    def write(self, address: int, content: bytes | Bytes) -> None:
        """Write bytes; missing frames are made. `ShootdownError` outside of an image."""
        source = np.frombuffer(content, dtype=np.uint8) if isinstance(content, bytes) else content
        for start, length, place in self._spans(address, source.size, create=True):
            if place is None:
                raise ShootdownError(f"physical address {address + start:#x} lies outside of the image")
            place[:] = source[start : start + length]

    def table(self, address: int, entries: int, *, entry_bytes: int = 8, big_endian: bool = False) -> Words:
        """Read a table's entries as numbers (a copy)."""
        kind = np.dtype(np.uint64 if entry_bytes == 8 else np.uint32).newbyteorder(">" if big_endian else "<")
        return np.frombuffer(self.read(address, entries * entry_bytes), dtype=kind).astype(np.uint64)

    def gather(self, addresses: Words, size: int) -> tuple[Bytes, npt.NDArray[np.bool_]]:
        """Read many tables of one size at once.

        Args:
            addresses: where they begin.
            size: bytes of each, a power of two from 8 on.

        Returns:
            A row of bytes for each, zeros where there is no memory, and whether all of a table was there:
            written before, or within the image.
        """
        content = np.zeros((addresses.size, size), dtype=np.uint8)
        there = np.zeros(addresses.size, dtype=np.bool_)
        offsets = addresses - np.uint64(self._base)  # what lies below the base wraps around to large numbers
        room = self._window.size // size
        quick = np.zeros(addresses.size, dtype=np.bool_)
        if room and size <= FRAME_BYTES:
            low = np.uint64(size - 1)
            quick = (offsets & low == 0) & (offsets // np.uint64(size) < room)
            rows = (offsets[quick] // np.uint64(size)).astype(np.intp)
            content[quick] = self._window[: room * size].reshape(room, size)[rows]
            there[quick] = True if self._present is None else self._present[rows * size >> FRAME_SHIFT]
        for i in np.flatnonzero(~quick).tolist():
            there[i] = self._gather_one(int(addresses[i]), content[i])
        return content, there

    def _gather_one(self, address: int, row: Bytes) -> bool:
        if address + row.size > 1 << ADDRESS_BITS:
            return False
        complete = True
        for start, length, place in self._spans(address, row.size, create=False):
            if place is not None:
                row[start : start + length] = place
            complete &= place is not None and self.holds(address + start)
        return complete

    def store_table(
        self, address: int, entries: Words, *, entry_bytes: int = 8, big_endian: bool = False
    ) -> None:
        """Write entries one after another from an address on."""
        kind = np.dtype(np.uint64 if entry_bytes == 8 else np.uint32).newbyteorder(">" if big_endian else "<")
        self.write(address, entries.astype(kind).view(np.uint8))

    def read_entry(self, address: int, *, entry_bytes: int = 8, big_endian: bool = False) -> int:
        """Read one entry."""
        return int.from_bytes(self.read(address, entry_bytes), "big" if big_endian else "little")

    def write_entry(
        self, address: int, entry: int, *, entry_bytes: int = 8, big_endian: bool = False
    ) -> None:
        """Write one entry."""
        self.write(address, entry.to_bytes(entry_bytes, "big" if big_endian else "little"))

    def allocate(self, size: int = FRAME_BYTES) -> int:
        """Take zeroed memory for a table.

        Args:
            size: bytes, a power of two; less than a frame takes a frame.

        Returns:
            Its physical address, aligned to `size`.
        """
        size = max(size, FRAME_BYTES)
        if size & (size - 1) or size > SECTION_BYTES:
            raise ShootdownError(f"a table of {size} bytes: a power of two up to 128 MiB is asked for")
        if self._present is None:
            raise ShootdownError("an image of physical memory has no free frames")
        free = self._free.get(size)
        if free:
            address = free.pop()
        else:
            address = -(-self._next // size) * size
            self._next = address + size
            self._prefer_huge_pages(address + size)
        if address + size > 1 << ADDRESS_BITS:
            raise ShootdownError(f"physical memory is full: it ends at 2**{ADDRESS_BITS}")
        self._place(address, size, create=True)
        return address

    def _prefer_huge_pages(self, end: int) -> None:
        """Ask the host for huge pages below tables that are allocated next, one huge page at a time.

        Measured: 1.1 to 1.6 times faster walks where the tables leave the caches. Only where tables lie close
        together, and not for the first megabytes, so that memory stays within a tenth of what they need; what is
        written elsewhere, such as the frames of an image, stays in small pages.
        """
        behind = end - self._base
        if behind <= max(self._huge_to, _SMALL_PAGES) or behind > self._window.size or _HUGEPAGE is None:
            return
        here = int(self._window.ctypes.data)
        start = -(-(here + max(self._huge_to, behind - FRAME_BYTES)) // _HUGE_BYTES) * _HUGE_BYTES - here
        if start + _HUGE_BYTES > self._window.size:
            return
        self._huge_to = start + _HUGE_BYTES
        mapped = getattr(self._window.base, "obj", None)  # frombuffer holds a memoryview of it
        with contextlib.suppress(OSError, ValueError):  # a host kernel without huge pages: it is only a hint
            if isinstance(mapped, mmap.mmap):
                mapped.madvise(_HUGEPAGE, start, _HUGE_BYTES)

    def free(self, address: int, size: int = FRAME_BYTES) -> None:
        """Free what `allocate` returned; it reads as zero again."""
        size = max(size, FRAME_BYTES)
        if not self.holds(address) or self._present is None:
            raise ShootdownError(f"physical address {address:#x} was never allocated")
        self.write(address, bytes(size))
        offset = address - self._base
        if 0 <= offset < self._window.size:
            self._present[offset >> FRAME_SHIFT : (offset + size) >> FRAME_SHIFT] = False
        else:
            first = (address & (SECTION_BYTES - 1)) >> FRAME_SHIFT
            self._sections[address >> SECTION_SHIFT][1][first : first + (size >> FRAME_SHIFT)] = False
        self._frames -= size >> FRAME_SHIFT
        self._free.setdefault(size, []).append(address)


def _anonymous(size: int) -> Bytes:
    """Map zeroed memory that costs nothing until it is written."""
    try:
        mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
    except OSError as problem:
        raise ShootdownError(
            f"{size >> 20} MiB of address space can't be mapped ({problem.strerror}): is ulimit -v set?"
        ) from None
    return np.frombuffer(mapped, dtype=np.uint8)
