"""The ground of a hunt: one kernel on one platform, on which program after program is explored."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._programs.explored import build, check, scenario_of
from shootdown._programs.reading import read_values
from shootdown._programs.sketch import Sketch
from shootdown._questions.case import Case
from shootdown._questions.explore import explorations, explore_case, ways
from shootdown._questions.patching import Reached
from shootdown._values.errors import MistakeError, ShootdownError
from shootdown._values.releases import evolve
from shootdown._values.scenario import Scenario
from shootdown._values.verdict import BUG, LIVELOCK, NOT_APPLICABLE, SAFE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shootdown._questions.explore import Verdict
    from shootdown._questions.hunt_batch import Batches
    from shootdown._values.setup import Setup

#: The most states of a search that is one of many.
MOST_STATES = 300_000
#: Calls from which on no further CPU idles: such programs have CPUs enough.
_NO_IDLE = 3
#: Programs from which on it pays to write all calls of their worlds.
_MANY = 24
#: A program by which the choices of a question are checked.
_ANY = Sketch("anonymous", 1 << 21, ((("munmap @",),),))


@attrs.frozen
class Fix:
    """Something that makes a bug go away.

    Args:
        name: a commit, or `kernel.SWITCH=VALUE`, or a function that a patch replaces.
        values: the switches that it sets.
        says: the commit's subject line, or the page that explains it.
        without: the function of the patch that is left out.
        origin: `commit`; `what-if` and `patch` for what the question itself changed; `open` for a defect that no commit
            closes yet; `guess` for another value of some switch, which explains nothing.
    """

    name: str
    values: tuple[tuple[str, Any], ...] = ()
    says: str = ""
    without: str = ""
    origin: str = "commit"


@attrs.frozen
class Ground:
    """Where programs are explored; processes get copies of it.

    Args:
        arch, platform, kernel, settings, patch: as in `explorations`.
        fixes: what is turned on beyond that.
        preempts: tasks that wait for interrupts to be answered may be preempted, where the kernel lets them.
    """

    arch: str
    platform: str
    kernel: str
    settings: tuple[str, ...] = ()
    patch: str | None = None
    fixes: tuple[Fix, ...] = ()
    preempts: bool = False

    def having(self, *fixes: Fix) -> Ground:
        """Return the ground with more fixes."""
        return attrs.evolve(self, fixes=(*self.fixes, *fixes))

    @property
    def case(self) -> Case[Scenario]:
        """The choices, made and checked, with some program."""
        return _prepared(self).case

    @property
    def scene(self) -> Setup:
        """What programs are built for."""
        return _prepared(self).setups[0][1]

    def settings_with_fixes(self) -> tuple[str, ...]:
        """Return the what-ifs as text, those of the fixes too."""
        more = [f"kernel.{name}={_text(value)}" for fix in self.fixes for name, value in fix.values]
        names = {text.partition("=")[0] for text in more}
        return (
            *(text for text in self.settings if text.partition("=")[0] not in names),
            *dict.fromkeys(more),
        )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@attrs.define
class _Prepared:
    """A ground that this process has made ready.

    Args:
        case: the question.
        setups: the ways of flushing, and what programs are built for.
        known: the results of machines, by their digests.
        batches: for each way, the programs that are linked, by the calls of the largest and the most states.
    """

    case: Case[Scenario]
    setups: list[tuple[str, Setup]]
    known: dict[bytes, Result] = attrs.field(factory=dict)
    batches: dict[tuple[int, int], list[Batches]] = attrs.field(factory=dict)


@lru_cache(maxsize=64)
def _prepared(ground: Ground) -> _Prepared:
    (case,) = explorations(
        scenario_of(read_values(_ANY.tables())),
        arch=[ground.arch],
        platforms=[ground.platform],
        kernels=[ground.kernel],
        settings=ground.settings,
        patch=ground.patch,
        reaches=False,
    )
    kernel = case.kernel
    for fix in ground.fixes:
        kernel = evolve(kernel, dict(fix.values))
        if fix.without and kernel.patch is not None:
            left = {name: one for name, one in kernel.patch.functions.items() if name != fix.without}
            kernel = attrs.evolve(kernel, patch=attrs.evolve(kernel.patch, functions=left) if left else None)
    case = attrs.evolve(case, kernel=kernel)
    return _Prepared(case, ways(case))


@attrs.frozen
class Result:
    """What exploring one program found.

    Args:
        verdict: `safe`, `bug`, `livelock`, `inconclusive`, or `not-applicable` for a program that can't be explored.
        invariant: the broken one.
        states: of the search.
        key: equal for equal machines.
    """

    verdict: str
    invariant: str | None = None
    states: int = 0
    key: bytes = b""

    @property
    def breaks(self) -> bool:
        """Whether something went wrong."""
        return self.verdict in (BUG, LIVELOCK)


def explored(ground: Ground, sketch: Sketch, most_states: int = MOST_STATES) -> Result:
    """Explore a program; one whose machine was explored before is not explored again."""
    from shootdown._explore.engine import Explorer

    prepared = _prepared(ground)
    worst = Result(NOT_APPLICABLE)
    try:
        program = read_values(sketch.tables()).program({})
        check(program)
        idle = sketch.calls < _NO_IDLE
        problems = [
            build(program, setup, idle=idle, marks=False, preemption=ground.preempts)
            for _, setup in prepared.setups
        ]
    except MistakeError:  # of a patch or plugin
        raise
    except ShootdownError:
        return worst
    for problem in problems:
        key = problem.machine.digest(
            problem.hypervisor, problem.scheduler, problem.walkers, problem.preemption
        )
        found = prepared.known.get(key)
        if found is None:
            outcome = Explorer(problem).search(most_states=most_states)
            found = prepared.known[key] = Result(outcome.verdict, outcome.invariant, outcome.states, key)
        if found.breaks:
            return found
        if worst.verdict in (NOT_APPLICABLE, SAFE):
            worst = found
    return worst


@attrs.frozen
class Batch:
    """Programs that one process explores."""

    ground: Ground
    sketches: tuple[Sketch, ...]
    most_states: int = MOST_STATES


def run_batch(batch: Batch) -> list[Result]:
    """Explore the programs of a batch."""
    return explored_all(batch.ground, batch.sketches, batch.most_states)


def explored_all(ground: Ground, sketches: Sequence[Sketch], most_states: int = MOST_STATES) -> list[Result]:
    """Explore programs as `explored` does each of them: many are linked from the calls of their world, and not written.

    A linked program's memory is cut as all calls of its world cut it, and no step is assumed never to be taken: it has
    more states, and the same verdict.
    """
    if len(sketches) < _MANY:
        return [explored(ground, sketch, most_states) for sketch in sketches]
    there_are = _batches(ground, max(sketch.calls for sketch in sketches), most_states)
    idle = [sketch.calls < _NO_IDLE for sketch in sketches]
    ways = [way.explore(sketches, idle=idle) for way in there_are]
    found = []
    for sketch, each in zip(sketches, zip(*ways, strict=True), strict=True):
        there = [one for one in each if one is not None]
        if len(there) < len(each):
            found.append(explored(ground, sketch, most_states))
            continue
        results = [Result(one.verdict, one.invariant, one.states, one.key) for one in there]
        broken = next((one for one in results if one.breaks), None)
        bounded = next((one for one in results if one.verdict != SAFE), results[-1])
        found.append(broken or bounded)
    return found


def _batches(ground: Ground, calls: int, most_states: int) -> list[Batches]:
    """Return the worlds of a ground, for each way of flushing."""
    from shootdown._questions.hunt_batch import Batches

    prepared = _prepared(ground)
    key = (calls, most_states)
    if key not in prepared.batches:
        before: Sequence[Batches | None] = [None] * len(prepared.setups)
        if ground.preempts:
            before = _batches(attrs.evolve(ground, preempts=False), *key)
        prepared.batches[key] = [
            Batches(setup, *key, before=other)
            for (_, setup), other in zip(prepared.setups, before, strict=True)
        ]
    return prepared.batches[key]


def uncalled_by(ground: Ground, sketches: Iterable[Sketch]) -> list[str]:
    """Return the functions of a ground's patch that no program calls.

    Args:
        ground: where; nothing is returned if it has no patch.
        sketches: programs, which are written until all functions were called.

    Raises:
        ShootdownError: no program calls any of them, or there is no kernel function of that name.
    """
    prepared = _prepared(ground)
    patch, reached = prepared.case.kernel.patch, Reached()
    if patch is None:
        return []
    for sketch in sketches:
        if reached.all_of(patch) or not reached.wanted <= reached.known:
            break
        try:
            program = read_values(sketch.tables()).program({})
            check(program)
            for _, setup in prepared.setups:
                reached.add(patch, build(program, setup, marks=False).machine.code, setup)
        except MistakeError:
            raise
        except ShootdownError:  # it can't be explored
            continue
    return reached.refuse()


def verdict_of(ground: Ground, sketch: Sketch) -> Verdict:
    """Explore a program for its whole verdict, with the story of a bug."""
    case = attrs.evolve(_prepared(ground).case, program=scenario_of(read_values(sketch.tables())))
    return explore_case(case, stories=True)


def shrunk(ground: Ground, sketch: Sketch, invariant: str | None) -> Sketch:
    """Return the smallest program in which the same invariant breaks."""
    found = sketch
    going = True
    while going:
        going = False
        for smaller in sorted(found.smaller(), key=lambda one: one.weight):
            result = explored(ground, smaller)
            if result.breaks and result.invariant == invariant:
                found, going = smaller, True
                break
    return found


def refuted(ground: Ground, sketch: Sketch) -> bool:
    """Whether a program is safe on a ground."""
    try:
        return explored(ground, sketch).verdict == SAFE
    except ShootdownError:  # switches that contradict each other
        return False
