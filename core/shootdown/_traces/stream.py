"""Simulate a trace, block by block: choose the simulator, add up its counts, return them as `TlbCounts`.

There are two simulators. `passes` is the fast one, for accesses of one process on one CPU to pages of one size, with
LRU everywhere. `kernels` takes everything. Where both apply they count the same, and tests compare them
(docs/adr/0008-a-pass-for-each-cache.md).
"""

from __future__ import annotations

from typing import Any, Protocol

import attrs
import numpy as np

from shootdown._compilation.running import runnable
from shootdown._compilation.slices import Slices
from shootdown._compilation.vectors import EIGHT, GROUP
from shootdown._tlb import kernels as k
from shootdown._tlb import passes as p
from shootdown._tlb import records as r
from shootdown._tlb import words as w
from shootdown._tlb.flush import FlushScope
from shootdown._tlb.geometry import CacheGeometry, TlbGeometry, shift_of
from shootdown._tlb.layout import scope_words
from shootdown._tlb.state import Tlb, TlbCounts
from shootdown._traces.columns import Column, Columns
from shootdown._values.errors import ShootdownError

_MOST_GROUPS = 256  # the most vectors of a set that passes take; no TLB has larger sets
_SMALL_NUMBERS = 1 << 16


@attrs.frozen
class Tally:
    """The counts of one CPU or one process.

    Args:
        l1_hits: accesses that hit L1.
        l2_hits: accesses that missed L1 and hit L2.
        walks: accesses that missed both.
        walk_references: page-table entries that its walks read.
        flushes: invalidations on its own CPU.
        shootdowns: invalidations on every CPU.
        interrupts: of a CPU, shootdowns by other CPUs of the process that it ran; of a process, the CPUs interrupted.
    """

    l1_hits: int
    l2_hits: int
    walks: int
    walk_references: int
    flushes: int = 0
    shootdowns: int = 0
    interrupts: int = 0

    @property
    def accesses(self) -> int:
        """Return the number of accesses."""
        return self.l1_hits + self.l1_misses

    @property
    def l1_misses(self) -> int:
        """Return how many accesses went on to L2."""
        return self.l2_hits + self.walks


class Simulator(Protocol):
    """A simulator that takes a trace part by part."""

    def feed(self, columns: Columns) -> None:
        """Take the next part."""
        ...

    def count(self) -> TlbCounts:
        """Count what happened so far."""
        ...

    def by_cpu(self) -> dict[int, Tally]:
        """Count by CPU, numbered as in the trace."""
        ...

    def by_process(self) -> dict[int, Tally]:
        """Count by process, numbered as in the trace."""
        ...


def simulator(geometry: TlbGeometry, page_size: int, *, plain: bool, seed: int = 0) -> Simulator:
    """Make the simulator for a trace.

    Args:
        geometry: of each CPU's TLB.
        page_size: bytes of the pages whose size the trace doesn't tell.
        plain: every part will be `Columns.is_plain`.
        seed: where random replacement starts.

    """
    if plain and Passes.can(geometry, page_size):
        return Passes(geometry, page_size)
    return Records(geometry, page_size, seed=seed)


def _holding(caches: tuple[CacheGeometry, ...], size: int) -> CacheGeometry | None:
    return next((cache for cache in caches if size in cache.page_sizes), None)


