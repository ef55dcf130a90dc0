"""Programs that read private memory first have the verdict of a brute-force model that shares no code.

What a read maps is the zero page, or a file's; a write copies it, and flushes.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

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
from tests.core.programs.test_programs_are_explored import without_clearing
from twins.brute_force.search import verdict

from shootdown._mm.faults import Faults
from shootdown._mm.gather import Gathers

#: The calls, as statements and as brute force names them.
CALLS = {
    "touch heap read": "read",
    "touch heap write": "write",
    "madvise heap DONTNEED": "madvise",
    "munmap heap": "munmap",
    "mprotect heap read": "mprotect",
    "mprotect heap write": "widen",
    "fork child": "fork",
    "gup heap": "gup",
}
ZERO: dict[str, Any] = {}
FILE = {"kind": "file", "shared": False}
WHERE = pytest.mark.parametrize(
    ("arch", "memory"),
    [
        pytest.param("x86", ZERO, id="x86, the zero page"),
        pytest.param("arm64", FILE, id="arm64, a private file"),
        pytest.param("x86", FILE, id="x86, a private file", marks=pytest.mark.long),
        pytest.param("arm64", ZERO, id="arm64, the zero page", marks=pytest.mark.long),
    ],
)
COPIES: Threads = (("touch heap write",), ())


def programs() -> list[Threads]:
    """Return the programs of two threads with up to three calls in which a write copies what was read."""
    every = [COPIES, *two_or_three(CALLS)]
    return [one for one in every if any("touch heap write" in calls for calls in one) and not segfaults(one)]


def _compare(arch: str, flaw: str, chosen: list[Threads], memory: dict[str, Any]) -> Counter[str]:
    on = ground(arch, "kernel.widening_flushes=true")

    def ours(threads: Threads) -> str:
        before = ("touch heap read", "signal read")  # a write goes before the search otherwise
        return explored_on_one_page(on, threads, before=before, memory={"alone": False, **memory})

    def slow(threads: Threads) -> tuple[str, int]:
        return verdict(on_one_page(threads, CALLS, arch, flaw, file=0, private=True, writable=(False,)), FEW)

    return compare(chosen, slow, ours)


@pytest.mark.compiled
@pytest.mark.parametrize("count", [5, pytest.param(1_000, marks=pytest.mark.long)])
@WHERE
def test_the_kernel_s_own_rules_are_safe_in_both_models(
    arch: str, memory: dict[str, Any], count: int
) -> None:
    every = programs()
    compared = _compare(arch, "", [COPIES, *Random(3).sample(every, min(count, len(every)))], memory)
    assert compared["bug"] == 0
    assert compared["safe"]


@pytest.mark.compiled
@pytest.mark.parametrize("count", [3, pytest.param(1_000, marks=pytest.mark.long)])
@WHERE
def test_a_copy_without_its_flush_gives_both_models_the_same_verdicts(
    arch: str, memory: dict[str, Any], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Faults, "_replace", without_clearing)
    every = programs()
    chosen = [COPIES, *Random(5).sample(every, min(count, len(every)))]
    assert _compare(arch, "no copy flush", chosen, memory)["bug"]


@pytest.mark.compiled
@pytest.mark.parametrize("count", [3, pytest.param(1_000, marks=pytest.mark.long)])
@WHERE
def test_an_entry_that_no_gather_learns_of_gives_both_models_the_same_verdicts(
    arch: str, memory: dict[str, Any], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gathers, "remove_entry", lambda *_: None)
    every = [one for one in programs() if not any("mprotect" in call for calls in one for call in calls)]
    chosen: list[Threads] = [
        (("touch heap write", "madvise heap DONTNEED"), ("gup heap",)),
        *Random(7).sample(every, min(count, len(every))),
    ]
    assert _compare(arch, "forgotten", chosen, memory)["bug"]
