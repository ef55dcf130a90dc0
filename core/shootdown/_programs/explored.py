"""A program as a scenario: what `explore`, `matrix` and `history --verdict` take."""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._mm import ordinary_parts, shared_tables
from shootdown._programs import hugetlb
from shootdown._programs.areas import collapses, misfit
from shootdown._programs.monitored import misfit_of_monitor
from shootdown._programs.program import PRIVATE, PRIVATE_FILE, Program
from shootdown._programs.reading import Source
from shootdown._programs.small import small
from shootdown._programs.told import told
from shootdown._programs.verbs import VERBS
from shootdown._values.errors import ShootdownError
from shootdown._values.scenario import Scenario
from shootdown._values.setup import Setup
from shootdown._workloads.hugetlb import needs_madvise, needs_mremap

#: The place that shows that something could have gone wrong: a call took what a CPU held a copy of.
ALIVE = "a copy was alive"
_SENTENCES = {
    "walk-cache": "No CPU may walk by a link to a page table that is free, or that belongs to another process.",
    "stale-tlb-entry": "User mode may not use a TLB entry that leads to a page which was freed, or which a call that "
    "has returned took away, nor write by one to a page that was cleaned.",
    "gup-fast": "GUP-fast may not read a page table that is free, nor return a page that it found in one that "
    "belongs to somebody else by then.",
}
_KINDS = (*PRIVATE, "file", "hugetlb")
#: What finds pages by their file.
_BY_FILE = ("truncate", "punch", "migrate", "reclaim", "mkclean")


def scenario_of(source: Source) -> Scenario:
    """Return a program as a scenario with the program's parameters.

    Raises:
        ShootdownError: something in it can't be explored yet; the message names file, line and statement.
    """
    first = source.chosen({})
    check(first)
    hugetlb_memory = any(memory.kind == "hugetlb" for memory in first.memory.values())
    says = told(source, shared_tables.PLACES if hugetlb_memory else ordinary_parts.PLACES)

    def program(scene: Setup) -> Program:
        found = source.chosen_for(scene)
        check(found)
        return found

    def built(scene: Setup) -> Problem:
        return build(program(scene), says.chosen(scene), idle=says.idle, preemption=True)

    def refusal(scene: Setup) -> str | None:
        return _refusal(program(scene), says.chosen(scene))

    return Scenario(
        name=source.name,
        summary=source.summary,
        source=says.source or source.file,
        build=built,
        parameters=source.parameters,
        switches=says.switches,
        refuse=refusal,
        shares_tables=any(memory.kind == "hugetlb" and memory.shared for memory in first.memory.values()),
        window=says.reaches or (ALIVE,),
        sentences=_SENTENCES,
        expected=says.expected,
    )


def check(program: Program) -> None:
    """Refuse what can't be explored yet.

    Raises:
        ShootdownError: it names file, line and statement.
    """
    kinds = {memory.kind: memory for memory in program.memory.values()}
    for kind, memory in kinds.items():
        if kind not in _KINDS:
            raise ShootdownError(f"{memory.at}: {kind} memory is not explored yet: only {', '.join(_KINDS)}")
    for _, _, one in program.statements():
        if not VERBS[one.verb].explored:
            raise one.wrong(f"`{one.verb}` is not explored yet")
        private = one.place is not None and program.memory[one.place.memory].kind == PRIVATE_FILE
        if private and (one.verb in _BY_FILE or one.word == "PAGEOUT"):
            what = "MADV_PAGEOUT" if one.word == "PAGEOUT" else f"`{one.verb}`"
            raise one.wrong(f"{what} of a file that is mapped privately is counted, and not explored yet")


def _refusal(program: Program, scene: Setup) -> str | None:
    """Return why a kernel or platform can't run a program, or None."""
    if any(memory.kind == "thp" for memory in program.memory.values()) and scene.lowering.no_thp():
        return scene.lowering.no_thp()
    reason = misfit(program, scene.kernel.page_size) or hugetlb.misfit(program, scene.lowering, any_size=True)
    for _, _, one in program.statements():
        reason = reason or misfit_of_monitor(one, scene.kernel)
        of_hugetlb = one.place is not None and program.memory[one.place.memory].kind == "hugetlb"
        if of_hugetlb and one.verb == "madvise":
            reason = reason or needs_madvise(scene)
        elif of_hugetlb and one.verb == "mremap":
            reason = reason or needs_mremap(scene)
        elif collapses(one):
            reason = reason or scene.lowering.no_thp()
            if one.verb == "madvise" and not scene.kernel.madv_collapse:
                reason = reason or f"{scene.kernel.release} has no MADV_COLLAPSE"
        elif one.verb == "gup" and not scene.kernel.gup_fast:
            reason = reason or (
                f"{scene.kernel.release} has no GUP-fast on this architecture (CONFIG_HAVE_GUP_FAST): nobody walks so"
            )
    return reason


def build(
    program: Program, scene: Setup, *, idle: bool = True, marks: bool = True, preemption: bool = False
) -> Problem:
    """Return the problem of a program that `check` has passed.

    Args:
        program: it.
        scene: what it is explored on.
        idle: one more CPU idles, unless a thread sleeps.
        marks: places are marked as reached, which takes some states more.
        preemption: tasks that wait for interrupts to be answered may be preempted, where the kernel lets them, unless a
            thread waits for another one.

    Raises:
        ShootdownError: something in it can't be explored yet.
    """
    from shootdown._programs.explored_writer import Writer  # only when a search begins

    return Writer(small(program.in_use()), scene, idle=idle, marks=marks).problem(preemption=preemption)
