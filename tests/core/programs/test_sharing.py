"""A write to what fork() shared copies pages, unless nobody else has them any more: then they stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shootdown

HEAP = {"heap": {"kind": "anonymous", "size": "32K"}}
#: On arm64 since 6.19 a page that stays is TLBI VALE1, and one that is copied or unmapped VALE1IS.
KEPT, GONE = "tlbi_vale1", "tlbi_vale1is"


def counted(**process: Any) -> tuple[int, int]:
    """Return how many pages stay, and how many are copied or unmapped."""
    bodies = {name: {"do": do} for name, do in process.items()}
    (row,) = shootdown.compare(
        {"memory": HEAP, "process": bodies}, arch="arm64", platforms="neoverse-n1", kernels="7.0", cpus=4
    )
    return row.instructions.get(KEPT, 0), row.instructions.get(GONE, 0)


def test_a_child_that_lives_makes_its_parent_copy() -> None:
    assert counted(A="touch heap; fork B; measure { touch heap write }", B="sleep") == (0, 8)


@pytest.mark.parametrize("leaves", ["exit", "munmap heap; sleep", "touch heap write; sleep", "exec; sleep"])
def test_who_is_left_with_the_pages_keeps_them(leaves: str) -> None:
    before, _, after = leaves.partition(";")
    child = f"{before}; signal gone; {after or 'sleep'}" if before != "exit" else "exit"
    waits = "wait B" if before == "exit" else "wait gone"
    assert counted(A=f"touch heap; fork B; {waits}; measure {{ touch heap write }}", B=child) == (8, 0)


def test_a_child_keeps_what_its_parent_has_copied() -> None:
    parent = "touch heap; fork B; touch heap write; signal go; sleep"
    assert counted(A=parent, B="wait go; measure { touch heap write }") == (8, 0)


def test_pages_of_a_third_group_are_taken_to_have_other_owners() -> None:
    parent = "touch heap; fork B; touch heap write; fork C; touch heap write; fork D; wait D"
    assert counted(A=f"{parent}; measure {{ touch heap write }}", B="sleep", C="sleep", D="exit") == (0, 8)


def test_on_x86_a_page_that_stays_is_not_flushed() -> None:
    program = {
        "memory": HEAP,
        "process": {
            "A": {"do": "touch heap; fork B; wait B; measure { touch heap write }"},
            "B": {"do": "exit"},
        },
    }
    (row,) = shootdown.compare(program, arch="x86", kernels="7.0", cpus=4)
    assert row.counts["flush_requests"] == 0


# --- random orders against sets of owners

PARTS = ("heap[0:16K]", "heap[16K:]")
PAGES = 4
Step = tuple[str, str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from("ABC"), st.sampled_from(("write", "drop", "leave")), st.integers(0, 1)),
    max_size=12,
)


class Twin:
    """Who has which page: a set of owners for each; a page is an object."""

    def __init__(self) -> None:
        self.has: dict[str, list[set[str] | None]] = {"A": [{"A"}, {"A"}]}
        self.readonly: set[tuple[str, int]] = set()
        self.kept = self.gone = 0

    def fork(self, child: str) -> None:
        self.has[child] = list(self.has["A"])
        for part, owners in enumerate(self.has["A"]):
            if owners is not None:
                owners.add(child)
                self.readonly |= {("A", part), (child, part)}

    def write(self, who: str, part: int) -> None:
        owners = self.has[who][part]
        if owners is not None and (who, part) in self.readonly:
            if owners == {who}:
                self.kept += PAGES
            else:
                self.gone += PAGES
                owners.discard(who)
                owners = None
        self.has[who][part] = {who} if owners is None else owners
        self.readonly.discard((who, part))

    def drop(self, who: str, part: int) -> None:
        owners = self.has[who][part]
        if owners is not None:
            self.gone += PAGES
            owners.discard(who)
        self.has[who][part] = None
        self.readonly.discard((who, part))

    def leave(self, who: str) -> None:
        for owners in self.has.pop(who):
            if owners is not None:
                owners.discard(who)


def ordered(steps: list[Step]) -> Iterator[Step]:
    """Yield steps that can be taken: a child is forked before its first one, and takes none after it left."""
    left, begun = set(), {"A"}
    for who, what, part in steps:
        if who in left or (who == "A" and what == "leave"):
            continue
        if who not in begun:
            begun.add(who)
            yield "A", f"fork {who}", 0
        if what == "leave":
            left.add(who)
        yield who, what, part


def program_of(taken: list[Step]) -> dict[str, str]:
    """Return the bodies of processes that take the steps one after another; A measures all of them."""
    bodies: dict[str, list[str]] = {"A": []} | {
        what[5:]: [] for _, what, _ in taken if what.startswith("fork ")
    }
    ends = {who for who, what, _ in taken if what == "leave"}
    before = None
    for number, (who, what, part) in enumerate([*taken, ("A", "touch heap read", 0)]):
        if before is not None and before[0] != who:
            bodies[who].append(f"wait {before[1]}")
        verb = {"write": f"touch {PARTS[part]} write", "drop": f"madvise {PARTS[part]} DONTNEED"}.get(
            what, what
        )
        bodies[who] += ["exit"] if what == "leave" else [verb, f"signal s{number}"]
        before = who, who if what == "leave" else f"s{number}"
    whole = {name: "; ".join(do if name in ends else [*do, "sleep"]) for name, do in bodies.items()}
    return whole | {"A": f"touch heap; measure {{ {'; '.join(bodies['A'])} }}"}


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_random_orders_keep_and_copy_what_sets_of_owners_say(steps: list[Step]) -> None:
    twin, taken = Twin(), list(ordered(steps))
    for who, what, part in taken:
        if what.startswith("fork "):
            twin.fork(what[5:])
        elif what == "leave":
            twin.leave(who)
        else:
            getattr(twin, what)(who, part)
    assert counted(**program_of(taken)) == (twin.kept, twin.gone)
