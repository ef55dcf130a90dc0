"""`shootdown hunt`: findings as text and JSON, programs that are kept, mistakes, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shootdown import _cli
from shootdown._programs.worlds import programs
from shootdown._questions import hunt as hunting
from shootdown._questions import hunt_causes


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hunt in programs of two processes that share a table alone."""
    monkeypatch.setattr(
        hunting,
        "programs",
        lambda *args: [one for one in programs(*args) if len(one.processes) == 2 and not one.has("exit")],
    )


def _run(*arguments: str) -> int:
    return _cli.run(["hunt", "--arch", "arm64", "--size", "1", "--jobs", "1", *arguments])


def test_json_has_findings_with_their_stories_and_how_much_was_tried(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _run("--kernel", "7.0", "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    (one,) = found["findings"]
    assert one["fixed_by"] == ["c2ff4764e03e"]
    assert (one["arch"], one["platform"], one["kernel"], one["since"]) == (
        "arm64",
        "neoverse-v2",
        "7.0",
        "5.10",
    )
    assert one["invariant"] == "walk-cache"
    assert one["story"]
    assert one["depth"] > 0
    assert found["programs"] > 0
    assert found["states"] > 0


def test_a_find_is_kept_as_a_program_that_explore_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("--kernel", "7.0", "--keep", str(tmp_path)) == 0
    assert "c2ff4764e03e makes it go away" in capsys.readouterr().out
    (path,) = tmp_path.iterdir()
    options = next(line for line in path.read_text().splitlines() if "shootdown explore" in line).split()[4:]
    assert _cli.run(["explore", str(path), *options]) == 0
    assert "BUG" in capsys.readouterr().out


def test_what_is_not_explained_makes_the_exit_status_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hunt_causes, "_commits", lambda _: [])
    monkeypatch.setattr(hunt_causes, "_open", lambda *_: ([], []))
    assert _run("--kernel", "7.0") == 1
    assert "UNEXPLAINED: no commit makes it go away; kernel." in capsys.readouterr().out


def test_a_kernel_without_a_find_says_how_much_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--kernel", "7.3.4") == 0
    assert capsys.readouterr().out.startswith("0 bugs: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--for", "soon"), "is no time such as 90s, 5m or 1h"),
        (("--for", "0s"), "is no time such as"),
        (("--kernel", "9.9"), "9.9"),
        (("--set", "kernel.nothing=1"), "nothing"),
        (("--patch", "none.py"), "there is no such file"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*arguments) == 2
    assert words in capsys.readouterr().err
