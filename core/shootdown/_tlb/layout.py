"""Geometries and flush scopes as kernels take them: where each cache lies, and what a scope covers as words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shootdown._tlb import words as w
from shootdown._tlb.flush import FlushScope
from shootdown._tlb.geometry import INCLUSIONS, POLICIES, TAG_BITS, CacheGeometry, TlbGeometry, shift_of
from shootdown._values.errors import ShootdownError

Plan = npt.NDArray[np.int64]

# Floors that each CPU has for flushes of one ASID. Linux uses 6 PCIDs on an x86 CPU (12 with PTI); with more
# at once the CPU is settled whenever a floor is needed for another ASID.
ASID_SLOTS = 16
_MOST_LOGGED = 1024


def plan_of(geometry: TlbGeometry, cpus: int) -> Plan:
    """Lay the caches of `cpus` CPUs out in one array of words; `kernels` documents the fields."""
    rows: list[dict[int, int]] = []
    ends, base = [], 0
    for caches in (geometry.l1, geometry.l2, geometry.walk_caches):
        level: list[dict[int, int]] = []
        for cache in caches:
            for i, size in enumerate(sorted(cache.page_sizes)):
                level.append(
                    _row_of(cache, size << geometry.pair_bits) | {w.BASE: base, w.FIRST_OF_CACHE: i == 0}
                )
            base += cache.sets * (1 + 4 * cache.ways)
        # Smallest page first: the deepest level of a walk is looked up first.
        rows += sorted(level, key=lambda row: row[w.SHIFT])
        ends.append(w.FIRST_ROW + w.STEP * len(rows))
    tags = 1 << (geometry.asid_bits + geometry.vm_bits)
    slots = min(ASID_SLOTS, tags)
    slots_at = w.HITS + ends[-1] // w.STEP
    log = w.ASID_FLOORS + 2 * tags
    control, control_words = log + log_entries(cpus) * w.LOG_STEP, slots_at + 3 * slots
    header = {
        w.L2_ROW: ends[0],
        w.WALK_ROW: ends[1],
        w.END_ROW: ends[2],
        w.CONTROL: control,
        w.CONTROL_WORDS: control_words,
        w.ENTRIES: control + cpus * control_words,
        w.CPU_WORDS: base,
        w.INCLUSION: INCLUSIONS.index(geometry.inclusion),
        w.CPUS: cpus,
        w.LEVELS: len(geometry.levels),
        w.SLOT_MASK: slots - 1,
        w.SLOTS: slots_at,
        w.VM_MASK: ((1 << geometry.vm_bits) - 1) << geometry.asid_bits,
        w.HAS_GLOBAL: geometry.global_entries,
        w.LOG: log,
        w.LOG_LINES: log_entries(cpus),
    }
    levels = {i: shift_of(size) + geometry.pair_bits for i, size in enumerate(geometry.levels)}
    plan = np.zeros(ends[-1], dtype=np.int64)
    for row, fields in enumerate((header, levels, *rows)):
        for field, value in fields.items():
            plan[row * w.STEP + field] = value
    return plan


def log_entries(cpus: int) -> int:
    """Return how many ranges the log of a machine holds: its size stays small beside that of the CPUs' caches."""
    return min(max(8 * cpus, 16), _MOST_LOGGED)


def _row_of(cache: CacheGeometry, size: int) -> dict[int, int]:
    power_of_two = cache.sets & (cache.sets - 1) == 0
    return {
        w.SHIFT: shift_of(size),
        w.SETS: cache.sets,
        w.SET_MASK: cache.sets - 1 if power_of_two else -1,
        w.XOR: cache.xor_bits,
        w.WAYS: cache.ways,
        w.POLICY: POLICIES.index(cache.policy),
        w.TREES: cache.trees,
    }


def scope_words(geometry: TlbGeometry, scope: FlushScope, *, lazy: bool = True) -> w.Scope:
    """Return a scope in the form that `kernels.flush` takes.

    Args:
        geometry: the TLB that it is for.
        scope: what to drop.
        lazy: whether flushes of everything that an ASID has are carried out when a set is next touched, and
            ranges that all CPUs flush when a CPU next uses its caches.

    Raises:
        ShootdownError: an ASID, a VM or a page size that the geometry does not have.
    """
    asid_mask = (1 << geometry.asid_bits) - 1
    mask = tag = 0
    if scope.vm is None or geometry.vm_bits == 0:
        check_tag(geometry, 0 if scope.asid is None else scope.asid, scope.vm or 0)
    else:
        check_tag(geometry, 0 if scope.asid is None else scope.asid, scope.vm)
        mask |= ((1 << TAG_BITS) - 1) & ~asid_mask
        tag |= scope.vm << geometry.asid_bits
    if scope.asid is not None:
        mask |= asid_mask
        tag |= scope.asid
        if geometry.vm_bits == 0:
            mask = (1 << TAG_BITS) - 1
    what = 0
    exact = mask == (1 << TAG_BITS) - 1
    # A global floor is the whole CPU's: with VM tags it cannot stand for one VM's global entries.
    floors = lazy and (mask == 0 or (exact and not (geometry.vm_bits and scope.global_entries)))
    if scope.leaf:
        what |= int(w.LEAF) | (int(w.GLOBALS) if scope.global_entries else 0)
        if floors and scope.start is None and not scope.page_sizes:
            what |= int(w.LAZY_LEAF)
    if scope.walk_cache == "all-of-asid" or (
        scope.walk_cache == "leading-to-va" and scope.start is None and not scope.page_sizes
    ):
        what |= int(w.WALK_ALL) | (int(w.LAZY_WALK) if floors else 0)
    elif scope.walk_cache == "leading-to-va":
        what |= int(w.WALK_PATH)
    if lazy:
        what |= int(w.LATER)
    numbers = (
        scope.start or 0,
        scope.stride,
        0 if scope.start is None else scope.count,
        tag,
        mask,
        scope.size_mask << geometry.pair_bits,
        what,
    )
    return w.Scope(*(np.uint64(number) for number in numbers))


def check_tag(geometry: TlbGeometry, asid: int, vm: int) -> None:
    """Raise an error for an ASID or a VM that the TLB's tags can't hold."""
    for name, number, bits in (("ASID", asid, geometry.asid_bits), ("VM", vm, geometry.vm_bits)):
        if not 0 <= number < 1 << bits:
            raise ShootdownError(
                f"{name} {number}: this TLB's tags have {bits} bits for it; use 0 to {(1 << bits) - 1}"
            )
