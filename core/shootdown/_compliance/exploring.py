"""Section 7: every interleaving of the scenarios on every platform, and of small programs that nobody wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from shootdown._compliance import capabilities
from shootdown._compliance.expecting import Expectations
from shootdown._compliance.statement import Finding, Said, Statement, Tried, Unevidenced
from shootdown._compliance.subject import Subject
from shootdown._plugins.registry import registry
from shootdown._programs.explored import build, check, scenario_of
from shootdown._programs.reading import read_values
from shootdown._programs.sketch import Sketch
from shootdown._programs.worlds import programs, random_program
from shootdown._questions.case import Case, Question, prepare
from shootdown._questions.equal import key_of
from shootdown._questions.explore import Verdict, explore_case, ways
from shootdown._questions.hunt_batch import Batches
from shootdown._questions.matrix import KERNELS
from shootdown._values.changes import OPEN
from shootdown._values.errors import ShootdownError
from shootdown._values.platform import Platform
from shootdown._values.releases import evolve
from shootdown._values.scenario import Scenario
from shootdown._values.series import newest_known
from shootdown._values.setup import Setup
from shootdown._values.verdict import BUG, INCONCLUSIVE, LIVELOCK, NOT_APPLICABLE, SAFE, VACUOUS

#: The most states of one search of a scenario, and of a program that is one of many.
_MOST_STATES, _MOST_OF_MANY = 2_000_000, 30_000
#: Random programs of a hunt, and the calls of each.
_RANDOM, _CALLS = 24, 2
#: Calls from which on no further CPU idles.
_NO_IDLE = 3
#: A program by which choices are checked.
_ANY = Sketch("anonymous", 1 << 21, ((("munmap @",),),))


def _kernels(subject: Subject) -> tuple[str, ...]:
    """Return the kernels to explore: the newest, and all those of the matrix where larger samples are asked for."""
    return tuple(dict.fromkeys((*(KERNELS if subject.long else ()), newest_known())))


def _scenarios_have_their_verdicts(subject: Subject) -> Iterator[Said]:
    expected = Expectations(subject, "7.1")
    for scenario in registry().scenarios().values():
        if not (scenario.flushes or subject.long):
            continue  # it is the same on every architecture
        known: dict[bytes, Verdict] = {}
        count = 0
        for platform in subject.platforms:
            for name in _kernels(subject):
                where = f"{subject.plugin}: {scenario.name} on {platform.name}, kernel {name}"
                try:
                    case = prepare(Question(scenario, subject.architecture, platform, name))
                    found = _verdict(case, known)
                except ShootdownError as error:
                    yield Finding(f"{where}: {' '.join(str(error).split())}")
                    continue
                if found is None:
                    continue
                count += 1
                if found.verdict in (BUG, LIVELOCK):
                    told = (
                        f"breaks {found.invariant}"
                        if found.verdict == BUG
                        else "never comes to an end (livelock)"
                    )
                    yield from expected.bug(
                        scenario.name,
                        case.kernel,
                        case.platform,
                        f"{where}: {told}; `shootdown explore {scenario.name} --arch {subject.name} --platform "
                        f"{platform.name}` tells how",
                    )
                elif found.verdict in (INCONCLUSIVE, VACUOUS):
                    yield Unevidenced(f"{where}: {found.verdict}: {found.reason}")
        if count:
            yield Tried(count, "verdicts")
    yield from expected.missing()


def _verdict(case: Case[Scenario], known: dict[bytes, Verdict]) -> Verdict | None:
    """Explore a case; one whose machine was explored already is not explored again. None if it does not apply."""
    if case.refusal() is not None:
        return None
    key = key_of(case)
    if key not in known:
        known[key] = explore_case(case, most_states=_MOST_STATES, verdict_only=True)
    return None if known[key].verdict == NOT_APPLICABLE else known[key]


def _hunts_find_nothing(subject: Subject) -> Iterator[Said]:
    expected = Expectations(subject, "7.2")
    name = newest_known()
    told: set[tuple[str, str]] = set()
    for platform in subject.platforms:
        case = _ground(subject, platform, name)
        count = 0
        for _, setup in ways(case):
            sketches = _programs(subject, setup)
            for sketch, (verdict, invariant) in zip(sketches, _explored(setup, sketches), strict=True):
                count += verdict not in (NOT_APPLICABLE, INCONCLUSIVE)
                if verdict not in (BUG, LIVELOCK):
                    continue
                for said in expected.bug(
                    str(invariant),
                    case.kernel,
                    case.platform,
                    f"{subject.plugin}: on {platform.name}, kernel {name}, the program {sketch.said!r} breaks "
                    f"{invariant}; `shootdown hunt --arch {subject.name} --platform {platform.name}` tells how",
                ):
                    if (platform.name, str(invariant)) not in told:  # the smallest program comes first
                        told.add((platform.name, str(invariant)))
                        yield said
        yield Tried(count, "programs that nobody wrote")
    yield from expected.missing()


def _ground(subject: Subject, platform: Platform, name: str) -> Case[Scenario]:
    """Return where to hunt: defects of mm/ that are known and open are closed, as they are not the plugin's."""
    program = scenario_of(read_values(_ANY.tables()))
    case = prepare(Question(program, subject.architecture, platform, name))
    return attrs.evolve(case, kernel=evolve(case.kernel, {one.switch: one.value for one in OPEN}))


