"""The release series that are known, with the newest point release of each, and how a release is written."""

from __future__ import annotations

import re
from typing import Literal

import attrs

from shootdown._values.errors import ShootdownError
from shootdown._values.uname import upstream

AS_OF = "2026-11-30"
"""The day on which the releases below were looked up, and the changelogs read. Not the day of a run."""


@attrs.frozen
class Series:
    """One release series and how far it is known.

    Args:
        name: `6.12`.
        newest: the newest point release known.
        state: `longterm` and `stable` series still grow, an `ended` one is final.
        read: the last point release whose source was read, with the changelogs of those before it; None where all
            that is known of a series is from announcements, reviews, CVE records and measurements.
    """

    name: str
    newest: int
    state: Literal["longterm", "stable", "ended"]
    read: int | None = None

    @property
    def key(self) -> tuple[int, int]:
        """Return the series as numbers that compare."""
        major, minor = self.name.split(".")
        return int(major), int(minor)


SERIES: tuple[Series, ...] = (
    Series("5.10", 262, "longterm", read=262),
    Series("5.11", 22, "ended"),
    Series("5.12", 19, "ended"),
    Series("5.13", 19, "ended"),
    Series("5.14", 21, "ended"),
    Series("5.15", 222, "longterm"),
    Series("5.16", 20, "ended"),
    Series("5.17", 15, "ended"),
    Series("5.18", 19, "ended"),
    Series("5.19", 17, "ended"),
    Series("6.0", 19, "ended"),
    Series("6.1", 192, "longterm", read=192),
    Series("6.2", 16, "ended"),
    Series("6.3", 13, "ended"),
    Series("6.4", 16, "ended"),
    Series("6.5", 13, "ended"),
    Series("6.6", 159, "longterm"),
    Series("6.7", 12, "ended"),
    Series("6.8", 12, "ended"),
    Series("6.9", 12, "ended"),
    Series("6.10", 14, "ended"),
    Series("6.11", 11, "ended"),
    Series("6.12", 118, "longterm", read=118),
    Series("6.13", 12, "ended"),
    Series("6.14", 11, "ended"),
    Series("6.15", 11, "ended"),
    Series("6.16", 12, "ended"),
    Series("6.17", 13, "ended"),
    Series("6.18", 55, "longterm"),
    Series("6.19", 14, "ended"),
    Series("7.0", 14, "stable", read=0),
    Series("7.1", 13, "stable"),
    Series("7.2", 13, "stable", read=13),
    Series("7.3", 4, "stable", read=4),
)
"""Every series from 5.10 on.

5.10, 6.1, 6.12, 7.2 and 7.3 as Debian had packaged them on `AS_OF`: 5.10.262 on 2026-07-31, 7.2.13 on 2026-10-28,
7.3.4 on 2026-11-11, 6.12.118 on 2026-11-20 and 6.1.192 on 2026-11-26. Others that grow as they were named in October
of that year. The last point release of 7.0 and 7.1 is UNVERIFIED: they may grow.
"""

BY_NAME = {series.name: series for series in SERIES}

PLAUSIBLE_AHEAD = {"longterm": 200, "stable": 100, "ended": 20}
"""How far beyond the newest known point release a number is accepted: a longterm series makes one or two a week, so
200 is two to four years after `AS_OF`; a stable one can become longterm; some go on elsewhere after their end."""

HIGHEST_RC = 8
"""The most release candidates of any series since 5.10."""

#: A number as releases have it: without a zero in front.
_N = r"(0|[1-9]\d{0,3})"
_FORM = re.compile(rf"v?{_N}\.{_N}(?:\.(0|[1-9]\d{{0,98}})|-rc(\d{{1,4}}))?", re.ASCII)

LATEST = ("latest", "stable", "longterm")
"""Words that stand for a release: the newest of all that are known, the newest stable one, the newest longterm one."""


