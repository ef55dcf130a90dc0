"""Where tasks go on at any CPU, states that differ only in the numbers of their CPUs are one."""

from __future__ import annotations

import random

import numpy as np
import pytest

from shootdown._compilation.running import runnable
from shootdown._explore.cpus import exchange
from shootdown._machine.holding import held_at, links_at
from shootdown._machine.layout import CPU_CELLS, CPU_SETS, CPU_TASK, MM_SETS, T_CPU, TASK_CELLS, Layout
from shootdown._programs.worlds import programs
from shootdown._questions.hunt import grounds
from shootdown._questions.hunt_batch import Batches

#: Cells of a CPU that are no request's.
_OWN = (0, 1, 9)


@pytest.fixture(scope="module")
def layout() -> Layout:
    """The layout of a program of four CPUs and two mms whose tasks are preempted while they wait."""
    (ground,) = grounds(arch=["x86"], platforms=["intel-server"], kernels=["7.3.4"])
    plain = Batches(ground.scene, 2, 1000)
    sketch = next(
        one for one in programs(ground.scene, 2) if one.said == "munmap heap | truncate heap || spin"
    )
    world = Batches(ground.scene, 2, 1000, before=plain).world(sketch)
    assert world is not None
    found = world.machine(world.linkable.row(sketch, idle=True).shape).layout
    assert found.by_task
    assert found.cpus == 4
    return found


def _any_state(layout: Layout, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    """Return cells of all CPUs, drawn; tasks have homes, and each CPU a tag for each mm at most."""
    rng = random.Random(seed)
    state = np.zeros(layout.size, np.uint32)
    everybody = (1 << layout.cpus) - 1
    for task in range(layout.tasks):
        state[layout.o_task + task * TASK_CELLS + T_CPU] = rng.randrange(layout.cpus)
        state[layout.o_out + task] = rng.randint(0, everybody)
    for name in range(len(CPU_SETS)):
        state[layout.o_sets + name] = rng.randint(0, everybody)
    for name in range(layout.mms * len(MM_SETS)):
        state[layout.o_mmset + name] = rng.randint(0, everybody)
    for cpu in range(layout.cpus):
        for part in _OWN:
            state[layout.o_cpu + cpu * CPU_CELLS + part] = rng.randrange(3)
        tags = rng.sample(range(1, layout.mms + 1), rng.randint(0, layout.mms))
        for at, mm in enumerate(tags):
            state[layout.o_asid + cpu * layout.asids + at] = mm
        for mm in range(layout.mms):
            for atom in range(layout.atoms):
                state[runnable(held_at)(layout, cpu, mm, atom)] = rng.randrange(8)
            for slot in range(layout.slots):
                state[runnable(links_at)(layout, cpu, mm, slot)] = rng.randrange(4)
    return state


def _renamed(layout: Layout, state: np.ndarray, names: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    """Return a state whose CPUs have other numbers, and the tags of each CPU another order."""
    found = state.copy()

    def bits(cell: int) -> int:
        return sum((int(state[cell]) >> cpu & 1) << names[cpu] for cpu in range(layout.cpus))

    for task in range(layout.tasks):
        at = layout.o_task + task * TASK_CELLS + T_CPU
        found[at] = names[int(state[at])]
    sets = [
        *range(layout.o_out, layout.o_out + layout.tasks),
        *range(layout.o_sets, layout.o_sets + len(CPU_SETS)),
        *range(layout.o_mmset, layout.o_mmset + layout.mms * len(MM_SETS)),
    ]
    for cell in sets:
        found[cell] = bits(cell)
    for cpu, name in enumerate(names):
        for part in _OWN:
            found[layout.o_cpu + name * CPU_CELLS + part] = state[layout.o_cpu + cpu * CPU_CELLS + part]
        tags = state[layout.o_asid + cpu * layout.asids :][: layout.asids]
        order = np.concatenate([tags[tags != 0][::-1], tags[tags == 0]])
        found[layout.o_asid + name * layout.asids :][: layout.asids] = order
        for begin, cells in (
            (layout.o_held, layout.mms * layout.atoms),
            (layout.o_links, layout.mms * layout.slots),
        ):
            found[begin + name * cells :][:cells] = state[begin + cpu * cells :][:cells]
    return found


def _sorted(layout: Layout, state: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    found = state.copy()
    runnable(exchange)(found, layout, np.zeros(layout.cpus, np.int64))
    return found


def test_states_that_differ_in_the_numbers_of_cpus_become_one(layout: Layout) -> None:
    for seed in range(60):
        state = _any_state(layout, seed)
        names = list(range(layout.cpus))
        random.Random(seed).shuffle(names)
        assert np.array_equal(_sorted(layout, state), _sorted(layout, _renamed(layout, state, names)))


def test_states_that_differ_in_one_cell_of_a_cpu_stay_apart(layout: Layout) -> None:
    base = layout.o_cpu + 2 * CPU_CELLS + CPU_TASK
    for seed in range(20):
        state = _any_state(layout, seed)
        for cell in (base, layout.o_held, layout.o_links, layout.o_sets + CPU_SETS.index("user")):
            other = state.copy()
            other[cell] ^= 1
            assert not np.array_equal(_sorted(layout, state), _sorted(layout, other))


def test_a_state_in_order_stays_as_it_is(layout: Layout) -> None:
    for seed in range(20):
        once = _sorted(layout, _any_state(layout, seed))
        assert np.array_equal(_sorted(layout, once), once)
