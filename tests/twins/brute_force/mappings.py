"""Calls that change or move what a process maps: madvise(), munmap(), mprotect(), mmap(), mremap()."""

from __future__ import annotations

from collections.abc import Callable

from twins.brute_force.program import Call, State
from twins.brute_force.tables import Tables


class Mappings(Tables):
    """Calls on mappings."""

    def _madvise(self, me: int, call: Call) -> None:
        self._shared(me, self.mmap, write=False)
        self._begin(me)
        self._zap(me, call, call.atoms, checks_vma=True)
        self._finish(me, call)
        self._release(me, self.mmap, write=False)

    def _munmap(self, me: int, call: Call) -> None:
        gone = sum(1 << n for n in call.atoms)

        def detach(s: State) -> None:
            s[self.vma] &= ~gone
            s[self.mmap] = 1  # mmap_write_downgrade()

        self._excludes_all(me, call)
        self._do(me, detach)
        self._begin(me)
        self._zap(me, call, call.atoms, checks_vma=False)
        self._end_vma(me)
        if any(self.p.maps[n] == self.p.file for n in call.atoms):  # unlink_file_vma() waits for a truncation
            self._shared(me, self.i_mmap, write=True)
            self._release(me, self.i_mmap, write=True)
        for table in call.tables:
            self._do(me, self._unlink(me, call, table))
        self._finish(me, call, call.tables)
        self._release(me, self.mmap, write=False)

    def _excludes_all(self, me: int, call: Call) -> None:
        """mmap_write_lock(), and the locks of the VMAs: faults that take no mmap_lock are over."""
        self._shared(me, self.mmap, write=True)
        if "faults meanwhile" in call.flaws:
            self._shared(me, self.vmas, write=True)
            self._release(me, self.vmas, write=True)

    def _mprotect(self, me: int, call: Call) -> None:
        self._shared(me, self.mmap, write=True)
        if "faults meanwhile" in call.flaws:
            self._shared(me, self.vmas, write=True)
        self._do(me, lambda s: self._rights(s, call, narrow=True))
        self._begin(me)
        for table in sorted({self.p.table(n) for n in call.atoms}):
            ends: list[int] = []
            self._lock_table(me, table, ends)
            self._look_at_reclaim(me, call)
            for n in call.atoms:
                if self.p.table(n) == table:
                    skip: list[int] = []
                    self._or_to(me, self._starts(me, n), skip)
                    self._do(me, self._commit(me, call, n))
                    skip.append(len(self.code[me]))
            self._set(me, self.ptl + table, False)
            ends.append(len(self.code[me]))
        self._end_vma(me)
        self._finish(me, call)
        if "faults meanwhile" in call.flaws:
            self._release(me, self.vmas, write=True)
        self._release(me, self.mmap, write=True)

    def _lazyfree(self, me: int, call: Call) -> None:
        """MADV_FREE: entries become clean. A write by one that is clean walks again, as by one that is not writable."""

        def cleans(n: int) -> Callable[[State], None]:
            commit = self._commit(me, call, n)

            def action(s: State) -> None:
                s[self.clean + n] = bool(s[self.got + me] & 1) or s[self.clean + n]
                commit(s)

            return action

        self._shared(me, self.mmap, write=False)
        self._begin(me)
        for table in sorted({self.p.table(n) for n in call.atoms}):
            ends: list[int] = []
            self._lock_table(me, table, ends)
            self._look_at_reclaim(me, call)
            for n in call.atoms:
                if self.p.table(n) == table:
                    skip: list[int] = []
                    self._or_to(me, self._starts(me, n), skip)
                    self._do(me, cleans(n))
                    skip.append(len(self.code[me]))
            self._set(me, self.ptl + table, False)
            ends.append(len(self.code[me]))
        self._end_vma(me)
        self._finish(me, call)
        self._release(me, self.mmap, write=False)

    def _writeprotect(self, me: int, call: Call) -> None:
        """UFFDIO_WRITEPROTECT: who faults meanwhile finds some entries changed, and the flush yet to come."""

        def protects(n: int) -> Callable[[State], None]:
            commit = self._commit(me, call, n)

            def action(s: State) -> None:
                commit(s)
                s[self.protected + self.whose[n]] = True

            return action

        self._shared(me, self.mmap, write=False)
        self._begin(me)
        for n in call.atoms:
            ends: list[int] = []
            skip: list[int] = []
            self._lock_table(me, self.p.table(n), ends)
            self._look_at_reclaim(me, call)
            self._or_to(me, self._starts(me, n), skip)
            self._do(me, protects(n))
            skip.append(len(self.code[me]))
            self._set(me, self.ptl + self.p.table(n), False)
            ends.append(len(self.code[me]))
        self._end_vma(me)
        self._finish(me, call)
        self._release(me, self.mmap, write=False)

    def _copy(self, me: int, call: Call) -> None:
        """UFFDIO_COPY: a page where there is none."""
        (n,) = call.atoms
        ends: list[int] = []
        out: list[int] = []
        there: list[int] = []
        self._shared(me, self.mmap, write=False)
        self._or_to(me, lambda s: not s[self.vma] >> n & 1, out)
        self._lock_table(me, self.p.table(n), ends)
        self._or_to(me, lambda s: bool(s[self.pte + n]), there)
        self._do(me, lambda s: self._is_its_own(s, n, 2 * (call.frame + 1), new=True))
        there.append(len(self.code[me]))
        self._set(me, self.ptl + self.p.table(n), False)
        ends.append(len(self.code[me]))
        out.append(len(self.code[me]))
        self._release(me, self.mmap, write=False)

    def _rights(self, s: State, call: Call, *, narrow: bool) -> None:
        for n in call.atoms:
            s[self.narrow + self.whose[n]] = narrow

    def _starts(self, me: int, n: int) -> Callable[[State], bool]:
        def action(s: State) -> bool:
            if not s[self.vma] >> n & 1:
                return True
            self._occupants(s, me, n)
            s[self.got + me], s[self.pte + n] = s[self.pte + n], 0
            return not s[self.got + me]

        return action

    def _commit(self, me: int, call: Call, n: int) -> Callable[[State], None]:
        def action(s: State) -> None:
            s[self.pte + n] = s[self.got + me] & ~1
            s[self.clean + n] &= call.name == "lazyfree"
            s[self.d + n] |= bool(self.p.forces and s[self.got + me] & 1)
            if s[self.got + me] & 1 and "forgotten" not in call.flaws:
                self._add(s, me, self.p.pages[n], self.p.pages[n] + 1)
            s[self.got + me] = 0

        return action

    def _widen(self, me: int, call: Call) -> None:
        """mprotect(PROT_READ | PROT_WRITE): private entries stay read-only, and are flushed all the same."""
        self._shared(me, self.mmap, write=True)
        if "faults meanwhile" in call.flaws:
            self._shared(me, self.vmas, write=True)
        self._do(me, lambda s: self._rights(s, call, narrow=False))
        self._begin(me)
        for n in call.atoms:
            ends: list[int] = []
            self._lock_table(me, self.p.table(n), ends)
            skip: list[int] = []

            def takes(s: State, n: int = n) -> bool:
                s[self.got + me], s[self.pte + n] = s[self.pte + n], 0
                return not s[self.got + me]

            def rewrites(s: State, n: int = n) -> None:
                s[self.pte + n], s[self.got + me] = s[self.got + me], 0
                self._add(s, me, self.p.pages[n], self.p.pages[n] + 1)

            self._or_to(me, takes, skip)
            self._do(me, rewrites)
            skip.append(len(self.code[me]))
            self._set(me, self.ptl + self.p.table(n), False)
            ends.append(len(self.code[me]))
        self._end_vma(me)
        self._finish(me, call)
        if "faults meanwhile" in call.flaws:
            self._release(me, self.vmas, write=True)
        self._release(me, self.mmap, write=True)

    def _mmap(self, me: int, call: Call) -> None:
        """mmap() at a fixed address, over what is there."""
        fresh: list[int] = []
        there = sum(1 << n for n in call.atoms)
        self._excludes_all(me, call)
        self._or_to(me, lambda s: not s[self.vma] & there, fresh)
        self._begin(me)
        self._zap(me, call, call.atoms, checks_vma=False)
        self._end_vma(me)
        self._finish(me, call)
        fresh.append(len(self.code[me]))

        def maps(s: State) -> None:
            s[self.vma] |= there
            self._rights(s, call, narrow=False)

        self._do(me, maps)
        self._release(me, self.mmap, write=True)

    def _membarrier(self, me: int, call: Call) -> None:
        """PRIVATE_EXPEDITED: every CPU that runs another thread answers an interrupt."""
        for cpu in range(self.cpus):
            if cpu != me:
                self._do(me, lambda s, cpu=cpu: None if not s[self.off + cpu] else False)  # type: ignore[misc]

    def _mremap(self, me: int, call: Call) -> None:
        old, new = call.atoms
        page = self.p.pages[old] + ("next page" in call.flaws)

        def flush() -> None:
            self._flush(me, lambda _: (page, page + 1, True, True))

        self._shared(me, self.mmap, write=True)
        end: list[int] = []
        self._or_to(me, lambda s: not s[self.vma] >> old & 1, end)
        out: list[int] = []
        self._lock_table(me, self.p.table(old), out)
        other: list[int] = []
        self._lock_table(me, self.p.table(new), other)
        self._look_at_reclaim(me, call)
        empty: list[int] = []

        def move(s: State) -> bool:
            self._occupants(s, me, old)
            s[self.got + me], s[self.pte + old] = s[self.pte + old], 0
            return not s[self.got + me]

        def put(s: State) -> None:
            s[self.pte + new] = s[self.got + me]
            s[self.d + new], s[self.d + old] = s[self.d + old], False
            if new == self.atom:
                s[self.ever] |= 1 << s[self.got + me] // 2 - 1

        self._or_to(me, move, empty)
        self._do(me, put)
        if "late flush" not in call.flaws:
            flush()
        empty.append(len(self.code[me]))
        self._set(me, self.ptl + self.p.table(new), False)
        other.append(len(self.code[me]))
        self._set(me, self.ptl + self.p.table(old), False)
        out.append(len(self.code[me]))
        if "late flush" in call.flaws:
            flush()

        def moved(s: State) -> None:
            s[self.vma] = s[self.vma] & ~(1 << old) | 1 << new

        self._do(me, moved)
        self._begin(me)  # move_vma() unmaps the old place
        self._zap(me, Call("munmap", (old,), flaws=call.flaws), (old,), checks_vma=False)
        self._end_vma(me)
        self._finish(me, Call("munmap", (old,)))
        end.append(len(self.code[me]))
        self._release(me, self.mmap, write=True)
