"""How often each cost is in the times of a run, from its ledger: counts of steps, of targets and of handlers.

What depends on more than one cost at a step is told apart by what is known of it; the rest goes to the cost of which
there is most. That is enough to say which part of a range comes from which cost.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from shootdown._machine import ops as o
from shootdown._machine.machine import Machine
from shootdown._timed import costs as c
from shootdown._timed.charges import charges
from shootdown._timed.refill import ENTRIES_A_LINE
from shootdown._timed.run import Run, cost_array, serial_of
from shootdown._timed.sending import CALL_LINES
from shootdown._values.platform import Platform

Numbers = npt.NDArray[np.float64]

#: Costs of user mode, which are no kernel time.
_USER = (c.USER, c.START)
#: A thread that lost so much of the time beyond its own work did nothing else.
_ALL = 0.99


def spent(machine: Machine, platform: Platform, run: Run) -> Mapping[str, Numbers]:
    """Return how often each cost is in `elapsed_ns`, `system_ns`, `lost_ns`, `user_ns`, `other_ns` and `refill_ns`.

    In the order of `COST_NAMES`. The last number of each is nanoseconds that no cost decides.

    Args:
        machine, platform: what was run.
        run: the run, with the likely costs.
    """
    ledger = _Ledger(machine, platform, run)
    handlers, broadcasts, refill = ledger.handlers(), ledger.broadcasts(), ledger.refill()
    own, waited = ledger.own(), ledger.waited()
    others = handlers + broadcasts
    system = own + waited + handlers
    system[[*_USER, -1]] = 0
    user, other = np.zeros(len(own)), np.zeros(len(own))
    other[-1] = ledger.elsewhere()
    user[c.USER], user[-1] = own[c.USER], own[-1] - other[-1]
    return {
        "elapsed_ns": _elapsed(ledger, own + waited, others, refill),
        "system_ns": system,
        "lost_ns": others + refill,
        "user_ns": user,
        "other_ns": other,
        "refill_ns": refill,
    }


def is_all(own: Mapping[str, float], elapsed: float) -> bool:
    """Whether a thread's own work and what it lost (`books.OWN_PARTS`) are all of its elapsed time."""
    return own["stolen"] >= _ALL * (elapsed - own["exact"])


def _elapsed(ledger: _Ledger, work: Numbers, others: Numbers, refill: Numbers) -> Numbers:
    """Return how often each cost is in the elapsed time.

    What one task's program says itself takes that long whatever costs are: no draw changes it. The rest is what CPUs
    did at once. A thread that does nothing but what its program says loses what it was interrupted for, and that alone.
    """
    machine, run = ledger.machine, ledger.run
    elapsed = run.window_ns[0] if machine.windows else run.elapsed_ns
    exact = run.exact_ns
    if machine.windows:
        own = run.window_own_ns[0]
        exact, lost = own["exact"], others + refill
        taken = float(ledger.ns @ lost)
        if exact and taken and is_all(own, elapsed):
            found = lost * (own["stolen"] / taken)
            found[-1] = exact
            return found
    at_once = max(float(ledger.ns @ work) / elapsed, 1.0) if elapsed else 1.0
    found = work / at_once + (others + refill) / machine.layout.cpus
    found[-1] = min(exact, elapsed)
    return found


