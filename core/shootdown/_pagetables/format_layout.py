"""What the walk kernel reads: masks and shifts derived once from a `Format`, as plain numbers.

`Layout` is fixed when a kernel is compiled: the kernel is specialised for it. `Check` holds what depends on the CPU's
settings and the access. It is handed over at run time, so that neither needs a compilation.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._compilation.typed import compiled_type
from shootdown._pagetables.format import (
    Access,
    Attribute,
    Deny,
    Format,
    Level,
    Piece,
    Reserved,
    Settings,
    Slot,
    Test,
)
from shootdown._values.errors import nearest
from shootdown._values.sites import mistake

Words = npt.NDArray[np.uint64]

# How a walk treats the accessed and dirty flags (`Check.flags`).
FLAGS_IGNORED = 0  # ignored: nothing is written
FLAGS_SET = 1  # hardware sets them in memory
FLAGS_FAULT = 2  # a clear flag is a fault
FLAGS_FAULT_FIRST = 3  # the same, before permissions are checked

NO_BIT = 64

# Checks that a batch leaves out where it trusts its tables (`Layout.trusts`): only malformed tables need them.
TRUSTS_MEMORY = 1  # each table lies in memory
TRUSTS_RESERVED = 2  # reserved bits are clear, patterns that are refused don't occur
TRUSTS_OUTPUT = 4  # output addresses are not too high
TRUSTS_ALL = 7


class Check(NamedTuple):
    """What one access is checked against, as kernels read it. A TLB hit looks its entry's `rights` up in `allowed`.

    Attributes:
        allowed: bit i: the access may use a page whose combined attributes have index i, up to 63.
        output_refused: bits of an output address that are too high.
        write: 1 for a write.
        flags: one of `FLAGS_*`.
        reserved: per level, the bits that must be zero in an entry that points to a table, then in a leaf.
        allowed_beyond: `allowed` for indices from 64 on, 64 in a word: of formats with more than six attributes.
    """

    allowed: np.uint64
    output_refused: np.uint64
    write: np.uint64
    flags: np.uint64
    reserved: tuple[np.uint64, ...]
    allowed_beyond: tuple[np.uint64, ...] = (np.uint64(0),)


class Walk(NamedTuple):
    """How a walk ended, as kernels return it.

    Attributes:
        pa: physical address in bytes; 0 unless `reason` is 0.
        entry: the last entry that was read, in the format's byte order, after flags were set.
        reason: a `Reason`.
        level: of that entry, counted from the root.
        shift: log2 of the bytes that the leaf maps (of a contiguous run where it is one).
        rights: the index of the combined attributes; `Format.held` names them.
    """

    pa: int
    entry: int
    reason: int
    level: int
    shift: int
    rights: int


@compiled_type("shootdown._compilation.backend.layout_type:teach")
@attrs.frozen(eq=False)
class Layout:
    """A format as numbers. Arrays have one element per level unless said otherwise.

    Attributes:
        name: the format's.
        fingerprint: sha256 of everything below, in hexadecimal.
        depth: how many levels.
        shifts: log2 of the bytes that an entry maps.
        index_masks: of the index, after shifting.
        entry_bytes: 4 or 8.
        swapped: entries are big-endian.
        present_masks: with `present_values`: when an entry is present.
        present_values: see there.
        leaf_present_masks: with `leaf_present_values`: when one that maps a page is; mask 0: always.
        leaf_present_values: see there.
        table_masks: with `table_values`: when it points to a table; (0, 1) never does, (0, 0) always.
        table_values: see there.
        pointer_masks: 2 pieces: where the next table's address lies.
        pointer_ups: 2 left shifts.
        pointer_downs: 2 right shifts, after these.
        page_masks: 2 pieces per level: where a page's address lies.
        page_ups: 2 left shifts per level.
        page_downs: 2 right shifts per level, after these.
        inherit_masks: the bits of an entry, pointing to a table, that take part in permissions.
        inherit_flip: the bits in which set means denied.
        attribute_count: how many attributes.
        leaf_bits: per attribute, its bit in a leaf, `NO_BIT` where it has none.
        table_bits: per attribute, its bit in tables, `NO_BIT` where it has none.
        combine: per attribute: 0 and, 1 or, 2 and-not.
        accessed_masks: 2 per level: the accessed bit in tables, in leaves.
        dirty_set: set in a leaf by a write.
        dirty_clear: cleared in a leaf by a write.
        refused_count: how many patterns.
        refused_masks: per pattern.
        refused_values: per pattern.
        refused_slots: per pattern: bit 2 * level + (1 for leaves).
        run_masks: with `run_values`: when a leaf belongs to a contiguous run; mask 0: never.
        run_values: see there.
        run_bits: log2 of the entries in a run.
        run_napot: 1 where the run's address bits come from the address.
        next_bits: the field that holds the next table's size, or 0.
        size_masks: bit n: a table of the level may be indexed by n address bits, where entries say so.
        checks_output: output addresses are limited.
        va_bits: translated bits.
        va_ignored: bits not looked at.
        upper_shift: the bits from here up must be alike.
        upper_ones: what they may be instead of zero (0: zero alone).
        root_mask: of a root pointer.
        trusts: `TRUSTS_*`: checks that batches leave out.
    """

    name: str
    fingerprint: str
    depth: int
    shifts: Words
    index_masks: Words
    entry_bytes: int
    swapped: bool
    present_masks: Words
    present_values: Words
    leaf_present_masks: Words
    leaf_present_values: Words
    table_masks: Words
    table_values: Words
    pointer_masks: Words
    pointer_ups: Words
    pointer_downs: Words
    page_masks: Words
    page_ups: Words
    page_downs: Words
    inherit_masks: Words
    inherit_flip: np.uint64
    attribute_count: int
    leaf_bits: Words
    table_bits: Words
    combine: Words
    accessed_masks: Words
    dirty_set: np.uint64
    dirty_clear: np.uint64
    refused_count: int
    refused_masks: Words
    refused_values: Words
    refused_slots: Words
    run_masks: Words
    run_values: Words
    run_bits: Words
    run_napot: Words
    next_bits: np.uint64
    size_masks: Words
    checks_output: bool
    va_bits: np.uint64
    va_ignored: np.uint64
    upper_shift: np.uint64
    upper_ones: np.uint64
    root_mask: np.uint64
    trusts: int


def _words(values: list[int]) -> Words:
    """Pack numbers, at least one: a constant array of a kernel can't be empty."""
    packed = np.array(values or [0], dtype=np.uint64)
    packed.flags.writeable = False
    return packed


