"""What each CPU may hold: translations of a program's atoms, and links to the tables that have their entries.

An explored program's addresses are cut into atoms: the largest ranges that each of its calls, each page table's end and
each huge page treats alike. A page table has one entry for each atom of its slot. An atom as large as a huge page may
be mapped by the link of its slot itself. What a CPU holds is a set: the translations that its TLB, and the links that
its walk caches, may have read at any moment since they were flushed. A translation is marked dead when its frame is
freed or when the right to use it has been taken away, a link when its table is freed or becomes another mm's; so is
what is read of a frame or table that is free already. A dead one where the hardware can use it is the violation.
"""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, kernel
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64, lowest
from shootdown._machine.layout import (
    A_HI,
    A_LO,
    A_SLOT,
    ATOM_CELLS,
    CPU_CELLS,
    CPU_MM,
    Layout,
)
from shootdown._machine.ranges import SHIFT, invalidates, reaches
from shootdown._machine.sets import LAZY, LEAF, PREEMPTED, STALE_WALK, USER, cpu_set, has, mm_set

#: What is violated, if anything, as numbers of invariants from one.
NOTHING, DEAD_LINK, DEAD_TRANSLATION = 0, 1, 2


@inlined
def held_at(L: Layout, cpu: int, mm: int, atom: int) -> int:
    """Return the cell of the translations that a CPU may hold of an atom: readable, writable, whether one is dead."""
    return L.o_held + (cpu * L.mms + mm) * L.atoms + atom


@inlined
def links_at(L: Layout, cpu: int, mm: int, slot: int) -> int:
    """Return the cell of the links that a CPU may hold of a slot: a bit for each class, and whether one is dead."""
    return L.o_links + (cpu * L.mms + mm) * L.slots + slot


@inlined
def entry_at(L: Layout, table: int, atom: int) -> int:
    """Return the cell of an atom's entry in the table of a class, numbered from one."""
    return L.o_entry + (table - 1) * L.atoms + atom


@inlined
def dead_translation(L: Layout) -> int:
    """Return the bit of a cell at `held_at` that says that one of its translations is dead."""
    return int64(1) << (2 * L.frames)


@inlined
def dead_link(L: Layout) -> int:
    """Return the bit of a cell at `links_at` that says that one of its links is dead."""
    return int64(1) << L.classes


@inlined
def translation(L: Layout, value: int) -> int:
    """Return what a walker may cache of an entry's value: the bit of its frame, readable and perhaps writable.

    A store by a translation whose dirty bit is clear walks again before it writes (Intel SDM 3A, 5.8), and so counts as
    one that only reads.
    """
    if value & o.ENTRY_PRESENT == 0:
        return int64(0)
    frame = (value >> o.ENTRY_PAGE_SHIFT) & ((int64(1) << L.frames) - 1)
    if value & o.ENTRY_WRITABLE and value & o.ENTRY_DIRTY:
        return frame | frame << L.frames
    return frame


@kernel
def fill_link(S: Cells, L: Layout, cpu: int, slot: int) -> bool:
    """Let a CPU's walker cache the link of a slot of its mm; False if it can't, or holds it already.

    A link to a table that is freed or another mm's already is dead from the beginning.
    """
    mm = int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_MM]) - 1
    if mm < 0 or has(S, cpu_set(L, PREEMPTED), L, cpu) or L.hardware_walks == 0:
        return False
    link = int64(S[L.o_pud + mm * L.slots + slot])
    at = links_at(L, cpu, mm, slot)
    if link == 0 or link >= o.ENTRY_HUGE or (int64(S[at]) >> (link - 1)) & 1:
        return False
    held = int64(S[at])
    state = int64(S[L.o_state + (link - 1) * L.slots + slot])
    used = state & o.TABLE_MASK
    gone = used == o.TABLE_FREED or (used == o.TABLE_REUSED and state >> o.TABLE_OWNER_SHIFT != mm + 1)
    more = held | (dead_link(L) if gone else int64(1) << (link - 1))
    S[at] = more
    return bool(more != held)


@inlined
def maps_huge(L: Layout, S: Cells, mm: int, atom: int) -> int:
    """Return the link of an atom's slot if it is the entry of the huge page that the atom is; else 0."""
    a = L.o_atom + atom * ATOM_CELLS
    link = int64(S[L.o_pud + mm * L.slots + int64(S[a + A_SLOT])])
    if link >= o.ENTRY_HUGE and int64(S[a + A_HI]) - int64(S[a + A_LO]) == int64(1) << L.pmd_shift:
        return link
    return int64(0)


