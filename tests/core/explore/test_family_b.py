"""Races on single page-table entries have the verdicts that are expected, for the reasons that are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
import numpy as np
import pytest
from tests.core.explore.expected import case_of, explored

from shootdown._explore.engine import Explorer
from shootdown._explore.mutate import Primitive, primitives, without
from shootdown._explore.outcome import Reductions
from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._questions.case import Case
from shootdown._questions.explore import explorations, explore_case, scenario_named
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.verdict import BUG, SAFE

NAMES = (
    "cow-stale-writable",
    "delayed-rmap",
    "dirty-bit-lost",
    "break-before-make",
    "contpte-partial",
    "hash-pte-reuse",
)
CELLS = [(name, cell) for name in NAMES for cell in scenario_named(name).expected]
IDS = [f"{name}-{cell.arch}-{cell.platform}-{cell.kernel}-{','.join(cell.settings)}" for name, cell in CELLS]


def _case(name: str, cell: Expect, *settings: str) -> Case[Scenario]:
    return case_of(name, attrs.evolve(cell, settings=(*cell.settings, *settings)))


def _problem(name: str, cell: Expect) -> Problem:
    case = _case(name, cell)
    return case.program.build(case.setup())


@pytest.mark.parametrize(("name", "cell"), CELLS, ids=IDS)
def test_the_verdict_is_the_expected_one_and_a_safe_one_has_seen_the_window(name: str, cell: Expect) -> None:
    verdict = explored(name, cell)
    assert verdict.verdict == cell.verdict, verdict
    if cell.verdict == SAFE:
        assert set(scenario_named(name).window) <= verdict.reached
    if cell.verdict == "not-applicable":
        assert verdict.reason


@pytest.mark.parametrize("name", NAMES)
def test_the_window_is_one_that_some_bug_of_the_scenario_goes_through(name: str) -> None:
    """A place that no run reaches would make every safe verdict fail; one that means nothing is no window."""
    scenario = scenario_named(name)
    assert scenario.window
    assert any(cell.verdict == BUG for cell in scenario.expected)
    assert any(cell.verdict == SAFE for cell in scenario.expected)


def _all_platforms(arch: str) -> list[Case[Scenario]]:
    return [
        case
        for name in NAMES
        for switch in scenario_named(name).switches
        for value in switch.choices or ("true", "false")
        if value != "auto"
        for case in explorations(
            name, arch=[arch], platforms=PLATFORMS[arch], kernels=["5.10", "6.6", "7.0"],
            settings=[f"scenario.{switch.name}={value}"],
        )
    ]  # fmt: skip


PLATFORMS = {
    "x86": ["intel-server", "amd-server", "kvm-guest", "hyper-v-guest", "xen-pv-guest"],
    "arm64": ["neoverse-v2", "neoverse-n1", "emag"],
    "powerpc": ["power9", "power9-guest", "power10-lpar", "power8"],
}


@pytest.mark.parametrize("arch", PLATFORMS)
def test_on_every_platform_and_kernel_the_fix_is_what_makes_it_safe(arch: str) -> None:
    for case in _all_platforms(arch):
        verdict = explore_case(case)
        fixed = all(value in (True, "true", "xchg") for value in case.switches.values())
        hashed = case.setup().lowering.no_hash_table() is None
        if verdict.verdict == "not-applicable":
            assert case.program.refuse(case.setup()) == verdict.reason
        elif fixed or (case.program.name == "cow-stale-writable" and hashed):
            assert verdict.verdict == SAFE, verdict
        else:
            assert verdict.verdict == BUG, verdict


# --- nothing in a fix is there for nothing


def _under(name: str, function: str) -> Callable[[Problem], Primitive]:
    """Everything that a kernel function does."""

    def find(problem: Problem) -> Primitive:
        notes = problem.machine.code.notes
        return Primitive(name, tuple(pc for pc, note in enumerate(notes) if function in note.path))

    return find


def _step(name: str, text: str) -> Callable[[Problem], Primitive]:
    """The steps with this text."""

    def find(problem: Problem) -> Primitive:
        notes = problem.machine.code.notes
        return Primitive(name, tuple(pc for pc, note in enumerate(notes) if note.text.startswith(text)))

    return find


#: Primitives beyond locks, fences and waits: flushes as a whole, and what makes an entry invalid.
MORE = {
    "cow-stale-writable": (_under("all page flushes", "flush_tlb_page"),),
    "delayed-rmap": (
        _under("the flush inside the lock", "tlb_flush_mmu_tlbonly"),
        _under("cleaning the entry", "page_vma_mkclean_one"),
    ),
    "dirty-bit-lost": (_under("the flush", "flush_tlb_page"), _step("keeping the dirty bit", "folio_mark_dirty")),
    "break-before-make": (
        _step("the invalid entry", "break:"),
        _under("the flush", "flush_pmd_tlb_range"),
    ),
    "contpte-partial": (
        _under("unfolding", "contpte_convert"),
        _under("the flush while unfolding", "__flush_tlb_range"),
        _under("the flush of the unmapping", "tlb_finish_mmu"),
    ),
    "hash-pte-reuse": (
        _under("flushing the batch", "__flush_tlb_pending"),
        _under("invalidating the HPTE", "native_flush_hash_range"),
    ),
}  # fmt: skip

#: Primitives of which no cell needs one, and why.
REDUNDANT = {
    "cow-stale-writable": {
        "mmap_lock": "both sides take it for reading, which is why the race exists",
        "reading the entry again": "nobody else maps another page here",
    },
    "delayed-rmap": {
        "mmap_lock": "writeback does not take it",
        "the folio lock": "nothing else here takes the file's page",
    },
    "dirty-bit-lost": {"page-table lock": "one task alone changes the entry, and walkers take no lock"},
    "break-before-make": {
        "mmap_lock": "one task alone changes the entry, and walkers take no lock",
        "page-table lock": "one task alone changes the entry, and walkers take no lock",
    },
    "contpte-partial": {
        "mmap_lock": "one task alone changes entries, and walkers take no lock",
        "page-table lock": "one task alone changes entries, and walkers take no lock",
    },
    "hash-pte-reuse": {"mmap_lock": "both sides take it for reading"},
}


def _checks(problem: Problem) -> Iterator[tuple[str, Problem]]:
    """Leave each check of an entry's busy bit, or of its second value, out: as if it had always come out well."""
    code = problem.machine.code
    steps = code.steps.reshape(-1, 5)
    for pc, (op, _, b, c, _) in enumerate(steps):
        busy = op == o.JUMP_NO_BITS and b == 1 << 2 and code.notes[pc].function == "hash__pte_update"
        if busy or op == o.JUMP_SAME:
            changed = steps.copy()
            changed[pc] = (o.JUMP, c, 0, 0, 0)
            mutant = attrs.evolve(code, steps=np.ascontiguousarray(changed.reshape(-1)))
            name = "waiting while the entry is busy" if busy else "reading the entry again"
            yield name, attrs.evolve(problem, machine=attrs.evolve(problem.machine, code=mutant))


