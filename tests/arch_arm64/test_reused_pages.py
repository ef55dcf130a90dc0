"""A fault that lets an entry allow more flushes one page: on all CPUs, since 6.19 on its own."""

from __future__ import annotations

import pytest

import shootdown

FREED = "touch heap; measure { madvise heap FREE; touch heap write }"
CLEAN = "touch heap read; measure { touch heap write }"


def counted(do: str, kernel: str, kind: str = "anonymous", *settings: str) -> dict[str, int]:
    program = {"memory": {"heap": {"kind": kind, "size": "32K"}}, "process": {"A": {"do": do}}}
    (row,) = shootdown.compare(
        program, arch="arm64", platforms="neoverse-n1", kernels=kernel, cpus=4, settings=settings
    )
    return {name: count for name, count in row.instructions.items() if count}


@pytest.mark.parametrize(
    ("kernel", "counts"), [("6.18", {"tlbi_vale1is": 16}), ("6.19", {"tlbi_vale1is": 8, "tlbi_vale1": 8})]
)
def test_a_write_to_freed_pages_faults_where_hardware_sets_no_dirty_bits(
    kernel: str, counts: dict[str, int]
) -> None:
    assert counted(FREED, kernel, "anonymous", "platform.hafdbs=false") == counts
    assert counted(FREED, kernel) == {"tlbi_vale1is": 8}


@pytest.mark.parametrize(
    ("kernel", "name"), [("5.10", "tlbi_vale1is"), ("6.18", "tlbi_vale1is"), ("7.0", "tlbi_vale1")]
)
def test_a_write_to_a_clean_page_of_a_file_faults_on_any_hardware(kernel: str, name: str) -> None:
    assert counted(CLEAN, kernel, "file") == {name: 8}


def test_a_first_write_maps_pages_and_flushes_nothing() -> None:
    assert counted("measure { touch heap write }", "7.0", "file") == {}


def test_with_two_asids_both_are_invalidated() -> None:
    assert counted(CLEAN, "7.0", "file", "kernel.kpti=true") == {"tlbi_vale1": 16}
