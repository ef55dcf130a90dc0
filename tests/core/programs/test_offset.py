"""Memory that begins within what a page table maps: its tables, huge pages and flushes."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown
from shootdown._questions.explore import explore


def _program(do: str, first: str = "touch heap", **memory: Any) -> dict[str, Any]:
    process = {
        "do": [first, "wait ready", f"measure {{ {do} }}"],
        "thread": {"o": {"do": "signal ready; spin"}},
    }
    return {"memory": {"heap": memory}, "process": {"A": process}}


def _counts(do: str, *, kernel: str = "7.0", **memory: Any) -> dict[str, int]:
    (row,) = shootdown.compare(_program(do, **memory), arch=["x86"], kernels=[kernel], cpus=[4])
    return dict(row.counts)


def test_two_megabytes_across_two_tables_have_no_huge_page() -> None:
    """A flush of one huge entry names one address; of 512 pages it is of everything."""
    aligned, across = (
        _counts("madvise heap DONTNEED", kind="thp", size="2M", offset=at) for at in ("0", "1M")
    )
    assert (aligned["full_flushes"], aligned["page_invalidations"]) == (0, 2)
    assert (across["full_flushes"], across["page_invalidations"]) == (2, 0)


def test_a_call_covers_the_first_table_only_where_the_memory_is_aligned() -> None:
    """PT_RECLAIM frees a table whose whole range a call covers; munmap() frees what is left."""
    first = "touch heap[0:2M]; madvise heap[0:2M] DONTNEED"
    for offset, flushes in (("0", 0), ("4K", 1)):
        program = _program("munmap heap", first, size="4M", offset=offset)
        (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
        assert row.counts["flush_requests"] == flushes


def test_parts_count_from_where_the_memory_begins() -> None:
    assert _counts("munmap heap[8K:]", size="12K", offset="1020K") == _counts("munmap heap[8K:]", size="12K")
    with pytest.raises(shootdown.ShootdownError, match="heap has the bytes 0 to 12K"):
        _counts("munmap heap[8K:16K]", size="12K", offset="4K")


def test_mremap_is_of_memory_within_one_table() -> None:
    program = _program("mremap heap", size="64K", offset="2020K")
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert not row.supported


def test_stories_name_parts_as_the_program_does() -> None:
    program = _program("munmap heap[4K:8K]", first="touch heap write", size="12K", offset="1M")
    (row,) = explore(program, arch=["x86"], kernels=["7.0"])
    assert row.verdict == "safe"


@pytest.mark.parametrize("offset", ["3K", "1G", True, "-4K"])
def test_what_is_no_offset_is_told_in_a_line(offset: object) -> None:
    with pytest.raises(shootdown.ShootdownError, match=r"memory\.heap\.offset: .* is no offset such as"):
        _counts("munmap heap", size="12K", offset=offset)
