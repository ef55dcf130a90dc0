"""Page tables for benchmarks: a range mapped in base pages, the last tables scattered at random as a kernel's are."""

from __future__ import annotations

import numpy as np

from shootdown._pagetables.format import Format
from shootdown._pagetables.memory import SECTION_BYTES, PhysicalMemory

U = np.uint64
_TARGETS = 1 << 18  # pages that leaves map, below 1 GiB: every format can name them


def mapped(form: Format, size: int, targets: int = _TARGETS) -> tuple[PhysicalMemory, int, int]:
    """Map the first `size` bytes of the address space to the first pages of memory, `targets` of them.

    Returns:
        The memory, the root, and how many bytes the tables have.
    """
    settings = form.settings()
    counts = [1]
    for shift, level in zip(form.shifts[:-1], form.levels[:-1], strict=True):
        counts.append(min(max(1, -(-size >> shift) if size % (1 << shift) == 0 else (size >> shift) + 1),
                          counts[-1] << level.bits))  # fmt: skip
    total = sum(n * max(form.table_bytes(level), 4096) for level, n in enumerate(counts))
    window = -(-(2 * total + (1 << 22)) // SECTION_BYTES) * SECTION_BYTES
    memory = PhysicalMemory(window_bytes=window)
    from shootdown._pagetables.address_space import AddressSpace

    space = AddressSpace(form, memory, settings=settings)
    attributes = form.attributes_for("rw", user=True, settings=settings)
    used = (form.used.accessed | form.used.dirty_set) if form.used else 0
    rng = np.random.default_rng(1)
    tables = [[space.root]]
    for level in range(1, len(form.levels)):
        addresses = [memory.allocate(form.table_bytes(level)) for _ in range(counts[level])]
        order = rng.permutation(len(addresses)) if level == len(form.levels) - 1 else range(len(addresses))
        tables.append([addresses[i] for i in order])
        _point(space, tables[-2], tables[-1], level - 1)
    bits = form.levels[-1].bits
    flags = space.leaf_entry(0, len(form.levels) - 1, attributes, used)
    pieces = form.levels[-1].leaf_address or form.address
    for number, table in enumerate(tables[-1]):
        index = np.arange(number << bits, (number + 1) << bits, dtype=U)
        pages = (index * U(7919) % U(targets)) << U(form.page_shift)
        entries = np.full(index.size, flags, U)
        for piece in pieces:
            entries |= piece.written(pages)
        memory.store_table(table, entries, entry_bytes=form.entry_bytes, big_endian=form.big_endian)
    return memory, space.root, total


def _point(space, above, below, level):
    form, bits = space.format, space.format.levels[level].bits
    entries = np.array([space.table_entry(table, level) for table in below], U)
    for number, table in enumerate(above):
        part = entries[number << bits : (number + 1) << bits]
        if part.size:
            space.memory.store_table(table, part, entry_bytes=form.entry_bytes, big_endian=form.big_endian)
