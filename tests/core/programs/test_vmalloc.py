"""vfree() leaves the flush of its addresses for later: one flush for all that wait, once they are too many."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown

#: With 8 CPUs, whose number has 4 bits, 128 MiB wait; each area of 1 MiB and its guard page are 257 pages of 4 KiB.
MOST = 4 * 32 * 256
FREES = MOST // 257


def row(
    turns: int, *, platform: str = "intel-server", kernel: str = "7.0", cpus: int = 8, size: str = "1M"
) -> Any:
    program = {
        "memory": {"buffer": {"kind": "vmalloc", "size": size}},
        "process": {"A": {"do": f"measure {{ repeat {turns} {{ vmalloc buffer; vfree buffer }} }}"}},
    }
    (found,) = shootdown.compare(program, platforms=[platform], kernels=[kernel], cpus=[cpus])
    return found


def counts(turns: int, **how: Any) -> dict[str, int]:
    return dict(row(turns, **how).counts)


def test_nobody_is_interrupted_until_more_wait_than_lazy_max_pages() -> None:
    before, after = counts(FREES), counts(FREES + 1)
    assert (before["flush_ipis"], "kernel_flushes" in before) == (0, False)
    assert (after["flush_ipis"], after["kernel_flushes"]) == (7, 1)


def test_one_flush_serves_all_that_wait_and_then_the_count_begins_anew() -> None:
    assert counts(3 * (FREES + 1) - 1)["kernel_flushes"] == 2
    assert counts(3 * (FREES + 1))["kernel_flushes"] == 3


@pytest.mark.parametrize(("cpus", "bits"), [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (16, 5)])
def test_how_many_wait_goes_by_the_bits_of_the_number_of_cpus(cpus: int, bits: int) -> None:
    frees = bits * 32 * 256 // 257
    assert "kernel_flushes" not in counts(frees, cpus=cpus)
    after = counts(frees + 1, cpus=cpus)
    assert (after["kernel_flushes"], after["flush_ipis"], after["full_flushes"]) == (1, cpus - 1, cpus)


@pytest.mark.parametrize(
    ("platform", "kernel", "ipis", "broadcasts", "hypercalls"),
    [
        ("intel-server", "6.1", 7, 0, 0),
        ("kvm-guest", "7.0", 7, 0, 0),
        ("amd-server", "6.14", 7, 0, 0),
        ("amd-server", "6.15", 0, 1, 0),
        ("neoverse-v2", "5.10", 0, 1, 0),
        ("neoverse-v2", "7.0", 0, 1, 0),
        ("power10", "7.0", 0, 1, 0),
        ("rva23-server", "7.0", 7, 0, 0),
        ("rva23-server-sbi", "7.0", 0, 0, 1),
    ],
)
def test_each_architecture_flushes_everything_in_its_own_way(
    platform: str, kernel: str, ipis: int, broadcasts: int, hypercalls: int
) -> None:
    """INVLPGB since 6.15; TLBI VMALLE1IS; tlbie of PID 0; IPIs or one call of the firmware on riscv."""
    found = counts(FREES + 1, platform=platform, kernel=kernel)
    assert found["kernel_flushes"] == 1
    assert [found[name] for name in ("flush_ipis", "broadcast_invalidations", "hypercalls")] == [
        ipis, broadcasts, hypercalls,
    ]  # fmt: skip


def test_where_kernel_addresses_have_no_flush_it_is_said() -> None:
    found = row(1, platform="power9-hash")
    assert not found.supported
    assert "kernel addresses are not modelled" in str(found.reason)


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("touch buffer", "`touch` of vmalloc memory is not known yet"),
        ("vfree buffer", "no statement `vmalloc buffer` maps it"),
        ("vmalloc heap", "`vmalloc` of anonymous memory is not known yet: only of vmalloc"),
        ("vmalloc buffer[0:4K]", "`vmalloc` is for a whole memory"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(do: str, said: str) -> None:
    memory = {"buffer": {"kind": "vmalloc", "size": "1M"}, "heap": {"size": "4K"}}
    with pytest.raises(shootdown.ShootdownError) as error:
        shootdown.compare({"memory": memory, "process": {"A": {"do": do}}}, arch=["x86"], kernels=["7.0"])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_explore_says_that_it_does_not_know_it() -> None:
    memory = {"buffer": {"kind": "vmalloc", "size": "1M"}}
    with pytest.raises(shootdown.ShootdownError, match="vmalloc memory is not explored yet"):
        shootdown.explore({"memory": memory, "process": {"A": {"do": "vmalloc buffer"}}}, arch=["x86"])


def test_a_loop_of_more_than_two_to_the_fifteenth_turns_takes_them_all() -> None:
    program = {"process": {"A": {"do": "measure { repeat 40000 { membarrier GLOBAL } }"}}}
    explained = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[1])[0]
    once = shootdown.compare(
        {"process": {"A": {"do": "measure { membarrier GLOBAL }"}}}, arch=["x86"], kernels=["7.0"], cpus=[1]
    )[0]
    assert explained.times["elapsed_ns"].likely > 35_000 * once.times["elapsed_ns"].likely
