"""Steps of a flush request on its way: its targets, how much it drops, when it is answered."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.steps.cells import (
    BEHIND,
    CALL,
    CALL_GEN,
    CALL_MM,
    CALL_STRIDES,
    CONSIDER,
    CURRENT_MM,
    FAR_BEHIND,
    FLUSH_ON_ENTRY,
    GENERATION,
    GLOBAL,
    HI,
    LAZY,
    LEAF,
    LO,
    LOADED,
    LOADED_MM,
    MASK,
    ONLINE,
    OWNER,
    PREEMPTED,
    RANGE,
    STALE_LEAF,
    STALE_WALK,
    STORES,
    TARGETS,
    TLB,
    TRIM,
    USERS,
    WALK,
    WALKING,
    WHOLE_CALL,
    When,
    of_called,
    own,
)
from shootdown._machine.steps.row import Clock, Kind, Operand, Row, Shared, Whose

_GATHER = Operand("gather", Kind.GATHER)
_LABEL = Operand("label", Kind.LABEL)
_SCOPE = Operand("scope", Kind.SCOPE, "what it drops (`ops.SCOPE_*`)", default=o.SCOPE_BOTH)
_CALL = (Shared("call", Whose.CPU, writes=True),)
_LOADED = (Shared("loaded", Whose.ON),)
_TRIMS = (Shared("trim", Whose.ON, writes=True),)
_USERS = (Shared("users", Whose.ANY),)
#: What a flush touches where it is taken: the mm's TLB entries and generation; lazy CPUs leave the mm.
_FLUSHES = (
    Shared("tlb", Whose.ON, writes=True),
    Shared("generation", Whose.ON, writes=True),
    Shared("mask", Whose.ON, writes=True),
    Shared("loaded", Whose.ON, writes=True),
    Shared("lazy", Whose.ANY, writes=True),
)
_FLUSHING = When("call", (o.CALL_FLUSH, o.CALL_TRANSITION, o.CALL_LEAVE))
_INVALIDATING = When("call", (o.CALL_HYPERCALL, o.CALL_BROADCAST, o.CALL_INVALIDATE))
_GLOBAL = (*_LOADED, Shared("lazy", Whose.ANY))
_DROPPED = (LEAF, STALE_LEAF, WALK, STALE_WALK)


def _if(when: When, touches: tuple[Shared, ...]) -> tuple[Shared, ...]:
    """Say that things are touched for some values of an operand only."""
    return tuple(Shared(one.what, one.whose, one.writes, when) for one in touches)


REQUESTS = (
    Row(
        name="FLUSH_BEGIN",
        does="Start the flush of a gather: a new tlb_gen, and how much to flush.",
        operands=(
            _GATHER,
            Operand("ceiling", says="strides that a range may have; else everything is flushed"),
            Operand("pages", says="base pages that it may have; 0: any number", default=0),
            Operand("how", Kind.HOW, "how that is counted (`ops.ROUNDED` and its kin)", default=0),
        ),
        reads=(*RANGE, STORES, GENERATION, ONLINE, BEHIND),
        writes=(
            GENERATION.perhaps(),
            BEHIND.perhaps(),
            FAR_BEHIND.perhaps(),
            CALL_MM,
            CALL_GEN,
            CALL_STRIDES,
        ),
        touches=(Shared("generation", Whose.ON, writes=True), *_CALL),
        tells="strides",
        clock=Clock.NOTED,
        counts=("flush_requests", "flush_whole_mm"),
    ),
    Row(
        name="TARGET_MM",
        does="Aim at the CPUs in mm_cpumask.",
        operands=(Operand("with_self", Kind.TRUTH, "at this one too", default=0),),
        reads=(MASK, TARGETS),
        writes=(TARGETS,),
        touches=(Shared("mask", Whose.ON), *_CALL),
        targets="mm",
    ),
    Row(
        name="TARGET_ONLINE",
        does="Aim at all online CPUs but this one.",
        reads=(ONLINE, TARGETS),
        writes=(TARGETS,),
        touches=_CALL,
        targets="all",
    ),
    Row(
        name="TARGET_EVERY",
        does="Aim at all online CPUs, this one too.",
        reads=(ONLINE,),
        writes=(TARGETS,),
        touches=_CALL,
        targets="all",
    ),
    Row(
        name="TARGET_NOT_LAZY",
        does="Leave out targets that are in lazy TLB mode.",
        reads=(LAZY, TARGETS),
        writes=(TARGETS,),
        touches=(Shared("lazy", Whose.ANY), *_CALL),
    ),
    Row(
        name="TARGET_LOADED",
        does="Leave out targets that have not loaded this mm, unless mm_cpumask is due for trimming.",
        reads=(TRIM, LOADED, TARGETS),
        writes=(TRIM.perhaps(), TARGETS.perhaps()),
        touches=(*_LOADED, *_TRIMS, *_CALL),
        asks_time=True,
    ),
    Row(
        name="TARGET_RUNNING",
        does="Leave out targets that preemption has taken off their CPU, and tell them to flush when they enter.",
        reads=(PREEMPTED, FLUSH_ON_ENTRY, TARGETS),
        writes=(FLUSH_ON_ENTRY.perhaps(), TARGETS.perhaps()),
        touches=(Shared("preempted", Whose.ANY, writes=True),),
        targets="left out",
    ),
    Row(
        name="TARGET_WALKERS",
        does="Leave out targets that are not inside a lockless walk of this mm.",
        reads=(WALKING, LOADED, TARGETS),
        writes=(TARGETS,),
        touches=(Shared("irq", Whose.ANY), *_LOADED),
    ),
    Row(
        name="JUMP_NO_TARGET",
        does="Go to a label if there is no target.",
        operands=(_LABEL,),
        reads=(TARGETS,),
        local=True,
    ),
    Row(
        name="JUMP_TARGETS_BELOW",
        does="Go to a label if there are fewer targets than so many.",
        operands=(Operand("count"), _LABEL),
        reads=(TARGETS,),
        local=True,
    ),
    Row(
        name="JUMP_WHOLE",
        does="Go to a label if the flush that has begun is one of everything.",
        operands=(_LABEL,),
        reads=(CALL_STRIDES,),
        local=True,
    ),
    Row(
        name="JUMP_EMPTY",
        does="Go to a label if the range of a gather ends where it begins.",
        operands=(_GATHER, _LABEL),
        reads=(LO, HI),
        local=True,
    ),
    Row(
        name="JUMP_STRIDES",
        does="Go to a label unless the range of a gather has more strides than so many.",
        operands=(_GATHER, Operand("strides"), _LABEL),
        reads=(*RANGE[:2], RANGE[3]),
        local=True,
    ),
    Row(
        name="JUMP_NOT_LOADED",
        does="Go to a label unless this CPU has this mm loaded.",
        operands=(_LABEL,),
        reads=(LOADED,),
        touches=_LOADED,
        words="has this CPU the mm loaded?",
    ),
    Row(
        name="JUMP_NOT_MASKED",
        does="Go to a label unless this CPU is in the mm's mm_cpumask.",
        operands=(_LABEL,),
        reads=(MASK,),
        touches=(Shared("mask", Whose.ON), *_CALL),
        words="is this CPU in the mm_cpumask?",
    ),
    Row(
        name="JUMP_NOT_ALONE",
        does="Go to a label unless the mm is this task's and no other task has it (mm_users is 1).",
        operands=(_LABEL,),
        reads=(USERS,),
        touches=_USERS,
        words="is this the mm's only task?",
    ),
    Row(
        name="JUMP_NOT_OWN",
        does="Go to a label unless the mm is this task's (current->mm == mm).",
        operands=(_LABEL,),
        reads=(CURRENT_MM,),
        touches=_USERS,
        words="is it this task's mm?",
    ),
    Row(
        name="JUMP_NOT_DUE",
        does="Go to a label unless mm_cpumask is due for trimming: each so-manieth time that this CPU asks.",
        operands=(Operand("period"), _LABEL),
        reads=(TRIM,),
        writes=(TRIM,),
        touches=_TRIMS,
        asks_time=True,
    ),
    Row(
        name="JUMP_NOT_GLOBAL",
        does="Go to a label unless the mm has a global ASID.",
        operands=(_LABEL,),
        reads=(GLOBAL,),
        touches=(Shared("global", Whose.ON), *_GLOBAL),
        words="has the mm a global ASID?",
    ),
    Row(
        name="JUMP_NOT_TRANSITION",
        does="Go to a label unless the mm is moving to its global ASID.",
        operands=(_LABEL,),
        reads=(GLOBAL,),
        touches=(Shared("global", Whose.ON), *_GLOBAL),
    ),
    Row(
        name="CONSIDER_GLOBAL",
        does="Give the mm a global ASID if it is time and enough CPUs run it.",
        operands=(Operand("cpus", says="how many are enough"),),
        reads=(CONSIDER, GLOBAL, LOADED, LAZY),
        writes=(GLOBAL.perhaps(), CONSIDER),
        touches=(Shared("global", Whose.ON, writes=True), *_GLOBAL),
        asks_time=True,
    ),
    Row(
        name="END_TRANSITION",
        does="Let the mm have its global ASID: all CPUs use it.",
        writes=(GLOBAL,),
        touches=(Shared("global", Whose.ON, writes=True), *_GLOBAL),
    ),
    Row(
        name="SEND",
        does="Send a call to the targets: they have it pending now.",
        operands=(
            Operand("call", Kind.CALL, "`ops.CALL_*`"),
            _SCOPE,
            Operand(
                "each",
                says="strides that one broadcast invalidates; -1: named instructions were counted",
                default=0,
            ),
        ),
        reads=(CALL_MM,),
        writes=(CALL, CALL_MM.perhaps()),
        touches=(*_if(_FLUSHING, _FLUSHES), *_if(_INVALIDATING, _FLUSHES[:2])),
        enables=True,
        targets="sent",
        clock=Clock.SPENDS,
        counts=(
            "flush_ipis",
            "lazy_ipis",
            "trim_ipis",
            "sync_broadcasts",
            "sync_ipis",
            "redundant_sync_ipis",
            "transition_ipis",
            "hypercalls",
            "broadcast_invalidations",
            "full_flushes",
            "remote_full_flushes",
            "page_invalidations",
            "lazy_switches",
        ),
    ),
    Row(
        name="WAIT",
        does="Wait until no target has the call pending.",
        reads=(TARGETS,),
        writes=WHOLE_CALL,
        awaits=True,
        words="all targets have answered",
        primitive="alone",
        clock=Clock.ACTS,
    ),
    Row(
        name="CANCEL",
        does="Forget the request: it had no target.",
        writes=WHOLE_CALL,
        touches=_CALL,
        local=True,
        targets="sent",
    ),
    Row(
        name="FLUSH_SELF",
        does="Let this CPU do what the handler of the flush does.",
        operands=(
            _SCOPE,
            Operand("own_handler", Kind.TRUTH, "the kernel calls it like any target's", default=0),
            Operand(
                "forced",
                says="1: it invalidates, whatever it has loaded; 2: and leaves the mm",
                default=0,
            ),
        ),
        reads=(
            CALL_MM,
            CALL_STRIDES,
            CALL_GEN.if_("forced", 0),
            GENERATION.called.if_("forced", 0),
            LAZY.unless("forced", 1),
            *of_called(LOADED.unless("forced", 1), MASK.unless("forced", 1), BEHIND, FAR_BEHIND),
            *of_called(*_DROPPED),
            OWNER,
        ),
        writes=(
            LAZY.own.unless("forced", 1).perhaps(),
            LOADED_MM.unless("forced", 1).perhaps(),
            *(
                cell.perhaps()
                for cell in own(
                    *of_called(LOADED.unless("forced", 1), MASK.unless("forced", 1), BEHIND, FAR_BEHIND),
                    *of_called(*_DROPPED),
                )
            ),
            TLB.perhaps(),
        ),
        touches=_FLUSHES,
        clock=Clock.SPENDS,
        counts=("full_flushes", "page_invalidations", "lazy_switches", "own_handler_runs"),
    ),
    Row(
        name="FLUSH_LOCAL_PAGES",
        does="Let this CPU flush pages of the mm outside a request, as flush_tlb_page() does.",
        operands=(Operand("pages", says="how many"), _SCOPE),
        reads=(*_DROPPED, OWNER),
        writes=(*(cell.perhaps() for cell in own(*_DROPPED)), TLB.perhaps()),
        touches=_FLUSHES[:1],
        clock=Clock.SPENDS,
        counts=("page_invalidations",),
    ),
)
