"""LiME images: ranges of memory, each behind a header (github.com/504ensicsLabs/LiME, doc/README.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from shootdown._images.frames import MOST_RANGES, Dump, Extent, FileFrames, in_order
from shootdown._values.errors import ShootdownError

MAGIC = b"EMiL"
_HEADER = struct.Struct("<4sIQQ8x")  # magic, version, first address, last address, reserved
_VERSION = 1


def open_lime(path: Path) -> Dump:
    """Open a LiME image.

    Args:
        path: the file.

    Raises:
        ShootdownError: a header is damaged.
    """
    size = path.stat().st_size
    found = list(_ranges(path, size))
    held = in_order(each.within(size) for each in found)
    missing = sum(each.size - each.within(size).size for each in found)
    lacks = f"it is cut off: {missing:,} bytes of its last range are missing" if missing else ""
    return Dump("a LiME image", held, FileFrames(path, held).read, lacks=lacks)


def _ranges(path: Path, size: int) -> Iterator[Extent]:
    at = 0
    with path.open("rb") as file:
        for number in range(MOST_RANGES):
            if at >= size:
                return
            file.seek(at)
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                if number:
                    return  # cut off in a header: the ranges before it are whole
                raise ShootdownError(f"memory image {path}: a LiME image that ends in its first header")
            magic, version, first, last = _HEADER.unpack(header)
            if magic != MAGIC or version != _VERSION or last < first:
                raise ShootdownError(
                    f"memory image {path}: a LiME image has no header of version {_VERSION} at byte {at:,}, where "
                    f"range {number + 1} begins: it is damaged"
                )
            yield Extent(first, last - first + 1, at + _HEADER.size)
            at += _HEADER.size + last - first + 1
    raise ShootdownError(f"memory image {path}: it has more than {MOST_RANGES:,} ranges")
