"""Programs on a memory of atoms: reading ahead changes no verdict, and a flush of the wrong range is found."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest

from shootdown._explore.engine import Explorer
from shootdown._explore.outcome import Outcome, Reductions
from shootdown._explore.problem import Problem
from shootdown._explore.telling import tell
from shootdown._machine import ops as o
from shootdown._mm.call_parts import SCRATCH
from shootdown._mm.gup import Gup
from shootdown._mm.model import Model
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import INVARIANTS
from shootdown._questions.explore import explorations
from shootdown._scenarios.pte import maps
from shootdown._values.setup import Setup
from shootdown._values.verdict import BUG, SAFE

STEP_BY_STEP = Reductions(eager=False)
WHERE = (("x86", ""), ("x86", "amd-server"), ("arm64", ""), ("powerpc", ""))

#: Writes one call: on the file's page at the old address, at the new one, or on a private page beside it.
Call = Callable[[Ordinary, int, int, int, int], None]
CALLS: dict[str, Call] = {
    "madvise": lambda calls, old, new, beside, page: calls.madvise([beside]),
    "madvise, without the nested check": lambda calls, old, new, beside, page: calls.madvise(
        [beside], nested=False
    ),
    "mremap": lambda calls, old, new, beside, page: calls.mremap(old, new),
    "mremap, flushing late": lambda calls, old, new, beside, page: calls.mremap(
        old, new, flushes_locked=False
    ),
    "truncate": lambda calls, old, new, beside, page: calls.truncate([old, new], page),
    "mprotect": lambda calls, old, new, beside, page: calls.mprotect([old, beside]),
    "munmap": lambda calls, old, new, beside, page: calls.munmap([old, beside], tables=[0]),
    "GUP-fast": lambda calls, old, new, beside, page: Gup(calls).gup_fast(beside),
}


def setup_on(arch: str, platform: str = "", *settings: str) -> Setup:
    """Return what a scenario's build gets on 7.0."""
    (case,) = explorations(
        "nested-flush",
        arch=[arch],
        platforms=[platform] if platform else [],
        kernels=["7.0"],
        settings=settings,
    )
    return case.setup()


def program(scene: Setup, *names: str, writer: type[Ordinary] = Ordinary) -> Problem:
    """Return a program whose threads make a call each, while another thread is in user mode."""
    geometry = scene.lowering.geometry
    pages = 1 << (geometry.pmd_shift - geometry.page_shift)
    model = Model(scene.kernel, scene.lowering, cpus=len(names) + 1, mms=1, slots=2, slot_pages=pages)
    page, private = model.frame(2, "the file's page"), model.frame(1, "a private page")
    old, beside = model.atom(0, 1, "old"), model.atom(1, 2, "beside")
    new = model.atom(pages, pages + 1, "new")
    model.maps(old, maps(page, dirty=True))
    model.maps(beside, maps(private, dirty=True))
    calls = writer(model, scene.pte_clear)
    for table in range(2):
        model.populate(0, table)
    for cpu, name in enumerate((*names, None)):
        model.user_mode(cpu)
        model.starts(model.task(mm=0, cpu=cpu, ready=True))
        if name is not None:
            CALLS[name](calls, old, new, beside, page)
        model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=INVARIANTS,
        hypervisor=scene.preempts,
    )


def searched(problem: Problem, reductions: Reductions | None = None) -> Outcome:
    """Search a program."""
    return Explorer(problem, reductions).search()


@pytest.mark.parametrize(("arch", "platform"), WHERE)
@pytest.mark.parametrize("name", CALLS)
def test_reading_ahead_changes_no_verdict_of_one_call(name: str, arch: str, platform: str) -> None:
    problem = program(setup_on(arch, platform), name)
    at_once, step_by_step = searched(problem), searched(problem, STEP_BY_STEP)
    assert at_once.verdict == step_by_step.verdict
    assert at_once.invariant == step_by_step.invariant
    assert at_once.states <= step_by_step.states