def _programs(subject: Subject, setup: Setup) -> list[Sketch]:
    """List all programs of one call, and random ones of more."""
    found = list(programs(setup, 1))
    there = set(found)
    for number in range(subject.sample(_RANDOM)):
        sketch = random_program(setup, subject.seed, number, _CALLS)
        if sketch not in there:
            there.add(sketch)
            found.append(sketch)
    return found


def _explored(setup: Setup, sketches: Sequence[Sketch]) -> list[tuple[str, str | None]]:
    """Explore programs, linked where that can be; return the verdict of each, and the broken invariant."""
    idle = [sketch.calls < _NO_IDLE for sketch in sketches]
    linked = Batches(setup, _CALLS, _MOST_OF_MANY).explore(sketches, idle=idle)
    return [
        (one.verdict, one.invariant) if one is not None else _alone(setup, sketch)
        for one, sketch in zip(linked, sketches, strict=True)
    ]


def _alone(setup: Setup, sketch: Sketch) -> tuple[str, str | None]:
    """Explore a program that can't be linked."""
    from shootdown._explore.engine import Explorer

    try:
        program = read_values(sketch.tables()).program({})
        check(program)
        problem = build(program, setup, idle=sketch.calls < _NO_IDLE, marks=False)
    except ShootdownError:
        return NOT_APPLICABLE, None
    outcome = Explorer(problem).search(most_states=_MOST_OF_MANY, verdict_only=True)
    return outcome.verdict, outcome.invariant if outcome.verdict != SAFE else None


STATEMENTS = (
    Statement(
        "7.1",
        "No scenario breaks on any platform, but for what the author expects",
        "Platforms that flush in the same steps may differ in what their hardware does: a dirty bit that is lost, a "
        "walk of freed memory. Each is explored in every interleaving.",
        "`shootdown explore` tells how it comes about. If real machines have the bug, say so: an `Expected` in "
        "`Architecture.expected`, with the commit or page that tells of it.",
        _scenarios_have_their_verdicts,
        (capabilities.flushes,),
    ),
    Statement(
        "7.2",
        "No small program breaks, but for what the author expects",
        "All programs of one call and some of two, on each kind of memory, beside a thread and an idle CPU. Defects of "
        "mm/ that are known and open are closed.",
        "`shootdown hunt` finds the program again, makes it smaller and says what makes it go away.",
        _hunts_find_nothing,
        (capabilities.flushes,),
    ),
)
