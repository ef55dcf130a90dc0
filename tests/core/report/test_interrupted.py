"""Below a table: which CPUs were interrupted, how often, and by which rows alike."""

from __future__ import annotations

import pytest
from tests.core.report.values import result

from shootdown._report.interrupted import interrupted, who_was_interrupted
from shootdown._values.result import Result


def told_of(*rows: Result) -> str:
    return "\n".join(who_was_interrupted(rows, 100))


@pytest.mark.parametrize(
    ("interrupts", "told"),
    [
        ((0, 0, 0), "nobody"),
        ((0, 1), "CPU 1, once"),
        ((0, 3), "CPU 1, 3 times"),
        ((1, 1, 0, 1), "CPUs 0-1,3, once each"),
        ((2000, 2000), "CPUs 0-1, 2,000 times each"),
        ((4, 3), "CPUs 0-1, 3 to 4 times each; most often CPU 0 (4)"),
        ((9, 3, 6), "CPUs 0-2, 3 to 9 times each; most often CPU 0 (9), CPU 2 (6), CPU 1 (3)"),
        (
            (1, 9, 8, 7, 6, 5),
            "CPUs 0-5, 1 to 9 times each; most often CPU 1 (9), CPU 2 (8), CPU 3 (7), CPU 4 (6)",
        ),
    ],
)
def test_interrupted_cpus_are_named_with_how_often(interrupts: tuple[int, ...], told: str) -> None:
    assert interrupted(interrupts) == told


def test_rows_in_which_the_same_cpus_were_interrupted_share_a_line() -> None:
    shown = told_of(
        result("6.16", interrupts=(0, 1)), result("7.0", interrupts=(0, 1)), result("7.1", interrupts=(2,))
    )
    assert "- 6.16, 7.0: CPU 1, once" in shown
    assert "- 7.1: CPU 0, 2 times" in shown


def test_of_many_rows_nobody_is_told_apart() -> None:
    rows = [result(str(n), interrupts=(0, 1)) for n in range(17)]
    assert "Who was interrupted" not in told_of(*rows)
    assert "Who was interrupted" in told_of(*rows[:16])
