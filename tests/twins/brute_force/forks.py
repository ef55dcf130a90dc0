"""fork(), and the writes that copy pages after it."""

from __future__ import annotations

from collections.abc import Callable

from twins.brute_force.program import ALL, Call, FoundError, State
from twins.brute_force.tables import Tables


class Forks(Tables):
    """fork(), and writes in user mode."""

    def _fork(self, me: int, call: Call) -> None:
        """dup_mmap(); the child does nothing with what it gets."""
        self._shared(me, self.mmap, write=True)
        if "no sequence" not in call.flaws:
            self._do(me, lambda s: s.__setitem__(self.seq, s[self.seq] + 1))
        for n in call.atoms:
            ends: list[int] = []
            none: list[int] = []
            self._lock_table(me, self.p.table(n), ends)
            self._or_to(me, lambda s, n=n: not s[self.pte + n], none)  # type: ignore[misc]
            self._or_to(me, lambda s, n=n: s[self.pins + self.whose[n]] > 0, none)  # type: ignore[misc]
            self._do(me, self._shares(me, n))
            self._do(me, self._has_shared(n))
            none.append(len(self.code[me]))
            self._set(me, self.ptl + self.p.table(n), False)
            ends.append(len(self.code[me]))
        if "no sequence" not in call.flaws:
            self._do(me, lambda s: s.__setitem__(self.seq, s[self.seq] + 1))
        if "no fork flush" not in call.flaws:
            self._flush(me, lambda _: (0, ALL, True, True))
        self._release(me, self.mmap, write=True)

    def _shares(self, me: int, n: int) -> Callable[[State], None]:
        def action(s: State) -> None:
            self._occupants(s, me, n)
            s[self.refs + s[self.pte + n] // 2 - 1] += 1
            s[self.kids + s[self.pte + n] // 2 - 1] += 1
            s[self.pte + n] &= ~1
            s[self.clean + n] = False
            s[self.cow + self.whose[n]] = True

        return action

    def _has_shared(self, n: int) -> Callable[[State], None]:
        def action(s: State) -> None:
            s[self.replaced + self.whose[n]] = True
            if s[self.pinned + self.whose[n]]:
                raise FoundError("a page that GUP-fast returned is shared")

        return action

    def _write(self, me: int, call: Call) -> None:
        """An access that writes: do_anonymous_page(), or do_wp_page()."""
        (n,) = call.atoms
        table = self.p.table(n)
        lock = self.vmas if "faults meanwhile" in call.flaws else self.mmap
        out: list[int] = []
        none: list[int] = []
        over: list[int] = []
        free: list[int] = []

        def first(s: State) -> bool:
            value = s[self.pte + n]
            frame = value // 2 - 1
            if value & 1 or s[self.narrow + self.whose[n]] or (value and s[self.protected + self.whose[n]]):
                return True
            if value and s[self.cow + self.whose[n]] and s[self.refs + frame] > 1:
                s[self.refs + frame] += 1
                s[self.got + me] = value
                return False
            if value:
                for other in range(self.cpus):
                    s[self.snap + other] &= ~(1 << frame)
                s[self.taken_w] &= ~(1 << frame)
            self._is_its_own(s, n, value or 2 * (call.frame + 1), new=not value)
            return True

        def copies(s: State) -> None:
            if n == self.atom:
                s[self.taken_w] |= 1 << s[self.got + me] // 2 - 1

        def again(s: State) -> bool:
            if s[self.pte + n] != s[self.got + me]:
                return True
            self._occupants(s, me, n)
            s[self.pte + n] = 0
            return False

        def replaces(s: State) -> None:
            self._is_its_own(s, n, 2 * (call.frame + 1), new=True)
            s[self.refs + s[self.got + me] // 2 - 1] -= 1

        def puts(s: State) -> None:
            s[self.refs + s[self.got + me] // 2 - 1] -= 1
            s[self.got + me] = 0

        self._shared(me, lock, write=False)
        self._or_to(me, lambda s: not s[self.vma] >> n & 1, out)
        self._lock_table(me, table, none)
        self._or_to(me, first, over)
        self._set(me, self.ptl + table, False)
        self._do(me, copies)
        self._take_ptl(me, table)
        self._or_to(me, again, free)
        if "no copy flush" not in call.flaws:
            page = self.p.pages[n]
            self._flush(me, lambda _: (page, page + 1, False, True))
        self._do(me, replaces)
        free.append(len(self.code[me]))
        self._do(me, puts)
        over.append(len(self.code[me]))
        self._set(me, self.ptl + table, False)
        none.append(len(self.code[me]))
        out.append(len(self.code[me]))
        self._release(me, lock, write=False)

    def _read(self, me: int, call: Call) -> None:
        """An access that reads: do_anonymous_page() maps the zero page, do_read_fault() that of the file."""
        (n,) = call.atoms
        out: list[int] = []
        over: list[int] = []
        none: list[int] = []

        def maps(s: State) -> None:
            s[self.pte + n], s[self.clean + n] = 2 * (self.p.file + 1), False
            s[self.cow + self.whose[n]], s[self.protected + self.whose[n]] = True, False
            s[self.refs + self.p.file] += 1
            if n == self.atom:  # it is the page that was there before, with what it had
                s[self.ever] |= 1 << self.p.file
                s[self.taken] &= ~(1 << self.p.file)
                for other in range(self.cpus):
                    s[self.snap + other] &= ~(1 << self.p.file)

        lock = self.vmas if "faults meanwhile" in call.flaws else self.mmap
        self._shared(me, lock, write=False)
        self._or_to(me, lambda s: not s[self.vma] >> n & 1, out)
        self._lock_table(me, self.p.table(n), none)
        self._or_to(me, lambda s: bool(s[self.pte + n]), over)
        self._do(me, maps)
        over.append(len(self.code[me]))
        self._set(me, self.ptl + self.p.table(n), False)
        none.append(len(self.code[me]))
        out.append(len(self.code[me]))
        self._release(me, lock, write=False)

    def _is_its_own(self, s: State, n: int, value: int, *, new: bool) -> None:
        """Map a page that nobody shares."""
        s[self.pte + n], s[self.clean + n] = value | 1, False
        s[self.cow + self.whose[n]] = s[self.replaced + self.whose[n]] = False
        if new:
            s[self.protected + self.whose[n]] = False
            s[self.refs + value // 2 - 1] = 1
            if n == self.atom:
                s[self.ever] |= 1 << value // 2 - 1
