"""Run one workload on one kernel and platform, and return what was counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from shootdown._compilation.running import budget
from shootdown._questions.building import built
from shootdown._questions.called import called
from shootdown._questions.case import Case, expect
from shootdown._questions.equal import key_of_runs
from shootdown._questions.patching import uncalled
from shootdown._values.errors import ShootdownError
from shootdown._values.given import Settings, one_name, what_ifs
from shootdown._values.kernel import Kernel
from shootdown._values.releases import resolve
from shootdown._values.result import (
    ALL_COUNTS,
    COUNTS,
    RARE_COUNTS,
    RARE_TIMES,
    TIMES,
    TIMING_DECIDES,
    Result,
    Span,
)
from shootdown._values.whatif import parse_settings, set_kernel

if TYPE_CHECKING:
    from shootdown._machine.machine import Machine
    from shootdown._timed.run import Run
    from shootdown._values.platform import Platform
    from shootdown._values.setup import Setup
    from shootdown._values.workload import Workload


def kernel(name: str, arch: str, settings: Settings = ()) -> Kernel:
    """Return the kernel of a release or proposal on an architecture, with what-ifs applied.

    Args:
        name: `6.12.74`, `7.0`, `6.16-rc1` or `proposal:NAME`.
        arch: the name of an installed architecture.
        settings: what-ifs such as `kernel.unshare_sync=none`.

    Raises:
        ShootdownError: something is unknown or out of range.
    """
    from shootdown._plugins.registry import registry

    architecture = registry().architecture(one_name("arch", arch))
    given = parse_settings(what_ifs(settings))
    return set_kernel(resolve(one_name("name", name), architecture), given, architecture)


#: The number of runs of a case, for progress.
RUNS = ("low", "likely", "high")
#: CPU seconds of a step as plain Python. A program of many steps takes about as many, or more.
_PLAIN_STEP = 10e-6


def simulate(case: Case[Workload], after_run: Callable[[], None] = lambda: None) -> Result:
    """Run a case three times, with the low, likely and high end of each cost.

    Counts are those of the likely run. If another run's differ, the count depends on timing, and a remark gives the
    range. A time's range is what 80 % of draws of all costs lie within (`intervals`).

    Args:
        case: a prepared case.
        after_run: called after each of the three runs; never if kernel and platform can't run the workload.

    Raises:
        ShootdownError: the run hangs, or the machine needs more memory than there is.
    """
    return begun(case)(after_run)


def begun(case: Case[Workload]) -> Callable[[Callable[[], None]], Result]:
    """Write the programs of a case, and return what runs them as `simulate` does.

    Args:
        case: a prepared case.

    Raises:
        ShootdownError: the machine needs more memory than there is.
    """
    from shootdown._machine.machine import Machine

    reason = case.refusal()
    if reason is not None:
        row = _row(case, supported=False, reason=reason)
        return lambda after_run: row
    with _memory(case):
        setup = case.setup()
        machine = built(case, setup, Machine)
    budget.foresee(len(RUNS) * len(machine.code.cost) * _PLAIN_STEP)

    def run(after_run: Callable[[], None]) -> Result:
        with _memory(case):
            return _simulated(case, setup, machine, after_run)

    return run


@contextmanager
def _memory(case: Case[Workload]) -> Iterator[None]:
    """Name the case that does not fit into memory."""
    try:
        yield
    except MemoryError:
        values = ", ".join(f"{name}={value}" for name, value in case.parameters.items())
        raise ShootdownError(
            f"{case.program.name} on {case.cpus} CPUs with {values} needs more memory than there is: make it smaller"
        ) from None


def _simulated(case: Case[Workload], setup: Setup, machine: Machine, after_run: Callable[[], None]) -> Result:
    from shootdown._timed.run import run_machine

    seed = int(case.parameters["seed"])
    key = key_of_runs(case, machine)
    with _running.setdefault(key, threading.Lock()):  # another thread may have the same one under way
        found = _known.get(key)
        if found is None:
            runs = {}
            for which in RUNS:
                runs[which] = run_machine(machine, case.platform, which=which, seed=seed)
                after_run()
            found = _found(machine, case.platform, runs)
            if len(_known) >= _MOST_KNOWN:
                _known.clear()
                _running.clear()
            _known[key] = found
        else:
            for _ in RUNS:
                after_run()
    remarks = _remarks(case, setup)
    counted = found.counted
    return _row(
        case,
        supported=True,
        reason=None,
        counts=counted["likely"],
        times=found.times,
        drawn=found.drawn,
        remarks=(
            *remarks,
            *uncalled(case.kernel.patch, machine.code),
            *_races(counted),
            *_lost_by_cause(found),
            *_no_sync(case, counted["likely"]),
            *_no_global_asid(setup, counted["likely"]),
            *_warnings(counted["likely"]),
            *_rate(called(f"workload {case.program.name}: turns()", case.program.turns, setup), found.times),
        ),
        interrupts=found.interrupts,
        instructions=found.instructions,
        applied=_applied(case, setup),
    )


def _remarks(case: Case[Workload], setup: Setup) -> tuple[str, ...]:
    """Return a workload's own remarks."""
    what = f"workload {case.program.name}: remarks()"
    found = called(what, case.program.remarks, setup)
    expect(what, found, Iterable)
    remarks = (found,) if isinstance(found, str) else called(what, tuple, found)
    for remark in remarks:
        expect(what, remark, str)
    return remarks


