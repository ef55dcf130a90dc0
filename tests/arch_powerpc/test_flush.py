"""What a radix flush executes: arch/powerpc/mm/book3s64/radix_tlb.c (docs/facts/flushes.md)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from powerpc_counts import counted, instructions, prepared

import shootdown
from shootdown._timed.run import run_machine
from shootdown.porting import ops as o

TABLE = {4096: 512, 65536: 32}


def executed(workload: str = "anonymous", kernel: str = "7.0", **given: object) -> dict[str, int]:
    return instructions(counted(workload, kernel, **given))  # type: ignore[arg-type]


def pid(ric: int, *, sets: int = 128) -> dict[str, int]:
    """What `_tlbiel_pid()` executes."""
    total = {f"tlbiel_ric{ric}": 1}
    total["tlbiel_ric0"] = total.get("tlbiel_ric0", 0) + sets - 1
    return {name: n for name, n in total.items() if n}


# --- a huge page: docs/facts/flushes.md#powerpc-radix


@pytest.mark.parametrize("threads", [1, 3])
def test_a_global_flush_of_a_thp_is_one_tlbie_and_with_freed_tables_one_more_for_the_walk_cache(
    threads: int,
) -> None:
    """radix__tlb_flush() on a CPU without POWER9's fix-ups: discarding frees no table, unmapping does.

    Clearing the entry flushes it once at once (75358ea359e7), the gather once; the table goes with RIC 1 and RIC 0.
    """
    power10 = {"platform": "power10", "cpus": 8, "kind": "thp", "threads": threads}
    assert executed(op="madv_dontneed", **power10) == {"tlbie_ric0": 2, "tlbsync": 2}
    assert executed(op="munmap", **power10) == {"tlbie_ric0": 3, "tlbie_ric1": 1, "tlbsync": 3}


# --- local, global, none


def test_a_process_that_ran_on_one_cpu_alone_is_flushed_locally() -> None:
    assert executed(threads=0, pages=3, op="mprotect_ro") == {"tlbiel_ric0": 3}


@pytest.mark.parametrize("state", ["spin", "lazy", "switched"])
def test_cpus_stay_in_mm_cpumask_so_that_threads_make_flushes_global_whatever_they_do(state: str) -> None:
    assert executed(threads=1, state=state, pages=3, op="mprotect_ro") == {"tlbie_ric0": 5, "tlbsync": 1}


@pytest.mark.parametrize("cpus", [2, 3, 17, 64])
def test_exit_interrupts_each_cpu_that_ran_the_process_and_needs_no_tlbie(cpus: int) -> None:
    """e43c0a0c3c28: each target and the CPU itself invalidate the PID with RIC 2."""
    counts = counted(
        "hugetlb-exit", cpus=cpus, threads=cpus - 1, state="switched", settings=("kernel.pmd_sharing=true",)
    )
    assert counts["flush_ipis"] == cpus - 1
    assert instructions(counts) == {"tlbiel_ric2": cpus + 1, "tlbiel_ric0": 127 * (cpus + 1)}


def test_before_6_6_exit_broadcasts_and_from_6_4_on_ipis_end_lazy_use_besides() -> None:
    """77f68ebeee20 came with 6.4, e43c0a0c3c28, which makes one of two, with 6.6."""
    exits = {
        kernel: counted(
            "hugetlb-exit",
            kernel,
            threads=3,
            state="switched",
            sharers=1,
            settings=("kernel.pmd_sharing=true",),
        )
        for kernel in ("6.3", "6.4", "6.5", "6.6")
    }
    assert [counts["flush_ipis"] for counts in exits.values()] == [0, 3, 3, 3]
    tlbie = {"tlbie_ric2": 1, "tlbie_ric0": 2, "tlbsync": 1}
    assert [instructions(counts) == tlbie for counts in exits.values()] == [True, True, True, False]
    assert exits["6.6"]["lazy_switches"] == 0, "the CPUs run another process: they only leave mm_cpumask"


def test_exit_makes_lazy_cpus_leave_the_mm() -> None:
    counts = counted("hugetlb-exit", threads=3, state="lazy", settings=("kernel.pmd_sharing=true",))
    assert counts["lazy_switches"] == 3
    assert counts["flush_ipis"] == 3


def test_punching_a_hole_in_processes_that_do_not_run_is_global_unless_they_ran_here_alone() -> None:
    """Each of the sharers ran on its own CPU, and the first one punches: none of the others is local."""
    counts = counted("hugetlb-punch", sharers=3, tables=1, settings=("kernel.pmd_sharing=true",))
    assert instructions(counts) == {"tlbiel_ric0": 128, "tlbie_ric0": 6, "tlbsync": 2}


def test_each_1073rd_global_flush_of_a_cpu_trims_mm_cpumask_and_flushes_locally() -> None:
    """9393544842d6 (5.12); the threads keep running, so that the next flush is global again."""
    many = {"op": "mprotect_ro", "kind": "embedded", "pages": 1, "threads": 2}
    assert executed(times=1072, **many) == {"tlbie_ric0": 3, "tlbsync": 1}
    trimmed = counted("anonymous", times=1073, **many)
    assert trimmed["flush_ipis"] == 2
    assert instructions(trimmed) == {"tlbiel_ric2": 2, "tlbiel_ric0": 2 * 127 + 1}
    assert executed(times=1074, **many) == {"tlbie_ric0": 3, "tlbsync": 1}
    assert executed(kernel="5.11", times=1073, **many) == {"tlbie_ric0": 3, "tlbsync": 1}


def test_trimming_takes_cpus_out_for_good_where_the_threads_are_gone() -> None:
    """Threads that another process displaced leave: from the 1073rd flush on the process is local."""
    many = {"op": "mprotect_ro", "kind": "embedded", "pages": 1, "threads": 2, "state": "switched"}
    assert executed(times=1072, **many) == {"tlbie_ric0": 3, "tlbsync": 1}
    assert executed(times=1074, **many) == {"tlbiel_ric0": 1}


def test_trimming_an_mm_that_nobody_runs_leaves_nothing_to_flush() -> None:
    """One task punches through 47 other address spaces, whose CPUs all idle: the 41st flush is an IPI and no tlbie.

    Those that ran on its own CPU alone are flushed by tlbiel. 54bb503345b8 and 780de40601aa, 5.12.
    """
    given = {"sharers": 48, "tables": 1, "pages": 1, "cpus": 4}
    alone = "kernel.pmd_sharing=false"
    here = 48 // 4  # its own mm and those of the same CPU; one page each
    before = counted("hugetlb-punch", "5.11", settings=(alone,), **given)
    after = counted("hugetlb-punch", "5.12", settings=(alone, "kernel.trim_period=41"), **given)
    assert instructions(before) == {"tlbiel_ric0": here, "tlbie_ric0": 3 * 36, "tlbsync": 36}
    assert before["flush_ipis"] == 0
    assert instructions(after)["tlbsync"] == 35
    assert after["flush_ipis"] == 1
    assert instructions(after)["tlbiel_ric2"] == 1


# --- how much


@given(
    pages=st.integers(1, 1500),
    threads=st.integers(0, 3),
    op=st.sampled_from(["munmap", "madv_dontneed", "mprotect_ro", "mprotect_rw"]),
    kind=st.sampled_from(["isolated", "embedded"]),
    page_size=st.sampled_from([4096, 65536]),
    platform=st.sampled_from(["qemu-tcg", "power9", "power10"]),
)
@settings(max_examples=60)
def test_a_range_is_flushed_page_by_page_up_to_33_or_256_pages_and_by_pid_beyond(
    pages: int, threads: int, op: str, kind: str, page_size: int, platform: str
) -> None:
    """Written a second time from the kernel's source, in one expression for each of the four kinds of flush."""
    counts = executed(
        op=op,
        kind=kind,
        pages=pages,
        threads=threads,
        platform=platform,
        settings=(f"kernel.page_size={page_size}",),
    )
    freed = op == "munmap" and (kind == "isolated" or pages >= TABLE[page_size])
    fixups = {"qemu-tcg": 2, "power9": 1, "power10": 0}[platform]
    if op == "mprotect_rw":
        assert counts == {}
    elif threads and pages <= 33:
        walk = {"tlbie_ric1": 1} if freed else {}
        assert counts == {"tlbie_ric0": pages + fixups, "tlbsync": 1, **walk}
    elif threads:
        all_ = {"tlbie_ric2": 1, "tlbie_ric0": fixups} if freed else {"tlbie_ric0": 1 + fixups}
        assert counts == {name: n for name, n in {**all_, "tlbsync": 1}.items() if n}
    elif pages <= 256:
        assert counts == {"tlbiel_ric0": pages, **({"tlbiel_ric1": 1} if freed else {})}
    else:
        assert counts == pid(2 if freed else 0, sets=1 if platform == "power10" else 128)


