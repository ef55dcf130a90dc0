"""Page tables of real arm64 kernels walk as the hardware did.

The entries are those that show_pte() (arch/arm64/mm/fault.c) printed in oopses that were posted to public lists,
with the ESR_EL1 that the CPU reported beside them; levels that show_pte() prints twice are folded.
"""

import attrs
import pytest
from twins.images import SECTION

import shootdown
from shootdown.formats import AddressSpace, PhysicalMemory
from shootdown_arm64._formats import FORMATS

FORMAT = {format_.name: format_ for format_ in FORMATS}
USER = {"table": ("AF", "PXNTable"), "rw": ("AP[1]", "SH=0x3", "AF", "nG", "DBM", "PXN", "UXN", "DIRTY")}


@attrs.frozen
class Oops:
    """What show_pte() printed, and why."""

    name: str
    format: str
    root: int
    va: int
    entries: tuple[int, ...]
    access: str
    esr: int | None
    """What the CPU reported; None where translating was not what failed."""
    fault: str | None
    pa: int | None
    """What a read at EL1 without PAN gets."""
    flags: tuple[str, ...]
    level: int
    settings: dict[str, int] = attrs.field(factory=dict)


OOPSES = (
    Oops(
        "5.19-rc6, user memory without uaccess", "arm64-4k-48", 0x190_9000, 0xFFC4_A5C8,
        (0x0800000001A7B003, 0x0800000001A0E003, 0x0800000001913003, 0x00E800000B9BAF43),
        "read", 0x9600_000F, "level 3 permission fault", 0xB9B_A5C8, USER["rw"], 3, {"pan": 1},
    ),
    Oops(
        "5.8, user memory without uaccess", "arm64-4k-39", 0x1_6E9E_9000, 0x6F_5333_7070,
        (0x000000016E99E003, 0x000000016E99A003, 0x00E800016D3C7F53),
        "read", 0x9600_000F, "level 3 permission fault", 0x1_6D3C_7070, ("AttrIndx=0x4", *USER["rw"]), 3,
        {"pan": 1},
    ),
    Oops(
        "5.10-rc7, a constructor in data that KPTI made nG", "arm64-4k-48", 0x427B_3000, 0xFFFF_A000_6B60_F5AC,
        (0x000000023FFFF003, 0x000000023FFFE003, 0x0068000042000F01),
        "execute", 0x8600_000E, "level 2 permission fault", 0x4200_F5AC,
        ("SH=0x3", "AF", "nG", "DBM", "PXN", "UXN"), 2,
    ),
    Oops(
        "6.19-rc1 with LPA2, a page that is gone", "arm64-4k-52", 0x8BA1_6000, 0xFFF0_0000_F9B4_0000,
        (0x180000013FFFF403, 0x180000013FFFE403, 0x180000013F85B403, 0x180000013F68D403, 0),
        "read", 0x9600_0007, "level 3 translation fault", None, (), 3,
    ),
    Oops(
        "6.11 with LPA2, a jump to NULL", "arm64-4k-52", 0x462C_CE00, 0,
        (0x080000004468E003, 0x08000000466CC003, 0x0800000046CD6003, 0),
        "execute", 0x8600_0006, "level 2 translation fault", None, (), 2,
    ),
    Oops(
        "6.10-rc6 with LPA2, an address of 48-bit kernels", "arm64-4k-52", 0x41B4_A000, 0xFFFF_0000_C2A8_0E68,
        (0x1000000042F28003, 0), "read", 0x9600_0004, "level 0 translation fault", None, (), 0,
    ),
    Oops(
        "6.12 on a Raspberry Pi 5, a wild pointer", "arm64-16k-47", 0x23F5_4000, 0x330A_92B9_688A,
        (0,), "read", 0x9600_0005, "level 1 translation fault", None, (), 1,
    ),
    Oops(
        "device memory that faulted for its alignment", "arm64-4k-39", 0x46AD_6000, 0xFFFF_FFC0_83A1_D004,
        (0x100000013FFFF003, 0x0068000020A00711), "write", None, None, 0x20A1_D004,
        ("AttrIndx=0x4", "SH=0x3", "AF", "DBM", "PXN", "UXN"), 2,
    ),
    Oops(
        "the same on Hyper-V", "arm64-4k-48", 0x14_DF3A_1000, 0xFFFF_8000_A200_001B,
        (0x1000000100438403, 0x1000000100439403, 0x0068000FC2000711), "read", None, None, 0xF_C200_001B,
        ("AttrIndx=0x4", "SH=0x3", "AF", "DBM", "PXN", "UXN"), 2,
    ),
    Oops(
        "user memory in pages of 64 KiB", "arm64-64k-48", 0x6702_7400, 0xFFFF_6DFF_0000,
        (0x000000176BAE0003, 0x000000174AD60003, 0x00E80008023A0F53), "write", None, None, 0x8_023A_0000,
        ("AttrIndx=0x4", *USER["rw"]), 3,
    ),
)  # fmt: skip


