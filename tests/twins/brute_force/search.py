"""The search: all orders of what tasks, flushes and the hardware do."""

from __future__ import annotations

from collections import deque
from typing import Any

from twins.brute_force.daemons import Daemons
from twins.brute_force.endings import Endings
from twins.brute_force.files import Files
from twins.brute_force.forks import Forks
from twins.brute_force.gup import Gup
from twins.brute_force.mappings import Mappings
from twins.brute_force.program import EMPTY, KEEPS_ADDRESSES, Call, FoundError, Small, State


class Watched(Mappings, Forks, Files, Gup, Daemons, Endings):
    """The search of a program for a violation by one CPU at one address."""

    def __init__(self, program: Small, cpu: int, atom: int) -> None:
        super().__init__(program, cpu, atom)
        exits = any(call.name == "exit" for calls in program.threads for call in calls)
        for me, calls in enumerate(program.threads):
            self.code.append([])
            if program.user == "sleeps" and me == 0:
                self._set(me, self.wakes, True)
            for call in calls:
                self._call(me, call)
            if exits and not any(call.name == "exit" for call in calls):
                self._killed(me)
        if program.user:
            self.code.append([])
            self._user(len(program.threads), program.user)
            if exits and program.user == "runs":
                self._killed(len(program.threads))

    def states(self, most: int = 1 << 30) -> tuple[str, int]:
        """Search breadth-first; return `bug` or `safe`, and the number of states."""
        first = tuple(self.first)
        seen, queue = {first}, deque([first])
        try:
            while queue:
                for new in self._next(queue.popleft()):
                    if new not in seen:
                        seen.add(new)
                        queue.append(new)
                if len(seen) > most:
                    raise OverflowError(f"more than {most} states")
        except FoundError:
            return "bug", len(seen)
        return "safe", len(seen)

    def _next(self, old: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        found = []
        for me, code in enumerate(self.code):
            at = old[self.pc + me]
            if self.p.preempts:
                found += self._scheduled(old, me)
            if at < len(code) and not old[self.away + old[self.home + me]] and not old[self.gone + me]:
                s = list(old)
                then = code[at](s)
                if then is not None:
                    s[self.pc + me] = then
                    found.append(tuple(s))
            waiting = old[self.out + me]
            for cpu in range(self.cpus):
                held_off = self.p.way != "arm64" and (old[self.off + cpu] or old[self.away + cpu])
                if waiting >> cpu & 1 and not held_off:
                    s = list(old)
                    s[self.out + me] ^= 1 << cpu
                    self._arrives(s, cpu, *s[self.req + me])
                    found.append(tuple(s))
        for table in {self.p.table(n) for n in range(len(self.p.pages))}:
            if old[self.grace + table] == 0:
                s = list(old)
                s[self.grace + table], s[self.freed + table] = None, True
                found.append(tuple(s))
        if self.p.way == "kvm":
            found += [self._host(old, cpu) for cpu in self.preempted]
        if not old[self.away + self.cpu]:
            self._hardware(old, found)
        return found

    def _scheduled(self, old: tuple[Any, ...], me: int) -> list[tuple[Any, ...]]:
        """Preempt a task that waits, let its CPU do something else, or let it go on anywhere."""
        if old[self.pc + me] not in self.waits[me]:
            return []
        found, gone, cpu = [], old[self.gone + me], old[self.home + me]
        if old[self.out + me] and (not gone or self._is_free(old, cpu)):
            for runs in (False, True) if len(self.p.threads) + (self.p.user == "runs") > 1 else (False,):
                s = list(old)
                s[self.gone + me], s[self.user + cpu] = True, runs
                if runs:
                    self._switch(s, cpu)
                else:
                    s[self.lazy + cpu] = s[self.loaded + cpu]
                found.append(tuple(s))
        for cpu in range(self.cpus):
            if gone and self._is_free(old, cpu):
                s = list(old)
                s[self.gone + me], s[self.home + me], s[self.user + cpu] = False, cpu, False
                self._switch(s, cpu)
                found.append(tuple(s))
        return found

    def _is_free(self, s: tuple[Any, ...], cpu: int) -> bool:
        """Whether a CPU runs no task of the program."""
        for task in range(self.cpus):
            idle = task == len(self.p.threads) and self.p.user == "idle" and s[self.pc + task] > 0
            if s[self.home + task] == cpu and not s[self.gone + task] and not idle:
                return False
        return True

    def _switch(self, s: State, cpu: int) -> None:
        """switch_mm_irqs_off(): from thread to thread of one mm nothing is looked at."""
        looks = s[self.lazy + cpu] or not s[self.loaded + cpu]
        s[self.lazy + cpu], s[self.loaded + cpu], s[self.mask + cpu] = False, True, True
        if looks and s[self.seen + cpu] != s[self.gen]:
            s[self.seen + cpu] = s[self.gen]
            if cpu == self.cpu:
                s[self.link], s[self.tlb] = False, 0

    def _host(self, old: tuple[Any, ...], cpu: int) -> tuple[Any, ...]:
        """Preempt a CPU, or let it run again, after a flush of all that was asked for meanwhile."""
        s = list(old)
        if s[self.told + cpu] and cpu == self.cpu:
            s[self.link], s[self.tlb] = False, 0
        s[self.away + cpu], s[self.told + cpu] = not s[self.away + cpu], False
        return tuple(s)

    def _hardware(self, old: tuple[Any, ...], found: list[tuple[Any, ...]]) -> None:
        """Let the watched CPU fill its walk cache or its TLB, or use what it holds."""
        held = old[self.tlb]
        if held and old[self.user + self.cpu]:
            frame = held // 2 - 1
            if old[self.refs + frame] == 0:
                raise FoundError("a freed page is used")
            if old[self.taken] >> frame & 1:
                raise FoundError("a right that was taken away is used")
            if held & 1 and old[self.taken_w] >> frame & 1:
                raise FoundError("a page is written that was made read-only")
        if not old[self.loaded + self.cpu]:
            return
        if old[self.link]:
            if old[self.freed + self.slot]:
                raise FoundError("a walker reads a freed table")
            value = old[self.pte + self.atom]
            if value and not held:
                s = list(old)
                s[self.tlb] = value
                found.append(tuple(s))
        elif old[self.pmd + self.slot]:
            s = list(old)
            s[self.link] = True
            found.append(tuple(s))

    def _call(self, me: int, call: Call) -> None:
        self._set_here(me, self.user, False)
        getattr(self, f"_{call.name}")(me, call)

        def back(s: State) -> None:
            which = (
                self.taken_w if call.name in ("mprotect", "writeprotect", "fork", "lazyfree") else self.taken
            )
            if call.name not in KEEPS_ADDRESSES:  # the right of truncation is the page, wherever it is mapped
                s[which] |= s[self.snap + me]
            s[self.snap + me] = s[self.got + me] = 0
            s[self.gather + me] = EMPTY
            s[self.user + s[self.home + me]] = True

        self._do(me, back)

    def _user(self, me: int, what: str) -> None:
        if what in ("runs", "lazy"):
            return
        if self.p.way == "arm64":  # cpu_switch_mm() to the reserved table

            def idle(s: State) -> None:
                s[self.user + me] = s[self.loaded + me] = False

        else:

            def idle(s: State) -> None:
                s[self.user + me], s[self.lazy + me] = False, True

        if what == "idle":
            self._do(me, idle)
            return
        awake: list[int] = []
        self._or_to(me, lambda s: s[self.wakes], awake)
        self._do(me, idle)
        self._do(me, lambda s: s[self.wakes])
        if self.p.way == "arm64":
            self._set(me, self.loaded + me, True)
        else:
            self._wake(me)
        self._set(me, self.user + me, True)
        awake.append(len(self.code[me]))

    def _wake(self, me: int) -> None:
        """switch_mm_irqs_off() on x86."""

        def begin(s: State) -> None:
            s[self.off + me], s[self.lazy + me] = True, False
            if not s[self.loaded + me]:
                s[self.mask + me] = True

        def catch_up(s: State) -> None:
            if s[self.seen + me] != s[self.gen]:
                s[self.seen + me] = s[self.gen]
                if me == self.cpu:
                    s[self.link], s[self.tlb] = False, 0
            s[self.loaded + me] = True
            s[self.off + me] = False

        self._do(me, begin)
        self._do(me, catch_up)


def verdict(program: Small, most: int = 1 << 30) -> tuple[str, int]:
    """Search a program for a violation by any CPU at any address; return `bug` or `safe`, and the states in all."""
    total = 0
    for cpu in range(len(program.threads) + bool(program.user)):
        for atom in range(len(program.pages)):
            found, states = Watched(program, cpu, atom).states(most)
            total += states
            if found == "bug":
                return found, total
    return "safe", total