@pytest.mark.parametrize(("ceiling", "by_pid"), [(0, True), (99, True), (100, False), (10_000, False)])
def test_the_ceilings_are_those_of_debugfs(ceiling: int, by_pid: bool) -> None:
    protect = {"op": "mprotect_ro", "kind": "embedded", "pages": 100}
    near = executed(threads=0, settings=(f"kernel.local_page_ceiling={ceiling}",), **protect)
    far = executed(threads=1, settings=(f"kernel.page_ceiling={ceiling}",), **protect)
    assert near == ({"tlbiel_ric0": 128} if by_pid else {"tlbiel_ric0": 100})
    assert far == ({"tlbie_ric0": 3, "tlbsync": 1} if by_pid else {"tlbie_ric0": 102, "tlbsync": 1})


def test_flush_tlb_range_knows_no_page_size_and_flushes_2m_pages_and_the_walk_cache_too() -> None:
    """cec6515abbda (5.14), seen where mprotect() has no gather: 64 pages of 64K are two PMD entries."""
    given = {"op": "mprotect_ro", "kind": "embedded", "pages": 64, "threads": 0}
    big = ("kernel.page_size=64k",)
    assert executed(kernel="5.13", settings=big, **given) == {"tlbiel_ric0": 64 + 2}
    assert executed(kernel="5.14", settings=big, **given) == {"tlbiel_ric0": 64 + 2, "tlbiel_ric1": 1}
    assert executed(kernel="5.14", settings=(*big, "kernel.thp=false"), **given) == {
        "tlbiel_ric0": 64,
        "tlbiel_ric1": 1,
    }
    assert executed(kernel="5.15", settings=big, **{**given, "pages": 31}) == {"tlbiel_ric0": 31}
    assert executed(kernel="5.14", settings=big, **{**given, "pages": 1000}) == pid(2)
    assert executed(kernel="5.13", settings=big, **{**given, "pages": 1000}) == pid(0)