@pytest.mark.parametrize("name", NAMES)
def test_each_primitive_is_needed_in_a_cell_or_has_a_reason_not_to_be(name: str) -> None:
    needed: set[str] = set()
    known: set[str] = set()
    for cell in scenario_named(name).expected:
        if cell.verdict != SAFE or "kvm" in cell.platform:
            continue
        problem = _problem(name, cell)
        taken = Explorer(problem)
        assert taken.search().verdict == SAFE, cell
        mutants = [(p.name, without(problem, p)) for p in primitives(problem) if set(p.steps) & taken.taken]
        for find in MORE[name]:
            primitive = find(problem)
            if primitive.steps:
                mutants.append((primitive.name, without(problem, primitive)))
        for what, mutant in [*mutants, *_checks(problem)]:
            known.add(what)
            if what not in needed and Explorer(mutant).search().verdict == BUG:
                needed.add(what)
    assert known - needed == set(REDUNDANT[name])
    assert {find(problem).name for find in MORE[name]} <= known


# --- more order is never worse, and what makes the search smaller changes nothing

ORDERS = ("sc", "tso", "weak")


@pytest.mark.parametrize("name", NAMES)
def test_a_weaker_memory_model_never_turns_a_bug_into_safe(name: str) -> None:
    for cell in _few(name):
        found = [explore_case(_case(name, cell, f"memory_model={order}")).verdict for order in ORDERS]
        assert found == sorted(found, key=[SAFE, BUG].index), cell


@pytest.mark.parametrize("name", NAMES)
def test_reductions_change_no_verdict(name: str) -> None:
    for cell in _few(name):
        whole = explore_case(_case(name, cell))
        for reductions in (
            Reductions(fuse=False),
            Reductions(dead=False),
            Reductions(symmetry=False),
            Reductions(fuse=False, dead=False, symmetry=False, arrive=False),
        ):
            found = explore_case(_case(name, cell), reductions=reductions)
            assert (found.verdict, found.invariant) == (whole.verdict, whole.invariant)
            assert found.states >= whole.states or found.verdict == BUG


def _few(name: str) -> list[Expect]:
    return [
        cell
        for cell in scenario_named(name).expected
        if cell.verdict != "not-applicable"
        and not any(text.startswith("memory_model") for text in cell.settings)
        and not ("kvm" in cell.platform and name == "cow-stale-writable")
    ]
