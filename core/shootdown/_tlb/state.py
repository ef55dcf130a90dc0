"""The translation caches of a machine's CPUs: one array, with methods to use, flush and inspect it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._tlb import kernels as k
from shootdown._tlb import words as w
from shootdown._tlb.flush import FlushScope
from shootdown._tlb.geometry import CacheGeometry, TlbGeometry, shift_of
from shootdown._tlb.layout import check_tag, plan_of, scope_words
from shootdown._values.errors import ShootdownError

Words = npt.NDArray[np.uint64]

ENTRY = np.dtype(
    [
        ("level", "U4"),
        ("cache", np.int64),
        ("set", np.int64),
        ("way", np.int64),
        ("va", np.uint64),
        ("page_size", np.uint64),
        ("asid", np.int64),
        ("vm", np.int64),
        ("is_global", np.bool_),
        ("table", np.uint64),
        ("data", np.uint64),
    ]
)
"""One listed entry: `level` is `l1`, `l2` or `walk`, `cache` its place among that level's caches.

Of a TLB whose entries translate pairs of pages, `va` and `page_size` are those of the pair."""


class Access(NamedTuple):
    """What one access found: the level that hit (`l1`, `l2`, or `walk` for a miss) and table entries read."""

    level: str
    references: int


@attrs.frozen
class TlbCounts:
    """Counts of one CPU, or of a machine, since the start.

    Args:
        l1_hits: accesses that hit L1, by page size in bytes.
        l2_hits: accesses that missed L1 and hit L2, by page size.
        walks: accesses that missed both, by page size.
        walk_cache_hits: walks that started below the root, by the bytes that the cached entry covers.
        walk_references: page-table entries that the walks read.
    """

    l1_hits: dict[int, int]
    l2_hits: dict[int, int]
    walks: dict[int, int]
    walk_cache_hits: dict[int, int]
    walk_references: int

    @property
    def accesses(self) -> int:
        """Return the number of lookups that were answered, by a hit or by a walk."""
        return sum(self.l1_hits.values()) + self.l1_misses

    @property
    def l1_misses(self) -> int:
        """Return how many lookups went on to L2."""
        return sum(self.l2_hits.values()) + self.l2_misses

    @property
    def l2_misses(self) -> int:
        """Return how many lookups had to walk."""
        return sum(self.walks.values())


class Tlb:
    """The TLBs and walk caches of a machine's CPUs, to be used, flushed and inspected.

    Kernels take `words` and `plan`; arguments of methods are validated.

    Args:
        geometry: what each CPU has.
        cpus: how many CPUs.
        lazy: carry whole-ASID flushes out when a set is next touched, and ranges that every CPU flushes when
            it next uses its caches, both in constant time; otherwise at once. What can be observed is the same.
        seed: where random replacement starts; each CPU draws a sequence of its own.

    Raises:
        ShootdownError: no CPU, or an argument of a method that the geometry does not allow.
    """

    def __init__(self, geometry: TlbGeometry, cpus: int, *, lazy: bool = True, seed: int = 0) -> None:
        if cpus < 1:
            raise ShootdownError(f"a TLB for {cpus} CPUs: give at least 1")
        self.geometry = geometry
        self.cpus = cpus
        self.lazy = lazy
        self.plan = plan_of(geometry, cpus)
        # Zeroed memory is an empty TLB, and costs nothing until a set is touched.
        self.words: Words = np.zeros(int(self.plan[w.ENTRIES] + cpus * self.plan[w.CPU_WORDS]), np.uint64)
        seeds = np.random.SeedSequence(seed).generate_state(cpus, np.uint64)
        self.words[self.control(0) + w.SEED : self.control(cpus) : self.plan[w.CONTROL_WORDS]] = (
            seeds | w.ONE  # the generator never leaves 0
        )

    @property
    def bytes_per_entry(self) -> float:
        """Return the memory that one entry takes, its share of its set included."""
        return float(self.plan[w.CPU_WORDS]) * 8 / self.geometry.entries

    def tag(self, asid: int, vm: int = 0) -> np.uint64:
        """Return the tag of an ASID of a VM, as kernels take it."""
        check_tag(self.geometry, asid, vm)
        return np.uint64(vm << self.geometry.asid_bits | asid)

    def access(
        self, cpu: int, asid: int, va: int, page_size: int, *, vm: int = 0, is_global: bool = False
    ) -> Access:
        """Translate one address: look it up, on a miss walk, and fill.

        Args:
            cpu: the CPU that accesses.
            asid: the ASID or PCID that it runs with.
            va: the address, an unsigned 64-bit integer.
            page_size: bytes of the page that maps it, should a walk be needed.
            vm: the VM that it runs in.
            is_global: whether that page is global.
        """
        outcome = self._accesses(cpu, asid, va, page_size, vm, is_global)
        if outcome < 0:
            return Access("walk", -outcome)
        return Access("l1" if outcome < self.plan[w.L2_ROW] else "l2", 0)

    def access_many(
        self, cpus: Any, asids: Any, vas: Any, page_sizes: Any, *, vm: int = 0, is_global: bool = False
    ) -> None:
        """Translate many addresses in order; each argument is an array or one number for all.

        Args:
            cpus: the CPUs that access.
            asids: the ASIDs or PCIDs that they run with.
            vas: the addresses, unsigned 64-bit integers.
            page_sizes: bytes of the pages that map them.
            vm: the VM that they run in.
            is_global: whether the pages are global.
        """
        self._accesses(cpus, asids, vas, page_sizes, vm, is_global)

    def _accesses(self, cpus: Any, asids: Any, vas: Any, page_sizes: Any, vm: int, is_global: bool) -> int:
        for cpu in np.unique(cpus):
            self._cpu(int(cpu))
        for asid in np.unique(asids):
            self.tag(int(asid), vm)
        for size in np.unique(page_sizes):
            self._size(int(size))
        marks = np.asarray(asids, np.uint64) | self._mark(0, vm, is_global, 0)
        # frexp gives the exponent exactly: page sizes are powers of two.
        shifts = np.frexp(np.asarray(page_sizes, np.float64))[1] - 1 + self.geometry.pair_bits
        columns = (
            np.asarray(cpus, np.int64),
            marks,
            np.asarray(vas, np.uint64),
            shifts.astype(np.int64),
        )
        shape = np.broadcast_shapes((1,), *(np.shape(column) for column in columns))
        each = (np.array(np.broadcast_to(column, shape)) for column in columns)
        return int(runnable(k.on_accesses)(self.words, self.plan, *each))

    def lookup(self, cpu: int, asid: int, va: int, *, vm: int = 0) -> tuple[str, int, int] | None:
        """Look an address up in L1 and L2, without walking.

        Returns:
            The level that hit, the page size in bytes and the entry's data; None for a miss.
        """
        row, slot = runnable(k.on_lookup)(
            self.words, self.plan, self._cpu(cpu), self.tag(asid, vm), np.uint64(va)
        )
        if row == 0:
            return None
        size, _, data = self._entry_at(int(slot))
        return ("l1" if row < self.plan[w.L2_ROW] else "l2"), size >> self.geometry.pair_bits, data

    def fill(
        self,
        cpu: int,
        asid: int,
        va: int,
        page_size: int,
        *,
        vm: int = 0,
        is_global: bool = False,
        table: int = 0,
        data: int = 0,
    ) -> None:
        """Enter a translation that a walk found.

        Args:
            cpu: whose TLB.
            asid: the ASID or PCID that the walk was for.
            va: an address in the page.
            page_size: bytes of the page.
            vm: the VM that the walk was for.
            is_global: whether the page is global.
            table: frame number of the page-table page that held the leaf entry.
            data: 64 bits for the caller, such as the leaf entry.
        """
        key = self._key(va, page_size << self.geometry.pair_bits)
        mark = self._mark(asid, vm, is_global, table)
        runnable(k.on_fill)(self.words, self.plan, self._cpu(cpu), key, mark, np.uint64(data))

    def walk_lookup(self, cpu: int, asid: int, va: int, *, vm: int = 0) -> tuple[int, int, int] | None:
        """Find the deepest table entry on the way to an address that the CPU has cached.

        Returns:
            The bytes that it covers, the frame of the table that it leads to, and its data; None for a walk
            from the root.
        """
        slot = runnable(k.on_walk_lookup)(
            self.words, self.plan, self._cpu(cpu), self.tag(asid, vm), np.uint64(va), 0
        )
        return None if slot < 0 else self._entry_at(int(slot))

    def walk_fill(
        self, cpu: int, asid: int, va: int, covers: int, *, vm: int = 0, table: int = 0, data: int = 0
    ) -> None:
        """Cache a table entry that a walk read; nothing happens where no walk cache holds its level.

        Args:
            cpu: whose walk cache.
            asid: the ASID or PCID that the walk was for.
            va: the address walked for.
            covers: bytes that the table entry covers.
            vm: the VM that the walk was for.
            table: frame number of the page-table page that the entry leads to.
            data: 64 bits for the caller.
        """
        key = self._key(va, covers)
        mark = self._mark(asid, vm, False, table)
        runnable(k.on_walk_fill)(self.words, self.plan, self._cpu(cpu), key, mark, np.uint64(data))

    def flush(self, cpus: int | Iterable[int] | None, scope: FlushScope) -> None:
        """Carry out one invalidation.

        Args:
            cpus: on which CPUs: one, several, or None for every CPU (a broadcast).
            scope: what it drops.
        """
        words = scope_words(self.geometry, scope, lazy=self.lazy)
        if cpus is None:
            runnable(k.on_flush)(self.words, self.plan, -1, words)
            return
        for cpu in (cpus,) if isinstance(cpus, int) else cpus:
            runnable(k.on_flush)(self.words, self.plan, self._cpu(cpu), words)

    def leading_into(
        self, table: int, *, cpu: int | None = None, asid: int | None = None, vm: int = 0
    ) -> int:
        """Count the entries that were read from or lead into a page-table page, global ones included.

        Args:
            table: frame number of the page-table page.
            cpu: on one CPU; None for all.
            asid: of one ASID or PCID; None for all.
            vm: of which VM.
        """
        scope = scope_words(self.geometry, FlushScope(asid=asid, vm=vm))
        which = range(self.cpus) if cpu is None else (self._cpu(cpu),)
        return sum(
            int(
                runnable(k.on_count_leading_into)(
                    self.words, self.plan, c, scope.tag, scope.mask, np.uint64(self._frame(table))
                )
            )
            for c in which
        )

    def count(self, cpu: int | None = None) -> TlbCounts:
        """Count hits, walks and references of one CPU, or of all."""
        which = range(self.cpus) if cpu is None else (self._cpu(cpu),)
        pair = self.geometry.pair_bits
        control = sum(
            (self.words[self.control(c) :][: int(self.plan[w.SLOTS])].astype(np.int64) for c in which),
            np.zeros(int(self.plan[w.SLOTS]), np.int64),
        )
        l2, walk, end = (int(self.plan[field]) for field in (w.L2_ROW, w.WALK_ROW, w.END_ROW))

        def hits(first: int, last: int) -> dict[int, int]:
            rows = range(first, last, w.STEP)
            return {
                1 << int(self.plan[row + w.SHIFT]) - pair: int(control[w.HITS + row // w.STEP])
                for row in rows
            }

        walks = {1 << shift - pair: int(n) for shift, n in enumerate(control[w.WALKS : w.HITS]) if n}
        return TlbCounts(
            hits(w.FIRST_ROW, l2), hits(l2, walk), walks, hits(walk, end), int(control[w.REFERENCES])
        )

    def entries(self, cpu: int) -> npt.NDArray[Any]:
        """List what a CPU's caches hold: records of `ENTRY`, ordered by level, cache, set and way."""
        runnable(k.on_settle)(self.words, self.plan, self._cpu(cpu))
        at = int(self.plan[w.ENTRIES] + cpu * self.plan[w.CPU_WORDS])
        listed = []
        geometry = self.geometry
        for level, caches in (("l1", geometry.l1), ("l2", geometry.l2), ("walk", geometry.walk_caches)):
            for number, cache in enumerate(caches):
                size = cache.sets * (1 + 4 * cache.ways)
                listed.append(self._listed(level, number, cache, self.words[at : at + size]))
                at += size
        return np.concatenate(listed)

    def _listed(self, level: str, number: int, cache: CacheGeometry, words: Words) -> npt.NDArray[Any]:
        fields = words.reshape(cache.sets, -1)[:, 1:].reshape(cache.sets, 4, cache.ways)
        in_set, way = np.nonzero(fields[:, 0])
        key, mark, data = (fields[in_set, field, way] for field in (0, 1, 3))
        shift = key & w.SHIFT_MASK
        tag = (mark & w.TAG_MASK).astype(np.int64)
        records = np.zeros(len(key), dtype=ENTRY)
        records["level"], records["cache"] = level, number
        records["set"], records["way"] = in_set, way
        records["va"], records["page_size"] = (key >> w.SIX) << shift, w.ONE << shift
        records["asid"], records["vm"] = (
            tag & ((1 << self.geometry.asid_bits) - 1),
            tag >> self.geometry.asid_bits,
        )
        records["is_global"] = mark & w.GLOBAL != 0
        records["table"], records["data"] = mark >> w.TABLE_SHIFT, data
        return records

    def _entry_at(self, slot: int) -> tuple[int, int, int]:
        """Return the size, table and data of the entry whose key lies at an offset."""
        offset = (slot - int(self.plan[w.ENTRIES])) % int(self.plan[w.CPU_WORDS])
        rows = self.plan.reshape(-1, w.STEP)[w.FIRST_ROW // w.STEP :]
        ways = max((int(row[w.BASE]), int(row[w.WAYS])) for row in rows if row[w.BASE] <= offset)[1]
        key, mark, data = (int(self.words[slot + i * ways]) for i in (0, 1, 3))
        return 1 << (key & 63), mark >> int(w.TABLE_SHIFT), data

    def control(self, cpu: int) -> int:
        """Return the offset of a CPU's control words."""
        return int(self.plan[w.CONTROL] + cpu * self.plan[w.CONTROL_WORDS])

    def _cpu(self, cpu: int) -> int:
        if not 0 <= cpu < self.cpus:
            raise ShootdownError(f"CPU {cpu}: this machine has {self.cpus}; use 0 to {self.cpus - 1}")
        return cpu

    def _size(self, size: int) -> int:
        if size < 64 or size & (size - 1) or size >= 1 << 63:
            raise ShootdownError(f"page size {size}: give a power of two from 64 to 2**62 bytes")
        return size

    def _key(self, va: int, size: int) -> np.uint64:
        shift = shift_of(self._size(size))
        return np.uint64(va >> shift << int(w.SIX) | shift)

    def _mark(self, asid: int, vm: int, is_global: bool, table: int) -> np.uint64:
        global_bit = int(is_global) << int(w.GLOBAL_SHIFT)
        return np.uint64(self._frame(table) << int(w.TABLE_SHIFT) | global_bit) | self.tag(asid, vm)

    def _frame(self, frame: int) -> int:
        if not 0 <= frame < 1 << 40:
            raise ShootdownError(f"page-table frame {frame:#x}: an entry has 40 bits for it")
        return frame
