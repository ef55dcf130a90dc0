"""Programs in which one thread ends them all have the verdict of a brute-force model that shares no code."""

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
from twins.brute_force.search import verdict

from shootdown._mm.gather import Gathers

#: The calls, as statements and as brute force names them.
CALLS = {
    "exit": "exit",
    "touch heap write": "write",
    "madvise heap DONTNEED": "madvise",
    "munmap heap": "munmap",
    "mprotect heap read": "mprotect",
    "reclaim heap": "reclaim",
    "gup heap": "gup",
}
ALONE: Threads = (("exit",), ())


def programs() -> list[Threads]:
    """Return the programs of two threads with up to three calls before the first one ends both."""
    every = [((), (call,)) for call in CALLS if call != "exit"]
    every += two_or_three([call for call in CALLS if call != "exit"])
    ended = (((*first, "exit"), *rest) for first, *rest in every)
    return [one for one in ended if not segfaults(one)]


def _compare(arch: str, flaw: str, chosen: list[Threads], *settings: str) -> Counter[str]:
    on = ground(arch, *settings)

    frees = ("exit", "munmap")
    return compare(
        chosen,
        lambda one: verdict(on_one_page(one, CALLS, arch, flaw, frees=frees), FEW),
        lambda one: explored_on_one_page(on, one),
    )


@pytest.mark.compiled
@pytest.mark.parametrize("count", [4, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_the_kernel_s_own_rules_are_safe_in_both_models(arch: str, count: int) -> None:
    every = programs()
    compared = _compare(arch, "", [ALONE, *Random(3).sample(every, min(count, len(every)))])
    assert compared["bug"] == 0
    assert compared["safe"]


@pytest.mark.compiled
@pytest.mark.parametrize("count", [3, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_tables_that_go_untold_give_both_models_the_same_verdicts(
    arch: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gathers, "freed_flags", lambda *_: 0)
    every = programs()
    compared = _compare(arch, "tables untold", [ALONE, *Random(5).sample(every, min(count, len(every)))])
    assert compared["bug"]
