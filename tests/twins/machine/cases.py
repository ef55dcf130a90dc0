"""Random questions, each answered by core and by the twin; a list of where they differ.

A seed draws everything: the workload or scenario, the architecture, platform, kernel and what-ifs, the parameters, and
for a timed run the costs. What a program or a platform refuses is drawn again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from tests.twins.machine import clock, search
from tests.twins.machine.programs import drawn_calls, drawn_steps
from tests.twins.machine.reader import read_rules, read_world
from tests.twins.machine.world import World

from shootdown._compilation.running import runnable
from shootdown._explore.engine import Explorer
from shootdown._explore.labels import MOVES
from shootdown._explore.moves import REFUSED, VIOLATED, label_of, move
from shootdown._explore.outcome import Reductions
from shootdown._explore.problem import Problem
from shootdown._machine.machine import Machine
from shootdown._oracle.programs import BUILDERS
from shootdown._oracle.rows import Row, read_rows
from shootdown._oracle.validate import _case as row_case
from shootdown._plugins.registry import registry
from shootdown._questions.case import Case, Question, prepare
from shootdown._timed.books import COUNTERS
from shootdown._timed.run import Run, cost_array, run_machine
from shootdown._values.errors import ShootdownError
from shootdown._values.kernel import Kernel, switches_of
from shootdown._values.parameter import Parameter
from shootdown._values.platform import COST_NAMES, NANOSECOND, Cost, Costs, Platform
from shootdown._values.releases import proposals
from shootdown._values.series import SERIES

#: Texts for parameters that are read by a grammar of their own.
TEXTS = {
    "orders": ("pmd", "2", "4", "2,4", "4,pmd", "2,3,4,5,6,7,8", "8,pmd"),
    "populated": ("full", "every 2nd page", "2nd", "every 16th page"),
    "max_ptes_none": ("default", "0", "255", "511"),
    "outcomes": ("by-pages", "succeeded", "lack_referenced", "alloc_fail"),
}
#: Numbers of pages at which flushes change their way, and a few beside them.
PAGES = (0, 1, 2, 3, 8, 16, 31, 32, 33, 34, 63, 64, 65, 200, 511, 512, 513, 2048)
#: The largest values of parameters that make a program long.
SMALL = {"children": 12, "gib": 2, "tables": 5, "ranges": 3, "times": 3, "passes": 2, "operations": 4}
MOST_STEPS = 6_000
NOTHING = Reductions(fuse=False, dead=False, symmetry=False, arrive=False)
#: Of so many cases one is a scenario to explore, one a measured program, one a drawn program; the others are workloads.
SCENARIOS, MEASURED, DRAWN = 4, 8, 8
ROWS = Path(__file__).parents[2] / "oracle"


def said(case: Case[Any]) -> str:
    """Say what was asked, to ask it again."""
    values = {**case.parameters, **case.switches}
    return (
        f"{case.program.name} {case.architecture.name} {case.platform.name} {case.kernel.name} "
        f"cpus={case.cpus} memory={case.memory} {values} {dict(case.settings)}"
    )


def value_for(draw: random.Random, parameter: Parameter) -> Any:
    """Draw a small value that a parameter allows."""
    if parameter.choices:
        return draw.choice(parameter.choices)
    if isinstance(parameter.default, bool):
        return draw.choice((True, False))
    if isinstance(parameter.default, str):
        return draw.choice(TEXTS.get(parameter.name, (parameter.default,)))
    if parameter.name in ("pages", "clean", "first", "changed"):
        return max(parameter.minimum, min(parameter.maximum, draw.choice(PAGES)))
    most = min(parameter.maximum, max(parameter.minimum, SMALL.get(parameter.name, 4)))
    return draw.randint(parameter.minimum, most)


def _kernel_name(draw: random.Random) -> str:
    if draw.random() < 0.08:
        return f"proposal:{draw.choice(proposals(registry().architectures().values()))}"
    series = draw.choice(SERIES)
    name = series.name
    return name if draw.random() < 0.5 else f"{name}.{draw.randint(1, max(series.newest, 1))}"


def _what_ifs(draw: random.Random, architecture: Any, platform: Platform) -> list[str]:
    """Draw settings of the kernel's switches, now and then one, and of how the platform flushes."""
    fields = [*switches_of(Kernel), *switches_of(architecture.switches)]
    found = []
    for _ in range(draw.choice((0, 0, 1, 2))):
        name, field = draw.choice(fields)
        if field.metadata["choices"]:
            value = draw.choice(field.metadata["choices"])
        elif isinstance(field.default, bool):
            value = draw.choice((True, False))
        elif isinstance(field.default, int):
            value = draw.choice((1, 2, 33, field.default))
        else:
            continue
        found.append(f"kernel.{name}={str(value).lower() if isinstance(value, bool) else value}")
    if architecture.flush_ways and draw.random() < 0.2:
        found.append(f"platform.flush={draw.choice(architecture.flush_ways).name}")
    return found


