"""Arrays as hot loops take them: a bare pointer, which a call passes in a register."""

# numba ships types for a part of itself only, and none for what `extending` gives.
# mypy: disable-error-code="no-untyped-call,call-arg"

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic, overload


def _data_of_array(typingctx: Any, array: Any) -> Any:
    pointer: Any = types.CPointer

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return pointer(array.dtype)(array), codegen


_data_pointer: Any = intrinsic(_data_of_array)


def raw(array: Any) -> Any:
    """Give a one-dimensional array without its reference count, while the caller holds the array."""
    return array


@overload(raw)
def _raw(array: Any) -> Any:
    if isinstance(array, types.CPointer):

        def same(array: Any) -> Any:
            return array

        return same

    def pointer(array: Any) -> Any:
        return _data_pointer(array)

    return pointer
