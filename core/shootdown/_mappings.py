"""Everything that page tables map, as ranges."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
import numpy.typing as npt

from ._format import Access, Format, Settings
from ._format_layout import Layout, check, layout
from ._memory import PhysicalMemory

Words = npt.NDArray[np.uint64]


@attrs.frozen
class Mapping:
    """A range of addresses that is mapped alike, to consecutive physical addresses.

    Args:
        va: first address, in bytes.
        pa: its translation.
        size: bytes.
        page_size: bytes that one leaf maps.
        level: of the leaves, counted from the root.
        attributes: names of the combined attributes.
    """

    va: int
    pa: int
    size: int
    page_size: int
    level: int
    attributes: frozenset[str]


def mappings(
    format_: Format, memory: PhysicalMemory, root: int, settings: Settings | None = None
) -> Iterator[Mapping]:
    """List what is mapped, in the order of addresses, neighbours that continue one another joined.

    Entries with reserved bits set translate nothing and are left out, as are tables outside of memory.

    Args:
        format_: the page-table format.
        memory: where the tables are.
        root: physical address of the top table.
        settings: the CPU's; the format's defaults where None.
    """
    tree = _Tree(format_, memory, settings or format_.settings())
    last: Mapping | None = None
    for found in tree.below(root & format_.root_mask, 0, 0, format_.va_bits, format_.levels[0].bits, -1):
        if last is not None and _continues(last, found):
            last = attrs.evolve(last, size=last.size + found.size)
            continue
        if last is not None:
            yield last
        last = found
    if last is not None:
        yield last


def _continues(last: Mapping, found: Mapping) -> bool:
    return (
        last.va + last.size == found.va
        and last.pa + last.size == found.pa
        and (last.page_size, last.level, last.attributes) == (found.page_size, found.level, found.attributes)
    )


@attrs.frozen
class _Tree:
    format: Format
    memory: PhysicalMemory
    settings: Settings

    @property
    def shape(self) -> Layout:
        return layout(self.format, self.settings)

    def below(
        self, table: int, level: int, va: int, above: int, size: int, inherited: int
    ) -> Iterator[Mapping]:
        """List what one table and all below it map; `above` is log2 of the bytes that the table covers."""
        format_, shape = self.format, self.shape
        shift = above - size
        if not 0 < size <= above or not self.memory.reaches(table):
            return
        if format_.next_bits and format_.levels[level].sizes and size not in format_.levels[level].sizes:
            return
        entries = self.memory.table(
            table, 1 << size, entry_bytes=format_.entry_bytes, big_endian=format_.big_endian
        )
        present = entries & shape.present_masks[level] == shape.present_values[level]
        leaf = entries & shape.table_masks[level] != shape.table_values[level]
        sound = present & ~self._reserved(entries, level, leaf)
        indices = np.flatnonzero(sound)
        tables = ~leaf[indices]
        runs = np.split(indices, np.flatnonzero(tables[1:] | tables[:-1]) + 1) if indices.size else []
        for run in runs:
            first = int(run[0])
            if leaf[first]:
                yield from self._leaves(entries[run], run, level, va, shift, inherited)
            elif level + 1 < len(format_.levels):
                entry = int(entries[first])
                target = sum((entry & piece.mask) << piece.up for piece in format_.address)
                left = inherited & ((entry ^ int(shape.inherit_flip)) | ~int(shape.inherit_masks[level]))
                wide = entry & format_.next_bits if format_.next_bits else format_.levels[level + 1].bits
                if not (format_.output_bits and target >> self.settings[format_.output_bits]):
                    yield from self.below(target, level + 1, va + (first << shift), shift, wide, left)

    def _reserved(self, entries: Words, level: int, leaf: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        masks = check(self.format, Access(), self.settings).reserved[2 * level : 2 * level + 2]
        found: npt.NDArray[np.bool_] = entries & np.where(leaf, masks[1], masks[0]) != 0
        slots = np.where(leaf, 2 * level + 1, 2 * level).astype(np.uint64)
        for i, rule in enumerate(self.format.refused):
            covered = self.shape.refused_slots[i] >> slots & np.uint64(1) != 0
            found |= covered & (entries & np.uint64(rule.test.mask) == np.uint64(rule.test.value))
        return found

    def _leaves(
        self, entries: Words, indices: npt.NDArray[np.intp], level: int, va: int, shift: int, inherited: int
    ) -> Iterator[Mapping]:
        """Join neighbouring leaves of one table."""
        format_, row = self.format, self.format.levels[level]
        pages = np.zeros(entries.size, dtype=np.uint64)
        for piece in row.leaf_address or format_.address:
            pages |= (entries & np.uint64(piece.mask)) << np.uint64(piece.up)
        pages &= ~np.uint64((1 << shift) - 1)
        shifts = np.full(entries.size, shift)
        places = indices.astype(np.uint64) << np.uint64(shift)
        for run in format_.contiguous:
            if run.level == row.name:
                inside = entries & np.uint64(run.test.mask) == np.uint64(run.test.value)
                shifts[inside] += run.bits
                if run.napot:
                    low = np.uint64((1 << (shift + run.bits)) - 1)
                    pages[inside] = (pages[inside] & ~low) | (places[inside] & low)
        rights = self._rights(entries, inherited)
        ok = np.ones(entries.size, dtype=np.bool_)
        if format_.output_bits:
            ok = pages >> np.uint64(self.settings[format_.output_bits]) == 0
        step = np.uint64(1 << shift)
        joined = (
            (places[1:] == places[:-1] + step)
            & (pages[1:] == pages[:-1] + step)
            & (rights[1:] == rights[:-1])
            & (shifts[1:] == shifts[:-1])
            & (ok[1:] == ok[:-1])
        )
        for part in np.split(np.arange(entries.size), np.flatnonzero(~joined) + 1):
            first = int(part[0])
            if ok[first]:
                yield Mapping(
                    va=self._extended(va + int(places[first])),
                    pa=int(pages[first]),
                    size=part.size << shift,
                    page_size=1 << int(shifts[first]),
                    level=level,
                    attributes=format_.held(int(rights[first])),
                )

    def _rights(self, entries: Words, inherited: int) -> Words:
        rights = np.zeros(entries.size, dtype=np.uint64)
        one = np.uint64(1)
        for i, attribute in enumerate(self.format.attributes):
            passed = attribute.table is None or bool(inherited >> attribute.table & 1)
            if attribute.leaf is None:
                value = np.full(entries.size, np.uint64(attribute.combine != "or"))
            else:
                value = entries >> np.uint64(attribute.leaf) & one
            if attribute.combine == "or" and not passed:
                value = np.ones_like(value)
            elif attribute.combine != "or" and not passed:
                value = np.zeros_like(value)
            rights |= value << np.uint64(i)
        return rights

    def _extended(self, va: int) -> int:
        """Copy the top bit of a translated address upwards, where the format does."""
        if self.format.va_upper == "sign" and va >> (self.format.va_bits - 1):
            return va | (1 << 64) - (1 << self.format.va_bits)
        return va
