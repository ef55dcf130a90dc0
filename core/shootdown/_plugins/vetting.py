"""Check what a plugin's hooks return, before anything relies on it."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs

from shootdown._pagetables.format import CustomFormat, Format
from shootdown._plugins.functions import vet_callable, vet_functions
from shootdown._plugins.refusing import RefusedError, failed
from shootdown._tlb.geometry import TlbGeometry
from shootdown._values.architecture import API, Architecture
from shootdown._values.changes import Change
from shootdown._values.checked import judge_of
from shootdown._values.errors import ShootdownError, nearest, one_line, shown, typed
from shootdown._values.flushes import AUTO, FlushWay
from shootdown._values.kernel import Kernel, out_of_place, switches_of
from shootdown._values.parameter import SEED, Parameter
from shootdown._values.platform import Costs, Platform
from shootdown._values.report import REPORTED, Report
from shootdown._values.scenario import MEMORY_MODEL, Expect, Scenario
from shootdown._values.series import BY_NAME
from shootdown._values.verdict import VERDICTS
from shootdown._values.whatif import Contradiction
from shootdown._values.workload import Workload

SUPPORTED_APIS = frozenset({API})
"""The values of `Architecture.api` whose meaning this release implements."""

# A name is typed on a command line, in comma-separated lists.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]*")
_EXTENSION = re.compile(r"(\.[A-Za-z0-9]+)+")
#: Of a name and a summary; tables have a column for each.
_LONGEST_NAME, _LONGEST_SUMMARY = 80, 200


def vet_architectures(hook: str, answer: Any) -> tuple[Any, ...]:
    """Return a hook's architectures, or refuse the plugin for one that can't be used."""
    for value in _sequence(hook, answer):
        what = f"architecture {_name(hook, 'architecture', value)!r}"
        # Checked first: the meaning of the other fields depends on it.
        api = getattr(value, "api", None)
        if type(api) is not int or api not in SUPPORTED_APIS:
            written = (
                "doesn't say for which api it was written" if api is None else f"is written for api {api!r}"
            )
            supported = ", ".join(map(str, sorted(SUPPORTED_APIS)))
            raise RefusedError("outdated", f"{what} {written}; this shootdown supports api {supported}")
        _require(hook, what, value, Architecture)
        _text(what, "summary", value.summary)
        for alias in _each(what, "aliases", value.aliases, str):
            _check_name(hook, "architecture alias", alias)
        for alias, implied in value.aliases_imply.items():
            unknown = set(implied) - {
                name for holder in (Kernel, value.switches) for name, _ in switches_of(holder)
            }
            if alias not in value.aliases or unknown:
                raise RefusedError(
                    "broken",
                    f"{what}: aliases_imply has {alias!r}: an alias, with switches of the kernel, is expected",
                )
        for form in _each(what, "formats", value.formats, Format, CustomFormat):
            _check_name(hook, "format", form.name)
            _text(f"{what}: format {form.name}", "summary", form.summary)
        _each(what, "contradictions", value.contradictions, Contradiction)
        if value.measured is not None and "Measured" not in {
            cls.__name__ for cls in type(value.measured).__mro__
        }:
            raise RefusedError("broken", f"{what}: measured is {typed(value.measured)}, not a Measured")
        if value.pte_clear == "xchg" and not value.pte_clear_atomic:
            raise RefusedError(
                "broken",
                f"{what}: pte_clear is 'xchg', which reads and clears in one access: pte_clear_atomic is True then",
            )
        _vet_first(what, value.first)
        _vet_switches(what, value)
        vet_platforms(f"{what}, platforms:", value.platforms)
        _vet_flush_ways(hook, what, value)
        _vet_cpuinfo(what, value)
        vet_functions(what, value)
    return tuple(answer)


def _vet_first(what: str, first: str) -> None:
    if first and first not in BY_NAME:
        raise RefusedError(
            "broken", f"{what}: first is {first!r}, which is no series; {nearest(first, BY_NAME)}"
        )


def _vet_cpuinfo(what: str, value: Architecture) -> None:
    """Refuse what is no regular expression, or names no platform of the architecture."""
    known = {platform.name for platform in value.platforms}
    for pair in _each(what, "cpuinfo", value.cpuinfo, tuple):
        if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise RefusedError(
                "broken", f"{what}: cpuinfo has {pair!r:.80}: a pattern and a platform are expected"
            )
        pattern, platform = pair
        try:
            re.compile(pattern)
        except re.error as error:
            raise RefusedError(
                "broken", f"{what}: cpuinfo has the pattern {pattern!r:.80}: {error}"
            ) from None
        if platform not in known:
            raise RefusedError("broken", f"{what}: cpuinfo names {platform!r}; {nearest(platform, known)}")


def _vet_flush_ways(hook: str, what: str, value: Architecture) -> None:
    """Refuse ways of flushing with equal names, and platforms that force a way that does not exist."""
    names = [AUTO]
    for way in _each(what, "flush_ways", value.flush_ways, FlushWay):
        _check_name(hook, "way of flushing", way.name)
        if way.name in names:
            raise RefusedError("broken", f"{what} has two ways of flushing {way.name!r}")
        names.append(way.name)
    tuple(_each(what, "preempting_hosts", value.preempting_hosts, str))
    for platform in value.platforms:
        if platform.flush not in names:
            flushes = f"platform {platform.name!r} flushes by {platform.flush!r}"
            raise RefusedError("broken", f"{what}: {flushes}; {nearest(platform.flush, names)}")


def _vet_switches(what: str, value: Architecture) -> None:
    """Refuse switches that can't be instantiated, and changes of unknown switches or release series."""
    if not (isinstance(value.switches, type) and attrs.has(value.switches)):
        raise RefusedError("broken", f"{what}: switches is {value.switches!r:.60}, not an attrs class")
    try:
        own = value.switches()
    except Exception as error:
        raise RefusedError("broken", f"{what}: switches: {failed(error)}") from None
    if problem := out_of_place(own):
        raise RefusedError("broken", f"{what}: {value.switches.__name__}: {problem}")
    known = {name: (field, holder) for holder in (Kernel, type(own)) for name, field in switches_of(holder)}
    for change in _each(what, "changes", value.changes, Change):
        titled = f"{what}: the change {change.commit}"
        for name, moved in change.sets:
            if name not in known:
                raise RefusedError("broken", f"{titled} sets {name!r}; {nearest(name, known)}")
            field, holder = known[name]
            if problem := judge_of(field, sys.modules[holder.__module__])(moved):
                raise RefusedError("broken", f"{titled} sets {name}: it {problem}")
        if (change.mainline is None) == (change.proposal is None):
            raise RefusedError(
                "broken", f"{titled} is to have either a mainline release or a proposal's name"
            )
        named = []
        if change.mainline is not None:
            series, dash, candidate = change.mainline.partition("-rc")
            if dash and not candidate.isdecimal():
                raise RefusedError(
                    "broken", f"{titled} is in {change.mainline!r}: write it as 6.16 or 6.16-rc1"
                )
            named = [series]
        for series in (*named, *dict(change.stable), *change.unverified):
            if series not in BY_NAME:
                raise RefusedError(
                    "broken", f"{titled} names the series {series!r}; {nearest(series, BY_NAME)}"
                )


