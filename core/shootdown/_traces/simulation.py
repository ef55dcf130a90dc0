"""Simulate the TLBs of a trace file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from shootdown._tlb.geometry import TlbGeometry, shift_of
from shootdown._tlb.parameters import PLAIN
from shootdown._traces.columns import Columns
from shootdown._traces.formats import open_trace
from shootdown._traces.source import TraceError
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._tlb.state import TlbCounts
    from shootdown._traces.reading import Trace
    from shootdown._traces.stream import Tally


@attrs.frozen
class Region:
    """A part of the address space and the size of the pages that map it.

    Args:
        start: the first address.
        end: the first address behind it.
        page_size: bytes.

    Raises:
        ShootdownError: it is empty, or not aligned to its pages.
    """

    start: int
    end: int
    page_size: int

    def __attrs_post_init__(self) -> None:
        size = self.page_size
        if size < 64 or size & (size - 1) or size > 1 << 62:
            raise ShootdownError(f"pages of {size} bytes: give a power of two from 64 to 2**62")
        if not 0 <= self.start < self.end <= 1 << 64 or (self.start | self.end) % size:
            raise ShootdownError(
                f"region {self.start:#x}-{self.end:#x}: it isn't whole pages of {size} bytes below 2**64"
            )


class PageSizes:
    """Page sizes by address, for records whose size the trace doesn't tell.

    Args:
        page_size: bytes of the pages outside of all regions.
        regions: parts of the address space with pages of another size.

    Raises:
        ShootdownError: a page size that can't be, or regions that overlap.
    """

    def __init__(self, page_size: int, regions: Sequence[Region] = ()) -> None:
        if page_size < 64 or page_size & (page_size - 1) or page_size > 1 << 62:
            raise ShootdownError(f"page size {page_size}: give a power of two from 64 to 2**62 bytes")
        self.elsewhere = page_size
        self.is_one = not regions
        edges, shifts = [0], [shift_of(page_size)]
        for region in sorted(regions, key=lambda region: region.start):
            if region.start < edges[-1]:
                raise ShootdownError(f"region {region.start:#x}-{region.end:#x}: another one overlaps it")
            if region.start == edges[-1]:
                edges.pop()
                shifts.pop()
            edges += [region.start, *([region.end] if region.end < 1 << 64 else [])]
            shifts += [shift_of(region.page_size), *([shift_of(page_size)] if region.end < 1 << 64 else [])]
        self._edges = np.array(edges, np.uint64)
        self._shifts = np.array(shifts, np.uint8)

    def applied(self, columns: Columns) -> Columns:
        """Return the columns, with a page size for each record that has none."""
        if self.is_one:
            return columns
        found = self._shifts[np.searchsorted(self._edges, columns.address, side="right") - 1]
        if columns.shift is not None:
            found = np.where(columns.shift == 0, found, columns.shift)
        return attrs.evolve(columns, shift=found)


@attrs.frozen(kw_only=True)
class TraceResult:
    """The counts of a trace's TLBs.

    Args:
        trace: the file.
        format: its format.
        geometry: of each CPU's TLB.
        counts: hits, walks and references by page size.
        by_cpu: totals by CPU, numbered as in the trace.
        by_process: likewise by process.
        fetches_left_out: instruction fetches that were not taken as accesses.
        fault: where and why the trace broke off, None where it didn't. Everything before it is counted.
    """

    trace: str
    format: str
    geometry: TlbGeometry
    counts: TlbCounts
    by_cpu: dict[int, Tally]
    by_process: dict[int, Tally]
    fetches_left_out: int
    fault: TraceError | None

    def totals(self) -> dict[str, int]:
        """Return all counts by name."""
        counts = self.counts
        tallies = self.by_cpu.values()
        return {
            "accesses": counts.accesses,
            "l1_hits": sum(counts.l1_hits.values()),
            "l1_misses": counts.l1_misses,
            "l2_hits": sum(counts.l2_hits.values()),
            "l2_misses": counts.l2_misses,
            "walks": counts.l2_misses,
            "walk_references": counts.walk_references,
            "walk_cache_hits": sum(counts.walk_cache_hits.values()),
            "flushes": sum(tally.flushes for tally in tallies),
            "shootdowns": sum(tally.shootdowns for tally in tallies),
            "interrupts": sum(tally.interrupts for tally in tallies),
        }

    def by_page_size(self) -> dict[int, dict[str, int]]:
        """Return hits, misses and walks for each size of page, in bytes, that was accessed."""
        counts = self.counts
        sizes = sorted({*counts.l1_hits, *counts.l2_hits, *counts.walks})
        found = {}
        for size in sizes:
            l1, l2, walks = (part.get(size, 0) for part in (counts.l1_hits, counts.l2_hits, counts.walks))
            if l1 + l2 + walks:
                found[size] = {
                    "accesses": l1 + l2 + walks,
                    "l1_hits": l1,
                    "l1_misses": l2 + walks,
                    "l2_hits": l2,
                    "l2_misses": walks,
                    "walks": walks,
                }
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        fault = self.fault
        return {
            "trace": self.trace,
            "format": self.format,
            "counts": self.totals(),
            "page_sizes": [{"page_size": size, **row} for size, row in self.by_page_size().items()],
            "walk_caches": [
                {"covers": covers, "hits": hits}
                for covers, hits in sorted(self.counts.walk_cache_hits.items())
            ],
            "cpus": [_row("cpu", *pair) for pair in self.by_cpu.items()],
            "processes": [_row("process", *pair) for pair in self.by_process.items()],
            "fetches_left_out": self.fetches_left_out,
            "geometry": attrs.asdict(self.geometry, filter=attrs.filters.exclude("source")),
            "fault": fault and {"place": fault.place, "problem": fault.problem},
        }


def _row(what: str, number: int, tally: Tally) -> dict[str, int]:
    return {
        what: number,
        "accesses": tally.accesses,
        "l1_misses": tally.l1_misses,
        "l2_misses": tally.walks,
        **attrs.asdict(tally),
    }


def simulate_trace(
    path: str | os.PathLike[str],
    geometry: TlbGeometry | None = None,
    *,
    page_size: int = 4096,
    regions: Sequence[Region] = (),
    format: str | None = None,
    instructions: bool = False,
    cores: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> TraceResult:
    """Simulate the TLBs and walk caches of a trace file, which may be larger than memory.

    Args:
        path: the file, or `-` for standard input: raw or NumPy addresses, lackey's or drmemtrace's text, ChampSim's
            records; packed with gzip or xz or not.
        geometry: of each CPU's TLB; L1 of 64 entries in 4 ways and L2 of 1536 in 12 where None.
        page_size: bytes of the pages whose size neither the trace nor a region tells.
        regions: parts of the address space with pages of another size.
        format: the file's format; told by name and content where None.
        instructions: an instruction fetch is an access too.
        cores: each core of a drmemtrace trace is a CPU of its own, and each workload a process.
        seed: where random replacement starts.
        progress: called with the number of bytes that were read since the last call.

    Returns:
        What was counted; a trace that breaks off has a `fault`, and the counts up to there.

    Raises:
        ShootdownError: there is no such file, its format can't be told, or an argument is out of range.
    """
    sizes = PageSizes(page_size, regions)
    trace = open_trace(path, format=format, instructions=instructions, cores=cores)
    return run(trace, geometry or PLAIN, sizes, seed=seed, progress=progress)


def run(
    trace: Trace,
    geometry: TlbGeometry,
    sizes: PageSizes,
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    keep: Callable[[TraceResult], None] | None = None,
) -> TraceResult:
    """Simulate a trace that is open; `keep` is called with the counts so far if Ctrl-C ends it."""
    # Imports numba, so only once the trace has turned out to be readable.
    from shootdown._traces.stream import simulator

    simulation = simulator(geometry, sizes.elsewhere, plain=trace.is_plain and sizes.is_one, seed=seed)
    fault: TraceError | None = None

    def result() -> TraceResult:
        return TraceResult(
            trace=trace.source.path,
            format=trace.name,
            geometry=geometry,
            counts=simulation.count(),
            by_cpu=simulation.by_cpu(),
            by_process=simulation.by_process(),
            fetches_left_out=trace.fetches_left_out,
            fault=fault,
        )

    try:
        for columns in _watched(trace, progress):
            simulation.feed(sizes.applied(columns))
    except TraceError as problem:
        fault = problem
    except KeyboardInterrupt:
        if keep is not None:
            keep(result())
        raise
    return result()


def _watched(trace: Trace, progress: Callable[[int], None] | None) -> Iterator[Columns]:
    seen = 0
    for columns in trace.blocks():
        yield columns
        if progress is not None:
            progress(trace.source.position - seen)
            seen = trace.source.position
