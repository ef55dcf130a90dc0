"""GUP-fast: a walk of the page tables with interrupts off."""

from __future__ import annotations

from twins.brute_force.program import Call, FoundError, State
from twins.brute_force.state import Machine


class Gup(Machine):
    """GUP-fast, of one page."""

    def _gup(self, me: int, call: Call) -> None:
        (n,) = call.atoms
        table = self.p.table(n)
        out: list[int] = []
        drop: list[int] = []

        def read(s: State) -> int:
            if s[self.freed + table]:
                raise FoundError("GUP-fast reads a freed table")
            return int(s[self.pte + n])

        def first(s: State) -> bool:
            s[self.got + me] = read(s)
            return not s[self.got + me] or bool(
                self.forks and not s[self.got + me] & 1 and not s[self.clean + n]
            )

        def begins(s: State) -> bool:
            s[self.saw + me] = s[self.seq]
            return bool(s[self.seq] & 1)

        def get(s: State) -> bool:
            at = self.refs + s[self.got + me] // 2 - 1
            if not s[at]:
                return True
            s[at] += 1
            s[self.pins + self.whose[n]] += 1
            return False

        def pins(s: State) -> bool:
            s[self.pinned + self.whose[n]] = True
            if s[self.replaced + self.whose[n]]:
                raise FoundError("GUP-fast returns a page that was replaced")
            return True

        def lets_go(s: State) -> None:
            s[self.pins + self.whose[n]] -= 1
            self._free(s, [s[self.got + me] // 2 - 1])

        def same(s: State) -> bool:
            return read(s) != s[self.got + me]

        self._set_here(me, self.off, True)
        if self.forks:
            self._or_to(me, begins, out)
        self._or_to(me, lambda s: not s[self.pmd + table], out)
        self._or_to(me, first, out)
        self._or_to(me, get, out)
        if self.p.rechecks:
            self._or_to(me, lambda s: not s[self.pmd + table], drop)
        self._or_to(me, same, drop)
        if self.forks:
            self._or_to(me, lambda s: s[self.seq] != s[self.saw + me], drop)
        self._or_to(me, pins, out)
        drop.append(len(self.code[me]))
        self._do(me, lets_go)
        out.append(len(self.code[me]))

        def leave(s: State) -> None:
            s[self.off + s[self.home + me]] = False
            for t in range(self.freed - self.pmd):
                if s[self.grace + t]:
                    s[self.grace + t] &= ~(1 << s[self.home + me])

        self._do(me, leave)
