"""Section 5: what a flush leaves behind, and how much more than asked for it drops."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._compliance import capabilities
from shootdown._compliance.casts import CASTS, SCENES, threads
from shootdown._compliance.expecting import Expectations
from shootdown._compliance.lowered import Flush, apart, flushes, without_pace
from shootdown._compliance.requests import table_pages
from shootdown._compliance.stage import ATOMS, Place, Stage, StuckError
from shootdown._compliance.statement import Said, Statement, Tried
from shootdown._compliance.subject import Subject
from shootdown._machine import ops as o

#: A ceiling above this one is none: ranges up to a few tables are tried.
_NO_CEILING = 1 << 20
_MOST_WITHOUT = 1025
#: Lengths up to this one are all tried; of longer ones those around ceilings and powers of two.
_ALL_UP_TO = 40
#: The entries between a range and one that is in no table near it.
_FAR = 3000
#: Up to this length CPUs also take a call as soon as it is sent, not only when it is waited for.
_EARLY = 3


def ceilings(flush: Flush) -> set[int]:
    """Return the lengths at which a flush goes another way, as its steps have them."""
    found = set()
    for row in flush.rows():
        if row[0] == o.FLUSH_BEGIN:
            found |= {row[2], row[3]}
        elif row[0] == o.JUMP_STRIDES:
            found.add(row[2])
    return {most for most in found if most > 0}


def lengths(flush: Flush, *, all_of_them: bool = False) -> list[int]:
    """Return the lengths of ranges to try, in entries: 1 to the ceiling and one more, thinned out where that is long.

    Args:
        flush: the flush.
        all_of_them: thin out nothing.
    """
    if flush.request.fixed or flush.request.everything:
        return [1]
    known = {most for most in ceilings(flush) if most < _NO_CEILING}
    last = max(known, default=0) + 1 if known else _MOST_WITHOUT
    if all_of_them:
        return list(range(1, last + 1))
    found = set(range(1, min(last, _ALL_UP_TO) + 1)) | {last}
    for edge in known | {1 << shift for shift in range(last.bit_length())}:
        found |= {edge - 1, edge, edge + 1, edge + 2}
    return sorted(n for n in found if 1 <= n <= last + 1)


def places(lo: int, hi: int, entry: int, *, everything: bool) -> list[Place]:
    """Return what CPUs hold before a flush: entries of the range, which were cleared, and others around it.

    Args:
        lo, hi: the range, in base pages.
        entry: the base pages of an entry.
        everything: all of the mm was cleared.
    """
    entries = (hi - lo) // entry
    if entries <= ATOMS - 5:
        inside = list(range(entries))
    else:
        last, third = entries - 1, entries // 3
        inside = sorted({0, 1, 2, third, third + 1, entries // 2, last - third, last - 2, last - 1, last})
    found = [Place(lo + n * entry, lo + (n + 1) * entry, True) for n in inside]
    beside = [hi, hi + 3 * entry, hi + _FAR * entry, *([lo - entry] if lo >= entry else [])]
    return found + [Place(at, at + entry, everything) for at in beside]


def _nothing_is_left(subject: Subject) -> Iterator[Said]:
    expected = Expectations(subject, "5.1")
    count = exact = more = 0
    for flush in _swept(subject):
        stage = Stage(flush, threads)
        entry = flush.request.pages(flush.lowering)
        for n in lengths(flush, all_of_them=subject.long):
            for start in _starts(flush, n):
                soon = (False, True) if n <= _EARLY else (False,)
                lo = start * entry
                hi = lo + (flush.request.span(flush.lowering) or n * entry)
                around = places(lo, hi, entry, everything=flush.everything)
                for early in soon:
                    stage.begin(lo, hi, around, set())
                    count += 1
                    try:
                        stage.run(early=early)
                    except StuckError:
                        break  # 4.4 says so
                    for left in stage.left():
                        assert left.place is not None
                        yield from expected.found(
                            flush,
                            f"asked for {_pages(lo, hi)}: {stage.names[left.cpu]} keeps the translation of "
                            f"{_pages(left.place.lo, left.place.hi)}",
                        )
                if not flush.request.everything:
                    spared = not stage.dropped(1)
                    exact, more = exact + spared, more + (not spared)
    yield from expected.missing()
    yield Tried(count, "flushes of a range")
    yield Tried(exact, "ranges of which nothing more was dropped")
    yield Tried(more, "ranges beside which more was dropped")


def _pages(lo: int, hi: int) -> str:
    return f"page {lo}" if hi == lo + 1 else f"pages {lo} to {hi - 1}"


#: Steps that say what of a range goes, and branches on it, of which the label does not matter.
_BRANCHES = (o.JUMP_STRIDES, o.JUMP_FLAGS)
_RANGES = (o.FLUSH_BEGIN, o.REQUEST, o.COPY_RANGE, o.SEND, o.FLUSH_SELF, o.FLUSH_LOCAL_PAGES, o.SET_FLAGS)


def _swept(subject: Subject) -> list[Flush]:
    """Return flushes that differ in how they treat ranges."""

    def key(flush: Flush) -> object:
        geometry = flush.lowering.geometry
        shifts = (geometry.pmd_shift - geometry.page_shift, geometry.pud_shift - geometry.page_shift)
        steps = tuple(
            row[:3] if row[0] in _BRANCHES else row
            for row in without_pace(flush)
            if row[0] in _RANGES or row[0] in _BRANCHES
        )
        return flush.request, shifts, steps

    return apart((flush for flush in flushes(subject) if flush.request.leaves), key)


def _starts(flush: Flush, n: int) -> tuple[int, ...]:
    """Return the entries at which ranges begin: at that of a table, at an odd one, at the last one of a table."""
    if flush.request.everything:
        return (3,)
    per_table = 1 if flush.request.huge else table_pages(flush.lowering)
    if flush.request.fixed == "pmd" and not flush.request.huge:
        return (0, per_table)
    if flush.request.fixed == "pud":
        return (0,)
    odd = (1, 3, 7, per_table - 1)[n % 4]
    return (0, max(odd, 1))


def _no_cpu_is_forgotten(subject: Subject) -> Iterator[Said]:
    expected = Expectations(subject, "5.2")
    count = 0
    for flush in flushes(subject):
        if not flush.request.leaves:
            continue
        for cast in CASTS:
            stage = Stage(flush, cast)
            if flush.request.others and not stage.others():
                continue
            entry = flush.request.pages(flush.lowering)
            for n in {1, lengths(flush)[-1]}:
                lo, hi = stage.range_of(n)
                stage.begin(lo, hi, places(lo, hi, entry, everything=flush.everything), set())
                count += 1
                try:
                    stage.run()
                except StuckError:
                    continue  # 4.4 says so
                for left in stage.left():
                    yield from expected.found(
                        flush, f"{SCENES[cast]}: {stage.names[left.cpu]} keeps {left.what} that was to go"
                    )
    yield from expected.missing()
    yield Tried(count, "flushes, with CPUs in all states")


def _no_link_is_left(subject: Subject) -> Iterator[Said]:
    expected = Expectations(subject, "5.3")
    count = 0
    for flush in flushes(subject):
        request, lowering = flush.request, flush.lowering
        if not request.links:
            continue
        geometry = lowering.geometry
        shift = geometry.pmd_shift if request.links == "pmd" else geometry.pud_shift
        span = 1 << (shift - geometry.page_shift)
        for cast in CASTS:
            stage = Stage(flush, cast, span)
            for first, tables in ((0, 1), (1, 1), (0, 2)):
                if request.fixed and tables > 1:
                    continue
                lo = first * span
                hi = lo + (request.span(lowering) or tables * span)
                dead = (
                    set(range(stage.layout.slots))
                    if request.everything
                    else set(range(first, first + tables))
                )
                stage.begin(lo, hi, [], dead)
                count += 1
                try:
                    stage.run()
                except StuckError:
                    break  # 4.4 says so
                for left in stage.left():
                    level = "page table" if request.links == "pmd" else "PMD table"
                    yield from expected.found(
                        flush,
                        f"{SCENES[cast]}: {stage.names[left.cpu]} keeps the walk-cache link to a {level} that is gone",
                    )
    yield from expected.missing()
    yield Tried(count, "flushes after tables were freed or unshared")


STATEMENTS = (
    Statement(
        "5.1",
        "No CPU that runs the mm keeps a translation that the request covers, whatever the range",
        "A flush that drops one page of 600, or goes by the wrong stride, costs less than the kernel's and protects "
        "nothing. Ranges of 1 to ceiling + 1 entries are tried, from even and odd starts, of base and huge pages.",
        "The message has the shortest such range. Look at `stride`, `rounded`, `ceiling` and the scope of that flush.",
        _nothing_is_left,
        (capabilities.flushes,),
    ),
    Statement(
        "5.2",
        "No CPU that runs the mm is forgotten, whoever flushes",
        "Threads, a kernel thread that flushes for others, a process that moved: each finds other CPUs in mm_cpumask.",
        "Look at how the flush chooses its targets, and when it invalidates on its own CPU.",
        _no_cpu_is_forgotten,
        (capabilities.flushes,),
    ),
    Statement(
        "5.3",
        "No CPU keeps a walk-cache link to a table that was freed or unshared, lazy CPUs included",
        "A walker reads a freed table at any time, also on an idle CPU that has the mm loaded.",
        "Flush what `ops.FREED_TABLES` and `ops.UNSHARED_TABLES` say with a scope that has `ops.SCOPE_WALK`, and leave "
        "lazy CPUs out only where neither flag is set. `table_flags(kernel)` has those that the kernel looks at.",
        _no_link_is_left,
        (capabilities.flushes,),
    ),
)
