"""Private memory that is read first: the zero page or a file's, which a write copies and mprotect() leaves as it is."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown

_PAGES = 16


_PRIVATE_FILE = {"kind": "file", "shared": False}


def _counts(first: str, do: str, kernel: str, arch: str = "x86", **memory: Any) -> dict[str, int]:
    """Return what is counted while the first of two threads does something; the other one computes."""
    program = {
        "memory": {"heap": {"size": f"{4 * _PAGES}K", **memory}},
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


@pytest.mark.parametrize("memory", [{}, _PRIVATE_FILE])
@pytest.mark.parametrize("kernel", ["5.10", "7.0"])
def test_a_write_to_what_was_read_before_flushes_each_page(kernel: str, memory: dict[str, Any]) -> None:
    """do_wp_page() finds no page of the process, and wp_page_copy() calls ptep_clear_flush()."""
    assert _counts("touch heap read", "touch heap write", kernel, **memory)["flush_ipis"] == _PAGES
    assert _counts("touch heap read", "touch heap read", kernel, **memory)["flush_ipis"] == 0
    written = _counts("touch heap write", "touch heap read; touch heap write", kernel, **memory)
    assert written["flush_ipis"] == 0


@pytest.mark.parametrize("memory", [{}, _PRIVATE_FILE])
@pytest.mark.parametrize("first", ["touch heap read", "touch heap write; fork B"])
@pytest.mark.parametrize(
    ("kernel", "arch", "flushes"),
    [("5.18", "x86", 2), ("5.19", "x86", 0), ("6.18", "arm64", 2), ("6.19", "arm64", 0), ("7.0", "riscv", 2)],
)
def test_mprotect_of_what_could_not_be_written_anyhow(
    first: str, kernel: str, arch: str, flushes: int, memory: dict[str, Any]
) -> None:
    """change_pte_range() asks pte_needs_flush(), and nothing that hardware reads has changed."""
    do = "mprotect heap read; mprotect heap write"
    assert _counts(first, do, kernel, arch, **memory)["flush_requests"] == flushes


def test_the_zero_page_fills_no_batch_and_is_not_reclaimed() -> None:
    assert (
        _counts("touch heap read", "reclaim heap; madvise heap PAGEOUT; migrate heap", "7.0")[
            "flush_requests"
        ]
        == 0
    )
    assert _counts("touch heap read", "madvise heap DONTNEED", "7.0")["flush_requests"] == 1


def test_copies_of_a_private_file_are_no_dirty_pages_of_the_file() -> None:
    """zap_pte_range() forces no flush for pages of the process's own, as it does for dirty ones of a file."""
    private, shared = (
        _counts("touch heap write", "munmap heap", "7.0", kind="file", shared=shared)["flush_requests"]
        for shared in (False, True)
    )
    assert (private, shared) == (1, 2)


def test_fsync_finds_nothing_to_clean_in_a_private_file() -> None:
    """invalid_mkclean_vma(): page_vma_mkclean_one() is for VMAs that are shared."""
    assert _counts("touch heap write", "mkclean heap", "7.0", **_PRIVATE_FILE)["flush_requests"] == 0


@pytest.mark.parametrize("call", ["madvise heap REMOVE", "madvise heap FREE"])
def test_what_is_not_known_of_private_files_is_one_line(call: str) -> None:
    with pytest.raises(shootdown.ShootdownError, match="of private file memory is not known yet"):
        _counts("touch heap", call, "7.0", **_PRIVATE_FILE)


@pytest.mark.parametrize("memory", [{}, _PRIVATE_FILE])
@pytest.mark.parametrize(
    ("first", "flushes"), [("touch heap read", 0), ("touch heap[0:4K] write; touch heap read", 1)]
)
def test_fork_copies_no_entries_of_what_was_only_read(
    memory: dict[str, Any], first: str, flushes: int
) -> None:
    """vma_needs_copy(): a VMA without an anon_vma is left to faults, so that the child has nothing to unmap."""
    program = {
        "memory": {"heap": {"size": "64K"} | memory},
        "process": {
            "A": {"do": f"{first}; fork B; wait B"},
            "B": {"do": "work 1us; measure { munmap heap }; exit"},
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert row.counts["flush_requests"] == flushes
