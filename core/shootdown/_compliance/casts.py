"""Who is there when a flush is carried out: CPUs that run the mm, idle with it, left it, or never had it."""

from __future__ import annotations

from collections.abc import Callable

from shootdown._compliance.stage import OTHER, Stage


def threads(stage: Stage) -> None:
    """A process whose threads are everywhere: running, idle, switched away, preempted."""
    stage.thread()
    stage.runs(0, "the CPU that flushes")
    stage.runs(1, "a CPU that runs another thread")
    stage.idles(2, "an idle CPU that has the mm loaded lazily")
    stage.away(3, "a CPU that ran the mm and runs another one now")
    if stage.flush.preempts:
        stage.preempted(4, "a preempted vCPU")
    stage.runs(5, "a CPU that never ran the mm", OTHER)


def alone(stage: Stage) -> None:
    """A process of one thread that never moved."""
    stage.runs(0, "the CPU that flushes")
    stage.runs(5, "a CPU that never ran the mm", OTHER)


def moved(stage: Stage) -> None:
    """A process of one thread that ran on other CPUs before."""
    stage.idles(2, "an idle CPU that has the mm loaded lazily")
    stage.away(3, "a CPU that ran the mm and runs another one now")
    stage.runs(0, "the CPU that flushes")


def sleeper(stage: Stage) -> None:
    """A process of two threads: one flushes, the other one sleeps. mm_users is 2: it may wake on any CPU."""
    stage.thread()
    moved(stage)


def stranger(stage: Stage) -> None:
    """A kernel thread flushes an mm that other CPUs run, on a CPU that ran it before."""
    stage.thread()
    stage.stranger()
    stage.away(0, "the CPU that flushes, which runs another mm")
    stage.runs(1, "a CPU that runs the mm")
    stage.idles(2, "an idle CPU that has the mm loaded lazily")
    stage.away(3, "a CPU that ran the mm and runs another one now")


def trimmer(stage: Stage) -> None:
    """A kernel thread flushes an mm that other CPUs run, and mm_cpumask is due for trimming."""
    stranger(stage)
    stage.trims()


def nobody(stage: Stage) -> None:
    """A kernel thread flushes an mm that no CPU runs now: its thread sleeps."""
    stage.thread()
    stage.stranger()
    stage.runs(0, "the CPU that flushes", OTHER)
    stage.idles(2, "an idle CPU that has the mm loaded lazily")
    stage.away(3, "a CPU that ran the mm and runs another one now")


def borrower(stage: Stage) -> None:
    """A kernel thread flushes the mm that its CPU has kept loaded since a task of it ran there."""
    stage.thread()
    stage.stranger()
    stage.borrows("the CPU that flushes, which has the mm loaded lazily")
    stage.runs(1, "a CPU that runs the mm")


#: The casts, each with its name in messages.
SCENES: dict[Callable[[Stage], None], str] = {
    threads: "with threads everywhere",
    alone: "with a single thread that never moved",
    moved: "with a single thread that moved",
    sleeper: "with a second thread, which sleeps",
    stranger: "by a kernel thread, for an mm that runs elsewhere",
    trimmer: "by a kernel thread that trims mm_cpumask",
    nobody: "by a kernel thread, for an mm that runs nowhere",
    borrower: "by a kernel thread that has borrowed the mm",
}
#: Those that flushes are carried out with; to them a thread that sleeps on is no other than one that is not there.
CASTS = tuple(cast for cast in SCENES if cast is not sleeper)
