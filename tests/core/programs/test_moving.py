"""mremap() of ordinary memory: the entries move and are flushed, then the old place's table is freed."""

from __future__ import annotations

import pytest

import shootdown


def run(
    do: str, *, size: str = "64K", alone: bool = True, first: str = "touch heap", arch: str = "x86"
) -> int:
    """Return the flushes of what the first of three threads does."""
    program = {
        "memory": {"heap": {"size": size, "alone": alone}},
        "process": {
            "A": {
                "do": [first, "wait ready 2", f"measure {{ {do} }}"],
                "thread": {"other": {"count": 2, "do": "signal ready; spin"}},
            }
        },
    }
    (row,) = shootdown.compare(program, arch=[arch], kernels=["7.0"], cpus=[4])
    assert arch != "x86" or row.counts["flush_ipis"] == 2 * row.counts["flush_requests"]
    return row.counts["flush_requests"]


@pytest.mark.parametrize(
    ("do", "first", "alone", "flushes"),
    [
        (
            "mremap heap",
            "touch heap",
            True,
            2,
        ),  # move_ptes(), and the table that the munmap() of the old place frees
        ("mremap heap", "touch heap", False, 1),  # neighbours keep the table
        ("mremap heap", "touch heap; madvise heap DONTNEED", True, 1),  # an empty table
        ("mremap heap", "mmap heap", True, 0),  # no table
        ("mremap heap; mremap heap", "touch heap", True, 4),  # the new place has a table too
        ("mremap heap; munmap heap", "touch heap", True, 3),
        ("mremap heap", "touch heap; reclaim heap", True, 2),  # what reclaim left, and the table
    ],
)
def test_a_move_flushes_the_old_place(do: str, first: str, alone: bool, flushes: int) -> None:
    assert run(do, first=first, alone=alone) == flushes


def test_each_architecture_flushes_the_old_place_once() -> None:
    assert [run("mremap heap", alone=False, arch=arch) for arch in ("x86", "arm64", "powerpc", "riscv")] == [
        1
    ] * 4


def test_what_is_not_counted_is_refused_in_a_line() -> None:
    program = {
        "memory": {"heap": {"size": "64K"}},
        "process": {"A": {"do": "touch heap; mprotect heap[0:4K] read; mremap heap"}},
    }
    with pytest.raises(
        shootdown.ShootdownError, match=r"mremap.. moves one VMA, and `mprotect heap.0:4K. read`"
    ):
        shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])


@pytest.mark.parametrize(
    ("arch", "size", "before"),
    [
        ("riscv", "2M", ""),  # which kernels move tables is not known
        ("x86", "3M", ""),  # half a table
        ("x86", "4M", "touch heap[0:2M]; "),  # what one table maps is treated otherwise
    ],
)
def test_a_move_of_so_much_memory_is_refused_unless_whole_tables_move(
    arch: str, size: str, before: str
) -> None:
    large = {"memory": {"heap": {"size": size}}, "process": {"A": {"do": f"{before}touch heap; mremap heap"}}}
    (row,) = shootdown.compare(large, arch=[arch], kernels=["7.0"], cpus=[4])
    assert not row.supported
    assert row.reason is not None
    assert "memory smaller than what a page table maps, 2M here" in row.reason


@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_each_table_that_is_moved_whole_is_flushed_once_and_goes_along(arch: str) -> None:
    """move_normal_pmd() flushes before it releases the locks; munmap() of the old place finds nothing."""
    assert run("mremap heap", size="8M", arch=arch) == 4
    assert run("mremap heap; mremap heap", size="8M", arch=arch) == 8
    assert run("mremap heap; munmap heap", size="8M", arch=arch) == 4 + run(
        "munmap heap", size="8M", arch=arch
    )
    assert run("mremap heap", size="8M", first="mmap heap", arch=arch) == 0


def test_an_x86_cpu_flushes_all_for_what_a_table_maps() -> None:
    """2 MiB are more pages than tlb_single_page_flush_ceiling, 33."""
    program = {
        "memory": {"heap": {"size": "2M"}},
        "process": {"A": {"do": "touch heap; measure { mremap heap }"}},
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["5.10"], cpus=[4])
    assert (row.counts["full_flushes"], row.counts["page_invalidations"]) == (1, 0)
