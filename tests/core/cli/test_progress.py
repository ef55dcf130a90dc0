"""Progress goes to standard error: as it happens to a terminal, as a line now and then elsewhere."""

from __future__ import annotations

import io

import pytest

from shootdown._cli import _progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_standard_error_while_it_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with _progress.progress("comparing", 2) as advance:
        advance()
        advance()
    assert "comparing" in terminal.getvalue()


def test_progress_is_silent_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with _progress.progress("comparing", 2) as advance:
        advance()
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_without_a_terminal_a_line_now_and_then_says_what_is_being_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is said of what is done at once."""
    now = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    with _progress.progress("counting", 4) as advance:
        for _ in range(4):
            now[0] += 4
            advance()
    assert capsys.readouterr().err.splitlines() == ["shootdown: counting: 2 of 4 done; 8 s so far"]
    with _progress.progress("counting", 4, "less is counted sooner") as advance:
        for _ in range(4):
            advance()
    assert capsys.readouterr().err == ""
    with _progress.progress("counting", 4, "less is counted sooner") as advance:
        for _ in range(4):
            now[0] += 10
            advance()
    assert capsys.readouterr().err.count("shootdown: less is counted sooner\n") == 1


def test_what_is_compiled_is_said_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    _progress.note("the timed engine: compiled first")
    assert capsys.readouterr() == ("", "shootdown: the timed engine: compiled first\n")
