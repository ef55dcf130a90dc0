"""`shootdown list`: everything that can be asked for by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import click

from shootdown._architecture import Architecture
from shootdown._cli import _common
from shootdown._errors import ShootdownError, nearest
from shootdown._installed import Registry
from shootdown._kernel import Kernel, switches_of
from shootdown._platform import Platform
from shootdown._registry import registry
from shootdown._releases import proposals
from shootdown._series import SERIES

Row = dict[str, Any]


def architectures(installed: Registry, chosen: list[Architecture]) -> list[Row]:
    """Return a row for each architecture."""
    origins = {value.name: plugin.origin for plugin in installed.plugins for value in plugin.architectures}
    return [
        {
            "arch": value.name,
            "aliases": list(value.aliases),
            "plugin": str(origins[value.name]),
            "summary": value.summary,
        }
        for value in chosen
    ]


def platforms(installed: Registry, chosen: list[Architecture]) -> list[Row]:
    """Return a row for each platform, an architecture's default first."""
    return [
        {"platform": platform.name, "arch": value.name, "summary": platform.summary}
        for value in chosen
        for platform in installed.platforms(value.name).values()
    ]


def kernels(_: Registry, chosen: list[Architecture]) -> list[Row]:
    """Return a row for each series, with its newest release, and for each proposal."""
    rows: list[Row] = [
        {
            "kernel": f"{series.name}.{series.newest}" if series.newest else series.name,
            "series": series.name,
            "state": series.state,
        }
        for series in SERIES
    ]
    return rows + [
        {"kernel": f"proposal:{name}", "series": None, "state": "never merged"} for name in proposals(chosen)
    ]


def workloads(installed: Registry, _: list[Architecture]) -> list[Row]:
    """Return a row for each workload."""
    return [
        {"workload": value.name, "parameters": _names(value.parameters), "summary": value.summary}
        for value in installed.workloads().values()
    ]


def switches(_: Registry, chosen: list[Architecture]) -> list[Row]:
    """Return a row for each switch that `--set` takes: those of every kernel, then each architecture's."""
    rows = [*_switches("", "kernel", Kernel), *_switches("", "platform", Platform)]
    for value in chosen:
        rows += _switches(value.name, "kernel", value.switches)
        own = {type(platform.arch) for platform in value.platforms}
        for cls in sorted(own, key=lambda cls: cls.__qualname__):
            rows += _switches(value.name, "platform", cls)
    return rows


def formats(_: Registry, chosen: list[Architecture]) -> list[Row]:
    """Return a row for each page-table format; levels from the root, with the address bits of each."""
    return [
        {
            "format": form.name,
            "arch": value.name,
            "va_bits": form.va_bits,
            "levels": [f"{level.linux} {level.bits}" for level in form.levels],
            "summary": form.summary,
        }
        for value in chosen
        for form in value.formats
    ]


KINDS: dict[str, Callable[[Registry, list[Architecture]], list[Row]]] = {
    "architectures": architectures,
    "platforms": platforms,
    "kernels": kernels,
    "workloads": workloads,
    "switches": switches,
    "formats": formats,
}


@_common.command("list")
@click.argument("kind", required=False, metavar="[" + "|".join(KINDS) + "]")
@_common.arch_option
@_common.json_option
def command(kind: str | None, arch: tuple[str, ...], as_json: bool) -> None:
    """List what there is to choose from; without a kind, how much there is of each."""
    if kind is not None and kind not in KINDS:
        raise ShootdownError(f"there is nothing called {kind!r} to list; {nearest(kind, KINDS)}")
    installed = registry()
    chosen = [installed.architecture(name) for name in arch] or list(installed.architectures().values())
    listed = {name: rows(installed, chosen) for name, rows in KINDS.items() if kind in (None, name)}
    if as_json:
        _common.emit_json({"schema": 1, **listed})
    elif kind is None:
        _common.emit_table(
            ("kind", "count", "such as"),
            [(name, len(rows), _examples(rows)) for name, rows in listed.items()],
            right=("count",),
        )
    else:
        _emit(kind, listed[kind])
    if installed.refusals:
        click.echo(f"{len(installed.refusals)} not loaded: see `shootdown plugins`", err=True)


def _emit(kind: str, rows: list[Row]) -> None:
    if not rows:
        _common.emit(f"no {kind}")
        return
    if kind == "switches":  # in a column of their own the values leave no room for the meaning
        rows = [
            {
                "switch": row["switch"],
                "arch": row["arch"],
                "meaning": f"{row['meaning']} [{_cell(row['values'])}]",
            }
            for row in rows
        ]
    # A column in which nothing stands costs width and says nothing.
    headings = [name for name in rows[0] if any(row[name] for row in rows)]
    _common.emit_table(headings, [[_cell(row[name]) for name in headings] for row in rows])


def _switches(arch: str, of: str, cls: type[Any]) -> list[Row]:
    return [
        {"switch": f"{of}.{name}", "arch": arch, "values": _allowed(field), "meaning": field.metadata["doc"]}
        for name, field in switches_of(cls)
    ]


def _allowed(field: attrs.Attribute[Any]) -> list[str]:
    """Return the values that a switch takes, as they are typed."""
    if choices := field.metadata["choices"]:
        return [str(choice) for choice in choices]
    if isinstance(field.default, bool):
        return ["true", "false"]
    if isinstance(field.default, int):
        minimum = field.metadata["minimum"]
        return ["integer" if minimum is None else f"integer from {minimum}"]
    return ["text"]


def _names(parameters: Any) -> list[str]:
    return [parameter if isinstance(parameter, str) else parameter.name for parameter in parameters]


def _examples(rows: list[Row]) -> str:
    names = list(dict.fromkeys(str(next(iter(row.values()))) for row in rows))
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
