"""Histories of an anonymous huge page that processes map and mlock (efdb6720b44b), in plain Python."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

PROCESSES = range(3)
NOT, PTES, PMD = "not", "ptes", "pmd"


class Found(NamedTuple):
    """The result of a search: the broken rule or None, after how many operations, and the number of states."""

    rule: str | None
    operations: int
    states: int


class Page:
    """The page: how each process maps it, whether its VMA is VM_LOCKED, and the page's own flags and counts."""

    def __init__(self, how, locked, double_map, mlocked, counted):
        self.how, self.locked = list(how), list(locked)
        self.double_map, self.mlocked, self.counted = double_map, mlocked, counted
        self.broken = None

    def frozen(self):
        return tuple(self.how), tuple(self.locked), self.double_map, self.mlocked, self.counted

    def mark(self):
        if not self.mlocked:
            self.mlocked = True
            self.counted += 1

    def clear(self):
        was, self.mlocked = self.mlocked, False
        self.counted -= was
        return was

    def split_pmd(self, who):
        self.clear()
        self.how[who] = PTES
        self.double_map = PMD in self.how

    def unmap(self, who):
        kind, self.how[who] = self.how[who], NOT
        if kind not in self.how:
            if kind == PMD:
                self.double_map = False
            self.clear()

    def munlock(self, who, fix):
        self.locked[who] = False
        if self.clear() and sum(how != NOT for how in self.how) > 1:
            if self.double_map:
                self.broken = "double-map"
            if any(self.locked) and not fix:
                self.mark()

    def check(self):
        if self.broken:
            return self.broken
        if self.counted != self.mlocked or (self.mlocked and set(self.how) == {NOT}):
            return "balance"
        holders = [who for who in PROCESSES if self.locked[who] and self.how[who] == PMD]
        return "mlocker" if self.mlocked and not holders else None


def _operations(state, fix, reclaim):
    def fresh():
        return Page(*state)

    mapped = [who for who in PROCESSES if state[0][who] != NOT]
    for who in mapped:
        page = fresh()  # mlock
        page.locked[who] = True
        if page.how[who] == PMD and page.how.count(PMD) == 1 and not page.double_map:
            page.mark()
        yield page
        if state[1][who]:
            page = fresh()
            page.munlock(who, fix)
            yield page
        if len(mapped) < len(PROCESSES):
            page = fresh()
            page.how[page.how.index(NOT)] = page.how[who]
            yield page
        if state[0][who] == PMD:
            page = fresh()
            page.split_pmd(who)
            yield page
        page = fresh()
        if page.locked[who]:
            page.munlock(who, fix)
        page.unmap(who)
        yield page
    if mapped:
        page = fresh()  # migration
        page.clear()
        page.double_map = False
        for who in mapped:
            if page.how[who] == PTES:
                page.clear()
            elif page.locked[who]:
                page.mark()
        yield page
    if mapped and reclaim and not state[3]:
        page = fresh()
        for who in mapped:
            if page.how[who] == PMD:
                page.split_pmd(who)
            if page.locked[who]:
                if not fix and not page.double_map:
                    page.mark()
                break
            page.unmap(who)
        yield page


def histories(*, fix: bool, reclaim: bool = False) -> Found:
    """Try all histories, shortest first."""
    first = Page([PMD, NOT, NOT], [False] * 3, False, False, 0).frozen()
    depth = {first: 0}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        for page in _operations(state, fix, reclaim):
            rule = page.check()
            if rule:
                return Found(rule, depth[state] + 1, len(depth))
            then = page.frozen()
            if then not in depth:
                depth[then] = depth[state] + 1
                queue.append(then)
    return Found(None, max(depth.values()), len(depth))
