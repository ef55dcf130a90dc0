"""Machines for benchmarks of the timed engine, and running one in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

from benchmarks.common import ROOT
from shootdown._mm.model import Model
from shootdown._plugins.registry import registry
from shootdown._questions.case import Question, prepare
from shootdown._timed.run import run_machine

#: The bug report, and what is asked of the largest machines: workload, kernel, CPUs, parameters, seconds, MiB.
TARGETS = {
    "headline, no sync (6.15)": ("fork-storm", "6.15", 196, {}, 0.1, 1024),
    "headline, a sync for each table (6.16)": ("fork-storm", "6.16", 196, {}, 0.1, 1024),
    "headline, a sync for each VMA (7.0)": ("fork-storm", "7.0", 196, {}, 0.1, 1024),
    "a million unshared tables, 4 billion IPIs (6.16)": (
        "fork-storm", "6.16", 4096, {"children": 1000, "gib": 1000, "pages": 20_000}, 3, 1024,
    ),
    "ten million unshared tables (7.0)": (
        "fork-storm", "7.0", 4096, {"children": 10_000, "gib": 1000, "pages": 20_000}, 15, 1024,
    ),
    "all CPUs broadcast at once, three times each": ("at-once", "6.16", 4096, {"times": 3}, 3, 1024),
}  # fmt: skip


def case(workload, kernel, cpus, parameters, arch="x86"):
    """Prepare a case on an architecture's first platform."""
    known = registry()
    return prepare(
        Question(
            known.workload(workload),
            known.architecture(arch),
            next(iter(known.platforms(arch).values())),
            kernel,
            parameters=parameters,
            cpus=cpus,
        )
    )


def at_once(kernel, cpus, times):
    """Make a machine on which every CPU broadcasts tlb_remove_table_sync_one() so often, all beginning together."""
    prepared = case("fork-storm", kernel, cpus, {})
    model = Model(prepared.kernel, prepared.setup().lowering, cpus=cpus, mms=cpus)
    model.starts(*[model.task(mm=i, cpu=i, ready=True) for i in range(cpus)])
    with model.asm.loop(times):
        model.gathers.sync()
    model.asm.halt()
    return model.build(), prepared.platform


def machine(workload, kernel, cpus, parameters, arch="x86"):
    """Build a machine; returns it and its platform."""
    if workload == "at-once":
        return at_once(kernel, cpus, **parameters)
    prepared = case(workload, kernel, cpus, parameters, arch)
    return prepared.program.build(prepared.setup()), prepared.platform


def alone(name, rounds=5):
    """Run one of `TARGETS` in a process of its own, so that its peak of memory is its own; returns what it found."""
    command = [sys.executable, "-m", "benchmarks.engine.cases", name, str(rounds)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(name, rounds):
    workload, kernel, cpus, parameters, *_ = TARGETS[name]
    run_machine(*machine("fork-storm", kernel, 8, {"children": 2, "gib": 2}))  # kernels come from disk
    built, platform = machine(workload, kernel, cpus, parameters)
    seconds = []
    while len(seconds) < rounds and sum(seconds) < 20:
        start = time.thread_time()
        run = run_machine(built, platform)
        seconds.append(time.thread_time() - start)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "steps": run.steps,
                "deliveries": run.deliveries,
                "unshared_tables": run.counts["unshared_tables"],
                "sync_broadcasts": run.counts["sync_broadcasts"],
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
