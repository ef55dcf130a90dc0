"""Section 6: CPUs that come and go while somebody flushes: idle ones, moved threads, other mms, ASIDs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shootdown._compliance import capabilities
from shootdown._compliance.casts import CASTS, SCENES, moved, sleeper, stranger, threads
from shootdown._compliance.coverage import places
from shootdown._compliance.expecting import Expectations
from shootdown._compliance.lowered import Flush, apart, flushes, machines, what_matters, without_pace
from shootdown._compliance.stage import BUDGET, MM, OTHER, Stage, StuckError
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject
from shootdown._machine import ops as o
from shootdown._machine.steps.table import steps_that
from shootdown._machine.switching import load_mm, switch_to
from shootdown._tlb.geometry import TlbGeometry

#: Steps before which it matters what CPUs do: they begin the flush, look at CPUs, or reach them.
_MOMENTS = (
    steps_that(lambda row: bool(row.targets))
    | steps_that(lambda row: row.name.startswith("TARGET_"))
    | {o.FLUSH_BEGIN, o.SEND, o.WAIT, o.FLUSH_SELF, o.FLUSH_LOCAL_PAGES, o.JUMP_NOT_LOADED, o.JUMP_NOT_MASKED}
    | {o.JUMP_NOT_ALONE, o.LEAVE_MASK}
) - {o.CANCEL}


def _goes_idle(stage: Stage, cpu: int) -> None:
    switch_to(stage.state, stage.layout, cpu, -1)


def _goes_away(stage: Stage, cpu: int) -> None:
    load_mm(stage.state, stage.layout, cpu, OTHER + 1)


def _comes(stage: Stage, cpu: int) -> None:
    stage.comes_back(cpu)


def _goes_and_comes(stage: Stage, cpu: int) -> None:
    _goes_away(stage, cpu)
    _comes(stage, cpu)


#: What a CPU does meanwhile, in words, by scene: the CPU and the function. While the only task of an mm flushes, no CPU
#: can begin to run the mm: that takes a second task, and then mm_users is 2.
_EVENTS: dict[Callable[[Stage], None], tuple[tuple[str, int, Callable[[Stage, int], None]], ...]] = {
    threads: (
        ("the idle CPU runs the mm again", 2, _comes),
        ("the CPU that had switched to another mm runs this one again", 3, _comes),
        ("a thread moves to a CPU that never ran the mm", 5, _comes),
        ("a CPU that ran the mm idles", 1, _goes_idle),
        ("a CPU that ran the mm switches to another one", 1, _goes_away),
        ("a CPU switches to another mm and back", 1, _goes_and_comes),
    ),
    moved: (("the idle CPU runs another process", 2, _goes_away),),
    sleeper: (
        ("the other thread wakes on the idle CPU", 2, _comes),
        ("the other thread wakes on the CPU that had switched to another mm", 3, _comes),
    ),
    stranger: (
        ("the idle CPU runs the mm again", 2, _comes),
        ("the CPU that had switched to another mm runs this one again", 3, _comes),
        ("a CPU that ran the mm switches to another one", 1, _goes_away),
    ),
}


def _apart(subject: Subject) -> list[Flush]:
    """Return flushes that differ in what they do about CPUs, whatever the range: of kinds with equal steps one."""

    def key(flush: Flush) -> object:
        request, steps = flush.request, without_pace(flush)
        about = (
            request.leaves,
            request.everything,
            request.others,
            request.flags,
            what_matters(flush.lowering),
        )
        return about, flush.preempts, steps[: flush.at], steps[flush.at + 1 :]

    return apart(flushes(subject), key)


def _asked(flush: Flush, stage: Stage) -> bool:
    """Begin a flush of one entry; False where there is nothing to look at, or where sections 4 and 5 find it wrong."""
    request = flush.request
    if not request.leaves or (request.others and not stage.others()):
        return False
    lo, hi = stage.range_of(1)
    stage.begin(lo, hi, places(lo, hi, request.pages(flush.lowering), everything=flush.everything), set())
    start = list(stage.state)
    try:
        stage.run()
    except StuckError:
        return False
    found = stage.left()
    stage.state[:] = start
    return not found


def _who_comes_back_has_nothing(subject: Subject) -> Iterator[Said]:
    expected = Expectations(subject, "6.1")
    count = 0
    for flush in _apart(subject):
        for cast in CASTS:
            stage = Stage(flush, cast)
            if not _asked(flush, stage):
                continue
            for times in (1, 2):
                if times == 2 and (flush.request.everything or flush.ranged):
                    break  # nothing lies behind everything; a lowering that clears has the range in its own steps
                try:
                    stage.run()
                except StuckError:
                    break  # 4.4 says so
                count += 1
                kept = list(stage.state)
                stage.all_come_back()
                for left in stage.left():
                    yield from expected.found(
                        flush,
                        f"{SCENES[cast]}: {stage.names[left.cpu]} runs the mm again after "
                        f"{'the flush' if times == 1 else 'two flushes'} and keeps {left.what} that was to go",
                    )
                stage.goes_on(kept)
    yield from expected.missing()
    yield Tried(count, "flushes after which every CPU runs the mm again")


def _who_comes_meanwhile_has_nothing(subject: Subject) -> Iterator[Said]:
    expected = Expectations(subject, "6.2")
    count = 0
    for flush in _apart(subject):
        for cast, events in _EVENTS.items():
            stage = Stage(flush, cast)
            if not _asked(flush, stage):
                continue
            for state, step in _moments(stage):
                for words, cpu, happens in events:
                    stage.state[:] = state
                    happens(stage, cpu)
                    count += 1
                    try:
                        stage.run()
                    except StuckError as why:
                        yield from expected.found(flush, f"{SCENES[cast]}: if {words} before {step}: {why}")
                        continue
                    left = stage.left()
                    if not left:
                        stage.all_come_back()
                        left = stage.left()
                    for one in left:
                        yield from expected.found(
                            flush,
                            f"{SCENES[cast]}: if {words} before {step}, {stage.names[one.cpu]} keeps {one.what} that "
                            "was to go",
                        )
    yield from expected.missing()
    yield Tried(count, "flushes during which a CPU comes or goes")


def _moments(stage: Stage) -> list[tuple[list[int], str]]:
    """Return the states before each step that looks at CPUs, with the step's name."""
    found = []
    for _ in range(BUDGET):
        pc = stage.pc
        op = stage.program[pc * 5]
        if op in _MOMENTS or op == o.HALT:
            found.append((list(stage.state), stage.named(pc)))
        if op == o.HALT:
            break
        stage.run(until=1)
    return found


