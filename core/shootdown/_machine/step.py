"""The one semantics: what a step does, what an interrupt does to a set of CPUs, what a context switch does.

Both engines run these functions and nothing else writes semantic state. They know no time, no queue, no cost and
no ledger. A step that can't be taken says why and has written nothing.
"""

from __future__ import annotations

from shootdown._jit import inlined, inlined_copy, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, lowest, popcount
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CALL_GEN,
    CPU_CALL_MM,
    CPU_CALL_STRIDES,
    CPU_CELLS,
    CPU_MM,
    CPU_NEXT_ASID,
    CPU_TASK,
    G_CLEARED,
    G_FLAGS,
    G_HI,
    G_LO,
    G_TABLES,
    GATHER_CELLS,
    K_READERS,
    K_WRITER,
    LOCK_CELLS,
    M_CONSIDER,
    M_GEN,
    M_GLOBAL,
    M_PENDING,
    M_TRIM,
    MM_CELLS,
    STORE_CELLS,
    T_CPU,
    T_GATHER,
    T_MM,
    T_ON,
    T_PC,
    T_REG,
    TASK_CELLS,
    Layout,
)

# Positions in layout.CPU_SETS and layout.MM_SETS; a test keeps them in step.
ONLINE, IRQ_OFF, LAZY, PREEMPTED, FLUSH_ON_ENTRY, WALKING = range(6)
MASK, LOADED, BEHIND, FAR_BEHIND, LEAF, WALK, STALE_LEAF, STALE_WALK = range(8)
MM_SET_COUNT = 8


@inlined
def cpu_set(L: Layout, which: int) -> int:
    """Say where a CPU set of the machine begins."""
    return L.o_sets + which * L.words


@inlined
def mm_set(L: Layout, mm: int, which: int) -> int:
    """Say where a CPU set of an mm begins."""
    return L.o_mmset + (mm * MM_SET_COUNT + which) * L.words


@inlined
def has(S: Cells, at: int, L: Layout, cpu: int) -> bool:
    """Say whether a CPU is in the set that begins at `at`."""
    return (int64(S[at + (cpu >> L.shift)]) >> (cpu & (L.bits - 1))) & 1 != 0


@inlined
def put(S: Cells, at: int, L: Layout, cpu: int) -> None:
    """Add a CPU to the set that begins at `at`."""
    S[at + (cpu >> L.shift)] = int64(S[at + (cpu >> L.shift)]) | (int64(1) << (cpu & (L.bits - 1)))


@inlined
def take_out(S: Cells, at: int, L: Layout, cpu: int) -> None:
    """Remove a CPU from the set that begins at `at`."""
    S[at + (cpu >> L.shift)] = int64(S[at + (cpu >> L.shift)]) & ~(int64(1) << (cpu & (L.bits - 1)))


@kernel
def drop_entries(S: Cells, L: Layout, mm: int, word: int, cpus: int, spares: int) -> None:
    """Drop the TLBs' copies of the mm's entries that stand alone, except those that the flush spares."""
    while cpus:
        row = L.o_tlb + (word * L.bits + lowest(cpus)) * L.entries
        cpus = cpus & (cpus - 1)
        for entry in range(L.entries):
            if int64(S[L.o_owner + entry]) == mm and (spares >> entry) & 1 == 0:
                S[row + entry] = 0


@inlined
def drop_translations(S: Cells, L: Layout, mm: int, word: int, cpus: int, scope: int) -> None:
    """Drop what TLBs (scope LEAF) and walk caches (scope WALK) of the CPUs hold of an mm."""
    if scope & o.SCOPE_LEAF:
        if L.entries:
            drop_entries(S, L, mm, word, cpus, scope >> o.SCOPE_SPARES)
        S[mm_set(L, mm, LEAF) + word] = int64(S[mm_set(L, mm, LEAF) + word]) & ~cpus
        S[mm_set(L, mm, STALE_LEAF) + word] = int64(S[mm_set(L, mm, STALE_LEAF) + word]) & ~cpus
    if scope & o.SCOPE_WALK:
        S[mm_set(L, mm, WALK) + word] = int64(S[mm_set(L, mm, WALK) + word]) & ~cpus
        S[mm_set(L, mm, STALE_WALK) + word] = int64(S[mm_set(L, mm, STALE_WALK) + word]) & ~cpus


@inlined
def catch_up(S: Cells, L: Layout, mm: int, word: int, cpus: int) -> None:
    """Record that the CPUs' TLBs are as new as the mm's tlb_gen."""
    S[mm_set(L, mm, BEHIND) + word] = int64(S[mm_set(L, mm, BEHIND) + word]) & ~cpus
    S[mm_set(L, mm, FAR_BEHIND) + word] = int64(S[mm_set(L, mm, FAR_BEHIND) + word]) & ~cpus


