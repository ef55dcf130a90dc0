"""The radix root of a process, from its entry of the process table (Power ISA 3.1, Book III, 6.7.6.2).

    from shootdown_powerpc.process_table import read_entry
    root = read_entry(memory, table=0x0100_0000, pid=7).root

The entry is number PIDR for addresses of quadrant 0 (a process), and number 0 for those of quadrant 3 (the kernel,
0xc000...). `Format.root_mask` of the radix formats is that of `Entry.root`.
"""

from __future__ import annotations

import attrs

from shootdown import ShootdownError
from shootdown.formats import PhysicalMemory

ENTRY_BYTES = 16
_BASE = 0x0FFF_FFFF_FFFF_FF00


@attrs.frozen
class Entry:
    """The first doubleword of a radix process table entry; the second is reserved.

    Args:
        word: the doubleword.
    """

    word: int

    @property
    def tree_bits(self) -> int:
        """The number of address bits that the tree translates: RTS + 31."""
        return 31 + ((self.word >> 61 & 3) << 3 | self.word >> 5 & 7)

    @property
    def size_bits(self) -> int:
        """Log2 of the root's entries: RPDS."""
        return self.word & 0x1F

    @property
    def root(self) -> int:
        """The root's physical address (`RPDB`), or `ShootdownError` for a shape that POWER9 and POWER10 lack."""
        if (self.tree_bits, self.size_bits) != (52, 13):
            raise ShootdownError(
                f"process table entry {self.word:#018x}: a tree of {self.tree_bits} bits whose root has "
                f"2**{self.size_bits} entries; POWER9 and POWER10 have trees of 52 bits, with 2**13"
            )
        return self.word & _BASE & ~((8 << self.size_bits) - 1)


def read_entry(memory: PhysicalMemory, table: int, pid: int) -> Entry:
    """Read a process's entry.

    Args:
        memory: where the table is.
        table: its physical address, PRTB of the partition table.
        pid: the process's PID, as PIDR holds it (Linux: `mm->context.id`).

    Raises:
        ShootdownError: there is no memory.
    """
    place = table + ENTRY_BYTES * pid
    if not memory.reaches(place):
        raise ShootdownError(f"process table: no memory at {place:#x}, where PID {pid} has its entry")
    return Entry(memory.read_entry(place, big_endian=True))
