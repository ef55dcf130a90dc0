"""Sections 11 to 13: of workloads, scenarios and reports with one mistake each, the mistake is named."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.core.compliance.toys import good

from shootdown import Parameter, Report, Workload
from shootdown._compliance import additions, reports, scenarios, workloads
from shootdown._compliance.additions import Additions
from shootdown._compliance.checking import check
from shootdown._compliance.registry import chosen
from shootdown.scenarios import Expect, Model, Problem, Scenario, Scene, ops
from shootdown.scenarios import Mapping as Slots

TABLE = Slots(used=(0,), pages=1)
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _only_the_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try everything on one small architecture."""
    for module in (additions, workloads, scenarios):
        monkeypatch.setattr(module, "architectures", lambda: [good()])


def said(number: str, **offered: Any) -> tuple[str, str]:
    """Check one statement about what a plugin offers; return its word, and what it finds, as one text."""
    (outcome,) = check(Additions("toy", **offered), chosen([number]))
    return outcome.word, "\n".join(outcome.findings)


# --- workloads


def program(
    change: Callable[[Any, Model], None] = lambda setting, model: None,
    *,
    signals: bool = True,
    second: int = 1,
    times: Callable[[Any], int] = lambda setting: int(setting["times"]),
) -> Callable[[Any], Any]:
    def build(setting: Any) -> Any:
        model = Model(setting.kernel, setting.lowering, cpus=setting.cpus, mms=2)
        first = model.task(mm=0, cpu=0, ready=True)
        other = model.task(mm=1, cpu=second, ready=True)
        mapped = model.event()
        model.starts(first)
        model.wait(mapped)
        with model.window("measured", first), model.asm.loop(times(setting), ops.SCRATCH2):
            change(setting, model)
            model.asm.work("syscall_ns")
        model.asm.halt()
        model.starts(other)
        if signals:
            model.signal(mapped)
        model.sleep()
        return model.build()

    return build


def workload(build: Any, *, needs: int = 2, minimum: int = 1, **more: Any) -> tuple[Workload, ...]:
    def refuse(setting: Any) -> str | None:
        return "two CPUs are needed" if setting.cpus < needs else None

    parameters = (Parameter("times", 2, "how often", minimum=minimum, maximum=9),)
    return (Workload("w", "a toy", parameters, build, **{"refuse": refuse, **more}),)


def random_work(setting: Any, model: Model) -> None:
    model.asm.execute("nop", next(_numbers))


WORKLOADS = {
    "waits for what never comes": ("11.1", workload(program(signals=False)), "waits|hang|never"),
    "names a CPU that there is not": ("11.1", workload(program(second=9)), "cpu|CPU"),
    "does not say that it needs two CPUs": (
        "11.1",
        workload(program(), needs=0),
        "one CPU: .* CPU 1: there",
    ),
    "refuses by a truth": ("11.1", workload(program(), refuse=lambda setting: False), r"refuse\(\)"),
    "can't do a thing -1 times": ("11.2", workload(program(), minimum=-1), "w with times=-1"),
    "has a parameter that nobody reads": (
        "11.2",
        workload(program(times=lambda setting: 3)),
        "nothing looks at the parameter times",
    ),
    "draws lots": ("11.3", workload(program(random_work)), "another program a second time"),
}


@pytest.mark.parametrize("number", ["11.1", "11.2", "11.3"])
def test_a_right_workload_is_shown(number: str) -> None:
    assert said(number, workloads=workload(program())) == ("shown", "")


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_with_a_mistake_is_found(name: str) -> None:
    number, offered, words = WORKLOADS[name]
    word, text = said(number, workloads=offered)
    assert word == "finding"
    assert re.search(words, text), text


# --- scenarios


def race(
    *, reaches: bool = True, reads: bool = True, draws: bool = False, **more: Any
) -> Callable[[Scene], Problem]:
    def build(scene: Scene) -> Problem:
        model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
        model.populate(0)
        owner = model.task(mm=0, cpu=0, ready=True)
        runner = model.task(mm=0, cpu=1, ready=True)
        model.starts(owner)
        asm = model.asm
        model.gathers.begin(0)
        asm.set(ops.SLOT, 0)
        asm.load_pud(ops.CLASS, text="read the entry")
        asm.clear_pud(text="pud_clear")
        asm.gather_slot(0, 0, 1, flags=ops.FREED_TABLES, cleared=ops.CLEARED_PUDS, text="pmd_free_tlb")
        early = reads and scene["early"]
        if early:
            model.free_table()
        model.gathers.finish(0)
        if not early:
            model.free_table()
        if draws:
            asm.set(ops.SCRATCH2, next(_numbers))
        if reaches:
            asm.reached(0)
        model.spin()
        model.starts(runner)
        model.spin()
        fields = {
            "invariants": ("walk-cache",),
            "places": ("freed",),
            "walkers": True,
            "lanes": ("frees", "runs"),
        }
        return Problem(machine=model.build(bits=16), **{**fields, **more})

    return build


