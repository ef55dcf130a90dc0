"""Where a call of a loop ends changes nothing of what comes out."""

from __future__ import annotations

import random
from typing import Any

import attrs
import numpy as np
import pytest

from shootdown._compilation import slices
from shootdown._compilation.slices import Slices
from shootdown._questions.compare import cases
from shootdown._questions.explore import explorations, explore_case
from shootdown._timed.run import run_machine


@pytest.fixture(params=["one", "any"])
def short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each call do one part of the work, or one to five at random."""
    draw = random.Random(7)
    sizes = {"one": lambda: 1, "any": lambda: draw.randint(1, 5)}[request.param]
    monkeypatch.setattr(Slices, "begin", lambda self: sizes())
    monkeypatch.setattr(Slices, "end", lambda self: None)


def runs(name: str, arch: str, **parameters: Any) -> list[Any]:
    (case,) = cases(name, arch=[arch], kernels=["7.0"], cpus=[6], parameters=parameters)
    found = run_machine(case.program.build(case.setup()), case.platform, events=500)
    return [
        value.tolist() if isinstance(value, np.ndarray) else value
        for value in attrs.asdict(found, recurse=False).values()
    ]


WORKLOADS = [
    ("hugetlb-munmap", "x86", {"tables": 2, "sharers": 2, "threads": 1}),
    ("hugetlb-exit", "arm64", {"tables": 1, "walkers": 1}),
    ("fork-storm", "x86", {"children": 2, "gib": 1, "pages": 3}),
    ("anonymous", "x86", {"pages": 5, "threads": 2, "state": "lazy"}),
    ("anonymous", "powerpc", {"pages": 5, "threads": 2, "callers": 2}),
]


@pytest.fixture(params=WORKLOADS, ids=lambda one: f"{one[0]}-{one[1]}")
def workload(request: pytest.FixtureRequest) -> tuple[Any, list[Any]]:
    name, arch, parameters = request.param
    return request.param, runs(name, arch, **parameters)


def test_a_timed_run_is_the_same_however_it_is_divided(workload: Any, short: None) -> None:
    (name, arch, parameters), whole = workload
    assert runs(name, arch, **parameters) == whole


SCENARIOS = [
    ("unshare-walk-cache", "arm64", "7.0"),
    ("unshare-gup", "x86", "6.16"),
    ("cow-stale-writable", "x86", "7.0"),
]


def explored(name: str, arch: str, kernel: str) -> Any:
    (case,) = explorations(name, arch=[arch], kernels=[kernel])
    found = explore_case(case, stories=True)
    return found.to_dict(), attrs.asdict(found.outcome, recurse=False) if found.outcome else None


@pytest.fixture(params=SCENARIOS, ids="-".join)
def scenario(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return request.param, explored(*request.param)


def test_a_search_is_the_same_however_it_is_divided(scenario: Any, short: None) -> None:
    asked, whole = scenario
    assert explored(*asked) == whole


def test_calls_grow_until_they_take_a_tenth_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(slices.time, "monotonic", lambda: now[0])
    found = Slices(10, 100_000)
    sizes = []
    for rate in [1e6] * 5 + [1e4] * 6:
        sizes.append(found.begin())
        now[0] += sizes[-1] / rate
        found.end()
    assert sizes[:5] == [10, 80, 640, 5120, 40960]
    assert sizes[5] == 100_000
    assert sizes[-1] == 1000


@pytest.mark.parametrize(("count", "unit"), [(0, 1), (1, 1), (2500, 1), (100_000, 8192)])
def test_parts_cover_a_count_once(count: int, unit: int) -> None:
    parts = list(Slices(1).parts(count, unit))
    assert [start for start, _ in parts] + [count] == [0] + [end for _, end in parts]
    assert all(start < end for start, end in parts)
