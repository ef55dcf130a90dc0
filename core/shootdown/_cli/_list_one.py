"""`shootdown list KIND NAME`: all that can be chosen of one workload, scenario or kernel, with what it means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shootdown._cli import _writing
from shootdown._plugins.installed import Registry
from shootdown._values.architecture import Architecture
from shootdown._values.changes import Change
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.known import kernels_known
from shootdown._values.parameter import SEED, Parameter
from shootdown._values.scenario import MEMORY_MODEL, Scenario
from shootdown._values.series import parse_release

#: The kinds of which one can be looked at by name.
KINDS = ("workloads", "scenarios", "kernels")


def write_one(
    kind: str, name: str, installed: Registry, chosen: list[Architecture], *, as_json: bool
) -> None:
    """Write all that there is to choose of one thing.

    Args:
        kind: one of `KINDS`.
        name: the name of a workload or scenario, the file of a program, or a series such as `6.1`.
        installed: the registry.
        chosen: the architectures whose changes are shown.
        as_json: JSON instead of text.

    Raises:
        ShootdownError: there is no such thing, or nothing more to say of its kind.
    """
    if kind not in KINDS:
        raise ShootdownError(f"list {kind} has no more to say of one; of these there is: {', '.join(KINDS)}")
    if kind == "kernels":
        _write_series(name, chosen, as_json=as_json)
    elif kind == "scenarios":
        _write_scenario(installed.scenario(name), as_json=as_json)
    else:
        from shootdown._questions.subjects import workload_named

        _write_workload(workload_named(name), as_json=as_json)


def parameter_rows(parameters: Iterable[Parameter], prefix: str = "") -> list[dict[str, Any]]:
    """Return for each parameter its name as typed, default, what it may be, and meaning."""
    return [
        {
            "name": prefix + one.name,
            "default": _text(one.default),
            "values": list(one.choices) or [_range(one)],
            "meaning": one.doc,
        }
        for one in parameters
    ]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(one: Parameter) -> str:
    if isinstance(one.default, bool):
        return "true, false"
    if isinstance(one.default, int):
        return f"{one.minimum:,} to {one.maximum:,}"
    return "text"


def _write_workload(workload: Any, *, as_json: bool) -> None:
    rows = parameter_rows((*workload.parameters, SEED))
    if as_json:
        _writing.write_json(
            {"schema": 1, "workload": workload.name, "summary": workload.summary, "parameters": rows}
        )
        return
    _writing.write_wrapped(f"{workload.name}: {workload.summary}", rest="  ")
    _writing.write_line("")
    _write_parameters("-p NAME=", rows)


def _write_scenario(scenario: Scenario, *, as_json: bool) -> None:
    parameters = parameter_rows(scenario.parameters)
    switches = parameter_rows(scenario.switches, "scenario.")
    model = {
        "name": MEMORY_MODEL,
        "default": "the architecture's",
        "values": ["sc", "tso", "weak"],
        "meaning": "how stores of one CPU become visible to others",
    }
    switches.append(model)
    if as_json:
        _writing.write_json(
            {
                "schema": 1,
                "scenario": scenario.name,
                "summary": scenario.summary,
                "source": scenario.source,
                "invariants": dict(scenario.sentences),
                "parameters": parameters,
                "switches": switches,
            }
        )
        return
    _writing.write_wrapped(f"{scenario.name}: {scenario.summary}", rest="  ")
    _writing.write_wrapped(f"Source: {scenario.source}", rest="  ")
    _writing.write_line("")
    for name, sentence in scenario.sentences.items():
        _writing.write_wrapped(f"{name}: {sentence}", rest="  ")
    for heading, rows in (("-p NAME=", parameters), ("--set NAME=", switches)):
        if rows:
            _writing.write_line("")
            _write_parameters(heading, rows)


def _write_parameters(heading: str, rows: list[dict[str, Any]]) -> None:
    _writing.write_table(
        (heading, "default", "values", "meaning"),
        [(row["name"], row["default"], ", ".join(row["values"]), row["meaning"]) for row in rows],
    )


def _write_series(name: str, chosen: list[Architecture], *, as_json: bool) -> None:
    table = {known.name: known for known in kernels_known(chosen)}
    known = table.get(name.removeprefix("v"))
    if known is None and not name.startswith("proposal:"):
        known = table[parse_release(name)[0].series]
    if known is None:
        raise ShootdownError(f"there is no {name!r}; {nearest(name, table)}")
    rows = [
        {
            "release": arrival.release,
            "commit": arrival.change.commit,
            "subject": arrival.change.subject,
            "arch": arrival.architecture,
            "sets": dict(arrival.change.sets),
        }
        for arrival in known.arrivals
    ]
    if as_json:
        kernel = {"series": known.name, "newest": known.newest, "read": known.read, "state": known.state}
        _writing.write_json({"schema": 1, **kernel, "changes": rows})
        return
    read = f", its source read up to {known.read}" if known.read else ""
    newest = "" if known.state == "proposal" else f": newest {known.newest}"
    _writing.write_wrapped(f"{known.name}{newest}, {known.state}{read}", rest="  ")
    if not rows:
        _writing.write_line("It moved no switch.")
        return
    _writing.write_line("")
    _writing.write_table(
        ("since", "commit", "what it sets, and why"),
        [(arrival.release, arrival.change.commit, _what(arrival.change)) for arrival in known.arrivals],
        whole=("since", "commit"),
    )


def _what(change: Change) -> str:
    sets = ", ".join(f"{switch}={_text(value)}" for switch, value in change.sets)
    return f"{change.subject}\n{sets}"
