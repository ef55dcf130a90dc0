"""Section 1, walks: what is mapped is found again, and the walk kernel agrees with a slow twin."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import attrs
import numpy as np

from shootdown._compliance import capabilities, entries, twin
from shootdown._compliance.formats import title_of
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject
from shootdown._pagetables.address_space import AddressSpace
from shootdown._pagetables.format import EVERY_ACCESS, Access, Format, Reason, Settings
from shootdown._pagetables.format_parts import entry_with
from shootdown._pagetables.mappings import mappings
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._pagetables.walker import Walker
from shootdown._values.errors import ShootdownError

#: Where memory of the trees below ends: what points further reads as no memory.
_MEMORY = 1 << 27

_LETTERS = ("r", "w", "x", "rw", "rx", "rwx")


# --- map, walk, list, unmap


def _what_is_mapped_is_found(subject: Subject) -> Iterator[Said]:
    for format_ in subject.formats:
        for settings in entries.settings_in_turn(format_):
            yield from _round_trips(subject, format_, settings)


@attrs.frozen
class _Page:
    """A page that was mapped: for messages, where, and what may be done with it."""

    what: str
    va: int
    pa: int
    granted: frozenset[Access]


def _round_trips(subject: Subject, format_: Format, settings: Settings) -> Iterator[Said]:
    title = title_of(subject, format_) + _under(format_, settings)
    for level in range(len(format_.levels)):
        if not format_.has_leaves(level, settings):
            continue
        space = AddressSpace(format_, PhysicalMemory(window_bytes=_MEMORY), settings=settings)
        pages = list(_mapped(title, space, level))
        yield from _found_again(space, pages, format_.shifts[level])
        for page in pages:
            space.unmap(page.va, 1 << format_.shifts[level])
        for page, reason, _, _ in _walks(space, pages, EVERY_ACCESS[0]):
            if reason is not Reason.NOT_PRESENT:
                yield Finding(f"{page.what}: after it is unmapped, a walk ends with: {reason.text}")
        yield Tried(len(pages), "pages mapped")


def _mapped(title: str, space: AddressSpace, level: int) -> Iterator[_Page]:
    """Map a page of a level for each combination of permissions that the format has."""
    format_, settings = space.format, space.settings
    size = 1 << format_.shifts[level]
    for number, (user, letters) in enumerate(
        (user, letters) for user in (True, False) for letters in _LETTERS
    ):
        try:
            asked = format_.attributes_for(letters, user=user, settings=settings)
        except ShootdownError:
            continue  # the format has no such pages
        va, pa = _places(format_, level, number)
        leaf = entries.written(format_, level, asked)
        if pa is None or (
            settings != format_.settings() and twin.decode(format_, level, leaf, settings).refused
        ):
            continue  # under these settings there are no such pages; under the default ones 1.4 finds it
        space.map(va, pa, size, letters, user=user, page_size=size, extra=_used(format_))
        granted = frozenset(
            access for access in EVERY_ACCESS if twin.allowed(format_, access, asked, settings)
        )
        who = "user" if user else "supervisor"
        yield _Page(f"{title}: a page of {size} bytes, {letters} for {who} mode", va, pa, granted)


def _walks(
    space: AddressSpace, pages: Sequence[_Page], access: Access, offset: int = 0
) -> Iterator[tuple[_Page, Reason, int, int]]:
    """Walk all pages, and yield with each how that ended, the translation and log2 of the page found."""
    addresses = np.array([page.va + offset for page in pages], dtype=np.uint64)
    found = Walker(space.format, space.memory, space.settings).walk_many(space.root, addresses, access)
    for n, page in enumerate(pages):
        yield page, Reason(int(found.reason[n])), int(found.pa[n]), int(found.shift[n])


def _under(format_: Format, settings: Settings) -> str:
    default = format_.settings()
    changed = [f"{name}={value}" for name, value in settings.items() if value != default[name]]
    return f" under {', '.join(changed)}" if changed else ""


def _places(format_: Format, level: int, number: int) -> tuple[int, int | None]:
    """Return an address that a page of a level can be mapped at, and one that it can be mapped to.

    Each page has tables of its own on the way, so that entries of one level have different indices.
    """
    shift, size = format_.shifts[level], format_.levels[level].bits
    index = (3 * number + 1) % (1 << size)
    va = index << shift
    for above in range(level):
        bits = format_.levels[above].bits
        va |= (number + above + 1) % max(1, 1 << bits - 1) << format_.shifts[above]
    if format_.va_upper == "sign" and va >> (format_.va_bits - 1):
        va |= (1 << 64) - (1 << format_.va_bits)
    held = entries.address_bits(format_.levels[level].leaf_address or format_.address, shift)
    pa = 0
    for n, place in enumerate(
        place for place in range(shift, min(held.bit_length(), 52)) if held >> place & 1
    ):
        pa |= ((number + n) & 1) << place
    limit = format_.settings()[format_.output_bits] if format_.output_bits else 52
    pa &= (1 << min(limit, 32)) - 1
    return va, pa if held else None


def _used(format_: Format) -> int:
    """Return the accessed and dirty bits, so that no walk ends because they are clear."""
    used = format_.used
    return 0 if used is None else used.accessed | used.dirty_set


def _found_again(space: AddressSpace, pages: Sequence[_Page], shift: int) -> Iterator[Said]:
    offset = (1 << shift) - 1 & 0x5A5A_5A5A_5A5A_5A5A
    wrong: set[_Page] = set()
    for access in EVERY_ACCESS:
        for page, reason, pa, found in _walks(space, pages, access, offset):
            if page in wrong:
                continue
            message = ""
            if reason is Reason.OK and pa != page.pa + offset:
                message = f"{page.va + offset:#x} was mapped to {page.pa + offset:#x}; a walk finds {pa:#x}"
            elif reason not in (Reason.OK, Reason.PERMISSION, Reason.ACCESS_FLAG):
                message = f"a walk of {page.va + offset:#x} ends with: {reason.text}"
            elif reason is Reason.OK and found != shift:
                message = f"a walk finds a page of {1 << found} bytes"
            elif (reason is Reason.OK) is not (access in page.granted) and reason is not Reason.ACCESS_FLAG:
                who = "user" if access.user else "supervisor"
                message = (
                    f"a {access.kind} by {who} mode is {'allowed' if reason is Reason.OK else 'refused'}"
                )
            if message:
                wrong.add(page)
                yield Finding(f"{page.what}: {message}")
    listed = {one.va: one for one in mappings(space.format, space.memory, space.root, space.settings)}
    for page in pages:
        one = listed.pop(page.va, None)
        if one is None or (one.pa, one.size) != (page.pa, 1 << shift):
            text = "not listed" if one is None else f"listed as {one.size} bytes that map to {one.pa:#x}"
            yield Finding(f"{page.what}: mapped {page.va:#x} to {page.pa:#x}; it is {text}")
    for va in listed:
        yield Finding(f"{pages[0].what}: {va:#x} is listed, and nothing was mapped there")


# --- the kernel and the twin


def _the_kernel_equals_the_twin(subject: Subject) -> Iterator[Said]:
    for format_ in subject.formats:
        rng = random.Random(f"{subject.seed} {format_.name}")
        for settings in entries.settings_in_turn(format_):
            yield from _compared(subject, format_, settings, rng, subject.sample(4))


def _compared(
    subject: Subject, format_: Format, settings: Settings, rng: random.Random, trees: int
) -> Iterator[Said]:
    title = title_of(subject, format_) + _under(format_, settings)
    for _ in range(trees):
        memory = PhysicalMemory(window_bytes=_MEMORY)
        root, addresses = random_tree(format_, memory, rng)

        def read(address: int, size: int, memory: PhysicalMemory = memory) -> bytes | None:
            if not memory.reaches(address):
                return None
            raw = memory.read_entry(address, entry_bytes=size, big_endian=False)
            return raw.to_bytes(size, "little")

        walker = Walker(format_, memory, settings)
        packed = np.array(addresses, dtype=np.uint64)
        for access in EVERY_ACCESS:
            walks = walker.walk_many(root, packed, access)
            for n, va in enumerate(addresses):
                slow = twin.walk(format_, read, root, va, access, settings)
                reason = Reason(int(walks.reason[n]))
                pa = int(walks.pa[n]) if reason is Reason.OK else None
                got = (reason, pa, int(walks.level[n]))
                if got != (slow.reason, slow.pa, slow.level):
                    yield Finding(
                        f"{title}: {access.kind} of {va:#x} in a random tree: the walk kernel says "
                        f"{_said(*got)}, the "
                        f"literal read slowly says {_said(slow.reason, slow.pa, slow.level)}"
                    )
                elif pa is not None:
                    held = format_.held(int(walks.rights[n]))
                    if (held, int(walks.shift[n])) != (slow.attributes, slow.shift):
                        yield Finding(
                            f"{title}: {va:#x} in a random tree: the walk kernel finds "
                            f"{_page(held, int(walks.shift[n]))}, the "
                            f"literal read slowly {_page(slow.attributes, slow.shift)}"
                        )
        yield Tried(len(addresses) * len(EVERY_ACCESS), "walks in random trees")


def _said(reason: Reason, pa: int | None, level: int) -> str:
    return f"{pa:#x}" if pa is not None else f"{reason.text} at level {level}"


def _page(held: frozenset[str], shift: int) -> str:
    return f"a page of 2**{shift} bytes with {', '.join(sorted(held)) or 'no attribute'}"


def random_tree(format_: Format, memory: PhysicalMemory, rng: random.Random) -> tuple[int, list[int]]:
    """Write a tree of tables that a program might have gone wild in; return its root and addresses to walk.

    Args:
        format_: the format.
        memory: where to.
        rng: decides.
    """
    root = memory.allocate(max(64, format_.table_bytes(0)))
    paths: list[tuple[int, int]] = []
    _grow(format_, memory, rng, root & format_.root_mask, 0, 0, paths)
    addresses = [va + rng.randrange(1 << shift) for va, shift in paths]
    addresses += [rng.getrandbits(rng.choice((64, format_.va_bits))) for _ in range(6)]
    return root, [_extended(format_, va, rng) & (1 << 64) - 1 for va in addresses]


def _extended(format_: Format, va: int, rng: random.Random) -> int:
    """Set the upper bits of an address as they may be, most times."""
    if va >> format_.va_bits:
        return va
    if format_.va_upper == "sign" and va >> (format_.va_bits - 1):
        return va | (1 << 64) - (1 << format_.va_bits)
    if format_.va_upper == "either" and rng.random() < 0.3:
        return va | (1 << 64) - (1 << format_.va_bits)
    return va


def _grow(
    format_: Format,
    memory: PhysicalMemory,
    rng: random.Random,
    table: int,
    level: int,
    va: int,
    paths: list[tuple[int, int]],
) -> None:
    row, shift = format_.levels[level], format_.shifts[level]
    for _ in range(3 if level < 2 else 2):
        index = rng.randrange(1 << row.bits)
        address = table + index * format_.entry_bytes
        here = va + (index << shift)
        if not memory.reaches(address):
            return
        deeper = level + 1 < len(format_.levels) and (row.leaf == "never" or rng.random() < 0.7)
        below = None
        if deeper:
            below = memory.allocate(max(64, format_.table_bytes(level + 1)))
            entry = _table_entry(format_, level, below)
        else:
            entry = _leaf_entry(format_, level, rng)
        if rng.random() < 0.5:
            # A bit or two are turned over: reserved ones, permissions, and what makes an entry present.
            for _ in range(rng.randrange(1, 3)):
                entry ^= 1 << rng.randrange(8 * format_.entry_bytes)
        memory.write_entry(address, entry, entry_bytes=format_.entry_bytes, big_endian=format_.big_endian)
        paths.append((here, shift))
        if below is not None:
            _grow(format_, memory, rng, below, level + 1, here, paths)


def _table_entry(format_: Format, level: int, below: int) -> int:
    entry = entries.table_bits(format_, level)
    if format_.next_bits:
        entry |= format_.levels[level + 1].bits
    for one in format_.attributes:  # tables deny nothing, most times: set what grants, clear what denies
        if one.table is not None and one.combine == "and":
            entry |= 1 << one.table
    return entry | entry_with(format_.address, below)


def _leaf_entry(format_: Format, level: int, rng: random.Random) -> int:
    entry = entries.leaf_bits(format_, level)
    for one in format_.attributes:
        if one.leaf is not None and rng.random() < 0.6:
            entry |= 1 << one.leaf
    if format_.used is not None and rng.random() < 0.7:
        entry |= format_.used.accessed | format_.used.dirty_set
    if rng.random() < 0.2:
        for run in format_.contiguous:
            if run.level == format_.levels[level].name:
                entry = entry & ~run.test.mask | run.test.value
    page = (
        rng.getrandbits(36) >> (format_.shifts[level] if rng.random() < 0.9 else 0) << format_.shifts[level]
    )
    entry |= entry_with(format_.levels[level].leaf_address or format_.address, page)
    return entry & (1 << 8 * format_.entry_bytes) - 1


_NEEDS = (capabilities.formats,)

STATEMENTS = (
    Statement(
        "1.9",
        "What is mapped is found by a walk and in a listing, and what is unmapped is not",
        "Every page size, permission and access: what one asks for is what the tables say.",
        "If a size is found wrongly, look at `levels` and `leaf_bits`; if an address is, at "
        "`address` and `leaf_address`; "
        "if an access is, at `attributes` and `deny`.",
        _what_is_mapped_is_found,
        _NEEDS,
    ),
    Statement(
        "1.10",
        "The walk kernel finds in random trees what the literal says, read slowly",
        "The kernel is derived from the format. A second reading in plain Python shows that nothing "
        "is lost on the way.",
        "This is a bug of shootdown unless the format uses a field in a way that its docstring does "
        "not allow: report it.",
        _the_kernel_equals_the_twin,
        _NEEDS,
    ),
)
