"""Run the checks of a gate, and judge what they gave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._batches.gate_file import Check, Gate, Limit
from shootdown._programs.program import Spot
from shootdown._questions.compare import run_cases
from shootdown._questions.explore import explore_case
from shootdown._values.result import Result
from shootdown._values.verdict import INCONCLUSIVE, NOT_APPLICABLE, VACUOUS

if TYPE_CHECKING:
    from shootdown._questions.explore import Verdict
    from shootdown._questions.hunt_finds import Finding

PASSED, FAILED, UNANSWERED, NOT_THERE = "passed", "failed", "unanswered", "not-applicable"
#: What makes a finding go away and says that it is known: a commit that the kernel lacks, or a defect that is told of.
_KNOWN_CAUSES = ("commit", "open")


@attrs.frozen
class Judged:
    """What became of one thing that must hold, on one kernel and platform.

    Args:
        check: the name of the check.
        key: of the limit: `max_sync_ipis`, `verdict`, `no_new_findings`.
        status: `passed`, `failed`, `unanswered` or `not-applicable`.
        said: one sentence.
        at: where the limit stands.
        arch, platform, kernel, cpus: on what; None for a search or hunt, and where nothing ran.
        value, limit: numbers of a limit.
        details: further lines: the story of a bug.
        seconds: that it took.
    """

    check: str
    key: str
    status: str
    said: str
    at: Spot
    arch: str = ""
    platform: str = ""
    kernel: str = ""
    cpus: int | None = None
    value: float | None = None
    limit: float | None = None
    details: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def where(self) -> str:
        """On what: `x86 intel-server 7.0, 8 CPUs`."""
        cpus = "" if self.cpus is None else f", {self.cpus} CPUs"
        return f"{self.arch} {self.platform} {self.kernel}{cpus}".strip()

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        values = attrs.asdict(self, filter=attrs.filters.exclude("at", "seconds", "details"))
        return {**values, "file": self.at.file, "line": self.at.line, "details": list(self.details)}


def run_gate(
    gate: Gate, begun: Callable[[str], None] = lambda _: None, processes: int = 1
) -> Iterator[Judged]:
    """Run all checks, and yield what became of each thing that must hold.

    Args:
        gate: as it was read.
        begun: called with the name of each check.
        processes: the most that hunt at once.
    """
    for check in gate.checks:
        begun(check.name)
        found = list(_of_check(check, processes))
        if found and all(one.status == NOT_THERE for one in found):
            said = f"it applies to none of its {len(found)} rows: {found[0].said}"
            found.append(Judged(check.name, "check", FAILED, said, check.at))
        yield from found


def _of_check(check: Check, processes: int) -> Iterator[Judged]:
    if check.cases:
        yield from _counted(check)
    for case in check.searches:
        began = time.monotonic()
        verdict = explore_case(case, most_states=check.states, stories=True)
        yield _explored(check, verdict, time.monotonic() - began)
    for own, other in check.hunts:
        yield _hunted(check, own, other, processes)


def _counted(check: Check) -> Iterator[Judged]:
    others = [other for _, other in check.cases if other is not None]
    rows = run_cases([case for case, _ in check.cases])
    beside = run_cases(others)
    for (_, other), row in zip(check.cases, rows, strict=True):
        compared = None if other is None else next(beside)
        for limit in check.limits:
            yield _judged(check, limit, row, compared)


def _judged(check: Check, limit: Limit, row: Result, other: Result | None) -> Judged:
    where: Mapping[str, Any] = {
        "arch": row.arch,
        "platform": row.platform,
        "kernel": row.kernel,
        "cpus": row.cpus,
    }
    if not row.supported:
        return Judged(check.name, limit.key, NOT_THERE, str(row.reason), limit.at, **where)
    value, unit = _most(row, limit.name)
    most, against = limit.most, ""
    if limit.relative:
        assert other is not None
        if not other.supported:
            said = f"{other.kernel} can't run it: {other.reason}"
            return Judged(check.name, limit.key, NOT_THERE, said, limit.at, **where)
        base = _likely(other, limit.name)
        most = base * limit.most / 100
        against = f", {limit.most:g}% of the {_number(base)} of {_other(row, other)}"
    fits = value <= most
    words = limit.name.removesuffix("_ns").replace("_", " ").replace("ipis", "IPIs").replace("cpus", "CPUs")
    sure = " (timing decides: the most)" if limit.name in row.ranges else ""
    likely = " (the likely time)" if unit else ""
    said = f"{words} {_number(value)}{unit}{sure}{likely}; at most {_number(most)}{unit}{against}"
    return Judged(
        check.name, limit.key, PASSED if fits else FAILED, said, limit.at, **where, value=value, limit=most
    )


def _most(row: Result, name: str) -> tuple[float, str]:
    """Return a count, the most of it where timing decides; or a likely time, with its unit."""
    if name in row.ranges:
        return row.ranges[name][1], ""
    return _likely(row, name), " ns" if name in row.times else ""


def _likely(row: Result, name: str) -> float:
    return row.times[name].likely if name in row.times else row.counts[name]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _other(row: Result, other: Result) -> str:
    """Name the other run by what is different."""
    for name in ("kernel", "platform", "arch", "cpus"):
        one = getattr(other, name)
        if one != getattr(row, name):
            return f"{one} CPUs" if name == "cpus" else str(one)
    return "the other run"


def _explored(check: Check, row: Verdict, seconds: float) -> Judged:
    assert check.verdict_at is not None
    wanted = " or ".join(check.verdicts)
    said = f"{row.verdict}; to be {wanted}"
    details: tuple[str, ...] = ()
    if row.verdict == NOT_APPLICABLE:
        status, said = NOT_THERE, str(row.reason)
    elif row.verdict in check.verdicts:
        status = PASSED
    elif row.verdict in (INCONCLUSIVE, VACUOUS):
        status, said = UNANSWERED, f"{row.verdict}: {row.reason}"
    else:
        status = FAILED
        if row.invariant:
            said = f"{row.verdict}, {row.invariant} does not hold; to be {wanted}"
        if row.story is not None:
            moves = row.story.to_list()
            details = tuple(
                f"{number}. CPU {one['cpu']}, {one['who']}: {one['step']}"
                for number, one in enumerate(moves, 1)
            ) + tuple(row.story.ending)
    return Judged(
        check.name,
        "verdict",
        status,
        said,
        check.verdict_at,
        row.arch,
        row.platform,
        row.kernel,
        details=details,
        seconds=seconds,
    )


def _hunted(check: Check, own: Sequence[Any], other: Sequence[Any] | None, processes: int) -> Judged:
    from shootdown._questions.hunt import Hunt
    from shootdown._questions.hunt_ground import Ground

    assert check.hunt_at is not None
    began = time.monotonic()
    found = Hunt(Ground(*own), size=check.size, processes=processes).run()
    there: set[str] = set(check.known)
    if other is not None:
        base = Hunt(Ground(*other), size=check.size, processes=processes).run()
        there |= {one.bug for one in base.findings}
        if base.interrupted:
            raise KeyboardInterrupt
    if found.interrupted:
        raise KeyboardInterrupt
    new = [one for one in found.findings if one.bug not in there and not _is_known(one)]
    details = tuple(f"{one.bug} (shootdown explore: {one.command})" for one in new)
    many = f"{len(found.findings)} finding{'s' if len(found.findings) != 1 else ''}, {len(new)} new"
    said = (
        f"{many}, in {found.programs:,} programs of at most {check.size} call{'s' if check.size > 1 else ''}"
    )
    if new:
        said += f": {new[0].bug}"
    arch, platform, kernel = own[:3]
    status = FAILED if new else UNANSWERED if found.inconclusive else PASSED
    if status == UNANSWERED:
        said += f"; {found.inconclusive} searches were too large"
    return Judged(
        check.name,
        "no_new_findings",
        status,
        said,
        check.hunt_at,
        arch,
        platform,
        kernel,
        details=details,
        seconds=time.monotonic() - began,
    )


def _is_known(one: Finding) -> bool:
    """Whether only commits that the kernel lacks, or defects that are told of, make a finding go away."""
    return bool(one.fixed_by) and all(fix.origin in _KNOWN_CAUSES for fix in one.fixed_by)
