"""Steps of a flush request in progress: its targets, how much it drops, when it is answered."""

from __future__ import annotations

import attrs

from shootdown._machine import ops as o
from shootdown._machine.steps.cells import (
    ATOM,
    BEHIND,
    CALL,
    CALL_GEN,
    CALL_MM,
    CALL_RANGE,
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
    OWN_HELD,
    OWN_LINKS,
    OWNER,
    PREEMPTED,
    RANGE,
    RUNNING,
    SPAN,
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
    Of,
    When,
    of_called,
    own,
)
from shootdown._machine.steps.row import FREE, Clock, Kind, Operand, Row, Shared, Whose

_GATHER = Operand("gather", Kind.GATHER)
_LABEL = Operand("label", Kind.LABEL)
_SCOPE = Operand("scope", Kind.SCOPE, "what it drops (`ops.SCOPE_*`)", default=o.SCOPE_BOTH)
_CALL = (Shared("call", Whose.CPU, writes=True),)
_LOADED = (Shared("loaded", Whose.ON),)
_TRIMS = (Shared("trim", Whose.ON, writes=True),)
_USERS = (Shared("users", Whose.ANY),)
#: What a flush touches on the CPU that takes it: the mm's TLB entries and generation; lazy CPUs leave the mm.
_FLUSHES = (
    Shared("tlb", Whose.ON, writes=True),
    Shared("generation", Whose.ON, writes=True),
    Shared("mask", Whose.ON, writes=True),
    Shared("loaded", Whose.ON, writes=True),
    Shared("lazy", Whose.ANY, writes=True),
)
_FLUSHING = When("call", (o.CALL_FLUSH, o.CALL_TRANSITION, o.CALL_LEAVE))
_INVALIDATING = When(
    "call", (o.CALL_HYPERCALL, o.CALL_BROADCAST, o.CALL_INVALIDATE, o.CALL_INVALIDATE_MASKED)
)
_LOOKING = When("call", (o.CALL_INVALIDATE_MASKED,))
_GLOBAL = (*_LOADED, Shared("lazy", Whose.ANY))
_DROPPED = (LEAF, STALE_LEAF, WALK, STALE_WALK)
#: The same of all mms.
_OF_ALL_MMS = tuple(attrs.evolve(cell, of=Of.MACHINE) for cell in _DROPPED)


def _if(when: When, touches: tuple[Shared, ...]) -> tuple[Shared, ...]:
    """Return things as touched only for some values of an operand."""
    return tuple(Shared(one.what, one.whose, one.writes, when) for one in touches)