class Passes:
    """Simulate by a pass for each cache over each block: one process, one CPU, one page size, LRU.

    Args:
        geometry: for which `can` is true.
        page_size: bytes.
    """

    def __init__(self, geometry: TlbGeometry, page_size: int) -> None:
        self._size = page_size
        self._levels = tuple(size for size in geometry.levels if size > page_size)
        found = (_holding(geometry.l1, page_size), _holding(geometry.l2, page_size))
        walk = sorted(
            (size, cache) for cache in geometry.walk_caches for size in cache.page_sizes if size > page_size
        )
        rows: list[tuple[int, ...]] = []
        self._what: list[tuple[str, int]] = []
        at, above = p.HEADER, page_size
        for level, size, cache in (
            ("l1", page_size, found[0]),
            ("l2", page_size, found[1]),
            *(("walk", size, cache) for size, cache in walk),
        ):
            if cache is None:
                continue
            groups = -(-cache.ways // GROUP)
            stamped = cache.sets == 1 and groups == 1
            mask = cache.sets - 1 if cache.sets & (cache.sets - 1) == 0 else 0
            up = shift_of(size) - shift_of(above)
            kind = p.STAMPED if stamped else p.IN_ORDER
            rows.append(
                (at, cache.sets, mask, cache.xor_bits or int(p.NO_FOLD), cache.ways, groups, up, kind, 0)
            )
            self._what.append((level, size))
            at += 4 * GROUP if stamped else cache.sets * groups * GROUP
            above = size
        self._plan = np.array(rows, np.uint64).ravel()
        room = np.zeros(at + 8, np.uint64)
        start = -(room.ctypes.data // 8) % 8
        self._words = room[start : start + at]  # on a cache line: no vector of a set lies on two
        self._words[0] = p.NO_PAGE
        for row in rows:
            if row[p.KIND] == p.STAMPED:
                self._words[row[p.AT] + GROUP + row[p.WAYS] : row[p.AT] + 2 * GROUP] = p.NO_PAGE
        self._counts = np.zeros(len(rows) + 2, np.uint64)
        self._streams = np.empty(2 * (p.BLOCK + EIGHT), np.uint64)
        self._slices = Slices(1)

    @staticmethod
    def can(geometry: TlbGeometry, page_size: int) -> bool:
        """Whether `passes` can simulate this TLB."""
        l1, l2 = _holding(geometry.l1, page_size), _holding(geometry.l2, page_size)
        walk = [(cache, sum(size > page_size for size in cache.page_sizes)) for cache in geometry.walk_caches]
        used = [cache for cache in (l1, l2, *(c for c, held in walk if held)) if cache is not None]
        return (
            not geometry.pages_in_pairs
            and l1 is not None  # L1 never holds such a page: each access goes to L2
            and (geometry.inclusion == "independent" or not geometry.l2)
            and all(held <= 1 for _, held in walk)  # two levels in one cache push each other out
            and all(c.policy == "lru" and c.ways <= _MOST_GROUPS * GROUP for c in used)
        )

    def feed(self, columns: Columns) -> None:
        """Take the next accesses."""
        addresses = np.ascontiguousarray(columns.address)
        shift = np.uint64(shift_of(self._size))
        for start, end in self._slices.parts(addresses.size, p.BLOCK):
            runnable(p.simulate_block)(
                self._words, self._plan, self._counts, addresses[start:end], shift, self._streams
            )

    def count(self) -> TlbCounts:
        """Count what happened so far."""
        repeats, *hits, missed = (int(n) for n in self._counts)
        found: dict[str, dict[int, int]] = {"l1": {}, "l2": {}, "walk": {}}
        for (level, size), n in zip(self._what, hits, strict=True):
            found[level][size] = n
        found["l1"][self._size] += repeats
        walks = sum(found["walk"].values()) + missed
        references = walks * (1 + len(self._levels))
        for size, n in found["walk"].items():
            references -= n * sum(level >= size for level in self._levels)
        return TlbCounts(
            found["l1"], found["l2"], {self._size: walks} if walks else {}, found["walk"], references
        )

    def by_cpu(self) -> dict[int, Tally]:
        """Count what the only CPU did."""
        counts = self.count()
        return {
            0: Tally(
                sum(counts.l1_hits.values()),
                sum(counts.l2_hits.values()),
                counts.l2_misses,
                counts.walk_references,
            )
        }

    def by_process(self) -> dict[int, Tally]:
        """Count what the only process did."""
        return self.by_cpu()


class Records:
    """Simulate record by record: every policy, any page sizes, processes, CPUs and flushes.

    Args:
        geometry: of each CPU's TLB.
        page_size: bytes of the pages whose size the trace doesn't tell.
        seed: where random replacement starts.
    """

    def __init__(self, geometry: TlbGeometry, page_size: int, *, seed: int = 0) -> None:
        self._geometry = geometry
        self._shift = shift_of(page_size)
        self._seed = seed
        self._tlb = Tlb(geometry, 1, seed=seed)
        self._tagged = geometry.asid_bits > 0
        self._cpus, self._processes = _Numbers(), _Numbers()
        self._slices = Slices()
        self._running = np.zeros(1, np.int64)
        self._of_cpus = np.zeros((1, r.TALLIES), np.int64)
        self._of_processes = np.zeros((1, r.TALLIES), np.int64)
        asid = 0
        self._scopes = tuple(
            scope_words(geometry, scope)
            for scope in (
                FlushScope(start=0, asid=asid, stride=page_size, walk_cache="leading-to-va"),
                FlushScope(asid=asid),
                FlushScope(vm=None, global_entries=True),
            )
        )

    def feed(self, columns: Columns) -> None:
        """Simulate the next records of the trace.

        Raises:
            ShootdownError: more processes than the TLB's tags can tell apart, or an impossible record.
        """
        count = columns.address.size
        cpu = self._cpus.numbered(columns.cpu, count)
        process = self._processes.numbered(columns.process, count)
        limit = 1 << self._geometry.asid_bits
        if self._tagged and len(self._processes) > limit:
            raise ShootdownError(
                f"the trace has {len(self._processes)} processes and more than this TLB's tags tell apart: {limit}"
            )
        self._grow()
        shift = np.full(count, self._shift, np.uint8)
        if columns.shift is not None:
            shift = np.where(columns.shift == 0, shift, columns.shift).astype(np.uint8)
        kind = _column(columns.kind, count, np.uint8)
        if self._geometry.pages_in_pairs:  # an access fills a pair; a flush names the pages of one
            shift = np.where(kind == r.ACCESS, shift + np.uint8(1), shift).astype(np.uint8)
        records = r.Records(
            kind,
            cpu,
            process,
            np.ascontiguousarray(columns.address),
            shift,
            _column(columns.pages, count, np.uint64),
            self._running,
            self._of_cpus,
            self._of_processes,
        )
        for start, end in self._slices.parts(count):
            part = records._replace(
                kind=records.kind[start:end],
                cpu=records.cpu[start:end],
                process=records.process[start:end],
                va=records.va[start:end],
                shift=records.shift[start:end],
                pages=records.pages[start:end],
            )
            runnable(r.on_records)(
                self._tlb.words, self._tlb.plan, part, self._scopes, self._tagged, max(len(self._cpus), 1)
            )

    def _grow(self) -> None:
        """Make room for new CPUs and processes; the contents of the others' caches stay."""
        if len(self._processes) > len(self._of_processes):
            self._of_processes = _grown(self._of_processes, len(self._processes))
        if len(self._cpus) <= self._tlb.cpus:
            return
        old, new = self._tlb, Tlb(self._geometry, 2 * len(self._cpus), seed=self._seed)
        for cpu in range(old.cpus):  # the log's size depends on the number of CPUs: it is carried out first
            runnable(k.on_settle)(old.words, old.plan, cpu)
        shared = int(old.plan[w.LOG])
        new.words[:shared] = old.words[:shared]
        for field, size in ((w.CONTROL, w.CONTROL_WORDS), (w.ENTRIES, w.CPU_WORDS)):
            words = old.cpus * int(old.plan[size])
            source, target = int(old.plan[field]), int(new.plan[field])
            new.words[target : target + words] = old.words[source : source + words]
        for cpu in range(new.cpus):
            new.words[new.control(cpu) + w.REPLAYED] = new.words[w.LOGGED]
        self._tlb = new
        self._of_cpus = _grown(self._of_cpus, new.cpus)
        self._running = _grown(self._running, new.cpus)

    def count(self) -> TlbCounts:
        """Count what happened so far."""
        return self._tlb.count()

    def by_cpu(self) -> dict[int, Tally]:
        """Count by CPU."""
        return self._cpus.tallies(self._of_cpus)

    def by_process(self) -> dict[int, Tally]:
        """Count by process."""
        return self._processes.tallies(self._of_processes)


def _column(column: Column | None, count: int, kind: Any) -> Column:
    return np.zeros(count, kind) if column is None else np.ascontiguousarray(column, kind)


def _grown(array: Column, rows: int) -> Column:
    grown = np.zeros((max(rows, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


class _Numbers:
    """Number the CPUs or processes of a trace from 0 in the order in which they come."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._small = np.full(_SMALL_NUMBERS, -1, np.int64)

    def __len__(self) -> int:
        return len(self._known)

    def numbered(self, names: Column | None, count: int) -> Column:
        if names is None or count == 0:
            if count:
                self._learn(np.zeros(1, np.int64))
            return np.zeros(count, np.int64)
        names = names.astype(np.int64)
        if int(names.max()) < _SMALL_NUMBERS:
            numbers = self._small[names]
            if int(numbers.min()) >= 0:
                return numbers
            self._learn(names[numbers < 0])
            return np.asarray(self._small[names])
        self._learn(names)
        different, inverse = np.unique(names, return_inverse=True)
        return np.array([self._known[name] for name in different.tolist()], np.int64)[inverse]

    def _learn(self, names: Column) -> None:
        different, first = np.unique(names, return_index=True)
        for name in different[np.argsort(first)].tolist():
            number = self._known.setdefault(name, len(self._known))
            if name < _SMALL_NUMBERS:
                self._small[name] = number

    def tallies(self, rows: Column) -> dict[int, Tally]:
        """Return counts by name; those whose first record an interrupt came before have none yet."""
        return {
            name: Tally(*(int(n) for n in rows[number][: r.TALLIES - 1]))
            for name, number in sorted(self._known.items())
            if number < len(rows)
        }
