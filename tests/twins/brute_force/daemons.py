"""Reclaim of a page, and khugepaged."""

from __future__ import annotations

from collections.abc import Callable

from twins.brute_force.program import ALL, TABLE, Call, FoundError, State
from twins.brute_force.tables import Tables


class Daemons(Tables):
    """What kernel threads do, each as a call."""

    def _reclaim(self, me: int, call: Call) -> None:
        """shrink_folio_list() of one page: unmapped wherever it is, flushed, freed."""
        bit, self.bits = 1 << self.bits, self.bits + 1
        arm64 = self.p.way == "arm64"
        mapped: list[int] = []
        self._shared(me, self.anon, write=False)
        for n in call.atoms:
            ends: list[int] = []
            self._lock_table(me, self.p.table(n), ends)
            skip: list[int] = []
            self._or_to(me, self._unmaps(me, n), skip)
            page = self.p.pages[n]
            at_once: list[int] = []
            if not arm64:
                self._or_to(me, lambda s: self._alone(s, me), at_once)
            self._do(me, self._adds(me, page))
            self._do(me, lambda s: s.__setitem__(self.batched, s[self.batched] | bit))
            if not arm64:
                over: list[int] = []
                self._or_to(me, lambda _: True, over)
                at_once.append(len(self.code[me]))
                self._flush(me, lambda _, page=page: (page, page + 1, False, True))  # type: ignore[misc]
                over.append(len(self.code[me]))
            self._set(me, self.ptl + self.p.table(n), False)
            self._or_to(me, lambda _: True, mapped)
            skip.append(len(self.code[me]))
            self._set(me, self.ptl + self.p.table(n), False)
            ends.append(len(self.code[me]))
        mapped.append(len(self.code[me]))
        self._release(me, self.anon, write=False)
        flushed: list[int] = []
        self._or_to(me, lambda s: not s[self.later + me], flushed)
        if not arm64:  # whatever a CPU has seen: TLB_GENERATION_INVALID
            self._set(me, self.req + me, (0, ALL, False, 1, ALL))
            self._set(me, self.sent + me, (1 << self.cpus) - 1)
        self._deliver(me)
        self._set(me, self.later + me, False)
        flushed.append(len(self.code[me]))
        file = any(self.p.maps[n] == self.p.file for n in call.atoms)

        def lets_go(s: State) -> None:
            frames = [s[self.got + me] // 2 - 1] if s[self.got + me] else []
            s[self.got + me] = 0
            leaves = (
                not frames or call.name == "migrate"
            )  # what is mapped here is dirty, and reclaim lets it stay
            if file and leaves and s[self.cached]:
                s[self.cached] = False
                frames.append(self.p.file)
            self._free(s, frames)
            for frame in frames:  # it is unmapped in the children too
                s[self.refs + frame] -= s[self.kids + frame]
                s[self.kids + frame] = 0

        self._do(me, lets_go)

    def _pageout(self, me: int, call: Call) -> None:
        """MADV_PAGEOUT: reclaim with the lock of the mappings held, after a look at what others have put off."""
        self._shared(me, self.mmap, write=False)
        for n in call.atoms:
            stays: list[int] = []
            self._or_to(me, lambda s, n=n: not s[self.vma] >> n & 1, stays)  # type: ignore[misc]
            self._reclaim_unshared(me, n, call, looks=True, stays=stays)
        self._release(me, self.mmap, write=False)

    def _migrate(self, me: int, call: Call) -> None:
        """move_pages(): unmapped as by reclaim, with the flush put off (7e12beb8ca2a); it is another page then."""
        for n in call.atoms:
            self._reclaim_unshared(me, n, call, looks=False, stays=[])

    def _reclaim_unshared(self, me: int, n: int, call: Call, *, looks: bool, stays: list[int]) -> None:
        """Reclaim or migrate what an address maps, unless several processes do; `stays` gets where it goes on then."""
        ends: list[int] = []
        self._lock_table(me, self.p.table(n), ends)
        if looks:
            self._look_at_reclaim(me, call)
        self._do(me, self._counts_maps(me, n))
        self._set(me, self.ptl + self.p.table(n), False)
        ends.append(len(self.code[me]))
        self._or_to(me, lambda s: s[self.others + me], stays)
        self._reclaim(me, Call(call.name, (n,), flaws=call.flaws))
        stays.append(len(self.code[me]))
        self._set(me, self.others + me, False)

    def _counts_maps(self, me: int, n: int) -> Callable[[State], None]:
        """A page that several processes map stays, folio_maybe_mapped_shared()."""

        def action(s: State) -> None:
            s[self.others + me] = bool(s[self.pte + n]) and s[self.kids + s[self.pte + n] // 2 - 1] > 0

        return action

    def _unmaps(self, me: int, n: int) -> Callable[[State], bool]:
        def action(s: State) -> bool:
            s[self.got + me], s[self.pte + n] = s[self.pte + n], 0
            return not s[self.got + me]

        return action

    def _adds(self, me: int, page: int) -> Callable[[State], None]:
        """arch_tlbbatch_add_pending()."""

        def action(s: State) -> None:
            s[self.later + me] = True
            if self.p.way == "arm64":
                s[self.req + me] = (page, page + 1, False, 1, s[self.gen])
                s[self.out + me] = (1 << self.cpus) - 1
            else:
                s[self.gen] += 1

        return action

    def _khugepaged(self, me: int, call: Call) -> None:
        """collapse_huge_page() of one table; what it maps afterwards is left out, and goes with its table later."""
        table = self.p.table(call.atoms[0])
        every = sum(1 << n for n in call.atoms)
        over: list[int] = []
        back: list[int] = []
        self._shared(me, self.mmap, write=True)
        self._or_to(me, lambda s: s[self.vma] & every != every or not s[self.pmd + table], over)
        self._shared(me, self.anon, write=True)
        self._set(me, self.pmd + table, 0)
        self._flush(me, lambda _: (table * TABLE, (table + 1) * TABLE, True, True))
        for cpu in range(self.cpus if "no sync" not in call.flaws else 0):
            if cpu != me:
                self._do(me, lambda s, cpu=cpu: None if not s[self.off + cpu] else False)  # type: ignore[misc]
        self._take_ptl(me, table)
        self._or_to(me, lambda s: any(s[self.pins + self.whose[n]] for n in call.atoms), back)
        self._set(me, self.ptl + table, False)
        self._release(me, self.anon, write=True)
        for n in call.atoms:
            self._take_ptl(me, table)
            self._do(me, self._replaces(n))
            self._set(me, self.ptl + table, False)
        done: list[int] = []
        self._release(me, self.mmap, write=True)
        self._set(me, self.user + me, True)
        if "new table" in call.flaws:
            self._do(me, lambda s: self._waits_for_grace(s, table))
        else:
            self._set(me, self.freed + table, True)
        self._or_to(me, lambda _: True, done)
        back.append(len(self.code[me]))
        self._set(me, self.ptl + table, False)
        self._set(me, self.pmd + table, 1)
        self._release(me, self.anon, write=True)
        over.append(len(self.code[me]))
        self._release(me, self.mmap, write=True)
        done.append(len(self.code[me]))

    def _waits_for_grace(self, s: State, table: int) -> None:
        s[self.grace + table] = sum(1 << c for c in range(self.cpus) if s[self.off + c])

    def _replaces(self, n: int) -> Callable[[State], None]:
        def action(s: State) -> None:
            value, s[self.pte + n] = s[self.pte + n], 0
            if value:
                s[self.replaced + self.whose[n]] = True
                if s[self.pinned + self.whose[n]]:
                    raise FoundError("a page that GUP-fast returned is replaced")
                self._free(s, [value // 2 - 1])

        return action
