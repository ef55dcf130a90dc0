"""Many walks at once: the walk of `walk`, with prefetches so that walks wait for memory together.

A core already overlaps about four walks that don't depend on one another. What a batch adds is software
prefetch, in one of two shapes (`walk_many` chooses by the bytes of the tables):

    ring    each walk goes down to its last table, prefetches the entry that it needs there, and is finished
            when as many others have begun. The upper tables are in the cache.
    group   the walks of a group go down level by level together, each prefetching its next entry.

Both take exactly the steps of `walk.visit`, so that their results are the same in every bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shootdown._compilation.instructions import peek, poke, poke_half, prefetch_address
from shootdown._compilation.kernels import inlined, kernel
from shootdown._pagetables.format_layout import TRUSTS_MEMORY, TRUSTS_OUTPUT, TRUSTS_RESERVED
from shootdown._pagetables.memory_kernels import entry_of
from shootdown._pagetables.walk import (
    NEXT,
    ONES,
    U0,
    begin,
    combined_rights,
    is_allowed,
    is_refused,
    mapped_page,
    next_table,
    walk,
)

RING = 64  # walks under way; a power of two
GROUP = 64
SLOT_BYTES = np.uint64(16)  # of a walk under way: where its entry lies, what it inherited
WORKSPACE = 2 * max(RING, GROUP)  # words

U1, U2, U4, U7, U8 = (np.uint64(n) for n in (1, 2, 4, 7, 8))
LEVEL_AT, SHIFT_AT, RIGHTS_AT = np.uint64(8), np.uint64(16), np.uint64(24)
L0, L1, L2, L3, L4, L5 = (np.uint64(level) for level in range(6))
DEEPEST = 6  # levels that `walk_groups` knows


@inlined
def finish(out: Any, i: Any, pa: Any, entry: Any, info: Any) -> None:
    """Write the result of a walk: `out` has the addresses of the columns pa, info and entry (0: not wanted)."""
    poke(out[0] + i * U8, pa)
    poke_half(out[1] + i * U4, info)
    if out[2] != U0:
        poke(out[2] + i * U8, entry)


@kernel
def _walk_in_full(layout: Any, memory: Any, check: Any, root: Any, va: Any, out: Any, i: Any) -> None:
    """Walk one address by `walk.walk`, and write the result."""
    found = walk(layout, memory, check, root, va)
    info = found.reason | found.level << LEVEL_AT | found.shift << SHIFT_AT | found.rights << RIGHTS_AT
    finish(out, i, found.pa, found.entry, info)


# --- the fast path: entries that are present, well-formed, allow the access and need no flag set. Anything else is
# left to `_walk_in_full`, from the root, so that the fast path needs no reason codes. `looks` is an empty tuple where
# accessed and dirty flags are ignored: then they take no instruction. What `layout.trusts` names takes none either.


@inlined
def _is_canonical(layout: Any, va: Any) -> Any:
    return begin(layout, layout.root_mask, va).reason == NEXT


@inlined
def _place(layout: Any, memory: Any, table: Any, va: Any, level: Any) -> Any:
    """Return whether the whole table lies in the window, and where its entry lies in this process."""
    entries = layout.index_masks[level] + U1
    if layout.next_bits != U0:  # a table lies aligned to its size
        table &= ~(layout.entry_bytes * entries - U1)
    offset = table - memory.window_base
    index = ((va >> layout.shifts[level]) & layout.index_masks[level]) * layout.entry_bytes
    if layout.entry_bytes != U8:
        index &= ~U7
    if layout.trusts & TRUSTS_MEMORY:
        return True, memory.window + offset + index
    size = layout.entry_bytes * entries
    inside = memory.window_bytes >= size and offset <= memory.window_bytes - size
    return inside, memory.window + offset + index


@inlined
def _is_reserved(layout: Any, entry: Any, slot: Any) -> Any:
    return not layout.trusts & TRUSTS_RESERVED and is_refused(layout, entry, slot)


@inlined
def _is_too_high(layout: Any, check: Any, address: Any) -> Any:
    return layout.checks_output and not layout.trusts & TRUSTS_OUTPUT and address & check.output_refused != U0


@inlined
def _entry(layout: Any, at: Any, va: Any, level: Any) -> Any:
    """Read the entry; tables lie aligned, so that the index alone says which half of a word it is."""
    index = (va >> layout.shifts[level]) & layout.index_masks[level]
    return entry_of(peek(at), index * layout.entry_bytes, layout)


@inlined
def _leads_on(layout: Any, check: Any, looks: Any, entry: Any, level: Any) -> Any:
    """Whether an entry points to a table of the usual size and needs none of the slow path's checks."""
    if layout.table_masks[level] == U0 and layout.table_values[level] != U0:
        return False
    mask = layout.present_masks[level] | layout.table_masks[level]
    value = layout.present_values[level] | layout.table_values[level]
    if layout.next_bits != U0 and level + U1 < layout.depth:
        mask |= layout.next_bits
        value |= layout.shifts[level] - layout.shifts[level + U1]
    accessed = layout.accessed_masks[U2 * level] if len(looks) != 0 else U0
    mask |= accessed
    if not layout.trusts & TRUSTS_RESERVED:
        mask |= check.reserved[U2 * level]
    return entry & mask == value | accessed and not _is_reserved(layout, entry, U2 * level)


