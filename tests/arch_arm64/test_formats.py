"""The ten VMSAv8-64 formats: the literals, checked against the manual's tables and Linux's headers."""

import attrs
import pytest

from shootdown._pagetables.format_layout import layout
from shootdown.formats import EVERY_ACCESS, Access, AddressSpace, PhysicalMemory, Reason, Walker, bit, trace
from shootdown_arm64._flush import _GEOMETRY
from shootdown_arm64._formats import FORMATS

FORMAT = {format_.name: format_ for format_ in FORMATS}
K4, K16, K64, M2, M32, M512 = 1 << 12, 1 << 14, 1 << 16, 1 << 21, 1 << 25, 1 << 29
G1, G64, G512, T4 = 1 << 30, 1 << 36, 1 << 39, 1 << 42
# level, Linux's name, log2 of what an entry spans
LEVELS = {
    "arm64-4k-39": [("L1", "pgd", 30), ("L2", "pmd", 21), ("L3", "pte", 12)],
    "arm64-4k-48": [("L0", "pgd", 39), ("L1", "pud", 30), ("L2", "pmd", 21), ("L3", "pte", 12)],
    "arm64-4k-52": [
        ("L-1", "pgd", 48),
        ("L0", "p4d", 39),
        ("L1", "pud", 30),
        ("L2", "pmd", 21),
        ("L3", "pte", 12),
    ],
    "arm64-16k-36": [("L2", "pgd", 25), ("L3", "pte", 14)],
    "arm64-16k-47": [("L1", "pgd", 36), ("L2", "pmd", 25), ("L3", "pte", 14)],
    "arm64-16k-48": [("L0", "pgd", 47), ("L1", "pud", 36), ("L2", "pmd", 25), ("L3", "pte", 14)],
    "arm64-16k-52": [("L0", "pgd", 47), ("L1", "pud", 36), ("L2", "pmd", 25), ("L3", "pte", 14)],
    "arm64-64k-42": [("L2", "pgd", 29), ("L3", "pte", 16)],
    "arm64-64k-48": [("L1", "pgd", 42), ("L2", "pmd", 29), ("L3", "pte", 16)],
    "arm64-64k-52": [("L1", "pgd", 42), ("L2", "pmd", 29), ("L3", "pte", 16)],
}
LEAVES = {
    "arm64-4k-39": [G1, M2, K4],
    "arm64-4k-48": [G1, M2, K4],
    "arm64-4k-52": [G512, G1, M2, K4],  # 512 GiB with FEAT_LPA2
    "arm64-16k-36": [M32, K16],
    "arm64-16k-47": [M32, K16],
    "arm64-16k-48": [M32, K16],
    "arm64-16k-52": [G64, M32, K16],  # 64 GiB with FEAT_LPA2
    "arm64-64k-42": [M512, K64],
    "arm64-64k-48": [M512, K64],
    "arm64-64k-52": [T4, M512, K64],  # 4 TiB with FEAT_LPA
}
# Linux, arch/arm64/Kconfig: ARM64_CONT_PTE_SHIFT and ARM64_CONT_PMD_SHIFT, and what a PUD's run would be
RUNS = {12: {K4: 16, M2: 16, G1: 16}, 14: {K16: 128, M32: 32}, 16: {K64: 32, M512: 32}}
by_name = pytest.mark.parametrize("format_", FORMATS, ids=lambda f: f.name)


def space_of(format_, **settings):
    return AddressSpace(format_, PhysicalMemory(), settings=format_.settings(**settings))


def walker_of(space, **settings):
    return Walker(space.format, space.memory, space.format.settings(**settings))


def change(space, va, level, *, sets=0, clears=0):
    address = space.entry_address(va, level)
    space.write(address, space.read(address) & ~clears | sets)


def test_every_name_of_the_list_is_there_once():
    assert sorted(f.name for f in FORMATS) == sorted(LEVELS)
    assert len({layout(f).fingerprint for f in FORMATS}) == 10


