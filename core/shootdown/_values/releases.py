"""Turn the name of a release into the switches it has: one table of changes in, one `Kernel` out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import attrs

from shootdown._values.changes import CHANGES, Change
from shootdown._values.errors import ShootdownError, nearest, typed
from shootdown._values.kernel import Kernel, settled, switches_of
from shootdown._values.series import BY_NAME, Release, newest_known, parse_release, spelled_out
from shootdown._values.sites import beginning, mistake

__all__ = ["CHANGES", "Change", "HasChanges", "newest_known", "resolve"]

_PROPOSAL = "proposal:"

Doubt = tuple[Change, str]
"""A change that a release was taken to be without, and the remark on that."""


class HasChanges(Protocol):
    """The part of an `Architecture` that resolving a kernel needs."""

    @property
    def name(self) -> str:
        """The architecture's name."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that moved this architecture's switches, or core ones on this architecture."""

    @property
    def switches(self) -> Callable[[], Any]:
        """The attrs class of the architecture's own switches."""

    @property
    def configure(self) -> Callable[[Kernel], Kernel] | None:
        """The function that derives values which follow from the configuration: CONFIG_* that select each other."""


def resolve(name: str, architecture: HasChanges) -> Kernel:
    """Return the kernel that a release, or a proposal that was never merged, is on an architecture.

    Args:
        name: `6.12.74`, `7.0` (7.0.0), `6.16-rc1`, `latest`, what `uname -r` prints, `proposal:NAME` or
            `proposal:NAME@6.19`.
        architecture: whose changes and switches to use.

    Returns:
        The kernel, with a remark for each uncertainty; `name` as it was given, but for `latest` and its like the
        release that it stands for.

    Raises:
        ShootdownError: there is no such release or proposal.
    """
    proposal, release, remark = _read(name, architecture)
    changes, doubts = _having(release, proposal, architecture)
    remarks = [*([] if remark is None else [remark]), *(doubt for _, doubt in doubts)]
    if proposal is not None:
        remarks.append(f"{_PROPOSAL}{proposal} was never merged: this is {release} with it")
    return kernel_with(changes, architecture, name=spelled_out(name), release=str(release), remarks=remarks)


def changes_of(name: str, architecture: HasChanges) -> tuple[tuple[Change, ...], tuple[Doubt, ...]]:
    """Return the changes that a release or proposal has, in the order of the table, and those that it might have.

    Args:
        name: as for `resolve`.
        architecture: whose changes to look at besides those of mm/.

    Raises:
        ShootdownError: there is no such release or proposal.
    """
    proposal, release, _ = _read(name, architecture)
    return _having(release, proposal, architecture)


def kernel_with(
    changes: Iterable[Change],
    architecture: HasChanges,
    *,
    name: str,
    release: str,
    remarks: Iterable[str] = (),
) -> Kernel:
    """Return the kernel that has these changes and no others.

    Args:
        changes: any of mm/ and of the architecture, in the order of the table: the last one that moves a switch counts.
        architecture: whose switches to use.
        name, release, remarks: of the kernel.
    """
    values: dict[str, Any] = {}
    for change in changes:
        values.update(change.sets)
    kernel = Kernel(name=name, release=release, arch=architecture.switches(), remarks=tuple(remarks))
    implied = dict(getattr(architecture, "implied", {}))
    if implied:
        said = ", ".join(f"{switch}={value}" for switch, value in implied.items())
        name_of = getattr(architecture, "called", architecture.name)
        kernel = attrs.evolve(kernel, remarks=(*kernel.remarks, f"{name_of}: {said}"))
        values.update(implied)
    shared = {field for field, _ in switches_of(Kernel)} & {field for field, _ in switches_of(kernel.arch)}
    kernel = evolve(kernel, {field: getattr(kernel.arch, field) for field in shared} | values)
    return settled(configured(kernel, architecture))


def starts_later(value: Any, release: str) -> bool:
    """Whether an architecture or platform is only in later releases (`first`).

    Args:
        value: it.
        release: a release of a known series, such as `5.10.42`.
    """
    first: str = getattr(value, "first", "")
    return bool(first) and parse_release(release)[0].key < BY_NAME[first].key


