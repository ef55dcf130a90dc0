"""The four paging modes: the literals, checked against the manual's tables and a real kernel's."""

import json
from pathlib import Path

import pytest

from shootdown._pagetables.format_layout import layout
from shootdown.formats import Access, AddressSpace, PhysicalMemory, Reason, Walker, bit, mappings, trace
from shootdown_x86._formats import FORMATS, X86_32BIT, X86_64_4LEVEL, X86_64_5LEVEL, X86_PAE

WALKS = Path(__file__).parents[1] / "oracle" / "walks"
K4, M2, M4, G1 = 1 << 12, 1 << 21, 1 << 22, 1 << 30
LEVELS = {
    "x86_64-4level": [("PML4E", "pgd", 39), ("PDPTE", "pud", 30), ("PDE", "pmd", 21), ("PTE", "pte", 12)],
    "x86_64-5level": [
        ("PML5E", "pgd", 48),
        ("PML4E", "p4d", 39),
        ("PDPTE", "pud", 30),
        ("PDE", "pmd", 21),
        ("PTE", "pte", 12),
    ],
    "x86-pae": [("PDPTE", "pgd", 30), ("PDE", "pmd", 21), ("PTE", "pte", 12)],
    "x86-32bit": [("PDE", "pgd", 22), ("PTE", "pte", 12)],
}
LEAVES = {
    "x86_64-4level": [G1, M2, K4],
    "x86_64-5level": [G1, M2, K4],
    "x86-pae": [M2, K4],
    "x86-32bit": [M4, K4],
}
by_name = pytest.mark.parametrize("format_", FORMATS, ids=lambda f: f.name)


@by_name
def test_names_and_levels_are_those_of_the_manual_and_of_linux(format_):
    rows = [(row.name, row.linux, shift) for row, shift in zip(format_.levels, format_.shifts, strict=True)]
    assert rows == LEVELS[format_.name]


def test_every_name_is_there_once():
    assert sorted(f.name for f in FORMATS) == sorted(LEVELS)
    assert len({layout(f).fingerprint for f in FORMATS}) == 4


@by_name
def test_every_leaf_size_translates_and_says_its_level(format_):
    for size in LEAVES[format_.name]:
        space = AddressSpace(format_, PhysicalMemory())
        va, pa = 3 * size if size < G1 else size, 2 * size
        space.map(va, pa, size, page_size=size)
        found = Walker(format_, space.memory).walk(space.root, va + size - 3)
        assert (found.pa, 1 << found.shift) == (pa + size - 3, size)
        name, _, shift = LEVELS[format_.name][found.level]
        assert 1 << shift == size
        steps = trace(format_, space.memory, space.root, va + size - 3).steps
        assert [step.name for step in steps] == [row[0] for row in LEVELS[format_.name]][: found.level + 1]
        assert ("PS" in steps[-1].flags) == (name != "PTE")


def set_bits(space, va, level, bits):
    address = space.entry_address(va, level)
    space.write(address, space.read(address) | bits)


def reason_with(format_, size, level, bits, **settings):
    """Map a page, set more bits in one of the entries on the way, and read."""
    space = AddressSpace(format_, PhysicalMemory())
    space.map(0, 0, size, page_size=size, permissions="rwx")
    set_bits(space, 0, level, bits)
    walker = Walker(format_, space.memory, format_.settings(**settings))
    return Reason(walker.walk(space.root, 0).reason)


@pytest.mark.parametrize(
    ("format_", "size", "level", "positions"),
    [
        (X86_64_4LEVEL, K4, "PTE", range(46, 52)),
        (X86_64_4LEVEL, K4, "PML4E", [7, *range(46, 52)]),
        (X86_64_5LEVEL, K4, "PML5E", [7, *range(46, 52)]),
        (X86_64_5LEVEL, K4, "PML4E", [7, *range(46, 52)]),
        (X86_64_4LEVEL, G1, "PDPTE", [*range(13, 30), *range(46, 52)]),
        (X86_64_4LEVEL, M2, "PDE", [*range(13, 21), *range(46, 52)]),
        (X86_PAE, K4, "PDPTE", [1, 2, *range(5, 9), *range(46, 64)]),
        (X86_PAE, K4, "PTE", range(46, 63)),
        (X86_PAE, M2, "PDE", [*range(13, 21), *range(46, 63)]),
        (X86_32BIT, M4, "PDE", [21]),
    ],
)
def test_each_reserved_bit_faults_and_each_other_does_not(format_, size, level, positions):
    width = 8 * format_.entry_bytes
    maps_the_page = 1 << format_.shifts[format_.level_index(level)] == size
    address = set() if maps_the_page else set(range(12, 46))  # another table would be walked
    for position in set(range(width)) - address:
        expected = Reason.RESERVED if position in positions else Reason.OK
        assert reason_with(format_, size, level, bit(position)) is expected, position


def test_xd_is_reserved_without_nxe_and_1_gib_pages_can_be_missing():
    for format_ in (X86_64_4LEVEL, X86_64_5LEVEL, X86_PAE):
        assert reason_with(format_, K4, "PTE", bit(63), nxe=False) is Reason.RESERVED
        assert reason_with(format_, K4, "PTE", bit(63)) is Reason.OK
    assert reason_with(X86_64_4LEVEL, G1, "PDPTE", 0, pages_1g=False) is Reason.RESERVED


