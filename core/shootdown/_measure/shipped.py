"""The programs that are measured if nobody names one: each call that unmaps or shares, in a few forms."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "programs"


def shipped() -> list[Path]:
    """Return the files of the shipped programs, in the order of their names."""
    return sorted(FOLDER.glob("*.toml"))
