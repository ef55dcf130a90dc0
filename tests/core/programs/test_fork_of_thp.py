"""fork() shares huge pages; the first write to one splits it and copies what is written, page by page."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown

PAGES = 512


def counts(do: list[str], child: Any = "sleep", *, size: str = "2M", arch: str = "x86") -> dict[str, int]:
    program = {
        "memory": {"heap": {"kind": "thp", "size": size}},
        "process": {"A": {"do": ["touch heap write", *do]}, "B": {"do": child}},
    }
    (row,) = shootdown.compare(program, arch=[arch], kernels=["7.0"], cpus=[4])
    return dict(row.counts)


def test_fork_flushes_once_whatever_is_shared() -> None:
    assert counts(["measure { fork B }"], size="8M")["flush_requests"] == 1


@pytest.mark.parametrize("arch", ["x86", "arm64", "powerpc", "riscv"])
def test_a_write_to_one_page_splits_the_huge_one_and_copies_one(arch: str) -> None:
    """__split_huge_pmd() flushes the huge entry, wp_page_copy() the page."""
    assert counts(["fork B", "measure { touch heap[0:4K] write }"], arch=arch)["flush_requests"] == 2


def test_a_write_to_all_of_it_copies_each_page() -> None:
    assert counts(["fork B", "measure { touch heap write }"])["flush_requests"] == 1 + PAGES
    assert counts(["fork B", "measure { touch heap write }"], size="4M")["flush_requests"] == 2 * (1 + PAGES)


def test_what_was_split_and_copied_is_the_parent_s_own() -> None:
    do = ["fork B", "touch heap[0:4K] write", "measure { touch heap[0:4K] write }"]
    assert counts(do)["flush_requests"] == 0
    do = ["fork B", "touch heap[0:4K] write", "measure { touch heap[4K:12K] write }"]
    assert counts(do)["flush_requests"] == 2


def test_the_child_splits_its_own_entry() -> None:
    do = ["fork B", "wait B"]
    assert counts(do, child="measure { touch heap[0:8K] write }; exit")["flush_requests"] == 3


def test_reading_splits_nothing_and_unmapping_needs_no_split() -> None:
    assert counts(["fork B", "measure { touch heap read }"])["flush_requests"] == 0
    assert counts(["fork B", "measure { madvise heap DONTNEED }"])["flush_requests"] == 1


def test_threads_of_the_parent_are_interrupted_by_the_split_and_each_copy() -> None:
    program = {
        "memory": {"heap": {"kind": "thp", "size": "2M"}},
        "process": {
            "A": {
                "do": ["touch heap write", "wait ready", "fork B", "measure { touch heap[0:16K] write }"],
                "thread": {"t": {"do": ["touch heap read", "signal ready", "spin"]}},
            },
            "B": {"do": "sleep"},
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert row.counts["flush_ipis"] == 5


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("touch heap every 2M", "thp memory is touched whole"),
        ("each 2M of heap { touch it }", "`each` of thp memory where a process forks"),
    ],
)
def test_what_is_not_counted_is_refused_in_one_line(do: str, said: str) -> None:
    with pytest.raises(shootdown.ShootdownError) as error:
        counts([do, "fork B"])
    assert said in str(error.value)
    assert "\n" not in str(error.value)
