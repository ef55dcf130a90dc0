"""Section 3: the levels of the page tables as flushes see them, and the TLBs that hold their pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from shootdown._compliance import capabilities
from shootdown._compliance.lowered import Flush, machines
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject, geometries, where
from shootdown._machine import ops as o
from shootdown._porting.geometry import LEVELS, geometry_of, sized
from shootdown._porting.lowering import PlainLowering
from shootdown._tlb.geometry import TlbGeometry
from shootdown._values.kernel import Kernel, switches_of
from shootdown._values.lowering import Geometry, Lowering, MmRules
from shootdown._values.platform import Platform
from shootdown._values.releases import evolve

_SHIFTS = ("page_shift", "pmd_shift", "pud_shift", "p4d_shift", "pgd_shift")


def _configured(subject: Subject) -> Iterator[tuple[Kernel, Platform]]:
    """Yield the newest kernel on each platform, with each page size that the architecture's kernels can have.

    A platform whose TLB depends on the page size and says nothing of one is left out there: 3.4 says so.
    """
    for kernel, platform in _built(subject):
        if not _unsaid(platform, kernel.page_size):
            yield kernel, sized(platform, kernel.page_size)


def _unsaid(platform: Platform, page_size: int) -> list[str]:
    """Name the fields of a platform that depend on the page size and say nothing of this one."""
    held = {name: getattr(platform, name) for name in ("tlb", "itlb")}
    return [name for name, one in held.items() if isinstance(one, Mapping) and page_size not in one]


def _built(subject: Subject) -> Iterator[tuple[Kernel, Platform]]:
    """Yield the newest kernel with each page size, and each platform as its plugin wrote it."""
    if not subject.kernels:
        return
    newest = subject.newest
    declared = dict(switches_of(Kernel)) | dict(switches_of(subject.architecture.switches))
    for size in declared["page_size"].metadata["choices"] or (newest.page_size,):
        kernel = evolve(newest, {"page_size": size})
        configure = subject.architecture.configure
        kernel = kernel if configure is None else evolve(configure(kernel), {"page_size": size})
        for platform in subject.platforms:
            yield attrs.evolve(kernel, name=f"{newest.name} with {size}-byte pages"), platform


def _levels_rise(subject: Subject) -> Iterator[Said]:
    count = 0
    seen: set[str] = set()
    for kernel, platform, lowering in _lowerings(subject):
        shape = lowering.geometry
        count += 1
        title = f"{subject.plugin}: {where(kernel, platform)}: the geometry"
        for wrong in _wrong_levels(shape, kernel.page_size):
            if wrong not in seen:
                seen.add(wrong)
                yield Finding(f"{title} {wrong}")
    yield Tried(count, "geometries")


def _lowerings(subject: Subject) -> Iterator[tuple[Kernel, Platform, Lowering]]:
    yield from subject.lowerings()
    lower = subject.architecture.lower
    if lower is not None:
        for kernel, platform in _configured(subject):
            yield kernel, platform, lower(kernel, platform)


def _wrong_levels(shape: Geometry, page_size: int) -> Iterator[str]:
    shifts = [getattr(shape, name) for name in _SHIFTS]
    if 1 << shifts[0] != page_size:
        yield f"says page_shift {shifts[0]}, which is pages of {1 << shifts[0]} bytes; the kernel's have {page_size}"
    if shifts[1] <= shifts[0]:
        yield f"says pmd_shift {shifts[1]}, not above page_shift {shifts[0]}"
    for lower, upper in zip(range(1, 4), range(2, 5), strict=True):
        if shifts[upper] == shifts[lower] and any(shifts[upper] < above for above in shifts[upper + 1 :]):
            yield f"folds {_SHIFTS[upper]} although there are levels above it: levels are folded from the top"
    if shifts[-1] > 57:
        yield f"says pgd_shift {shifts[-1]}: an entry would span more than an address space"


def _levels_agree_with_a_format(subject: Subject) -> Iterator[Said]:
    shapes = {form.name: geometry_of(form) for form in subject.formats if len(form.levels) <= LEVELS}
    for form in subject.formats:
        if len(form.levels) > LEVELS:
            yield Finding(
                f"{subject.plugin}: format {form.name} has {len(form.levels)} levels; Linux names {LEVELS}"
            )
    count = 0
    seen: set[Geometry] = set()
    unlisted: set[str] = set()
    for kernel, platform, lowering in _lowerings(subject):
        shape = lowering.geometry
        if isinstance(lowering, PlainLowering) and lowering.format not in subject.architecture.formats:
            unlisted.add(lowering.format.name)
        if not shapes:
            continue
        count += 1
        if shape in seen or shape in shapes.values() or lowering.no_hash_table() is None:
            continue  # a hash table has Linux's own levels beside it, which no hardware walks
        seen.add(shape)
        near = min(shapes, key=lambda name: _distance(shapes[name], shape))
        yield Finding(
            f"{subject.plugin}: {where(kernel, platform)}: the geometry {_text(shape)} is that of no "
            "format; the nearest is "
            f"{near} with {_text(shapes[near])}: write geometry_of(FORMAT)"
        )
    for name in sorted(unlisted):
        yield Finding(
            f"{subject.plugin}: flushes are of the format {name}, which is none of Architecture.formats: nobody can "
            "walk its tables, and section 1 says nothing of them"
        )
    yield Tried(count, "geometries")


def _distance(one: Geometry, other: Geometry) -> int:
    return sum(abs(getattr(one, name) - getattr(other, name)) for name in _SHIFTS)


def _text(shape: Geometry) -> str:
    return ", ".join(str(getattr(shape, name)) for name in _SHIFTS)


def _tlbs_fit(subject: Subject) -> Iterator[Said]:
    count = 0
    for platform in subject.platforms:
        for name in ("tlb", "itlb"):
            for size, tlb in geometries(getattr(platform, name)).items():
                count += 1
                title = f"{subject.plugin}: platform {platform.name}, {name}{f' of {size}' if size else ''}"
                for wrong in _wrong_tlb(subject, tlb):
                    yield Finding(f"{title}: {wrong}")
                if size and tlb.levels and tlb.levels[0] != size:
                    yield Finding(f"{title}: its levels begin with base pages of {_size(tlb.levels[0])}")
    yield Tried(count, "TLBs")


def _wrong_tlb(subject: Subject, tlb: TlbGeometry) -> Iterator[str]:
    spans = [tuple(1 << shift for shift in form.shifts[::-1]) for form in subject.formats]
    if tlb.levels and spans and not any(tlb.levels == span[: len(tlb.levels)] for span in spans):
        yield (
            f"its levels {_sizes(tlb.levels)} are those of no format; {subject.formats[0].name} has "
            f"{_sizes(spans[0])}"
        )
    known = {size for form in subject.architecture.formats for size in form.page_sizes}
    known |= {size for span in spans for size in span}
    for where_, caches in (("l1", tlb.l1), ("l2", tlb.l2)):
        for size in (size for cache in caches for size in cache.page_sizes):
            if known and size not in known:
                yield f"{where_} holds pages of {_size(size)}, which no format has"
    first = {size for cache in tlb.l1 for size in cache.page_sizes}
    if tlb.levels and tlb.levels[0] not in first:
        yield f"no first-level TLB holds base pages of {_size(tlb.levels[0])}"


def _base_pages_are_held(subject: Subject) -> Iterator[Said]:
    count = 0
    said: set[tuple[str, int]] = set()
    for kernel, platform in _built(subject):
        for name in _unsaid(platform, kernel.page_size):
            known = ", ".join(map(_size, getattr(platform, name))) or "none"
            yield Finding(
                f"{subject.plugin}: platform {platform.name}: kernels have pages of {_size(kernel.page_size)}, and its "
                f"{name} says nothing of them; of: {known}"
            )
    for kernel, platform in _configured(subject):
        tlb = platform.tlb
        if not isinstance(tlb, TlbGeometry):
            continue
        count += 1
        held = {size for cache in tlb.l1 for size in cache.page_sizes}
        # A larger base page is cached in pieces where the TLB has no entries of its size; a smaller one can't be.
        if (
            not any(size <= kernel.page_size for size in held)
            and (platform.name, kernel.page_size) not in said
        ):
            said.add((platform.name, kernel.page_size))
            yield Finding(
                f"{subject.plugin}: platform {platform.name}: kernels have pages of "
                f"{_size(kernel.page_size)}, and the "
                f"smallest that its first-level TLB holds are {_size(min(held))}"
            )
    yield Tried(count, "platforms with a page size")


def _pairs_agree(subject: Subject) -> Iterator[Said]:
    count = 0
    some_hold_pairs = any(
        tlb.pages_in_pairs for platform in subject.platforms for tlb in geometries(platform.tlb).values()
    )
    for machine in machines(subject)[0]:
        held = [tlb.pages_in_pairs for tlb in geometries(machine.platform.tlb).values()]
        flushed = [_in_pairs(flush) for flush in machine.flushes if flush.request.method == "flush_range"]
        for pairs in {one for one in flushed if one is not None}:
            count += 1
            told = f"{subject.plugin}: {machine.where}: flush_tlb_range() invalidates"
            if any(held) and not pairs:
                yield Finding(f"{told} single pages, and an entry of the platform's TLB translates pairs")
            if pairs and not some_hold_pairs:  # an emulator's TLB may hold single pages
                yield Finding(
                    f"{told} pairs of pages, and no platform's TLB says that its entries translate pairs"
                )
    yield Tried(count, "flushes of a range")


def _in_pairs(flush: Flush) -> bool | None:
    """Whether a flush of base pages invalidates them in pairs; None where it has no range."""
    begins = [row for row in flush.rows() if row[0] == o.FLUSH_BEGIN]
    ranged = [row[4] for row in begins if row[2] >= 0 and not row[4] & o.EVERYTHING]
    if flush.request.huge or not ranged:
        return None
    return any(how & o.PAIR_STRIDES for how in ranged)


def _each_size(subject: Subject) -> Iterator[Platform]:
    """Yield each platform, with each page size that its TLB depends on."""
    for platform in subject.platforms:
        if isinstance(platform.tlb, Mapping):
            yield from (sized(attrs.evolve(platform, itlb=None), size) for size in platform.tlb)
        else:
            yield platform


def _entries_are_counted(subject: Subject) -> Iterator[Said]:
    count = 0
    for platform in _each_size(subject):
        tlb = platform.tlb
        if not isinstance(tlb, TlbGeometry) or not tlb.levels:
            continue
        count += 1
        huge, above = (*tlb.levels, 0, 0, 0)[1:3]
        holding = sum(cache.entries for cache in (*tlb.l1, *tlb.l2) if huge in cache.page_sizes)
        pointing = sum(cache.entries for cache in tlb.walk_caches if above in cache.page_sizes)
        for name, counted in (("huge_entries", holding), ("walk_entries", pointing)):
            given = getattr(platform, name)
            if given != counted and (counted or given > 1):
                yield Finding(
                    f"{subject.plugin}: platform {platform.name}: {name} is {given}; its tlb has "
                    f"{counted}: pass the platform "
                    "through with_entries()"
                )
    yield Tried(count, "platforms")


def _asids_fit(subject: Subject) -> Iterator[Said]:
    count = 0
    seen: set[tuple[str, MmRules]] = set()
    for kernel, platform, lowering in _lowerings(subject):
        rules = lowering.mm
        count += 1
        if (platform.name, rules) in seen:
            continue
        seen.add((platform.name, rules))
        title = f"{subject.plugin}: {where(kernel, platform)}"
        if rules.asids > 1 and not rules.tagged:
            yield Finding(
                f"{title}: mm.asids is {rules.asids}, but entries carry no tag: a switch would mix them up"
            )
        tlb = platform.tlb
        if not isinstance(tlb, TlbGeometry) or not (tlb.asid_bits or tlb.walk_caches):
            continue  # a translator without tags drops all at a switch, whatever ASIDs the kernel gives out
        if rules.asids > 1 << tlb.asid_bits:
            yield Finding(
                f"{title}: mm.asids is {rules.asids}; the {tlb.asid_bits} asid_bits of its tlb tell "
                f"{1 << tlb.asid_bits} apart"
            )
    yield Tried(count, "rules of context switches")


def _size(size: int) -> str:
    for shift, unit in ((40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift}{unit}"
    return f"{size}B"


def _sizes(sizes: tuple[int, ...]) -> str:
    return ", ".join(map(_size, sizes))


STATEMENTS = (
    Statement(
        "3.1",
        "The levels of the geometry rise, and begin with the kernel's page size",
        "Ranges, strides and tables are counted in these: one wrong shift makes every count of a range wrong.",
        "Return `geometry_of(FORMAT)` of the format that the kernel's `page_size` and `va_bits` choose. Kernels have "
        "pages of 4 KiB unless the architecture's `switches` name `page_size`, with its own default and choices.",
        _levels_rise,
        (capabilities.flushes,),
    ),
    Statement(
        "3.2",
        "The geometry is that of one of the architecture's formats",
        "The flush and the walk are to speak of the same tables.",
        "Return `geometry_of(FORMAT)`; if Linux folds levels, it folds them from the top.",
        _levels_agree_with_a_format,
        (capabilities.flushes,),
    ),
    Statement(
        "3.3",
        "TLBs hold pages that the formats have, base pages among them",
        "A translation of a size that no cache holds is walked each time: simulations of traces would be wrong.",
        "Compare `levels` and each cache's `page_sizes` with the page sizes in `shootdown list formats`.",
        _tlbs_fit,
        (capabilities.tlbs, capabilities.formats),
    ),
    Statement(
        "3.4",
        "The first-level TLB of each platform can hold a base page of every size that kernels are built for",
        "Where a kernel can have pages of 4 KiB or 64 KiB, the TLB must say what it does with each.",
        "Add the size to a cache of `l1`, or narrow the choices of `page_size` in `switches`.",
        _base_pages_are_held,
        (capabilities.tlbs,),
    ),
    Statement(
        "3.5",
        "walk_entries and huge_entries are counts of the platform's TLB",
        "The model keeps as many walk-cache links and huge translations of each CPU as these say.",
        "Pass the platforms through `shootdown.porting.with_entries()`.",
        _entries_are_counted,
        (capabilities.tlbs,),
    ),
    Statement(
        "3.6",
        "A CPU keeps as many address spaces as its ASIDs tell apart",
        "With more, two processes would share translations; without a tag, a switch must drop them.",
        "Return `mm_rules(asids)` with at most `1 << asid_bits`.",
        _asids_fit,
        (capabilities.flushes,),
    ),
    Statement(
        "3.7",
        "Flushes invalidate pairs of pages if an entry of the TLB translates a pair, and else single pages",
        "Where an entry holds two pages, each flush of a range executes half as many instructions.",
        "Set `TlbGeometry.pages_in_pairs` and `PlainLowering.pages_in_pairs`, or begin flushes in `ops.PAIR_STRIDES`.",
        _pairs_agree,
        (capabilities.flushes, capabilities.tlbs),
    ),
)