def test_fix_ups_follow_each_kind_of_tlbie_of_a_batch() -> None:
    """33 pages of 64K are one whole PMD entry: its 2M pass has fix-ups of its own (__tlbie_va_range())."""
    given = {"op": "mprotect_ro", "kind": "embedded", "pages": 33, "threads": 1}
    counts = executed(kernel="5.14", settings=("kernel.page_size=64k",), **given)
    assert counts == {"tlbie_ric0": 33 + 2 + 1 + 2, "tlbie_ric1": 1, "tlbsync": 1}


def test_power10_needs_one_tlbiel_for_a_pid_since_5_11() -> None:
    given = {"op": "mprotect_ro", "kind": "embedded", "pages": 300, "threads": 0, "platform": "power10"}
    assert executed(kernel="5.10", **given) == pid(0)
    assert executed(kernel="5.11", **given) == {"tlbiel_ric0": 1}


@pytest.mark.parametrize(
    ("page_size", "expected"), [("4k", pid(2)), ("64k", {"tlbiel_ric1": 1, "tlbiel_ric0": 32})]
)
def test_a_collapse_flushes_the_mm_with_4k_pages_and_page_by_page_with_64k(
    page_size: str, expected: dict[str, int]
) -> None:
    """radix__flush_tlb_collapsed_pmd(), by a daemon that does not run the mm, which makes it global."""
    counts = executed("thp-collapse", gib=1, settings=(f"kernel.page_size={page_size}",))
    times = 512
    everywhere = {name.replace("tlbiel", "tlbie"): n for name, n in expected.items()}
    if page_size == "4k":
        everywhere = {"tlbie_ric2": 1, "tlbie_ric0": 0}
    everywhere["tlbie_ric0"] += 2
    assert counts == {**{name: n * times for name, n in everywhere.items()}, "tlbsync": times}


