"""What is timed of an architecture: results that agree come first."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from shootdown._compliance import speed
from shootdown._compliance.speed import WORKS, Work, ratio, work_of, yardstick
from shootdown._values.errors import ShootdownError

ROOT = Path(__file__).parents[3]


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["flush", "compare"])
def test_a_run_is_timed_after_interrupts_one_by_one_counted_the_same(name: str) -> None:
    work = work_of(name, "x86")
    assert work.units >= 200
    assert work.run() is not None


def test_what_differs_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = speed.run_machine

    def differing(machine: Any, platform: Any, **given: Any) -> Any:
        run = real(machine, platform)
        return attrs.evolve(run, counts={**run.counts, "flush_ipis": 3}) if given.get("one_by_one") else run

    monkeypatch.setattr(speed, "run_machine", differing)
    with pytest.raises(AssertionError, match="interrupts one by one count something else"):
        work_of("flush", "x86")


@pytest.mark.parametrize("name", ["compare", "explore"])
def test_what_an_architecture_can_not_do_is_said(name: str) -> None:
    with pytest.raises(ShootdownError, match="no hugetlb PMD sharing"):
        work_of(name, "powerpc")


def test_both_works_are_done_as_often_as_there_are_rounds_and_more() -> None:
    done = {"own": 0, "other": 0}

    def work(name: str) -> Work:
        def run() -> None:
            done[name] += 1
            sum(range(2000))

        return Work(name, 10, run)

    found = ratio(work("own"), work("other"), 3)
    assert min(done.values()) >= 3 + 2
    assert found.low <= found.median <= found.high
    assert found.ns > 0


def test_the_yardstick_sorts_and_knows_its_size() -> None:
    found = yardstick()
    result: Any = found.run()
    assert len(result) == found.units
    assert (result[1:] >= result[:-1]).all()


def test_every_work_has_a_unit_and_a_benchmark() -> None:
    from shootdown.testing import ArchitectureBenchmarks

    asked: list[Any] = []
    collected = SimpleNamespace(
        fixturenames=["work"], parametrize=lambda name, values: asked.append((name, values))
    )
    ArchitectureBenchmarks().pytest_generate_tests(collected)
    assert asked == [("work", list(WORKS))]


def result(tmp_path: Path, name: str, low: float, median: float, high: float) -> str:
    path = tmp_path / f"{name}.json"
    info = {"ratio": median, "ratio_low": low, "ratio_high": high}
    path.write_text(
        json.dumps({"benchmarks": [{"fullname": "a/b.py::TestX::test_speed[walk]", "extra_info": info}]})
    )
    return str(path)


@pytest.mark.parametrize(
    ("new", "status"),
    [((0.9, 1.0, 1.1), 0), ((1.2, 1.3, 1.4), 1), ((1.05, 1.3, 1.4), 0), ((0.5, 0.5, 0.6), 0), ((1.11, 1.12, 1.13), 1),
     ((1.101, 1.102, 1.103), 1)],
)  # fmt: skip
def test_slower_is_what_noise_does_not_explain(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    new: tuple[float, float, float],
    status: int,
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    compared = pytest.importorskip("benchmarks.compare_ratios")
    old = result(tmp_path, "old", 0.95, 1.0, 1.1)
    assert compared.main(old, result(tmp_path, "new", *new)) == status
    assert ("SLOWER" in capsys.readouterr().out) == bool(status)


def test_what_is_no_result_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    compared = pytest.importorskip("benchmarks.compare_ratios")
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(SystemExit, match="no result of pytest-benchmark"):
        compared.ratios(str(path))
    with pytest.raises(SystemExit, match="neither a file nor a commit"):
        compared.ratios("no-such-thing")