def memory_of(oops):
    """Write each entry where the one above says that its table is."""
    format_, memory, table = FORMAT[oops.format], PhysicalMemory(window_bytes=SECTION), oops.root
    for shift, level, entry in zip(format_.shifts, format_.levels, oops.entries, strict=False):
        memory.write_entry(table + 8 * (oops.va >> shift & (1 << level.bits) - 1), entry)
        table = sum(piece.read(entry) for piece in format_.address)
    return memory


@pytest.mark.parametrize("oops", OOPSES, ids=lambda oops: oops.name)
def test_what_an_oops_shows_walks_as_it_did(oops):
    where = {"format": oops.format, "root": oops.root, "supervisor": True}
    memory = memory_of(oops)
    (found,) = shootdown.walk(memory, oops.va, access=oops.access, settings=oops.settings, **where)
    assert (found.fault, found.fault_code) == (oops.fault, oops.esr)
    assert found.level == oops.level
    assert [step.entry for step in found.steps] == list(oops.entries)
    (read,) = shootdown.walk(memory, oops.va, **where)
    assert (read.pa, read.flags) == (oops.pa, oops.flags)
    if oops.pa is not None:
        upper = bool(oops.va >> 63)
        (only,) = shootdown.mapped(memory, format=oops.format, root=oops.root, upper_half=upper)
        assert only.va <= oops.va < only.va + only.size
        assert only.pa + oops.va - only.va == oops.pa
        assert only.flags == tuple(flag for flag in oops.flags if flag != "DIRTY")


def test_tables_say_what_linux_sets_in_them():
    (oops,) = (oops for oops in OOPSES if "LPA2, a page" in oops.name)
    (found,) = shootdown.walk(memory_of(oops), oops.va, format=oops.format, root=oops.root)
    # PMD_TABLE_AF for FEAT_HAFT, UXNTable in all tables of the kernel, PXNTable over the linear map.
    assert [step.flags for step in found.steps[:-1]] == [("AF", "PXNTable", "UXNTable")] * 4
    assert [step.level for step in found.steps] == [-1, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("form", "level", "entry", "run", "page"),
    [
        ("arm64-4k-48", "pte", 0x00F8_0000_0000_0F43, 16, 64 << 10),  # mTHP folded by contpte
        ("arm64-4k-48", "pmd", 0x00F8_0000_0000_0F41, 16, 32 << 20),  # hugetlb, CONT_PMD_SIZE
        ("arm64-16k-47", "pte", 0x00F8_0000_0000_0F43, 128, 2 << 20),
        ("arm64-16k-47", "pmd", 0x00F8_0000_0000_0F41, 32, 1 << 30),
        ("arm64-64k-48", "pte", 0x00F8_0000_0000_0F43, 32, 2 << 20),
        ("arm64-64k-48", "pmd", 0x00F8_0000_0000_0F41, 32, 16 << 30),
    ],
)
def test_contiguous_runs_as_linux_writes_them_are_one_page_and_one_range(form, level, entry, run, page):
    format_, va = FORMAT[form], 0x7F80_0000_0000 % (1 << FORMAT[form].va_bits) // (64 << 30) * (64 << 30)
    space = AddressSpace(format_, PhysicalMemory())
    index = format_.level_index(level)
    span = 1 << format_.shifts[index]
    for n in range(2 * run):
        space.write(space.entry_address(va + n * span, index, create=True), entry | (1 << 36) + n * span)
    found = shootdown.walk(
        space.memory, [va, va + page + 5 * span + 7], format=format_, root=space.root, access="write"
    )
    assert [(row.pa, row.page_size) for row in found] == [
        (1 << 36, page),
        ((1 << 36) + page + 5 * span + 7, page),
    ]
    assert {"Contiguous", "DIRTY", "nG", "PXN", "UXN"} < set(found[0].flags)
    (only,) = shootdown.mapped(space.memory, format=format_, root=space.root)
    assert (only.va, only.pa, only.size, only.page_size) == (va, 1 << 36, 2 * page, page)
    space.write(space.entry_address(va, index), 0x0020_0000_0000_0FC3 if level == "pte" else 0)
    assert len(list(shootdown.mapped(space.memory, format=format_, root=space.root))) == (
        2 if level == "pte" else 1
    )


