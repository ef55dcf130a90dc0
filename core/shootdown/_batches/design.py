"""The points of a sweep: every combination, or a sample that spreads over all axes alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from shootdown._batches.axes import Axis
from shootdown._values.errors import ShootdownError
from shootdown._values.frames import needed

GRID, LATIN = "grid", "latin-hypercube"
KINDS = (GRID, LATIN)
#: The most points of a sweep.
MOST_POINTS = 1_000_000


@attrs.frozen
class Design:
    """How points are chosen.

    Args:
        kind: `grid` or `latin-hypercube`.
        points: of a sample; 0 for a grid.
        seed: of a sample.
    """

    kind: str = GRID
    points: int = 0
    seed: int = 1


class Points(Sequence[tuple[Any, ...]]):
    """The points of a design: of each axis its value there, or None where another program has the axis.

    Args:
        axes: all of them; the first is that of the programs, by name.
        design: how points are chosen.
    """

    def __init__(self, axes: Sequence[Axis], design: Design) -> None:
        self.axes = tuple(axes)
        self.design = design
        self._programs = self.axes[0].values
        self._own = {
            name: [at for at, axis in enumerate(self.axes) if at and axis.of in ("", name)]
            for name in self._programs
        }
        self._sizes = [
            math.prod(len(self.axes[at].values) for at in self._own[name]) for name in self._programs
        ]
        self._shares: Any = None
        if design.kind != GRID:
            self._shares = _latin(sum(axis.varies for axis in self.axes), design)

    @property
    def size(self) -> int:
        """How many there are, also where these are more than a sequence can have."""
        return sum(self._sizes) if self.design.kind == GRID else self.design.points

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, number: Any) -> Any:
        """Return the values of a point, counted from 0."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self._of_grid(number) if self._shares is None else self._of_sample(number)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield all of them in order."""
        return (self[number] for number in range(len(self)))

    def _of_grid(self, number: int) -> tuple[Any, ...]:
        found: list[Any] = [None] * len(self.axes)
        for name, size in zip(self._programs, self._sizes, strict=True):
            if number < size:
                found[0] = name
                for at in reversed(self._own[name]):
                    values = self.axes[at].values
                    number, place = divmod(number, len(values))
                    found[at] = values[place]
                break
            number -= size
        return tuple(found)

    def _of_sample(self, number: int) -> tuple[Any, ...]:
        shares = iter(self._shares[number].tolist())
        drawn = [axis.drawn(next(shares)) if axis.varies else axis.values[0] for axis in self.axes]
        return tuple(
            value if axis.of in ("", drawn[0]) else None for axis, value in zip(self.axes, drawn, strict=True)
        )


def _latin(axes: int, design: Design) -> Any:
    """Return shares from 0 up to 1: a row for each point, a column for each axis that varies.

    Raises:
        ShootdownError: scipy is not installed.
    """
    if not axes:
        raise ShootdownError("a sample needs something that varies: a list of values, or a range")
    import numpy as np

    qmc = needed("scipy.stats.qmc", "sweeps")
    sampler = qmc.LatinHypercube(axes, rng=np.random.default_rng(design.seed))
    return sampler.random(design.points)
