"""Hunting: programs a second where they are linked, beside the same ones written one by one; equal verdicts first."""

from __future__ import annotations

import pytest

from benchmarks import common
from shootdown._programs.worlds import programs
from shootdown._questions.hunt import grounds
from shootdown._questions.hunt_batch import Batches
from shootdown._questions.hunt_ground import MOST_STATES, _prepared, explored

ROUNDS = min(common.ROUNDS, 5)
#: Where: the rows of the table. Of programs of at most two calls each so many-th is written, and all are linked.
WHERE = {"x86 intel-server": "intel-server", "arm64 neoverse-v2": "neoverse-v2"}
STEP = 25

_found: dict[str, dict[str, object]] = {}


@pytest.mark.parametrize("name", WHERE)
def test_linked_beside_written(benchmark, name):
    (ground,) = grounds(platforms=[WHERE[name]], kernels=["7.3.4"])
    every = list(programs(ground.scene, 2))
    sample = every[::STEP]
    batches = Batches(ground.scene, 2, MOST_STATES)

    def linked(some):
        for world in batches._worlds.values():
            if world is not None:
                world.known.clear()
        return batches.explore(some, idle=[True] * len(some))

    def written():
        _prepared(ground).known.clear()
        return [explored(ground, one) for one in sample]

    for one, other in zip(linked(sample), written(), strict=True):
        assert one is None or (one.verdict, one.invariant) == (other.verdict, other.invariant)
    whole = [one for one in linked(every) if one is not None]
    took = common.in_turn(
        {"all": lambda: linked(every), "linked": lambda: linked(sample), "written": written},
        len(every),
        rounds=ROUNDS,
    )
    _found[name] = {
        "programs": len(whole),
        "states": sum(one.states for one in whole) / len(whole),
        "a_second": len(whole) / min(took.seconds["all"]),
        "ratio": took.ratio("written", "linked"),
    }
    benchmark.extra_info.update(_found[name])
    benchmark.pedantic(lambda: linked(sample), rounds=1)
    write()


def write():
    lines = [
        f"All programs of at most two calls on 7.3.4, linked and searched; one of {STEP} beside the same program that",
        "is written and searched by itself, with equal verdicts. Thread CPU time of one core, kernels compiled.",
        "",
        f"Measured on: {common.machine()}.",
        "",
        "| platform | programs | states of one | programs a second | faster than written ones |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, found in _found.items():
        lines.append(
            f"| {name} | {found['programs']:,} | {found['states']:.0f} | {found['a_second']:,.0f} "
            f"| {found['ratio']} |"
        )
    common.write("hunt", "How fast programs are hunted", lines, _found)
