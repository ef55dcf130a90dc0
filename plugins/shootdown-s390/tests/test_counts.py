"""Rows that were counted by hand from arch/s390/mm/pgtable.c and include/asm/tlbflush.h of Linux 6.4 and 7.0.

A process runs on one of four CPUs, or a further thread of it runs on another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import shootdown

HEAP = {"kind": "anonymous", "size": "12K"}
SPINS = {"other": {"do": ["signal ready", "spin"]}}


def of_row(*, kernel: str = "6.12", platform: str = "z15", **parameters: Any) -> Mapping[str, int]:
    """Count the instructions of one call of the workload `anonymous`."""
    found = shootdown.compare(
        "anonymous", arch=["s390"], kernels=[kernel], platforms=[platform], cpus=[4], parameters=parameters
    )
    return {name: count for name, count in found[0].instructions.items() if count}


def of_program(
    *statements: str, threads: bool = False, kernel: str = "6.12", **memory: Any
) -> Mapping[str, int]:
    """Count the instructions of a program's measured statement."""
    process: dict[str, Any] = {"do": [*(["wait ready"] if threads else []), *statements]}
    if threads:
        process["thread"] = SPINS
    program = {
        "memory": {"heap": HEAP | memory},
        "process": {"A": process, "B": {"do": ["sleep"]}},
    }
    (row,) = shootdown.compare(program, arch=["s390"], kernels=[kernel], cpus=[4])
    return {name: count for name, count in row.instructions.items() if count}


def test_the_only_cpu_that_has_an_mm_attached_marks_entries_and_flushes_the_address_space_once() -> None:
    assert of_row(op="madv_dontneed", pages=3, threads=0) == {"idte_asce": 1}


def test_with_another_cpu_attached_each_entry_is_an_ipte_and_nothing_is_left_to_flush() -> None:
    assert of_row(op="madv_dontneed", pages=3, threads=2) == {"ipte": 3}


def test_an_idle_cpu_has_the_mm_attached_still() -> None:
    assert of_row(op="madv_dontneed", pages=3, threads=2, state="lazy") == {"ipte": 3}


def test_a_cpu_that_switched_to_another_mm_has_it_not() -> None:
    assert of_row(op="madv_dontneed", pages=3, threads=2, state="switched") == {"idte_asce": 1}


def test_a_page_table_that_is_freed_is_one_idte_of_the_address_space_besides() -> None:
    assert of_row(op="munmap", kind="isolated", pages=3, threads=2) == {"ipte": 3, "idte_asce": 1}
    assert of_row(op="munmap", kind="isolated", pages=3, threads=0) == {"idte_asce": 1}


@pytest.mark.parametrize(("threads", "counted"), [(0, {"idte_local": 1}), (2, {"idte": 1})])
def test_mprotect_of_a_huge_page_invalidates_it_at_once(threads: int, counted: Mapping[str, int]) -> None:
    assert of_row(op="mprotect_ro", kind="thp", threads=threads) == counted


def test_the_split_of_a_huge_page_is_an_idte_before_the_entries_change() -> None:
    # pmdp_invalidate() by IDTE here alone; then one PTE is marked, which the IDTE of the address space flushes.
    assert of_row(op="thp_split_mprotect", kind="thp", threads=0) == {"idte_local": 1, "idte_asce": 1}
    assert of_row(op="thp_split_mprotect", kind="thp", threads=2) == {"idte": 1, "ipte": 1}


def test_fork_makes_each_entry_read_only_by_an_ipte_only_if_another_cpu_has_the_mm_attached() -> None:
    assert of_program("touch heap write", "measure { fork B }") == {"idte_asce": 1}
    assert of_program("touch heap write", "measure { fork B }", threads=True) == {"ipte": 3}


def test_entries_that_were_shared_before_are_read_only_already() -> None:
    assert (
        of_program(
            "touch heap write", "fork B", "touch heap[0:4K] write", "measure { touch heap[0:4K] write }"
        )
        == {}
    )


def test_copy_on_write_is_an_ipte_on_this_cpu_or_on_all() -> None:
    written = ("touch heap write", "fork B", "measure { touch heap write }")
    assert of_program(*written) == {"ipte_local": 3}
    assert of_program(*written, threads=True) == {"ipte": 3}


def test_reclaim_flushes_page_by_page() -> None:
    assert of_program("touch heap read", "measure { reclaim heap }", kind="file") == {"ipte_local": 3}


def test_exit_flushes_once_for_its_page_tables() -> None:
    assert of_program("touch heap write", "measure { exit }") == {"idte_asce": 1}


def test_each_huge_page_that_a_process_makes_of_base_pages_is_an_idte_of_a_segment_table_entry() -> None:
    counted = of_program("touch heap write", "measure { madvise heap COLLAPSE }", size="2M")
    assert counted == {"idte_local": 2}


def test_pages_are_freed_as_their_entries_are_cleared_so_that_no_batch_is_ever_full() -> None:
    # 9,698 pages fill the batches of a gather, where there is one.
    assert of_row(op="munmap", kind="isolated", pages=20_000, threads=0) == {"idte_asce": 1}


@pytest.mark.parametrize(("kernel", "flushes"), [("6.1", 2), ("6.12", 1)])
def test_dirty_pages_of_a_file_force_a_flush_before_6_2(kernel: str, flushes: int) -> None:
    # 5df397dec7c4 (6.2): only where the removal of the rmap can be put off, which s390's gather has no batch for.
    assert of_row(op="munmap", kind="file", pages=3, threads=0, kernel=kernel) == {"idte_asce": flushes}


def test_dirty_pages_of_a_file_that_a_process_exits_with_are_cleared_by_stores() -> None:
    assert of_program("touch heap write", "measure { exit }", kind="file") == {"idte_asce": 1}


def test_since_7_0_discarding_all_pages_of_a_page_table_frees_it() -> None:
    whole = of_program(
        "touch heap write", "measure { madvise heap DONTNEED }", threads=True, size="1M", kernel="7.0"
    )
    assert whole == {"ipte": 256, "idte_asce": 1}


def test_without_the_facility_no_instruction_is_local() -> None:
    (row,) = shootdown.compare(
        "anonymous",
        arch=["s390"],
        kernels=["6.12"],
        cpus=[4],
        parameters={"op": "mprotect_ro", "kind": "thp", "threads": 0},
        settings=["platform.local_clearing=false"],
    )
    assert {name: count for name, count in row.instructions.items() if count} == {"idte": 1}


def test_nobody_is_interrupted() -> None:
    (row,) = shootdown.compare(
        "anonymous", arch=["s390"], kernels=["7.0"], cpus=[4], parameters={"threads": 3}
    )
    assert row.counts["flush_ipis"] == 0
