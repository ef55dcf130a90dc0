"""`shootdown plugins`: what is loaded, and why the rest is not."""

from __future__ import annotations

from typing import Any

import click

from shootdown._cli import _common, _writing
from shootdown._plugins.installed import Origin, Plugin, Registry
from shootdown._plugins.registry import registry

#: The exit status where a plugin was refused.
REFUSED = 1


@_common.command("plugins")
@_common.json_option
def command(as_json: bool) -> None:
    """List the plugins that are loaded, and why others are not.

    The exit status is 1 if a plugin was refused that nobody has disabled.
    """
    installed = registry()
    refused = any(one.kind != "disabled" for one in installed.refusals)
    if as_json:
        _writing.write_json(to_dict(installed))
    else:
        _write(installed)
    if refused:
        raise click.exceptions.Exit(REFUSED)


def _write(installed: Registry) -> None:
    _writing.write_table(
        ("plugin", "distribution", "version", "provides"),
        [
            (plugin.origin.name, plugin.origin.distribution, plugin.origin.version, _provides(plugin))
            for plugin in installed.plugins
        ],
    )
    for line in (*installed.refusals, *installed.notes):
        _writing.write_line(str(line))


def to_dict(installed: Registry) -> dict[str, Any]:
    """Return what is loaded and refused as JSON has it."""
    return {
        "schema": 1,
        "loaded": [
            {
                **_origin(plugin.origin),
                "architectures": [value.name for value in plugin.architectures],
                "platforms": {
                    name: [value.name for value in values] for name, values in plugin.platforms.items()
                },
                "workloads": [value.name for value in plugin.workloads],
                "scenarios": [value.name for value in plugin.scenarios],
                "reports": [value.name for value in plugin.reports],
            }
            for plugin in installed.plugins
        ],
        "refused": [
            {**_origin(refusal.origin), "kind": refusal.kind, "reason": refusal.reason}
            for refusal in installed.refusals
        ],
        "notes": list(installed.notes),
    }


def _origin(origin: Origin) -> dict[str, str]:
    return {
        "name": origin.name,
        "distribution": origin.distribution,
        "version": origin.version,
        "module": origin.target,
    }


def _provides(plugin: Plugin) -> str:
    parts = [f"architecture {value.name}" for value in plugin.architectures]
    parts += [
        f"platform {name}/{value.name}" for name, values in plugin.platforms.items() for value in values
    ]
    parts += [f"workload {value.name}" for value in plugin.workloads]
    parts += [f"scenario {value.name}" for value in plugin.scenarios]
    parts += [f"report {value.name}" for value in plugin.reports]
    return ", ".join(parts) or "nothing"
