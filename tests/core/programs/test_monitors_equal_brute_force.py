"""Programs with userfaultfd have the verdict of a brute-force model that shares no code."""

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

from shootdown._mm.ordinary import Ordinary

#: The calls, as statements and as brute force names them.
CALLS = {
    "userfaultfd heap WRITEPROTECT": "writeprotect",
    "userfaultfd heap COPY": "copy",
    "touch heap write": "write",
    "madvise heap DONTNEED": "madvise",
    "mprotect heap read": "mprotect",
    "reclaim heap": "reclaim",
    "gup heap": "gup",
}
WRITE_PROTECTS: Threads = (("userfaultfd heap WRITEPROTECT",), ("touch heap write",))


def programs() -> list[Threads]:
    """Return the programs of two threads with a call each, and of three calls, in which a monitor does something."""
    return [
        one for one in two_or_three(CALLS) if any("userfaultfd" in call for calls in one for call in calls)
    ]


def _compare(arch: str, flaw: str, chosen: list[Threads], *settings: str) -> Counter[str]:
    on = ground(arch, *settings)
    return compare(
        chosen,
        lambda one: verdict(on_one_page(one, CALLS, arch, flaw), FEW),
        lambda one: explored_on_one_page(on, one),
    )


@pytest.mark.compiled
@pytest.mark.parametrize("count", [12, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_the_kernel_s_own_rules_are_safe_in_both_models(arch: str, count: int) -> None:
    every = programs()
    compared = _compare(arch, "", [WRITE_PROTECTS, *Random(3).sample(every, min(count, len(every)))])
    assert compared["bug"] == 0
    assert compared["safe"]


@pytest.mark.compiled
@pytest.mark.parametrize("count", [6, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_an_entry_that_no_gather_learns_of_gives_both_models_the_same_verdicts(
    arch: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = Ordinary.change_pte_range
    monkeypatch.setattr(
        Ordinary,
        "change_pte_range",
        lambda calls, atom, *, gathers, **more: change(calls, atom, gathers=False, **more),
    )
    every = [one for one in programs() if not any("DONTNEED" in call for calls in one for call in calls)]
    compared = _compare(arch, "forgotten", [WRITE_PROTECTS, *Random(7).sample(every, min(count, len(every)))])
    assert compared["bug"]
    assert compared["safe"]


@pytest.mark.compiled
@pytest.mark.parametrize("count", [3, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_reclaim_that_nobody_waits_for_gives_both_models_the_same_verdicts(arch: str, count: int) -> None:
    shows: Threads = (("reclaim heap",), ("userfaultfd heap WRITEPROTECT",))
    every = [one for one in programs() if any("reclaim" in call for calls in one for call in calls)]
    chosen = [shows, *Random(5).sample(every, min(count, len(every)))]
    compared = _compare(arch, "no look at reclaim", chosen, "kernel.flush_batched_pending=false")
    assert compared["bug"]
