"""What is being done, for whoever waits: on standard error, a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from shootdown._cli import _console


class _Now:
    """What is being done, for whoever waits: by a console that shows it, or by a line now and then.

    Lines begin when it has taken some time, so that what is done at once prints nothing more than its report.
    """

    FIRST, OFTEN = 5.0, 10.0  # seconds

    def __init__(self) -> None:
        self.console: Any = None
        self.text = self.sooner = ""
        self.began = time.monotonic()
        self.next = self.began + self.FIRST

    def begin(self, text: str, sooner: str = "") -> None:
        self.text, self.sooner = text, sooner
        self.began = time.monotonic()
        self.next = self.began + self.FIRST

    def tick(self) -> None:
        moment = time.monotonic()
        if not self.text or moment < self.next:
            return
        self.next = moment + self.OFTEN
        if self.console is None:
            note(f"{self.text}; {moment - self.began:.0f} s so far")
        if self.sooner:
            note(self.sooner)
            self.sooner = ""


now = _Now()


def note(line: str) -> None:
    """Say something on standard error while a command runs."""
    text = f"shootdown: {line}"
    if now.console is not None:
        now.console.print(text)
        return
    with contextlib.suppress(OSError, ValueError):  # it is closed
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _shown(console: Any, text: str, sooner: str = "") -> Iterator[None]:
    """Let `note` print above what a console shows; without one, print a line about `text` now and then."""
    before = now.text
    now.console = console
    now.begin(text, sooner)
    try:
        yield
    finally:
        now.console = None
        now.text = before


@contextlib.contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """Show on standard error what is being done, and yield a function to call with that."""
    if not sys.stderr.isatty():
        with _shown(None, ""):

            def say(text: str) -> None:
                now.text = text
                now.tick()

            yield say
        return
    from rich.console import Console

    console = Console(file=sys.stderr, markup=False, emoji=False, highlight=False)
    with console.status("") as status, _shown(console, ""):
        yield lambda text: status.update(text)


@contextlib.contextmanager
def progress(what: str, total: int, sooner: str = "") -> Iterator[Callable[..., None]]:
    """Show progress on standard error, and yield a function to call after each part.

    A terminal shows a bar; elsewhere a line is written now and then. The function takes how many parts are done, one
    unless given, and what is being done from now on.

    Args:
        what: what is being done, a few words.
        total: how many parts there are.
        sooner: a line for those who wait for some time: what is done sooner.
    """
    if total < 2 or not sys.stderr.isatty():
        done, doing_now = 0, what

        def advance(parts: int = 1, doing: str | None = None) -> None:
            nonlocal done, doing_now
            done, doing_now = done + parts, doing or doing_now
            now.text = f"{doing_now}: {done} of {total} done" if total else f"{doing_now}: {done:,} done"
            now.tick()

        with _shown(None, f"{what}: 0 of {total} done" if total else what, sooner):
            yield advance
        return
    from rich.progress import Progress

    shown = _console.console(sys.stderr)
    with (
        Progress(console=shown, transient=True, redirect_stdout=False, redirect_stderr=False) as bar,
        _shown(shown, what, sooner),
    ):
        task = bar.add_task(what, total=total)
        yield lambda parts=1, doing=None: bar.update(task, advance=parts, description=doing)


@contextlib.contextmanager
def share_done(ask: Callable[[], tuple[float, str]]) -> Iterator[None]:
    """Show how far a long list has come, on standard error while it is a terminal and the list goes elsewhere.

    Args:
        ask: returns the share that is done, 0 to 1, and a few words; called some times a second, by a thread.
    """
    if not sys.stderr.isatty() or _console.stream().isatty():
        yield
        return
    from rich.progress import BarColumn, Progress, ProgressColumn, Task
    from rich.text import Text

    class Polled(ProgressColumn):
        def render(self, task: Task) -> Text:
            task.completed, words = ask()
            return Text(f"{task.completed:4.0%} {words}")

    with Progress(
        Polled(),
        BarColumn(),
        console=_console.console(sys.stderr),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        bar.add_task("", total=1.0)
        yield


@contextlib.contextmanager
def paced(what: str, unit: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show progress with its rate and the time that is left, and yield a function to call as parts are done.

    The function takes how many are done now, and how many were done before this run, which say nothing of the rate.

    Args:
        what: what is being done, a few words.
        unit: what parts are called: `points`.
        total: how many there are.
    """
    began = time.monotonic()

    def text(done: int, before: int) -> str:
        passed = time.monotonic() - began
        rate = (done - before) / passed if passed > 0 else 0.0
        left = f", {_span((total - done) / rate)} left" if rate > 0 and done < total else ""
        pace = f", {rate:,.1f} a second{left}" if rate > 0 else ""
        return f"{done:,} of {total:,} {unit} done{pace}"

    if not sys.stderr.isatty():
        with _shown(None, what):

            def say(done: int, before: int) -> None:
                now.text = f"{what}: {text(done, before)}"
                now.tick()

            yield say
        return
    from rich.progress import BarColumn, Progress, TextColumn

    shown = _console.console(sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}"))
    with (
        Progress(
            *columns, console=shown, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as bar,
        _shown(shown, what),
    ):
        task = bar.add_task(what, total=total, pace="")
        yield lambda done, before: bar.update(task, completed=done, pace=text(done, before))


def _span(seconds: float) -> str:
    """Write a time that is left in one or two units: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours / 24:.1f} days"
