"""The arm64 platforms: every cost has a range and a source, and broadcasts cost what was published.

`PYTHONPATH=tests python tests/arch_arm64/test_platforms.py` writes the tables of docs/reference/costs-arm64.md anew.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from twins import cost_tables

from shootdown import Cost, Costs, Platform
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.model import Model
from shootdown._plugins.registry import registry
from shootdown._timed.run import run_machine
from shootdown._values.releases import resolve
from shootdown._values.whatif import parse_settings, set_kernel
from shootdown.porting import ops as o
from shootdown_arm64._platforms import PLATFORMS, Arm64Platform

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "costs-arm64.md"
ENDS = ("low", "likely", "high")

every_platform = pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)


def by_name(name: str) -> Platform:
    return next(platform for platform in PLATFORMS if platform.name == name)


def flush(costs: Costs, cpus: int, end: str = "likely", tlbis: int = 1) -> float:
    """Add up one flush that nobody else disturbs, as the scheduler does."""

    def value(name: str) -> float:
        return float(getattr(getattr(costs, name), end))

    answers = value("completion_ns") + cpus * value("completion_each_ns")
    return value("flush_ns") + tlbis * value("broadcast_ns") + answers


def ipi(costs: Costs, targets: int) -> float:
    """Add up one IPI to so many targets until the last answer is there."""
    each = costs.ipi_send_each_ns.likely + costs.ipi_answer_each_ns.likely
    return (
        costs.ipi_send_ns.likely + costs.ipi_latency_ns.likely + costs.ipi_handler_ns.likely + targets * each
    )


# --- the machines


def test_names_are_unique_and_the_first_platform_is_bare_metal() -> None:
    names = [platform.name for platform in PLATFORMS]
    assert len(set(names)) == len(names)
    assert all(platform.hypervisor == "none" for platform in PLATFORMS)


def test_there_are_servers_and_clients_with_and_without_range_operations() -> None:
    kinds = {
        ("server" if platform.cpus >= 32 else "client", platform.arch.tlbirange)
        for platform in PLATFORMS
        if not platform.name.startswith("qemu")
    }
    assert kinds == {(kind, ranges) for kind in ("server", "client") for ranges in (True, False)}


def test_the_oracles_machines_have_4_cpus_and_differ_by_extensions_alone() -> None:
    plain, newest = by_name("qemu-tcg"), by_name("qemu-tcg-max")
    assert (plain.cpus, newest.cpus) == (4, 4)
    assert plain.arch == Arm64Platform(tlbirange=False, hafdbs=False)
    assert newest.arch == Arm64Platform()


@every_platform
def test_the_tlb_has_the_asids_of_the_cpu(platform: Platform) -> None:
    assert platform.tlb.asid_bits in (platform.arch.asid_bits, 0)
    assert (platform.tlb.asid_bits == 0) == platform.name.startswith("qemu")


def test_the_tlb_of_neoverse_n1_is_that_of_cortex_a76s_manual() -> None:
    tlb = by_name("neoverse-n1").tlb
    assert [(cache.entries, cache.ways) for cache in (*tlb.l1, *tlb.l2)] == [(48, 48), (1280, 5)]
    assert tlb.l1[0].page_sizes == (1 << 12, 1 << 14, 1 << 16, 1 << 21, 1 << 29)


# --- what was published


def test_a_flush_that_nobody_disturbs_costs_a_third_of_a_microsecond_on_8_cpus() -> None:
    """Commit c320dbb7c80d: 3.2 us less 2.85 us."""
    assert flush(by_name("cortex-a78").costs, 8) == pytest.approx(350, rel=0.1)


def test_a_flush_is_3_6_times_as_dear_on_100_cpus_as_on_8() -> None:
    """5.36 and 16.99 percent of the time (commit 43b3dfdd0455), were everything else alike."""
    few, many = (share / (1 - share) for share in (0.0536, 0.1699))
    costs = by_name("neoverse-n1").costs
    assert flush(costs, 100) / flush(costs, 8) == pytest.approx(many / few, rel=0.1)


def test_a_single_ipi_and_a_broadcast_take_the_dry_runs_that_were_measured_on_thunderx2() -> None:
    """110 and 2106 dry runs of 24 to 30 ns, to 1 and to 111 CPUs; the single one until it is handled."""
    costs = by_name("thunderx2").costs
    arrival = costs.ipi_send_ns.likely + costs.ipi_send_each_ns.likely + costs.ipi_latency_ns.likely
    assert arrival == pytest.approx(110 * 27, rel=0.1)
    assert ipi(costs, 111) == pytest.approx(2106 * 27, rel=0.1)


def machine(platform: Platform, kernel: str, *settings: str, cpus: int, mms: int) -> Model:
    arch = registry().architecture("arm64")
    chosen = set_kernel(resolve(kernel, arch), parse_settings(settings), arch)
    assert arch.lower is not None
    return Model(chosen, arch.lower(chosen, platform), cpus=cpus, mms=mms, small=True)


def time_of_loops(platform: Platform, cpus: int, looping: int, end: str = "likely") -> float:
    """Let single-threaded processes loop over mprotect() of one page; nanoseconds for one turn."""
    turns = 100
    model = machine(platform, "5.10", cpus=cpus, mms=looping)
    calls = Anonymous(model.calls, 512)
    for cpu in range(looping):
        model.starts(model.task(mm=cpu, cpu=cpu, ready=True))
        calls.touch(1, huge=False)
        with model.asm.loop(turns, o.SCRATCH):
            calls.mprotect(1, huge=False)
        model.asm.halt()
    quiet = attrs.evolve(platform, jitter=0)
    return run_machine(model.build(pages_per_table=1), quiet, which=end).elapsed_ns / turns


def without_broadcasts(platform: Platform) -> Platform:
    nothing = Cost(0, 0, 0, "estimate: flushes are local")
    names = ("broadcast_ns", "completion_ns", "completion_each_ns", "full_flush_ns", "page_flush_ns")
    return attrs.evolve(platform, costs=attrs.evolve(platform.costs, **dict.fromkeys(names, nothing)))


@pytest.mark.compiled
def test_32_cpus_of_an_emag_that_broadcast_at_once_take_17_7_times_as_long() -> None:
    """2.121 s against 0.120 s with local flushes (lore 20200203201745.29986-3-aarcange@redhat.com)."""
    emag = by_name("emag")
    alone = time_of_loops(without_broadcasts(emag), 32, 1)
    assert time_of_loops(emag, 32, 32) / alone == pytest.approx(2.121353 / 0.119775, rel=0.1)


@pytest.mark.compiled
def test_the_time_of_a_broadcast_grows_almost_linearly_with_the_cpus_that_broadcast_at_once() -> None:
    emag = by_name("emag")
    times = [time_of_loops(emag, 32, looping) for looping in (1, 8, 16, 32)]
    assert times[1] > 2 * times[0]
    assert times[2] / times[1] == pytest.approx(2, rel=0.1)
    assert times[3] / times[2] == pytest.approx(2, rel=0.1)


def lost_by_a_bystander(platform: Platform, end: str) -> float:
    """Let one CPU of 56 loop over mprotect() of 4 MiB of 64K pages; the share of its time that another loses."""

    def victims_time(turns: int) -> tuple[float, float]:
        model = machine(platform, "5.10", "kernel.page_size=64k", cpus=56, mms=2)
        calls = Anonymous(model.calls, 8192)
        model.starts(model.task(mm=0, cpu=1, ready=True))
        with model.asm.loop(1000, o.SCRATCH):
            model.asm.work("user_ns", 1000)
        model.asm.halt()
        if turns:
            model.starts(model.task(mm=1, cpu=0, ready=True))
            with model.asm.loop(turns, o.SCRATCH):
                calls.mprotect(64, huge=False)
            model.asm.halt()
        run = run_machine(model.build(pages_per_table=1), attrs.evolve(platform, jitter=0), which=end)
        return run.clocks[1] / 1000, run.clocks[0] / 1000

    alone, _ = victims_time(0)
    disturbed, noise = victims_time(20)
    assert noise < alone
    return (disturbed - alone) / noise


def test_the_range_of_what_a_bystander_loses_holds_what_himeno_lost() -> None:
    """1614.4 to 1152.9 MFLOPS on ThunderX2 while another core loops over mprotect()."""
    thunderx2 = by_name("thunderx2")
    lost = 1 - 1152.9 / 1614.4
    assert 0 < lost_by_a_bystander(thunderx2, "low") < lost < lost_by_a_bystander(thunderx2, "high")


# --- the document


@pytest.mark.parametrize("name", ["neoverse-v2", "neoverse-n1", "emag", "thunderx2", "cortex-a78"])
def test_the_document_adds_up_a_flush(name: str) -> None:
    platform = by_name(name)
    sums = " | ".join(f"{flush(platform.costs, platform.cpus, end) / 1000:.2f}" for end in ENDS)
    assert f"| `{name}` | {platform.cpus} | {sums} |" in DOCUMENT.read_text(encoding="utf-8")


def test_the_document_lists_the_values_as_they_are() -> None:
    assert cost_tables.listed(DOCUMENT) == cost_tables.tables(PLATFORMS), (
        f"write it anew: python {Path(__file__).name}"
    )


if __name__ == "__main__":
    cost_tables.write(DOCUMENT, PLATFORMS)
