"""Find the kernel in what a person has: an image, an ELF file, or Debian's package of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from shootdown._values.architecture import Architecture
from shootdown._values.errors import ShootdownError

#: Bytes of a file that say what it is.
_HEAD = 4096
_DEB, _ELF = b"!<arch>\n", b"\x7fELF"


@attrs.frozen
class Image:
    """A kernel that can be booted.

    Args:
        path: the image.
        architecture: what it is for; has an `emulation`.
    """

    path: Path
    architecture: Architecture


@contextmanager
def opened(file: Path, known: Iterable[Architecture], wanted: str | None) -> Iterator[Image]:
    """Find the kernel in a file; what has to be unpacked is there until the end of the block.

    Args:
        file: bzImage, Image, vmlinux, or a .deb that has one.
        known: the architectures that are installed.
        wanted: the name of the architecture, if it was said.

    Raises:
        ShootdownError: the file is none of these, or of an architecture that no plugin can boot.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise ShootdownError(f"{file} can't be read: {error.strerror or error}") from None
    if not head.startswith(_DEB):
        yield Image(file, _architecture(file, head, known, wanted))
        return
    with tempfile.TemporaryDirectory(prefix="shootdown-kernel-") as folder:
        inner = _unpacked(file, Path(folder))
        with inner.open("rb") as stream:
            yield Image(inner, _architecture(file, stream.read(_HEAD), known, wanted))


def _unpacked(file: Path, folder: Path) -> Path:
    if shutil.which("dpkg-deb") is None:
        raise ShootdownError(
            f"{file} is a Debian package, and dpkg-deb is not installed: unpack it, and name its vmlinuz"
        )
    done = subprocess.run(("dpkg-deb", "-x", file, folder), capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["dpkg-deb failed"])[0]
        raise ShootdownError(f"{file} can't be unpacked: {why}")
    found = sorted(
        path
        for path in folder.glob("**/*")
        if re.match(r"vmlinu[xz]", path.name) and path.is_file() and path.stat().st_size
    )
    if not found:
        raise ShootdownError(
            f"{file} has no kernel: it is the package linux-image-VERSION, without -dbg, that has one"
        )
    return found[0]


def _architecture(file: Path, head: bytes, known: Iterable[Architecture], wanted: str | None) -> Architecture:
    able = [one for one in known if one.emulation is not None]
    names = ", ".join(one.name for one in able) or "none"
    if wanted is not None:
        for one in able:
            if one.name == wanted:
                return one
        raise ShootdownError(
            f"kernels of {wanted} can't be booted: its plugin has no `emulation`; those with one: {names}"
        )
    machine = int.from_bytes(head[18:20], "little" if head[5:6] == b"\x01" else "big")
    for one in able:
        emulation = one.emulation
        assert emulation is not None
        offset, magic = emulation.magic
        if head[offset : offset + len(magic)] == magic or (
            head.startswith(_ELF) and machine == emulation.elf
        ):
            return one
    kind = f"an ELF file for machine {machine}" if head.startswith(_ELF) else "no kernel image that is known"
    raise ShootdownError(f"{file} is {kind}; kernels can be booted of: {names} (--arch says which it is)")