def configured(kernel: Kernel, architecture: HasChanges) -> Kernel:
    """Return the kernel with the values that the architecture derives from the others.

    Raises:
        MistakeError: its `configure` returns something else than a kernel.
    """
    if architecture.configure is None or starts_later(architecture, kernel.release):
        return kernel
    found: object = architecture.configure(kernel)
    if not isinstance(found, Kernel):
        raise mistake(
            f"architecture {architecture.name!r}: configure() returned {typed(found)}, not a Kernel",
            beginning(architecture.configure),
        )
    return found


def has_change(release: Release, change: Change) -> tuple[bool, str | None]:
    """Return whether a release has a change, and a remark if that is not certain.

    Args:
        release: a release of a known series.
        change: one that was merged.

    Returns:
        The answer, and a remark that starts with UNVERIFIED or None.
    """
    if change.mainline is None:
        return change.proposal is None and _backported(release, change), None
    series, _, candidate = change.mainline.partition("-rc")
    titled = f'{change.commit} "{change.subject}"'
    first = BY_NAME[series].key
    if release.key > first:
        return True, None
    if release.key == first:
        if release.candidate is None:
            return True, None
        if candidate:
            return release.candidate >= int(candidate), None
        return False, f"UNVERIFIED: which candidate of {series} got {titled}; taken as without it"
    if release.candidate is not None:
        return False, None
    if release.series in change.unverified:
        return False, f"UNVERIFIED: whether {release.series} has {titled}; taken as without it"
    return _backported(release, change), None


def _backported(release: Release, change: Change) -> bool:
    point = dict(change.stable).get(release.series)
    return point is not None and release.candidate is None and release.point >= point


def evolve(kernel: Kernel, values: Mapping[str, Any]) -> Kernel:
    """Return the kernel with other values of switches, whether core or the architecture declares them.

    Args:
        kernel: the one to start from.
        values: switch name to value; a name that both declare is set in both.
    """
    core, own = ({name for name, _ in switches_of(holder)} for holder in (Kernel, kernel.arch))
    unknown = [name for name in values if name not in core | own]
    if unknown:
        raise ShootdownError(f"there is no switch {unknown[0]!r}; {nearest(unknown[0], core | own)}")
    arch = attrs.evolve(kernel.arch, **{name: value for name, value in values.items() if name in own})
    return attrs.evolve(kernel, arch=arch, **{name: value for name, value in values.items() if name in core})


def proposals(architectures: Iterable[HasChanges] = ()) -> tuple[str, ...]:
    """Return the names of the proposals that can be asked for as `proposal:NAME`."""
    table = [*CHANGES, *(change for one in architectures for change in one.changes)]
    return tuple(dict.fromkeys(change.proposal for change in table if change.proposal))


def _read(name: str, architecture: HasChanges) -> tuple[str | None, Release, str | None]:
    """Read the name of a kernel: the proposal, the release, and a remark on it."""
    table = (*CHANGES, *architecture.changes)
    proposal, asked = _parse_name(name, table)
    try:
        release, remark = parse_release(asked)
    except ShootdownError:
        merged = [
            one for one in table if len(asked) > 7 and one.mainline and one.commit.startswith(asked[:12])
        ]
        if not merged:
            raise
        raise ShootdownError(
            f"kernel {name!r:.40} is a commit, which {merged[0].mainline} has first: write a release"
        ) from None
    return proposal, release, remark


def _having(
    release: Release, proposal: str | None, architecture: HasChanges
) -> tuple[tuple[Change, ...], tuple[Doubt, ...]]:
    """Return the changes that a release has, with a proposal on top, and what is not certain."""
    found: list[Change] = []
    doubts: list[Doubt] = []
    for change in (*CHANGES, *architecture.changes):
        if change.proposal is None:
            has, doubt = has_change(release, change)
            if doubt is not None:
                doubts.append((change, doubt))
        else:
            has = change.proposal == proposal
        if has:
            found.append(change)
            doubts = [(open_, doubt) for open_, doubt in doubts if not _covers(change, open_)]
    return tuple(found), tuple(doubts)


def _parse_name(name: str, table: Iterable[Change]) -> tuple[str | None, str]:
    if not name.startswith(_PROPOSAL):
        return None, name
    proposal, at, base = name.removeprefix(_PROPOSAL).partition("@")
    known = {change.proposal for change in table if change.proposal}
    if proposal not in known:
        raise ShootdownError(f"there is no {name!r}; {nearest(proposal, known, prefix=_PROPOSAL)}")
    return proposal, base if at else newest_known()


def _covers(later: Change, earlier: Change) -> bool:
    return {name for name, _ in earlier.sets} <= {name for name, _ in later.sets}
