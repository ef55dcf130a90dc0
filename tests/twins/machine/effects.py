"""What a step does to clocks and counts once it is taken."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tests.twins.machine.books import SECOND, Section
from tests.twins.machine.calls import calls_below, send, take_late
from tests.twins.machine.steps import take_step
from tests.twins.machine.world import CLASS, SLOT

if TYPE_CHECKING:
    from tests.twins.machine.clock import Run

Effect = Callable[["Run", int, int, SimpleNamespace], None]
NOTED = {
    "NOTE_GATHER": "gathers",
    "NOTE_GATHER_VMA": "gathers_vma",
    "NOTE_WARNING": "kernel_warnings",
    "NOTE_COMPLETION": "completion_waits",
    "NOTE_SHARED": "shared_tables",
    "NOTE_FLUSH_RANGE": "flush_range_calls",
    "NOTE_FLUSH_PAGE": "flush_page_calls",
    "NOTE_RCU": "grace_periods",
}
EFFECTS: dict[str, Effect] = {"SEND": send}


def _after(function: Effect) -> Effect:
    EFFECTS[function.__name__.upper()] = function
    return function


@_after
def spawn(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    child = run.w.tasks[s.task].on
    if child is not None:
        run.trims[child] = run.clock[cpu] + SECOND  # init_new_context()
    run.make_ready(s.task, run.clock[cpu] + run.costs["start_ns"])


@_after
def signal(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    waiting, run.event_queues[s.event] = run.event_queues[s.event], []
    for waiter in waiting:
        if take_step(run.w, waiter) is None:
            run.wake(cpu, waiter, run.clock[cpu])
        else:
            run.event_queues[s.event].insert(0, waiter)


@_after
def migrate(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    time = run.clock[cpu] + run.costs["migrate_ns"]
    run.next_task(cpu)
    run.make_ready(task, time)


@_after
def use_mm(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    if run.w.cpus[cpu].loaded_root:
        run.count("root_loads", 1, task)
    run.trims[s.mm] = run.clock[cpu] + SECOND


@_after
def resched(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    queue, now = run.queues[cpu], run.clock[cpu]
    if queue and run.ready_at[queue[0]] <= now and now - run.began[cpu] >= s.slice * 1000:
        run.count("preemptions", 1, task)
        run.next_task(cpu)
        run.make_ready(task, now)


@_after
def kernel_begin(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    run.count("kernel_flushes", 1, task)


@_after
def kernel_self(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    pages = run.w.cpus[cpu].strides
    if pages:
        run.count("page_invalidations", pages, task)
        run.clock[cpu] += pages * run.costs["page_flush_ns"]
    else:
        run.count("full_flushes", 1, task)
        run.clock[cpu] += run.costs["full_flush_ns"]


@_after
def unshare(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    registers = run.w.tasks[task].registers
    run.count("unshared_tables", 1, task)
    if run.w.tables[(registers[CLASS] - 1, registers[SLOT])].sharers == 1:
        run.count("fully_unshared_tables", 1, task)
    run.unshared_of[task] += 1


@_after
def set_pud(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    on = run.w.tasks[task].on
    assert on is not None
    run.ever.add((on, run.w.tasks[task].registers[SLOT]))


EFFECTS["POPULATE"] = set_pud


@_after
def clear_pud(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    slots = run.sections[run.section_of[task]].slots
    if len(slots) < run.w.rules.slots:
        slots.append(run.w.tasks[task].registers[SLOT])


@_after
def mark(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    window = run.windows[s.window]
    if not s.opens:
        run.open = None
        window.ended = run.clock[cpu]
        window.user += run.user - window.before
        run.interrupts_until_closed = list(run.interrupts)
        return
    run.open, run.actor = s.window, s.actor
    window.before = run.user
    window.begun = run.clock[cpu] - (window.ended - window.begun)
    run.interrupts = list(run.interrupts_until_closed) if window.ended else [0] * len(run.w.cpus)


@_after
def note(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    if s.what == "NOTE_SECTION":
        if s.times:
            run.section_of[task] = s.section
            run.sections[s.section] = Section()
        else:
            run.section_of[task] = run.hardware.sections
    elif s.what == "NOTE_AUDIT":
        audit(run, task)
    elif s.what == "NOTE_USES":  # walks for what was dropped are not here: runs are compared without them
        return
    else:
        run.count(NOTED[s.what], s.times, task)


def audit(run: Run, task: int) -> None:
    """Count entries into unshared tables that hardware could still use when i_mmap_rwsem drops."""
    on = run.w.tasks[task].on
    assert on is not None
    m, tables = run.w.mms[on], run.unshared_of[task]
    run.unshared_of[task] = 0
    usable = {n for n in run.w.loaded(on) if not run.w.cpus[n].flush_on_entry}
    hw = run.hardware
    stale = len(m.stale_walk & usable) * min(tables, hw.walk_entries)
    stale += len(m.stale_leaf & usable) * min(tables * hw.pages_per_table, hw.huge_entries)
    run.count("stale_entries_left", stale, task)


@_after
def flush_begin(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    g = run.w.tasks[task].gathers[s.gather]
    run.count("flush_requests", 1, task)
    if g.flags & {"FULLMM", "NEED_FLUSH_ALL"} or "EVERYTHING" in s.how:
        run.count("flush_whole_mm", 1, task)


@_after
def flush_self(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    strides, did = run.w.cpus[cpu].strides, run.w.did
    if did == "all":
        run.count("full_flushes", 1, task)
        run.clock[cpu] += run.costs["full_flush_ns"]
    elif did == "range":
        run.count("page_invalidations", strides, task)
        run.clock[cpu] += strides * run.costs["page_flush_ns"]
    elif did == "left":
        run.count("lazy_switches", 1, task)
        run.clock[cpu] += run.costs["full_flush_ns"]
    if s.own_handler and did != "left":
        run.count("own_handler_runs", 1, task)


@_after
def flush_local_pages(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    run.count("page_invalidations", s.pages, task)
    run.clock[cpu] += s.pages * run.costs["page_flush_ns"]


@_after
def irq_on(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    take_late(run, cpu)


@_after
def wait(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    run.clock[cpu] = max(run.clock[cpu], run.answered[cpu] + run.collecting[cpu], run.busy[cpu])
    run.stolen[cpu] = 0
    run.answered[cpu] = run.collecting[cpu] = 0


@_after
def execute(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    c = run.w.cpus[cpu]
    times, strides = s.times, c.strides
    if "PER_STRIDE" in s.per:
        times *= max(strides, 1)
    if "PER_RANGE_DIGIT" in s.per:
        half, digits = strides // 2, 0
        while half:
            digits += half % 32 != 0
            half //= 32
        times *= digits
    if "PER_ODD_STRIDE" in s.per:
        times *= strides % 2
    if "PER_PMD" in s.per:
        times *= strides // run.w.rules.spans["pmd"]
    if "PER_TARGET" in s.per:
        times *= len(c.targets & run.w.mms[c.about].cpumask if "IN_MASK" in s.per else c.targets)
    if "PER_CALL_BELOW" in s.per:
        times *= calls_below(run, cpu)
    if ("ONE_STRIDE" in s.per and strides != 1) or ("MORE_STRIDES" in s.per and strides < 2):
        times = 0
    run.instructions[s.instruction] += times
    if run.open is not None:
        run.windows[run.open].instructions[s.instruction] += times
    if "BROADCASTS" in s.per:
        run.count("broadcast_invalidations", times, c.task)
        each = run.costs["full_flush_ns" if strides == 0 else "page_flush_ns"]
        if run.hardware.serial_machine:
            run.clock[cpu] = max(run.clock[cpu], run.channel)
        run.lost += times * each * (len(run.w.cpus) - 1)
        for other in range(len(run.w.cpus)):
            run.stolen[other] += times * each if other != cpu else 0
    if s.cost is not None:
        run.clock[cpu] += times * run.costs[s.cost]
        if "BROADCASTS" in s.per:
            run.channel = run.clock[cpu]
