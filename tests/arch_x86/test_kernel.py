"""Facts about x86 kernels by release, the measured ones among them."""

from __future__ import annotations

from functools import partial

import attrs
import pytest
from tests.architectures.kernels import GENERATION, kernel_of, measured, measured_kernels

import shootdown
from shootdown import Kernel, ShootdownError
from shootdown._values.releases import newest_known
from shootdown._values.series import SERIES
from shootdown._values.whatif import parse_settings, refuse_contradictions
from shootdown.porting import switches_of
from shootdown_x86._kernel import CONTRADICTIONS

x86 = partial(kernel_of, "x86")


# --- the measured kernels


@pytest.mark.parametrize("name", measured_kernels("amd64"))
def test_a_measured_kernel_has_the_generation_that_was_measured(name: str) -> None:
    generations = {row["generation"] for row in measured("amd64") if row["kernel"] == name}
    assert generations == {GENERATION[x86(name).unshare_sync]}


@pytest.mark.parametrize("name", measured_kernels("amd64"))
def test_all_measured_kernels_free_tables_by_rcu_and_nothing_about_them_is_unverified(name: str) -> None:
    kernel = x86(name)
    assert kernel.rcu_table_free
    assert kernel.pmd_sharing
    assert kernel.merge_vmas
    assert kernel.remarks == ()


def test_each_measured_kernel_has_the_switches_that_its_counts_show() -> None:
    names = ["5.10.223", "5.10.251", "5.10.257", "6.1.176", "6.12.73", "6.12.74", "7.2.13"]
    shown = {
        "unshare_gather": [False, False, True, True, False, True, True],
        "fork_shares_pmd": [True, True, True, False, False, False, False],
        "mprotect_gather": [False, False, False, True, True, True, True],
        "thp_mprotect_flushes": [True, True, True, False, False, False, False],
        "hugetlb_mremap": [False, False, False, True, True, True, True],
        "hugetlb_madvise_dontneed": [False, False, False, True, True, True, True],
        "pt_reclaim": [False, False, False, False, False, False, True],
        "zap_flushes_unshared": [True] * 7,
        "flush_range_frees_tables": [False, True, True, True, True, True, True],
        "initiator_in_flush_mask": [True, True, True, False, False, False, False],
        "lazy_mm_cpumask": [False, False, False, False, False, False, True],
    }
    for switch, values in shown.items():
        kernels = [x86(name) for name in names]
        found = [getattr(kernel if hasattr(kernel, switch) else kernel.arch, switch) for kernel in kernels]
        assert found == values, switch


def _row(**wanted: object) -> dict[str, list[int]]:
    (row,) = [
        row for row in measured("amd64") if all(row.get(name) == value for name, value in wanted.items())
    ]
    return row["counts"]


@pytest.mark.parametrize("name", ["5.10.223", "5.10.251", "6.1.176", "7.2.13"])
def test_a_thp_mprotect_was_measured_to_flush_as_often_as_the_switches_say(name: str) -> None:
    counts = _row(
        kernel=name, workload="anonymous", kind="thp", op="mprotect_ro", threads="spin", T=3, pages=512
    )
    kernel = x86(name)
    flushes = 1 + kernel.thp_mprotect_flushes
    targets = 3 + (kernel.arch.initiator_in_flush_mask and not kernel.arch.flush_range_frees_tables)
    assert counts["flush_tlb_mm_range"] == [flushes, flushes]
    assert counts["gathers"] == [int(kernel.mprotect_gather)] * 2
    assert counts["tlb_row"] == [targets * flushes] * 2


def test_6_12_73_and_6_12_74_differ_by_the_rework_alone() -> None:
    before, after = x86("6.12.73"), x86("6.12.74")
    differing = {name for name, _ in switches_of(Kernel) if getattr(before, name) != getattr(after, name)}
    assert differing == {"unshare_sync", "unshare_gather"}
    assert before.arch == after.arch


# --- x86's own changes


def test_rcu_table_free_needed_paravirt_before_6_15() -> None:
    assert x86("6.12.73").rcu_table_free
    assert not x86("6.12.73", "kernel.paravirt=false").rcu_table_free
    assert not x86("6.13.12", "kernel.paravirt=false").rcu_table_free
    assert x86("6.15", "kernel.paravirt=false").rcu_table_free
    assert x86("7.0", "kernel.paravirt=false").rcu_table_free