@kernel
def leave_lazy_mm(S: Cells, L: Layout, mm: int, word: int, cpus: int) -> None:
    """Move lazy CPUs to init_mm: they stop using the mm's tables and miss its later flushes knowingly."""
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
    """Let CPUs that run no task of the mm leave it and its mm_cpumask; returns those that had it loaded."""
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

    arch/x86/mm/tlb.c: a CPU that runs another mm leaves mm_cpumask; a lazy one switches to init_mm; one that is
    new enough does nothing; one that is a single generation behind flushes the range, any other everything.

    Returns:
        the CPUs that flushed everything, that flushed the range, that left the mm (three masks).
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
            drop_translations(
                S, L, mm, word, full, scope & o.SCOPE_MASK if scope & o.SCOPE_FORCED else o.SCOPE_BOTH
            )
        if partial:
            drop_translations(S, L, mm, word, partial, scope)
    return full, partial, lazy | gone


@inlined
def takeable(S: Cells, L: Layout, sender: int, word: int) -> int:
    """Say which CPUs of a word could take the call of `sender` now."""
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
    if kind == o.CALL_LEAVE or int64(S[base + CPU_CALL_STRIDES]) == 0:
        scope = scope & o.SCOPE_MASK  # a flush of everything spares nothing
    full = int64(0)
    partial = int64(0)
    left = int64(0)
    if kind == o.CALL_FLUSH:
        full, partial, left = handle_flush(S, L, sender, word, cpus, scope, 1)
    elif kind == o.CALL_BROADCAST or kind == o.CALL_HYPERCALL:
        mm = int64(S[base + CPU_CALL_MM]) - 1
        drop_translations(S, L, mm, word, cpus, scope)
        if kind == o.CALL_BROADCAST:
            catch_up(S, L, mm, word, cpus)
        if int64(S[base + CPU_CALL_STRIDES]) == 0:
            full = cpus
        else:
            partial = cpus
    elif kind == o.CALL_INVALIDATE:
        mm = int64(S[base + CPU_CALL_MM]) - 1
        drop_translations(S, L, mm, word, cpus, scope)
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
    """Let all targets of a sync take it: its handler is empty, so that this is `take` for all words at once."""
    for w in range(L.words):
        S[L.o_out + sender * L.words + w] = 0


@kernel
def switch_to(S: Cells, L: Layout, cpu: int, task: int) -> int:
    """Switch a CPU to a task, or to the idle task (-1): context_switch() and switch_mm_irqs_off().

    Returns:
        1 if the CPU loaded a page-table root, 3 if that dropped translations too, else 0.
    """
    base = L.o_cpu + cpu * CPU_CELLS
    S[base + CPU_TASK] = task + 1
    if task < 0:
        if L.lazy_tlb and int64(S[base + CPU_MM]) != 0:
            put(S, cpu_set(L, LAZY), L, cpu)
        return 0
    mm = int64(S[L.o_task + task * TASK_CELLS + T_MM])
    if mm == 0:  # a kernel thread borrows what is loaded
        if L.lazy_tlb and int64(S[base + CPU_MM]) != 0:
            put(S, cpu_set(L, LAZY), L, cpu)
        return 0
    return load_mm(S, L, cpu, mm)


@kernel
def load_mm(S: Cells, L: Layout, cpu: int, mm: int) -> int:
    """Load an mm (numbered from one) on a CPU; returns as `switch_to`."""
    base = L.o_cpu + cpu * CPU_CELLS
    old = int64(S[base + CPU_MM])
    word = cpu >> L.shift
    bit = int64(1) << (cpu & (L.bits - 1))
    take_out(S, cpu_set(L, LAZY), L, cpu)
    if old == mm:
        if has(S, mm_set(L, mm - 1, BEHIND), L, cpu):
            catch_up(S, L, mm - 1, word, bit)
            drop_translations(S, L, mm - 1, word, bit, o.SCOPE_BOTH)
            return 3
        return 0
    if old:
        take_out(S, mm_set(L, old - 1, LOADED), L, cpu)
        if L.clear_on_switch:
            take_out(S, mm_set(L, old - 1, MASK), L, cpu)
        if not L.tagged:
            drop_translations(S, L, old - 1, word, bit, o.SCOPE_BOTH)
    S[base + CPU_MM] = mm
    put(S, mm_set(L, mm - 1, LOADED), L, cpu)
    put(S, mm_set(L, mm - 1, MASK), L, cpu)
    slots = L.o_asid + cpu * L.asids
    for i in range(L.asids):
        if int64(S[slots + i]) == mm:
            if has(S, mm_set(L, mm - 1, BEHIND), L, cpu):
                catch_up(S, L, mm - 1, word, bit)
                drop_translations(S, L, mm - 1, word, bit, o.SCOPE_BOTH)
                return 3
            return 1
    i = int64(S[base + CPU_NEXT_ASID])
    S[base + CPU_NEXT_ASID] = (i + 1) % L.asids
    evicted = int64(S[slots + i])
    if evicted:
        drop_translations(S, L, evicted - 1, word, bit, o.SCOPE_BOTH)
    S[slots + i] = mm
    catch_up(S, L, mm - 1, word, bit)
    drop_translations(S, L, mm - 1, word, bit, o.SCOPE_BOTH)
    return 3


