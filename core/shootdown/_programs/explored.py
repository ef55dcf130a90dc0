"""A program as a scenario: what `explore`, `matrix` and `history --verdict` take."""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._mm.model import Model
from shootdown._programs import hugetlb
from shootdown._programs.areas import collapses, misfit
from shootdown._programs.checking import repeated_waits
from shootdown._programs.explored_hugetlb import HugetlbSpace
from shootdown._programs.explored_ordinary import OrdinarySpace
from shootdown._programs.program import Program, Statement
from shootdown._programs.reading import Source
from shootdown._programs.small import Actor, Small, small, synchronises
from shootdown._programs.verbs import VERBS
from shootdown._values.errors import ShootdownError
from shootdown._values.scenario import Scenario
from shootdown._values.setup import Setup
from shootdown._workloads.hugetlb import needs_madvise, needs_mremap

#: The place that shows that something could have gone wrong: a call took what a CPU held a copy of.
ALIVE = "a copy was alive"
_SENTENCES = {
    "walk-cache": "No CPU may walk by a link to a page table that is free, or that belongs to another process.",
    "stale-tlb-entry": "User mode may not use a TLB entry that leads to a page which was freed, or which a call that "
    "has returned took away, nor write by one to a page that was cleaned.",
    "gup-fast": "GUP-fast may not read a page table that is free, nor return a page that it found in one that "
    "belongs to somebody else by then.",
}
_KINDS = ("anonymous", "thp", "file", "hugetlb")


def scenario_of(source: Source) -> Scenario:
    """Return a program as a scenario with the program's parameters.

    Raises:
        ShootdownError: something in it can't be explored yet; the message names file, line and statement.
    """
    first = source.chosen({})
    check(first)

    def program(scene: Setup) -> Program:
        found = source.chosen(scene.values)
        check(found)
        return found

    return Scenario(
        name=source.name,
        summary=source.summary,
        source=source.file,
        build=lambda scene: build(program(scene), scene, preemption=True),
        parameters=source.parameters,
        refuse=lambda scene: _refusal(program(scene), scene),
        shares_tables=any(memory.kind == "hugetlb" and memory.shared for memory in first.memory.values()),
        window=(ALIVE,),
        sentences=_SENTENCES,
    )


def check(program: Program) -> None:
    """Refuse what can't be explored yet.

    Raises:
        ShootdownError: it names file, line and statement.
    """
    kinds = {memory.kind: memory for memory in program.memory.values()}
    for kind, memory in kinds.items():
        if kind not in _KINDS:
            raise ShootdownError(f"{memory.at}: {kind} memory is not explored yet: only {', '.join(_KINDS)}")
    if "hugetlb" in kinds and len(kinds) > 1:
        other = next(kind for kind in kinds if kind != "hugetlb")
        raise ShootdownError(
            f"{kinds['hugetlb'].at}: hugetlb memory beside {other} memory is not explored yet: the tables of one "
            "explored program have one size"
        )
    for name, one in repeated_waits(program).items():
        raise _wrong(one, f"waiting for {name} again and again is not explored yet")
    for process, _, one in program.statements():
        if not VERBS[one.verb].explored:
            raise _wrong(one, f"`{one.verb}` is not explored yet")
        of_thp = one.place is not None and program.memory[one.place.memory].kind == "thp"
        if one.verb == "madvise" and one.word != "DONTNEED" and not (of_thp and one.word == "COLLAPSE"):
            raise _wrong(one, f"MADV_{one.word} is not explored yet")
        if one.verb == "reclaim" and one.word:
            raise _wrong(one, f"reclaim by {one.word} is not explored yet: leave that out")
        if one.verb in ("migrate", "punch") and "hugetlb" not in kinds:
            raise _wrong(one, f"`{one.verb}` is explored of hugetlb memory alone")
        if one.verb == "exit" and len(process.threads) > 1:
            raise _wrong(one, "`exit` of a process with other threads is not explored yet")
        if one.verb == "truncate" and one.place and program.memory[one.place.memory].kind == "anonymous":
            raise _wrong(one, "there is no file behind anonymous memory")


def _wrong(one: Statement, what: str) -> ShootdownError:
    return ShootdownError(f"{one.at}: `{one.text:.60}`: {what}")


def _refusal(program: Program, scene: Setup) -> str | None:
    """Return why a kernel or platform can't run a program, or None."""
    if any(memory.kind == "thp" for memory in program.memory.values()) and scene.lowering.no_thp():
        return scene.lowering.no_thp()
    reason = misfit(program, scene.kernel.page_size) or hugetlb.misfit(program, scene.lowering, any_size=True)
    for _, _, one in program.statements():
        of_hugetlb = one.place is not None and program.memory[one.place.memory].kind == "hugetlb"
        if of_hugetlb and one.verb == "madvise":
            reason = reason or needs_madvise(scene)
        elif of_hugetlb and one.verb == "mremap":
            reason = reason or needs_mremap(scene)
        elif collapses(one):
            reason = reason or scene.lowering.no_thp()
            if one.verb == "madvise" and not scene.kernel.madv_collapse:
                reason = reason or f"{scene.kernel.release} has no MADV_COLLAPSE"
        elif one.verb == "gup" and not scene.kernel.gup_fast:
            reason = reason or (
                f"{scene.kernel.release} has no GUP-fast on this architecture (CONFIG_HAVE_GUP_FAST): nobody walks so"
            )
    return reason


def build(
    program: Program, scene: Setup, *, idle: bool = True, marks: bool = True, preemption: bool = False
) -> Problem:
    """Return the problem of a program that `check` has passed.

    Args:
        program: it.
        scene: what it is explored on.
        idle: one more CPU idles, unless a thread sleeps.
        marks: places are marked as reached, which takes some states more.
        preemption: tasks that wait for interrupts to be answered may be preempted, where the kernel lets them, unless a
            thread waits for another one.

    Raises:
        ShootdownError: something in it can't be explored yet.
    """
    return _Writer(small(program), scene, idle=idle, marks=marks).problem(preemption=preemption)


class _Writer:
    """Write all threads of a program: each has a CPU of its own, and one more CPU idles."""

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
        """Write everything."""
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
