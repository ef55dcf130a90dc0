"""Small programs on ordinary memory, searched by brute force in plain Python; nothing of the package is used.

Written from what Linux 7.0 does (mm/memory.c, mm/mmu_gather.c, mm/mremap.c, mm/mprotect.c, mm/gup.c, arch/x86/mm/tlb.c,
arch/arm64/include/asm/tlbflush.h) and from the manuals. All orders of single actions are tried: each read or write of
something shared is one, so is each interrupt or broadcast that arrives, each fill of a TLB, each access in user mode.

A violation needs one translation of one address on one CPU, and what a TLB holds changes no action of the kernel. So a
search watches one CPU and one address, and fills no other; a program is searched for each of them. Memory is
sequentially consistent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

State = list[Any]
#: An action: None if it has to wait, else the number of the task's next action.
Action = Callable[[State], "int | None"]

#: Entries that a page table has, and pages from which flushes of the whole address space are cheaper.
TABLE = 512
CEILING = {"x86": 33, "kvm": 33, "arm64": TABLE - 1}
ALL = 1 << 30
#: Calls that take no right to an address.
_KEEPS_ADDRESSES = ("truncate", "reclaim", "mkclean", "khugepaged")
#: A gather: its first page, its end, whether it freed tables, whether it cleared entries that map pages.
_EMPTY = (ALL, 0, False, False)


class FoundError(Exception):
    """A CPU can use what is gone."""


@dataclass(frozen=True)
class Call:
    """One system call of a program.

    Args:
        name: madvise, mprotect, munmap, mremap, truncate, gup, reclaim, mkclean, khugepaged,
            fork, write (an access), widen (an mprotect() that gives a right) or mmap.
        atoms: the numbers of the addresses; for mremap the old one and the new one.
        tables: tables that a munmap() frees.
        flaws: what the kernel gets wrong: `no nested check`, `late flush`, `freed first`, `next page`, `forgotten`,
            `no look at reclaim`, `rmap first` (before 5df397dec7c4), `no sync` (before 2ba99c5e0881),
            `waits for its own` (arm64 before 4b634918384c), `no fork flush`, `no copy flush`, `faults meanwhile`
            (before fb49c455323f), `no sequence` (before 57efa1fe5957). No flaw is `new table`: khugepaged frees the
            table that it has withdrawn after a grace period.
        frame: the page that a `write` maps.
    """

    name: str
    atoms: tuple[int, ...]
    tables: tuple[int, ...] = ()
    flaws: frozenset[str] = frozenset()
    frame: int = -1


@dataclass(frozen=True)
class Small:
    """A small program and the kernel and hardware that run it.

    Args:
        pages: the page number of each address; a table has `TABLE` of them.
        maps: for each address the frame that it maps, or None.
        writable: for each address whether it may be written.
        file: the frame that is also in the page cache.
        threads: the calls of each thread, each on a CPU of its own.
        user: one more CPU that only computes: `""` for none, `runs`, `sleeps` (and
            wakes when the first thread has begun) or `idle` (for ever).
        way: `x86`, `kvm` (an x86 guest whose CPUs the host may preempt at any moment) or `arm64`.
        ranges: the CPU has instructions that flush ranges.
        rcu: page tables are freed after a grace period, else after the flush.
        rechecks: GUP-fast reads the PMD entry again.
        forces: a page of the file that could be written is flushed before its table is unlocked.
    """

    pages: tuple[int, ...]
    maps: tuple[int | None, ...]
    writable: tuple[bool, ...]
    file: int
    threads: tuple[tuple[Call, ...], ...]
    user: str = ""
    way: str = "x86"
    ranges: bool = False
    rcu: bool = True
    rechecks: bool = True
    forces: bool = False

    def table(self, atom: int) -> int:
        """Return the table that has the entry of an address."""
        return self.pages[atom] // TABLE


@dataclass
class Fields:
    """Names for the places of a state."""

    first: State = field(default_factory=list)

    def add(self, value: Any = 0, times: int = 1) -> int:
        """Add some places with a first value; return the first of them."""
        self.first.extend([value] * times)
        return len(self.first) - times


class Watched:
    """The search of a program for a violation by one CPU at one address."""

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
        self.pc, self.req, self.out = add(0, self.cpus), add(None, self.cpus), add(0, self.cpus)
        self.got, self.gather = add(0, self.cpus), add(_EMPTY, self.cpus)
        self.queue, self.snap = add((), self.cpus), add(0, self.cpus)
        self.pmd, self.freed = add(1, tables), add(False, tables)
        self.ptl, self.grace = add(False, tables), add(None, tables)
        self.pte = add(0, len(program.pages))
        self.refs, self.cached = add(0, frames), add(False)
        self.mmap, self.i_mmap = add(0), add(0)
        self.vma, self.pending, self.gen, self.wakes = add(0), add(0), add(0), add(False)
        self.user, self.loaded, self.lazy = add(True, self.cpus), add(True, self.cpus), add(False, self.cpus)
        self.off, self.mask, self.seen = add(False, self.cpus), add(True, self.cpus), add(0, self.cpus)
        self.away, self.told, self.sent = add(False, self.cpus), add(False, self.cpus), add(0, self.cpus)
        self.link, self.tlb = add(False), add(0)
        self.ever, self.taken, self.taken_w = add(0), add(0), add(0)
        self.reclaims = any(call.name == "reclaim" for calls in program.threads for call in calls)
        self.batched, self.looked, self.later = add(0), add(0, self.cpus), add(False, self.cpus)
        self.bits = 0
        self.mapped, self.dirty, self.folio = add(0), add(False), add(0)
        self.forced = add(False, self.cpus)
        self.anon, self.pins = add(0), add(0, len(program.pages))
        self.pinned, self.replaced = add(False, len(program.pages)), add(False, len(program.pages))
        self.d = add(False, len(program.pages))  # read-only entries whose page was written by them
        self.narrow, self.cow = add(False, len(program.pages)), add(False, len(program.pages))
        self.seq, self.saw, self.vmas = add(0), add(0, self.cpus), add(0)
        self.forks = any(call.name == "fork" for calls in program.threads for call in calls)
        self.first = fields.first
        self.first[self.cached] = True
        self.first[self.refs + program.file] = 1
        for n, frame in enumerate(program.maps):
            if frame is not None:
                self.first[self.pte + n] = 2 * (frame + 1) + program.writable[n]
                self.first[self.refs + frame] += 1
                self.first[self.vma] |= 1 << n
                if frame == program.file:
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
        for me, calls in enumerate(program.threads):
            self.code.append([])
            if program.user == "sleeps" and me == 0:
                self._set(me, self.wakes, True)
            for call in calls:
                self._call(me, call)
        if program.user:
            self.code.append([])
            self._user(len(program.threads), program.user)

    # --- the search

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
            if at < len(code) and not old[self.away + me]:
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

    # --- what programs are made of

    def _do(self, me: int, action: Callable[[State], bool | None]) -> None:
        """Add an action that goes on with the next one; it waits while it returns False."""
        after = len(self.code[me]) + 1
        self.code[me].append(lambda s: None if action(s) is False else after)

    def _set(self, me: int, place: int, value: Any) -> None:
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

    # --- flushes

    def _flush(self, me: int, request: Callable[[State], tuple[int, int, bool, bool]]) -> None:
        """Flush a range, and wait.

        Args:
            me: the task.
            request: gives the first page, the end, whether walk caches are meant, and whether each page is: a gather
                that cleared no entries of pages names one address in each table.
        """
        p = self.p

        def begin(s: State) -> None:
            lo, hi, walk, each = request(s)
            stride = 1 if each or hi >= ALL else TABLE
            if p.way == "arm64" and hi < ALL:
                lo, hi = lo // stride * stride, -(-hi // stride) * stride
            if (hi - lo) // stride > CEILING[p.way] and not (p.way == "arm64" and p.ranges and hi < ALL):
                lo, hi = 0, ALL
            if p.way == "arm64" and p.ranges:
                stride = 1  # the instruction names a range, not addresses
            s[self.gen] += p.way != "arm64"
            s[self.sent + me] = (1 << self.cpus) - 1
            s[self.req + me] = (lo, hi, walk, stride, s[self.gen])
            if p.way == "arm64":
                s[self.out + me] = (1 << self.cpus) - 1

        self._do(me, begin)
        self._deliver(me)

    def _deliver(self, me: int) -> None:
        """Let the CPUs of mm_cpumask take a flush that has begun, and wait."""
        p = self.p

        def copy(s: State) -> None:
            s[self.sent + me] = sum(1 << c for c in range(self.cpus) if s[self.mask + c])

        def leave_to_host(cpu: int) -> Callable[[State], None]:
            def action(s: State) -> None:
                if s[self.sent + me] >> cpu & 1 and s[self.away + cpu]:
                    s[self.told + cpu] = True
                    s[self.sent + me] ^= 1 << cpu

            return action

        def consider(cpu: int) -> Callable[[State], None]:
            def action(s: State) -> None:
                walk = s[self.req + me][2]
                in_mask = s[self.sent + me] >> cpu & 1 if p.way == "kvm" else s[self.mask + cpu]
                if in_mask and (walk or (s[self.loaded + cpu] and not s[self.lazy + cpu])):
                    s[self.out + me] |= 1 << cpu

            return action

        def wait(s: State) -> bool | None:
            if s[self.out + me]:
                return False
            s[self.req + me], s[self.sent + me] = None, 0
            return None

        others = [cpu for cpu in range(self.cpus) if cpu != me]
        if p.way == "kvm":  # kvm_flush_tlb_multi()
            self._do(me, copy)
            for cpu in others:
                self._do(me, leave_to_host(cpu))
        if p.way != "arm64":
            for cpu in others:
                self._do(me, consider(cpu))
            self._do(me, lambda s: self._arrives(s, me, *s[self.req + me]))
        self._do(me, wait)

    def _arrives(self, s: State, cpu: int, lo: int, hi: int, walk: bool, stride: int, gen: int) -> None:
        """Take a broadcast, or the interrupt of flush_tlb_func()."""
        page = self.p.pages[self.atom]
        named = lo <= page < hi and (page - lo) % stride == 0
        if self.p.way == "arm64":
            everything = hi >= ALL
            if cpu == self.cpu:
                if everything or named:
                    s[self.tlb] = 0
                slot = self.slot * TABLE
                if everything or (walk and lo < slot + TABLE and hi > slot):
                    s[self.link] = False
            return
        if not s[self.loaded + cpu]:
            s[self.mask + cpu] = False
            return
        if s[self.lazy + cpu]:  # to init_mm; what it holds stays under the PCID
            s[self.loaded + cpu], s[self.lazy + cpu] = False, False
            return
        if gen <= s[self.seen + cpu]:
            return
        partial = hi < ALL and gen == s[self.seen + cpu] + 1 == s[self.gen]
        s[self.seen + cpu] = s[self.gen]
        if cpu == self.cpu:
            s[self.link] = False  # INVLPG drops all paging-structure caches
            if not partial or named:
                s[self.tlb] = 0

    # --- gathers

    def _begin(self, me: int) -> None:
        def action(s: State) -> None:
            s[self.pending] += 1
            s[self.gather + me] = _EMPTY

        self._do(me, action)

    def _add(self, s: State, me: int, lo: int, hi: int, *, table: bool = False) -> None:
        first, end, tables, pages = s[self.gather + me]
        s[self.gather + me] = (min(first, lo), max(end, hi), tables or table, pages or not table)

    def _flush_gather(self, me: int) -> None:
        """tlb_flush_mmu_tlbonly()."""
        ends: list[int] = []
        self._or_to(me, lambda s: s[self.gather + me] == _EMPTY, ends)
        self._flush(me, lambda s: s[self.gather + me])
        self._set(me, self.gather + me, _EMPTY)
        ends.append(len(self.code[me]))

    def _end_vma(self, me: int) -> None:
        if self.p.way == "arm64":  # x86 merges VMAs
            self._flush_gather(me)

    def _finish(self, me: int, call: Call, tables: tuple[int, ...] = ()) -> None:
        def nested(s: State) -> None:
            if s[self.pending] > 1:
                s[self.gather + me] = (0, ALL, True, True)

        def pages(s: State) -> None:
            self._free(s, s[self.queue + me])
            s[self.queue + me] = ()

        def freed(table: int) -> Callable[[State], None]:
            def action(s: State) -> None:
                if self.p.rcu:
                    s[self.grace + table] = sum(1 << c for c in range(self.cpus) if s[self.off + c])
                else:
                    s[self.freed + table] = True

            return action

        if "freed first" in call.flaws:
            self._do(me, pages)
        if "no nested check" not in call.flaws:
            self._do(me, nested)
        self._flush_gather(me)
        for table in tables:
            self._do(me, freed(table))
        self._do(me, pages)
        self._do(me, lambda s: s.__setitem__(self.pending, s[self.pending] - 1))

    # --- page tables

    def _lock_table(self, me: int, table: int, ends: list[int]) -> None:
        """pte_offset_map_lock(): the PMD entry is read again under the lock, so both are one action."""

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

    # --- calls

    def _call(self, me: int, call: Call) -> None:
        self._set(me, self.user + me, False)
        getattr(self, f"_{call.name}")(me, call)

        def back(s: State) -> None:
            which = self.taken_w if call.name in ("mprotect", "fork") else self.taken
            if (
                call.name not in _KEEPS_ADDRESSES
            ):  # the right of truncation is the page, wherever it is mapped
                s[which] |= s[self.snap + me]
            s[self.snap + me] = s[self.got + me] = 0
            s[self.gather + me] = _EMPTY
            s[self.user + me] = True

        self._do(me, back)

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
            self._do(me, self._unlink(me, table))
        self._finish(me, call, call.tables)
        self._release(me, self.mmap, write=False)

    def _excludes_all(self, me: int, call: Call) -> None:
        """mmap_write_lock(), and the locks of the VMAs: faults that take no mmap_lock are over."""
        self._shared(me, self.mmap, write=True)
        if "faults meanwhile" in call.flaws:
            self._shared(me, self.vmas, write=True)
            self._release(me, self.vmas, write=True)

    def _unlink(self, me: int, table: int) -> Callable[[State], None]:
        def action(s: State) -> None:
            s[self.pmd + table] = 0
            self._add(s, me, table * TABLE, table * TABLE + 1, table=True)

        return action

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

    def _rights(self, s: State, call: Call, *, narrow: bool) -> None:
        for n in call.atoms:
            s[self.narrow + n] = narrow

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
            self._or_to(me, lambda s, n=n: s[self.pins + n] > 0, none)  # type: ignore[misc]
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
            s[self.pte + n] &= ~1
            s[self.cow + n] = True

        return action

    def _has_shared(self, n: int) -> Callable[[State], None]:
        def action(s: State) -> None:
            s[self.replaced + n] = True
            if s[self.pinned + n]:
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
            if value & 1 or s[self.narrow + n]:
                return True
            if value and s[self.cow + n] and s[self.refs + frame] > 1:
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

    def _is_its_own(self, s: State, n: int, value: int, *, new: bool) -> None:
        """Map a page that nobody shares."""
        s[self.pte + n], s[self.cow + n], s[self.replaced + n] = value | 1, False, False
        if new:
            s[self.refs + value // 2 - 1] = 1
            if n == self.atom:
                s[self.ever] |= 1 << value // 2 - 1

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
            s[self.d + n] |= bool(self.p.forces and s[self.got + me] & 1)
            if s[self.got + me] & 1 and "forgotten" not in call.flaws:
                self._add(s, me, self.p.pages[n], self.p.pages[n] + 1)
            s[self.got + me] = 0

        return action

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
            return not s[self.got + me] or bool(self.forks and not s[self.got + me] & 1)

        def begins(s: State) -> bool:
            s[self.saw + me] = s[self.seq]
            return bool(s[self.seq] & 1)

        def get(s: State) -> bool:
            at = self.refs + s[self.got + me] // 2 - 1
            if not s[at]:
                return True
            s[at] += 1
            s[self.pins + n] += 1
            return False

        def pins(s: State) -> bool:
            s[self.pinned + n] = True
            if s[self.replaced + n]:
                raise FoundError("GUP-fast returns a page that was replaced")
            return True

        def lets_go(s: State) -> None:
            s[self.pins + n] -= 1
            self._free(s, [s[self.got + me] // 2 - 1])

        def same(s: State) -> bool:
            return read(s) != s[self.got + me]

        self._set(me, self.off + me, True)
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
            s[self.off + me] = False
            for t in range(self.freed - self.pmd):
                if s[self.grace + t]:
                    s[self.grace + t] &= ~(1 << me)

        self._do(me, leave)

    # --- reclaim

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
            if file and not frames and s[self.cached]:  # what is mapped here is dirty, and stays
                s[self.cached] = False
                frames = [self.p.file]
            self._free(s, frames)

        self._do(me, lets_go)

    # --- khugepaged

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
        self._or_to(me, lambda s: any(s[self.pins + n] for n in call.atoms), back)
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

    def _take_ptl(self, me: int, table: int) -> None:
        def action(s: State) -> bool | None:
            if s[self.ptl + table]:
                return False
            s[self.ptl + table] = True
            return None

        self._do(me, action)

    def _replaces(self, n: int) -> Callable[[State], None]:
        def action(s: State) -> None:
            value, s[self.pte + n] = s[self.pte + n], 0
            if value:
                s[self.replaced + n] = True
                if s[self.pinned + n]:
                    raise FoundError("a page that GUP-fast returned is replaced")
                self._free(s, [value // 2 - 1])

        return action

    def _alone(self, s: State, me: int) -> bool:
        return not any(s[self.mask + c] for c in range(self.cpus) if c != me)

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

    # --- a CPU that computes

    def _user(self, me: int, what: str) -> None:
        if what == "runs":
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