@by_name
def test_levels_are_those_of_the_manual_and_of_linux(format_):
    rows = [(row.name, row.linux, shift) for row, shift in zip(format_.levels, format_.shifts, strict=True)]
    assert rows == LEVELS[format_.name]
    numbers = [format_.level_number(i) for i in range(len(rows))]
    assert [f"L{n}" for n in numbers] == [name for name, _, _ in rows]


@by_name
def test_flushes_see_the_same_levels(format_):
    """The flush model's geometry, with folded levels repeated, agrees with the walker's formats."""
    geometry = attrs.astuple(_GEOMETRY[1 << format_.page_shift, format_.va_bits])
    shifts = {linux: shift for _, linux, shift in LEVELS[format_.name]}
    assert geometry[0] == shifts["pte"]
    assert geometry[-1] == shifts["pgd"]
    assert sorted(set(geometry)) == sorted(set(shifts.values()))


@by_name
def test_every_leaf_size_translates_and_says_its_level(format_):
    for size in LEAVES[format_.name]:
        space = space_of(format_)
        va, pa = size, 2 * size
        space.map(va, pa, size, page_size=size)
        found = walker_of(space).walk(space.root, va + size - 3)
        assert (found.pa, 1 << found.shift) == (pa + size - 3, size)
        assert 1 << LEVELS[format_.name][found.level][2] == size
        steps = trace(format_, space.memory, space.root, va + 5).steps
        assert [step.name for step in steps] == [row[0] for row in LEVELS[format_.name]][: found.level + 1]


@by_name
def test_the_kernels_half_begins_with_ones_and_the_rest_of_the_addresses_is_nobodys(format_):
    space = space_of(format_)
    space.map(0, 4 << format_.page_shift, 1 << format_.page_shift)
    walker = walker_of(space)
    upper = (1 << 64) - (1 << format_.va_bits)
    assert (
        walker.walk(space.root, upper + 3).pa
        == walker.walk(space.root, 3).pa
        == (4 << format_.page_shift) + 3
    )
    for va in (1 << format_.va_bits, upper - 1, upper & ~bit(63), bit(63)):
        assert walker.walk(space.root, va).reason == Reason.NONCANONICAL
        found = trace(format_, space.memory, space.root, va)
        assert (found.fault, found.fault_code & 0x3F) == ("level 0 translation fault", 0b000100)


@by_name
def test_a_block_where_the_granule_has_none_is_a_translation_fault(format_):
    """D8.3.1: 0b01 at a level without blocks, and at level 3, is an invalid descriptor."""
    page = 1 << format_.page_shift
    for level, (name, _, shift) in enumerate(LEVELS[format_.name]):
        space = space_of(format_)
        space.map(0, 0, page)
        change(space, 0, name, clears=bit(1), sets=bit(10) | bit(6))
        found = walker_of(space).walk(space.root, 0)
        mapped = name != "L3" and 1 << shift in LEAVES[format_.name]
        assert found.level == level
        assert found.reason == (Reason.OK if mapped else Reason.NOT_PRESENT), name


@by_name
def test_contiguous_runs_translate_as_one_page_of_the_size_that_linux_uses(format_):
    runs = RUNS[format_.page_shift]
    for size in LEAVES[format_.name]:
        entries = runs.get(size, 1)
        space = space_of(format_)
        for i in range(2):
            space.map(i * size, (entries + i) * size, size, page_size=size)
            change(space, i * size, f"L{format_.level_number(_level(format_, size))}", sets=bit(52))
        for i in range(2):
            found = walker_of(space).walk(space.root, i * size + 7)
            assert (found.pa, 1 << found.shift) == ((entries + i) * size + 7, entries * size)


def _level(format_, size):
    return next(i for i, row in enumerate(LEVELS[format_.name]) if 1 << row[2] == size)


