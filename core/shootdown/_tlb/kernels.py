"""The TLB kernels: lookup, fill, access and flush over one flat array of 64-bit words.

All of a machine's caches are one array `words`; `plan` (made by `state.plan_of`) says where everything is.
`tag` is `vm << asid_bits | asid`; addresses, keys, marks and tags are uint64, CPUs, shifts and offsets int64.
Callers are trusted.

    words   [machine control][log][control of CPU 0][of CPU 1]...[caches of CPU 0][caches of CPU 1]...
    cache   [set 0][set 1]...
    set     [settled][key x ways][mark x ways][stamp x ways][data x ways]      32 + 8/ways bytes an entry
    key     page number << 6 | log2 of the page size; 0 is a free way
    mark    table << 24 | global << 23 | tag. `table` is the frame number of the page-table page that a TLB
            entry was read from, or that a walk-cache entry leads to: it is stale once that is unmapped
    stamp   LRU: time of the last use. tree-PLRU: the trees' nodes, and in word 0 the tree used last
    data    the caller's

Flushes of all that an ASID has are lazy: `NOW` counts them, and each writes its time into a floor of the
CPU, or of the whole machine: one store, however many CPUs. A set knows when it was last `settled`; whoever
touches it first drops what the floors since then cover. What can be observed is what the eager way leaves,
and a scope without the `LAZY_*` flags still goes that way. A CPU has floors for a few ASIDs; when one is
needed for another ASID, the CPU is settled first.

Ranges that all CPUs flush are lazy as well, if the scope is `LATER`: the initiator writes them to a log, and each
CPU replays what it has not seen before it next uses its caches. When the log is full, everybody replays it.

Kernels take `words` and `plan` as arrays or, from other kernels, as `raw` makes them: in a hot loop numba
counts references to arrays at every call (measured: 90 ns for an access that hits, against 18). The `on_*`
kernels at the end are the doors for Python. One file, because numba's on-disk cache does not see that a
kernel which another one calls has changed in another file.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from shootdown._jit import inlined, kernel

# --- plan: rows of 16 words, named by their offsets: the header, the page-table levels, then one for each
# (cache, page size): L1's, L2's, the walk caches'.
STEP, LEVEL_ROW, FIRST_ROW = 16, 16, 32
L2_ROW, WALK_ROW, END_ROW, CONTROL, CONTROL_WORDS, ENTRIES, CPU_WORDS = 0, 1, 2, 3, 4, 5, 6
INCLUSION, CPUS, LEVELS, SLOT_MASK, SLOTS, VM_MASK, HAS_GLOBAL, LOG = 7, 8, 9, 10, 11, 12, 13, 14
LOG_ENTRIES, LOG_STEP = 1024, 8  # entries of the log, and words of one: a `Scope`
SHIFT, BASE, SETS, SET_MASK, XOR, WAYS, POLICY, TREES, FIRST_OF_CACHE = 0, 1, 2, 3, 4, 5, 6, 7, 8
LRU, TREE_PLRU, RANDOM = 0, 1, 2
INDEPENDENT, INCLUSIVE, EXCLUSIVE = 0, 1, 2

# --- control words, of the machine (at 0) and of each CPU
NOW = CLOCK = 0
LAST, LEAF_FLOOR, GLOBAL_FLOOR, WALK_FLOOR, SEED, REFERENCES = 1, 2, 3, 4, 5, 6
LOGGED = REPLAYED = 7  # entries of the log so far (machine), and how many of them were carried out (CPU)
ASID_FLOORS = 8  # machine: a pair (leaf, walk) for each tag
WALKS = 8  # CPU: walks by log2 of the page size, then hits by plan row, then floors (tag + 1, leaf, walk)
HITS = 72

# --- what a scope drops (`Scope.what`)
LEAF, GLOBALS, WALK_PATH, WALK_ALL = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(8)
LAZY_LEAF, LAZY_WALK = np.uint64(16), np.uint64(32)  # every address of one tag or of all: a floor says it
LATER = np.uint64(64)  # what no floor says is written to the log

ZERO, ONE, SIX = np.uint64(0), np.uint64(1), np.uint64(6)
SHIFT_MASK = np.uint64(63)
TAG_MASK = np.uint64((1 << 23) - 1)
GLOBAL_SHIFT, TABLE_SHIFT = np.uint64(23), np.uint64(24)
GLOBAL = ONE << GLOBAL_SHIFT
IDENTITY = TAG_MASK | GLOBAL
R13, R7, R17 = np.uint64(13), np.uint64(7), np.uint64(17)


class Scope(NamedTuple):
    """A `FlushScope` as kernels take it: seven uint64, made by `state.scope_words`.

    `count` 0 is every address; an entry's tag matches where `mark & mask == tag`; `sizes` is the level hint,
    bit n for pages of 2**n bytes; `what` is made of the flags above. See `with_tag` for a tag that is known
    only at run time.
    """

    start: Any
    stride: Any
    count: Any
    tag: Any
    mask: Any
    sizes: Any
    what: Any


def _data_of_array(typingctx: Any, array: Any) -> Any:
    pointer: Any = types.CPointer

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return pointer(array.dtype)(array), codegen


_data_pointer: Any = intrinsic(_data_of_array)


def raw(array: Any) -> Any:
    """Give a one-dimensional array without its reference count, while the caller holds the array."""
    return array


@overload(raw)
def _raw(array: Any) -> Any:
    if isinstance(array, types.CPointer):

        def same(array: Any) -> Any:
            return array

        return same

    def pointer(array: Any) -> Any:
        return _data_pointer(array)

    return pointer


@inlined
def page_key(va: Any, shift: Any) -> Any:
    """Make the key of the page of `2**shift` bytes that holds an address."""
    s = np.uint64(shift)
    return ((va >> s) << SIX) | s


@inlined
def _control(plan: Any, cpu: Any) -> Any:
    return plan[CONTROL] + cpu * plan[CONTROL_WORDS]


@inlined
def _cache(plan: Any, cpu: Any, row: Any) -> Any:
    return plan[ENTRIES] + cpu * plan[CPU_WORDS] + plan[row + BASE]


@inlined
def _set_of(plan: Any, cpu: Any, row: Any, page: Any) -> Any:
    index = page
    if plan[row + XOR] > 0:
        index ^= page >> np.uint64(plan[row + XOR])
    if plan[row + SET_MASK] >= 0:
        index &= np.uint64(plan[row + SET_MASK])
    else:
        index %= np.uint64(plan[row + SETS])
    return _cache(plan, cpu, row) + np.int64(index) * (1 + 4 * plan[row + WAYS])


@inlined
def _free(words: Any, at: Any, ways: Any, way: Any) -> None:
    words[at + 1 + way] = ZERO
    words[at + 1 + ways + way] = ZERO
    words[at + 1 + 3 * ways + way] = ZERO


@kernel
def _sweep(words: Any, plan: Any, cpu: Any, row: Any, at: Any) -> None:
    """Drop from one set what floors written since it was last settled cover."""
    control = _control(plan, cpu)
    ways = plan[row + WAYS]
    settled = words[at]
    is_walk = row >= plan[WALK_ROW]
    for way in range(ways):
        if words[at + 1 + way] == ZERO:
            continue
        mark = words[at + 1 + ways + way]
        if not is_walk and mark & GLOBAL != ZERO:
            floor = max(words[GLOBAL_FLOOR], words[control + GLOBAL_FLOOR])
        else:
            tag = np.int64(mark & TAG_MASK)
            kind = WALK_FLOOR if is_walk else LEAF_FLOOR
            which = 1 if is_walk else 0
            floor = max(words[kind], words[control + kind], words[ASID_FLOORS + 2 * tag + which])
            slot = control + plan[SLOTS] + 3 * (tag & plan[SLOT_MASK])
            if words[slot] == np.uint64(tag + 1):
                floor = max(floor, words[slot + 1 + which])
        if floor > settled:
            _free(words, at, ways, way)
    words[at] = words[NOW]


@inlined
def _last_flush(words: Any, control: Any) -> Any:
    return max(words[LAST], words[control + LAST])


@inlined
def _settled_set(words: Any, plan: Any, cpu: Any, row: Any, page: Any) -> Any:
    at = _set_of(plan, cpu, row, page)
    if words[at] < _last_flush(words, _control(plan, cpu)):
        _sweep(words, plan, cpu, row, at)
    return at


@inlined
def _tag_matches(plan: Any, scope: Any, mark: Any) -> Any:
    differs = (mark ^ scope.tag) & scope.mask
    if mark & GLOBAL != ZERO:
        return scope.what & GLOBALS != ZERO and differs & np.uint64(plan[VM_MASK]) == ZERO
    return differs == ZERO


@inlined
def _holds_an_address(scope: Any, key: Any) -> Any:
    """Say whether an entry's page holds one of the scope's addresses; no sum here can leave 64 bits."""
    if scope.count == ZERO:
        return True
    shift = key & SHIFT_MASK
    va = (key >> SIX) << shift
    size = ONE << shift
    if va <= scope.start:
        return scope.start - va < size
    stride = max(scope.stride, ONE)
    steps = (va - scope.start) // stride
    rest = (va - scope.start) % stride
    if rest != ZERO:
        return steps + ONE < scope.count and stride - rest < size
    return steps < scope.count


@inlined
def _drop_in_set(words: Any, plan: Any, row: Any, at: Any, scope: Any) -> None:
    ways = plan[row + WAYS]
    for way in range(ways):
        key = words[at + 1 + way]
        if (
            np.int64(key & SHIFT_MASK) == plan[row + SHIFT]
            and _tag_matches(plan, scope, words[at + 1 + ways + way])
            and _holds_an_address(scope, key)
        ):
            _free(words, at, ways, way)


@kernel
def _drop(words: Any, plan: Any, cpu: Any, row: Any, scope: Any) -> None:
    """Drop what a scope covers from the entries of one plan row, at once."""
    sets = plan[row + SETS]
    if ZERO < scope.count <= np.uint64(sets):
        for i in range(np.int64(scope.count)):
            page = (scope.start + np.uint64(i) * scope.stride) >> np.uint64(plan[row + SHIFT])
            _drop_in_set(words, plan, row, _set_of(plan, cpu, row, page), scope)
    else:
        for i in range(sets):
            at = _cache(plan, cpu, row) + i * (1 + 4 * plan[row + WAYS])
            _drop_in_set(words, plan, row, at, scope)


@kernel
def _drop_eagerly(words: Any, plan: Any, cpu: Any, scope: Any) -> None:
    """Drop from one CPU the part of a scope that no floor says."""
    every_address = Scope(ZERO, ZERO, ZERO, scope.tag, scope.mask, ZERO, scope.what)
    for row in range(FIRST_ROW, plan[END_ROW], STEP):
        size = ONE << np.uint64(plan[row + SHIFT])
        if row < plan[WALK_ROW]:
            if scope.what & (LEAF | LAZY_LEAF) == LEAF and (
                scope.sizes == ZERO or scope.sizes & size != ZERO
            ):
                _drop(words, plan, cpu, row, scope)
        elif scope.what & (WALK_ALL | LAZY_WALK) == WALK_ALL:
            _drop(words, plan, cpu, row, every_address)
        elif scope.what & WALK_PATH != ZERO and (
            scope.sizes == ZERO or scope.sizes & (size - ONE) != ZERO  # a hinted leaf is smaller than this
        ):
            _drop(words, plan, cpu, row, scope)


@kernel
def _replay(words: Any, plan: Any, cpu: Any) -> None:
    """Carry out the ranges that were logged since a CPU last looked."""
    seen = _control(plan, cpu) + REPLAYED
    while words[seen] != words[LOGGED]:
        at = plan[LOG] + np.int64(words[seen] % np.uint64(LOG_ENTRIES)) * LOG_STEP
        scope = Scope(
            words[at],
            words[at + 1],
            words[at + 2],
            words[at + 3],
            words[at + 4],
            words[at + 5],
            words[at + 6],
        )
        _drop_eagerly(words, plan, cpu, scope)
        words[seen] += ONE


@kernel
def _log(words: Any, plan: Any, scope: Any) -> None:
    """Leave a range for every CPU to carry out; when the log is full, they do so now."""
    entry = words[LOGGED] % np.uint64(LOG_ENTRIES)
    if entry == ZERO:
        for cpu in range(plan[CPUS]):
            _replay(words, plan, cpu)
    at = plan[LOG] + np.int64(entry) * LOG_STEP
    words[at] = scope.start
    words[at + 1] = scope.stride
    words[at + 2] = scope.count
    words[at + 3] = scope.tag
    words[at + 4] = scope.mask
    words[at + 5] = scope.sizes
    words[at + 6] = scope.what
    words[LOGGED] += ONE


@inlined
def _catch_up(words: Any, plan: Any, cpu: Any) -> None:
    """Carry out what the log has for a CPU before its caches are used."""
    if words[LOGGED] != words[_control(plan, cpu) + REPLAYED]:
        _replay(words, plan, cpu)


@kernel
def settle(words: Any, plan: Any, cpu: Any) -> None:
    """Carry out every flush that a CPU's caches still have pending."""
    _catch_up(words, plan, cpu)
    for row in range(FIRST_ROW, plan[END_ROW], STEP):
        if plan[row + FIRST_OF_CACHE] == 1:
            for i in range(plan[row + SETS]):
                _sweep(words, plan, cpu, row, _cache(plan, cpu, row) + i * (1 + 4 * plan[row + WAYS]))


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
        clock = _control(plan, cpu) + CLOCK
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
    seed = _control(plan, cpu) + SEED
    drawn = words[seed] ^ (
        words[seed] << R13
    )  # xorshift64 (Marsaglia, Journal of Statistical Software 8, 2003)
    drawn ^= drawn >> R7
    drawn ^= drawn << R17
    words[seed] = drawn
    return np.int64(drawn % np.uint64(ways))


