"""Every interleaving of a scenario, one step at a time: breadth first, without any reduction.

A move is one step of a task, or one action of an agent: an interrupt that arrives, a hardware walker, a store buffer,
the host, the scheduler. A FAIL step, which only says that an invariant is broken, belongs to the step before it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from tests.twins.machine import flushes
from tests.twins.machine.steps import next_step, take_step
from tests.twins.machine.steps.entries import cacheable, huge, mapped_huge
from tests.twins.machine.steps.locks import sleeps
from tests.twins.machine.steps.memory import write_memory
from tests.twins.machine.steps.step import ENDED, FAILED, PARKED
from tests.twins.machine.world import PRESENT, World

Move = tuple[str, int, int]
#: Moves that let no task progress.
IDLING = ("fill", "copy", "preempt", "idle")
DEADLOCK, WALK_CACHE, STALE_ENTRY = "deadlock", 0, 1


@dataclass(frozen=True)
class Agents:
    """Which agents act; `eager`: CPUs hold at once what their walkers could read, else it is a move each."""

    entries: bool
    hypervisor: bool
    scheduler: bool
    eager: bool = True


class ViolatedError(Exception):
    """A move breaks some invariants, which are given by their numbers."""

    def __init__(self, *invariants: int) -> None:
        super().__init__(*invariants)
        self.invariants = frozenset(invariants)


def moves(w: World, agents: Agents) -> Iterator[Move]:
    """List the moves that may be possible."""
    for task in range(len(w.tasks)):
        yield ("step", task, 0)
        yield ("choose", task, 0)
        if agents.scheduler:
            yield from (("idle", task, 0), ("grant", task, 0), ("switch", task, 0))
    for cpu, c in enumerate(w.cpus):
        yield from (("take", cpu, target) for target in sorted(c.targets))
        if w.rules.walks and not agents.eager:
            yield from (("fill", cpu, what) for what in range(w.rules.slots + len(w.rules.atoms)))
        if agents.entries:
            yield from (("copy", cpu, entry) for entry in range(len(w.rules.owners)))
        yield from (("drain", cpu, which) for which in range(len(c.stores)))
        if agents.hypervisor:
            yield from (("preempt", cpu, 0), ("resume", cpu, 0))


def make(w: World, move: Move, agents: Agents) -> bool:
    """Make a move, if it is possible; if not, nothing is changed."""
    kind, x, y = move
    if not _MAKE[kind](w, x, y):
        return False
    if agents.eager:
        hold_all(w)
    look_for_dead(w)
    return True


def hold_all(w: World) -> None:
    """Let each CPU that runs hold what its walker could read now: links first, then what their tables map."""
    for cpu in range(len(w.cpus)):
        mm = _walks(w, cpu)
        if mm is not None and w.rules.walks:
            for slot in range(w.rules.slots):
                _read_link(w, cpu, mm, slot)
            for atom in range(len(w.rules.atoms)):
                _read(w, cpu, mm, atom)


def _read_link(w: World, cpu: int, mm: int, slot: int) -> None:
    """Let a walker read the link of a slot; one to a table that is freed, or another mm's, is dead."""
    c, kind = w.cpus[cpu], w.mms[mm].pud[slot]
    if not w.rules.hardware_walks or kind is None or huge(kind) or (mm, slot, kind) in c.links:
        return
    table = w.tables[(kind, slot)]
    if table.use == 2 or (table.use == 1 and table.owner != mm):
        c.dead_links |= {(mm, slot)}
    else:
        c.links |= {(mm, slot, kind)}


def _read(w: World, cpu: int, mm: int, atom: int) -> None:
    """Let a walker read an atom's entries, by the links that its CPU holds; what maps a free frame is dead."""
    c, slot = w.cpus[cpu], w.rules.atoms[atom][0]
    kinds = [kind for owner, at, kind in c.links if (owner, at) == (mm, slot)]
    here = w.mms[mm].pud[slot]
    if not w.rules.hardware_walks:
        if c.lazy:
            return
        kinds = [] if here is None or huge(here) else [here]
    for value in [*(w.entries[(kind, atom)] for kind in kinds), mapped_huge(w, here, atom)]:
        for frame, right in cacheable(value):
            if w.frames[frame]:
                c.translations |= {(mm, atom, frame, right)}
            else:
                c.dead_translations |= {(mm, atom)}


