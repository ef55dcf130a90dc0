"""Run small machines in the timed engine with random costs, and make the same moves in the explorer's layout.

Run as a process of its own in which numba compiles nothing: the engine's functions are then plain Python, and their
calls can be recorded in order. Prints a line for each machine.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import attrs
import numpy as np

from shootdown._compilation.running import runnable
from shootdown._explore import moves as m
from shootdown._explore.engine import Explorer
from shootdown._explore.outcome import Reductions
from shootdown._machine import ops as o
from shootdown._machine.layout import CPU_CELLS, CPU_TASK, T_CPU, TASK_CELLS
from shootdown._questions.explore import explorations
from shootdown._timed import effects, interrupts, scheduler, taking, tasks
from shootdown._timed.replay import wide
from shootdown._timed.run import run_machine
from shootdown._values.platform import COST_NAMES, Cost, Costs

WATCHED = {
    scheduler: ("step_inlined", "enter_guest"),
    effects: ("step",),
    tasks: ("step", "switch_to"),
    interrupts: ("take",),
    taking: ("take", "take_sync"),
}


class Tape:
    """A record of what the timed engine does to a state."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int, int]] = []

    def watch(self) -> None:
        for module, names in WATCHED.items():
            for name in names:
                setattr(module, name, self._watching(name.removesuffix("_inlined"), getattr(module, name)))

    def _watching(self, name: str, function: Any) -> Any:
        def watched(*args: Any) -> Any:
            answer = function(*args)
            if name == "step":
                self.calls.append(("step", int(args[4]), int(answer) & 7, 0))
            elif name == "take":
                self.calls.append(("take", int(args[2]), int(args[3]), int(args[4])))
            elif name == "take_sync":
                self.calls.append(("take", int(args[2]), 0, -1))
            elif name == "switch_to":
                self.calls.append(("switch", int(args[2]), int(args[3]), 0))
            else:
                self.calls.append(("resume", int(args[2]), 0, 0))
            return answer

        return watched


class Follower:
    """Makes the moves that a tape has recorded."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        machine = explorer.problem.machine
        self.layout = machine.layout
        self.state = machine.state.copy()
        self.refused: list[str] = []
        self.halted: set[int] = set()
        self.moves = 0

    def move(self, kind: int, x: int, y: int = 0) -> None:
        said = runnable(m.move)(self.state, *self.explorer.program, runnable(m.label_of)(kind, x, y))
        self.moves += 1
        if said == m.REFUSED:
            self.refused.append(f"move {self.moves}: kind {kind} x {x} y {y}")

    def running(self, cpu: int) -> int:
        return int(self.state[self.layout.o_cpu + cpu * CPU_CELLS + CPU_TASK]) - 1

    def cpu_of(self, task: int) -> int:
        return int(self.state[self.layout.o_task + task * TASK_CELLS + T_CPU])

    def follow(self, call: tuple[str, int, int, int]) -> None:
        name, x, y, z = call
        if name == "step":
            if y in (o.DONE, o.HALTED, o.FAILED) or (y == o.PARKED and not self._spins(x)):
                self.move(m.STEP if self.running(self.cpu_of(x)) == x else m.GRANT, x)
                if y in (o.HALTED, o.PARKED):
                    self.halted.add(self.cpu_of(x))
        elif name == "take":
            for cpu in range(self.layout.cpus):
                if z >> cpu & 1 and (z != -1 or cpu != x):
                    self.move(m.TAKE, x, cpu)
        elif name == "switch":
            self._switch(x, y)
        else:
            self.move(m.RESUME, x)

    def _spins(self, task: int) -> bool:
        pc = int(self.state[self.layout.o_task + task * TASK_CELLS])
        return int(self.explorer.problem.machine.code.steps[pc * 5 + 1]) == 1

    def _switch(self, cpu: int, task: int) -> None:
        if task >= 0:
            from shootdown._machine.switching import switch_to

            if self.running(cpu) < 0 and not self.moves:
                runnable(switch_to)(self.state, self.layout, cpu, task)  # the beginning
            elif self.running(cpu) < 0:
                self.move(m.SWITCH, task)
            else:
                self.refused.append(f"CPU {cpu} switches from one task to another")
        elif cpu in self.halted:
            self.halted.discard(cpu)
        else:
            self.move(m.IDLE, self.running(cpu))


def random_costs(draw: random.Random) -> Costs:
    values = {name: draw.choice((0, 1, 10, 100, 1000, 10000)) * draw.random() for name in COST_NAMES}
    return Costs(**{name: Cost(value, value, value, "random") for name, value in values.items()})


def run(cell: tuple[str, str, str, str, dict[str, Any]], seed: int) -> dict[str, Any]:
    """Compare one timed run with the moves of the explorer."""
    name, arch, platform, kernel, parameters = cell
    (case,) = explorations(name, arch=[arch], platforms=[platform], kernels=[kernel], parameters=parameters)
    problem = attrs.evolve(case.program.build(case.setup()), scheduler=True)
    explorer = Explorer(
        problem, Reductions(fuse=False, dead=False, symmetry=False, arrive=False, eager=False)
    )
    tape = Tape()
    before = {module: {n: getattr(module, n) for n in names} for module, names in WATCHED.items()}
    tape.watch()
    try:
        machine = wide(problem.machine)
        timed = run_machine(
            machine, attrs.evolve(case.platform, costs=random_costs(random.Random(seed))), seed=seed
        )
    finally:
        for module, names in before.items():
            for n, function in names.items():
                setattr(module, n, function)
    follower = Follower(explorer)
    for call in tape.calls:
        follower.follow(call)
    differ = np.flatnonzero(follower.state.astype(np.int64) != timed.state)
    return {
        "cell": [*cell[:4], parameters],
        "seed": seed,
        "moves": follower.moves,
        "refused": follower.refused[:3],
        "differ": differ.tolist(),
    }


CELLS = [
    ("unshare-gup", "x86", "intel-server", "6.15", {"sharers": 2}),
    ("unshare-gup", "x86", "intel-server", "7.0", {"sharers": 3}),
    ("unshare-gup", "x86", "hyper-v-guest", "6.16", {"sharers": 3, "path": "mprotect"}),
    ("unshare-gup", "arm64", "neoverse-v2", "7.0", {"sharers": 3, "path": "rmap"}),
    ("unshare-gup", "arm64", "neoverse-n1", "6.16", {"sharers": 2, "path": "exit"}),
    ("unshare-walk-cache", "x86", "intel-server", "7.0", {"sharers": 3, "lazy": True}),
]

if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        for one in CELLS:
            print(json.dumps(run(one, number + 1)), flush=True)
