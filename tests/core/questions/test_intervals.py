"""Intervals of times: from the ledger of one run, and checked by runs with costs that are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shootdown._plugins.registry import registry
from shootdown._questions.case import Case, Question, prepare
from shootdown._questions.draws import at
from shootdown._questions.intervals import DRAWS, _values, drawn_places, drawn_times
from shootdown._questions.ranges import drawn
from shootdown._questions.simulate import simulate
from shootdown._values.platform import COST_NAMES, Cost, Costs
from shootdown._values.result import Span, eighty_percent
from shootdown._values.workload import Workload


def case(
    workload: str, arch: str, platform: str, cpus: int, kernel: str = "7.0", **given: object
) -> Case[Workload]:
    known = registry()
    parameters = {name: str(value) for name, value in given.items()}
    return prepare(
        Question(
            known.workload(workload),
            known.architecture(arch),
            known.platform(arch, platform),
            kernel,
            parameters=parameters,
            cpus=cpus,
        )
    )


@pytest.mark.compiled
@pytest.mark.parametrize(
    "asked",
    [
        case("anonymous", "x86", "intel-server", 16, threads=9),
        case("anonymous", "x86", "kvm-guest", 16, threads=9),
        case("anonymous", "arm64", "neoverse-n1", 16, threads=9),
        case("anonymous", "powerpc", "power9", 16, threads=9),
        case("hugetlb-munmap", "x86", "intel-server", 64, kernel="6.16", tables=4),
        case("fork-storm", "x86", "intel-server", 16, kernel="6.16", children=12, gib=100),
        case("fork-storm", "x86", "intel-server", 16, children=12, gib=100),
    ],
    ids=lambda one: f"{one.program.name}-{one.platform.name}-{one.kernel.name}",
)
def test_the_ledger_gives_the_interval_that_runs_with_drawn_costs_give(asked: Case[Workload]) -> None:
    row, run = simulate(asked), drawn(asked, DRAWS // 8)
    for name, told in (("elapsed_ns", run.elapsed), ("system_ns", run.system)):
        for end in ("low", "high"):
            off = getattr(row.times[name], end) / getattr(told, end)
            assert abs(math.log(off)) < math.log(1.45), (name, end, row.times[name], told)


@pytest.mark.compiled
def test_a_row_has_its_times_in_every_draw_and_its_interval_is_what_most_of_them_lie_within() -> None:
    row = simulate(case("fork-storm", "x86", "intel-server", 16, children=4, gib=2))
    assert set(row.drawn) == set(row.times)
    for name, span in row.times.items():
        assert len(row.drawn[name]) == DRAWS
        inside = sum(span.low - 0.1 <= one <= span.high + 0.1 for one in row.drawn[name])
        assert inside / DRAWS == pytest.approx(0.8, abs=0.01)
        assert span.low <= span.likely <= span.high


@pytest.mark.compiled
def test_a_time_that_nothing_takes_is_zero_in_every_draw() -> None:
    row = simulate(case("anonymous", "x86", "intel-server", 4, threads=3))
    assert row.times["user_ns"] == Span(0.0, 0.0, 0.0)  # madvise() alone: no program computes
    assert set(row.drawn["user_ns"]) == {0.0}


def test_costs_in_all_draws_are_those_that_one_place_gives() -> None:
    costs = Costs(
        **{
            name: (Cost(1, 10, 100, "a test"), Cost(0, 10, 10, "a test"), Cost(0, 0, 5, "a test"))[n % 3]
            for n, name in enumerate(COST_NAMES)
        }
    )
    table = _values(costs)
    assert table.shape == (DRAWS, len(COST_NAMES) + 1)
    for row, places in zip(table[::37], drawn_places()[::37], strict=True):
        assert row[:-1] == pytest.approx(
            [at(getattr(costs, name), place) for name, place in zip(COST_NAMES, places, strict=True)]
        )


def test_what_no_cost_decides_has_no_range() -> None:
    costs = Costs(**{name: Cost(1, 2, 4, "a test") for name in COST_NAMES})
    numbers = np.zeros(len(COST_NAMES) + 1)
    numbers[-1] = 1000.0
    assert set(drawn_times(costs, numbers, {"low": 1000.0, "likely": 1000.0, "high": 1000.0})) == {1000.0}
    numbers[0] = 1.0
    found = drawn_times(costs, numbers, {"low": 1001.0, "likely": 1002.0, "high": 1004.0})
    assert 1000.0 < min(found) < max(found) < 1020.0


def test_many_costs_of_one_size_give_a_narrower_interval_than_one_cost() -> None:
    costs = Costs(**{name: Cost(5, 10, 20, "a test") for name in COST_NAMES})

    def width(numbers: list[float]) -> float:
        total = sum(numbers) * 10
        ends = {"low": total / 2, "likely": total, "high": total * 2}
        low, high = eighty_percent(drawn_times(costs, np.array(numbers), ends))
        return high / low

    many, one = [1.0] * len(COST_NAMES) + [0.0], [1.0] + [0.0] * len(COST_NAMES)
    assert width(many) < 0.8 * width(one)


def test_ends_of_what_80_percent_lie_within_are_interpolated() -> None:
    assert eighty_percent([float(n) for n in range(11)]) == (1.0, 9.0)
    assert eighty_percent([0.0, 1.0]) == pytest.approx((0.1, 0.9))
    assert eighty_percent([7.0]) == (7.0, 7.0)
    assert Span.within(5.0, [6.0, 7.0]) == Span(5.0, 5.0, 6.9)
    assert Span.within(5.0, []) == Span(5.0, 5.0, 5.0)