def look_for_dead(w: World) -> None:
    """Find what is dead and can be used: a link by the walker of any CPU that runs, a translation in user mode."""
    found = set()
    for cpu, c in enumerate(w.cpus):
        mm = _walks(w, cpu)
        if any(owner == mm for owner, _ in c.dead_links):
            found.add(WALK_CACHE)
        if c.user and not c.lazy and any(owner == mm for owner, _ in c.dead_translations):
            found.add(STALE_ENTRY)
    if found:
        raise ViolatedError(*found)


def _runs(w: World, task: int) -> bool:
    home = w.tasks[task].home
    return home is not None and w.cpus[home].task == task and not w.cpus[home].preempted


def _step(w: World, task: int, _: int) -> bool:
    return _runs(w, task) and _taken(w, task, runs=True)


def _taken(w: World, task: int, *, runs: bool) -> bool:
    home = w.tasks[task].home
    assert home is not None
    sleeping = next_step(w, task).name == "PARK" and next_step(w, task).mode == 0
    stop = take_step(w, task)
    if stop is FAILED:
        raise ViolatedError(w.failed)
    if stop is ENDED or (stop is PARKED and sleeping):
        flushes.switch(w, home, None)
        return True
    if stop is not None:
        return False
    _fail_if_next(w, task)
    return True


def _fail_if_next(w: World, task: int) -> None:
    s = next_step(w, task)
    if s.name == "FAIL":
        raise ViolatedError(s.invariant)


def _choose(w: World, task: int, _: int) -> bool:
    s = next_step(w, task)
    if s.name != "CHOICE" or not _runs(w, task):
        return False
    w.tasks[task].at = s.label
    _fail_if_next(w, task)
    return True


def _take(w: World, sender: int, cpu: int) -> bool:
    if not flushes.can_take(w, sender, cpu):
        return False
    flushes.take(w, sender, cpu)
    return True


def _walks(w: World, cpu: int) -> int | None:
    """The mm whose tables a CPU's walker can walk now."""
    return None if w.cpus[cpu].preempted else w.cpus[cpu].loaded


def _fill(w: World, cpu: int, what: int) -> bool:
    mm, c = _walks(w, cpu), w.cpus[cpu]
    if mm is None:
        return False
    before = (c.links, c.dead_links, c.translations, c.dead_translations)
    if what < w.rules.slots:
        _read_link(w, cpu, mm, what)
    else:
        _read(w, cpu, mm, what - w.rules.slots)
    return (c.links, c.dead_links, c.translations, c.dead_translations) != before


def _copy(w: World, cpu: int, entry: int) -> bool:
    mm, c = _walks(w, cpu), w.cpus[cpu]
    if c.lazy and not w.rules.hardware_walks:
        return False
    if mm is None or w.rules.owners[entry] != mm or c.tlb[entry] or not w.variables[entry] & PRESENT:
        return False
    c.tlb = (*c.tlb[:entry], w.variables[entry], *c.tlb[entry + 1 :])
    return True


def _drain(w: World, cpu: int, which: int) -> bool:
    c = w.cpus[cpu]
    if which >= len(c.stores) or (which > 0 and w.rules.memory != "weak"):
        return False
    where, value = c.stores[which]
    if any(earlier == where for earlier, _ in c.stores[:which]):
        return False
    write_memory(w, where, value)
    c.stores = (*c.stores[:which], *c.stores[which + 1 :])
    return True


def _preempt(w: World, cpu: int, _: int) -> bool:
    if w.cpus[cpu].preempted:
        return False
    w.cpus[cpu].preempted = True
    return True


def _resume(w: World, cpu: int, _: int) -> bool:
    if not w.cpus[cpu].preempted:
        return False
    flushes.enter_guest(w, cpu)
    return True


def _idle(w: World, task: int, _: int) -> bool:
    home = w.tasks[task].home
    if home is None or not _runs(w, task) or not sleeps(w, task):
        return False
    flushes.switch(w, home, None)
    return True


def _grant(w: World, task: int, _: int) -> bool:
    """A task that sleeps off its CPU gets what it waits for."""
    s, home = next_step(w, task), w.tasks[task].home
    waits = s.name == "AWAIT" or (s.name in ("LOCK_READ", "LOCK_WRITE") and s.sleeps)
    if not waits or home is None or w.cpus[home].task == task:
        return False
    return _taken(w, task, runs=False)


