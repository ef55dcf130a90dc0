"""What tells most stands above a table: which row sends the most IPIs, and how many times another's."""

from __future__ import annotations

from tests.core.report.values import result

from shootdown._report.first_of_all import first_of_all
from shootdown._values.result import Result


def above(*rows: Result) -> str:
    return "\n".join(first_of_all(rows, 200)[:1])


def test_the_row_that_sends_most_is_compared_with_the_one_that_sends_least() -> None:
    rows = [
        result(k, counts={"sync_ipis": n}) for k, n in (("6.15", 0), ("6.16", 1400), ("7.0", 10), ("7.1", 20))
    ]
    assert above(*rows) == "6.16 sends 140 times the IPIs of 7.0 (1,400 and 10); 6.15 sends none."
    assert (
        above(rows[1], rows[3], rows[0])
        == "6.16 sends 70 times the IPIs of 7.1 (1,400 and 20); 6.15 sends none."
    )
    assert above(rows[0], rows[1]) == "6.16 sends 1,400 IPIs; 6.15 sends none."


def test_all_kinds_of_ipis_count() -> None:
    both = result("6.16", counts={"sync_ipis": 10, "flush_ipis": 5})
    assert above(both, result("7.0", counts={"flush_ipis": 10})) == (
        "6.16 sends 1.5 times the IPIs of 7.0 (15 and 10)."
    )


def test_of_several_platforms_the_one_with_the_largest_ratio_is_named() -> None:
    rows = [
        result(kernel, platform=platform, counts={"sync_ipis": n})
        for platform, kernel, n in (("p", "6.16", 6), ("p", "7.0", 3), ("q", "6.16", 9), ("q", "7.0", 3))
    ]
    assert above(*rows) == "On x86 q: 6.16 sends 3 times the IPIs of 7.0 (9 and 3)."


def timed(kernel: str, low: int, high: int) -> Result:
    remark = f"timing decides, over the range of costs: lock_waits 1 to 2, sync_ipis {low} to {high}"
    return result(kernel, counts={"sync_ipis": low}, remarks=(remark,))


def test_where_timing_decides_the_ratio_is_a_range() -> None:
    rows = [timed("6.16", 1000, 1200), timed("7.0", 10, 20), result("6.15")]
    assert (
        above(*rows)
        == "6.16 sends 50 to 120 times the IPIs of 7.0 (1,000 to 1,200 and 10 to 20); 6.15 sends none."
    )


def test_the_least_is_the_kernel_whose_most_is_least() -> None:
    rows = [timed("6.16", 200_000, 200_000), timed("5.15", 1, 300), timed("7.0", 100, 200)]
    assert above(*rows).startswith("6.16 sends 1,000 to 2,000 times the IPIs of 7.0 (")


def test_nothing_is_said_of_equal_rows_and_of_ranges_that_overlap() -> None:
    equal = [result(kernel, counts={"sync_ipis": 3}) for kernel in ("6.16", "7.0")]
    assert not above(*equal)
    assert not above(timed("6.16", 10, 30), timed("7.0", 20, 40))
