"""Programs that shootdown ships, by the names that the field knows them by."""

from __future__ import annotations

import functools
from pathlib import Path

#: The end of the names of program files.
SUFFIX = ".toml"
_FOLDER = Path(__file__).parent / "presets"


@functools.cache
def shipped() -> dict[str, Path]:
    """Return the files of shipped programs, by name."""
    return {path.name.removesuffix(SUFFIX): path for path in sorted(_FOLDER.glob(f"*{SUFFIX}"))}