@kernel
def _put(words: Any, plan: Any, cpu: Any, row: Any, key: Any, mark: Any, data: Any) -> Any:
    """Put an entry into one cache; answer its offset, and the key, mark and data of the one it pushed out.

    It goes to the way that holds this translation already, else to the lowest free one, else to the victim's.
    """
    at = _settled_set(words, plan, cpu, row, key >> SIX)
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
        at = _settled_set(words, plan, cpu, row, key >> SIX)
        ways = plan[row + WAYS]
        for way in range(ways):
            if words[at + 1 + way] == key and (words[at + 1 + ways + way] ^ mark) & IDENTITY == ZERO:
                _free(words, at, ways, way)


@kernel
def _fill_l1(words: Any, plan: Any, cpu: Any, key: Any, mark: Any, data: Any) -> Any:
    """Put a translation into L1, and what that pushed out into an exclusive L2; answer its offset or -1."""
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
    """Enter a translation that a walk found, as the inclusion rule says; answer its offset or -1."""
    _catch_up(words, plan, cpu)
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
    """Copy an L2 entry that was hit to L1 (move it, where L2 is exclusive); answer where it is then."""
    ways = plan[row + WAYS]
    key, mark, data = words[slot], words[slot + ways], words[slot + 3 * ways]
    if _row_for(plan, FIRST_ROW, plan[L2_ROW], key) < 0:
        return slot
    if plan[INCLUSION] == EXCLUSIVE:
        _free(words, slot - 1, ways, 0)
    return _fill_l1(words, plan, cpu, key, mark, data)


