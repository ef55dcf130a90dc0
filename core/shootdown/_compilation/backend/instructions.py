"""Replacements of `instructions` in compiled kernels: loads, stores and prefetches in LLVM's IR."""

# numba has type hints only in part, and none for `numba.extending`.
# mypy: disable-error-code="no-untyped-call,call-arg"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Words that `differing` compares at once, as `instructions.BLOCK` has it.
BLOCK = 8


def _pointer(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Return the address of an array's first element; an array from `raw` is that address already."""
    if isinstance(kind, types.CPointer):
        return array
    return context.make_array(kind)(context, builder, array).data


def _prefetch(builder: Any, pointer: Any) -> None:
    word = ir.IntType(32)
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), (byte, word, word, word))
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    # Read, into every cache level, data.
    hints = [ir.Constant(word, hint) for hint in (0, 3, 1)]
    builder.call(function, [pointer, *hints])


@intrinsic
def raw(typing_context: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _pointer(context, builder, signature.args[0], arguments[0])

    pointer: Any = array if isinstance(array, types.CPointer) else types.CPointer(array.dtype)
    return pointer(array), generate


@intrinsic
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = _pointer(context, builder, signature.args[0], arguments[0])
        element = builder.gep(start, [arguments[1]])
        _prefetch(builder, builder.bitcast(element, ir.IntType(8).as_pointer()))
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def differing(typing_context: Any, a: Any, b: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = ir.VectorType(ir.IntType(64), BLOCK)
        halves = []
        for kind, array in zip(signature.args, arguments[:2], strict=False):
            start = builder.gep(_pointer(context, builder, kind, array), [arguments[2]])
            halves.append(builder.load(builder.bitcast(start, block.as_pointer()), align=8))
        mask = builder.bitcast(builder.icmp_unsigned("!=", *halves), ir.IntType(BLOCK))
        return builder.zext(mask, ir.IntType(64))

    return types.int64(a, b, types.int64), generate


@intrinsic
def address_of(typing_context: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(_pointer(context, builder, signature.args[0], arguments[0]), ir.IntType(64))

    return types.uint64(array), generate


@intrinsic
def peek(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()))

    return types.uint64(types.uint64), generate


@intrinsic
def poke(typing_context: Any, address: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@intrinsic
def poke_half(typing_context: Any, address: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        pointer = builder.inttoptr(arguments[0], word.as_pointer())
        builder.store(builder.trunc(arguments[1], word), pointer)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@intrinsic
def prefetch_address(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _prefetch(builder, builder.inttoptr(arguments[0], ir.IntType(8).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.uint64), generate


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate
