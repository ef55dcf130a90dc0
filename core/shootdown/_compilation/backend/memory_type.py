"""numba's type of a `MemoryView`: a struct of raw addresses.

Arrays would do as well, but cost two updates of a reference count for each walk and array (measured: 36 ns a walk
instead of 5).
"""

# numba has type hints only in part, and none for `numba.extending`.
# mypy: disable-error-code="no-untyped-call,call-arg,override"

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import NativeValue, make_attribute_wrapper, models, register_model, typeof_impl, unbox

_FIELDS = ("window", "window_base", "window_bytes", "sections", "section_count")


class MemoryType(types.Type):
    """The numba type of a `MemoryView`."""

    def __init__(self) -> None:
        """Name the only type of its kind."""
        super().__init__(name="MemoryView")


_MEMORY = MemoryType()


def teach(view: type) -> None:
    """Let kernels take values of the class `MemoryView`."""

    @typeof_impl.register(view)
    def typeof_memory(value: Any, context: Any) -> MemoryType:
        return _MEMORY


@register_model(MemoryType)
class _MemoryModel(models.StructModel):
    def __init__(self, manager: Any, kind: MemoryType) -> None:
        super().__init__(manager, kind, [(field, types.uint64) for field in _FIELDS])


for _field in _FIELDS:
    make_attribute_wrapper(MemoryType, _field, _field)


@unbox(MemoryType)
def _unbox_memory(kind: MemoryType, value: Any, c: Any) -> NativeValue:
    view = cgutils.create_struct_proxy(kind)(c.context, c.builder)
    for field in _FIELDS:
        number = c.pyapi.object_getattr_string(value, field)
        setattr(view, field, c.pyapi.long_as_ulonglong(number))
        c.pyapi.decref(number)
    failed = cgutils.is_not_null(c.builder, c.pyapi.err_occurred())
    return NativeValue(view._getvalue(), is_error=failed)
