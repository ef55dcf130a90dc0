"""Programs with MADV_FREE, MADV_PAGEOUT, move_pages(), membarrier() or execve() have the verdict of brute force."""

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
    two_or_three,
)
from twins.brute_force.search import verdict

from shootdown._mm.gather import Gathers

#: The calls, as statements and as brute force names them.
CALLS = {
    "madvise heap FREE": "lazyfree",
    "madvise heap PAGEOUT": "pageout",
    "migrate heap": "migrate",
    "membarrier": "membarrier",
    "madvise heap DONTNEED": "madvise",
    "mprotect heap read": "mprotect",
    "reclaim heap": "reclaim",
    "gup heap": "gup",
    "exec": "exec",
}
_NEW = ("lazyfree", "pageout", "migrate", "membarrier")
#: What comes before `exec`, in a process of one thread.
BEFORE_EXEC = ((), ("madvise heap DONTNEED",), ("mprotect heap read",), ("madvise heap PAGEOUT",))


def programs() -> list[Threads]:
    """Return the programs of two threads with a call each, and of three calls, that have a new one."""
    found = two_or_three([call for call in CALLS if call != "exec"])
    return [one for one in found if any(CALLS[call] in _NEW for thread in one for call in thread)]


def _compare(arch: str, flaw: str, chosen: list[Threads], *settings: str) -> Counter[str]:
    on = ground(arch, *settings)
    return compare(
        chosen,
        lambda one: verdict(on_one_page(one, CALLS, arch, flaw), FEW),
        lambda one: explored_on_one_page(on, one),
    )


@pytest.mark.compiled
@pytest.mark.parametrize("count", [8, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_the_kernel_s_own_rules_are_safe_in_both_models(arch: str, count: int) -> None:
    every = programs()
    compared = _compare(arch, "", Random(3).sample(every, min(count, len(every))))
    assert compared["bug"] == 0
    assert compared["safe"]


@pytest.mark.compiled
@pytest.mark.parametrize("count", [3, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_reclaim_that_nobody_waits_for_gives_both_models_the_same_verdicts(arch: str, count: int) -> None:
    every = [one for one in programs() if any("PAGEOUT" in call for thread in one for call in thread)]
    shows: Threads = (("madvise heap PAGEOUT",), ("mprotect heap read",))
    chosen = [shows, *Random(5).sample(every, min(count, len(every)))]
    compared = _compare(arch, "no look at reclaim", chosen, "kernel.flush_batched_pending=false")
    assert compared["bug"]


@pytest.mark.compiled
@pytest.mark.parametrize("count", [3, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_an_entry_that_no_gather_learns_of_gives_both_models_the_same_verdicts(
    arch: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gathers, "remove_entry", lambda *_: None)
    every = [one for one in programs() if not any("mprotect" in call for thread in one for call in thread)]
    shows: Threads = (("madvise heap FREE",), ("membarrier",))
    compared = _compare(arch, "forgotten", [shows, *Random(7).sample(every, min(count, len(every)))])
    assert compared["bug"]


#: Calls beside the migration of a file's page.
BESIDE = ("migrate heap", "madvise heap DONTNEED", "mprotect heap read", "gup heap")


@pytest.mark.compiled
@pytest.mark.parametrize("flaw", ["", "no look at reclaim"])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_a_file_s_page_that_is_migrated_leaves_the_page_cache_in_both_models(arch: str, flaw: str) -> None:
    on = ground(arch, *(["kernel.flush_batched_pending=false"] if flaw else []))
    every: list[Threads] = [(("migrate heap",), (call,)) for call in BESIDE]
    every += [(("migrate heap", call), ()) for call in BESIDE]
    compared = compare(
        every,
        lambda one: verdict(on_one_page(one, CALLS, arch, flaw, file=0, forces=True), FEW),
        lambda one: explored_on_one_page(on, one, memory={"kind": "file"}),
    )
    assert bool(compared["bug"]) == bool(flaw)


@pytest.mark.compiled
@pytest.mark.parametrize("flaw", ["", "tables untold"])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_a_cpu_that_idles_keeps_the_old_address_space_of_exec_until_its_tables_go(
    arch: str, flaw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no table goes x86 leaves lazy CPUs out, and arm64 does not flush a gather of a whole address space."""
    if flaw:
        monkeypatch.setattr(Gathers, "freed_flags", lambda *_: 0)
    found = set()
    for before in BEFORE_EXEC:
        threads = ((*before, "exec"),)
        slow, _ = verdict(on_one_page(threads, CALLS, arch, flaw, frees=("exec",), user="lazy"), FEW)
        assert explored_on_one_page(ground(arch), threads, idle=True) == slow, f"{threads}"
        found.add(slow)
    assert ("bug" in found) is (flaw != "")
