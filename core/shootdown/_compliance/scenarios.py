"""Section 12: the scenarios that a plugin offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from shootdown._compliance.additions import (
    Additions,
    Findings,
    architectures,
    is_refusal,
    noting,
    others,
    scenarios,
    told,
)
from shootdown._compliance.statement import Finding, Said, Statement, Tried, Unevidenced
from shootdown._questions.building import built
from shootdown._questions.called import called
from shootdown._questions.case import Case, Question, prepare
from shootdown._questions.equal import key_of
from shootdown._questions.explore import Verdict, explorations, explore_case
from shootdown._values.architecture import Architecture
from shootdown._values.errors import nearest
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.series import newest_known
from shootdown._values.verdict import INCONCLUSIVE, LIVELOCK, NOT_APPLICABLE, VACUOUS

T = TypeVar("T")

#: The most states of one search, and where larger samples are asked for.
_MOST_STATES, _MOST_OF_LONG = 300_000, 10_000_000


def _case(
    scenario: Scenario,
    architecture: Architecture,
    parameters: Mapping[str, Any],
    settings: tuple[str, ...] = (),
) -> Case[Scenario]:
    platform = architecture.platforms[0]
    return prepare(Question(scenario, architecture, platform, newest_known(), parameters, settings))


def _search(additions: Additions, case: Case[Scenario]) -> Verdict:
    most = _MOST_OF_LONG if additions.long else _MOST_STATES
    with additions.trying(case.program):
        return explore_case(case, most_states=most, verdict_only=True)


def _each_has_a_verdict(additions: Additions) -> Iterator[Said]:
    for scenario in additions.tried_scenarios():
        wrong, count, unknown = Findings(), 0, dict[str, None]()
        livelocks = any(one.verdict == LIVELOCK for one in scenario.expected)
        for architecture in architectures():
            where = f"{additions.plugin}: scenario {scenario.name} on {architecture.name}"
            try:
                case = _case(scenario, architecture, {})
                found = _search(additions, case)
            except Exception as error:
                wrong.add(where, error)
                if wrong.too_long:
                    break
                continue
            if found.verdict == NOT_APPLICABLE:
                continue
            count += 1
            if found.verdict == VACUOUS:
                wrong.add(where, f"the verdict is vacuous: {found.reason}")
            elif found.verdict == LIVELOCK and not livelocks:
                wrong.add(
                    where, "its tasks never come to an end (livelock), and no `expected` verdict says so"
                )
            elif found.verdict == INCONCLUSIVE:
                unknown[f"{where}: {found.reason}"] = None
                break  # it would take as long on each of them
        yield from wrong.said()
        yield from map(Unevidenced, unknown)
        if not scenario.window:
            yield Unevidenced(
                f"{additions.plugin}: scenario {scenario.name} names no window: a safe verdict does not show that the "
                "race was possible"
            )
        yield Tried(count, "verdicts")


def _runnable(additions: Additions, look: Callable[[Case[Scenario]], T]) -> Iterator[tuple[str, Scenario, T]]:
    """Yield what is seen of each scenario on the first architecture on which it can be run.

    What can't be asked or built is what 12.1 is about.

    Args:
        additions: whose scenarios.
        look: returns what is to be seen.

    Yields:
        What messages call the scenario, it, and what `look` returned.
    """
    for scenario in additions.tried_scenarios():
        for architecture in architectures():
            try:
                case = _case(scenario, architecture, {})
                if case.refusal() is not None:
                    continue
                seen = look(case)
            except Exception:
                continue
            yield f"{additions.plugin}: scenario {scenario.name}", scenario, seen
            break


def _each_says_what_it_asks(additions: Additions) -> Iterator[Said]:
    from shootdown._explore.problem import Problem
    from shootdown._explore.telling import SENTENCES

    for where, scenario, problem in _runnable(additions, lambda case: built(case, case.setup(), Problem)):
        known = SENTENCES | dict(scenario.sentences)
        for name in problem.invariants:
            if not known.get(name, "").strip():
                yield Finding(f"{where}: nothing says what the invariant {name!r} is; {nearest(name, known)}")
        for name in scenario.sentences:
            if name not in problem.invariants:
                yield Finding(
                    f"{where}: `sentences` has {name!r}, which is no invariant; {nearest(name, problem.invariants)}"
                )
        cpus = problem.machine.layout.cpus
        if problem.lanes and len(problem.lanes) != cpus:
            yield Finding(f"{where}: `lanes` has {len(problem.lanes)} texts, and there are {cpus} CPUs")
        yield Tried(len(problem.invariants), "invariants")


def _expected_verdicts_come(additions: Additions) -> Iterator[Said]:
    for scenario in additions.tried_scenarios():
        if not scenario.expected:
            yield Unevidenced(
                f"{additions.plugin}: scenario {scenario.name} expects no verdict (Scenario.expected)"
            )
        for one in scenario.expected:
            where = f"{additions.plugin}: scenario {scenario.name}{_on(one)}"
            try:
                cases = explorations(
                    scenario,
                    arch=one.arch or (),
                    platforms=one.platform or (),
                    kernels=one.kernel,
                    parameters=one.parameters,
                    settings=one.settings,
                )
                found = [_search(additions, case) for case in cases]
            except Exception as error:
                yield Finding(f"{where}: {told(error)}")
                continue
            for verdict in found:
                yield Tried(1, "expected verdicts")
                if verdict.verdict != one.verdict:
                    because = (
                        f" ({verdict.reason or verdict.invariant})"
                        if verdict.reason or verdict.invariant
                        else ""
                    )
                    yield Finding(
                        f"{where}: the verdict is {verdict.verdict}{because}, and {one.verdict} is expected"
                    )


def _on(one: Expect) -> str:
    """Say where a verdict is expected."""
    place = " on ".join(["", *filter(None, (one.platform or one.arch,))])
    given = [*one.settings, *(f"{name}={value}" for name, value in one.parameters.items())]
    return f"{place}, kernel {one.kernel}" + (f", with {', '.join(given)}" if given else "")


def _each_switch_counts(additions: Additions) -> Iterator[Said]:
    from shootdown._explore.problem import Problem

    for scenario in additions.tried_scenarios():
        wrong, asked, count = Findings(), set[str](), 0
        trials: list[tuple[dict[str, Any], tuple[str, ...]]] = [({}, ())]
        trials += [({one.name: value}, ()) for one in scenario.parameters for value in others(one)]
        trials += [
            ({}, (f"scenario.{one.name}={str(value).lower()}",))
            for one in scenario.switches
            for value in others(one)
        ]
        for architecture in architectures():
            for given, settings in trials:
                text = (
                    ", ".join([*(f"{name}={value}" for name, value in given.items()), *settings])
                    or "defaults"
                )
                where = f"{additions.plugin}: scenario {scenario.name} on {architecture.name} with {text}"
                try:
                    case = _case(scenario, architecture, given, settings)
                    setup = noting(case.setup(), asked)
                    called(f"scenario {scenario.name}: refuse()", scenario.refuse, setup)
                    if case.refusal() is None:
                        count += 1
                        built(case, setup, Problem)
                except Exception as error:
                    if not is_refusal(error):
                        wrong.add(where, error)
                    if wrong.too_long:
                        break
            if wrong.too_long:
                break
        yield from wrong.said()
        for one in (*scenario.parameters, *scenario.switches) if count else ():
            if one.name not in asked:
                yield Finding(
                    f"{additions.plugin}: scenario {scenario.name}: nothing looks at {one.name}: a user who chooses "
                    "another value gets the same verdict"
                )
        yield Tried(count, "problems, with other values of parameters and switches")


def _programs_are_the_same(additions: Additions) -> Iterator[Said]:
    for where, _, (one, other) in _runnable(additions, lambda case: (key_of(case), key_of(case))):
        if one != other:
            yield Finding(
                f"{where}: build() writes another program a second time: something remembers the first one, or asks "
                "for a time or a random number"
            )
        yield Tried(1, "problems written twice")


STATEMENTS = (
    Statement(
        "12.1",
        "Each scenario has a verdict, or does not apply for a reason, on each architecture",
        "A place of its window that is never reached leaves the verdict vacuous; an error ends a whole matrix.",
        "The message has the line of the plugin. `asm.reached(n)` marks place n of `places`; what can't be run is for "
        "`refuse` to say.",
        _each_has_a_verdict,
        (scenarios,),
        about="additions",
    ),
    Statement(
        "12.2",
        "Each scenario says in a sentence what must never happen, and what each CPU does",
        "A story of a bug begins with that sentence, and has a lane for each CPU.",
        "The first of `invariants` is `walk-cache`, that of hardware walkers; each further one has its sentence in "
        "`Scenario.sentences`. `lanes` has a text for each CPU.",
        _each_says_what_it_asks,
        (scenarios,),
        about="additions",
    ),
    Statement(
        "12.3",
        "Each scenario has the verdicts that its author expects",
        "A scenario that finds no bug where there is one, or the other way round, tells a story about itself alone.",
        "Expect a safe verdict, and a bug with the switch that makes one. If the message is right, change `expected`.",
        _expected_verdicts_come,
        (scenarios,),
        about="additions",
    ),
    Statement(
        "12.4",
        "Something looks at each parameter and switch of a scenario",
        "A switch that nobody reads gives a verdict about another question.",
        "Read it in `build` or `refuse` as `scene['NAME']`, or leave it out.",
        _each_switch_counts,
        (scenarios,),
        about="additions",
    ),
    Statement(
        "12.5",
        "A scenario's programs are the same each time",
        "A verdict that can't be had again can't be checked.",
        "`build` is a function of its argument: no random numbers, no times, no state.",
        _programs_are_the_same,
        (scenarios,),
        about="additions",
    ),
)
