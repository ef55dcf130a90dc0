"""Build the runner from its C source, once for each compiler and source."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from shootdown._compilation.folders import own_folder
from shootdown._values.emulation import Emulation
from shootdown._values.errors import ShootdownError

_RUNNER = Path(__file__).parent / "runner"
_PLUGIN = Path(__file__).parent / "plugin"
_FLAGS = ("-std=gnu11", "-O2")
#: What the runner's marks are called in its source, in the order of their numbers.
MARKS = ("OPEN", "CLOSE", "PRINT")


def compiler(emulation: Emulation) -> str:
    """Return the path of a compiler for an architecture.

    Raises:
        ShootdownError: there is none; the message says what to install.
    """
    names = [emulation.compiler]
    if platform.machine() == emulation.machine:
        names = ["cc", "gcc", *names]
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    package = f"gcc-{emulation.compiler.removesuffix('-gcc').replace('_', '-')}"
    raise ShootdownError(
        f"there is no C compiler for {emulation.arch}: none of {', '.join(names)} is installed "
        f"(Debian: apt-get install {package} libc6-dev-{emulation.arch}-cross, or gcc on such a machine)"
    )


def runner(emulation: Emulation) -> bytes:
    """Return the runner, a static program for an architecture.

    Raises:
        ShootdownError: there is no compiler, or it fails.
    """
    flags = ["-static", "-pthread"]
    if (marks := emulation.marks) is not None:
        flags += [
            f'-DMARK_{name}="{marks.assembler.replace("MARK", str(number))}"'
            for number, name in enumerate(MARKS, start=1)
        ]
    return _built(compiler(emulation), _RUNNER, flags, f"runner-{emulation.arch}")


def plugin() -> bytes:
    """Return the emulator's plugin, a shared object for this machine.

    Raises:
        ShootdownError: there is no compiler, or it fails.
    """
    found = shutil.which("cc") or shutil.which("gcc")
    if found is None:
        raise ShootdownError(
            "there is no C compiler for this machine (Debian: apt-get install gcc libc6-dev)"
        )
    return _built(found, _PLUGIN, ["-shared", "-fPIC", "-fvisibility=hidden"], "plugin")


def _built(compiler: str, source: Path, flags: list[str], name: str) -> bytes:
    """Build what is in a folder, or return what was built of the same before."""
    files = sorted(source.glob("*.[ch]"))
    parts = [compiler.encode(), *(flag.encode() for flag in flags), *(path.read_bytes() for path in files)]
    own = own_folder()
    kept = None if own is None else own / f"{name}-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}"
    if kept is not None and kept.is_file():
        return kept.read_bytes()
    with tempfile.TemporaryDirectory(prefix="shootdown-build-") as folder:
        built = Path(folder) / "built"
        command = (
            compiler,
            *_FLAGS,
            *flags,
            *(str(path) for path in files if path.suffix == ".c"),
            "-o",
            str(built),
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            first = next(
                (line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200]
            )
            raise ShootdownError(f"{compiler} can't build {source.name}: {first}")
        content = built.read_bytes()
    if kept is not None:
        beside = kept.with_suffix(f".{os.getpid()}")
        beside.write_bytes(content)
        beside.replace(kept)
    return content
