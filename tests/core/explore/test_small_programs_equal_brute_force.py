"""Random small programs have the verdict that a search by brute force gives them, in a model that shares no code."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence

import pytest
from tests.core.explore.small_programs import Flawed, gives_again, problem_of, random_program
from twins.brute_force.program import Call, Small
from twins.brute_force.search import verdict

from shootdown._explore.engine import Explorer
from shootdown._machine import ops as o
from shootdown._mm.call_parts import OUTER, SCRATCH
from shootdown._values.verdict import BUG, SAFE

#: States after which brute force gives a program up, in the sample and at length.
FEW, MANY = 15_000, 1_000_000
SAMPLE, GUESTS, RECLAIMING, AT_LENGTH = range(48), range(100, 112), range(200, 216), range(10_000, 13_000)
VERDICTS = {"safe": SAFE, "bug": BUG}


def explored(small: Small, writer: type[Flawed] = Flawed) -> str:
    """Return the explorer's verdict."""
    return Explorer(problem_of(small, writer)).search().verdict


def compared(
    seeds: range, most: int, *, fine: bool = False, way: str | None = None, reclaims: bool = False
) -> dict[str, int]:
    """Compare verdicts of programs; return how many had which, and how many were too large."""
    counts = {"safe": 0, "bug": 0, "too large": 0}
    for seed in seeds:
        small = random_program(seed, fine=fine, way=way, reclaims=reclaims)
        if gives_again(small):
            continue
        try:
            slow, _ = verdict(small, most)
        except OverflowError:
            counts["too large"] += 1
            continue
        assert explored(small) == VERDICTS[slow], f"program {seed}: {small}"
        counts[slow] += 1
    return counts


@pytest.mark.compiled
def test_random_small_programs_have_the_verdict_of_brute_force() -> None:
    counts = compared(SAMPLE, FEW)
    assert counts["safe"] >= 20
    assert counts["bug"] >= 12


@pytest.mark.compiled
def test_random_small_programs_of_guests_have_the_verdict_of_brute_force() -> None:
    counts = compared(GUESTS, FEW, way="kvm")
    assert counts["safe"]
    assert counts["bug"]


@pytest.mark.compiled
def test_random_small_programs_that_reclaim_have_the_verdict_of_brute_force() -> None:
    counts = compared(RECLAIMING, FEW, reclaims=True)
    assert counts["safe"]
    assert counts["bug"]


#: Calls that flush, and what another thread of the process does meanwhile.
FLUSHING = (
    Call("madvise", (0,)),
    Call("munmap", (0,)),
    Call("munmap", (0,), tables=(0,)),
    Call("mprotect", (0,)),
    Call("truncate", (0,)),
)
MEANWHILE = ((), (Call("gup", (0,)),))


@pytest.mark.compiled
@pytest.mark.parametrize("here_last", [False, True], ids=["as in 7.3", "its own CPU is flushed last"])
def test_tasks_that_are_preempted_while_they_wait_have_the_verdict_of_brute_force(here_last: bool) -> None:
    counts = {"safe": 0, "bug": 0}
    for call, other in itertools.product(FLUSHING, MEANWHILE):
        for user in ("idle", ""):
            small = Small(
                pages=(0,), maps=(0,), writable=(True,), file=0, threads=((call,), other), user=user,
                preempts=True, here_last=here_last,
            )  # fmt: skip
            try:
                slow, _ = verdict(small, FEW)
            except OverflowError:
                continue
            assert explored(small) == VERDICTS[slow], small
            counts[slow] += 1
    assert counts["safe"] >= 5
    assert (counts["bug"] >= 4) is here_last


@pytest.mark.long
@pytest.mark.parametrize(
    ("fine", "way"),
    [(False, None), (True, None), (False, "kvm")],
    ids=["flaws", "the kernel's own rules", "guests"],
)
def test_many_random_small_programs_have_the_verdict_of_brute_force(  # type: ignore[no-untyped-def]
    record_property, fine: bool, way: str | None
) -> None:
    began = time.process_time()
    counts = compared(AT_LENGTH, MANY, fine=fine, way=way)
    said = {
        "what": "verdicts of small programs" + (" without flaws" if fine else " of guests" if way else ""),
        "against": "brute force",
        "seed": AT_LENGTH.start,
        "count": counts["safe"] + counts["bug"],
        "result": "equal",
        "cpu_seconds": round(time.process_time() - began, 1),
    }
    record_property("sample", json.dumps(said))


# --- the comparison can fail


