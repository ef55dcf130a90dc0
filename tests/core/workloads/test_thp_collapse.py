"""`thp-collapse`: orders, population, passes and outcomes, by khugepaged and by the process itself."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown


def row(kernel: str = "7.3", arch: str = "x86", cpus: int = 4, **parameters: Any) -> Any:
    (result,) = shootdown.compare(
        "thp-collapse", arch=[arch], kernels=[kernel], cpus=[cpus], parameters={"ranges": 1, **parameters}
    )
    return result


def test_16k_folios_cost_128_broadcasts_a_pass_since_7_2_and_nothing_before() -> None:
    for kernel, syncs in (("7.0", 0), ("7.1", 0), ("7.2", 256), ("7.3", 256)):
        counts = row(kernel, orders="2", passes=2).counts
        assert (counts["sync_broadcasts"], counts["sync_ipis"]) == (syncs, 3 * syncs)


def test_each_attempt_interrupts_the_cpus_that_run_the_process_besides() -> None:
    counts = row(orders="4", threads=2).counts
    assert counts["flush_ipis"] == 3 * 32


def test_a_process_that_collapses_for_itself_sends_itself_no_flush() -> None:
    counts = row(ranges=4, orders="2,pmd", caller="process").counts
    assert (counts["sync_broadcasts"], counts["flush_ipis"]) == (4, 0)
    assert row(ranges=4, caller="process", threads=2).counts["flush_ipis"] == 8


def test_arm64_flushes_the_asid_once_for_each_attempt_unless_it_has_range_operations() -> None:
    def executed(platform: str) -> dict[str, int]:
        (result,) = shootdown.compare(
            "thp-collapse", platforms=[platform], arch=["arm64"], kernels=["7.3"], cpus=[4],
            parameters={"ranges": 1, "orders": "8"},
        )  # fmt: skip
        return {name: count for name, count in result.instructions.items() if count}

    assert executed("qemu-tcg") == {"tlbi_aside1is": 2}
    assert executed("qemu-tcg-max") == {"tlbi_rvae1is": 2}


def test_the_row_says_what_was_attempted_and_which_orders_nobody_tries() -> None:
    assert row(orders="2-8", populated="full, only page 0 young", passes=3).remarks[1:] == (
        "pass 1: 128 attempts flush and synchronise; 1 succeeded (order 8), "
        "127 lack_referenced_page (order 2, 3, 4, 5, 6, 7, 8)",
        "each of passes 2 to 3: 128 attempts flush and synchronise; 1 pte_mapped_hugepage (order 8), "
        "127 lack_referenced_page (order 2, 3, 4, 5, 6, 7, 8)",
    )
    assert row(orders="pmd", passes=2).remarks[2] == "pass 2: nothing is attempted"
    assert "orders below 9 are not tried" in " ".join(row("7.0", orders="2,pmd").remarks)
    assert row("7.0").remarks == ("ranges=1 counts, and gib does not",)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"orders": "1"}, "numbers from 2 on"),
        ({"orders": "8-2"}, "from the smaller to the larger"),
        ({"populated": "every 0th page"}, "every Nth page"),
        ({"max_ptes_none": "-1"}, "from 0 to 8191"),
        ({"outcomes": "9:well"}, "ORDER:OUTCOME"),
        ({"caller": "kswapd"}, "khugepaged, process"),
    ],
)
def test_what_can_not_be_read_is_refused(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(shootdown.ShootdownError, match=says):
        row(**parameters)


def test_a_kernel_or_page_size_that_lacks_it_says_so() -> None:
    assert "7d8faaf15545" in row("6.0", caller="process").reason
    assert "PMD order is 9" in row(orders="10").reason


def test_outcomes_can_be_given_by_order() -> None:
    counts = row(orders="8,pmd", outcomes="pmd:alloc_huge_page_failed").counts
    assert counts["sync_broadcasts"] == 2
    assert row(orders="8,pmd", outcomes="exceed_shared_pte").counts["sync_broadcasts"] == 3
