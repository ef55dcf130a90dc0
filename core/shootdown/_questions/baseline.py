"""A base that somebody measured, and what the model adds to it: `compare --baseline elapsed=2.475s`."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.result import Result, Span, paired

_TIMES = {"elapsed": "elapsed_ns", "system": "system_ns", "lost": "lost_ns"}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s)")
_UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


@attrs.frozen
class OnBase:
    """A row on a measured base.

    Args:
        name: `elapsed`, `system` or `lost`.
        measured: the base that was given, in nanoseconds.
        added: what the row takes longer than the first one, as the model says.
    """

    name: str
    measured: float
    added: Span

    @property
    def total(self) -> Span:
        """The measured base and the predicted addition."""
        return Span(
            *(max(self.measured + one, 0.0) for one in (self.added.low, self.added.likely, self.added.high))
        )


def read_baseline(text: str) -> dict[str, float]:
    """Read `elapsed=2.475s,system=2.5s`: nanoseconds by name.

    Raises:
        ShootdownError: a name is unknown or given twice, or a time is none.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if name not in _TIMES:
            raise ShootdownError(
                f"--baseline {text:.60}: there is no time {name!r:.40}; {nearest(name, _TIMES)}"
            )
        if name in found:
            raise ShootdownError(f"--baseline {text:.60}: {name} is given twice")
        time = _TIME.fullmatch(value) if equals else None
        if time is None or not float(time[1]):
            raise ShootdownError(
                f"--baseline {text:.60}: {name} is a time above zero with its unit, such as {name}=2.475s or "
                "180ms"
            )
        found[name] = float(time[1]) * _UNITS[time[2]]
    return found


def on_base(first: Result, row: Result, base: Mapping[str, float]) -> list[OnBase]:
    """Put a row on the measured base of the first one.

    Args:
        first: the row whose times were measured.
        row: another one.
        base: nanoseconds by name, as `read_baseline` gives them.
    """
    return [
        OnBase(name, measured, paired(first, row, _TIMES[name], lambda a, b: b - a))
        for name, measured in base.items()
    ]


def predicted(first: Result, name: str) -> Span:
    """Return what the model says of a measured time itself."""
    return first.times[_TIMES[name]]
