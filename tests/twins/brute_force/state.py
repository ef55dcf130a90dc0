"""The state of a search, and what programs are made of: actions, locks, references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twins.brute_force.program import EMPTY, TABLE, Action, Fields, Small, State


class Machine:
    """What one CPU may do at one address, and the state that programs act on."""

    def __init__(self, program: Small, cpu: int, atom: int) -> None:
        self.p = program
        self.cpu, self.atom = cpu, atom
        self.slot = program.table(atom)
        self.cpus = len(program.threads) + bool(program.user)
        tables = 1 + max(n // TABLE for n in program.pages)
        frames = 1 + max([f for f in program.maps if f is not None], default=0)
        frames = max(frames, program.file + 1)
        frames = max([frames, *(call.frame + 1 for calls in program.threads for call in calls)])
        fields = Fields()
        add = fields.add
        self.home, self.gone = add(0, self.cpus), add(False, self.cpus)
        #: For each task: where it waits and may be preempted, and how many page-table locks it holds there.
        self.waits: list[set[int]] = [set() for _ in range(self.cpus)]
        self.spins = [0] * self.cpus
        self.pc, self.req, self.out = add(0, self.cpus), add(None, self.cpus), add(0, self.cpus)
        self.got, self.gather = add(0, self.cpus), add(EMPTY, self.cpus)
        self.queue, self.snap = add((), self.cpus), add(0, self.cpus)
        self.pmd, self.freed = add(1, tables), add(False, tables)
        self.ptl, self.grace = add(False, tables), add(None, tables)
        self.torn_off, self.killed, self.left = add(0, self.cpus), add(False), add(0)
        self.pte = add(0, len(program.pages))
        self.refs, self.cached = add(0, frames), add(False)
        self.mmap, self.i_mmap = add(0), add(0)
        self.vma, self.pending, self.gen, self.wakes = add(0), add(0), add(0), add(False)
        self.user, self.loaded, self.lazy = add(True, self.cpus), add(True, self.cpus), add(False, self.cpus)
        self.off, self.mask, self.seen = add(False, self.cpus), add(True, self.cpus), add(0, self.cpus)
        self.away, self.told, self.sent = add(False, self.cpus), add(False, self.cpus), add(0, self.cpus)
        self.link, self.tlb = add(False), add(0)
        self.ever, self.taken, self.taken_w = add(0), add(0), add(0)
        self.reclaims = any(
            call.name in ("reclaim", "pageout", "migrate") for calls in program.threads for call in calls
        )
        self.batched, self.looked, self.later = add(0), add(0, self.cpus), add(False, self.cpus)
        self.bits = 0
        self.mapped, self.dirty, self.folio = add(0), add(False), add(0)
        self.forced = add(False, self.cpus)
        self.anon, self.pins = add(0), add(0, len(program.pages))
        self.pinned, self.replaced = add(False, len(program.pages)), add(False, len(program.pages))
        self.d = add(False, len(program.pages))  # read-only entries whose page was written by them
        self.narrow, self.cow = add(False, len(program.pages)), add(False, len(program.pages))
        self.protected = add(False, len(program.pages))
        self.clean = add(
            False, len(program.pages)
        )  # entries that may be written, and hardware walks before it does
        self.seq, self.saw, self.vmas = add(0), add(0, self.cpus), add(0)
        #: By address, the one whose page mremap() moves there: what is known of a page goes with it.
        self.whose = list(range(len(program.pages)))
        for calls in program.threads:
            for call in calls:
                if call.name == "mremap":
                    self.whose[call.atoms[1]] = call.atoms[0]
        #: References of children that fork() has made; of the page that a call looks at there are some.
        self.kids, self.others = add(0, frames), add(False, self.cpus)
        self.forks = any(call.name == "fork" for calls in program.threads for call in calls)
        self.first = fields.first
        self.first[self.home : self.home + self.cpus] = list(range(self.cpus))
        if program.user == "lazy":
            self.first[self.user + self.cpus - 1] = False
            self.first[self.lazy + self.cpus - 1] = program.way != "arm64"
        self.first[self.cached] = True
        self.first[self.refs + program.file] = 1
        for n, frame in enumerate(program.maps):
            if frame is not None:
                self.first[self.pte + n] = 2 * (frame + 1) + program.writable[n]
                self.first[self.refs + frame] += 1
                self.first[self.vma] |= 1 << n
                if frame == program.file:
                    self.first[self.cow + n] = program.private
                    self.first[self.mapped] += 1
                    self.first[self.dirty] |= program.writable[n]
        if program.maps[atom] is not None:
            self.first[self.ever] = 1 << program.maps[atom]
        # What another CPU does is only delayed, unless a flush does not wait for its GUP-fast.
        walkers = {
            me for me, calls in enumerate(program.threads) if any(call.name == "gup" for call in calls)
        }
        self.preempted = sorted({cpu} | walkers)
        self.code: list[list[Action]] = []

    def span(self) -> tuple[int, int]:
        """Return the pages of the table whose link is watched: the first one, and the end."""
        return self.slot * TABLE, (self.slot + 1) * TABLE

    def _do(self, me: int, action: Callable[[State], bool | None]) -> None:
        """Add an action that goes on with the next one; it waits while it returns False."""
        after = len(self.code[me]) + 1
        self.code[me].append(lambda s: None if action(s) is False else after)

    def _set_here(self, me: int, places: int, value: Any) -> None:
        """Set what belongs to the CPU that the task is on."""
        self._do(me, lambda s: s.__setitem__(places + s[self.home + me], value))

    def _set(self, me: int, place: int, value: Any) -> None:
        self.spins[me] -= self.ptl <= place < self.grace

        def action(s: State) -> None:
            s[place] = value

        self._do(me, action)

    def _or_to(self, me: int, test: Callable[[State], bool | None], ends: list[int]) -> None:
        """Add an action that leaves for `ends` (filled in later) where `test` is true; it waits for None."""
        after = len(self.code[me]) + 1

        def action(s: State) -> int | None:
            leaves = test(s)
            return None if leaves is None else ends[0] if leaves else after

        self.code[me].append(action)

    def _shared(self, me: int, place: int, *, write: bool) -> None:
        """Take a lock that readers share; -1 is a writer."""

        def action(s: State) -> bool | None:
            if s[place] < 0 or (write and s[place]):
                return False
            s[place] += -1 if write else 1
            return None

        self._do(me, action)

    def _release(self, me: int, place: int, *, write: bool) -> None:
        self._do(me, lambda s: s.__setitem__(place, s[place] + (1 if write else -1)))

    def _free(self, s: State, frames: Sequence[int]) -> None:
        for frame in frames:
            s[self.refs + frame] -= 1

    def _occupants(self, s: State, me: int, atom: int) -> None:
        """Note, under the lock, whose right a call takes: all that the address ever mapped until now."""
        if atom == self.atom:
            s[self.snap + me] |= s[self.ever]

    def _alone(self, s: State, me: int) -> bool:
        return not any(s[self.mask + c] for c in range(self.cpus) if c != me)

    def _take_ptl(self, me: int, table: int) -> None:
        self.spins[me] += 1

        def action(s: State) -> bool | None:
            if s[self.ptl + table]:
                return False
            s[self.ptl + table] = True
            return None

        self._do(me, action)
