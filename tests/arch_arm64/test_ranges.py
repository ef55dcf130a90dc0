"""How a range becomes TLBIs: the arithmetic of NUM and SCALE, and the counts that the model gives."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins.arm64_ranges import operations, range_pages

from shootdown import ShootdownError
from shootdown_arm64._flush import MAX_TLBI_RANGE_PAGES

MOST = 32 << 16
sizes = st.one_of(
    st.integers(1, 5000), st.integers(1, MOST), st.sampled_from([MOST, MOST - 1, 64, 65, 1 << 18])
)


def before_6_8(pages):
    """The older way, as a slow twin: an odd page by itself, then from the smallest scale up, five bits at a time."""
    found, page, scale = [], 0, 0
    while pages:
        if pages % 2:
            found.append((page, 1))
            page, pages = page + 1, pages - 1
            continue
        digit = pages >> (5 * scale + 1) & 31
        if digit:
            named = digit * 2 ** (5 * scale + 1)
            found.append((page, named))
            page, pages = page + named, pages - named
        scale += 1
    return found


@given(sizes)
def test_operations_name_every_page_once_in_order(pages):
    at = 0
    for operation in operations(pages):
        assert operation.page == at
        at += operation.pages
        if operation.num is not None:
            assert operation.pages == range_pages(operation.num, operation.scale)
    assert at == pages


@given(sizes)
def test_there_is_at_most_one_operation_of_each_scale_and_one_page_alone(pages):
    found = list(operations(pages))
    scales = [operation.scale for operation in found if operation.scale is not None]
    assert scales == sorted(set(scales), reverse=True)
    assert sum(operation.num is None for operation in found) == pages % 2


@given(sizes.filter(lambda pages: pages < MOST))
def test_kernels_before_and_since_6_8_execute_as_many(pages):
    """e2768b798a19 turned the order round and made the largest range possible; no count changed."""
    assert len(list(operations(pages))) == len(before_6_8(pages))
    assert sum(named for _, named in before_6_8(pages)) == pages


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (1, [(1, None, None)]),
        (2, [(2, 0, 0)]),
        (3, [(2, 0, 0), (1, None, None)]),
        (62, [(62, 30, 0)]),
        (64, [(64, 0, 1)]),
        (66, [(64, 0, 1), (2, 0, 0)]),
        (512, [(512, 7, 1)]),
        (1 << 18, [(1 << 18, 3, 3)]),  # 1 GiB: one PMD table
        (8 << 18, [(8 << 18, 31, 3)]),  # 8 GiB: the most
    ],
)
def test_num_and_scale_of_known_ranges(pages, expected):
    assert [(op.pages, op.num, op.scale) for op in operations(pages)] == expected


def test_up_to_8_tables_are_one_range_operation_and_9_are_too_many():
    for tables in range(1, 9):
        (operation,) = operations(tables << 18)
        assert (operation.scale, operation.num) == (3, 4 * tables - 1)
    assert range_pages(31, 3) == MAX_TLBI_RANGE_PAGES == 8 << 18
    with pytest.raises(ShootdownError, match="Linux flushes the ASID instead"):
        list(operations(9 << 18))


@given(st.integers(1, 5000), st.integers(0, 15))
def test_with_lpa2_ranges_begin_at_64_kib_and_pages_before_that_go_one_by_one(pages, first):
    found = list(operations(pages, first_page=first, lpa2=True))
    assert sum(operation.pages for operation in found) == pages
    for operation in found:
        if operation.num is not None:
            assert (first + operation.page) % 16 == 0


@given(st.integers(1, 40), st.sampled_from([1, 512]))
def test_without_range_operations_there_is_one_for_each_stride(strides, stride):
    found = list(operations(strides * stride, stride=stride, tlbirange=False))
    assert [operation.page for operation in found] == [n * stride for n in range(strides)]


def test_the_model_counts_as_many_as_the_arithmetic_gives(run):
    """MADV_DONTNEED of so many pages on a CPU with range operations, and on one without."""
    random = Random(5)
    for pages in [1, 2, 3, 64, 65, 512, 513, *(random.randrange(1, 9600) for _ in range(20))]:
        found = list(operations(pages))
        ranges = sum(operation.num is not None for operation in found)
        expected = {"tlbi_rvale1is": ranges, "tlbi_vale1is": len(found) - ranges}
        case = {"op": "madv_dontneed", "kind": "embedded", "pages": pages, "threads": 1}
        executed = run("anonymous", "6.12.74", platform="qemu-tcg-max", **case).instructions
        assert executed == {name: n for name, n in expected.items() if n}, pages
        plain = run("anonymous", "6.12.74", **case).instructions
        assert plain == ({"tlbi_vale1is": pages} if pages < 512 else {"tlbi_aside1is": 1}), pages
