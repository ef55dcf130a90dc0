"""The scenarios of the seed feed: expected verdicts, and what makes them worth something."""

from __future__ import annotations

from itertools import product

import attrs
import pytest

from shootdown._explore.engine import BUG, SAFE, Explorer, Reductions
from shootdown._explore.mutate import primitives, without
from shootdown._explore.run import Exploration, Verdict, explorations, explore, scenarios
from shootdown._explore.scenario import Expect, Scenario
from shootdown._machine import ops as o

FEED = (
    "madv-free-dio",
    "hole-punch-fill",
    "compound-head",
    "pmd-table-rmap",
    "merge-2d338201d531",
    "merge-aa99f3c2b9c7",
)
EXPECTED = [(name, expect) for name in FEED for expect in scenarios()[name].expected]

#: Locks and fences that no cell of a scenario needs, and why.
REDUNDANT = {
    ("hole-punch-fill", "inode lock"): "it keeps writers and punches apart, and there is one punch",
    ("merge-aa99f3c2b9c7", "inode lock"): "as in hole-punch-fill",
}


def _case(name: str, expect: Expect) -> Exploration:
    (case,) = explorations(
        name,
        arch=[expect.arch],
        platforms=[expect.platform] if expect.platform else (),
        kernels=[expect.kernel],
        settings=expect.settings,
        parameters=expect.parameters,
    )
    return case


def _verdict(
    name: str, *settings: str, arch: str = "x86", kernel: str = "7.0", **parameters: object
) -> Verdict:
    return explore(_case(name, Expect("", arch, "", kernel, settings, parameters)))


@pytest.mark.parametrize(("name", "expect"), EXPECTED, ids=str)
def test_verdicts_are_as_expected_and_a_safe_one_has_seen_the_racy_window(name: str, expect: Expect) -> None:
    verdict = explore(_case(name, expect))
    assert verdict.verdict == expect.verdict, verdict
    if verdict.verdict == SAFE:
        assert set(scenarios()[name].window) <= verdict.reached
    if verdict.verdict == BUG:
        assert verdict.invariant in verdict.exploration.scenario.build(verdict.exploration.scene()).invariants


@pytest.mark.parametrize("name", FEED)
def test_scenarios_that_flush_nothing_have_one_verdict_everywhere(name: str) -> None:
    assert not scenarios()[name].flushes
    if name == "madv-free-dio":
        settings: tuple[str, ...] = ("memory_model=weak", "scenario.pte_clear=store")
    else:
        settings = ()
    found = {arch: _verdict(name, *settings, arch=arch) for arch in ("x86", "arm64", "powerpc")}
    sizes = {(v.verdict, v.states, v.depth) for v in found.values() if v.verdict != "not-applicable"}
    assert len(sizes) == 1, found


@pytest.mark.parametrize("name", FEED)
def test_each_lock_and_fence_is_needed_in_a_cell_or_has_a_reason_not_to_be(name: str) -> None:
    known: set[str] = set()
    needed: set[str] = set()
    for expect in scenarios()[name].expected:
        if expect.verdict != SAFE:
            continue
        case = _case(name, expect)
        problem = case.scenario.build(case.scene())
        whole = Explorer(problem)
        assert whole.search().verdict == SAFE
        for primitive in primitives(problem):
            if not set(primitive.steps) & whole.taken or primitive.name in needed:
                continue
            known.add(primitive.name)
            if Explorer(without(problem, primitive)).search().verdict == BUG:
                needed.add(primitive.name)
    redundant = {lock for where, lock in REDUNDANT if where == name}
    assert known - needed == redundant


@pytest.mark.parametrize(("name", "expect"), EXPECTED, ids=str)
def test_reductions_change_no_verdict(name: str, expect: Expect) -> None:
    case = _case(name, expect)
    whole = explore(case)
    for fuse, dead, symmetry in product((False, True), repeat=3):
        found = explore(case, reductions=Reductions(fuse=fuse, dead=dead, symmetry=symmetry))
        assert found.verdict == whole.verdict
        assert found.states >= whole.states or whole.verdict == BUG


def _orderings(scenario: Scenario) -> list[str]:
    return [p.name for p in scenario.switches if isinstance(p.default, bool)]


@pytest.mark.parametrize("name", FEED)
def test_an_ordering_that_is_added_breaks_nothing(name: str) -> None:
    scenario = scenarios()[name]
    switches = _orderings(scenario)
    for memory, arch in (("sc", "x86"), ("tso", "x86"), ("weak", "arm64")):
        verdicts: dict[tuple[bool, ...], str] = {}
        for values in product((False, True), repeat=len(switches)):
            settings = [f"scenario.{n}={str(v).lower()}" for n, v in zip(switches, values, strict=True)]
            verdicts[values] = _verdict(name, f"memory_model={memory}", *settings, arch=arch).verdict
        for values, verdict in verdicts.items():
            for at in range(len(values)):
                stronger = (*values[:at], True, *values[at + 1 :])
                assert not (verdict == SAFE and verdicts[stronger] == BUG), (
                    memory,
                    switches,
                    values,
                    stronger,
                )


