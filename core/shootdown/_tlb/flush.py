"""What an invalidation drops, as data.

An architecture describes what an instruction of its drops as a `FlushScope`; no instruction is known here.
The kernels (`kernels.flush`) apply a scope to the state; `listing.dropped` answers the same question for a listing.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from shootdown._tlb.geometry import shift_of
from shootdown._values.errors import ShootdownError, nearest

WalkScope = Literal["none", "leading-to-va", "all-of-asid"]
WALK_SCOPES: tuple[WalkScope, ...] = ("none", "leading-to-va", "all-of-asid")


def _sizes(sizes: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in sizes)


@attrs.frozen(kw_only=True)
class FlushScope:
    """The entries that one invalidation drops.

    A TLB entry goes if `leaf` is set, one of the addresses lies in its page, its tag matches and, with
    `page_sizes`, its size is among them. A walk-cache entry goes as `walk_cache` says.

    Args:
        start: the first address; None for every address.
        count: how many addresses, `stride` bytes apart. A contiguous range has the smallest page as stride;
            a larger stride names one address in each step and nothing between them, as INVLPGB with a PMD
            stride and a loop of INVLPG over 2 MiB do.
        stride: bytes from one address to the next; may be 0 when `count` is 1.
        asid: the ASID or PCID whose entries go; None for every one.
        vm: the VMID, VPID or AMD ASID whose entries go, 0 for the host; None for every one.
        global_entries: global TLB entries go as well, whatever their ASID.
        leaf: TLB entries go (powerpc RIC=1 leaves them).
        walk_cache: `"none"` of the walk-cache entries go, those `"leading-to-va"` (covering one of the
            addresses), or `"all-of-asid"` whatever their address.
        page_sizes: a level hint (arm64 TTL): only leaves of these sizes go, and of the walk-cache entries
            that lead to the addresses only those that cover more than the smallest. Empty: no hint.

    Raises:
        ShootdownError: a range that wraps or a walk scope that does not exist.
    """

    start: int | None = None
    count: int = 1
    stride: int = 0
    asid: int | None = None
    vm: int | None = 0
    global_entries: bool = False
    leaf: bool = True
    walk_cache: WalkScope = "all-of-asid"
    page_sizes: tuple[int, ...] = attrs.field(default=(), converter=_sizes)

    def __attrs_post_init__(self) -> None:
        if self.walk_cache not in WALK_SCOPES:
            raise ShootdownError(
                f"no walk-cache scope is called {self.walk_cache!r}: {nearest(self.walk_cache, WALK_SCOPES)}"
            )
        if self.count < 1 or self.stride < 0 or (self.count > 1 and self.stride == 0):
            raise ShootdownError(
                f"flush of {self.count} addresses {self.stride} bytes apart: "
                "give at least one address, and a stride where there are more"
            )
        if self.start is not None and not 0 <= self.start <= (1 << 64) - 1 - (self.count - 1) * self.stride:
            raise ShootdownError(
                f"flush of {self.count} addresses from {self.start:#x}, {self.stride} bytes apart: "
                "they leave the 64-bit address space; give addresses from 0 to 2**64 - 1"
            )
        for size in self.page_sizes:
            if size < 1 or size & (size - 1):
                raise ShootdownError(f"flush of pages of {size} bytes: a page size is a power of two")

    @property
    def walk_above(self) -> int:
        """Return the bytes that a walk-cache entry must exceed to lead to a leaf of the hinted sizes."""
        return min(self.page_sizes, default=0)

    @property
    def size_mask(self) -> int:
        """Return the hinted page sizes as a mask: bit n for pages of 2**n bytes; 0 for any."""
        return sum(1 << shift_of(size) for size in set(self.page_sizes))


NOTHING = FlushScope(leaf=False, walk_cache="none")
"""The scope of an operation that drops no entry (MOV to CR3 with bit 63, TLBSYNC)."""
