"""Opens a memory image whatever its form, and finds the roots that it names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import attrs

from shootdown._images.elf import MAGIC as ELF
from shootdown._images.elf import open_elf
from shootdown._images.fetched import FetchedMemory
from shootdown._images.frames import Dump
from shootdown._images.kdump import MAGICS as KDUMPS
from shootdown._images.kdump import open_kdump
from shootdown._images.lime import MAGIC as LIME
from shootdown._images.lime import open_lime
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._values.architecture import Architecture
from shootdown._values.dump import DumpRoot
from shootdown._values.errors import ShootdownError

#: What raw bytes and an `.npz` of frames are.
RAW = "an image that says nothing of its machine"
#: What else begins with these bytes: it is no memory, as raw bytes are.
_OTHERS = (
    (b"\x1f\x8b\x08", "packed with gzip: unpack it first"),
    (b"\xfd7zXZ\0", "packed with xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it first"),
    (b"BZh", "packed with bzip2: unpack it first"),
    (b"AVML", "compressed by AVML: `avml-convert` makes a LiME image of it"),
    (b"QFI\xfb", "a disk image of QEMU, whose `dump-guest-memory` writes an ELF core"),
    (b"PAGEDU64", "a crash dump of Windows"),
    (b"PAGEDUMP", "a crash dump of Windows"),
)


@attrs.frozen(eq=False)
class Image:
    """Memory from a file, and what the file says of it.

    Args:
        memory: the memory.
        kind: what the file is, in a few words.
        name: of the file, for messages.
        roots: the roots that it names.
        lacks: what is missing in it, in words; empty if it is whole.
        dumped: the file's ranges and notes; None for raw images and frames.
    """

    memory: PhysicalMemory
    kind: str
    name: str = "memory"
    roots: tuple[DumpRoot, ...] = ()
    lacks: str = ""
    dumped: Dump | None = None

    def root(self, name: str | None) -> DumpRoot:
        """Return a root that the image names.

        Args:
            name: of the root; None for the only one.

        Raises:
            ShootdownError: the image names no root, none of that name, or several.
        """
        if not self.roots:
            asked = "which root" if name is None else f"root {name}"
            raise ShootdownError(
                f"{asked}? {self.name} is {self.kind} and names none: give --root a physical address"
            )
        known = ", ".join(f"{root.name} ({root.address:#x})" for root in self.roots)
        if name is not None:
            for root in self.roots:
                if root.name == name:
                    return root
            raise ShootdownError(f"{self.name} names no root {name!r}; those that it names: {known}")
        if len({(root.address, root.format) for root in self.roots}) > 1:
            raise ShootdownError(f"which root? {self.name} names {known}")
        return self.roots[0]


def open_image(
    path: str | os.PathLike[str], architectures: Iterable[Architecture], *, base: int = 0
) -> Image:
    """Open a memory image: an ELF core, LiME, a kdump, an `.npz` of frames, or raw bytes.

    Args:
        path: the file; its first bytes tell the form.
        architectures: those that look for roots in it.
        base: physical address of a raw image's first byte.

    Raises:
        ShootdownError: the file can't be read, or is damaged.
    """
    dumped = _dump(Path(path))
    if dumped is None:
        return Image(PhysicalMemory.load(path, base=base), RAW, os.fspath(path))
    if not dumped.extents:
        raise ShootdownError(f"memory image {path}: {dumped.kind} without memory in it")
    roots = _roots(dumped, architectures)
    return Image(FetchedMemory(dumped), dumped.kind, os.fspath(path), roots, dumped.lacks, dumped)


def _dump(path: Path) -> Dump | None:
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            start = file.read(16)
        if start.startswith(ELF):
            return open_elf(path)
        if start.startswith(LIME):
            return open_lime(path)
        for magic, words in _OTHERS:
            if start.startswith(magic):
                raise ShootdownError(f"memory image {path}: it is {words}")
        return open_kdump(path) if start.startswith(KDUMPS) else None
    except OSError as problem:
        raise ShootdownError(f"memory image {path}: {problem.strerror or problem}") from None


def _roots(dumped: Dump, architectures: Iterable[Architecture]) -> tuple[DumpRoot, ...]:
    for architecture in architectures:
        how = architecture.dump_roots
        if how is not None and how.knows(dumped.notes):
            return tuple(how.find(dumped.notes))
    return ()