REQUESTS = (
    Row(
        name="FLUSH_BEGIN",
        does="Start the flush of a gather: increment tlb_gen, and choose between a range and everything.",
        operands=(
            _GATHER,
            Operand(
                "ceiling",
                says="the most strides that are flushed one by one; a longer range becomes a full flush",
                least=-1,
                most=FREE,
            ),
            Operand("pages", says="likewise the most base pages; 0: no limit", default=0, most=FREE),
            Operand("how", Kind.HOW, "how these are counted (`ops.ROUNDED` and the other flags)", default=0),
        ),
        reads=(*RANGE, STORES, GENERATION, ONLINE, BEHIND),
        writes=(
            GENERATION.perhaps(),
            BEHIND.perhaps(),
            FAR_BEHIND.perhaps(),
            CALL_MM,
            CALL_GEN,
            CALL_STRIDES,
            *CALL_RANGE,
        ),
        touches=(Shared("generation", Whose.ON, writes=True), *_CALL),
        tells="strides",
        clock=Clock.NOTED,
        counts=("flush_requests", "flush_whole_mm"),
    ),
    Row(
        name="TARGET_MM",
        does="Target the CPUs in mm_cpumask.",
        operands=(Operand("with_self", Kind.TRUTH, "at this one too", default=0),),
        reads=(MASK, TARGETS),
        writes=(TARGETS,),
        touches=(Shared("mask", Whose.ON), *_CALL),
        targets="mm",
    ),
    Row(
        name="TARGET_ONLINE",
        does="Target all online CPUs but this one.",
        reads=(ONLINE, TARGETS),
        writes=(TARGETS,),
        touches=_CALL,
        targets="all",
    ),
    Row(
        name="TARGET_EVERY",
        does="Target all online CPUs, this one included.",
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
        does="Leave out preempted vCPUs and request a flush on guest entry from them.",
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
        name="TARGET_CURRENT",
        does="Leave out targets whose current task is of another mm, or of none: `rq->curr->mm`.",
        reads=(RUNNING, USERS, TARGETS),
        writes=(TARGETS.perhaps(),),
        touches=(Shared("users", Whose.ANY), Shared("lazy", Whose.ANY), *_LOADED, *_CALL),
    ),
    Row(
        name="JUMP_NO_TARGET",
        does="Jump to a label if there are no targets.",
        operands=(_LABEL,),
        reads=(TARGETS,),
        local=True,
    ),
    Row(
        name="JUMP_WHOLE",
        does="Jump to a label if the flush that has begun flushes everything.",
        operands=(_LABEL,),
        reads=(CALL_STRIDES,),
        local=True,
    ),
    Row(
        name="JUMP_EMPTY",
        does="Jump to a label if the range of a gather is empty.",
        operands=(_GATHER, _LABEL),
        reads=(LO, HI),
        local=True,
    ),
    Row(
        name="JUMP_STRIDES",
        does="Jump to a label unless the range of a gather has more than `strides` strides.",
        operands=(_GATHER, Operand("strides", most=FREE), _LABEL),
        reads=(*RANGE[:2], RANGE[3]),
        local=True,
    ),
    Row(
        name="JUMP_NOT_LOADED",
        does="Jump to a label unless this CPU has this mm loaded.",
        operands=(_LABEL,),
        reads=(LOADED,),
        touches=_LOADED,
        words="has this CPU the mm loaded?",
    ),
    Row(
        name="JUMP_NOT_MASKED",
        does="Jump to a label unless this CPU is in the mm's mm_cpumask.",
        operands=(_LABEL,),
        reads=(MASK,),
        touches=(Shared("mask", Whose.ON), *_CALL),
        words="is this CPU in the mm_cpumask?",
    ),
    Row(
        name="JUMP_NOT_ALONE",
        does="Jump to a label unless the mm is this task's and no other task uses it (mm_users is 1).",
        operands=(_LABEL,),
        reads=(USERS,),
        touches=_USERS,
        words="is this the mm's only task?",
    ),
    Row(
        name="JUMP_NOT_DEAD",
        does="Jump to a label unless no task uses the mm any more (mm_users is 0): the mm is dead.",
        operands=(_LABEL,),
        reads=(USERS,),
        touches=_USERS,
        words="does no task use the mm any more?",
    ),
    Row(
        name="LEAVE_MASK",
        does="Take the CPUs that do not have the mm loaded out of its mm_cpumask.",
        operands=(Operand("here", Kind.TRUTH, "this CPU alone", default=0),),
        reads=(MASK, LOADED),
        writes=(MASK.perhaps(),),
        touches=(Shared("mask", Whose.ON, writes=True), *_LOADED),
        words="CPUs that do not have the mm loaded leave its mm_cpumask",
    ),
    Row(
        name="JUMP_NOT_OWN",
        does="Jump to a label unless the mm is this task's (current->mm == mm).",
        operands=(_LABEL,),
        reads=(CURRENT_MM,),
        touches=_USERS,
        words="is it this task's mm?",
    ),
    Row(
        name="JUMP_NOT_DUE",
        does="Jump to a label unless mm_cpumask is due for trimming: each `period`-th time that this CPU asks.",
        operands=(Operand("period", most=FREE), _LABEL),
        reads=(TRIM,),
        writes=(TRIM,),
        touches=_TRIMS,
        asks_time=True,
    ),
    Row(
        name="JUMP_NOT_GLOBAL",
        does="Jump to a label unless the mm has a global ASID.",
        operands=(_LABEL,),
        reads=(GLOBAL,),
        touches=(Shared("global", Whose.ON), *_GLOBAL),
        words="has the mm a global ASID?",
    ),
    Row(
        name="JUMP_NOT_TRANSITION",
        does="Jump to a label unless the mm is in transition to its global ASID.",
        operands=(_LABEL,),
        reads=(GLOBAL,),
        touches=(Shared("global", Whose.ON), *_GLOBAL),
    ),
    Row(
        name="CONSIDER_GLOBAL",
        does="Start the mm's transition to a global ASID if it is time and enough CPUs run it.",
        operands=(Operand("cpus", says="the number of CPUs that is enough", most=FREE),),
        reads=(CONSIDER, GLOBAL, LOADED, LAZY),
        writes=(GLOBAL.perhaps(), CONSIDER),
        touches=(Shared("global", Whose.ON, writes=True), *_GLOBAL),
        asks_time=True,
    ),
    Row(
        name="END_TRANSITION",
        does="End the transition: all CPUs use the mm's global ASID now.",
        writes=(GLOBAL,),
        touches=(Shared("global", Whose.ON, writes=True), *_GLOBAL),
    ),
    Row(
        name="KERNEL_BEGIN",
        does="Start a flush of kernel addresses, which are no mm's; the call that is sent concerns none.",
        operands=(Operand("pages", says="base pages; 0: everything, of all mms too", most=FREE),),
        writes=WHOLE_CALL,
        touches=_CALL,
        tells="strides",
        clock=Clock.NOTED,
        counts=("kernel_flushes",),
    ),
    Row(
        name="KERNEL_SELF",
        does="Run the handler of a flush of kernel addresses on this CPU.",
        reads=(CALL_STRIDES, *_OF_ALL_MMS, OWNER, SPAN, ATOM),
        writes=(
            *(cell.own.perhaps() for cell in _OF_ALL_MMS),
            TLB.perhaps(),
            OWN_HELD.perhaps(),
            OWN_LINKS.perhaps(),
        ),
        touches=(Shared("tlb", Whose.ANY, writes=True),),
        clock=Clock.SPENDS,
        counts=("full_flushes", "page_invalidations"),
    ),
    Row(
        name="SEND",
        does="Send a call to the targets; it is pending at each of them.",
        operands=(
            Operand("call", Kind.CALL, "`ops.CALL_*`"),
            _SCOPE,
            Operand(
                "each",
                says="the strides that one broadcast invalidates; -1: EXECUTE has counted the broadcasts",
                default=0,
                least=-1,
            ),
        ),
        reads=(CALL, CALL_MM),
        writes=(CALL, CALL_MM.perhaps()),
        touches=(
            *_if(_FLUSHING, _FLUSHES),
            *_if(_INVALIDATING, _FLUSHES[:2]),
            Shared("mask", Whose.ON, when=_LOOKING),
        ),
        enables=True,
        targets="sent",
        clock=Clock.SPENDS,
        counts=(
            "flush_ipis",
            "lazy_ipis",
            "trim_ipis",
            "interrupts_taken",
            "sync_broadcasts",
            "sync_ipis",
            "redundant_sync_ipis",
            "transition_ipis",
            "barrier_ipis",
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
        does="Wait until no target has the call pending any more.",
        operands=(
            Operand(
                "preemptible",
                Kind.TRUTH,
                "the task may be preempted meanwhile, and go on elsewhere, unless it holds a lock that spins",
                default=0,
            ),
        ),
        reads=(TARGETS,),
        writes=WHOLE_CALL,
        awaits=True,
        words="all targets have answered",
        primitive="alone",
        clock=Clock.ACTS,
    ),
    Row(
        name="CANCEL",
        does="Cancel the request, which has not been sent: it has no targets any more.",
        writes=(*WHOLE_CALL, TARGETS),
        touches=_CALL,
        local=True,
        targets="sent",
    ),
    Row(
        name="FLUSH_SELF",
        does="Run the flush's handler on this CPU.",
        operands=(
            _SCOPE,
            Operand(
                "own_handler", Kind.TRUTH, "the kernel calls the handler here as on any target", default=0
            ),
            Operand(
                "forced",
                says="1: invalidate, whichever mm is loaded; 2: invalidate and leave the mm",
                default=0,
                most=2,
            ),
        ),
        reads=(
            CALL_MM,
            CALL_STRIDES,
            *CALL_RANGE,
            CALL_GEN.if_("forced", 0),
            GENERATION.called.if_("forced", 0),
            LAZY.unless("forced", 1),
            *of_called(LOADED.unless("forced", 1), MASK.unless("forced", 1), BEHIND, FAR_BEHIND),
            *of_called(*_DROPPED),
            OWNER,
            SPAN,
            ATOM,
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
            OWN_HELD.perhaps(),
            OWN_LINKS.perhaps(),
        ),
        touches=_FLUSHES,
        clock=Clock.SPENDS,
        counts=("full_flushes", "page_invalidations", "lazy_switches", "own_handler_runs"),
    ),
    Row(
        name="FLUSH_LOCAL_PAGES",
        does="Flush pages of the mm on this CPU alone: the range of the flush that has begun.",
        operands=(Operand("pages", says="the number of pages", most=FREE), _SCOPE),
        reads=(CALL_STRIDES, *CALL_RANGE, *_DROPPED, OWNER, SPAN, ATOM),
        writes=(
            *(cell.perhaps() for cell in own(*_DROPPED)),
            TLB.perhaps(),
            OWN_HELD.perhaps(),
            OWN_LINKS.perhaps(),
        ),
        touches=_FLUSHES[:1],
        clock=Clock.SPENDS,
        counts=("page_invalidations",),
    ),
)
