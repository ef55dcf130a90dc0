"""Radix: the literals, checked against the ISA's figures, the User's Manuals' shapes and a real kernel's tables."""

import json
from collections import Counter
from pathlib import Path

import pytest

from shootdown.formats import (
    USER_READ,
    Access,
    AddressSpace,
    PhysicalMemory,
    Reason,
    Walker,
    bit,
    mappings,
    trace,
)
from shootdown_powerpc._formats import RADIX_4K, RADIX_64K

WALKS = Path(__file__).parents[1] / "oracle" / "walks"
K4, K64, M2, G1 = 1 << 12, 1 << 16, 1 << 21, 1 << 30
LEAVES = {"ppc64-radix-4k": [G1, M2, K4], "ppc64-radix-64k": [G1, M2, K64]}
RADIX = (RADIX_4K, RADIX_64K)
by_name = pytest.mark.parametrize("format_", RADIX, ids=lambda f: f.name)


def test_levels_are_those_of_linux_and_span_what_it_says():
    names = ["pgd", "pud", "pmd", "pte"]
    for format_, shifts in ((RADIX_4K, (39, 30, 21, 12)), (RADIX_64K, (39, 30, 21, 16))):
        assert [row.linux for row in format_.levels] == names
        assert format_.shifts == shifts
        assert format_.table_bytes(0) == K64


@by_name
def test_every_page_size_translates_and_says_its_level(format_):
    for level, size in enumerate(LEAVES[format_.name], start=1):
        space = AddressSpace(format_, PhysicalMemory())
        va, pa = 3 * size, 2 * size
        space.map(va, pa, size, page_size=size)
        found = Walker(format_, space.memory).walk(space.root, va + size - 3)
        assert (found.pa, 1 << found.shift, found.level) == (pa + size - 3, size, level)
        assert trace(format_, space.memory, space.root, va).page_size == size


def test_entries_are_big_endian_and_point_by_base_and_size():
    space = AddressSpace(RADIX_64K, PhysicalMemory())
    space.map(0, K64, K64, "r")
    entry = space.memory.read(space.root, 8)
    assert entry[0] & 0xC0 == 0x80
    assert entry[7] & 0x1F == 9
    steps = trace(RADIX_64K, space.memory, space.root, 0).steps
    assert [step.flags for step in steps[1:3]] == [("V", "NLS=0x9"), ("V", "NLS=0x5")]
    assert steps[3].flags == ("V", "L", "READ")


def test_a_root_may_be_given_as_the_process_table_entry_has_it():
    space = AddressSpace(RADIX_4K, PhysicalMemory())
    space.map(K4, M2, K4)
    entry = 2 << 61 | space.root | 5 << 5 | 13
    assert Walker(RADIX_4K, space.memory).walk(entry, K4 + 5).pa == M2 + 5
    assert trace(RADIX_4K, space.memory, entry, K4 + 5).pa == M2 + 5


def test_the_quadrant_is_not_looked_at_and_bits_2_to_11_make_a_segment_interrupt():
    space = AddressSpace(RADIX_4K, PhysicalMemory())
    space.map(K4, M2, K4)
    for quadrant in range(4):
        assert Walker(RADIX_4K, space.memory).walk(space.root, quadrant << 62 | K4).pa == M2
    for position in range(52, 62):
        found = trace(RADIX_4K, space.memory, space.root, bit(position) | K4)
        assert (found.reason, found.fault) == (Reason.NONCANONICAL, "data segment interrupt")
        fetched = trace(RADIX_4K, space.memory, space.root, bit(position) | K4, Access("execute"))
        assert fetched.fault == "instruction segment interrupt"


def with_entry(format_, level, changed, **settings):
    """Map a page, change the entry of one level on the way, and read."""
    space = AddressSpace(format_, PhysicalMemory())
    size = 1 << format_.page_shift
    space.map(0, 0, size, "rw")
    address = space.entry_address(0, level)
    space.write(address, changed(space.read(address)))
    walked = Walker(format_, space.memory, format_.settings(**settings)).walk(space.root, 0)
    stepped = trace(format_, space.memory, space.root, 0, USER_READ, format_.settings(**settings))
    assert stepped.reason == walked.reason
    return Reason(walked.reason)


