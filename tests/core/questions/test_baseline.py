"""A measured base and a predicted addition."""

from __future__ import annotations

import json

import pytest
from tests.core.report.values import result, span

from shootdown._cli import run
from shootdown._questions.baseline import on_base, read_baseline
from shootdown._report.baseline import of_base, of_row
from shootdown._values.errors import ShootdownError


def rows() -> tuple[object, object]:
    first = result(kernel="6.15", times={"elapsed_ns": span(100e6, 50e6, 200e6), "system_ns": span(1e9)})
    other = result(kernel="6.16", times={"elapsed_ns": span(8.1e9, 3.05e9, 18.2e9), "system_ns": span(17e9)})
    return first, other


def test_times_are_read_with_their_units() -> None:
    assert read_baseline("elapsed=2.475s, system=180ms") == {"elapsed": 2.475e9, "system": 180e6}
    assert read_baseline("lost=3us") == {"lost": 3000.0}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("elapsed=2", "elapsed is a time above zero with its unit, such as elapsed=2.475s"),
        ("elapsed", "elapsed is a time above zero"),
        ("elapsed=0s", "elapsed is a time above zero"),
        ("elapsed=-1s", "elapsed is a time above zero"),
        ("elapsd=2s", "there is no time 'elapsd'; nearest: elapsed"),
        ("elapsed=1s,elapsed=2s", "elapsed is given twice"),
        ("", "there is no time ''"),
    ],
)
def test_what_is_no_time_is_told(text: str, told: str) -> None:
    with pytest.raises(ShootdownError, match=told):
        read_baseline(text)


def test_what_is_predicted_to_be_added_stands_on_what_was_measured() -> None:
    first, other = rows()
    elapsed, system = on_base(first, other, {"elapsed": 2e9, "system": 3e9})  # type: ignore[arg-type]
    assert elapsed.added.likely == pytest.approx(8e9)
    assert elapsed.total.likely == pytest.approx(10e9)
    assert (elapsed.total.low, elapsed.total.high) == pytest.approx((5e9, 20e9))
    assert system.total.likely == pytest.approx(19e9)
    text = of_row(first, [elapsed])  # type: ignore[arg-type]
    assert text.startswith("on the measured base of 6.15")
    assert "what is predicted to be added: elapsed ~10.0 s (5.0-20), x5.0 (x2.5-x10) of the base" in text
    assert "measured, as given: elapsed 2.00 s (the model says ~100 ms" in of_base(first, {"elapsed": 2e9})  # type: ignore[arg-type]


def test_compare_says_of_each_row_what_was_measured_and_what_is_predicted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = [
        "compare",
        "hugetlb-munmap",
        "-p",
        "tables=4",
        "--platform",
        "intel-server",
        "--kernel",
        "6.15,6.16",
    ]
    assert run([*asked, "--cpus", "4", "--baseline", "elapsed=1ms", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["rows"]
    assert first["remarks"][-1].startswith("measured, as given: elapsed 1.00 ms")
    assert second["remarks"][-1].startswith(
        "on the measured base of 6.15 on intel-server, with what is predicted"
    )
    added = second["times"]["elapsed_ns"]["likely"] - first["times"]["elapsed_ns"]["likely"]
    assert f"~{1 + added / 1e6:.2f} ms" in second["remarks"][-1]
    assert run([*asked, "--baseline", "elapsed=1"]) == 2
    assert "--baseline elapsed=1: elapsed is a time above zero" in capsys.readouterr().err


def test_a_first_row_that_can_not_be_run_is_no_base(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["compare", "hugetlb-mremap", "--platform", "intel-server", "--kernel", "5.10,7.0", "--cpus", "4"]
    assert run([*asked, "--baseline", "elapsed=1ms"]) == 2
    assert "the first row is the measured one, and it can't be run" in capsys.readouterr().err
