"""The verdicts on single page-table entries are those of bare protocols, searched by a plain Python twin."""

from __future__ import annotations

import itertools

import pytest
from tests.twins import pte_protocols as twin

from shootdown._questions.explore import explorations, explore_case

#: Architecture, platform, kernel, a forced way of flushing, and what that is in the twin.
CELLS = (
    ("x86", "intel-server", "7.0", "auto", "ipi"),
    ("x86", "intel-server", "5.10", "auto", "ipi"),
    ("x86", "intel-server", "7.0", "broadcast", "broadcast"),
    ("x86", "amd-server", "7.0", "invlpgb", "broadcast"),
    ("x86", "intel-server", "7.0", "kvm", "kvm"),
    ("x86", "kvm-guest", "5.10", "auto", "kvm"),
    ("x86", "hyper-v-guest", "6.6", "auto", "hypercall"),
    ("x86", "xen-pv-guest", "7.0", "auto", "hypercall"),
    ("arm64", "neoverse-v2", "7.0", "auto", "broadcast"),
    ("arm64", "neoverse-n1", "6.6", "auto", "broadcast"),
    ("arm64", "neoverse-v2", "7.0", "ipi", "ipi"),
    ("powerpc", "power9", "7.0", "auto", "broadcast"),
    ("powerpc", "power9", "6.6", "ipi", "ipi"),
    ("powerpc", "power10-lpar", "7.0", "auto", "hypercall"),
    ("powerpc", "power9-hash", "7.0", "auto", "hash"),
    ("powerpc", "power8", "5.10", "auto", "hash"),
)
ORDERS = ("sc", "tso", "weak")


def _explored(name: str, cell: tuple[str, ...], *settings: str) -> list[str]:
    arch, platform, kernel, flush, _ = cell
    found = []
    for order in ORDERS:
        (case,) = explorations(
            name, arch=[arch], platforms=[platform], kernels=[kernel],
            settings=(f"platform.flush={flush}", f"memory_model={order}", *settings),
        )  # fmt: skip
        found.append(explore_case(case).verdict)
    return found


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize(
    "name", ["cow-stale-writable", "delayed-rmap", "break-before-make", "contpte-partial"]
)
def test_each_fix_is_as_safe_as_in_the_bare_protocol(name: str, cell: tuple[str, ...]) -> None:
    protocol = getattr(twin, name.replace("-", "_"))
    for fix in (True, False):
        wanted = protocol(cell[-1], fix=fix)
        for verdict in _explored(name, cell, f"scenario.fix={fix}"):
            assert verdict in (wanted, "not-applicable")


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_clearing_an_entry_is_as_safe_as_in_the_bare_protocol(cell: tuple[str, ...]) -> None:
    for how in ("xchg", "store"):
        wanted = twin.dirty_bit_lost(cell[-1], atomic=how == "xchg")
        for verdict in _explored("dirty-bit-lost", cell, f"scenario.pte_clear={how}"):
            assert verdict in (wanted, "not-applicable")


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell[-1] == "hash"], ids=str)
def test_hash_entries_are_as_safe_as_in_the_bare_protocol(cell: tuple[str, ...]) -> None:
    for fix in (True, False):
        assert set(_explored("hash-pte-reuse", cell, f"scenario.fix={fix}")) == {twin.hash_pte_reuse(fix=fix)}


def test_the_scenarios_apply_where_the_hardware_does_it() -> None:
    applies = {
        name: {cell[1] for cell in CELLS if "not-applicable" not in _explored(name, cell)}
        for name in ("dirty-bit-lost", "break-before-make", "contpte-partial", "hash-pte-reuse")
    }
    x86 = {"intel-server", "amd-server", "kvm-guest", "hyper-v-guest", "xen-pv-guest"}
    arm64 = {"neoverse-v2", "neoverse-n1"}
    assert applies == {
        "dirty-bit-lost": x86 | arm64,
        "break-before-make": arm64,
        "contpte-partial": arm64,
        "hash-pte-reuse": {"power9-hash", "power8"},
    }


def test_the_twin_knows_each_race_on_each_way() -> None:
    for way, fix in itertools.product(twin.WAYS, (True, False)):
        bug = "safe" if fix else "bug"
        assert twin.delayed_rmap(way, fix=fix) == bug
        assert twin.cow_stale_writable(way, fix=fix) == ("safe" if way == "hash" else bug)
        if way != "hash":
            assert twin.break_before_make(way, fix=fix) == bug
            assert twin.contpte_partial(way, fix=fix) == bug
            assert twin.dirty_bit_lost(way, atomic=fix) == bug
    assert [twin.hash_pte_reuse(fix=fix) for fix in (True, False)] == ["safe", "bug"]
