"""Physical memory inside kernels: a numba type of bare addresses, and reading and writing an entry.

Arrays would do the same and cost two reference counts per walk and array (measured: 36 ns per walk, not 5).
"""

# numba ships types for a part of itself only, and none for what `extending` gives.
# mypy: disable-error-code="no-untyped-call,call-arg,override"

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import (
    NativeValue,
    intrinsic,
    make_attribute_wrapper,
    models,
    overload,
    register_model,
    typeof_impl,
    unbox,
)

from shootdown._compilation.jit import inlined
from shootdown._pagetables.memory import SECTION_BYTES, SECTION_SHIFT, MemoryView

U0 = np.uint64(0)
U1 = np.uint64(1)
U3 = np.uint64(3)
U4 = np.uint64(4)
U7 = np.uint64(7)
U8 = np.uint64(8)
U16 = np.uint64(16)
U32 = np.uint64(32)
BYTES_0 = np.uint64(0x00FF00FF00FF00FF)
BYTES_1 = np.uint64(0x0000FFFF0000FFFF)
LOW_WORD = np.uint64(0xFFFFFFFF)
SECTION = np.uint64(SECTION_SHIFT)
IN_SECTION = np.uint64(SECTION_BYTES - 1)

_FIELDS = ("window", "window_base", "window_bytes", "sections", "section_count")


class MemoryType(types.Type):
    """The numba type of a `MemoryView`."""

    def __init__(self) -> None:
        """Name the only type of its kind."""
        super().__init__(name="MemoryView")


_MEMORY = MemoryType()


@typeof_impl.register(MemoryView)
def _typeof_memory(value: MemoryView, context: Any) -> MemoryType:
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


@intrinsic
def _peek(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = context.get_value_type(types.uint64)
        return builder.load(builder.inttoptr(arguments[0], word.as_pointer()))

    return types.uint64(types.uint64), generate


@intrinsic
def _poke(typing_context: Any, address: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = context.get_value_type(types.uint64)
        builder.store(arguments[1], builder.inttoptr(arguments[0], word.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


def peek(address: Any) -> Any:
    """Read a word of this process. The plain form runs where numba is switched off."""
    return np.uint64(ctypes.c_uint64.from_address(int(address)).value)


def poke(address: Any, value: Any) -> None:
    """Write a word of this process."""
    ctypes.c_uint64.from_address(int(address)).value = int(value)


@overload(peek, strict=False)
def _overload_peek(address: Any) -> Any:
    return lambda address: _peek(address)


@overload(poke, strict=False)
def _overload_poke(address: Any, value: Any) -> Any:
    return lambda address, value: _poke(address, value)


@inlined
def find(memory: Any, address: Any) -> Any:
    """Find where the word that holds a physical address lies in this process; 0: there is no memory."""
    at = U0
    if address >= memory.window_base and address - memory.window_base < memory.window_bytes:
        at = memory.window + ((address - memory.window_base) & ~U7)
    else:
        section = address >> SECTION
        if section < memory.section_count:
            at = peek(memory.sections + section * U8)
            if at != U0:
                at += address & IN_SECTION & ~U7
    return at


@inlined
def swap_word(word: Any) -> Any:
    """Reverse the bytes of a word; LLVM makes one instruction of it."""
    word = ((word >> U8) & BYTES_0) | ((word & BYTES_0) << U8)
    word = ((word >> U16) & BYTES_1) | ((word & BYTES_1) << U16)
    return (word >> U32) | (word << U32)


@inlined
def entry_of(word: Any, address: Any, layout: Any) -> Any:
    """Take an entry out of the word that holds it. The host is little-endian, as numba's wheels are."""
    if layout.swapped:
        word = swap_word(word)
    if layout.entry_bytes == U4:
        first = address & U4 == U0
        if layout.swapped:
            first = not first
        word = word & LOW_WORD if first else word >> U32
    return word


@inlined
def store_entry(at: Any, address: Any, entry: Any, layout: Any) -> None:
    """Write an entry back into the word at `at`, as `find` gave it."""
    word = entry
    if layout.entry_bytes == U4:
        old = peek(at)
        if layout.swapped:
            old = swap_word(old)
        first = address & U4 == U0
        if layout.swapped:
            first = not first
        word = (old & ~LOW_WORD) | entry if first else (old & LOW_WORD) | (entry << U32)
    if layout.swapped:
        word = swap_word(word)
    poke(at, word)
