"""Small programs on one transparent huge page, searched by brute force; nothing of the package is used.

Written from mm/huge_memory.c, mm/memory.c, mm/mprotect.c and mm/gup.c of Linux 7.0; the flushes, gathers, locks and
the search beside it are used. The PMD entry is 0, 1 (a page table) or a huge entry: its frame, whether it
may be written, and whether it is present. The addresses of a program are parts of the one huge page. Tables deposited
with a huge entry were never reached by anybody here, so that their lives don't matter; khugepaged is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from twins.brute_force.program import ALL, TABLE, Call, FoundError, Small, State
from twins.brute_force.search import Watched


def _is_huge(entry: Any) -> bool:
    return isinstance(entry, tuple)


class WatchedHuge(Watched):
    """The search of a program for a violation by one CPU at one address.

    `Small.maps` has the frame of the huge page for each address. A `write` maps the huge page `Call.frame` where
    nothing is mapped, and the base page `Call.frame + 1` where a page table is there. Flaws of `Call` besides those of
    `program`: `split unflushed`, `changed untold`, `huge untold`.
    """

    def __init__(self, program: Small, cpu: int, atom: int) -> None:
        written = [call.frame + 1 for calls in program.threads for call in calls]
        top = max([program.file, *written])
        self._whole = program.maps[0]
        super().__init__(replace(program, maps=tuple(None for _ in program.maps), file=top + 1), cpu, atom)
        first = self.first
        if self._whole is not None:
            first[self.pmd] = (self._whole, True, True)
            first[self.refs + self._whole] = 1
            first[self.vma] = (1 << len(program.pages)) - 1
            first[self.ever] = 1 << self._whole
        else:
            first[self.pmd] = 0

    def _more(self) -> None:
        """Add the places of huge entries before the programs are written."""
        if not hasattr(self, "big"):
            self.big, self.cow_h = len(self.first), len(self.first) + 1
            self.pl, self.pins_h = len(self.first) + 2, len(self.first) + 3
            self.pinned_h, self.replaced_h = len(self.first) + 4, len(self.first) + 5
            self.first.extend([0, False, False, 0, False, False])

    def _call(self, me: int, call: Call) -> None:
        self._more()
        super()._call(me, call)

    # --- hardware

    def _hardware(self, old: tuple[Any, ...], found: list[tuple[Any, ...]]) -> None:
        big = old[self.big]
        if big and old[self.user + self.cpu]:
            frame, writes = big
            if old[self.refs + frame] == 0:
                raise FoundError("a freed huge page is used")
            if old[self.taken] >> frame & 1:
                raise FoundError("a right to a part of a huge page that was taken away is used")
            if writes and old[self.taken_w] >> frame & 1:
                raise FoundError("a huge page is written that was made read-only")
        entry = old[self.pmd]
        if _is_huge(entry):
            s = list(old)
            s[self.pmd] = 0
            super()._hardware(tuple(s), [])  # what it may use
            if old[self.loaded + self.cpu]:
                value = old[self.pte + self.atom]
                if old[self.link] and value and not old[self.tlb]:
                    s = list(old)
                    s[self.tlb] = value
                    found.append(tuple(s))
                if entry[2] and not big:
                    s = list(old)
                    s[self.big] = entry[:2]
                    found.append(tuple(s))
            return
        super()._hardware(old, found)

    def _arrives(self, s: State, cpu: int, lo: int, hi: int, walk: bool, stride: int, gen: int) -> None:
        if cpu != self.cpu:
            super()._arrives(s, cpu, lo, hi, walk, stride, gen)
            return
        before = s[self.tlb]
        s[self.tlb] = -1  # does it drop all that it can?
        was = s[self.link], s[self.seen + cpu]
        s[self.link] = True
        super()._arrives(s, cpu, lo, hi, walk, stride, gen)
        drops_page = s[self.tlb] == 0
        s[self.tlb] = 0 if drops_page else before
        reached = (s[self.seen + cpu] != was[1]) if self.p.way != "arm64" else True
        if not was[0]:
            s[self.link] = False
        if drops_page or (reached and lo < min(hi, TABLE)):
            s[self.big] = 0

    # --- locks

    def _take_pl(self, me: int) -> None:
        def action(s: State) -> bool | None:
            if s[self.pl]:
                return False
            s[self.pl] = True
            return None

        self._do(me, action)

    def _drop_pl(self, me: int) -> None:
        self._set(me, self.pl, False)

    def _lock_table(self, me: int, table: int, ends: list[int]) -> None:
        def action(s: State) -> bool | None:
            if s[self.pmd] != 1:
                return True
            if s[self.ptl + table]:
                return None
            s[self.ptl + table] = True
            return False

        self._or_to(me, action, ends)

    def _add_huge(self, s: State, me: int) -> None:
        first, end, tables, pages = s[self.gather + me]
        s[self.gather + me] = (min(first, 0), max(end, TABLE), tables, pages)

    def _flush_pmd(self, me: int) -> None:
        """flush_pmd_tlb_range(): flush_tlb_range() on x86; one stride of a huge page, walk caches too, on arm64."""
        arm64 = self.p.way == "arm64"
        self._flush(me, lambda _: (0, TABLE, arm64, not arm64))

    # --- splitting

    def _split(self, me: int, call: Call) -> None:
        """__split_huge_pmd()."""
        out: list[int] = []
        self._take_pl(me)
        self._or_to(me, lambda s: not _is_huge(s[self.pmd]), out)

        def invalidates(s: State) -> None:
            frame, writes, _ = s[self.pmd]
            s[self.got + me] = 2 * (frame + 1) + writes
            s[self.pmd] = (frame, writes, False)
            for n in range(len(self.p.pages)):
                s[self.cow + n], s[self.replaced + n] = s[self.cow_h], s[self.replaced_h]

        def fills(s: State) -> None:
            value, s[self.got + me] = s[self.got + me], 0
            s[self.refs + value // 2 - 1] += len(self.p.pages) - 1
            for n in range(len(self.p.pages)):
                s[self.pte + n] = value
            s[self.pmd] = 1

        self._do(me, invalidates)
        if "split unflushed" not in call.flaws:
            self._flush_pmd(me)
        self._do(me, fills)
        out.append(len(self.code[me]))
        self._drop_pl(me)

    def _split_if_huge(self, me: int, call: Call) -> None:
        no: list[int] = []
        self._or_to(me, lambda s: not _is_huge(s[self.pmd]), no)
        self._split(me, call)
        no.append(len(self.code[me]))

    def _is_whole(self, call: Call) -> bool:
        return len(call.atoms) == len(self.p.pages)

    # --- calls

    def _zap(self, me: int, call: Call, atoms: Sequence[int], *, checks_vma: bool) -> None:
        """zap_pmd_range()."""
        done: list[int] = []
        if self._is_whole(call):
            no: list[int] = []
            other: list[int] = []
            self._or_to(me, lambda s: not _is_huge(s[self.pmd]), no)
            self._take_pl(me)
            self._or_to(me, lambda s: not _is_huge(s[self.pmd]), other)

            def clears(s: State) -> None:
                for n in range(len(self.p.pages)):
                    self._occupants(s, me, n)
                s[self.queue + me] = tuple(sorted((*s[self.queue + me], s[self.pmd][0])))
                s[self.pmd] = 0
                if "huge untold" not in call.flaws:
                    self._add_huge(s, me)
                s[self.pl] = False

            self._do(me, clears)
            self._or_to(me, lambda _: True, done)
            other.append(len(self.code[me]))
            self._drop_pl(me)
            no.append(len(self.code[me]))
        else:
            self._split_if_huge(me, call)
        super()._zap(me, call, atoms, checks_vma=checks_vma)
        done.append(len(self.code[me]))

    def _munmap(self, me: int, call: Call) -> None:
        gone = sum(1 << n for n in call.atoms)

        def detach(s: State) -> None:
            s[self.vma] &= ~gone

        def unlink(s: State) -> None:
            if s[self.pmd] == 1 and not s[self.vma]:
                s[self.pmd] = 0
                self._add(s, me, 0, 1, table=True)
                s[self.got + me] = -1

        def freed(s: State) -> None:
            if s[self.got + me]:
                s[self.grace] = sum(1 << c for c in range(self.cpus) if s[self.off + c])
                s[self.got + me] = 0

        self._shared(me, self.mmap, write=True)
        if not self._is_whole(call):
            self._split_if_huge(me, call)
        self._do(me, detach)
        self._begin(me)
        self._zap(me, call, call.atoms, checks_vma=False)
        self._end_vma(me)
        self._do(me, unlink)
        self._finish(me, call)
        self._do(me, freed)
        self._release(me, self.mmap, write=True)

    def _mprotect(self, me: int, call: Call) -> None:
        self._changes(me, call, narrow=True)

    def _widen(self, me: int, call: Call) -> None:
        self._changes(me, call, narrow=False)

    def _reclaim(self, me: int, call: Call) -> None:
        """shrink_folio_list(): the huge page is split, and each part is a page of its own."""
        self._split_if_huge(me, call)
        for n in call.atoms:
            super()._reclaim(me, replace(call, atoms=(n,)))

    def _lazyfree(self, me: int, call: Call) -> None:
        """madvise_free_pte_range(): a write by a clean entry walks again, as by one that is not writable."""
        self._changes(me, call, narrow=True, frees=True)

    def _changes(self, me: int, call: Call, *, narrow: bool, frees: bool = False) -> None:
        """change_pmd_range(), or what MADV_FREE does to entries, which is no change of the VMA."""
        self._shared(me, self.mmap, write=not frees)
        if not frees:
            self._do(me, lambda s: self._rights(s, call, narrow=narrow))
        if not self._is_whole(call):
            self._split_if_huge(me, call)
        self._begin(me)
        done: list[int] = []
        if self._is_whole(call):
            no: list[int] = []
            other: list[int] = []
            self._or_to(me, lambda s: not _is_huge(s[self.pmd]), no)
            self._take_pl(me)
            self._or_to(me, lambda s: not _is_huge(s[self.pmd]), other)

            def invalidates(s: State) -> None:
                frame, writes, _ = s[self.pmd]
                if narrow:
                    for n in range(len(self.p.pages)):
                        self._occupants(s, me, n)
                s[self.pmd] = (frame, writes, False)

            def sets(s: State) -> None:
                frame, writes, _ = s[self.pmd]
                s[self.pmd] = (frame, writes and not narrow, True)
                if ("huge untold" if frees else "changed untold") not in call.flaws:
                    self._add_huge(s, me)

            self._do(me, invalidates)
            if self.p.way == "arm64" or (
                frees and "split unflushed" not in call.flaws
            ):  # x86 has a pmdp_invalidate_ad() that does not flush
                self._flush_pmd(me)
            self._do(me, sets)
            self._drop_pl(me)
            self._or_to(me, lambda _: True, done)
            other.append(len(self.code[me]))
            self._drop_pl(me)
            no.append(len(self.code[me]))
        for n in call.atoms:
            ends: list[int] = []
            skip: list[int] = []
            self._lock_table(me, 0, ends)
            self._look_at_reclaim(me, call)
            self._or_to(me, self._takes_entry(me, n, narrow), skip)
            self._do(me, self._puts_entry(me, n, narrow))
            skip.append(len(self.code[me]))
            self._set(me, self.ptl, False)
            ends.append(len(self.code[me]))
        done.append(len(self.code[me]))
        self._end_vma(me)
        self._finish(me, call)
        self._release(me, self.mmap, write=not frees)

    def _takes_entry(self, me: int, n: int, narrow: bool) -> Callable[[State], bool]:
        def action(s: State) -> bool:
            if narrow:
                self._occupants(s, me, n)
            s[self.got + me], s[self.pte + n] = s[self.pte + n], 0
            return not s[self.got + me]

        return action

    def _puts_entry(self, me: int, n: int, narrow: bool) -> Callable[[State], None]:
        def action(s: State) -> None:
            s[self.pte + n] = s[self.got + me] & ~1 if narrow else s[self.got + me]
            s[self.got + me] = 0
            self._add(s, me, self.p.pages[n], self.p.pages[n] + 1)

        return action

    def _write(self, me: int, call: Call) -> None:
        """An access that writes to one address: __handle_mm_fault() down to the PMD entry."""
        (n,) = call.atoms
        table: list[int] = []
        out: list[int] = []
        huge: list[int] = []
        small: list[int] = []
        every = (1 << len(self.p.pages)) - 1
        self._shared(me, self.mmap, write=False)
        self._or_to(me, lambda s: not s[self.vma] >> n & 1, out)
        self._or_to(me, lambda s: s[self.pmd] == 1, table)
        self._or_to(me, lambda s: _is_huge(s[self.pmd]), huge)
        self._or_to(me, lambda s: s[self.vma] != every, small)
        self._take_pl(me)

        def maps(s: State) -> None:
            if s[self.pmd] == 0:
                s[self.pmd] = (call.frame, True, True)
                s[self.refs + call.frame] = 1
                s[self.cow_h], s[self.replaced_h] = False, False
                s[self.ever] |= 1 << call.frame
            s[self.pl] = False

        self._do(me, maps)
        self._or_to(me, lambda _: True, out)
        huge.append(len(self.code[me]))
        self._take_pl(me)
        over: list[int] = []
        falls: list[int] = []

        def protected(s: State) -> bool:
            return not _is_huge(s[self.pmd]) or s[self.pmd][1] or bool(s[self.narrow + n])

        def shared(s: State) -> bool:
            frame = s[self.pmd][0]
            if s[self.cow_h] and s[self.refs + frame] > 1:
                return True
            for other in range(self.cpus):
                s[self.snap + other] &= ~(1 << frame)
            s[self.taken_w] &= ~(1 << frame)
            s[self.pmd] = (frame, True, True)
            s[self.cow_h], s[self.replaced_h] = False, False
            return False

        self._or_to(me, protected, over)
        self._or_to(me, shared, falls)
        over.append(len(self.code[me]))
        self._drop_pl(me)
        self._or_to(me, lambda _: True, out)
        falls.append(len(self.code[me]))
        self._drop_pl(me)
        self._split(me, call)
        self._or_to(me, lambda _: True, table)
        small.append(len(self.code[me]))
        self._take_pl(me)

        def links(s: State) -> None:
            if s[self.pmd] == 0:
                s[self.pmd] = 1
            s[self.pl] = False

        self._do(me, links)
        table.append(len(self.code[me]))
        super()._write(me, replace(call, frame=call.frame + 1))
        out.append(len(self.code[me]))
        self._release(me, self.mmap, write=False)

    def _fork(self, me: int, call: Call) -> None:
        """dup_mmap() with copy_huge_pmd(); the child does nothing with what it gets."""
        self._shared(me, self.mmap, write=True)
        if "no sequence" not in call.flaws:
            self._do(me, lambda s: s.__setitem__(self.seq, s[self.seq] + 1))
        copied: list[int] = []
        table: list[int] = []
        pinned: list[int] = []
        self._or_to(me, lambda s: s[self.pmd] == 0, copied)
        self._or_to(me, lambda s: s[self.pmd] == 1, table)
        self._take_pl(me)
        gone: list[int] = []
        self._or_to(me, lambda s: not _is_huge(s[self.pmd]), gone)
        self._or_to(me, lambda s: s[self.pins_h] > 0, pinned)

        def shares(s: State) -> None:
            for n in range(len(self.p.pages)):
                self._occupants(s, me, n)
            frame = s[self.pmd][0]
            s[self.refs + frame] += 1
            s[self.pmd], s[self.cow_h] = (frame, False, True), True

        def has_shared(s: State) -> None:
            s[self.replaced_h] = True
            if s[self.pinned_h]:
                raise FoundError("a huge page that GUP-fast returned is shared")

        self._do(me, shares)
        self._do(me, has_shared)
        self._drop_pl(me)
        self._or_to(me, lambda _: True, copied)
        pinned.append(len(self.code[me]))
        gone.append(len(self.code[me]))
        self._drop_pl(me)
        self._split(me, call)
        table.append(len(self.code[me]))
        for n in range(len(self.p.pages)):
            ends: list[int] = []
            none: list[int] = []
            self._lock_table(me, 0, ends)
            self._or_to(me, lambda s, n=n: not s[self.pte + n], none)  # type: ignore[misc]
            self._or_to(me, lambda s, n=n: s[self.pins + n] + s[self.pins_h] > 0, none)  # type: ignore[misc]
            self._do(me, self._shares(me, n))
            self._do(me, self._has_shared(n))
            none.append(len(self.code[me]))
            self._set(me, self.ptl, False)
            ends.append(len(self.code[me]))
        copied.append(len(self.code[me]))
        if "no sequence" not in call.flaws:
            self._do(me, lambda s: s.__setitem__(self.seq, s[self.seq] + 1))
        if "no fork flush" not in call.flaws:
            self._flush(me, lambda _: (0, ALL, True, True))
        self._release(me, self.mmap, write=True)

    def _gup(self, me: int, call: Call) -> None:
        """gup_fast() with gup_fast_pmd_leaf()."""
        out: list[int] = []
        none: list[int] = []
        table: list[int] = []
        drop: list[int] = []

        def begins(s: State) -> bool:
            s[self.saw + me] = s[self.seq]
            return bool(s[self.seq] & 1)

        def reads(s: State) -> bool:
            entry = s[self.pmd]
            s[self.got + me] = entry
            return not entry or (_is_huge(entry) and (not entry[2] or (self.forks and not entry[1])))

        def gets(s: State) -> bool:
            at = self.refs + s[self.got + me][0]
            if not s[at]:
                return True
            s[at] += 1
            s[self.pins_h] += 1
            return False

        def pins(s: State) -> bool:
            s[self.pinned_h] = True
            if s[self.replaced_h]:
                raise FoundError("GUP-fast returns a huge page that was replaced")
            return True

        def lets_go(s: State) -> None:
            s[self.pins_h] -= 1
            self._free(s, [s[self.got + me][0]])

        self._set(me, self.off + me, True)
        if self.forks:
            self._or_to(me, begins, out)
        self._or_to(me, reads, out)
        self._or_to(me, lambda s: s[self.got + me] == 1, table)
        self._or_to(me, gets, out)
        self._or_to(me, lambda s: s[self.pmd] != s[self.got + me], drop)
        if self.forks:
            self._or_to(me, lambda s: s[self.seq] != s[self.saw + me], drop)
        self._or_to(me, pins, out)
        drop.append(len(self.code[me]))
        self._do(me, lets_go)
        out.append(len(self.code[me]))
        self._set(me, self.off + me, False)
        self._do(me, lambda s: self._has_left(s, me))
        self._or_to(me, lambda _: True, none)
        table.append(len(self.code[me]))
        super()._gup(me, call)
        none.append(len(self.code[me]))

    def _has_left(self, s: State, me: int) -> None:
        if s[self.grace]:
            s[self.grace] &= ~(1 << me)


def verdict(program: Small, most: int = 1 << 30) -> tuple[str, int]:
    """Search a program on one huge page as `search.verdict` does."""
    total = 0
    for cpu in range(len(program.threads) + bool(program.user)):
        for atom in range(len(program.pages)):
            found, states = WatchedHuge(program, cpu, atom).states(most)
            total += states
            if found == "bug":
                return found, total
    return "safe", total
