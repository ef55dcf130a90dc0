"""Rows that `shootdown explore --json` printed: read them, and replay their stories in the timed engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._questions.building import built
from shootdown._questions.explore import explorations, ways
from shootdown._values.errors import ShootdownError
from shootdown._values.scenario import Scenario
from shootdown._values.verdict import BUG, DEADLOCK

if TYPE_CHECKING:
    from shootdown._explore.story import Story
    from shootdown._machine.machine import Machine
    from shootdown._questions.case import Case
    from shootdown._questions.explore import Verdict
    from shootdown._timed.replay import Replayed
    from shootdown._values.setup import Setup

SCHEMA = 1
"""The number of the form in which `explore --json` prints rows."""

_WHICH = ("low", "likely", "high")


@attrs.frozen
class SavedRow:
    """One row of a file.

    Args:
        number: its number, from one.
        name: the name of the scenario.
        values: the row as read.
    """

    number: int
    name: str
    values: Mapping[str, Any]


@attrs.frozen(eq=False)
class Replay:
    """The result of replaying one row.

    Args:
        row: the row.
        case: its case.
        story: the story, told anew from the row's moves.
        runs: the timed engine's replays, with the low, likely and high end of costs.
        machine: the machine that ran.
    """

    row: SavedRow
    case: Case[Scenario]
    story: Story
    runs: Mapping[str, Replayed]
    machine: Machine

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; times are estimates in nanoseconds."""
        runs = self.runs
        return {
            "row": self.row.number,
            "scenario": self.row.name,
            "arch": self.case.architecture.name,
            "platform": self.case.platform.name,
            "kernel": self.case.kernel.name,
            "invariant": self.story.invariant,
            "reached": True,
            "moves": len(self.story.lines),
            "state": self.story.state,
            "elapsed_ns": {which: runs[which].elapsed / 1000 for which in _WHICH},
            "held_ns": [
                {which: runs[which].held[cpu] / 1000 for which in _WHICH}
                for cpu in range(len(self.story.lanes))
            ],
        }


