"""Steps that jump, change the CPU, mm or run state of a task, or count."""

from __future__ import annotations

import attrs

from shootdown._machine import ops as o
from shootdown._machine.steps.cells import (
    ASIDS,
    ATOM,
    BEHIND,
    CURRENT_MM,
    EVENT,
    FAR_BEHIND,
    HOME,
    IRQ_OFF,
    LAZY,
    LEAF,
    LOADED,
    LOADED_MM,
    MASK,
    NEXT_ASID,
    ON_MM,
    OWN_HELD,
    OWN_LINKS,
    OWNER,
    PREEMPTED,
    SLOT,
    SPAN,
    STALE_LEAF,
    STALE_WALK,
    TLB,
    WALK,
    WALKING,
    Of,
    When,
)
from shootdown._machine.steps.row import FREE, Clock, Kind, Operand, Row, Shared, Whose

_LABEL = Operand("label", Kind.LABEL)
#: The largest number of an occurrence.
_NOTES = max(number for name, number in vars(o).items() if name.startswith("NOTE_"))
#: What a switch of the CPU to another task touches: the CPU may turn lazy, or load another mm.
_SWITCHES = (
    Shared("lazy", Whose.CPU, writes=True),
    Shared("loaded", Whose.ANY, writes=True),
    Shared("mask", Whose.ANY, writes=True),
)
#: Sets of all mms that a load of another mm changes.
_SWITCHED = tuple(
    attrs.evolve(cell, of=Of.MACHINE)
    for cell in (LOADED, MASK, BEHIND, FAR_BEHIND, LEAF, STALE_LEAF, WALK, STALE_WALK)
)
_SLEEPS = When("mode", (0,))
_IRQ = (Shared("irq", Whose.CPU, writes=True),)
_LOCKLESS = Operand("lockless", Kind.TRUTH, "it is a lockless walk, visible to a targeted sync", default=0)