@inlined
def place(S: Cells, L: Layout, task: int, cpu: int) -> None:
    """Give a new task its CPU: select_task_rq_fork()."""
    S[L.o_task + task * TASK_CELLS + T_CPU] = cpu


@kernel
def enter_guest(S: Cells, L: Layout, cpu: int) -> None:
    """Let a preempted vCPU run again; it flushes first if it was told to (KVM_VCPU_FLUSH_TLB)."""
    word = cpu >> L.shift
    bit = int64(1) << (cpu & (L.bits - 1))
    take_out(S, cpu_set(L, PREEMPTED), L, cpu)
    if has(S, cpu_set(L, FLUSH_ON_ENTRY), L, cpu):
        take_out(S, cpu_set(L, FLUSH_ON_ENTRY), L, cpu)
        for mm in range(L.mms):
            drop_translations(S, L, mm, word, bit, o.SCOPE_BOTH)


# --- memory that scenarios name


@kernel
def load(S: Cells, L: Layout, cpu: int, variable: int) -> int:
    """Read a variable as a CPU sees it: the newest of its own stores that wait, else memory."""
    for i in range(L.stores - 1, -1, -1):
        at = L.o_store + (cpu * L.stores + i) * STORE_CELLS
        if int64(S[at]) == variable + 1:
            return int64(S[at + 1])
    return int64(S[L.o_variable + variable])


@kernel
def store(S: Cells, L: Layout, cpu: int, variable: int, value: int) -> bool:
    """Write a variable: to memory, or to the end of the store buffer; False if that is full."""
    if L.memory == o.SC:
        S[L.o_variable + variable] = value
        return True
    for i in range(L.stores):
        at = L.o_store + (cpu * L.stores + i) * STORE_CELLS
        if int64(S[at]) == 0:
            S[at] = variable + 1
            S[at + 1] = value
            return True
    return False


@kernel
def drained(S: Cells, L: Layout, cpu: int) -> bool:
    """Say whether all stores of a CPU have reached memory."""
    return L.stores == 0 or int64(S[L.o_store + cpu * L.stores * STORE_CELLS]) == 0


@kernel
def access(S: Cells, L: Layout, cpu: int, entry: int, write: int) -> int:
    """Let a user-mode access use the TLB's copy of an entry, or walk; returns the entry's value, 0 for a fault.

    A store through a copy that is not dirty sets the dirty bit of the entry in memory first, and faults if that has
    gone (Intel SDM 3A, 5.8 "Accessed and Dirty Flags").
    """
    at = L.o_tlb + cpu * L.entries + entry
    value = int64(S[at])
    if value == 0 or (write and value & o.ENTRY_WRITABLE == 0):
        value = int64(S[L.o_variable + entry])
        if value & o.ENTRY_PRESENT == 0:
            S[at] = 0
            return int64(0)
        if write and value & o.ENTRY_WRITABLE == 0:
            S[at] = value
            return int64(0)
    if write and value & o.ENTRY_DIRTY == 0:
        value = int64(S[L.o_variable + entry])
        if value & o.ENTRY_PRESENT == 0 or value & o.ENTRY_WRITABLE == 0:
            S[at] = 0
            return int64(0)
        value = value | o.ENTRY_DIRTY
        S[L.o_variable + entry] = value
    S[at] = value
    return value


@inlined
def stride_shift(L: Layout, cleared: int) -> int:
    """Say how many base pages one stride of a flush spans, as a shift: tlb_get_unmap_shift()."""
    if cleared & o.CLEARED_PTES:
        return int64(0)
    if cleared & o.CLEARED_PMDS:
        return int64(L.pmd_shift)
    if cleared & o.CLEARED_PUDS:
        return int64(L.pud_shift)
    if cleared & o.CLEARED_P4DS:
        return int64(L.p4d_shift)
    return int64(0)


@inlined
def strides_of(S: Cells, L: Layout, gather: int) -> int:
    """Count the strides in the range of a gather, as `(end - start) >> stride_shift` does."""
    pages = (int64(S[gather + G_HI]) - int64(S[gather + G_LO])) << L.unit_pages
    return pages >> stride_shift(L, int64(S[gather + G_CLEARED]))


@inlined
def rounded_strides_of(S: Cells, L: Layout, gather: int) -> int:
    """Count the strides that the range of a gather touches: both ends are rounded outwards."""
    shift = stride_shift(L, int64(S[gather + G_CLEARED]))
    first = (int64(S[gather + G_LO]) << L.unit_pages) >> shift
    return -((-int64(S[gather + G_HI]) << L.unit_pages) >> shift) - first