# The permissions of the tables so far are kept as two words: bits that all of them have, and bits that any of them
# has. That takes half the instructions of `Visit.inherited`, which is made from the two at the end.


@inlined
def _all_have(layout: Any, all_: Any, entry: Any, level: Any) -> Any:
    return all_ & entry if layout.inherit_masks[level] != U0 else all_


@inlined
def _any_has(layout: Any, any_: Any, entry: Any, level: Any) -> Any:
    return any_ | entry if layout.inherit_masks[level] & layout.inherit_flip != U0 else any_


@inlined
def _inherited(layout: Any, all_: Any, any_: Any) -> Any:
    return (all_ & ~layout.inherit_flip) | (~any_ & layout.inherit_flip)


@inlined
def _is_plain_leaf(layout: Any, check: Any, looks: Any, entry: Any, level: Any) -> Any:
    mask = layout.present_masks[level] | layout.leaf_present_masks[level]
    value = layout.present_values[level] | layout.leaf_present_values[level]
    slot = U2 * level + U1
    if not layout.trusts & TRUSTS_RESERVED:
        mask |= check.reserved[slot]
    if len(looks) != 0:
        dirty = check.write != U0
        set_ = layout.accessed_masks[slot] | (layout.dirty_set if dirty else U0)
        mask |= set_ | (layout.dirty_clear if dirty else U0)
        value |= set_
    good = entry & mask == value and not _is_reserved(layout, entry, slot)
    if layout.table_masks[level] != U0 or layout.table_values[level] == U0:
        good = good and entry & layout.table_masks[level] != layout.table_values[level]
    if layout.run_masks[level] != U0:
        good = good and entry & layout.run_masks[level] != layout.run_values[level]
    return good


@inlined
def _ends(
    layout: Any, check: Any, looks: Any, entry: Any, inherited: Any, va: Any, level: Any, out: Any, i: Any
) -> Any:
    """Write the walk's end if the entry maps the page and allows the access; return whether it does."""
    shift = layout.shifts[level]
    low = (U1 << shift) - U1
    base = mapped_page(layout, entry, level) & ~low
    rights = combined_rights(layout, entry, inherited)
    good = _is_plain_leaf(layout, check, looks, entry, level) and is_allowed(layout, check, rights)
    good = good and not _is_too_high(layout, check, base)
    if good:
        info = level << LEVEL_AT | shift << SHIFT_AT | rights << RIGHTS_AT
        finish(out, i, base | (va & low), entry, info)
    return good


@kernel
def walk_in_order(
    layout: Any, memory: Any, check: Any, looks: Any, root: Any, addresses: Any, count: Any, out: Any
) -> None:
    """Walk one address after another, without prefetch."""
    for i in range(count):
        n = np.uint64(i)
        va = peek(addresses + n * U8)
        table, all_, any_ = root & layout.root_mask, ONES, U0
        done, walking = False, _is_canonical(layout, va)
        for step in range(layout.depth):
            if not walking:
                break
            level = np.uint64(step)
            walking, at = _place(layout, memory, table, va, level)
            if walking:
                entry = _entry(layout, at, va, level)
                walking = _leads_on(layout, check, looks, entry, level)
                if walking:
                    table = next_table(layout, entry)
                    all_, any_ = _all_have(layout, all_, entry, level), _any_has(layout, any_, entry, level)
                    walking = not _is_too_high(layout, check, table)
                else:
                    inherited = _inherited(layout, all_, any_)
                    done = _ends(layout, check, looks, entry, inherited, va, level, out, n)
        if not done:
            _walk_in_full(layout, memory, check, root, va, out, n)


