"""A run with clocks: the earliest CPU takes the next step, each interrupt is delivered by itself, counts are kept.

Times are whole picoseconds. A CPU's clock is when it can take its next step. Handlers that interrupt it put its next
step off; while it idles or waits they cost nothing beyond their own end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

from tests.twins.machine import flushes
from tests.twins.machine.steps import (
    ENDED,
    FAILED,
    LOCKED,
    PARKED,
    UNANSWERED,
    UNTOLD,
    lock_of,
    next_step,
    take_step,
)
from tests.twins.machine.world import SLOT, World

SECOND = 10**12
FIRST_PID = 1000
LOCKING = ("LOCK_READ", "LOCK_WRITE")
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


class HangsError(Exception):
    """Tasks wait for ever."""


class TooLongError(Exception):
    """The run takes more steps than were allowed."""


@dataclass(frozen=True)
class Hardware:
    """What a platform and a machine say beyond the programs.

    Args:
        costs: picoseconds by name.
        tick: the length of a jiffy in picoseconds.
        walk_entries, huge_entries: entries that a CPU's caches have for walks and huge pages.
        pages_per_table: the huge pages that a process uses in each table.
        sections: i_mmap_rwsems.
        numbers, reach: hart ids, and how far apart they may be for one call of what runs below; 0: any.
    """

    costs: Mapping[str, int]
    tick: int
    walk_entries: int
    huge_entries: int
    pages_per_table: int
    sections: int
    numbers: tuple[int, ...]
    reach: int


@dataclass
class Section:
    """What happened since an i_mmap_rwsem was taken, to tell which sync IPIs were not needed."""

    flushed: set[int] = field(default_factory=set)
    needed: Counter[int] = field(default_factory=Counter)
    slots: list[int] = field(default_factory=list)


@dataclass
class Window:
    """A counting window."""

    counts: Counter[str] = field(default_factory=Counter)
    of_actor: Counter[str] = field(default_factory=Counter)
    instructions: Counter[int] = field(default_factory=Counter)
    begun: int = 0
    ended: int = 0


class Run:
    """A machine that runs to its end; see the attributes for what was counted."""

    def __init__(self, w: World, hardware: Hardware, ready: tuple[int, ...], most_steps: int) -> None:
        cpus = len(w.cpus)
        self.w, self.hardware, self.costs = w, hardware, hardware.costs
        self.counts: Counter[str] = Counter()
        self.instructions: Counter[int] = Counter()
        self.windows: dict[int, Window] = defaultdict(Window)
        self.open: int | None = None
        self.actor = -1
        self.interrupts = [0] * cpus
        self.interrupts_until_closed = list(self.interrupts)
        self.steps = 0
        self.most_steps = most_steps
        self.clock = [0] * cpus
        self.stolen = [0] * cpus  # handlers' time that puts the next step off
        self.busy = [0] * cpus  # when the last handler ends
        self.answered = [0] * cpus  # when the sender of a call has its answers
        self.collecting = [0] * cpus
        self.able: set[int] = set()  # CPUs with a step to take
        self.resumes: dict[int, int] = {}  # when the host runs a preempted vCPU again
        self.only_resumes: set[int] = set()
        self.queues: list[list[int]] = [[] for _ in range(cpus)]
        self.ready_at: dict[int, int] = {}
        self.lock_queues: dict[int, list[int]] = defaultdict(list)
        self.event_queues: dict[int, list[int]] = defaultdict(list)
        self.spins: set[int] = set()  # tasks that are done and spin
        self.unfinished = len(w.tasks)
        self.last_cpu = 0
        self.trims = [SECOND] * len(w.mms)
        self.asked = [0] * cpus
        self.channel = 0
        self.sections = [Section() for _ in range(hardware.sections + 1)]
        self.section_of = [hardware.sections] * len(w.tasks)
        self.unshared_of = [0] * len(w.tasks)
        self.ever = {
            (mm, slot) for mm, m in enumerate(w.mms) for slot, at in enumerate(m.pud) if at is not None
        }
        self.elapsed = 0
        for task in ready:
            self.make_ready(task, 0)
        self.run()
        if self.unfinished > 0:
            raise HangsError

    # --- the schedule

    def run(self) -> None:
        while self.able:
            if self.steps > self.most_steps:
                raise TooLongError
            for idle in self.only_resumes:
                self.stolen[idle] = 0  # handlers don't put off when the host runs it again
            cpu = min(self.able, key=lambda n: (self.clock[n] + self.stolen[n], n))
            self.clock[cpu] += self.stolen[cpu]
            self.stolen[cpu] = 0
            if cpu in self.resumes and self.clock[cpu] >= self.resumes[cpu]:
                self.resume(cpu)
                continue
            self.step(cpu)
            self.elapsed = max(self.elapsed, self.clock[cpu])

    def resume(self, cpu: int) -> None:
        del self.resumes[cpu]
        if cpu in self.only_resumes:
            self.only_resumes.discard(cpu)
            self.able.discard(cpu)
        flushes.enter_guest(self.w, cpu)
        self.take_late(cpu)

    def step(self, cpu: int) -> None:
        w = self.w
        task = w.cpus[cpu].task
        assert task is not None
        s = next_step(w, task)
        self.tell_time(cpu, task, s)
        self.steps += 1
        lock = -1
        if s.name in LOCKING and self.lock_queues[lock_of(w, task, s)]:
            stop = LOCKED  # behind those that wait already
        else:
            if s.name.startswith("UNLOCK"):
                lock = lock_of(w, task, s)
            stop = take_step(w, task)
        if stop is not None:
            self.blocked(cpu, task, s, stop)
            return
        if s.charge is not None:
            self.clock[cpu] += self.costs[s.charge] * (s.times if s.name == "WORK" else 1)
        if lock >= 0:
            self.hand_over(lock, self.clock[cpu])
        effect = getattr(self, f"after_{s.name.lower()}", None)
        if effect is not None:
            effect(cpu, task, s)

    def tell_time(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        """Tell the machine what only a clock knows, before the step that asks."""
        on = self.w.tasks[task].on
        now = self.clock[cpu]
        if s.name == "TARGET_LOADED":
            assert on is not None
            if now >= self.trims[on]:
                self.w.mms[on].trim_due = True
                self.trims[on] = now + SECOND
        elif s.name == "JUMP_NOT_DUE":
            assert on is not None
            self.asked[cpu] += 1
            if self.asked[cpu] >= s.period:
                self.asked[cpu] = 0
                self.w.mms[on].trim_due = True
        elif s.name == "CONSIDER_GLOBAL":
            assert on is not None
            if (FIRST_PID + task) % 32 == now // self.hardware.tick % 32:
                self.w.mms[on].consider = True

    def blocked(self, cpu: int, task: int, s: SimpleNamespace, stop: str) -> None:
        if stop is LOCKED:
            self.lock_queues[lock_of(self.w, task, s)].append(task)
            self.count("lock_waits", 1, task)
            if s.sleeps:
                self.next_task(cpu)
            else:
                self.leave(cpu)
        elif stop is UNANSWERED:
            self.leave(cpu)
        elif stop is UNTOLD:
            self.event_queues[s.event].insert(0, task)
            self.next_task(cpu)
        elif stop in (ENDED, FAILED):
            self.unfinished -= 1
            self.next_task(cpu)
        else:
            assert stop is PARKED
            if s.mode != 1:
                self.unfinished -= 1
                self.next_task(cpu)
                return
            if task not in self.spins:
                self.unfinished -= 1
                self.spins.add(task)
            self.spin(cpu, task)

    def spin(self, cpu: int, task: int) -> None:
        """Leave a CPU to a task that spins; those of its queue that don't spin run first."""
        queue = self.queues[cpu]
        other = [waiting for waiting in queue if waiting not in self.spins]
        if not other:
            self.leave(cpu)
            return
        queue.remove(other[0])
        queue.insert(0, other[0])
        queue.append(task)
        self.ready_at[task] = self.clock[cpu]
        self.next_task(cpu)

    def leave(self, cpu: int) -> None:
        """The CPU has no step to take; a preempted vCPU that was called comes back to answer."""
        self.able.discard(cpu)
        if cpu in self.resumes:
            self.clock[cpu] = max(self.clock[cpu], self.resumes[cpu])
            self.able.add(cpu)
            self.only_resumes.add(cpu)

    def next_task(self, cpu: int) -> None:
        if not self.queues[cpu]:
            self.leave(cpu)
            flushes.switch(self.w, cpu, None)
            return
        task = self.queues[cpu].pop(0)
        self.clock[cpu] = max(self.clock[cpu], self.ready_at[task])
        self.run_on(cpu, task)

    def run_on(self, cpu: int, task: int) -> None:
        root = flushes.switch(self.w, cpu, task)
        self.clock[cpu] += self.costs["switch_ns"]
        self.count("context_switches", 1, task)
        if root:
            self.count("root_loads", 1, task)
        self.can_step(cpu)

    def can_step(self, cpu: int) -> None:
        if cpu in self.only_resumes:
            self.stolen[cpu] = 0
        self.able.add(cpu)
        self.only_resumes.discard(cpu)

    def make_ready(self, task: int, time: int) -> None:
        w = self.w
        if w.tasks[task].home is None:
            w.tasks[task].home = self.chosen_cpu()
        cpu = w.tasks[task].home
        assert cpu is not None
        current = w.cpus[cpu].task
        spins = current is not None and current in self.spins
        if spins:
            assert current is not None
            self.queues[cpu].append(current)
            self.ready_at[current] = time
        if spins or current is None:
            if cpu in self.able and cpu not in self.only_resumes:
                self.clock[cpu] += self.stolen[cpu]  # it is still switching to the task that spins
            self.clock[cpu] = max(self.clock[cpu], time, self.busy[cpu])
            self.stolen[cpu] = 0
            self.run_on(cpu, task)
        else:
            self.queues[cpu].append(task)
            self.ready_at[task] = time

    def chosen_cpu(self) -> int:
        """select_task_rq_fork(): the next idle CPU in turn, else the next without a queue, else the next."""
        n = len(self.w.cpus)
        turn = [(self.last_cpu + i) % n for i in range(1, n + 1)]
        idle = [cpu for cpu in turn if self.w.cpus[cpu].task is None]
        short = [cpu for cpu in turn if not self.queues[cpu]]
        self.last_cpu = (idle or short or turn)[0]
        return self.last_cpu

    def hand_over(self, lock: int, time: int) -> None:
        """Give a released lock to who waits longest, and to further readers behind a reader."""
        queue = self.lock_queues[lock]
        while queue:
            task = queue[0]
            s = next_step(self.w, task)
            if take_step(self.w, task) is not None:
                return
            queue.pop(0)
            if s.sleeps:
                self.make_ready(task, time + self.costs["lock_wake_ns"])
                continue
            cpu = self.w.tasks[task].home
            assert cpu is not None
            self.clock[cpu] = max(self.clock[cpu], time + self.costs["lock_handoff_ns"])
            self.stolen[cpu] = 0
            self.can_step(cpu)

    # --- counting

    def count(self, what: str, n: int, task: int | None) -> None:
        self.counts[what] += n
        if self.open is not None:
            self.windows[self.open].counts[what] += n
            if task == self.actor:
                self.windows[self.open].of_actor[what] += n

    def count_flush(self, sender: int, did: frozenset[str]) -> None:
        """Count what a flush did on a CPU, for the task that sent it."""
        task = self.w.cpus[sender].task
        if "all" in did:
            self.count("full_flushes", 1, task)
            self.count("remote_full_flushes", 1, task)
        if "range" in did:
            self.count("page_invalidations", self.w.cpus[sender].strides, task)
        if "left" in did:
            self.count("lazy_switches", 1, task)

    # --- effects of steps

    def after_spawn(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        child = self.w.tasks[s.task].on
        if child is not None:
            self.trims[child] = self.clock[cpu] + SECOND  # init_new_context()
        self.make_ready(s.task, self.clock[cpu] + self.costs["start_ns"])

    def after_signal(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        waiting, self.event_queues[s.event] = self.event_queues[s.event], []
        for waiter in waiting:
            if take_step(self.w, waiter) is None:
                self.make_ready(waiter, self.clock[cpu] + self.costs["lock_wake_ns"])
            else:
                self.event_queues[s.event].insert(0, waiter)

    def after_migrate(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        time = self.clock[cpu] + self.costs["migrate_ns"]
        self.next_task(cpu)
        self.make_ready(task, time)

    def after_unshare(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        registers = self.w.tasks[task].registers
        self.count("unshared_tables", 1, task)
        if self.w.tables[(registers[2] - 1, registers[SLOT])].sharers == 1:
            self.count("fully_unshared_tables", 1, task)
        self.unshared_of[task] += 1

    def after_set_pud(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        on = self.w.tasks[task].on
        assert on is not None
        self.ever.add((on, self.w.tasks[task].registers[SLOT]))

    after_populate = after_set_pud

    def after_clear_pud(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        slots = self.sections[self.section_of[task]].slots
        if len(slots) < self.w.rules.slots:
            slots.append(self.w.tasks[task].registers[SLOT])

    def after_mark(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        window = self.windows[s.window]
        if not s.opens:
            self.open = None
            window.ended = self.clock[cpu]
            self.interrupts_until_closed = list(self.interrupts)
            return
        self.open, self.actor = s.window, s.actor
        window.begun = self.clock[cpu]
        self.interrupts = [0] * len(self.w.cpus)

    def after_note(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        if s.what == "NOTE_SECTION":
            if s.times:
                self.section_of[task] = s.section
                self.sections[s.section] = Section()
            else:
                self.section_of[task] = self.hardware.sections
        elif s.what == "NOTE_AUDIT":
            self.audit(task)
        else:
            self.count(NOTED[s.what], s.times, task)

    def audit(self, task: int) -> None:
        """Count entries into unshared tables that hardware could still use when i_mmap_rwsem drops."""
        on = self.w.tasks[task].on
        assert on is not None
        m, tables = self.w.mms[on], self.unshared_of[task]
        self.unshared_of[task] = 0
        usable = {n for n in self.w.loaded(on) if not self.w.cpus[n].flush_on_entry}
        hw = self.hardware
        stale = len(m.stale_walk & usable) * min(tables, hw.walk_entries)
        stale += len(m.stale_leaf & usable) * min(tables * hw.pages_per_table, hw.huge_entries)
        self.count("stale_entries_left", stale, task)

    def after_flush_begin(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        g = self.w.tasks[task].gathers[s.gather]
        self.count("flush_requests", 1, task)
        if g.flags & {"FULLMM", "NEED_FLUSH_ALL"} or "EVERYTHING" in s.how:
            self.count("flush_whole_mm", 1, task)

    def after_flush_self(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        strides, did = self.w.cpus[cpu].strides, self.w.did
        if did == "all":
            self.count("full_flushes", 1, task)
            self.clock[cpu] += self.costs["full_flush_ns"]
        elif did == "range":
            self.count("page_invalidations", strides, task)
            self.clock[cpu] += strides * self.costs["page_flush_ns"]
        elif did == "left":
            self.count("lazy_switches", 1, task)
            self.clock[cpu] += self.costs["full_flush_ns"]
        if s.own_handler and did != "left":
            self.count("own_handler_runs", 1, task)

    def after_flush_local_pages(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        self.count("page_invalidations", s.pages, task)
        self.clock[cpu] += s.pages * self.costs["page_flush_ns"]

    def after_irq_on(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        self.take_late(cpu)

    def after_wait(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        self.clock[cpu] = max(self.clock[cpu], self.answered[cpu] + self.collecting[cpu], self.busy[cpu])
        self.stolen[cpu] = 0
        self.answered[cpu] = self.collecting[cpu] = 0

    def after_execute(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        c = self.w.cpus[cpu]
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
            times *= strides // self.w.rules.spans["pmd"]
        if "PER_TARGET" in s.per:
            times *= len(c.targets)
        if "PER_CALL_BELOW" in s.per:
            times *= self.calls_below(cpu)
        if ("ONE_STRIDE" in s.per and strides != 1) or ("MORE_STRIDES" in s.per and strides < 2):
            times = 0
        self.instructions[s.instruction] += times
        if self.open is not None:
            self.windows[self.open].instructions[s.instruction] += times
        if "BROADCASTS" in s.per:
            self.count("broadcast_invalidations", times, c.task)
            each = self.costs["full_flush_ns" if strides == 0 else "page_flush_ns"]
            self.clock[cpu] = max(self.clock[cpu], self.channel)
            for other in range(len(self.w.cpus)):
                self.stolen[other] += times * each if other != cpu else 0
        if s.cost is not None:
            self.clock[cpu] += times * self.costs[s.cost]
            if "BROADCASTS" in s.per:
                self.channel = self.clock[cpu]

    # --- calls

    def calls_below(self, cpu: int) -> int:
        """__sbi_rfence_v02(): a further call where one more hart would make the window of hart ids too wide."""
        reach, c = self.hardware.reach, self.w.cpus[cpu]
        if reach == 0:
            return 1
        called = set(c.targets)
        if c.about is not None and cpu in self.w.mms[c.about].cpumask:
            called.add(cpu)
        calls, ids = 0, []
        for other in sorted(called):
            number = self.hardware.numbers[other]
            if not ids or number - min(ids) >= reach or max(ids) - number >= reach:
                calls, ids = calls + 1, []
            ids.append(number)
        return calls

    def after_send(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        c, n = self.w.cpus[cpu], len(self.w.cpus[cpu].targets)
        if s.call in ("hypercall", "broadcast", "rcu"):
            self.send_without_interrupts(cpu, task, s)
            return
        if s.call == "sync":
            self.count("sync_broadcasts", 1, task)
            self.count("sync_ipis", n, task)
            self.count("redundant_sync_ipis", n - self.needed(cpu, task), task)
        elif s.call == "transition":
            self.count("transition_ipis", n, task)
        else:
            self.count_flush_ipis(cpu, task)
        now = self.clock[cpu]
        for other in sorted(c.targets):
            if self.w.cpus[other].preempted and other not in self.resumes:
                self.resumes[other] = now + self.costs["preempted_ns"]
                if other not in self.able:
                    self.clock[other] = self.resumes[other]
                    self.able.add(other)
                    self.only_resumes.add(other)
        self.answered[cpu], self.collecting[cpu] = now, 0
        if n == 0:
            return
        self.clock[cpu] += self.costs["ipi_send_ns"] + n * self.costs["ipi_send_each_ns"]
        self.collecting[cpu] = n * self.costs["ipi_answer_each_ns"]
        arrival = self.clock[cpu] + self.costs["ipi_latency_ns"]
        end = arrival
        for other in sorted(c.targets):
            if flushes.can_take(self.w, cpu, other):
                end = max(end, self.interrupt(cpu, other, arrival))
        self.answered[cpu] = max(self.answered[cpu], end)

    def interrupt(self, sender: int, cpu: int, arrival: int) -> int:
        """Let a CPU take an interrupt; returns when its handler ends."""
        strides = self.w.cpus[sender].strides
        did = flushes.take(self.w, sender, cpu)
        self.count_flush(sender, did)
        handler = self.costs["ipi_handler_ns"]
        if "range" in did:
            handler += strides * self.costs["page_flush_ns"]
        elif did:
            handler += self.costs["full_flush_ns"]
        self.busy[cpu] = max(arrival, self.busy[cpu]) + handler
        self.stolen[cpu] += handler
        self.interrupts[cpu] += 1
        return self.busy[cpu]

    def take_late(self, cpu: int) -> None:
        """Take the calls that became pending while interrupts were off, or while the vCPU did not run."""
        for sender in range(len(self.w.cpus)):
            if flushes.can_take(self.w, sender, cpu):
                end = self.interrupt(sender, cpu, self.clock[cpu])
                self.answered[sender] = max(self.answered[sender], end)
                self.can_step(sender)

    def needed(self, cpu: int, task: int) -> int:
        """Count the targets of a sync that may be walking a table just unshared: no flush has interrupted them yet."""
        w, section = self.w, self.sections[self.section_of[task]]
        found = 0
        for other in w.cpus[cpu].targets - section.flushed:
            running = w.cpus[other].task
            mm = None if running is None else w.tasks[running].mm
            if mm is not None and any((mm, slot) in self.ever for slot in section.slots):
                found += 1
                section.needed[other] += 1
        section.slots = []
        return found

    def count_flush_ipis(self, cpu: int, task: int) -> None:
        w, c, section = self.w, self.w.cpus[cpu], self.sections[self.section_of[task]]
        assert c.about is not None
        loaded = c.targets & w.loaded(c.about)
        self.count("flush_ipis", len(c.targets), task)
        self.count("lazy_ipis", len(loaded & w.lazy()), task)
        self.count("trim_ipis", len(c.targets - loaded), task)
        section.flushed |= c.targets
        for other in c.targets:  # a sync IPI before, of the same unsharing, was not needed
            self.count("redundant_sync_ipis", section.needed.pop(other, 0), task)

    def send_without_interrupts(self, cpu: int, task: int, s: SimpleNamespace) -> None:
        c, costs = self.w.cpus[cpu], self.costs
        n, now = len(c.targets), self.clock[cpu]
        broadcasts = 0 if s.each < 0 else max(-(-c.strides // max(s.each, 1)), 1)
        calls = 1
        if s.call == "hypercall":
            calls = self.calls_below(cpu)
            self.count("hypercalls", calls, task)
        elif s.call == "broadcast":
            self.count("broadcast_invalidations", broadcasts, task)
        for other in sorted(c.targets):
            if flushes.can_take(self.w, cpu, other):
                did = flushes.take(self.w, cpu, other)
                if s.call == "hypercall":
                    self.count_flush(cpu, did)
        self.answered[cpu], self.collecting[cpu] = now, 0
        if s.call == "hypercall":
            self.answered[cpu] = now + calls * costs["hypercall_ns"] + n * costs["hypercall_each_ns"]
        elif s.call == "broadcast":
            now += broadcasts * costs["broadcast_ns"]
            self.clock[cpu] = now
            if s.each < 0:  # one channel carries them one after another
                now = max(now, self.channel)
                self.channel = now + n * costs["completion_each_ns"]
            self.answered[cpu] = now + costs["completion_ns"] + n * costs["completion_each_ns"]
