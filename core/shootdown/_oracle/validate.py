"""Predict every row of a file of measurements and compare."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

from shootdown._oracle.measured import Measured, Prediction, Seen, Undisturbed
from shootdown._oracle.placement import undisturbed_variant
from shootdown._oracle.program import Program, window
from shootdown._oracle.programs import ALIKE, BUILDERS
from shootdown._oracle.rows import GROUPS, WORKLOADS, Row, bounds
from shootdown._plugins.registry import registry
from shootdown._questions.case import Case, Question, prepare
from shootdown._timed.run import run_machine
from shootdown._values.errors import ShootdownError
from shootdown._values.platform import Platform
from shootdown._values.workload import Workload

#: How counts compare. "exact": one number was predicted, and every run gave it; "varies": the runs gave several,
#: all within the range, or the number predicted among them; "open": every run gave the same number, of which no more
#: than a range was predicted; "documented" and "differ": they disagree, with and without a known reason.
KINDS = ("exact", "varies", "open", "documented", "differ")

_NOTHING = Workload("measured", "a row that was measured", (), build=lambda setup: None)  # type: ignore[arg-type,return-value]


@attrs.frozen
class Verdict:
    """One count of one row, compared.

    Args:
        count: its name; `instructions.NAME` for an instruction, `attempts.ORDER OUTCOME` for collapses.
        measured: lowest and highest value measured.
        predicted: lowest and highest value that the model allows; None if it can't run the row.
        number: the one number that is predicted; None if only a range is. With `predicted` a range it is the
            number unless scheduling interferes.
        reason: the known reason for a difference.
        open: why the prediction is a range: what decides the count that the row does not say.
    """

    count: str
    measured: tuple[int, int]
    predicted: tuple[int, int] | None
    number: int | None = None
    reason: str | None = None
    open: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether every value measured is one that the model allows, or the exact prediction was measured."""
        if self.predicted is None:
            return False
        low, high = self.predicted
        if low == high:
            return self.measured[0] <= low <= self.measured[1]
        return low <= self.measured[0] and self.measured[1] <= high

    @property
    def kind(self) -> str:
        """How the count compares, as one of `KINDS`."""
        if not self.agrees:
            return "differ" if self.reason is None else "documented"
        if self.measured[0] != self.measured[1]:
            return "varies"
        return "exact" if self.measured[0] == self.number else "open"

    @property
    def disturbable(self) -> bool:
        """Whether scheduling may change the number that is predicted."""
        return self.number is not None and self.predicted != (self.number, self.number)