@inlined
def widen(S: Cells, gather: int, lo: int, hi: int, flags: int, cleared: int) -> None:
    """Add a range to a gather: __tlb_adjust_range()."""
    old = int64(S[gather + G_FLAGS])
    if old & o.RANGE:
        lo = min(lo, int64(S[gather + G_LO]))
        hi = max(hi, int64(S[gather + G_HI]))
    S[gather + G_LO] = lo
    S[gather + G_HI] = hi
    S[gather + G_FLAGS] = old | flags | o.RANGE
    S[gather + G_CLEARED] = int64(S[gather + G_CLEARED]) | cleared


@inlined
def forget_call(S: Cells, base: int) -> None:
    """Leave nothing behind of a request that is over."""
    S[base + CPU_CALL] = 0
    S[base + CPU_CALL_MM] = 0
    S[base + CPU_CALL_GEN] = 0
    S[base + CPU_CALL_STRIDES] = 0


@inlined
def lock_of(S: Cells, L: Layout, P: Cells, pc: int, task: int) -> int:
    """Say which lock a lock step concerns."""
    t = L.o_task + task * TASK_CELLS
    lock = int64(P[pc * 5 + 1])
    if P[pc * 5 + 2] == 1:
        return lock + int64(S[t + T_ON]) - 1
    if P[pc * 5 + 2] == 2:
        return lock + int64(S[t + T_REG + o.SLOT])
    return lock


@inlined
def held(S: Cells, L: Layout, lock: int, write: bool) -> bool:
    """Say whether somebody who wants a lock has to wait: readers only for a writer."""
    k = L.o_lock + lock * LOCK_CELLS
    return bool(int64(S[k + K_WRITER]) != 0 or (write and int64(S[k + K_READERS]) != 0))


@kernel
def sleeps(S: Cells, P: Cells, L: Layout, task: int) -> bool:
    """Say whether the next step of a task is one that it has to wait for, and may sleep meanwhile."""
    pc = int64(S[L.o_task + task * TASK_CELLS + T_PC])
    op = P[pc * 5]
    if op == o.AWAIT:
        return bool(int64(S[L.o_event + P[pc * 5 + 1]]) < P[pc * 5 + 2])
    if op != o.LOCK_READ and op != o.LOCK_WRITE:
        return False
    return bool(P[pc * 5 + 3] and held(S, L, lock_of(S, L, P, pc, task), op == o.LOCK_WRITE))


