"""List everything that a hashed page table maps in the known segments, by one pass over the table.

An entry has its virtual page number without the bits that follow from its group. The settings determine the effective
addresses, if any, of a virtual segment. Entries of other address spaces are left out: with Linux's rule, those of
contexts other than `context`; the kernel's regions belong to all contexts.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

from shootdown import ShootdownError
from shootdown.formats import FRAME_BYTES, Mapping, PhysicalMemory, Settings
from shootdown_powerpc._hash import (
    AVPN_SHIFT,
    ENTRY_BYTES,
    GROUP_SHIFT,
    LARGEST,
    RIGHTS,
    SHIFT_1T,
    SHIFT_256M,
    SLB_B,
    H,
    Hpte,
    Segment,
    V,
    granted,
    refused_by_key,
    table_shape,
)
from shootdown_powerpc._segments import (
    LinuxLayout,
    NoMemoryError,
    entries,
    linux_addresses,
    segment_of,
    segments_from,
)

_WRITTEN = ("R", "C")  # written by hardware: pages that differ only in these are joined


@attrs.frozen
class _Page:
    """A virtual page, as the key of the entry that a walk uses for it.

    Args:
        vsid: virtual segment.
        shift: log2 of the segment's bytes.
        base: log2 of the base page's bytes.
        offset: of the base page in the segment.
    """

    vsid: int
    shift: int
    base: int
    offset: int


def listed(linux: LinuxLayout, memory: PhysicalMemory, root: int, settings: Settings) -> Iterator[Mapping]:
    """List what is mapped in the order of addresses; contiguous neighbours are joined."""
    found: list[Mapping] = []
    addresses = _addresses(linux, memory, settings)
    held: dict[int, frozenset[str]] = {}
    for page, hpte in _pages(memory, root, settings).items():
        for start in addresses(page.vsid, page.shift):
            ea = start + page.offset
            segment = _segment(linux, memory, ea, settings)
            if segment is None or (segment.vsid, segment.shift, segment.base) != (
                page.vsid,
                page.shift,
                page.base,
            ):
                continue
            rights = granted(segment, hpte) & ~refused_by_key(hpte, settings)
            if rights not in held:
                held[rights] = frozenset(name for i, name in enumerate(RIGHTS) if rights >> i & 1)
            found.append(_mapping(ea, page, hpte, held[rights]))
    yield from _joined(sorted(found, key=lambda mapping: mapping.va))
    origin, table_bits = table_shape(root, settings)
    if not memory.has_gaps and not memory.reaches(origin + (1 << table_bits) - 1):
        raise ShootdownError(
            f"the page table has 2**{table_bits} bytes from {origin:#x} on, and the image {memory.extent}: "
            "what the rest of it maps is missing"
        )


def _mapping(ea: int, page: _Page, hpte: Hpte, held: frozenset[str]) -> Mapping:
    size = hpte.page_size(page.base)
    assert size is not None
    low = (1 << size.actual) - 1
    bytes_ = min(1 << page.base, 1 << page.shift)
    flags = tuple(name for name in hpte.second_names if name not in _WRITTEN)
    pa = hpte.r & hpte.rpn_mask & ~low | ea & low
    return Mapping(ea, pa, bytes_, 1 << size.actual, 1, held, flags)


def _joined(found: list[Mapping]) -> Iterator[Mapping]:
    last: Mapping | None = None
    for here in found:
        if last is not None and (last.va + last.size, last.pa + last.size) == (here.va, here.pa):
            alike = attrs.evolve(last, size=last.size + here.size)
            if (here.page_size, here.attributes, here.flags) == (last.page_size, last.attributes, last.flags):
                last = alike
                continue
        if last is not None:
            yield last
        last = here
    if last is not None:
        yield last


def _pages(memory: PhysicalMemory, root: int, settings: Settings) -> dict[_Page, Hpte]:
    """Return the entries that a walk can reach; of several for one page, the first that it reads."""
    origin, table_bits = table_shape(root, settings)
    if table_bits > LARGEST:
        raise ShootdownError(f"hashed page tables: HTABSIZE {table_bits - 18:#x} is above {LARGEST - 18:#x}")
    mask = (1 << table_bits - GROUP_SHIFT) - 1
    new, primary_only = bool(settings["hpte_3_0"]), bool(settings["tc"])
    order: dict[_Page, int] = {}
    found: dict[_Page, Hpte] = {}
    for index, v, r in _valid(memory, origin, 1 << table_bits):
        hpte = Hpte.read(v, r, new=new)
        group, secondary = index // 8, bool(hpte.v & H)
        page = (
            None if primary_only and secondary else _page(hpte, ~group & mask if secondary else group, mask)
        )
        if page is None:
            continue
        turn = 8 * secondary + index % 8
        if turn < order.get(page, 16):
            order[page], found[page] = turn, hpte
    return found


def _page(hpte: Hpte, hashed: int, mask: int) -> _Page | None:
    """Return the virtual page of an entry in the group of this hash; None if no walk can reach it."""
    size = hpte.page_size()
    kind = hpte.v >> 62
    if size is None or kind > 1:
        return None
    shift = SHIFT_1T if kind else SHIFT_256M
    avpn = (hpte.v & ~SLB_B) >> AVPN_SHIFT
    vsid, upper = avpn >> (shift - 23), (avpn & (1 << shift - 23) - 1) << 23
    segment = Segment(vsid, shift, size.base, 0, "")
    low = min(23, shift)
    if size.base < low:
        # The hash is that of the page with those bits zero, xor those bits: a table has at least 2**11 groups.
        upper |= ((segment.hash(upper) ^ hashed) & (1 << low - size.base) - 1) << size.base
    if upper & (1 << min(size.base, shift)) - 1 or (segment.hash(upper) ^ hashed) & mask:
        return None
    return _Page(vsid, shift, size.base, upper)


def _valid(memory: PhysicalMemory, origin: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield the valid entries: index, first and second doubleword. Parts outside of the image are skipped."""
    for frame in memory.held_frames(origin, size):
        words = memory.table(frame, FRAME_BYTES // 8, big_endian=True).reshape(-1, 2)
        first = (frame - origin) // ENTRY_BYTES
        for i in np.flatnonzero(words[:, 0] & np.uint64(V)).tolist():
            yield first + i, int(words[i, 0]), int(words[i, 1])


def _segment(linux: LinuxLayout, memory: PhysicalMemory, ea: int, settings: Settings) -> Segment | None:
    try:
        return segment_of(linux, memory, ea, settings)
    except NoMemoryError:
        return None


def _addresses(linux: LinuxLayout, memory: PhysicalMemory, settings: Settings) -> _Starts:
    return _Starts(linux, memory, settings, segments_from(settings))


@attrs.define
class _Starts:
    """The effective addresses at which segments with a VSID begin."""

    linux: LinuxLayout
    memory: PhysicalMemory
    settings: Settings
    source: str
    known: dict[tuple[int, int], list[int]] | None = None

    def __call__(self, vsid: int, shift: int) -> list[int]:
        if self.source == "vsid":
            return [0]
        if self.source == "context":
            return linux_addresses(self.linux, vsid, shift, self.settings)
        if self.known is None:
            self.known = {}
            for begin, segment in self._entries():
                starts = self.known.setdefault((segment.vsid, segment.shift), [])
                if begin not in starts:
                    starts.append(begin)
        return self.known.get((vsid, shift), [])

    def _entries(self) -> Iterator[tuple[int, Segment]]:
        settings = self.settings
        where, count = settings["slb"], settings["slb_entries"]
        if self.source == "segment_table":
            where, count = settings["segment_table"], 1 << settings["segment_table_shift"] - 4
        try:
            yield from entries(self.memory, where, count, "entry")
        except NoMemoryError as missing:
            raise ShootdownError(f"no memory at {missing.args[0]:#x}, where segments should lie") from None
