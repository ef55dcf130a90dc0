"""`--lore` of compare and explore: a mail of 72 columns, with the command that makes it again."""

from __future__ import annotations

import shlex

import pytest

from shootdown import _cli
from shootdown._report.commands import command_line


def printed(capsys: pytest.CaptureFixture[str], line: str) -> str:
    assert _cli.run(shlex.split(line)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        "compare hugetlb-munmap -p tables=4 --arch x86,arm64 --kernel 6.15,6.16,7.0 --cpus 8",
        "compare hugetlb-mremap --arch x86 --kernel 5.10,7.0",
        "explore unshare-gup --arch arm64 --kernel 6.15,6.16",
        "explore break-before-make --arch x86 --kernel 7.0",
    ],
)
def test_a_mail_is_ascii_of_72_columns_and_its_last_command_makes_it_again(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, f"{line} --lore")
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 72
    command = text[text.rindex("\n\n") :].replace("\\\n", "").strip()
    assert shlex.split(command) == ["shootdown", *shlex.split(line)]
    assert printed(capsys, f"{command.removeprefix('shootdown ')} --lore") == text


def test_a_bug_is_drawn_with_a_column_for_each_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "explore unshare-gup --arch arm64 --kernel 6.15 --lore")
    assert any(
        [cell.strip() for cell in row.split("|")] == ["CPU0", "CPU1", "CPU2"] for row in text.splitlines()
    )
    assert "=> CPU 1 in gup_fast_pmd_leaf(): the page of another process is returned" in text


def test_what_was_left_open_is_in_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The newest release, and this machine's architecture, are others on another day and on another machine."""
    from shootdown import kernel
    from shootdown._values.series import newest_known

    text = printed(capsys, "explore lazy-freed-tables --lore")
    assert f"--kernel {newest_known()}" in text.splitlines()[-1]
    assert "--arch " in text.splitlines()[-1]
    assert kernel(newest_known(), "x86")


@pytest.mark.parametrize("line", ["compare --lore --json", "explore unshare-gup --lore --json"])
def test_a_mail_is_no_json(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(line.split()) == 2
    assert "--lore and --json cannot both hold" in capsys.readouterr().err


def test_a_replay_is_not_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(["explore", "--replay", "-", "--lore"]) == 2
    assert "give it without --replay" in capsys.readouterr().err


def test_words_of_a_command_are_quoted_for_a_shell() -> None:
    line = command_line(
        "explore", "my file.py", parameters={"op": "a b"}, settings=["x=$y"], flags={"--seed": 3}
    )
    assert shlex.split(line) == [
        *("shootdown", "explore", "my file.py", "-p", "op=a b", "--set", "x=$y", "--seed", "3"),
    ]