def read_rows(text: str, where: str) -> list[SavedRow]:
    """Read the rows that `--json` printed.

    Args:
        text: the output.
        where: the file's name, for errors.

    Raises:
        ShootdownError: the text is something else.
    """
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise ShootdownError(
            f"{where}: no JSON, or cut off: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ShootdownError(f"{where}: JSON nested too deeply") from None
    except ValueError as error:  # a number of 5000 digits
        raise ShootdownError(f"{where}: JSON that can't be read: {error}") from None
    schema = whole.get("schema", SCHEMA) if isinstance(whole, dict) else SCHEMA
    if schema != SCHEMA or isinstance(schema, bool):
        raise ShootdownError(
            f"{where}: its schema is {schema!r:.60}; this version of shootdown reads schema {SCHEMA}"
        )
    rows = whole.get("rows") if isinstance(whole, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ShootdownError(f"{where}: it has no rows; write it with `shootdown explore ... --json`")
    return [_row(row, number, where) for number, row in enumerate(rows, 1)]


_KINDS: dict[str, type] = {
    "scenario": str,
    "arch": str,
    "platform": str,
    "kernel": str,
    "set": dict,
    "parameters": dict,
    "verdict": str,
    "story": list,
}


def _row(row: Any, number: int, where: str) -> SavedRow:
    if not isinstance(row, dict):
        raise ShootdownError(f"{where}: row {number} is no object")
    for name, kind in _KINDS.items():
        if not isinstance(row.get(name), kind):
            what = "has no" if name not in row else "has an unusable"
            raise ShootdownError(f"{where}: row {number} {what} {name!r}")
    return SavedRow(number, row["scenario"], row)


def replay_row(row: SavedRow, where: str, scenario: Scenario | None = None) -> Replay:
    """Replay the story of a row in the timed engine, and check that it reaches the same bad state.

    Args:
        row: a row with the verdict `bug`.
        where: the file's name, for errors.
        scenario: the row's scenario, if it is not an installed one.

    Raises:
        ShootdownError: the story is not possible, or ends in another state.
    """
    values = row.values
    here = f"{where}: row {row.number}"
    if values["verdict"] != BUG:
        raise ShootdownError(f"{here} has no story to replay: its verdict is {values['verdict']}")
    if not values["story"]:
        raise ShootdownError(f"{here}: its story is empty")
    file, kernel = _patched(values, here)
    try:
        (case,) = explorations(
            scenario if scenario is not None and scenario.name == row.name else row.name,
            arch=[values["arch"]],
            platforms=[values["platform"]],
            kernels=[kernel],
            parameters=values["parameters"],
            settings=values["set"],
            patch=file,
        )
        reason = case.refusal()
    except ShootdownError as error:
        raise ShootdownError(f"{here}: {error}") from None
    if reason is not None:
        raise ShootdownError(f"{here} can't happen: {reason}")
    moves = [_move(line, f"{here}, move {n}") for n, line in enumerate(values["story"], 1)]
    failures: list[tuple[int, ShootdownError]] = []
    for _, setup in ways(case):
        try:
            return _replay(row, case, setup, moves, here)
        except _ElsewhereError as error:
            failures.append((error.after, ShootdownError(str(error))))
    raise max(failures, key=lambda failure: failure[0])[1] from None


def _patched(values: Mapping[str, Any], here: str) -> tuple[str | None, str]:
    """Return the patch file of a row, if it has one, and the kernel's name without it."""
    kernel: str = values["kernel"]
    patch = values.get("patch")
    if patch is None:
        return None, kernel
    if not isinstance(patch, dict) or not all(isinstance(patch.get(at), str) for at in ("file", "name")):
        raise ShootdownError(f"{here} has an unusable 'patch'")
    return patch["file"], kernel.removesuffix(f"+{patch['name']}")


class _ElsewhereError(Exception):
    """The story does not happen with these moves."""

    def __init__(self, after: int, text: str) -> None:
        super().__init__(text)
        self.after = after


def _move(line: Any, here: str) -> tuple[int, int]:
    from shootdown._explore.labels import read_move

    if not isinstance(line, dict) or not isinstance(line.get("move"), str):
        raise ShootdownError(f"{here}: it has no 'move'")
    steps = line.get("steps")
    if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= 100_000:
        raise ShootdownError(f"{here}: 'steps' is no number of steps")
    try:
        return read_move(line["move"]), steps
    except ShootdownError as error:
        raise ShootdownError(f"{here}: {error}") from None


def _replay(
    row: SavedRow, case: Case[Scenario], setup: Setup, moves: list[tuple[int, int]], here: str
) -> Replay:
    from shootdown._explore.engine import Explorer
    from shootdown._explore.problem import Problem
    from shootdown._explore.telling import digest, retell, stuck
    from shootdown._timed.replay import replay, wide

    problem = built(case, setup, Problem)
    explorer = Explorer(problem)
    asked = [_asked(label, steps) for label, steps in moves]
    machine = wide(problem.machine)
    runs = {which: replay(machine, case.platform, asked, which=which) for which in _WHICH}
    run = runs["likely"]
    if run.moves < len(moves):
        why = "an invariant is broken before it" if run.broken >= 0 else "it is not possible then"
        raise _ElsewhereError(
            run.moves, f"{here} does not replay: move {run.moves + 1} of {len(moves)}: {why}"
        )
    if run.broken >= 0:
        broken = problem.invariants[run.broken]
    else:
        narrow = run.state.astype(explorer.first.dtype)
        plain = explorer.first.copy()
        plain[: len(narrow)] = narrow
        broken = DEADLOCK if stuck(explorer, plain) else ""
    if broken != row.values.get("invariant"):
        ends = f"it breaks {broken!r}" if broken else "no invariant is broken"
        raise _ElsewhereError(
            run.moves,
            f"{here} does not replay: after its last move {ends}, not {row.values.get('invariant')!r}",
        )
    story = retell(explorer, moves, broken, case.program.sentences)
    lines = row.values["story"]
    for told, line in zip(story.to_list(), lines, strict=True):
        for name, value in told.items():
            if line.get(name) != value:
                at = told["move"]
                raise _ElsewhereError(
                    run.moves,
                    f"{here} does not replay: {name!r} of move {at!r} is {value!r} here, not "
                    f"{line.get(name)!r}",
                )
    if digest(run.state, problem.machine.layout) != story.state:
        raise AssertionError("the timed engine and the explorer come to different states")
    return Replay(row, case, story, runs, machine)


def _asked(label: int, steps: int) -> tuple[str, tuple[int, ...], int]:
    """Return a move in the form that the timed engine's replay takes."""
    from shootdown._explore.labels import move_words

    word, *numbers = move_words(label).split()
    return word, tuple(map(int, numbers)), steps


def timed(verdict: Verdict, which: str = "likely") -> tuple[Machine, Replayed]:
    """Replay the story of a verdict in the timed engine.

    Args:
        verdict: a bug with its story.
        which: the end of each cost's range: `low`, `likely` or `high`.

    Returns:
        The machine, and the result of the replay.
    """
    from shootdown._explore.labels import read_move
    from shootdown._explore.problem import Problem
    from shootdown._timed.replay import replay, wide

    case, story = verdict.exploration, verdict.story
    assert case is not None
    assert story is not None
    setup = dict(ways(case))[verdict.way]
    machine = wide(built(case, setup, Problem).machine)
    moves = [_asked(read_move(line.move), len(line.atoms)) for line in story.lines]
    return machine, replay(machine, case.platform, moves, which=which)
