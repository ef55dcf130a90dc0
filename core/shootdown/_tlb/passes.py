"""The fast TLB simulator: one pass over a block of accesses for each cache.

Under true LRU, with levels that don't follow each other's evictions, what a cache sees is exactly what the
cache before it missed: L2 sees L1's misses in their order, the cache of page directories sees L2's, and so on.
So each cache takes a whole block at once: it reads a stream of page numbers, and writes those that missed for
the next. A pass has no branch that depends on the trace: a set is kept in the order of use, and a few vector
instructions bring an entry to its front, hit or miss, wherever it was. Simulators that take one access after
another lose a mispredicted branch for each access that hits another level, or another way, than the last.

`simulate_block` is the door. Everything about the geometry is a number in `plan`: the passes are compiled once,
for 1 to 4 vectors to a set and for more, and no geometry compiles anything anew. docs/adr/0010 has what was
measured, and why the kernels of `kernels.py`, which do everything else, are not these.

    plan    one row of `ROW` words for each cache, in the order of the passes
    words   the caches: sets of `GROUP * groups` keys in the order of use. key = page number | VALID; 0: free
"""

# numba ships types for a part of itself only, and none for what `extending` gives.
# mypy: disable-error-code="no-untyped-call,call-arg,override"

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic, models, register_model

from shootdown._jit import inlined, kernel

# --- plan: what a row holds
AT, SETS, SET_MASK, XOR, WAYS, GROUPS, UP, KIND, NOTHING, ROW = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9  # NOTHING: 0
IN_ORDER, STAMPED = 0, 1  # KIND. STAMPED: one set of up to `GROUP` ways, kept in registers with times of use

GROUP = 4  # keys to a vector: 256 bits
EIGHT = 8
PLAIN_PYTHON = bool(config.DISABLE_JIT)  # type: ignore[attr-defined]  # there is no plain form of vector instructions
HEADER = 16  # words before the first cache
MIXED = HEADER - 1
MIXTURE = np.uint64(16)
MOST = np.uint64(32)  # nearly all: all but one in so many
BLOCK = 1 << 13  # accesses that a pass takes at once: the streams between passes stay in the L2 of the host

U0, U1, U3, U8 = np.uint64(0), np.uint64(1), np.uint64(3), np.uint64(8)
VALID = np.uint64(1 << 63)
EVERY = np.uint64(255)
NO_FOLD = np.uint64(63)  # XOR: a right shift that leaves nothing of any page number
NO_PAGE = np.uint64(0xFFFFFFFFFFFFFFFF)

_I1, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    empty = ir.Constant(ir.VectorType(_I64, lanes), ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))


def _vector_at(builder: Any, address: Any, lanes: int, index: int = 0) -> Any:
    pointer = builder.inttoptr(address, ir.VectorType(_I64, lanes).as_pointer())
    return builder.gep(pointer, [ir.Constant(_I64, index)])


def _load(builder: Any, pointer: Any) -> Any:
    loaded = builder.load(pointer)
    loaded.align = 8
    return loaded


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, pointer).align = 8


def _bits(builder: Any, truths: Any, lanes: int) -> Any:
    """Pack a vector of truth values: bit i for lane i."""
    return builder.zext(builder.bitcast(truths, ir.IntType(lanes)), _I64)


def _lanes(builder: Any, bits: Any, lanes: int) -> Any:
    return builder.bitcast(builder.trunc(bits, ir.IntType(lanes)), ir.VectorType(_I1, lanes))


def _shifted(builder: Any, before: Any, group: Any) -> Any:
    """Move a group's keys one place down; the last one before it comes in at the front."""
    order = [GROUP - 1, *range(GROUP, 2 * GROUP - 1)]
    return builder.shuffle_vector(before, group, ir.Constant(ir.VectorType(_I32, GROUP), order))


