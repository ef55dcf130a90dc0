"""Kernels: functions that are plain Python until somebody asks for the compiled copy.

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

A decorator marks its function and gives the very function back. `running.compiled` makes a copy of it: the same code
object, over globals in which each kernel that the code names is compiled as well. So a kernel names others by names of
its module, not through another module (`bits.popcount(x)`): `compiled` refuses that.

What plain Python has no words for, such as a prefetch, is an `instruction`: a plain function, and what stands for it
where kernels are compiled. What compiled code needs to know of a class whose values it takes, `typed.compiled_type`
names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from shootdown._compilation.registry import INSTRUCTIONS, MADE_WITH, MANNERS, Manner

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Mark a kernel: compiled when `compiled` is asked for it, and kept on disk for the next process."""
    return _marked(function, Manner.KERNEL)


def internal(function: F) -> F:
    """Mark a kernel that only other kernels call, so that no entry for Python is compiled.

    Such an entry takes a fifth of the engine's time to compile. Only the plain function can be called from Python.
    """
    return _marked(function, Manner.INTERNAL)


def inlined(function: F) -> F:
    """Mark a small helper of kernels: inlined before optimisation, so that it costs no call."""
    return _marked(function, Manner.INLINED)


def inlined_copy(function: F) -> F:
    """Copy a large kernel for the one loop that calls it: inlined there, and kept on disk with that loop alone."""
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
    """Say what stands for a plain function where kernels are compiled.

    Args:
        compiled: `module:name` of what numba takes a call of the function for.
    """

    def note(function: F) -> F:
        INSTRUCTIONS[function] = compiled
        MADE_WITH.setdefault(function.__module__, set()).add(compiled.partition(":")[0])
        return function

    return note
