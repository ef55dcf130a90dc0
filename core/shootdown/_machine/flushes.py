"""What a flush drops, and what a call does to the CPUs that take it."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, lowest
from shootdown._machine.holding import drop_held
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CALL_GEN,
    CPU_CALL_HI,
    CPU_CALL_HOW,
    CPU_CALL_LO,
    CPU_CALL_MM,
    CPU_CALL_STRIDES,
    CPU_CELLS,
    CPU_MM,
    M_GEN,
    MM_CELLS,
    SPAN_CELLS,
    Layout,
)
from shootdown._machine.ranges import reaches
from shootdown._machine.sets import (
    BEHIND,
    FAR_BEHIND,
    IRQ_OFF,
    LAZY,
    LEAF,
    LOADED,
    MASK,
    PREEMPTED,
    STALE_LEAF,
    STALE_WALK,
    WALK,
    cpu_set,
    mm_set,
)


@kernel
def drop_entries(S: Cells, L: Layout, mm: int, word: int, cpus: int, lo: int, hi: int, how: int) -> None:
    """Drop the TLBs' copies of the mm's single entries that a flush of a range invalidates."""
    for entry in range(L.entries):
        span = L.o_span + entry * SPAN_CELLS
        first, end = int64(S[span]), int64(S[span + 1])
        if int64(S[L.o_owner + entry]) == mm and reaches(L, lo, hi, how, first, end):
            rest = cpus
            while rest:
                S[L.o_tlb + (word * L.bits + lowest(rest)) * L.entries + entry] = 0
                rest = rest & (rest - 1)


@inlined
def drop_range(
    S: Cells, L: Layout, mm: int, word: int, cpus: int, lo: int, hi: int, how: int, scope: int
) -> None:
    """Drop what a flush of pages `lo` to `hi` invalidates from TLBs (scope LEAF) and walk caches (scope WALK).

    TLBs and walk caches that are modelled as a whole keep one bit for each CPU and mm: it goes with any range.

    Args:
        S, L: the state and its layout.
        mm: the mm whose translations go.
        word, cpus: the CPUs: a word of a set and a mask.
        lo, hi, how: as for `ranges.reaches`.
        scope: `ops.SCOPE_*`.
    """
    if L.walk_cache == 0 and scope & (o.SCOPE_LEAF | o.SCOPE_WALK):
        scope = (scope | o.SCOPE_WALK) & ~o.SCOPE_AT_VA
    if L.walks:
        drop_held(S, L, mm, word, cpus, lo, hi, how, scope)
    if scope & o.SCOPE_LEAF:
        if L.entries:
            drop_entries(S, L, mm, word, cpus, lo, hi, how)
        S[mm_set(L, mm, LEAF) + word] = int64(S[mm_set(L, mm, LEAF) + word]) & ~cpus
        S[mm_set(L, mm, STALE_LEAF) + word] = int64(S[mm_set(L, mm, STALE_LEAF) + word]) & ~cpus
    if scope & o.SCOPE_WALK:
        S[mm_set(L, mm, WALK) + word] = int64(S[mm_set(L, mm, WALK) + word]) & ~cpus
        S[mm_set(L, mm, STALE_WALK) + word] = int64(S[mm_set(L, mm, STALE_WALK) + word]) & ~cpus


@inlined
def drop_translations(S: Cells, L: Layout, mm: int, word: int, cpus: int, scope: int) -> None:
    """Drop all translations of an mm from the TLBs (scope LEAF) and walk caches (scope WALK) of some CPUs."""
    drop_range(S, L, mm, word, cpus, int64(0), int64(L.most), int64(0), scope)


@inlined
def drop_all_mms(S: Cells, L: Layout, word: int, cpus: int) -> None:
    """Drop all translations of all mms of some CPUs."""
    for mm in range(L.mms):
        drop_translations(S, L, int64(mm), word, cpus, o.SCOPE_BOTH)


@inlined
def drop_called(S: Cells, L: Layout, mm: int, word: int, cpus: int, sender: int, scope: int) -> None:
    """Drop what the call of `sender` invalidates: the range that it executes, or everything."""
    base = L.o_cpu + sender * CPU_CELLS
    lo, hi, how = int64(0), int64(L.most), int64(0)
    if int64(S[base + CPU_CALL_STRIDES]) != 0:
        lo = int64(S[base + CPU_CALL_LO])
        hi = int64(S[base + CPU_CALL_HI])
        how = int64(S[base + CPU_CALL_HOW])
    drop_range(S, L, mm, word, cpus, lo, hi, how, scope)


@inlined
def catch_up(S: Cells, L: Layout, mm: int, word: int, cpus: int) -> None:
    """Record that the CPUs' TLBs are as new as the mm's tlb_gen."""
    S[mm_set(L, mm, BEHIND) + word] = int64(S[mm_set(L, mm, BEHIND) + word]) & ~cpus
    S[mm_set(L, mm, FAR_BEHIND) + word] = int64(S[mm_set(L, mm, FAR_BEHIND) + word]) & ~cpus


@kernel
def leave_lazy_mm(S: Cells, L: Layout, mm: int, word: int, cpus: int) -> None:
    """Move lazy CPUs to init_mm: they stop using the mm's tables and need no later flush of it."""
    S[mm_set(L, mm, LOADED) + word] = int64(S[mm_set(L, mm, LOADED) + word]) & ~cpus
    S[cpu_set(L, LAZY) + word] = int64(S[cpu_set(L, LAZY) + word]) & ~cpus
    if L.clear_on_switch:
        S[mm_set(L, mm, MASK) + word] = int64(S[mm_set(L, mm, MASK) + word]) & ~cpus
    if not L.tagged:
        drop_translations(S, L, mm, word, cpus, o.SCOPE_BOTH)
    rest = cpus
    while rest:
        cpu = word * L.bits + lowest(rest)
        S[L.o_cpu + cpu * CPU_CELLS + CPU_MM] = 0
        rest = rest & (rest - 1)


