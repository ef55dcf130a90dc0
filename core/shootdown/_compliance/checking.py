"""Check statements one after another: what each says, whatever a plugin's code does meanwhile."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from shootdown._compliance.additions import Additions
from shootdown._compliance.statement import Finding, Outcome, Statement, Tried, Unevidenced
from shootdown._compliance.subject import Subject
from shootdown._values.errors import ShootdownError, one_line

#: More findings of one statement than these are counted, not kept.
MOST_FINDINGS = 12

#: Seconds after which a statement is given up, unless asked for otherwise.
PATIENCE = 300.0
#: How many times longer a statement may take by the clock.
_BUSY = 4


class _TooLongError(BaseException):
    """A statement ran into its limit. It is no `Exception`: nobody's `except Exception` swallows it."""


def check(
    subject: Subject | Additions,
    wanted: Iterable[Statement],
    *,
    begun: Callable[[Statement], None] = lambda statement: None,
    ticked: Callable[[], None] = lambda: None,
    patience: float = PATIENCE,
) -> Iterator[Outcome]:
    """Check statements about one architecture, or about what a plugin offers besides.

    Args:
        subject: what is checked.
        wanted: the statements; those about something else are left out.
        begun: called with each statement before it is checked.
        ticked: called each time a statement has tried something.
        patience: the most seconds that one statement may take.

    Yields:
        What each says. Ctrl-C is raised after the outcome of the statement that it interrupted.
    """
    for statement in fitting(subject, wanted):
        begun(statement)
        outcome, interruption = _check(subject, statement, ticked, patience)
        yield outcome
        if interruption is not None:
            raise interruption


def fitting(subject: Subject | Additions, wanted: Iterable[Statement]) -> list[Statement]:
    """Return the statements that are about such a subject."""
    return [one for one in wanted if one.about == subject.about]


def _check(
    subject: Subject | Additions, statement: Statement, ticked: Callable[[], None], patience: float
) -> tuple[Outcome, KeyboardInterrupt | None]:
    started = time.monotonic()
    found: dict[str, None] = {}
    unevidenced: dict[str, None] = {}
    tried: dict[str, int] = {}
    interruption = None

    def outcome(**more: Any) -> Outcome:
        return Outcome(
            statement,
            tuple(_few(found)),
            tuple(unevidenced),
            tuple(tried.items()),
            seconds=time.monotonic() - started,
            **more,
        )

    for capability in statement.needs:
        if (why := capability(subject)) is not None:
            return outcome(why=why), None
    try:
        with _limit(patience):
            for said in statement.check(subject):
                match said:
                    case Finding(message):
                        found[message] = None
                    case Unevidenced(message):
                        unevidenced[message] = None
                    case Tried(count, what):
                        tried[what] = tried.get(what, 0) + count
                        ticked()
    except KeyboardInterrupt as error:
        interruption = error
    except _TooLongError as error:
        found[f"{subject.plugin}: not done after {patience:g} s, at {_place(error)}"] = None
        if isinstance(subject, Subject) and _outside(error):
            subject.gave_up = f"statement {statement.number} was not done in time, at {_place(error)}"
    except ShootdownError as error:
        found[f"{subject.plugin}: {' '.join(str(error).split())}"] = None
    except Exception as error:
        found[f"{subject.plugin}: {one_line(error)}, at {_place(error)}"] = None
    if interruption is not None:
        return outcome(why="interrupted", interrupted=True), interruption
    return outcome(
        why="" if any(tried.values()) or found or unevidenced else "there is nothing to try it on"
    ), None


def _few(messages: Iterable[str]) -> list[str]:
    """Keep the first messages, and count the rest."""
    every = list(messages)
    if len(every) <= MOST_FINDINGS:
        return every
    return [*every[:MOST_FINDINGS], f"... and {len(every) - MOST_FINDINGS} more like these"]


def _place(error: BaseException) -> str:
    """Return the innermost place of an error that lies outside of shootdown's own code, else the innermost."""
    frame = (_outside(error) or traceback.extract_tb(error.__traceback__))[-1]
    return f"{frame.filename}:{frame.lineno}"


def _outside(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the places of an error that lie outside of shootdown's own code and its command."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if "/shootdown/_" not in frame.filename.replace("\\", "/")]


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raise an error in code that is not done in time; only the main thread of a system with timers can.

    Time is that of this process on its CPUs, as far as a busy machine leaves it some: by the clock it is at most
    `_BUSY` times as long.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    spent, begun = time.process_time(), time.monotonic()

    def stop(_number: int, frame: Any) -> None:
        left = seconds - (time.process_time() - spent)
        works = frame is not None and "/shootdown/_" in frame.f_code.co_filename.replace("\\", "/")
        if works and left > 0 and time.monotonic() - begun < _BUSY * seconds:
            signal.setitimer(signal.ITIMER_REAL, max(left, seconds / 10))
            return
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
