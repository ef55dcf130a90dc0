"""Replacements of `vectors` in compiled kernels: vector instructions in LLVM's IR."""

# numba has type hints only in part, and none for `numba.extending`.
# mypy: disable-error-code="no-untyped-call,call-arg,override"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

GROUP, EIGHT = 4, 8  # as in `shootdown._compilation.vectors`

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
    """Pack a vector of booleans into a mask: bit i for lane i."""
    return builder.zext(builder.bitcast(truths, ir.IntType(lanes)), _I64)


def _lanes(builder: Any, bits: Any, lanes: int) -> Any:
    return builder.bitcast(builder.trunc(bits, ir.IntType(lanes)), ir.VectorType(_I1, lanes))


def _shifted(builder: Any, before: Any, group: Any) -> Any:
    """Shift a group's keys down by one place; the last key of the group before it comes in at the front."""
    order = [GROUP - 1, *range(GROUP, 2 * GROUP - 1)]
    return builder.shuffle_vector(before, group, ir.Constant(ir.VectorType(_I32, GROUP), order))


@intrinsic
def bring_to_front(typing_context: Any, address: Any, back: Any, key: Any, ways: Any) -> Any:
    groups = len(ways)

    # Stores go through `back`, which LLVM can't identify with `address`.
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, back, key, ways = arguments
        pointers = [_vector_at(builder, back, GROUP, i) for i in range(groups)]
        held = [_load(builder, _vector_at(builder, address, GROUP, i)) for i in range(groups)]
        wanted = _splat(builder, key, GROUP)
        found: Any = ir.Constant(_I64, 0)
        for i, group in enumerate(held):
            equal = _bits(builder, builder.icmp_unsigned("==", group, wanted), GROUP)
            found = builder.or_(found, builder.shl(equal, ir.Constant(_I64, GROUP * i)))
        # The lowest bit found and all below it; all bits if none was found.
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
def misses(typing_context: Any, address: Any, key: Any, ways: Any) -> Any:
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
def push_front(typing_context: Any, address: Any, back: Any, key: Any, ways: Any) -> Any:
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
def front_of_group(typing_context: Any, address: Any, back: Any, carried: Any, key: Any, ways: Any) -> Any:
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
def pages_change(typing_context: Any, address: Any, shift: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, shift = arguments
        before = builder.sub(address, ir.Constant(_I64, 8))
        here, there = (_load(builder, _vector_at(builder, place, EIGHT)) for place in (address, before))
        apart = builder.lshr(builder.xor(here, there), _splat(builder, shift, EIGHT))
        return _bits(builder, builder.icmp_unsigned("!=", apart, ir.Constant(apart.type, [0] * EIGHT)), EIGHT)

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def copy_pages(typing_context: Any, address: Any, shift: Any, to: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, shift, to = arguments
        pages = builder.lshr(
            _load(builder, _vector_at(builder, address, EIGHT)), _splat(builder, shift, EIGHT)
        )
        _store(builder, pages, _vector_at(builder, to, EIGHT))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64), generate


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
def lanes_at(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, _vector_at(builder, arguments[0], GROUP))

    return _LANES(types.uint64), generate


@intrinsic
def keep_lanes(typing_context: Any, lanes: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store(builder, arguments[0], _vector_at(builder, arguments[1], GROUP))
        return context.get_dummy_value()

    return types.void(_LANES, types.uint64), generate


@intrinsic
def equal(typing_context: Any, lanes: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wanted = _splat(builder, arguments[1], GROUP)
        return _bits(builder, builder.icmp_unsigned("==", arguments[0], wanted), GROUP)

    return types.uint64(_LANES, types.uint64), generate


@intrinsic
def replaced(typing_context: Any, lanes: Any, bits: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, bits, word = arguments
        return builder.select(_lanes(builder, bits, GROUP), _splat(builder, word, GROUP), lanes)

    return _LANES(_LANES, types.uint64, types.uint64), generate


@intrinsic
def renewed(typing_context: Any, times: Any, keys: Any, key: Any, now: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        times, keys, key, now = arguments
        equal = builder.icmp_unsigned("==", keys, _splat(builder, key, GROUP))
        return builder.select(equal, _splat(builder, now, GROUP), times)

    return _LANES(_LANES, _LANES, types.uint64, types.uint64), generate


@intrinsic
def least(typing_context: Any, lanes: Any) -> Any:
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
