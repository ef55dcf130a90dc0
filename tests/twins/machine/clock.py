"""A run with clocks: the earliest CPU takes the next step, each interrupt is delivered by itself, counts are kept.

Times are whole picoseconds. A CPU's clock is when it can take its next step. Handlers that interrupt it put its next
step off; while it idles or waits they cost nothing beyond their own end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from types import SimpleNamespace

from tests.twins.machine import flushes
from tests.twins.machine.books import SECOND, Hardware, Section, Window
from tests.twins.machine.calls import take_late
from tests.twins.machine.effects import EFFECTS
from tests.twins.machine.steps import next_step, take_step
from tests.twins.machine.steps.locks import lock_of
from tests.twins.machine.steps.step import ENDED, FAILED, LOCKED, PARKED, UNANSWERED, UNTOLD
from tests.twins.machine.world import World

FIRST_PID = 1000
SPENDING = ("SEND", "WAIT", "FLUSH_SELF", "FLUSH_LOCAL_PAGES", "KERNEL_SELF", "EXECUTE")
USER = ("user_ns", "start_ns", "ns")
LOCKING = ("LOCK_READ", "LOCK_WRITE")


class HangsError(Exception):
    """Tasks wait for ever."""


class TooLongError(Exception):
    """The run takes more steps than were allowed."""


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
        self.began = [0] * cpus  # when its task began to run
        self.stolen = [0] * cpus  # handlers' time that puts the next step off
        self.handled = [0] * cpus  # all time in handlers
        self.system = 0  # kernel time on all CPUs
        self.user = 0  # time in user mode on all CPUs
        self.since: dict[
            int, tuple[int, int]
        ] = {}  # when a task began to spin, and the time in handlers then
        self.lost = 0  # what calls took from CPUs other than their sender
        self.busy = [0] * cpus  # when the last handler ends
        self.entered = [0] * cpus  # when it begins: until then, a further call needs no interrupt
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
        self.hopes: dict[int, int] = {}  # tasks that spin for a lock for which others sleep, and that lock
        self.unfinished = len(w.tasks)
        self.last_cpu = 0
        self.drawn = (hardware.seed * 2654435761 + 88172645463325252) % 2**63 or 1
        self.trims = [SECOND] * len(w.mms)
        self.asked = [0] * cpus
        self.channel = 0
        self.free: dict[tuple[str, int], int] = defaultdict(int)  # when what serves one CPU at a time is free
        self.last_user: dict[tuple[str, int], int] = {}
        self.sections = [Section() for _ in range(hardware.sections + 1)]
        self.section_of = [hardware.sections] * len(w.tasks)
        self.unshared_of = [0] * len(w.tasks)
        self.ever = {
            (mm, slot) for mm, m in enumerate(w.mms) for slot, at in enumerate(m.pud) if at is not None
        }
        self.elapsed = 0
        for task in ready:
            self.make_ready(task, 0)
        self.system = 0  # how each came to its CPU is not asked
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
        take_late(self, cpu)

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
            if s.name.startswith(("UNLOCK", *LOCKING)):
                lock = lock_of(w, task, s)
            stop = take_step(w, task)
        if stop is not None:
            self.blocked(cpu, task, s, stop)
            return
        self.serve(cpu, task, s, lock)
        if s.charge is not None and not (s.charge == "lru_ns" and "node" in self.hardware.serial):
            time = self.costs[s.charge] * (s.times if s.name == "WORK" else 1)
            self.clock[cpu] += time
            if s.charge in USER:
                self.user += time
            else:
                self.system += time
        before = self.clock[cpu]
        if lock >= 0 and s.name.startswith("UNLOCK"):
            self.hand_over(cpu, lock, self.clock[cpu])
        if s.name in EFFECTS:
            EFFECTS[s.name](self, cpu, task, s)
        if s.name in SPENDING:
            self.system += self.clock[cpu] - before

    def serve(self, cpu: int, task: int, s: SimpleNamespace, lock: int) -> None:
        """Let what a step uses serve its CPU, after those that came before; what it used last costs nothing."""
        kind, which, service = "", 0, 0
        if lock >= 0:
            kind, which, service = "lock", lock, self.costs["line_ns"]
        elif s.name == "FLUSH_BEGIN":
            on = self.w.tasks[task].on
            assert on is not None
            kind, which, service = "mm", on, self.costs["line_ns"]
        elif s.name == "WORK" and s.charge in ("small_fault_ns", "zap_ns") and not s.keeps:
            kind, service = "node", self.costs["zone_ns"] * s.times // 63
        elif s.name == "WORK" and s.charge == "lru_ns":
            kind, service = "node", self.costs["lru_ns"]
        if kind not in self.hardware.serial:
            return
        last = self.last_user.get((kind, which))
        self.last_user[kind, which] = cpu
        if last is None or last == cpu:
            return
        end = max(self.clock[cpu], self.free[kind, which]) + service
        self.system += end - self.clock[cpu]
        self.clock[cpu] = self.free[kind, which] = end

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
            self.since[task] = self.clock[cpu], self.handled[cpu]
            self.count("lock_waits", 1, task)
            if not s.sleeps:
                self.leave(cpu)
            elif self.may_hope(cpu, task, s):
                self.hopes[task] = lock_of(self.w, task, s)
                self.leave(cpu)
            else:
                self.next_task(cpu)
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

    def may_hope(self, cpu: int, task: int, s: SimpleNamespace) -> bool:
        """Optimistic spinning: a writer, while a writer holds the lock, on a CPU that nobody else wants."""
        if s.name != "LOCK_WRITE" or s.at_once or self.queues[cpu]:
            return False
        return self.w.locks[lock_of(self.w, task, s)][0]

    def gives_hope_up(self, cpu: int, task: int, time: int) -> None:
        """A task gets the lock for which it span, or sleeps from now on: until then it was in the kernel."""
        self.hopes.pop(task, None)
        began, handled = self.since[task]
        self.system += max(time - began - (self.handled[cpu] - handled), 0)

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
        task = self.pulled(cpu) if not self.queues[cpu] and self.hardware.floating else None
        if task is None and not self.queues[cpu]:
            self.leave(cpu)
            flushes.switch(self.w, cpu, None)
            return
        if task is None:
            task = self.queues[cpu].pop(0)
        self.clock[cpu] = max(self.clock[cpu], self.ready_at[task])
        self.run_on(cpu, task)

    def run_on(self, cpu: int, task: int) -> None:
        root = flushes.switch(self.w, cpu, task)
        self.clock[cpu] += self.costs["switch_ns"]
        self.system += self.costs["switch_ns"]
        self.began[cpu] = self.clock[cpu]
        self.count("context_switches", 1, task)
        if root:
            self.count("root_loads", 1, task)
        self.can_step(cpu)

    def can_step(self, cpu: int) -> None:
        if cpu in self.only_resumes:
            self.stolen[cpu] = 0
        self.able.add(cpu)
        self.only_resumes.discard(cpu)

    def wake(self, waker: int, task: int, time: int) -> None:
        """A task of the same CPU is queued; another CPU has to be interrupted, and to wake up itself."""
        far = self.w.tasks[task].home != waker or task in self.hardware.floating
        self.make_ready(task, time + far * self.costs["lock_wake_ns"])

    def make_ready(self, task: int, time: int) -> None:
        w = self.w
        if w.tasks[task].home is None:
            w.tasks[task].home = self.chosen_cpu()
        cpu = w.tasks[task].home
        assert cpu is not None
        current = w.cpus[cpu].task
        if task in self.hardware.floating and current is not None:
            idle = [other for other in self.in_turn() if w.cpus[other].task is None]
            if idle:
                cpu, current = idle[0], None
                time += self.moved(task, cpu)
        hopes = current is not None and current in self.hopes
        if hopes:
            assert current is not None
            self.gives_hope_up(cpu, current, time)
        spins = current is not None and current in self.spins
        if spins:
            assert current is not None
            self.queues[cpu].append(current)
            self.ready_at[current] = time
        if spins or hopes or current is None:
            if cpu in self.able and cpu not in self.only_resumes:
                self.clock[cpu] += self.stolen[cpu]  # it is still switching to the task that spins
            self.clock[cpu] = max(self.clock[cpu], time, self.busy[cpu])
            self.stolen[cpu] = 0
            self.run_on(cpu, task)
        else:
            self.queues[cpu].append(task)
            self.ready_at[task] = time

    def in_turn(self) -> list[int]:
        """All CPUs in turn from one that is drawn: xorshift."""
        n = len(self.w.cpus)
        x = self.drawn
        x ^= (x << 13) % 2**63
        x ^= x >> 7
        x ^= (x << 17) % 2**63
        self.drawn = x
        return [((x >> 17) + i) % n for i in range(n)]

    def moved(self, task: int, cpu: int) -> int:
        self.w.tasks[task].home = cpu
        self.count("migrations", 1, task)
        return self.costs["migrate_ns"]

    def pulled(self, cpu: int) -> int | None:
        """newidle_balance(): the first task that may move, of the queue that has most of them."""

        def movable(other: int) -> list[int]:
            return [t for t in self.queues[other] if t in self.hardware.floating and t not in self.spins]

        order = self.in_turn()
        busiest = max(order, key=lambda other: len(movable(other)))
        if not movable(busiest):
            return None
        task = movable(busiest)[0]
        self.queues[busiest].remove(task)
        self.ready_at[task] = max(self.ready_at[task], self.clock[cpu]) + self.moved(task, cpu)
        return task

    def chosen_cpu(self) -> int:
        """select_task_rq_fork(): the next idle CPU in turn, else the next without a queue, else the next."""
        n = len(self.w.cpus)
        turn = [(self.last_cpu + i) % n for i in range(1, n + 1)]
        idle = [cpu for cpu in turn if self.w.cpus[cpu].task is None]
        short = [cpu for cpu in turn if not self.queues[cpu]]
        self.last_cpu = (idle or short or turn)[0]
        return self.last_cpu

    def hand_over(self, releases: int, lock: int, time: int) -> None:
        """Give a released lock to the first who spins, else to who waits longest, and to readers behind a reader.

        Who has waited for 4 ms is not overtaken.
        """
        queue = self.lock_queues[lock]
        while queue:
            hoping = [
                task for task in queue if task in self.hopes and time - self.since[queue[0]][0] < 4 * 10**9
            ]
            task = (hoping or queue)[0]
            s = next_step(self.w, task)
            if take_step(self.w, task) is not None:
                return
            queue.remove(task)
            if s.sleeps and task not in self.hopes:
                self.wake(releases, task, time)
                continue
            cpu = self.w.tasks[task].home
            assert cpu is not None
            self.clock[cpu] = max(self.clock[cpu], time + self.costs["lock_handoff_ns"])
            self.gives_hope_up(cpu, task, self.clock[cpu])
            self.stolen[cpu] = 0
            self.can_step(cpu)

    # --- counting

    def count(self, what: str, n: int, task: int | None) -> None:
        self.counts[what] += n
        if self.open is not None:
            self.windows[self.open].counts[what] += n
            if task == self.actor:
                self.windows[self.open].of_actor[what] += n
