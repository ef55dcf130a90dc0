"""The TLB kernels: lookup, fill and access over the words that `words` describes.

Kernels take `words` and `plan` as arrays or, from other kernels, as `raw` makes them: in a hot loop an array costs
a call seven registers, and each index a check of its sign. Python calls the `on_*` kernels at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shootdown._compilation.instructions import raw
from shootdown._compilation.kernels import inlined, kernel
from shootdown._tlb.flushing import (
    catch_up,
    flush,
    last_flush,
    settle,
    settled_set,
    sweep,
)
from shootdown._tlb.words import (
    CLOCK,
    END_ROW,
    EXCLUSIVE,
    FILLED,
    FIRST_OF_CACHE,
    FIRST_ROW,
    GLOBAL,
    HAS_GLOBAL,
    HITS,
    IDENTITY,
    INCLUSION,
    INCLUSIVE,
    L2_ROW,
    LEVEL_ROW,
    LEVELS,
    LRU,
    ONE,
    POLICY,
    R7,
    R13,
    R17,
    REFERENCES,
    SEED,
    SETS,
    SHIFT,
    SHIFT_MASK,
    SIX,
    STEP,
    TABLE_SHIFT,
    TAG_MASK,
    TREE_PLRU,
    TREES,
    VM_MASK,
    WALK_ROW,
    WALKS,
    WAYS,
    ZERO,
    cache_of,
    control_of,
    free,
    page_key,
    set_of,
)


@inlined
def _find(words: Any, plan: Any, at: Any, ways: Any, key: Any, tag: Any) -> Any:
    for way in range(ways):
        if words[at + 1 + way] == key:
            mark = words[at + 1 + ways + way]
            differs = (mark ^ tag) & TAG_MASK
            if differs == ZERO or (mark & GLOBAL != ZERO and differs & np.uint64(plan[VM_MASK]) == ZERO):
                return way
    return np.int64(-1)


@inlined
def _touch(words: Any, plan: Any, cpu: Any, row: Any, at: Any, way: Any) -> None:
    ways = plan[row + WAYS]
    stamps = at + 1 + 2 * ways
    if plan[row + POLICY] == LRU:
        clock = control_of(plan, cpu) + CLOCK
        words[clock] += ONE
        words[stamps + way] = words[clock]
    elif plan[row + POLICY] == TREE_PLRU:
        leaves = ways // plan[row + TREES]
        tree = way // leaves
        words[stamps] = np.uint64(tree)
        node = leaves + way % leaves
        while node > 1:  # each node on the way up points at its other half
            words[stamps + tree * (leaves - 1) + (node >> 1)] = np.uint64(1 - (node & 1))
            node >>= 1


@kernel
def _victim(words: Any, plan: Any, cpu: Any, row: Any, at: Any) -> Any:
    """Choose the way of a full set that goes."""
    ways = plan[row + WAYS]
    stamps = at + 1 + 2 * ways
    if plan[row + POLICY] == LRU:
        victim: Any = np.int64(0)
        for way in range(1, ways):
            if words[stamps + way] < words[stamps + victim]:
                victim = way
        return victim
    if plan[row + POLICY] == TREE_PLRU:
        trees = plan[row + TREES]
        leaves = ways // trees
        tree = (np.int64(words[stamps]) + 1) % trees
        node = np.int64(1)
        while node < leaves:
            node = 2 * node + np.int64(words[stamps + tree * (leaves - 1) + node])
        return tree * leaves + node - leaves
    seed = control_of(plan, cpu) + SEED
    drawn = words[seed] ^ (
        words[seed] << R13
    )  # xorshift64 (Marsaglia, Journal of Statistical Software 8, 2003)
    drawn ^= drawn >> R7
    drawn ^= drawn << R17
    words[seed] = drawn
    return np.int64(drawn % np.uint64(ways))


@kernel
def _put(words: Any, plan: Any, cpu: Any, row: Any, key: Any, mark: Any, data: Any) -> Any:
    """Put an entry into one cache; return its offset, and the key, mark and data of the one it pushed out.

    It goes to the way that holds this translation already, else to the lowest free one, else to the victim's.
    """
    at = settled_set(words, plan, cpu, row, key >> SIX)
    ways = plan[row + WAYS]
    way = _find(words, plan, at, ways, key, mark & TAG_MASK)
    pushed_out = way < 0
    if way < 0:
        for i in range(ways):
            if words[at + 1 + i] == ZERO:
                way = i
                break
    if way < 0:
        way = _victim(words, plan, cpu, row, at)
    slot = at + 1 + way
    old_key, old_mark, old_data = words[slot], words[slot + ways], words[slot + 3 * ways]
    if not pushed_out:
        old_key = ZERO
    words[control_of(plan, cpu) + FILLED] = ONE
    words[slot] = key
    words[slot + ways] = mark
    words[slot + 3 * ways] = data
    _touch(words, plan, cpu, row, at, way)
    return slot, old_key, old_mark, old_data


@inlined
def _row_for(plan: Any, first: Any, end: Any, key: Any) -> Any:
    for row in range(first, end, STEP):
        if plan[row + SHIFT] == np.int64(key & SHIFT_MASK):
            return row
    return np.int64(-1)


@kernel
def _remove_copy(words: Any, plan: Any, cpu: Any, row: Any, key: Any, mark: Any) -> None:
    """Drop the copy of one translation that the cache of a plan row holds, if it does."""
    if row >= 0:
        at = settled_set(words, plan, cpu, row, key >> SIX)
        ways = plan[row + WAYS]
        for way in range(ways):
            if words[at + 1 + way] == key and (words[at + 1 + ways + way] ^ mark) & IDENTITY == ZERO:
                free(words, at, ways, way)


@kernel
def _fill_l1(words: Any, plan: Any, cpu: Any, key: Any, mark: Any, data: Any) -> Any:
    """Put a translation into L1, and what that pushed out into an exclusive L2; return its offset or -1."""
    row = _row_for(plan, FIRST_ROW, plan[L2_ROW], key)
    if row < 0:
        return row
    slot, old_key, old_mark, old_data = _put(words, plan, cpu, row, key, mark, data)
    if plan[INCLUSION] == EXCLUSIVE and old_key != ZERO:
        row = _row_for(plan, plan[L2_ROW], plan[WALK_ROW], old_key)
        _put(words, plan, cpu, row, old_key, old_mark, old_data)
    return slot


@kernel
def fill(words: Any, plan: Any, cpu: Any, key: Any, mark: Any, data: Any) -> Any:
    """Enter a translation that a walk found, as the inclusion rule says; return its offset or -1."""
    catch_up(words, plan, cpu)
    if plan[HAS_GLOBAL] == 0:
        mark &= ~GLOBAL
    slot = np.int64(-1)
    l1 = _row_for(plan, FIRST_ROW, plan[L2_ROW], key)
    l2 = _row_for(plan, plan[L2_ROW], plan[WALK_ROW], key)
    if plan[INCLUSION] == EXCLUSIVE and l1 >= 0:
        _remove_copy(words, plan, cpu, l2, key, mark)
    elif l2 >= 0:
        slot, old_key, old_mark, _ = _put(words, plan, cpu, l2, key, mark, data)
        if plan[INCLUSION] == INCLUSIVE and old_key != ZERO:
            row = _row_for(plan, FIRST_ROW, plan[L2_ROW], old_key)
            _remove_copy(words, plan, cpu, row, old_key, old_mark)
    if l1 >= 0:
        slot = _fill_l1(words, plan, cpu, key, mark, data)
    return slot


@kernel
def _promote(words: Any, plan: Any, cpu: Any, row: Any, slot: Any) -> Any:
    """Copy an L2 entry that was hit to L1 (move it, where L2 is exclusive); return where it is then."""
    ways = plan[row + WAYS]
    key, mark, data = words[slot], words[slot + ways], words[slot + 3 * ways]
    if _row_for(plan, FIRST_ROW, plan[L2_ROW], key) < 0:
        return slot
    if plan[INCLUSION] == EXCLUSIVE:
        free(words, slot - 1, ways, 0)
    return _fill_l1(words, plan, cpu, key, mark, data)


@inlined
def lookup(words: Any, plan: Any, cpu: Any, tag: Any, va: Any) -> Any:
    """Look an address up as hardware does: L1 in every page size, then L2; an L2 hit is copied to L1.

    Returns:
        The plan row that hit (0 for a miss; from `plan[L2_ROW]` on it is L2's) and the offset of the entry's
        key: its mark and data lie `ways` and `3 * ways` words behind it.
    """
    catch_up(words, plan, cpu)
    control = control_of(plan, cpu)
    last = last_flush(words, control)
    for row in range(FIRST_ROW, plan[WALK_ROW], STEP):
        key = page_key(va, plan[row + SHIFT])
        at = set_of(plan, cpu, row, key >> SIX)
        if words[at] < last:
            sweep(words, plan, cpu, row, at)
        ways = plan[row + WAYS]
        way = _find(words, plan, at, ways, key, tag)
        if way >= 0:
            words[control + HITS + row // STEP] += ONE
            _touch(words, plan, cpu, row, at, way)
            slot = at + 1 + way
            if row >= plan[L2_ROW]:
                slot = _promote(words, plan, cpu, row, slot)
            return row, slot
    return np.int64(0), np.int64(-1)


@kernel
def walk_lookup(words: Any, plan: Any, cpu: Any, tag: Any, va: Any, above: Any) -> Any:
    """Find the deepest cached table entry on the way to an address that covers more than `2**above` bytes.

    Returns:
        The offset of its key, whose low 6 bits are log2 of what it covers; -1 for a walk from the root.
    """
    catch_up(words, plan, cpu)
    for row in range(plan[WALK_ROW], plan[END_ROW], STEP):
        if plan[row + SHIFT] > above:
            key = page_key(va, plan[row + SHIFT])
            at = settled_set(words, plan, cpu, row, key >> SIX)
            way = _find(words, plan, at, plan[row + WAYS], key, tag)
            if way >= 0:
                words[control_of(plan, cpu) + HITS + row // STEP] += ONE
                _touch(words, plan, cpu, row, at, way)
                return at + 1 + way
    return np.int64(-1)


@kernel
def walk_fill(words: Any, plan: Any, cpu: Any, key: Any, mark: Any, data: Any) -> Any:
    """Cache a table entry that a walk read; return its offset, -1 where no cache holds that level."""
    catch_up(words, plan, cpu)
    row = _row_for(plan, plan[WALK_ROW], plan[END_ROW], key)
    if row < 0:
        return row
    slot, _, _, _ = _put(words, plan, cpu, row, key, mark & ~GLOBAL, data)
    return slot


@kernel
def _walk(words: Any, plan: Any, cpu: Any, mark: Any, va: Any, shift: Any) -> Any:
    """Simulate a walk: start at the deepest cached entry, cache what is read, fill; return the number of reads."""
    control = control_of(plan, cpu)
    words[control + WALKS + shift] += ONE
    found = np.int64(64)
    slot = walk_lookup(words, plan, cpu, mark & TAG_MASK, va, shift)
    if slot >= 0:
        found = np.int64(words[slot] & SHIFT_MASK)
    references = np.int64(1)
    for i in range(plan[LEVELS] - 1, -1, -1):
        level = plan[LEVEL_ROW + i]
        if shift < level < found:
            references += 1
            walk_fill(words, plan, cpu, page_key(va, level), mark & TAG_MASK, ZERO)
    words[control + REFERENCES] += np.uint64(references)
    fill(words, plan, cpu, page_key(va, shift), mark, va)
    return references


@inlined
def access(words: Any, plan: Any, cpu: Any, mark: Any, va: Any, shift: Any) -> Any:
    """Translate an address that a page of `2**shift` bytes maps: look it up, walk on a miss, fill.

    Returns:
        The plan row that hit, or minus the number of table entries that the walk read.
    """
    row, _ = lookup(words, plan, cpu, mark & TAG_MASK, va)
    if row > 0:
        return row
    return -_walk(words, plan, cpu, mark, va, shift)


@kernel
def count_leading_into(words: Any, plan: Any, cpu: Any, tag: Any, mask: Any, table: Any) -> Any:
    """Count a CPU's entries, of TLBs and walk caches, that come from or lead into a page-table page.

    Entries with `mark & mask == tag` count (`mask` 0: all entries), and global ones. The CPU's pending flushes are
    carried out first.
    """
    settle(words, plan, cpu)
    count = np.int64(0)
    for row in range(FIRST_ROW, plan[END_ROW], STEP):
        if plan[row + FIRST_OF_CACHE] == 1:
            ways = plan[row + WAYS]
            for i in range(plan[row + SETS] * ways):
                slot = cache_of(plan, cpu, row) + i // ways * (1 + 4 * ways) + 1 + i % ways
                entry = words[slot + ways]
                if (
                    words[slot] != ZERO
                    and entry >> TABLE_SHIFT == table
                    and (entry & GLOBAL != ZERO or ((entry ^ tag) & mask) == ZERO)
                ):
                    count += 1
    return count


# --- for Python, which passes arrays


@kernel
def on_accesses(words: Any, plan: Any, cpus: Any, marks: Any, vas: Any, shifts: Any) -> Any:
    """Make one access for each element of four arrays of equal length; return what the last one gave."""
    w, p, cpu, mark, va, shift = raw(words), raw(plan), raw(cpus), raw(marks), raw(vas), raw(shifts)
    outcome = np.int64(0)
    for i in range(len(vas)):
        outcome = access(w, p, cpu[i], mark[i], va[i], shift[i])
    return outcome


@kernel
def on_lookup(words: Any, plan: Any, cpu: Any, tag: Any, va: Any) -> Any:
    """Do as `lookup` does, as a kernel of its own that takes arrays."""
    return lookup(raw(words), raw(plan), cpu, tag, va)


@kernel
def on_fill(words: Any, plan: Any, cpu: Any, key: Any, mark: Any, data: Any) -> Any:
    """Do as `fill` does, as a kernel of its own that takes arrays."""
    return fill(raw(words), raw(plan), cpu, key, mark, data)


@kernel
def on_walk_lookup(words: Any, plan: Any, cpu: Any, tag: Any, va: Any, above: Any) -> Any:
    """Do as `walk_lookup` does, as a kernel of its own that takes arrays."""
    return walk_lookup(raw(words), raw(plan), cpu, tag, va, above)


@kernel
def on_walk_fill(words: Any, plan: Any, cpu: Any, key: Any, mark: Any, data: Any) -> Any:
    """Do as `walk_fill` does, as a kernel of its own that takes arrays."""
    return walk_fill(raw(words), raw(plan), cpu, key, mark, data)


@kernel
def on_flush(words: Any, plan: Any, cpu: Any, scope: Any) -> None:
    """Do as `flush` does, as a kernel of its own that takes arrays."""
    flush(raw(words), raw(plan), cpu, scope)


@kernel
def on_settle(words: Any, plan: Any, cpu: Any) -> None:
    """Do as `settle` does, as a kernel of its own that takes arrays."""
    settle(raw(words), raw(plan), cpu)


@kernel
def on_count_leading_into(words: Any, plan: Any, cpu: Any, tag: Any, mask: Any, table: Any) -> Any:
    """Do as `count_leading_into` does, as a kernel of its own that takes arrays."""
    return count_leading_into(raw(words), raw(plan), cpu, tag, mask, table)
