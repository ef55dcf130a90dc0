"""The rules of the Privileged Architecture, one at a time."""

from __future__ import annotations

import pytest

from shootdown.formats import Access, AddressSpace, Format, PhysicalMemory, Reason, Trace, trace
from shootdown_riscv._formats import FORMATS

FORMAT = {format_.name.removeprefix("riscv-"): format_ for format_ in FORMATS}
WIDE = ["sv39", "sv48", "sv57"]
V, R, W, X, U, G, A, D = (1 << n for n in range(8))
READ, WRITE, FETCH = (Access(kind, user=True) for kind in ("read", "write", "execute"))
ALL = V | R | W | X | U | A | D
VA = 0x4020_1000  # not in the first entry of any level


def walk(name: str, leaf: int, access: Access = READ, *, level: int = 0, **settings: bool) -> Trace:
    """Walk tables whose entry at `level` (0 is the last) is `leaf`; those above point to the next one."""
    format_ = FORMAT[name]
    memory, frame = PhysicalMemory(window_bytes=128 << 20), 16
    bits, size = (10, 4) if name == "sv32" else (9, 8)
    for i in range(len(format_.levels) - 1, level - 1, -1):
        at = (frame << 12) + (VA >> (12 + bits * i) & ((1 << bits) - 1)) * size
        entry = leaf if i == level else (frame + 1) << 10 | V
        memory.write(at, entry.to_bytes(size, "little"))
        frame += 1
    return trace(format_, memory, 16 << 12, VA, access, format_.settings(**settings))


def faults(name: str, leaf: int, access: Access = READ, *, level: int = 0, **settings: bool) -> int:
    """Say with which cause the walk faults."""
    found = walk(name, leaf, access, level=level, **settings)
    assert found.pa is None
    format_: Format = FORMAT[name]
    _, code = format_.fault(found.reason, access, format_.settings(**settings))
    return code


def test_the_names_are_those_of_the_modes() -> None:
    assert [format_.name for format_ in FORMATS] == ["riscv-sv32", "riscv-sv39", "riscv-sv48", "riscv-sv57"]


@pytest.mark.parametrize("name", FORMAT)
def test_a_page_is_translated(name: str) -> None:
    assert walk(name, 0x12345 << 10 | ALL).pa == 0x12345_000
    assert walk(name, 0x12345 << 10 | ALL, WRITE).pa == 0x12345_000


@pytest.mark.parametrize("name", FORMAT)
def test_page_faults_have_causes_12_13_and_15(name: str) -> None:
    assert [faults(name, 0, access) for access in (FETCH, READ, WRITE)] == [12, 13, 15]


@pytest.mark.parametrize("name", FORMAT)
def test_a_table_where_no_memory_answers_is_an_access_fault(name: str) -> None:
    nowhere = ((1 << 22) - 1) << 10 | V
    assert [faults(name, nowhere, access, level=1) for access in (FETCH, READ, WRITE)] == [1, 5, 7]


@pytest.mark.parametrize("name", FORMAT)
@pytest.mark.parametrize("bits", [W, W | X])
def test_write_without_read_is_reserved(name: str, bits: int) -> None:
    assert walk(name, V | U | A | D | bits).reason is Reason.RESERVED


@pytest.mark.parametrize("name", FORMAT)
@pytest.mark.parametrize("bit", [U, A, D])
def test_a_pointer_with_u_a_or_d_is_reserved_and_one_with_g_is_not(name: str, bit: int) -> None:
    assert faults(name, 18 << 10 | V | bit, level=1) == 13
    assert walk(name, 18 << 10 | V | G, level=1).reason is not Reason.RESERVED


@pytest.mark.parametrize("name", FORMAT)
def test_the_last_level_has_no_pointers(name: str) -> None:
    assert walk(name, 18 << 10 | V).reason is Reason.MALFORMED


@pytest.mark.parametrize("name", FORMAT)
def test_a_misaligned_superpage_faults(name: str) -> None:
    span = 10 if name == "sv32" else 9
    assert walk(name, 1 << span << 10 | ALL, level=1).pa == (1 << span << 12) + (VA & ((1 << 12 + span) - 1))
    for bit in (0, span - 1):
        assert faults(name, 1 << bit << 10 | ALL, level=1) == 13


