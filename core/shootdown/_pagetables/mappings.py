"""Everything that page tables map, as ranges: many tables at a time, in the order of addresses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._pagetables.format import Access, CustomFormat, Format, Settings
from shootdown._pagetables.format_layout import Layout, check, layout
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._values.errors import ShootdownError

Words = npt.NDArray[np.uint64]

# Rows of the arrays that ranges are kept in, a column for each range. Those from _SHIFT on must be alike for
# two neighbours to be joined.
_VA, _PA, _SIZE, _SHIFT, _LEVEL, _RIGHTS, _FLAGS = range(7)
# Rows of the arrays that tables are kept in.
_TABLE, _FIRST, _INHERITED, _BITS = range(4)

_AT_ONCE = 1 << 18  # entries: large enough for numpy to be fast, small enough to stay in caches


@attrs.frozen
class Mapping:
    """A mapped range: equal rights and page size, consecutive physical addresses.

    Args:
        va: first address, in bytes.
        pa: its translation.
        size: bytes.
        page_size: bytes that one leaf maps (a contiguous run, where it is one).
        level: of the leaves, counted from the root.
        attributes: names of the combined attributes.
        flags: names of the leaves' fields, without those that hardware writes (accessed, dirty) or that only
            software reads: neighbours that differ in those alone are joined.
    """

    va: int
    pa: int
    size: int
    page_size: int
    level: int
    attributes: frozenset[str]
    flags: tuple[str, ...] = ()


def mappings(
    format_: Format | CustomFormat,
    memory: PhysicalMemory,
    root: int,
    settings: Settings | None = None,
    *,
    upper_half: bool = False,
) -> Iterator[Mapping]:
    """List what is mapped, in the order of addresses, neighbours that continue one another joined.

    Entries with reserved bits set translate nothing and are left out, as are tables outside of memory.

    Args:
        format_: the page-table format.
        memory: where the tables are.
        root: physical address of the top table.
        settings: the CPU's; the format's defaults where None.
        upper_half: the root is that of the addresses that begin with ones, where each half has its own.
    """
    return iter(Listing(format_, memory, root, settings or format_.settings(), upper_half=upper_half))


@attrs.define(eq=False)
class Listing:
    """What page tables map, found while it is read.

    Args:
        format: the page-table format.
        memory: where the tables are.
        root: physical address of the top table.
        settings: the CPU's.
        upper_half: as for `mappings`.
        outside: how many tables lay outside of memory so far; what they map is missing.
        done: which part of the tables has been read, 0 to 1, as far as that can be known.

    Raises:
        ShootdownError: the format can't be listed, or has no upper half with a root of its own.
    """

    format: Format | CustomFormat
    memory: PhysicalMemory
    root: int
    settings: Settings
    upper_half: bool = attrs.field(default=False, kw_only=True)
    outside: int = attrs.field(default=0, init=False)
    done: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        """Raise an error if the format can't be listed."""
        if isinstance(self.format, CustomFormat) and self.format.mappings is None:
            raise ShootdownError(f"format {self.format.name} can't list what is mapped")
        if self.upper_half and (isinstance(self.format, CustomFormat) or self.format.va_upper != "either"):
            raise ShootdownError(f"format {self.format.name} has one root for all addresses, no upper half")

    def __iter__(self) -> Iterator[Mapping]:
        """Yield the ranges one by one."""
        if isinstance(self.format, CustomFormat):
            assert self.format.mappings is not None
            yield from self.format.mappings(self.memory, self.root, self.settings)
            return
        decoded: dict[tuple[int, int, int], tuple[frozenset[str], tuple[str, ...]]] = {}
        for batch in self._batches(self.format):
            for va, pa, size, shift, level, rights, flags in batch.T.tolist():
                key = (level, rights, flags)
                names = decoded.get(key)
                if names is None:
                    names = self.format.held(rights), self.format.decode(flags, level, leaf=True)
                    decoded[key] = names
                yield Mapping(va, pa, size, 1 << shift, level, *names)

    def _batches(self, format_: Format) -> Iterator[Words]:
        """Yield ranges as arrays; what continues over the edge of a batch is joined too."""
        tree = _Tree(self, format_)
        root = np.array([[self.root & format_.root_mask], [0], [(1 << 64) - 1]], dtype=np.uint64)
        waiting: Words | None = None
        for batch in tree.tables(root, 0, format_.va_bits, format_.levels[0].bits, 0.0, 1.0):
            if not batch.size:
                continue
            ranges = _join(batch if waiting is None else np.concatenate((waiting, batch), axis=1))
            if ranges.shape[1] > 1:
                yield ranges[:, :-1]
            waiting = ranges[:, -1:]
        self.done = 1.0
        if waiting is not None:
            yield waiting