@pytest.mark.parametrize(
    ("name", "entry", "user", "supervisor", "flags"),
    [
        # pgprot values of arch/arm64/include/asm/pgtable-prot.h, MT_NORMAL being index 0 (since 5.10)
        ("PAGE_SHARED, dirty", 0x00E8_0000_0000_0F43, "rw-", "rw-", {"DBM", "UXN", "PXN", "DIRTY"}),
        ("PAGE_SHARED, clean", 0x0068_0000_0000_0FC3, "r--", "r--", {"DBM", "UXN", "PXN", "AP[2]"}),
        ("PAGE_READONLY", 0x0060_0000_0000_0FC3, "r--", "r--", {"UXN", "PXN", "AP[2]"}),
        ("PAGE_READONLY_EXEC", 0x0020_0000_0000_0FC3, "r-x", "r--", {"PXN", "AP[2]"}),
        ("PAGE_EXECONLY", 0x0020_0000_0000_0F83, "--x", "r--", {"PXN", "AP[2]"}),
        ("PAGE_KERNEL", 0x00E8_0000_0000_0703, "---", "rw-", {"DBM", "UXN", "PXN", "DIRTY"}),
        ("PAGE_KERNEL_ROX", 0x0040_0000_0000_0783, "---", "r-x", {"UXN", "AP[2]"}),
        ("a special page", 0x0160_0000_0000_0FC3, "r--", "r--", {"SPECIAL", "UXN", "PXN", "AP[2]"}),
        (
            "write-protected by userfaultfd",
            0x0460_0000_0000_0FC3,
            "r--",
            "r--",
            {"UFFD_WP", "UXN", "PXN", "AP[2]"},
        ),
    ],
)
def test_protections_as_linux_writes_them(name, entry, user, supervisor, flags):
    format_ = FORMAT["arm64-4k-48"]
    space = AddressSpace(format_, PhysicalMemory())
    space.write(space.entry_address(0x1000, "pte", create=True), entry | 0x12345000)
    (found,) = shootdown.walk(space.memory, 0x1000, format=format_, root=space.root, supervisor=True)
    assert (found.user, found.supervisor) == (user, supervisor)
    always = (
        {"SH=0x3", "AF"} | ({"nG"} if entry & 1 << 11 else set()) | ({"AP[1]"} if entry & 1 << 6 else set())
    )
    assert set(found.flags) == flags | always


def test_dirty_state_by_hardware_makes_a_clean_page_writable_and_pte_prot_none_is_not_valid():
    format_ = FORMAT["arm64-4k-48"]
    space = AddressSpace(format_, PhysicalMemory())
    space.write(space.entry_address(0x1000, "pte", create=True), 0x0068_0000_1234_5FC3)
    space.write(space.entry_address(0x2000, "pte"), 0x0060_0000_1234_5FC2)
    where = {"format": format_, "root": space.root, "access": "write"}
    for settings, pa in (({}, None), ({"ha": 1, "hd": 1}, 0x1234_5000)):
        (found,) = shootdown.walk(space.memory, 0x1000, settings=settings, **where)
        assert found.pa == pa
    (none,) = shootdown.walk(space.memory, 0x2000, **where)
    assert (none.fault, none.fault_code) == ("level 3 translation fault", 0x9200_0047)
