"""Releases in the order in which they follow one another: mainline, and the point releases of each series."""

from __future__ import annotations

from collections.abc import Iterable

from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.series import BY_NAME, SERIES, Release, parse_release

MAINLINE = "mainline"
"""The name of the timeline of first releases: 5.10, 5.11 and so on."""

_BETWEEN = ".."


def timeline(name: str) -> tuple[Release, ...]:
    """Return the releases of a timeline, oldest first.

    Args:
        name: `mainline`, or a series such as `6.12`, whose point releases up to the newest known one follow its first.
    """
    if name == MAINLINE:
        return tuple(Release(series.name) for series in SERIES)
    return tuple(Release(name, point) for point in range(BY_NAME[name].newest + 1))


def timelines(asked: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of timelines, in the order in which they were asked for.

    Args:
        asked: `mainline`, series such as `6.12`, and ranges of series such as `6.1..6.12`, `6.1..` and `..6.12`; all
            if empty.

    Raises:
        ShootdownError: a series is unknown, a range has none, or one is named twice.
    """
    texts = tuple(asked)
    if not texts:
        return (MAINLINE, *(series.name for series in SERIES))
    found: list[str] = []
    for text in texts:
        names = _range(text) if _BETWEEN in text else (_one(text, text),)
        for name in names:
            if name in found:
                raise ShootdownError(f"--series {text!r}: {name} is named twice")
            found.append(name)
    return tuple(found)


def _range(text: str) -> tuple[str, ...]:
    first, _, last = (end.strip() for end in text.partition(_BETWEEN))
    first, last = first or SERIES[0].name, last or SERIES[-1].name
    low, high = (BY_NAME[_of_range(end, text)].key for end in (first, last))
    found = tuple(series.name for series in SERIES if low <= series.key <= high)
    if not found:
        raise ShootdownError(
            f"--series {text!r}: no series lies between {first} and {last}; did you mean {last}{_BETWEEN}{first}?"
        )
    return found


def _of_range(end: str, text: str) -> str:
    name = _one(end, text)
    if name == MAINLINE:
        raise ShootdownError(f"--series {text!r}: a range goes from one series to another, such as 6.1..6.12")
    return name


def _one(given: str, text: str) -> str:
    name = given.strip().removeprefix("v")
    if name in (MAINLINE, *BY_NAME):
        return name
    try:
        release, _ = parse_release(name)
    except ShootdownError as error:
        _, _, why = str(error).partition(": there is ")
        why = why or f"no series {name!r}; {nearest(name, (MAINLINE, *BY_NAME))}"
        raise ShootdownError(f"--series {text!r}: there is {why}") from None
    raise ShootdownError(f"--series {text!r}: {name} is one release; its series is {release.series}")