def scenario(build: Any, **more: Any) -> tuple[Scenario, ...]:
    fields = {"window": ("freed",), "switches": (Parameter("early", False, "before the flush"),)}
    return (Scenario("s", "a toy", "a commit", build, **{**fields, **more}),)


SCENARIOS = {
    "never comes to its window": ("12.1", scenario(race(reaches=False)), "no state reaches freed"),
    "names a place that there is not": ("12.1", scenario(race(), window=("freeed",)), "a place 'freeed'"),
    "misspells its invariant": (
        "12.2",
        scenario(race(invariants=("walk-cach",))),
        "nothing says what the invariant 'walk-cach' is; nearest: walk-cache",
    ),
    "explains what it does not ask": (
        "12.2",
        scenario(race(), sentences={"gup": "it may not"}),
        "'gup', which is no invariant",
    ),
    "tells of one CPU": (
        "12.2",
        scenario(race(lanes=("frees",))),
        "`lanes` has 1 texts, and there are 2 CPUs",
    ),
    "has a switch that nobody reads": ("12.4", scenario(race(reads=False)), "nothing looks at early"),
    "draws lots": ("12.5", scenario(race(draws=True)), "another program a second time"),
}


@pytest.mark.parametrize("number", ["12.1", "12.2", "12.4", "12.5"])
def test_a_right_scenario_is_shown(number: str) -> None:
    assert said(number, scenarios=scenario(race())) == ("shown", "")


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_with_a_mistake_is_found(name: str) -> None:
    number, offered, words = SCENARIOS[name]
    word, text = said(number, scenarios=offered)
    assert (word, words in text) == ("finding", True), text


def test_the_verdicts_that_an_author_expects_are_explored() -> None:
    early = ("scenario.early=true",)
    right = scenario(race(), expected=(Expect("safe", "x86"), Expect("bug", "x86", settings=early)))
    assert said("12.3", scenarios=right) == ("shown", "")
    wrong = scenario(race(), expected=(Expect("bug", "x86"), Expect("safe", "x87")))
    word, text = said("12.3", scenarios=wrong)
    assert word == "finding"
    assert "on x86, kernel 7.0: the verdict is safe, and bug is expected" in text
    assert "there is no architecture 'x87'" in text


def test_a_scenario_without_expectations_or_a_window_is_unevidenced() -> None:
    for number in ("12.1", "12.3"):
        assert said(number, scenarios=scenario(race(), window=()))[0] == "unevidenced"


# --- reports

Rows = Sequence[Mapping[str, Any]]


def changes(rows: Any) -> str:
    rows[0]["kernel"] = "none"
    return "a text"


def writes(rows: Rows) -> str:
    with Path("/dev/null").open("w", encoding="utf-8") as stream:
        stream.write("x")
    return "a text"


REPORTS: dict[str, tuple[str, Any, str]] = {
    "returns nothing": ("13.1", lambda rows: None, "write() returned a NoneType, not a str"),
    "writes nothing": ("13.1", lambda rows: "", "an empty text"),
    "takes each row for one with counts": (
        "13.1",
        lambda rows: str([row["counts"]["flush_ipis"] for row in rows]),
        "report r: write(): KeyError: 'flush_ipis'",
    ),
    "changes its rows": ("13.2", changes, "write() changes the rows that it gets"),
    "opens a file": ("13.2", writes, "write() opens /dev/null for writing"),
    "asks for a misspelt count": (
        "13.3",
        lambda rows: f"{[row['counts'].get('flsh_ipis') for row in rows]}",
        "asks for 'flsh_ipis', which no row has; nearest: flush_ipis",
    ),
    "counts on": ("13.2", lambda rows: f"{next(_numbers)}", "another text a second time"),
}


def report(write: Any) -> tuple[Report, ...]:
    return (Report("r", "a toy", write),)


@pytest.mark.parametrize("number", ["13.1", "13.2", "13.3"])
def test_a_right_report_is_shown(number: str) -> None:
    assert said(number, reports=report(lambda rows: str(len(rows)))) == ("shown", "")


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_with_a_mistake_is_found(name: str) -> None:
    number, write, words = REPORTS[name]
    word, text = said(number, reports=report(write))
    assert (word, words in text) == ("finding", True), text


def test_rows_of_history_are_written_too(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"rows": ({"since": "6.12", "until": "7.3"},)}
    monkeypatch.setattr(reports, "_rows", lambda command: rows if command == "history" else {})
    offered = (Report("r", "a toy", lambda rows: rows[0]["counts"], commands=("history",)),)
    assert "of rows of history" in said("13.1", reports=offered)[1]


@pytest.fixture(autouse=True, scope="module")
def _rows_are_made_once() -> Iterator[None]:
    yield
    reports._rows.cache_clear()
