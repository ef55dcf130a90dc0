"""The scenarios of the seed feed: expected verdicts, and what makes them worth something."""

from __future__ import annotations

from itertools import product

import attrs
import pytest
from tests.core.explore.expected import case_of, explored

from shootdown._explore.engine import Explorer
from shootdown._explore.mutate import primitives, without
from shootdown._explore.outcome import Outcome, Reductions
from shootdown._explore.soak import Soak
from shootdown._machine import ops as o
from shootdown._machine.code import StepNote
from shootdown._plugins.registry import registry
from shootdown._questions.explore import Verdict, explorations, explore_case
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.verdict import BUG, SAFE

FEED = (
    "madv-free-dio",
    "anon-vma-degree",
    "hole-punch-fill",
    "device-exclusive-hugetlb",
    "thp-munlock",
    "compound-head",
    "pmd-table-rmap",
    "merge-2d338201d531",
    "merge-aa99f3c2b9c7",
)
#: Histories of operations under one lock, and the table: no memory model and no interleaving within an operation.
HISTORIES = ("anon-vma-degree", "thp-munlock", "device-exclusive-hugetlb")
EXPECTED = [(name, expect) for name in FEED for expect in registry().scenarios()[name].expected]

#: Locks and fences that no cell of a scenario needs, and why.
REDUNDANT = {
    ("hole-punch-fill", "inode lock"): "it keeps writers and punches apart, and there is one punch",
    ("merge-aa99f3c2b9c7", "inode lock"): "as in hole-punch-fill",
}


def _verdict(
    name: str, *settings: str, arch: str = "x86", kernel: str = "7.0", **parameters: object
) -> Verdict:
    return explore_case(case_of(name, Expect("", arch, "", kernel, settings, parameters)))


@pytest.mark.parametrize(("name", "expect"), EXPECTED, ids=str)
def test_verdicts_are_as_expected_and_a_safe_one_has_seen_the_racy_window(name: str, expect: Expect) -> None:
    verdict = explored(name, expect)
    assert verdict.verdict == expect.verdict, verdict
    if verdict.verdict == SAFE and not (name == "anon-vma-degree" and expect.parameters):
        assert set(registry().scenarios()[name].window) <= verdict.reached
    if verdict.verdict == BUG:
        assert verdict.invariant in verdict.exploration.program.build(verdict.exploration.setup()).invariants


@pytest.mark.parametrize("name", FEED)
def test_scenarios_that_flush_nothing_have_one_verdict_everywhere(name: str) -> None:
    assert not registry().scenarios()[name].flushes
    if name == "madv-free-dio":
        settings: tuple[str, ...] = ("memory_model=weak", "scenario.pte_clear=store")
    else:
        settings = ()
    # Of the sizes of hugetlb pages one is not everywhere.
    parameters = {"size": "hugetlb-pmd"} if name == "device-exclusive-hugetlb" else {}
    found = {arch: _verdict(name, *settings, arch=arch, **parameters) for arch in ("x86", "arm64", "powerpc")}
    sizes = {(v.verdict, v.states, v.depth) for v in found.values() if v.verdict != "not-applicable"}
    assert len(sizes) == 1, found


@pytest.mark.parametrize("name", [name for name in FEED if name not in HISTORIES])
def test_each_lock_and_fence_is_needed_in_a_cell_or_has_a_reason_not_to_be(name: str) -> None:
    known: set[str] = set()
    needed: set[str] = set()
    for expect in registry().scenarios()[name].expected:
        if expect.verdict != SAFE:
            continue
        case = case_of(name, expect)
        problem = case.program.build(case.setup())
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


@pytest.mark.parametrize(
    ("name", "expect"), [cell for cell in EXPECTED if cell[0] not in HISTORIES[:2]], ids=str
)
def test_reductions_change_no_verdict(name: str, expect: Expect) -> None:
    case = case_of(name, expect)
    whole = explore_case(case)
    for fuse, dead, symmetry in product((False, True), repeat=3):
        found = explore_case(case, reductions=Reductions(fuse=fuse, dead=dead, symmetry=symmetry))
        assert found.verdict == whole.verdict
        assert found.states >= whole.states or whole.verdict == BUG


