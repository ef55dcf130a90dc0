"""Small programs on ordinary memory and one shared hugetlb table, searched by brute force in plain Python.

Written from mm/hugetlb.c and mm/memory.c of Linux 7.1, in which hugetlb tables are unshared through a gather; locks,
flushes, gathers, ordinary memory and the search are those beside this file. Two processes map the table. The watched
one has the threads of a program; the other one has a single task on a CPU of its own. Its flushes reach no CPU of the
watched one, so that they are left out.
"""

from __future__ import annotations

from typing import Any

from twins.brute_force.program import EMPTY, TABLE, Call, FoundError, Small, State
from twins.brute_force.search import Watched

#: The pages of the table: a PUD entry's, and far from all others.
POOL = (1 << 22, (1 << 22) + TABLE * TABLE)
SHARED, REUSED, FREED = range(3)


class WatchedPool(Watched):
    """The search of a program for a violation by one CPU at one address, or at the table.

    Calls of `program` besides the others: `pool_munmap`, `pool_madvise`, `pool_mprotect`, `pool_gup`, and
    `pool_keep`, a process that may use the table for other memory later on, and free it. Flaws besides: `pool untold`
    (a4a118f2eead: an unsharing is not flushed), `pool links stay` (its flush leaves walk caches), `no pool sync`.

    Args:
        program: the program; what `other` says is not in it.
        cpu: the CPU that is watched.
        atom: the address, or one more for the table.
        other: what the other process does: `keeps` or `unmaps` the table, which it may free then.
    """

    def __init__(self, program: Small, cpu: int, atom: int, other: str) -> None:
        self._watches_pool = atom == len(program.pages)
        self._other = other
        self.partner = len(program.threads) + bool(program.user)
        super().__init__(program, cpu, -1 if self._watches_pool else atom)
        self.code.append([])
        self._does_other(self.partner, other)
        self._others = self.code.pop()

    def _more(self) -> None:
        """Add the places of the table before the programs are written."""
        if not hasattr(self, "pud"):
            at = len(self.first)
            self.pud, self.shares, self.table, self.owner = at, at + 2, at + 3, at + 4
            self.i_file, self.pool_grace, self.fully, self.unlinked = (
                at + 5,
                at + 6,
                at + 7,
                at + 7 + self.cpus + 1,
            )
            self.first.extend([True, True, 2, SHARED, -1, 0, None])
            self.first.extend([False] * (2 * (self.cpus + 1)))
            # the pc of the other process's task is the last place
            self.other_pc = len(self.first)
            self.first.append(0)

    def _call(self, me: int, call: Call) -> None:
        self._more()
        super()._call(me, call)

    # --- hardware, and what the other process and grace periods do

    def span(self) -> tuple[int, int]:
        """Return the pages of the table that is watched."""
        return POOL if self._watches_pool else (self.slot * TABLE, (self.slot + 1) * TABLE)

    def _hardware(self, old: tuple[Any, ...], found: list[tuple[Any, ...]]) -> None:
        if not self._watches_pool:
            super()._hardware(old, found)
            return
        if not old[self.loaded + self.cpu]:
            return
        if old[self.link]:
            if old[self.table] == FREED or (old[self.table] == REUSED and old[self.owner] != 0):
                raise FoundError("a walker has a link to a table that is another's")
        elif old[self.pud]:
            s = list(old)
            s[self.link] = True
            found.append(tuple(s))

    def _next(self, old: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        found = super()._next(old)
        code, at = self._others, old[self.other_pc]
        if at < len(code):
            s = list(old)
            then = code[at](s)
            if then is not None:
                s[self.other_pc] = then
                found.append(tuple(s))
        if old[self.pool_grace] == 0:
            s = list(old)
            s[self.pool_grace], s[self.table] = None, FREED
            found.append(tuple(s))
        return found

    # --- calls of the watched process

    def _pool_munmap(self, me: int, call: Call) -> None:
        self._shared(me, self.mmap, write=True)
        self._begin(me)
        self._zap_pool(me, call)
        self._do(me, lambda s: self._unlink_pool(s, me, gather=True))
        self._finish(me, call)
        self._frees_pool(me)
        self._release(me, self.mmap, write=True)

    def _pool_madvise(self, me: int, call: Call) -> None:
        self._shared(me, self.mmap, write=False)
        self._begin(me)
        self._zap_pool(me, call)
        self._finish(me, call)
        self._release(me, self.mmap, write=False)

    def _pool_mprotect(self, me: int, call: Call) -> None:
        """hugetlb_change_protection(), whose gather is inside that of mprotect()."""
        self._shared(me, self.mmap, write=True)
        self._do(me, lambda s: s.__setitem__(self.pending, s[self.pending] + 1))
        self._begin(me)
        self._zap_pool(me, call, ends_vma=True)
        self._finish(me, call)
        self._finish(me, call)
        self._release(me, self.mmap, write=True)

    def _zap_pool(self, me: int, call: Call, *, ends_vma: bool = False) -> None:
        """Unshare the table, or clear its entries; flushed before the lock of the file is released."""
        told = "pool untold" not in call.flaws
        self._shared(me, self.i_file, write=True)
        none: list[int] = []
        self._or_to(me, lambda s: not s[self.pud], none)
        alone: list[int] = []
        over: list[int] = []
        self._or_to(me, lambda s: s[self.shares] < 2, alone)
        self._set(me, self.pud, False)

        def leaves(s: State) -> None:
            s[self.shares] -= 1
            s[self.fully + me] = s[self.shares] == 1
            if told:
                self._add(s, me, *POOL, table="pool links stay" not in call.flaws)

        self._do(me, leaves)
        self._or_to(me, lambda _: True, over)
        alone.append(len(self.code[me]))
        self._do(me, lambda s: self._add(s, me, POOL[0], POOL[0] + TABLE))
        over.append(len(self.code[me]))
        none.append(len(self.code[me]))
        if not ends_vma:
            self._end_vma(me)
        late: list[int] = []
        if not ends_vma:  # what is only cleared may wait for the end of the gather
            self._or_to(me, lambda s: s[self.gather + me][1] <= POOL[0] + TABLE, late)
        self._flush_gather(me)
        late.append(len(self.code[me]))
        quiet: list[int] = []
        self._or_to(me, lambda s: not s[self.fully + me], quiet)
        for cpu in range(self.cpus if "no pool sync" not in call.flaws else 0):
            if cpu != me:
                self._do(me, lambda s, cpu=cpu: None if not s[self.off + cpu] else False)  # type: ignore[misc]
        self._set(me, self.fully + me, False)
        quiet.append(len(self.code[me]))
        self._release(me, self.i_file, write=True)

    def _unlink_pool(self, s: State, me: int, *, gather: bool) -> None:
        """hugetlb_free_pgd_range(): the table is this process's alone."""
        if s[self.pud]:
            s[self.pud] = False
            s[self.shares] -= 1
            s[self.unlinked + me] = True
            if gather:
                self._add(s, me, POOL[0], POOL[0] + 1, table=True)

    def _frees_pool(self, me: int) -> None:
        def frees(s: State) -> None:
            if s[self.unlinked + me]:
                s[self.unlinked + me] = False
                if self.p.rcu:
                    s[self.pool_grace] = sum(1 << c for c in range(self.cpus) if s[self.off + c])
                else:
                    s[self.table] = FREED

        self._do(me, frees)

    def _pool_gup(self, me: int, call: Call) -> None:
        """GUP-fast of a page of the table."""
        out: list[int] = []

        def read(s: State) -> int:
            if s[self.table] == FREED:
                raise FoundError("GUP-fast reads a freed table")
            return int(s[self.table] == REUSED and s[self.owner] != 0)

        def again(s: State) -> bool:
            if read(s) and s[self.got + me]:
                raise FoundError("GUP-fast returns a page of another process")
            return True

        self._set_here(me, self.off, True)
        self._or_to(me, lambda s: not s[self.pud], out)
        self._do(me, lambda s: s.__setitem__(self.got + me, read(s)))
        self._or_to(me, again, out)
        out.append(len(self.code[me]))

        def leave(s: State) -> None:
            s[self.off + me] = False
            for grace in (*range(self.grace, self.grace + self.freed - self.pmd), self.pool_grace):
                if s[grace]:
                    s[grace] &= ~(1 << me)

        self._do(me, leave)

    def _pool_keep(self, me: int, call: Call) -> None:
        """A process that has the table alone clears it, uses it for memory of its own, and frees it."""
        over: list[int] = []
        self._begin(me)
        self._shared(me, self.i_file, write=True)
        gone: list[int] = []
        self._or_to(me, lambda s: not s[self.pud] or s[self.shares] > 1, gone)
        self._do(me, lambda s: self._add(s, me, POOL[0], POOL[0] + 1))
        self._end_vma(me)
        self._release(me, self.i_file, write=True)
        self._finish(me, call)
        if "pins" not in call.flaws:
            self._do(me, lambda s: self._reuses(s, 0))
        self._begin(me)
        self._do(me, lambda s: self._unlink_pool(s, me, gather=True))
        self._finish(me, call)
        self._frees_pool(me)
        self._or_to(me, lambda _: True, over)
        gone.append(len(self.code[me]))
        self._release(me, self.i_file, write=True)
        self._do(me, lambda s: s.__setitem__(self.pending, s[self.pending] - 1))
        self._set(me, self.gather + me, EMPTY)
        over.append(len(self.code[me]))

    def _reuses(self, s: State, owner: int) -> None:
        if s[self.table] != FREED:
            s[self.table], s[self.owner] = REUSED, owner

    # --- the other process

    def _does_other(self, me: int, what: str) -> None:
        """Write its task; its flushes, its gathers and its own PUD entry are seen by nobody here."""
        over: list[int] = []
        self.spins.append(0)
        if what == "unmaps":
            self._shared(me, self.i_file, write=True)
            alone: list[int] = []
            self._or_to(me, lambda s: s[self.shares] < 2, alone)
            self._do(me, lambda s: s.__setitem__(self.shares, s[self.shares] - 1))
            for cpu in range(self.cpus):
                self._do(me, lambda s, cpu=cpu: None if not s[self.off + cpu] else False)  # type: ignore[misc]
            self._release(me, self.i_file, write=True)
            self._or_to(me, lambda _: True, over)
            alone.append(len(self.code[me]))
            self._release(me, self.i_file, write=True)
        else:
            self._shared(me, self.i_file, write=True)
            shared: list[int] = []
            self._or_to(me, lambda s: s[self.shares] > 1, shared)
            self._release(me, self.i_file, write=True)
            self._do(me, lambda s: self._reuses(s, 1))
            go: list[int] = []
            self._or_to(me, lambda _: True, go)
            shared.append(len(self.code[me]))
            self._release(me, self.i_file, write=True)
            self._or_to(me, lambda _: True, over)
            go.append(len(self.code[me]))

        def frees(s: State) -> None:
            s[self.shares] -= 1
            if self.p.rcu:
                s[self.pool_grace] = sum(1 << c for c in range(self.cpus) if s[self.off + c])
            else:
                s[self.table] = FREED

        self._do(me, frees)
        over.append(len(self.code[me]))


def verdict(program: Small, other: str, most: int = 1 << 30) -> tuple[str, int]:
    """Search a program for a violation by any CPU at any address or at the table; as `search.verdict`."""
    total = 0
    for cpu in range(len(program.threads) + bool(program.user)):
        for atom in range(len(program.pages) + 1):
            found, states = WatchedPool(program, cpu, atom, other).states(most)
            total += states
            if found == "bug":
                return found, total
    return "safe", total