@inlined
def readable(L: Layout, S: Cells, mm: int, atom: int) -> int:
    """Return the translation of an atom that the link of its slot leads to now."""
    link = int64(S[L.o_pud + mm * L.slots + int64(S[L.o_atom + atom * ATOM_CELLS + A_SLOT])])
    if link == 0:
        return int64(0)
    if link >= o.ENTRY_HUGE:
        return translation(L, maps_huge(L, S, mm, atom))
    return translation(L, int64(S[entry_at(L, link, atom)]))


@inlined
def free_frames(S: Cells, L: Layout) -> int:
    """Return the frames that have no references, as a mask."""
    found = int64(0)
    for frame in range(L.frames):
        if int64(S[L.o_frame + frame]) == 0:
            found = found | int64(1) << frame
    return found


@kernel
def fill_translation(S: Cells, L: Layout, cpu: int, atom: int) -> bool:
    """Let a CPU's walker cache an atom's translation, by any link that it may hold; False if that adds nothing.

    A translation of a frame that is free already is dead from the beginning.
    """
    mm = int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_MM]) - 1
    if mm < 0 or has(S, cpu_set(L, PREEMPTED), L, cpu):
        return False
    slot = int64(S[L.o_atom + atom * ATOM_CELLS + A_SLOT])
    if L.hardware_walks:
        links = int64(S[links_at(L, cpu, mm, slot)]) & (dead_link(L) - 1)
    elif has(S, cpu_set(L, LAZY), L, cpu):
        return False
    else:  # the handler of a miss reads the link and the entry, and nothing comes between
        link = int64(S[L.o_pud + mm * L.slots + slot])
        links = int64(1) << (link - 1) if 0 < link < o.ENTRY_HUGE else int64(0)
    at = held_at(L, cpu, mm, atom)
    held = int64(S[at])
    more = held | translation(L, maps_huge(L, S, mm, atom))
    while links:
        more = more | translation(L, int64(S[entry_at(L, lowest(links) + 1, atom)]))
        links = links & (links - 1)
    if more != held:
        free = free_frames(S, L)
        free = free | free << L.frames
        if more & free:
            more = (more & ~free) | dead_translation(L)
    S[at] = more
    return more != held


@kernel
def fill(S: Cells, L: Layout, cpu: int, what: int) -> bool:
    """Let a CPU's walker cache one thing: the link of slot `what`, or of atom `what - slots` the translation."""
    if what < L.slots:
        return fill_link(S, L, cpu, what)
    return fill_translation(S, L, cpu, what - L.slots)


@kernel
def fill_all(S: Cells, L: Layout) -> None:
    """Let every CPU hold all that its walker could read now. To hold more never makes a move impossible."""
    for cpu in range(L.cpus):
        mm = int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_MM]) - 1
        if mm < 0 or has(S, cpu_set(L, PREEMPTED), L, cpu):
            continue
        pud = L.o_pud + mm * L.slots
        links = links_at(L, cpu, mm, int64(0))
        if L.hardware_walks:
            for slot in range(L.slots):
                link = int64(S[pud + slot])
                if 0 < link < o.ENTRY_HUGE and (int64(S[links + slot]) >> (link - 1)) & 1 == 0:
                    fill_link(S, L, cpu, slot)
        elif has(S, cpu_set(L, LAZY), L, cpu):
            continue
        first = held_at(L, cpu, mm, int64(0))
        for atom in range(L.atoms):
            # Most often it has all that the one link leads to already.
            others = int64(0)
            if L.hardware_walks:
                slot = int64(S[L.o_atom + atom * ATOM_CELLS + A_SLOT])
                link = int64(S[pud + slot])
                others = int64(S[links + slot]) & (dead_link(L) - 1)
                if 0 < link < o.ENTRY_HUGE:
                    others = others & ~(int64(1) << (link - 1))
            if others or readable(L, S, mm, atom) & ~int64(S[first + atom]):
                fill_translation(S, L, cpu, atom)


@kernel
def usable_dead(S: Cells, L: Layout) -> int:
    """Look for something dead that a CPU can use, and return what: one of `NOTHING`, `DEAD_LINK`, `DEAD_TRANSLATION`.

    A walker uses the links of its loaded mm at any time, on a lazy CPU too; a translation is used in user mode.
    """
    for cpu in range(L.cpus):
        mm = int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_MM]) - 1
        if mm < 0 or has(S, cpu_set(L, PREEMPTED), L, cpu):
            continue
        for slot in range(L.slots):
            if int64(S[links_at(L, cpu, mm, slot)]) & dead_link(L):
                return int64(DEAD_LINK)
        if has(S, cpu_set(L, USER), L, cpu) and not has(S, cpu_set(L, LAZY), L, cpu):
            for atom in range(L.atoms):
                if int64(S[held_at(L, cpu, mm, atom)]) & dead_translation(L):
                    return int64(DEAD_TRANSLATION)
    return int64(NOTHING)


