"""Each primitive of unsharing is needed somewhere, or stands in a list with the reason why not."""

from __future__ import annotations

import pytest

from shootdown._explore.engine import Explorer
from shootdown._explore.mutate import primitives, without
from shootdown._explore.outcome import Reductions
from shootdown._explore.problem import Problem
from shootdown._questions.case import Case
from shootdown._questions.explore import explorations, explore_case
from shootdown._values.scenario import Scenario
from shootdown._values.verdict import BUG, SAFE

#: Safe cells: scenario, architecture, platform, kernel, settings, parameters.
CELLS = (
    ("unshare-gup", "x86", "intel-server", "6.15", (), {}),
    ("unshare-gup", "x86", "intel-server", "7.0", (), {}),
    ("unshare-gup", "x86", "kvm-guest", "7.0", (), {}),
    ("unshare-gup", "x86", "hyper-v-guest", "6.16", (), {}),
    ("unshare-gup", "arm64", "neoverse-v2", "7.0", (), {"sharers": 3}),
    ("unshare-gup", "arm64", "neoverse-v2", "7.0", (), {"path": "exit"}),
    ("unshare-gup", "arm64", "neoverse-v2", "7.0", (), {"path": "rmap"}),
    ("unshare-walk-cache", "arm64", "neoverse-v2", "7.1", (), {}),
    ("unshare-walk-cache", "arm64", "neoverse-n1", "7.0", (), {}),
    ("unshare-walk-cache", "x86", "hyper-v-guest", "7.0", (), {}),
    ("unshare-walk-cache", "x86", "intel-server", "7.0", (), {}),
    ("unshare-walk-cache", "x86", "intel-server", "7.0", (), {"path": "mprotect"}),
)

#: Primitives of which no cell needs one, and why.
REDUNDANT = {
    "mmap_lock": "each mm has one caller here: nobody else wants its mmap_lock",
    "hugetlb vma_lock": "i_mmap_rwsem is held for writing wherever tables are unshared",
    "flush_tlb_page: DSB ISH": "the reverse map's last visit flushes one page of the process that keeps the table",
    "page-table lock": "taken inside i_mmap_rwsem here; faults and GUP-slow are not part of the scenario",
    "call_rcu: what came before a grace period is seen by who comes after it": "the flush before it is a barrier too",
    "call_rcu: the grace period is over": "who walks the table has left it before it can be reused, let alone freed",
}


def _case(cell: tuple) -> Case[Scenario]:
    name, arch, platform, kernel, settings, parameters = cell
    (case,) = explorations(
        name, arch=[arch], platforms=[platform], kernels=[kernel], settings=settings, parameters=parameters
    )
    return case


def _problem(cell: tuple) -> Problem:
    case = _case(cell)
    return case.program.build(case.setup())


def test_each_primitive_is_needed_in_a_cell_or_has_a_reason_not_to_be() -> None:
    needed: set[str] = set()
    known: set[str] = set()
    for cell in CELLS:
        problem = _problem(cell)
        taken = Explorer(problem)
        assert taken.search().verdict == SAFE, cell
        for primitive in primitives(problem):
            if not set(primitive.steps) & taken.taken:
                continue  # nobody gets there in this cell
            known.add(primitive.name)
            if primitive.name not in needed and Explorer(without(problem, primitive)).search().verdict == BUG:
                needed.add(primitive.name)
    assert known - needed == set(REDUNDANT)


@pytest.mark.parametrize("cell", CELLS[:6], ids=str)
def test_reductions_change_no_verdict(cell: tuple) -> None:
    case = _case(cell)
    whole = explore_case(case)
    for reductions in (
        Reductions(fuse=False),
        Reductions(dead=False),
        Reductions(symmetry=False),
        Reductions(fuse=False, dead=False, symmetry=False, arrive=False),
    ):
        if case.parameters["sharers"] == 2 or reductions.fuse:
            found = explore_case(case, reductions=reductions)
            assert (found.verdict, found.invariant) == (whole.verdict, whole.invariant)
            assert found.states >= whole.states


@pytest.mark.parametrize("path", ["munmap", "exit", "mprotect", "rmap"])
@pytest.mark.parametrize("name", ["unshare-gup", "unshare-walk-cache"])
def test_a_safe_verdict_has_seen_the_racy_window(name: str, path: str) -> None:
    for arch, platform in (("x86", "intel-server"), ("arm64", "neoverse-n1")):
        verdict = explore_case(_case((name, arch, platform, "7.0", (), {"path": path})))
        if verdict.verdict == SAFE:
            assert verdict.exploration is not None
            assert set(verdict.exploration.program.window) <= verdict.reached


def test_a_targeted_sync_needs_three_sharers_to_go_wrong() -> None:
    settings = ("platform.flush=broadcast", "kernel.sync_targets=own-mm")
    two, three = (
        explore_case(_case(("unshare-gup", "x86", "intel-server", "7.0", settings, {"sharers": sharers})))
        for sharers in (2, 3)
    )
    assert (two.verdict, three.verdict, three.invariant) == (SAFE, BUG, "gup-fast")


def test_the_walk_cache_fix_of_arm64_closes_what_the_rework_left_except_at_exit() -> None:
    for path, before, after in (
        ("munmap", BUG, SAFE), ("mprotect", BUG, SAFE), ("rmap", BUG, SAFE), ("exit", BUG, BUG),
    ):  # fmt: skip
        for kernel, wanted in (("7.0", before), ("7.1", after)):
            cell = ("unshare-walk-cache", "arm64", "neoverse-v2", kernel, (), {"path": path})
            assert explore_case(_case(cell)).verdict == wanted, (path, kernel)


def test_lazy_cpus_of_x86_keep_links_on_every_path_since_the_rework_and_on_two_before() -> None:
    for path, before in (("munmap", BUG), ("exit", BUG), ("mprotect", SAFE), ("rmap", SAFE)):
        for kernel, wanted in (("6.16", before), ("7.0", BUG)):
            cell = ("unshare-walk-cache", "x86", "intel-server", kernel, (), {"path": path, "lazy": True})
            assert explore_case(_case(cell)).verdict == wanted, (path, kernel)
        honoured = ("kernel.honour_unshared_tables=true",)
        cell = ("unshare-walk-cache", "x86", "intel-server", "7.0", honoured, {"path": path, "lazy": True})
        assert explore_case(_case(cell)).verdict == SAFE, path
