"""A mail has 72 columns of ASCII, a race with a column for each CPU, and the command as its last line."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.report.values import STORY, atom, bug, verdict

from shootdown._explore.story import Line, Story
from shootdown._report.lore import ascii_only, mail, race, verdict_mail


def story(*cpus: int, function: str = "do_it", text: str = "change it", change: str = "it: 0 → 1") -> Story:
    """Make a story in which each of these CPUs moves, one after another."""
    lines = [
        Line(
            n + 1, cpu, "", "task", "step 0", (atom(function, text, change, cpu=cpu),), bad=n == len(cpus) - 1
        )
        for n, cpu in enumerate(cpus)
    ]
    lanes = tuple(f"task {n}" for n in range(max(cpus) + 1))
    return Story(lanes, tuple(lines), "broken", "it may not be", ("it is",), "0")


def test_a_race_has_a_column_for_each_cpu_and_later_is_further_down() -> None:
    lines = list(race(story(0, 1), 72))
    assert lines[0].split("|")[0].strip() == "CPU0"
    assert lines[0].split("|")[1].strip() == "CPU1"
    first = next(n for n, line in enumerate(lines) if line.startswith("  do_it()"))
    second = next(
        n for n, line in enumerate(lines) if "|" in line and line.split("|")[1].startswith(" do_it()")
    )
    assert first < second
    assert lines[-1] == "=> it is"


def test_a_function_stands_once_and_what_it_changes_is_indented_below() -> None:
    text = "\n".join(race(story(0, 0, 1), 72))
    before = text.split("| do_it()")[0]
    assert before.count("do_it()") == 1
    assert "    change it -> it: 0 -> 1" in before


def test_steps_that_change_nothing_are_left_out_of_a_race_but_not_the_last_ones() -> None:
    text = "\n".join(race(STORY, 72))
    assert "drop the count" not in text
    assert "read a <freed> table" in text


def test_more_cpus_than_columns_share_one_column() -> None:
    lines = list(race(story(0, 1, 2, 3, 4), 72))
    assert "|" not in "".join(lines)
    assert any(line.startswith("  CPU4  do_it()") for line in lines)
    assert max(map(len, lines)) <= 72


def test_a_mail_has_no_colour_and_nothing_but_ascii() -> None:
    text = "\n".join(mail(verdict_mail(bug(), 72), "shootdown explore unshare-gup", 72))
    assert text.isascii()
    assert "\x1b" not in text


def test_the_command_is_the_last_line_after_an_empty_one() -> None:
    lines = list(mail(["a report"], "shootdown compare", 72))
    assert lines == ["a report", "", "shootdown compare"]


def test_a_long_command_is_continued_so_that_a_shell_reads_the_same() -> None:
    words = ["shootdown", "explore", *(f"--option-{n}={'x' * 12}" for n in range(9)), "two words", "it's"]
    lines = list(mail([], shlex.join(words), 72))
    assert max(map(len, lines)) <= 72
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words


def test_a_safe_verdict_says_how_many_states_were_checked() -> None:
    assert "1,234 states, every one of them checked." in verdict_mail(verdict(states=1234), 72)


def test_a_search_that_was_given_up_does_not_say_that_all_was_checked() -> None:
    lines = list(verdict_mail(verdict(said="inconclusive", states=99, reason="the bound was hit"), 72))
    assert not any("every one" in line for line in lines)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=8),
    st.from_regex(r"[a-z_]{1,60}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=120),
)
def test_no_line_of_a_mail_is_too_long_whatever_happens_in_it(
    cpus: list[int], function: str, word: str
) -> None:
    told = story(*cpus, function=function, text=f"{word} and {word}", change=f"{word} → none")
    lines = list(mail(race(told, 72), "shootdown explore x", 72))
    assert max(map(len, lines)) <= 72
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize("mark", ["→", "✗", "│", "µ", "✓"])
def test_marks_become_ascii(mark: str) -> None:
    assert ascii_only(mark).isascii()
