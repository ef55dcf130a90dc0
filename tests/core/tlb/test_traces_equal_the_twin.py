"""Whatever a trace holds, its counts are those of the slow, obvious simulation, whichever kernel takes it."""

import itertools
from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins.trace import TwinTrace

from shootdown._tlb import CacheGeometry, TlbGeometry
from shootdown._traces.columns import Columns
from shootdown._traces.stream import Passes, Records, simulator
from shootdown._values.errors import ShootdownError

K4, M2, G1, G512 = 1 << 12, 1 << 21, 1 << 30, 1 << 39
LEVELS = (K4, M2, G1, G512)
U = np.uint64


def lru(l1, l2=None, walk=(), index="modulo", **more):
    """Make a geometry from pairs of entries and ways; walk caches are (size, entries, ways)."""
    return TlbGeometry(
        l1=CacheGeometry(*l1, (K4, M2)),
        l2=CacheGeometry(*l2, (K4, M2), index=index) if l2 else (),
        walk_caches=[CacheGeometry(entries, ways, (size,)) for size, entries, ways in walk],
        levels=LEVELS,
        **more,
    )


# Every pass: one vector to a set up to four, more than four, one set in registers, sets that are no power of two.
PASSES = {
    "two ways of a vector, three vectors, a set in registers": lru(
        (4, 2), (24, 12), ((M2, 4, 2), (G1, 3, 3), (G512, 1, 1))
    ),
    "two vectors, three sets": lru((15, 5), (42, 14), ((M2, 6, 6),)),
    "a long set, folded indexes": lru((18, 18), (64, 16), ((G1, 33, 33),), index="xor2"),
    "no second level, no walk cache": lru((12, 4)),
    "one entry": lru((1, 1), (2, 1), ((M2, 2, 2), (G512, 4, 4))),
    "the default of the command line": lru((64, 4), (1536, 12), ((M2, 32, 4), (G1, 4, 4), (G512, 4, 4))),
}


def stream(seed, length, spread):
    """Draw addresses with repeated pages, hot pages and runs, some of them at the end of the address space."""
    rng = np.random.default_rng(seed)
    pages = rng.zipf(1.3, length) % spread
    stride = int(rng.choice([1, 7, 512, 512 * 512]))
    runs = np.repeat(pages, rng.integers(1, 12, length))[:length]
    pages = np.where(rng.random(length) < rng.random(), pages, runs)
    addresses = pages.astype(U) * U(stride * K4) + rng.integers(0, K4, length).astype(U)
    return np.where(rng.random(length) < 0.05, ~addresses, addresses)


def plain_records(addresses, size):
    return [(0, 0, 0, va, size, 0) for va in addresses.tolist()]


def counted(tlb_counts):
    return {
        name: {size: n for size, n in getattr(tlb_counts, name).items() if n}
        for name in ("l1_hits", "l2_hits", "walks", "walk_cache_hits")
    } | {"walk_references": tlb_counts.walk_references}


def of_twin(twin):
    total = {name: Counter() for name in ("l1_hits", "l2_hits", "walks", "walk_cache_hits")}
    for cpu in twin.tlb.cpus:
        for name, counter in total.items():
            counter.update(getattr(cpu, name))
    return {name: dict(counter) for name, counter in total.items()} | {
        "walk_references": sum(cpu.walk_references for cpu in twin.tlb.cpus)
    }