# --- output addresses


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("arm64-4k-52", {48: 48, 49: 49, 50: 8, 51: 9}),  # D8.3.1, DS = 1: OA[51:50] in bits 9:8
        ("arm64-16k-52", {48: 48, 49: 49, 50: 8, 51: 9}),
        ("arm64-64k-52", {48: 12, 49: 13, 50: 14, 51: 15}),  # FEAT_LPA: OA[51:48] in bits 15:12
    ],
)
def test_addresses_of_52_bits_keep_their_upper_bits_where_the_manual_says(name, where):
    format_ = FORMAT[name]
    page = 1 << format_.page_shift
    for address_bit, position in where.items():
        space = space_of(format_)
        space.map(0, bit(address_bit), page)
        assert space.read(space.entry_address(0, "L3")) & bit(position)
        assert walker_of(space).walk(space.root, 1).pa == bit(address_bit) + 1


@pytest.mark.parametrize("format_", [f for f in FORMATS if f.va_bits != 52], ids=lambda f: f.name)
def test_without_52_bit_addresses_the_upper_bits_are_ignored(format_):
    space = space_of(format_)
    page = 1 << format_.page_shift
    space.map(0, 3 * page, page)
    for level in range(len(format_.levels)):
        change(space, 0, format_.levels[level].name, sets=bit(48) | bit(49) | bit(50) | 0x300)
    assert walker_of(space).walk(space.root, 1).pa == 3 * page + 1


@by_name
def test_an_output_address_with_too_many_bits_faults_at_its_level(format_):
    """Both in a table descriptor and in a leaf; a page at the very end does not."""
    page = 1 << format_.page_shift
    for name, _, _ in LEVELS[format_.name]:
        space = space_of(format_)
        space.map(0, bit(36) - page, page)
        assert walker_of(space, output_bits=36).walk(space.root, page - 1).pa == bit(36) - 1
        change(space, 0, name, sets=bit(36))
        found = trace(format_, space.memory, space.root, 0, settings=format_.settings(output_bits=36))
        assert (found.reason, found.fault) == (Reason.ADDRESS_SIZE, f"level {name[1:]} address size fault")


def test_the_check_of_output_addresses_looks_at_the_descriptor_not_at_the_offset():
    """AArch64.S1Walk tests the base address: a block that is larger than the address space is no fault."""
    space = space_of(FORMAT["arm64-64k-52"])
    space.map(0, 0, T4, page_size=T4)
    found = walker_of(space, output_bits=40).walk(space.root, bit(41) + 5)
    assert (Reason(found.reason), found.pa) == (Reason.OK, bit(41) + 5)


# --- faults as ESR_EL1 and Linux say them


@pytest.mark.parametrize(
    ("reason", "level", "kind", "user", "name", "esr"),
    [
        (Reason.NOT_PRESENT, 2, "read", True, "level 2 translation fault", 0x92000006),
        (Reason.NOT_PRESENT, 0, "read", False, "level 0 translation fault", 0x96000004),
        (Reason.NOT_PRESENT, 3, "write", True, "level 3 translation fault", 0x92000047),
        (Reason.PERMISSION, 3, "write", True, "level 3 permission fault", 0x9200004F),
        (Reason.PERMISSION, 3, "write", False, "level 3 permission fault", 0x9600004F),
        (Reason.PERMISSION, 3, "execute", True, "level 3 permission fault", 0x8200000F),
        (Reason.PERMISSION, 1, "execute", False, "level 1 permission fault", 0x8600000D),
        (Reason.ACCESS_FLAG, 3, "read", True, "level 3 access flag fault", 0x9200000B),
        (Reason.ADDRESS_SIZE, 1, "read", True, "level 1 address size fault", 0x92000001),
        (Reason.NO_MEMORY, 2, "read", False, "level 2 external abort on walk", 0x96000016),
    ],
)
def test_syndromes_are_those_that_linux_prints(reason, level, kind, user, name, esr):
    format_ = FORMAT["arm64-4k-48"]  # its first level is 0
    assert format_.fault(reason, Access(kind, user), level=level) == (name, esr)


