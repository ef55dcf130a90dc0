"""Further threads of a process, in states that flushes treat differently."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._mm.mapping import Mapping
from shootdown._mm.model import Model
from shootdown._values.setup import Setup

#: The states of a thread: running in user mode; idle (its CPU is lazy); switched away (another process runs there).
STATES = ("spin", "lazy", "switched")

#: The length of a walker's window, in page faults: long enough that the call it races with has begun.
_WINDOW = 100


def applied(setting: Setup, *, busy: int = 1) -> dict[str, int]:
    """Return how many threads, walkers and preempted vCPUs there can be, by parameter, where more were asked for.

    Args:
        setting: the argument of the workload's `build`.
        busy: CPUs that the workload needs for itself.
    """
    values = setting.values
    room = max(setting.cpus - busy, 0)
    threads = min(values["threads"], room)
    walkers = min(values.get("walkers", 0), room - threads)
    there = {"threads": threads, "walkers": walkers, "preempted": min(values.get("preempted", 0), threads)}
    return {name: count for name, count in there.items() if count < values.get(name, 0)}


def remarks(setting: Setup, *, busy: int = 1) -> list[str]:
    """Return remarks on requested threads without a CPU, and on vCPUs that can't be preempted.

    Args:
        setting: the argument of the workload's `build`.
        busy: CPUs that the workload needs for itself.
    """
    values = setting.values
    fewer = applied(setting, busy=busy)
    threads = fewer.get("threads", values["threads"])
    why = {
        "threads": f"each has a CPU of its own, and there are {setting.cpus}",
        "walkers": f"each has a CPU of its own, and there are {setting.cpus}",
        "preempted": f"vCPUs of the {threads} threads",
    }
    found = [
        f"{name}={values[name]} is more than there can be: {count} ({why[name]})"
        for name, count in fewer.items()
    ]
    if fewer.get("preempted", values.get("preempted", 0)) and setting.platform.hypervisor == "none":
        found.append("preempted: without a hypervisor no CPU is preempted; this one answers an IPI late")
    return found


class Threads:
    """Declare threads of one process, then write their programs.

    Args:
        model: the model.
        mm: the mm of the threads.
        other_mm: the process that runs where threads have switched away.
        cpu: the CPU of the process's first thread; the others follow.
        ready: they run from the beginning; otherwise from where `spawn()` is written.
    """

    def __init__(self, model: Model, *, mm: int, other_mm: int, cpu: int, ready: bool = True) -> None:
        self._model = model
        self._mm = mm
        self._other = other_mm
        self._next = cpu + 1
        self._started = model.event()
        self._count = 0
        self._groups: list[tuple[str, list[int], list[int]]] = []
        self._ready = ready

    def add(self, count: int, state: str, *, preempted: int = 0) -> None:
        """Declare threads in a state, each on the next CPU; the first `preempted` of them on preempted vCPUs."""
        model = self._model
        count = min(count, model.cpus - 1)
        cpus = [(self._next + i) % model.cpus for i in range(count)]
        self._next += count
        tasks = [model.task(mm=self._mm, cpu=cpu, ready=self._ready) for cpu in cpus]
        others = []
        if state == "switched":
            others = [model.task(mm=self._other, cpu=cpu) for cpu in cpus]
        self._groups.append((state, tasks, others))
        self._count += count
        for cpu in cpus[:preempted]:
            model.preempt(cpu)

    def add_walkers(self, count: int, *, preempted: bool = False) -> None:
        """Declare threads that are inside gup_fast() with interrupts off when the call begins."""
        model = self._model
        count = min(count, max(model.cpus - 1 - self._count, 0))
        cpus = [(self._next + i) % model.cpus for i in range(count)]
        self._next += count
        for cpu in cpus if preempted else ():
            model.preempt(cpu)
        self._groups.append(
            ("walk", [model.task(mm=self._mm, cpu=cpu, ready=self._ready) for cpu in cpus], [])
        )
        self._count += count

    def write(self, mappings: tuple[Mapping, ...]) -> None:
        """Write the programs of the threads."""
        for state, tasks, others in self._groups:
            if not tasks:
                continue
            if state == "walk":
                self._model.starts(*tasks)
                self._walk(mappings, len(tasks))
                continue
            if others:
                self._model.starts(*others)
                self._model.signal(self._started)
                self._model.spin()
            for i, task in enumerate(tasks):
                self._model.starts(task)
                for m in mappings:
                    self._model.hugetlb.touch(m)
                if state == "switched":
                    self._model.asm.spawn(others[i], text="another process takes over")
                    self._model.sleep()
                    continue
                self._model.signal(self._started)
                if state == "spin":
                    self._model.spin()
                else:
                    self._model.sleep()

    def _walk(self, mappings: tuple[Mapping, ...], walkers: int) -> None:
        """Write GUP-fast: interrupts off, read the PUD entry, read the table, take the page, interrupts on.

        Several walkers begin together: the first fault of one may wait for another's, and a window's length is fixed.
        """
        model = self._model
        asm = model.asm
        for m in mappings[:1]:
            model.hugetlb.touch(m)
        if walkers > 1:
            together = model.event()
            model.signal(together)
            model.wait(together, walkers)

        def walk() -> None:
            asm.set(o.INDEX, 0)
            if mappings and mappings[0].used:
                model.hugetlb.pick(mappings[0].used)
                asm.load_pud(o.CLASS, text="read the PUD entry")
            model.signal(self._started)
            asm.work("fault_ns", _WINDOW, text="walk on")

        model.calls.gup_fast(walk)
        model.spin()

    def spawn(self) -> None:
        """Write: start the threads."""
        for _, tasks, _ in self._groups:
            for task in tasks:
                self._model.asm.spawn(task, text="a thread starts")

    def await_all(self) -> None:
        """Write: wait until all threads are in their state."""
        if self._count:
            self._model.wait(self._started, self._count)
