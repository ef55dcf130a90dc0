"""Walks of LoongArch's page tables: raw entries by the manual's figures, and where each address leads."""

from __future__ import annotations

import pytest

from shootdown.formats import Access, AddressSpace, PhysicalMemory, Reason, trace
from shootdown_loongarch._formats import BY_LAYOUT

FORMAT = BY_LAYOUT[16384, 47]
# Tables of 16 KiB: the root, a PMD table, a page table, and Linux's two tables that map nothing.
ROOT, MIDDLE, LAST, NO_PMDS, NO_PTES = 0x10000, 0x14000, 0x18000, 0x1C000, 0x20000
ADDRESS = 0x10_0400_CABC  # entry 1 of the root, 2 of the PMD table, 3 of the page table
DIRECT_MAP = 0x9000_0000_0000_0000  # what Linux writes above the physical address of a table
PTW = FORMAT.settings(ptw=1)


@pytest.fixture
def memory() -> PhysicalMemory:
    """Return memory with tables as Linux fills them: entries that map nothing point to the empty tables."""
    found = PhysicalMemory()
    for index in range(2048):
        found.write_entry(ROOT + index * 8, DIRECT_MAP | NO_PMDS)
        for table in (MIDDLE, NO_PMDS):
            found.write_entry(table + index * 8, DIRECT_MAP | NO_PTES)
        for table in (LAST, NO_PTES):
            found.write_entry(table + index * 8, 0)
    for address, entry in (
        (ROOT + 1 * 8, DIRECT_MAP | MIDDLE),
        (MIDDLE + 2 * 8, DIRECT_MAP | LAST),
        (MIDDLE + 5 * 8, 0x600_0000 | 0x1DF),  # a huge page of 32 MiB
        (LAST + 3 * 8, 0x54000 | 0x9D),  # valid, clean, level 3, present, read-only
        (LAST + 4 * 8, 0x58000 | 0x19C),  # neither valid nor dirty: old and clean, and writable
    ):
        found.write_entry(address, entry)
    return found


def test_a_page_is_found(memory: PhysicalMemory) -> None:
    assert trace(FORMAT, memory, ROOT, ADDRESS).pa == 0x54ABC


def test_a_huge_page_is_found(memory: PhysicalMemory) -> None:
    assert trace(FORMAT, memory, ROOT, 0x10_0A12_3456).pa == 0x600_0000 + 0x12_3456


def test_what_is_not_mapped_is_walked_through_empty_tables_to_the_last_level(memory: PhysicalMemory) -> None:
    found = trace(FORMAT, memory, ROOT, 0)
    assert found.reason is Reason.NOT_PRESENT
    assert len(found.steps) == 3


def test_an_old_page_traps_without_the_walker_and_is_found_with_it(memory: PhysicalMemory) -> None:
    assert trace(FORMAT, memory, ROOT, ADDRESS + 0x4000).reason is Reason.ACCESS_FLAG
    assert trace(FORMAT, memory, ROOT, ADDRESS + 0x4000, settings=PTW).pa == 0x58ABC


def test_a_page_without_w_refuses_a_write_even_with_the_walker(memory: PhysicalMemory) -> None:
    assert trace(FORMAT, memory, ROOT, ADDRESS, Access("write"), settings=PTW).reason is Reason.PERMISSION


def test_unmapping_writes_the_address_of_an_empty_table() -> None:
    space = AddressSpace(FORMAT, PhysicalMemory())
    assert space.empty_entry(0) != space.empty_entry(1) != 0
