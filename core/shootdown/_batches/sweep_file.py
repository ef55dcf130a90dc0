"""Read a sweep: what varies, how points are chosen; everything in it is checked before the first point runs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shootdown._batches.axes import COST_ENDS, Axis, read_axis
from shootdown._batches.design import GRID, KINDS, LATIN, MOST_POINTS, Design, Points
from shootdown._batches.named_files import NONE, PatchText, allowed, digest, needs_plugins, read_text, unused
from shootdown._batches.points import Plan, machine_text, workload_of_plan
from shootdown._batches.reading import (
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
from shootdown._programs.reading import Source
from shootdown._questions.case import PATCH_GROUP, machines, prepare
from shootdown._questions.patching import refuse_unreached
from shootdown._questions.platform_file import is_file
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.platform import COST_NAMES, MOST_CPUS
from shootdown._values.releases import resolve
from shootdown._values.series import newest_known
from shootdown._values.whatif import GROUPS

KEYS = (
    *("summary", "program", "programs", "arch", "platform", "kernel", "cpus", "patch", "plugin"),
    *("parameters", "set", "costs", "design"),
)
DESIGN = ("kind", "points", "seed")
#: Every cost of the platform.
ALL = "all"
#: The values of a what-if that are tried before the first point; of more of them, so many.
_TRIED = 64
#: Points that are built at most to see whether a patch is reached.
_BUILT = 50
_MOST_SEED = (1 << 63) - 1


def read_sweep(
    path: str | os.PathLike[str] | Mapping[str, Any], patches: Sequence[str | os.PathLike[str]] = ()
) -> Plan:
    """Read a sweep from a file of TOML, or from the same values in Python.

    Args:
        path: of the file, or the values.
        patches: the files of Python that may run: the sweep names them too.

    Raises:
        ShootdownError: something is wrong in it; the message names file, line and key.
    """
    source = (
        Source("sweep", "sweep", (), path, ()) if isinstance(path, Mapping) else read_tables(path, "sweep")
    )
    return _Reader(source, [os.fspath(one) for one in patches]).plan()


class _Reader:
    def __init__(self, source: Source, patches: Sequence[str]) -> None:
        self._source = source
        self._given = patches
        self._tables = known(source, source.tables, KEYS, what="a sweep")
        self._programs: dict[str, str | Source] = {}
        self._patches: dict[str, PatchText] = {}
        self._platforms: list[str] = []

    def plan(self) -> Plan:
        source, tables = self._source, self._tables
        if "plugin" in tables:
            needs_plugins(source, tables["plugin"], "plugin")
        summary = one_line_of(source, tables, "summary")
        design = self._design()
        grid = design.kind == GRID
        axes = [
            self._of_programs(),
            self._of_machines(),
            self._of_kernels(),
            *self._of_patches(),
            self._of_cpus(grid),
            *self._of_parameters(grid),
            *self._of_settings(grid),
            *self._of_costs(),
        ]
        points = Points(axes, design)
        if points.size > MOST_POINTS:
            raise source.wrong(
                f"{_large(points.size)} points: a sweep has at most {MOST_POINTS:,}; a sample takes some of them",
                "design",
            )
        plan = Plan(
            source.name,
            source.file,
            summary,
            points,
            self._programs,
            self._patches,
            self._digests(),
        )
        self._check(plan)
        return plan

    def _digests(self) -> dict[str, str]:
        """Return a digest of each file that the points depend on."""
        source = self._source
        own = "\n".join(source.lines) if source.lines else repr(source.tables)
        programs = {
            one.file: digest("\n".join(one.lines))
            for one in self._programs.values()
            if isinstance(one, Source) and one.file != source.file
        }
        return {
            source.file: digest(own),
            **programs,
            **{file: digest(Path(file).read_text(errors="replace")) for file in self._platforms},
            **{one.file: digest(one.text) for one in self._patches.values()},
        }

    def _design(self) -> Design:
        source = self._source
        table = known(source, self._tables.get("design", {}), DESIGN, "design")
        kind = table.get("kind", LATIN if "points" in table else GRID)
        if kind not in KINDS:
            raise source.wrong(
                f"there is no design {kind!r:.40}; {nearest(str(kind), KINDS)}", "design", "kind"
            )
        if kind == GRID:
            for key in ("points", "seed"):
                if key in table:
                    raise source.wrong("a grid has all combinations, and nothing is drawn", "design", key)
            return Design()
        if "points" not in table:
            raise source.wrong("it lacks `points`, how many are drawn", "design")
        points = whole_number(source, table["points"], 1, MOST_POINTS, "design", "points")
        seed = whole_number(source, table.get("seed", 1), 0, _MOST_SEED, "design", "seed")
        return Design(kind, points, seed)

    def _of_programs(self) -> Axis:
        source = self._source
        if "program" not in self._tables:
            raise source.wrong("it lacks `program`: a name, a file, or a list of them", "program")
        names = names_in(source, self._tables["program"], "program")
        own = known(source, self._tables.get("programs", {}), names, "programs")
        del own
        self._programs = {name: program_in(source, name, "program") for name in names}
        return Axis("program", "", names, keys=("program",))

    def _of_machines(self) -> Axis:
        source = self._source
        given = {
            key: names_in(source, self._tables[key], key) if key in self._tables else ()
            for key in ("arch", "platform")
        }
        given["platform"] = platforms_beside(source, given["platform"])
        try:
            pairs = machines(registry(), given["arch"], given["platform"])
        except ShootdownError as error:
            key = "platform" if given["platform"] else "arch"
            raise source.wrong(str(error), key) from None
        self._platforms = [platform.name for _, platform in pairs if is_file(platform.name)]
        values = tuple(dict.fromkeys(machine_text(owner, platform) for owner, platform in pairs))
        return Axis("machine", "", values, keys=("platform",))

    def _of_kernels(self) -> Axis:
        if "kernel" not in self._tables:
            return Axis("kernel", "", (newest_known(),), keys=("kernel",))
        return Axis("kernel", "", names_in(self._source, self._tables["kernel"], "kernel"), keys=("kernel",))

    def _of_patches(self) -> Iterable[Axis]:
        source = self._source
        if "patch" in self._tables:
            names = names_in(source, self._tables["patch"], "patch")
            for name in names:
                if name != NONE:
                    path = allowed(source, name, self._given, "--patch", "patch")
                    self._patches[name] = read_text(path)
            yield Axis("patch", "", names, keys=("patch",))
        unused(self._given, [one.file for one in self._patches.values()], "--patch", source.file)

    def _of_cpus(self, grid: bool) -> Axis:
        source = self._source
        if "cpus" not in self._tables:
            return Axis("cpus", "", (None,), keys=("cpus",))
        axis = read_axis(source, self._tables["cpus"], "cpus", "", ("cpus",), grid=grid)
        for one in _ends(axis):
            whole_number(source, one, 1, MOST_CPUS, "cpus")
        return axis

    def _of_parameters(self, grid: bool) -> Iterable[Axis]:
        source = self._source
        table = self._tables.get("parameters", {})
        if not isinstance(table, Mapping):
            raise source.wrong("it is a table: NAME = VALUE", "parameters")
        for name, value in table.items():
            if name in self._programs and isinstance(value, Mapping):
                for own, inner in value.items():
                    yield self._parameter(own, inner, grid, name)
            else:
                yield self._parameter(name, value, grid, "")

    def _parameter(self, name: str, value: object, grid: bool, of: str) -> Axis:
        source = self._source
        keys = ("parameters", of, name) if of else ("parameters", name)
        axis = read_axis(source, value, "parameters", name, keys, grid=grid, of=of)
        for program in (of,) if of else self._programs:
            workload = workload_of_plan(program, self._programs)
            for one in _ends(axis):
                try:
                    workload.read({name: one})
                except ShootdownError as error:
                    text = str(one) if isinstance(one, str) else ""
                    several = len(self._programs) > 1 and not of
                    hint = f"; [parameters.{program}] has those of {program} alone" if several else ""
                    raise source.wrong(f"{error}{hint}", *keys, text=text) from None
        return axis

    def _of_settings(self, grid: bool) -> Iterable[Axis]:
        source = self._source
        table = self._tables.get("set", {})
        if not isinstance(table, Mapping):
            raise source.wrong('it is a table: "kernel.NAME" = VALUE', "set")
        groups = (*GROUPS, PATCH_GROUP) if self._patches else GROUPS
        for name, value in table.items():
            inner = name in groups and isinstance(value, Mapping)
            for own, one in value.items() if inner else ((None, value),):
                full = name if own is None else f"{name}.{own}"
                keys = ("set", name) if own is None else ("set", name, own)
                yield read_axis(source, one, "set", full.replace("-", "_"), keys, grid=grid)

    def _of_costs(self) -> Iterable[Axis]:
        source = self._source
        if "costs" not in self._tables:
            return
        names = names_in(source, self._tables["costs"], "costs")
        for name in COST_NAMES if names == (ALL,) else names:
            full = name if name.endswith("_ns") else f"{name}_ns"
            if full not in COST_NAMES:
                raise source.wrong(
                    f"there is no cost {name!r:.40}; {nearest(name, COST_NAMES)}", "costs", text=name
                )
            yield Axis("costs", full, COST_ENDS, keys=("costs",))

    def _check(self, plan: Plan) -> None:
        """Try each value by itself, so that a wrong one is told with its line."""
        axes = plan.points.axes
        # What-ifs of a patch are tried with it.
        patched = {
            at: name
            for at, axis in enumerate(axes)
            if axis.group == "patch"
            for name in axis.values
            if name != NONE
        }
        first = {**_first(axes), **patched}
        pairs = [{1: machine, 2: kernel} for machine in axes[1].values for kernel in axes[2].values]
        for machine in axes[1].values:
            architecture = registry().architecture(machine.partition("/")[0])
            for kernel in axes[2].values:
                self._tried(functools.partial(resolve, kernel, architecture), axes[2], kernel)
        plain = {
            at: None for at, axis in enumerate(axes) if axis.group in ("parameters", "set", "costs", "cpus")
        }
        bare = {**first, **plain}
        for at, axis in enumerate(axes):
            if axis.group != "set":
                continue
            for value in _some(_ends(axis)):
                errors = []
                for pair in pairs:
                    chosen = {**bare, **pair, at: value}
                    try:
                        prepare(plan.at(0, tuple(chosen[n] for n in range(len(axes)))).question())
                    except ShootdownError as error:
                        errors.append(error)
                    else:
                        break
                else:
                    raise self._source.wrong(str(errors[0]), *axis.keys, text=setting_text(value))
        for at, axis in enumerate(axes):
            for name in axis.values if axis.group == "patch" else ():
                if name != NONE:
                    points = [(*one[:at], name, *one[at + 1 :]) for one in plan.points[:_BUILT]]
                    self._tried(functools.partial(_reached, plan, points), axis, name)

    def _tried(self, work: Callable[[], object], axis: Axis, value: str) -> None:
        try:
            work()
        except ShootdownError as error:
            raise self._source.wrong(str(error), *axis.keys, text=value) from None


def _reached(plan: Plan, points: Iterable[tuple[Any, ...]]) -> None:
    """Refuse a patch of which nothing is called at some points."""
    cases, errors = [], []
    for values in points:
        try:
            cases.append(prepare(plan.at(0, values).question()))
        except ShootdownError as error:
            errors.append(error)
    if not cases and errors:
        raise errors[0]
    refuse_unreached(cases)


def _first(axes: Sequence[Axis]) -> dict[int, Any]:
    """Return the first value of each axis."""
    return {at: axis.values[0] if axis.values else axis.drawn(0.0) for at, axis in enumerate(axes)}


def _ends(axis: Axis) -> Sequence[Any]:
    """Return the values of an axis, or the ends of its range."""
    return axis.values if axis.between is None else (axis.between.low, axis.between.high)


def _large(number: int) -> str:
    return f"{number:,}" if number < 10**15 else f"about 10^{len(str(number)) - 1}"


def _some(values: Sequence[Any]) -> Sequence[Any]:
    if len(values) <= _TRIED:
        return values
    return [values[number * (len(values) - 1) // (_TRIED - 1)] for number in range(_TRIED)]