@intrinsic
def _bring_to_front(typing_context: Any, address: Any, back: Any, key: Any, ways: Any) -> Any:
    """Use a key in a set: bring it to the front, whether it was there or not; answer 1 if it was not.

    `ways` has one element for each vector of the set: which of its lanes are ways. `back` is `address` again, but
    LLVM must not know: it would merge load, select and store into one masked store, which the next load of the
    set has to wait for (measured: 1.2 times the time).
    """
    groups = len(ways)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, back, key, ways = arguments
        pointers = [_vector_at(builder, back, GROUP, i) for i in range(groups)]
        held = [_load(builder, _vector_at(builder, address, GROUP, i)) for i in range(groups)]
        wanted = _splat(builder, key, GROUP)
        found: Any = ir.Constant(_I64, 0)
        for i, group in enumerate(held):
            equal = _bits(builder, builder.icmp_unsigned("==", group, wanted), GROUP)
            found = builder.or_(found, builder.shl(equal, ir.Constant(_I64, GROUP * i)))
        # The lowest bit found and all below it; every bit where none was found.
        moves = builder.xor(found, builder.sub(found, ir.Constant(_I64, 1)))
        before = wanted
        for i, (group, pointer) in enumerate(zip(held, pointers, strict=True)):
            here = builder.lshr(moves, ir.Constant(_I64, GROUP * i))
            mask = _lanes(builder, builder.and_(here, builder.extract_value(ways, i)), GROUP)
            _store(builder, builder.select(mask, _shifted(builder, before, group), group), pointer)
            before = group
        return builder.zext(builder.icmp_unsigned("==", found, ir.Constant(_I64, 0)), _I64)

    return types.uint64(types.uint64, types.uint64, types.uint64, ways), generate


@intrinsic
def _misses(typing_context: Any, address: Any, key: Any, ways: Any) -> Any:
    """Say whether a set of one vector for each element of `ways` lacks a key."""
    groups = len(ways)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wanted = _splat(builder, arguments[1], GROUP)
        found: Any = ir.Constant(ir.VectorType(_I1, GROUP), [0] * GROUP)
        for i in range(groups):
            group = _load(builder, _vector_at(builder, arguments[0], GROUP, i))
            found = builder.or_(found, builder.icmp_unsigned("==", group, wanted))
        return builder.icmp_unsigned("==", _bits(builder, found, GROUP), ir.Constant(_I64, 0))

    return types.boolean(types.uint64, types.uint64, ways), generate


@intrinsic
def _push_front(typing_context: Any, address: Any, back: Any, key: Any, ways: Any) -> Any:
    """Put a key that a set lacks at its front; arguments as of `_bring_to_front`."""
    groups = len(ways)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, back, key, ways = arguments
        before = _splat(builder, key, GROUP)
        for i in range(groups):
            pointer = _vector_at(builder, back, GROUP, i)
            group = _load(builder, _vector_at(builder, address, GROUP, i))
            mask = _lanes(builder, builder.extract_value(ways, i), GROUP)
            _store(builder, builder.select(mask, _shifted(builder, before, group), group), pointer)
            before = group
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64, ways), generate


@intrinsic
def _front_of_group(typing_context: Any, address: Any, back: Any, carried: Any, key: Any, ways: Any) -> Any:
    """Take a key's place in one group of a long set: move what is before it, and let `carried` in at the front.

    Returns a pair: whether the key was there, and the key that fell out at the end.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, back, carried, key, ways = arguments
        pointer = _vector_at(builder, back, GROUP)
        group = _load(builder, _vector_at(builder, address, GROUP))
        equal = _bits(builder, builder.icmp_unsigned("==", group, _splat(builder, key, GROUP)), GROUP)
        moves = builder.and_(builder.xor(equal, builder.sub(equal, ir.Constant(_I64, 1))), ways)
        moved = _shifted(builder, _splat(builder, carried, GROUP), group)
        _store(builder, builder.select(_lanes(builder, moves, GROUP), moved, group), pointer)
        fell_out = builder.extract_element(group, ir.Constant(_I32, GROUP - 1))
        return context.make_tuple(builder, signature.return_type, (equal, fell_out))

    pair: Any = types.UniTuple(types.uint64, 2)
    return pair(types.uint64, types.uint64, types.uint64, types.uint64, types.uint64), generate


@intrinsic
def _pages_change(typing_context: Any, address: Any, shift: Any) -> Any:
    """Say which of eight accesses go to another page than the one before: bit i for the access i."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, shift = arguments
        before = builder.sub(address, ir.Constant(_I64, 8))
        here, there = (_load(builder, _vector_at(builder, place, EIGHT)) for place in (address, before))
        apart = builder.lshr(builder.xor(here, there), _splat(builder, shift, EIGHT))
        return _bits(builder, builder.icmp_unsigned("!=", apart, ir.Constant(apart.type, [0] * EIGHT)), EIGHT)

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def _copy_pages(typing_context: Any, address: Any, shift: Any, to: Any) -> Any:
    """Write the page numbers of eight accesses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, shift, to = arguments
        pages = builder.lshr(
            _load(builder, _vector_at(builder, address, EIGHT)), _splat(builder, shift, EIGHT)
        )
        _store(builder, pages, _vector_at(builder, to, EIGHT))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64), generate


@intrinsic
def _word_at(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], _I64.as_pointer()))

    return types.uint64(types.uint64), generate


@intrinsic
def _set_word(typing_context: Any, address: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], builder.inttoptr(arguments[0], _I64.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


def _pointer_of(typing_context: Any, array: Any) -> Any:
    pointer: Any = types.CPointer

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return pointer(array.dtype)(array), generate


raw: Any = intrinsic(_pointer_of)  # an array without its reference count, while the caller holds it


@intrinsic
def address_of(typing_context: Any, array: Any) -> Any:
    """Give the address of an array's first element."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, _I64)

    return types.uint64(array), generate


