"""How the reader of a kind of file is tried out."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np

ROOT = Path(__file__).parents[3]
INPUTS = ROOT / "tests" / "outputs" / "inputs"

Make = Callable[[random.Random], bytes]
Use = Callable[[bytes], str]


@attrs.frozen
class Reader:
    """One reader, as it is tried out.

    Args:
        name: of what it reads.
        make: makes the bytes of a file.
        use: returns a function that writes them into a file in a folder and reads it.
        heavy: an input takes a millisecond and more.
    """

    name: str
    make: Make
    use: Callable[[Path], Use]
    heavy: bool = False


def written(folder: Path, name: str, data: bytes) -> Path:
    file = folder / name
    file.write_bytes(data)
    return file


def npy(array: Any) -> bytes:
    """Return an array as a `.npy` file has it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