def _orderings(scenario: Scenario) -> list[str]:
    return [p.name for p in scenario.switches if isinstance(p.default, bool)]


@pytest.mark.parametrize("name", FEED)
def test_an_ordering_that_is_added_breaks_nothing(name: str) -> None:
    scenario = registry().scenarios()[name]
    switches = _orderings(scenario)
    memories = (("sc", "x86"), ("tso", "x86"), ("weak", "arm64"))
    for memory, arch in memories[:1] if name in HISTORIES else memories:
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


@pytest.mark.parametrize("name", [name for name in FEED if name not in HISTORIES])
def test_a_weaker_memory_model_hides_no_bug(name: str) -> None:
    for expect in registry().scenarios()[name].expected:
        if expect.verdict == "not-applicable":
            continue
        settings = tuple(s for s in expect.settings if not s.startswith("memory_model"))
        found = [
            explore_case(
                case_of(name, attrs.evolve(expect, settings=(*settings, f"memory_model={memory}")))
            ).verdict
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
    code = case.program.build(case.setup()).machine.code
    steps = code.steps.reshape(-1, 5)
    first = next(pc for pc in range(len(steps)) if "look the page up" in code.notes[pc].text)
    place = next(pc for pc in range(first, len(steps)) if int(steps[pc][0]) == o.REACHED)
    assert int(steps[place][1]) == 0  # hit
    assert not any(int(steps[pc][0]) in (o.LOCK_READ, o.LOCK_WRITE) for pc in range(first, place))


def test_without_the_fix_the_range_may_also_read_what_another_file_wrote() -> None:
    case = case_of("hole-punch-fill", Expect("", settings=("scenario.fix=false",)))
    problem = case.program.build(case.setup())
    steps = problem.machine.code.steps.copy().reshape(-1, 5)
    (stale,) = (pc for pc, step in enumerate(steps) if int(step[0]) == o.FAIL and int(step[1]) == 1)
    steps[stale] = (o.PARK, 1, 0, 0, 0)
    code = attrs.evolve(problem.machine.code, steps=steps.reshape(-1))
    outcome = Explorer(attrs.evolve(problem, machine=attrs.evolve(problem.machine, code=code))).search()
    assert (outcome.verdict, outcome.invariant) == (BUG, "other-file")


# --- compound-head


@pytest.mark.parametrize(("fix", "loads"), [("false", 2), ("true", 1)])
def test_the_newer_form_looks_the_head_up_once_less(fix: str, loads: int) -> None:
    case = case_of("compound-head", Expect("", settings=(f"scenario.fix={fix}",)))
    code = case.program.build(case.setup()).machine.code
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


# --- histories


def _edited(name: str, edits: dict[int, tuple[int, ...]], expect: Expect) -> Outcome:
    """Explore a scenario with some of its steps replaced."""
    case = case_of(name, expect)
    problem = case.program.build(case.setup())
    steps = problem.machine.code.steps.copy().reshape(-1, 5)
    for pc, step in edits.items():
        steps[pc] = step
    code = attrs.evolve(problem.machine.code, steps=steps.reshape(-1))
    return Explorer(attrs.evolve(problem, machine=attrs.evolve(problem.machine, code=code))).search()


def _notes(name: str, expect: Expect) -> tuple[StepNote, ...]:
    case = case_of(name, expect)
    return case.program.build(case.setup()).machine.code.notes


def _steps_that_say(name: str, text: str) -> list[int]:
    found = [pc for pc, note in enumerate(_notes(name, Expect(""))) if text in note.text]
    assert found
    return found


@pytest.mark.parametrize("name", HISTORIES[:2])
def test_operations_that_come_between_each_other_break_the_rules_without_the_lock(name: str) -> None:
    case = case_of(name, Expect(""))
    problem = case.program.build(case.setup())
    (lock,) = primitives(problem)
    assert Soak(walks=100).walk(Explorer(without(problem, lock))).verdict == BUG


@pytest.mark.parametrize("fix", ["true", "false"])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [("anon-vma-degree", {"operations": 3}), ("thp-munlock", {}), ("thp-munlock", {"reclaim": True})],
)
def test_histories_have_one_verdict_with_and_without_each_reduction(
    name: str, parameters: dict[str, object], fix: str
) -> None:
    case = case_of(name, Expect("", settings=(f"scenario.fix={fix}",), parameters=parameters))
    whole = explore_case(case)
    for fuse, dead, symmetry in product((False, True), repeat=3):
        found = explore_case(case, reductions=Reductions(fuse=fuse, dead=dead, symmetry=symmetry))
        assert (found.verdict, found.invariant) == (whole.verdict, whole.invariant)
        assert found.states >= whole.states or whole.verdict == BUG
        assert not fuse or found.depth == whole.depth


