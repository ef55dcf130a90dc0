"""Programs that fork, write, map anew and give rights have the verdict of a brute-force model that shares no code.

The child keeps what it got and does nothing: what matters to the parent are the references that it has.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from tests.core.programs.comparing import (
    FEW,
    Threads,
    compare,
    explored_on_one_page,
    ground,
    on_one_page,
    segfaults,
    two_or_three,
)
from tests.core.programs.test_programs_are_explored import without_clearing, without_flush
from twins.brute_force.program import Small
from twins.brute_force.search import verdict

from shootdown._mm.calls import Calls
from shootdown._mm.faults import Faults
from shootdown._questions.hunt import Ground

#: The calls, as statements and as brute force names them.
CALLS = {
    "fork child": "fork",
    "touch heap write": "write",
    "mprotect heap read": "mprotect",
    "mprotect heap write": "widen",
    "madvise heap DONTNEED": "madvise",
    "munmap heap": "munmap",
    "mmap heap": "mmap",
    "gup heap": "gup",
    "madvise heap FREE": "lazyfree",
    "madvise heap PAGEOUT": "pageout",
    "reclaim heap": "reclaim",
    "khugepaged heap": "khugepaged",
    "mremap heap": "mremap",
}
#: Switches that are turned off, by the flaw that is the same for brute force, and a program that shows it.
OFF: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "faults meanwhile": (
        "fork_locks_vmas",
        (("fork child",), ("touch heap write",), ()),
    ),
    "no sequence": ("gup_sees_fork", (("fork child",), ("gup heap",))),
}
#: Of which a model said something else once: a second access was taken for the first one, FREE stayed clean for ever.
DIFFERED: tuple[Threads, ...] = (
    (("touch heap write", "fork child"), ("fork child",)),
    (("touch heap write", "fork child"), ("madvise heap FREE",)),
    (("madvise heap FREE", "fork child"), ("touch heap write",)),
)


def programs() -> list[Threads]:
    """Return all programs of two threads with a call each, and random ones of three calls, each once."""
    return [one for one in two_or_three(CALLS) if not segfaults(one) and not _maps_what_moves(one)]


def _maps_what_moves(threads: Threads) -> bool:
    """Whether a page is moved twice, or memory that is mapped anew is moved: such programs are refused."""
    calls = [call for thread in threads for call in thread]
    return calls.count("mremap heap") > ("mmap heap" not in calls)


def _explored(threads: Threads, on: Ground) -> str:
    collapses = any("khugepaged heap" in calls for calls in threads)
    return explored_on_one_page(on, threads, memory={"size": "2M" if collapses else "4K", "alone": False})


def _small(threads: Threads, way: str, flaw: str) -> Small:
    if "fork child" not in threads[0] and any("fork child" in calls for calls in threads):
        threads = (("touch heap write", *threads[0]), *threads[1:])  # who has written goes on writing
    return on_one_page(threads, CALLS, way, flaw)


def _compare(arch: str, flaw: str, chosen: list[Threads], *settings: str) -> Counter[str]:
    on = ground(arch, "kernel.widening_flushes=true", *settings)
    return compare(chosen, lambda one: verdict(_small(one, arch, flaw), FEW), lambda one: _explored(one, on))


@pytest.mark.compiled
@pytest.mark.parametrize("count", [30, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_the_kernel_s_own_rules_are_safe_in_both_models(arch: str, count: int) -> None:
    every = programs()
    chosen = Random(7).sample(every, min(count, len(every)))
    compared = _compare(arch, "", chosen)
    assert compared["bug"] == 0
    assert compared["safe"] > min(count, len(every)) * 0.6


@pytest.mark.compiled
@pytest.mark.parametrize("count", [6, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("flaw", OFF)
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_a_fix_that_is_turned_off_gives_both_models_the_same_verdicts(
    arch: str, flaw: str, count: int
) -> None:
    switch, shows = OFF[flaw]
    every = [one for one in programs() if any("fork child" in calls for calls in one)]
    compared = _compare(
        arch, flaw, [shows, *Random(11).sample(every, min(count, len(every)))], f"kernel.{switch}=false"
    )
    assert compared["bug"]
    assert compared["safe"]


@pytest.mark.compiled
@pytest.mark.parametrize("count", [6, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("flaw", ["no fork flush", "no copy flush"])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_a_flush_that_is_left_out_gives_both_models_the_same_verdicts(
    arch: str, flaw: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flaw == "no fork flush":
        monkeypatch.setattr(Calls, "dup_mmap", without_flush)
    else:
        monkeypatch.setattr(Faults, "_replace", without_clearing)
    every = [one for one in programs() if any("fork child" in calls for calls in one)]
    shows = (("fork child", "touch heap write"), ("gup heap",))
    chosen = Random(13).sample(every, min(count, len(every)))
    compared = _compare(arch, flaw, [shows, *DIFFERED, *chosen])
    assert compared["bug"]
    assert compared["safe"]