def test_pse_36_reaches_40_bits_and_maxphyaddr_cuts_it():
    space = AddressSpace(X86_32BIT, PhysicalMemory())
    pa = 0xAB_C0C0_0000 & ~(M4 - 1)
    space.map(M4, pa, M4, page_size=M4)
    assert Walker(X86_32BIT, space.memory).walk(space.root, M4 + 5).pa == pa + 5
    narrow = X86_32BIT.settings(maxphyaddr=36)
    assert Walker(X86_32BIT, space.memory, narrow).walk(space.root, M4).reason == Reason.RESERVED


def test_without_pse_the_ps_bit_means_nothing():
    space = AddressSpace(X86_32BIT, PhysicalMemory(), settings=X86_32BIT.settings(pse=False))
    space.map(0, 0x7000, K4)
    set_bits(space, 0, "PDE", bit(7))
    assert Walker(X86_32BIT, space.memory, space.settings).walk(space.root, 9).pa == 0x7009


@pytest.mark.parametrize(
    ("kind", "user", "reason", "settings", "code"),
    [
        ("read", True, Reason.NOT_PRESENT, {}, 0b00100),
        ("write", False, Reason.NOT_PRESENT, {}, 0b00010),
        ("write", True, Reason.PERMISSION, {}, 0b00111),
        ("execute", True, Reason.PERMISSION, {}, 0b10101),
        ("execute", True, Reason.NOT_PRESENT, {"nxe": False}, 0b00100),
        ("execute", False, Reason.PERMISSION, {"nxe": False, "smep": True}, 0b10001),
        ("read", True, Reason.RESERVED, {}, 0b01101),
    ],
)
def test_page_fault_error_codes_are_the_manuals(kind, user, reason, settings, code):
    under = X86_64_4LEVEL.settings(**settings)
    assert X86_64_4LEVEL.fault(reason, Access(kind, user), under) == ("#PF", code)


def test_a_non_canonical_address_is_a_general_protection_fault():
    memory = PhysicalMemory()
    for format_, va in ((X86_64_4LEVEL, 1 << 47), (X86_64_5LEVEL, 1 << 56), (X86_64_4LEVEL, 1 << 63)):
        found = trace(format_, memory, memory.allocate(), va)
        assert (found.reason, found.fault, found.fault_code) == (Reason.NONCANONICAL, "#GP", 0)
        assert Walker(format_, memory).walk(4096, va).reason == Reason.NONCANONICAL
    assert trace(X86_64_5LEVEL, memory, 4096, 1 << 47).reason is Reason.NOT_PRESENT


def test_pae_roots_are_aligned_to_32_bytes_only():
    memory = PhysicalMemory()
    root = memory.allocate() + 0x60
    space = AddressSpace(X86_PAE, memory, root=root)
    space.map(3 * G1 + K4, 0x7000, K4)
    assert Walker(X86_PAE, memory).walk(root, 3 * G1 + K4 + 1).pa == 0x7001


def test_page_tables_of_a_real_kernel_give_every_translation():
    oracle = json.loads((WALKS / "amd64-4l.json").read_text())
    memory = PhysicalMemory.load(WALKS / "amd64-4l.npz")
    walker, root = Walker(X86_64_4LEVEL, memory), int(oracle["root"], 16)
    sizes = set()
    for row in oracle["translations"]:
        va, expected = int(row["va"], 16), row["pa"]
        found = walker.walk(root, va)
        step_by_step = trace(X86_64_4LEVEL, memory, root, va)
        if expected is None:
            assert (found.reason, step_by_step.pa) == (Reason.NOT_PRESENT, None), row
            continue
        assert found.pa == step_by_step.pa == int(expected, 16), row
        sizes.add((row["kind"], 1 << found.shift))
        rights = X86_64_4LEVEL.held(found.rights)
        assert "user" in rights
        if row["kind"] in ("anon_rw", "stack", "bss", "anon_ro", "zero_page_ro"):
            assert ("writable" in rights) == (row["kind"] not in ("anon_ro", "zero_page_ro")), row
            assert "no_execute" in rights
        if row["kind"] in ("anon_rx", "text"):
            assert "no_execute" not in rights
            assert "writable" not in rights
    assert {("thp", M2), ("hugetlb", M2), ("anon_rw", K4)} <= sizes


def test_all_ranges_of_a_real_kernel_contain_its_translations():
    oracle = json.loads((WALKS / "amd64-4l.json").read_text())
    memory = PhysicalMemory.load(WALKS / "amd64-4l.npz")
    ranges = list(mappings(X86_64_4LEVEL, memory, int(oracle["root"], 16)))
    assert [m.va for m in ranges] == sorted(m.va for m in ranges)
    for row in oracle["translations"]:
        va = int(row["va"], 16)
        inside = [m.pa + va - m.va for m in ranges if m.va <= va < m.va + m.size]
        assert inside == ([] if row["pa"] is None else [int(row["pa"], 16)]), row
