"""Run a machine with clocks and collect the results."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._compilation.slices import Slices
from shootdown._machine import ops
from shootdown._machine.layout import T_PC, TASK_CELLS, Layout
from shootdown._machine.machine import Machine
from shootdown._timed import books as k
from shootdown._timed.books import COUNTERS, LOG_CELLS, OWN_PARTS, Books
from shootdown._timed.charges import charges
from shootdown._timed.costs import LOCK_LINE, MM_LINE, NODE
from shootdown._timed.endless import Watch, refuse_mistakes
from shootdown._timed.opening import blank, make_books
from shootdown._timed.placing import place_cpus
from shootdown._values.errors import ShootdownError
from shootdown._values.platform import COST_NAMES, Costs, Platform
from shootdown._values.result import RARE_TIMES, TIMES

_ONE_SECOND = 10**12


@attrs.frozen
class Stale:
    """Stale entries that hardware could still use, at the first moment in the measured window when there were any.

    Args:
        times: how many times entries were left.
        step: the step at which they were found: i_mmap_rwsem is about to drop.
        mm: the mm of the entries.
        tables: the number of tables that were unshared.
        walk, leaf: CPUs that have the mm loaded and hold stale walk-cache entries, stale TLB entries.
        lazy: those of the mm's CPUs that are in lazy TLB mode.
    """

    times: int
    step: int
    mm: int
    tables: int
    walk: tuple[int, ...]
    leaf: tuple[int, ...]
    lazy: tuple[int, ...]


@attrs.frozen(eq=False)
class Run:
    """The results of one timed run.

    Args:
        counts: machine-wide, by name; see `COUNTERS`.
        windows, actors: the same for each window, and for each window's actor alone.
        instructions, window_instructions: executions of each named instruction, in total and by window.
        window_ns, window_system_ns: the duration of each window, and the kernel's CPU time in it.
        elapsed_ns: from the start to the last step.
        system_ns: CPU time in the kernel on all CPUs, handlers on those that are hit and spinning included.
        lost_ns: CPU time that calls took from CPUs other than their sender: handlers, and broadcast invalidations.
        user_ns: CPU time in user mode on all CPUs: what programs compute.
        other_ns: CPU time in neither, that programs say.
        refill_ns: CPU time of walks for translations that flushes dropped and tasks used again; part of none of these.
        window_lost_ns, window_user_ns, window_other_ns, window_refill_ns: the same in each window.
        window_own_ns: of the thread that each window counts apart, by part (`books.OWN_PARTS`).
        exact_ns: the longest time that one task's program says itself, to which no cost is added.
        flushes_taken, syncs_taken: interrupts by CPU, shape (CPUs,); in the last window, where there are some.
        step_counts, step_targets, step_times: by step of the programs, in the first window where there is one;
            times in ns.
        events: the timeline, shape (n, 6); see `books`.
        events_lost: the number of events that did not fit.
        deliveries: IPIs delivered; steps: steps taken.
        state: the last state.
        clocks: each CPU's clock at the end, in picoseconds.
        stale: the first stale entries that were left; None if there were none.
    """

    counts: dict[str, int]
    windows: tuple[dict[str, int], ...]
    actors: tuple[dict[str, int], ...]
    instructions: dict[str, int]
    window_instructions: tuple[dict[str, int], ...]
    window_ns: tuple[float, ...]
    window_system_ns: tuple[float, ...]
    elapsed_ns: float
    system_ns: float
    lost_ns: float
    window_lost_ns: tuple[float, ...]
    user_ns: float
    window_user_ns: tuple[float, ...]
    other_ns: float
    window_other_ns: tuple[float, ...]
    refill_ns: float
    window_refill_ns: tuple[float, ...]
    window_own_ns: tuple[dict[str, float], ...]
    exact_ns: float
    flushes_taken: npt.NDArray[np.int64]
    syncs_taken: npt.NDArray[np.int64]
    step_counts: npt.NDArray[np.int64]
    step_targets: npt.NDArray[np.int64]
    step_times: npt.NDArray[np.float64]
    events: npt.NDArray[np.int64]
    events_lost: int
    deliveries: int
    steps: int
    state: npt.NDArray[np.int64]
    clocks: npt.NDArray[np.int64]
    stale: Stale | None = None

    @property
    def times(self) -> dict[str, float]:
        """The times in nanoseconds, of the first window where there is one."""
        if self.window_ns:
            own = (
                self.window_ns,
                self.window_system_ns,
                self.window_lost_ns,
                self.window_user_ns,
                self.window_other_ns,
                self.window_refill_ns,
            )
            found = tuple(float(times[0]) for times in own)
        else:
            found = (
                self.elapsed_ns,
                self.system_ns,
                self.lost_ns,
                self.user_ns,
                self.other_ns,
                self.refill_ns,
            )
        return dict(zip((*TIMES, *RARE_TIMES), found, strict=True))

    @property
    def interrupted_cpus(self) -> int:
        """The number of different CPUs that took an IPI."""
        return int(np.count_nonzero(self.flushes_taken + self.syncs_taken))


def cost_array(costs: Costs, which: str) -> npt.NDArray[np.int64]:
    """Return one value of each cost's range (`low`, `likely`, `high`), in picoseconds, and that of `NANOSECOND`."""
    found = [round(getattr(getattr(costs, name), which) * 1000) for name in COST_NAMES]
    return np.array([*found, 1000], np.int64)