def test_pt_reclaim_selected_rcu_table_free_in_6_14() -> None:
    assert x86("6.14", "kernel.paravirt=false").rcu_table_free
    neither = x86("6.14", "kernel.paravirt=false", "kernel.pt_reclaim=false")
    assert not neither.rcu_table_free
    assert "follows: rcu_table_free=false (6.14 has true)" in neither.remarks


def test_freeing_tables_without_rcu_is_a_what_if_on_7_0_and_takes_pt_reclaim_along() -> None:
    kernel = x86("7.0", "kernel.rcu_table_free=false")
    assert not kernel.rcu_table_free
    assert not kernel.pt_reclaim
    assert "what-if: rcu_table_free=false (7.0 has true)" in kernel.remarks


def test_flush_tlb_range_passes_freed_tables_since_cve_2025_22045_was_fixed() -> None:
    firsts = {"5.10": 236, "5.15": 180, "6.1": 134, "6.6": 87, "6.12": 23, "6.13": 11, "6.14": 2}
    for series, point in firsts.items():
        assert not x86(f"{series}.{point - 1}").arch.flush_range_frees_tables
        assert x86(f"{series}.{point}").arch.flush_range_frees_tables
    assert x86("6.15").arch.flush_range_frees_tables


def test_mm_cpumask_is_trimmed_lazily_from_6_14_but_the_filter_was_backported() -> None:
    assert not x86("6.13.12").arch.lazy_mm_cpumask
    assert x86("6.14").arch.lazy_mm_cpumask
    for name in ("5.15.179", "6.1.129", "6.6.79", "6.12.16", "6.13.4", "6.14"):
        assert x86(name).arch.flush_checks_loaded_mm, name
        assert not x86(name).arch.flush_while_switching, name
    for name in ("5.10.262", "5.15.178", "6.1.128", "6.12.15"):
        assert not x86(name).arch.flush_checks_loaded_mm, name
        assert x86(name).arch.flush_while_switching, name


def test_the_window_in_which_flushes_were_skipped_closed_in_6_15_and_in_6_13_never() -> None:
    for name in ("5.15.183", "6.1.139", "6.6.91", "6.12.29", "6.14.7", "6.15"):
        assert x86(name).arch.flush_while_switching, name
    assert not x86("6.13.12").arch.flush_while_switching


def test_invlpgb_and_tce_came_with_6_15_and_pti_disables_invlpgb_soon_after() -> None:
    assert (x86("6.14.11").arch.invlpgb, x86("6.15").arch.invlpgb) == (False, True)
    assert (x86("6.14.11").arch.tce, x86("6.15").arch.tce) == (False, True)
    assert x86("6.15.3").arch.invlpgb_with_pti
    assert not x86("6.15.4").arch.invlpgb_with_pti
    assert not x86("6.16").arch.invlpgb_with_pti


def test_32_bit_kernels_share_no_pmd_tables_although_their_configuration_says_so_to_6_16() -> None:
    """PAE preallocates the PMD tables of user space, and only an empty PUD entry can take a shared one."""
    kernels = [x86(name, "kernel.va_bits=32") for name in ("5.10.223", "6.12.38", "6.12.39", "6.16")]
    assert [kernel.arch.pmd_sharing_on_32bit for kernel in kernels] == [True, True, False, False]
    assert not any(kernel.pmd_sharing for kernel in kernels)


def test_i386_is_the_architecture_with_32_address_bits() -> None:
    for name in ("i386", "i686"):
        kernel = shootdown.kernel("6.5.10", name)
        assert (kernel.va_bits, kernel.remarks) == (32, (f"{name}: va_bits=32",))
    assert shootdown.kernel("6.5.10", "amd64").va_bits == 48
    assert shootdown.kernel("7.0", "i386") == attrs.evolve(
        x86("7.0", "kernel.va_bits=32"), remarks=("i386: va_bits=32",)
    )


def test_from_6_16_a_32_bit_kernel_populates_four_pmd_tables_for_a_new_mm_and_three_before() -> None:
    def forks(kernel: str, *settings: str) -> int:
        (row,) = shootdown.compare(
            "hugetlb-fork",
            arch=["i386"],
            kernels=[kernel],
            settings=["kernel.pmd_sharing=true", *settings],
            cpus=[4],
        )
        return row.counts["flush_requests"]

    assert [forks(kernel) for kernel in ("6.5.10", "6.15", "6.16", "7.0")] == [4, 4, 5, 5]
    assert [forks(kernel, "kernel.pti=true") for kernel in ("6.5.10", "7.0")] == [6, 6]