@pytest.mark.parametrize(
    ("reason", "name", "status"),
    [
        (Reason.NOT_PRESENT, "level -1 translation fault", 0b101011),
        (Reason.ADDRESS_SIZE, "level -1 address size fault", 0b101001),
        (Reason.NO_MEMORY, "level -1 external abort on walk", 0b010011),
    ],
)
def test_level_minus_1_has_status_codes_of_its_own(reason, name, status):
    fault, esr = FORMAT["arm64-4k-52"].fault(reason, Access(), level=0)
    assert (fault, esr & 0x3F) == (name, status)


@pytest.mark.parametrize(("name", "number"), [("arm64-4k-39", 1), ("arm64-16k-36", 2), ("arm64-64k-42", 2)])
def test_a_fault_at_the_root_says_the_first_level_of_the_format(name, number):
    memory = PhysicalMemory()
    found = trace(FORMAT[name], memory, memory.allocate(FORMAT[name].table_bytes(0)), 0)
    assert found.fault == f"level {number} translation fault"


# --- permissions


def granted(space, **settings):
    """Name what is allowed: letters for EL1, then for EL0."""
    letters = {"read": "r", "write": "w", "execute": "x"}
    walker = walker_of(space, **settings)
    said = {a: walker.walk(space.root, 0, a).reason for a in EVERY_ACCESS}
    assert set(said.values()) <= {Reason.OK, Reason.PERMISSION}
    return tuple(
        "".join(letters[a.kind] for a in EVERY_ACCESS if a.user is user and said[a] == Reason.OK)
        for user in (False, True)
    )


def leaf(bits, table=0):
    space = space_of(FORMAT["arm64-4k-39"])
    space.map(0, 0, K4)
    change(space, 0, "L3", clears=bit(6) | bit(7) | bit(51) | bit(53) | bit(54), sets=bits)
    change(space, 0, "L1", sets=table)
    return space


AP1, AP2, DBM, PXN, UXN = bit(6), bit(7), bit(51), bit(53), bit(54)
PXN_TABLE, UXN_TABLE, AP_TABLE_0, AP_TABLE_1 = bit(59), bit(60), bit(61), bit(62)


@pytest.mark.parametrize(
    ("bits", "el1", "el0"),
    [
        (0, "rwx", "x"),
        (AP1, "rw", "rwx"),  # what EL0 can write, EL1 does not execute
        (AP2, "rx", "x"),
        (AP1 | AP2, "rx", "rx"),
        (AP1 | PXN, "rw", "rwx"),
        (AP1 | UXN, "rw", "rw"),
        (AP1 | AP2 | PXN | UXN, "r", "r"),
        (PXN, "rw", "x"),
        (UXN | AP2, "rx", ""),
        (AP2 | DBM, "rx", "x"),  # DBM means nothing without TCR_EL1.HA and HD
    ],
)
def test_access_permissions_of_a_page(bits, el1, el0):
    assert granted(leaf(bits)) == (el1, el0)


@pytest.mark.parametrize(
    ("table", "el1", "el0"),
    [
        (AP_TABLE_0, "rwx", "x"),  # no access for EL0, which therefore can't write
        (AP_TABLE_1, "rx", "rx"),
        (AP_TABLE_0 | AP_TABLE_1, "rx", "x"),
        (UXN_TABLE, "rw", "rw"),
        (PXN_TABLE, "rw", "rwx"),
        (UXN_TABLE | PXN_TABLE | AP_TABLE_1, "r", "r"),
    ],
)
def test_hierarchical_attributes_take_away_what_the_page_grants(table, el1, el0):
    assert granted(leaf(AP1, table)) == (el1, el0)


