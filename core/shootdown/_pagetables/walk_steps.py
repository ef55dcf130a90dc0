"""A page walk step by step, for a person: each entry that is read and what its bits mean. Needs no numba."""

from __future__ import annotations

import attrs

from shootdown._pagetables.format import USER_READ, Access, CustomFormat, Format, Reason, Settings
from shootdown._pagetables.format_layout import FLAGS_FAULT_FIRST, FLAGS_IGNORED, FLAGS_SET, check, layout
from shootdown._pagetables.format_parts import address_in
from shootdown._pagetables.memory import PhysicalMemory


@attrs.frozen
class Step:
    """One entry that was read.

    Args:
        level: of the table, counted from the root.
        name: the manual's name of the entry.
        linux: Linux's name of the level.
        table: physical address of the table.
        index: of the entry in it.
        address: physical address of the entry.
        entry: its value, in the format's byte order; None where there is no memory.
        kind: `table` (points to one), `leaf` (maps a page) or `absent`.
        flags: names of the fields that are not zero.
        target: the next table's physical address, or the translation; None where the walk faults here.
        note: a remark for the reader.
    """

    level: int
    name: str
    linux: str
    table: int
    index: int
    address: int
    entry: int | None
    kind: str
    flags: tuple[str, ...]
    target: int | None
    note: str = ""


@attrs.frozen
class Trace:
    """A walk, step by step.

    Args:
        va: the address, in bytes.
        pa: its translation; None where there is none.
        reason: how the walk ended.
        level: the level where it ended, counted from the root.
        page_shift: log2 of the bytes that the leaf maps (a contiguous run where it is one); 0 without a leaf.
        attributes: names of the combined attributes of the translation.
        fault: the exception's name; empty for none.
        fault_code: its code.
        steps: the entries read, from the root on.
        is_global: the translation belongs to all address spaces.
    """

    va: int
    pa: int | None
    reason: Reason
    level: int
    page_shift: int
    attributes: frozenset[str]
    fault: str
    fault_code: int
    steps: tuple[Step, ...]
    is_global: bool = False

    @property
    def page_size(self) -> int | None:
        """Bytes that the leaf maps; None where there is no translation."""
        return None if self.pa is None else 1 << self.page_shift

    @property
    def flags(self) -> tuple[str, ...]:
        """The last entry's fields."""
        return self.steps[-1].flags if self.steps else ()


def trace(
    format_: Format | CustomFormat,
    memory: PhysicalMemory,
    root: int,
    va: int,
    access: Access = USER_READ,
    settings: Settings | None = None,
) -> Trace:
    """Walk one address in plain Python and keep every step; nothing is written.

    Args:
        format_: the page-table format.
        memory: where the tables are.
        root: physical address of the top table.
        va: address in bytes, below 2**64.
        access: what is asked; a user-mode data read where not given.
        settings: the CPU's; the format's defaults where None.
    """
    under = settings or format_.settings()
    if isinstance(format_, CustomFormat):
        custom: Trace = format_.steps(memory, root, va, access, under)
        return custom
    steps: list[Step] = []
    reason, pa, level, shift, rights = _descend(format_, memory, root, va, access, under, steps)
    fault, code = ("", 0) if reason is Reason.OK else format_.fault(reason, access, under, level=level)
    leaf = steps[-1].entry if steps and steps[-1].kind == "leaf" else None
    all_spaces = leaf is not None and format_.is_global(leaf, level)
    return Trace(va, pa, reason, level, shift, format_.held(rights), fault, code, tuple(steps), all_spaces)


def is_canonical(format_: Format, va: int) -> bool:
    """Whether the bits that tables do not translate are what the format asks for."""
    shape = layout(format_)
    upper = (va & ~format_.va_ignored) >> int(shape.upper_shift) if shape.upper_shift < 64 else 0
    return upper in (0, int(shape.upper_ones))


