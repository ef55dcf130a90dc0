"""Programs that shootdown ships: by the names that the field knows them by, and those that are scenarios."""

from __future__ import annotations

import functools
from pathlib import Path

#: The end of the names of program files.
SUFFIX = ".toml"
_HERE = Path(__file__).parent


@functools.cache
def shipped() -> dict[str, Path]:
    """Return the files of shipped programs, by name."""
    return _files("presets")


@functools.cache
def scenario_files() -> dict[str, Path]:
    """Return the files of the programs that are shipped as scenarios, by name."""
    return _files("scenarios")


def _files(folder: str) -> dict[str, Path]:
    return {path.name.removesuffix(SUFFIX): path for path in sorted((_HERE / folder).glob(f"*{SUFFIX}"))}