@pytest.mark.parametrize("name", FORMAT)
def test_a_clear_a_bit_or_for_a_store_d_bit_faults_unless_hardware_sets_it(name: str) -> None:
    assert faults(name, ALL & ~A) == 13
    assert faults(name, ALL & ~D, WRITE) == 15
    assert walk(name, ALL & ~D).pa == 0
    assert walk(name, ALL & ~A, svadu=True).pa == 0
    assert walk(name, ALL & ~(A | D), WRITE, svadu=True).pa == 0


@pytest.mark.parametrize("name", FORMAT)
def test_supervisors_need_sum_for_pages_of_users_and_never_execute_them(name: str) -> None:
    read, fetch = Access("read", user=False), Access("execute", user=False)
    assert faults(name, ALL, read) == 13
    assert walk(name, ALL, read, sum=True).pa == 0
    assert faults(name, ALL, fetch, sum=True) == 12
    assert walk(name, ALL & ~U, fetch).pa == 0
    assert faults(name, ALL & ~U) == 13


@pytest.mark.parametrize("name", FORMAT)
def test_mxr_makes_executable_pages_readable(name: str) -> None:
    assert faults(name, V | X | U | A) == 13
    assert walk(name, V | X | U | A, mxr=True).pa == 0
    assert faults(name, V | X | U | A | D, WRITE, mxr=True) == 15


@pytest.mark.parametrize("name", WIDE)
def test_svnapot_makes_64_kib_of_one_entry_and_reserves_every_other_size(name: str) -> None:
    n = 1 << 63
    found = walk(name, n | 0x12348 << 10 | ALL)
    assert found.pa == 0x12340_000 + (VA & 0xFFFF)
    assert found.page_size == 1 << 16
    for ppn in (0x12341, 0x12342, 0x12344, 0x12340, 0x1234C):
        assert faults(name, n | ppn << 10 | ALL) == 13
    assert faults(name, n | 0x12348 << 10 | ALL, svnapot=False) == 13
    assert faults(name, n | 0x8 << 18 << 10 | ALL, level=1) == 13


@pytest.mark.parametrize("name", WIDE)
def test_pbmt_3_is_reserved_and_all_of_it_without_svpbmt_or_in_pointers(name: str) -> None:
    for pbmt in (1, 2):
        assert walk(name, pbmt << 61 | ALL).pa == 0
        assert faults(name, pbmt << 61 | ALL, svpbmt=False) == 13
        assert faults(name, pbmt << 61 | 18 << 10 | V, level=1) == 13
    assert faults(name, 3 << 61 | ALL) == 13


@pytest.mark.parametrize("name", WIDE)
def test_bits_54_to_60_are_reserved_but_for_two_under_svrsw60t59b(name: str) -> None:
    for bit in range(54, 61):
        assert faults(name, 1 << bit | ALL) == 13
        ignored = walk(name, 1 << bit | ALL, svrsw60t59b=True).pa == 0
        assert ignored == (bit >= 59)


@pytest.mark.parametrize(("name", "width"), [("sv39", 39), ("sv48", 48), ("sv57", 57)])
def test_an_address_that_is_not_sign_extended_is_a_page_fault_here_and_no_other_exception(
    name: str, width: int
) -> None:
    format_ = FORMAT[name]
    space = AddressSpace(format_, PhysicalMemory())
    for access, cause in ((FETCH, 12), (READ, 13), (WRITE, 15)):
        found = trace(format_, space.memory, space.root, 1 << width, access)
        assert found.reason is Reason.NONCANONICAL
        assert format_.fault(found.reason, access, format_.settings())[1] == cause


def test_sv32_reaches_34_bits_of_physical_address_and_sv57_56() -> None:
    assert walk("sv32", 0x3F_FFFF << 10 | ALL).pa == 0x3_FFFF_F000
    assert walk("sv57", ((1 << 44) - 1) << 10 | ALL).pa == (1 << 56) - 4096
