"""Decorators for kernels: functions that stay plain Python; `running.compiled` makes compiled copies of them.

    from shootdown._compilation.kernels import inlined, kernel
    from shootdown._compilation.running import runnable

    @inlined
    def twice(x):
        return 2 * x

    @kernel
    def answer(x):
        return twice(x) + 2

    answer(20)              # plain Python
    runnable(answer)(20)    # compiled, unless this process compiles nothing

A decorator registers its function and returns it unchanged. `running.compiled` makes a copy of it: the same code
object, with globals in which each kernel that the code names is compiled too. So a kernel must name others directly, as
globals of its module, and not through another module (`bits.popcount(x)`): `compiled` refuses that.

Arrays are indexed from their start: a variable that is below zero does not count from the end in a compiled kernel.

An operation that plain Python lacks, such as a prefetch, is an `instruction`: a plain function and its replacement in
compiled kernels. A class whose values kernels take declares by `typed.compiled_type` how numba learns of it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from shootdown._compilation.registry import FOREIGN, INSTRUCTIONS, MADE_WITH, MANNERS, Manner

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Register a kernel: `compiled` compiles it, and the result is kept on disk for other processes."""
    return _marked(function, Manner.KERNEL)


def internal(function: F) -> F:
    """Register a kernel that only other kernels call: it is compiled as a part of each of them, without an entry.

    From Python only the plain function can be called.
    """
    return _marked(function, Manner.INTERNAL)


def inlined(function: F) -> F:
    """Register a small helper of kernels that is inlined before optimisation, so that it costs no call."""
    return _marked(function, Manner.INLINED)


def inlined_copy(function: F) -> F:
    """Copy a large kernel for the one loop that calls it: inlined there, and kept on disk only with that loop."""
    copy: Any = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    functools.update_wrapper(copy, function)
    del copy.__wrapped__
    large: F = _marked(copy, Manner.INLINED_COPY)
    return large


def _marked(function: F, manner: Manner) -> F:
    marked: Any = function
    if not isinstance(marked, FunctionType):
        raise TypeError(f"{function!r} can't be a kernel: a function defined with def is")
    if MANNERS.setdefault(function, manner) is not manner:
        raise TypeError(f"{marked.__qualname__} is marked as {MANNERS[function].value} already")
    return function


def instruction(compiled: str) -> Callable[[F], F]:
    """Name the replacement of a plain function in compiled kernels.

    Args:
        compiled: `module:name` of the replacement that numba compiles in place of a call.
    """

    def note(function: F) -> F:
        INSTRUCTIONS[function] = compiled
        MADE_WITH.setdefault(function.__module__, set()).add(compiled.partition(":")[0])
        return function

    return note


def foreign(symbol: str, address: int) -> Callable[[F], F]:
    """Name the C function that compiled kernels call in place of a plain function, its twin.

    The C function takes as many `uint64_t` as the twin has arguments, one to four, and returns one. It runs without the
    GIL and must not call Python. Kernels that are kept on disk name it by its symbol, so that its address may differ
    from process to process.

    Args:
        symbol: its name, which no other C function in the process has.
        address: where it lies in this process, such as `int(ffi.cast("uintptr_t", ffi.addressof(lib, symbol)))`.
    """

    def note(function: F) -> F:
        if not (symbol.isidentifier() and address > 0):
            raise TypeError(f"{symbol!r} at {address:#x} is no C function")
        others = [known for known, (name, _) in FOREIGN.items() if name == symbol]
        if any(known.__qualname__ != function.__qualname__ for known in others):
            raise TypeError(f"the C function {symbol!r} has the twin {others[0].__qualname__} already")
        FOREIGN[function] = symbol, address
        MADE_WITH.setdefault(function.__module__, set()).add("shootdown._compilation.backend.foreign")
        # Where kernels are compiled already, those that are loaded next may name it.
        if made := sys.modules.get("shootdown._compilation.backend.foreign"):
            made.register()
        return function

    return note
