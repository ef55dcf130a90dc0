"""Try many inputs: what must hold for each, and how long it took."""

from __future__ import annotations

import contextlib
import random
import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from shootdown._values.errors import ShootdownError

#: Lines of an error message; the command cuts long ones.
LINES = 4
#: Seconds of CPU time that one input of a reader may take: other processes are not its fault.
SECONDS = 5.0
#: As many times longer it may take by the clock on the wall, where it sleeps or others run.
WAITING = 12
#: MiB by which the process may grow from a tenth of the inputs to all of them.
GROWTH = 64


class HangsError(BaseException):
    """An input took too long; no `except Exception` catches it."""


@attrs.define
class Tried:
    """What came of trying inputs.

    Args:
        name: what was tried.
        seed: of the inputs.
        count: how many.
        outcomes: how often each happened.
        cpu: seconds of this process.
        findings: what must not be: its first words, and how to have it again.
    """

    name: str
    seed: int
    count: int = 0
    outcomes: Counter[str] = attrs.field(factory=Counter)
    cpu: float = 0.0
    findings: dict[str, str] = attrs.field(factory=dict)


def try_inputs(
    name: str,
    make: Callable[[random.Random], Any],
    use: Callable[[Any], str],
    count: int,
    *,
    first: int = 0,
    seed: int = 1,
    seconds: float = SECONDS,
    most_cpu: float | None = None,
) -> Tried:
    """Give inputs to a function that may refuse them, and note whatever else happens.

    Args:
        name: what is tried.
        make: makes an input; input `n` of a seed is always the same.
        use: takes an input and says in a word what came of it; it may raise `ShootdownError`.
        count: how many inputs.
        first: the number of the first one.
        seed: of the inputs.
        seconds: how long one may take.
        most_cpu: seconds of CPU time after which no more are tried; None: all are.
    """
    tried, began = Tried(name, seed), time.process_time()
    held = 0
    with _alarm() as rung:
        for number in range(first, first + count):
            rung.clear()
            given = make(random.Random(f"{name} {seed} {number}"))
            try:
                _set_alarms(seconds)
                outcome = use(given)
            except ShootdownError as error:
                outcome = "refused"
                if fault := unclear(str(error)):
                    _find(tried, f"{fault}: {str(error)[:60]!r}", number, given, "")
            except (Exception, HangsError, SystemExit) as error:
                outcome = "failed"
                _find(tried, _place(error), number, given, traceback.format_exc())
            finally:
                _set_alarms(0)
            if rung and outcome != "failed":  # something on the way caught it
                _find(tried, "HangsError", number, given, "")
            tried.outcomes[outcome] += 1
            tried.count += 1
            if number == first + count // 10:
                held = held_now()
            if most_cpu is not None and not number % 64 and time.process_time() - began > most_cpu:
                break
    tried.cpu = time.process_time() - began
    if held and (grown := held_now() - held) > GROWTH:
        tried.findings[f"grew by {grown} MiB"] = ""
    return tried


def unclear(message: str) -> str | None:
    """Say what is wrong with an error message, or None."""
    lines = message.splitlines()
    if not message.strip():
        return "an empty message"
    if len(lines) > LINES:
        return f"a message of {len(lines)} lines"
    if "Traceback" in message or "object at 0x" in message:
        return "a message from inside"
    return None


def _find(tried: Tried, what: str, number: int, given: Any, story: str) -> None:
    shown = given if len(repr(given)) < 2000 else f"{given!r:.2000}..."
    tried.findings.setdefault(what, f"input {number} of seed {tried.seed}: {shown!r}\n{story}")


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "shootdown" in frame.filename and "/tests/" not in frame.filename]
    last = own[-1] if own else frames[-1]
    return f"{type(error).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno} in {last.name}"


def held_now() -> int:
    """Return how many MiB this process has held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


@contextlib.contextmanager
def _alarm() -> Iterator[list[bool]]:
    """Let the alarm raise an error, and yield what has something in it once it has rung."""
    rung: list[bool] = []

    def ring(*_: object) -> None:
        rung.append(True)
        raise HangsError

    before = {number: signal.signal(number, ring) for number in (signal.SIGALRM, signal.SIGPROF)}
    try:
        yield rung
    finally:
        _set_alarms(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _set_alarms(seconds: float) -> None:
    """Let an alarm ring after so many seconds of CPU time, or later by the clock; 0 for never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, WAITING * seconds)
