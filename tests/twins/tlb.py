"""A slow, obvious TLB, written from the semantics.

Entries are objects, a set is a list of ways, a flush asks each entry whether an address lies in its page.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Entry:
    va: int
    size: int
    asid: int
    vm: int
    is_global: bool
    table: int
    data: int

    def serves(self, asid, vm):
        return self.vm == vm and (self.is_global or self.asid == asid)


class Lru:
    """The ways in the order of their last use."""

    def __init__(self, ways, random):
        self.order = list(range(ways))

    def use(self, way):
        self.order.remove(way)
        self.order.append(way)

    def victim(self):
        return self.order[0]


class TreePlru:
    """Trees of arrows that point away from the last use; the victim's tree follows the one used last."""

    def __init__(self, ways, random):
        self.leaves = ways & -ways
        self.trees = [self.tree(self.leaves) for _ in range(ways // self.leaves)]
        self.used_last = 0

    def tree(self, leaves):
        if leaves == 1:
            return None
        return {"arrow": "left", "left": self.tree(leaves // 2), "right": self.tree(leaves // 2)}

    def use(self, way):
        self.used_last, leaf = divmod(way, self.leaves)
        node, leaves = self.trees[self.used_last], self.leaves
        while node is not None:
            leaves //= 2
            side = "left" if leaf < leaves else "right"
            node["arrow"] = "right" if side == "left" else "left"
            leaf %= leaves
            node = node[side]

    def victim(self):
        which = (self.used_last + 1) % len(self.trees)
        node, leaves, leaf = self.trees[which], self.leaves, 0
        while node is not None:
            leaves //= 2
            leaf += leaves if node["arrow"] == "right" else 0
            node = node[node["arrow"]]
        return which * self.leaves + leaf


class Random:
    def __init__(self, ways, random):
        self.ways, self.random = ways, random

    def use(self, way):
        pass

    def victim(self):
        return self.random() % self.ways


POLICIES = {"lru": Lru, "tree-plru": TreePlru, "random": Random}


def generator(state):
    """xorshift64 of Marsaglia."""

    def draw():
        nonlocal state
        state ^= state << 13 & (2**64 - 1)
        state ^= state >> 7
        state ^= state << 17 & (2**64 - 1)
        return state

    return draw


class Cache:
    def __init__(self, geometry, random):
        self.geometry = geometry
        sets = geometry.entries // geometry.ways
        self.sets = [[None] * geometry.ways for _ in range(sets)]
        self.policies = [POLICIES[geometry.policy](geometry.ways, random) for _ in range(sets)]

    def set_number(self, va, size):
        page = va // size
        if self.geometry.index.startswith("xor"):
            bits = int(self.geometry.index[3:])
            page = page % 2**bits ^ (page >> bits) % 2**bits
        return page % len(self.sets)

    def find(self, va, size, asid, vm):
        """Return the set and way that translate an address with a page of this size."""
        number = self.set_number(va, size)
        for way, entry in enumerate(self.sets[number]):
            if entry and entry.size == size and entry.va <= va < entry.va + size and entry.serves(asid, vm):
                return number, way
        return None

    def use(self, place):
        number, way = place
        self.policies[number].use(way)
        return self.sets[number][way]

    def put(self, entry):
        """Put an entry where its translation is, else in the first free way, else the victim's; give that."""
        number = self.set_number(entry.va, entry.size)
        place = self.find(entry.va, entry.size, entry.asid, entry.vm)
        pushed_out = None
        if place:
            way = place[1]
        elif None in self.sets[number]:
            way = self.sets[number].index(None)
        else:
            way = self.policies[number].victim()
            pushed_out = self.sets[number][way]
        self.sets[number][way] = entry
        self.policies[number].use(way)
        return pushed_out

    def drop(self, condition):
        for ways in self.sets:
            for way, entry in enumerate(ways):
                if entry and condition(entry):
                    ways[way] = None


@dataclass
class Cpu:
    l1: list
    l2: list
    walk: list
    l1_hits: dict = field(default_factory=dict)
    l2_hits: dict = field(default_factory=dict)
    walks: dict = field(default_factory=dict)
    walk_cache_hits: dict = field(default_factory=dict)
    walk_references: int = 0


def holding(caches, size):
    return next((cache for cache in caches if size in cache.geometry.page_sizes), None)


def by_size(caches):
    return sorted(
        ((size, cache) for cache in caches for size in cache.geometry.page_sizes), key=lambda pair: pair[0]
    )


def count(counter, key):
    counter[key] = counter.get(key, 0) + 1


class TwinTlb:
    def __init__(self, geometry, cpus, seed=0):
        self.geometry = geometry
        self.cpus = []
        for state in np.random.SeedSequence(seed).generate_state(cpus, np.uint64).tolist():
            random = generator(state | 1)
            levels = (geometry.l1, geometry.l2, geometry.walk_caches)
            self.cpus.append(Cpu(*([Cache(cache, random) for cache in level] for level in levels)))

    def lookup(self, cpu, asid, va, vm=0):
        cpu = self.cpus[cpu]
        for size, cache in by_size(cpu.l1):
            place = cache.find(va, size, asid, vm)
            if place:
                count(cpu.l1_hits, size)
                return "l1", size, cache.use(place).data
        for size, cache in by_size(cpu.l2):
            place = cache.find(va, size, asid, vm)
            if place:
                count(cpu.l2_hits, size)
                entry = cache.use(place)
                if holding(cpu.l1, size):
                    if self.geometry.inclusion == "exclusive":
                        cache.sets[place[0]][place[1]] = None
                    self.fill_l1(cpu, Entry(**vars(entry)))
                return "l2", size, entry.data
        return None

    def fill_l1(self, cpu, entry):
        pushed_out = holding(cpu.l1, entry.size).put(entry)
        if pushed_out and self.geometry.inclusion == "exclusive":
            holding(cpu.l2, pushed_out.size).put(pushed_out)

    def fill(self, cpu, asid, va, page_size, vm=0, is_global=False, table=0, data=0):
        cpu = self.cpus[cpu]
        is_global = is_global and self.geometry.global_entries
        entry = Entry(va // page_size * page_size, page_size, asid, vm, is_global, table, data)
        l1, l2 = holding(cpu.l1, page_size), holding(cpu.l2, page_size)
        exclusive = self.geometry.inclusion == "exclusive"
        if exclusive and l1:
            if l2:
                l2.drop(same_translation(entry))
        elif l2:
            pushed_out = l2.put(Entry(**vars(entry)))
            if pushed_out and self.geometry.inclusion == "inclusive":
                for cache in cpu.l1:
                    cache.drop(same_translation(pushed_out))
        if l1:
            self.fill_l1(cpu, entry)

    def walk_lookup(self, cpu, asid, va, vm=0, above=0):
        cpu = self.cpus[cpu]
        for size, cache in by_size(cpu.walk):
            place = size > above and cache.find(va, size, asid, vm)
            if place:
                count(cpu.walk_cache_hits, size)
                entry = cache.use(place)
                return size, entry.table, entry.data
        return None

    def walk_fill(self, cpu, asid, va, covers, vm=0, table=0, data=0):
        cache = holding(self.cpus[cpu].walk, covers)
        if cache:
            cache.put(Entry(va // covers * covers, covers, asid, vm, False, table, data))

    def access(self, cpu, asid, va, page_size, vm=0, is_global=False):
        hit = self.lookup(cpu, asid, va, vm)
        if hit:
            return hit[0], 0
        cached = self.walk_lookup(cpu, asid, va, vm, above=page_size)
        start = cached[0] if cached else float("inf")
        read = [level for level in self.geometry.levels if page_size < level < start]
        for level in reversed(read):
            self.walk_fill(cpu, asid, va, level, vm)
        self.fill(cpu, asid, va, page_size, vm, is_global, data=va)
        count(self.cpus[cpu].walks, page_size)
        self.cpus[cpu].walk_references += len(read) + 1
        return "walk", len(read) + 1

    def flush(self, cpus, scope):
        for number in range(len(self.cpus)) if cpus is None else cpus:
            cpu = self.cpus[number]
            for cache in cpu.l1 + cpu.l2:
                cache.drop(lambda entry: drops_leaf(scope, entry))
            for cache in cpu.walk:
                cache.drop(lambda entry: drops_walk(scope, entry))

    def entries(self, cpu):
        listed = []
        for level in ("l1", "l2", "walk"):
            for number, cache in enumerate(getattr(self.cpus[cpu], level)):
                for in_set, ways in enumerate(cache.sets):
                    for way, entry in enumerate(ways):
                        if entry:
                            listed.append((level, number, in_set, way, *vars(entry).values()))
        return listed


def same_translation(entry):
    return lambda other: (
        (other.va, other.size, other.vm, other.asid, other.is_global)
        == (entry.va, entry.size, entry.vm, entry.asid, entry.is_global)
    )


def holds_an_address(scope, entry):
    if scope.start is None:
        return True
    addresses = (scope.start + i * scope.stride for i in range(scope.count))
    return any(entry.va <= address < entry.va + entry.size for address in addresses)


def drops_leaf(scope, entry):
    if not scope.leaf or (scope.page_sizes and entry.size not in scope.page_sizes):
        return False
    if scope.vm is not None and entry.vm != scope.vm:
        return False
    if entry.is_global:
        return scope.global_entries and holds_an_address(scope, entry)
    return scope.asid in (None, entry.asid) and holds_an_address(scope, entry)


def drops_walk(scope, entry):
    if scope.asid not in (None, entry.asid) or scope.vm not in (None, entry.vm):
        return False
    if scope.walk_cache == "leading-to-va":
        hinted = not scope.page_sizes or entry.size > min(scope.page_sizes)
        return hinted and holds_an_address(scope, entry)
    return scope.walk_cache == "all-of-asid"
