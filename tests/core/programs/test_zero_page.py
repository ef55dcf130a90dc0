"""Anonymous memory that is read first: the zero page, which a write copies and mprotect() leaves as it is."""

from __future__ import annotations

import pytest

import shootdown

_PAGES = 16


def _counts(first: str, do: str, kernel: str, arch: str = "x86") -> dict[str, int]:
    """Return what is counted while the first of two threads does something; the other one computes."""
    program = {
        "memory": {"heap": {"size": f"{4 * _PAGES}K"}},
        "process": {
            "A": {
                "do": [first, "wait ready", f"measure {{ {do} }}"],
                "thread": {"other": {"do": "signal ready; spin"}},
            },
            **({"B": {"do": "sleep"}} if "fork" in first else {}),
        },
    }
    (row,) = shootdown.compare(program, arch=[arch], kernels=[kernel], cpus=[4])
    return dict(row.counts)


@pytest.mark.parametrize("kernel", ["5.10", "7.0"])
def test_a_write_to_what_was_read_before_flushes_each_page(kernel: str) -> None:
    """do_wp_page() finds no page of the process, and wp_page_copy() calls ptep_clear_flush()."""
    assert _counts("touch heap read", "touch heap write", kernel)["flush_ipis"] == _PAGES
    assert _counts("touch heap read", "touch heap read", kernel)["flush_ipis"] == 0
    assert _counts("touch heap write", "touch heap read; touch heap write", kernel)["flush_ipis"] == 0


@pytest.mark.parametrize("first", ["touch heap read", "touch heap write; fork B"])
@pytest.mark.parametrize(
    ("kernel", "arch", "flushes"),
    [("5.18", "x86", 2), ("5.19", "x86", 0), ("6.18", "arm64", 2), ("6.19", "arm64", 0), ("7.0", "riscv", 2)],
)
def test_mprotect_of_what_could_not_be_written_anyhow(
    first: str, kernel: str, arch: str, flushes: int
) -> None:
    """change_pte_range() asks pte_needs_flush(), and nothing that hardware reads has changed."""
    do = "mprotect heap read; mprotect heap write"
    assert _counts(first, do, kernel, arch)["flush_requests"] == flushes


def test_the_zero_page_fills_no_batch_and_is_not_reclaimed() -> None:
    assert (
        _counts("touch heap read", "reclaim heap; madvise heap PAGEOUT; migrate heap", "7.0")[
            "flush_requests"
        ]
        == 0
    )
    assert _counts("touch heap read", "madvise heap DONTNEED", "7.0")["flush_requests"] == 1
