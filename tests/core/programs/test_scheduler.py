"""Threads left to a scheduler share CPUs, by slices, and move; with a seed the same happens again."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest
from tests.twins.machine.cases import compare_run

import shootdown
from shootdown._machine.machine import Machine
from shootdown._plugins.registry import registry
from shootdown._programs.reading import read_values
from shootdown._programs.subjects import workload_of
from shootdown._questions.building import built
from shootdown._questions.case import Question, prepare


def program(threads: int, do: str, *, slice_: str = "100us", **others: Any) -> dict[str, Any]:
    return {
        "memory": {"heap": {"size": "64K"}},
        "scheduler": {"slice": slice_},
        "process": {
            "A": {
                "cpu": "any",
                "do": ["touch heap write", "wait ready 1", do],
                "thread": {"other": {"cpu": "any", "count": threads, "do": ["signal ready", "spin"]}},
            },
            **others,
        },
    }


def counted(tables: dict[str, Any], cpus: int, arch: str = "x86", seed: int = 1) -> dict[str, int]:
    (row,) = shootdown.compare(tables, arch=[arch], kernels=["7.0"], cpus=[cpus], parameters={"seed": seed})
    return dict(row.counts)


def test_threads_that_have_a_cpu_each_are_left_alone() -> None:
    counts = counted(program(3, "measure { madvise heap[0:4K] DONTNEED }"), 8)
    assert counts["flush_ipis"] == 3
    assert {"preemptions", "migrations"}.isdisjoint(counts)


def test_more_threads_than_cpus_take_turns_by_slices() -> None:
    """Two threads on one CPU: the one that measures 1 ms of work gives way to the other after each slice of 100 us."""
    counts = counted(program(1, "measure { work 1ms }"), 1)
    assert 16 <= counts["preemptions"] <= 20
    longer = counted(program(1, "measure { work 1ms }", slice_="500us"), 1)
    assert 2 <= longer["preemptions"] <= 4


def test_who_wakes_up_goes_to_an_idle_cpu() -> None:
    """`worker` sleeps on the only CPU that is busy when it is woken."""
    tables = {
        "process": {
            "A": {"cpu": "any", "do": ["work 1ms", "signal go", "work 1ms", "wait done"]},
            "B": {"cpu": "any", "do": ["wait go", "work 10us", "signal done"]},
            "C": {"cpu": "any", "do": ["wait done", "work 1us"]},
        },
    }
    assert counted(tables, 2).get("preemptions", 0) == 0


def test_a_flush_reaches_the_cpus_that_run_its_process_when_it_is_sent() -> None:
    """Eight threads of another process and three of this one share four CPUs: fewer than three are hit each time."""
    others = {"B": {"cpu": "any", "count": 8, "do": "spin"}}
    do = "measure { repeat 30 { touch heap[0:4K]; madvise heap[0:4K] DONTNEED; work 150us } }"
    counts = counted(program(2, do, **others), 4)
    assert 0 < counts["flush_ipis"] < 90
    assert counts["preemptions"] > 30


def test_the_same_seed_gives_the_same_counts() -> None:
    tables = program(5, "measure { repeat 10 { touch heap; madvise heap DONTNEED; work 200us } }")
    assert counted(tables, 3, seed=4) == counted(tables, 3, seed=4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scheduler": {"slice": "3"}}, "scheduler.slice: '3' is no time from 10us to 1s"),
        ({"scheduler": {"slices": "3ms"}}, "[scheduler] has no 'slices'; nearest: slice"),
        ({"process": {"A": {"cpu": "some", "do": "spin"}}}, "process.A.cpu: it is a number from 0"),
        ({"process": {"A": {"cpu": "any", "do": "move 1"}}}, "the scheduler chooses its CPU"),
    ],
)
def test_a_mistake_is_told_with_its_key(change: dict[str, Any], said: str) -> None:
    with pytest.raises(shootdown.ShootdownError) as error:
        counted({**program(1, "spin"), **change}, 2)
    assert said in str(error.value)


def drawn(draw: random.Random) -> dict[str, Any]:
    """Draw a program of threads that compute, flush, wait for one another and share CPUs."""

    def body(last: str) -> list[str]:
        possible = [
            "work 30us",
            "touch heap",
            "madvise heap[0:4K] DONTNEED",
            "membarrier",
            "work 210us",
            "signal go",
        ]
        some = [draw.choice(possible) for _ in range(draw.randint(1, 6))]
        return [
            f"repeat {draw.randint(1, 6)} {{ {'; '.join(some)} }}",
            "wait begun 2",
            *([last] if last else []),
        ]

    kinds: list[Any] = ["any", "any", 0, 1]
    processes = {
        f"P{n}": {
            "cpu": draw.choice(kinds),
            "do": [
                "signal begun",
                *(["touch heap", "exec", "touch heap"] if not n % 2 and draw.random() < 0.5 else []),
                *body(draw.choice(("", "spin", "sleep", "exit" if not n % 2 else ""))),
            ],
            **(
                {"thread": {"t": {"cpu": "any", "count": draw.randint(1, 3), "do": body("")}}}
                if n % 2
                else {}
            ),
        }
        for n in range(draw.randint(2, 4))
    }
    return {
        "memory": {"heap": {"size": "64K"}},
        "scheduler": {"slice": draw.choice(("50us", "100us", "3ms"))},
        "process": processes,
    }


@pytest.mark.parametrize("seed", range(12))
def test_the_engine_schedules_as_the_twin_does(seed: int) -> None:
    draw = random.Random(seed)
    tables = drawn(draw)
    arch = draw.choice(("x86", "arm64", "powerpc"))
    owner, platform = registry().architecture(arch), next(iter(registry().platforms(arch).values()))
    case = prepare(
        Question(workload_of(read_values(tables)), owner, platform, "7.0", cpus=draw.choice((2, 3, 4)))
    )
    machine = built(case, case.setup(), Machine)
    assert machine.floating
    for which in ("low", "likely", "high"):
        assert compare_run(machine, attrs.evolve(case.platform, jitter=0), which) in ([], None)
