"""Listing all that is mapped: many tables at once must say what walks say one by one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins.toy_formats import BY_ANY_BIT, DESCRIPTORS, SIZED

from shootdown import ShootdownError
from shootdown._pagetables.mappings import Listing, mappings
from shootdown.formats import AddressSpace, CustomFormat, Mapping, PhysicalMemory, trace
from shootdown_x86._formats import FORMATS, X86_64_4LEVEL

ALL = (*FORMATS, BY_ANY_BIT, SIZED, DESCRIPTORS)
by_name = pytest.mark.parametrize("format_", ALL, ids=lambda f: f.name)
K4, M2, G1 = 4096, 1 << 21, 1 << 30


@by_name
@settings(max_examples=25)
@given(data=st.data())
def test_ranges_are_what_walks_find_whatever_is_in_the_tables(format_, data):
    """Entries are drawn bit by bit: large pages between tables, reserved bits, loops, odd sizes."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    memory = PhysicalMemory()
    space = AddressSpace(format_, memory)
    top = min(format_.va_bits, 47) - 1
    for _ in range(data.draw(st.integers(1, 6))):
        size = K4 << int(rng.integers(0, 12))
        va = int(rng.integers(0, 1 << min(top, 34))) // size * size
        try:
            space.map(va, int(rng.integers(1, 64)) * M2, size, str(rng.choice(["r", "rw", "rx"])))
        except ShootdownError:
            continue  # something is there
    entries = [
        (address, level)
        for level in range(len(format_.levels))
        for va in range(0, 1 << min(top, 34), 1 << max(format_.shifts[level], 26))
        if (address := space.entry_address(va, level)) is not None
    ]
    for _ in range(data.draw(st.integers(0, 12))):
        address, _ = entries[int(rng.integers(len(entries)))]
        entry = space.read(address)
        flip = int(rng.integers(0, 8 * format_.entry_bytes))
        if 1 << flip & sum(piece.mask for piece in format_.address) and rng.random() < 0.8:
            continue
        space.write(address, entry ^ 1 << flip)
    found = list(mappings(format_, memory, space.root))
    assert [m.va for m in found] == sorted(m.va for m in found)
    for a, b in itertools.pairwise(found):
        assert a.va + a.size <= b.va
        alike = (a.page_size, a.level, a.attributes, a.flags) == (b.page_size, b.level, b.attributes, b.flags)
        assert not (alike and a.va + a.size == b.va and a.pa + a.size == b.pa)
    probes = {m.va + at for m in found for at in (0, m.size // 2 // K4 * K4, m.size - K4)}
    probes |= {(m.va + m.size) % (1 << 64) for m in found} | {m.va - K4 for m in found if m.va}
    probes |= {int(va) * K4 for va in rng.integers(0, 1 << 22, 40)}
    for va in probes:
        walked = trace(format_, memory, space.root, va)
        inside = [m for m in found if m.va <= va < m.va + m.size]
        # A page that user mode may not read, or that was not accessed, is mapped all the same.
        leaf = bool(walked.steps) and walked.steps[-1].kind == "leaf" and walked.page_shift > 0
        if leaf and walked.reason.name not in ("RESERVED", "ADDRESS_SIZE"):
            (mapping,) = inside
            assert mapping.page_size == 1 << walked.page_shift
            assert mapping.attributes == walked.attributes
            if walked.pa is not None:
                assert mapping.pa + va - mapping.va == walked.pa
        else:
            assert walked.pa is None
            if walked.reason.name != "ACCESS_FLAG":  # of a table: entries below it are mapped
                assert inside == []


def test_neighbours_that_differ_in_what_hardware_or_software_notes_alone_are_joined():
    space = AddressSpace(X86_64_4LEVEL, PhysicalMemory())
    accessed, dirty, special, glob = 1 << 5, 1 << 6, 1 << 9, 1 << 8
    for n, extra in enumerate((0, accessed, accessed | dirty, special, glob)):
        space.map(n * K4, n * K4 + M2, K4, "rw", extra=extra)
    first, second = mappings(space.format, space.memory, space.root)
    assert (first.size, first.flags) == (4 * K4, ("P", "RW", "US", "XD"))
    assert (second.size, second.flags) == (K4, ("P", "RW", "US", "G", "XD"))


def test_large_pages_between_tables_keep_the_order_of_addresses():
    space = AddressSpace(X86_64_4LEVEL, PhysicalMemory())
    for n in range(0, 512, 2):
        space.map(n * M2, G1 + n * M2, M2, page_size=M2)
        space.map((n + 1) * M2, G1 + (n + 1) * M2, M2, page_size=K4)
    for n in range(0, 8, 2):
        space.map((n + 2) * G1, n * G1, G1, page_size=G1)
        space.map((n + 3) * G1, (n + 1) * G1, K4)
    found = list(mappings(space.format, space.memory, space.root))
    assert len(found) == 512 + 8
    assert [m.va for m in found] == sorted(m.va for m in found)
    assert [m.page_size for m in found[:4]] == [M2, K4, M2, K4]
    assert sum(m.size for m in found) == G1 + 4 * G1 + 4 * K4


def test_a_range_goes_on_over_the_edges_of_tables_and_batches():
    space = AddressSpace(X86_64_4LEVEL, PhysicalMemory())
    space.map(0, 0x1_0000_0000, 3 * G1, "rw", page_size=K4)
    (only,) = mappings(space.format, space.memory, space.root)
    assert (only.va, only.pa, only.size, only.page_size) == (0, 0x1_0000_0000, 3 * G1, K4)


def test_a_range_never_joins_the_two_halves():
    space = AddressSpace(X86_64_4LEVEL, PhysicalMemory())
    space.map((1 << 47) - K4, G1, K4)
    space.map((1 << 64) - (1 << 47), G1 + K4, K4)
    assert [(m.va, m.size) for m in mappings(space.format, space.memory, space.root)] == [
        ((1 << 47) - K4, K4),
        ((1 << 64) - (1 << 47), K4),
    ]


def test_the_root_of_an_upper_half_lists_addresses_that_begin_with_ones():
    space = AddressSpace(DESCRIPTORS, PhysicalMemory())
    space.map(0x1000, 0x5000, K4)
    settled = DESCRIPTORS.settings()
    (low,) = mappings(DESCRIPTORS, space.memory, space.root)
    (high,) = Listing(DESCRIPTORS, space.memory, space.root, settled, upper_half=True)
    assert low.va == 0x1000
    assert high.va == (1 << 64) - (1 << DESCRIPTORS.va_bits) + 0x1000
    assert trace(DESCRIPTORS, space.memory, space.root, high.va).pa == 0x5000
    with pytest.raises(ShootdownError, match="no upper half"):
        mappings(X86_64_4LEVEL, space.memory, space.root, upper_half=True)


def test_progress_is_a_part_of_the_whole_that_only_grows():
    space = AddressSpace(X86_64_4LEVEL, PhysicalMemory())
    for n in range(4):
        space.map(n * G1, n * G1, G1, "rw" if n % 2 else "r", page_size=K4)
    listing = Listing(X86_64_4LEVEL, space.memory, space.root, X86_64_4LEVEL.settings())
    seen = [listing.done for _ in listing]
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    assert (seen[-1], listing.done) == (1.0, 1.0)


def test_a_format_that_is_no_tree_lists_what_its_author_says_or_refuses():
    plain = CustomFormat("hashed", "made up", 64, walk=print, check=print, steps=print)
    with pytest.raises(ShootdownError, match="format hashed can't list what is mapped"):
        mappings(plain, PhysicalMemory(), 0)
    one = Mapping(0x1000, 0x2000, K4, K4, 0, frozenset())
    listed = CustomFormat(
        "hashed", "made up", 64, walk=print, check=print, steps=print, mappings=lambda *_: iter([one])
    )
    assert list(mappings(listed, PhysicalMemory(), 0)) == [one]
