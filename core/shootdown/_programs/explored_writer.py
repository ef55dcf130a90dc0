"""Write an explored program: each thread has a CPU of its own, and one more CPU idles."""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._mm.model import Model
from shootdown._programs.exits import exits
from shootdown._programs.explored_hugetlb import HugetlbSpace
from shootdown._programs.explored_mixed import MixedSpace
from shootdown._programs.explored_ordinary import OrdinarySpace
from shootdown._programs.program import Statement
from shootdown._programs.small import Actor, Small, synchronises
from shootdown._programs.verbs import ENDLESS
from shootdown._values.setup import Setup


class Writer:
    """Write all threads of a program.

    Args:
        cut: the program.
        scene: what it is explored on.
        idle, marks: as for `explored.build`.
    """

    def __init__(self, cut: Small, scene: Setup, *, idle: bool, marks: bool) -> None:
        self.small = cut
        self.scene = scene
        huge = {memory.kind == "hugetlb" for memory in cut.program.memory.values()}
        space = MixedSpace if len(huge) > 1 else HugetlbSpace if True in huge else OrdinarySpace
        self.space: HugetlbSpace | OrdinarySpace | MixedSpace = space(cut, scene, marks=marks)
        ends = [actor.thread.body[-1].verb if actor.thread.body else "" for actor in cut.actors]
        self.idle = idle and "sleep" not in ends
        tasks = [number for number, actor in enumerate(cut.actors) if actor.begins != "exec"]
        #: By actor that is a task of its own, the number of its CPU.
        self.cpus = {number: cpu for cpu, number in enumerate(tasks)}
        daemons = sum(_by_daemon(one) for actor in cut.actors for one in actor.body)
        self.model: Model = self.space.model(len(tasks) + daemons + self.idle)
        #: What kswapd does: the number of the thread that asks, the statement, the events at its beginning and end.
        self._daemons: list[tuple[int, Statement, int, int]] = []
        names = [one.name for actor in cut.actors for one in actor.body if one.verb == "lock"]
        self.locks = {name: self.model.lock() for name in dict.fromkeys(names)}
        waits = [one.name for actor in cut.actors for one in actor.body if one.verb in ("wait", "signal")]
        self.events = {name: self.model.event() for name in dict.fromkeys(waits)}
        self._beginnings: dict[tuple[int, str, str], int] = {}
        #: By address space, of processes of which a thread ends others: it has killed them, and one has left.
        self._ends = {
            actor.mm: (self.model.event(), self.model.event())
            for actor in cut.actors
            if exits(actor.thread) and self._others(actor)
        }

    def _others(self, actor: Actor) -> int:
        """Return how many other threads the process of an actor has."""
        actors = self.small.actors
        moved = {other.earlier for other in actors if other.begins == "move"}
        alike = [n for n, other in enumerate(actors) if other.mm == actor.mm and n not in moved]
        return len(alike) - 1

    def problem(self, *, preemption: bool) -> Problem:
        """Write everything, and return what is searched; `preemption` as for `explored.build`."""
        model, actors = self.model, self.small.actors
        lanes = [f"{actors[number].name}: {_what(self._whole(number))}" for number in self.cpus]
        for number, cpu in self.cpus.items():
            model.starts(model.task(mm=actors[number].mm, cpu=cpu, ready=True))
            self._begin(cpu, number, actors[number])
            self._write(number, actors[number])
        for cpu, daemon in enumerate(self._daemons, len(self.cpus)):
            self._write_daemon(cpu, *daemon)
            lanes.append("kswapd")
        if self.idle:
            busy = max(range(self.small.mms), key=lambda mm: sum(len(a.body) for a in actors if a.mm == mm))
            model.keep_lazy(len(self.cpus) + len(self._daemons), busy)
            whose = next(actor.process.name for actor in actors if actor.mm == busy)
            lanes.append(f"idle, with the mm of {whose}" if self.small.mms > 1 else "idle")
        return Problem(
            machine=model.build(bits=16, memory=self.scene.memory if self.space.buffers else 0),
            invariants=self.space.invariants,
            places=self.space.places,
            walkers=not self.space.user_mode,
            hypervisor=self.scene.preempts,
            scheduler=synchronises(actors),
            preemption=preemption and not synchronises(actors),
            lanes=tuple(lanes),
            remarks=(self._remark(),),
        )

    def _remark(self) -> str:
        cut = (*self.small.cut, *self.space.cut_text)
        cpus = f"{self.model.cpus} CPUs{', one of them idle' if self.idle else ''}"
        if self.small.program.scheduled:
            cut = (*cut, "each thread on a CPU of its own")
        return f"explored small, and a verdict for this size: {'; '.join((cpus, *cut))}"

    def _whole(self, number: int) -> tuple[Statement, ...]:
        """Return the statements of a task: those of an actor, and after each `exec` of the one that follows."""
        body = self.small.actors[number].body
        return (*body, *self._whole(number + 1)) if body and body[-1].verb == "exec" else body

    def _begin(self, cpu: int, number: int, actor: Actor) -> None:
        """Write what comes before a thread's first statement: one that is not there at first waits until it is."""
        if actor.begins:
            event = self._beginning(actor, f"{number}" if actor.begins == "move" else "")
            self.model.asm.await_event(event, 1, text=f"there is no {actor.name} yet")
            if self.space.user_mode:
                self.model.asm.user_mode(True, text=f"{actor.name} begins")
        elif self.space.user_mode:
            self.model.user_mode(cpu)

    def _beginning(self, actor: Actor, number: str = "") -> int:
        """Return the event that a thread begins with; `number`: the actor's, if a thread has come from another CPU."""
        key = (actor.mm, actor.thread.name if actor.begins == "start" else "", number)
        if key not in self._beginnings:
            self._beginnings[key] = self.model.event()
        return self._beginnings[key]

    def _fork(self, number: int, actor: Actor, one: Statement) -> None:
        child = self.small.children[id(one)]
        self.space.fork(number, actor, child)
        begins = next(other for other in self.small.actors if other.mm == child and other.begins == "fork")
        self.model.asm.signal(self._beginning(begins), text="wake_up_new_task")
        if self.space.user_mode:
            self.model.asm.user_mode(True, text="returns to user mode")

    def _start(self, actor: Actor, one: Statement) -> None:
        begins = next(
            other for other in self.small.actors if other.mm == actor.mm and other.thread.name == one.name
        )
        self.model.asm.signal(self._beginning(begins), text="wake_up_new_task: a thread begins")

    def _membarrier(self, number: int, actor: Actor, one: Statement) -> None:
        threads = sum(other.mm == actor.mm and other.begins != "move" for other in self.small.actors)
        with self.space.in_kernel(number, actor, "membarrier()"):
            self.model.calls.membarrier(one.word, alone=threads == 1)
            if one.word == "GLOBAL":
                self.model.synchronize_rcu()

    def _wake_daemon(self, number: int, one: Statement) -> None:
        """Write that a thread computes in user mode until kswapd is through."""
        begins, ends = self.model.event(), self.model.event()
        self._daemons.append((number, one, begins, ends))
        self.model.asm.signal(begins, text="memory is short: kswapd wakes up")
        self.model.asm.await_event(ends, 1, text="computes until kswapd is through")

    def _write_daemon(self, cpu: int, number: int, one: Statement, begins: int, ends: int) -> None:
        model = self.model
        model.starts(model.task(mm=None, cpu=cpu, ready=True))
        model.asm.await_event(begins, 1, text="kswapd sleeps")
        model.asm.on_mm(self.small.actors[number].mm, text="the reverse map leads to this mm")
        self.space.write(number, one)
        model.asm.signal(ends, text="kswapd is through")
        model.asm.halt()

    def _move(self, number: int) -> None:
        """Write sched_setaffinity(): the thread goes on elsewhere, and its CPU idles and keeps the mm lazily."""
        if self.space.user_mode:
            self.model.asm.user_mode(False, text="sched_setaffinity()")
        event = self._beginning(self.small.actors[number + 1], f"{number + 1}")
        self.model.asm.signal(event, text="the thread goes on, on another CPU")
        self.model.sleep()

    def _kill_others(self, actor: Actor) -> None:
        """Write that exit() kills the other threads of the process, if any, and waits until they have left."""
        if actor.mm in self._ends:
            told, left = self._ends[actor.mm]
            if self.space.user_mode:
                self.model.asm.user_mode(False, text="exit_group()")
            self.model.asm.signal(told, text="zap_other_threads")
            self.model.asm.await_event(left, self._others(actor), text="the other threads have left")

    def _leave(self, actor: Actor) -> None:
        """Write the end of a thread that another one kills; until then it runs in user mode, or sleeps."""
        asm, (told, left) = self.model.asm, self._ends[actor.mm]
        asm.await_event(told, 1, text=f"{actor.name} is killed")
        if self.space.user_mode:
            asm.user_mode(False, text="do_exit()")
        self.model.calls.exit_mm()
        asm.signal(left, text="the thread has left")
        asm.halt()

    def _write(self, number: int, actor: Actor) -> None:
        model, asm = self.model, self.model.asm
        ends = ""
        for one in actor.body:
            ends = one.verb
            if one.verb in ENDLESS:
                break
            if one.verb == "signal":
                model.signal(self.events[one.name])
            elif one.verb == "wait":
                model.wait(self.events[one.name], one.number, takes=one.name in self.small.used_up)
            elif one.verb == "lock":
                asm.lock(self.locks[one.name], write=True, sleeps=True, at_once=True, text=one.name)
            elif one.verb == "unlock":
                asm.unlock(self.locks[one.name], write=True, text=one.name)
            elif one.verb == "fork":
                self._fork(number, actor, one)
            elif one.verb == "start":
                self._start(actor, one)
            elif _by_daemon(one):
                self._wake_daemon(number, one)
            elif one.verb == "membarrier":
                self._membarrier(number, actor, one)
            elif one.verb == "exec":
                then = self.small.actors[number + 1]
                self.space.exec(actor, then.mm)
                self._write(number + 1, then)
                return
            elif one.verb == "move":
                self._move(number)
                return
            elif one.verb == "exit":
                self._kill_others(actor)
                self.space.exit(actor)
                if actor.process.name in self.events:
                    model.signal(self.events[actor.process.name])
            else:
                self.space.write(number, one)
        self.space.goes_on(actor, ends)
        killed = actor.mm in self._ends and not exits(actor.thread)
        if self.space.user_mode and ends == "sleep":
            asm.user_mode(False, text="the thread leaves user mode")
        if killed:
            self._leave(actor)
        elif ends == "exit":
            asm.halt()
        elif ends == "sleep":
            model.sleep()
        else:
            model.spin()


def _by_daemon(one: Statement) -> bool:
    """Whether kswapd does what a statement says, on a CPU of its own."""
    return one.verb == "reclaim" and bool(one.word)


def _what(body: tuple[Statement, ...]) -> str:
    """Say what a thread does, in few words."""
    names = [one.text for one in body if one.verb not in ENDLESS]
    last = body[-1].verb if body and body[-1].verb == "sleep" else ""
    return ", ".join(names) or ("sleeps" if last else "runs")
