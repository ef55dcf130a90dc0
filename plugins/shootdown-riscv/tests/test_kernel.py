"""Facts about riscv kernels by release."""

from __future__ import annotations

import pytest

import shootdown
from shootdown import Kernel, ShootdownError
from shootdown.porting import BY_NAME, switches_of
from shootdown_riscv._kernel import CHANGES, RiscvKernel, configure


def riscv(name: str, *settings: str) -> Kernel:
    return shootdown.kernel(name, "riscv", settings)


def test_tables_are_freed_by_rcu_and_gup_fast_exists_from_6_9_on() -> None:
    for name in ("5.10", "6.1.192", "6.6.159", "6.8.12"):
        assert (riscv(name).rcu_table_free, riscv(name).gup_fast) == (False, False), name
    for name in ("6.9", "6.12.117", "7.0", "7.3.4"):
        assert (riscv(name).rcu_table_free, riscv(name).gup_fast) == (True, True), name


def test_tlb_flush_flushed_the_whole_mm_until_6_7() -> None:
    assert [riscv(name).arch.gather_flushes_range for name in ("6.1", "6.6.16", "6.6.17", "6.7")] == [
        False,
        False,
        True,
        True,
    ]


def test_freed_tables_went_unnoticed_from_6_7_to_6_7_4() -> None:
    """c5e9b2c2ae82 stopped looking at them, 97cf301fa42e looks again; 6.6 got both at once."""
    assert [
        riscv(name).honour_freed_tables for name in ("6.6.16", "6.6.17", "6.7", "6.7.4", "6.7.5", "6.8")
    ] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]


def test_more_than_64_strides_flush_everything_where_more_than_one_did_before() -> None:
    assert [riscv(name).arch.tlb_flush_all_threshold for name in ("6.6.16", "6.6.17", "6.7", "7.3.4")] == [
        1,
        64,
        64,
        64,
    ]


def test_with_asids_mm_cpumask_keeps_every_cpu_since_6_3_and_in_stable_releases() -> None:
    for series, point in {"5.15": 104, "6.1": 21, "6.2": 8}.items():
        assert not riscv(f"{series}.{point - 1}").arch.asid_keeps_cpumask
        assert riscv(f"{series}.{point}").arch.asid_keeps_cpumask
    assert riscv("6.3").arch.asid_keeps_cpumask


def test_fences_can_be_ipis_from_6_4_on_and_the_imsic_has_a_driver_from_6_10_on() -> None:
    assert [
        (riscv(n).arch.ipi_fences, riscv(n).arch.imsic_driver) for n in ("6.3", "6.4", "6.9", "6.10")
    ] == [
        (False, False),
        (True, False),
        (True, False),
        (True, True),
    ]


def test_svinval_is_used_from_6_16_on() -> None:
    assert [riscv(name).arch.svinval for name in ("6.12.117", "6.15", "6.16", "6.18")] == [
        False,
        False,
        True,
        True,
    ]


def test_sv48_came_with_5_17_and_sv57_with_5_18() -> None:
    assert [riscv(name).va_bits for name in ("5.16", "5.17", "5.18", "7.0")] == [39, 48, 57, 57]


def test_only_64_bit_kernels_share_pmd_tables() -> None:
    assert riscv("7.0").pmd_sharing
    assert not riscv("7.0", "kernel.va_bits=32").pmd_sharing


def test_what_is_not_known_of_a_release_is_said() -> None:
    assert any("UNVERIFIED" in remark and "f0293cd1f4fc" in remark for remark in riscv("6.1").remarks)
    assert riscv("7.0").remarks == ()


@pytest.mark.parametrize(
    ("platform", "setting", "why"),
    [
        ("sifive-u74", "kernel.va_bits=48", "satp has no such mode"),
        ("rva23-server", "platform.flush=broadcast", "local"),
        ("rva23-server", "platform.flush=kvm", "local"),
    ],
)
def test_what_cannot_hold_is_refused_with_its_reason(platform: str, setting: str, why: str) -> None:
    with pytest.raises(ShootdownError, match=why):
        shootdown.compare(
            "anonymous", arch=["riscv"], platforms=[platform], kernels=["7.0"], settings=[setting]
        )


def test_svinval_cannot_be_used_where_it_is_not() -> None:
    settings = ["kernel.svinval=true", "platform.svinval=false"]
    with pytest.raises(ShootdownError, match=r"no SINVAL\.VMA"):
        shootdown.compare("anonymous", arch=["riscv"], kernels=["7.0"], settings=settings)


def test_a_wider_mode_is_a_what_if_of_kernel_and_platform() -> None:
    settings = ["kernel.va_bits=57", "platform.satp_mode=57"]
    (row,) = shootdown.compare(
        "anonymous", arch=["riscv"], platforms=["sifive-u74"], kernels=["7.0"], settings=settings
    )
    assert row.supported


# --- the table


def test_every_change_moves_switches_that_exist_and_says_where_its_releases_come_from() -> None:
    declared = dict(switches_of(Kernel)) | dict(switches_of(RiscvKernel))
    for change in CHANGES:
        assert change.sets, change
        assert {name for name, _ in change.sets} <= set(declared), change
        assert change.source or not change.stable, change


def test_every_switch_is_moved_by_a_change() -> None:
    moved = {name for change in CHANGES for name, _ in change.sets}
    assert {name for name, _ in switches_of(RiscvKernel)} <= moved


def test_backports_go_to_older_series_and_to_releases_that_exist() -> None:
    for change in CHANGES:
        for name, point in change.stable:
            assert change.mainline is not None
            assert BY_NAME[name].key < BY_NAME[change.mainline.partition("-rc")[0]].key, change
            assert 0 < point <= BY_NAME[name].newest, change


def test_configuring_twice_is_configuring_once() -> None:
    for series in BY_NAME.values():
        kernel = riscv(f"{series.name}.{series.newest}")
        assert configure(kernel) == kernel
