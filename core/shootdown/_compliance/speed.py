"""What is timed of an architecture: a walk, a flush, a comparison and an exploration, beside those of another one.

Results come first: each work is done in two ways that have to agree before it is timed. Times of two architectures are
taken in turn, in one process on one CPU, and what counts is their quotient in each round.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from shootdown._explore.engine import Explorer
from shootdown._machine.machine import Machine
from shootdown._pagetables.address_space import AddressSpace
from shootdown._pagetables.format import USER_READ, Format
from shootdown._pagetables.memory import SECTION_BYTES, PhysicalMemory
from shootdown._pagetables.walk_many import walk_many
from shootdown._pagetables.walker import Walker
from shootdown._plugins.registry import registry
from shootdown._questions.building import built
from shootdown._questions.case import Question, prepare
from shootdown._questions.explore import explorations, ways
from shootdown._timed.run import Run, run_machine
from shootdown._values.errors import ShootdownError

#: What is timed, and what a unit of it is.
WORKS = {"walk": "walk", "flush": "flush", "compare": "step", "explore": "state"}
#: What an architecture is compared with unless another one is named: no change of this program makes it faster.
YARDSTICK = "a sort of 100,000 numbers"
_KERNEL = "7.0"
_ADDRESSES, _PAGES, _CHECKED = 20_000, 2048, 64
_SORTED = 100_000
#: Seconds that a round of one work takes at least.
_ROUND = 0.01


@attrs.frozen
class Work:
    """Something to time.

    Args:
        what: in a line.
        units: how many units of work it is.
        run: does it.
    """

    what: str
    units: int
    run: Callable[[], object]


@attrs.frozen
class Ratio:
    """How many times as long a unit takes as one of another architecture: quartiles of the rounds.

    Args:
        low, median, high: the quotients.
        ns, other_ns: the least nanoseconds of a unit of either.
    """

    low: float
    median: float
    high: float
    ns: float
    other_ns: float


def work_of(name: str, arch: str) -> Work:
    """Prepare a work of an architecture, after two ways of doing it have agreed.

    Args:
        name: one of `WORKS`.
        arch: the architecture.

    Raises:
        ShootdownError: there is no such architecture, or it can't do that; the message says why.
        AssertionError: the two ways do not agree.
    """
    made: Mapping[str, Callable[[str], Work]] = {
        "walk": _walk,
        "flush": _flush,
        "compare": _compare,
        "explore": _explore,
    }
    return made[name](arch)


def yardstick() -> Work:
    """Return what an architecture is compared with where no other one is named."""
    numbers = np.random.default_rng(1).integers(0, 1 << 40, _SORTED)
    return Work(YARDSTICK, _SORTED, lambda: np.sort(numbers))


def ratio(own: Work, other: Work, rounds: int) -> Ratio:
    """Time two works in turn, once to warm up and then for some rounds.

    Args:
        own, other: what is timed.
        rounds: how many, at least two.
    """
    seconds: dict[int, list[float]] = {0: [], 1: []}
    with on_one_cpu():
        times = [_times(work) for work in (own, other)]
        for _ in range(rounds):
            for which, work in enumerate((own, other)):
                begin = time.thread_time()
                for _ in range(times[which]):
                    work.run()
                seconds[which].append((time.thread_time() - begin) / times[which] / work.units)
    each = [a / b for a, b in zip(seconds[0], seconds[1], strict=True)]
    low, median, high = statistics.quantiles(each, n=4, method="inclusive")
    return Ratio(low, median, high, min(seconds[0]) * 1e9, min(seconds[1]) * 1e9)


def _times(work: Work) -> int:
    """Warm up, and return how often a work is done in a row, so that the clock's steps make no difference."""
    work.run()
    begin = time.thread_time()
    work.run()
    return max(1, math.ceil(_ROUND / max(time.thread_time() - begin, 1e-6)))


@contextlib.contextmanager
def on_one_cpu() -> Iterator[None]:
    """Stay on one CPU, where the system has a way to say so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _walk(arch: str) -> Work:
    """Walk for random addresses in mapped base pages; equal: one walk at a time finds the same."""
    forms = [form for form in registry().architecture(arch).formats if isinstance(form, Format)]
    if not forms:
        raise ShootdownError(f"{arch} has no page-table format that is made of levels")
    form = forms[0]
    memory = PhysicalMemory(window_bytes=SECTION_BYTES)
    space = AddressSpace(form, memory)
    page = 1 << form.page_shift
    for number in range(_PAGES):
        space.map(number * page, (number * 7919 % _PAGES) * page, page)
    addresses = np.random.default_rng(1).integers(0, _PAGES * page, _ADDRESSES, dtype=np.uint64)
    found = walk_many(form, memory, space.root, addresses)
    walker = Walker(form, memory)
    for place in range(_CHECKED):
        alone = walker.walk(space.root, int(addresses[place]), USER_READ)
        assert alone.pa == int(found.pa[place]), (
            f"{form.name}: a batch and one walk differ at {addresses[place]:#x}"
        )
    return Work(
        f"{_ADDRESSES:,} walks of {form.name}",
        _ADDRESSES,
        lambda: walk_many(form, memory, space.root, addresses, out=found),
    )


def _flush(arch: str) -> Work:
    """Unmap pages beside other threads again and again; equal: interrupts one by one count the same."""
    return _timed_run(arch, "anonymous", {"threads": 15, "pages": 8, "times": 200}, 16, lambda run: 200)


def _compare(arch: str) -> Work:
    """Run what `compare` runs: munmap() of shared hugetlb tables; equal: interrupts one by one count the same."""
    return _timed_run(arch, "hugetlb-munmap", {"tables": 64, "threads": 7}, 64, lambda run: run.steps)


def _timed_run(
    arch: str, workload: str, parameters: Mapping[str, Any], cpus: int, units: Callable[[Run], int]
) -> Work:
    known = registry()
    platforms = known.platforms(arch)
    if not platforms:
        raise ShootdownError(f"{arch} has no platform")
    platform = next(iter(platforms.values()))
    texts = {name: str(value) for name, value in parameters.items()}
    case = prepare(
        Question(known.workload(workload), known.architecture(arch), platform, _KERNEL, texts, cpus=cpus)
    )
    refusal = case.refusal()
    if refusal is not None:
        raise ShootdownError(refusal)
    machine = built(case, case.setup(), Machine)
    fast, slow = (run_machine(machine, case.platform, one_by_one=slowly) for slowly in (False, True))
    assert fast.counts == slow.counts, f"{workload} on {arch}: interrupts one by one count something else"
    assert fast.elapsed_ns == slow.elapsed_ns, (
        f"{workload} on {arch}: interrupts one by one take another time"
    )
    return Work(f"{workload} on {platform.name}", units(fast), lambda: run_machine(machine, case.platform))


def _explore(arch: str) -> Work:
    """Explore the race of unsharing with GUP-fast; equal: two searches find the same verdict and states."""
    (case,) = explorations("unshare-gup", arch=[arch], kernels=[_KERNEL], parameters={"sharers": 3})
    refusal = case.refusal()
    if refusal is not None:
        raise ShootdownError(refusal)
    setup = ways(case)[0][1]

    def search() -> Any:
        return Explorer(case.program.build(setup)).search()

    first, second = search(), search()
    same = [(one.verdict, one.states, one.transitions, one.depth) for one in (first, second)]
    assert same[0] == same[1], f"{arch}: two searches differ"
    return Work(f"unshare-gup of three sharers on {case.platform.name}", first.states, search)
