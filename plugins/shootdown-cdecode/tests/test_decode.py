"""The decode in C, its twin, and the slow walk say the same of every address."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shootdown_cdecode._cdecode import lib

from shootdown import ShootdownError
from shootdown.formats import EVERY_ACCESS, CustomFormat, PhysicalMemory, Reason, Walker, mappings, trace
from shootdown_cdecode import _table, _twin
from shootdown_cdecode._formats import NATIVE, TWIN

FORMATS = pytest.mark.parametrize("form", [NATIVE, TWIN], ids=lambda form: form.name)
PAGES = 300
WORDS = st.integers(0, 2**64 - 1)


def table() -> tuple[PhysicalMemory, int]:
    """Return memory with a table of 64 groups, in which page n of an address space is page 5 n of memory."""
    memory = PhysicalMemory(window_bytes=128 << 20)
    root = _table.root_of(memory.allocate(64 << _table.GROUP_SHIFT), 6)
    for n in range(PAGES):
        _table.insert(memory, root, n << 12, 5 * n << 12, n % 4)
    return memory, root


@given(WORDS)
def test_c_hashes_as_its_twin(vpn: int) -> None:
    with np.errstate(over="ignore"):
        assert lib.cdecode_hash(vpn) == _table.hash_of(vpn) == int(_twin.hash_of(np.uint64(vpn)))


@given(st.lists(st.integers(0, 9), min_size=16, max_size=16), st.integers(0, 9))
def test_c_finds_the_first_entry_with_a_tag_as_its_twin(words: list[int], tag: int) -> None:
    group = np.array(words, dtype=np.uint64)
    place = group.ctypes.data
    found = lib.cdecode_find(place, tag)
    assert found == int(_twin.find_entry(np.uint64(place), np.uint64(tag)))
    assert found == next((place + 8 * n for n in range(0, 16, 2) if words[n] == tag), 0)


@FORMATS
@pytest.mark.parametrize("access", EVERY_ACCESS, ids=str)
def test_walks_are_as_the_slow_one_says(form: CustomFormat, access) -> None:  # type: ignore[no-untyped-def]
    memory, root = table()
    walker = Walker(form, memory)
    for va in (*range(0, (PAGES + 9) << 12, 4096 + 8), 1 << 40, 1 << 48, 2**64 - 1):
        slow, fast = trace(form, memory, root, va, access), walker.walk(root, va, access)
        assert Reason(fast.reason) is slow.reason, hex(va)
        assert fast.pa == (slow.pa or 0), hex(va)


@FORMATS
def test_many_walks_at_once_are_as_single_ones(form: CustomFormat) -> None:
    memory, root = table()
    addresses = np.arange(0, (PAGES + 9) << 12, 2048, dtype=np.uint64)
    walker = Walker(form, memory)
    many = walker.walk_many(root, addresses)
    assert [int(pa) for pa in many.pa] == [walker.walk(root, int(va)).pa for va in addresses]


@FORMATS
def test_what_is_mapped_is_listed(form: CustomFormat) -> None:
    memory, root = table()
    assert sum(one.size for one in mappings(form, memory, root)) == PAGES << 12


def test_a_full_group_is_told() -> None:
    memory = PhysicalMemory()
    root = _table.root_of(memory.allocate(4096), 0)
    for n in range(8):
        _table.insert(memory, root, n << 12, n << 12, 0)
    with pytest.raises(ShootdownError, match="is full"):
        _table.insert(memory, root, 8 << 12, 0, 0)


def test_a_table_where_no_memory_is_faults() -> None:
    assert trace(NATIVE, PhysicalMemory(), _table.root_of(0, 0), 1 << 48).reason is Reason.NONCANONICAL
