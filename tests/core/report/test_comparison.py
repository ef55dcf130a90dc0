"""The table of a comparison: what all rows share stands above it, what differs in it, remarks below."""

from __future__ import annotations

import pytest
from tests.core.report.values import SECOND, refused, result, span

from shootdown._report.comparison import HEADINGS, comparison, markdown
from shootdown._values.result import COUNTS, RARE_COUNTS


def text(*rows: object, width: int = 100, **given: object) -> str:
    return "\n".join(comparison(rows, width, **given))  # type: ignore[arg-type]


def column(lines: str, heading: str) -> list[str]:
    """Return the cells below a heading that stands on one line."""
    rows = lines.splitlines()
    rule = next(n for n, line in enumerate(rows) if line.startswith("---"))
    begin = rows[rule - 1].index(heading)
    return [line[begin : begin + len(heading) + 2].strip() for line in rows[rule + 1 :] if line.strip()]


def test_nothing_is_written_of_no_rows() -> None:
    assert comparison([], 80) == []


def test_what_all_rows_have_in_common_stands_in_the_title() -> None:
    title = text(result("6.16"), result("7.0")).splitlines()[0]
    for word in ("hugetlb-munmap", "x86", "intel-server", "8 CPUs"):
        assert word in title


def test_counts_that_are_zero_in_every_row_have_no_column() -> None:
    shown = text(result("6.16", counts={"hypercalls": 7}), result("7.0"))
    assert column(shown, "hypercalls")[:2] == ["7", "0"]
    assert "IPIs" not in shown


def test_a_count_may_be_shown_even_if_it_is_zero() -> None:
    assert "hypercalls" in text(result(), shown_always=("hypercalls",))


def test_counts_are_exact_and_have_separators() -> None:
    assert "18,641,610" in text(result(counts={"sync_ipis": 18_641_610}))


def test_times_say_that_they_are_estimates() -> None:
    shown = text(
        result(times={"elapsed_ns": span(8.2 * SECOND, 3 * SECOND, 18 * SECOND), "system_ns": span(0.0)})
    )
    assert "~8.20 s (3.0-18)" in shown
    assert "Counts are exact. Times (~) are estimates" in shown


def test_counts_that_timing_decides_are_told_from_those_that_are_exact() -> None:
    timed = result(
        remarks=("timing decides, over the range of costs: sync_ipis 10 to 20, lock_waits 1 to 2",)
    )
    shown = " ".join(text(timed).split())
    assert "Counts are exact." not in shown
    assert (
        "Counts are exact, except where a remark says that timing decides: these are what the likely costs give"
        in shown
    )
    assert "(sync IPIs, lock waits)" in shown


def test_where_others_lose_time_there_is_a_column_of_it_and_a_note_on_what_it_holds() -> None:
    words = "System includes handlers on CPUs that are hit; others lost: those handlers"
    hit = result(times={**result().times, "lost_ns": span(7 * SECOND)})
    assert words in " ".join(text(hit).split())
    assert "~7.00 s" in text(hit)
    assert "others lost" not in text(result())


def test_the_title_has_how_many_there_were_where_more_was_asked_for() -> None:
    row = result(parameters={"actors": 99}, applied={"actors": 2})
    assert "hugetlb-munmap: actors=2 (of 99 asked for), on x86" in text(row)
    assert "actors=99, on x86" in text(row, result(parameters={"actors": 99}))


def test_interrupted_cpus_are_set_against_those_that_there_are() -> None:
    assert "3 of 8" in text(result(counts={"interrupted_cpus": 3}))


def test_a_row_that_could_not_be_run_says_why_across_the_table() -> None:
    shown = text(result("7.0", counts={"sync_ipis": 1}), refused("5.15", "it is too old"))
    assert "5.15  not supported: it is too old" in shown


def test_what_can_not_exist_says_so_itself() -> None:
    assert "5.15  not applicable: no such thing" in text(refused("5.15", "not applicable: no such thing"))


def test_neighbours_that_are_refused_for_one_reason_share_a_line_and_others_do_not() -> None:
    shown = text(refused("5.10", "too old"), refused("5.15", "too old"), refused("6.1", "too new"))
    assert "5.10, 5.15  not supported: too old" in shown
    assert "6.1  not supported: too new" in shown


