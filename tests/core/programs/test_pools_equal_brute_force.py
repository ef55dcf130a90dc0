"""Programs with hugetlb memory beside other memory have the verdict of a brute-force model that shares no code."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random
from typing import Any

import pytest
from tests.core.programs.comparing import Threads, compare, explored, ground, others, two_or_three
from twins.brute_force.pools import verdict
from twins.brute_force.program import Call, Small

from shootdown._questions.hunt import Ground

#: States after which brute force gives a program up.
FEW = 20_000
#: The calls, as statements and as brute force names them.
CALLS = {
    "munmap pool": "pool_munmap",
    "madvise pool DONTNEED": "pool_madvise",
    "mprotect pool read": "pool_mprotect",
    "gup pool": "pool_gup",
    "madvise heap DONTNEED": "madvise",
    "mprotect heap read": "mprotect",
    "gup heap": "gup",
}
#: What the other process that maps the pool does, as brute force names it.
OTHERS = {"keeps": ["spin"], "unmaps": ["munmap pool"]}
#: Switches that are turned off, by the flaw that is the same for brute force, and a call that shows it beside others.
OFF = {
    "pool untold": ("kernel.unshare_flush=none", "munmap pool", "gup heap"),
    "pool links stay": ("kernel.honour_unshared_tables=false", "munmap pool", "gup heap"),
    "no pool sync": ("kernel.unshare_sync=none", "munmap pool", "gup pool"),
}
_UNSHARE = ("munmap pool", "madvise pool DONTNEED", "mprotect pool read")
#: On x86 a flush that unshares leaves lazy CPUs out otherwise.
_HONOURED = "kernel.honour_unshared_tables=true"


def programs() -> list[Threads]:
    """Return the programs of two threads with a call each, and of three calls, in which both memories are named."""
    return [one for one in two_or_three(CALLS) if _is_mixed(one)]


def _is_mixed(threads: Threads) -> bool:
    calls = [call for thread in threads for call in thread]
    return {"pool", "heap"} <= {call.split(" ")[1] for call in calls} and calls.count("munmap pool") < 2


def _explored(threads: Threads, other: str, on: Ground) -> str:
    process: dict[str, Any] = {
        "A": {"do": ["touch pool", "touch heap write", *threads[0]], "thread": others(threads)},
        "B": {"do": ["touch pool", *OTHERS[other]]},
    }
    memory = {"heap": {"size": "4K", "alone": False}, "pool": {"kind": "hugetlb", "size": "1G"}}
    return explored(on, {"memory": memory, "process": process})


def _small(threads: Threads, way: str, flaw: str) -> Small:
    calls = [call for thread in threads for call in thread]
    flaws = frozenset({flaw} if flaw else ())
    written = [[Call(CALLS[call], (0,), flaws=flaws) for call in thread] for thread in threads]
    if "munmap pool" not in calls:
        written[0].append(Call("pool_keep", (), flaws=frozenset({"pins"} if "gup pool" in calls else ())))
    return Small((0,), (0,), (True,), 1, tuple(map(tuple, written)), way=way, ranges=True)


def _compare(arch: str, flaw: str, chosen: list[Threads], *settings: str) -> Counter[str]:
    on = ground(arch, *(settings or (_HONOURED,)), kernel="7.1")
    return compare(
        product(chosen, OTHERS),
        lambda one: verdict(_small(one[0], arch, flaw), one[1], FEW),
        lambda one: _explored(*one, on),
    )


def _chosen(count: int, seed: int) -> list[Threads]:
    """Return some programs; where few are asked for, of those that give the table up, whose searches are short."""
    every = programs()
    if count < len(every):
        every = [one for one in every if sum(map(len, one)) == 2 and ("munmap pool",) in one]
    return Random(seed).sample(every, min(count, len(every)))


@pytest.mark.compiled
@pytest.mark.parametrize("count", [2, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_the_kernel_s_own_rules_are_safe_in_both_models(arch: str, count: int) -> None:
    compared = _compare(arch, "", _chosen(count, 3))
    assert compared["bug"] == 0
    assert compared["safe"]


@pytest.mark.compiled
@pytest.mark.parametrize("count", [1, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("flaw", OFF)
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_what_is_turned_off_gives_both_models_the_same_verdicts(arch: str, flaw: str, count: int) -> None:
    setting, *shows = OFF[flaw]
    settings = (setting,) if flaw == "pool links stay" else (setting, _HONOURED)
    # Brute force watches no CPU of the other process: what its own unsharing leaves there is only seen in ours.
    chosen = [one for one in _chosen(count, 5) if any(call in _UNSHARE for thread in one for call in thread)]
    compared = _compare(arch, flaw, [((shows[0],), (shows[1],)), *chosen], *settings)
    # On x86 the flush's interrupt waits for GUP-fast, INVLPG drops all links, and nobody is lazy here.
    assert (compared["bug"] > 0) is (arch != "x86" or flaw == "pool untold")
