"""Contiguous blocks in counts: what folding and unfolding them flushes, by release, granule and CPU."""

from __future__ import annotations

from typing import Any

import pytest
from counting import counted, prepared
from hypothesis import given
from hypothesis import strategies as st

from shootdown_arm64._contpte import conversions


def executed(kernel: str, *settings: str, platform: str = "qemu-tcg", **parameters: Any) -> dict[str, int]:
    """Run mprotect() of part of a THP: the TLBIs that were executed."""
    parameters = {"kind": "thp", "op": "thp_split_mprotect", "threads": 0} | parameters
    case = prepared("arm64", "anonymous", kernel, *settings, platform=platform, **parameters)
    return counted(case).instructions


@pytest.mark.parametrize(
    ("kernel", "leaves"), [("6.1", 1), ("6.8", 1), ("6.9", 17), ("6.12.73", 17), ("6.18.5", 17), ("7.3", 17)]
)
def test_one_page_of_a_split_thp_unfolds_its_block_since_6_9(kernel: str, leaves: int) -> None:
    assert executed(kernel) == {"tlbi_vae1is": 1, "tlbi_vale1is": leaves}


@pytest.mark.parametrize(("page_size", "leaves"), [("4k", 17), ("16k", 129), ("64k", 33)])
def test_a_block_is_64_kib_or_2_mib(page_size: str, leaves: int) -> None:
    assert executed("7.0", f"kernel.page_size={page_size}")["tlbi_vale1is"] == leaves


@pytest.mark.parametrize("page_size", ["4k", "16k", "64k"])
def test_a_block_is_one_range_operation(page_size: str) -> None:
    counts = executed("7.0", f"kernel.page_size={page_size}", platform="qemu-tcg-max")
    assert counts == {"tlbi_rvae1is": 1, "tlbi_rvale1is": 1, "tlbi_vale1is": 1}


def test_a_whole_block_is_unfolded_and_folded_until_mprotect_batches_in_6_17() -> None:
    assert executed("6.16", changed=16)["tlbi_vale1is"] == 16 + 16 + 16
    assert executed("6.17", changed=16)["tlbi_vale1is"] == 16


def test_of_a_range_from_6_17_on_only_blocks_at_its_ends_are_unfolded() -> None:
    across = {"first": 8, "changed": 48}
    assert executed("6.16", **across)["tlbi_vale1is"] == 48 + 16 * (1 + 2 + 2 + 1)
    assert executed("6.17", **across)["tlbi_vale1is"] == 48 + 16 * (1 + 1)


def test_discarding_one_page_of_a_thp_unfolds_its_block_too() -> None:
    assert executed("7.0", op="thp_split_madvise") == {"tlbi_vae1is": 1, "tlbi_vale1is": 17}
    assert executed("6.12", op="thp_split_madvise", changed=16)["tlbi_vale1is"] == 16, (
        "zapping is batched since 6.9"
    )


@pytest.mark.parametrize(
    ("kernel", "bbm", "leaves"),
    [
        ("6.16", "bbml2", 17),
        ("6.17", "bbml2", 1),
        ("7.2", "bbml2", 1),
        ("7.2", "bbml3", 17),
        ("7.3", "bbml3", 1),
        ("7.3", "bbml2", 1),
        ("7.3", "never", 17),
    ],
)
def test_a_cpu_that_never_aborts_needs_no_flush_of_the_block(kernel: str, bbm: str, leaves: int) -> None:
    """83bbd6be7d17 (6.17) by a list of cores; 7.3 has a longer one, and believes ID_AA64MMFR2_EL1.BBM of 3."""
    assert executed(kernel, f"platform.bbm={bbm}")["tlbi_vale1is"] == leaves


def test_kpti_doubles_every_flush() -> None:
    assert executed("7.0", "kernel.kpti=true")["tlbi_vale1is"] == 34


def test_without_contpte_nothing_is_folded() -> None:
    assert executed("7.0", "kernel.contpte=false")["tlbi_vale1is"] == 1


def test_protecting_a_whole_thp_touches_no_block() -> None:
    assert executed("7.0", op="mprotect_ro") == {"tlbi_vae1is": 1, "tlbi_vale1is": 1}


def test_a_range_outside_of_the_huge_page_is_refused() -> None:
    with pytest.raises(AssertionError):
        executed("7.0", first=510, changed=4)


def entry_by_entry(first: int, count: int, block: int) -> list[int]:
    """Change entries one by one, as contpte_try_unfold() and contpte_try_fold() see them."""
    size = -(-(first + count) // block) * block
    folded, changed, converted = [True] * (size // block), [False] * size, []
    for at in range(first, first + count):
        number = at // block
        if folded[number]:
            folded[number] = False
            converted.append(number * block)
        changed[at] = True
        mine = changed[number * block : (number + 1) * block]
        if at % block == block - 1 and len(set(mine)) == 1:
            folded[number] = True
            converted.append(number * block)
    return converted


@given(st.integers(0, 300), st.integers(1, 300), st.sampled_from((4, 16, 32)))
def test_conversions_one_by_one_are_those_of_a_plain_walk(first: int, count: int, block: int) -> None:
    assert conversions(first, count, block, batched=False) == entry_by_entry(first, count, block)


@given(st.integers(0, 300), st.integers(1, 300), st.sampled_from((4, 16, 32)))
def test_a_batch_unfolds_at_most_the_two_blocks_at_its_ends(first: int, count: int, block: int) -> None:
    ends = {at // block * block for at in (first, first + count - 1)}
    whole = {at for at in ends if first <= at and at + block <= first + count}
    assert conversions(first, count, block, batched=True) == sorted(ends - whole)
