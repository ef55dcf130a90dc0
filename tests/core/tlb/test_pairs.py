"""TLBs whose entries translate an even page and the odd one after it, as LoongArch's and MIPS's do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shootdown import CacheGeometry, ShootdownError, TlbGeometry
from shootdown._traces.simulation import simulate_trace
from shootdown.porting import FlushScope, Tlb

PAIRS = TlbGeometry(
    l1=CacheGeometry(4, 4, (4096, 1 << 21)), levels=(4096, 1 << 21, 1 << 30), asid_bits=4, pages_in_pairs=True
)


@pytest.fixture
def tlb() -> Tlb:
    """Return a TLB of four pairs, one of whose pages was accessed."""
    found = Tlb(PAIRS, 1)
    assert found.access(0, 1, 0x5000, 4096).level == "walk"
    return found


def test_a_miss_fills_the_page_and_its_neighbour(tlb: Tlb) -> None:
    assert [tlb.access(0, 1, page, 4096).level for page in (0x5FFF, 0x4000)] == ["l1", "l1"]
    assert [tlb.access(0, 1, page, 4096).level for page in (0x3000, 0x6000)] == ["walk", "walk"]
    assert tlb.count().walks == {4096: 3}
    assert tlb.count().l1_hits[4096] == 2


def test_a_walk_reads_an_entry_of_each_level(tlb: Tlb) -> None:
    assert tlb.access(0, 1, 0x10_0000, 4096).references == 3
    assert tlb.access(0, 1, 1 << 22, 1 << 21).references == 2


@pytest.mark.parametrize("page", [0x4000, 0x5000])
def test_a_flush_of_either_page_drops_both(tlb: Tlb, page: int) -> None:
    tlb.flush(0, FlushScope(start=page, asid=1))
    assert tlb.lookup(0, 1, 0x4000) is None
    assert tlb.lookup(0, 1, 0x5000) is None


def test_a_flush_of_the_page_beside_drops_neither(tlb: Tlb) -> None:
    tlb.flush(0, FlushScope(start=0x6000, asid=1))
    found = tlb.lookup(0, 1, 0x4000)
    assert found is not None
    assert found[:2] == ("l1", 4096)


def test_a_trace_over_every_page_walks_for_every_second_one(tmp_path: Path) -> None:
    trace = tmp_path / "trace.npy"
    np.save(trace, np.arange(64, dtype=np.uint64) << np.uint64(12))
    assert simulate_trace(trace, PAIRS).counts.walks == {4096: 32}


def test_walk_caches_are_refused() -> None:
    with pytest.raises(ShootdownError, match="TLB of pairs of pages: it has 1 walk caches"):
        TlbGeometry(
            l1=PAIRS.l1,
            levels=PAIRS.levels,
            walk_caches=CacheGeometry(4, 4, (1 << 21,)),
            pages_in_pairs=True,
        )
