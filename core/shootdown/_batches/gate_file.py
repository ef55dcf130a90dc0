"""Read a gate: checks of programs with limits, for the tests of a kernel tree or an application."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from shootdown._batches.named_files import (
    NONE,
    PatchText,
    allowed,
    needs_plugins,
    patch_of,
    read_text,
    unused,
)
from shootdown._batches.reading import (
    beside,
    known,
    names_in,
    one_line_of,
    platforms_beside,
    program_in,
    read_tables,
    setting_text,
    whole_number,
)
from shootdown._plugins.registry import registry
from shootdown._programs.program import Spot
from shootdown._programs.reading import Source, read_file
from shootdown._programs.shipped import SUFFIX
from shootdown._questions.case import Case, machines, prepare, questions
from shootdown._questions.explore import MOST_STATES, scenario_named
from shootdown._questions.patching import refuse_unreached
from shootdown._questions.subjects import workload_named
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.platform import MOST_CPUS
from shootdown._values.result import COUNTS
from shootdown._values.scenario import Scenario
from shootdown._values.series import newest_known
from shootdown._values.verdict import BUG, LIVELOCK, SAFE
from shootdown._values.workload import Workload

RUN = ("arch", "platform", "kernel", "cpus", "parameters", "set", "patch")
TIMES = ("elapsed_ns", "system_ns", "lost_ns")
#: What a limit can be on, by its key.
LIMITS = {f"max_{name}": name for name in (*COUNTS, *TIMES)}
NO_REDUNDANT, VERDICT, NO_FINDINGS = "no_redundant", "verdict", "no_new_findings"
CHECK = (
    "program",
    *RUN,
    "relative_to",
    *LIMITS,
    NO_REDUNDANT,
    VERDICT,
    NO_FINDINGS,
    "size",
    "known",
    "states",
)
TOP = ("summary", *RUN, "plugin", "check", "programs")
VERDICTS = (SAFE, BUG, LIVELOCK)
_MOST_SIZE = 4
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_PERCENT = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*%")


@attrs.frozen
class Limit:
    """The most that a count or a time may be.

    Args:
        key: as the file has it.
        name: of the count or time.
        most: the number, or the percent of what the other run has.
        relative: whether it is a percent.
        at: where it stands.
    """

    key: str
    name: str
    most: float
    relative: bool
    at: Spot


@attrs.frozen(eq=False)
class Check:
    """One check: what runs, and what must hold.

    Args:
        name: of it.
        at: where it stands.
        cases: what is counted, each with the case that it is compared with, if any.
        limits: on counts and times.
        searches: what is explored.
        verdicts: those that are good; empty if nothing is explored.
        verdict_at: where that stands.
        states: the most states of a search.
        hunts: where to hunt, each with the ground that it is compared with: arch, platform, kernel, what-ifs and patch.
        hunt_at: where that stands.
        size: the most calls of hunted programs.
        known: findings that are known.
    """

    name: str
    at: Spot
    cases: tuple[tuple[Case[Workload], Case[Workload] | None], ...] = ()
    limits: tuple[Limit, ...] = ()
    searches: tuple[Case[Scenario], ...] = ()
    verdicts: tuple[str, ...] = ()
    verdict_at: Spot | None = None
    states: int = MOST_STATES
    hunts: tuple[tuple[tuple[Any, ...], tuple[Any, ...] | None], ...] = ()
    hunt_at: Spot | None = None
    size: int = 1
    known: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class Gate:
    """All checks of a file.

    Args:
        file, summary: of it.
        checks: in their order.
    """

    file: str
    summary: str
    checks: tuple[Check, ...]


def read_gate(
    path: str | os.PathLike[str], patches: Sequence[str] = (), scenarios: Sequence[str] = ()
) -> Gate:
    """Read a gate from a file of TOML.

    Args:
        path: of it.
        patches, scenarios: the files of Python that may run: the gate names them too.

    Raises:
        ShootdownError: something is wrong in it; the message names file, line and key.
    """
    source = read_tables(path, "gate")
    tables = known(source, source.tables, TOP, what="a gate")
    if "plugin" in tables:
        needs_plugins(source, tables["plugin"], "plugin")
    table = tables.get("check", {})
    if not isinstance(table, Mapping) or not table:
        raise source.wrong("it has no check: [check.NAME], with `program` and a limit", "check")
    used: list[str] = []
    checks = tuple(
        _Reader(source, name, about, patches, scenarios, used).check() for name, about in table.items()
    )
    unused(patches, used, "--patch", source.file)
    unused(scenarios, used, "--scenario", source.file)
    return Gate(source.file, one_line_of(source, tables, "summary"), checks)


class _Reader:
    """Read one check."""

    def __init__(
        self,
        source: Source,
        name: str,
        about: object,
        patches: Sequence[str],
        scenarios: Sequence[str],
        used: list[str],
    ) -> None:
        self._source = source
        self._name = name
        self._keys = ("check", name)
        self._patches, self._scenarios, self._used = patches, scenarios, used
        if not _NAME.fullmatch(name):
            raise source.wrong("a name is letters, digits, -, _ and points", *self._keys)
        self._about = known(source, about, CHECK, *self._keys)
        self._run = self._merged(
            {key: source.tables[key] for key in RUN if key in source.tables}, self._about
        )

    def check(self) -> Check:
        about = self._about
        limits = tuple(self._limits())
        explored = VERDICT in about
        hunted = self._truth(NO_FINDINGS)
        if not (limits or explored or hunted):
            known_limits = (
                f"max_sync_ipis = 0, {NO_REDUNDANT} = true, {VERDICT} = {SAFE!r}, {NO_FINDINGS} = true"
            )
            raise self._wrong(f"it has nothing that must hold, such as {known_limits}")
        if (limits or explored) and "program" not in about:
            raise self._wrong("it lacks `program`: a workload, a scenario or a file")
        verdicts = self._verdicts() if explored else ()
        other = self._other(limits, hunted)
        if explored and other is not None and not (limits or hunted):
            raise self._wrong("a verdict is relative to nothing", "relative_to")
        for key, needs in (("size", hunted), ("known", hunted), ("states", explored)):
            if key in about and not needs:
                raise self._wrong(f"only {NO_FINDINGS if key != 'states' else VERDICT} has it", key)
        return Check(
            self._name,
            self._source.spot(*self._keys),
            limits=limits,
            cases=self._cases(other) if limits else (),
            searches=self._searches() if explored else (),
            verdicts=verdicts,
            verdict_at=self._source.spot(*self._keys, VERDICT),
            states=self._number("states", 1, MOST_STATES, MOST_STATES),
            hunts=self._hunts(other) if hunted else (),
            hunt_at=self._source.spot(*self._keys, NO_FINDINGS),
            size=self._number("size", 1, _MOST_SIZE, 1),
            known=names_in(self._source, about["known"], *self._keys, "known") if "known" in about else (),
        )

    def _wrong(self, what: str, *keys: str, text: str = "") -> ShootdownError:
        return self._source.wrong(what, *self._place(*keys), text=text)

    def _place(self, *keys: str) -> tuple[str, ...]:
        """Return where a key stands: in the check, or at the top for all checks."""
        inherited = keys and keys[0] not in self._about and keys[0] in self._source.tables
        return keys if inherited else (*self._keys, *keys)

    def _merged(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return the first with what the second changes; of parameters and what-ifs each by its name."""
        found = {**first, **{key: second[key] for key in RUN if key in second}}
        for key in ("parameters", "set"):
            one, two = first.get(key, {}), second.get(key, {})
            if isinstance(one, Mapping) and isinstance(two, Mapping) and (one or two):
                found[key] = {**one, **two}
        return found

    def _truth(self, key: str) -> bool:
        value = self._about.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong("it is true or false", key)
        return value

    def _number(self, key: str, least: int, most: int, default: int) -> int:
        return whole_number(self._source, self._about.get(key, default), least, most, *self._place(key))

    def _limits(self) -> Iterator[Limit]:
        for key, name in LIMITS.items():
            if key not in self._about:
                continue
            value = self._about[key]
            percent = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
            plain = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            if percent is None and not plain:
                raise self._wrong("it is a number from 0, or a percent of the other run, such as '110%'", key)
            if percent is not None and "relative_to" not in self._about:
                raise self._wrong("a percent needs `relative_to`, such as { kernel = '7.0' }", key)
            most = float(percent[1]) if percent is not None else float(value)
            yield Limit(key, name, most, percent is not None, self._source.spot(*self._keys, key))
        if self._truth(NO_REDUNDANT):
            at = self._source.spot(*self._keys, NO_REDUNDANT)
            yield Limit(NO_REDUNDANT, "redundant_sync_ipis", 0, False, at)

    def _verdicts(self) -> tuple[str, ...]:
        found = names_in(self._source, self._about[VERDICT], *self._keys, VERDICT)
        for one in found:
            if one not in VERDICTS:
                raise self._wrong(f"there is no verdict {one!r:.40}; {nearest(one, VERDICTS)}", VERDICT)
        return found

    def _other(self, limits: Sequence[Limit], hunted: bool) -> dict[str, Any] | None:
        """Return what the other run differs in."""
        if "relative_to" not in self._about:
            return None
        if not hunted and not any(limit.relative for limit in limits):
            raise self._wrong("no limit is relative: write one as a percent, such as '100%'", "relative_to")
        keys = (*self._keys, "relative_to")
        found = known(self._source, self._about["relative_to"], RUN, *keys)
        if not found:
            raise self._source.wrong("it says what is different, such as { kernel = '7.0' }", *keys)
        for key, value in found.items():
            if isinstance(value, list):
                raise self._source.wrong("it is one value: each run is compared with one", *keys, key)
        return dict(found)

    def _names(self, run: Mapping[str, Any], key: str) -> tuple[str, ...]:
        return names_in(self._source, run[key], *self._place(key)) if key in run else ()

    def _platforms(self, run: Mapping[str, Any]) -> tuple[str, ...]:
        return platforms_beside(self._source, self._names(run, "platform"))

    def _table(self, run: Mapping[str, Any], key: str) -> dict[str, Any]:
        value = run.get(key, {})
        if not isinstance(value, Mapping):
            raise self._wrong("it is a table of names with values", key)
        return dict(value)

    def _settings(self, run: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in self._table(run, "set").items():
            inner = value.items() if isinstance(value, Mapping) else ((None, value),)
            found.update({name if own is None else f"{name}.{own}": setting_text(one) for own, one in inner})
        return found

    def _patch(self, run: Mapping[str, Any]) -> PatchText | None:
        name = run.get("patch", NONE)
        if not isinstance(name, str):
            raise self._wrong("it is the name of a file", "patch")
        if name == NONE:
            return None
        path = allowed(self._source, name, self._patches, "--patch", *self._place("patch"))
        self._used.append(path)
        return read_text(path)

    def _cpus(self, run: Mapping[str, Any]) -> tuple[int | None, ...]:
        value = run.get("cpus")
        if value is None:
            return (None,)
        given = value if isinstance(value, list) and value else [value]
        return tuple(whole_number(self._source, one, 1, MOST_CPUS, *self._place("cpus")) for one in given)

    def _cases(
        self, other: Mapping[str, Any] | None
    ) -> tuple[tuple[Case[Workload], Case[Workload] | None], ...]:
        program = self._workload()
        own = self._prepared(program, self._run, counted=True)
        if other is None:
            return tuple((one, None) for one in own)
        found = []
        for one in own:
            run = {
                **self._run,
                "arch": one.architecture.name,
                "platform": one.platform.name,
                "kernel": one.kernel.name if one.kernel.patch is None else one.kernel.name.rpartition("+")[0],
                "cpus": one.cpus,
            }
            beside_it = self._prepared(program, self._merged(run, other), counted=True)
            found.append((one, beside_it[0]))
        return tuple(found)

    def _workload(self) -> Workload:
        name = self._program()
        try:
            found = program_in(self._source, name, *self._place("program"))
        except ShootdownError:
            if name in registry().scenarios():
                raise self._wrong(
                    f"{name} is a scenario, which has a verdict and no counts", "program"
                ) from None
            raise
        if isinstance(found, str):
            return workload_named(found)
        from shootdown._programs.subjects import workload_of

        return workload_of(found)

    def _program(self) -> str:
        return names_in(self._source, self._about["program"], *self._place("program"))[0]

    def _scenario(self) -> Scenario:
        from shootdown._programs.explored import scenario_of

        name = self._program()
        own = self._source.tables.get("programs", {})
        if isinstance(own, Mapping) and name in own:
            found = program_in(self._source, name, *self._place("program"))
            assert isinstance(found, Source)
            return scenario_of(found)
        if name.endswith(SUFFIX):
            return scenario_of(read_file(beside(self._source, name)))
        if name.endswith(".py"):
            path = allowed(self._source, name, self._scenarios, "--scenario", *self._place("program"))
            self._used.append(path)
            return scenario_named(path)
        try:
            return scenario_named(name)
        except ShootdownError as error:
            raise self._wrong(str(error), "program") from None

    def _searches(self) -> tuple[Case[Scenario], ...]:
        run = self._run
        if "cpus" in self._about:
            run = {key: value for key, value in run.items() if key != "cpus"}
        return self._prepared(self._scenario(), run, counted=False)

    def _prepared(self, program: Any, run: Mapping[str, Any], *, counted: bool) -> tuple[Case[Any], ...]:
        patch = self._patch(run)
        try:
            found = tuple(
                prepare(question)
                for question in questions(
                    program,
                    machines(registry(), self._names(run, "arch"), self._platforms(run)),
                    self._names(run, "kernel") or (newest_known(),),
                    parameters=self._table(run, "parameters"),
                    settings=self._settings(run),
                    cpus=self._cpus(run) if counted else (None,),
                    patch=None if patch is None else patch_of(patch),
                )
            )
            if patch is not None:
                refuse_unreached(found)
        except ShootdownError as error:
            raise self._told(error, run) from None
        return found

    def _told(self, error: ShootdownError, run: Mapping[str, Any]) -> ShootdownError:
        """Return an error with the key whose value it is about."""
        message = str(error)
        if message.startswith(self._source.file):
            return error
        for key in ("kernel", "platform", "arch", "patch", "cpus"):
            for value in run[key] if isinstance(run.get(key), list) else [run.get(key)]:
                if value is not None and re.search(rf"(?<![\w.]){re.escape(str(value))}(?![\w.])", message):
                    return self._wrong(message, key, text=str(value))
        for key in ("set", "parameters"):
            for name in self._table(run, key):
                if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message.partition("; nearest")[0]):
                    return self._wrong(message, key, name)
        return self._wrong(message)

    def _hunts(
        self, other: Mapping[str, Any] | None
    ) -> tuple[tuple[tuple[Any, ...], tuple[Any, ...] | None], ...]:
        """Return where to hunt, each with where to hunt for comparison."""
        if "program" in self._about:
            raise self._wrong(f"{NO_FINDINGS} hunts with programs that nobody wrote", "program")
        from shootdown._questions.hunt_ground import Ground

        def ground(run: Mapping[str, Any], at: tuple[str, str, str]) -> tuple[Any, ...]:
            patch = self._patch(run)
            settings = tuple(f"{name}={value}" for name, value in self._settings(run).items())
            return (*at, settings, None if patch is None else patch.file)

        found: list[tuple[tuple[Any, ...], tuple[Any, ...] | None]] = []
        try:
            for architecture, platform in machines(
                registry(), self._names(self._run, "arch"), self._platforms(self._run)
            ):
                for kernel in self._names(self._run, "kernel") or (newest_known(),):
                    at = (architecture.name, platform.name, kernel)
                    own = ground(self._run, at)
                    compared = None
                    if other is not None:
                        there = tuple(
                            other.get(key, one)
                            for key, one in zip(("arch", "platform", "kernel"), at, strict=True)
                        )
                        compared = ground(self._merged(self._run, other), there)
                    for one in (own, compared):
                        assert (
                            one is None or Ground(*one).scene is not None
                        )  # refuses what contradicts itself
                    found.append((own, compared))
        except ShootdownError as error:
            raise self._told(error, self._run) from None
        return tuple(found)
