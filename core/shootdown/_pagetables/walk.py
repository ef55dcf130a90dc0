"""The page walk: one kernel for all formats, specialised for each.

`visit` is one step of a hardware walker (it reads one entry), `walk` takes all of them, `walk_each` walks
many addresses. Other kernels can call them; `walker.Walker` calls them from Python.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shootdown._compilation.instructions import peek
from shootdown._compilation.kernels import inlined, kernel
from shootdown._pagetables.format import Reason
from shootdown._pagetables.format_layout import (
    FLAGS_FAULT_FIRST,
    FLAGS_IGNORED,
    FLAGS_SET,
    NO_BIT,
    Walk,
)
from shootdown._pagetables.memory_kernels import entry_of, find, store_entry

U0 = np.uint64(0)
U1 = np.uint64(1)
U2 = np.uint64(2)
SIX, LOW_SIX = np.uint64(6), np.uint64(63)
U64 = np.uint64(64)
ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
NONE = np.uint64(NO_BIT)
OR = np.uint64(1)

IGNORED = np.uint64(FLAGS_IGNORED)
SETS = np.uint64(FLAGS_SET)
FAULTS_FIRST = np.uint64(FLAGS_FAULT_FIRST)

OK = np.uint64(Reason.OK)
NOT_PRESENT = np.uint64(Reason.NOT_PRESENT)
PERMISSION = np.uint64(Reason.PERMISSION)
RESERVED = np.uint64(Reason.RESERVED)
NONCANONICAL = np.uint64(Reason.NONCANONICAL)
ADDRESS_SIZE = np.uint64(Reason.ADDRESS_SIZE)
ACCESS_FLAG = np.uint64(Reason.ACCESS_FLAG)
MALFORMED = np.uint64(Reason.MALFORMED)
NO_MEMORY = np.uint64(Reason.NO_MEMORY)
NEXT = np.uint64(255)  # not the end: `address` is the next table


class Visit(NamedTuple):
    """The state of a walk after an entry was read.

    Attributes:
        reason: `NEXT` where the entry points to a table, otherwise a `Reason`.
        address: the next table's physical address, or the page's translation, or 0.
        entry: the entry.
        shift: log2 of the bytes that the entry maps.
        inherited: the permissions that the tables so far grant, encoded as `Layout.inherit_flip` says.
        rights: the index of the combined attributes, at a leaf.
    """

    reason: np.uint64
    address: np.uint64
    entry: np.uint64
    shift: np.uint64
    inherited: np.uint64
    rights: np.uint64


@inlined
def begin(layout: Any, root: Any, va: Any) -> Any:
    """Check the address and return the `Visit` before the top table."""
    upper = (va & ~layout.va_ignored) >> layout.upper_shift
    if layout.upper_shift == U64:
        upper = U0
    reason = NEXT
    if upper != U0 and upper != layout.upper_ones:
        reason = NONCANONICAL
    return Visit(reason, root & layout.root_mask, U0, layout.va_bits, ONES, U0)


@inlined
def combined_rights(layout: Any, entry: Any, inherited: Any) -> Any:
    """Combine a leaf's attributes with those of the tables on the way."""
    rights = U0
    for i in range(layout.attribute_count):
        granted = U1
        if layout.table_bits[i] != NONE:
            granted = (inherited >> layout.table_bits[i]) & U1
        value = U0 if layout.combine[i] == OR else U1
        if layout.leaf_bits[i] != NONE:
            value = (entry >> layout.leaf_bits[i]) & U1
        if layout.combine[i] == OR:
            value |= granted ^ U1
        else:
            value &= granted
        rights |= value << np.uint64(i)
    return rights


@inlined
def is_allowed(layout: Any, check: Any, rights: Any) -> Any:
    """Whether an access may use a page with these combined attributes."""
    word = check.allowed
    if layout.attribute_count > 6 and rights >> SIX != U0:
        word = check.allowed_beyond[np.int64(rights >> SIX) - 1]
    return (word >> (rights & LOW_SIX)) & U1 != U0


@inlined
def is_refused(layout: Any, entry: Any, slot: Any) -> Any:
    """Whether an entry shows a pattern that must not occur."""
    found = False
    for i in range(layout.refused_count):
        if (layout.refused_slots[i] >> slot) & U1 and entry & layout.refused_masks[
            i
        ] == layout.refused_values[i]:
            found = True
    return found


@inlined
def next_table(layout: Any, entry: Any) -> Any:
    """Return the physical address of the table that an entry points to."""
    target = (entry & layout.pointer_masks[0]) << layout.pointer_ups[0] >> layout.pointer_downs[0]
    return target | (entry & layout.pointer_masks[1]) << layout.pointer_ups[1] >> layout.pointer_downs[1]


@inlined
def mapped_page(layout: Any, entry: Any, level: Any) -> Any:
    """Return the physical address that a leaf of a level holds, with what lies below its page."""
    first, second = U2 * level, U2 * level + U1
    target = (entry & layout.page_masks[first]) << layout.page_ups[first] >> layout.page_downs[first]
    return (
        target | (entry & layout.page_masks[second]) << layout.page_ups[second] >> layout.page_downs[second]
    )