def draw_case(draw: random.Random, explored: bool, only: Sequence[str] = ()) -> Case[Any]:
    """Draw a case that program, kernel and platform allow, of some programs or all."""
    installed = registry()
    programs: list[Any] = list((installed.scenarios() if explored else installed.workloads()).values())
    programs = [program for program in programs if program.name in only] or programs
    sharing = [program for program in programs if program.shares_tables]
    other = [program for program in programs if not program.shares_tables]
    while True:
        program = draw.choice(draw.choice((sharing or other, other or sharing)))
        architecture = draw.choice(list(installed.architectures().values()))
        platforms = list(installed.platforms(architecture.name).values())
        if not platforms:
            continue
        platform = draw.choice(platforms)
        parameters = {p.name: value_for(draw, p) for p in program.parameters if draw.random() < 0.7}
        parameters.pop("seed", None)
        settings = _what_ifs(draw, architecture, platform)
        for switch in program.switches if explored else ():
            if draw.random() < 0.4:
                settings.append(f"scenario.{switch.name}={str(value_for(draw, switch)).lower()}")
        if explored and draw.random() < 0.4:
            settings.append(f"memory_model={draw.choice(('sc', 'tso', 'weak'))}")
        cpus = None if explored else draw.choice((2, 3, 4, 5, 8, 17, 70))
        kernel = _kernel_name(draw)
        try:
            case = prepare(
                Question(program, architecture, platform, kernel, parameters, tuple(settings), cpus)
            )
            if case.refusal() is None:
                return case
        except (ShootdownError, NotImplementedError):
            continue


# --- runs with clocks


def random_costs(draw: random.Random) -> Costs:
    """Draw costs that are far from one another, so that steps come in another order."""
    slow = draw.choice((1, 1, 100, 10_000))  # so slow that jiffies and seconds pass
    values = {name: slow * draw.choice((0, 1, 10, 100, 1000, 10_000)) * draw.random() for name in COST_NAMES}
    return Costs(**{name: Cost(value, value, value, "drawn") for name, value in values.items()})


def hardware_of(machine: Machine, platform: Platform, which: str) -> clock.Hardware:
    return clock.Hardware(
        costs=dict(zip((*COST_NAMES, NANOSECOND), cost_array(platform.costs, which).tolist(), strict=True)),
        tick=10**12 // platform.tick_hz,
        walk_entries=platform.walk_entries,
        huge_entries=platform.huge_entries,
        pages_per_table=machine.pages_per_table,
        sections=machine.sections,
        numbers=machine.numbers or tuple(range(machine.layout.cpus)),
        reach=machine.reach,
        writes=machine.writes,
        scan_misses=machine.scan_misses,
        serial=frozenset(kind for kind in ("lock", "mm", "node") if getattr(platform, f"serial_{kind}")),
        serial_machine=platform.serial_machine,
        floating=frozenset(machine.floating),
    )


