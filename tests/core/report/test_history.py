"""The history of a program as text: ranges below their series, commits at boundaries, and nothing too wide."""

from __future__ import annotations

from typing import Any

import pytest

from shootdown import Change
from shootdown._questions.blame import Blame
from shootdown._questions.history import Advice, History, Span
from shootdown._questions.trials import Outcome
from shootdown._report.history import advice_lines, lines, words
from shootdown._values.result import COUNTS

FIX, OTHER = (
    Change(commit=commit, subject=f"mm: {word} it", mainline="6.2-rc1")
    for commit, word in (("aaaaaaaaaaaa", "fix"), ("bbbbbbbbbbbb", "change"))
)


def counts(**given: int) -> Outcome:
    return Outcome(counts={**dict.fromkeys(COUNTS, 0), **given})


def row(series: str, first: str, last: str, outcome: Outcome, *changes: Change, **given: Any) -> Span:
    blame = Blame(changes, given.pop("together", False))
    return Span("x86", "intel-server", series, first, last, 2, outcome, blame, **given)


def made(*rows: Span, kind: str = "workload", **given: Any) -> History:
    usual: dict[str, Any] = {
        "program": "hugetlb-munmap", "kind": kind, "parameters": {"tables": 4}, "set": {}, "rows": rows,
        "cpus": {("x86", "intel-server"): 8},
        "changes": {change.commit: change for one in rows for change in one.blame.changes},
    }  # fmt: skip
    return History(**{**usual, **given})


def written(found: History, width: int = 80) -> str:
    return "\n".join(lines(found, width, defaults={"tables": 1}))


TWO = (
    row("mainline", "5.10", "6.1", counts(sync_ipis=28, gathers=1)),
    row("mainline", "6.2", "7.3", counts(sync_ipis=7, gathers=1), FIX),
    row("6.1", "6.1", "6.1.192", counts(sync_ipis=28, gathers=1)),
)


def test_a_boundary_has_the_commit_and_its_title_stands_below() -> None:
    text = written(made(*TWO))
    assert text.splitlines()[0] == "hugetlb-munmap: tables=4, on x86 intel-server, with 8 CPUs"
    assert "6.2 to 7.3      7  aaaaaaaaaaaa" in text
    assert "aaaaaaaaaaaa mm: fix it (6.2-rc1)" in text


def test_counts_that_are_the_same_everywhere_have_no_column() -> None:
    text = written(made(*TWO))
    assert "sync" in text
    assert "gathers" not in text


def test_a_series_in_which_nothing_changes_has_a_line_below_the_table() -> None:
    text = written(made(*TWO))
    assert "6.1.y" not in text
    assert "No point release of 6.1 differs from the first release of its series." in text


def test_a_series_that_was_asked_for_alone_is_shown() -> None:
    assert "6.1.y\n6.1 to 6.1.192" in written(made(TWO[2]))


def test_commits_that_only_do_it_together_are_marked_and_the_mark_is_explained() -> None:
    both = row("mainline", "6.2", "7.3", counts(sync_ipis=7), FIX, OTHER, together=True)
    text = written(made(TWO[0], both))
    assert "aaaaaaaaaaaa +" in text
    assert "+: turned back together" in text
    assert "&" not in text


def test_commits_that_all_are_needed_are_marked_otherwise() -> None:
    both = row("mainline", "6.2", "7.3", counts(sync_ipis=7), FIX, OTHER)
    text = written(made(TWO[0], both))
    assert "aaaaaaaaaaaa &" in text
    assert "&: each of them, turned back alone" in text


def test_a_scenario_has_verdicts_and_no_cpus() -> None:
    bad = Outcome(verdict="bug", invariant="gup-fast")
    found = made(
        row("mainline", "5.10", "6.1", bad),
        row("mainline", "6.2", "7.3", Outcome(verdict="safe"), FIX),
        kind="scenario",
        parameters={},
    )
    text = written(found)
    assert "5.10 to 6.1  BUG gup-fast" in text
    assert "CPUs" not in text


def test_releases_that_cannot_run_it_say_why_across_the_table() -> None:
    text = written(made(row("mainline", "5.10", "5.15", Outcome(reason="this release lacks it")), TWO[1]))
    assert "5.10 to 5.15  not supported: this release lacks it" in text


def test_where_nothing_can_be_run_there_is_no_empty_table() -> None:
    text = written(made(row("mainline", "5.10", "7.3", Outcome(reason="no sharing here"))))
    assert "releases" not in text
    assert "5.10 to 7.3  not supported: no sharing here" in text


def test_what_is_not_certain_is_a_footnote() -> None:
    text = written(
        made(TWO[0], row("mainline", "6.2", "7.3", counts(), FIX, remarks=("UNVERIFIED: whether",)))
    )
    assert "6.2 to 7.3 [1]" in text
    assert "[1] UNVERIFIED: whether" in text


@pytest.mark.parametrize("width", [72, 80, 100])
def test_a_table_with_every_count_fits_and_names_those_that_have_no_room(width: int) -> None:
    many = row("5.10", "5.10.239", "5.10.252", counts(**dict.fromkeys(COUNTS, 1_234_567)), FIX)
    text = written(made(row("5.10", "5.10", "5.10.238", counts()), many), width)
    assert max(map(len, text.splitlines())) <= width
    assert "sync" in text
    assert "No room for: " in text


def test_advice_names_the_lowest_release_or_why_there_is_none() -> None:
    found = made(
        *TWO,
        advice=(
            Advice("x86", "intel-server", "mainline", "6.2"),
            Advice("x86", "intel-server", "6.1", "6.1", lacks=("aaaaaaaaaaaa",)),
            Advice("x86", "intel-server", "5.10", None, reason="4 sync broadcasts, where 7.3.4 has 1"),
        ),
    )
    text = "\n".join(advice_lines(found, 80, defaults={}))
    assert "mainline  6.2\n" in text
    assert "6.1.y     6.1     lacks aaaaaaaaaaaa" in text
    assert "5.10.y    none    4 sync broadcasts, where 7.3.4 has 1" in text
    assert "aaaaaaaaaaaa mm: fix it" in text


def test_the_name_of_a_count_is_written_as_words() -> None:
    assert words("redundant_sync_ipis") == "redundant sync IPIs"
    assert words("interrupted_cpus") == "interrupted CPUs"