CONTROL = (
    Row(
        name="HALT",
        does="End the task.",
        touches=_SWITCHES,
        decides=True,
        switches=True,
        ends=True,
        over=True,
        words="the task is gone",
        text="the task is gone",
    ),
    Row(name="JUMP", does="Jump to a label.", operands=(_LABEL,), local=True, ends=True),
    Row(
        name="SET",
        does="Set a register.",
        operands=(Operand("register", Kind.WRITTEN), Operand("value")),
        local=True,
    ),
    Row(
        name="NEXT",
        does="Increment a register and jump to a label while it is below a limit; else reset it to 0.",
        operands=(Operand("register", Kind.CHANGED), Operand("limit"), _LABEL),
        local=True,
    ),
    Row(
        name="JUMP_ZERO",
        does="Jump to a label if a register is zero.",
        operands=(Operand("register", Kind.READ), _LABEL),
        local=True,
    ),
    Row(
        name="JUMP_EQUAL",
        does="Jump to a label if a register has a value.",
        operands=(Operand("register", Kind.READ), Operand("value"), _LABEL),
        local=True,
    ),
    Row(
        name="WORK",
        does="Let time pass: a cost, so many times.",
        operands=(
            Operand("keeps", Kind.TRUTH, "no page comes from a zone or goes back to it", default=0),
            Operand("times", default=1, most=FREE),
            Operand(
                "elsewhere",
                Kind.TRUTH,
                "of so many nanoseconds: neither the program's work nor what is modelled of the kernel",
                default=0,
            ),
        ),
        local=True,
        varies=True,
        builder="",
    ),
    Row(
        name="MARK",
        does="Open or close a counting window.",
        operands=(
            Operand("window", Kind.WINDOW),
            Operand("opens", Kind.TRUTH),
            Operand("actor", Kind.TASK, "the task whose counts are kept apart", default=0),
        ),
        local=True,
        aside=True,
        clock=Clock.NOTED,
    ),
    Row(
        name="NOTE",
        does="Record an occurrence in the ledger that no other step shows, such as a printed warning.",
        operands=(
            Operand("what", says="`ops.NOTE_*`", most=_NOTES),
            Operand(
                "times",
                says="the number of occurrences; for `NOTE_SECTION`, 1 opens and 0 closes it",
                default=1,
                most=FREE,
            ),
            Operand("section", Kind.SECTION, "for `NOTE_SECTION`, its i_mmap_rwsem", default=0),
            Operand("computes", Kind.TRUTH, "for `NOTE_USES`: the task computes meanwhile", default=0),
        ),
        local=True,
        aside=When("what", (o.NOTE_WARNING,), other=True),
        clock=Clock.NOTED,
        counts=(
            "gathers",
            "gathers_vma",
            "shared_tables",
            "kernel_warnings",
            "completion_waits",
            "grace_periods",
            "stale_entries_left",
            "flush_range_calls",
            "flush_page_calls",
        ),
    ),
    Row(
        name="SPAWN",
        does="Make a task runnable on its home CPU.",
        operands=(Operand("task", Kind.TASK),),
        touches=_SWITCHES,
        decides=True,
        switches=True,
        clock=Clock.ACTS,
    ),
    Row(
        name="SIGNAL",
        does="Signal an event: increment its count.",
        operands=(Operand("event", Kind.EVENT),),
        reads=(EVENT,),
        writes=(EVENT,),
        enables=True,
        words="tells who waits",
        clock=Clock.ACTS,
    ),
    Row(
        name="AWAIT",
        does="Sleep until an event was signalled `count` times.",
        operands=(
            Operand("event", Kind.EVENT),
            Operand("count", says="how many times"),
            Operand("takes", Kind.TRUTH, "these signals are used up: the next wait is for others", default=0),
        ),
        reads=(EVENT,),
        writes=(EVENT.if_("takes", 1),),
        awaits=True,
        words="goes on: it was told",
        builder="await_event",
    ),
    Row(
        name="MIGRATE",
        does="Move to another CPU.",
        operands=(Operand("cpu", Kind.CPU),),
        writes=(HOME,),
        touches=_SWITCHES,
        decides=True,
        switches=True,
        words="move to another CPU",
        clock=Clock.ACTS,
    ),
    Row(
        name="RESCHED",
        does="Let the next ready task of the CPU run, if this one has run for a slice.",
        operands=(Operand("slice", says="nanoseconds", most=FREE),),
        local=True,
        words="preempted, if its slice is over and another task is ready",
        clock=Clock.ACTS,
    ),
    Row(
        name="USE_MM",
        does="Take another mm, as exec_mmap() does: the CPU loads it.",
        operands=(Operand("mm", Kind.MM),),
        reads=(LAZY, LOADED_MM, ASIDS, NEXT_ASID, *_SWITCHED, OWNER, SPAN, ATOM),
        writes=(
            CURRENT_MM,
            ON_MM,
            LAZY.own.perhaps(),
            LOADED_MM.perhaps(),
            ASIDS.perhaps(),
            NEXT_ASID.perhaps(),
            *(cell.own.perhaps() for cell in _SWITCHED),
            TLB.perhaps(),
            OWN_HELD.perhaps(),
            OWN_LINKS.perhaps(),
        ),
        touches=(
            *_SWITCHES,
            Shared("users", Whose.ANY, writes=True),
            Shared("tlb", Whose.ANY, writes=True),
            Shared("generation", Whose.ANY, writes=True),
        ),
        decides=True,
        switches=True,
        clock=Clock.ACTS,
    ),
    Row(
        name="RELEASE_MM",
        does="Release the task's mm, as exit_mm() does; its CPU keeps it loaded lazily.",
        writes=(CURRENT_MM, LAZY.own.perhaps()),
        reads=(LAZY,),
        touches=(Shared("users", Whose.ANY, writes=True), Shared("lazy", Whose.CPU, writes=True)),
        decides=True,
        switches=True,
        clock=Clock.ACTS,
    ),
    Row(
        name="HOST_PREEMPT",
        does="Let the host preempt the task's vCPU, until another CPU interrupts it.",
        reads=(PREEMPTED,),
        writes=(PREEMPTED.own,),
        touches=(Shared("preempted", Whose.CPU, writes=True),),
        words="the host preempts the vCPU",
    ),
    Row(
        name="PARK",
        does="Do nothing more: sleep for ever, so that the CPU turns lazy, or spin in user mode.",
        operands=(Operand("mode", says="0: sleep; 1: spin", most=1),),
        touches=tuple(Shared(one.what, one.whose, one.writes, _SLEEPS) for one in _SWITCHES),
        decides=True,
        switches=_SLEEPS,
        ends=True,
        over=True,
        words="has nothing more to do",
    ),
    Row(
        name="ON_MM",
        does="Choose the mm that the task's kernel work is on, its own or another (as reverse-map walks do).",
        operands=(
            Operand("mm", Kind.MM),
            Operand("register", Kind.READ_OR_NONE, "added to the mm's number", default=-1),
        ),
        writes=(ON_MM,),
        local=True,
        words="work on another mm",
    ),
    # Its third number is how much of the list there is from its base on; the assembler writes it at the end.
    Row(
        name="PICK",
        does="Set register SLOT to an element of a list.",
        operands=(
            Operand("base", Kind.LIST, "where the list begins (`add_list`)"),
            Operand("register", Kind.READ, "its position in the list"),
        ),
        writes=(SLOT,),
        local=True,
    ),
    Row(
        name="IRQ_OFF",
        does="Turn the CPU's interrupts off.",
        operands=(_LOCKLESS,),
        reads=(IRQ_OFF, WALKING.unless("lockless", 0)),
        writes=(IRQ_OFF.own.perhaps(), WALKING.own.unless("lockless", 0).perhaps()),
        touches=_IRQ,
        decides=True,
        words="interrupts off",
        primitive="mask",
        uses="walk",
    ),
    Row(
        name="IRQ_ON",
        does="Turn the CPU's interrupts on again.",
        operands=(_LOCKLESS,),
        reads=(IRQ_OFF, WALKING.unless("lockless", 0)),
        writes=(IRQ_OFF.own.perhaps(), WALKING.own.unless("lockless", 0).perhaps()),
        touches=_IRQ,
        enables=True,
        words="interrupts on",
        primitive="mask",
        clock=Clock.ACTS,
        # The CPU takes the calls that became pending meanwhile.
        counts=(
            "interrupts_taken",
            "full_flushes",
            "remote_full_flushes",
            "page_invalidations",
            "lazy_switches",
        ),
    ),
    Row(
        name="EXECUTE",
        does="Execute an instruction that results count by name.",
        operands=(
            Operand("instruction", Kind.INSTRUCTION),
            Operand("times", most=FREE),
            Operand(
                "per",
                says="the unit for each of which it is executed `times` times (`ops.PER_*`), and BROADCASTS",
                most=2 * o.IN_MASK - 1,
            ),
            Operand("cost", Kind.COST),
        ),
        local=True,
        clock=Clock.SPENDS,
        counts=("broadcast_invalidations",),
        builder="",
    ),
)