def compare_run(machine: Machine, platform: Platform, which: str) -> list[str] | None:
    """Run a machine in core and in the twin; None if it is too long for the twin."""
    rules, platform = read_rules(machine), attrs.evolve(platform, refill=False)
    hardware = hardware_of(machine, platform, which)
    mine: clock.Run | None = None
    try:
        mine = clock.Run(read_world(machine, rules), hardware, machine.ready, MOST_STEPS)
    except clock.TooLongError:
        return None
    except clock.HangsError:
        pass
    theirs: Run | None = None
    with suppress(ShootdownError):
        theirs = run_machine(machine, platform, which=which)
    if mine is None or theirs is None:
        return [] if mine is theirs else [f"hangs: twin {mine is None}, core {theirs is None}"]
    return list(_differences(machine, mine, theirs, read_world(machine, rules, theirs.state)))


def _differences(machine: Machine, mine: clock.Run, theirs: Run, end: World) -> Iterator[str]:
    names = machine.code.instructions

    def differ(what: str, twin: Any, core: Any) -> Iterator[str]:
        if twin != core:
            yield f"{what}: twin {twin}, core {core}"

    def counts(where: str, twin: Any, core: Any) -> Iterator[str]:
        for name in COUNTERS:
            yield from differ(f"{where} {name}", twin[name], core[name])

    yield from counts("count", mine.counts, theirs.counts)
    yield from differ(
        "instructions", {n: mine.instructions[i] for i, n in enumerate(names)}, theirs.instructions
    )
    for number in range(machine.windows):
        window = mine.windows[number]
        yield from counts(f"window {number}", window.counts, theirs.windows[number])
        yield from counts(f"actor of window {number}", window.of_actor, theirs.actors[number])
        executed = {n: window.instructions[i] for i, n in enumerate(names)}
        yield from differ(f"instructions in window {number}", executed, theirs.window_instructions[number])
        yield from differ(
            f"length of window {number}", (window.ended - window.begun) / 1000, theirs.window_ns[number]
        )
        yield from differ(f"user in window {number}", window.user / 1000, theirs.window_user_ns[number])
    taken = mine.interrupts_until_closed if mine.windows else mine.interrupts
    yield from differ("interrupts", taken, (theirs.flushes_taken + theirs.syncs_taken).tolist())
    yield from differ("steps", mine.steps, theirs.steps)
    yield from differ("elapsed", mine.elapsed / 1000, theirs.elapsed_ns)
    yield from differ("system", mine.system / 1000, theirs.system_ns)
    yield from differ("user", mine.user / 1000, theirs.user_ns)
    yield from differ("lost", mine.lost / 1000, theirs.lost_ns)
    yield from differ("clocks", mine.clock, theirs.clocks.tolist())
    if mine.w.facts() != end.facts():
        yield from _states("end", mine.w, end)


def _states(where: str, twin: World, core: World) -> Iterator[str]:
    """Say which parts of two states differ."""
    for kind in ("cpus", "mms", "tasks"):
        for n, (x, y) in enumerate(zip(getattr(twin, kind), getattr(core, kind), strict=True)):
            if x.facts() != y.facts():
                yield f"{where}: {kind} {n}: twin {x}, core {y}"
    for part in ("tables", "locks", "events", "variables", "entries", "frames"):
        if getattr(twin, part) != getattr(core, part):
            yield f"{where}: {part}: twin {getattr(twin, part)}, core {getattr(core, part)}"


# --- scenarios


def agents_of(problem: Problem, *, eager: bool = True) -> search.Agents:
    return search.Agents(
        entries=problem.entries,
        hypervisor=problem.hypervisor,
        scheduler=problem.scheduler,
        eager=eager,
    )


