"""`shootdown diff`: what changed between two releases, as text and JSON, and what can't be asked."""

from __future__ import annotations

import json

import pytest

from shootdown import _cli

SMALL = ("6.15", "7.0", "hugetlb-munmap", "unshare-gup", "--arch", "x86", "--platform", "qemu-tcg")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    status = _cli.run(["diff", *words])
    written = capsys.readouterr()
    assert status == 0, written.err
    return written.out


def test_json_has_switches_and_rows_with_their_commits(capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(printed(capsys, *SMALL, "--json"))
    assert (value["schema"], value["from"], value["to"]) == (1, "6.15", "7.0")
    for switch in value["switches"]:
        assert {"name", "from", "to", "commit"} <= set(switch)
    syncs = next(row for row in value["rows"] if row["name"] == "sync_broadcasts")
    assert (syncs["from"], syncs["to"], syncs["together"]) == (0, 1, True)
    assert syncs["commits"] == ["1013af4f585f", "8ce720d5bd91"]
    assert [row["program"] for row in value["tried"]] == ["hugetlb-munmap", "unshare-gup"]


@pytest.mark.parametrize("columns", [80, 100])
def test_every_line_fits_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, printed(capsys, *SMALL).splitlines())) <= columns


def test_the_text_says_what_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *SMALL)
    assert "- Differ: hugetlb-munmap (tables=4)." in text
    assert "- Searched, safe on both: unshare-gup." in text
    assert "+: turned back together" in text


def test_releases_without_a_difference_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "6.17", "6.17.3", "hugetlb-munmap", "--arch", "x86")
    assert "No switch differs: the kernels do the same." in text
    assert "No count, time or verdict differs." in text


def test_lore_ends_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "6.16", "7.0", "hugetlb-exit", "--arch", "x86", "--lore")
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 72
    assert text.splitlines()[-1] == "shootdown diff 6.16 7.0 hugetlb-exit --arch x86"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("7.0",), "Missing argument 'RELEASE'"),
        (("7.0", "7.0"), "7.0 is named twice"),
        (("7.0", "v7.0.0"), "are one release"),
        (("7.0", "9.9"), "there is no series 9.9"),
        (("6.16", "7.0", "no-such"), "there is no workload or scenario 'no-such'"),
        (("6.16", "7.0", "-p", "tables=4"), "name the program as well"),
        (("6.16", "7.0", "hugetlb-exit", "--lore", "--json"), "--lore and --json cannot both hold"),
    ],
)
def test_what_cannot_be_asked_ends_with_2_and_one_message(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _cli.run(["diff", *words]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert message in written.err
    assert "Traceback" not in written.err
