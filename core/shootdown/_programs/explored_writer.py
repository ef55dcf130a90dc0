"""Write an explored program: each thread has a CPU of its own, and one more CPU idles."""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._mm.model import Model
from shootdown._programs.explored_hugetlb import HugetlbSpace
from shootdown._programs.explored_ordinary import OrdinarySpace
from shootdown._programs.program import Statement
from shootdown._programs.small import Actor, Small, synchronises
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
        huge = any(memory.kind == "hugetlb" for memory in cut.program.memory.values())
        self.space: HugetlbSpace | OrdinarySpace = (HugetlbSpace if huge else OrdinarySpace)(
            cut, scene, marks=marks
        )
        ends = [actor.thread.body[-1].verb if actor.thread.body else "" for actor in cut.actors]
        self.idle = idle and "sleep" not in ends
        self.model: Model = self.space.model(len(cut.actors) + self.idle)
        names = [one.name for actor in cut.actors for one in actor.body if one.verb == "lock"]
        self.locks = {name: self.model.lock() for name in dict.fromkeys(names)}
        waits = [one.name for actor in cut.actors for one in actor.body if one.verb in ("wait", "signal")]
        self.events = {name: self.model.event() for name in dict.fromkeys(waits)}
        self._beginnings: dict[tuple[int, str], int] = {}

    def problem(self, *, preemption: bool) -> Problem:
        """Write everything, and return what is searched; `preemption` as for `explored.build`."""
        model, actors = self.model, self.small.actors
        lanes = [f"{actor.name}: {_what(actor)}" for actor in actors]
        for number, actor in enumerate(actors):
            model.starts(model.task(mm=actor.mm, cpu=number, ready=True))
            self._begin(number, actor)
            self._write(number, actor)
        if self.idle:
            busy = max(range(self.small.mms), key=lambda mm: sum(len(a.body) for a in actors if a.mm == mm))
            model.keep_lazy(len(actors), busy)
            whose = next(actor.process.name for actor in actors if actor.mm == busy)
            lanes.append(f"idle, with the mm of {whose}" if self.small.mms > 1 else "idle")
        ordinary = isinstance(self.space, OrdinarySpace)
        return Problem(
            machine=model.build(bits=16, memory=self.scene.memory if ordinary else 0),
            invariants=self.space.invariants,
            places=self.space.places,
            walkers=not ordinary,
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

    def _begin(self, number: int, actor: Actor) -> None:
        """Write what comes before a thread's first statement: one that is not there at first waits until it is."""
        ordinary = isinstance(self.space, OrdinarySpace)
        if actor.begins:
            self.model.asm.await_event(self._beginning(actor), 1, text=f"there is no {actor.name} yet")
            if ordinary:
                self.model.asm.user_mode(True, text=f"{actor.name} begins")
        elif ordinary:
            self.model.user_mode(number)

    def _beginning(self, actor: Actor) -> int:
        """Return the event that a thread begins with."""
        key = (actor.mm, actor.thread.name if actor.begins == "start" else "")
        if key not in self._beginnings:
            self._beginnings[key] = self.model.event()
        return self._beginnings[key]

    def _fork(self, number: int, actor: Actor, one: Statement) -> None:
        child = self.small.children[id(one)]
        self.space.fork(number, actor, child)
        begins = next(other for other in self.small.actors if other.mm == child and other.begins == "fork")
        self.model.asm.signal(self._beginning(begins), text="wake_up_new_task")
        if isinstance(self.space, OrdinarySpace):
            self.model.asm.user_mode(True, text="returns to user mode")

    def _start(self, actor: Actor, one: Statement) -> None:
        begins = next(
            other for other in self.small.actors if other.mm == actor.mm and other.thread.name == one.name
        )
        self.model.asm.signal(self._beginning(begins), text="wake_up_new_task: a thread begins")

    def _write(self, number: int, actor: Actor) -> None:
        model, asm = self.model, self.model.asm
        ends = ""
        for one in actor.body:
            ends = one.verb
            if one.verb in ("spin", "sleep"):
                break
            if one.verb == "signal":
                model.signal(self.events[one.name])
            elif one.verb == "wait":
                model.wait(self.events[one.name], one.number)
            elif one.verb == "lock":
                asm.lock(self.locks[one.name], write=True, sleeps=True, text=one.name)
            elif one.verb == "unlock":
                asm.unlock(self.locks[one.name], write=True, text=one.name)
            elif one.verb == "fork":
                self._fork(number, actor, one)
            elif one.verb == "start":
                self._start(actor, one)
            elif one.verb == "exit":
                self.space.exit(actor)
                if actor.process.name in self.events:
                    model.signal(self.events[actor.process.name])
            else:
                self.space.write(number, one)
        if isinstance(self.space, HugetlbSpace):
            if actor.thread.name == "main" and ends not in ("exit", "sleep"):
                self.space.goes_on(actor)
        elif ends == "sleep":
            asm.user_mode(False, text="the thread leaves user mode")
        if ends == "exit":
            asm.halt()
        elif ends == "sleep":
            model.sleep()
        else:
            model.spin()


def _what(actor: Actor) -> str:
    """Say what a thread does, in few words."""
    names = [one.text for one in actor.body if one.verb not in ("spin", "sleep")]
    last = actor.body[-1].verb if actor.body and actor.body[-1].verb == "sleep" else ""
    return ", ".join(names) or ("sleeps" if last else "runs")
