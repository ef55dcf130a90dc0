"""Many walks by a plugin's own function: kernels compiled for it, and kept on disk where it has a name.

A closure over a jitted function never hits numba's disk cache and litters it (numba #6264, #2065). So the function's
name and a digest of the sources that it comes from are carried by a numba type, as a format's numbers are: the
kernels here are compiled for each such type, and only an edited plugin's anew. A function that has no name to
import it by, such as one made within another, is numbered, and every process compiles it.
"""

# numba ships types for a part of itself only, and none for what `extending` gives.
# mypy: disable-error-code="no-untyped-call,call-arg,override"

from __future__ import annotations

import functools
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import NativeValue, models, overload, register_model, typeof_impl, unbox

from shootdown._compilation.jit import digest, kernel
from shootdown._pagetables.memory_kernels import find, peek
from shootdown._pagetables.walk_batch import LEVEL_AT, RIGHTS_AT, SHIFT_AT, U8, finish, prefetch

AHEAD = 32  # walks between a prefetch and its read
_own: Any = njit(error_model="numpy", nogil=True)
_numbered: list[Callable[..., Any]] = []  # functions without a name


@dataclass(frozen=True)
class CustomWalk:
    """The functions of a custom format, by name.

    Args:
        walk: of `CustomFormat.walk`, as `module:name`.
        first_read: of `CustomFormat.first_read`; where there is none, nobody asks.
        stamp: another one for other sources.
    """

    walk: str
    first_read: str
    stamp: str


class CustomWalkType(types.Type):
    """The numba type of one `CustomWalk`, whose names are plain data."""

    def __init__(self, walk: str, first_read: str, stamp: str) -> None:
        """Name the type by all that makes it another one."""
        self.walk = walk
        self.first_read = first_read
        super().__init__(name=f"CustomWalk({walk} {first_read} {stamp})")


@typeof_impl.register(CustomWalk)
def _typeof_custom_walk(value: CustomWalk, context: Any) -> CustomWalkType:
    return CustomWalkType(value.walk, value.first_read, value.stamp)


register_model(CustomWalkType)(models.OpaqueModel)


@unbox(CustomWalkType)
def _unbox_custom_walk(kind: CustomWalkType, value: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())


def _function(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = _numbered[int(name)] if name.isdecimal() else pkgutil.resolve_name(name)
    return found


@functools.cache
def _compiled(name: str) -> Any:
    return _own(_function(name))


def walk_one(functions: Any, memory: Any, check: Any, root: Any, va: Any) -> Any:
    """Walk one address by the plugin's function."""
    return _function(functions.walk)(memory, check, root, va)


@overload(walk_one, strict=False)
def _overload_walk_one(functions: Any, memory: Any, check: Any, root: Any, va: Any) -> Any:
    one = _compiled(functions.walk)
    return lambda functions, memory, check, root, va: one(memory, check, root, va)


def first_read(functions: Any, memory: Any, check: Any, root: Any, va: Any) -> Any:
    """Say what the walk of an address reads first."""
    return _function(functions.first_read)(memory, check, root, va)


@overload(first_read, strict=False)
def _overload_first_read(functions: Any, memory: Any, check: Any, root: Any, va: Any) -> Any:
    where = _compiled(functions.first_read)
    return lambda functions, memory, check, root, va: where(memory, check, root, va)


@kernel
def _walk_each(
    functions: Any, memory: Any, check: Any, root: Any, addresses: Any, count: Any, out: Any
) -> None:
    for i in range(count):
        n = np.uint64(i)
        found = walk_one(functions, memory, check, root, peek(addresses + n * U8))
        info = found.reason | found.level << LEVEL_AT | found.shift << SHIFT_AT | found.rights << RIGHTS_AT
        finish(out, n, found.pa, found.entry, info)


@kernel
def _walk_ahead(
    functions: Any, memory: Any, check: Any, root: Any, addresses: Any, count: Any, out: Any
) -> None:
    for i in range(count):
        n = np.uint64(i)
        if i + AHEAD < count:
            later = peek(addresses + (n + np.uint64(AHEAD)) * U8)
            prefetch(find(memory, first_read(functions, memory, check, root, later)))
        found = walk_one(functions, memory, check, root, peek(addresses + n * U8))
        info = found.reason | found.level << LEVEL_AT | found.shift << SHIFT_AT | found.rights << RIGHTS_AT
        finish(out, n, found.pa, found.entry, info)


@functools.cache
def custom_kernel(walk: Callable[..., Any] | str, first: Callable[..., Any] | str | None) -> Any:
    """Give the kernel that walks many addresses by a plugin's functions.

    Args:
        walk: `CustomFormat.walk`.
        first: `CustomFormat.first_read`: what is prefetched `AHEAD` walks before it is read; may be None.
    """
    names = [_name(function) for function in (walk, first) if function is not None]
    each = _walk_each if first is None else _walk_ahead
    if any(name.isdecimal() for name in names):
        return functools.partial(_own(getattr(each, "py_func", each)), CustomWalk(names[0], names[-1], ""))
    for name in names:
        _function(name)  # a module's sources are known once it is imported
    stamp = " ".join(digest(name.partition(":")[0])[:16] for name in names)
    return functools.partial(each, CustomWalk(names[0], names[-1], stamp))


def _name(function: Callable[..., Any] | str) -> str:
    """Give the name that a function can be imported by, or its number."""
    if isinstance(function, str):
        return function
    module, name = function.__module__, function.__qualname__
    if (
        module != "__main__"
        and name.isidentifier()
        and getattr(sys.modules.get(module), name, None) is function
    ):
        return f"{module}:{name}"
    _numbered.append(function)
    return str(len(_numbered) - 1)