def vet_platforms(hook: str, answer: Any) -> tuple[Any, ...]:
    """Return a list of platforms, or refuse the plugin for one that can't be used."""
    for value in _sequence(hook, answer):
        what = f"platform {_name(hook, 'platform', value)!r}"
        _require(hook, what, value, Platform)
        _text(what, "summary", value.summary)
        _require(hook, f"{what}, costs", value.costs, Costs)
        _vet_first(what, value.first)
        if not attrs.has(type(value.arch)):
            raise RefusedError(
                "broken", f"{what}: arch is {typed(value.arch)}, not a value of an attrs class"
            )
        if problem := out_of_place(value) or out_of_place(value.arch):
            raise RefusedError("broken", f"{what}: {problem}")
        for name in ("tlb", "itlb"):
            held = getattr(value, name)
            for size, geometry in held.items() if isinstance(held, Mapping) else ():
                if type(size) is not int or size < 1 or size & (size - 1):
                    raise RefusedError(
                        "broken", f"{what}: {name} has the page size {size!r}: bytes, a power of two"
                    )
                _require(hook, f"{what}, {name} of {size}", geometry, TlbGeometry)
            if held is not None and not isinstance(held, Mapping):
                _require(hook, f"{what}, {name}", held, TlbGeometry)
    return tuple(answer)


