"""The timed engine: the bug report, the largest machines, and how its cost grows; equal to the slow mode first."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import common
from benchmarks.engine.cases import TARGETS, alone, case, machine
from shootdown._plugins.registry import registry
from shootdown._timed.run import run_machine

_targets: dict[str, dict[str, object]] = {}
_modes: dict[str, dict[str, object]] = {}
_growth: dict[str, list[tuple[int, float, float]]] = {}


def same(fast, slow):
    """Compare counts, clocks and states of two runs."""
    assert fast.counts == slow.counts
    assert fast.windows == slow.windows
    assert np.array_equal(fast.clocks, slow.clocks)
    assert np.array_equal(fast.state, slow.state)
    assert np.array_equal(fast.syncs_taken, slow.syncs_taken)
    assert np.array_equal(fast.flushes_taken, slow.flushes_taken)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target(benchmark, name):
    *_, seconds, mib = TARGETS[name]
    found = alone(name)
    _targets[name] = found | {"least": min(found["seconds"]), "target": seconds, "target_mib": mib}
    benchmark.extra_info.update(_targets[name])
    built, platform = machine("fork-storm", "6.16", 196, {"children": 100})
    benchmark.pedantic(run_machine, args=(built, platform), rounds=3)
    assert found["mib"] < mib
    write()


@pytest.mark.parametrize("arch", registry().architectures())
def test_a_storm_beside_one_interrupt_at_a_time(benchmark, arch):
    """Each installed architecture whose flushes are known runs the reproducer with a tenth of its children."""
    prepared = case("fork-storm", "6.16", 196, {"children": 100}, arch)
    if prepared.refusal() is not None:
        pytest.skip(prepared.refusal())
    built, platform = machine("fork-storm", "6.16", 196, {"children": 100}, arch)
    run = run_machine(built, platform)
    same(run, run_machine(built, platform, one_by_one=True))
    measured = common.in_turn(
        {
            "fast": lambda: run_machine(built, platform),
            "one by one": lambda: run_machine(built, platform, one_by_one=True),
        },
        run.steps,
    )
    _modes[f"{arch} {platform.name}"] = {
        "steps": run.steps,
        "deliveries": run.deliveries,
        "ns_a_step": {name: measured.ns(name) for name in measured.seconds},
        "ratio": measured.ratio("one by one", "fast"),
    }
    benchmark.extra_info.update(_modes[f"{arch} {platform.name}"])
    benchmark.pedantic(run_machine, args=(built, platform), rounds=3)
    write()


#: What grows: its values, and a case for each.
GROWTH = {
    "children": ((125, 250, 500, 1000, 2000), lambda n: ("fork-storm", "6.16", 196, {"children": n})),
    "tables of each child": (
        (25, 50, 100, 200, 400),
        lambda n: ("fork-storm", "6.16", 196, {"children": 250, "gib": n, "pages": 20 * n}),
    ),
    "CPUs that each broadcast interrupts": (
        (64, 256, 1024, 4096),
        lambda n: ("fork-storm", "6.16", n, {"children": 250}),
    ),
    "CPUs, all of which broadcast at once": (
        (256, 512, 1024, 2048, 4096),
        lambda n: ("at-once", "6.16", n, {"times": 3}),
    ),
}


@pytest.mark.parametrize("what", GROWTH)
def test_growth(benchmark, what):
    values, shape = GROWTH[what]
    _growth[what] = []
    for n in values:
        built, platform = machine(*shape(n))
        run = run_machine(built, platform)
        measured = common.in_turn(
            {"run": lambda built=built, platform=platform: run_machine(built, platform)}, 1, rounds=3
        )
        _growth[what].append((n, measured.ns("run") / 1e9, run.steps + run.deliveries / 64))
    benchmark.extra_info[what] = _growth[what]
    benchmark.pedantic(run_machine, args=machine(*shape(values[0])), rounds=2)
    first, last = _growth[what][0], _growth[what][-1]
    events = last[2] / first[2]
    assert last[1] / first[1] < 3 * events, "no worse than linearly in steps and words of interrupted CPUs"
    write()


def write():
    lines = [
        "The engine alone, one core, kernels warm. Before anything is measured, counts, clocks and states are compared",
        "with those of the slow mode, which delivers each interrupt by itself. Seconds of thread CPU time, least of",
        "the rounds.",
        "",
        f"Measured on: {common.machine()}.",
        "",
    ]
    if _targets:
        rows = [
            [
                name,
                f"{found['steps']:,}",
                f"{found['deliveries']:,}",
                f"{found['unshared_tables']:,}",
                f"{found['least']:.3f}",
                f"{found['target']}",
                f"{found['mib']:.0f}",
            ]
            for name, found in _targets.items()
        ]
        columns = ["case", "steps", "interrupts", "tables", "seconds", "target", "peak MiB"]
        lines += [*common.table(columns, rows), ""]
    if _modes:
        rows = [
            [
                name,
                f"{found['deliveries']:,}",
                f"{found['ns_a_step']['fast']:.1f}",
                f"{found['ns_a_step']['one by one']:.1f}",
                str(found["ratio"]),
            ]
            for name, found in _modes.items()
        ]
        columns = ["100 children on 196 CPUs", "interrupts", "ns a step", "one by one", "ratio"]
        lines += [*common.table(columns, rows), ""]
    for what, points in _growth.items():
        rows = [[f"{n:,}", f"{seconds:.4f}", f"{seconds / work * 1e9:.1f}"] for n, seconds, work in points]
        lines += [*common.table([what, "seconds", "ns for each step and word of interrupted CPUs"], rows), ""]
    if _growth and plot():
        lines += ["![How the engine's cost grows](engine-growth.svg)", ""]
    common.write(
        "engine",
        "The timed engine",
        lines[:-1],
        {"targets": _targets, "modes": _modes, "growth": _growth},
    )


def plot():
    panels = [
        common.Panel(what, "seconds", {"": [(n, seconds) for n, seconds, _ in points]})
        for what, points in _growth.items()
    ]
    return common.plot("engine-growth.svg", panels)