def test_records_in_any_rows_lead_to_the_same_bug_and_to_more_states() -> None:
    case = case_of("anon-vma-degree", Expect("", settings=("scenario.fix=false",)))
    in_order, anyhow = explore_case(case), explore_case(case, reductions=Reductions(symmetry=False))
    assert (in_order.verdict, in_order.invariant, in_order.depth) == (BUG, "I1", 5)
    assert (anyhow.verdict, anyhow.invariant, anyhow.depth) == (BUG, "I1", 5)
    assert anyhow.states > in_order.states


# --- anon-vma-degree


@pytest.mark.parametrize(("check", "operations"), [("I1", 5), ("I2", 8)])
def test_before_the_fix_anon_vmas_go_wrong_in_as_many_operations(check: str, operations: int) -> None:
    verdict = _verdict("anon-vma-degree", "scenario.fix=false", check=check, operations=8)
    assert (verdict.verdict, verdict.invariant, verdict.depth) == (BUG, check, operations)


def test_before_the_fix_an_anon_vma_is_used_twice_after_four_forks_and_an_exit() -> None:
    case = case_of("anon-vma-degree", Expect("", settings=("scenario.fix=false",)))
    story = explore_case(case, stories=True).story
    assert story is not None
    assert [line.lane for line in story.lines] == [
        "fork process 1", "fork process 2", "exit of process 2", "fork process 3", "fork process 2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("num_active_vmas of anon_vma", BUG),
        # It bounds how far trees grow; that nobody uses what is reused is what keeps the rules.
        ("num_children of anon_vma", SAFE),
    ],
)
def test_of_the_two_conditions_of_reuse_the_rules_rest_on_one(text: str, verdict: str) -> None:
    passes = dict.fromkeys(_steps_that_say("anon-vma-degree", text), (o.SET, o.SCRATCH, 0, 0, 0))
    assert _edited("anon-vma-degree", passes, Expect("", parameters={"operations": 6})).verdict == verdict


@pytest.mark.parametrize(
    "text",
    [
        "one more VMA uses it",
        "one VMA less uses its anon_vma",
        "its parent has one child less",
        "the VMA's chain",
    ],
)
def test_accounts_that_one_operation_forgets_are_found(text: str) -> None:
    forgets = dict.fromkeys(_steps_that_say("anon-vma-degree", text), (o.WORK, 0, 0, 0, 0))
    assert _edited("anon-vma-degree", forgets, Expect("", parameters={"operations": 6})).verdict == BUG


# --- thp-munlock


@pytest.mark.parametrize(
    ("text", "invariant"),
    [
        ("NR_MLOCK counts the page", "balance"),
        ("NR_MLOCK counts it no more", "balance"),
        ("ClearPageMlocked", None),
    ],
)
def test_mlock_accounts_that_one_operation_forgets_are_found(text: str, invariant: str | None) -> None:
    forgets = dict.fromkeys(_steps_that_say("thp-munlock", text), (o.WORK, 0, 0, 0, 0))
    outcome = _edited("thp-munlock", forgets, Expect(""))
    assert outcome.verdict == BUG
    assert invariant in (None, outcome.invariant)