class FlushesTheNextPage(Flawed):
    """mremap() flushes one page too late, and the brute-force model is not told."""

    def flush_atoms(self, atoms: Sequence[int]) -> None:
        lo, hi = self._pages_from_to(atoms)
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=lo + 1, hi=hi + 1)
        self.lowering.flush_range(self.asm, SCRATCH)


class FreesBeforeItFlushes(Flawed):
    """Pages are freed before the flush."""

    def finish(self, g: int = OUTER, *, nested: bool = True) -> None:
        self.asm.put_frames(o.INDEX)
        self.asm.set(o.INDEX, 0)
        super().finish(g, nested=nested)


class ChecksForNoOther(Flawed):
    """No gather looks for another that is pending."""

    def finish(self, g: int = OUTER, *, nested: bool = True) -> None:
        super().finish(g, nested=False)


class TakesNoRight(Flawed):
    """mprotect() and madvise() forget what they cleared."""

    def returns(self, atoms: tuple[int, ...], *, writes: bool = False) -> None:  # type: ignore[override]
        self.asm.user_mode(True)


_BASE = {
    "pages": (0, 1, 512),
    "maps": (0, 2, None),
    "writable": (True, True, True),
    "file": 0,
    "user": "runs",
}


@pytest.mark.parametrize("way", ["x86", "arm64"])
@pytest.mark.parametrize(
    ("writer", "calls", "slow", "fast"),
    [
        (FlushesTheNextPage, (Call("mremap", (0, 2)),), "safe", BUG),
        (FreesBeforeItFlushes, (Call("madvise", (1,)),), "safe", BUG),
        (ChecksForNoOther, (Call("madvise", (1,)), Call("madvise", (1,))), "safe", BUG),
        (
            TakesNoRight,
            (Call("mprotect", (0,), flaws=frozenset({"forgotten"})), Call("gup", (1,))),
            "bug",
            SAFE,
        ),
    ],
    ids=["a range off by one", "freed before the flush", "no nested check", "a right that nobody takes"],
)
def test_a_defect_in_one_of_the_models_shows_as_a_difference(
    writer: type[Flawed], calls: tuple[Call, ...], slow: str, fast: str, way: str
) -> None:
    small = Small(**_BASE, threads=tuple((call,) for call in calls), way=way)  # type: ignore[arg-type]
    assert verdict(small)[0] == slow
    assert explored(small, writer) == fast


FLAWED = [
    (("madvise", (1,), "freed first"),),
    (("madvise", (1,), "forgotten"),),
    (("madvise", (1,), "no nested check"), ("madvise", (1,), "no nested check")),
    (("mremap", (0, 2), "next page"),),
    (("mremap", (0, 2), "late flush"), ("truncate", (0, 2), "")),
    (("munmap", (0,), "forgotten"),),
    (("mprotect", (0,), "forgotten"),),
    (("mprotect", (1,), "no look at reclaim"), ("reclaim", (1,), "")),
    (("madvise", (1,), "no look at reclaim"), ("reclaim", (1,), "")),
    (("munmap", (1,), "no look at reclaim"), ("reclaim", (1,), "")),
]


@pytest.mark.parametrize("way", ["x86", "arm64"])
@pytest.mark.parametrize("calls", FLAWED, ids=lambda calls: " + ".join(f"{c[0]} {c[2]}" for c in calls))
def test_both_models_find_each_flaw(calls: tuple[tuple[str, tuple[int, ...], str], ...], way: str) -> None:
    threads = tuple((Call(name, atoms, flaws=frozenset({flaw})),) for name, atoms, flaw in calls)
    small = Small(**_BASE, threads=threads, way=way)  # type: ignore[arg-type]
    assert verdict(small)[0] == "bug"
    assert explored(small) == BUG


@pytest.mark.parametrize(("way", "slow"), [("x86", "safe"), ("arm64", "bug")])
def test_both_models_need_a_grace_period_where_flushes_interrupt_nobody(way: str, slow: str) -> None:
    threads = ((Call("munmap", (0, 1), (0,)),), (Call("gup", (1,)),))
    small = Small(**_BASE, threads=threads, way=way, rcu=False)  # type: ignore[arg-type]
    assert verdict(small)[0] == slow
    assert explored(small) == VERDICTS[slow]


@pytest.mark.parametrize("way", ["x86", "arm64"])
def test_a_page_that_one_gather_unmaps_twice_is_freed(way: str) -> None:
    """A truncation that forgets to flush is found, since both references of the entries go."""
    forgets = Call("truncate", (0, 1), flaws=frozenset({"forgotten"}))
    small = Small(**(_BASE | {"maps": (0, 0, None)}), threads=((forgets,),), way=way)  # type: ignore[arg-type]
    assert verdict(small)[0] == "bug"
    assert explored(small) == BUG
