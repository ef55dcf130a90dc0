"""`--set`: what would happen if a kernel or CPU were different."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shootdown import Result, ShootdownError

Row = Callable[..., Result]


def test_without_rcu_table_freeing_the_sync_is_an_empty_function(row: Row) -> None:
    """tlb_remove_table_sync_one() is empty then: a what-if on 7.0, history on 6.12 without PARAVIRT."""
    what_if = row("hugetlb-munmap", "7.0", tables=4, settings=["kernel.rcu_table_free=false"])
    assert what_if.counts["sync_ipis"] == 0
    assert any("rcu_table_free" in remark for remark in what_if.remarks)
    native = row("hugetlb-munmap", "6.12.73", tables=4, settings=["kernel.paravirt=false"])
    assert native.counts["sync_ipis"] == 0
    assert row("hugetlb-munmap", "6.12.73", tables=4).counts["sync_ipis"] == 28


@pytest.mark.parametrize("state", ["lazy", "spin"])
def test_unshare_sets_freed_tables_flushes_lazy_cpus_too(row: Row, state: str) -> None:
    """The alternative that the commit message calls 'might unnecessarily flush too much': this much."""
    case = {"tables": 2, "sharers": 3, "threads": 5, "state": state}
    usual = row("hugetlb-madvise", "7.0", **case).counts["flush_ipis"]
    alternative = row(
        "hugetlb-madvise", "7.0", **case, settings=["kernel.unshare_sets_freed_tables=true"]
    ).counts["flush_ipis"]
    assert (usual, alternative) == ((0, 5) if state == "lazy" else (5, 5))


@pytest.mark.parametrize("call", ["hugetlb-munmap", "hugetlb-mprotect", "hugetlb-exit", "hugetlb-mremap"])
@pytest.mark.parametrize("kernel", ["6.4", "6.18.2", "7.0"])
def test_honouring_unshared_tables_leaves_nothing_stale_on_lazy_cpus(
    row: Row, call: str, kernel: str
) -> None:
    case = {"tables": 2, "sharers": 3, "threads": 4, "state": "lazy"}
    honoured = row(call, kernel, **case, settings=["kernel.honour_unshared_tables=true"])
    assert honoured.counts["stale_entries_left"] == 0


def test_lazy_cpus_keep_stale_walk_cache_entries_after_an_unshare_flush(row: Row) -> None:
    """CR3 stays loaded on lazy CPUs, and the flush without freed_tables leaves them out.

    docs/facts/flushes.md#x86-lazy-cpus-and-unshared-tables
    """
    case = {"tables": 1, "sharers": 3, "threads": 4, "state": "lazy"}
    assert row("hugetlb-madvise", "7.0", **case).counts["stale_entries_left"] > 0
    assert row("hugetlb-madvise", "7.0", **case | {"state": "spin"}).counts["stale_entries_left"] == 0


def test_the_proposal_skips_the_sync_on_native_ipis_and_interrupts_lazy_cpus(row: Row) -> None:
    case = {"tables": 2, "sharers": 2, "threads": 3, "state": "lazy"}
    proposal = row("hugetlb-madvise", "proposal:skip-redundant-sync", **case).counts
    assert (proposal["sync_broadcasts"], proposal["flush_ipis"]) == (0, 3)
    assert proposal["stale_entries_left"] == 0
    on_kvm = row("hugetlb-madvise", "proposal:skip-redundant-sync", platform="kvm-guest", **case).counts
    assert on_kvm["sync_broadcasts"] == 1, "the proposal keeps the sync under KVM"
    on_amd = row("hugetlb-madvise", "proposal:skip-redundant-sync", platform="amd-server", **case).counts
    assert on_amd["sync_broadcasts"] == 1, "and where INVLPGB may be in use"


def test_targeted_sync_interrupts_walkers_only(row: Row) -> None:
    """Walkers still are inside their window only where the TLB flush before the sync did not interrupt them."""
    case = {"tables": 2, "sharers": 2, "walkers": 2}
    targeted = "proposal:targeted-sync"
    native = row("hugetlb-madvise", targeted, **case).counts
    assert (native["sync_broadcasts"], native["flush_ipis"], native["sync_ipis"]) == (1, 2, 0)
    broadcast = ["platform.flush=invlpgb"]
    invlpgb = row("hugetlb-madvise", targeted, platform="amd-server", settings=broadcast, **case).counts
    assert (invlpgb["flush_ipis"], invlpgb["sync_ipis"], invlpgb["redundant_sync_ipis"]) == (0, 2, 0)


def test_sync_limited_to_the_own_mm_interrupts_its_cpus(row: Row) -> None:
    own = row(
        "hugetlb-madvise", "7.0", tables=1, sharers=2, threads=3, settings=["kernel.sync_targets=own-mm"]
    ).counts
    assert own["sync_ipis"] == 3


def test_a_flush_after_the_lock_drops_warns_and_leaves_entries_meanwhile(row: Row) -> None:
    late = row("hugetlb-munmap", "7.0", tables=2, sharers=2, settings=["kernel.unshare_flush=after-unlock"])
    assert late.counts["kernel_warnings"] == 1
    assert late.counts["stale_entries_left"] > 0
    assert late.counts["sync_broadcasts"] == 1
    assert any("tlb_finish_mmu" in remark for remark in late.remarks)


@pytest.mark.parametrize("kernel", ["6.4", "6.18.2", "7.0"])
@pytest.mark.parametrize("call", ["hugetlb-madvise", "hugetlb-mprotect", "hugetlb-mremap"])
def test_without_any_unshare_flush_entries_stay_stale(row: Row, kernel: str, call: str) -> None:
    none = row(call, kernel, tables=2, sharers=3, threads=2, settings=["kernel.unshare_flush=none"])
    assert none.counts["stale_entries_left"] > 0


def test_invlpgb_needs_four_cpus_to_be_used_at_all(row: Row) -> None:
    """consider_global_asid() asks for more than 3 CPUs (arch/x86/mm/tlb.c)."""
    busy = {"op": "madv_dontneed", "times": 40000, "platform": "amd-server"}
    few = row("anonymous", "7.0", threads=2, **busy)
    assert few.counts["broadcast_invalidations"] == 0
    assert any(remark.endswith("higher -p threads= and -p times= lead there") for remark in few.remarks)
    four = row("anonymous", "7.0", threads=3, **busy).counts
    assert four["broadcast_invalidations"] == 1
    assert (four["flush_ipis"], four["completion_waits"]) == (0, 1)


def test_forced_invlpgb_flushes_without_interrupts_and_still_needs_the_sync(row: Row) -> None:
    """512 strides are above the ceiling: broadcast_tlb_flush() names the PCID (docs/facts/flushes.md#x86-invlpgb)."""
    case = {"tables": 1, "sharers": 2, "threads": 3, "platform": "amd-server"}
    counts = row("hugetlb-madvise", "7.0", **case, settings=["platform.flush=invlpgb"]).counts
    assert (counts["broadcast_invalidations"], counts["completion_waits"]) == (1, 1)
    assert (counts["flush_ipis"], counts["sync_broadcasts"], counts["sync_ipis"]) == (0, 1, 7)
    assert counts["stale_entries_left"] == 0
    assert counts["redundant_sync_ipis"] == 4, "the three threads could be walking, the others not"


def test_invlpgb_of_a_range_takes_as_many_instructions_as_the_cpu_needs(row: Row) -> None:
    one_by_one = ["platform.flush=invlpgb", "platform.invlpgb_max_pages=1"]
    eight = ["platform.flush=invlpgb", "platform.invlpgb_max_pages=8"]
    case = {"op": "madv_dontneed", "kind": "embedded", "pages": 20, "platform": "amd-server"}
    assert row("anonymous", "7.0", **case, settings=one_by_one).counts["broadcast_invalidations"] == 20
    assert row("anonymous", "7.0", **case, settings=eight).counts["broadcast_invalidations"] == 3


def test_preempted_vcpus_get_no_flush_ipi_but_the_sync_waits_for_them(row: Row) -> None:
    """kvm_flush_tlb_multi() marks preempted vCPUs; the sync waits for them (docs/facts/flushes.md#x86-hypervisors)."""
    case = {"tables": 1, "sharers": 2, "threads": 4, "platform": "kvm-guest"}
    counts = row("hugetlb-madvise", "7.0", preempted=2, **case).counts
    assert counts["flush_ipis"] == 2
    assert counts["sync_ipis"] == 7
    assert counts["stale_entries_left"] == 0, "they flush before they run again"


def test_hyper_v_leaves_lazy_vcpus_out_unless_tables_are_freed(row: Row) -> None:
    """hyperv_flush_tlb_multi(): do_lazy unless tables were freed (docs/facts/flushes.md#x86-hypervisors)."""
    case = {"threads": 3, "state": "lazy", "platform": "hyper-v-guest"}
    unshare = row("hugetlb-madvise", "7.0", tables=1, sharers=2, **case).counts
    assert (unshare["flush_ipis"], unshare["hypercalls"]) == (0, 1)
    assert unshare["stale_entries_left"] > 0
    freed = row("anonymous", "7.0", op="munmap", kind="isolated", **case).counts
    assert freed["full_flushes"] + freed["page_invalidations"] > 1


@pytest.mark.parametrize("sharers", range(1, 9))
@pytest.mark.parametrize("cpus", [2, 16, 1024])
def test_sharers_and_cpus_scale_by_the_rules(row: Row, sharers: int, cpus: int) -> None:
    counts = row("hugetlb-munmap", "7.0", tables=3, sharers=sharers, cpus=cpus).counts
    assert counts["sync_ipis"] == (cpus - 1 if sharers == 2 else 0)


@pytest.mark.parametrize(
    "wrong",
    [
        "kernel.nothing=1",
        "kernel.unshare_sync=sometimes",
        "platform.invlpgb_max_pages=0",
        "nonsense",
        "kernel.rcu_table_free=maybe",
    ],
)
def test_settings_that_mean_nothing_are_refused_in_one_line(row: Row, wrong: str) -> None:
    with pytest.raises(ShootdownError) as error:
        row("hugetlb-munmap", "7.0", settings=[wrong])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("call", ["hugetlb-munmap", "hugetlb-mprotect", "hugetlb-migrate", "hugetlb-punch"])
def test_a_flush_after_the_lock_leaves_stale_entries_and_a_warning_in_each_caller(
    row: Row, call: str
) -> None:
    """tlb_finish_mmu() finds fully_unshared_tables still set."""
    case = {"tables": 1, "sharers": 2, "threads": 2}
    late = row(call, "7.0", **case, settings=["kernel.unshare_flush=after-unlock"])
    assert late.counts["kernel_warnings"] == 1
    assert any("fully_unshared_tables" in remark for remark in late.remarks)
    assert late.counts["stale_entries_left"] > 0
    assert late.counts["sync_broadcasts"] == row(call, "7.0", **case).counts["sync_broadcasts"] == 1
    before = row(call, "6.16", **case, settings=["kernel.unshare_flush=after-unlock"]).counts
    assert (before["kernel_warnings"], before["sync_broadcasts"]) == (0, 1), "no gather, no warning"


def test_moving_to_a_global_asid_loads_roots_and_flushes_nothing(row: Row) -> None:
    """choose_new_asid(): no flush is needed; the IPIs that make CPUs move are no flush IPIs."""
    case = {"threads": 7, "platform": "amd-server", "cpus": 16}
    moved = [row("anonymous", "7.0", times=times, **case).counts for times in (20_000, 40_000)]
    assert all(counts["full_flushes"] == 0 for counts in moved)
    assert moved[-1]["broadcast_invalidations"] == 1
    assert moved[-1]["flush_ipis"] == 0


def test_with_page_table_isolation_each_broadcast_is_made_for_both_pcids(row: Row) -> None:
    """broadcast_tlb_flush() in 6.15 to 6.15.3; 94a17f2dc90b ended it."""
    case = {"threads": 3, "pages": 20, "platform": "amd-server"}
    forced = ["platform.flush=invlpgb"]
    one = row("anonymous", "6.15", **case, settings=forced).counts["broadcast_invalidations"]
    both = row("anonymous", "6.15", **case, settings=[*forced, "kernel.pti=true"]).counts
    assert both["broadcast_invalidations"] == 2 * one


def test_settings_that_cannot_both_hold_are_refused(row: Row) -> None:
    with pytest.raises(ShootdownError, match="cannot both hold"):
        row("hugetlb-munmap", "7.0", settings=["kernel.pti=true", "platform.flush=invlpgb"])
