"""Flushes: whom they interrupt, what arrives, and what a gather makes of them."""

from __future__ import annotations

from collections.abc import Callable

from twins.brute_force.program import ALL, CEILING, EMPTY, TABLE, Call, State
from twins.brute_force.state import Machine


class Flushes(Machine):
    """Flushes, by interrupts and by broadcasts, and gathers."""

    def _flush(self, me: int, request: Callable[[State], tuple[int, int, bool, bool]]) -> None:
        """Flush a range, and wait.

        Args:
            me: the task.
            request: gives the first page, the end, whether walk caches are meant, and whether each page is: a gather
                that cleared no entries of pages names one address in each table.
        """
        p = self.p

        def begin(s: State) -> None:
            lo, hi, walk, each = request(s)
            stride = 1 if each or hi >= ALL else TABLE
            if p.way == "arm64" and hi < ALL:
                lo, hi = lo // stride * stride, -(-hi // stride) * stride
            if (hi - lo) // stride > CEILING[p.way] and not (p.way == "arm64" and p.ranges and hi < ALL):
                lo, hi = 0, ALL
            if p.way == "arm64" and p.ranges:
                stride = 1  # the instruction names a range, not addresses
            s[self.gen] += p.way != "arm64"
            s[self.sent + me] = (1 << self.cpus) - 1
            s[self.req + me] = (lo, hi, walk, stride, s[self.gen])
            if p.way == "arm64":
                s[self.out + me] = (1 << self.cpus) - 1

        self._do(me, begin)
        self._deliver(me)

    def _deliver(self, me: int) -> None:
        """Let the CPUs of mm_cpumask take a flush that has begun, and wait."""
        p = self.p

        def copy(s: State) -> None:
            s[self.sent + me] = sum(1 << c for c in range(self.cpus) if s[self.mask + c])

        def leave_to_host(cpu: int) -> Callable[[State], None]:
            def action(s: State) -> None:
                if s[self.sent + me] >> cpu & 1 and s[self.away + cpu]:
                    s[self.told + cpu] = True
                    s[self.sent + me] ^= 1 << cpu

            return action

        def consider(cpu: int) -> Callable[[State], None]:
            def action(s: State) -> None:
                walk = s[self.req + me][2]
                if cpu == s[self.home + me]:
                    return
                in_mask = s[self.sent + me] >> cpu & 1 if p.way == "kvm" else s[self.mask + cpu]
                if in_mask and (walk or (s[self.loaded + cpu] and not s[self.lazy + cpu])):
                    s[self.out + me] |= 1 << cpu

            return action

        def wait(s: State) -> bool | None:
            if s[self.out + me]:
                return False
            s[self.req + me], s[self.sent + me] = None, 0
            return None

        def here(s: State) -> None:
            if p.here_last:
                s[self.gen] += 1
                s[self.req + me] = (0, ALL, True, 1, s[self.gen])
            self._arrives(s, s[self.home + me], *s[self.req + me])

        others = [cpu for cpu in range(self.cpus) if cpu != me or p.preempts]
        if p.way == "kvm":  # kvm_flush_tlb_multi()
            self._do(me, copy)
            for cpu in others:
                self._do(me, leave_to_host(cpu))
        if p.way != "arm64":
            for cpu in others:
                self._do(me, consider(cpu))
            if p.here_last:
                self._may_be_preempted(me)
                self._do(me, lambda s: None if not s[self.out + me] else False)
            self._do(me, here)
        self._may_be_preempted(me)
        self._do(me, wait)

    def _may_be_preempted(self, me: int) -> None:
        """Say that the next action is a wait during which the task may be preempted."""
        if not self.spins[me]:
            self.waits[me].add(len(self.code[me]))

    def _arrives(self, s: State, cpu: int, lo: int, hi: int, walk: bool, stride: int, gen: int) -> None:
        """Take a broadcast, or the interrupt of flush_tlb_func()."""
        page = self.p.pages[self.atom]
        named = lo <= page < hi and (page - lo) % stride == 0
        if self.p.way == "arm64":
            everything = hi >= ALL
            if cpu == self.cpu:
                if everything or named:
                    s[self.tlb] = 0
                first, end = self.span()
                if everything or (walk and lo < end and hi > first):
                    s[self.link] = False
            return
        if not s[self.loaded + cpu]:
            s[self.mask + cpu] = False
            return
        if s[self.lazy + cpu]:  # to init_mm; what it holds stays under the PCID
            s[self.loaded + cpu], s[self.lazy + cpu] = False, False
            return
        if gen <= s[self.seen + cpu]:
            return
        partial = hi < ALL and gen == s[self.seen + cpu] + 1 == s[self.gen]
        s[self.seen + cpu] = s[self.gen]
        if cpu == self.cpu:
            s[self.link] = False  # INVLPG drops all paging-structure caches
            if not partial or named:
                s[self.tlb] = 0

    def _begin(self, me: int) -> None:
        def action(s: State) -> None:
            s[self.pending] += 1
            s[self.gather + me] = EMPTY

        self._do(me, action)

    def _add(self, s: State, me: int, lo: int, hi: int, *, table: bool = False, told: bool = True) -> None:
        first, end, tables, pages = s[self.gather + me]
        s[self.gather + me] = (min(first, lo), max(end, hi), tables or (table and told), pages or not table)

    def _flush_gather(self, me: int) -> None:
        """tlb_flush_mmu_tlbonly()."""
        ends: list[int] = []
        self._or_to(me, lambda s: s[self.gather + me] == EMPTY, ends)
        self._flush(me, lambda s: s[self.gather + me])
        self._set(me, self.gather + me, EMPTY)
        ends.append(len(self.code[me]))

    def _end_vma(self, me: int) -> None:
        if self.p.way == "arm64":  # x86 merges VMAs
            self._flush_gather(me)

    def _finish(self, me: int, call: Call, tables: tuple[int, ...] = ()) -> None:
        def nested(s: State) -> None:
            if s[self.pending] > 1:
                s[self.gather + me] = (0, ALL, True, True)

        def pages(s: State) -> None:
            self._free(s, s[self.queue + me])
            s[self.queue + me] = ()

        def freed(table: int) -> Callable[[State], None]:
            def action(s: State) -> None:
                if not s[self.torn_off + me] >> table & 1:
                    return
                s[self.torn_off + me] ^= 1 << table
                if self.p.rcu:
                    s[self.grace + table] = sum(1 << c for c in range(self.cpus) if s[self.off + c])
                else:
                    s[self.freed + table] = True

            return action

        if "freed first" in call.flaws:
            self._do(me, pages)
        if "no nested check" not in call.flaws:
            self._do(me, nested)
        self._flush_gather(me)
        for table in tables:
            self._do(me, freed(table))
        self._do(me, pages)
        self._do(me, lambda s: s.__setitem__(self.pending, s[self.pending] - 1))