def _descend(
    format_: Format,
    memory: PhysicalMemory,
    root: int,
    va: int,
    access: Access,
    settings: Settings,
    steps: list[Step],
) -> tuple[Reason, int | None, int, int, int]:
    shape = layout(format_, settings)
    checked = check(format_, access, settings)
    if not is_canonical(format_, va):
        return Reason.NONCANONICAL, None, 0, 0, 0
    table = root & format_.root_mask
    inherited = (1 << 64) - 1
    shift, size = format_.va_bits, format_.levels[0].bits
    for level, row in enumerate(format_.levels):
        if level and not format_.next_bits:
            size = row.bits
        if not 0 < size <= shift or (format_.next_bits and row.sizes and size not in row.sizes):
            return Reason.MALFORMED, None, level, 0, 0
        shift -= size
        index = va >> shift & (1 << size) - 1
        if format_.next_bits:
            table &= ~((format_.entry_bytes << size) - 1)  # a table lies aligned to its size
        address = table + index * format_.entry_bytes
        place = (level, row.name, row.linux, table, index, address)
        if not memory.reaches(address):
            steps.append(Step(*place, None, "absent", (), None, "no physical memory here"))
            return Reason.NO_MEMORY, None, level, 0, 0
        entry = memory.read_entry(address, entry_bytes=format_.entry_bytes, big_endian=format_.big_endian)
        if not (row.present or format_.present).holds(entry):
            note = "" if memory.holds(address) else "this frame is not in the memory given"
            steps.append(Step(*place, entry, "absent", (), None, note))
            return Reason.NOT_PRESENT, None, level, 0, 0
        leaf = entry & int(shape.table_masks[level]) != int(shape.table_values[level])
        if leaf and row.leaf_present is not None and not row.leaf_present.holds(entry):
            steps.append(Step(*place, entry, "absent", (), None, ""))
            return Reason.NOT_PRESENT, None, level, 0, 0
        flags = format_.decode(entry, level, leaf=leaf)
        slot = 2 * level + leaf
        if leaf:
            reason, target, covered, rights = _leaf(
                format_, entry, level, shift, va, inherited, access, settings
            )
            pa = target if reason is Reason.OK else None
            steps.append(Step(*place, entry, "leaf", flags, pa))
            return reason, pa, level, covered, rights
        target = address_in(format_.address, entry)
        carried = int(shape.accessed_masks[slot])
        reason = Reason.OK
        if _reserved(format_, entry, slot, int(checked.reserved[slot])):
            reason = Reason.RESERVED
        elif format_.output_bits and target >> settings[format_.output_bits]:
            reason = Reason.ADDRESS_SIZE
        elif checked.flags > FLAGS_SET and entry & carried != carried:
            reason = Reason.ACCESS_FLAG
        steps.append(Step(*place, entry, "table", flags, None if reason else target))
        if reason:
            return reason, None, level, 0, 0
        inherited &= (entry ^ int(shape.inherit_flip)) | ~int(shape.inherit_masks[level])
        table = target
        size = entry & format_.next_bits if format_.next_bits else 0
    return Reason.MALFORMED, None, len(format_.levels) - 1, 0, 0


def _leaf(
    format_: Format,
    entry: int,
    level: int,
    shift: int,
    va: int,
    inherited: int,
    access: Access,
    settings: Settings,
) -> tuple[Reason, int, int, int]:
    """Evaluate an entry that maps a page; return the reason, the translation, the page's shift and the rights."""
    shape = layout(format_, settings)
    checked = check(format_, access, settings)
    slot = 2 * level + 1
    pieces = format_.levels[level].leaf_address or format_.address
    page = address_in(pieces, entry)
    low = (1 << shift) - 1
    for run in format_.contiguous:
        if run.level == format_.levels[level].name and run.test.holds(entry):
            shift += run.bits
            low = (1 << shift) - 1 if run.napot else low
    base = page & ~low
    target = base | va & low
    rights = rights_of(format_, entry, inherited)
    used = format_.used
    accessed = int(shape.accessed_masks[slot])
    wanted = entry | accessed
    if used and access.kind == "write":
        wanted = (wanted | used.dirty_set) & ~used.dirty_clear
    reason = Reason.OK
    if _reserved(format_, entry, slot, int(checked.reserved[slot])):
        reason = Reason.RESERVED
    elif format_.output_bits and base >> settings[format_.output_bits]:
        reason = Reason.ADDRESS_SIZE
    elif checked.flags == FLAGS_FAULT_FIRST and entry & accessed != accessed:
        reason = Reason.ACCESS_FLAG
    elif not format_.allows(access, format_.held(rights), settings):
        reason = Reason.PERMISSION
    elif checked.flags not in (FLAGS_IGNORED, FLAGS_SET) and wanted != entry:
        reason = Reason.ACCESS_FLAG
    return reason, target, shift, rights


def rights_of(format_: Format, entry: int, inherited: int) -> int:
    """Combine a leaf's attributes with those of the tables: `inherited` has a 0 where a table denies."""
    rights = 0
    for i, attribute in enumerate(format_.attributes):
        passed = attribute.table is None or inherited >> attribute.table & 1
        held = attribute.combine != "or" if attribute.leaf is None else bool(entry >> attribute.leaf & 1)
        value = (held or not passed) if attribute.combine == "or" else (held and passed)
        rights |= bool(value) << i
    return rights


def _reserved(format_: Format, entry: int, slot: int, mask: int) -> bool:
    if entry & mask:
        return True
    shape = layout(format_)
    return any(
        int(shape.refused_slots[i]) >> slot & 1 and rule.test.holds(entry)
        for i, rule in enumerate(format_.refused)
    )
