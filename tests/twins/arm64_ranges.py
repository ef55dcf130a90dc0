"""How Linux cuts a range into TLBIs, operation by operation: the slow twin of what the model counts by digits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shootdown import ShootdownError

#: Bits of the fields of a range operation's operand (C5.5, TLBI RVAE1).
NUM_BITS, SCALE_BITS = 5, 2
LPA2_ALIGNMENT = 1 << 16


def range_pages(num: int, scale: int) -> int:
    """Return how many pages of the granule one range operation names: (NUM + 1) * 2^(5 * SCALE + 1).

    Raises:
        ShootdownError: a field does not fit.
    """
    if not (0 <= num < 1 << NUM_BITS and 0 <= scale < 1 << SCALE_BITS):
        raise ShootdownError(f"range operation with NUM {num} and SCALE {scale}: there is 0 to 31 and 0 to 3")
    return (num + 1) << (5 * scale + 1)


class Operation(NamedTuple):
    """One TLBI of a flush by address.

    Attributes:
        page: the first page, counted from the range's first.
        pages: how many base pages it names.
        num, scale: of a range operation; None for a TLBI of one address.
    """

    page: int
    pages: int
    num: int | None = None
    scale: int | None = None


def operations(
    pages: int, *, stride: int = 1, tlbirange: bool = True, first_page: int = 0, lpa2: bool = False
) -> Iterator[Operation]:
    """Cut a range into TLBIs as Linux does (`__flush_tlb_range_op()`, arch/arm64/include/asm/tlbflush.h).

    With range operations: from the largest scale down the most that fits, and what is left, one page, by itself.
    Before e2768b798a19 (v6.8) it was from the smallest scale up, and an odd page first: the same numbers.

    Args:
        pages: base pages, a multiple of `stride`, at most `range_pages(31, 3)`.
        stride: base pages from one TLBI by address to the next.
        tlbirange: the CPU has range operations.
        first_page: number of the range's first base page, where `lpa2` asks for its alignment.
        lpa2: TCR_EL1.DS is set: a range operation begins at a multiple of 64 KiB; 4K pages before that go one by one.
    """
    page, scale = 0, 3
    while pages > 0:
        unaligned = lpa2 and (first_page + page) % (LPA2_ALIGNMENT >> 12)
        if not tlbirange or pages == 1 or unaligned:
            yield Operation(page, stride)
            page, pages = page + stride, pages - stride
            continue
        if scale < 0:
            raise ShootdownError(
                f"{pages} pages are left of a range of more than 2^21: Linux flushes the ASID instead"
            )
        num = min(pages, range_pages(31, scale)) // range_pages(0, scale) - 1
        if num >= 0:
            named = range_pages(num, scale)
            yield Operation(page, named, num, scale)
            page, pages = page + named, pages - named
        scale -= 1