def compare_search(problem: Problem, most: int) -> tuple[list[str], bool]:
    """Explore a problem with core, with and without its reductions, and with the twin.

    Returns:
        what differs, and whether the twin came to an end within so many states.
    """
    machine = problem.machine
    rules, agents = read_rules(machine), agents_of(problem)
    mine = search.search(search.begin(read_world(machine, rules), machine.ready, agents), agents, most)
    if mine.verdict == "inconclusive":
        return [], False
    plain = Explorer(problem, NOTHING).search(most_states=50 * most)
    reduced = Explorer(problem).search(most_states=50 * most)
    found = []
    for how, outcome in (("without reductions", plain), ("with them", reduced)):
        if outcome.verdict != mine.verdict:
            found.append(f"verdict {how}: twin {mine.verdict}, core {outcome.verdict}")
    names = {(n if isinstance(n, str) else problem.invariants[n], depth) for n, depth in mine.broken}
    if mine.verdict == "bug":
        if (plain.invariant, plain.depth) not in names:
            found.append(f"bug: twin {sorted(names)}, core {(plain.invariant, plain.depth)}")
        if reduced.depth > plain.depth:
            found.append(f"depth with reductions {reduced.depth}, without {plain.depth}")
    elif mine.verdict == plain.verdict:
        ours = (mine.states, mine.transitions, mine.depth)
        theirs = (plain.states, plain.transitions, plain.depth)
        if ours != theirs:
            found.append(f"states, transitions, depth: twin {ours}, core {theirs}")
    return found, True


def compare_walk(problem: Problem, draw: random.Random, length: int) -> list[str]:
    """Make random moves in core and in the twin: in each state the same are possible and lead to the same state."""
    machine = problem.machine
    eager = not machine.layout.walks or draw.random() < 0.8
    rules, agents = read_rules(machine), agents_of(problem, eager=eager)
    explorer = Explorer(problem, attrs.evolve(NOTHING, eager=eager))
    w = search.begin(read_world(machine, rules), machine.ready, agents)
    state = explorer.start.copy()
    if read_world(machine, rules, state).facts() != w.facts():
        return list(_states("begin", w, read_world(machine, rules, state)))
    words = {word: kind for kind, (word, _) in MOVES.items()}
    there, then = w.clone(), state.copy()
    slow = draw.randrange(len(w.tasks) + 1)  # a task that often stands still
    for number in range(length):
        may = list(search.moves(w, agents))
        draw.shuffle(may)
        may.sort(key=lambda m: m[0] in search.IDLING and draw.random() < 0.7)
        for one in may:
            if one[0] == "step" and one[1] == slow and draw.random() < 0.8:
                continue
            broken: frozenset[int] = frozenset()
            then[:] = state
            try:
                made = search.make(there, one, agents)
            except search.ViolatedError as bug:
                made, broken = True, bug.invariants
            answer = int(
                runnable(move)(then, *explorer.program, runnable(label_of)(words[one[0]], one[1], one[2]))
            )
            theirs = answer >> 2 if answer & 3 == VIOLATED else None
            if made != (answer != REFUSED) or (theirs not in broken if broken else theirs is not None):
                return [f"move {number} {one}: twin {made} {set(broken)}, core {answer != REFUSED} {theirs}"]
            if broken:
                return []
            if not made:
                if not np.array_equal(then, state):
                    return [f"move {number} {one}: refused, but core wrote"]
                continue
            core = read_world(machine, rules, then)
            if core.facts() != there.facts():
                return list(_states(f"move {number} {one}", there, core))
            w, state, then = there, then, state
            there = w.clone()
            break
        else:
            break
    return []


# --- both


@attrs.define
class Tally:
    """What was compared: runs with clocks, searches to the end, walks where a search would be too long."""

    runs: int = 0
    searches: int = 0
    walks: int = 0
    found: list[str] = attrs.field(factory=list)


#: States at most of a search by the twin, and moves of a walk in place of a longer one.
MOST_STATES, MOVES_OF_A_WALK = 700, 40


def run_twice(machine: Machine, platform: Platform, draw: random.Random, tally: Tally) -> list[str] | None:
    """Run a machine in core and in the twin, every other time with costs that are drawn; as `answer_twice`."""
    platform = attrs.evolve(platform, jitter=0)
    if draw.random() < 0.5:
        platform = attrs.evolve(platform, costs=random_costs(draw))
    found = compare_run(machine, platform, draw.choice(("low", "likely", "high")))
    tally.runs += found is not None
    return found


