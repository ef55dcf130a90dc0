"""What a monitor of userfaultfd asks for is counted as mm/userfaultfd.c does it, and what is not counted is refused."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown
from shootdown._questions.explore import explore
from shootdown._values.errors import ShootdownError


def _program(call: str, first: str = "touch heap write") -> dict[str, Any]:
    return {
        "memory": {"heap": {"size": "40K"}},
        "process": {
            "A": {
                "do": [first, "wait ready 3", f"measure {{ {call} }}"],
                "thread": {"other": {"count": 3, "do": ["signal ready", "spin"]}},
            }
        },
    }


def _rows(call: str, kernel: str, first: str = "touch heap write") -> list[shootdown.Result]:
    return list(shootdown.compare(_program(call, first), arch=["x86", "arm64"], kernels=[kernel], cpus=[8]))


@pytest.mark.parametrize("kernel", ["6.10", "7.3.4"])
def test_write_protection_flushes_once_as_mprotect_does(kernel: str) -> None:
    """uffd_wp_range() calls change_protection() in a gather of its own; on x86 that is one IPI to each other CPU."""
    found, same = (_rows(call, kernel) for call in ("userfaultfd heap WRITEPROTECT", "mprotect heap read"))
    assert [row.counts for row in found] == [row.counts for row in same]
    assert [(row.counts["flush_requests"], row.counts["flush_ipis"]) for row in found] == [(1, 3), (1, 0)]


def test_what_is_write_protected_or_not_mapped_is_not_flushed_again() -> None:
    for row in _rows(
        "userfaultfd heap WRITEPROTECT", "7.3.4", "touch heap write; userfaultfd heap WRITEPROTECT"
    ):
        assert row.counts["flush_requests"] == 0
    for row in _rows("userfaultfd heap WRITEPROTECT", "7.3.4", "work 1us"):
        assert row.counts["flush_requests"] == 0


def test_a_copy_maps_pages_without_a_flush_and_munmap_flushes_them() -> None:
    for row in _rows("userfaultfd heap COPY; userfaultfd heap COPY", "7.3.4", "work 1us"):
        assert row.counts["flush_requests"] == 0
    copied, touched = (
        _rows("munmap heap", "7.3.4", first) for first in ("userfaultfd heap COPY", "touch heap write")
    )
    assert [row.counts for row in copied] == [row.counts for row in touched]


def test_a_write_to_what_zeropage_maps_is_a_copy_with_a_flush_of_each_page() -> None:
    """do_wp_page() finds no page of the process, and wp_page_copy() calls ptep_clear_flush()."""
    zero, read = (
        _rows("touch heap write", "7.3.4", first)
        for first in ("userfaultfd heap ZEROPAGE", "touch heap read")
    )
    assert [row.counts for row in zero] == [row.counts for row in read]
    assert [(row.counts["flush_requests"], row.counts["flush_ipis"]) for row in zero] == [(10, 30), (10, 0)]


def test_arm64_can_write_protect_since_6_10() -> None:
    """5b32510af77b."""
    rows = [_rows("userfaultfd heap WRITEPROTECT", kernel)[1] for kernel in ("6.9", "6.10")]
    assert [row.supported for row in rows] == [False, True]


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (["userfaultfd heap MOVE"], "UFFDIO_MOVE is not counted yet: how many pages"),
        (["userfaultfd heap UNPROTECT"], "UFFDIO_UNPROTECT is not counted yet"),
        (["userfaultfd heap WAKE"], "'WAKE' is none that is counted"),
        (["userfaultfd heap WRITEPROTECT", "touch heap write"], "waits for a monitor"),
        (["userfaultfd heap WRITEPROTECT", "mprotect heap read"], "`mprotect` of memory of"),
    ],
)
def test_what_is_not_counted_is_one_line(do: list[str], words: str) -> None:
    program = {"memory": {"heap": {"size": "40K"}}, "process": {"A": {"do": ["touch heap read", *do]}}}
    with pytest.raises(ShootdownError) as raised:
        shootdown.compare(program, arch=["x86"])
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "call", ["userfaultfd heap WRITEPROTECT", "userfaultfd heap COPY", "touch heap write"]
)
def test_write_protection_beside_faults_is_safe(call: str) -> None:
    """mwriteprotect_range() holds mmap_lock for reading: others fault between its change of an entry and its flush."""
    program = {
        "memory": {"heap": {"size": "4K"}},
        "process": {
            "A": {
                "do": ["touch heap write", "userfaultfd heap WRITEPROTECT"],
                "thread": {"other": {"do": ["signal begun", call, "touch heap write"]}},
            }
        },
    }
    (row,) = explore(program, arch=["x86"], kernels=["7.0"])
    assert row.verdict == "safe"
