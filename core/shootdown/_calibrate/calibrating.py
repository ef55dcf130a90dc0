"""Measure this machine, find costs that explain it, and judge predictions of what was not used for that."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import numpy as np

from shootdown._calibrate.fitting import Datum, Fit, fit
from shootdown._calibrate.kernels import spin
from shootdown._calibrate.machine import (
    PAGE,
    Area,
    Others,
    huge_page_turn,
    huge_pages_here,
    membarrier,
    reserved,
)
from shootdown._calibrate.measuring import Measured, measure, overhead
from shootdown._calibrate.processes import fork_and_exit
from shootdown._calibrate.recipes import Recipe, as_case, checked, fitted, numbers_of
from shootdown._calibrate.refill import Refill, refills
from shootdown._compilation.running import compiled, compiles
from shootdown._plugins.registry import registry
from shootdown._questions.simulate import simulate
from shootdown._values.errors import ShootdownError
from shootdown._values.platform import COST_NAMES, Platform
from shootdown._values.result import Span

#: How sure the times of fork() and exit() are, whose own pages are taken off: a standard deviation of the logarithm.
_ROUGH = 0.3
#: Bytes of a huge page, and nanoseconds that clearing one takes at least.
_HUGE, _LEAST_HUGE = 512 * PAGE, 10_000
Say = Callable[[str], object]


@attrs.frozen
class Point:
    """A measured turn and what costs say of it.

    Args:
        name: what was measured.
        measured: how long it took.
        off: how many times as long the costs that were found say.
    """

    name: str
    measured: Measured
    off: float


@attrs.frozen
class Calibration:
    """What was found.

    Args:
        costs: what was fitted.
        points: what it was fitted to.
        refills: reads of pages whose translations are not cached.
        not_possible: what could not be measured, and why.
        kept: batches that counted, of all that were tried.
    """

    costs: Fit
    points: tuple[Point, ...]
    refills: tuple[Refill, ...]
    not_possible: tuple[str, ...]
    kept: tuple[int, int]


@attrs.frozen
class Checked:
    """A program that no cost was fitted to.

    Args:
        name: what it does.
        predicted, measured: times, in nanoseconds.
    """

    name: str
    predicted: Span
    measured: Measured

    @property
    def error(self) -> float:
        """How far off the prediction is, as a part of what was measured."""
        return abs(self.predicted.likely / self.measured.likely - 1)


@contextmanager
def _on_one_cpu() -> Iterator[list[int]]:
    """Stay on one CPU meanwhile; yields all that this process may use, this one first."""
    before = os.sched_getaffinity(0)
    cpus = sorted(before)
    try:
        os.sched_setaffinity(0, {cpus[0]})
        yield cpus
    finally:
        os.sched_setaffinity(0, before)


def prepare() -> None:
    """Compile what runs beside calls.

    Raises:
        ShootdownError: this process compiles nothing, or this is no Linux.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise ShootdownError("calibrate measures the calls of Linux, and this system has none of them")
    if not compiles():
        raise ShootdownError(
            "calibrate needs compiled kernels: threads that compute while Python goes on; unset SHOOTDOWN_COMPILE "
            "and NUMBA_DISABLE_JIT"
        )
    compiled(spin)(1)


def calibrate(arch: str, like: Platform, kernel: str, say: Say) -> Calibration:
    """Measure this machine.

    Args:
        arch: its architecture.
        like: the platform that it is like.
        kernel: the release that it runs.
        say: called with what is measured next.

    Raises:
        ShootdownError: nothing at all could be measured.
    """
    data: list[Datum] = []
    times: list[Measured] = []
    missing: list[str] = []
    with _on_one_cpu() as cpus:
        if len(cpus) == 1:
            missing.append("shootdowns, membarrier(): this process may use one CPU only")
        for recipe in fitted(len(cpus)):
            say(recipe.name)
            found = _run(recipe, cpus)
            if found is None:
                missing.append(f"{recipe.name}: other programs took the CPUs all the while")
                continue
            numbers = numbers_of(as_case(recipe, arch, like, kernel, len(cpus)))
            times.append(found)
            data.append(Datum(recipe.name, found.likely, _spread(found), numbers))
        barriers = partial(_barriers, registry().architecture(arch).recorded.syscalls)
        for part in (barriers, _processes, _huge):
            part(like, cpus, data, times, missing, say)
        read = _refills(missing, say)
    if not data:
        raise ShootdownError("nothing could be measured: " + "; ".join(missing))
    result = fit(like.costs, like.name, data)
    points = tuple(
        Point(datum.name, one, off) for datum, one, off in zip(data, times, result.off, strict=True)
    )
    kept = (sum(one.batches for one in times), sum(one.tried for one in times))
    return Calibration(result, points, tuple(read), tuple(missing), kept)


