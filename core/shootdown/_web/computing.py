"""Answers, each computed in a process of its own, which has bounds of time and memory and is ended with them."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from html import escape
from multiprocessing.connection import Connection
from typing import Any

from shootdown._values.errors import ShootdownError
from shootdown._web.asking import Asked

#: The seconds that an answer may take, by the clock and of CPU.
MOST_SECONDS = 20
#: The bytes that its process may have.
MOST_BYTES = 3 << 30
#: Answers that are computed at a time, so that two people don't wait for each other; more wait in the order in which
#: they came, and beyond these are refused.
AT_ONCE, MOST_WAITING = max(2, (os.cpu_count() or 2) // 2), 16
#: The most states of a search.
MOST_STATES = 200_000

#: Seconds until it is seen that nobody waits for an answer any more.
_LOOK = 0.2

_running = ThreadPoolExecutor(AT_ONCE, "answer")
_waiting = threading.BoundedSemaphore(AT_ONCE + MOST_WAITING)


class BusyError(Exception):
    """Too many answers are waited for."""


async def answer(asked: Asked, leaves: Coroutine[Any, Any, None], seconds: float = MOST_SECONDS) -> str:
    """Return the answer as HTML, or nothing if nobody waits for it any more.

    Args:
        asked: what was asked.
        leaves: ends when whoever asked has gone.
        seconds: how long it may take, waiting not counted.

    Raises:
        BusyError: too many others are waited for.
        ShootdownError: it can't be answered, or took too long.
    """
    if not _waiting.acquire(blocking=False):
        leaves.close()
        raise BusyError
    gone = threading.Event()
    job = _running.submit(_in_a_process, asked, seconds, gone)
    job.add_done_callback(lambda _: _waiting.release())
    told, leaving = asyncio.wrap_future(job), asyncio.ensure_future(leaves)
    try:
        await asyncio.wait((told, leaving), return_when=asyncio.FIRST_COMPLETED)
        return told.result() if told.done() else ""
    finally:
        gone.set()
        told.cancel()
        leaving.cancel()


def _in_a_process(asked: Asked, seconds: float, gone: threading.Event) -> str:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_compute, args=(asked, theirs, seconds), daemon=True)
    process.start()
    theirs.close()
    try:
        end = time.monotonic() + seconds
        while not ours.poll(_LOOK):
            if gone.is_set():
                return ""
            if time.monotonic() >= end:
                raise ShootdownError(
                    f"it takes more than {seconds:g} s, which is what a page waits; in a terminal: {asked.command()}"
                )
        good, text = ours.recv()
    except EOFError:
        raise ShootdownError(
            f"it needs more time or memory than a page has; in a terminal: {asked.command()}"
        ) from None
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
    if not good:
        raise ShootdownError(text)
    return str(text)


def _compute(asked: Asked, into: Connection, seconds: float) -> None:
    """Answer, in the process; the answer is sent as a text."""
    most = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        into.send((True, told(asked)))
    except ShootdownError as error:
        into.send((False, str(error)))
    except MemoryError:
        into.send((False, "it needs more memory than a page has"))


def told(asked: Asked) -> str:
    """Return the report of what was asked as HTML, in this process."""
    from shootdown._report import told_compare, told_explore
    from shootdown._report.document import Drawing
    from shootdown._report.document_html import fragment

    if asked.explored:
        from shootdown._questions.explore import explorations, explore_case

        cases = explorations(
            asked.program, arch=asked.arch, platforms=asked.platform, kernels=asked.kernels,
            parameters=asked.parameters, settings=asked.settings,
        )  # fmt: skip
        verdicts = [explore_case(case, most_states=MOST_STATES, stories=True) for case in cases]
        blocks = told_explore.tell({"rows": [row.to_dict() for row in verdicts]})
    else:
        from shootdown._questions.compare import compare

        rows = compare(
            asked.program, arch=asked.arch, platforms=asked.platform, kernels=asked.kernels,
            cpus=asked.cpus or (), parameters=asked.parameters, settings=asked.settings,
        )  # fmt: skip
        blocks = told_compare.tell({"rows": [row.to_dict() for row in rows]})
    # A picture takes longer than all else, and the table has its numbers.
    return "\n".join(fragment(block) for block in blocks if not isinstance(block, Drawing))


def failed(message: str) -> str:
    """Return an error as HTML."""
    return f'<p class="bad">{escape(message).replace(chr(10), "<br>")}</p>'