def vet_platforms_by_architecture(hook: str, answer: Any) -> dict[str, tuple[Any, ...]]:
    """Return a hook's platforms by architecture, or refuse the plugin."""
    if not isinstance(answer, Mapping) or not all(isinstance(name, str) for name in answer):
        raise RefusedError(
            "broken", f"{hook} returned {typed(answer)}, not a dict by the architecture's name"
        )
    return {name: vet_platforms(hook, platforms) for name, platforms in answer.items()}


def vet_workloads(hook: str, answer: Any) -> tuple[Any, ...]:
    """Return a hook's workloads, or refuse the plugin for one that can't be used."""
    for value in _sequence(hook, answer):
        what = f"workload {_name(hook, 'workload', value)!r}"
        _require(hook, what, value, Workload)
        _text(what, "summary", value.summary)
        for name in ("build", "refuse", "remarks", "applied", "turns"):
            vet_callable(what, name, getattr(value, name), "setting")
        vet_parameters(what, {SEED.name}, parameters=value.parameters)
    return tuple(answer)


def vet_scenarios(hook: str, answer: Any) -> tuple[Any, ...]:
    """Return a hook's scenarios, or refuse the plugin for one that can't be used."""
    for value in _sequence(hook, answer):
        what = f"scenario {_name(hook, 'scenario', value)!r}"
        _require(hook, what, value, Scenario)
        vet_scenario(what, value)
    return tuple(answer)


def vet_reports(hook: str, answer: Any) -> tuple[Any, ...]:
    """Return a hook's reports, or refuse the plugin for one that can't be used."""
    for value in _sequence(hook, answer):
        what = f"report {_name(hook, 'report', value)!r}"
        _require(hook, what, value, Report)
        _text(what, "summary", value.summary)
        _text(what, "extension", value.extension)
        if not _EXTENSION.fullmatch(value.extension):
            raise RefusedError("broken", f"{what}: extension is {shown(value.extension)}; write it as .html")
        vet_callable(what, "write", value.write, "rows")
        for name in _each(what, "commands", value.commands, str):
            if name not in REPORTED:
                raise RefusedError("broken", f"{what}: commands has {name!r}; {nearest(name, REPORTED)}")
    return tuple(answer)


def vet_scenario(what: str, value: Scenario) -> None:
    """Refuse a scenario that can't be used.

    Args:
        what: it, for the message.
        value: it.
    """
    for name in ("summary", "source"):
        _text(what, name, getattr(value, name))
    for name in ("build", "refuse"):
        vet_callable(what, name, getattr(value, name), "setting")
    for name in ("shares_tables", "flushes"):
        if not isinstance(getattr(value, name), bool):
            raise RefusedError("broken", f"{what}: {name} is {typed(getattr(value, name))}, not a bool")
    vet_parameters(what, {MEMORY_MODEL}, parameters=value.parameters, switches=value.switches)
    tuple(_each(what, "window", value.window, str))
    for expected in _each(what, "expected", value.expected, Expect):
        if expected.verdict not in VERDICTS:
            raise RefusedError(
                "broken",
                f"{what} expects the verdict {expected.verdict!r:.40}; {nearest(str(expected.verdict), VERDICTS)}",
            )
    if not isinstance(value.sentences, Mapping):
        raise RefusedError("broken", f"{what}: sentences is {typed(value.sentences)}, not a dict")
    for text in (*value.sentences, *value.sentences.values()):
        if not isinstance(text, str):
            raise RefusedError("broken", f"{what}: sentences has {typed(text)} where a str belongs")


