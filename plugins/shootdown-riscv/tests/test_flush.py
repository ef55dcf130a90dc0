"""What fences are executed, where, and what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

import shootdown
from shootdown import Result, ShootdownError
from shootdown.porting import Assembler
from shootdown_riscv._flush import RiscvLowering
from shootdown_riscv._platforms import PLATFORMS


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
    assert row.instructions["sfence_vma_addr_asid"] == 4 * pages
    assert (row.counts["page_invalidations"], row.counts["full_flushes"]) == (4 * pages, 0)


def test_65_pages_are_one_fence_of_the_asid() -> None:
    row = discard(65, "platform.svinval=false")
    assert row.instructions["sfence_vma_asid"] == 4
    assert (row.counts["page_invalidations"], row.counts["full_flushes"]) == (0, 4)


@pytest.mark.parametrize(("kernel", "pages"), [("6.15", 2), ("6.16", 2)])
def test_svinval_brackets_the_range_between_two_fences_from_6_16_on(kernel: str, pages: int) -> None:
    row = discard(pages, kernel=kernel)
    if kernel == "6.15":
        assert row.instructions["sfence_vma_addr_asid"] == 4 * pages
    else:
        brackets = ("sfence_w_inval", "sinval_vma_addr_asid", "sfence_inval_ir")
        assert [row.instructions[name] for name in brackets] == [4, 4 * pages, 4]
        assert row.instructions["sfence_vma_addr_asid"] == row.instructions["sfence_vma_asid"] == 0


@pytest.mark.parametrize("platform", ["rva23-server", "rva23-server-sbi"])
def test_the_last_sharer_of_a_migrated_huge_page_is_flushed_by_one_address(platform: str) -> None:
    """huge_ptep_clear_flush() comes to flush_tlb_page(), which asks for PAGE_SIZE."""
    alone = run("hugetlb-migrate", platform=platform, tables=1, sharers=1, threads=1)
    assert (alone.counts["full_flushes"], alone.counts["page_invalidations"]) == (0, 2)


def test_svinval_leaves_a_single_stride_to_one_fence() -> None:
    """local_flush_tlb_range_asid(): size <= stride."""
    for row in (discard(1), run("anonymous", op="madv_dontneed", kind="thp", pages=512)):
        assert row.instructions["sfence_vma_addr_asid"] == 4
        names = ("sfence_w_inval", "sinval_vma_addr_asid", "sfence_inval_ir", "sfence_vma_asid")
        assert [row.instructions[name] for name in names] == [0, 0, 0, 0]


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
        assert row.instructions["sfence_vma_addr_asid"] == 1


_EMPTY = """
from shootdown.patches import replaces

@replaces("tlb_remove_tlb_entry")
def remove(call, g, lo, hi):
    call.original(hi=lo)
"""


@pytest.mark.parametrize(("platform", "verdict"), [("rva23-server", "safe"), ("rva23-server-sbi", "bug")])
def test_a_cpu_that_fences_itself_fences_the_first_page_of_an_empty_range_and_the_firmware_none(
    tmp_path: Path, platform: str, verdict: str
) -> None:
    """local_flush_tlb_range_asid() asks for `size <= stride`; OpenSBI goes from the start to the end."""
    patch = tmp_path / "empty.py"
    patch.write_text(_EMPTY)
    program = {
        "memory": {"heap": {"size": "4K", "alone": False}},
        "process": {"A": {"do": ["touch heap write", "madvise heap DONTNEED"]}},
    }
    (found,) = shootdown.explore(program, platforms=[platform], kernels=["7.0"], patch=patch)
    assert found.verdict == verdict


def calls(harts: str, cpus: int = 6, **values: Any) -> int:
    """Count the SBI calls of one flush whose mask holds every CPU."""
    setting = (f"platform.hart_ids={harts}",) if harts else ()
    row = discard(1, *setting, platform="rva23-server-sbi", cpus=cpus, threads=cpus - 1, **values)
    assert row.instructions["ecall"] == row.counts["hypercalls"]
    assert row.instructions["m_sfence_vma_addr_asid"] == row.counts["page_invalidations"] == cpus
    return row.counts["hypercalls"]


@pytest.mark.parametrize(
    ("harts", "cpus", "windows"),
    [
        ("", 64, 1),
        ("", 65, 2),
        ("", 128, 2),
        ("0,63", 2, 1),
        ("0,64", 2, 2),
        ("0,65", 2, 2),
        ("0,65,1,66", 4, 4),
        ("0-1,65-66", 4, 2),
        ("70,10,5", 3, 2),
        ("63,0", 2, 1),
        ("1", 65, 2),
    ],
)
def test_an_sbi_call_reaches_a_window_of_64_hart_ids_met_in_the_order_of_cpus(
    harts: str, cpus: int, windows: int
) -> None:
    """__sbi_rfence_v02(): one call more for each hart that would make the window too wide."""
    assert calls(harts, cpus) == windows


def test_sbi_calls_for_several_windows_wait_one_after_another() -> None:
    def waits(harts: str) -> float:
        row = discard(
            1,
            f"platform.hart_ids={harts}",
            "platform.jitter=0",
            platform="rva23-server-sbi",
            cpus=2,
            threads=1,
        )
        return row.times["elapsed_ns"].likely

    assert waits("0,65") - waits("0,1") == pytest.approx(1_200), "hypercall_ns"


@pytest.mark.parametrize("harts", ["x", "0,,1", "5-2", "0,0", "-1", "0-99999999999"])
def test_hart_ids_that_are_none_are_refused_by_name(harts: str) -> None:
    with pytest.raises(ShootdownError, match=r"platform.hart_ids="):
        calls(harts)


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
    assert row.instructions["sfence_vma_addr"] + row.instructions["sfence_vma"] == fences


# --- levels that are folded at run time


def unmapped(kernel: str, mode: int, workload: str = "hugetlb-munmap", **values: Any) -> tuple[int, int, int]:
    """Unmap what two processes share, a GiB of it: flushes, fences of everything, SBI calls."""
    row = run(
        workload,
        "platform.asid_bits=16",
        f"platform.satp_mode={mode}",
        platform="qemu-virt",
        kernel=kernel,
        cpus=4,
        threads=1,
        **{"tables": 1, "sharers": 2, **values},
    )
    return row.counts["flush_requests"], row.counts["full_flushes"], row.counts["hypercalls"]


def test_under_sv39_a_hole_of_a_whole_root_entry_flushes_once_more_since_5_17() -> None:
    """pud_free_tlb() sets freed_tables of a level that is folded at run time; riscv's own part frees nothing."""
    assert unmapped("6.12.117", 39) == (2, 4, 2)
    assert unmapped("5.16", 39)[0] == 1, "the PUD level was folded when compiled"


