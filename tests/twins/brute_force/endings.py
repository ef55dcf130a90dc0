"""How address spaces end: exec, and exit of a process with several threads."""

from __future__ import annotations

from twins.brute_force.program import ALL, EMPTY, Call, State
from twins.brute_force.tables import Tables


class Endings(Tables):
    """Calls after which an address space goes with its tables."""

    def _exec(self, me: int, call: Call) -> None:
        """exec_mmap(): the CPU loads another address space, and the old one goes with its tables."""

        def leaves(s: State) -> None:
            s[self.loaded + me] = False
            if me == self.cpu:  # what it holds has another tag, and it never comes back
                s[self.link], s[self.tlb] = False, 0

        self._do(me, leaves)
        self._exit_mmap(me, call)

    def _exit(self, me: int, call: Call) -> None:
        """do_group_exit(): the other threads are killed, and the last one that leaves tears everything down."""
        others = len(self.p.threads) - (self.p.user != "runs")
        self._set(me, self.killed, True)
        self._do(me, lambda s: None if s[self.left] == others else False)
        self._exit_mm(me)
        self._exit_mmap(me, call)
        self._do(me, lambda _: False)

    def _killed(self, me: int) -> None:
        """do_exit() of a thread that another one kills, as it would go back to user mode or runs there."""
        self._do(me, lambda s: None if s[self.killed] else False)
        self._set_here(me, self.user, False)
        self._exit_mm(me)
        self._do(me, lambda s: s.__setitem__(self.left, s[self.left] + 1))

    def _exit_mm(self, me: int) -> None:
        """exit_mm(): the CPU keeps the address space, on x86 lazily, on arm64 in TTBR0."""
        if self.p.way != "arm64":
            self._set_here(me, self.lazy, True)

    def _exit_mmap(self, me: int, call: Call) -> None:
        self._begin(me)
        self._zap(me, call, call.atoms, checks_vma=False)
        for table in call.tables:
            self._do(me, self._unlink(me, call, table))

        def whole(s: State) -> None:
            tells = s[self.gather + me][2]
            # on arm64 an address space that goes is flushed for its tables alone
            s[self.gather + me] = (0, ALL, tells, True) if tells or self.p.way != "arm64" else EMPTY

        self._do(me, whole)
        self._finish(me, call, call.tables)
