"""Levels from formats, counts of entries from TLBs, and CPUs of which little is known."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shootdown import CacheGeometry, Geometry, Platform, ShootdownError, TlbGeometry
from shootdown.porting import estimated_costs, geometry_of, tcg_tlb, typical_tlb, with_entries

sys.path.insert(0, str(Path(__file__).parent))
from toy import radix

COSTS = estimated_costs(1.0)


@pytest.mark.parametrize(
    ("page_shift", "level_bits", "shifts"),
    [
        (12, (10, 10), (12, 22, 22, 22, 22)),
        (12, (9, 9, 9), (12, 21, 30, 30, 30)),
        (12, (9, 9, 9, 9), (12, 21, 30, 39, 39)),
        (12, (9, 9, 9, 9, 9), (12, 21, 30, 39, 48)),
        (14, (1, 11, 11, 11), (14, 25, 36, 47, 47)),
        (16, (6, 13, 13), (16, 29, 42, 42, 42)),
    ],
)
def test_above_its_top_level_a_format_folds(
    page_shift: int, level_bits: tuple[int, ...], shifts: tuple[int, ...]
) -> None:
    assert geometry_of(radix(page_shift, *level_bits)) == Geometry(*shifts)


def test_six_levels_are_more_than_linux_names() -> None:
    with pytest.raises(ShootdownError, match="format toy has 6 levels: Linux names 5"):
        geometry_of(radix(12, 7, 7, 7, 7, 7, 7))


def platform(tlb: TlbGeometry) -> Platform:
    (one,) = with_entries(Platform("one", "one", COSTS, tlb=tlb))
    return one


def test_entries_are_counted_where_they_can_go_stale() -> None:
    small, huge, above = 1 << 14, 1 << 25, 1 << 36
    tlb = TlbGeometry(
        l1=(CacheGeometry(32, 32, (small,)), CacheGeometry(8, 8, (huge,))),
        l2=CacheGeometry(512, 4, (small, huge)),
        walk_caches=(CacheGeometry(16, 16, (huge,)), CacheGeometry(4, 4, (above,))),
        levels=(small, huge, above),
    )
    assert (platform(tlb).walk_entries, platform(tlb).huge_entries) == (4, 8 + 512)


def test_where_nothing_can_go_stale_one_entry_is_counted() -> None:
    tlb = TlbGeometry(l1=CacheGeometry(32, 32, (4096,)), levels=(4096,))
    assert (platform(tlb).walk_entries, platform(tlb).huge_entries) == (1, 1)


def test_the_order_of_platforms_stays() -> None:
    tlb = tcg_tlb((4096, 1 << 21))
    names = ["b", "a", "c"]
    assert [
        one.name for one in with_entries(*(Platform(name, "", COSTS, tlb=tlb) for name in names))
    ] == names


def test_a_typical_tlb_holds_every_page_size_of_its_format_and_each_level_above() -> None:
    table = radix(12, 9, 9, 9, 9)
    tlb = typical_tlb(table, asid_bits=8)
    assert tlb.l1[0].page_sizes == (4096, 1 << 21)
    assert [cache.page_sizes for cache in tlb.walk_caches] == [(1 << 21,), (1 << 30,), (1 << 39,)]
    assert tlb.levels == (4096, 1 << 21, 1 << 30, 1 << 39)
    assert (tlb.asid_bits, tlb.global_entries) == (8, False)
    assert typical_tlb(radix(12, 9, 9, 9, global_bit=3)).global_entries


def test_qemus_translator_caches_nothing_of_upper_levels_and_tags_nothing() -> None:
    tlb = tcg_tlb((4096, 1 << 21, 1 << 30, 1 << 39))
    assert tlb.l1[0].page_sizes == (4096, 1 << 21, 1 << 30)
    assert (tlb.walk_caches, tlb.l2, tlb.asid_bits) == ((), (), 0)
