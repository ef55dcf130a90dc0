"""Results that were saved with `--json`: read them again, as the values that reports are written from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._values.errors import ShootdownError
from shootdown._values.result import Result, Span

if TYPE_CHECKING:
    from shootdown._explore.story import Atom, Line, Story

SCHEMA = 1
"""The number of the form of saved results that this version reads."""


@attrs.frozen
class Saved:
    """One saved result.

    Args:
        kind: the command that printed it: `compare`, `explain`, `explore`, `history` or `hunt`.
        value: the JSON.
        where: the name of its file.
        command: the command line, or empty in what versions before 0.2 wrote.
        version: of shootdown then, or empty.
    """

    kind: str
    value: Mapping[str, Any]
    where: str
    command: str = ""
    version: str = ""


def read_result(text: str, where: str) -> Saved:
    """Read what a command printed with `--json`.

    Args:
        text: all of it.
        where: the file's name, for errors.

    Raises:
        ShootdownError: it is something else.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ShootdownError(
            f"{where}: no JSON, or cut off: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ShootdownError(f"{where}: JSON nested too deeply") from None
    except ValueError as error:  # a number of 5000 digits
        raise ShootdownError(f"{where}: JSON that can't be read: {error}") from None
    schema = value.get("schema") if isinstance(value, dict) else None
    kind = _kind(value)
    if kind is None:
        raise ShootdownError(
            f"{where}: not what compare, explain, explore, history or hunt print with --json; save one of these: "
            f"shootdown compare ... --json > {where if where.endswith('.json') else 'result.json'}"
        )
    if schema != SCHEMA or isinstance(schema, bool):
        raise ShootdownError(
            f"{where}: its schema is {schema!r:.60}; this version of shootdown reads schema {SCHEMA}"
        )
    told = {name: value.get(name) for name in ("command", "version")}
    return Saved(
        kind, value, where, **{name: text if isinstance(text, str) else "" for name, text in told.items()}
    )


def _kind(value: Any) -> str | None:
    """Say which command printed a value, by its keys."""
    if not isinstance(value, dict):
        return None
    if "ledger" in value and "row" in value:
        return "explain"
    if "findings" in value:
        return "hunt"
    rows = value.get("rows")
    if "program" in value and "advice" in value:
        return "history"
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return None
    return "explore" if "scenario" in rows[0] else "compare" if "workload" in rows[0] else None


def result_of(row: Mapping[str, Any]) -> Result:
    """Return a row of `compare`, as the value that it was."""
    return Result(
        arch=_text(row["arch"]),
        platform=_text(row["platform"]),
        kernel=_text(row["kernel"]),
        workload=_text(row["workload"]),
        parameters=dict(row["parameters"]),
        cpus=_whole(row["cpus"]),
        set={_text(name): _text(value) for name, value in dict(row["set"]).items()},
        supported=bool(row["supported"]),
        reason=row["reason"],
        counts={name: _whole(value) for name, value in dict(row["counts"]).items()},
        times={name: span_of(value) for name, value in dict(row["times"]).items()},
        remarks=tuple(map(_text, row["remarks"])),
        patch=row.get("patch"),
    )


def span_of(value: Mapping[str, Any]) -> Span:
    """Return a time as the value that it was."""
    return Span(*(float(value[name]) for name in ("low", "likely", "high")))


def story_of(lines: Sequence[Mapping[str, Any]], invariant: str, sentence: str | None) -> Story | None:
    """Return the story of a bug as the value that it was, without the steps that tell nothing; None if it is empty."""
    from shootdown._explore.story import Story

    if not lines:
        return None
    told = tuple(_line(line, number) for number, line in enumerate(lines, 1))
    lanes: dict[int, str] = {}
    for line in told:
        lanes.setdefault(line.cpu, line.lane)
        for atom in line.atoms:
            lanes.setdefault(atom.cpu, "")
    return Story(
        lanes=tuple(lanes.get(cpu, "") for cpu in range(max(lanes) + 1)),
        lines=told,
        invariant=_text(invariant),
        sentence=sentence or "",
        ending=tuple(map(_text, lines[-1].get("ending", ()))),
        state=str(lines[-1].get("state", "")),
    )


_MOST_CPUS = 1 << 20


def _line(line: Mapping[str, Any], number: int) -> Line:
    from shootdown._explore.story import Line

    cpu = _whole(line["cpu"])
    return Line(
        number=number,
        cpu=cpu,
        lane=_text(line["lane"]),
        who=_text(line["who"]),
        move=_text(line["move"]),
        atoms=(_atom(line, cpu), *(_atom(one, _whole(one["cpu"])) for one in line["then"])),
        bad=bool(line["bad"]),
    )


def _atom(value: Mapping[str, Any], cpu: int) -> Atom:
    from shootdown._explore.story import Atom

    return Atom(
        function=value["function"] or "",
        file=value["file"] or "",
        text=_text(value["step"]),
        changed=tuple(map(_text, value["changed"])),
        cpu=cpu,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is no text")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise TypeError(f"{value!r:.60} is no count")
    return value
