"""What answers depend on besides the question: the tables of changes, costs and platforms, and the code; as digests."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs

from shootdown._plugins import files
from shootdown._plugins.registry import registry
from shootdown._values.changes import CHANGES
from shootdown._values.kernel import Kernel

#: The tables that answers depend on, in the order in which they are told.
TABLES = ("changes", "costs", "platforms")
_DIGITS = 16


def own_version() -> str:
    """Return the version of shootdown, or `unknown` where it is not installed as a distribution."""
    try:
        return version("shootdown")
    except PackageNotFoundError:
        return "unknown"


def table_digests() -> dict[str, str]:
    """Return a digest of each table: of changes to the kernel, of costs, and of platforms without their costs.

    Tables of all architectures that are loaded count, in the order of their names.
    """
    installed = registry()
    architectures = sorted(installed.architectures().items())
    places = [(name, sorted(installed.platforms(name).items())) for name, _ in architectures]
    switches = [(field.name, field.default) for field in attrs.fields(Kernel)]
    return {
        "changes": _digest(
            [_plain(CHANGES), _plain(switches), [(name, _plain(one.changes)) for name, one in architectures]]
        ),
        "costs": _digest([(name, at, _plain(one.costs)) for name, some in places for at, one in some]),
        "platforms": _digest(
            [(name, at, _fields(one, ("costs",))) for name, some in places for at, one in some]
        ),
    }


def code_digest() -> str:
    """Return a digest of the sources of shootdown and of the plugins that are loaded."""
    packages = {plugin.origin.target.partition(":")[0].partition(".")[0] for plugin in registry().plugins}
    found = hashlib.sha256()
    for package in sorted({"shootdown", *packages}):
        for file in _sources(package):
            found.update(f"{package}/{file.name}\n".encode())
            found.update(file.read_bytes())
    for given in files.given():
        folder = Path(given).parent.rglob("*.py") if Path(given).name == "__init__.py" else [Path(given)]
        for file in sorted(folder):
            found.update(file.read_bytes())
    return found.hexdigest()[:_DIGITS]


def plugin_versions() -> dict[str, str]:
    """Return the version of each distribution that a loaded plugin comes from."""
    return {
        plugin.origin.distribution: plugin.origin.version
        for plugin in sorted(registry().plugins, key=lambda one: one.origin.distribution)
    }


def _sources(package: str) -> Iterable[Path]:
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        found = None
    if found is None or not found.has_location:
        return []  # a plugin's file, which is none of an installed package
    if found.submodule_search_locations is None:
        return [Path(found.origin)] if found.origin is not None else []
    return [
        file for folder in found.submodule_search_locations for file in sorted(Path(folder).rglob("*.py"))
    ]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, default=repr).encode()).hexdigest()[:_DIGITS]


def _fields(value: Any, without: tuple[str, ...] = ()) -> list[Any]:
    return [
        type(value).__name__,
        *(
            [field.name, _plain(getattr(value, field.name))]
            for field in attrs.fields(type(value))
            if field.name not in without
        ),
    ]


def _plain(value: Any) -> Any:
    """Return a value as one that JSON has: functions by their names, as their addresses differ."""
    if attrs.has(type(value)):
        return _fields(value)
    if isinstance(value, Mapping):
        return [[_plain(one), _plain(other)] for one, other in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(str, map(_plain, value)))
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Callable):  # type: ignore[arg-type]
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"
    return str(value)
