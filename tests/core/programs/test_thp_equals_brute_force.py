"""Programs on one huge page have the verdict of a brute-force model that shares no code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from random import Random
from typing import Any

import pytest
from tests.core.programs.comparing import Threads, compare, explored, ground, others, two_or_three
from tests.core.programs.test_programs_are_explored import without_flush
from twins.brute_force.huge_pages import verdict
from twins.brute_force.program import Call, Small

from shootdown._mm.calls import Calls
from shootdown._mm.gather import Gathers
from shootdown._mm.huge_functions import HugeFunctions
from shootdown._questions.hunt import Ground

#: States after which brute force gives a program up.
FEW = 6_000
#: The calls, as statements and as brute force names them.
CALLS = {
    "madvise heap DONTNEED": "madvise",
    "madvise heap[0:4K] DONTNEED": "madvise",
    "mprotect heap read": "mprotect",
    "mprotect heap[0:4K] read": "mprotect",
    "mprotect heap write": "widen",
    "munmap heap": "munmap",
    "munmap heap[0:4K]": "munmap",
    "touch heap[0:4K] write": "write",
    "gup heap[0:4K]": "gup",
    "fork child": "fork",
}
PART = "heap[0:4K]"
#: MADV_FREE, and what brute force knows beside it: neither a write to a clean page nor fork().
FREES = {"madvise heap FREE": "lazyfree", "madvise heap[0:4K] FREE": "lazyfree"}
#: Reclaim, which brute force knows beside the same calls.
RECLAIMS = {"reclaim heap": "reclaim", "madvise heap PAGEOUT": "pageout"}
BESIDE = [call for call, name in CALLS.items() if name not in ("write", "fork", "widen")]


def programs() -> list[Threads]:
    """Return all programs of two threads with a call each, and those of three calls, each once."""
    return [one for one in two_or_three(CALLS) if not _segfaults(one)]


def about(named: Collection[str]) -> list[Threads]:
    """Return such programs with MADV_FREE, or with reclaim, and no writes."""
    every = two_or_three((*named, *BESIDE))
    return [one for one in every if any(call in named for calls in one for call in calls)]


def _segfaults(threads: Threads) -> bool:
    """Whether a thread touches what it has unmapped itself: such programs are refused."""
    return any(
        first.startswith("munmap") and then.startswith("touch")
        for calls in threads
        for number, first in enumerate(calls)
        for then in calls[number + 1 :]
    )


def _explored(threads: Threads, on: Ground) -> str:
    process: dict[str, Any] = {"A": {"do": ["touch heap write", *threads[0]], "thread": others(threads)}}
    if any("fork child" in calls for calls in threads):
        process["child"] = {"do": ["spin"]}
    memory = {"heap": {"size": "2M", "kind": "thp"}}
    return explored(on, {"memory": memory, "process": process})


def _small(threads: Threads, way: str, flaw: str) -> Small:
    written, frame = [], -1
    parts = (0, 1) if any(PART in call for calls in threads for call in calls) else (0,)
    forks = any("fork child" in calls for calls in threads)
    if forks and "fork child" not in threads[0]:
        threads = (("touch heap write", *threads[0]), *threads[1:])  # who has written goes on writing
    for calls in threads:
        body = []
        for call in calls:
            name = (CALLS | FREES | RECLAIMS).get(call, "write")
            about = (0,) if PART in call else parts
            for atoms in [(n,) for n in about] if name == "write" else [about]:
                frame += 2 if name == "write" else 0
                body.append(Call(name, atoms, flaws=frozenset(flaw.split(" + ")), frame=frame))
        written.append(tuple(body))
    return Small(
        parts, (0,) * len(parts), (True,) * len(parts), 0, tuple(written), way=way, ranges=True, forces=False
    )


def _compare(arch: str, flaw: str, chosen: list[Threads], *settings: str) -> Counter[str]:
    on = ground(arch, "kernel.widening_flushes=true", *settings)
    return compare(chosen, lambda one: verdict(_small(one, arch, flaw), FEW), lambda one: _explored(one, on))


@pytest.mark.compiled
@pytest.mark.parametrize("count", [12, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_the_kernel_s_own_rules_are_safe_in_both_models(arch: str, count: int) -> None:
    every = programs()
    shows: Threads = (
        ("mprotect heap write", "fork child"),
        ("gup heap[0:4K]",),
    )  # the child gets a copy of a part
    compared = _compare(arch, "", [shows, *Random(7).sample(every, min(count, len(every)))])
    assert compared["bug"] == 0
    assert compared["safe"] > min(count, len(every)) * 0.5


@pytest.mark.compiled
@pytest.mark.parametrize("count", [6, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("calls", [FREES, RECLAIMS])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_madv_free_and_reclaim_of_huge_pages_are_safe_in_both_models(
    arch: str, calls: dict[str, str], count: int
) -> None:
    every = about(calls)
    compared = _compare(arch, "", Random(11).sample(every, min(count, len(every))))
    assert compared["bug"] == 0
    assert compared["safe"] >= min(count, len(every)) * 0.3


@pytest.mark.compiled
@pytest.mark.parametrize("count", [4, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_reclaim_of_huge_pages_that_nobody_waits_for_gives_both_models_the_same_verdicts(
    arch: str, count: int
) -> None:
    every = about(RECLAIMS)
    shows: Threads = (("madvise heap PAGEOUT",), ("madvise heap DONTNEED",))
    hole: Threads = (("munmap heap[0:4K]", "madvise heap DONTNEED"), ("madvise heap PAGEOUT",))
    chosen = [shows, hole, *Random(19).sample(every, min(count, len(every)))]
    compared = _compare(arch, "no look at reclaim", chosen, "kernel.flush_batched_pending=false")
    assert compared["bug"]


@pytest.mark.compiled
@pytest.mark.parametrize("count", [5, pytest.param(1_000, marks=pytest.mark.long)])
def test_madv_free_that_flushes_no_huge_entry_gives_both_models_the_same_verdicts(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own flush or the gather's is enough: a write by an entry that is dirty in a TLB sets no dirty bit."""
    monkeypatch.setattr(HugeFunctions, "pmdp_invalidate", _unflushed)
    monkeypatch.setattr(Gathers, "remove_huge_entry", _untold)
    every = about(FREES)
    shows: Threads = (("madvise heap FREE",), ())
    chosen = Random(17).sample(every, min(count, len(every)))
    assert _compare("x86", "split unflushed + huge untold", [shows, *chosen])["bug"]


