"""numba's type of a named tuple of integers, such as a machine's `Layout`: the address of its numbers.

As a tuple each of its numbers would be an argument of every function that takes it, and a value that numba and LLVM
follow through all of them: with two such tuples of forty and sixty that was most of the time to compile the engines.
The numbers never change, which their loads say, so that LLVM moves them out of loops as it does with arguments.
"""

# numba has type hints only in part, and none for `numba.extending`.
# mypy: disable-error-code="no-untyped-call,call-arg,override"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
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


class SizesType(types.Type):
    """The numba type of one class of named integers.

    Attributes:
        fields: their names, in their order.
    """

    def __init__(self, label: str, fields: tuple[str, ...]) -> None:
        """Name the type by the class."""
        self.fields = fields
        super().__init__(name=f"Sizes({label})")


def teach(sizes: Any) -> None:
    """Let kernels take values of a class of named integers; its attribute `packed` has their 64-bit words."""
    kind = SizesType(sizes.__name__, sizes._fields)

    @typeof_impl.register(sizes)
    def typeof_sizes(value: Any, context: Any) -> SizesType:
        return kind


@register_model(SizesType)
class _SizesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: SizesType) -> None:
        super().__init__(manager, kind, ir.IntType(64).as_pointer())


@unbox(SizesType)
def _unbox_sizes(kind: SizesType, value: Any, c: Any) -> NativeValue:
    words = c.pyapi.object_getattr_string(value, "packed")
    failed = cgutils.is_null(c.builder, words)
    found = cgutils.alloca_once_value(c.builder, cgutils.get_null_value(ir.IntType(64).as_pointer()))
    with c.builder.if_then(c.builder.not_(failed), likely=True):
        start = c.pyapi.bytes_as_string(words)
        c.builder.store(c.builder.bitcast(start, ir.IntType(64).as_pointer()), found)

    def cleanup() -> None:
        c.pyapi.decref(words)

    return NativeValue(c.builder.load(found), is_error=failed, cleanup=cleanup)


@infer_getattr
class _SizesAttributes(AttributeTemplate):
    key = SizesType

    def generic_resolve(self, kind: SizesType, attribute: str) -> Any:
        """Return the type of one of the numbers."""
        return types.int64 if attribute in kind.fields else None


@lower_getattr_generic(SizesType)
def _lower_sizes_attribute(context: Any, builder: Any, kind: SizesType, value: Any, attribute: str) -> Any:
    place = builder.gep(value, [ir.Constant(ir.IntType(32), kind.fields.index(attribute))])
    number = builder.load(place)
    number.set_metadata("invariant.load", builder.module.add_metadata([]))
    return number