def test_a_remark_that_several_rows_have_is_a_footnote_written_once() -> None:
    shown = text(result("6.16", remarks=("unverified",)), result("7.0", remarks=("what-if", "unverified")))
    assert shown.count("unverified") == 1
    assert "6.16 [1]" in shown
    assert "7.0 [1,2]" in shown
    assert "[1] unverified" in shown
    assert "[2] what-if" in shown


def test_numbers_in_a_remark_on_timing_get_their_separators() -> None:
    assert "[1] timing decides sync_ipis: 1,000, 2,000" in text(
        result(remarks=("timing decides sync_ipis: 1000, 2000",))
    )


def test_rows_of_several_platforms_and_kernels_stand_under_a_heading_each() -> None:
    rows = [result(k, platform=p) for p in ("intel-server", "amd-server") for k in ("6.16", "7.0")]
    lines = text(*rows).splitlines()
    assert "x86 intel-server, 8 CPUs" in lines
    assert "x86 amd-server, 8 CPUs" in lines


def test_one_kernel_on_several_platforms_needs_no_headings() -> None:
    shown = text(result(platform="intel-server"), result(platform="amd-server"))
    assert column(shown, "platform")[:2] == ["intel-serv", "amd-server"]


@pytest.mark.parametrize("width", range(30, 140, 7))
def test_a_table_fits_its_terminal_whatever_has_to_give(width: int) -> None:
    counts = dict.fromkeys(COUNTS, 1_234_567)
    rows = [result(k, platform=p, counts=counts, interrupts=(1, 0, 2)) for p in "ab" for k in ("6.16", "7.0")]
    assert max(map(len, comparison(rows, width))) <= width


def test_what_each_row_takes_against_the_first_has_a_column_or_stands_below_its_times() -> None:
    counts = dict.fromkeys(COUNTS, 1_234)
    slower = {**result().times, "elapsed_ns": span(30 * SECOND)}
    rows = (result("6.15", counts=counts), result("6.16", counts=counts, times=slower))
    wide, narrow = text(*rows, width=200), text(*rows, width=80)
    assert [line.split()[-1] for line in wide.splitlines() if line.startswith("6.1")] == ["first", "x15"]
    below = [line.strip() for line in narrow.splitlines()]
    assert [line for line in below if line in ("first", "x15")] == ["first", "x15"]


def test_counts_that_have_no_room_are_named() -> None:
    counts = dict.fromkeys(COUNTS, 12_345)
    shown = text(result(counts=counts), result("6.16", counts=counts), width=80)
    assert "No room for: " in shown


def test_a_terminal_in_which_no_table_fits_gets_a_line_for_each_fact() -> None:
    counts = dict.fromkeys(COUNTS, 1_234_567)
    lines = text(result(counts=counts), refused("5.15", "too old"), width=30).splitlines()
    assert "  sync_ipis 1,234,567" in lines
    assert "  not supported: too old" in lines


def test_every_count_that_has_a_heading_is_one_of_a_row() -> None:
    assert set(HEADINGS) <= {*COUNTS, *RARE_COUNTS}


# --- who was interrupted


# --- parameters that differ


def several(*values: int) -> list[object]:
    return [result(parameters={"tables": 2, "sharers": n}, counts={"sync_ipis": n}) for n in values]


def test_a_parameter_that_differs_has_a_column_and_does_not_stand_in_the_title() -> None:
    shown = text(*several(1, 2, 4))
    assert "sharers" not in shown.splitlines()[0]
    assert "tables=2" in shown.splitlines()[0]
    assert column(shown, "sharers")[:3] == ["1", "2", "4"]


def test_a_markdown_table_has_the_same_cells_and_remarks_below() -> None:
    rows = [result("6.16", counts={"sync_ipis": 1234}, remarks=("a remark",)), refused("7.0", "it can't")]
    lines = markdown(rows)
    assert "| kernel | sync IPIs | elapsed | system |" in lines
    assert "| 6.16 [1] | 1,234 | ~2.00 s | ~3.00 s |".replace("[", "\\[") in lines
    assert "| 7.0  not supported: it can't |  |  |  |" in lines
    assert "- [1] a remark" in lines
    assert markdown([]) == []
