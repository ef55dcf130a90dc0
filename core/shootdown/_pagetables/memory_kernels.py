"""Physical memory inside kernels: finding a word, reading and writing an entry."""

from __future__ import annotations

from typing import Any

import numpy as np

from shootdown._compilation.instructions import peek, poke
from shootdown._compilation.kernels import inlined
from shootdown._pagetables.memory import SECTION_BYTES, SECTION_SHIFT

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