def vet_parameters(what: str, taken: Collection[str], **fields: Any) -> None:
    """Refuse parameters with equal names, and those whose default is out of range.

    Args:
        what: whose they are, for the message.
        taken: names that are taken.
        fields: by the name of the field, its parameters.
    """
    seen = set(taken)
    for field, values in fields.items():
        for parameter in _each(what, field, values, Parameter):
            _vet_name(f"{what} has", "parameter name", parameter.name)
            if parameter.name in seen:
                raise RefusedError("broken", f"{what} has two parameters {parameter.name!r}")
            seen.add(parameter.name)
            if not isinstance(parameter.default, int | str):
                kind = typed(parameter.default)
                raise RefusedError(
                    "broken", f"{what}, default of {parameter.name}: {kind}, not a bool, an int or a str"
                )
            try:
                parameter.read(parameter.default)
            except ShootdownError as error:
                raise RefusedError("broken", f"{what}, default: {error}") from None
            except Exception as error:  # bounds, choices or a check that are none
                raise RefusedError("broken", f"{what}, {parameter.name}: {one_line(error)}") from None


def _text(what: str, field: str, value: object) -> None:
    if not isinstance(value, str):
        raise RefusedError("broken", f"{what}: {field} is {typed(value)}, not a str")
    if field == "summary" and not (value.isprintable() and len(value) <= _LONGEST_SUMMARY):
        raise RefusedError(
            "broken",
            f"{what}: summary is {shown(value)}, of {len(value):,} characters: one printable line of at most "
            f"{_LONGEST_SUMMARY} is expected",
        )


def _each(what: str, field: str, values: Any, *kinds: type[Any]) -> Iterable[Any]:
    """Return the values of a field, which must be a list or tuple of one type."""
    for value in _sequence(f"{what}: {field}", values, verb="is"):
        if not isinstance(value, kinds):
            raise RefusedError(
                "broken", f"{what}: {field} has {typed(value)} where {typed(kinds[0])} belongs"
            )
    return tuple(values)


def _sequence(what: str, answer: Any, *, verb: str = "returned") -> Sequence[Any]:
    if not isinstance(answer, list | tuple):
        raise RefusedError("broken", f"{what} {verb} {typed(answer)}, not a list or tuple")
    return answer


def _name(hook: str, what: str, value: Any) -> str:
    name = getattr(value, "name", None)
    if not isinstance(name, str):
        raise RefusedError("broken", f"{hook} returned {typed(value)} where a named {what} belongs")
    return _check_name(hook, what, name)


def _check_name(hook: str, what: str, name: str) -> str:
    return _vet_name(f"{hook} returned", f"{what} name", name)


def _vet_name(begins: str, what: str, name: str) -> str:
    if not isinstance(name, str):
        raise RefusedError("broken", f"{begins} {typed(name)} as {what}")
    if not _NAME.fullmatch(name):
        raise RefusedError(
            "broken", f"{begins} the {what} {shown(name, 80)}: use letters, digits and . _ + : -"
        )
    if len(name) > _LONGEST_NAME:
        raise RefusedError(
            "broken", f"{begins} a {what} of {len(name):,} characters; {_LONGEST_NAME} are the most"
        )
    return name


def _require(hook: str, what: str, value: Any, wanted: type[Any]) -> None:
    if not isinstance(value, wanted):
        raise RefusedError("broken", f"{hook} returned {what} as {typed(value)}, not {typed(wanted)}")
