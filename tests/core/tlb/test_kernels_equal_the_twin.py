"""Whatever accesses, fills and flushes come, counts and contents are those of the slow, obvious TLB."""

from collections import OrderedDict
from random import Random

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twins.tlb import TwinTlb

from shootdown._tlb import CacheGeometry, FlushScope, Tlb, TlbGeometry, dropped, words
from shootdown._tlb.layout import log_entries

K4, K64, M2, G1, G512 = 1 << 12, 1 << 16, 1 << 21, 1 << 30, 1 << 39
LEVELS = (K4, M2, G1, G512)

WITH_VMS = "tree-PLRU, three trees of two, sets that are no power of two, VM tags"
GEOMETRIES = {
    "one size at each level": TlbGeometry(
        l1=CacheGeometry(4, 2, (K4,)), l2=CacheGeometry(8, 4, (K4,)), asid_bits=6
    ),
    "Intel-like: a first level for each size, a shared second one, a walk cache for each level": TlbGeometry(
        l1=(CacheGeometry(4, 2, (K4, K64)), CacheGeometry(2, 2, (M2,)), CacheGeometry(1, 1, (G1,))),
        l2=CacheGeometry(12, 3, (K4, M2), index="xor2"),
        walk_caches=(CacheGeometry(4, 2, (M2,)), CacheGeometry(2, 2, (G1,)), CacheGeometry(1, 1, (G512,))),
        levels=LEVELS,
        asid_bits=6,
    ),
    WITH_VMS: TlbGeometry(
        l1=CacheGeometry(4, 4, (K4, M2), policy="tree-plru"),
        l2=CacheGeometry(18, 6, (M2, K4), policy="tree-plru"),
        walk_caches=CacheGeometry(4, 4, (G1, M2), policy="tree-plru"),
        levels=LEVELS,
        asid_bits=6,
        vm_bits=1,
    ),
    "random and inclusive": TlbGeometry(
        l1=CacheGeometry(4, 2, (K4, M2), policy="random"),
        l2=CacheGeometry(6, 3, (K4, M2), policy="random"),
        walk_caches=CacheGeometry(2, 2, (M2, G1)),
        levels=LEVELS,
        inclusion="inclusive",
        asid_bits=6,
    ),
    "exclusive": TlbGeometry(
        l1=CacheGeometry(4, 2, (K4,)),
        l2=CacheGeometry(8, 4, (K4, M2)),
        walk_caches=CacheGeometry(4, 1, (M2,)),
        levels=LEVELS,
        inclusion="exclusive",
        asid_bits=6,
        vm_bits=1,
    ),
    "no second level, no global entries": TlbGeometry(
        l1=CacheGeometry(3, 3, (K4, G1)), asid_bits=6, global_entries=False
    ),
}

CPUS = 2
# Pages that share sets and regions, the last pages of the address space, and kernel addresses.
BASES = (0, 0, M2, G1, G512, (1 << 64) - G512, (1 << 64) - 4 * K4)
ASIDS = (0, 1, 1, 17, 33)  # 1, 17 and 33 share a CPU's floor


def address(random):
    return random.choice(BASES) + random.randrange(4) * K4 + random.choice((0, 0x123))