def test_calls_that_free_no_page_tables_flush_once() -> None:
    assert unmapped("6.12.117", 39, "hugetlb-madvise")[0] == 1
    assert unmapped("6.12.117", 39, "hugetlb-split")[0] == 1
    assert unmapped("6.12.117", 39, "hugetlb-mremap")[0] == 2


def test_under_sv48_and_sv57_the_flush_is_that_of_the_pud_table_itself() -> None:
    assert unmapped("6.12.117", 48) == unmapped("6.12.117", 57) == (2, 4, 2)


# --- the mode


@pytest.mark.parametrize(
    ("kernel", "mmu_type", "levels"),
    [
        ("6.17.5", "sv39", 4),
        ("6.17.6", "sv39", 3),
        ("6.18", "sv39", 3),
        ("7.0", "sv48", 4),
        ("7.0", "sv57", 4),
        ("7.0", "none", 4),
        ("6.12.117", "sv39", 4),
    ],
)
def test_the_device_tree_narrows_the_mode_from_6_18_on(kernel: str, mmu_type: str, levels: int) -> None:
    platform = next(one for one in PLATFORMS if one.name == "rva23-server")
    arch = attrs.evolve(platform.arch, mmu_type=mmu_type)
    lowering = RiscvLowering(shootdown.kernel(kernel, "riscv"), attrs.evolve(platform, arch=arch))
    assert len(lowering.format.levels) == levels


# --- faults


def after_faults(kernel: str, *settings: str) -> dict[str, int]:
    """Fork, with one page copied on write afterwards: its new entry is what is fenced."""
    asm = Assembler()
    platform = next(one for one in PLATFORMS if one.name == "rva23-server")
    for setting in settings:
        name, _, value = setting.partition("=")
        platform = attrs.evolve(platform, arch=attrs.evolve(platform.arch, **{name: value == "true"}))
    lowering = RiscvLowering(shootdown.kernel(kernel, "riscv"), platform)
    lowering.entries_mapped(asm, 2, entries=16)
    code = asm.finish()
    return {code.instructions[a]: b for _, a, b, *_ in code.steps.reshape(-1, 5).tolist()}


def test_a_fault_fences_each_entry_that_it_maps_and_none_with_svvptc_since_6_12() -> None:
    """update_mmu_cache_range(): faults around map 16 entries each."""
    assert after_faults("6.12.117") == {"sfence_vma_addr": 32}
    assert after_faults("6.11", "svvptc=true") == {"sfence_vma_addr": 32}
    assert after_faults("6.12", "svvptc=true") == {}


def test_a_fault_brackets_its_entries_by_svinval_since_7_3() -> None:
    assert after_faults("7.2.13") == {"sfence_vma_addr": 32}
    assert after_faults("7.3.4") == {"sfence_w_inval": 2, "sinval_vma_addr_asid": 32, "sfence_inval_ir": 2}
    assert after_faults("7.3.4", "svinval=false") == {"sfence_vma_addr": 32}
    assert after_faults("7.3.4", "svvptc=true") == {}


# --- address spaces


def test_with_asids_cpus_that_left_the_mm_are_still_interrupted_since_6_3() -> None:
    assert discard(1, threads=3, state="switched", kernel="7.0").counts["flush_ipis"] == 3
    assert (
        discard(1, "kernel.asid_keeps_cpumask=false", threads=3, state="switched").counts["flush_ipis"] == 0
    )


def test_without_asids_a_switch_flushes_and_leaves_the_mask() -> None:
    row = discard(1, "platform.asid_bits=0", threads=3, state="switched")
    assert row.counts["flush_ipis"] == 0
    assert row.instructions["sfence_vma_addr"] == 1


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
    names = ("sfence_vma_asid", "sfence_vma_addr_asid", "sinval_vma_addr_asid")
    fences = sum(row.instructions[name] for name in names)
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