@inlined
def _down_to_last_table(layout: Any, memory: Any, check: Any, looks: Any, root: Any, va: Any) -> Any:
    """Answer where the last entry lies, or 0 for a walk that doesn't get there straight, and what is inherited."""
    table, all_, any_ = root & layout.root_mask, ONES, U0
    walking = _is_canonical(layout, va)
    for step in range(layout.depth - 1):
        if not walking:
            break
        level = np.uint64(step)
        walking, at = _place(layout, memory, table, va, level)
        if walking:
            entry = _entry(layout, at, va, level)
            walking = _leads_on(layout, check, looks, entry, level)
            table = next_table(layout, entry)
            all_, any_ = _all_have(layout, all_, entry, level), _any_has(layout, any_, entry, level)
            walking = walking and not _is_too_high(layout, check, table)
    place = U0
    if walking:
        inside, at = _place(layout, memory, table, va, np.uint64(layout.depth - 1))
        place = at if inside else U0
    return place, _inherited(layout, all_, any_)


@kernel
def walk_ring(
    layout: Any,
    memory: Any,
    check: Any,
    looks: Any,
    root: Any,
    addresses: Any,
    count: Any,
    out: Any,
    workspace: Any,
) -> None:
    """Walk with a ring of walks, each of which waits for its last entry."""
    last = np.uint64(layout.depth - 1)
    for i in range(count + RING):
        n = np.uint64(i)
        slot = workspace + (n & np.uint64(RING - 1)) * SLOT_BYTES
        if i >= RING:
            m = n - np.uint64(RING)
            va, at = peek(addresses + m * U8), peek(slot)
            done = False
            if at != U0:
                entry = _entry(layout, at, va, last)
                done = _ends(layout, check, looks, entry, peek(slot + U8), va, last, out, m)
            if not done:
                _walk_in_full(layout, memory, check, root, va, out, m)
        if i < count:
            va = peek(addresses + n * U8)
            at, inherited = _down_to_last_table(layout, memory, check, looks, root, va)
            prefetch_address(at)
            poke(slot, at)
            poke(slot + U8, inherited)


@inlined
def _down_one_level(
    layout: Any,
    memory: Any,
    check: Any,
    looks: Any,
    root: Any,
    level: Any,
    addresses: Any,
    first: Any,
    count: Any,
    out: Any,
    slots: Any,
) -> None:
    for j in range(count):
        n = first + np.uint64(j)
        slot = slots + np.uint64(j) * SLOT_BYTES
        at = peek(slot)
        if at != U0:  # 0: it has ended
            va, inherited = peek(addresses + n * U8), peek(slot + U8)
            entry = _entry(layout, at, va, level)
            at = U0
            done = False
            if level + U1 < layout.depth and _leads_on(layout, check, looks, entry, level):
                table = next_table(layout, entry)
                if not _is_too_high(layout, check, table):
                    inside, place = _place(layout, memory, table, va, level + U1)
                    at = place if inside else U0
                    prefetch_address(at)
                    poke(
                        slot + U8, inherited & ((entry ^ layout.inherit_flip) | ~layout.inherit_masks[level])
                    )
            else:
                done = _ends(layout, check, looks, entry, inherited, va, level, out, n)
            poke(slot, at)
            if at == U0 and not done:
                _walk_in_full(layout, memory, check, root, va, out, n)


@kernel
def walk_groups(
    layout: Any,
    memory: Any,
    check: Any,
    looks: Any,
    root: Any,
    addresses: Any,
    count: Any,
    out: Any,
    workspace: Any,
) -> None:
    """Walk in groups that go down level by level."""
    top = root & layout.root_mask
    for start in range(0, count, GROUP):
        first = np.uint64(start)
        size = min(GROUP, count - start)
        for j in range(size):
            slot = workspace + np.uint64(j) * SLOT_BYTES
            n = first + np.uint64(j)
            va = peek(addresses + n * U8)
            inside, place = _place(layout, memory, top, va, U0)
            at = place if inside and _is_canonical(layout, va) else U0
            poke(slot, at)
            poke(slot + U8, ONES)
            if at == U0:
                _walk_in_full(layout, memory, check, root, va, out, n)
        # A constant for each level: LLVM drops what the format does not have, and folds what it does.
        _down_one_level(layout, memory, check, looks, root, L0, addresses, first, size, out, workspace)
        if layout.depth > 1:
            _down_one_level(layout, memory, check, looks, root, L1, addresses, first, size, out, workspace)
        if layout.depth > 2:
            _down_one_level(layout, memory, check, looks, root, L2, addresses, first, size, out, workspace)
        if layout.depth > 3:
            _down_one_level(layout, memory, check, looks, root, L3, addresses, first, size, out, workspace)
        if layout.depth > 4:
            _down_one_level(layout, memory, check, looks, root, L4, addresses, first, size, out, workspace)
        if layout.depth > 5:
            _down_one_level(layout, memory, check, looks, root, L5, addresses, first, size, out, workspace)
