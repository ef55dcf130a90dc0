"""What `diff` returns: switches that moved, counts and verdicts that differ, programs that were tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from shootdown._questions.blame import Blame
from shootdown._values.changes import Change
from shootdown._values.displayed import Displayed
from shootdown._values.result import Span


@attrs.frozen
class SwitchMoved:
    """A switch that two kernels have otherwise.

    Args:
        name: as typed after `--set kernel.`.
        before, after: its values.
        commit: the last one that moved it.
        commits: all of them that lie between the kernels; those that select it, where it follows from others.
        arch: the architectures on which it moved so.
    """

    name: str
    before: Any
    after: Any
    commit: str
    commits: tuple[str, ...]
    arch: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return {
            "name": self.name,
            "from": self.before,
            "to": self.after,
            "commit": self.commit,
            "commits": list(self.commits),
            "arch": list(self.arch),
        }


@attrs.frozen
class Differs:
    """One count, time or verdict that two kernels have otherwise.

    Args:
        program, arch, platform: what ran where.
        name: of a count or time; or `verdict`, or `supported`.
        before, after: its values: integers, times as `shootdown` has them, words, or booleans.
        blame: the commits that make the difference.
        alone: what the later kernel has with only this commit turned back, by commit.
        timing: timing decides the count.
    """

    program: str
    arch: str
    platform: str
    name: str
    before: Any
    after: Any
    blame: Blame
    alone: Mapping[str, Any] = attrs.field(factory=dict)
    timing: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return {
            "program": self.program,
            "arch": self.arch,
            "platform": self.platform,
            "name": self.name,
            "from": _json(self.before),
            "to": _json(self.after),
            "commits": list(self.blame.commits),
            "together": self.blame.together,
            "alone": {name: _json(value) for name, value in self.alone.items()},
            "timing": self.timing,
        }


@attrs.frozen
class Tried:
    """A program that was tried on both kernels.

    Args:
        program, kind, arch, platform: what ran where.
        parameters: all of them, as used.
        cpus: online CPUs.
        differs: whether a count, a time or the verdict does; None if a search was given up.
        verdict: what a scenario has on both kernels, if it was searched and does not differ.
        reason: why neither kernel can run it, or why nothing had to be run, or was.
    """

    program: str
    kind: str
    arch: str
    platform: str
    parameters: Mapping[str, Any]
    cpus: int
    differs: bool | None
    verdict: str | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return {**attrs.asdict(self, recurse=False), "parameters": dict(self.parameters)}


@attrs.frozen
class Difference(Displayed):
    """All that is different between two kernels.

    Args:
        before, after: the kernels, as they were named; `7.0+FILE` with a patch.
        switches: those that moved.
        rows: the counts, times and verdicts that differ.
        tried: the programs that were tried.
        changes: the changes that the others name, by what they are called.
        set: the what-ifs.
        remarks: what is not certain of one of the kernels, and what the patch replaces.
        patch: the patch of one kernel or both, as JSON has it; None, and not part of the JSON, without one.
    """

    before: str
    after: str
    switches: tuple[SwitchMoved, ...]
    rows: tuple[Differs, ...]
    tried: tuple[Tried, ...]
    changes: Mapping[str, Change] = attrs.field(factory=dict, repr=False)
    set: Mapping[str, str] = attrs.field(factory=dict)
    remarks: tuple[str, ...] = ()
    patch: Mapping[str, Any] | None = attrs.field(default=None, repr=False)

    @property
    def headings(self) -> tuple[str, str]:
        """What the kernels are called above columns: `7.0`, `7.0 patched`."""
        suffix = "" if self.patch is None else f"+{self.patch['name']}"
        one, other = (
            f"{name.removesuffix(suffix)} patched" if suffix and name.endswith(suffix) else name
            for name in (self.before, self.after)
        )
        return one, other

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "from": self.before,
            "to": self.after,
            "set": dict(self.set),
            "switches": [switch.to_dict() for switch in self.switches],
            "rows": [row.to_dict() for row in self.rows],
            "tried": [row.to_dict() for row in self.tried],
            "remarks": list(self.remarks),
            **({} if self.patch is None else {"patch": dict(self.patch)}),
        }


def _json(value: Any) -> Any:
    return value.to_dict() if isinstance(value, Span) else value
