"""Notebooks show results as reports, and every public function takes the same arguments."""

from __future__ import annotations

import inspect

import pytest
from tests.core.report.values import bug, result, verdict

import shootdown
from shootdown._questions.explore import Verdicts
from shootdown._report.row_times import against, firsts, times_of
from shootdown._values.result import Results, Span

WHERE = {"arch": "x86", "platforms": "intel-server", "kernels": "7.0", "cpus": 4}
SHARED = ("arch", "platforms", "kernels", "cpus", "parameters", "settings", "patch")


def test_rows_verdicts_and_one_of_each_are_shown() -> None:
    row = result(counts={"sync_ipis": 28}, workload="<b>")
    for value, said in (
        (Results([row]), "28"),
        (row, "28"),
        (Verdicts([bug(), verdict()]), "Yes"),
        (bug(), "Yes"),
    ):
        text = value._repr_html_()
        assert said in text
        assert "<b>&lt;" not in text
        assert "<b>on" not in text
        assert "body {" not in text  # what is around it keeps its looks


def test_an_empty_list_shows_nothing() -> None:
    assert '<div class="shootdown"></div>' in Results()._repr_html_()


def test_explain_answers_from_python_with_plain_names_and_numbers() -> None:
    found = shootdown.explain("hugetlb-munmap", parameters={"tables": 1}, **WHERE)
    assert found.row.kernel == "7.0"
    assert sum(entry.ipis for entry in found.entries) == found.row.counts["sync_ipis"] == 3
    assert "tlb_remove_table_sync_one" in found._repr_html_()


def test_explain_refuses_several_runs() -> None:
    with pytest.raises(shootdown.ShootdownError, match="2 runs are asked for"):
        shootdown.explain("hugetlb-munmap", **{**WHERE, "kernels": ["6.16", "7.0"]})


@pytest.mark.parametrize("name", ["compare", "explain", "explore", "history", "diff", "targets"])
def test_arguments_of_one_meaning_have_one_name_and_stand_in_one_order(name: str) -> None:
    given = [one for one in inspect.signature(getattr(shootdown, name)).parameters if one in SHARED]
    assert given == [one for one in SHARED if one in given] or name in ("history", "diff")
    assert {"arch", "platforms", "settings", "patch"} <= set(given)


def test_a_row_is_set_against_the_first_of_its_platform() -> None:
    def taking(likely: float, **given: object) -> shootdown.Result:
        times = {name: Span(likely, likely, likely) for name in ("elapsed_ns", "system_ns", "lost_ns")}
        return result(times=times, **given)

    rows = [taking(100), taking(5400, kernel="7.1"), taking(55, kernel="7.2")]
    first = firsts(rows)["x86", "intel-server"]
    assert [against(row, first) for row in rows] == ["first", "x54", "x0.55"]
    assert firsts(rows[:1]) == {}
    assert times_of([taking(100)])["elapsed_ns"] == "elapsed = system"
    assert "system_ns" not in times_of([taking(100)])