def _pieces(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """Return two pieces: what walk kernels take."""
    if len(pieces) > 2:
        raise ValueError("an address lies in at most two pieces")
    return (*pieces, Piece(0), Piece(0))[:2]


def _slots(format_: Format, levels: tuple[str, ...], slot: Slot) -> list[int]:
    """Number the slots that a rule covers: 2 * level, plus 1 for leaves."""
    wanted = {"any": (0, 1), "table": (0,), "leaf": (1,)}[slot]
    rows = [i for i, level in enumerate(format_.levels) if not levels or level.name in levels]
    return [2 * i + part for i in rows for part in wanted]


def _table_test(format_: Format, index: int, settings: Settings) -> Test:
    level: Level = format_.levels[index]
    if level.leaf == "always":
        return Test(0, 1)
    return format_.points_to_table if format_.has_leaves(index, settings) else Test(0, 0)


@functools.lru_cache(maxsize=256)
def layout(format_: Format, settings: Settings | None = None, trusts: int = 0) -> Layout:
    """Compute a format's `Layout`: the constants that the walk kernel is compiled for.

    Args:
        format_: the literal.
        settings: the CPU's; only those that decide which levels have leaves (`Level.leaf_needs`) matter here.
        trusts: `TRUSTS_*`, added up.
    """
    under = settings or format_.settings()
    levels = format_.levels
    present = [level.present or format_.present for level in levels]
    leaf_present = [level.leaf_present or Test(0, 0) for level in levels]
    table = [_table_test(format_, i, under) for i in range(len(levels))]
    pages = [piece for level in levels for piece in _pieces(level.leaf_address or format_.address)]
    pointers = _pieces(format_.address)
    table_bits = [(a, 1 << a.table) for a in format_.attributes if a.table is not None]
    inherit = sum({mask for _, mask in table_bits})
    used = format_.used
    accessed = []
    for level in levels:
        carried = used.accessed if used and level.attributes else 0
        accessed += [carried if used and used.on_tables else 0, carried]
    runs = {run.level: run for run in format_.contiguous}
    here = [runs.get(level.name) for level in levels]
    fields: dict[str, Any] = {
        "depth": len(levels),
        "shifts": list(format_.shifts),
        "index_masks": [(1 << level.bits) - 1 for level in levels],
        "entry_bytes": format_.entry_bytes,
        "swapped": format_.big_endian,
        "present_masks": [test.mask for test in present],
        "present_values": [test.value for test in present],
        "leaf_present_masks": [test.mask for test in leaf_present],
        "leaf_present_values": [test.value for test in leaf_present],
        "table_masks": [test.mask for test in table],
        "table_values": [test.value for test in table],
        "pointer_masks": [piece.mask for piece in pointers],
        "pointer_ups": [piece.up for piece in pointers],
        "pointer_downs": [piece.down for piece in pointers],
        "page_masks": [piece.mask for piece in pages],
        "page_ups": [piece.up for piece in pages],
        "page_downs": [piece.down for piece in pages],
        "inherit_masks": [inherit if level.attributes else 0 for level in levels],
        "inherit_flip": sum({mask for a, mask in table_bits if a.combine != "and"}),
        "attribute_count": len(format_.attributes),
        "leaf_bits": [NO_BIT if a.leaf is None else a.leaf for a in format_.attributes],
        "table_bits": [NO_BIT if a.table is None else a.table for a in format_.attributes],
        "combine": [("and", "or", "and-not").index(a.combine) for a in format_.attributes],
        "accessed_masks": accessed,
        "dirty_set": used.dirty_set if used else 0,
        "dirty_clear": used.dirty_clear if used else 0,
        "refused_count": len(format_.refused),
        "refused_masks": [r.test.mask for r in format_.refused],
        "refused_values": [r.test.value for r in format_.refused],
        "refused_slots": [sum(1 << s for s in _slots(format_, r.levels, r.slot)) for r in format_.refused],
        "run_masks": [run.test.mask if run else 0 for run in here],
        "run_values": [run.test.value if run else 1 for run in here],
        "run_bits": [run.bits if run else 0 for run in here],
        "run_napot": [int(run.napot) if run else 0 for run in here],
        "next_bits": format_.next_bits,
        "size_masks": [sum(1 << n for n in set(level.sizes)) or (1 << 64) - 1 for level in levels],
        "checks_output": format_.output_bits is not None,
        "va_bits": format_.va_bits,
        "va_ignored": format_.va_ignored,
        "upper_shift": format_.va_bits - 1 if format_.va_upper == "sign" else format_.va_bits,
        "upper_ones": 0,
        "root_mask": format_.root_mask,
        "trusts": trusts,
    }
    if format_.va_upper != "zero":
        ignored = (1 << 64) - 1 & ~format_.va_ignored
        fields["upper_ones"] = ignored >> fields["upper_shift"] if fields["upper_shift"] < 64 else 0
    digest = hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()
    wide = {"inherit_flip", "dirty_set", "dirty_clear", "next_bits", "root_mask"}
    wide |= {"va_bits", "va_ignored", "upper_shift", "upper_ones"}
    values: dict[str, Any] = {
        name: _words(value) if isinstance(value, list) else np.uint64(value) if name in wide else value
        for name, value in fields.items()
    }
    return Layout(name=format_.name, fingerprint=digest, **values)


def check_by(
    attributes: Sequence[Attribute],
    deny: Sequence[Deny],
    access: Access,
    settings: Settings,
    *,
    flags: int = FLAGS_IGNORED,
    output_refused: int = 0,
) -> Check:
    """Make the `Check` of an access for a walk of a plugin's own: `CustomFormat.check`.

    Args:
        attributes: those that the walk returns in `rights`, at most 8; their names alone matter.
        deny: the accesses that are refused.
        access: what is asked.
        settings: the CPU's.
        flags: what becomes of accessed and dirty flags: one of `FLAGS_*`.
        output_refused: bits of an output address that are too high.

    Raises:
        MistakeError: there are too many attributes, or a rule names one that there is not.
    """
    names = [one.name for one in attributes]
    if len(names) > 8:
        raise mistake(f"check_by(): {len(names)} attributes; a walk carries at most 8")
    for name in [name for rule in deny for name in (*rule.has, *rule.lacks)]:
        if name not in names:
            raise mistake(f"check_by(): a rule names the attribute {name!r}; {nearest(name, names)}")
    if flags not in (FLAGS_IGNORED, FLAGS_SET, FLAGS_FAULT, FLAGS_FAULT_FIRST):
        raise mistake(f"check_by(): flags is {flags!r}: one of FLAGS_*")
    allowed = 0
    for index in range(1 << len(names)):
        held = frozenset(name for n, name in enumerate(names) if index >> n & 1)
        allowed |= (not any(rule.applies(access, held, settings) for rule in deny)) << index
    return Check(
        allowed=np.uint64(allowed & (1 << 64) - 1),
        output_refused=np.uint64(output_refused),
        write=np.uint64(access.kind == "write"),
        flags=np.uint64(flags),
        reserved=(np.uint64(0),),
        allowed_beyond=_beyond(allowed, len(names)),
    )


def _beyond(allowed: int, attributes: int) -> tuple[np.uint64, ...]:
    """Return the words of `allowed` above the first, of which there is at least one."""
    tops = range(64, max(1 << attributes, 128), 64)
    return tuple(np.uint64(allowed >> low & (1 << 64) - 1) for low in tops)


@functools.lru_cache(maxsize=1024)
def check(
    format_: Format, access: Access, settings: Settings | None = None, *, hardware_sets_flags: bool = False
) -> Check:
    """Derive what an access is checked against at run time.

    Args:
        format_: the literal.
        access: what is asked.
        settings: the CPU's; the defaults where None.
        hardware_sets_flags: write accessed and dirty flags into memory; otherwise the walk writes nothing. Where
            hardware would not write them (`UsedFlags.hardware`) a clear flag is a fault in either case.
    """
    under = settings or format_.settings()
    allowed = 0
    for index in range(1 << len(format_.attributes)):
        allowed |= format_.allows(access, format_.held(index), under) << index
    reserved = [0] * (2 * len(format_.levels))
    rule: Reserved
    for rule in format_.reserved:
        for slot in _slots(format_, rule.levels, rule.slot):
            reserved[slot] |= rule.effective(under)
    refused = 0 if format_.output_bits is None else (1 << 64) - (1 << under[format_.output_bits])
    used = format_.used
    if used and used.hardware and not under[used.hardware]:
        flags = FLAGS_FAULT_FIRST if used.before_permission else FLAGS_FAULT
    else:
        flags = FLAGS_SET if used and hardware_sets_flags else FLAGS_IGNORED
    return Check(
        allowed=np.uint64(allowed & (1 << 64) - 1),
        output_refused=np.uint64(refused),
        write=np.uint64(access.kind == "write"),
        flags=np.uint64(flags),
        reserved=tuple(np.uint64(mask) for mask in reserved),
        allowed_beyond=_beyond(allowed, len(format_.attributes)),
    )
