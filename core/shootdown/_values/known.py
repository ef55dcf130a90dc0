"""What `shootdown list kernels` and `list switches` show: the tables of changes, by release and by switch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from shootdown._values.changes import CHANGES, Change
from shootdown._values.kernel import Kernel, switches_of
from shootdown._values.releases import HasChanges
from shootdown._values.series import BY_NAME, SERIES, Release


@attrs.frozen
class Arrival:
    """One change in one release series.

    Args:
        release: the first release of the series that has it, such as `6.12.74`.
        change: the change.
        architecture: the architecture whose switches it moves; None for a change of mm/.
    """

    release: str
    change: Change
    architecture: str | None


@attrs.frozen
class KnownKernels:
    """One release series, or one proposal, as `shootdown list kernels` shows it.

    Args:
        name: `6.12`, or `proposal:NAME`.
        newest: its newest known release.
        read: the last release whose source was read; None where none was, and for proposals.
        state: `longterm`, `stable`, `ended` or `proposal`.
        arrivals: the changes that are new in it: since the mainline release before, by point release.
    """

    name: str
    newest: str
    read: str | None
    state: str
    arrivals: tuple[Arrival, ...]


@attrs.frozen
class KnownSwitch:
    """One switch, as `shootdown list switches` shows it.

    Args:
        name: as typed after `--set kernel.`.
        architecture: the architecture that declares it; None for core.
        doc: what it does, in one sentence.
        choices: the values allowed, as text.
        default: its value before any change, as text.
        changes: the commits that moved it: commit, first mainline release (or `proposal:NAME`), new value.
    """

    name: str
    architecture: str | None
    doc: str
    choices: tuple[str, ...]
    default: str
    changes: tuple[tuple[str, str, str], ...]


def kernels_known(architectures: Iterable[HasChanges] = ()) -> tuple[KnownKernels, ...]:
    """Return every release series and proposal, oldest first, with what each changed.

    Args:
        architectures: whose changes to show besides those of mm/.
    """
    table = _table(architectures)
    rows = []
    for series in SERIES:
        arrivals = [
            (point, Arrival(str(Release(series.name, point)), change, owner))
            for owner, change in table
            if (point := _first_point(series.name, change)) is not None
        ]
        arrivals.sort(key=lambda pair: pair[0])
        newest = str(Release(series.name, series.newest))
        read = None if series.read is None else str(Release(series.name, series.read))
        here = tuple(each for _, each in arrivals)
        rows.append(KnownKernels(series.name, newest, read, series.state, here))
    for proposal in dict.fromkeys(change.proposal for _, change in table if change.proposal):
        name = f"proposal:{proposal}"
        parts = tuple(Arrival(name, change, owner) for owner, change in table if change.proposal == proposal)
        rows.append(KnownKernels(name, name, None, "proposal", parts))
    return tuple(rows)


def switches(architectures: Iterable[HasChanges] = ()) -> tuple[KnownSwitch, ...]:
    """Return every switch of a kernel: core's, then each architecture's own.

    Args:
        architectures: whose switches and changes to show.
    """
    owners = tuple(architectures)
    table = _table(owners)
    rows = [_known(None, name, field, table) for name, field in switches_of(Kernel)]
    for owner in owners:
        fields: tuple[tuple[str, Any], ...] = switches_of(owner.switches())
        rows += [_known(owner.name, name, field, table) for name, field in fields]
    return tuple(rows)


def _table(architectures: Iterable[HasChanges]) -> tuple[tuple[str | None, Change], ...]:
    own = [(one.name, change) for one in architectures for change in one.changes]
    return (*((None, change) for change in CHANGES), *own)


def _first_point(series: str, change: Change) -> int | None:
    if change.mainline is not None and change.mainline.partition("-rc")[0] == series:
        return 0
    if change.mainline is None:
        return dict(change.stable).get(series)
    if BY_NAME[change.mainline.partition("-rc")[0]].key < BY_NAME[series].key:
        return None
    return dict(change.stable).get(series)


def _known(
    owner: str | None, name: str, field: Any, table: Iterable[tuple[str | None, Change]]
) -> KnownSwitch:
    moved = tuple(
        (change.commit, _first(change), _shown(dict(change.sets)[name]))
        for of, change in table
        if name in dict(change.sets) and (owner is None or of in (None, owner))
    )
    meta = field.metadata
    choices = tuple(_shown(choice) for choice in meta["choices"])
    if not choices and isinstance(field.default, bool):
        choices = ("true", "false")
    return KnownSwitch(name, owner, meta["doc"], choices, _shown(field.default), moved)


def _first(change: Change) -> str:
    if change.mainline is None and change.proposal is None:
        return ", ".join(f"{series}.{point}" for series, point in change.stable)
    return change.mainline or f"proposal:{change.proposal}"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
