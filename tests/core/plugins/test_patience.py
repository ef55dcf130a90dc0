"""Somebody's code that loops is stopped and named; code that writes steps is not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shootdown._compilation.announcing import tick
from shootdown._plugins.patience import SECONDS, TooLongError, limit, patience


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS, "0.05")


def somebodys(code: str) -> Any:
    """Return a function of a module that is nobody's of ours."""
    names: dict[str, Any] = {"__name__": "somebodys", "tick": tick, "time": time}
    exec(compile(code, "somebodys.py", "exec"), names)
    return names["loop"]


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "while True: time.sleep(0.001)",
        "while True:\n        try: time.sleep(0.001)\n        except Exception: pass",
        "for _ in iter(int, 1): sorted([3, 1])",
        "time.sleep(10**6)",
    ],
)
def test_code_that_loops_is_stopped_with_its_line(body: str) -> None:
    with (
        pytest.raises(TooLongError, match=r"mine runs for 0\.05 s .* it was in .*somebodys\.py, line \d"),
        patience("mine"),
    ):
        somebodys(f"def loop():\n    {body}\n")()


def test_code_that_writes_steps_goes_on() -> None:
    with patience("mine"):
        somebodys("def loop():\n    for _ in range(100):\n        time.sleep(0.001)\n        tick()\n")()


def test_who_waits_for_the_code_is_not_stopped_and_neither_is_core() -> None:
    """This function and what calls it are nobody's of ours, and the work within is core's."""
    here: dict[str, Any] = {"__name__": "shootdown.somewhere", "time": time}
    exec("def work():\n    for _ in range(100): time.sleep(0.001)\n", here)
    with patience("mine"):
        here["work"]()


def test_no_seconds_are_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS, "0")
    with patience("mine"):
        somebodys("def loop():\n    for _ in range(100): time.sleep(0.001)\n")()


@pytest.mark.parametrize(("text", "seconds"), [("", 60.0), ("x", 60.0), ("-1", 0.0), ("2.5", 2.5)])
def test_the_limit_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: float
) -> None:
    monkeypatch.setenv(SECONDS, text)
    assert limit() == seconds


def test_code_that_a_signal_ended_unnoticed_is_forgotten() -> None:
    """What a signal's handler raises can end the wait at any line, before it is noted that the code has ended."""

    def begins() -> Any:
        waiting = patience("mine")
        waiting.__enter__()
        return waiting

    kept = begins()
    somebodys("def loop():\n    for _ in range(1500): time.sleep(0.001)\n")()
    kept.__exit__(None, None, None)
