"""Page tables: they are locked, their entries cleared, what reclaim has put off is flushed first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twins.brute_force.flushes import Flushes
from twins.brute_force.program import ALL, TABLE, Call, FoundError, State


class Tables(Flushes):
    """What calls do to page tables."""

    def _lock_table(self, me: int, table: int, ends: list[int]) -> None:
        """pte_offset_map_lock(): the PMD entry is read again under the lock, so both are one action."""
        self.spins[me] += 1

        def action(s: State) -> bool | None:
            if not s[self.pmd + table]:
                return True
            if s[self.ptl + table]:
                return None
            if s[self.freed + table]:
                raise FoundError("the kernel reads a freed table")
            s[self.ptl + table] = True
            return False

        self._or_to(me, action, ends)

    def _zap(self, me: int, call: Call, atoms: Sequence[int], *, checks_vma: bool) -> None:
        """zap_pte_range()."""
        for table in sorted({self.p.table(n) for n in atoms}):
            ends: list[int] = []
            self._lock_table(me, table, ends)
            self._look_at_reclaim(me, call)
            for n in atoms:
                if self.p.table(n) == table:
                    self._do(me, self._clear(me, call, n, checks_vma=checks_vma))
                    if self.p.forces:
                        self._do(me, lambda s: self._leaves_rmap(s, me, call, early=True))
            if self.p.forces:
                clean: list[int] = []
                self._or_to(me, lambda s: not s[self.forced + me], clean)
                self._flush_gather(me)
                self._do(me, lambda s: self._leaves_rmap(s, me, call, early=False))
                clean.append(len(self.code[me]))
            self._set(me, self.ptl + table, False)
            if self.p.forces:
                self._do(me, self._frees_what_was_forced(me))
            ends.append(len(self.code[me]))

    def _leaves_rmap(self, s: State, me: int, call: Call, *, early: bool) -> None:
        """A page of the file that was dirty leaves the reverse map: before its flush with the flaw, else after it."""
        if s[self.forced + me] == (1 if early else 2):
            s[self.forced + me] = 2
            if early is ("rmap first" in call.flaws):
                s[self.mapped] -= 1

    def _frees_what_was_forced(self, me: int) -> Callable[[State], None]:
        def action(s: State) -> None:
            if s[self.forced + me]:
                s[self.forced + me] = False
                self._free(s, s[self.queue + me])
                s[self.queue + me] = ()

        return action

    def _clear(self, me: int, call: Call, n: int, *, checks_vma: bool) -> Callable[[State], None]:
        def action(s: State) -> None:
            if checks_vma and not s[self.vma] >> n & 1:
                return
            self._occupants(s, me, n)
            value, s[self.pte + n] = s[self.pte + n], 0
            if value:
                s[self.queue + me] = tuple(sorted((*s[self.queue + me], value // 2 - 1)))
                if self.p.forces and value // 2 - 1 == self.p.file:
                    if value & 1 or s[self.d + n]:
                        s[self.dirty], s[self.forced + me] = True, 1
                    else:
                        s[self.mapped] -= 1
                    s[self.d + n] = False
                if "forgotten" not in call.flaws:
                    self._add(s, me, self.p.pages[n], self.p.pages[n] + 1)

        return action

    def _unlink(self, me: int, call: Call, table: int) -> Callable[[State], None]:
        def action(s: State) -> None:
            if not s[self.pmd + table]:  # another call has freed it
                return
            s[self.pmd + table] = 0
            s[self.torn_off + me] |= 1 << table
            told = "tables untold" not in call.flaws
            self._add(s, me, table * TABLE, table * TABLE + 1, table=True, told=told)

        return action

    def _look_at_reclaim(self, me: int, call: Call) -> None:
        """flush_tlb_batched_pending()."""
        if not self.reclaims or "no look at reclaim" in call.flaws:
            return

        def look(s: State) -> bool:
            s[self.looked + me] = s[self.batched]
            return not s[self.batched]

        def done(s: State) -> None:
            if s[self.batched] == s[self.looked + me]:
                s[self.batched] = 0
            s[self.looked + me] = 0

        ends: list[int] = []
        self._or_to(me, look, ends)
        if "waits for its own" not in call.flaws:
            self._flush(me, lambda _: (0, ALL, True, True))
        self._do(me, done)
        ends.append(len(self.code[me]))
