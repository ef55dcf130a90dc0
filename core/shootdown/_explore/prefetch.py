"""Memory as hot loops see it: asked for before it is needed, and without a check of each index for its sign."""

# numba ships types for a part of itself only, and none for what `extending` gives.
# mypy: disable-error-code="no-untyped-call,call-arg,override"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from shootdown._machine.bits import Cells
from shootdown._raw import raw

__all__ = ["prefetch", "raw"]


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