def _an_asid_used_again_has_nothing(subject: Subject) -> Iterator[Said]:
    expected = Expectations(subject, "6.3")
    count = 0
    for flush in _apart(subject):
        stage = Stage(flush, threads)
        if not _asked(flush, stage):
            continue
        start = list(stage.state)
        for before in (True, False):
            stage.state[:] = start
            try:
                if not before:
                    stage.run()
                for mm in range(stage.layout.mms):  # more than a CPU has ASIDs
                    if mm != MM:
                        load_mm(stage.state, stage.layout, 3, mm + 1)
                if before:
                    stage.run()
            except StuckError:
                break  # 4.4 says so
            stage.comes_back(3)
            count += 1
            for left in stage.left():
                if left.cpu == 3:
                    when = "before" if before else "after"
                    happens = f"a CPU gives its ASIDs to other mms {when} the flush and runs this one again"
                    yield from expected.found(flush, f"{happens}: it keeps {left.what} that was to go")
    yield from expected.missing()
    yield Tried(count, "flushes with a CPU that used up its ASIDs")


def _rules_agree(subject: Subject) -> Iterator[Said]:
    count = 0
    seen = set()
    for machine in machines(subject)[0]:
        if not machine.flushes:
            continue
        count += 1
        rules, tlb = machine.lowering.mm, machine.platform.tlb
        for text in _wrong_rules(rules.asids, rules.tagged, tlb):
            if (machine.platform.name, text) not in seen:
                seen.add((machine.platform.name, text))
                yield Finding(f"{subject.plugin}: {machine.where}: {text}")
    yield Tried(count, "rules of context switches")


def _wrong_rules(asids: int, tagged: bool, tlb: object) -> Iterator[str]:
    if tagged != (asids > 1):
        yield f"MmRules has tagged={tagged} and asids={asids}: translations are tagged where there are several ASIDs"
    if isinstance(tlb, TlbGeometry) and tlb.asid_bits and asids > 1 << tlb.asid_bits:
        yield f"its flushes count on {asids} ASIDs, and TlbGeometry.asid_bits is {tlb.asid_bits}"
    if isinstance(tlb, TlbGeometry) and 1 < tlb.asid_bits == asids:
        yield f"it has {asids} ASIDs, which is how many bits they have (TlbGeometry.asid_bits): give 1 << {asids}"


STATEMENTS = (
    Statement(
        "6.1",
        "A CPU that was idle, preempted or away and runs the mm again has nothing that was flushed",
        "CPUs that a flush leaves out catch up later, or never: translations outlive a switch where they have ASIDs.",
        "Where ASIDs keep translations, either CPUs stay in mm_cpumask (`clear_on_switch=False`), or the flush reaches "
        "every CPU, or it is `tracked` and CPUs catch up when they switch.",
        _who_comes_back_has_nothing,
        (capabilities.flushes,),
    ),
    Statement(
        "6.2",
        "Nothing is left whatever moment of the flush a CPU comes, goes, or gets a thread",
        "A CPU that loads the mm between the choice of targets and the flush's beginning is in neither. Only threads "
        "that exist come: while the only task of an mm flushes (mm_users is 1), no CPU begins to run it.",
        "Begin the flush before its targets are chosen, and look at lazy and loaded CPUs after that.",
        _who_comes_meanwhile_has_nothing,
        (capabilities.flushes,),
    ),
    Statement(
        "6.3",
        "An ASID that is used again has no translations of the one before, nor does an mm that gets another one",
        "After a rollover an ASID belongs to another address space.",
        "Look at `MmRules`, and at what the flush does about CPUs that have left the mm.",
        _an_asid_used_again_has_nothing,
        (capabilities.flushes,),
    ),
    Statement(
        "6.4",
        "The number of ASIDs that flushes count on agrees with the TLB",
        "Flushes and `shootdown tlb` would tell of two different machines.",
        "Derive `Lowering.mm` from the platform: `mm_rules(1 << platform.tlb.asid_bits)`.",
        _rules_agree,
        (capabilities.flushes,),
    ),
)