@inlined
def lookup(words: Any, plan: Any, cpu: Any, tag: Any, va: Any) -> Any:
    """Look an address up as hardware does: L1 in every page size, then L2, whose hit moves up to L1.

    Returns:
        The plan row that hit (0 for a miss; from `plan[L2_ROW]` on it is L2's) and the offset of the entry's
        key: its mark and data lie `ways` and `3 * ways` words behind it.
    """
    _catch_up(words, plan, cpu)
    control = _control(plan, cpu)
    last = _last_flush(words, control)
    for row in range(FIRST_ROW, plan[WALK_ROW], STEP):
        key = page_key(va, plan[row + SHIFT])
        at = _set_of(plan, cpu, row, key >> SIX)
        if words[at] < last:
            _sweep(words, plan, cpu, row, at)
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
    _catch_up(words, plan, cpu)
    for row in range(plan[WALK_ROW], plan[END_ROW], STEP):
        if plan[row + SHIFT] > above:
            key = page_key(va, plan[row + SHIFT])
            at = _settled_set(words, plan, cpu, row, key >> SIX)
            way = _find(words, plan, at, plan[row + WAYS], key, tag)
            if way >= 0:
                words[_control(plan, cpu) + HITS + row // STEP] += ONE
                _touch(words, plan, cpu, row, at, way)
                return at + 1 + way
    return np.int64(-1)


@kernel
def walk_fill(words: Any, plan: Any, cpu: Any, key: Any, mark: Any, data: Any) -> Any:
    """Cache a table entry that a walk read; answer its offset, -1 where no cache holds that level."""
    _catch_up(words, plan, cpu)
    row = _row_for(plan, plan[WALK_ROW], plan[END_ROW], key)
    if row < 0:
        return row
    slot, _, _, _ = _put(words, plan, cpu, row, key, mark & ~GLOBAL, data)
    return slot


@kernel
def _walk(words: Any, plan: Any, cpu: Any, mark: Any, va: Any, shift: Any) -> Any:
    """Stand for a walk: start at the deepest cached entry, cache what is read, fill; count the reads."""
    control = _control(plan, cpu)
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
def _floors_of(words: Any, plan: Any, cpu: Any, tag: Any) -> Any:
    """Give the offset of a tag's (leaf, walk) floors; a CPU's slot is cleared of another tag first."""
    if cpu < 0:
        return np.int64(ASID_FLOORS) + 2 * np.int64(tag)
    slot = _control(plan, cpu) + plan[SLOTS] + 3 * (np.int64(tag) & plan[SLOT_MASK])
    if words[slot] != tag + ONE:
        if words[slot] != ZERO:
            settle(words, plan, cpu)
        words[slot] = tag + ONE
        words[slot + 1] = ZERO
        words[slot + 2] = ZERO
    return slot + 1


@inlined
def with_tag(scope: Any, tag: Any) -> Any:
    """Give a scope of one ASID for another: CPUs that hold an mm under PCIDs of their own flush one each."""
    return Scope(scope.start, scope.stride, scope.count, tag, scope.mask, scope.sizes, scope.what)


@kernel
def flush(words: Any, plan: Any, cpu: Any, scope: Any) -> None:
    """Carry out one invalidation on a CPU, or with `cpu` -1 on every CPU of the machine."""
    if scope.what & (LAZY_LEAF | LAZY_WALK) != ZERO:
        control = np.int64(0) if cpu < 0 else _control(plan, cpu)
        leaf_floor, walk_floor = control + LEAF_FLOOR, control + WALK_FLOOR
        if scope.mask != ZERO:
            leaf_floor = _floors_of(words, plan, cpu, scope.tag)
            walk_floor = leaf_floor + 1
        words[NOW] += ONE
        words[control + LAST] = words[NOW]
        if scope.what & LAZY_LEAF != ZERO:
            words[leaf_floor] = words[NOW]
            if scope.what & GLOBALS != ZERO:
                words[control + GLOBAL_FLOOR] = words[NOW]
        if scope.what & LAZY_WALK != ZERO:
            words[walk_floor] = words[NOW]
    if (
        scope.what & (LEAF | LAZY_LEAF) == LEAF
        or scope.what & (WALK_ALL | LAZY_WALK) == WALK_ALL
        or scope.what & WALK_PATH != ZERO
    ):
        if cpu >= 0:
            _drop_eagerly(words, plan, cpu, scope)
        elif scope.what & LATER != ZERO:
            _log(words, plan, scope)
        else:
            for target in range(plan[CPUS]):
                _drop_eagerly(words, plan, target, scope)


@kernel
def count_leading_into(words: Any, plan: Any, cpu: Any, tag: Any, mask: Any, table: Any) -> Any:
    """Count a CPU's entries, of TLBs and walk caches, that come from or lead into a page-table page.

    Those count whose `mark & mask == tag` (`mask` 0 for everybody's), and global ones. What the CPU has
    pending is carried out first.
    """
    settle(words, plan, cpu)
    count = np.int64(0)
    for row in range(FIRST_ROW, plan[END_ROW], STEP):
        if plan[row + FIRST_OF_CACHE] == 1:
            ways = plan[row + WAYS]
            for i in range(plan[row + SETS] * ways):
                slot = _cache(plan, cpu, row) + i // ways * (1 + 4 * ways) + 1 + i % ways
                entry = words[slot + ways]
                if (
                    words[slot] != ZERO
                    and entry >> TABLE_SHIFT == table
                    and (entry & GLOBAL != ZERO or ((entry ^ tag) & mask) == ZERO)
                ):
                    count += 1
    return count


# --- a trace: accesses and flushes of several processes on several CPUs

ACCESS, FLUSH_PAGES, FLUSH_PROCESS, FLUSH_ALL = 0, 1, 2, 3
SHOOTDOWN = 16  # added to a flush: on every CPU, and `cpu` is who asks
TALLIES, L1_HITS, L2_HITS, MISSES, READS, FLUSHES, SHOOTDOWNS, INTERRUPTS = 8, 0, 1, 2, 3, 4, 5, 6


class Records(NamedTuple):
    """A part of a trace as columns of equal length, as `on_records` takes it.

    `running` has for each CPU the process of its last access plus 1; `of_cpus` and `of_processes` have a row of
    `TALLIES` for each and are added to. CPUs and processes are numbered from 0 without gaps.
    """

    kind: Any
    cpu: Any
    process: Any
    va: Any
    shift: Any
    pages: Any
    running: Any
    of_cpus: Any
    of_processes: Any


@inlined
def _scope_on(scopes: Any, kind: Any, va: Any, shift: Any, pages: Any, tag: Any) -> Any:
    """Fill in the scope of a flush: of pages of a process, of a process, or of everything."""
    if kind == FLUSH_PAGES:
        stride = ONE << np.uint64(shift)
        count = max(np.uint64(pages), ONE)
        # The last page of the address space is as far as a range goes.
        count = min(count, ((~ZERO - va) >> np.uint64(shift)) + ONE)
        scope = scopes[0]
        return Scope(va & ~(stride - ONE), stride, count, tag, scope.mask, scope.sizes, scope.what)
    if kind == FLUSH_PROCESS:
        return with_tag(scopes[1], tag)
    return scopes[2]


@kernel
def on_records(words: Any, plan: Any, records: Any, scopes: Any, tagged: Any, used: Any) -> None:
    """Carry out a part of a trace in order.

    Args:
        words: the caches.
        plan: see above.
        records: `Records`.
        scopes: three of `Scope`: pages of a process, a process, everything.
        tagged: entries carry the process's number as their tag. Otherwise a CPU that runs another process than
            before drops all but global entries first, and a flush of a process concerns the CPUs that run it.
        used: how many CPUs there are so far.
    """
    w, p = raw(words), raw(plan)
    running, of_cpus, of_processes = records.running, records.of_cpus, records.of_processes
    for i in range(len(records.va)):
        kind, cpu, process = np.int64(records.kind[i]), np.int64(records.cpu[i]), np.int64(records.process[i])
        va, shift = records.va[i], np.int64(records.shift[i])
        tag = np.uint64(process) if tagged else ZERO
        if kind == ACCESS:
            if not tagged and running[cpu] != 0 and running[cpu] != process + 1:
                flush(w, p, cpu, scopes[1])
            running[cpu] = process + 1
            outcome = access(w, p, cpu, tag, va, shift)
            which = MISSES
            if outcome > 0:
                which = L1_HITS if outcome < p[L2_ROW] else L2_HITS
            else:
                of_cpus[cpu, READS] -= outcome
                of_processes[process, READS] -= outcome
            of_cpus[cpu, which] += 1
            of_processes[process, which] += 1
            continue
        what = kind & 15
        scope = _scope_on(scopes, what, va, shift, records.pages[i], tag)
        which = FLUSHES if kind < SHOOTDOWN else SHOOTDOWNS
        of_cpus[cpu, which] += 1
        of_processes[process, which] += 1
        if kind < SHOOTDOWN:
            if tagged or what == FLUSH_ALL or running[cpu] == process + 1:
                flush(w, p, cpu, scope)
        else:
            for other in range(used):
                runs = running[other] == process + 1
                if other != cpu and (runs or (what == FLUSH_ALL and running[other] != 0)):
                    of_cpus[other, INTERRUPTS] += 1
                    of_processes[process, INTERRUPTS] += 1
                if tagged or what == FLUSH_ALL or runs:
                    flush(w, p, other, scope)


# --- the doors for Python, which hands arrays over


@kernel
def on_accesses(words: Any, plan: Any, cpus: Any, marks: Any, vas: Any, shifts: Any) -> Any:
    """Make one access for each element of four arrays of equal length; answer what the last one gave."""
    w, p, cpu, mark, va, shift = raw(words), raw(plan), raw(cpus), raw(marks), raw(vas), raw(shifts)
    outcome = np.int64(0)
    for i in range(len(vas)):
        outcome = access(w, p, cpu[i], mark[i], va[i], shift[i])
    return outcome


@kernel
def on_lookup(words: Any, plan: Any, cpu: Any, tag: Any, va: Any) -> Any:
    """See `lookup`."""
    return lookup(raw(words), raw(plan), cpu, tag, va)


@kernel
def on_fill(words: Any, plan: Any, cpu: Any, key: Any, mark: Any, data: Any) -> Any:
    """See `fill`."""
    return fill(raw(words), raw(plan), cpu, key, mark, data)


@kernel
def on_walk_lookup(words: Any, plan: Any, cpu: Any, tag: Any, va: Any, above: Any) -> Any:
    """See `walk_lookup`."""
    return walk_lookup(raw(words), raw(plan), cpu, tag, va, above)


@kernel
def on_walk_fill(words: Any, plan: Any, cpu: Any, key: Any, mark: Any, data: Any) -> Any:
    """See `walk_fill`."""
    return walk_fill(raw(words), raw(plan), cpu, key, mark, data)


@kernel
def on_flush(words: Any, plan: Any, cpu: Any, scope: Any) -> None:
    """See `flush`."""
    flush(raw(words), raw(plan), cpu, scope)


@kernel
def on_settle(words: Any, plan: Any, cpu: Any) -> None:
    """See `settle`."""
    settle(raw(words), raw(plan), cpu)


@kernel
def on_count_leading_into(words: Any, plan: Any, cpu: Any, tag: Any, mask: Any, table: Any) -> Any:
    """See `count_leading_into`."""
    return count_leading_into(raw(words), raw(plan), cpu, tag, mask, table)