@pytest.mark.parametrize(("kernel", "interrupts"), [("5.10.147", True), ("5.10.148", False), ("6.0", False)])
def test_a_collapse_interrupted_lockless_walkers_until_they_rechecked_the_pmd(
    kernel: str, interrupts: bool
) -> None:
    """bedf03416913 took serialize_against_pte_lookup() out of radix__pmdp_collapse_flush()."""
    counts = counted("thp-collapse", kernel, gib=1, threads=3)
    assert counts["flush_ipis"] == (512 * 3 if interrupts else 0)


# --- other ways


IPI = ("kernel.disable_tlbie=true",)


@pytest.mark.parametrize("cpus", [2, 4, 9])
def test_without_tlbie_each_cpu_of_mm_cpumask_is_interrupted_and_executes_tlbiel(cpus: int) -> None:
    given = {"op": "mprotect_ro", "kind": "embedded", "cpus": cpus, "threads": cpus - 1, "settings": IPI}
    few = counted("anonymous", pages=5, **given)
    assert few["flush_ipis"] == cpus - 1
    assert few["broadcast_invalidations"] == 0
    assert instructions(few) == {"tlbiel_ric0": 5 * cpus}
    assert executed(pages=34, **given) == {"tlbiel_ric0": 128 * cpus}


def test_a_guest_without_gtse_asks_the_hypervisor_once_whatever_the_length() -> None:
    for pages in (1, 33, 34, 5000):
        counts = counted("anonymous", platform="power10-lpar", pages=pages, threads=1, op="mprotect_ro")
        assert instructions(counts) == {"h_rpt_invalidate": 1}
        assert counts["hypercalls"] == 1
    assert executed(platform="power10-lpar", threads=0, pages=5, op="mprotect_ro") == {"tlbiel_ric0": 5}


def test_without_gtse_a_long_flush_tlb_range_does_not_drop_the_page_walk_cache() -> None:
    """Past the ceiling __radix__flush_tlb_range() counts on a PID flush, which a hypercall for a range is not."""
    given = {"op": "mprotect_ro", "kind": "embedded", "threads": 1, "platform": "power10-lpar"}
    big = ("kernel.page_size=64k",)
    steps = {}
    for pages in (31, 33, 34):
        case = prepared("anonymous", "5.15", pages=pages, settings=big, **given)
        machine = case.program.build(case.setup())
        run = run_machine(machine, case.platform)
        asked = [n for n, note in enumerate(machine.code.notes) if note.text == "H_RPT_INVALIDATE"]
        (taken,) = [n for n in asked if run.step_counts[n]]
        steps[pages] = int(machine.code.steps[taken * 5 + 2])
    assert steps == {31: o.SCOPE_LEAF, 33: o.SCOPE_BOTH, 34: o.SCOPE_LEAF}


