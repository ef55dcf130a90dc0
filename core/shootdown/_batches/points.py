"""A point of a sweep: its question, and its row."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._batches.axes import cost_at
from shootdown._batches.design import Points
from shootdown._batches.named_files import NONE, PatchText, patch_of
from shootdown._batches.reading import setting_text
from shootdown._plugins.registry import registry
from shootdown._programs.reading import Source
from shootdown._programs.subjects import workload_of
from shootdown._questions.case import PATCH_GROUP, Question, machines, prepare
from shootdown._questions.simulate import simulate
from shootdown._questions.subjects import workload_named
from shootdown._values.errors import MistakeError, ShootdownError
from shootdown._values.result import Result
from shootdown._values.workload import Workload

if TYPE_CHECKING:
    from shootdown._values.architecture import Architecture
    from shootdown._values.platform import Platform


@attrs.frozen(eq=False)
class Plan:
    """A sweep that was read and checked.

    Args:
        name, file, summary: of the file.
        points: the values at each point.
        programs: by the name that points have, a workload's name or a program.
        patches: by the name that points have.
        digests: of each file that it was read from.
    """

    name: str
    file: str
    summary: str
    points: Points
    programs: Mapping[str, str | Source]
    patches: Mapping[str, PatchText]
    digests: Mapping[str, str]

    def point(self, number: int) -> Point:
        """Return a point with all that another process needs to run it."""
        return self.at(number, self.points[number])

    def at(self, number: int, values: tuple[Any, ...]) -> Point:
        """Return a point with these values of the axes; None leaves one out."""
        axes = tuple(zip(self.points.axes, values, strict=True))
        chosen = {axis.group: value for axis, value in axes if not axis.name}
        patch = chosen.get("patch", NONE)
        parameters, settings, costs = (
            tuple((axis.name, value) for axis, value in axes if axis.group == group and value is not None)
            for group in ("parameters", "set", "costs")
        )
        return Point(
            number,
            self.programs[chosen["program"]],
            chosen["machine"],
            chosen["kernel"],
            chosen["cpus"],
            None if patch == NONE else self.patches[patch],
            parameters,
            settings,
            costs,
        )


@attrs.frozen(eq=False)
class Point:
    """One point of a sweep, as another process gets it.

    Args:
        number: from 0.
        program: a workload's name, or a program.
        machine: architecture and platform, with a slash between them.
        kernel: its name.
        cpus: online; the platform's own if None.
        patch: of the kernel, if any.
        parameters, settings: by name.
        costs: by name, the place within the platform's range.
    """

    number: int
    program: str | Source
    machine: str
    kernel: str
    cpus: int | None
    patch: PatchText | None
    parameters: tuple[tuple[str, Any], ...]
    settings: tuple[tuple[str, Any], ...]
    costs: tuple[tuple[str, str | float], ...]

    def question(self) -> Question[Workload]:
        """Return the question that it asks."""
        arch, _, platform = self.machine.partition("/")
        installed = registry()
        ((owner, place),) = machines(installed, [arch], [platform])
        settings = {
            name: setting_text(value)
            for name, value in self.settings
            if self.patch is not None or not name.startswith(f"{PATCH_GROUP}.")
        }
        for name, at in self.costs:
            settings[f"cost.{name}"] = f"{cost_at(getattr(place.costs, name), at):g}"
        return Question(
            _workload(self.program),
            owner,
            place,
            self.kernel,
            dict(self.parameters),
            settings,
            self.cpus,
            patch=None if self.patch is None else patch_of(self.patch),
        )


def machine_text(architecture: Architecture, platform: Platform) -> str:
    """Return the name of a machine: architecture and platform."""
    return f"{architecture.name}/{platform.name}"


def workload_of_plan(name: str, programs: Mapping[str, str | Source]) -> Workload:
    """Return the workload that a name of a plan stands for."""
    return _workload(programs[name])


def _workload(program: str | Source) -> Workload:
    return workload_named(program) if isinstance(program, str) else _workload_of(_Kept(program))


class _Kept:
    """A program as a key: equal if it was read from the same text."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._key = (source.name, source.file, source.lines, repr(source.tables))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept) and other._key == self._key


@functools.lru_cache(maxsize=64)
def _workload_of(kept: _Kept) -> Workload:
    return workload_of(kept.source)


def run_point(point: Point) -> dict[str, Any]:
    """Run a point, and return its row as JSON has it.

    Choices that contradict each other are a row that is not supported, with the reason.

    Raises:
        MistakeError: a patch or a plugin is wrong.
    """
    question = point.question()
    try:
        row = simulate(prepare(question))
    except MistakeError as error:
        raise MistakeError(f"point {point.number}: {error}") from None
    except ShootdownError as error:
        row = _impossible(question, str(error))
    return {"point": point.number, **row.to_dict()}


def _impossible(question: Question[Workload], reason: str) -> Result:
    settings = question.settings
    assert isinstance(settings, Mapping)
    return Result(
        arch=question.architecture.name,
        platform=question.platform.name,
        kernel=question.kernel,
        workload=question.program.name,
        parameters=question.program.read(question.parameters),
        cpus=question.cpus or question.platform.cpus,
        set=dict(settings),
        supported=False,
        reason=reason,
        counts={},
        times={},
        remarks=(),
    )
