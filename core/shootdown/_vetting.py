"""Judge what a plugin's hooks return, before anything relies on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from shootdown._architecture import API, Architecture
from shootdown._installed import Kind
from shootdown._platform import Platform
from shootdown._workload import Workload

SUPPORTED_APIS = frozenset({API})
"""The values of `Architecture.api` whose meaning this release implements."""

# A name is typed on a command line, in comma-separated lists.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]*")

_REASON_LENGTH = 300


class RefusedError(Exception):
    """Carry a refusal from where it is found to where it is kept."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind: Kind = kind
        self.reason = reason


def vet_architectures(hook: str, answer: Any) -> tuple[Any, ...]:
    """Return a hook's architectures, or refuse the plugin for one that can't be used."""
    for value in _sequence(hook, answer):
        what = f"architecture {_name(hook, 'architecture', value)!r}"
        # Before anything else of it: what the other fields mean depends on it.
        api = getattr(value, "api", None)
        if type(api) is not int or api not in SUPPORTED_APIS:
            written = (
                "doesn't say for which api it was written" if api is None else f"is written for api {api!r}"
            )
            supported = ", ".join(map(str, sorted(SUPPORTED_APIS)))
            raise RefusedError("outdated", f"{what} {written}; this shootdown supports api {supported}")
        _require(hook, what, value, Architecture)
        for alias in value.aliases:
            _check_name(hook, "architecture alias", alias)
        vet_platforms(f"{what}, platforms:", value.platforms)
    return tuple(answer)


def vet_platforms(hook: str, answer: Any) -> tuple[Any, ...]:
    """Return a list of platforms, or refuse the plugin for one that can't be used."""
    for value in _sequence(hook, answer):
        _require(hook, f"platform {_name(hook, 'platform', value)!r}", value, Platform)
    return tuple(answer)


def vet_platforms_by_architecture(hook: str, answer: Any) -> dict[str, tuple[Any, ...]]:
    """Return a hook's platforms by architecture, or refuse the plugin."""
    if not isinstance(answer, Mapping) or not all(isinstance(name, str) for name in answer):
        raise RefusedError("broken", f"{hook} returned {_a(answer)}, not a dict by the architecture's name")
    return {name: vet_platforms(hook, platforms) for name, platforms in answer.items()}


def vet_workloads(hook: str, answer: Any) -> tuple[Any, ...]:
    """Return a hook's workloads, or refuse the plugin for one that can't be used."""
    for value in _sequence(hook, answer):
        _require(hook, f"workload {_name(hook, 'workload', value)!r}", value, Workload)
    return tuple(answer)


def _sequence(hook: str, answer: Any) -> Sequence[Any]:
    if not isinstance(answer, list | tuple):
        raise RefusedError("broken", f"{hook} returned {_a(answer)}, not a list or tuple")
    return answer


def _name(hook: str, what: str, value: Any) -> str:
    name = getattr(value, "name", None)
    if not isinstance(name, str):
        raise RefusedError("broken", f"{hook} returned {_a(value)} where a named {what} belongs")
    return _check_name(hook, what, name)


def _check_name(hook: str, what: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        rule = "use letters, digits and . _ + : -"
        raise RefusedError("broken", f"{hook} returned the {what} name {name!r}: {rule}")
    return name


def _require(hook: str, what: str, value: Any, wanted: type[Any]) -> None:
    if not isinstance(value, wanted):
        raise RefusedError("broken", f"{hook} returned {what} as {_a(value)}, not {_a(wanted)}")


def _a(value: object) -> str:
    """Name a type, or a value's type, with its article."""
    name = (value if isinstance(value, type) else type(value)).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def one_line(error: BaseException) -> str:
    """Write an error of somebody else's on one printable line."""
    try:
        text = " ".join(str(error).split())
    except Exception as unprintable:
        text = f"(its message raises {type(unprintable).__name__})"
    text = "".join(char if char.isprintable() else "?" for char in text)
    if len(text) > _REASON_LENGTH:
        text = text[:_REASON_LENGTH] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