@kernel
def leave_idle_mm(S: Cells, L: Layout, mm: int, word: int, cpus: int) -> int:
    """Let CPUs that run no task of the mm leave it and its mm_cpumask; return those that had it loaded."""
    loaded = int64(S[mm_set(L, mm, LOADED) + word])
    idle = cpus & ~(loaded & ~int64(S[cpu_set(L, LAZY) + word]))
    left = idle & loaded
    if left:
        leave_lazy_mm(S, L, mm, word, left)
    S[mm_set(L, mm, MASK) + word] = int64(S[mm_set(L, mm, MASK) + word]) & ~idle
    return left


@kernel
def handle_flush(
    S: Cells, L: Layout, sender: int, word: int, cpus: int, scope: int, trim: int
) -> tuple[int, int, int]:
    """Do what flush_tlb_func() does, on a set of CPUs that took the flush of `sender`.

    arch/x86/mm/tlb.c: a CPU that runs another mm leaves mm_cpumask; a lazy one switches to init_mm; one whose tlb_gen
    is up to date does nothing; one that is a single generation behind flushes the range, any other everything.

    Returns:
        the CPUs that flushed everything, that flushed the range, that were lazy and loaded init_mm (three masks). Those
        that have another mm loaded leave the mm_cpumask alone: they write no CR3.
    """
    base = L.o_cpu + sender * CPU_CELLS
    mm = int64(S[base + CPU_CALL_MM]) - 1
    strides = int64(S[base + CPU_CALL_STRIDES])
    loaded = int64(S[mm_set(L, mm, LOADED) + word])
    lazy = cpus & loaded & int64(S[cpu_set(L, LAZY) + word])
    gone = cpus & ~loaded
    if trim and gone:
        S[mm_set(L, mm, MASK) + word] = int64(S[mm_set(L, mm, MASK) + word]) & ~gone
    if lazy:
        leave_lazy_mm(S, L, mm, word, lazy)
    behind = cpus & loaded & ~lazy & int64(S[mm_set(L, mm, BEHIND) + word])
    far = behind & int64(S[mm_set(L, mm, FAR_BEHIND) + word])
    newest = int64(S[base + CPU_CALL_GEN]) == int64(S[L.o_mm + mm * MM_CELLS + M_GEN])
    if newest:
        full = behind if strides == 0 else far
        partial = behind & ~full
    else:
        full = far
        partial = int64(0)
    if full | partial:
        catch_up(S, L, mm, word, full | partial)
        if full:
            drop_translations(S, L, mm, word, full, scope if scope & o.SCOPE_FORCED else o.SCOPE_BOTH)
        if partial:
            drop_called(S, L, mm, word, partial, sender, scope)
    return full, partial, lazy