#: Pairs of which the search without reading ahead takes many seconds; of the others one in two runs in the short tests.
LONG = [("mremap, flushing late", "truncate"), ("truncate", "mprotect"), ("truncate", "truncate")]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(
            names, id=" + ".join(names), marks=[pytest.mark.long] if number % 2 or names in LONG else []
        )
        for number, names in enumerate(itertools.combinations_with_replacement(CALLS, 2))
    ],
)
def test_reading_ahead_changes_no_verdict_of_two_calls(names: tuple[str, str]) -> None:
    problem = program(setup_on("x86"), *names)
    assert searched(problem).verdict == searched(problem, STEP_BY_STEP).verdict


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (("madvise", "madvise"), SAFE),
        (("madvise, without the nested check", "madvise, without the nested check"), BUG),
        (("mremap", "truncate"), SAFE),
        (("mremap, flushing late", "truncate"), BUG),
        (("mremap", "madvise"), SAFE),
        (("truncate", "truncate"), SAFE),
        (("mprotect", "munmap"), SAFE),
        (("munmap", "GUP-fast"), SAFE),
    ],
    ids=lambda value: value if isinstance(value, str) else " + ".join(value),
)
@pytest.mark.parametrize(("arch", "platform"), WHERE)
def test_every_fix_that_is_off_is_found_and_nothing_is_where_all_are_on(
    names: tuple[str, str], verdict: str, arch: str, platform: str
) -> None:
    assert searched(program(setup_on(arch, platform), *names)).verdict == verdict


@pytest.mark.parametrize(("arch", "verdict"), [("x86", SAFE), ("arm64", BUG)])
def test_without_rcu_table_freeing_gup_fast_relies_on_flushes_that_interrupt(arch: str, verdict: str) -> None:
    scene = setup_on(arch, "", "kernel.rcu_table_free=false")
    assert searched(program(scene, "munmap", "GUP-fast")).verdict == verdict


# --- seeded defects


class FlushesTheNextPage(Ordinary):
    """The range that mremap() flushes begins and ends a page too late."""

    def flush_atoms(self, atoms: Sequence[int]) -> None:
        lo, hi = self._pages_from_to(atoms)
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=lo + 1, hi=hi + 1, text="one page too late")
        self.lowering.flush_range(self.asm, SCRATCH)


class FreesBeforeItFlushes(Ordinary):
    """madvise() frees its pages before the flush."""

    def finish(self, g: int = 0, *, nested: bool = True) -> None:
        self.asm.put_frames(o.INDEX, text="too early")
        self.gathers.finish(g, nested=nested)


class ForgetsAnEntry(Ordinary):
    """zap_pte_range() does not tell the gather of what it clears."""

    def zap_pte_range(self, atoms: list[int], g: int = 0) -> None:  # type: ignore[override]
        with self.table_of(atoms[0]):
            self.asm.occupants(o.SCRATCH2, atoms[0])
            self.take_entry(atoms[0], "ptep_get_and_clear_full")
            self.asm.queue_frames(o.INDEX, o.SCRATCH)


@pytest.mark.parametrize(("arch", "platform"), WHERE)
@pytest.mark.parametrize(
    ("writer", "names"),
    [(FlushesTheNextPage, ("mremap",)), (FreesBeforeItFlushes, ("madvise",)), (ForgetsAnEntry, ("madvise",))],
    ids=["a range off by one", "freed before the flush", "a clear without a flush"],
)
def test_a_seeded_defect_is_found_in_a_program_of_one_call(
    writer: type[Ordinary], names: tuple[str, ...], arch: str, platform: str
) -> None:
    found = searched(program(setup_on(arch, platform), *names, writer=writer))
    assert (found.verdict, found.invariant) == (BUG, "stale-tlb-entry")


def test_a_story_of_reads_one_by_one_names_what_each_walker_reads() -> None:
    problem = program(setup_on("x86"), "mremap", writer=FlushesTheNextPage)
    explorer = Explorer(problem, STEP_BY_STEP)
    said = [line.atoms[0].text for line in tell(explorer, explorer.search()).lines]
    assert "the walker caches the link to the table" in said
    assert "the walker caches the translation of old" in said


@pytest.mark.parametrize("reductions", [None, STEP_BY_STEP], ids=["at once", "step by step"])
def test_a_page_that_is_mapped_again_after_it_was_freed_is_found(reductions: Reductions | None) -> None:
    scene = setup_on("x86")
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1, slots=1)
    page = model.frame(1, "the page")
    old, new = model.atom(0, 1, "old"), model.atom(1, 2, "new")
    model.maps(old, maps(page, dirty=True))
    model.populate(0)
    asm = model.asm
    for cpu in range(2):
        model.starts(model.task(mm=0, cpu=cpu, ready=True))
        if cpu == 0:
            asm.set(o.SLOT, 0)
            asm.set(o.CLASS, 1)
            asm.entry_xchg(old, 0, o.SCRATCH)
            asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=0, hi=1)
            scene.lowering.flush_range(asm, SCRATCH)
            asm.put_frames(o.SCRATCH)
            asm.entry_store(new, o.SCRATCH, from_register=True)
        else:
            model.user_mode(cpu)
        model.spin()
    outcome = searched(
        Problem(machine=model.build(bits=16, memory=scene.memory), invariants=INVARIANTS), reductions
    )
    assert (outcome.verdict, outcome.invariant) == (BUG, "stale-tlb-entry")