def check(arch: str, platform: Platform, kernel: str, say: Say) -> list[Checked]:
    """Predict programs that no cost was fitted to, and run them.

    Args:
        arch: the architecture of this machine.
        platform: with the costs that were found.
        kernel: the release that it runs.
        say: called with what is measured next.
    """
    found = []
    with _on_one_cpu() as cpus:
        for recipe in checked(len(cpus)):
            say(recipe.name)
            measured = _run(recipe, cpus)
            if measured is not None:
                row = simulate(as_case(recipe, arch, platform, kernel, len(cpus)))
                found.append(Checked(recipe.name, row.times["elapsed_ns"], measured))
    return found


def _spread(found: Measured) -> float:
    """Return the standard deviation of a time's logarithm: from a tenth to nine tenths are 2.56 of them."""
    return math.log(max(found.high / found.low, 1.0)) / 2.56


@contextmanager
def _beside(others: int, cpus: Sequence[int]) -> Iterator[Others | None]:
    threads = Others(cpus[1 : 1 + others]) if others else None
    try:
        yield threads
    finally:
        if threads is not None:
            threads.stop()


def _run(recipe: Recipe, cpus: Sequence[int]) -> Measured | None:
    """Measure a turn, less what calling from Python takes."""
    area = Area(recipe.pages)
    try:
        with _beside(recipe.others, cpus) as others:
            calls = overhead(area, len(recipe.statements))
            if recipe.touched:
                area.statement("touch heap write")()
            found = measure([area.statement(text) for text in recipe.statements], others)
        return None if found is None else found.less(calls)
    finally:
        area.close()


def _numbers(**given: float) -> Any:
    found = np.zeros(len(COST_NAMES) + 1)
    for name, number in given.items():
        found[COST_NAMES.index(name)] = number
    return found


def _barriers(
    syscalls: Mapping[int, str],
    like: Platform,
    cpus: Sequence[int],
    data: list[Datum],
    times: list[Measured],
    missing: list[str],
    say: Say,
) -> None:
    """Measure membarrier(): IPIs to threads of this process, without a flush (kernel/sched/membarrier.c)."""
    if len(cpus) == 1:
        return
    try:
        call = membarrier(syscalls)
    except OSError as error:
        missing.append(error.strerror or str(error))
        return
    alone = None
    for others in sorted({0, 1, len(cpus) - 1}):
        name = f"membarrier() beside {others}"
        say(name)
        with _beside(others, cpus) as threads:
            found = measure([call], threads)
        if found is None:
            missing.append(f"{name}: other programs took the CPUs all the while")
        elif not others:
            alone = found.likely
        elif alone is not None:
            left = found.less(alone)
            times.append(left)
            numbers = _numbers(
                ipi_send_ns=1, ipi_send_each_ns=others, ipi_write_ns=1, ipi_latency_ns=1, ipi_handler_ns=1,
                ipi_answer_each_ns=others,
            )  # fmt: skip
            data.append(Datum(name, left.likely, _spread(left), numbers))


def _processes(
    like: Platform,
    cpus: Sequence[int],
    data: list[Datum],
    times: list[Measured],
    missing: list[str],
    say: Say,
) -> None:
    """Measure fork() and exit() of a small process."""
    say("fork() and exit() of a small process")
    try:
        forked, ended = fork_and_exit()
    except OSError as error:
        missing.append(f"fork() and exit(): {error}")
        return
    for name, cost, time in (("fork()", "fork_ns", forked), ("exit() and wait()", "exit_ns", ended)):
        times.append(Measured(time / math.exp(1.28 * _ROUGH), time, time * math.exp(1.28 * _ROUGH), 1, 1))
        data.append(Datum(name, time, _ROUGH, _numbers(**{cost: 1})))


def _huge(
    like: Platform,
    cpus: Sequence[int],
    data: list[Datum],
    times: list[Measured],
    missing: list[str],
    say: Say,
) -> None:
    """Measure dropping and faulting a huge page."""
    name = "madvise DONTNEED; touch write: a huge page"
    if not huge_pages_here():
        missing.append("huge pages: the kernel gives none (transparent_hugepage/enabled)")
        return
    say(name)
    with reserved(_HUGE, huge=True) as at:
        found = measure(huge_page_turn(at, _HUGE), None)
    if found is None:
        missing.append(f"{name}: other programs took the CPUs all the while")
        return
    if found.likely < _LEAST_HUGE:
        missing.append("huge pages: the kernel had none to give")
        return
    times.append(found)
    numbers = _numbers(zero_ns=1, zap_huge_ns=1, syscall_ns=1, flush_ns=1, page_flush_ns=1, lock_ns=1)
    data.append(Datum(name, found.likely, _spread(found), numbers))


def _refills(missing: list[str], say: Say) -> list[Refill]:
    found: list[Refill] = []
    for huge in (False, True):
        if huge and not huge_pages_here():
            continue
        say(f"reads of {'huge ' if huge else ''}pages")
        try:
            found += refills(huge=huge)
        except OSError as error:
            missing.append(f"reads of {'huge ' if huge else ''}pages: {error.strerror or error}")
    return found
