"""Read snapshots of /proc/vmstat: the counters of flushes, and of what causes them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from shootdown._records.values import OTHER, READ, Cell, Check

_LINE = re.compile(r"\s*([a-z][a-z0-9_]{2,48})\s+(-?\d{1,20})\s*$")
_NAMES = re.compile(
    r"(?:nr_|pg|numa_|thp_|compact_|workingset_|swap|zone_|drop_|oom_|unevictable_|balloon_|allocstall|kswapd_|"
    r"kcompactd|htlb_|slabs_|pageoutrun|direct_map|cow_ksm|ksm_|vma_lock|kstack_|zswp|memmap_)"
)
#: Lines after which further names need not be known.
_ENOUGH = 8
SENT, RECEIVED = "nr_tlb_remote_flush", "nr_tlb_remote_flush_received"
LOCAL_ALL, LOCAL_ONE = "nr_tlb_local_flush_all", "nr_tlb_local_flush_one"
#: Counters that matter, and what each says (mm/vmstat.c).
MEANING = {
    SENT: "shootdowns that were sent",
    RECEIVED: "flushes by CPUs that were asked to",
    LOCAL_ALL: "full flushes of a CPU's own TLB",
    LOCAL_ONE: "pages that CPUs flushed from their own TLB",
    "numa_pte_updates": "entries that NUMA balancing took rights from",
    "numa_pages_migrated": "pages that NUMA balancing moved",
    "pgmigrate_success": "pages that were moved",
    "compact_success": "compactions that succeeded",
    "thp_collapse_alloc": "huge pages that khugepaged made",
    "thp_split_pmd": "huge mappings that were split",
    "pgsteal_kswapd": "pages that kswapd reclaimed",
    "pgsteal_direct": "pages that allocations reclaimed",
    "pswpout": "pages that were swapped out",
    "pgfault": "page faults",
}
_FLUSHES = (SENT, RECEIVED, LOCAL_ALL, LOCAL_ONE)


class Vmstat:
    """Read lines of /proc/vmstat."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._current: dict[str, int] = {}
        self._seen: set[str] = set()
        self.snapshots = 0
        self.went_back: set[str] = set()
        self.lines = 0

    def take(self, line: str) -> int:
        """Take a line: OTHER, READ or DAMAGED."""
        found = _LINE.match(line)
        if found is None or (self.lines < _ENOUGH and _NAMES.match(found[1]) is None):
            return OTHER
        name, number = found[1], int(found[2])
        if name in self._seen:
            self._put_away()
        if len(self._seen) < 4096:
            self._seen.add(name)
        self.lines += 1
        if name in MEANING:
            self._current[name] = number
        return READ

    def _put_away(self) -> None:
        if not self._seen:
            return
        self.snapshots += 1
        for name, number in self._current.items():
            self._first.setdefault(name, number)
            if number < self._last.get(name, number):
                self.went_back.add(name)
            self._last[name] = number
        self._current, self._seen = {}, set()

    def end(self) -> None:
        """Take note that the file is at its end."""
        self._put_away()

    def part(self) -> VmstatPart | None:
        """Return what was found, or None if there was nothing."""
        if not self.lines:
            return None
        delta = None
        if self.snapshots > 1 and not self.went_back:
            delta = {name: self._last[name] - self._first[name] for name in self._first}
        return VmstatPart(self.snapshots, dict(self._last), delta, tuple(sorted(self.went_back)), self.lines)


@attrs.frozen
class VmstatPart:
    """What snapshots of /proc/vmstat tell.

    Args:
        snapshots: how many there were.
        last: the counters of the last one.
        delta: from the first to the last one; None with one snapshot, or if a counter went down.
        went_back: counters that went down.
        lines: how many counters were read.
    """

    snapshots: int
    last: Mapping[str, int] = attrs.field(hash=False)
    delta: Mapping[str, int] | None = attrs.field(hash=False)
    went_back: tuple[str, ...]
    lines: int
    evidence: Mapping[str, int] = attrs.field(factory=Counter, hash=False)

    @property
    def kind(self) -> str:
        """Return the name of the format's content."""
        return "vmstat"

    @property
    def values(self) -> Mapping[str, int]:
        """Return differences if there are any, else counts since boot."""
        return self.last if self.delta is None else self.delta

    @property
    def targets(self) -> float | None:
        """Return the mean number of CPUs that answered a shootdown, or None if it is not known."""
        sent, received = self.values.get(SENT), self.values.get(RECEIVED)
        return received / sent if sent and received is not None else None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what can't be known from it."""
        found = []
        if not any(name in self.last for name in _FLUSHES):
            found.append(
                "how many flushes: there is no nr_tlb_* counter; kernels have them with CONFIG_DEBUG_TLBFLUSH alone"
            )
        if self.snapshots == 1:
            found.append("since when: one snapshot counts since boot; take two, and give both")
        if self.went_back:
            found.append(
                "how many in between: counters went down, so that a boot lies between the snapshots, or the files are "
                "in the wrong order"
            )
        found.append("by whom, of how many pages, and from which call: counters have no stacks")
        return tuple(found)

    def cells(self) -> tuple[Cell, ...]:
        """Return the shootdowns, with their mean number of targets."""
        sent, targets = self.values.get(SENT), self.targets
        if not sent or targets is None or sent < 0 or targets < 0:
            return ()
        low = int(targets)
        more = self.values[RECEIVED] - low * sent
        parts = [(low, sent - more), (low + 1, more)]
        return tuple(Cell("", None, each, count) for each, count in parts if count > 0)

    def checks(self) -> tuple[Check, ...]:
        """Return the cross-checks within it."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "snapshots": self.snapshots,
            "since_boot": self.delta is None,
            "counters": dict(self.values),
            "went_back": list(self.went_back),
            "targets_of_a_shootdown": self.targets,
        }
