"""What a simulated TLB entry costs in memory, counted."""

import pytest

from shootdown._plugins.registry import registry
from shootdown._tlb import Tlb
from shootdown._tlb import words as w

GEOMETRIES = {
    f"{arch} {name}": platform.tlb
    for arch in registry().architectures()
    for name, platform in registry().platforms(arch).items()
    if platform.tlb is not None
}
MOST = 40


@pytest.mark.parametrize("name", GEOMETRIES)
def test_an_entry_of_any_platforms_tlb_takes_32_bytes_and_a_share_of_its_set(name):
    """At most 40 bytes: the eight that a set takes besides are shared by its ways."""
    geometry = GEOMETRIES[name]
    caches = (*geometry.l1, *geometry.l2, *geometry.walk_caches)
    assert geometry.entries == sum(cache.entries for cache in caches)
    tlb = Tlb(geometry, 1)
    assert tlb.bytes_per_entry * geometry.entries == sum(
        32 * cache.entries + 8 * cache.sets for cache in caches
    )
    assert tlb.bytes_per_entry <= MOST


@pytest.mark.parametrize("name", GEOMETRIES)
def test_one_more_cpu_takes_its_entries_and_less_than_1200_bytes_of_counters(name):
    geometry = GEOMETRIES[name]
    one, two = (Tlb(geometry, cpus).words.nbytes - 8 * int(shared(geometry, cpus)) for cpus in (1, 2))
    assert 0 <= two - one - geometry.entries * Tlb(geometry, 1).bytes_per_entry < 1200


def shared(geometry, cpus):
    """Count the words that the machine has once: floors of each ASID, and the log."""
    return Tlb(geometry, cpus).plan[w.CONTROL]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_what_cpus_share_is_16_bytes_for_an_asid_and_a_log_of_64_bytes_a_range(name):
    """Untouched until that ASID, or a range, is flushed on all CPUs."""
    geometry = GEOMETRIES[name]
    tags = 1 << (geometry.asid_bits + geometry.vm_bits)
    for cpus in (1, 196, 4096):
        assert 8 * shared(geometry, cpus) <= 64 + 16 * tags + 64 * min(1024, max(16, 8 * cpus))