def feed_in_parts(simulation, addresses, cuts):
    edges = sorted({0, len(addresses), *(cut % (len(addresses) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        simulation.feed(Columns(addresses[start:end]))


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(PASSES)),
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(1, 400),
    spread=st.sampled_from([3, 40, 2000]),
    size=st.sampled_from([K4, M2]),
    cuts=st.lists(st.integers(0, 400), max_size=4),
)
def test_passes_count_as_the_twin_and_as_the_kernel_that_takes_everything(
    name, seed, length, spread, size, cuts
):
    geometry, addresses = PASSES[name], stream(seed, length, spread)
    passes, records, twin = Passes(geometry, size), Records(geometry, size), TwinTrace(geometry, 1)
    for simulation in (passes, records):
        feed_in_parts(simulation, addresses, cuts)
    twin.take(plain_records(addresses, size))
    assert counted(passes.count()) == counted(records.count()) == of_twin(twin)
    assert passes.by_cpu() == records.by_cpu()
    assert passes.by_process() == records.by_process()


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("kind", ["all miss", "all hit", "sequential", "mixed"])
def test_blocks_longer_than_a_pass_takes_at_once_count_as_the_other_kernel(name, kind):
    """50,000 accesses: several blocks, and regimes in which a pass foretells misses."""
    rng = np.random.default_rng(3)
    n = 50_000
    pages = {
        "all miss": rng.integers(0, 1 << 30, n),
        "all hit": rng.integers(0, 3, n),
        "sequential": np.arange(n) // 512,
        "mixed": np.where(np.arange(n) // 9000 % 2 == 0, rng.integers(0, 50, n), rng.integers(0, 1 << 20, n)),
    }[kind]
    addresses = pages.astype(U) * U(K4)
    passes, records = Passes(PASSES[name], K4), Records(PASSES[name], K4)
    for simulation in (passes, records):
        for start in range(0, n, 30_000):
            simulation.feed(Columns(addresses[start : start + 30_000]))
    assert counted(passes.count()) == counted(records.count())


def test_lru_counts_are_those_of_dynamorio():
    """Its TLB simulator looks L1 up; on a miss L2; and fills both. An L1 hit leaves L2's order alone."""
    pages = np.random.default_rng(2).zipf(1.2, 60_000) % 20_000
    l1, l2 = ([OrderedDict() for _ in range(sets)] for sets in (16, 128))

    def hit_or_fill(sets, ways, page):
        lru_set = sets[page % len(sets)]
        found = page in lru_set
        if not found and len(lru_set) == ways:
            lru_set.popitem(last=False)
        lru_set[page] = None
        lru_set.move_to_end(page)
        return found

    hits = Counter()
    for page in pages.tolist():
        if hit_or_fill(l1, 4, page):
            hits["l1"] += 1
        elif hit_or_fill(l2, 12, page):
            hits["l2"] += 1
        else:
            hits["walk"] += 1
    simulation = simulator(PASSES["the default of the command line"], K4, plain=True)
    assert isinstance(simulation, Passes)
    simulation.feed(Columns(pages.astype(U) * U(K4)))
    counts = simulation.count()
    assert (counts.l1_hits[K4], counts.l2_hits[K4], counts.walks[K4]) == (
        hits["l1"],
        hits["l2"],
        hits["walk"],
    )


def test_what_passes_can_not_do_is_left_to_the_other_kernel():
    exclusive = lru((4, 2), (8, 4), inclusion="exclusive")
    shared = TlbGeometry(
        l1=CacheGeometry(4, 2, (K4,)), walk_caches=CacheGeometry(4, 4, (G1, G512)), levels=LEVELS
    )
    random = TlbGeometry(l1=CacheGeometry(4, 2, (K4,), policy="random"))
    huge_only = TlbGeometry(l1=CacheGeometry(4, 2, (M2,)), l2=CacheGeometry(4, 2, (K4, M2)))
    for geometry in (exclusive, shared, random, huge_only):
        assert isinstance(simulator(geometry, K4, plain=True), Records)
    assert isinstance(simulator(lru((4, 2)), K4, plain=False), Records)
    # One of the two levels that share a cache is the page's own: then the cache is one level's.
    assert isinstance(simulator(shared, G1, plain=True), Records)  # L1 does not hold 1 GiB pages


GEOMETRIES = {
    "tagged, everything": TlbGeometry(
        l1=(CacheGeometry(4, 2, (K4,)), CacheGeometry(2, 2, (M2,), policy="tree-plru")),
        l2=CacheGeometry(12, 6, (K4, M2), policy="tree-plru", index="xor1"),
        walk_caches=(CacheGeometry(4, 2, (M2,)), CacheGeometry(2, 2, (G1, G512), policy="random")),
        levels=LEVELS,
        asid_bits=4,
    ),
    "untagged and inclusive": TlbGeometry(
        l1=CacheGeometry(4, 2, (K4, M2)),
        l2=CacheGeometry(8, 4, (K4, M2), policy="random"),
        levels=LEVELS,
        asid_bits=0,
        inclusion="inclusive",
    ),
    "exclusive": TlbGeometry(
        l1=CacheGeometry(4, 4, (K4, M2)),
        l2=CacheGeometry(8, 4, (K4, M2)),
        walk_caches=CacheGeometry(2, 2, (M2,)),
        levels=LEVELS,
        asid_bits=4,
        inclusion="exclusive",
    ),
}
record = st.tuples(
    st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2, 3, 17, 18, 19]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 30).map(lambda page: page * K4 * 3)
    | st.sampled_from([M2, G1, G1 + K4, 2**64 - K4, 2**64 - 1]),
    st.sampled_from([K4, K4, M2]),
    st.integers(0, 5),
)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(GEOMETRIES)),
    records=st.lists(record, min_size=1, max_size=120),
    cut=st.integers(0, 120),
    names=st.permutations([3, 70_000, 9]),
)
def test_records_of_several_cpus_and_processes_count_as_the_twin(name, records, cut, names):
    """CPUs and processes have any numbers, and come when they come."""
    geometry = GEOMETRIES[name]
    order = list(dict.fromkeys(r[1] for r in records)), list(dict.fromkeys(r[2] for r in records))
    dense = [(k, order[0].index(c), order[1].index(p), va, size, n) for k, c, p, va, size, n in records]
    twin = TwinTrace(geometry, 8)
    twin.take(dense)
    simulation = simulator(geometry, K4, plain=False)
    for part in (records[:cut], records[cut:]):
        simulation.feed(
            Columns(
                address=np.array([r[3] for r in part], U),
                kind=np.array([r[0] for r in part], np.uint8),
                cpu=np.array([names[r[1]] for r in part], np.uint32),
                process=np.array([names[r[2]] for r in part], np.uint32),
                shift=np.array([0 if r[4] == K4 else 21 for r in part], np.uint8),
                pages=np.array([r[5] for r in part], np.uint32),
            )
        )
    assert counted(simulation.count()) == of_twin(twin)
    fields = ("l1_hits", "l2_hits", "walks", "walk_references", "flushes", "shootdowns", "interrupts")
    for tallies, expected, numbers in (
        (simulation.by_cpu(), twin.of_cpus, order[0]),
        (simulation.by_process(), twin.of_processes, order[1]),
    ):
        assert {n: {f: getattr(t, f) for f in fields} for n, t in tallies.items()} == {
            names[numbers[number]]: {f: counter[f] for f in fields} for number, counter in expected.items()
        }


def test_more_processes_than_tags_are_refused():
    geometry = TlbGeometry(l1=CacheGeometry(4, 2, (K4,)), asid_bits=1)
    simulation = simulator(geometry, K4, plain=False)
    columns = Columns(np.zeros(3, U), process=np.array([5, 6, 7], np.uint32))
    with pytest.raises(ShootdownError, match="3 processes and more than this TLB's tags tell apart: 2"):
        simulation.feed(columns)


def test_bytes_for_an_entry_are_few():
    """At most 40 for each TLB entry, in either kernel."""
    geometry = PASSES["the default of the command line"]
    assert Passes(geometry, K4)._words.nbytes / geometry.entries < 12
    assert Records(geometry, K4)._tlb.bytes_per_entry <= 40
