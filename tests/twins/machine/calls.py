"""Calls to other CPUs in a run with clocks: interrupts, hypercalls, broadcasts, and what each is counted as."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from tests.twins.machine import flushes

if TYPE_CHECKING:
    from tests.twins.machine.clock import Run


def count_flush(run: Run, sender: int, did: frozenset[str]) -> None:
    """Count what a flush did on a CPU, for the task that sent it."""
    task = run.w.cpus[sender].task
    if "all" in did:
        run.count("full_flushes", 1, task)
        run.count("remote_full_flushes", 1, task)
    if "range" in did:
        run.count("page_invalidations", run.w.cpus[sender].strides, task)
    if "left" in did:
        run.count("lazy_switches", 1, task)


def calls_below(run: Run, cpu: int) -> int:
    """__sbi_rfence_v02(): a further call where one more hart would make the window of hart ids too wide."""
    reach, c = run.hardware.reach, run.w.cpus[cpu]
    if reach == 0:
        return 1
    called = set(c.targets)
    if c.about is not None and cpu in run.w.mms[c.about].cpumask:
        called.add(cpu)
    calls, ids = 0, []
    for other in sorted(called):
        number = run.hardware.numbers[other]
        if not ids or number - min(ids) >= reach or max(ids) - number >= reach:
            calls, ids = calls + 1, []
        ids.append(number)
    return calls


def interrupt(run: Run, sender: int, cpu: int, arrival: int, *, merged: bool = False) -> int:
    """Let a CPU take a call, in the handler that begins next if it is merged; returns when the handler ends."""
    strides = run.w.cpus[sender].strides
    did = flushes.take(run.w, sender, cpu)
    count_flush(run, sender, did)
    handler = run.costs["line_ns" if merged else "ipi_handler_ns"]
    if "range" in did:
        handler += strides * run.costs["page_flush_ns"]
    elif did:
        handler += run.costs["full_flush_ns"]
    if not merged:
        run.entered[cpu] = max(arrival, run.busy[cpu])
        run.count("interrupts_taken", 1, run.w.cpus[sender].task)
    run.busy[cpu] = (run.busy[cpu] if merged else run.entered[cpu]) + handler
    run.stolen[cpu] += handler
    run.handled[cpu] += handler
    run.lost += handler
    run.system += handler
    run.interrupts[cpu] += 1
    return run.busy[cpu]


def take_late(run: Run, cpu: int) -> None:
    """Take the calls that became pending while interrupts were off, or while the vCPU did not run."""
    merged = False
    for sender in range(len(run.w.cpus)):
        if flushes.can_take(run.w, sender, cpu):
            end = interrupt(run, sender, cpu, run.clock[cpu], merged=merged)
            merged = True
            run.answered[sender] = max(run.answered[sender], end)
            run.can_step(sender)


def needed(run: Run, cpu: int, task: int) -> int:
    """Count the targets of a sync that may be walking a table just unshared: no flush has interrupted them yet."""
    w, section = run.w, run.sections[run.section_of[task]]
    found = 0
    for other in w.cpus[cpu].targets - section.flushed:
        running = w.cpus[other].task
        mm = None if running is None else w.tasks[running].mm
        if mm is not None and any((mm, slot) in run.ever for slot in section.slots):
            found += 1
            section.needed[other] += 1
    section.slots = []
    return found


def count_flush_ipis(run: Run, cpu: int, task: int) -> None:
    w, c, section = run.w, run.w.cpus[cpu], run.sections[run.section_of[task]]
    assert c.about is not None
    loaded = c.targets & w.loaded(c.about)
    run.count("flush_ipis", len(c.targets), task)
    run.count("lazy_ipis", len(loaded & w.lazy()), task)
    run.count("trim_ipis", len(c.targets - loaded), task)
    section.flushed |= c.targets
    for other in c.targets:  # a sync IPI before, of the same unsharing, was not needed
        run.count("redundant_sync_ipis", section.needed.pop(other, 0), task)


def send_without_interrupts(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    c, costs = run.w.cpus[cpu], run.costs
    n, now = len(c.targets), run.clock[cpu]
    broadcasts = 0 if s.each < 0 else max(-(-c.strides // max(s.each, 1)), 1)
    calls = 1
    if s.call == "hypercall":
        calls = calls_below(run, cpu)
        run.count("hypercalls", calls, task)
    elif s.call == "broadcast":
        run.count("broadcast_invalidations", broadcasts, task)
    for other in sorted(c.targets):
        if flushes.can_take(run.w, cpu, other):
            did = flushes.take(run.w, cpu, other)
            if s.call == "hypercall":
                count_flush(run, cpu, did)
    run.answered[cpu], run.collecting[cpu] = now, 0
    if s.call == "hypercall":
        run.answered[cpu] = now + calls * costs["hypercall_ns"] + n * costs["hypercall_each_ns"]
    elif s.call == "broadcast":
        now += broadcasts * costs["broadcast_ns"]
        run.clock[cpu] = now
        if run.hardware.serial_machine:  # one channel carries them one after another
            now = max(now, run.channel)
            run.channel = now + n * costs["completion_each_ns"]
        run.answered[cpu] = now + costs["completion_ns"] + n * costs["completion_each_ns"]


def send(run: Run, cpu: int, task: int, s: SimpleNamespace) -> None:
    c, n = run.w.cpus[cpu], len(run.w.cpus[cpu].targets)
    if s.call in ("hypercall", "broadcast", "rcu"):
        send_without_interrupts(run, cpu, task, s)
        return
    if s.call == "sync":
        run.count("sync_broadcasts", 1, task)
        run.count("sync_ipis", n, task)
        run.count("redundant_sync_ipis", n - needed(run, cpu, task), task)
    elif s.call == "barrier":
        run.count("barrier_ipis", n, task)
    elif s.call == "kernel":
        run.count("flush_ipis", n, task)
    elif s.call == "transition":
        run.count("transition_ipis", n, task)
    else:
        count_flush_ipis(run, cpu, task)
    now = run.clock[cpu]
    for other in sorted(c.targets):
        if run.w.cpus[other].preempted and other not in run.resumes:
            run.resumes[other] = now + run.costs["preempted_ns"]
            if other not in run.able:
                run.clock[other] = run.resumes[other]
                run.able.add(other)
                run.only_resumes.add(other)
    run.answered[cpu], run.collecting[cpu] = now, 0
    if n == 0:
        return
    run.clock[cpu] += run.costs["ipi_send_ns"] + n * run.costs["ipi_send_each_ns"]
    merged = {
        other for other in c.targets if run.entered[other] > run.clock[cpu]
    }  # their queues are not empty
    cluster, words = run.hardware.writes
    if cluster:
        run.clock[cpu] += (
            words * len({other // cluster for other in c.targets - merged}) * run.costs["ipi_write_ns"]
        )
    if run.hardware.scan_misses:
        run.clock[cpu] += len(c.targets - merged) * run.costs["ipi_scan_ns"]
    run.collecting[cpu] = n * run.costs["ipi_answer_each_ns"]
    arrival = run.clock[cpu] + run.costs["ipi_latency_ns"]
    end = arrival
    for other in sorted(c.targets):
        if flushes.can_take(run.w, cpu, other):
            end = max(end, interrupt(run, cpu, other, arrival, merged=other in merged))
    run.answered[cpu] = max(run.answered[cpu], end)