def _switch(w: World, task: int, _: int) -> bool:
    home = w.tasks[task].home
    if home is None or w.cpus[home].task is not None or w.cpus[home].preempted:
        return False
    if next_step(w, task).name in ("HALT", "PARK") or sleeps(w, task):
        return False
    flushes.switch(w, home, task)
    return True


_MAKE = {
    "step": _step,
    "choose": _choose,
    "take": _take,
    "fill": _fill,
    "copy": _copy,
    "drain": _drain,
    "preempt": _preempt,
    "resume": _resume,
    "idle": _idle,
    "grant": _grant,
    "switch": _switch,
}


def over(w: World, task: int) -> bool:
    """Whether a task has come to its end, or spins for ever."""
    s, home = next_step(w, task), w.tasks[task].home
    runs = home is not None and w.cpus[home].task == task
    if s.name == "PARK" and s.mode == 1:
        return True
    return s.name in ("HALT", "PARK") and not runs


@dataclass
class Found:
    """What a search found.

    Args:
        verdict: `safe`, `bug`, `livelock` (from some state no move leads on to where all tasks end) or `inconclusive`.
        broken: the invariants, by number or `deadlock`, each with the number of moves to it, at the depth of the first.
        states, transitions, depth: the states found, the moves made, and the moves to the last state or the bug.
    """

    verdict: str
    broken: set[tuple[int | str, int]] = field(default_factory=set)
    states: int = 0
    transitions: int = 0
    depth: int = 0


def begin(w: World, ready: tuple[int, ...], agents: Agents) -> World:
    """Put every ready task on its CPU."""
    for task in ready:
        home = w.tasks[task].home
        assert home is not None
        flushes.switch(w, home, task)
    if agents.eager:
        hold_all(w)
    return w


def search(first: World, agents: Agents, most: int) -> Found:
    """Search breadth first, up to so many states."""
    known: dict[Hashable, int] = {first.facts(): 0}
    level, depth, transitions = [first], 0, 0
    after: list[list[int]] = []
    done: list[bool] = []
    depths: list[int] = []
    ending = [task for task in range(len(first.tasks)) if _has_an_end(first, task)]
    while level:
        broken: set[tuple[int | str, int]] = set()
        following = []
        for w in level:
            moved = False
            leads: list[int] = []
            there = w.clone()
            for move in list(moves(w, agents)):
                try:
                    if not make(there, move, agents):
                        continue
                except ViolatedError as bug:
                    broken |= {(invariant, depth + 1) for invariant in bug.invariants}
                    there = w.clone()
                    continue
                transitions += 1
                moved = moved or move[0] not in IDLING
                facts = there.facts()
                if facts not in known:
                    known[facts] = len(known)
                    following.append(there)
                leads.append(known[facts])
                there = w.clone()
            finished = all(over(w, task) for task in range(len(w.tasks)))
            if not moved and not finished:
                broken.add((DEADLOCK, depth))
            after.append(leads)
            done.append(all(next_step(w, task).name in ("HALT", "PARK") for task in ending))
            depths.append(depth)
        if broken:
            return Found("bug", broken, len(known), transitions, min(d for _, d in broken))
        if len(known) > most:
            return Found("inconclusive", set(), len(known), transitions, depth)
        level = following
        depth += bool(level)
    stuck = _cannot_end(after, done)
    if stuck:
        return Found("livelock", set(), len(known), transitions, min(depths[state] for state in stuck))
    return Found("safe", set(), len(known), transitions, depth)


def _has_an_end(w: World, task: int) -> bool:
    """Whether the program of a task has a way from where it begins to an end."""
    program, known = w.rules.program, {w.tasks[task].at}
    work = list(known)
    while work:
        at = work.pop()
        s = program[at]
        if s.name in ("HALT", "PARK"):
            return True
        after = [] if s.name in ("JUMP", "FAIL") else [at + 1]
        if hasattr(s, "label"):
            after.append(s.label)
        work += [then for then in after if then not in known]
        known.update(after)
    return False


def _cannot_end(after: list[list[int]], done: list[bool]) -> set[int]:
    """The states from which none can be reached in which all tasks that have an end are there."""
    before: list[list[int]] = [[] for _ in after]
    for state, leads in enumerate(after):
        for then in leads:
            before[then].append(state)
    can = [state for state, over_there in enumerate(done) if over_there]
    known = set(can)
    while can:
        for state in before[can.pop()]:
            if state not in known:
                known.add(state)
                can.append(state)
    return set(range(len(after))) - known