def _untold(self: Gathers, g: int, lo: int, hi: int) -> None:
    self.asm.set_flags(g, 0)


def _unflushed(self: HugeFunctions, change: Callable[[], None], lo: int, hi: int) -> None:
    change()


#: What is left out, by the flaw that is the same for brute force, with a program that shows it; nothing: none does.
LEFT_OUT: dict[str, tuple[type, str, Callable[..., None], Threads]] = {
    "huge untold": (Gathers, "remove_huge_entry", _untold, (("madvise heap DONTNEED",), ("gup heap[0:4K]",))),
    "split unflushed": (HugeFunctions, "pmdp_invalidate", _unflushed, ()),
    "no fork flush": (Calls, "dup_mmap", without_flush, (("fork child",), ("gup heap[0:4K]",))),
}


@pytest.mark.compiled
@pytest.mark.parametrize("count", [5, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("flaw", LEFT_OUT)
def test_a_flush_that_is_left_out_gives_both_models_the_same_verdicts(
    flaw: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On x86, where a split is the one that flushes by pmdp_invalidate()."""
    owner, name, instead, shows = LEFT_OUT[flaw]
    monkeypatch.setattr(owner, name, instead)
    every = programs()
    chosen = Random(13).sample(every, min(count, len(every)))
    compared = _compare("x86", flaw, [*([shows] if shows else []), *chosen])
    assert bool(compared["bug"]) == bool(shows)


@pytest.mark.compiled
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_gup_fast_that_does_not_see_fork_gives_both_models_the_same_verdict(arch: str) -> None:
    shows = (("fork child", "touch heap[0:4K] write"), ("gup heap[0:4K]",))
    assert _compare(arch, "no sequence", [shows], "kernel.gup_sees_fork=false") == {"bug": 1}
