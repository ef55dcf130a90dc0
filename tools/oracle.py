"""Boot Debian's current kernels and measure the shipped programs on them: `make oracle`.

Needs qemu-system, a compiler for each architecture, and a Debian with that architecture added:

    dpkg --add-architecture arm64 && apt-get update
    apt-get install qemu-system-x86 qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross

Packages are taken from a folder, and downloaded to it if they are not there. Rows go to `rows.jsonl` beside them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ARCHITECTURES = ("amd64", "arm64")


def package(arch: str) -> str:
    """Return the name of Debian's current kernel for an architecture."""
    told = subprocess.run(
        ("apt-cache", "depends", f"linux-image-{arch}:{arch}"), capture_output=True, text=True, check=False
    )
    found = re.search(r"Depends: (linux-image-\d[^\s:]*)", told.stdout)
    if found is None:
        raise SystemExit(
            f"oracle: there is no linux-image-{arch}: dpkg --add-architecture {arch} && apt-get update"
        )
    return found[1]


def downloaded(name: str, arch: str, folder: Path) -> Path:
    """Return the file of a package, downloaded if it is not in the folder."""
    pattern = f"{name}_*_{arch}.deb"
    if not list(folder.glob(pattern)):
        subprocess.run(("apt-get", "download", f"{name}:{arch}"), cwd=folder, check=True)
    return sorted(folder.glob(pattern))[-1]


def main() -> int:
    """Measure on each architecture; the exit status is 1 if a count disagrees."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/kernels"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    worst = 0
    for arch in ARCHITECTURES:
        kernel = downloaded(package(arch), arch, folder)
        command = (
            sys.executable,
            "-m",
            "shootdown",
            "measure",
            str(kernel),
            "--out",
            str(folder / "rows.jsonl"),
        )
        worst = max(worst, subprocess.run(command, check=False).returncode)
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