def test_before_the_fix_a_munlock_marks_a_page_for_ptes_after_migration() -> None:
    case = case_of("thp-munlock", Expect("", settings=("scenario.fix=false",)))
    verdict = explore_case(case, stories=True)
    assert verdict.story is not None
    lanes = [line.lane for line in verdict.story.lines]
    assert lanes[-1].startswith("munlock")
    assert "migration" in lanes
    said = [change for atom in verdict.story.lines[-1].atoms for change in atom.changed]
    assert said.index("reads by PTEs") < said.index("NR_MLOCK: 0 → 1")


def test_without_migration_nobody_loses_the_double_map_flag() -> None:
    """Not even before the fix: the walk then never meets PTEs that it was not told of."""
    before = Expect("", settings=("scenario.fix=false",))
    notes = _notes("thp-munlock", before)
    (start,) = (
        pc for pc, note in enumerate(notes) if (note.function, note.text[:4]) == ("migrate_pages", "take")
    )
    outcome = _edited("thp-munlock", {start: (o.PARK, 1, 0, 0, 0)}, before)
    assert outcome.verdict == SAFE
    assert "walked-past-locked-ptes" not in outcome.reached


# --- device-exclusive-hugetlb


@pytest.mark.parametrize(
    ("owner", "size", "reached", "invariant"),
    [
        ("anon", "base", "accepted", None),
        ("anon", "thp", "accepted", None),
        ("anon", "hugetlb-contiguous", "hugetlb", "contiguous"),
        ("anon", "hugetlb-pmd", "hugetlb", "format"),
        ("file", "base", "not-anonymous", None),
        ("file", "thp", "not-anonymous", None),
        ("file", "hugetlb-contiguous", "not-anonymous", None),
        ("file", "hugetlb-pmd", "not-anonymous", None),
    ],
)
def test_each_row_of_the_table_is_accepted_or_refused(
    owner: str, size: str, reached: str, invariant: str | None
) -> None:
    for arch in ("x86", "arm64", "powerpc"):
        after, before = (
            _verdict("device-exclusive-hugetlb", f"scenario.fix={fix}", arch=arch, owner=owner, size=size)
            for fix in ("true", "false")
        )
        if size == "hugetlb-contiguous" and arch != "arm64":
            assert after.verdict == before.verdict == "not-applicable"
            continue
        assert (after.verdict, after.reached) == (SAFE, {reached})
        assert before.invariant == invariant


@pytest.mark.parametrize("broken", ["contiguous", "format", "mapcount", "refused"])
def test_each_rule_alone_finds_what_the_check_keeps_away(broken: str) -> None:
    """The other rules look away: their FAIL steps do nothing."""
    size = "hugetlb-contiguous" if broken == "contiguous" else "hugetlb-pmd"
    expect = Expect("", arch="arm64", settings=("scenario.fix=false",), parameters={"size": size})
    case = case_of("device-exclusive-hugetlb", expect)
    problem = case.program.build(case.setup())
    wanted = problem.invariants.index(broken)
    steps = problem.machine.code.steps.reshape(-1, 5)
    others = {
        pc: (o.WORK, 0, 0, 0, 0) for pc, (op, a, *_) in enumerate(steps) if op == o.FAIL and a != wanted
    }
    outcome = _edited("device-exclusive-hugetlb", others, expect)
    assert (outcome.verdict, outcome.invariant) == (BUG, broken)


def test_the_table_reaches_each_of_its_answers() -> None:
    assert _verdict("device-exclusive-hugetlb").reached == {"accepted", "hugetlb", "not-anonymous"}
    told = _verdict("device-exclusive-hugetlb", "scenario.caller_refuses=true")
    assert told.reached == {"accepted", "refused-by-caller", "not-anonymous"}