def test_erratum_1718_makes_tlbsync_two_from_7_2_11_where_the_cpu_has_it() -> None:
    def waits(kernel: str, *settings: str) -> int:
        (row,) = shootdown.compare(
            "anonymous",
            platforms=["amd-server"],
            kernels=[kernel],
            settings=["platform.flush=invlpgb", *settings],
            cpus=[8],
        )
        return row.counts["completion_waits"]

    erratum = "platform.tlbi_erratum=true"
    assert [waits(kernel, erratum) for kernel in ("7.2.10", "7.2.11", "7.3")] == [1, 2, 2]
    assert waits("7.3") == 1


def test_32_bit_kernels_use_no_invlpgb_and_reclaim_no_tables() -> None:
    kernel = x86("6.16", "kernel.va_bits=32")
    assert not kernel.pmd_sharing
    assert not kernel.arch.invlpgb
    assert not kernel.pt_reclaim
    assert x86("6.16", "kernel.va_bits=57").pmd_sharing


def test_a_base_page_has_4096_bytes_and_nothing_else() -> None:
    assert x86("7.0", "kernel.page_size=4k").page_size == 4096
    with pytest.raises(ShootdownError, match="allowed: 4096"):
        x86("7.0", "kernel.page_size=64k")


def test_va_bits_are_what_page_tables_can_have() -> None:
    with pytest.raises(ShootdownError, match="allowed: 32, 48, 57"):
        x86("7.0", "kernel.va_bits=39")


def test_the_ceiling_is_33_pages_and_a_cpu_remembers_six_address_spaces() -> None:
    kernel = x86("5.10")
    assert kernel.arch.tlb_single_page_flush_ceiling == 33
    assert kernel.arch.tlb_nr_dyn_asids == 6


def test_skip_redundant_sync_also_makes_flushes_of_unsharing_reach_lazy_cpus() -> None:
    kernel = x86("proposal:skip-redundant-sync")
    assert (kernel.skip_redundant_sync, kernel.honour_unshared_tables) == ("native-ipi", True)
    assert kernel.release == newest_known()
    assert not x86("proposal:targeted-sync").honour_unshared_tables


def test_no_release_honours_unshared_tables() -> None:
    assert not any(x86(f"{each.name}.{each.newest}").honour_unshared_tables for each in SERIES)


# --- two settings that cannot both hold


@attrs.frozen
class Forced:
    """A platform that flushes one way."""

    flush: str = "auto"


@pytest.mark.parametrize(
    ("release", "flush", "settings"),
    [
        ("7.0", "invlpgb", ["kernel.pti=true", "platform.flush=invlpgb"]),
        ("7.0", "invlpgb", ["kernel.invlpgb=false", "platform.flush=invlpgb"]),
        ("7.0", "kvm", ["kernel.paravirt=false", "platform.flush=kvm"]),
        ("7.0", "hypercall", ["kernel.paravirt=off", "platform.flush=hypercall"]),
        ("7.0", "invlpgb", ["kernel.va_bits=32", "platform.flush=invlpgb"]),
        ("7.0", "auto", ["kernel.va_bits=32", "kernel.invlpgb=true"]),
        ("7.0", "auto", ["kernel.va_bits=32", "kernel.pt_reclaim=true"]),
        ("7.0", "auto", ["kernel.rcu_table_free=false", "kernel.pt_reclaim=true"]),
    ],
)
def test_two_settings_that_cannot_both_hold_are_refused(
    release: str, flush: str, settings: list[str]
) -> None:
    with pytest.raises(ShootdownError, match="cannot both hold") as refusal:
        refuse_contradictions(
            parse_settings(settings), x86(release, *settings), Forced(flush), CONTRADICTIONS
        )
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("release", "flush", "settings"),
    [
        ("6.15", "invlpgb", ["kernel.pti=true", "platform.flush=invlpgb"]),
        ("7.0", "invlpgb", ["kernel.pti=true", "platform.flush=invlpgb", "kernel.invlpgb_with_pti=true"]),
        ("6.1", "invlpgb", ["platform.flush=invlpgb"]),
        ("7.0", "ipi", ["kernel.paravirt=false", "platform.flush=ipi"]),
        ("7.0", "auto", ["kernel.rcu_table_free=false"]),
    ],
)
def test_what_contradicts_history_alone_is_a_what_if(release: str, flush: str, settings: list[str]) -> None:
    refuse_contradictions(parse_settings(settings), x86(release, *settings), Forced(flush), CONTRADICTIONS)