def _applied(case: Case[Workload], setup: Setup) -> Mapping[str, int]:
    """Return how many of something there were, where a parameter asked for more."""
    what = f"workload {case.program.name}: applied()"
    found = called(what, case.program.applied, setup)
    expect(what, found, Mapping)
    return found


@attrs.frozen
class _Found:
    """What the runs of a machine found.

    Args:
        counted: the counts of each run.
        times: elapsed, system, lost and user time.
        drawn: the same in draws of all costs.
        interrupts: of each CPU, in the likely run.
        instructions: executions of each named instruction, in the likely run.
        own: of the thread that is measured, what it computes and what it loses (`books.OWN_PARTS`), in the likely run.
    """

    counted: Mapping[str, Mapping[str, int]]
    times: Mapping[str, Span]
    drawn: Mapping[str, Sequence[float]]
    interrupts: tuple[int, ...]
    instructions: Mapping[str, int]
    own: Mapping[str, float]


#: What was found before, by what it depends on: several kernels often have the same steps, and runs have no chance.
_known: dict[bytes, _Found] = {}
_running: dict[bytes, threading.Lock] = {}
_MOST_KNOWN = 256


def _found(machine: Machine, platform: Platform, runs: Mapping[str, Run]) -> _Found:
    from shootdown._questions.intervals import drawn_times
    from shootdown._timed.spent import spent

    likely = runs["likely"]
    ends = times_of(runs)
    numbers = spent(machine, platform, likely)
    drawn = {name: drawn_times(platform.costs, numbers[name], ends[name]) for name in ends}
    return _Found(
        counted={which: counts_of(machine, run) for which, run in runs.items()},
        times={name: Span.within(ends[name]["likely"], drawn[name]) for name in ends},
        drawn=drawn,
        interrupts=tuple((likely.flushes_taken + likely.syncs_taken).tolist()),
        instructions=likely.window_instructions[0] if machine.windows else likely.instructions,
        own=likely.window_own_ns[0] if machine.windows else {},
    )


def counts_of(machine: Machine, run: Run) -> dict[str, int]:
    """Return the counts of a row: of the measured window if the workload has one, else of the whole run."""
    counted = run.windows[0] if machine.windows else run.counts
    found = {name: run.interrupted_cpus if name == "interrupted_cpus" else counted[name] for name in COUNTS}
    return found | {name: counted[name] for name in RARE_COUNTS if counted[name]}


def times_of(runs: Mapping[str, Run]) -> dict[str, dict[str, float]]:
    """Return the times of each run in ns, by their names."""
    found = {which: dict(run.times) for which, run in runs.items()}
    rare = [name for name in RARE_TIMES if found["likely"][name]]
    return {name: {which: found[which][name] for which in runs} for name in (*TIMES, *rare)}


