"""How an architecture's measured rows map to the model, and the differences that are understood."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from shootdown._oracle.rows import Row


@attrs.frozen
class Undisturbed:
    """A count that is a number if nothing but the measured program is scheduled in the window, and a range otherwise.

    Args:
        number: what the program and the kernel decide alone.
        most: the highest value if the scheduler runs something else meanwhile.
        least: the lowest; None for `number`, to which scheduling can only add.
    """

    number: int
    most: int
    least: int | None = None

    @property
    def ends(self) -> tuple[int, int]:
        """The lowest and the highest value."""
        return self.number if self.least is None else self.least, self.most


#: A predicted count: a number; a range where timing decides, lowest and highest; a number unless scheduling interferes.
Prediction = int | tuple[int, int] | Undisturbed


@attrs.frozen
class Seen:
    """The model's counts in the window of a row.

    Args:
        whole: machine-wide, by the names of `COUNTERS`.
        actor: the same for the actor alone.
        instructions: how often each instruction that lowerings name was executed, machine-wide.
    """

    whole: Mapping[str, int]
    actor: Mapping[str, int]
    instructions: Mapping[str, int]


@attrs.frozen
class Difference:
    """A disagreement that is understood, or a count that only a range is known of.

    Args:
        count: which count, such as `tlb_row` or `instructions.mov_cr3`.
        applies: whether it concerns a row.
        reason: why, from the kernel's source or from how it was measured.
    """

    count: str
    applies: Callable[[Row], bool]
    reason: str


@attrs.frozen
class Measured:
    """How an architecture's measured rows map to the model.

    Args:
        platform: returns the platform that a row was measured on, and its settings.
        predict: returns the counts of a row's window, named as in the file: `(row, seen, case) -> counts`;
            `instructions` as a mapping of its own. Each is a `Prediction`.
        differences: disagreements that are understood.
        open: why counts are ranges, in the same form: what decides them that a row does not say.
        variants: returns the schedules of the measured program to try (`programs`), where the measurement doesn't tell
            which one happened; variant 0 alone where all give the same counts.
        telling: counts that tell which schedule happened, where schedules differ in them and each run gave the number
            of one of them. What that schedule gives for the row's other counts is their number; as they may have been
            counted in other runs, the other schedules still are their range.
    """

    platform: Callable[[Row], tuple[str, Mapping[str, str]]]
    predict: Callable[[Row, Seen, Any], dict[str, Any]]
    differences: tuple[Difference, ...] = ()
    open: tuple[Difference, ...] = ()
    variants: tuple[int, ...] = (0, 1)
    telling: tuple[str, ...] = ()
