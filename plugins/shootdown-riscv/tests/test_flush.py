"""What fences are executed, where, and what they leave."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown
from shootdown import Result


def run(
    workload: str,
    *settings: str,
    platform: str = "rva23-server",
    kernel: str = "7.0",
    cpus: int = 6,
    **values: Any,
) -> Result:
    (row,) = shootdown.compare(
        workload,
        arch=["riscv"],
        platforms=[platform],
        kernels=[kernel],
        cpus=[cpus],
        parameters=values,
        settings=settings,
    )
    return row


def discard(pages: int, *settings: str, **where: Any) -> Result:
    """Discard pages of an embedded mapping: one ranged flush, no freed tables."""
    return run("anonymous", *settings, op="madv_dontneed", kind="embedded", pages=pages, **where)


# --- how much


@pytest.mark.parametrize("pages", [1, 2, 63, 64])
def test_up_to_64_pages_are_fenced_one_by_one_on_each_cpu(pages: int) -> None:
    row = discard(pages, "platform.svinval=false")
    assert row.instructions["sfence_vma"] == 4 * pages
    assert (row.counts["page_invalidations"], row.counts["full_flushes"]) == (4 * pages, 0)


def test_65_pages_are_one_fence_of_the_asid() -> None:
    row = discard(65, "platform.svinval=false")
    assert row.instructions["sfence_vma"] == 4
    assert (row.counts["page_invalidations"], row.counts["full_flushes"]) == (0, 4)


@pytest.mark.parametrize(("kernel", "pages"), [("6.15", 2), ("6.16", 2)])
def test_svinval_brackets_the_range_between_two_fences_from_6_16_on(kernel: str, pages: int) -> None:
    row = discard(pages, kernel=kernel)
    if kernel == "6.15":
        assert row.instructions["sfence_vma"] == 4 * pages
    else:
        brackets = ("sfence_w_inval", "sinval_vma", "sfence_inval_ir")
        assert [row.instructions[name] for name in brackets] == [4, 4 * pages, 4]
        assert row.instructions["sfence_vma"] == 0


def test_before_6_7_two_pages_are_a_flush_of_everything_and_one_page_in_a_gather_is_too() -> None:
    for pages in (1, 2):
        row = discard(pages, kernel="6.6.16")
        assert (row.counts["page_invalidations"], row.counts["full_flushes"]) == (0, 4)


def test_mprotect_without_a_gather_flushed_one_page_by_its_address_even_then() -> None:
    row = run("anonymous", kernel="5.18", op="mprotect_ro", kind="embedded", pages=1)
    assert (row.counts["page_invalidations"], row.counts["full_flushes"]) == (4, 0)
    row = run("anonymous", kernel="5.18", op="mprotect_ro", kind="embedded", pages=2)
    assert (row.counts["page_invalidations"], row.counts["full_flushes"]) == (0, 4)


def test_freed_tables_flush_everything_but_for_the_four_releases_that_forgot_them() -> None:
    def madvise(kernel: str) -> Result:
        return run("anonymous", kernel=kernel, kind="isolated", pages=1)

    assert madvise("7.0").counts["full_flushes"] == 4, "of the second flush, behind free_pgtables()"
    assert madvise("6.7.4").counts["full_flushes"] == 0
    assert madvise("6.7.5").counts["full_flushes"] == 4


def test_a_thp_is_one_stride_in_a_gather_and_512_in_flush_tlb_range() -> None:
    row = run("anonymous", op="madv_dontneed", kind="thp", pages=512)
    assert (row.counts["page_invalidations"], row.counts["full_flushes"]) == (4, 0)
    row = run("anonymous", kernel="5.18", op="mprotect_ro", kind="thp", pages=512, threads=0)
    assert row.counts["page_invalidations"] == 1, "pmdp_invalidate() goes by the huge page"
    assert row.counts["full_flushes"] == 1, "mprotect() itself by base pages"


def test_khugepaged_flushes_the_whole_mm_since_6_2() -> None:
    assert run("thp-collapse", kernel="6.12").counts["page_invalidations"] == 0


def discard_table(*settings: str) -> Result:
    """Discard a shared table: one flush, which frees nothing."""
    return run("hugetlb-madvise", *settings, tables=1, sharers=2, threads=3)


def test_unsharing_a_table_is_512_strides_and_so_a_fence_of_everything() -> None:
    row = discard_table()
    assert row.counts["unshared_tables"] == 1
    assert (row.counts["full_flushes"], row.counts["page_invalidations"]) == (4, 0)
    assert row.counts["stale_entries_left"] == 0


def test_a_threshold_of_512_would_leave_the_walk_caches_pointing_into_the_table() -> None:
    """SFENCE.VMA with rs1 != x0 need not reach non-leaf entries."""
    row = discard_table("kernel.tlb_flush_all_threshold=512")
    assert (row.counts["full_flushes"], row.counts["page_invalidations"]) == (0, 4 * 512)
    assert row.counts["stale_entries_left"] > 0
    honoured = discard_table("kernel.tlb_flush_all_threshold=512", "kernel.honour_unshared_tables=true")
    assert honoured.counts["stale_entries_left"] == 0


# --- who, and how


def test_where_s_mode_can_interrupt_each_other_cpu_of_the_mm_takes_an_ipi_lazy_ones_too() -> None:
    for state in ("spin", "lazy"):
        row = discard(1, threads=3, state=state)
        assert (row.counts["flush_ipis"], row.counts["hypercalls"]) == (3, 0)


def test_elsewhere_one_sbi_call_flushes_all_of_them_and_no_cpu_takes_an_interrupt() -> None:
    row = discard(1, platform="rva23-server-sbi", threads=3)
    assert (row.counts["flush_ipis"], row.counts["hypercalls"]) == (0, 1)
    assert row.instructions["ecall"] == 1
    assert row.counts["interrupted_cpus"] == 0


def test_the_imsic_is_of_no_use_before_it_has_a_driver() -> None:
    assert discard(1, kernel="6.9").counts["hypercalls"] == 1
    assert discard(1, kernel="6.10").counts["hypercalls"] == 0


def test_alone_on_its_cpu_a_process_fences_by_itself_on_every_platform() -> None:
    for platform in ("rva23-server", "rva23-server-sbi", "sophgo-sg2042", "thead-th1520", "qemu-virt"):
        row = discard(1, "platform.svinval=false", platform=platform, threads=0)
        assert (row.counts["flush_ipis"], row.counts["hypercalls"]) == (0, 0)
        assert row.instructions["sfence_vma"] == 1


def test_opensbi_goes_by_page_up_to_4_kib_and_fences_everything_above() -> None:
    one = discard(1, platform="rva23-server-sbi")
    assert (one.counts["page_invalidations"], one.counts["full_flushes"]) == (4, 0)
    two = discard(2, platform="rva23-server-sbi")
    assert (two.counts["page_invalidations"], two.counts["full_flushes"]) == (0, 4)
    more = discard(2, "platform.sbi_flush_limit=64k", platform="rva23-server-sbi")
    assert (more.counts["page_invalidations"], more.counts["full_flushes"]) == (8, 0)


def test_opensbi_knows_no_stride_so_that_a_huge_page_is_a_fence_of_everything() -> None:
    row = run("anonymous", platform="rva23-server-sbi", op="madv_dontneed", kind="thp", pages=512)
    assert row.counts["full_flushes"] == 4


def test_on_sifives_cores_the_firmware_always_fences_everything() -> None:
    row = discard(1, platform="sifive-u74", cpus=4)
    assert (row.counts["page_invalidations"], row.counts["full_flushes"]) == (0, 4)


@pytest.mark.parametrize(
    ("kernel", "fences"), [("5.12", 1), ("6.7.5", 8), ("6.9", 8), ("6.10", 1)], ids=lambda value: str(value)
)
def test_cip_1200_made_each_stride_a_fence_of_everything_until_6_10(kernel: str, fences: int) -> None:
    row = discard(8, platform="sifive-u74", kernel=kernel, threads=0, cpus=4)
    assert row.instructions["sfence_vma"] == fences


# --- address spaces


def test_with_asids_cpus_that_left_the_mm_are_still_interrupted_since_6_3() -> None:
    assert discard(1, threads=3, state="switched", kernel="7.0").counts["flush_ipis"] == 3
    assert (
        discard(1, "kernel.asid_keeps_cpumask=false", threads=3, state="switched").counts["flush_ipis"] == 0
    )


def test_without_asids_a_switch_flushes_and_leaves_the_mask() -> None:
    row = discard(1, "platform.asid_bits=0", threads=3, state="switched")
    assert row.counts["flush_ipis"] == 0
    assert row.instructions.get("sinval_vma") == 1


def test_asids_are_used_only_where_there_are_more_than_twice_as_many_as_cpus() -> None:
    assert discard(1, "platform.asid_bits=8", threads=3, state="switched").counts["flush_ipis"] == 0
    assert discard(1, "platform.asid_bits=9", threads=3, state="switched").counts["flush_ipis"] == 3


def test_deferring_flushes_to_the_switch_spares_cpus_that_run_another_mm() -> None:
    proposal = "proposal:riscv-defer-flush"
    assert discard(1, threads=3, state="switched", kernel=proposal).counts["flush_ipis"] == 0
    assert discard(1, threads=3, kernel=proposal).counts["flush_ipis"] == 3


def test_exit_without_a_flush_needs_asids() -> None:
    proposal = "proposal:riscv-exit-without-flush"
    with_asids = run("hugetlb-exit", kernel=proposal, tables=1, sharers=2)
    without = run("hugetlb-exit", "platform.asid_bits=0", kernel=proposal, tables=1, sharers=2)
    assert with_asids.counts["full_flushes"] < without.counts["full_flushes"]


def test_who_flushes_another_processs_mm_fences_here_only_if_this_cpu_is_in_its_mask() -> None:
    """A page's migration flushes each sharer's mm from one CPU; the sharers run on other CPUs."""
    row = run("hugetlb-migrate", tables=1, sharers=3)
    assert row.counts["flush_ipis"] + row.counts["full_flushes"] > 0
    fences = row.instructions["sfence_vma"] + row.instructions.get("sinval_vma", 0)
    assert fences == row.counts["full_flushes"] + row.counts["page_invalidations"]


# --- the sync


def test_after_ipis_the_sync_is_redundant_and_after_an_sbi_call_it_is_needed() -> None:
    verdicts = {target.platform: target.sync for target in shootdown.targets(arch=["riscv"], kernels=["7.0"])}
    assert verdicts == {
        "rva23-server": "redundant",
        "rva23-server-sbi": "needed",
        "sophgo-sg2042": "needed",
        "thead-th1520": "needed",
        "sifive-u74": "needed",
        "qemu-virt": "needed",
        "qemu-virt-aia": "redundant",
    }


def test_no_platform_keeps_entries_into_an_unshared_table_on_any_kernel() -> None:
    for target in shootdown.targets(arch=["riscv"], kernels=["6.4", "6.12.73", "7.0"]):
        assert target.walk_cache_dropped, target
        assert not target.lazy_cpus_keep_entries, target


def test_before_gup_fast_nobody_needs_the_sync() -> None:
    (target,) = shootdown.targets(arch=["riscv"], platforms=["sifive-u74"], kernels=["6.6"])
    assert target.sync == "not-applicable"
    assert "no GUP-fast" in target.reason
    row = run("hugetlb-munmap", kernel="6.6", walkers=1)
    assert not row.supported
    assert row.reason is not None
    assert "GUP-fast" in row.reason


def test_32_bit_kernels_say_why_they_share_no_tables() -> None:
    row = run("hugetlb-munmap", "kernel.va_bits=32", tables=1)
    assert not row.supported
    assert row.reason is not None
    assert "64BIT" in row.reason