def scope(random):
    start = random.choice((None, address(random)))
    stride = random.choice((K4, M2, 3000, 5 * K4))
    count = random.choice((1, 1, 2, 3, 7, 600))
    if start is not None:
        count = min(count, ((1 << 64) - 1 - start) // stride + 1)
    return FlushScope(
        start=start,
        count=count,
        stride=stride,
        asid=random.choice((None, *ASIDS)),
        vm=random.choice((0, 0, 1, None)),
        global_entries=random.random() < 0.4,
        leaf=random.random() < 0.8,
        walk_cache=random.choice(("none", "leading-to-va", "all-of-asid")),
        page_sizes=random.choice(((), (), (), (K4,), (M2,), (K4, K64))),
    )


def operation(random, geometry):
    """Draw one operation, as the name of a method of both TLBs and its arguments."""
    cpu, asid, va, vm = random.randrange(CPUS), random.choice(ASIDS), address(random), 0
    if geometry.vm_bits:
        vm = random.choice((0, 0, 1))
    size = random.choice((K4, K4, K4, M2, K64, G1))
    frame, data = random.getrandbits(40), random.getrandbits(64)
    kind = random.choices(
        ("access", "fill", "lookup", "walk_fill", "walk_lookup", "flush"), (8, 2, 2, 2, 1, 2)
    )[0]
    if kind == "access":
        return kind, (cpu, asid, va, size), {"vm": vm, "is_global": random.random() < 0.2}
    if kind == "fill":
        is_global = random.random() < 0.3
        return kind, (cpu, asid, va, size), {"vm": vm, "is_global": is_global, "table": frame, "data": data}
    if kind == "walk_fill":
        return kind, (cpu, asid, va, random.choice(LEVELS)), {"vm": vm, "table": frame, "data": data}
    if kind == "flush":
        drops = scope(random)
        if drops.vm == 1 and not geometry.vm_bits:
            drops = evolve(drops, vm=0)
        return kind, (random.choice((None, (0,), (1,), (1, 0))), drops), {}
    return kind, (cpu, asid, va), {"vm": vm}


def contents(tlb, cpu):
    fields = ("level", "cache", "set", "way", "va", "page_size", "asid", "vm", "is_global", "table", "data")
    return [tuple(entry[name].item() for name in fields) for entry in tlb.entries(cpu)]


def nonzero(counter):
    return {size: n for size, n in counter.items() if n}


def assert_same_counts(tlb, twin):
    for cpu, expected in enumerate(twin.cpus):
        counts = tlb.count(cpu)
        for name in ("l1_hits", "l2_hits", "walks", "walk_cache_hits"):
            assert nonzero(getattr(counts, name)) == getattr(expected, name), name
        assert counts.walk_references == expected.walk_references


streams = {"seed": st.integers(0, 1 << 32), "length": st.integers(1, 300), "lazy": st.booleans()}


@pytest.mark.parametrize("name", GEOMETRIES)
@settings(max_examples=40, deadline=None)
@given(**streams)
def test_every_answer_count_and_entry_is_the_twins(name, seed, length, lazy):
    geometry, random = GEOMETRIES[name], Random(seed)
    tlb, twin = Tlb(geometry, CPUS, lazy=lazy, seed=7), TwinTlb(geometry, CPUS, seed=7)
    for _ in range(length):
        method, arguments, keywords = operation(random, geometry)
        answers = [getattr(each, method)(*arguments, **keywords) for each in (tlb, twin)]
        assert answers[0] == answers[1], (method, arguments, keywords)
    assert_same_counts(tlb, twin)
    for cpu in range(CPUS):
        assert contents(tlb, cpu) == twin.entries(cpu)


@settings(max_examples=150, deadline=None)
@given(**streams, broadcast=st.booleans())
def test_a_flush_drops_exactly_what_its_mask_says(seed, length, lazy, broadcast):
    geometry, random = GEOMETRIES[WITH_VMS], Random(seed)
    tlb = Tlb(geometry, CPUS, lazy=lazy)
    for _ in range(length // 4):
        method, arguments, keywords = operation(random, geometry)
        if method != "flush":
            getattr(tlb, method)(*arguments, **keywords)
    before = [tlb.entries(cpu) for cpu in range(CPUS)]
    drops = scope(random)
    tlb.flush(None if broadcast else 0, drops)
    for cpu in range(CPUS):
        stays = ~dropped(before[cpu], drops) if broadcast or cpu == 0 else slice(None)
        assert tlb.entries(cpu).tolist() == before[cpu][stays].tolist()


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_long_stream_with_flushes_in_it_counts_as_the_twin(name):
    """4,000 skewed accesses of two CPUs and three ASIDs in arrays, a flush after every 100."""
    geometry = GEOMETRIES[name]
    rng = np.random.default_rng(1)
    tlb, twin = Tlb(geometry, CPUS), TwinTlb(geometry, CPUS)
    for block in range(40):
        cpu, asid = rng.integers(0, CPUS, 100), rng.choice([1, 17, 33], 100)
        va = np.uint64(K4) * (rng.zipf(1.3, 100) % 5000).astype(np.uint64)
        size = np.where(va % np.uint64(5) == 0, M2, K4)
        tlb.access_many(cpu, asid, va, size)
        for each in zip(cpu.tolist(), asid.tolist(), va.tolist(), size.tolist(), strict=True):
            twin.access(*each)
        scope = FlushScope(
            asid=int(asid[0]), start=None if block % 3 else int(va[0]), stride=K4, count=1 + block
        )
        for each in (tlb, twin):
            each.flush(None if block % 2 else (block // 2 % 2,), scope)
    assert_same_counts(tlb, twin)
    assert contents(tlb, 0) == twin.entries(0)


def test_lru_counts_are_those_of_dynamorio():
    """Its TLB simulator looks L1 up; on a miss L2; and fills both. An L1 hit leaves L2's order alone."""
    geometry = TlbGeometry(l1=CacheGeometry(64, 4, (K4,)), l2=CacheGeometry(1536, 12, (K4,)))
    pages = np.random.default_rng(2).zipf(1.2, 60_000) % 20_000
    l1, l2 = ([OrderedDict() for _ in range(sets)] for sets in (16, 128))
    hits = {"l1": 0, "l2": 0, "walk": 0}

    def hit_or_fill(sets, ways, page):
        lru = sets[page % len(sets)]
        found = page in lru
        if not found and len(lru) == ways:
            lru.popitem(last=False)
        lru[page] = None
        lru.move_to_end(page)
        return found

    for page in pages.tolist():
        if hit_or_fill(l1, 4, page):
            hits["l1"] += 1
        elif hit_or_fill(l2, 12, page):
            hits["l2"] += 1
        else:
            hits["walk"] += 1

    tlb = Tlb(geometry, 1)
    tlb.access_many(0, 1, pages.astype(np.uint64) * np.uint64(K4), K4)
    counts = tlb.count()
    assert (counts.l1_hits[K4], counts.l2_hits[K4], counts.walks[K4]) == tuple(hits.values())
    assert (counts.accesses, counts.l1_misses, counts.l2_misses) == (
        60_000,
        hits["l2"] + hits["walk"],
        hits["walk"],
    )


def flushed_often(lazy, ranges):
    """Let two of three CPUs use their caches between flushes of ranges on all, and give contents and counts of all."""
    geometry = GEOMETRIES[
        "Intel-like: a first level for each size, a shared second one, a walk cache for each level"
    ]
    tlb, random = Tlb(geometry, 3, lazy=lazy), Random(3)
    for cpu in range(3):
        for page in range(6):
            tlb.access(cpu, 1, page * K4, K4)
    for _ in range(ranges):
        tlb.flush(None, FlushScope(start=random.randrange(6) * K4, count=2, stride=K4, asid=1))
        if random.random() < 0.2:
            tlb.access(random.randrange(2), 1, random.randrange(6) * K4, K4)
    return [contents(tlb, cpu) for cpu in range(3)], [tlb.count(cpu) for cpu in range(3)]


ROOM = log_entries(3)


@pytest.mark.parametrize("ranges", [1, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM + 7])
def test_a_log_of_ranges_that_overflows_loses_nothing(ranges):
    assert flushed_often(True, ranges) == flushed_often(False, ranges)


def test_a_range_on_all_cpus_is_carried_out_when_a_cpu_next_uses_its_caches():
    """Until then the initiator has written a line of the log and nothing else, however many CPUs there are."""
    tlb = Tlb(GEOMETRIES["one size at each level"], 2)
    tlb.access(1, 1, K4, K4)
    before = tlb.words.copy()
    tlb.flush(None, FlushScope(start=0, count=33, stride=K4, asid=1, walk_cache="none"))
    changed = np.flatnonzero(tlb.words != before)
    log = int(tlb.plan[words.LOG])
    assert all(n in (words.LOGGED, words.BEHIND) or log <= n < log + words.LOG_STEP for n in changed)
    assert tlb.lookup(1, 1, K4) is None