def _races(counted: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return a remark on the counts that differ between the three runs, if any."""
    ranges = []
    for name in ALL_COUNTS:
        values = sorted({counts.get(name, 0) for counts in counted.values()})
        if len(values) > 1:
            ranges.append(f"{name} {values[0]} to {values[-1]}")
    return [TIMING_DECIDES + ", ".join(ranges)] if ranges else []


#: What a measured thread loses time to.
_CAUSES = {
    "handlers": "interrupts",
    "broadcasts": "invalidations that others broadcast",
    "shared": "handlers on its core's other threads",
    "refill": "walks for translations that were dropped",
}


def _lost_by_cause(found: _Found) -> list[str]:
    """Return a remark on what a measured thread that only computes loses, by cause; none if it loses nothing."""
    from shootdown._timed.spent import is_all

    own, elapsed = found.own, found.times["elapsed_ns"].likely
    if not own or not own["exact"] or not own["stolen"] or not is_all(own, elapsed):
        return []
    lost = {name: own.get(name, 0.0) for name in _CAUSES}
    lost["broadcasts"] = own["stolen"] - sum(lost.values())
    parts = ", ".join(f"{_CAUSES[name]} ~{time / 1000:,.3g} us" for name, time in lost.items() if time >= 1)
    return [
        f"the measured thread takes ~{elapsed / 1000:,.4g} us for {own['exact'] / 1000:,.4g} us of its own work; it "
        f"lost to {parts}"
    ]


def _no_sync(case: Case[Workload], counts: Mapping[str, int]) -> list[str]:
    """Return a remark if tables were unshared without a sync because others still share all of them."""
    if case.kernel.unshare_sync != "last-sharer" or not counts["unshared_tables"]:
        return []
    if counts["fully_unshared_tables"] or counts["sync_broadcasts"]:
        return []
    return [
        f"no sync: several other processes still share each table that is unshared, and {case.kernel.name} "
        "synchronises only when a table becomes exclusive (8ce720d5bd91)"
    ]


def _no_global_asid(setup: Setup, counts: Mapping[str, int]) -> list[str]:
    """Return a remark if IPIs flushed although there is an instruction that does without."""
    instruction = setup.lowering.global_asid_instruction
    rule = setup.lowering.global_asid_rule
    if not (instruction and rule and counts["flush_ipis"]) or counts["broadcast_invalidations"]:
        return []
    raised = {"threads", "times"} <= setup.values.keys()
    more = "; higher -p threads= and -p times= lead there" if raised else ""
    return [f"no {instruction}: it needs a global ASID; {rule}{more}"]


def _rate(turns: int, times: Mapping[str, Span]) -> list[str]:
    """Return a remark on how many turns a second there are, if the workload counts turns."""
    elapsed = times["elapsed_ns"]
    if not turns or not elapsed.low:
        return []
    low, likely, high = (f"{turns * 1e9 / time:,.0f}" for time in (elapsed.high, elapsed.likely, elapsed.low))
    return [f"{turns:,} turns: ~{likely} a second in all ({low}-{high})"]


def _warnings(counts: Mapping[str, int]) -> list[str]:
    if not counts["kernel_warnings"]:
        return []
    return [
        f"the kernel would warn {counts['kernel_warnings']} times in tlb_finish_mmu(): fully_unshared_tables "
        "is still set, so a table became exclusive and nobody waited for lockless walkers before the lock "
        "dropped"
    ]


def _row(
    case: Case[Workload],
    *,
    supported: bool,
    reason: str | None,
    counts: Mapping[str, int] | None = None,
    times: Mapping[str, Span] | None = None,
    drawn: Mapping[str, Sequence[float]] | None = None,
    remarks: Iterable[str] = (),
    interrupts: Iterable[int] = (),
    instructions: Mapping[str, int] | None = None,
    applied: Mapping[str, int] | None = None,
) -> Result:
    return Result(
        arch=case.architecture.name,
        platform=case.platform.name,
        kernel=case.kernel.name,
        workload=case.program.name,
        parameters=dict(case.parameters),
        cpus=case.cpus,
        set=dict(case.settings),
        supported=supported,
        reason=reason,
        counts=counts or {},
        times=times or {},
        remarks=(*case.remarks, *remarks),
        interrupts=tuple(interrupts),
        instructions=instructions or {},
        drawn=drawn or {},
        applied=applied or {},
        patch=None if case.kernel.patch is None else case.kernel.patch.to_dict(),
    )
