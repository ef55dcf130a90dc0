"""The hashed page table: its layout, and how it is written and listed. It is made up, and no machine has it.

A group of eight entries, 128 bytes, is chosen by a hash of the virtual page number. An entry is two little-endian
doublewords: the tag (virtual page number and a valid bit) and the word (physical address and permissions). The root has
the table's address, and in its lowest bits log2 of its groups.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from shootdown import ShootdownError
from shootdown.formats import Access, Mapping, PhysicalMemory, Reason, Settings, Step, bits

PAGE_SHIFT = 12
VA_BITS = 48
GROUP_SHIFT = 7
SLOTS = 8
VALID = 1
USER, WRITABLE = 1 << 0, 1 << 1
RIGHTS = USER | WRITABLE
SIZE_MASK = bits(0, 4)
ADDRESS = bits(12, 51)
MULTIPLIER = 0xFF51AFD7ED558CCD
MASK = (1 << 64) - 1


def hash_of(vpn: int) -> int:
    """Return the hash of a virtual page number; `cdecode_hash` of cdecode.h is the same."""
    vpn ^= vpn >> 33
    vpn = vpn * MULTIPLIER & MASK
    return vpn ^ vpn >> 33


def root_of(address: int, groups: int) -> int:
    """Return the root of a table.

    Args:
        address: physical address of the table, a multiple of a page.
        groups: log2 of the number of groups.
    """
    return address | groups


def group_of(root: int, vpn: int) -> int:
    """Return the physical address of a page's group."""
    return (root & ADDRESS) + ((hash_of(vpn) & ((1 << (root & SIZE_MASK)) - 1)) << GROUP_SHIFT)


def word(memory: PhysicalMemory, address: int) -> int:
    """Read a doubleword."""
    return int.from_bytes(memory.read(address, 8), "little")


def insert(memory: PhysicalMemory, root: int, va: int, pa: int, rights: int) -> None:
    """Write the entry of a page.

    Raises:
        ShootdownError: its group is full.
    """
    vpn = va >> PAGE_SHIFT
    group = group_of(root, vpn)
    for slot in range(SLOTS):
        place = group + 16 * slot
        if not word(memory, place) & VALID:
            memory.write(
                place, (vpn << 1 | VALID).to_bytes(8, "little") + (pa | rights).to_bytes(8, "little")
            )
            return
    raise ShootdownError(f"the group of {va:#x} is full: make the table larger")


@attrs.frozen
class Found:
    """What a slow walk of the table found.

    Args:
        reason: how it ended.
        entry: the word of the entry, or 0.
        steps: the slots that were read.
    """

    reason: Reason
    entry: int
    steps: tuple[Step, ...]


def search(memory: PhysicalMemory, root: int, va: int) -> Found:
    """Search the entry of an address, slot by slot."""
    if va >> VA_BITS:
        return Found(Reason.NONCANONICAL, 0, ())
    vpn = va >> PAGE_SHIFT
    group = group_of(root, vpn)
    steps: list[Step] = []
    for slot in range(SLOTS):
        place = group + 16 * slot
        if not memory.reaches(place):
            steps.append(Step(0, "HPTE", "hpte", group, slot, place, None, "absent", (), None))
            return Found(Reason.NO_MEMORY, 0, tuple(steps))
        tag, entry = word(memory, place), word(memory, place + 8)
        hit = tag == vpn << 1 | VALID
        kind, target = ("leaf", (entry & ADDRESS) | va & 0xFFF) if hit else ("absent", None)
        steps.append(Step(0, "HPTE", "hpte", group, slot, place, entry if hit else tag, kind, (), target))
        if hit:
            return Found(Reason.OK, entry, tuple(steps))
    return Found(Reason.NOT_PRESENT, 0, tuple(steps))


def mappings(memory: PhysicalMemory, root: int, settings: Settings) -> Iterator[Mapping]:
    """List what is mapped, in the order of addresses."""
    found = []
    for group in range(1 << (root & SIZE_MASK)):
        for slot in range(SLOTS):
            place = (root & ADDRESS) + (group << GROUP_SHIFT) + 16 * slot
            tag = word(memory, place)
            if tag & VALID:
                found.append((tag >> 1 << PAGE_SHIFT, word(memory, place + 8)))
    for va, entry in sorted(found):
        yield Mapping(va, entry & ADDRESS, 4096, 4096, 0, names(entry & RIGHTS))


def names(rights: int) -> frozenset[str]:
    """Name the permissions."""
    return frozenset(name for name, one in (("user", USER), ("writable", WRITABLE)) if rights & one)


def may(access: Access, rights: int) -> bool:
    """Whether an access is permitted."""
    return (bool(rights & USER) or not access.user) and (bool(rights & WRITABLE) or access.kind != "write")
