"""What maps nothing: tables that stand for it (LoongArch, MIPS), an invalid bit (s390), a leaf's own valid bit."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from shootdown import ShootdownError
from shootdown.formats import (
    AddressSpace,
    Attribute,
    Deny,
    Format,
    Level,
    PhysicalMemory,
    Piece,
    Reason,
    Test,
    Walker,
    bit,
    bits,
    mappings,
    trace,
)

VALID, DIRTY, HUGE = bit(0), bit(1), bit(6)
RULES = {
    "attributes": (Attribute("writable", 1),),
    "deny": (Deny(kinds=("write",), lacks=("writable",)),),
    "va_upper": "zero",
}
# As LoongArch with 16K pages: 11 bits a level; tables have no valid bit, a huge page has HUGE and VALID.
NOTHING = Test(0, 0)
INVALID_TABLES = Format(
    name="invalid-tables",
    summary="",
    levels=(
        Level("PGD", "pgd", 11, "never", present=NOTHING),
        Level(
            "PMD", "pmd", 11, "flag", present=NOTHING, leaf_bits=VALID | HUGE, leaf_present=Test(VALID, VALID)
        ),
        Level("PTE", "pte", 11, "always"),
    ),
    page_shift=14,
    va_bits=47,
    present=Test(VALID, VALID),
    points_to_table=Test(HUGE, 0),
    address=(Piece(bits(14, 47)),),
    leaf_bits=VALID,
    root_mask=bits(14, 63),
    empty_tables=True,
    **RULES,  # type: ignore[arg-type]
)
# As s390: I is 0x20 in segment and region entries and 0x400 in PTEs; page tables of 2 KiB.
INVALID_BITS = Format(
    name="invalid-bits",
    summary="",
    levels=(
        Level("R3E", "pud", 11, "flag", present=Test(0x20, 0), empty=0x24, leaf_bits=0x404, table_bits=0x7),
        Level("STE", "pmd", 11, "flag", present=Test(0x20, 0), empty=0x20, leaf_bits=0x400, table_bits=0),
        Level("PTE", "pte", 8, "always", present=Test(0x400, 0), empty=0x400, leaf_bits=0),
    ),
    page_shift=12,
    va_bits=42,
    present=Test(0x20, 0),
    points_to_table=Test(0x400, 0),
    address=(Piece(bits(11, 63)),),
    big_endian=True,
    **RULES,  # type: ignore[arg-type]
)
BOTH = pytest.mark.parametrize("form", [INVALID_TABLES, INVALID_BITS], ids=lambda form: form.name)


def space_of(form: Format) -> AddressSpace:
    return AddressSpace(form, PhysicalMemory())


@BOTH
def test_nothing_is_mapped_by_a_new_address_space_and_the_listing_of_it_ends(form: Format) -> None:
    space = space_of(form)
    assert list(mappings(form, space.memory, space.root)) == []


@BOTH
def test_what_is_mapped_is_found_by_both_walks_and_in_the_listing_and_is_gone_when_unmapped(
    form: Format,
) -> None:
    space = space_of(form)
    page = 1 << form.page_shift
    huge = 1 << form.shifts[1]
    pages = {5 * page: 77 * page, 3 * huge + page: page, 7 * huge: 2 * huge}
    for va, pa in pages.items():
        size = huge if va % huge == 0 else page
        space.map(va, pa, size, "r", page_size=size)
    found = list(mappings(form, space.memory, space.root))
    assert {one.va: one.pa for one in found} == pages
    walker = Walker(form, space.memory)
    for va, pa in pages.items():
        assert trace(form, space.memory, space.root, va).pa == pa
        walk = walker.walk(space.root, va)
        assert (walk.pa, walk.reason) == (pa, 0)
        beside = va + (huge if va % huge == 0 else page)
        assert trace(form, space.memory, space.root, beside).reason is Reason.NOT_PRESENT
        assert walker.walk(space.root, beside).reason == Reason.NOT_PRESENT
    for va in pages:
        space.unmap(va, huge if va % huge == 0 else page)
    assert list(mappings(form, space.memory, space.root)) == []


def test_mapping_writes_to_tables_of_its_own_and_never_to_those_that_map_nothing() -> None:
    space = space_of(INVALID_TABLES)
    before = [space.memory.table(table, 2048).copy() for table in space.empty_tables]
    low = space.memory.table(0, 8).copy() if space.memory.holds(0) else None
    for va in (0, 1 << 40, (1 << 47) - (1 << 14)):
        space.map(va, 1 << 20, 1 << 14, "r")
    for table, entries in zip(space.empty_tables, before, strict=True):
        assert np.array_equal(space.memory.table(table, 2048), entries)
    assert low is None or np.array_equal(space.memory.table(0, 8), low)


def test_a_walk_of_what_is_not_mapped_goes_through_the_empty_tables_to_the_last_level() -> None:
    space = space_of(INVALID_TABLES)
    walk = trace(INVALID_TABLES, space.memory, space.root, 1 << 40)
    assert [step.kind for step in walk.steps] == ["table", "table", "absent"]
    assert [step.table for step in walk.steps] == [space.root, *space.empty_tables]


def test_a_huge_page_without_its_valid_bit_is_absent() -> None:
    space = space_of(INVALID_TABLES)
    space.map(0, 1 << 25, 1 << 25, "r", page_size=1 << 25)
    address = space.entry_address(0, "pmd")
    assert address is not None
    space.write(address, space.read(address) & ~VALID)
    assert trace(INVALID_TABLES, space.memory, space.root, 0).reason is Reason.NOT_PRESENT
    assert Walker(INVALID_TABLES, space.memory).walk(space.root, 0).reason == Reason.NOT_PRESENT
    assert list(mappings(INVALID_TABLES, space.memory, space.root)) == []


def test_tables_are_made_again_where_one_was_cleared_and_its_old_entry_maps_nothing() -> None:
    space = space_of(INVALID_TABLES)
    space.map(0, 1 << 20, 1 << 14, "r")
    old = space.clear(0, "pmd")
    assert space.target(old) not in space.empty_tables
    assert trace(INVALID_TABLES, space.memory, space.root, 0).pa is None
    space.map(0, 1 << 21, 1 << 14, "r")
    assert trace(INVALID_TABLES, space.memory, space.root, 0).pa == 1 << 21


def test_an_existing_tree_is_edited_with_its_own_empty_tables() -> None:
    first = space_of(INVALID_TABLES)
    again = AddressSpace(INVALID_TABLES, first.memory, root=first.root, empty_tables=first.empty_tables)
    again.map(1 << 30, 1 << 20, 1 << 14, "r")
    assert trace(INVALID_TABLES, first.memory, first.root, 1 << 30).pa == 1 << 20
    with pytest.raises(ShootdownError, match="1 addresses; there is one for each of 2 levels"):
        AddressSpace(INVALID_TABLES, first.memory, empty_tables=(4096,))
    with pytest.raises(ShootdownError, match="has no tables that map nothing"):
        AddressSpace(INVALID_BITS, first.memory, empty_tables=(4096, 8192))


def test_addresses_of_64_bits_are_all_translated() -> None:
    top = (
        Level("R1E", "pgd", 11, "never", empty=0x2C, table_bits=0xF),
        Level("R2E", "p4d", 11, "never", empty=0x28, table_bits=0xB),
    )
    form = attrs.evolve(INVALID_BITS, name="five", levels=(*top, *INVALID_BITS.levels), va_bits=64)
    space = space_of(form)
    last = (1 << 64) - 4096
    space.map(last, 1 << 31, 4096, "r")
    assert trace(form, space.memory, space.root, last).pa == 1 << 31
    assert Walker(form, space.memory).walk(space.root, last).pa == 1 << 31
    assert [one.va for one in mappings(form, space.memory, space.root)] == [last]
