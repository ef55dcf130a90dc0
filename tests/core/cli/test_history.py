"""`shootdown history`: since when, as text and JSON that others can rely on, and what can't be asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shootdown import _cli
from shootdown._cli import _common

SMALL = ("hugetlb-munmap", "--arch", "x86", "--platform", "qemu-tcg", "--series", "mainline,6.12,6.17")
KEYS = ("arch", "platform", "series", "first", "last", "counts", "verdict", "commits")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    status = _cli.run(["history", *words])
    written = capsys.readouterr()
    assert status == 0, written.err
    return written.out


def test_json_has_the_promised_keys_and_a_row_for_each_range(capsys: pytest.CaptureFixture[str]) -> None:
    value: dict[str, Any] = json.loads(printed(capsys, *SMALL, "--json"))
    assert value["schema"] == 1
    assert value["parameters"]["tables"] == 4
    for row in value["rows"]:
        assert set(row) >= set(KEYS)
    ranges = [(row["first"], row["last"], row["commits"]) for row in value["rows"] if row["series"] == "6.12"]
    assert ranges == [
        ("6.12", "6.12.34", []),
        ("6.12.35", "6.12.73", ["1013af4f585f"]),
        ("6.12.74", "6.12.118", ["8ce720d5bd91"]),
    ]


@pytest.mark.parametrize("columns", [72, 80, 100])
def test_every_line_fits_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for more in ((), ("--advise",)):
        assert max(map(len, printed(capsys, *SMALL, *more).splitlines())) <= columns


def test_advise_prints_the_release_of_each_series(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, *SMALL, "--advise").splitlines()
    assert "6.12.y    6.12.74" in lines
    assert any(line.startswith("6.17.y    none") for line in lines)


def test_lore_ends_with_the_command_that_prints_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *SMALL, "--lore")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 72
    assert text.isascii()
    command = text[text.rindex("\n\n") :].replace("\\\n", "").split()
    assert command[:3] == ["shootdown", "history", "hugetlb-munmap"]
    again = printed(capsys, *command[2:], "--lore")
    assert again == text


def test_a_verdict_that_is_not_known_ends_with_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shootdown._questions import trials

    explore = trials.explore_case
    monkeypatch.setattr(trials, "explore_case", lambda case, **_: explore(case, most_states=3))
    words = ["unshare-gup", "--arch", "x86", "--series", "7.3"]
    assert _cli.run(["history", *words]) == _common.UNANSWERED
    assert "inconclusive" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Missing argument 'PROGRAM'"),
        (("no-such",), "there is no workload or scenario 'no-such'"),
        (("hugetlb-munmap", "--series", "4.19"), "there is no series 4.19"),
        (("hugetlb-munmap", "--series", "6.12.74"), "its series is 6.12"),
        (("hugetlb-munmap", "--series", "7.0..6.1"), "no series lies between 7.0 and 6.1"),
        (("hugetlb-munmap", "--series", "6.1,6.1"), "6.1 is named twice"),
        (("hugetlb-munmap", "--series", "6.1,,6.6"), "has an empty place in its list"),
        (("hugetlb-munmap", "--verdict"), "is a workload, which is counted and has no verdict"),
        (("hugetlb-munmap", "--lore", "--json"), "--lore and --json cannot both hold"),
        (("hugetlb-munmap", "--cpus", "0"), "0 is not in the range"),
        (("hugetlb-munmap", "-p", "tables"), "is not of the form name=value"),
        (("unshare-gup", "--set", "scenario.no=1"), "has no switch scenario.no"),
    ],
)
def test_what_cannot_be_asked_ends_with_2_and_one_message(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _cli.run(["history", *words]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert message in written.err
    assert "Traceback" not in written.err
