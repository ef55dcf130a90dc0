"""Make rows of measurements of what a machine counted, in the form that `shootdown validate` reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs

from shootdown._measure.boot import Booted, Ran
from shootdown._values.emulation import Counted, Emulation
from shootdown._values.errors import ShootdownError


@attrs.frozen
class Asked:
    """A program that was run.

    Args:
        name: of the program.
        tables: its file as values.
        parameters: its parameters' values.
        forks: how many processes its window forks.
        actor_forked: whether the process that measures was forked.
        page_size: of the kernel that ran it, in bytes.
    """

    name: str
    tables: dict[str, Any]
    parameters: dict[str, Any]
    forks: int
    actor_forked: bool
    page_size: int = 4096


def release_of(version: str) -> str:
    """Return what a kernel's /proc/version says of its release: Debian's point release, else what `uname -r` prints.

    Raises:
        ShootdownError: it says neither.
    """
    debian = re.search(r" #\d+ .*Debian (\d+\.\d+(?:\.\d+)?)", version)
    named = re.match(r"Linux version (\S+)", version)
    if debian is not None:
        return debian[1]
    if named is None:
        raise ShootdownError(
            f"the kernel's /proc/version says no release: {version!r:.80} (--release names it)"
        )
    return named[1]


def rows_of(
    emulation: Emulation, booted: Booted, asked: Sequence[Asked], *, kernel: str, cpus: int
) -> list[dict[str, Any]]:
    """Return a row for each program that ran to its end."""
    every = [run for runs in booted.runs.values() for run in runs]
    named = {count.name: count for count in emulation.counts}

    def missed(count: Counted, run: Ran) -> bool:
        other = named.get(count.comes_with)
        return (
            other is not None
            and bool(_value(other, run, booted.absent))
            and not _value(count, run, booted.absent)
        )

    told = [
        count for count in emulation.counts
        if not count.inlined
        or (any(_value(count, run, booted.absent) for run in every) and not any(missed(count, run) for run in every))
    ]  # fmt: skip
    rows = []
    for number, one in enumerate(asked):
        runs = booted.runs.get(number, [])
        if number in booted.failures or not runs:
            continue
        counts: dict[str, Any] = {
            count.name: pair for count in told if (pair := _bounds(count, runs, booted.absent)) is not None
        }
        if all(run.instructions is not None for run in runs):
            counts["instructions"] = _instructions(runs)
        pages = {} if one.page_size == 4096 else {"page_size": f"{one.page_size >> 10}k"}
        rows.append(
            {
                "arch": emulation.arch,
                "kernel": kernel,
                "workload": "program",
                "name": one.name,
                "cpus": cpus,
                "cpu_model": emulation.cpu,
                **pages,
                "forks": one.forks,
                "actor_forked": one.actor_forked,
                "repetitions": len(runs),
                "lost": max(run.lost for run in runs),
                "program": one.tables,
                "parameters": one.parameters,
                "counts": counts,
            }
        )
    return rows


def _bounds(count: Counted, runs: Sequence[Ran], absent: set[str]) -> list[int] | None:
    """Return the lowest and highest value over repetitions; None where the kernel has nothing that gives the count."""
    values = [value for run in runs if (value := _value(count, run, absent)) is not None]
    return [min(values), max(values)] if values else None


def _instructions(runs: Sequence[Ran]) -> dict[str, list[int]]:
    """Return how often each instruction was executed; those that no run executed are left out."""
    every = [run.instructions or {} for run in runs]
    names = dict.fromkeys(name for one in every for name, count in one.items() if count)
    return {name: [min(c), max(c)] for name in names if (c := [one.get(name, 0) for one in every])}


def _value(count: Counted, run: Ran, absent: set[str]) -> int | None:
    if count.row:
        return run.rows.get(count.row, 0)
    names = [
        name for name in ((f"probe_{count.name}",) if count.probe else count.functions) if name not in absent
    ]
    if not names:
        return None
    calls = [run.calls.get(name, (0, 0)) for name in names]
    return sum({"actor": mine, "others": every - mine, "all": every}[count.by] for mine, every in calls)
