"""What stands for what plain Python does to whole states at once: loops, which become vector instructions."""

from __future__ import annotations

from typing import Any

from numba import njit

# As `dispatchers` has them for what is inlined.
_FLAGS: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "forceinline": True}


@njit(**_FLAGS)
def copy_cells(to: Any, cells: Any) -> None:
    """Copy a state."""
    for cell in range(to.shape[0]):
        to[cell] = cells[cell]


@njit(**_FLAGS)
def note_cells(state: Any, first: Any, varies: Any, largest: Any) -> None:
    """Note in what bits each cell of a state differs from the first one, and the largest value that each had."""
    for cell in range(state.shape[0]):
        varies[cell] |= state[cell] ^ first[cell]
        largest[cell] = max(state[cell], largest[cell])