def _join(ranges: Words) -> Words:
    """Join neighbours that continue one another; ranges are in the order of addresses."""
    ends = ranges[:2, :-1] + ranges[_SIZE, :-1]
    alike = (ranges[:2, 1:] == ends).all(axis=0)
    alike &= (ranges[_SHIFT:, 1:] == ranges[_SHIFT:, :-1]).all(axis=0)
    if not alike.any():
        return ranges
    firsts = np.concatenate(([0], np.flatnonzero(~alike) + 1))
    joined = ranges[:, firsts]
    joined[_SIZE] = np.add.reduceat(ranges[_SIZE], firsts)
    return joined


class _Tree:
    """Read tables level by level, as many at once as are neighbours."""

    def __init__(self, listing: Listing, format_: Format) -> None:
        self.listing = listing
        self.format = format_
        self.settings = listing.settings
        self.shape: Layout = layout(format_, listing.settings)
        self.reserved = check(format_, Access(), listing.settings).reserved
        self.flags = [self._flag_mask(level) for level in range(len(format_.levels))]
        self.barren: dict[tuple[int, int], bool] = {}
        self.seen: Words = np.zeros(0, dtype=np.uint64)

    def _flag_mask(self, level: int) -> int:
        """Return the bits of a leaf by which neighbours are told apart in a listing."""
        used, settings = self.format.used, self.settings
        written = 0
        if used and (used.hardware is None or settings[used.hardware]):
            written = used.accessed | used.dirty_set
        name = self.format.levels[level].name
        mask = 0
        for field in self.format.fields:
            if field.slot != "table" and not field.software and (not field.levels or name in field.levels):
                mask |= field.mask
        return mask & ~written

    def tables(
        self, tables: Words, level: int, above: int, size: int, begin: float, share: float
    ) -> Iterator[Words]:
        """Yield what tables of one level and all below them map, as arrays of ranges.

        Args:
            tables: a column each.
            level: counted from the root.
            above: log2 of the bytes that a table covers.
            size: how many address bits index it.
            begin: which part of the whole was done before.
            share: which share of the whole these tables are.
        """
        if not 0 < size <= above or not int(self.shape.size_masks[level]) >> size & 1:
            return
        count = tables.shape[1]
        at_once = max(1, _AT_ONCE >> size)
        for first in range(0, count, at_once):
            part = tables[:, first : first + at_once]
            at, width = begin + share * first / count, share * part.shape[1] / count
            yield from self._some(part, level, above - size, size, at, width)
            self.listing.done = at + width

    def _some(
        self, tables: Words, level: int, shift: int, size: int, begin: float, share: float
    ) -> Iterator[Words]:
        shape, addresses = self.shape, tables[_TABLE]
        if self.format.next_bits:  # a table lies aligned to its size
            addresses = addresses & ~np.uint64((self.format.entry_bytes << size) - 1)
        content = self._read(addresses, size)
        found = np.flatnonzero(content & shape.present_masks[level] == shape.present_values[level])
        if not found.size:
            return
        entries = content.ravel()[found]
        leaf = entries & shape.table_masks[level] != shape.table_values[level]
        sound = ~leaf | (entries & shape.leaf_present_masks[level] == shape.leaf_present_values[level])
        sound &= ~self._is_reserved(entries, level, leaf)
        entries, leaf, found = entries[sound], leaf[sound], found[sound]
        owners = found >> size
        first = tables[_FIRST][owners]
        first += (found & (1 << size) - 1).astype(np.uint64) << np.uint64(shift)
        inherited = tables[_INHERITED][owners]
        leaves = self._leaves(entries[leaf], first[leaf], inherited[leaf], level, shift)
        if level + 1 == len(self.format.levels) or leaf.all():
            yield leaves
            return
        other = ~leaf
        below = self._pointers(entries[other], first[other], inherited[other], level)
        if level + 2 == len(self.format.levels):
            yield from self._last(leaves, below, shift, begin, share)
        else:
            yield from self._upper(leaves, below, level, shift, begin, share)

    def _upper(
        self, leaves: Words, below: Words, level: int, shift: int, begin: float, share: float
    ) -> Iterator[Words]:
        """Descend between the leaves of this level, part by part: what is below may not fit into memory."""
        count = below.shape[1]
        places = np.searchsorted(leaves[_VA], self._extended(below[_FIRST]))
        breaks = (places[1:] != places[:-1]) | (below[_BITS, 1:] != below[_BITS, :-1])
        edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), count] if count else []
        listed = 0
        for first, end in itertools.pairwise(edges):
            place = int(places[first])
            if place > listed:
                yield leaves[:, listed:place]
                listed = place
            size, at = int(below[_BITS, first]), begin + share * first / count
            part = below[:, first:end]
            yield from self.tables(part, level + 1, shift, size, at, share * (end - first) / count)
        yield leaves[:, listed:]

    def _last(self, leaves: Words, below: Words, shift: int, begin: float, share: float) -> Iterator[Words]:
        """List the last level's tables, with the leaves of the level above in their places."""
        last = len(self.format.levels) - 1
        count = below.shape[1]
        at_once = max(1, _AT_ONCE >> self.format.levels[last].bits)
        listed = 0
        for first in range(0, max(count, 1), at_once):
            part = below[:, first : first + at_once]
            following = below[:, first + at_once : first + at_once + 1]
            place = leaves.shape[1]
            if following.size:
                place = int(np.searchsorted(leaves[_VA], self._extended(following[_FIRST]))[0])
            found, at = [leaves[:, listed:place]], begin + share * first / max(count, 1)
            for size in np.unique(part[_BITS]).tolist():
                alike = part[:, part[_BITS] == np.uint64(size)]
                found += self.tables(alike, last, shift, size, at, 0.0)
            if len(found) == 1 or (not found[0].size and len(found) == 2):
                yield found[-1]
            else:
                ranges = np.concatenate(found, axis=1)
                yield ranges[:, np.argsort(ranges[_VA], kind="stable")]
            listed = place

    def _read(self, addresses: Words, size: int) -> Words:
        """Read tables as numbers, a row each; what lies outside of memory is zero, and counted."""
        entries, there = self._content(addresses, size)
        self.listing.outside += int(np.count_nonzero(~there))
        return entries

    def _content(self, addresses: Words, size: int) -> tuple[Words, npt.NDArray[np.bool_]]:
        """Read tables as numbers, and whether each lies in memory."""
        entry_bytes = self.format.entry_bytes
        content, there = self.listing.memory.gather(addresses, entry_bytes << size)
        order = ">" if self.format.big_endian else "<"
        return content.view(np.dtype(f"{order}u{entry_bytes}")).astype(np.uint64, copy=False), there

    def _is_reserved(self, entries: Words, level: int, leaf: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        masks = self.reserved[2 * level : 2 * level + 2]
        found: npt.NDArray[np.bool_] = entries & np.where(leaf, masks[1], masks[0]) != 0
        for i, rule in enumerate(self.format.refused):
            slots = int(self.shape.refused_slots[i]) >> 2 * level
            covered = np.where(leaf, bool(slots & 2), bool(slots & 1))
            found |= covered & (entries & np.uint64(rule.test.mask) == np.uint64(rule.test.value))
        return found

    def _address(self, entries: Words, pieces: Any) -> Words:
        address = np.zeros(entries.size, dtype=np.uint64)
        for piece in pieces:
            address |= piece.read(entries)
        return address

    def _fits(self, address: Words) -> npt.NDArray[np.bool_]:
        if not self.format.output_bits:
            return np.ones(address.size, dtype=np.bool_)
        fits: npt.NDArray[np.bool_] = address >> np.uint64(self.settings[self.format.output_bits]) == 0
        return fits

    def _pointers(self, entries: Words, first: Words, inherited: Words, level: int) -> Words:
        """Return the tables that entries point to, a column each."""
        format_, shape = self.format, self.shape
        target = self._address(entries, format_.address)
        left = inherited & ((entries ^ shape.inherit_flip) | ~shape.inherit_masks[level])
        if format_.next_bits:
            size = entries & np.uint64(format_.next_bits)
        else:
            size = np.full(entries.size, format_.levels[level + 1].bits, dtype=np.uint64)
        wanted = self._fits(target) & ~self._map_nothing(target, level + 1)
        return np.stack((target, first, left, size))[:, wanted]

    def _map_nothing(self, targets: Words, level: int) -> npt.NDArray[np.bool_]:
        """Tell the tables that map nothing among those that several entries point to: each is looked at once.

        Without that, a tree whose empty entries point to empty tables (`Format.empty_tables`) would be read once for
        each address that it could map.
        """
        if self.format.next_bits:
            return np.zeros(targets.size, dtype=np.bool_)
        found, times = np.unique(targets, return_counts=True)
        barren = [
            address
            for address in found[(times > 1) | np.isin(found, self.seen)].tolist()
            if self._is_barren(address, level)
        ]
        result: npt.NDArray[np.bool_] = np.isin(targets, np.array(barren, dtype=np.uint64))
        return result

    def _is_barren(self, table: int, level: int) -> bool:
        """Whether nothing is mapped by a table, or by those below it."""
        known = self.barren.get((table, level))
        if known is None:
            known = self._looks_barren(table, level)
            self.barren[table, level] = known
            self.seen = np.append(self.seen, np.uint64(table))
        return known

    def _looks_barren(self, table: int, level: int) -> bool:
        shape = self.shape
        address = np.array([table], dtype=np.uint64)
        entries, there = self._content(address, self.format.levels[level].bits)
        if not there.all():
            return False  # it is counted where it is read
        entries = entries.ravel()
        entries = entries[entries & shape.present_masks[level] == shape.present_values[level]]
        leaf = entries & shape.table_masks[level] != shape.table_values[level]
        held = entries & shape.leaf_present_masks[level] == shape.leaf_present_values[level]
        if (leaf & held).any():
            return False
        below = np.unique(self._address(entries[~leaf], self.format.address)).tolist()
        return level + 1 == len(self.format.levels) or all(self._is_barren(one, level + 1) for one in below)

    def _leaves(self, entries: Words, first: Words, inherited: Words, level: int, shift: int) -> Words:
        """Return what leaves of one level map, as ranges."""
        row = self.format.levels[level]
        pages = self._address(entries, row.leaf_address or self.format.address)
        pages &= ~np.uint64((1 << shift) - 1)
        shifts = np.full(entries.size, shift, dtype=np.uint64)
        for run in self.format.contiguous:
            if run.level == row.name:
                inside = entries & np.uint64(run.test.mask) == np.uint64(run.test.value)
                shifts[inside] += np.uint64(run.bits)
                if run.napot:
                    low = np.uint64((1 << (shift + run.bits)) - 1)
                    pages[inside] = (pages[inside] & ~low) | (first[inside] & low)
        ranges = np.empty((7, entries.size), dtype=np.uint64)
        ranges[_VA] = self._extended(first)
        ranges[_PA] = pages
        ranges[_SIZE] = 1 << shift
        ranges[_SHIFT] = shifts
        ranges[_LEVEL] = level
        ranges[_RIGHTS] = self._rights(entries, inherited)
        ranges[_FLAGS] = entries & np.uint64(self.flags[level])
        if self.format.output_bits:
            ranges = ranges[:, self._fits(pages)]
        return _join(ranges)

    def _rights(self, entries: Words, inherited: Words) -> Words:
        rights = np.zeros(entries.size, dtype=np.uint64)
        one = np.uint64(1)
        for i, attribute in enumerate(self.format.attributes):
            either = attribute.combine == "or"
            if attribute.leaf is None:
                value = np.full(entries.size, np.uint64(not either))
            else:
                value = entries >> np.uint64(attribute.leaf) & one
            if attribute.table is not None:
                passed = inherited >> np.uint64(attribute.table) & one
                value = value | (passed ^ one) if either else value & passed
            rights |= value << np.uint64(i)
        return rights

    def _extended(self, first: Words) -> Words:
        """Set the bits above those that tables translate, where the format or the root has them set."""
        ones = np.uint64((1 << 64) - (1 << self.format.va_bits) if self.format.va_bits < 64 else 0)
        if self.listing.upper_half:
            return first | ones
        if self.format.va_upper == "sign":
            return np.where(first >> np.uint64(self.format.va_bits - 1) != 0, first | ones, first)
        return first
