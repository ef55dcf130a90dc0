"""The fast TLB simulator: one pass over a block of accesses for each cache.

Under true LRU, with levels that don't follow each other's evictions, what a cache sees is exactly what the
cache before it missed: L2 sees L1's misses in their order, the cache of page directories sees L2's, and so on.
So each cache takes a whole block at once: it reads a stream of page numbers, and writes those that missed for
the next. A pass has no branch that depends on the trace: a set is kept in the order of use, and a few vector
instructions bring an entry to its front, hit or miss, wherever it was. Simulators that take one access after
another lose a mispredicted branch for each access that hits another level, or another way, than the last.

`simulate_block` is the entry point. Everything about the geometry is a number in `plan`: the passes are compiled once,
for 1 to 4 vectors to a set and for more, and no geometry compiles anything anew. What was measured, and why the
kernels of `kernels.py` do everything else: docs/adr/0008-a-pass-for-each-cache.md.

    plan    one row of `ROW` words for each cache, in the order of the passes
    words   the caches: sets of `GROUP * groups` keys in the order of use. key = page number | VALID; 0: free
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shootdown._compilation.instructions import address_of, peek, poke, raw
from shootdown._compilation.kernels import inlined, kernel
from shootdown._compilation.vectors import (
    EIGHT,
    GROUP,
    bring_to_front,
    copy_pages,
    equal,
    front_of_group,
    keep_lanes,
    lanes_at,
    least,
    misses,
    pages_change,
    push_front,
    renewed,
    replaced,
)

# --- plan: what a row holds
AT, SETS, SET_MASK, XOR, WAYS, GROUPS, UP, KIND, NOTHING, ROW = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9  # NOTHING: 0
IN_ORDER, STAMPED = 0, 1  # KIND. STAMPED: one set of up to `GROUP` ways, kept in registers with times of use

HEADER = 16  # words before the first cache
MIXED = HEADER - 1
MIXTURE = np.uint64(16)
MOST = np.uint64(32)  # "nearly all" misses: all but one in this many
BLOCK = 1 << 13  # accesses that a pass takes at once: the streams between passes stay in the L2 of the host

U0, U1, U3, U8 = np.uint64(0), np.uint64(1), np.uint64(3), np.uint64(8)
VALID = np.uint64(1 << 63)
EVERY = np.uint64(255)
NO_FOLD = np.uint64(63)  # XOR: a right shift that leaves nothing of any page number
NO_PAGE = np.uint64(0xFFFFFFFFFFFFFFFF)


# --- the passes. Streams and caches are bare addresses: numba counts references to arrays at every call.


@kernel
def _distinct_pages(addresses: Any, count: Any, shift: Any, previous: Any, pages: Any) -> Any:
    """Write the page of each access whose predecessor went to another page; return how many there are.

    The other accesses hit L1's most recent entry and change nothing.
    """
    written = U0
    done = U0
    while done < count:
        at = addresses + done * U8
        if done > U0 and done + U8 <= count:
            changes: Any = pages_change(at, shift)
            if changes == EVERY:
                copy_pages(at, shift, pages + written * U8)
                written += U8
            elif changes != U0:
                for i in range(EIGHT):
                    j = np.uint64(i)
                    poke(pages + written * U8, peek(at + j * U8) >> shift)
                    written += (changes >> j) & U1
            done += U8
        else:
            page = peek(at) >> shift
            if done > U0:
                previous = peek(at - U8) >> shift
            poke(pages + written * U8, page)
            written += np.uint64(page != previous)
            done += U1
    return written


@kernel
def _distinct_pages_one_by_one(addresses: Any, count: Any, shift: Any, previous: Any, pages: Any) -> Any:
    """Do as `_distinct_pages` does, if eight accesses in a row seldom go all to one page or all to others."""
    written = U0
    for i in range(np.int64(count)):
        page = peek(addresses + np.uint64(i) * U8) >> shift
        poke(pages + written * U8, page)
        written += np.uint64(page != previous)
        previous = page
    return written


@inlined
def _set_number(page: Any, sets: Any, set_mask: Any, xor: Any) -> Any:
    index = page ^ (page >> xor)
    if sets == set_mask + U1:
        return index & set_mask
    return index % sets


@kernel
def _pass(cache: Any, plan: Any, row: Any, ways: Any, pages: Any, count: Any, missed: Any) -> Any:
    """Send a stream of pages through a cache whose sets have as many vectors as `ways` has elements."""
    sets, set_mask, xor, up = plan[row + SETS], plan[row + SET_MASK], plan[row + XOR], plan[row + UP]
    nothing = plan[row + NOTHING]
    stride = np.uint64(8 * GROUP * len(ways))
    written = U0
    if sets == set_mask + U1 and xor == NO_FOLD:
        for i in range(count):
            page = peek(pages + np.uint64(i) * U8) >> up
            poke(missed + written * U8, page)
            at = cache + (page & set_mask) * stride
            written += bring_to_front(at, at + nothing, page | VALID, ways)
        return written
    for i in range(count):
        page = peek(pages + np.uint64(i) * U8) >> up
        poke(missed + written * U8, page)
        at = cache + _set_number(page, sets, set_mask, xor) * stride
        written += bring_to_front(at, at + nothing, page | VALID, ways)
    return written


@kernel
def _missing_pass(cache: Any, plan: Any, row: Any, ways: Any, pages: Any, count: Any, missed: Any) -> Any:
    """Do as `_pass` does, with a branch that is predicted well where nearly everything misses: fewer instructions."""
    sets, set_mask, xor, up = plan[row + SETS], plan[row + SET_MASK], plan[row + XOR], plan[row + UP]
    nothing = plan[row + NOTHING]
    stride = np.uint64(8 * GROUP * len(ways))
    written = U0
    for i in range(count):
        page = peek(pages + np.uint64(i) * U8) >> up
        at = cache + _set_number(page, sets, set_mask, xor) * stride
        if misses(at, page | VALID, ways):
            poke(missed + written * U8, page)
            written += U1
            push_front(at, at + nothing, page | VALID, ways)
        else:
            bring_to_front(at, at + nothing, page | VALID, ways)
    return written


@inlined
def _short_pass(
    cache: Any, plan: Any, row: Any, ways: Any, pages: Any, count: Any, missed: Any, all_miss: Any
) -> Any:
    if all_miss:
        return _missing_pass(cache, plan, row, ways, pages, count, missed)
    return _pass(cache, plan, row, ways, pages, count, missed)


@kernel
def _long_pass(cache: Any, plan: Any, row: Any, pages: Any, count: Any, missed: Any) -> Any:
    """Send a stream of pages through a cache with more than 16 ways; recently used pages are found early."""
    sets, set_mask, xor, up = plan[row + SETS], plan[row + SET_MASK], plan[row + XOR], plan[row + UP]
    nothing = plan[row + NOTHING]
    groups, ways = plan[row + GROUPS], plan[row + WAYS]
    every = np.uint64((1 << GROUP) - 1)
    last = every >> (groups * np.uint64(GROUP) - ways)
    written = U0
    for i in range(count):
        page = peek(pages + np.uint64(i) * U8) >> up
        poke(missed + written * U8, page)
        at = cache + _set_number(page, sets, set_mask, xor) * groups * np.uint64(8 * GROUP)
        key = page | VALID
        carried = key
        found = U0
        for g in range(groups):
            mask = last if np.uint64(g) + U1 == groups else every
            here = at + np.uint64(g) * np.uint64(8 * GROUP)
            found, carried = front_of_group(here, here + nothing, carried, key, mask)
            if found != U0:
                break
        written += np.uint64(found == U0)
    return written


@kernel
def _stamped_pass(cache: Any, plan: Any, row: Any, pages: Any, count: Any, missed: Any) -> Any:
    """Send a stream of pages through one set of up to `GROUP` ways.

    In memory each access would wait for the store of the one before it. So the set stays in registers, and LRU is
    kept by times of last use, which are all that a hit changes. Ways that don't exist have the latest possible time
    of use, so that they are never replaced.
    """
    up = plan[row + UP]
    keys: Any = lanes_at(cache)
    times: Any = lanes_at(cache + np.uint64(8 * GROUP))
    now = peek(cache + np.uint64(16 * GROUP))
    written = U0
    for i in range(count):
        page = peek(pages + np.uint64(i) * U8) >> up
        key = page | VALID
        now += U1
        if equal(keys, key) == U0:
            poke(missed + written * U8, page)
            written += U1
            keys = replaced(keys, least(times), key)
        times = renewed(times, keys, key, now)
    keep_lanes(keys, cache)
    keep_lanes(times, cache + np.uint64(8 * GROUP))
    poke(cache + np.uint64(16 * GROUP), now)
    return written


@inlined
def _lanes_used(plan: Any, row: Any, group: Any) -> Any:
    ways = plan[row + WAYS]
    first = np.uint64(GROUP * group)
    used = min(ways - first, np.uint64(GROUP)) if ways > first else U0
    return (U1 << used) - U1


@kernel
def _through(words: Any, plan: Any, row: Any, pages: Any, count: Any, missed: Any, all_miss: Any) -> Any:
    cache = words + plan[row + AT] * U8
    n = np.int64(count)
    groups = plan[row + GROUPS]
    w = (
        _lanes_used(plan, row, 0),
        _lanes_used(plan, row, 1),
        _lanes_used(plan, row, 2),
        _lanes_used(plan, row, 3),
    )
    if plan[row + KIND] == STAMPED:
        return _stamped_pass(cache, plan, row, pages, n, missed)
    if groups == 1:
        return _short_pass(cache, plan, row, w[:1], pages, n, missed, all_miss)
    if groups == 2:
        return _short_pass(cache, plan, row, w[:2], pages, n, missed, all_miss)
    if groups == 3:
        return _short_pass(cache, plan, row, w[:3], pages, n, missed, all_miss)
    if groups == 4:
        return _short_pass(cache, plan, row, w, pages, n, missed, all_miss)
    return _long_pass(cache, plan, row, pages, n, missed)


@kernel
def simulate_block(words: Any, plan: Any, counts: Any, addresses: Any, shift: Any, streams: Any) -> None:
    """Send a block of accesses through all caches.

    Args:
        words: a header, and the caches, aligned to 32 bytes. words[0] is the page of the last access,
            `NO_PAGE` at first; words[1 + i]: whether the last block nearly all missed in cache i; words[MIXED]:
            whether it had neither few nor many repeats of a page.
        plan: a row for each cache, as words.
        counts: for each cache how many accesses reached it and how many missed, which is added to.
        addresses: the accesses, uint64.
        shift: log2 of the page size.
        streams: room for two streams of `BLOCK + 8` pages.
    """
    w, p, c = raw(words), raw(plan), raw(counts)
    here: Any = address_of(words)
    room = np.uint64(8 * (BLOCK + EIGHT))
    for start in range(0, addresses.size, BLOCK):
        length = np.uint64(min(addresses.size - start, BLOCK))
        at = address_of(addresses) + np.uint64(start) * U8
        pages = address_of(streams)
        missed = pages + room
        if w[MIXED] == U1:
            count = _distinct_pages_one_by_one(at, length, shift, w[0], pages)
        else:
            count = _distinct_pages(at, length, shift, w[0], pages)
        w[MIXED] = np.uint64(length // MIXTURE < count < length - length // MIXTURE)
        w[0] = peek(at + (length - U1) * U8) >> shift
        c[0] += length - count  # hits of the most recent entry
        for row in range(0, plan.size, ROW):
            seen = 1 + row // ROW
            went_on = _through(here, p, row, pages, count, missed, w[seen] == U1)
            w[seen] = np.uint64(went_on >= count - count // MOST)
            c[seen] += count - went_on
            pages, missed, count = missed, pages, went_on
        c[1 + plan.size // ROW] += count
