"""C functions that compiled kernels call: by symbol, so that kernels on disk hold no address."""

# numba has type hints only in part, and none for `numba.extending`.
# mypy: disable-error-code="no-untyped-call,no-untyped-def,misc"

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from shootdown._compilation.registry import FOREIGN

MOST_ARGUMENTS = 4


def register() -> None:
    """Tell LLVM where the C functions lie, before it links a kernel that names one."""
    for symbol, address in FOREIGN.values():
        binding.add_symbol(symbol, address)


@functools.cache
def replacement(function: Callable[..., Any]) -> Any:
    """Return what compiled kernels have in place of a plain function: a call of its C function.

    Raises:
        TypeError: it has no argument, or too many.
    """
    symbol, _ = FOREIGN[function]
    count = len(inspect.signature(function).parameters)
    if not 1 <= count <= MOST_ARGUMENTS:
        raise TypeError(
            f"{function.__qualname__} has {count} arguments: a C function has 1 to {MOST_ARGUMENTS}"
        )
    register()
    word = types.uint64
    signature = word(*[word] * count)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [ir.IntType(64)] * count)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, symbol), arguments)

    # numba reads the number of arguments from the function itself.
    def one(typing_context, a):
        return signature, generate

    def two(typing_context, a, b):
        return signature, generate

    def three(typing_context, a, b, c):
        return signature, generate

    def four(typing_context, a, b, c, d):
        return signature, generate

    return intrinsic((one, two, three, four)[count - 1])