def measured_twice(draw: random.Random, tally: Tally) -> list[str] | None:
    """Run the program of a row that was measured on a real kernel, as `answer_twice`."""
    row = draw.choice(_rows())
    try:
        case, measured = row_case(row)
        program = BUILDERS[row.workload](case.setup(), row, draw.choice(measured.variants))
    except (ShootdownError, NotImplementedError):
        return None
    found = run_twice(program.machine, case.platform, draw, tally)
    return None if found is None else [f"{dict(row.fields)}: {one}" for one in found]


@cache
def _rows() -> tuple[Row, ...]:
    """Read one measured row in seven: there are thousands, and many are alike."""
    return tuple(row for path in sorted(ROWS.glob("*.jsonl")) for row in read_rows(path)[::7])


#: Machines that were searched before; a walk differs each time.
_searched: set[bytes] = set()


def answer_twice(
    case: Case[Any],
    draw: random.Random,
    tally: Tally,
    *,
    most: int = MOST_STATES,
    length: int = MOVES_OF_A_WALK,
) -> list[str] | None:
    """Answer a question with core and with the twin.

    Returns:
        where the answers differ; None if the machine can't be built, or the run is too long for the twin.
    """
    try:
        built = case.program.build(case.setup())
    except (ShootdownError, NotImplementedError):
        return None
    if isinstance(built, Machine):
        return run_twice(built, case.platform, draw, tally)
    return explored_twice(built, draw, tally, most=most, length=length)


def explored_twice(
    problem: Problem,
    draw: random.Random,
    tally: Tally,
    *,
    most: int = MOST_STATES,
    length: int = MOVES_OF_A_WALK,
) -> list[str]:
    """Search a problem with core and with the twin, or walk where that was done before or is too long."""
    known = problem.machine.code.steps.tobytes() + problem.machine.state.tobytes()
    if known not in _searched:
        _searched.add(known)
        found, finished = compare_search(problem, most)
        if finished:
            tally.searches += 1
            return found
    tally.walks += 1
    return compare_walk(problem, draw, length)


def drawn_twice(draw: random.Random, tally: Tally) -> list[str] | None:
    """Explore a program on atoms that is drawn, for what a drawn scenario is for, as `answer_twice`."""
    case = draw_case(draw, explored=True)
    program = draw.choice((drawn_calls, drawn_steps))
    found = explored_twice(program(draw, case.setup()), draw, tally)
    return [f"{program.__name__}: {said(case)}: {one}" for one in found]


def compare(number: int, tally: Tally, *, seed: int = 1, only: Sequence[str] = ()) -> list[str]:
    """Draw the case of a number, answer it twice, and return where the answers differ.

    Args:
        number, seed: what is drawn.
        tally: counts it.
        only: scenarios to choose from, or `drawn` programs; all questions if empty.
    """
    draw = random.Random(f"{seed} {number}")
    while True:
        if (number % DRAWN == 6 and not only) or (only and draw.choice(only) == "drawn"):
            found = drawn_twice(draw, tally)
            assert found is not None
            return [f"seed {seed}, number {number}: {one}" for one in found]
        if only:
            case = draw_case(draw, explored=True, only=only)
            found = answer_twice(case, draw, tally)
            if found is not None:
                return [f"seed {seed}, number {number}: {said(case)}: {one}" for one in found]
            continue
        if number % MEASURED == 1:
            found = measured_twice(draw, tally)
            if found is not None:
                return [f"seed {seed}, number {number}: {one}" for one in found]
            continue
        case = draw_case(draw, explored=number % SCENARIOS == 0)
        found = answer_twice(case, draw, tally)
        if found is not None:
            return [f"seed {seed}, number {number}: {said(case)}: {one}" for one in found]


def compare_many(numbers: Sequence[int], *, seed: int = 1) -> Tally:
    """Compare the cases of many numbers."""
    tally = Tally()
    for number in numbers:
        tally.found += compare(number, tally, seed=seed)
    return tally
