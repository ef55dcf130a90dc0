"""The verdicts of the family are those of bare protocols, each searched by a plain Python twin of its own."""

from __future__ import annotations

import itertools

import pytest
from tests.twins.family_a_protocols import (
    dropped_page,
    khugepaged_page,
    moved_entry,
    remembered_table,
    withdrawn_table,
)

from shootdown._questions.explore import explorations, explore_case

#: Architecture, the way that is forced, and what it is in the bare protocol.
WAYS = (
    ("x86", "invlpgb", "broadcast"),
    *(("x86", way, way) for way in ("ipi", "broadcast", "kvm", "hypercall")),
    ("arm64", "broadcast", "broadcast"),
    ("arm64", "ipi", "ipi"),
    ("powerpc", "broadcast", "broadcast"),
    ("powerpc", "ipi", "ipi"),
    ("powerpc", "hypercall", "hypercall"),
    ("riscv", "ipi", "ipi"),
    ("riscv", "hypercall", "hypercall"),
)  # fmt: skip
each_way = pytest.mark.parametrize(("arch", "forced", "way"), WAYS)
BOTH = (False, True)


def _explored(name: str, arch: str, settings: list[str], kernel: str = "7.0", **parameters: object) -> str:
    (case,) = explorations(name, arch=[arch], kernels=[kernel], settings=settings, parameters=parameters)
    return explore_case(case).verdict


@each_way
def test_khugepaged_takes_pages_and_tables_away_as_safely_as_in_the_bare_protocol(
    arch: str, forced: str, way: str
) -> None:
    for recheck, sync, rcu in itertools.product(BOTH, BOTH, BOTH):
        settings = [
            f"platform.flush={forced}",
            f"scenario.recheck={recheck}".lower(),
            f"scenario.sync={sync}".lower(),
        ]
        settings.append(f"kernel.rcu_table_free={rcu}")
        works = sync and rcu  # without RCU table freeing the sync is an empty function
        page, table = (
            khugepaged_page(way, recheck=recheck, sync=works),
            withdrawn_table(way, recheck=recheck, sync=works),
        )
        assert _explored("khugepaged-gup-page", arch, settings) == page, settings
        assert _explored("khugepaged-gup-table", arch, settings) == table, settings


@each_way
def test_munmap_frees_tables_as_safely_as_in_the_bare_protocol(arch: str, forced: str, way: str) -> None:
    for recheck, rcu in itertools.product(BOTH, BOTH):
        settings = [
            f"platform.flush={forced}", f"kernel.rcu_table_free={rcu}", f"kernel.gup_rechecks_pmd={recheck}",
        ]  # fmt: skip
        twin = withdrawn_table(way, recheck=recheck, rcu=rcu, reuse=False)
        assert _explored("free-pgtables-gup", arch, settings) == twin, settings


@each_way
def test_walkers_remember_freed_tables_where_they_do_in_the_bare_protocol(
    arch: str, forced: str, way: str
) -> None:
    """Where freed_tables is not looked at, x86 leaves lazy CPUs out, and the others leave walk-cache entries."""
    for lazy, honoured in itertools.product(BOTH, BOTH):
        settings = [f"platform.flush={forced}", f"kernel.honour_freed_tables={honoured}"]
        twin = remembered_table(
            way, lazy=lazy, honoured=honoured or arch != "x86", leaf_only=not honoured and arch != "x86"
        )
        assert _explored("lazy-freed-tables", arch, settings, lazy=lazy) == twin, settings


@each_way
def test_entries_outlive_pages_where_they_do_in_the_bare_protocol(arch: str, forced: str, way: str) -> None:
    for fix in BOTH:
        settings = [f"platform.flush={forced}", f"scenario.fix={fix}"]
        assert _explored("mremap-stale", arch, settings) == moved_entry(way, fix=fix), settings
        assert _explored("nested-flush", arch, settings) == dropped_page(way, fix=fix), settings


def test_a_truncation_that_flushes_the_whole_mm_takes_the_old_entry_along() -> None:
    """RISC-V's tlb_flush() was one of everything before it knew ranges."""
    settings = ["scenario.fix=false", "kernel.gather_flushes_range=false"]
    assert _explored("mremap-stale", "riscv", settings) == moved_entry("ipi", fix=False, whole=True) == "safe"