def test_wxn_lets_nobody_execute_what_it_can_write():
    assert granted(leaf(AP1), wxn=True) == ("rw", "rw")
    assert granted(leaf(0), wxn=True) == ("rw", "x")
    assert granted(leaf(AP1 | AP2), wxn=True) == ("rx", "rx")


def test_pan_keeps_el1_from_data_of_el0_and_epan_from_what_el0_can_only_execute():
    assert granted(leaf(AP1 | AP2), pan=True) == ("x", "rx")
    assert granted(leaf(AP2), pan=True) == ("rx", "x")
    assert granted(leaf(AP2), pan=True, epan=True) == ("x", "x")
    assert granted(leaf(AP2 | UXN), pan=True, epan=True) == ("rx", "")


# --- access flag and dirty state


def test_without_hardware_management_a_clear_access_flag_faults_before_permissions_are_checked():
    space = leaf(AP1 | AP2)
    change(space, 0, "L3", clears=bit(10))
    for access in EVERY_ACCESS:
        found = trace(space.format, space.memory, space.root, 0, access)
        assert found.fault == "level 3 access flag fault"


def test_hardware_sets_the_access_flag_in_the_leaf_and_in_no_table():
    space = leaf(AP1)
    change(space, 0, "L3", clears=bit(10))
    for level in ("L1", "L2"):
        change(space, 0, level, clears=bit(10))
    walker = walker_of(space, ha=True)
    assert walker.walk(space.root, 0, hardware_sets_flags=True).reason == Reason.OK
    assert [bool(space.read(space.entry_address(0, n)) & bit(10)) for n in ("L1", "L2", "L3")] == [0, 0, 1]


def test_hardware_dirty_management_makes_a_page_with_dbm_writable_at_the_first_write():
    """AP[2] set with DBM is Linux's writable-clean."""
    space = leaf(AP1 | AP2 | DBM | UXN | PXN)
    for settings in ({}, {"ha": True}, {"hd": True}):
        assert walker_of(space, **settings).walk(space.root, 0, Access("write")).reason == Reason.PERMISSION
    walker = walker_of(space, ha=True, hd=True)
    assert walker.walk(space.root, 0, Access("read"), hardware_sets_flags=True).reason == Reason.OK
    assert space.read(space.entry_address(0, "L3")) & AP2
    assert walker.walk(space.root, 0, Access("write"), hardware_sets_flags=True).reason == Reason.OK
    assert not space.read(space.entry_address(0, "L3")) & AP2


def test_a_page_that_is_not_writable_is_not_made_dirty():
    space = leaf(AP1 | AP2 | UXN | PXN)
    walker = walker_of(space, ha=True, hd=True)
    assert walker.walk(space.root, 0, Access("write"), hardware_sets_flags=True).reason == Reason.PERMISSION
    assert space.read(space.entry_address(0, "L3")) & AP2


def test_a_table_that_forbids_writes_does_so_whatever_dbm_says():
    space = leaf(AP1 | AP2 | DBM, AP_TABLE_1)
    assert granted(space, ha=True, hd=True) == ("rx", "rx")


# --- roots


@pytest.mark.parametrize(
    ("name", "alignment"),
    [
        ("arm64-4k-48", 4096),
        ("arm64-16k-48", 16),  # two entries
        ("arm64-16k-52", 256),
        ("arm64-64k-48", 512),
        ("arm64-64k-52", 8192),
        ("arm64-4k-52", 128),
    ],
)
def test_a_root_is_aligned_to_its_table_and_bits_below_that_are_ignored(name, alignment):
    format_ = FORMAT[name]
    space = space_of(format_)
    space.map(0, 0, 1 << format_.page_shift)
    walker = walker_of(space)
    assert walker.walk(space.root + alignment - 1, 9).pa == 9
    assert walker.walk(space.root + alignment, 9).reason == Reason.NOT_PRESENT
