"""Memory as hot loops see it: asked for before it is needed, compared in blocks, no index checked for its sign."""

# numba ships types for a part of itself only, and none for what `extending` gives.
# mypy: disable-error-code="no-untyped-call,call-arg,override"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from shootdown._compilation.raw import raw
from shootdown._machine.bits import Cells

__all__ = ["BLOCK", "differing", "prefetch", "raw"]

#: Words that `differing` compares at once: those of a cache line.
BLOCK = 8


def prefetch(array: Cells, index: int) -> None:
    """Let the memory of one element come nearer; without compiled kernels, do nothing."""


@intrinsic
def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), (pointer, word, word, word))
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # Read, into every cache level, data.
        hints = [ir.Constant(word, hint) for hint in (0, 3, 1)]
        builder.call(function, [builder.bitcast(builder.gep(arguments[0], [arguments[1]]), pointer), *hints])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@overload(prefetch)
def _compiled(array: Any, index: Any) -> Any:
    def compiled(array: Any, index: Any) -> None:
        _prefetch(raw(array), index)

    return compiled


def differing(a: Cells, b: Cells, index: int) -> int:
    """Say which words of a block of two arrays of 64-bit words differ, as a mask.

    Args:
        a, b: with at least `BLOCK` words from `index` on.
        index: where the block begins.
    """
    return sum(1 << i for i in range(BLOCK) if a[index + i] != b[index + i])


@intrinsic
def _differing(typing_context: Any, a: Any, b: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = ir.VectorType(ir.IntType(64), BLOCK)
        halves = [
            builder.load(builder.bitcast(builder.gep(array, [arguments[2]]), block.as_pointer()), align=8)
            for array in arguments[:2]
        ]
        mask = builder.bitcast(builder.icmp_unsigned("!=", *halves), ir.IntType(BLOCK))
        return builder.zext(mask, ir.IntType(64))

    return types.int64(a, b, types.int64), generate


@overload(differing)
def _compiled_differing(a: Any, b: Any, index: Any) -> Any:
    def compiled(a: Any, b: Any, index: Any) -> Any:
        return _differing(raw(a), raw(b), index)

    return compiled
