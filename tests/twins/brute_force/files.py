"""Calls on the page of a file: truncation and writeback."""

from __future__ import annotations

from collections.abc import Callable

from twins.brute_force.program import Call, State
from twins.brute_force.tables import Tables


class Files(Tables):
    """Calls that go through the reverse map of a file."""

    def _truncate(self, me: int, call: Call) -> None:
        self._shared(me, self.i_mmap, write=False)
        self._begin(me)
        self._zap(me, call, call.atoms, checks_vma=False)
        self._finish(me, call)
        self._release(me, self.i_mmap, write=False)

        def leaves(s: State) -> bool | None:
            if s[self.folio]:
                return False
            if s[self.cached]:
                s[self.cached] = False
                self._free(s, [self.p.file])
            return None

        self._do(me, leaves)

    def _mkclean(self, me: int, call: Call) -> None:
        """folio_clear_dirty_for_io() and folio_mkclean(), by the folio lock."""
        self._shared(me, self.folio, write=True)
        gone: list[int] = []
        self._or_to(me, lambda s: not s[self.cached], gone)
        unmapped: list[int] = []
        self._or_to(me, lambda s: not s[self.mapped], unmapped)
        for n in call.atoms:
            ends: list[int] = []
            self._lock_table(me, self.p.table(n), ends)
            clean: list[int] = []
            self._or_to(me, self._cleans(me, n), clean)
            page = self.p.pages[n]
            self._flush(me, lambda _, page=page: (page, page + 1, False, True))  # type: ignore[misc]
            self._do(me, self._writes_clean(me, n))
            clean.append(len(self.code[me]))
            self._set(me, self.ptl + self.p.table(n), False)
            ends.append(len(self.code[me]))
        unmapped.append(len(self.code[me]))

        def written(s: State) -> None:
            if s[self.dirty]:
                s[self.taken_w] |= 1 << self.p.file
            s[self.dirty] = False

        self._do(me, written)
        gone.append(len(self.code[me]))
        self._release(me, self.folio, write=True)

    def _cleans(self, me: int, n: int) -> Callable[[State], bool]:
        def action(s: State) -> bool:
            if not s[self.pte + n] & 1 and not s[self.d + n]:
                return True
            s[self.got + me], s[self.pte + n], s[self.d + n] = s[self.pte + n], 0, False
            return False

        return action

    def _writes_clean(self, me: int, n: int) -> Callable[[State], None]:
        def action(s: State) -> None:
            s[self.pte + n] = s[self.got + me] & ~1
            s[self.got + me], s[self.dirty] = 0, True

        return action
