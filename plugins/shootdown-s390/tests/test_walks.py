"""Walks of region, segment and page tables, put together by hand from the figures of the Principles of Operation."""

from __future__ import annotations

import pytest

from shootdown.formats import Access, AddressSpace, PhysicalMemory, Reason, trace
from shootdown_s390._formats import FORMATS, REGION3

REGION_3, SEGMENT, PAGE = 0x10000, 0x14000, 0x18800
# Entry 3 of the region-third table, entry 4 of the segment table, entry 5 of the page table, byte 0x678.
ADDRESS = 3 << 31 | 4 << 20 | 5 << 12 | 0x678


@pytest.fixture
def memory() -> PhysicalMemory:
    """Return memory with three tables, a page, a large page of 1 MiB and one of 2 GiB."""
    found = PhysicalMemory()
    for table, entries, empty in ((REGION_3, 2048, 0x24), (SEGMENT, 2048, 0x20), (PAGE, 256, 0x400)):
        for index in range(entries):
            found.write(table + index * 8, empty.to_bytes(8, "big"))
    for address, entry in (
        (REGION_3 + 3 * 8, SEGMENT | 0x4 | 0x3),
        (REGION_3 + 9 * 8, 0x1_8000_0000 | 0x400 | 0x4),
        (SEGMENT + 4 * 8, PAGE),
        (SEGMENT + 6 * 8, 0x70_0000 | 0x400 | 0x200),
        (PAGE + 5 * 8, 0x9000 | 0x100),
    ):
        found.write(address, entry.to_bytes(8, "big"))
    return found


def test_a_page_is_found_through_three_tables(memory: PhysicalMemory) -> None:
    assert trace(REGION3, memory, REGION_3, ADDRESS).pa == 0x9678


def test_a_segment_table_entry_maps_a_large_page_that_is_protected(memory: PhysicalMemory) -> None:
    large = 3 << 31 | 6 << 20 | 0x12345
    assert trace(REGION3, memory, REGION_3, large).pa == 0x70_0000 + 0x12345
    assert trace(REGION3, memory, REGION_3, large, Access("write")).fault == "protection exception"


def test_a_region_third_table_entry_maps_two_gigabytes(memory: PhysicalMemory) -> None:
    assert trace(REGION3, memory, REGION_3, (9 << 31) + 0x1234_5678).pa == 0x1_8000_0000 + 0x1234_5678


def test_an_entry_with_its_invalid_bit_translates_nothing(memory: PhysicalMemory) -> None:
    found = trace(REGION3, memory, REGION_3, ADDRESS + 4096)
    assert found.reason is Reason.NOT_PRESENT
    assert found.fault == "translation exception of level 0"


def test_code_is_not_fetched_from_a_page_with_the_protection_bit_for_it(memory: PhysicalMemory) -> None:
    assert trace(REGION3, memory, REGION_3, ADDRESS, Access("execute")).reason is Reason.PERMISSION
    off = REGION3.settings(iep=False)
    assert trace(REGION3, memory, REGION_3, ADDRESS, Access("execute"), off).pa == 0x9678


@pytest.mark.parametrize("table", FORMATS, ids=lambda table: table.name)
def test_what_is_mapped_is_found_and_unmapped_entries_are_invalid_again(table: object) -> None:
    assert table in FORMATS
    space = AddressSpace(REGION3 if table is REGION3 else table, PhysicalMemory())  # type: ignore[arg-type]
    space.map(0x10_0000, 0x50_0000, 0x10_0000, "rw")
    assert trace(space.format, space.memory, space.root, 0x12_3456).pa == 0x52_3456
    space.unmap(0x10_0000, 0x10_0000)
    assert trace(space.format, space.memory, space.root, 0x12_3456).reason is Reason.NOT_PRESENT
