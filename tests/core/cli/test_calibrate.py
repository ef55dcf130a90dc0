"""`shootdown calibrate`: a platform of this machine in a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from shootdown._calibrate.calibrating import Calibration, Checked, Point
from shootdown._calibrate.fitting import Fit
from shootdown._calibrate.measuring import Measured
from shootdown._calibrate.refill import Refill
from shootdown._cli import run
from shootdown._plugins.registry import registry
from shootdown._report import calibration as report
from shootdown._values.result import Span


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["machine.txt"], "machine.txt: a platform's file ends in .toml"),
        (["there.toml"], "there.toml is there already: --force writes over it, --check takes it as it is"),
        (["there.toml", "--check", "--like", "kvm-guest"], "--like is for a new calibration"),
        (["new.toml", "--like", "kvm-gast"], "kvm-gast"),
    ],
)
def test_what_can_not_be_done_is_told_before_anything_is_measured(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.toml").write_text("")
    assert run(["calibrate", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not Path("new.toml").exists()


def calibration(kept: tuple[int, int]) -> Calibration:
    costs = registry().platform("x86", "kvm-guest").costs
    return Calibration(
        Fit(costs, ("syscall_ns",), (1.25,)),
        (Point("mprotect read: a page", Measured(900.0, 1000.0, 1200.0, 30, 30), 1.25),),
        (Refill(4096, 64, 0.0), Refill(4096, 4096, 9.0)),
        ("membarrier(): operation not permitted",),
        kept,
    )


def test_what_was_measured_stands_beside_what_the_costs_say() -> None:
    text = "\n".join(report.lines(calibration((30, 30)), 80))
    assert "~1.00 us (0.90-1.2)" in text
    assert "x1.25" in text
    assert "membarrier(): operation not permitted" in text
    assert "Up to 64 pages are" in text
    assert "busy" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_busy_machine_is_said_to_be_busy() -> None:
    assert "busy: 70 % of the batches do not count" in "\n".join(report.lines(calibration((30, 100)), 80))


def test_a_check_has_the_median_of_the_errors_and_what_lies_inside() -> None:
    found = [
        Checked("one", Span(80, 110, 140), Measured(90, 100, 110, 9, 9)),
        Checked("two", Span(80, 150, 190), Measured(90, 100, 110, 9, 9)),
        Checked("three", Span(80, 90, 95), Measured(90, 100, 110, 9, 9)),
    ]
    text = "\n".join(report.of_check(found, 80))
    assert "Median error 10 %; 2 of 3 lie inside the predicted interval." in text
    assert report.checks_to_dict(found)["median_error"] == pytest.approx(0.1)
    assert report.checks_to_dict([])["median_error"] is None


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="it measures calls of Linux")
def test_this_machine_is_measured_and_its_file_is_a_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["calibrate", "--check", "--json", "--like", "kvm-guest"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"machine", "measured", "costs", "refill", "not_possible", "busy", "check", "median_error"} <= set(
        told
    )
    assert told["measured"]
    assert (
        run(["compare", "anonymous", "--platform", "this-machine.toml", "--kernel", "7.0", "--cpus", "2"])
        == 0
    )
    assert "this-machine.toml" in capsys.readouterr().out
