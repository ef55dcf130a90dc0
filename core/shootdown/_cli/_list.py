"""`shootdown list`: everything that can be asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs
import click

from shootdown._cli import _common, _writing
from shootdown._cli._list_one import write_one
from shootdown._plugins.installed import Registry
from shootdown._plugins.registry import registry
from shootdown._values.architecture import Architecture
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.kernel import Kernel, switches_of
from shootdown._values.known import kernels_known
from shootdown._values.known import switches as kernel_switches
from shootdown._values.platform import Platform
from shootdown._values.series import AS_OF, newest_known

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
    """Return a row for each series, with its newest release and what is new in it, and for each proposal."""
    return [
        {
            "kernel": known.newest,
            "read": known.read,
            "state": known.state,
            "changes": [
                {
                    "release": arrival.release,
                    "commit": arrival.change.commit,
                    "subject": arrival.change.subject,
                    "arch": arrival.architecture,
                }
                for arrival in known.arrivals
            ],
        }
        for known in kernels_known(chosen)
    ]


def workloads(installed: Registry, _: list[Architecture]) -> list[Row]:
    """Return a row for each workload, and for each program that is shipped."""
    from shootdown._programs.reading import read_file
    from shootdown._programs.shipped import shipped

    known = [(value.name, value.parameters, value.summary) for value in installed.workloads().values()]
    for path in shipped().values():
        program = read_file(path)
        known.append((program.name, program.parameters, program.summary))
    return [
        {"workload": name, "parameters": _names(parameters), "summary": summary}
        for name, parameters, summary in known
    ]


def scenarios(installed: Registry, _: list[Architecture]) -> list[Row]:
    """Return a row for each scenario of `shootdown explore`, with what `-p` and `--set scenario.` can choose."""
    return [
        {
            "scenario": value.name,
            "parameters": _names(value.parameters),
            "switches": [f"scenario.{switch.name}" for switch in value.switches],
            "invariants": dict(value.sentences),
            "source": value.source,
            "summary": value.summary,
        }
        for value in installed.scenarios().values()
    ]


def switches(installed: Registry, chosen: list[Architecture]) -> list[Row]:
    """Return a row for each switch that `--set` takes: those of every kernel, then each architecture's."""
    moved = {(known.architecture, known.name): known.changes for known in kernel_switches(chosen)}
    ways = {"flush": installed.flush_names()}
    rows = [*_switches(None, "kernel", Kernel, moved), *_switches(None, "platform", Platform, {}, ways)]
    for value in chosen:
        rows += _switches(value.name, "kernel", value.switches, moved)
        own = {type(platform.arch) for platform in value.platforms}
        for cls in sorted(own, key=lambda cls: cls.__qualname__):
            rows += _switches(value.name, "platform", cls, {})
    return rows


def formats(_: Registry, chosen: list[Architecture]) -> list[Row]:
    """Return a row for each page-table format; levels from the root, with the address bits of each."""
    return [
        {
            "format": form.name,
            "arch": value.name,
            "va_bits": form.va_bits,
            "levels": [f"{level.linux} {level.bits}" for level in form.levels],
            "page_sizes": list(form.page_sizes),
            "summary": form.summary,
        }
        for value in chosen
        for form in value.formats
    ]


def settings(_: Registry, chosen: list[Architecture]) -> list[Row]:
    """Return a row for each setting of formats that `shootdown walk --set` takes, and the formats that have it."""
    rows: dict[tuple[str, Any], Row] = {}
    for value in chosen:
        for form in value.formats:
            for setting in form.settings_known:
                on_off = isinstance(setting.default, bool)
                row = rows.setdefault(
                    (value.name, setting),
                    {
                        "setting": f"format.{setting.name}",
                        "arch": value.name,
                        "values": ["on", "off"] if on_off else [f"{setting.minimum} to {setting.maximum}"],
                        "default": ("on" if setting.default else "off") if on_off else setting.default,
                        "meaning": setting.doc,
                        "formats": [],
                    },
                )
                row["formats"].append(form.name)
    counts = {value.name: len(value.formats) for value in chosen}
    return [row | {"all_formats": len(row["formats"]) == counts[row["arch"]]} for row in rows.values()]


def reports(installed: Registry, _: list[Architecture]) -> list[Row]:
    """Return a row for each report that a plugin adds."""
    return [
        {
            "report": value.name,
            "extension": value.extension,
            "commands": list(value.commands),
            "summary": value.summary,
        }
        for value in installed.reports().values()
    ]


KINDS: dict[str, Callable[[Registry, list[Architecture]], list[Row]]] = {
    "architectures": architectures,
    "platforms": platforms,
    "kernels": kernels,
    "workloads": workloads,
    "scenarios": scenarios,
    "switches": switches,
    "formats": formats,
    "settings": settings,
    "reports": reports,
}