def run_machine(
    machine: Machine,
    platform: Platform,
    *,
    which: str = "likely",
    seed: int = 1,
    one_by_one: bool = False,
    events: int = 0,
    costs: npt.NDArray[np.int64] | None = None,
) -> Run:
    """Run a machine to its end.

    Args:
        machine: the machine.
        platform: the platform with the costs and walk caches.
        which: `low`, `likely` or `high`: which end of the costs.
        seed: of the jitter; the same seed gives the same run.
        one_by_one: deliver each interrupt as an event of its own (the slow twin of the fast way).
        events: how many events of the timeline to keep.
        costs: as `cost_array` returns them, in the place of the platform's.

    Raises:
        ShootdownError: if tasks wait for each other for ever, or go round for ever, or a step is a mistake.
    """
    from shootdown._timed import scheduler

    L = machine.layout
    B = books_of(machine, platform, one_by_one=one_by_one)
    S = machine.state.copy()
    Q = blank(B, seed=seed)
    place_cpus(machine, platform, B, Q)
    Q[B.o_trim : B.o_trim + L.mms] = _ONE_SECOND
    Q[B.o_misc + k.UNFINISHED] = machine.tasks_expected
    Q[B.o_misc + k.PAGES_PER_TABLE] = machine.pages_per_table
    costs = cost_array(platform.costs, which) if costs is None else costs
    ever = (S[L.o_pud : L.o_pud + L.mms * L.slots] != 0).astype(np.uint8)
    timeline = np.zeros(events * LOG_CELLS, np.int64)
    Q[[B.o_floats + task for task in machine.floating]] = 1
    Q[B.o_misc + k.FLOATING] = len(machine.floating)
    runnable(scheduler.begin)(S, L, Q, B, costs, np.array(machine.ready, np.int64))
    tuning = np.array([platform.jitter, 10**12 // platform.tick_hz, int(one_by_one)], np.int64)
    table = charges(machine.code.steps, machine.code.cost, costs, serial_of(platform))
    Q[B.o_misc + k.SERIAL] = platform.serial_machine
    Q[B.o_misc + k.REFILLS] = platform.refill
    steps, slices, watch = 0, Slices(), Watch(machine, B)
    while True:
        limit = slices.begin()
        taken = runnable(scheduler.run)(
            S, machine.code.steps, machine.code.lists, table, L, Q, B, costs, ever, timeline,
            tuning, limit,
        )  # fmt: skip
        slices.end()
        steps += taken
        if taken < limit:
            break
        steps += watch.look(S, Q, steps, lambda: runnable(scheduler.run)(
            S, machine.code.steps, machine.code.lists, table, L, Q, B, costs, ever, timeline, tuning, 1
        ))  # fmt: skip
    refuse_mistakes(machine, S)
    if Q[B.o_misc + k.UNFINISHED] > 0:
        raise ShootdownError(
            f"the run hangs: {Q[B.o_misc + k.UNFINISHED]} of {machine.tasks_expected} tasks wait for a lock or an "
            f"event that never comes{_waiting(machine, S)}"
        )
    return _collect(machine, B, S, Q, timeline, steps)


#: Steps at which a task waits, and how many tasks an error names.
_WAITS, _MOST_NAMED = (ops.AWAIT, ops.LOCK_WRITE, ops.LOCK_READ), 3


def _waiting(machine: Machine, S: npt.NDArray[np.int64]) -> str:
    """Say of the first tasks that wait what they wait for."""
    L, code = machine.layout, machine.code
    steps = S[L.o_task + T_PC : L.o_task + L.tasks * TASK_CELLS : TASK_CELLS]
    found = [
        f"task {task}: {note.text}" + (f" in {note.function}()" if note.function.isidentifier() else "")
        for task, note in ((task, code.notes[int(pc)]) for task, pc in enumerate(steps.tolist()) if pc >= 0)
        if int(code.steps[int(steps[task]) * 5]) in _WAITS
    ]
    more = "; ..." if len(found) > _MOST_NAMED else ""
    return f" ({'; '.join(found[:_MOST_NAMED])}{more})" if found else ""


def fingerprint(machine: Machine, platform: Platform, seed: int) -> bytes:
    """Return a digest of everything that the runs of a machine depend on: with the same one they find the same.

    Args:
        machine, platform, seed: as `run_machine` takes them.
    """
    return machine.digest(
        machine.code.cost, machine.sections, machine.windows, machine.pages_per_table, machine.tasks_expected,
        machine.floating, machine.numbers, machine.reach, machine.writes, machine.scan_misses,
        machine.controller_ids, machine.shorthand,
        machine.code.instructions, seed,
        platform.jitter, platform.tick_hz, platform.serial_machine, serial_of(platform),
        platform.walk_entries, platform.huge_entries,
        platform.sockets, platform.smt, platform.smt_adjacent, platform.smt_slowed, platform.refill,
        *(cost_array(platform.costs, which) for which in ("low", "likely", "high")),
    )  # fmt: skip


def serial_of(platform: Platform) -> tuple[int, ...]:
    """Return the kinds of things that serve one CPU after another on a platform, those of broadcasts left out."""
    kinds = (LOCK_LINE, platform.serial_lock), (MM_LINE, platform.serial_mm), (NODE, platform.serial_node)
    return tuple(kind for kind, serial in kinds if serial)


def books_of(machine: Machine, platform: Platform, *, one_by_one: bool = False) -> Books:
    """Lay out the books of a machine."""
    L = machine.layout
    return make_books(
        cpus=L.cpus,
        words=L.words,
        tasks=L.tasks,
        mms=L.mms,
        locks=L.locks,
        events=max(L.events, 1),
        slots=L.slots,
        sections=machine.sections + 1,
        steps=len(machine.code.cost),
        instructions=len(machine.code.instructions),
        windows=machine.windows,
        walk_entries=platform.walk_entries,
        huge_entries=platform.huge_entries,
        pending_events=L.cpus if one_by_one else 1,
        sockets=platform.sockets,
        siblings=platform.smt - 1,
    )


def _collect(
    machine: Machine,
    B: Books,
    S: npt.NDArray[np.int64],
    Q: npt.NDArray[np.int64],
    timeline: npt.NDArray[np.int64],
    steps: int,
) -> Run:
    L = machine.layout

    def part(start: int, length: int) -> npt.NDArray[np.int64]:
        return Q[start : start + length].copy()

    def of_all(start: int, others: int) -> npt.NDArray[np.int64]:
        return part(start, L.cpus) + int(Q[B.o_misc + others])

    def counts(start: int) -> dict[str, int]:
        return {name: int(Q[start + i]) for i, name in enumerate(COUNTERS)}

    windows = machine.windows
    ledger = B.o_step_kept if windows else B.o_step_count

    def executed(row: int) -> dict[str, int]:
        start = B.o_instructions + row * B.instructions
        return {name: int(Q[start + i]) for i, name in enumerate(machine.code.instructions)}

    def own(window: int) -> dict[str, float]:
        values = part(B.o_window_own + window * len(OWN_PARTS), len(OWN_PARTS)) / 1000
        return dict(zip(OWN_PARTS, values.tolist(), strict=True))

    logged = int(Q[B.o_misc + k.LOG_SIZE])
    return Run(
        counts=counts(B.o_total),
        windows=tuple(counts(B.o_all + w * B.counters) for w in range(machine.windows)),
        actors=tuple(counts(B.o_actor + w * B.counters) for w in range(machine.windows)),
        instructions=executed(0),
        window_instructions=tuple(executed(1 + w) for w in range(windows)),
        window_ns=tuple((part(B.o_window_end, windows) - part(B.o_window_begin, windows)) / 1000),
        window_system_ns=tuple(part(B.o_window_system, windows) / 1000),
        elapsed_ns=int(Q[B.o_misc + k.ELAPSED]) / 1000,
        system_ns=int(Q[B.o_misc + k.SYSTEM]) / 1000,
        lost_ns=int(Q[B.o_misc + k.LOST]) / 1000,
        window_lost_ns=tuple(part(B.o_window_lost, windows) / 1000),
        user_ns=int(Q[B.o_misc + k.USER_TIME]) / 1000,
        window_user_ns=tuple(part(B.o_window_user, windows) / 1000),
        other_ns=int(Q[B.o_misc + k.OTHER_TIME]) / 1000,
        window_other_ns=tuple(part(B.o_window_other, windows) / 1000),
        refill_ns=int(Q[B.o_misc + k.REFILL_TIME]) / 1000,
        window_refill_ns=tuple(part(B.o_window_refill, windows) / 1000),
        window_own_ns=tuple(own(window) for window in range(windows)),
        exact_ns=int(part(B.o_exact, L.tasks).max(initial=0)) / 1000,
        flushes_taken=part(B.o_flushes_kept, L.cpus) if windows else of_all(B.o_flushes_taken, k.ALL_FLUSHES),
        syncs_taken=part(B.o_syncs_kept, L.cpus) if windows else of_all(B.o_syncs_taken, k.ALL_SYNCS),
        step_counts=part(ledger, B.steps),
        step_targets=part(ledger + B.steps, B.steps),
        step_times=part(ledger + 2 * B.steps, B.steps) / 1000,
        events=timeline[: logged * LOG_CELLS].reshape(-1, LOG_CELLS),
        events_lost=int(Q[B.o_misc + k.LOG_LOST]),
        deliveries=int(Q[B.o_misc + k.DELIVERIES]),
        steps=steps,
        state=S,
        clocks=part(B.o_clock, L.cpus),
        stale=_stale(part(B.o_stale, k.STALE_CELLS + 3 * L.words), L),
    )


def _stale(cells: npt.NDArray[np.int64], L: Layout) -> Stale | None:
    if not cells[k.STALE_TIMES]:
        return None

    def cpus(which: int) -> tuple[int, ...]:
        words = cells[k.STALE_CELLS + which * L.words :]
        return tuple(cpu for cpu in range(L.cpus) if int(words[cpu // L.bits]) >> cpu % L.bits & 1)

    times, step, mm, tables = cells[: k.STALE_CELLS].tolist()
    walk = cpus(0) if L.walk_cache else ()  # without a cache nothing outlives the walk that read it
    return Stale(times, step, mm, tables, walk=walk, leaf=cpus(1), lazy=cpus(2))
