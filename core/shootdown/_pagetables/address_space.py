"""Build page tables as an operating system does: real entries, in a real format, in emulated memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from shootdown._pagetables.format import Format, Settings
from shootdown._pagetables.format_layout import layout
from shootdown._pagetables.format_parts import address_in, entry_with
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._values.errors import ShootdownError
from shootdown._values.sites import mistake


class AddressSpace:
    """One root and the tables below it.

    Flags such as accessed are clear in new leaves unless asked for. Tables that become empty stay until `free_table`
    is called: when to free a table is for the caller, the kernel, to decide.

    Args:
        format: the page-table format.
        memory: where tables are allocated.
        root: an existing top table; a new one where None.
        settings: the CPU's, which decide whether large pages exist; the format's defaults where None.
        empty_tables: where the format has tables that map nothing (`Format.empty_tables`), their physical addresses,
            one for each level below the root's; new ones where None.
    """

    def __init__(
        self,
        format: Format,
        memory: PhysicalMemory,
        *,
        root: int | None = None,
        settings: Settings | None = None,
        empty_tables: Sequence[int] | None = None,
    ) -> None:
        self.format = format
        self.memory = memory
        self.settings = settings or format.settings()
        self._shape = layout(format, self.settings)
        self._shifts = format.shifts
        self.empty_tables = self._empty_tables(empty_tables)
        self.root = self._new_table(0) if root is None else root

    def table_bytes(self, level: int) -> int:
        """Return the size of a table of a level, in bytes."""
        return self.format.table_bytes(level)

    def _empty_tables(self, given: Sequence[int] | None) -> tuple[int, ...]:
        """Return the tables that map nothing, from the level below the root on; those given, or new ones."""
        depth = len(self.format.levels)
        if not self.format.empty_tables:
            if given is not None:
                raise mistake(
                    f"format {self.format.name} has no tables that map nothing (Format.empty_tables)"
                )
            return ()
        if given is not None:
            if len(given) != depth - 1:
                raise mistake(
                    f"empty_tables: {len(given)} addresses; there is one for each of {depth - 1} levels"
                )
            return tuple(given)
        self.empty_tables = (0,) * (depth - 1)
        for level in range(depth - 1, 0, -1):
            made = self._new_table(level)
            self.empty_tables = (*self.empty_tables[: level - 1], made, *self.empty_tables[level:])
        return self.empty_tables

    def _new_table(self, level: int) -> int:
        """Allocate a table whose entries map nothing."""
        table = self.memory.allocate(self.table_bytes(level))
        empty = self.empty_entry(level)
        if empty:
            entries = np.full(1 << self.format.levels[level].bits, empty, dtype=np.uint64)
            size, big = self.format.entry_bytes, self.format.big_endian
            self.memory.store_table(table, entries, entry_bytes=size, big_endian=big)
        return table

    def empty_entry(self, level: int) -> int:
        """Return the entry of a level that maps nothing."""
        if self.empty_tables and level + 1 < len(self.format.levels):
            return self.table_entry(self.empty_tables[level], level)
        return self.format.levels[level].empty

    # --- reading and writing single entries

    def read(self, address: int) -> int:
        """Read the entry at a physical address."""
        format_ = self.format
        return self.memory.read_entry(address, entry_bytes=format_.entry_bytes, big_endian=format_.big_endian)

    def write(self, address: int, entry: int) -> int:
        """Write the entry at a physical address and return the one that it replaces."""
        old = self.read(address)
        format_ = self.format
        self.memory.write_entry(
            address, entry, entry_bytes=format_.entry_bytes, big_endian=format_.big_endian
        )
        return old

    def is_present(self, entry: int, level: int) -> bool:
        """Whether an entry maps something, or points to a table that may."""
        row = self.format.levels[level]
        if not (row.present or self.format.present).holds(entry):
            return False
        if entry & int(self._shape.table_masks[level]) == int(self._shape.table_values[level]):
            barren = self.empty_tables[level : level + 1]
            return not barren or self.target(entry) != barren[0]
        return row.leaf_present is None or row.leaf_present.holds(entry)

    def is_table(self, entry: int, level: int) -> bool:
        """Whether an entry is present and points to a table."""
        at_table = entry & int(self._shape.table_masks[level]) == int(self._shape.table_values[level])
        return self.is_present(entry, level) and at_table

    def target(self, entry: int) -> int:
        """Return the physical address of the table that an entry points to."""
        return address_in(self.format.address, entry)

    def entry_address(self, va: int, level: int | str, *, create: bool = False) -> int | None:
        """Find the entry through which an address is translated at a level.

        Args:
            va: address in bytes.
            level: counted from the root, or a name (the manual's or Linux's).
            create: make the tables that are missing on the way.

        Returns:
            The entry's physical address; None where a table on the way is missing or a larger page is mapped.
        """
        wanted = self._level(level)
        table = self.root & self.format.root_mask
        for here in range(wanted + 1):
            address = table + self._index(va, here) * self.format.entry_bytes
            if here == wanted:
                return address
            entry = self.read(address)
            if not self.is_present(entry, here):
                if not create:
                    return None
                entry = self.table_entry(self._new_table(here + 1), here)
                self.write(address, entry)
            elif not self.is_table(entry, here):
                return None
            table = self.target(entry)
        raise AssertionError("unreachable")

    def table_entry(self, table: int, level: int) -> int:
        """Make the entry of a level that points to a table."""
        format_ = self.format
        bits = format_.levels[level].table_bits
        entry = format_.table_bits if bits is None else bits
        if format_.next_bits:
            entry |= format_.levels[level + 1].bits
        return entry | self._encode(table, level, leaf=False)

    def leaf_entry(self, pa: int, level: int, attributes: Iterable[str], extra: int = 0) -> int:
        """Make the entry of a level that maps a page.

        Args:
            pa: physical address of the page, aligned to its size.
            level: counted from the root.
            attributes: names of the attributes that are set.
            extra: more bits, such as accessed, dirty, global or a memory type.
        """
        format_ = self.format
        bits = format_.levels[level].leaf_bits
        entry = (format_.leaf_bits if bits is None else bits) | extra
        held = frozenset(attributes)
        format_.index_of(held)
        for attribute in format_.attributes:
            if attribute.name in held and attribute.leaf is not None:
                entry |= 1 << attribute.leaf
        return entry | self._encode(pa, level, leaf=True)

    def _encode(self, address: int, level: int, *, leaf: bool) -> int:
        """Return a physical address in the bits where the format keeps it."""
        row = self.format.levels[level]
        pieces = (row.leaf_address if leaf else None) or self.format.address
        entry = entry_with(pieces, address)
        if address_in(pieces, entry) != address:
            raise ShootdownError(
                f"format {self.format.name}: a {row.name} can't hold the physical address {address:#x}"
            )
        return entry

    def _level(self, level: int | str) -> int:
        if isinstance(level, str):
            return self.format.level_index(level)
        if not 0 <= level < len(self.format.levels):
            raise ShootdownError(f"format {self.format.name} has levels 0 to {len(self.format.levels) - 1}")
        return level

    def _index(self, va: int, level: int) -> int:
        return va >> self._shifts[level] & (1 << self.format.levels[level].bits) - 1

    # --- ranges

    def map(
        self,
        va: int,
        pa: int,
        size: int,
        permissions: str = "rw",
        *,
        user: bool = True,
        page_size: int | None = None,
        extra: int = 0,
    ) -> None:
        """Map a range.

        Args:
            va: first address, aligned to the base page.
            pa: its translation, aligned likewise.
            size: bytes, whole base pages.
            permissions: some of the letters `rwx`, as `Format.attributes_for` reads them.
            user: for user mode, otherwise for supervisor mode.
            page_size: bytes of the pages to use; the largest that fit where None.
            extra: bits set in each leaf besides.

        Raises:
            ShootdownError: it is not aligned, there is no such page size, or something is mapped there.
        """
        self._aligned(va, size)
        base = 1 << self.format.page_shift
        if pa % base:
            raise ShootdownError(f"physical address {pa:#x} is not a multiple of {base}")
        attributes = self.format.attributes_for(permissions, user=user, settings=self.settings)
        choices = self._page_levels(page_size)
        end = va + size
        while va < end:
            level = next(
                (
                    n
                    for n in choices
                    if (va | pa) % (1 << self._shifts[n]) == 0 and va + (1 << self._shifts[n]) <= end
                ),
                None,
            )
            if level is None:
                raise ShootdownError(f"{va:#x} to {end:#x} can't be mapped in pages of {page_size} bytes")
            done = self._map_run(va, pa, end, level, attributes, extra, page_size is None)
            va, pa = va + done, pa + done

    def _page_levels(self, page_size: int | None) -> list[int]:
        """List the levels whose leaves may be used, largest pages first."""
        there_is = [n for n in range(len(self._shifts)) if self.format.has_leaves(n, self.settings)]
        if page_size is None:
            return there_is
        chosen = [n for n in there_is if 1 << self._shifts[n] == page_size]
        if not chosen:
            sizes = ", ".join(str(1 << self._shifts[n]) for n in there_is)
            raise ShootdownError(
                f"format {self.format.name} has no pages of {page_size} bytes; there is: {sizes}"
            )
        return chosen

    def _map_run(
        self,
        va: int,
        pa: int,
        end: int,
        level: int,
        attributes: frozenset[str],
        extra: int,
        up_to_larger: bool,
    ) -> int:
        """Fill consecutive entries of one table; return the bytes mapped."""
        address = self.entry_address(va, level, create=True)
        if address is None:
            raise ShootdownError(f"{va:#x} is mapped by a larger page already")
        shift = self._shifts[level]
        count = min((end - va) >> shift, (1 << self.format.levels[level].bits) - self._index(va, level))
        larger = 1 << self._shifts[level - 1] if level else 0
        if (
            up_to_larger
            and larger
            and (va - pa) % larger == 0
            and self.format.has_leaves(level - 1, self.settings)
        ):
            # Stop where a larger page can begin, if it fits.
            next_large = -(-va // larger) * larger
            if next_large > va and next_large + larger <= end:
                count = min(count, (next_large - va) >> shift)
        size, big = self.format.entry_bytes, self.format.big_endian
        old = self.memory.table(address, count, entry_bytes=size, big_endian=big)
        if any(self.is_present(entry, level) for entry in np.unique(old).tolist()):
            raise ShootdownError(
                f"something is mapped between {va:#x} and {va + (count << shift):#x} already"
            )
        flags = self.leaf_entry(0, level, attributes, extra)
        pages = np.uint64(pa) + (np.arange(count, dtype=np.uint64) << np.uint64(shift))
        entries = np.full(count, flags, dtype=np.uint64)
        for piece in self.format.levels[level].leaf_address or self.format.address:
            entries |= piece.written(pages)
        self._encode(int(pages[-1]), level, leaf=True)
        self.memory.store_table(address, entries, entry_bytes=size, big_endian=big)
        return count << shift

    def _aligned(self, va: int, size: int) -> None:
        base = 1 << self.format.page_shift
        if va % base or size % base or size <= 0:
            raise ShootdownError(f"{va:#x} and a size of {size} are not whole pages of {base} bytes")

    def leaves(self, va: int, size: int) -> Iterator[tuple[int, int, int]]:
        """List the leaves that map part of a range: address of the entry, level, first address mapped."""
        self._aligned(va, size)
        end = va + size
        while va < end:
            for level in range(len(self._shifts)):
                address = self.entry_address(va, level)
                assert address is not None
                entry = self.read(address)
                if self.is_table(entry, level):
                    continue
                start = va >> self._shifts[level] << self._shifts[level]
                if self.is_present(entry, level):
                    yield address, level, start
                va = start + (1 << self._shifts[level])
                break
            else:
                raise ShootdownError(f"the tables have no last level at {va:#x}")

    def unmap(self, va: int, size: int) -> int:
        """Clear all leaves of a range; tables stay.

        Returns:
            How many leaves were cleared.

        Raises:
            ShootdownError: a large page lies partly outside of the range.
        """
        found = list(self.leaves(va, size))
        for _, level, start in found:
            if start < va or start + (1 << self._shifts[level]) > va + size:
                raise ShootdownError(
                    f"a page of {1 << self._shifts[level]} bytes at {start:#x} lies only partly in the range"
                )
        for address, level, _ in found:
            self.write(address, self.empty_entry(level))
        return len(found)

    def protect(self, va: int, size: int, permissions: str, *, user: bool = True) -> int:
        """Change the permissions of all leaves of a range; return how many changed."""
        attributes = self.format.attributes_for(permissions, user=user, settings=self.settings)
        mask = sum(1 << a.leaf for a in self.format.attributes if a.leaf is not None)
        bits = sum(1 << a.leaf for a in self.format.attributes if a.leaf is not None and a.name in attributes)
        changed = 0
        for address, _, _ in list(self.leaves(va, size)):
            old = self.read(address)
            new = old & ~mask | bits
            if new != old:
                self.write(address, new)
                changed += 1
        return changed

    # --- tables

    def table_of(self, va: int, level: int | str) -> int | None:
        """Return the physical address of a level's table that covers an address; None where there is none."""
        wanted = self._level(level)
        if wanted == 0:
            return self.root & self.format.root_mask
        address = self.entry_address(va, wanted - 1)
        if address is None:
            return None
        entry = self.read(address)
        return self.target(entry) if self.is_table(entry, wanted - 1) else None

    def share(self, other: AddressSpace, va: int, level: int | str) -> int:
        """Point to the table of another address space (huge_pmd_share() does so with PMD tables).

        Args:
            other: whose table it is.
            va: an address that the table covers.
            level: the level of the table, below the root.

        Returns:
            The table's physical address.

        Raises:
            ShootdownError: there is no such table, or something is in its place here.
        """
        wanted = self._level(level)
        table = other.table_of(va, wanted) if wanted else None
        name = self.format.levels[wanted].linux
        if table is None:
            raise ShootdownError(f"there is no {name} table to share at {va:#x}")
        address = self.entry_address(va, wanted - 1, create=True)
        if address is None or self.is_present(self.read(address), wanted - 1):
            raise ShootdownError(f"something is mapped at {va:#x} already where the {name} table would go")
        self.write(address, self.table_entry(table, wanted - 1))
        return table

    def clear(self, va: int, level: int | str) -> int:
        """Clear the entry through which an address is translated at a level; return the old one, or 0.

        huge_pmd_unshare() and pmd_clear() do so with an entry that points to a table; the table itself stays.
        """
        address = self.entry_address(va, level)
        return 0 if address is None else self.write(address, self.empty_entry(self._level(level)))

    def free_table(self, table: int, level: int | str) -> None:
        """Free a table's memory. The caller sees to entries that still point to it, or studies what they do."""
        self.memory.free(table, self.table_bytes(self._level(level)))
