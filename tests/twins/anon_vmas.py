"""Histories of fork, exit, split and unmap with anon_vmas as mm/rmap.c has them (2555283eb40d), in plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MOST = 5  # VMAs


class Vma(NamedTuple):
    """A VMA: its anon_vma, and those that it is linked to, the oldest first."""

    anon: int
    chain: tuple[int, ...]


class Found(NamedTuple):
    """The result of a search: the broken rule or None, after how many operations, and the number of states."""

    rule: str | None
    operations: int
    states: int


class BrokenError(Exception):
    """A rule does not hold."""


class World:
    """Processes with their VMAs by address, and the parent and counters of each anon_vma."""

    def __init__(self, processes, anons, *, fix, rules):
        self.processes = [list(vmas) for vmas in processes]
        self.anons = {number: list(anon) for number, anon in anons}
        self.fix = fix
        self.rules = rules

    def frozen(self):
        """Return it as a value that is the same for any order of processes."""
        processes = sorted(tuple(vmas) for vmas in self.processes if vmas)
        return tuple(processes), tuple((number, tuple(anon)) for number, anon in sorted(self.anons.items()))

    def broken(self, rule):
        if rule in self.rules:
            raise BrokenError(rule)

    @property
    def vmas(self):
        return [vma for vmas in self.processes for vma in vmas]

    def use(self, number, much):
        self.anons[number][2 if self.fix else 1] += much

    def may_be_reused(self, number, source):
        _, children, *active = self.anons[number]
        if self.fix:
            return children < 2 and active == [0]
        return number != source.anon and children < 2

    def fork(self, parent):
        child = []
        self.processes.append(child)
        for source in self.processes[parent]:
            for number in source.chain:
                if self.may_be_reused(number, source):
                    if number in {vma.anon for vma in self.vmas}:
                        self.broken("I1")
                    self.use(number, 1)
                    child.append(Vma(number, source.chain))
                    break
            else:
                number = max(source.chain) + 1
                while number in self.anons:
                    number += 1
                self.anons[number] = [source.anon, 0, 1] if self.fix else [source.anon, 1]
                self.anons[source.anon][1] += 1
                child.append(Vma(number, (*source.chain, number)))

    def unlink(self, process, place):
        gone = self.processes[process].pop(place)
        linked = {number for vma in self.vmas for number in vma.chain}
        for number in reversed(gone.chain):
            if number not in linked:
                self.anons[self.anons[number][0]][1] -= 1
        self.use(gone.anon, -1)
        for number in gone.chain:
            if number not in linked and any(self.anons.pop(number)[1:]):
                self.broken("I3")

    def check(self):
        chains = {}
        for vma in self.vmas:
            if vma.anon not in self.anons or vma.anon not in vma.chain:
                self.broken("I3")
            if chains.setdefault(vma.anon, vma.chain) != vma.chain:
                self.broken("I2")


def _operations(state, **how) -> Iterator[World]:
    def fresh():
        return World(*state, **how)

    room = MOST - sum(map(len, state[0]))
    for process, vmas in enumerate(state[0]):
        if len(vmas) <= room:
            world = fresh()
            world.fork(process)
            yield world
        world = fresh()
        while world.processes[process]:
            world.unlink(process, 0)
        yield world
        for place in range(len(vmas)):
            if room:
                world = fresh()
                twin = world.processes[process][place]
                world.processes[process].insert(place, twin)
                world.use(twin.anon, 1)
                yield world
            if len(vmas) > 1:
                world = fresh()
                world.unlink(process, place)
                yield world


def histories(*, fix: bool, operations: int, rules: tuple[str, ...] = ("I1", "I2", "I3")) -> Found:
    """Try all histories of at most `operations` operations; equal states of histories of unequal length differ."""
    root = [1, 1, 1] if fix else [1, 2]
    first = (((Vma(1, (1,)),),), ((1, tuple(root)),))
    now = {first}
    states = 1
    for length in range(1, operations + 1):
        found = set()
        for state in sorted(now):
            try:
                for world in _operations(state, fix=fix, rules=rules):
                    world.check()
                    found.add(world.frozen())
            except BrokenError as broken:
                return Found(str(broken), length, states)
        now = found
        states += len(found)
    return Found(None, operations, states)