@attrs.frozen
class Comparison:
    """One row with its prediction.

    Args:
        row: what was measured.
        predicted: by the names of the row's counts; None where the model can't run the row.
        reason: why it can't.
        verdicts: one for each count of the row.
    """

    row: Row
    predicted: Mapping[str, Any] | None
    reason: str | None
    verdicts: tuple[Verdict, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the row as it was, with `predicted` beside `counts`."""
        return {
            **self.row.fields,
            "counts": dict(self.row.counts),
            "predicted": None if self.predicted is None else dict(self.predicted),
            "reason": self.reason,
            "differences": [
                {
                    "count": v.count,
                    "measured": list(v.measured),
                    "predicted": None if v.predicted is None else list(v.predicted),
                    "reason": v.reason,
                }
                for v in self.verdicts
                if not v.agrees
            ],
            "open": {v.count: v.open for v in self.verdicts if v.open is not None},
            "undisturbed": {v.count: v.number for v in self.verdicts if v.disturbable},
            "not_exact": {v.count: v.kind for v in self.verdicts if v.kind != "exact"},
        }


def summarise(comparisons: Iterable[Comparison]) -> dict[str, int]:
    """Count the verdicts: all, those that agree, and each of `KINDS`."""
    verdicts = [verdict for comparison in comparisons for verdict in comparison.verdicts]
    kinds = Counter(verdict.kind for verdict in verdicts)
    return {
        "compared": len(verdicts),
        "agree": sum(verdict.agrees for verdict in verdicts),
        **{kind: kinds[kind] for kind in KINDS},
        "exact_unless_scheduling_interferes": sum(v.disturbable for v in verdicts if v.kind == "exact"),
    }


def validate(rows: Iterable[Row]) -> Iterator[Comparison]:
    """Predict and compare rows, in their order.

    Rows of one run of the measured program are answered by one run of the model.
    """
    runs: dict[Any, list[_Ran]] = {}
    for row in rows:
        yield _compare(row, runs)


def _compare(row: Row, runs: dict[Any, list[_Ran]]) -> Comparison:
    try:
        case, measured = _case(row)
        step = str(row.fields.get("step") or row.fields.get("op") or row.workload)
        schedules: list[dict[str, Any]] = []
        for ran in _run(row, case, runs):
            seen = ran.seen[window(ran.windows, step, row.integer("i", 0))]
            schedules.append(measured.predict(row, seen, case))
            if ran.attempts is not None:
                schedules[-1]["attempts"] = ran.attempts
        predicted = _merged(row, schedules, measured.telling)
    except ShootdownError as error:
        return Comparison(row, None, str(error), ())
    except MemoryError:
        return Comparison(row, None, "it needs more memory than there is", ())
    wanted = {name: predicted.get(name) for name in row.counts}
    for group in GROUPS:
        wanted.pop(group, None)
        if group in row.counts and (group in predicted or group == "instructions"):
            wanted[group] = _grouped(row.counts[group], predicted.get(group, {}))
    verdicts = tuple(_verdicts(row, wanted, measured))
    return Comparison(row, _plain(wanted), None, verdicts)


def _case(row: Row) -> tuple[Case[Workload], Measured]:
    """Find architecture, platform and kernel of a row."""
    if row.workload not in WORKLOADS:
        raise ShootdownError(f"workload {row.workload!r} is none of {', '.join(WORKLOADS)}")
    installed = registry()
    architecture = installed.architecture(row.arch)
    if architecture.measured is None:
        raise ShootdownError(f"the plugin of {architecture.name} does not say how its kernels were measured")
    name, settings = architecture.measured.platform(row)
    platform = installed.platform(architecture.name, name)
    case = prepare(Question(_NOTHING, architecture, platform, row.kernel, settings=settings, cpus=row.cpus))
    return case, architecture.measured


def _run(row: Row, case: Case[Workload], runs: dict[Any, list[_Ran]]) -> list[_Ran]:
    """Run the program of a row, or return the run of an earlier row with the same program."""
    step_fields = ("step", "i", "sharers_before", "repetitions", "generation")
    key = tuple(sorted((k, str(v)) for k, v in row.fields.items() if k not in step_fields))
    if key not in runs:
        if case.architecture.lower is None:
            raise ShootdownError(f"the plugin of {case.architecture.name} does not say how it flushes")
        build: Callable[..., Program] = BUILDERS[row.workload]
        while len(runs) > 64:
            runs.pop(next(iter(runs)))
        variants = (0,) if row.workload in ALIKE else case.architecture.measured.variants
        runs[key] = [_ran(build(case.setup(), row, variant), case.platform) for variant in variants]
    return runs[key]


def _merged(row: Row, schedules: list[dict[str, Any]], telling: tuple[str, ...]) -> dict[str, Any]:
    """Merge the predictions of schedules, with the numbers of the one that counts of the row tell.

    Where they tell none, and for these counts themselves, the numbers are those of the schedule of a machine on which
    nothing else is scheduled.
    """
    usual = undisturbed_variant(row)
    alone = schedules if usual is None or len(schedules) == 1 else [schedules[usual]]
    told = schedules
    for name in telling:
        if name in row.counts:
            fitting = [
                each for each in told if name in each and _ends(each[name]) == bounds(row.counts[name])
            ]
            told = fitting or told
    if len(told) == len(schedules):
        told = alone
    whole, usually, narrowed = (functools.reduce(_merge, each) for each in (schedules, alone, told))
    return {
        name: _told(value, (usually if name in telling else narrowed)[name]) for name, value in whole.items()
    }


def _told(whole: Any, narrowed: Any) -> Any:
    """Return a prediction of all schedules, with the number of those told if it has none."""
    if isinstance(whole, Mapping):
        return {name: _told(value, narrowed[name]) for name, value in whole.items()}
    number = _number(narrowed)
    if number is None or _number(whole) is not None:
        return whole
    least, most = _ends(whole)
    return Undisturbed(number, most, least)


@attrs.frozen(eq=False)
class _Ran:
    """What rows need of a program that has run; program and run may be large."""

    windows: tuple[tuple[str, int], ...]
    attempts: Mapping[str, tuple[int, int]] | None
    seen: tuple[Seen, ...]


def _ran(program: Program, platform: Platform) -> _Ran:
    run = run_machine(program.machine, platform)
    seen = map(Seen, run.windows, run.actors, run.window_instructions)
    return _Ran(program.windows, program.attempts, tuple(seen))


def _merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the predictions of two schedules: a count that differs becomes a range."""
    return {
        name: _merge(one.get(name, {}), value)
        if isinstance(value, Mapping)
        else _either(one.get(name), value)
        for name, value in other.items()
    }


def _either(one: Prediction | None, other: Prediction) -> Prediction:
    if one is None or one == other:
        return other
    (low, high), (low2, high2) = _ends(one), _ends(other)
    least, most = min(low, low2), max(high, high2)
    return least if least == most else (least, most)


def _grouped(measured: Mapping[str, Any], predicted: Mapping[str, Any]) -> dict[str, Any]:
    """Predict each count of a group that the row has, and each that the model has and the row lacks."""
    names = dict.fromkeys([*measured, *predicted])
    return {name: predicted.get(name, 0) for name in names}


def _verdicts(row: Row, predicted: Mapping[str, Any], measured: Measured) -> Iterator[Verdict]:
    pairs = [(name, pair, predicted[name]) for name, pair in row.counts.items() if name not in GROUPS]
    for group in GROUPS:
        if group in predicted:
            seen = dict(row.counts[group])
            for name, value in predicted[group].items():
                pairs.append((f"{group}.{name}", seen.get(name, 0), value))
    for name, pair, value in pairs:
        verdict = Verdict(name, bounds(pair), None if value is None else _ends(value), _number(value))
        if verdict.predicted is not None and verdict.predicted[0] != verdict.predicted[1]:
            open_ = [d.reason for d in measured.open if d.count == name and d.applies(row)]
            verdict = attrs.evolve(verdict, open=open_[0] if open_ else None)
        if not verdict.agrees:
            why = [d.reason for d in measured.differences if d.count == name and d.applies(row)]
            verdict = attrs.evolve(verdict, reason=why[0] if why else None)
        yield verdict


def _ends(value: Any) -> tuple[int, int]:
    if isinstance(value, Undisturbed):
        return value.ends
    return (value[0], value[1]) if isinstance(value, tuple) else (value, value)


def _number(value: Prediction | None) -> int | None:
    """Return the number that a prediction is, or is unless scheduling interferes; None for a range."""
    if isinstance(value, Undisturbed):
        return value.number
    if isinstance(value, tuple):
        return value[0] if value[0] == value[1] else None
    return value


def _plain(value: Any) -> Any:
    """Turn ranges into lists, for JSON."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | Undisturbed):
        low, high = _ends(value)
        return [low, high] if low != high else low
    return value
