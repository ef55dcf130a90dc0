"""Platforms in files, as `shootdown calibrate` writes them: a platform that is like a known one, with other costs."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from shootdown._plugins.installed import Registry
from shootdown._values import inputs
from shootdown._values.architecture import Architecture
from shootdown._values.errors import ShootdownError, nearest, shown
from shootdown._values.kernel import switches_of
from shootdown._values.platform import COST_NAMES, Cost, Platform

#: What the name of such a file ends in: no platform's name does.
SUFFIX = ".toml"
_PLATFORM = ("arch", "like", "summary", "cpus", "sockets", "smt", "smt_adjacent")
_COST = ("low", "likely", "high", "source")
#: Tables that say how costs were found; nothing here reads them.
_TOLD = ("machine", "measured", "refill")


def is_file(name: str) -> bool:
    """Whether what `--platform` names is a file."""
    return name.endswith(SUFFIX)


def platform_of_file(installed: Registry, arch: Iterable[str], file: str) -> tuple[Architecture, Platform]:
    """Read a platform and its architecture.

    Args:
        installed: the registry.
        arch: the architectures that are asked for; any if empty.
        file: the path.

    Raises:
        ShootdownError: it can't be read, or something is wrong in it; the message names the file and the key.
    """
    tables = inputs.read_toml(file, "platform")[0]
    _known(file, tables, ("platform", "cost", *_TOLD))
    about = _known(file, _table(file, tables, "platform"), _PLATFORM, "platform")
    with _beginning(file, "platform.arch"):
        architecture = installed.architecture(_text(about, "arch"))
    wanted = tuple(arch)
    if wanted and architecture.name not in wanted and "all" not in wanted:
        raise ShootdownError(f"platform {file} is one of {architecture.name}, not of {' or '.join(wanted)}")
    with _beginning(file, "platform.like"):
        like = installed.platform(architecture.name, _text(about, "like"))
    costs = {
        _name(file, name): _cost(file, name, one)
        for name, one in _table(file, tables, "cost", needed=False).items()
    }
    adjacent = about.get("smt_adjacent", like.smt_adjacent)
    if not isinstance(adjacent, bool):
        raise ShootdownError(f"platform {file}: platform.smt_adjacent is true or false")
    return architecture, attrs.evolve(
        like,
        name=file,
        summary=str(about.get("summary", f"as {like.name}, with the costs of {file}")),
        costs=attrs.evolve(like.costs, **costs),
        cpus=_whole(file, about, like, "cpus"),
        sockets=_whole(file, about, like, "sockets"),
        smt=_whole(file, about, like, "smt"),
        smt_adjacent=adjacent,
    )


def written(arch: str, like: str, summary: str, platform: Platform, told: Mapping[str, Any]) -> str:
    """Write a platform as such a file.

    Args:
        arch, like: the architecture, and the platform that it is like.
        summary: one line.
        platform: with the costs and CPUs.
        told: how they were found: tables of values by `machine`, `measured` or `refill`.
    """
    lines = [
        "[platform]",
        f"arch = {_quoted(arch)}",
        f"like = {_quoted(like)}",
        f"summary = {_quoted(summary)}",
        *(f"{name} = {getattr(platform, name)}" for name in ("cpus", "sockets", "smt")),
        f"smt_adjacent = {str(platform.smt_adjacent).lower()}",
    ]
    for name, table in told.items():
        lines += ["", f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items())]
    for name in COST_NAMES:
        cost: Cost = getattr(platform.costs, name)
        lines += ["", f"[cost.{name}]", *(f"{end} = {getattr(cost, end):g}" for end in _COST[:3])]
        lines.append(f"source = {_quoted(cost.source)}")
    return "\n".join([*lines, ""])


def _known(file: str, table: Mapping[str, Any], known: Iterable[str], where: str = "") -> Mapping[str, Any]:
    for key in table:
        if key not in known:
            there = f"[{where}]" if where else "a platform's file"
            raise ShootdownError(f"platform {file}: {there} has no {key!r:.40}; {nearest(key, known)}")
    return table


def _table(file: str, tables: Mapping[str, Any], name: str, *, needed: bool = True) -> Mapping[str, Any]:
    found = tables.get(name, None if needed else {})
    if not isinstance(found, Mapping):
        raise ShootdownError(
            f"platform {file}: it has no table [{name}]; `shootdown calibrate` writes such files"
        )
    return found


@contextlib.contextmanager
def _beginning(file: str, key: str) -> Iterator[None]:
    """Let an error begin with the file and the key that it is about."""
    try:
        yield
    except ShootdownError as error:
        raise ShootdownError(f"platform {file}: {key}: {error}") from None


def _text(table: Mapping[str, Any], name: str) -> str:
    if name not in table:
        raise ShootdownError("it is missing; `shootdown list platforms` has the names")
    found = table[name]
    if not isinstance(found, str):
        raise ShootdownError(f"it is a name, not {found!r:.40}")
    return found


def _whole(file: str, about: Mapping[str, Any], like: Platform, name: str) -> int:
    """Return a number of the platform, or that of the one that it is like."""
    declared = dict(switches_of(Platform))[name].metadata
    found, least, most = about.get(name, getattr(like, name)), declared["minimum"], declared["maximum"]
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise ShootdownError(
            f"platform {file}: platform.{name} is a whole number from {least} to {most}, not {shown(found)}"
        )
    return found


def _name(file: str, name: str) -> str:
    if name not in COST_NAMES:
        raise ShootdownError(f"platform {file}: there is no cost {name!r:.40}; {nearest(name, COST_NAMES)}")
    return name


def _cost(file: str, name: str, table: object) -> Cost:
    if not isinstance(table, Mapping):
        raise ShootdownError(f"platform {file}: [cost.{name}] has low, likely, high and source")
    _known(file, table, _COST, f"cost.{name}")
    ends = [table.get(end) for end in _COST[:3]]
    low, likely, high = (
        float(end) if isinstance(end, int | float) and not isinstance(end, bool) else math.nan for end in ends
    )
    source = table.get("source")
    if math.isnan(low + likely + high) or not isinstance(source, str):
        raise ShootdownError(f"platform {file}: [cost.{name}] has low, likely and high in ns, and a source")
    try:
        return Cost(low, likely, high, source)
    except ValueError as error:
        raise ShootdownError(f"platform {file}: [cost.{name}]: {error}") from None


def _quoted(text: str) -> str:
    """Write a text as TOML does: JSON's escapes are among TOML's."""
    return json.dumps(text)


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else _quoted(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)
