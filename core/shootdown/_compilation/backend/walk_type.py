"""numba's type of a custom format's functions: kernels that take one are compiled for those functions.

A closure over a jitted function never hits numba's disk cache and litters it (numba #6264, #2065). Therefore the type
has only the functions' names and a digest of their sources.
"""

# numba has type hints only in part, and none for `numba.extending`.
# mypy: disable-error-code="no-untyped-call,call-arg,override"

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import NativeValue, models, overload, register_model, typeof_impl, unbox

from shootdown._compilation.backend.dispatchers import plugins_own
from shootdown._compilation.named import function_named


class CustomWalkType(types.Type):
    """The numba type of one `CustomWalk`, whose names are plain data."""

    def __init__(self, walk: str, first_read: str, stamp: str) -> None:
        """Name the type by the functions and the digest."""
        self.walk = walk
        self.first_read = first_read
        super().__init__(name=f"CustomWalk({walk} {first_read} {stamp})")


def teach(walk: type) -> None:
    """Let kernels take values of the class `CustomWalk`."""

    @typeof_impl.register(walk)
    def typeof_custom_walk(value: Any, context: Any) -> CustomWalkType:
        return CustomWalkType(value.walk, value.first_read, value.stamp)


register_model(CustomWalkType)(models.OpaqueModel)


@unbox(CustomWalkType)
def _unbox_custom_walk(kind: CustomWalkType, value: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())


def walk_one(functions: Any, memory: Any, check: Any, root: Any, va: Any) -> Any:
    """The replacement of a call of the walk that a `CustomWalk` names."""


def first_read(functions: Any, memory: Any, check: Any, root: Any, va: Any) -> Any:
    """The replacement of a call of the `first_read` that a `CustomWalk` names."""


@overload(walk_one, strict=False)
def _compiled_walk_one(functions: Any, memory: Any, check: Any, root: Any, va: Any) -> Any:
    one = plugins_own(function_named(functions.walk))
    return lambda functions, memory, check, root, va: one(memory, check, root, va)


@overload(first_read, strict=False)
def _compiled_first_read(functions: Any, memory: Any, check: Any, root: Any, va: Any) -> Any:
    where = plugins_own(function_named(functions.first_read))
    return lambda functions, memory, check, root, va: where(memory, check, root, va)
