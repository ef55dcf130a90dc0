"""The programs that were measured, as machines.

tests/oracle/README.md describes them. Details that only the counts reveal (the CPU that a process was on before it was
pinned, its one dirty page of ordinary shared memory) are explained where they are modelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shootdown._mm.anonymous import Anonymous
from shootdown._mm.khugepaged import OUTCOMES, Attempt, Pass
from shootdown._mm.model import Model
from shootdown._oracle.measured_programs import own_machine
from shootdown._oracle.placement import PARENT_CPU
from shootdown._oracle.program import COPIED, Program, touched
from shootdown._oracle.rows import Row, bounds, merge_outcomes
from shootdown._oracle.shared_hugetlb import shared_hugetlb
from shootdown._values.errors import ShootdownError
from shootdown._values.setup import Setup
from shootdown._workloads.anonymous import OPERATIONS, write_operation
from shootdown._workloads.hugetlb import split_into_vmas, upper_tables
from shootdown._workloads.thp_collapse import planned, write_collapse
from shootdown._workloads.threads import STATES, Threads


def threaded_hugetlb(setting: Setup, row: Row, variant: int) -> Program:
    """Build `hugetlb_threads`: a child with threads on CPUs 1 to T, the calling one on CPU 1, unmaps."""
    del variant
    tables = max(row.integer("N"), 1)
    model = Model(setting.kernel, setting.lowering, cpus=setting.cpus, mms=3, slots=tables)
    mappings = touched(split_into_vmas(tables, 1, 2, model.slot_huge_pages))
    parent = model.task(mm=0, cpu=0, ready=True)
    child = model.task(mm=1, cpu=0)
    threads = Threads(model, mm=1, other_mm=2, cpu=PARENT_CPU, ready=False)
    threads.add(max(row.integer("T") - 1, 0), row.word("threads", STATES))
    threads.write(mappings)
    moved, done = model.event(), model.event()
    model.starts(child)
    model.move(PARENT_CPU % model.cpus)
    for m in mappings:
        model.hugetlb.touch(m)
    model.signal(moved)
    threads.spawn()
    threads.await_all()
    with model.window("munmap", child):
        count, level = upper_tables(model, tables)
        model.calls.munmap(mappings, upper_tables=count, level=level)
    model.signal(done)
    model.sleep()
    model.starts(parent)
    for m in mappings:
        model.hugetlb.touch(m)
    model.calls.fork(child, 1, 0, mappings, populated=True)
    model.wait(moved)
    model.wait(done)
    model.asm.halt()
    return Program(model.build(pages_per_table=2), (("munmap", 0),))


#: What the process of `anonymous` does first (measured: of all cases whose threads had switched away, only this one's
#: flush interrupted their CPUs, and not in each repetition).
FIRST_CASE = ("munmap", "isolated", 1)


def anonymous(setting: Setup, row: Row, variant: int) -> Program:
    """Build `anonymous`: one process on CPU 0 with T threads on other CPUs.

    The process does its cases one after another, each several times. An earlier one that freed tables has trimmed
    mm_cpumask already; in variant 1 a repetition of the first case itself.
    """
    model = Model(setting.kernel, setting.lowering, cpus=setting.cpus, mms=2)
    geometry = model.lowering.geometry
    calls = Anonymous(model.calls, 1 << (geometry.pmd_shift - geometry.page_shift))
    op = row.word("op", OPERATIONS)
    kind = row.word("kind", ("embedded", "isolated", "thp"))
    pages = row.integer("pages")
    state = row.word("threads", STATES)
    main = model.task(mm=0, cpu=0, ready=True)
    threads = Threads(model, mm=0, other_mm=1, cpu=0, ready=False)
    threads.add(row.integer("T"), state)
    threads.write(())
    model.starts(main)
    calls.touch(pages, huge=kind == "thp")
    if op == "mprotect_rw":
        write_operation(calls, "mprotect_ro", kind, pages)
    threads.spawn()
    threads.await_all()
    if state == "switched" and (variant == 1 or (op, kind, pages) != FIRST_CASE):
        write_operation(calls, "munmap", "isolated", 1)
    with model.window(op, main):
        write_operation(calls, op, kind, pages)
    model.asm.halt()
    return Program(model.build(), ((op, 0),))


def fork_storm(setting: Setup, row: Row, variant: int) -> Program:
    """Build `fork_storm`: M children, `conc` at a time: fork, touch all N tables, exit. With `map` 0 nothing is mapped.

    In variant 1 the parent runs on its CPU after a child has left that CPU and before the child exits.
    """
    forks, together = row.integer("M"), max(row.integer("conc", 1), 1)
    tables = max(row.integer("N"), 1)
    model = Model(setting.kernel, setting.lowering, cpus=setting.cpus, mms=forks + 2, slots=tables)
    mappings = touched(split_into_vmas(tables, 1, 2, model.slot_huge_pages)) if row.integer("map", 1) else ()
    parent = model.task(mm=0, cpu=0, ready=True)
    init = model.task(mm=forks + 1, cpu=0)
    kids = [model.task(mm=1 + j, cpu=PARENT_CPU % model.cpus) for j in range(forks)]
    moved, gone = model.event(), model.event()
    for j, kid in enumerate(kids):
        model.starts(kid)
        model.move((PARENT_CPU + 1 + j) % model.cpus)
        model.signal(moved)
        for m in mappings:
            model.hugetlb.touch(m)
        model.calls.exit(mappings)
        model.signal(gone)
        model.asm.halt()
        model.asm.expect(model.asm.here // (j + 1) * forks)
    model.starts(init)
    model.sleep()
    model.starts(parent)
    model.move(PARENT_CPU % model.cpus)
    model.asm.spawn(init, text="the process that waits for it runs there")
    model.calls.copy_on_write(COPIED)
    for m in mappings:
        model.hugetlb.touch(m)
    with model.window("fork_storm", parent):
        for first in range(0, forks, together):
            batch = range(first, min(first + together, forks))
            for j in batch:
                model.calls.fork(kids[j], 1 + j, 0, mappings, populated=True, cow_pages=COPIED)
            if variant == 1:
                model.wait(moved, batch.stop)
            model.wait(gone, batch.stop)
    model.asm.halt()
    return Program(model.build(pages_per_table=2), (("fork_storm", 0),))


def khugepaged(setting: Setup, row: Row, variant: int) -> Program:
    """Build `khugepaged`: one full pass over ranges of a process that spins, or as many scans as the row says.

    `pass` 0 is a window of stock pace: nothing says what was scanned in it. Its attempts are then taken from the row.
    """
    del variant
    by_process = bool(row.fields.get("madv_collapse", False))
    number = row.integer("pass", 1)
    if number:
        scans = 1 if by_process else row.integer("full_scans", 1)
        done = planned(
            setting,
            orders=row.word("orders"),
            populated=row.word("populated"),
            max_ptes_none=row.integer("max_ptes_none"),
            by_process=by_process,
            ranges=row.integer("ranges"),
            count=number - 1 + scans,
        )
        before, counted = done[: number - 1], done[number - 1 :]
    else:
        before, counted = [], [Pass(tuple(_attempts(row)), 1)]
    spinners = row.integer("spinners")
    machine = write_collapse(
        setting, before, counted, threads=max(spinners - 1, 0), state="spin", by_process=by_process
    )
    outcomes: dict[str, int] = {}
    for each in counted:
        for name, count in each.outcomes.items():
            outcomes[name] = outcomes.get(name, 0) + count
    return Program(machine, (("khugepaged", 0),), merge_outcomes(outcomes) if number else None)


def _attempts(row: Row) -> Iterator[Attempt]:
    """Read the attempts of a row, in any order."""
    for name, count in row.fields.get("attempts", {}).items():
        order, _, outcome = name.partition(" ")
        if not order.isdecimal() or outcome not in OUTCOMES:
            raise ShootdownError(f"attempts: {name!r:.60} is no order and outcome")
        yield from [Attempt(int(order), outcome)] * bounds(count)[1]


def own_program(setting: Setup, row: Row, variant: int) -> Program:
    """Write a program that the row itself has, with one window."""
    del variant
    return Program(own_machine(setting, row), (("program", 0),))


BUILDERS: dict[str, Callable[[Setup, Row, int], Program]] = {
    "hugetlb_shared": shared_hugetlb,
    "hugetlb_threads": threaded_hugetlb,
    "anonymous": anonymous,
    "fork_storm": fork_storm,
    "khugepaged": khugepaged,
    "program": own_program,
}
#: Programs that run alike in all schedules: one of them is enough.
ALIKE = frozenset({"hugetlb_threads", "khugepaged", "program"})
