"""The process table: the fields of an entry, and the trees that it names."""

import pytest

from shootdown import ShootdownError
from shootdown.formats import AddressSpace, PhysicalMemory, trace
from shootdown_powerpc._formats import RADIX_64K
from shootdown_powerpc.process_table import Entry, read_entry


def test_an_entry_as_power9_firmware_writes_it():
    """RTS1 is 0b10, RTS2 0b101, RPDS 13: 31 + 0b10101 = 52 bits."""
    entry = Entry(0x4000_0000_0003_00AD)
    assert (entry.tree_bits, entry.size_bits, entry.root) == (52, 13, 0x3_0000)


def test_each_field_lies_where_the_isa_draws_it():
    def field(first, last, value):
        return value << (63 - last)

    for rts in range(32):
        word = field(1, 2, rts >> 3) | field(56, 58, rts & 7) | field(59, 63, 13) | field(4, 55, 0x300)
        assert Entry(word).tree_bits == 31 + rts
        assert Entry(word | 1 << 63 | 1 << 60).tree_bits == 31 + rts  # reserved
    for size in range(32):
        assert Entry(field(59, 63, size)).size_bits == size


def test_a_tree_that_the_processor_lacks_is_refused():
    with pytest.raises(ShootdownError, match=r"a tree of 31 bits whose root has 2\*\*0 entries"):
        _ = Entry(0).root


def test_a_process_s_entry_leads_to_its_tables():
    memory = PhysicalMemory()
    table = memory.allocate(1 << 16)
    spaces = {}
    for pid in (0, 1, 77):
        spaces[pid] = AddressSpace(RADIX_64K, memory)
        spaces[pid].map(0x1_0000, pid << 20, 1 << 16)
        memory.write_entry(table + 16 * pid, 2 << 61 | spaces[pid].root | 5 << 5 | 13, big_endian=True)
    for pid, space in spaces.items():
        root = read_entry(memory, table, pid).root
        assert root == space.root
        assert trace(RADIX_64K, memory, root, 0x1_0004).pa == pid << 20 | 4


def test_an_entry_outside_of_memory_is_refused():
    with pytest.raises(ShootdownError, match="no memory at 0x100000000070, where PID 7 has its entry"):
        read_entry(PhysicalMemory(), 1 << 44, 7)