@kernel
def is_fresh(S: Cells, L: Layout, cpu: int, mm: int) -> bool:
    """Whether a CPU holds nothing of an mm but what its walker could read now, and has again when it drops it."""
    bit = int64(1) << cpu  # one word holds all CPUs
    for name in range(LEAF, STALE_WALK + 1):
        if int64(S[mm_set(L, mm, name)]) & bit:
            return False
    reads = int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_MM]) == mm + 1 and not has(
        S, cpu_set(L, PREEMPTED), L, cpu
    )
    if L.hardware_walks == 0 and has(S, cpu_set(L, LAZY), L, cpu):
        reads = False
    for slot in range(L.slots):
        link = int64(S[L.o_pud + mm * L.slots + slot])
        now = int64(0)
        if reads and 0 < link < o.ENTRY_HUGE and L.hardware_walks:
            now = int64(1) << (link - 1)
        if int64(S[links_at(L, cpu, mm, slot)]) & ~now:
            return False
    for atom in range(L.atoms):
        held = int64(S[held_at(L, cpu, mm, atom)])
        if held == 0:
            continue
        if not reads or held & ~readable(L, S, mm, atom):
            return False
    return True


@kernel
def drop_held(
    S: Cells, L: Layout, mm: int, word: int, cpus: int, lo: int, hi: int, how: int, scope: int
) -> None:
    """Drop what CPUs may hold of an mm: translations and links that a flush of a range invalidates.

    Args:
        S, L, mm, word, cpus, lo, hi, how, scope: as for `flushes.drop_range`.
    """
    while cpus:
        cpu = word * L.bits + lowest(cpus)
        cpus = cpus & (cpus - 1)
        for atom in range(L.atoms if scope & o.SCOPE_LEAF else 0):
            a = L.o_atom + atom * ATOM_CELLS
            if reaches(L, lo, hi, how, int64(S[a + A_LO]), int64(S[a + A_HI])):
                S[held_at(L, cpu, mm, atom)] = 0
        for slot in range(L.slots if scope & o.SCOPE_WALK else 0):
            if scope & o.SCOPE_AT_VA == 0 or invalidates(
                lo, hi, how & SHIFT, slot * L.slot_pages, (slot + 1) * L.slot_pages
            ):
                S[links_at(L, cpu, mm, slot)] = 0


@kernel
def bury_frames(S: Cells, L: Layout, frames: int) -> None:
    """Mark every translation of some frames, which are free now, as dead."""
    both = frames | frames << L.frames
    for i in range(L.cpus * L.mms * L.atoms):
        held = int64(S[L.o_held + i])
        if held & both:
            S[L.o_held + i] = (held & ~both) | dead_translation(L)


@kernel
def bury_table(S: Cells, L: Layout, table: int, slot: int, owner: int) -> None:
    """Mark every link to a table as dead, except those of the mm that owns it now (-1: of none)."""
    for cpu in range(L.cpus):
        for mm in range(L.mms):
            at = links_at(L, cpu, mm, slot)
            held = int64(S[at])
            if mm != owner and (held >> (table - 1)) & 1:
                S[at] = (held & ~(int64(1) << (table - 1))) | dead_link(L)


@kernel
def condemn(S: Cells, L: Layout, mm: int, atom: int, frames: int, writes: int) -> None:
    """Mark the translations of an atom to some frames as dead: the right to use them, or to write, is gone."""
    both = frames << L.frames if writes else frames | frames << L.frames
    for cpu in range(L.cpus):
        at = held_at(L, cpu, mm, atom)
        held = int64(S[at])
        if held & both:
            S[at] = (held & ~both) | dead_translation(L)


@kernel
def occupants(S: Cells, L: Layout, mm: int, atom: int) -> int:
    """Return the frames, as a mask, that an atom of an mm maps or that any CPU may still reach by it."""
    slot = int64(S[L.o_atom + atom * ATOM_CELLS + A_SLOT])
    link = int64(S[L.o_pud + mm * L.slots + slot])
    found = translation(L, maps_huge(L, S, mm, atom))
    if 0 < link < o.ENTRY_HUGE:
        found = translation(L, int64(S[entry_at(L, link, atom)]))
    for cpu in range(L.cpus):
        found = found | int64(S[held_at(L, cpu, mm, atom)])
    found = found & (dead_translation(L) - 1)
    return (found | found >> L.frames) & ((int64(1) << L.frames) - 1)
