"""Every cell of the museum has the verdict that a run gives."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from shootdown._plugins.registry import registry
from shootdown._questions.explore import explorations, explore_case
from shootdown._values.verdict import BUG, SAFE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/museum.md").read_text()
TABLE = PAGE.partition("<!-- museum:")[2].partition("<!-- museum end -->")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if re.match(r"\| [0-9a-f]{10}", line)
]
#: Programs whose search takes a moment, or that other tests explore too.
SLOW = {
    "asid-rollover",
    "mremap-stale",
    "nested-flush",
    "reclaim-dontneed.toml",
    "unshare-gup",
    "unshare-walk-cache",
}


class Run(NamedTuple):
    """One cell: what is explored, with which options, and the verdict that the page says."""

    commit: str
    program: str
    options: str
    verdict: str


RUNS = [
    Run(row[0].split()[0], row[3].strip("`"), *re.fullmatch(r"`([^`]*)` (bug|safe)", cell).groups())  # type: ignore[union-attr]
    for row in ROWS
    for cell in row[4:]
]


def verdict_of(run: Run) -> str:
    """Explore what a cell says, as `shootdown explore` does."""
    given: dict[str, list[str]] = {}
    words = shlex.split(run.options)
    for option, value in zip(words[::2], words[1::2], strict=True):
        given.setdefault(option, []).append(value)
    program = run.program
    if program.endswith(".toml"):
        program = str(ROOT / "docs/examples/programs" / program)
    (case,) = explorations(
        program,
        arch=given.get("--arch", []),
        platforms=given.get("--platform", []),
        kernels=given["--kernel"],
        parameters=dict(one.split("=") for one in given.get("-p", [])),
        settings=given.get("--set", []),
    )
    return explore_case(case).verdict


def test_each_row_has_a_bug_before_and_none_after() -> None:
    assert len(ROWS) > 12
    assert {run.verdict for run in RUNS[::2]} == {BUG}
    assert {run.verdict for run in RUNS[1::2]} == {SAFE}


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(
            run, marks=[pytest.mark.long] if run.program in SLOW else [], id=f"{run.commit}-{run.verdict}"
        )
        for run in RUNS
    ],
)
def test_the_verdict_is_that_of_a_run(run: Run) -> None:
    assert verdict_of(run) == run.verdict


def test_scenarios_of_the_museum_name_its_commits() -> None:
    scenarios = registry().scenarios()
    for row in ROWS:
        name = row[3].strip("`")
        if not name.endswith(".toml"):
            assert row[0].split()[0] in scenarios[name].source, name