@_common.command("list")
@click.argument("kind", required=False, metavar="[KIND]")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--series", metavar="NAME", help="Of kernels: the changes of a series, as its NAME alone.")
@_common.arch_option
@_common.json_option
def command(
    kind: str | None, name: str | None, series: str | None, arch: tuple[str, ...], as_json: bool
) -> None:
    """List what there is to choose from; without a kind, how much there is of each.

    KIND is architectures, platforms, kernels, workloads, scenarios, switches, formats, settings or reports. With the
    NAME of a workload or scenario: its parameters, what they may be and what they mean. With a series such as 6.1: its
    changes.
    """
    if kind is not None and kind not in KINDS:
        raise ShootdownError(f"there is nothing called {kind!r} to list; {nearest(kind, KINDS)}")
    if series is not None:
        if kind not in (None, "kernels") or name is not None:
            raise ShootdownError("--series is of kernels: write shootdown list kernels --series 6.1")
        kind, name = "kernels", series
    installed = registry()
    chosen = [installed.architecture(name) for name in arch] or list(installed.architectures().values())
    if kind is not None and name is not None:
        write_one(kind, name, installed, chosen, as_json=as_json)
        return
    listed = {one: rows(installed, chosen) for one, rows in KINDS.items() if kind in (None, one)}
    if as_json:
        as_of = {"kernels_as_of": {"date": AS_OF, "newest": newest_known()}} if "kernels" in listed else {}
        _writing.write_json({"schema": 1, **as_of, **listed})
    elif kind is None:
        _writing.write_table(
            ("kind", "count", "such as"),
            [(one, len(rows), _examples(rows)) for one, rows in listed.items()],
            right=("count",),
        )
    else:
        _write(kind, listed[kind])
        if kind == "kernels":
            read = ", ".join(row["read"] for row in listed[kind] if row["read"])
            _writing.write_wrapped(
                f"As of {AS_OF}: the newest release known is {newest_known()}. The last releases whose sources were "
                f"read: {read}. Others are known from announcements, stable reviews and CVE records.",
                rest="",
            )
    if installed.refusals:
        click.echo(f"{len(installed.refusals)} not loaded: see `shootdown plugins`", err=True)


def _write(kind: str, rows: list[Row]) -> None:
    if not rows:
        _writing.write_line(f"no {kind}")
        return
    rows = [_as_text(kind, row) for row in rows]
    # An empty column would only take width.
    headings = [name for name in rows[0] if any(row[name] for row in rows)]
    _writing.write_table(headings, [[_cell(row[name]) for name in headings] for row in rows])


def _as_text(kind: str, row: Row) -> Row:
    """Move values that would need columns of their own into the last column."""
    if kind == "kernels":
        new = [f"{change['release']}: {change['commit']} {change['subject']}" for change in row["changes"]]
        return {"newest": row["kernel"], "state": row["state"], "first release: change": "\n".join(new)}
    if kind == "scenarios":
        chosen = [*row["parameters"], *row["switches"]]
        return {
            "scenario": row["scenario"],
            "summary": row["summary"],
            "source": row["source"],
            "parameters and switches": ", ".join(chosen),
        }
    if kind == "switches":
        moved = "".join(f"; {change['value']}: {change['since']}" for change in row["changes"])
        meaning = f"{row['meaning']} [{_cell(row['values'])}{moved}]"
        return {"switch": row["switch"], "arch": row["arch"], "meaning": meaning}
    if kind == "formats":
        sizes = ", ".join(_common.short_size(size) for size in row["page_sizes"])
        return {
            "format": row["format"],
            "arch": row["arch"],
            "VA bits": row["va_bits"],
            "levels and their bits": ", ".join(row["levels"]),
            "page sizes": sizes,
        }
    if kind == "settings":
        meaning = f"{row['meaning']} [{_cell(row['values'])}; {row['default']} if not set]"
        of = f"all of {row['arch']}" if row["all_formats"] else _cell(row["formats"])
        return {"setting": row["setting"], "formats": of, "meaning": meaning}
    return row


def _switches(
    arch: str | None,
    of: str,
    cls: type[Any],
    moved: Mapping[tuple[str | None, str], tuple[tuple[str, str, str], ...]],
    choices: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[Row]:
    return [
        {
            "switch": f"{of}.{name}",
            "arch": arch,
            "values": list(choices.get(name, ())) or _allowed(field),
            "changes": [
                {"commit": commit, "since": since, "value": value}
                for commit, since, value in moved.get((arch, name), ())
            ],
            "meaning": field.metadata["doc"],
        }
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
    return [parameter.name for parameter in parameters]


def _examples(rows: list[Row]) -> str:
    names = list(dict.fromkeys(str(next(iter(row.values()))) for row in rows))
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
