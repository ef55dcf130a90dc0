"""Find the kernel in what a person has: an image, an ELF file, or Debian's package of it."""

from __future__ import annotations

import contextlib
import lzma
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from shootdown._values.architecture import Architecture
from shootdown._values.errors import ShootdownError

#: Bytes of a file that say what it is: an image for s390 does so after those that a disk would load.
_HEAD = 0x10020
_DEB, _ELF = b"!<arch>\n", b"\x7fELF"
_IMAGE = re.compile(r"vmlinu[xz]")


@attrs.frozen
class Image:
    """A kernel that can be booted.

    Args:
        path: the image.
        architecture: what it is for; has an `emulation`.
        modules: of the package that it is in, those that were asked for, by their files' names.
    """

    path: Path
    architecture: Architecture
    modules: Mapping[str, bytes] = attrs.Factory(dict)


@contextmanager
def opened(
    file: Path, known: Iterable[Architecture], wanted: str | None, modules: Sequence[str] = ()
) -> Iterator[Image]:
    """Find the kernel in a file; what has to be unpacked is there until the end of the block.

    Args:
        file: bzImage, Image, vmlinux, or a .deb that has one.
        known: the architectures that are installed.
        wanted: the name of the architecture, if it was said.
        modules: files of modules that are taken out of a package, if it has them.

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
        found: dict[str, bytes] = {}
        inner = _unpacked(file, Path(folder), modules, found)
        with inner.open("rb") as stream:
            yield Image(inner, _architecture(file, stream.read(_HEAD), known, wanted), found)


def _unpacked(file: Path, folder: Path, modules: Sequence[str], taken: dict[str, bytes]) -> Path:
    """Take the kernel out of a package, and the modules that are asked for; its thousands of others stay there."""
    if shutil.which("dpkg-deb") is None:
        raise ShootdownError(
            f"{file} is a Debian package, and dpkg-deb is not installed: unpack it, and name its vmlinuz"
        )
    command = ("dpkg-deb", "--fsys-tarfile", str(file))
    found = None
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as unpacking,
    ):
        assert unpacking.stdout is not None
        with (
            contextlib.suppress(tarfile.TarError),
            tarfile.open(fileobj=unpacking.stdout, mode="r|") as packed,
        ):
            for one in packed:
                name = Path(one.name).name
                plain = name.removesuffix(".xz")
                if plain not in modules and not _IMAGE.match(name):
                    continue
                content = packed.extractfile(one)
                if content is None or not one.size:
                    continue
                if plain in modules:
                    taken[plain] = content.read() if plain == name else lzma.decompress(content.read())
                else:
                    found = folder / name
                    with found.open("wb") as stream:
                        shutil.copyfileobj(content, stream)
                if found is not None and len(taken) == len(modules):
                    break
        unpacking.stdout.close()
        if found is not None:
            unpacking.kill()
            return found
        if unpacking.wait():
            said.seek(0)
            why = (said.read().decode(errors="replace").strip().splitlines() or ["dpkg-deb failed"])[0]
            raise ShootdownError(f"{file} can't be unpacked: {why}")
    raise ShootdownError(f"{file} has no kernel: {_where(file)}")


def _where(file: Path) -> str:
    """Say which package has the kernel: since Debian's 7.x linux-image-VERSION only depends on it."""
    done = subprocess.run(("dpkg-deb", "-f", file, "Depends"), capture_output=True, text=True, check=False)
    other = re.search(r"linux-binary-[^\s,]+", done.stdout)
    if other is not None:
        return f"{other[0]} has it, on which it depends"
    return "it is the package linux-image-VERSION or linux-binary-VERSION, without -dbg, that has one"


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
        named = bool(magic) and head[offset : offset + len(magic)] == magic
        if named or (head.startswith(_ELF) and machine == emulation.elf):
            return one
    kind = f"an ELF file for machine {machine}" if head.startswith(_ELF) else "no kernel image that is known"
    raise ShootdownError(f"{file} is {kind}; kernels can be booted of: {names} (--arch says which it is)")
