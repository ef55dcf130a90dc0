"""How flushes are carried out: at once, when a set is next touched, or when a CPU next uses its caches.

Flushes of a whole ASID are lazy: `NOW` counts them, and each writes its number into a floor of the CPU or of the
whole machine. That is one store, however many CPUs there are. A set keeps the number of the flush at which it was last
`settled`; the first access after that drops the entries that later floors cover. The contents that can be observed are
those after an eager flush, which a scope without the `LAZY_*` flags still gets. A CPU has floors for a few ASIDs; when
one is needed for another ASID, the CPU is settled first.

Ranges that all CPUs flush are lazy as well, if the scope is `LATER`: the initiator writes them to a log, and each
CPU replays its unread lines before it next uses its caches. When the log is full, every CPU replays it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shootdown._compilation.kernels import inlined, kernel
from shootdown._tlb.words import (
    ASID_FLOORS,
    BEHIND,
    CPUS,
    END_ROW,
    FILLED,
    FIRST_OF_CACHE,
    FIRST_ROW,
    GLOBAL,
    GLOBAL_FLOOR,
    GLOBALS,
    LAST,
    LATER,
    LAZY_LEAF,
    LAZY_WALK,
    LEAF,
    LEAF_FLOOR,
    LOG,
    LOG_LINES,
    LOG_START,
    LOG_STEP,
    LOGGED,
    NOW,
    ONE,
    REPLAYED,
    SETS,
    SHIFT,
    SHIFT_MASK,
    SIX,
    SLOT_MASK,
    SLOTS,
    STEP,
    TAG_MASK,
    VM_MASK,
    WALK_ALL,
    WALK_FLOOR,
    WALK_PATH,
    WALK_ROW,
    WAYS,
    ZERO,
    Scope,
    cache_of,
    control_of,
    free,
    set_of,
)


@kernel
def sweep(words: Any, plan: Any, cpu: Any, row: Any, at: Any) -> None:
    """Drop from one set the entries that floors cover which were written since it was last settled."""
    control = control_of(plan, cpu)
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
            free(words, at, ways, way)
    words[at] = words[NOW]


@inlined
def last_flush(words: Any, control: Any) -> Any:
    return max(words[LAST], words[control + LAST])


@inlined
def settled_set(words: Any, plan: Any, cpu: Any, row: Any, page: Any) -> Any:
    at = set_of(plan, cpu, row, page)
    if words[at] < last_flush(words, control_of(plan, cpu)):
        sweep(words, plan, cpu, row, at)
    return at


@inlined
def _tag_matches(plan: Any, scope: Any, mark: Any) -> Any:
    differs = (mark ^ scope.tag) & scope.mask
    if mark & GLOBAL != ZERO:
        return scope.what & GLOBALS != ZERO and differs & np.uint64(plan[VM_MASK]) == ZERO
    return differs == ZERO


@inlined
def _holds_an_address(scope: Any, key: Any) -> Any:
    """Whether an entry's page holds one of the scope's addresses; no sum here can leave 64 bits."""
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
            free(words, at, ways, way)


@kernel
def _drop(words: Any, plan: Any, cpu: Any, row: Any, scope: Any) -> None:
    """Drop what a scope covers from the entries of one plan row, at once."""
    sets = plan[row + SETS]
    if ZERO < scope.count <= np.uint64(sets):
        for i in range(np.int64(scope.count)):
            page = (scope.start + np.uint64(i) * scope.stride) >> np.uint64(plan[row + SHIFT])
            _drop_in_set(words, plan, row, set_of(plan, cpu, row, page), scope)
    else:
        for i in range(sets):
            at = cache_of(plan, cpu, row) + i * (1 + 4 * plan[row + WAYS])
            _drop_in_set(words, plan, row, at, scope)


@kernel
def _drop_eagerly(words: Any, plan: Any, cpu: Any, scope: Any) -> None:
    """Drop from one CPU the part of a scope that floors can't express."""
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
    """Carry out the ranges that were logged since a CPU last read the log."""
    seen = control_of(plan, cpu) + REPLAYED
    if words[seen] == words[LOGGED]:
        return
    if words[control_of(plan, cpu) + FILLED] == ZERO:
        words[seen] = words[LOGGED]
    while words[seen] != words[LOGGED]:
        at = plan[LOG] + np.int64(words[seen] - words[LOG_START]) * LOG_STEP
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
    words[BEHIND] -= ONE
    if (
        words[BEHIND] == ZERO
    ):  # every CPU has read its lines; they are overwritten while they are in the cache
        words[LOG_START] = words[LOGGED]


@kernel
def _make_room(words: Any, plan: Any) -> None:
    """Let every CPU carry out the full log, so that its lines can be overwritten."""
    for cpu in range(plan[CPUS]):
        _replay(words, plan, cpu)


@inlined
def _log(words: Any, plan: Any, scope: Any) -> None:
    """Append a ranged flush to the log; every CPU carries it out when it next uses its caches."""
    if np.int64(words[LOGGED] - words[LOG_START]) == plan[LOG_LINES]:
        _make_room(words, plan)
    at = plan[LOG] + np.int64(words[LOGGED] - words[LOG_START]) * LOG_STEP
    words[at] = scope.start
    words[at + 1] = scope.stride
    words[at + 2] = scope.count
    words[at + 3] = scope.tag
    words[at + 4] = scope.mask
    words[at + 5] = scope.sizes
    words[at + 6] = scope.what
    words[LOGGED] += ONE
    words[BEHIND] = np.uint64(plan[CPUS])


@inlined
def catch_up(words: Any, plan: Any, cpu: Any) -> None:
    """Carry out what the log has for a CPU before its caches are used."""
    if words[LOGGED] != words[control_of(plan, cpu) + REPLAYED]:
        _replay(words, plan, cpu)


@kernel
def settle(words: Any, plan: Any, cpu: Any) -> None:
    """Carry out every flush that a CPU's caches still have pending."""
    catch_up(words, plan, cpu)
    for row in range(FIRST_ROW, plan[END_ROW], STEP):
        if plan[row + FIRST_OF_CACHE] == 1:
            for i in range(plan[row + SETS]):
                sweep(words, plan, cpu, row, cache_of(plan, cpu, row) + i * (1 + 4 * plan[row + WAYS]))


@kernel
def _floors_of(words: Any, plan: Any, cpu: Any, tag: Any) -> Any:
    """Return the offset of a tag's (leaf, walk) floors; a CPU's slot is cleared of another tag first."""
    if cpu < 0:
        return np.int64(ASID_FLOORS) + 2 * np.int64(tag)
    slot = control_of(plan, cpu) + plan[SLOTS] + 3 * (np.int64(tag) & plan[SLOT_MASK])
    if words[slot] != tag + ONE:
        if words[slot] != ZERO:
            settle(words, plan, cpu)
        words[slot] = tag + ONE
        words[slot + 1] = ZERO
        words[slot + 2] = ZERO
    return slot + 1


@inlined
def with_tag(scope: Any, tag: Any) -> Any:
    """Return a scope for another ASID, for CPUs that each hold an mm under a PCID of their own."""
    return Scope(scope.start, scope.stride, scope.count, tag, scope.mask, scope.sizes, scope.what)


@kernel
def flush(words: Any, plan: Any, cpu: Any, scope: Any) -> None:
    """Carry out one invalidation on a CPU, or with `cpu` -1 on every CPU of the machine."""
    if scope.what & (LAZY_LEAF | LAZY_WALK) != ZERO:
        control = np.int64(0) if cpu < 0 else control_of(plan, cpu)
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