class _Ledger:
    """What the programs' steps were charged, and the likely costs."""

    def __init__(self, machine: Machine, platform: Platform, run: Run) -> None:
        code, costs = machine.code, cost_array(platform.costs, "likely")
        taken = np.flatnonzero(run.step_counts)
        self.platform, self.machine, self.run = platform, machine, run
        self.counts = run.windows[0] if machine.windows else run.counts
        self.ns = costs / 1000
        self.steps = code.steps.reshape(-1, 5)[taken]
        self.op, self.kind, self.cost = self.steps[:, 0], self.steps[:, 1], code.cost[taken]
        self.times, self.time = run.step_counts[taken], run.step_times[taken]
        self.targets = run.step_targets[taken]
        table = charges(code.steps, code.cost, costs, serial_of(platform)).reshape(-1, 4)[taken]
        self.charge, self.what, self.served = table[:, 0] / 1000, table[:, 1], table[:, 2]

    def own(self) -> Numbers:
        """Return how often CPUs paid each cost for steps of their own, waits for answers left out."""
        found = np.zeros(len(self.ns))
        charged = (self.what & c.CHARGED) != 0
        each = self.ns[self.cost]
        many = self.times * np.where(each > 0, self.charge / np.where(each > 0, each, 1), 1)
        np.add.at(found, self.cost[charged], many[charged])
        waited = np.maximum(self.time - self.times * self.charge, 0)
        found[c.FAR_LINE] += self.counts["far_lines"]
        waited[np.isin(self.served, (c.LOCK_LINE, c.MM_LINE))] *= self._near_part(waited)
        for kind, cost in ((c.LOCK_LINE, c.LINE), (c.MM_LINE, c.LINE), (c.NODE, c.ZONE)):
            lru = self.cost == c.LRU
            here = self.served == kind
            self._add(found, cost, float(waited[here & ~lru].sum()))
            self._add(found, c.LRU, float(waited[here & lru].sum()))
        self._flushes(found)
        self._sends(found)
        found[c.SWITCH] += self.counts["context_switches"]
        found[c.LOCK_HANDOFF] += self.counts["lock_waits"]
        found[c.MIGRATE] += self.times[self.op == o.MIGRATE].sum()
        found[c.START] += self.times[self.op == o.SPAWN].sum()
        return found

    def _flushes(self, found: Numbers) -> None:
        """Add what CPUs flushed themselves, and instructions that were executed."""
        here = self.op == o.FLUSH_SELF
        full = self.counts["full_flushes"] - self.counts["remote_full_flushes"] if here.any() else 0
        found[c.FULL_FLUSH] += full
        pages = float(self.time[here].sum()) - full * self.ns[c.FULL_FLUSH]
        self._add(found, c.PAGE_FLUSH, pages)
        self._add(found, c.PAGE_FLUSH, float(self.time[self.op == o.FLUSH_LOCAL_PAGES].sum()))
        for cost in sorted(set(self.steps[self.op == o.EXECUTE, 4].tolist())):
            if cost >= 0:
                these = (self.op == o.EXECUTE) & (self.steps[:, 4] == cost)
                self._add(found, cost, float(self.time[these].sum()))

    def _sends(self, found: Numbers) -> None:
        """Add what sending took."""
        sends = self.op == o.SEND
        interrupts = sends & np.isin(self.kind, o.INTERRUPTING_CALLS)
        begun = float(np.minimum(self.times, self.targets)[interrupts].sum())
        targets = float(self.targets[interrupts].sum())
        found[c.IPI_SEND] += begun
        found[c.IPI_SEND_EACH] += targets
        far = CALL_LINES * self.counts["far_targets"]
        found[c.FAR_LINE] += far
        known = begun * self.ns[c.IPI_SEND] + targets * self.ns[c.IPI_SEND_EACH] + far * self.ns[c.FAR_LINE]
        if self.machine.scan_misses and not self.machine.shorthand:
            found[c.IPI_SCAN] += targets
            known += targets * self.ns[c.IPI_SCAN]
        self._add(found, c.IPI_WRITE, float(self.time[interrupts].sum()) - known)
        self._add(found, c.BROADCAST, float(self.time[sends & (self.kind == o.CALL_BROADCAST)].sum()))

    def waited(self) -> Numbers:
        """Return how often each cost is in waits for answers."""
        found = np.zeros(len(self.ns))
        sends, sent = self.op == o.SEND, np.minimum(self.times, self.targets)
        for kind, once, each in (
            (o.CALL_HYPERCALL, c.HYPERCALL, c.HYPERCALL_EACH),
            (o.CALL_BROADCAST, c.COMPLETION, c.COMPLETION_EACH),
        ):
            here = sends & (self.kind == kind)
            found[once] += self.times[here].sum()
            found[each] += self.targets[here].sum()
        here = sends & np.isin(self.kind, o.INTERRUPTING_CALLS)
        found[[c.IPI_LATENCY, c.IPI_HANDLER]] += sent[here].sum()
        found[c.IPI_ANSWER_EACH] += self.targets[here].sum()
        found[c.FAR_LINE] += self.counts["far_targets"]
        found[c.FAR_IPI] += self.counts["far_calls"]
        rest = float(self.time[self.op == o.WAIT].sum()) - float(self.ns @ found)
        self._add(found, c.PREEMPTED_FOR if self.ns[c.PREEMPTED_FOR] else c.IPI_HANDLER, rest)
        return found

    def handlers(self) -> Numbers:
        """Return how often handlers on other CPUs than the sender paid each cost."""
        found = np.zeros(len(self.ns))
        calls = self.targets[(self.op == o.SEND) & np.isin(self.kind, o.INTERRUPTING_CALLS)].sum()
        found[c.IPI_HANDLER] = taken = min(calls, self.counts["interrupts_taken"])
        found[c.LINE] = calls - taken  # those that were merged into a handler that had not begun
        found[c.FULL_FLUSH] = self.counts["remote_full_flushes"]
        if self.platform.smt > 1:
            known = float(self.ns @ found)
            return found * (max(self._lost(), 0.0) / known) if known else found
        if not self._broadcasts():
            self._add(found, c.PAGE_FLUSH, self._lost() - float(self.ns @ found))
        return found

    def broadcasts(self) -> Numbers:
        """Return how often other CPUs than the sender paid each cost of broadcast invalidations."""
        found = np.zeros(len(self.ns))
        if self._broadcasts():
            self._add(found, c.PAGE_FLUSH, self._lost() - float(self.ns @ self.handlers()))
        return found

    def _broadcasts(self) -> bool:
        return self.counts["broadcast_invalidations"] > 0

    def refill(self) -> Numbers:
        """Return how often each cost is in walks for translations that flushes dropped."""
        found = np.zeros(len(self.ns))
        each, line = self.ns[c.REFILL], self.ns[c.REFILL_LINE] / ENTRIES_A_LINE
        if each + line:
            found[c.REFILL] = self._refill() / (each + line)
            found[c.REFILL_LINE] = found[c.REFILL] / ENTRIES_A_LINE
        return found

    def elsewhere(self) -> float:
        """Return the nanoseconds that programs spend in neither their own work nor what is modelled of the kernel."""
        return self.run.window_other_ns[0] if self.machine.windows else self.run.other_ns

    def _near_part(self, waited: Numbers) -> float:
        """Return the part of what lines took that is not their way from another socket."""
        lines = float(waited[np.isin(self.served, (c.LOCK_LINE, c.MM_LINE))].sum())
        far = self.counts["far_lines"] * float(self.ns[c.FAR_LINE])
        return max(1 - far / lines, 0.0) if lines else 1.0

    def _refill(self) -> float:
        return self.run.window_refill_ns[0] if self.machine.windows else self.run.refill_ns

    def _lost(self) -> float:
        """Return what others lost to handlers and broadcasts."""
        lost = self.run.window_lost_ns[0] if self.machine.windows else self.run.lost_ns
        return max(lost - self._refill(), 0.0)

    def _add(self, found: Numbers, cost: int, time: float) -> None:
        """Add so many nanoseconds of a cost, if there are any."""
        if time > 0 and self.ns[cost]:
            found[cost] += time / self.ns[cost]