def _step(S: Cells, P: Cells, lists: Cells, L: Layout, task: int) -> int:
    """Take the next step of a task.

    Args:
        S: the state, changed in place.
        P: steps, shape (n * 5,): operation and operands a b c d.
        lists: tables that PICK reads, any length.
        L: the layout.
        task: whose step; its CPU is where it lives.

    Returns:
        what came of it (`DONE`, `BLOCKED_*`, `HALTED`, `PARKED`) in the low 3 bits; above it the lock or event
        that it concerns, or for FLUSH_SELF what the flush did (1 everything, 2 the range, 4 left the mm).
    """
    t = L.o_task + task * TASK_CELLS
    pc = int64(S[t + T_PC])
    op = P[pc * 5]
    a = P[pc * 5 + 1]
    b = P[pc * 5 + 2]
    c = P[pc * 5 + 3]
    d = P[pc * 5 + 4]
    cpu = int64(S[t + T_CPU])
    mm = int64(S[t + T_ON]) - 1
    regs = t + T_REG
    nxt = pc + 1
    said = int64(0)

    if op == o.NEXT:
        i = int64(S[regs + a]) + 1
        if i < b:
            S[regs + a] = i
            nxt = c
        else:
            S[regs + a] = 0
    elif op == o.PICK:
        S[regs + o.SLOT] = lists[a + int64(S[regs + b])]
    elif op == o.LOAD_PUD:
        S[regs + a] = S[L.o_pud + mm * L.slots + int64(S[regs + o.SLOT])]
    elif op == o.JUMP_ZERO:
        if int64(S[regs + a]) == 0:
            nxt = b
    elif op == o.JUMP_EQUAL:
        if int64(S[regs + a]) == b:
            nxt = c
    elif op == o.JUMP:
        nxt = a
    elif op == o.SET:
        S[regs + a] = b
    elif op == o.WORK or op == o.MARK or op == o.NOTE:
        pass

    elif op == o.LOCK_WRITE or op == o.LOCK_READ or op == o.UNLOCK_WRITE or op == o.UNLOCK_READ:
        lock = lock_of(S, L, P, pc, task)
        k = L.o_lock + lock * LOCK_CELLS
        said = lock << 3
        # A release lets no store of the critical section wait; x86 takes locks with a locked instruction besides.
        if L.memory and not drained(S, L, cpu) and (op >= o.AFTER or L.memory == o.TSO):
            return int64(o.BLOCKED_BUFFER)
        if op == o.LOCK_WRITE:
            if held(S, L, lock, True):
                return said | o.BLOCKED_LOCK
            S[k + K_WRITER] = 1
        elif op == o.LOCK_READ:
            if held(S, L, lock, False):
                return said | o.BLOCKED_LOCK
            S[k + K_READERS] = int64(S[k + K_READERS]) + 1
        elif op == o.UNLOCK_WRITE:
            S[k + K_WRITER] = 0
        else:
            S[k + K_READERS] = int64(S[k + K_READERS]) - 1

    elif op == o.TRY_WRITE:
        lock = lock_of(S, L, P, pc, task)
        if held(S, L, lock, True):
            nxt = c
        else:
            S[L.o_lock + lock * LOCK_CELLS + K_WRITER] = 1
            said = lock << 3
    elif op == o.CLEAR_PUD:
        S[L.o_pud + mm * L.slots + int64(S[regs + o.SLOT])] = 0
        for w in range(L.words):
            leaf = int64(S[mm_set(L, mm, LEAF) + w])
            walk = int64(S[mm_set(L, mm, WALK) + w])
            if leaf:
                S[mm_set(L, mm, STALE_LEAF) + w] = int64(S[mm_set(L, mm, STALE_LEAF) + w]) | leaf
            if walk:
                S[mm_set(L, mm, STALE_WALK) + w] = int64(S[mm_set(L, mm, STALE_WALK) + w]) | walk
    elif op == o.POPULATE:
        entry = L.o_pud + mm * L.slots + int64(S[regs + o.SLOT])
        if int64(S[entry]) != 0:
            nxt = b
        else:
            at = L.o_share + a * L.slots + int64(S[regs + o.SLOT])
            S[regs + o.SCRATCH] = S[at]
            S[at] = int64(S[at]) + 1
            S[entry] = a + 1
    elif op == o.SET_PUD:
        S[L.o_pud + mm * L.slots + int64(S[regs + o.SLOT])] = a + 1
    elif op == o.JUMP_EXCLUSIVE:
        if int64(S[L.o_share + (int64(S[regs + o.CLASS]) - 1) * L.slots + int64(S[regs + o.SLOT])]) < 2:
            nxt = a
    elif op == o.SHARE:
        at = L.o_share + a * L.slots + int64(S[regs + o.SLOT])
        S[regs + o.SCRATCH] = S[at]
        S[at] = int64(S[at]) + 1
    elif op == o.DROP:
        at = L.o_share + (int64(S[regs + o.CLASS]) - 1) * L.slots + int64(S[regs + o.SLOT])
        S[at] = int64(S[at]) - 1
    elif op == o.UNSHARE:
        at = L.o_share + (int64(S[regs + o.CLASS]) - 1) * L.slots + int64(S[regs + o.SLOT])
        left = int64(S[at]) - 1
        S[at] = left
        g = t + T_GATHER + a * GATHER_CELLS
        flags = int64(S[g + G_FLAGS]) | b
        if left == 1:
            flags = flags | c
        S[g + G_FLAGS] = flags
        said = left << 3
    elif op == o.TABLE_STATE:
        at = L.o_state + (int64(S[regs + o.CLASS]) - 1) * L.slots + int64(S[regs + o.SLOT])
        S[at] = a | ((mm + 1) << o.TABLE_OWNER_SHIFT)
    elif op == o.READ_TABLE:
        at = L.o_state + (int64(S[regs + b]) - 1) * L.slots + int64(S[regs + o.SLOT])
        S[regs + a] = int64(S[at]) & o.TABLE_MASK
    elif op == o.TOUCH:
        put(S, mm_set(L, mm, LEAF), L, cpu)
        put(S, mm_set(L, mm, WALK), L, cpu)

    elif op == o.JUMP_NOT_PENDING:
        if int64(S[L.o_mm + mm * MM_CELLS + M_PENDING]) == 0:
            nxt = b
    elif op >= o.GATHER and op <= o.GATHER_REST:
        g = t + T_GATHER + a * GATHER_CELLS
        flags = int64(S[g + G_FLAGS])
        if op == o.JUMP_FLAGS:
            if flags & b == 0:
                nxt = c
        elif op == o.JUMP_CLEARED:
            if int64(S[g + G_CLEARED]) == 0 and flags & b == 0:
                nxt = c
        elif op == o.GATHER_SLOT:
            lo = int64(S[regs + o.SLOT]) * L.slot_units
            widen(S, g, lo + b, lo + c, d & 0xFFFF, d >> 16)
        elif op == o.GATHER_ADD:
            widen(S, g, b, c, d & 0xFFFF, d >> 16)
        elif op == o.GATHER:
            S[g + G_FLAGS] = b
            S[g + G_LO] = 0
            S[g + G_HI] = 0
            S[g + G_CLEARED] = 0
            S[g + G_TABLES] = 0
            m = L.o_mm + mm * MM_CELLS + M_PENDING
            S[m] = int64(S[m]) + 1
            if a == 0:
                S[t + T_GATHER + 2 * GATHER_CELLS + G_TABLES] = 0
        elif op == o.GATHER_RESET:
            S[g + G_FLAGS] = flags & ~(o.FREED_TABLES | o.UNSHARED_TABLES | o.RANGE)
            S[g + G_CLEARED] = 0
            S[g + G_LO] = 0
            S[g + G_HI] = 0
        elif op == o.CLEAR_FLAGS:
            S[g + G_FLAGS] = flags & ~b
        elif op == o.SET_FLAGS:
            S[g + G_FLAGS] = flags | b
        elif op == o.GATHER_TABLES:
            n = int64(S[g + G_TABLES]) + b
            if n >= c:
                S[g + G_TABLES] = n - c
            else:
                S[g + G_TABLES] = n
                nxt = d
        elif op == o.GATHER_PAGES:
            # Only the outermost gather of a task queues pages: how many, its last gather remembers.
            q = t + T_GATHER + 2 * GATHER_CELLS + G_TABLES
            n = int64(S[q]) + b
            S[regs + o.SCRATCH] = int64(n >= c)
            S[q] = n - c if n >= c else n
        elif op == o.GATHER_PART or op == o.GATHER_REST:
            pages = c & 0xFFFF
            rest = (
                int64(S[t + T_GATHER + 2 * GATHER_CELLS + G_TABLES])
                if int64(S[regs + o.SCRATCH])
                else int64(0)
            )
            lo = int64(0) if op == o.GATHER_PART else pages - rest
            hi = pages - rest if op == o.GATHER_PART else pages
            if lo < hi:
                at = int64(S[regs + o.SLOT]) * L.slot_units + b
                widen(S, g, at + lo * (c >> 16), at + (hi - 1) * (c >> 16) + 1, d & 0xFFFF, d >> 16)
        elif op == o.NESTED:
            if int64(S[L.o_mm + mm * MM_CELLS + M_PENDING]) > 1:
                S[g + G_FLAGS] = flags | o.FULLMM | o.FREED_TABLES | o.RANGE
                S[g + G_CLEARED] = 0
        elif op == o.GATHER_END:
            m = L.o_mm + mm * MM_CELLS + M_PENDING
            S[m] = int64(S[m]) - 1
            S[g + G_FLAGS] = 0
            S[g + G_TABLES] = 0
        elif op == o.REQUEST:
            S[g + G_FLAGS] = (b & 0xFFFF) | o.RANGE
            S[g + G_CLEARED] = b >> 16
            S[g + G_LO] = c
            S[g + G_HI] = d
        elif op == o.COPY_RANGE:
            r = t + T_GATHER + 2 * GATHER_CELLS
            S[r + G_FLAGS] = (b & 0xFFFF) | o.RANGE
            S[r + G_CLEARED] = b >> 16
            S[r + G_LO] = S[g + G_LO]
            S[r + G_HI] = S[g + G_HI]

    elif op & 127 >= 70 and op & 127 <= 96:  # a flush request on its way
        base = L.o_cpu + cpu * CPU_CELLS
        out = L.o_out + cpu * L.words
        if op == o.WAIT:
            for w in range(L.words):
                if int64(S[out + w]) != 0:
                    return int64(o.BLOCKED_ACK)
            forget_call(S, base)
        elif op == o.CANCEL:
            forget_call(S, base)
        elif op == o.TARGET_EVERY:
            for w in range(L.words):
                S[out + w] = S[cpu_set(L, ONLINE) + w]
        elif op == o.TARGET_ONLINE:
            for w in range(L.words):
                S[out + w] = S[cpu_set(L, ONLINE) + w]
            take_out(S, out, L, cpu)
        elif op == o.SEND:
            S[base + CPU_CALL] = a | (b << o.SCOPE_SHIFT)
            if int64(S[base + CPU_CALL_MM]) == 0:
                S[base + CPU_CALL_MM] = mm + 1
        elif op == o.FLUSH_BEGIN:
            # What was changed is visible before anything is invalidated: a locked increment, DSB ISHST, ptesync.
            if L.memory and not drained(S, L, cpu):
                return int64(o.BLOCKED_BUFFER)
            g = t + T_GATHER + a * GATHER_CELLS
            m = L.o_mm + mm * MM_CELLS
            gen = int64(S[m + M_GEN])
            if d & o.UNTRACKED == 0:
                gen = (gen + 1) & 0x7F
                S[m + M_GEN] = gen
            for w in range(0 if d & o.UNTRACKED else L.words):
                tagged = int64(S[cpu_set(L, ONLINE) + w])
                S[mm_set(L, mm, FAR_BEHIND) + w] = S[mm_set(L, mm, BEHIND) + w]
                S[mm_set(L, mm, BEHIND) + w] = tagged
            S[base + CPU_CALL_MM] = mm + 1
            S[base + CPU_CALL_GEN] = gen
            n = rounded_strides_of(S, L, g) if d & o.ROUNDED else strides_of(S, L, g)
            if d & (o.BASE_STRIDES | o.PMD_STRIDES):
                n = int64(S[g + G_HI]) - int64(S[g + G_LO])
                if int64(S[g + G_CLEARED]) & (o.CLEARED_PTES | o.CLEARED_PMDS):
                    n = n << L.unit_pages
                else:  # freed tables alone: of each the first page is recorded (pud_free_tlb() and its kin)
                    n = ((n - 1) << L.unit_pages) + 1
                if d & o.PMD_STRIDES:
                    n = n >> L.pmd_shift
            pages = n << stride_shift(L, int64(S[g + G_CLEARED]))
            whole = int64(S[g + G_FLAGS]) & (o.FULLMM | o.NEED_FLUSH_ALL) != 0
            if whole or n > b or (c > 0 and pages > c):
                n = int64(0)
            elif n < 1:
                n = int64(1)
            elif d & o.IN_PAGES:
                n = pages
            S[base + CPU_CALL_STRIDES] = min(n, L.most)
            said = int64(whole) << 3
        elif op == o.TARGET_MM:
            for w in range(L.words):
                S[out + w] = S[mm_set(L, mm, MASK) + w]
            if a == 0:
                take_out(S, out, L, cpu)
        elif op == o.TARGET_NOT_LAZY:
            for w in range(L.words):
                S[out + w] = int64(S[out + w]) & ~int64(S[cpu_set(L, LAZY) + w])
        elif op == o.TARGET_LOADED:
            m = L.o_mm + mm * MM_CELLS + M_TRIM
            if int64(S[m]) != 0:
                S[m] = 0
            else:
                for w in range(L.words):
                    S[out + w] = int64(S[out + w]) & int64(S[mm_set(L, mm, LOADED) + w])
        elif op == o.TARGET_RUNNING:
            for w in range(L.words):
                off = int64(S[out + w]) & int64(S[cpu_set(L, PREEMPTED) + w])
                if off:
                    at = cpu_set(L, FLUSH_ON_ENTRY) + w
                    S[at] = int64(S[at]) | off
                    S[out + w] = int64(S[out + w]) & ~off
        elif op == o.TARGET_WALKERS:
            for w in range(L.words):
                keep = int64(S[cpu_set(L, WALKING) + w]) & int64(S[mm_set(L, mm, LOADED) + w])
                S[out + w] = int64(S[out + w]) & keep
        elif op == o.JUMP_NO_TARGET:
            empty = True
            for w in range(L.words):
                if int64(S[out + w]) != 0:
                    empty = False
            if empty:
                nxt = a
        elif op == o.JUMP_TARGETS_BELOW:
            n = int64(0)
            for w in range(L.words):
                n += popcount(int64(S[out + w]))
            if n < a:
                nxt = b
        elif op == o.JUMP_WHOLE:
            if int64(S[base + CPU_CALL_STRIDES]) == 0:
                nxt = a
        elif op == o.JUMP_EMPTY:
            g = t + T_GATHER + a * GATHER_CELLS
            if int64(S[g + G_LO]) >= int64(S[g + G_HI]):
                nxt = b
        elif op == o.JUMP_NOT_ALONE:
            users = int64(0)
            if int64(S[t + T_MM]) == mm + 1:
                for other in range(L.tasks):
                    if int64(S[L.o_task + other * TASK_CELLS + T_MM]) == mm + 1:
                        users += 1
            if users != 1:
                nxt = a
        elif op == o.JUMP_NOT_DUE:
            m = L.o_mm + mm * MM_CELLS + M_TRIM
            if int64(S[m]) == 0:
                nxt = b
            S[m] = 0
        elif op == o.JUMP_NOT_LOADED:
            if not has(S, mm_set(L, mm, LOADED), L, cpu):
                nxt = a
        elif op == o.JUMP_NOT_OWN:
            if int64(S[t + T_MM]) != mm + 1:
                nxt = a
        elif op == o.JUMP_NOT_MASKED:
            if not has(S, mm_set(L, mm, MASK), L, cpu):
                nxt = a
        elif op == o.FLUSH_SELF:
            word = cpu >> L.shift
            bit = int64(1) << (cpu & (L.bits - 1))
            full = int64(0)
            partial = int64(0)
            left = int64(0)
            if c == 0:
                full, partial, left = handle_flush(S, L, cpu, word, bit, a, 1)
            else:
                flushed = int64(S[base + CPU_CALL_MM]) - 1
                if c == 2:
                    leave_idle_mm(S, L, flushed, word, bit)
                whole = int64(S[base + CPU_CALL_STRIDES]) == 0
                drop_translations(S, L, flushed, word, bit, a & o.SCOPE_MASK if whole else a)
                catch_up(S, L, flushed, word, bit)
                if int64(S[base + CPU_CALL_STRIDES]) == 0:
                    full = bit
                else:
                    partial = bit
            said = (int64(full != 0) | (int64(partial != 0) << 1) | (int64(left != 0) << 2)) << 3
        elif op == o.JUMP_NOT_GLOBAL:
            if int64(S[L.o_mm + mm * MM_CELLS + M_GLOBAL]) == 0:
                nxt = a
        elif op == o.JUMP_NOT_TRANSITION:
            if int64(S[L.o_mm + mm * MM_CELLS + M_GLOBAL]) != 1:
                nxt = a
        elif op == o.CONSIDER_GLOBAL:
            m = L.o_mm + mm * MM_CELLS
            if int64(S[m + M_CONSIDER]) != 0 and int64(S[m + M_GLOBAL]) == 0:
                n = int64(0)
                for w in range(L.words):
                    n += popcount(int64(S[mm_set(L, mm, LOADED) + w]) & ~int64(S[cpu_set(L, LAZY) + w]))
                if n >= a:
                    S[m + M_GLOBAL] = 1
            S[m + M_CONSIDER] = 0
        elif op == o.END_TRANSITION:
            S[L.o_mm + mm * MM_CELLS + M_GLOBAL] = 2
        elif op == o.FLUSH_LOCAL_PAGES:
            drop_translations(S, L, mm, cpu >> L.shift, int64(1) << (cpu & (L.bits - 1)), b)
        elif op == o.JUMP_STRIDES:
            g = t + T_GATHER + a * GATHER_CELLS
            if strides_of(S, L, g) <= b:
                nxt = c

    elif op >= o.V_LOAD and op <= o.REACHED:
        if op == o.V_LOAD:
            S[regs + a] = load(S, L, cpu, b)
        elif op == o.V_STORE:
            if not store(S, L, cpu, a, int64(S[regs + b]) if c else b):
                return int64(o.BLOCKED_BUFFER)
        elif op == o.FENCE or op == o.V_ADD or op == o.V_XCHG or op == o.V_CAS:
            if not drained(S, L, cpu):
                return int64(o.BLOCKED_BUFFER)
            if op == o.V_ADD:
                S[L.o_variable + a] = (int64(S[L.o_variable + a]) + b) & 0x7FFF
                S[regs + c] = S[L.o_variable + a]
            elif op == o.V_XCHG:
                old = int64(S[L.o_variable + a])
                S[L.o_variable + a] = int64(S[regs + b]) if d else b
                S[regs + c] = old
            elif op == o.V_CAS:
                old = int64(S[L.o_variable + a])
                if old == int64(S[regs + b]):
                    S[L.o_variable + a] = S[regs + c]
                else:
                    S[regs + b] = old
                    nxt = d
        elif op == o.ACCESS:
            S[regs + a] = access(S, L, cpu, b, c)
        elif op == o.FAIL:
            return int64((a << 3) | o.FAILED)
        elif op == o.JUMP_NO_BITS:
            if int64(S[regs + a]) & b == 0:
                nxt = c
        elif op == o.COPY:
            S[regs + a] = S[regs + b]
        elif op == o.ADD:
            S[regs + a] = (int64(S[regs + a]) + b) & 0x7FFF
        elif op == o.JUMP_SAME:
            if int64(S[regs + a]) == int64(S[regs + b]):
                nxt = c
        elif op == o.TARGET_RCU:
            for w in range(L.words):
                S[L.o_out + cpu * L.words + w] = S[cpu_set(L, ONLINE) + w]
            take_out(S, L.o_out + cpu * L.words, L, cpu)
        elif op == o.REACHED:
            said = a << 3

    elif op == o.IRQ_OFF:
        put(S, cpu_set(L, IRQ_OFF), L, cpu)
        if a:
            put(S, cpu_set(L, WALKING), L, cpu)
    elif op == o.IRQ_ON:
        take_out(S, cpu_set(L, IRQ_OFF), L, cpu)
        if a:
            take_out(S, cpu_set(L, WALKING), L, cpu)
    elif op == o.SPAWN:
        said = a << 3
    elif op == o.SIGNAL:
        S[L.o_event + a] = int64(S[L.o_event + a]) + 1
        said = a << 3
    elif op == o.AWAIT:
        if int64(S[L.o_event + a]) < b:
            return int64((a << 3) | o.BLOCKED_EVENT)
    elif op == o.MIGRATE:
        S[t + T_CPU] = a
    elif op == o.ON_MM:
        S[t + T_ON] = a + 1 if b < 0 else a + int64(S[regs + b]) + 1
    elif op == o.RELEASE_MM:
        S[t + T_MM] = 0
        if L.lazy_tlb:
            put(S, cpu_set(L, LAZY), L, cpu)
    elif op == o.PARK:
        return int64(o.PARKED)
    elif op == o.HALT:
        S[t + T_PC] = pc
        return int64(o.HALTED)

    S[t + T_PC] = nxt
    return said


@kernel
def choose(S: Cells, P: Cells, L: Layout, task: int) -> bool:
    """Let a task whose next step is a CHOICE go the other way; `step` goes on."""
    t = L.o_task + task * TASK_CELLS
    pc = int64(S[t + T_PC])
    if P[pc * 5] != o.CHOICE:
        return False
    S[t + T_PC] = P[pc * 5 + 1]
    return True


#: The step function, and the same for a loop that takes nothing else: inlined there, a step costs no call.
step = kernel(_step)
step_inlined = inlined_copy(_step)
