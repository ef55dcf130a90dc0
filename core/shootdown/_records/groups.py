"""Put the events of `tlb:tlb_flush` together to shootdowns: who sent, who answered, how long it took.

A sender waits until every target has flushed, and does nothing else meanwhile: the next event on its CPU says that the
shootdown is whole. Since v5.13 (4ce94eabac16) it flushes its own TLB after it sent, before that it had flushed already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs

from shootdown._records.values import add

#: A local flush this long before a send or after it, in ns, may be the same shootdown's.
_NEAR = 1_000_000
#: A shootdown that has no end after so long, in ns, is given up.
_FOREVER = 30 * 10**9
#: Answers of one shootdown follow one another within about so many ns, unless a CPU has its interrupts off.
_MOMENT = 30_000
#: CPUs and tasks that are remembered.
_MOST_CPUS = 1 << 16
#: Shootdowns that are kept one by one.
_KEPT = 10


@attrs.define
class Flush:
    """A shootdown, or a flush of one CPU alone, while it is being read.

    Args:
        cpu, pid, comm: who began it.
        ns: when.
        pages: how many, -1 for all.
        sent: whether interrupts were sent.
        targets: when each CPU answered, by its number.
        path: which kernel path it came from, empty if unknown.
        gap: how long before the send its own CPU flushed, in ns; -1 if it did not.
        own: whether its own CPU has flushed after the send.
        active: when something of it was seen last.
    """

    cpu: int
    pid: int
    comm: str
    ns: int
    pages: int
    sent: bool
    targets: dict[int, int] = attrs.field(factory=dict)
    path: str = ""
    gap: int = -1
    own: bool = False
    active: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.active = self.ns

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        answers = sorted(self.targets.values())
        return {
            "ns": self.ns,
            "cpu": self.cpu,
            "task": f"{self.comm}-{self.pid}",
            "pages": self.pages,
            "targets": sorted(self.targets),
            "first_answer_ns": answers[0] - self.ns if answers else None,
            "last_answer_ns": answers[-1] - self.ns if answers else None,
            "path": self.path or None,
        }


@attrs.define
class Latencies:
    """Times in powers of two, with the least and the largest exactly."""

    least: int = -1
    most: int = -1
    total: int = 0
    count: int = 0
    buckets: Counter[int] = attrs.field(factory=Counter)

    def add(self, ns: int) -> None:
        """Add a time."""
        ns = max(ns, 0)
        self.least = ns if self.count == 0 else min(self.least, ns)
        self.most = max(self.most, ns)
        self.total += ns
        self.count += 1
        self.buckets[ns.bit_length()] += 1

    def below(self, share: float) -> int:
        """Return the bound, in ns, below which a share of the times lies: exact to a factor of two."""
        wanted, seen = share * self.count, 0
        for bits, count in sorted(self.buckets.items()):
            seen += count
            if seen >= wanted:
                return min(1 << bits, self.most)
        return self.most

    def to_dict(self) -> dict[str, object]:
        """Return them as JSON has them."""
        if not self.count:
            return {"count": 0}
        return {
            "count": self.count,
            "least_ns": self.least,
            "most_ns": self.most,
            "mean_ns": self.total / self.count,
            "median_below_ns": self.below(0.5),
            "99_percent_below_ns": self.below(0.99),
        }


@attrs.define
class Grouping:
    """Shootdowns of one trace."""

    whole: int = 0
    alone: int = 0  # flushes of one CPU's own TLB, no interrupt
    unfinished: int = 0  # at the end, or where events were lost
    headless: int = 0  # answers whose sender is not in the trace
    ambiguous: int = 0  # answers to one of several that are alike
    own_handler: int = 0  # before v5.13 the sender runs the handler too
    cells: Counter[tuple[str, int, int]] = attrs.field(factory=Counter)
    alone_cells: Counter[tuple[str, int]] = attrs.field(factory=Counter)
    who: Counter[str] = attrs.field(factory=Counter)
    first: Latencies = attrs.field(factory=Latencies)
    last: Latencies = attrs.field(factory=Latencies)
    send_first: int = 0
    local_first: int = 0
    kept: list[Flush] = attrs.field(factory=list)
    most_targets: int = 0
    pathed: Callable[[Flush], str] | None = None
    _open: dict[int, Flush] = attrs.field(factory=dict)
    _local: dict[int, Flush] = attrs.field(factory=dict)

    def local(self, cpu: int, pid: int, comm: str, ns: int, pages: int) -> Flush:
        """Take an event of a CPU's own flush."""
        one = self._open.get(cpu)
        if one is not None:
            after = ns - one.ns
            near = one.pid == pid and after <= _NEAR and not one.own and _fits(one.pages, pages)
            if near and (one.gap < 0 or after < one.gap):
                if one.gap >= 0:  # what came before was a flush of its own
                    self._count_alone(one, pages)
                    one.gap = -1
                one.own = True
                self.send_first += 1
                return one
            if one.gap >= 0:
                self.local_first += 1
            self._close(cpu)
        self._flush_local(cpu)
        flush = Flush(cpu, pid, comm, ns, pages, sent=False)
        if len(self._local) < _MOST_CPUS:
            self._local[cpu] = flush
        return flush

    def send(self, cpu: int, pid: int, comm: str, ns: int, pages: int) -> Flush:
        """Take an event of interrupts that were sent."""
        self._close(cpu)
        before = self._local.get(cpu)
        flush = Flush(cpu, pid, comm, ns, pages, sent=True)
        if (
            before is not None
            and before.pid == pid
            and ns - before.ns <= _NEAR
            and _fits(pages, before.pages)
        ):
            flush.gap = ns - before.ns
            flush.path = before.path
            del self._local[cpu]
        else:
            self._flush_local(cpu)
        if len(self._open) >= _MOST_CPUS:
            self._give_up(ns)
        self._open[cpu] = flush
        return flush

    def remote(self, cpu: int, comm: str, ns: int, pages: int) -> Flush | None:
        """Take an event of a CPU that flushed for another one.

        Of several senders that wait it is the one of as many pages, whose process has the name of the task that was
        interrupted, of which something was seen a moment ago; among these the first.
        """
        best: Flush | None = None
        alike = False
        least: tuple[bool, bool, int, int] = (True, True, 0, 0)
        for one in self._open.values():
            if one.cpu == cpu or cpu in one.targets or ns < one.ns or not _fits(one.pages, pages):
                continue
            quiet = ns - one.active
            rank = (one.pages != pages, one.comm != comm, quiet if quiet > _MOMENT else 0, one.ns)
            alike = best is not None and rank[:3] == least[:3]
            if best is None or rank < least:
                best, least = one, rank
        own = self._open.get(cpu)
        if own is not None and (best is None or best.pages != pages) and pages in (0, own.pages):
            self.own_handler += 1
            return own
        if best is None:
            self.headless += 1
            return None
        self.ambiguous += alike
        best.targets[cpu] = best.active = ns
        return best

    def elsewhere(self, cpu: int) -> None:
        """Take note that a CPU does something else, so that its shootdown is over."""
        self._close(cpu)
        self._flush_local(cpu)

    def lost(self) -> None:
        """Take note that events are missing from here: what is under way can't be known."""
        self.unfinished += len(self._open)
        self._open.clear()
        self._local.clear()

    def end(self) -> None:
        """Take note of the end of the trace."""
        self.unfinished += len(self._open)
        self._open.clear()
        for cpu in list(self._local):
            if self.local_first > self.send_first:
                self.unfinished += 1  # a send would follow, if other CPUs have to flush
                del self._local[cpu]
            else:
                self._flush_local(cpu)

    def _give_up(self, ns: int) -> None:
        for cpu in [cpu for cpu, one in self._open.items() if ns - one.ns > _FOREVER] or list(self._open)[:1]:
            self.unfinished += 1
            del self._open[cpu]

    def _close(self, cpu: int) -> None:
        one = self._open.pop(cpu, None)
        if one is None:
            return
        if self.pathed is not None and not one.path:
            one.path = self.pathed(one)
        self.whole += 1
        self.most_targets = max(self.most_targets, len(one.targets))
        add(self.who, f"{one.comm}-{one.pid}")
        add(self.cells, (one.path, one.pages, len(one.targets)), rest=("", -2, -2))
        if one.targets:
            answers = one.targets.values()
            self.first.add(min(answers) - one.ns)
            self.last.add(max(answers) - one.ns)
        if len(self.kept) < _KEPT:
            self.kept.append(one)

    def _flush_local(self, cpu: int) -> None:
        one = self._local.pop(cpu, None)
        if one is not None:
            if self.pathed is not None and not one.path:
                one.path = self.pathed(one)
            self._count_alone(one, one.pages)

    def _count_alone(self, one: Flush, pages: int) -> None:
        self.alone += 1
        add(self.alone_cells, (one.path, pages), rest=("", -2))


#: Base pages in what the next level of page tables maps, with base pages of 4 KiB.
_HUGE = 512


def _fits(sent: int, flushed: int) -> bool:
    """Whether two counts of pages may be one flush's.

    A CPU that is further behind flushes all, one that has flushed already nothing; and where huge pages are flushed,
    the sender counts base pages, and who flushes counts huge ones (flush_tlb_func(), arch/x86/mm/tlb.c).
    """
    return flushed in (sent, -1, 0) or (flushed > 0 and sent == flushed * _HUGE)