@by_name
@pytest.mark.parametrize("level", ["PDE1", "PDE2", "PDE3"])
def test_a_directory_of_a_size_that_the_processor_lacks_is_an_unsupported_configuration(format_, level):
    good = {"PDE1": {9}, "PDE2": {9}, "PDE3": {9, 5}}[level]
    for size in range(32):
        reason = with_entry(format_, level, lambda entry, size=size: entry & ~0x1F | size)
        if size not in good:
            assert reason is Reason.MALFORMED, size
        else:
            assert reason is not Reason.MALFORMED, size
    assert format_.fault(Reason.MALFORMED, USER_READ) == ("data storage interrupt", 0x0008_0000)


@by_name
def test_reserved_bits_of_directory_entries_are_ignored_unless_linux_is_asked(format_):
    for position in (5, 6, 7, 61):
        assert with_entry(format_, "PDE2", lambda e, p=position: e | bit(p)) is Reason.OK
        refused = with_entry(format_, "PDE2", lambda e, p=position: e | bit(p), bad_bits=True)
        assert refused is Reason.RESERVED, position
    assert with_entry(format_, "PDE2", lambda e: e | bit(60), bad_bits=True) is Reason.OK


def test_a_directory_that_is_not_aligned_is_read_as_if_it_were():
    for low in range(0x100, 0x1000, 0x100):
        assert with_entry(RADIX_4K, "PDE3", lambda entry, low=low: entry | low) is Reason.OK


def test_r_and_c_are_set_or_interrupt():
    space = AddressSpace(RADIX_4K, PhysicalMemory())
    space.map(0, M2, K4, "rw")
    address = space.entry_address(0, "PTE")
    soft = RADIX_4K.settings(hardware_rc=False)
    for kind, code in (("read", 0x0004_0000), ("write", 0x0204_0000)):
        found = trace(RADIX_4K, space.memory, space.root, 0, Access(kind), soft)
        assert (found.reason, found.fault_code) == (Reason.ACCESS_FLAG, code)
    walker = Walker(RADIX_4K, space.memory)
    for kind, added in (("read", bit(8)), ("write", bit(7))):
        before = space.read(address)
        assert walker.walk(space.root, 0, Access(kind), hardware_sets_flags=True).pa == M2
        assert space.read(address) == before | added
    assert trace(RADIX_4K, space.memory, space.root, 0, Access("write"), soft).pa == M2


def test_page_tables_of_a_real_kernel_give_every_translation():
    oracle = json.loads((WALKS / "ppc-radix.json").read_text())
    memory = PhysicalMemory.load(WALKS / "ppc-radix.npz")
    root = int(oracle["root"], 16)
    walker, reasons = Walker(RADIX_4K, memory), Counter()
    for row in oracle["translations"]:
        va, expected = int(row["va"], 16), row["pa"] and int(row["pa"], 16)
        found, stepped = walker.walk(root, va), trace(RADIX_4K, memory, root, va)
        assert (stepped.pa, found.reason) == (expected, stepped.reason), row
        assert found.pa == (expected or 0)
        reasons[row["kind"], Reason(found.reason)] += 1
        if expected is not None:
            held = RADIX_4K.held(found.rights)
            assert ("write" in held) == (row["kind"] not in ("anon_ro", "anon_rx", "zero_page_ro", "text")), (
                row
            )
            assert ("execute" in held) == (row["kind"] in ("anon_rx", "text")), row
            assert "privileged" not in held
    assert {reason for kind, reason in reasons if kind == "prot_none"} == {Reason.PERMISSION}
    assert sum(reasons.values()) == 1001


def test_all_ranges_of_a_real_kernel_contain_its_translations():
    oracle = json.loads((WALKS / "ppc-radix.json").read_text())
    memory = PhysicalMemory.load(WALKS / "ppc-radix.npz")
    ranges = [
        m for m in mappings(RADIX_4K, memory, int(oracle["root"], 16)) if "privileged" not in m.attributes
    ]
    for row in oracle["translations"]:
        va = int(row["va"], 16)
        inside = [m.pa + va - m.va for m in ranges if m.va <= va < m.va + m.size and "read" in m.attributes]
        assert inside == ([] if row["pa"] is None else [int(row["pa"], 16)]), row
