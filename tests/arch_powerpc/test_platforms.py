"""The powerpc platforms: what decides how they flush, and costs with a range and a source each.

`PYTHONPATH=tests python tests/arch_powerpc/test_platforms.py` rewrites the tables of
docs/reference/costs-powerpc.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from twins import cost_tables

from shootdown import Platform
from shootdown_powerpc._platforms import PLATFORMS, PowerPlatform

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "costs-powerpc.md"
#: f6f27951fdf8: microseconds that mprotect() of so many pages takes, by page and by PID.
PUBLISHED = {
    32: (7.4, None),
    34: (7.8, 9.0),
    64: (13.8, 14.6),
    128: (26.4, 26.4),
    256: (51.9, 50.2),
    512: (None, 98.3),
}


def by_name(name: str) -> Platform:
    return next(platform for platform in PLATFORMS if platform.name == name)


def power(platform: Platform) -> PowerPlatform:
    own: PowerPlatform = platform.arch
    return own


def mprotect(pages: int, *, by_pid: bool) -> float:
    """Add up mprotect() with a local flush on POWER9, in microseconds."""
    costs = by_name("power9").costs
    flush = costs.full_flush_ns.likely if by_pid else pages * costs.page_flush_ns.likely
    return (costs.syscall_ns.likely + pages * costs.zap_ns.likely + flush) / 1000


@pytest.mark.parametrize("pages", PUBLISHED)
def test_the_parts_of_a_local_flush_add_up_to_what_was_published(pages: int) -> None:
    """f6f27951fdf8; a PID flush is 128 tlbiel. docs/reference/costs-powerpc.md shows both."""
    cells = []
    for published, by_pid in zip(PUBLISHED[pages], (False, True), strict=True):
        model = mprotect(pages, by_pid=by_pid)
        assert published is None or model == pytest.approx(published, rel=0.02)
        cells += ["", ""] if published is None else [f" {published}", f" {model:.1f}"]
    assert f"| {pages} |" + " |".join(cells) + " |" in DOCUMENT.read_text(encoding="utf-8")


def test_every_power9_has_the_erat_bug_and_no_other_cpu() -> None:
    """update_tlbie_feature_flag(), arch/powerpc/kernel/dt_cpu_ftrs.c; guests always have both fix-ups."""
    for platform in PLATFORMS:
        assert power(platform).p9_tlbie_erat_bug == (power(platform).isa == "3.0"), platform.name
    assert {p.name for p in PLATFORMS if power(p).p9_tlbie_stq_bug} == {"power9-guest", "qemu-tcg"}


def test_power8_has_the_hash_mmu_and_only_a_hypervisor_takes_tlbie_away() -> None:
    assert all(power(p).mmu == "hash" for p in PLATFORMS if power(p).isa == "2.07")
    assert {p.hypervisor for p in PLATFORMS if not power(p).gtse} == {"powervm"}


def test_hash_tlbs_cache_no_levels_of_linux_tree() -> None:
    for platform in PLATFORMS:
        if power(platform).mmu == "hash":
            assert platform.tlb.walk_caches == ()


def test_the_document_lists_the_values_as_they_are() -> None:
    assert cost_tables.listed(DOCUMENT) == cost_tables.tables(PLATFORMS), (
        f"write it anew: {Path(__file__).name}"
    )


if __name__ == "__main__":
    cost_tables.write(DOCUMENT, PLATFORMS)