@inlined
def visit(layout: Any, memory: Any, check: Any, va: Any, level: Any, last: Any) -> Any:
    """Read one entry and decide what it means.

    Args:
        layout: `Layout`.
        memory: `PhysicalMemory.view`.
        check: `Check`.
        va: address in bytes.
        level: of the table, counted from the root.
        last: the `Visit` before, with reason `NEXT`.

    Returns:
        A `Visit`.
    """
    shift = layout.shifts[level]
    index = (va >> shift) & layout.index_masks[level]
    reason = NEXT
    table = last.address
    if layout.next_bits != U0:
        size = layout.va_bits - shift if level == U0 else last.entry & layout.next_bits
        if size == U0 or size > last.shift or (layout.size_masks[level] >> size) & U1 == U0:
            reason = MALFORMED
            size = last.shift
        shift = last.shift - size
        index = (va >> shift) & ((U1 << size) - U1)
        table &= ~((layout.entry_bytes << size) - U1)  # a table lies aligned to its size
    address = table + index * layout.entry_bytes
    at = find(memory, address)
    target = U0
    entry = U0
    inherited = last.inherited
    rights = U0
    if reason == MALFORMED:
        pass
    elif at == U0:
        reason = NO_MEMORY
    else:
        entry = entry_of(peek(at), address, layout)
        if entry & layout.present_masks[level] != layout.present_values[level]:
            reason = NOT_PRESENT
        elif entry & layout.table_masks[level] == layout.table_values[level]:
            target = next_table(layout, entry)
            inherited &= (entry ^ layout.inherit_flip) | ~layout.inherit_masks[level]
            accessed = layout.accessed_masks[U2 * level]
            if entry & check.reserved[U2 * level] or is_refused(layout, entry, U2 * level):
                reason = RESERVED
            elif layout.checks_output and target & check.output_refused:
                reason = ADDRESS_SIZE
            elif entry & accessed != accessed and check.flags != IGNORED:
                if check.flags == SETS:
                    entry |= accessed
                    store_entry(at, address, entry, layout)
                else:
                    reason = ACCESS_FLAG
        else:
            target = mapped_page(layout, entry, level)
            low = (U1 << shift) - U1
            if layout.run_masks[level] != U0 and entry & layout.run_masks[level] == layout.run_values[level]:
                shift += layout.run_bits[level]
                if layout.run_napot[level] != U0:
                    low = (U1 << shift) - U1
            base = target & ~low
            target = base | (va & low)
            rights = combined_rights(layout, entry, inherited)
            accessed = layout.accessed_masks[U2 * level + U1]
            used = entry | accessed
            if check.write != U0:
                used = (used | layout.dirty_set) & ~layout.dirty_clear
            if entry & layout.leaf_present_masks[level] != layout.leaf_present_values[level]:
                reason = NOT_PRESENT
            elif entry & check.reserved[U2 * level + U1] or is_refused(layout, entry, U2 * level + U1):
                reason = RESERVED
            elif layout.checks_output and base & check.output_refused:
                reason = ADDRESS_SIZE
            elif check.flags == FAULTS_FIRST and entry & accessed != accessed:
                reason = ACCESS_FLAG
            elif not is_allowed(layout, check, rights):
                reason = PERMISSION
            elif used != entry and check.flags > SETS:
                reason = ACCESS_FLAG
            else:
                reason = OK
                if used != entry and check.flags == SETS:
                    entry = used
                    store_entry(at, address, entry, layout)
    return Visit(reason, target, entry, shift, inherited, rights)


@inlined
def walk(layout: Any, memory: Any, check: Any, root: Any, va: Any) -> Any:
    """Walk from the root to a leaf or a fault; for use inside kernels.

    Args:
        layout: `Layout`.
        memory: `PhysicalMemory.view`.
        check: `Check`.
        root: physical address of the top table, as the root register holds it.
        va: address in bytes.

    Returns:
        A `Walk`.
    """
    last = begin(layout, root, va)
    reached: Any = U0
    # LLVM unrolls the loop for the layout's depth, and every number in it becomes a constant.
    for step in range(layout.depth):
        if last.reason != NEXT:
            break
        reached = np.uint64(step)
        last = visit(layout, memory, check, va, reached, last)
    reason: Any = MALFORMED if last.reason == NEXT else last.reason
    pa: Any = last.address if reason == OK else U0
    return Walk(pa, last.entry, reason, reached, last.shift, last.rights)


class Walks(NamedTuple):
    """The results of many walks: `Walk` as arrays with one element per address."""

    pa: npt.NDArray[np.uint64]
    entry: npt.NDArray[np.uint64]
    reason: npt.NDArray[np.uint8]
    level: npt.NDArray[np.uint8]
    shift: npt.NDArray[np.uint8]
    rights: npt.NDArray[np.uint8]


@kernel
def walk_each(layout: Any, memory: Any, check: Any, root: Any, addresses: Any, out: Any) -> None:
    """Walk each address; `out` is a `Walks` of the same length."""
    for i in range(addresses.size):
        found = walk(layout, memory, check, root, addresses[i])
        out.pa[i] = found.pa
        out.entry[i] = found.entry
        out.reason[i] = found.reason
        out.level[i] = found.level
        out.shift[i] = found.shift
        out.rights[i] = found.rights
