"""What each arm64 TLB maintenance instruction must drop, and whose entries it finds.

Arm ARM DDI 0487, D8 "TLB maintenance" and C5.5 (the instructions). A processor may always drop more; this is what it
must drop. Walk-cache entries hold table descriptors; they are never global. Which addresses one range operation names,
and how Linux cuts a range into such operations, is here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import attrs

from shootdown import ShootdownError
from shootdown.porting import FlushScope, WalkScope
from shootdown_arm64._formats import RUNS

#: Bits of the fields of a range operation's operand (C5.5, TLBI RVAE1).
NUM_BITS, SCALE_BITS = 5, 2
LPA2_ALIGNMENT = 1 << 16


def range_pages(num: int, scale: int) -> int:
    """Give how many pages of the granule one range operation names: (NUM + 1) * 2^(5 * SCALE + 1).

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


@attrs.frozen(kw_only=True)
class TlbRules:
    """Say what each TLBI drops on a CPU that it reaches.

    Args:
        granule: bytes of a base page: 4096, 16384 or 65536.
        asid_bits: 8 or 16 (ID_AA64MMFR0_EL1.ASIDBits, and TCR_EL1.AS).
        ttl: FEAT_TTL; without it a level hint is ignored.
        tlbirange: FEAT_TLBIRANGE.
        cnp: FEAT_TTCNP, and software sets TTBR.CnP.
        threads: hardware threads that share a core's TLB.

    Raises:
        ShootdownError: a CPU that does not exist, or an operand that does not fit.
    """

    granule: int = 4096
    asid_bits: int = 16
    ttl: bool = True
    tlbirange: bool = True
    cnp: bool = True
    threads: int = 1

    def __attrs_post_init__(self) -> None:
        if self.granule not in (1 << 12, 1 << 14, 1 << 16):
            raise ShootdownError(f"granule of {self.granule} bytes: there is 4096, 16384 and 65536")
        if self.asid_bits not in (8, 16):
            raise ShootdownError(f"ASIDs of {self.asid_bits} bits: there is 8 and 16")
        if self.threads < 1:
            raise ShootdownError(f"{self.threads} threads on a core: there is at least 1")

    @property
    def page_shift(self) -> int:
        """Give log2 of the base page's bytes."""
        return self.granule.bit_length() - 1

    def tlb_of(self, cpu: int) -> int:
        """Say whose TLB a CPU uses: with CnP the threads of a core share entries, without it none does.

        "Common not Private": entries of a thread that sets TTBR.CnP serve the others of its core that set it too and
        have the same tables for the ASID, so that a local TLBI of one thread takes them away from all.
        """
        return cpu // self.threads if self.cnp else cpu

    def sizes(self, level: int) -> tuple[int, ...]:
        """Give what leaves of a level map: a page or block, and a contiguous run where there are runs."""
        shift = self.page_shift + (self.page_shift - 3) * (3 - level)
        run = RUNS[self.page_shift].get(level, 0)
        return (1 << shift, 1 << shift + run) if run else (1 << shift,)

    def _hint(self, level: int | None) -> tuple[int, ...]:
        """Turn a TTL hint into page sizes; none where there is no hint or the CPU has no FEAT_TTL."""
        if level is None or not self.ttl:
            return ()
        if not 0 <= level <= 3:
            raise ShootdownError(f"TTL level {level}: there is 0 to 3")
        return self.sizes(level)

    def _asid(self, asid: int) -> int:
        if not 0 <= asid < 1 << self.asid_bits:
            raise ShootdownError(
                f"ASID {asid}: it has {self.asid_bits} bits, there is 0 to {(1 << self.asid_bits) - 1}"
            )
        return asid

    def _by_address(
        self, va: int, asid: int | None, level: int | None, walk: WalkScope, pages: int = 1
    ) -> FlushScope:
        return FlushScope(
            start=va // self.granule * self.granule,
            count=pages,
            stride=self.granule,
            asid=None if asid is None else self._asid(asid),
            global_entries=True,
            walk_cache=walk,
            page_sizes=self._hint(level),
        )

    def vae1(self, va: int, asid: int, *, level: int | None = None) -> FlushScope:
        """Say what TLBI VAE1 and VAE1IS drop: what translates the address, of the ASID or global, at every level.

        With a level hint: leaves of that level, and table entries of the levels above it.

        Args:
            va: the address.
            asid: of the operand.
            level: TTL, the level of the leaf; None where the operand has none.
        """
        return self._by_address(va, asid, level, "leading-to-va")

    def vale1(self, va: int, asid: int, *, level: int | None = None) -> FlushScope:
        """Say what TLBI VALE1 and VALE1IS drop: the same, but entries of the last level of the walk alone."""
        return self._by_address(va, asid, level, "none")

    def vaae1(self, va: int, *, level: int | None = None) -> FlushScope:
        """Say what TLBI VAAE1 and VAAE1IS drop: what VAE1 drops, of every ASID."""
        return self._by_address(va, None, level, "leading-to-va")

    def vaale1(self, va: int, *, level: int | None = None) -> FlushScope:
        """Say what TLBI VAALE1 and VAALE1IS drop: what VALE1 drops, of every ASID."""
        return self._by_address(va, None, level, "none")

    def _range(self, num: int, scale: int) -> int:
        if not self.tlbirange:
            raise ShootdownError(
                "TLBI by range: this CPU has no FEAT_TLBIRANGE, the instruction is undefined"
            )
        return range_pages(num, scale)

    def rvae1(self, va: int, asid: int, *, num: int, scale: int, level: int | None = None) -> FlushScope:
        """Say what TLBI RVAE1 and RVAE1IS drop: what VAE1 drops for each page of the range.

        Args:
            va: BaseADDR, the first page's address.
            asid: of the operand.
            num: NUM.
            scale: SCALE.
            level: TTL, the level of the leaves; None for 0b00.
        """
        return self._by_address(va, asid, level, "leading-to-va", self._range(num, scale))

    def rvale1(self, va: int, asid: int, *, num: int, scale: int, level: int | None = None) -> FlushScope:
        """Say what TLBI RVALE1 and RVALE1IS drop: what VALE1 drops for each page of the range."""
        return self._by_address(va, asid, level, "none", self._range(num, scale))

    def aside1(self, asid: int) -> FlushScope:
        """Say what TLBI ASIDE1 and ASIDE1IS drop: all of the ASID, at every level, but no global entry."""
        return FlushScope(asid=self._asid(asid))

    def vmalle1(self) -> FlushScope:
        """Say what TLBI VMALLE1 and VMALLE1IS drop: everything of this VM."""
        return FlushScope(asid=None, global_entries=True)
