"""numba's type of a `Layout`: kernels that take one are compiled for its numbers and cached on disk.

A layout has no data at run time. The numba type has the numbers, attributes are constants, and the type's name has a
digest of them: an edited format recompiles only the kernels of that format (edits of kernels are the matter of
`sources`). The type has only plain data, no module and no callable: with those the cache would never hit.
"""

# numba has type hints only in part, and none for `numba.extending`.
# mypy: disable-error-code="no-untyped-call,call-arg,override"

from __future__ import annotations

import functools
from typing import Any

import attrs
import numpy as np
from numba import types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_getattr_generic,
    models,
    register_model,
    typeof_impl,
    unbox,
)


class LayoutType(types.Type):
    """The numba type of one layout.

    Attributes:
        numbers: pairs of an attribute's name and its value: a boolean, an integer, or a tuple of integers.
    """

    def __init__(self, label: str, numbers: tuple[tuple[str, Any], ...]) -> None:
        """Name the type by its label, which must be different for different numbers."""
        self.numbers = numbers
        super().__init__(name=f"Layout({label})")

    def number(self, attribute: str) -> Any:
        """Return an attribute's value; None if it has none."""
        return next((value for name, value in self.numbers if name == attribute), None)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return tuple(int(word) for word in value)
    return value if isinstance(value, bool) else int(value)


@functools.cache
def _layout_type(layout: Any) -> LayoutType:
    fields = attrs.asdict(layout, recurse=False)
    name, fingerprint = fields.pop("name"), fields.pop("fingerprint")
    numbers = tuple((field, _plain(value)) for field, value in fields.items())
    return LayoutType(f"{name} {fingerprint[:16]}", numbers)


def teach(layout: type) -> None:
    """Let kernels take values of the class `Layout`."""

    @typeof_impl.register(layout)
    def typeof_layout(value: Any, context: Any) -> LayoutType:
        return _layout_type(value)


register_model(LayoutType)(models.OpaqueModel)


@unbox(LayoutType)
def _unbox_layout(kind: LayoutType, value: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())


def _constant(value: Any) -> tuple[Any, Any]:
    if isinstance(value, tuple):
        array = np.array(value, dtype=np.uint64)
        return types.Array(types.uint64, 1, "C", readonly=True), array
    if isinstance(value, bool):
        return types.boolean, value
    return types.uint64, value


@infer_getattr
class _LayoutAttributes(AttributeTemplate):
    key = LayoutType

    def generic_resolve(self, kind: LayoutType, attribute: str) -> Any:
        """Return the type of one of the layout's numbers."""
        value = kind.number(attribute)
        return None if value is None else _constant(value)[0]


@lower_getattr_generic(LayoutType)
def _lower_layout_attribute(context: Any, builder: Any, kind: LayoutType, value: Any, attribute: str) -> Any:
    number_type, number = _constant(kind.number(attribute))
    return context.get_constant_generic(builder, number_type, number)