@pytest.mark.parametrize("name", FEED)
def test_a_weaker_memory_model_hides_no_bug(name: str) -> None:
    for expect in scenarios()[name].expected:
        if expect.verdict == "not-applicable":
            continue
        settings = tuple(s for s in expect.settings if not s.startswith("memory_model"))
        found = [
            explore(_case(name, attrs.evolve(expect, settings=(*settings, f"memory_model={memory}")))).verdict
            for memory in ("sc", "tso", "weak")
        ]
        assert found == sorted(found, key=(SAFE, BUG).index), (expect, found)


# --- madv-free-dio


def test_each_barrier_of_madv_free_has_a_verdict_of_its_own_in_each_memory_model() -> None:
    found = {
        (memory, barrier, clear): _verdict(
            "madv-free-dio",
            f"memory_model={memory}",
            f"scenario.{barrier}=false",
            f"scenario.pte_clear={clear}",
        ).verdict
        for memory in ("sc", "tso", "weak")
        for barrier in ("write_barrier", "read_barrier")
        for clear in ("store", "xchg")
    }
    assert {key for key, verdict in found.items() if verdict == BUG} == {
        ("tso", "write_barrier", "store"),
        ("weak", "write_barrier", "store"),
        ("weak", "read_barrier", "store"),
        ("weak", "read_barrier", "xchg"),
    }


def test_a_pte_is_cleared_as_the_architecture_does_it_unless_one_says() -> None:
    for arch, clear in (("x86", "xchg"), ("arm64", "store"), ("powerpc", "store")):
        own = _verdict("madv-free-dio", "scenario.write_barrier=false", arch=arch)
        said = _verdict(
            "madv-free-dio", "scenario.write_barrier=false", f"scenario.pte_clear={clear}", arch=arch
        )
        assert (own.verdict, own.states) == (said.verdict, said.states)


# --- hole-punch-fill


def test_a_page_that_is_there_is_read_without_the_invalidate_lock() -> None:
    (case,) = explorations("hole-punch-fill", arch=["x86"], kernels=["7.0"])
    code = case.scenario.build(case.scene()).machine.code
    steps = code.steps.reshape(-1, 5)
    first = next(pc for pc in range(len(steps)) if "look the page up" in code.notes[pc].text)
    place = next(pc for pc in range(first, len(steps)) if int(steps[pc][0]) == o.REACHED)
    assert int(steps[place][1]) == 0  # hit
    assert not any(int(steps[pc][0]) in (o.LOCK_READ, o.LOCK_WRITE) for pc in range(first, place))


def test_without_the_fix_the_range_may_also_read_what_another_file_wrote() -> None:
    case = _case("hole-punch-fill", Expect("", settings=("scenario.fix=false",)))
    problem = case.scenario.build(case.scene())
    steps = problem.machine.code.steps.copy().reshape(-1, 5)
    (stale,) = (pc for pc, step in enumerate(steps) if int(step[0]) == o.FAIL and int(step[1]) == 1)
    steps[stale] = (o.PARK, 1, 0, 0, 0)
    code = attrs.evolve(problem.machine.code, steps=steps.reshape(-1))
    outcome = Explorer(attrs.evolve(problem, machine=attrs.evolve(problem.machine, code=code))).search()
    assert (outcome.verdict, outcome.invariant) == (BUG, "other-file")


# --- compound-head


@pytest.mark.parametrize(("fix", "loads"), [("false", 2), ("true", 1)])
def test_the_newer_form_looks_the_head_up_once_less(fix: str, loads: int) -> None:
    case = _case("compound-head", Expect("", settings=(f"scenario.fix={fix}",)))
    code = case.scenario.build(case.scene()).machine.code
    reads = [pc for pc, step in enumerate(code.steps.reshape(-1, 5)) if int(step[0]) == o.V_LOAD]
    assert len([pc for pc in reads if code.notes[pc].function == "page_add_file_rmap"]) == loads


# --- merges


@pytest.mark.parametrize("name", ["merge-2d338201d531", "merge-aa99f3c2b9c7"])
def test_a_merge_is_no_worse_than_the_better_of_its_parents(name: str) -> None:
    first, second, merge = (_verdict(name, tree=tree).verdict for tree in ("first", "second", "merge"))
    assert merge == min(first, second, key=(SAFE, BUG).index)


def test_the_two_merges_differ_in_what_their_first_parents_lack() -> None:
    assert _verdict("merge-2d338201d531", tree="first").verdict == SAFE  # a cleanup
    assert _verdict("merge-aa99f3c2b9c7", tree="first").verdict == BUG
