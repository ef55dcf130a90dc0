"""Address spaces: what is mapped is what walks find, in every format."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins.toy_formats import BY_ANY_BIT, DESCRIPTORS, SIZED

from shootdown._pagetables.address_space import AddressSpace
from shootdown._pagetables.format import Access, Reason
from shootdown._pagetables.mappings import mappings
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._pagetables.walk_steps import trace
from shootdown._values.errors import ShootdownError
from shootdown_x86._formats import FORMATS, X86_64_4LEVEL

ALL = (*FORMATS, BY_ANY_BIT, SIZED, DESCRIPTORS)
by_name = pytest.mark.parametrize("format_", ALL, ids=lambda f: f.name)
PAGE, M2, G1 = 4096, 1 << 21, 1 << 30


def new(format_=X86_64_4LEVEL):
    return AddressSpace(format_, PhysicalMemory())


@by_name
@settings(max_examples=15)
@given(data=st.data())
def test_each_page_of_a_range_translates_as_mapped_and_its_neighbours_do_not(format_, data):
    space = new(format_)
    first = data.draw(st.integers(1, 3 * 1024)) * PAGE
    pages = data.draw(st.integers(1, 3000))
    pa = data.draw(st.sampled_from([0x10_0000, 0x1000, 0x4000_0000])) + data.draw(st.integers(0, 2)) * first
    permissions = data.draw(st.sampled_from(["r", "rw", "rx", "rwx"]))
    space.map(first, pa, pages * PAGE, permissions)
    for page in {0, 1, pages // 2, pages - 1} & set(range(pages)):
        found = trace(format_, space.memory, space.root, first + page * PAGE + 5)
        assert found.pa == pa + page * PAGE + 5
    for outside in (first - 1, first + pages * PAGE):
        assert trace(format_, space.memory, space.root, outside).pa is None
    listed = list(mappings(format_, space.memory, space.root))
    assert sum(m.size for m in listed) == pages * PAGE
    assert all(m.pa - m.va == pa - first for m in listed)
    assert [m.va for m in listed] == sorted(m.va for m in listed)
    assert space.unmap(first, pages * PAGE) > 0
    assert not list(mappings(format_, space.memory, space.root))


@by_name
def test_the_largest_pages_that_fit_are_used(format_):
    space = new(format_)
    large = max(1 << format_.shifts[n] for n in space._page_levels(None) if format_.shifts[n] < 31)
    space.map(large - PAGE, 4 * large - PAGE, large + 2 * PAGE)
    sizes = [m.page_size for m in mappings(format_, space.memory, space.root)]
    assert sizes == [PAGE, large, PAGE]


def test_permissions_decide_who_may_do_what():
    space = new()
    space.map(0x1000, 0x1000, PAGE, "r")
    space.map(0x2000, 0x2000, PAGE, "rw", user=False)
    space.map(0x3000, 0x3000, PAGE, "rx")
    asked = {
        (0x1000, "read", True): Reason.OK,
        (0x1000, "write", True): Reason.PERMISSION,
        (0x1000, "execute", True): Reason.PERMISSION,
        (0x2000, "read", True): Reason.PERMISSION,
        (0x2000, "write", False): Reason.OK,
        (0x3000, "execute", True): Reason.OK,
    }
    for (va, kind, user), reason in asked.items():
        assert trace(space.format, space.memory, space.root, va, Access(kind, user)).reason is reason
    assert space.protect(0x1000, PAGE, "rw") == 1
    assert trace(space.format, space.memory, space.root, 0x1000, Access("write")).pa == 0x1000


def test_two_address_spaces_share_a_pmd_table_until_one_clears_its_entry():
    parent = new()
    child = AddressSpace(parent.format, parent.memory)
    parent.map(G1, 8 * M2, 4 * M2, page_size=M2)
    table = child.share(parent, G1, "pmd")
    assert child.table_of(G1, "pmd") == parent.table_of(G1, "PDE") == table
    parent.map(G1 + 5 * M2, 0, M2, page_size=M2)
    assert trace(child.format, child.memory, child.root, G1 + 5 * M2 + 7).pa == 7
    old = child.clear(G1, "pud")
    assert child.target(old) == table
    assert trace(child.format, child.memory, child.root, G1).reason is Reason.NOT_PRESENT
    assert trace(parent.format, parent.memory, parent.root, G1).pa == 8 * M2


def test_a_freed_table_reads_as_zero_and_is_handed_out_again():
    space = new()
    space.map(G1, 0, PAGE)
    table = space.table_of(G1, "pte")
    space.clear(G1, "pmd")
    space.free_table(table, "pte")
    assert space.table_of(G1, "pte") is None
    assert space.memory.allocate() == table


def test_sharing_needs_a_table_there_and_room_here():
    one, two = new(), new()
    with pytest.raises(ShootdownError, match="no pmd table to share"):
        two.share(one, G1, "pmd")
    one.map(G1, 0, M2)
    two.map(G1, 0, M2)
    with pytest.raises(ShootdownError, match="something is mapped"):
        two.share(one, G1, "pmd")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0x1001, 0, PAGE), "not whole pages"),
        ((0x1000, 1, PAGE), "not a multiple of 4096"),
        ((0x1000, 0, 0), "not whole pages"),
        ((0x1000, 1 << 52, PAGE), "can't hold the physical address"),
    ],
)
def test_what_can_not_be_mapped_is_refused(arguments, said):
    with pytest.raises(ShootdownError, match=said):
        new().map(*arguments)


def test_page_sizes_that_the_format_lacks_are_refused():
    with pytest.raises(ShootdownError, match="there is: 1073741824, 2097152, 4096"):
        new().map(0, 0, 1 << 16, page_size=1 << 16)
    with pytest.raises(ShootdownError, match="can't be mapped in pages of 2097152"):
        new().map(PAGE, 0, M2, page_size=M2)


def test_mapping_twice_and_cutting_a_large_page_are_refused():
    space = new()
    space.map(0, 0, M2)
    with pytest.raises(ShootdownError, match="mapped"):
        space.map(PAGE, 0, PAGE, page_size=PAGE)
    with pytest.raises(ShootdownError, match="something is mapped"):
        space.map(0, 0, M2)
    with pytest.raises(ShootdownError, match="only partly in the range"):
        space.unmap(0, PAGE)
    assert trace(space.format, space.memory, space.root, M2 - 1).pa == M2 - 1


def test_shared_and_upper_half_mappings_are_listed_with_extended_addresses():
    space = new()
    top = (1 << 64) - M2
    space.map(top, M2, M2, user=False)
    (only,) = mappings(space.format, space.memory, space.root)
    assert (only.va, only.pa, only.size, only.page_size) == (top, M2, M2, M2)
    assert only.attributes == {"writable", "no_execute"}


@by_name
def test_listed_ranges_are_what_walks_find_page_by_page(format_):
    rng = np.random.default_rng(3)
    space = new(format_)
    for slot in rng.choice(64, 20, replace=False).tolist():
        space.map(slot << 20, int(rng.integers(1, 1 << 10)) << 16, int(rng.integers(1, 200)) * PAGE, "rw")
    found = {}
    for m in mappings(format_, space.memory, space.root):
        found.update({m.va + n: m.pa + n for n in range(0, m.size, PAGE)})
    walked = {va: trace(format_, space.memory, space.root, va).pa for va in range(0, 64 << 20, PAGE)}
    assert found == {va: pa for va, pa in walked.items() if pa is not None}