# --- four keys, or their times of last use, in a register


class LanesType(types.Type):
    """The numba type of a vector of `GROUP` words."""

    def __init__(self) -> None:
        """Name the only type of its kind."""
        super().__init__(name="Lanes")


_LANES = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: LanesType) -> None:
        super().__init__(manager, kind, ir.VectorType(_I64, GROUP))


@intrinsic
def _lanes_at(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, _vector_at(builder, arguments[0], GROUP))

    return _LANES(types.uint64), generate


@intrinsic
def _keep_lanes(typing_context: Any, lanes: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store(builder, arguments[0], _vector_at(builder, arguments[1], GROUP))
        return context.get_dummy_value()

    return types.void(_LANES, types.uint64), generate


@intrinsic
def _equal(typing_context: Any, lanes: Any, word: Any) -> Any:
    """Say which lanes hold a word, as bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wanted = _splat(builder, arguments[1], GROUP)
        return _bits(builder, builder.icmp_unsigned("==", arguments[0], wanted), GROUP)

    return types.uint64(_LANES, types.uint64), generate


@intrinsic
def _replaced(typing_context: Any, lanes: Any, bits: Any, word: Any) -> Any:
    """Put a word into the lanes whose bits are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, bits, word = arguments
        return builder.select(_lanes(builder, bits, GROUP), _splat(builder, word, GROUP), lanes)

    return _LANES(_LANES, types.uint64, types.uint64), generate


@intrinsic
def _renewed(typing_context: Any, times: Any, keys: Any, key: Any, now: Any) -> Any:
    """Put a time into the lanes in which `keys` holds a key."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        times, keys, key, now = arguments
        equal = builder.icmp_unsigned("==", keys, _splat(builder, key, GROUP))
        return builder.select(equal, _splat(builder, now, GROUP), times)

    return _LANES(_LANES, _LANES, types.uint64, types.uint64), generate


@intrinsic
def _least(typing_context: Any, lanes: Any) -> Any:
    """Give the bit of the lane with the least word, the first of them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        words = [builder.extract_element(arguments[0], ir.Constant(_I32, i)) for i in range(GROUP)]
        best = [(word, ir.Constant(_I64, 1 << i)) for i, word in enumerate(words)]
        while len(best) > 1:
            pairs = zip(best[::2], best[1::2], strict=True)
            best = [
                tuple(
                    builder.select(builder.icmp_unsigned("<=", a[0], b[0]), x, y)
                    for x, y in zip(a, b, strict=True)
                )
                for a, b in pairs
            ]
        return best[0][1]

    return types.uint64(_LANES), generate


# --- the passes. Streams and caches are bare addresses: numba counts references to arrays at every call.


@kernel
def _distinct_pages(addresses: Any, count: Any, shift: Any, previous: Any, pages: Any) -> Any:
    """Write the page of each access that goes to another page than the one before it; answer how many.

    The rest hit L1's most recent entry and change nothing.
    """
    written = U0
    done = U0
    while done < count:
        at = addresses + done * U8
        if done > U0 and done + U8 <= count:
            changes: Any = _pages_change(at, shift)
            if changes == EVERY:
                _copy_pages(at, shift, pages + written * U8)
                written += U8
            elif changes != U0:
                for i in range(EIGHT):
                    j = np.uint64(i)
                    _set_word(pages + written * U8, _word_at(at + j * U8) >> shift)
                    written += (changes >> j) & U1
            done += U8
        else:
            page = _word_at(at) >> shift
            if done > U0:
                previous = _word_at(at - U8) >> shift
            _set_word(pages + written * U8, page)
            written += np.uint64(page != previous)
            done += U1
    return written


@kernel
def _distinct_pages_one_by_one(addresses: Any, count: Any, shift: Any, previous: Any, pages: Any) -> Any:
    """Do what `_distinct_pages` does, where repeats are so mixed that eight accesses are rarely alike."""
    written = U0
    for i in range(np.int64(count)):
        page = _word_at(addresses + np.uint64(i) * U8) >> shift
        _set_word(pages + written * U8, page)
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
    """Send a stream of pages through a cache of one vector to a set for each element of `ways`."""
    sets, set_mask, xor, up = plan[row + SETS], plan[row + SET_MASK], plan[row + XOR], plan[row + UP]
    nothing = plan[row + NOTHING]
    stride = np.uint64(8 * GROUP * len(ways))
    written = U0
    if sets == set_mask + U1 and xor == NO_FOLD:
        for i in range(count):
            page = _word_at(pages + np.uint64(i) * U8) >> up
            _set_word(missed + written * U8, page)
            at = cache + (page & set_mask) * stride
            written += _bring_to_front(at, at + nothing, page | VALID, ways)
        return written
    for i in range(count):
        page = _word_at(pages + np.uint64(i) * U8) >> up
        _set_word(missed + written * U8, page)
        at = cache + _set_number(page, sets, set_mask, xor) * stride
        written += _bring_to_front(at, at + nothing, page | VALID, ways)
    return written


@kernel
def _missing_pass(cache: Any, plan: Any, row: Any, ways: Any, pages: Any, count: Any, missed: Any) -> Any:
    """Do what `_pass` does, in fewer instructions where nearly everything misses and a branch foretells it."""
    sets, set_mask, xor, up = plan[row + SETS], plan[row + SET_MASK], plan[row + XOR], plan[row + UP]
    nothing = plan[row + NOTHING]
    stride = np.uint64(8 * GROUP * len(ways))
    written = U0
    for i in range(count):
        page = _word_at(pages + np.uint64(i) * U8) >> up
        at = cache + _set_number(page, sets, set_mask, xor) * stride
        if _misses(at, page | VALID, ways):
            _set_word(missed + written * U8, page)
            written += U1
            _push_front(at, at + nothing, page | VALID, ways)
        else:
            _bring_to_front(at, at + nothing, page | VALID, ways)
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
    """Send a stream of pages through a cache with more than 16 ways; what is used again soon is found soon."""
    sets, set_mask, xor, up = plan[row + SETS], plan[row + SET_MASK], plan[row + XOR], plan[row + UP]
    nothing = plan[row + NOTHING]
    groups, ways = plan[row + GROUPS], plan[row + WAYS]
    every = np.uint64((1 << GROUP) - 1)
    last = every >> (groups * np.uint64(GROUP) - ways)
    written = U0
    for i in range(count):
        page = _word_at(pages + np.uint64(i) * U8) >> up
        _set_word(missed + written * U8, page)
        at = cache + _set_number(page, sets, set_mask, xor) * groups * np.uint64(8 * GROUP)
        key = page | VALID
        carried = key
        found = U0
        for g in range(groups):
            mask = last if np.uint64(g) + U1 == groups else every
            here = at + np.uint64(g) * np.uint64(8 * GROUP)
            found, carried = _front_of_group(here, here + nothing, carried, key, mask)
            if found != U0:
                break
        written += np.uint64(found == U0)
    return written


@kernel
def _stamped_pass(cache: Any, plan: Any, row: Any, pages: Any, count: Any, missed: Any) -> Any:
    """Send a stream of pages through one set of up to `GROUP` ways.

    Each access would wait for the store of the one before it. So the set stays in registers, and LRU is kept
    by times of last use: an access that hits changes those alone. Ways that are none were last used at the end
    of time.
    """
    up = plan[row + UP]
    keys: Any = _lanes_at(cache)
    times: Any = _lanes_at(cache + np.uint64(8 * GROUP))
    now = _word_at(cache + np.uint64(16 * GROUP))
    written = U0
    for i in range(count):
        page = _word_at(pages + np.uint64(i) * U8) >> up
        key = page | VALID
        now += U1
        if _equal(keys, key) == U0:
            _set_word(missed + written * U8, page)
            written += U1
            keys = _replaced(keys, _least(times), key)
        times = _renewed(times, keys, key, now)
    _keep_lanes(keys, cache)
    _keep_lanes(times, cache + np.uint64(8 * GROUP))
    _set_word(cache + np.uint64(16 * GROUP), now)
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
        w[0] = _word_at(at + (length - U1) * U8) >> shift
        c[0] += length - count  # hits of the most recent entry
        for row in range(0, plan.size, ROW):
            seen = 1 + row // ROW
            went_on = _through(here, p, row, pages, count, missed, w[seen] == U1)
            w[seen] = np.uint64(went_on >= count - count // MOST)
            c[seen] += count - went_on
            pages, missed, count = missed, pages, went_on
        c[1 + plan.size // ROW] += count
