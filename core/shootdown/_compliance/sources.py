"""Section 9: what a reader can look up: the sources of costs, of sizes, and of the names of instructions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import get_args

from shootdown._compliance import capabilities
from shootdown._compliance.statement import Finding, Said, Statement, Tried, Unevidenced
from shootdown._compliance.subject import Subject, geometries
from shootdown._machine.assembler import Assembler
from shootdown._machine.fields import Fields
from shootdown._porting.costs import estimated_costs
from shootdown._porting.geometry import sized
from shootdown._values.errors import nearest
from shootdown._values.lowering import EntryFunction, Lowering
from shootdown._values.platform import COST_NAMES, Cost

#: A source that begins so says that there is none.
ESTIMATE = "estimate:"
#: How many times more, or less, than the ends of an estimate a cost may be; another unit is a thousand times.
_FAR = 30

#: What authors write where they know no source yet.
_NOTHING = frozenset(
    {"", "todo", "unknown", "?", "-", "n/a", "none", "tbd", "fixme", "xxx", "source", "manual", "the manual"}
)

_WRITTEN = (
    "tlb_flush",
    "flush_range",
    "flush_mm",
    "flush_page",
    "flush_pmd_range",
    "flush_hugetlb_range",
    "flush_collapsed_pmd",
    "arch_tlbbatch_flush",
)


def names_source(text: str) -> bool:
    """Whether a text names where something is from: more than a word that stands for nothing."""
    return text.strip().strip(".:").lower() not in _NOTHING


def _costs_have_sources(subject: Subject) -> Iterator[Said]:
    count = 0
    for platform in subject.platforms:
        for name in COST_NAMES:
            cost: Cost = getattr(platform.costs, name)
            count += 1
            title = f"{subject.plugin}: platform {platform.name}, cost {name}"
            source = cost.source.strip()
            if not names_source(source):
                yield Unevidenced(
                    f"{title}: its source is {cost.source!r}; who measured it, or `estimate: why`"
                )
            elif source.rstrip() == ESTIMATE:
                yield Unevidenced(f"{title}: it is an estimate without a reason")
            elif cost.low == cost.high > 0 and not source.startswith(ESTIMATE):
                continue  # measured once
            elif cost.high > 100_000 * max(cost.low, 1) and not source.startswith(ESTIMATE):
                yield Finding(
                    f"{title}: {cost.low:g} to {cost.high:g} ns, measured, is no range that says anything"
                )
    yield Tried(count, "costs")


def _costs_have_a_size(subject: Subject) -> Iterator[Said]:
    count = 0
    for platform in subject.platforms:
        usual = estimated_costs(platform.ghz)
        for name in COST_NAMES:
            cost, other = getattr(platform.costs, name), getattr(usual, name)
            if not cost.high or not other.high:
                continue
            count += 1
            low, high = other.low / _FAR, other.high * _FAR
            if cost.low > high or cost.high < low:
                yield Finding(
                    f"{subject.plugin}: platform {platform.name}, cost {name}: {cost.low:g} to {cost.high:g} ns; at "
                    f"{platform.ghz:g} GHz {other.low:g} to {other.high:g} ns are usual: costs are in nanoseconds"
                )
        page, everything = platform.costs.page_flush_ns, platform.costs.full_flush_ns
        if page.low > everything.high > 0:
            yield Finding(
                f"{subject.plugin}: platform {platform.name}: to invalidate one page takes {page.low:g} ns or more "
                f"(page_flush_ns), and everything at most {everything.high:g} ns (full_flush_ns): are they swapped?"
            )
    yield Tried(count, "costs beside usual ones")


def _tlbs_have_sources(subject: Subject) -> Iterator[Said]:
    count = 0
    for platform in subject.platforms:
        for name in ("tlb", "itlb"):
            for tlb in geometries(getattr(platform, name)).values():
                count += 1
                if not names_source(tlb.source):
                    yield Unevidenced(
                        f"{subject.plugin}: platform {platform.name}, {name}: nothing says where its sizes and its "
                        f"{tlb.asid_bits} asid_bits are from (TlbGeometry.source)"
                    )
    yield Tried(count, "TLBs")


def _instructions_have_references(subject: Subject) -> Iterator[Said]:
    referred = subject.architecture.instructions
    used: dict[str, None] = {}
    for _, _, lowering in subject.lowerings():
        used |= dict.fromkeys(_names(lowering))
    for name in used:
        if not names_source(referred.get(name, "")):
            yield Unevidenced(
                f"{subject.plugin}: flushes count the instruction {name!r}; nothing says where a manual has it "
                "(Architecture.instructions)"
            )
    if subject.long or len(subject.kernels) > 0:
        for name in referred:
            if name not in used and not _is_forced(subject, name):
                yield Finding(
                    f"{subject.plugin}: instructions names {name!r}, which no flush counts; {nearest(name, used)}"
                )
    yield Tried(len(used), "names of instructions")


def _names(lowering: Lowering) -> Iterator[str]:
    """Yield the names of the instructions that a lowering counts."""
    entry: tuple[Callable[[Assembler], None], ...] = (
        lambda asm: lowering.entries_mapped(asm, 1),
        lambda asm: lowering.entries_cleared(asm, 1, huge=False),
        *(
            functools.partial(lowering.entries_changed, count=1, huge=huge, by=by)
            for huge in (False, True)
            for by in get_args(EntryFunction)
        ),
        *(functools.partial(lowering.entries_set, count=1, huge=huge) for huge in (False, True)),
        lambda asm: lowering.tables_freed(asm, 0),
    )
    flushes: list[Callable[[Assembler], None]] = [
        functools.partial(getattr(lowering, name), g=0) for name in _WRITTEN
    ]
    for write in (*flushes, *entry):
        asm = Assembler()
        asm.functions.fields, _ = Fields.apart()
        try:
            write(asm)
        except Exception:
            continue
        yield from asm.finish().instructions


def _is_forced(subject: Subject, name: str) -> bool:
    """Whether an instruction is counted where a way of flushing is forced, on any platform."""
    import attrs

    lower = subject.architecture.lower
    if lower is None or not subject.kernels:
        return False
    kernel = subject.kernels[-1]
    for way in subject.architecture.flush_ways:
        for platform in subject.platforms:
            forced = attrs.evolve(sized(platform, kernel.page_size), flush=way.name)
            if name in set(_names(lower(kernel, forced))):
                return True
    return False


STATEMENTS = (
    Statement(
        "9.1",
        "Each cost names who measured it, or says that it is an estimate and why",
        "A time without a source can't be checked by anybody. Counts don't depend on it, decisions do.",
        "Write `Cost(low, likely, high, source)`: a publication, a machine and its measurement, or `estimate: why`.",
        _costs_have_sources,
        (capabilities.platforms,),
    ),
    Statement(
        "9.4",
        "Each cost is of the size that such a thing takes",
        "A cost in another unit - seconds, picoseconds, clocks of another machine - decides races and makes all times "
        "wrong.",
        f"Write nanoseconds. A cost may be {_FAR} times more or less than `estimated_costs(ghz)` says; if yours is "
        "further away, look at `ghz` and at what was measured.",
        _costs_have_a_size,
        (capabilities.platforms,),
    ),
    Statement(
        "9.2",
        "Each TLB names where its sizes and its ASID width are from",
        "How many address spaces a CPU tells apart decides when it must flush.",
        "Fill in `TlbGeometry.source`: the manual's section, a measurement, or `estimate: why`.",
        _tlbs_have_sources,
        (capabilities.tlbs,),
    ),
    Statement(
        "9.3",
        "Each instruction that flushes count has a place in a manual",
        "Results list instructions by name: a reader must be able to look up what one does.",
        "Fill in `Architecture.instructions`: the name, and manual and section.",
        _instructions_have_references,
        (capabilities.flushes,),
    ),
)