def test_an_accelerator_makes_every_flush_global_and_escalates_a_pid_flush_on_power9() -> None:
    """mm_context_add_copro() counts it as a CPU; mm_needs_flush_escalation(), off on ISA 3.1 since abf0878ce95f."""
    given = {"op": "mprotect_ro", "kind": "embedded", "pages": 34, "threads": 0}
    attached = ("platform.coprocessors=true",)
    p9 = executed(platform="power9", settings=attached, **given)
    assert p9 == {"tlbie_ric2": 1, "tlbie_ric0": 1, "tlbsync": 1}
    assert executed(platform="power10", settings=attached, **given) == {"tlbie_ric0": 1, "tlbsync": 1}
    assert executed(kernel="5.19", platform="power10", settings=attached, **given) == {
        "tlbie_ric2": 1,
        "tlbsync": 1,
    }


def test_with_an_accelerator_ipis_do_not_replace_tlbie() -> None:
    counts = counted(
        "anonymous",
        op="mprotect_ro",
        kind="embedded",
        pages=2,
        threads=1,
        platform="power10",
        settings=("platform.coprocessors=true", *IPI),
    )
    assert counts["flush_ipis"] == 1
    assert instructions(counts) == {"tlbiel_ric0": 4, "tlbie_ric0": 2, "tlbsync": 1}


# --- no PMD sharing


@pytest.mark.parametrize("kernel", ["5.10", "6.4", "6.18.2", "7.0", "7.3"])
@pytest.mark.parametrize("platform", ["power9", "power8", "power10-lpar"])
def test_workloads_about_sharing_are_not_applicable_and_say_why(kernel: str, platform: str) -> None:
    (row,) = shootdown.compare(
        "hugetlb-munmap", arch=["powerpc"], platforms=[platform], kernels=[kernel], cpus=[4]
    )
    assert not row.supported
    assert row.counts == {}
    assert (row.reason or "").startswith("not applicable: no hugetlb PMD sharing")


@pytest.mark.parametrize(
    "platform", ["power9", "power10", "power9-guest", "power10-lpar", "power8", "power9-hash"]
)
def test_what_if_powerpc_shared_tables_answers_with_counts_and_a_remark(platform: str) -> None:
    """The sync is needed, and the flush of an unsharing would keep walk-cache entries, as arm64 before c2ff4764e03e."""
    rows = shootdown.compare(
        "hugetlb-munmap",
        arch=["powerpc"],
        platforms=[platform],
        kernels=["6.4", "6.18.2", "7.0"],
        parameters={"tables": 4, "threads": 3},
        cpus=[8],
        settings=["kernel.pmd_sharing=true"],
    )
    assert [row.counts["sync_broadcasts"] for row in rows] == [0, 4, 1]
    assert [row.counts["sync_ipis"] for row in rows] == [0, 28, 7]
    assert all(row.counts["stale_entries_left"] > 0 for row in rows)
    assert all(any("pmd_sharing=true" in remark for remark in row.remarks) for row in rows)


def test_honouring_unshared_tables_would_drop_the_walk_cache_with_ric_2() -> None:
    shared = ("kernel.pmd_sharing=true",)
    given = {"tables": 1, "threads": 3, "platform": "power10", "cpus": 8}
    kept = counted("hugetlb-munmap", settings=shared, **given)
    dropped = counted("hugetlb-munmap", settings=(*shared, "kernel.honour_unshared_tables=true"), **given)
    tables = {
        "tlbie_ric1": 1,
        "tlbie_ric0": 1,
        "tlbsync": 1,
    }  # what tlb_finish_mmu() flushes: a freed PUD table
    assert kept["stale_entries_left"] > 0
    assert instructions(kept) == {**tables, "tlbie_ric0": 2, "tlbsync": 2}
    assert dropped["stale_entries_left"] == 0
    assert instructions(dropped) == {**tables, "tlbie_ric2": 1, "tlbsync": 2}