@inlined
def takeable(S: Cells, L: Layout, sender: int, word: int) -> int:
    """Return the CPUs of a word that could take the call of `sender` now."""
    pending = int64(S[L.o_out + sender * L.words + word])
    call = int64(S[L.o_cpu + sender * CPU_CELLS + CPU_CALL]) & o.CALL_MASK
    if call == o.CALL_NONE:
        return int64(0)
    if call == o.CALL_BROADCAST or call == o.CALL_HYPERCALL:
        return pending
    return pending & ~int64(S[cpu_set(L, IRQ_OFF) + word]) & ~int64(S[cpu_set(L, PREEMPTED) + word])


@kernel
def take(S: Cells, L: Layout, sender: int, word: int, cpus: int) -> tuple[int, int, int]:
    """Let a set of CPUs, all in one word, take the call of `sender`.

    Returns:
        as `handle_flush`; for calls that flush nothing, three empty masks.
    """
    base = L.o_cpu + sender * CPU_CELLS
    at = L.o_out + sender * L.words + word
    S[at] = int64(S[at]) & ~cpus
    call = int64(S[base + CPU_CALL])
    kind = call & o.CALL_MASK
    scope = call >> o.SCOPE_SHIFT
    full = int64(0)
    partial = int64(0)
    left = int64(0)
    if kind == o.CALL_FLUSH:
        full, partial, left = handle_flush(S, L, sender, word, cpus, scope, 1)
    elif kind == o.CALL_BROADCAST or kind == o.CALL_HYPERCALL:
        mm = int64(S[base + CPU_CALL_MM]) - 1
        if mm >= 0:
            drop_called(S, L, mm, word, cpus, sender, scope)
            if kind == o.CALL_BROADCAST:
                catch_up(S, L, mm, word, cpus)
        elif int64(S[base + CPU_CALL_STRIDES]) == 0:  # of kernel addresses
            drop_all_mms(S, L, word, cpus)
        if int64(S[base + CPU_CALL_STRIDES]) == 0:
            full = cpus
        else:
            partial = cpus
    elif kind == o.CALL_KERNEL:
        if int64(S[base + CPU_CALL_STRIDES]) == 0:
            drop_all_mms(S, L, word, cpus)
            full = cpus
        else:
            partial = cpus
    elif kind == o.CALL_INVALIDATE or kind == o.CALL_INVALIDATE_MASKED:
        mm = int64(S[base + CPU_CALL_MM]) - 1
        if kind == o.CALL_INVALIDATE_MASKED:
            cpus = cpus & int64(S[mm_set(L, mm, MASK) + word])
        drop_called(S, L, mm, word, cpus, sender, scope)
        if scope:
            catch_up(S, L, mm, word, cpus)
        if scope == 0:
            full = int64(0)
        elif int64(S[base + CPU_CALL_STRIDES]) == 0:
            full = cpus
        else:
            partial = cpus
    elif kind == o.CALL_LEAVE:
        mm = int64(S[base + CPU_CALL_MM]) - 1
        left = leave_idle_mm(S, L, mm, word, cpus)
        drop_translations(S, L, mm, word, cpus, scope)
        if scope:
            full = cpus
    elif kind == o.CALL_TRANSITION:
        mm = int64(S[base + CPU_CALL_MM]) - 1
        # choose_new_asid() asks for no flush with a global ASID: the root is loaded, the old PCID's entries go unused.
        left = cpus & int64(S[mm_set(L, mm, LOADED) + word])
        S[mm_set(L, mm, MASK) + word] = int64(S[mm_set(L, mm, MASK) + word]) & ~(cpus & ~left)
        drop_translations(S, L, mm, word, left, o.SCOPE_BOTH)
        catch_up(S, L, mm, word, left)
    return full, partial, left


@inlined
def take_sync(S: Cells, L: Layout, sender: int) -> None:
    """Let all targets of a sync take it: `take` for all words at once, which is possible as the handler is empty."""
    for w in range(L.words):
        S[L.o_out + sender * L.words + w] = 0