@attrs.frozen
class Release:
    """One release: a series with a point release, or one of its candidates.

    Args:
        series: `6.12`.
        point: 0 for the first release of a series and for candidates.
        candidate: the number behind `-rc`, or None.
    """

    series: str
    point: int = 0
    candidate: int | None = None

    @property
    def key(self) -> tuple[int, int]:
        """Return the series as numbers that compare."""
        return BY_NAME[self.series].key

    def __str__(self) -> str:
        if self.candidate is not None:
            return f"{self.series}-rc{self.candidate}"
        return f"{self.series}.{self.point}" if self.point else self.series


def newest_known() -> str:
    """Return the newest release that the tables know, such as `7.3.4`."""
    last = SERIES[-1]
    return str(Release(last.name, last.newest))


def spelled_out(text: str) -> str:
    """Return the release that a word of `LATEST` stands for, as of `AS_OF`; any other text as it is."""
    if text not in LATEST:
        return text
    states = {"latest": ("stable", "longterm"), "stable": ("stable",), "longterm": ("longterm",)}[text]
    last = [series for series in SERIES if series.state in states][-1]
    return str(Release(last.name, last.newest))


def parse_release(text: str) -> tuple[Release, str | None]:
    """Read a release, with a remark where it isn't certain: newer than the tables, or a distribution's kernel.

    Args:
        text: `6.12.74`, `7.0` (which means 7.0.0), `6.16-rc1`, a word of `LATEST`, or what `uname -r` prints.

    Returns:
        The release, and a remark or None.

    Raises:
        ShootdownError: the text is no release, its series is unknown or its point release absurd; or it is a
            distribution's kernel whose name says no release.
    """
    if text in LATEST:
        return _parse(spelled_out(text))[0], f"{text}: as of {AS_OF}"
    if _FORM.fullmatch(text) is None:
        found = upstream(text)
        if found is not None:
            release, remark = _parse(found[0])
            return release, found[1] if remark is None else f"{found[1]}; {remark}"
    return _parse(text)


def _parse(text: str) -> tuple[Release, str | None]:
    form = _FORM.fullmatch(text)
    if form is None:
        start = _FORM.match(text)
        hint = f"; nearest: {start[0].removeprefix('v')}" if start is not None else ""
        raise ShootdownError(
            f"kernel {text!r} is not a release: write 6.12.74, 7.0, 6.16-rc1, latest or proposal:NAME{hint}"
        )
    name = f"{int(form[1])}.{int(form[2])}"
    series = BY_NAME.get(name)
    if series is None:
        raise ShootdownError(f"kernel {text!r}: there is no series {name}; {_neighbours(name)}")
    if form[4] is not None:
        candidate = int(form[4])
        if not 1 <= candidate <= HIGHEST_RC:
            raise ShootdownError(
                f"kernel {text!r}: release candidates go from {name}-rc1 to {name}-rc{HIGHEST_RC}; "
                f"nearest: {name}-rc{min(max(candidate, 1), HIGHEST_RC)}"
            )
        return Release(name, candidate=candidate), None
    point = int(form[3] or 0)
    if point <= series.newest:
        return Release(name, point), None
    newest = Release(name, series.newest)
    if point > series.newest + PLAUSIBLE_AHEAD[series.state]:
        last = "the last" if series.state == "ended" else f"the newest known on {AS_OF}"
        raise ShootdownError(f"kernel {text!r}: there is no such point release; nearest: {newest}, {last}")
    ended = f"{name} ended with {newest}, and " if series.state == "ended" else ""
    return (
        newest,
        f"{ended}{text} is newer than the tables ({AS_OF}): taken as {newest}, the newest known of {name}",
    )


def _neighbours(name: str) -> str:
    major, minor = (int(part) for part in name.split("."))
    before = [series for series in SERIES if series.key < (major, minor)]
    after = [series for series in SERIES if series.key > (major, minor)]
    if not before:
        return f"nearest: {after[0].name}, the first that the tables have"
    if not after:
        return f"nearest: {before[-1].name}, the newest known on {AS_OF}"
    return f"after {before[-1].name} comes {after[0].name}; nearest: {before[-1].name}, {after[0].name}"
