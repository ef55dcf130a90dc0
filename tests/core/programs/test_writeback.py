"""`mkclean`: each dirty page of a file is flushed in every process that maps it, before it is written."""

from __future__ import annotations

import pytest

import shootdown


def run(
    do: str, *, processes: int = 1, touch: str = "write", arch: str = "x86"
) -> tuple[int, tuple[int, ...]]:
    """Return the flushes of 16 pages, and who was interrupted: two threads of the process, or two processes."""
    others = {"do": [f"touch f {touch}", "signal ready; spin"], "count": 2}
    first = {"do": [f"touch f {touch}", "wait ready 2", f"measure {{ {do} }}"]}
    program = {
        "memory": {"f": {"kind": "file", "size": "64K"}},
        "process": {"A": first, "B": others}
        if processes > 1
        else {"A": first | {"thread": {"other": others}}},
    }
    (row,) = shootdown.compare(program, arch=[arch], kernels=["7.0"], cpus=[4])
    return row.counts["flush_requests"], tuple(row.interrupts)


@pytest.mark.parametrize("arch", ["x86", "arm64", "powerpc", "riscv"])
def test_each_dirty_page_is_flushed(arch: str) -> None:
    """page_vma_mkclean_one() ends in ptep_clear_flush(), which no release batches."""
    assert run("mkclean f", arch=arch)[0] == 16
    assert run("mkclean f[0:16K]", arch=arch)[0] == 4


def test_clean_pages_are_not_flushed() -> None:
    assert run("mkclean f", touch="read")[0] == 0
    assert run("mkclean f; mkclean f")[0] == 16
    assert run("mkclean f; touch f write; mkclean f")[0] == 32


def test_each_process_is_flushed_on_its_own_cpu() -> None:
    assert run("mkclean f") == (16, (0, 16, 16, 0))
    assert run("mkclean f", processes=3) == (48, (0, 16, 16, 0))


def test_pages_of_a_file_stay_in_the_page_cache_and_take_no_zones_lock_whether_dirty_or_clean() -> None:
    worker = "wait go; mmap data; touch data[0:64K] write; touch data[64K:] read; munmap data; signal done"
    program = {
        "memory": {"data": {"kind": "file", "size": "128K", "alone": False}},
        "process": {
            "parent": {"do": "measure { signal go; wait done 3 }"},
            "worker": {"count": 3, "do": worker},
        },
    }

    def elapsed(serial: str) -> float:
        (row,) = shootdown.compare(
            program, arch=["x86"], kernels=["7.0"], cpus=[4], settings=[f"platform.serial_node={serial}"]
        )
        return row.times["elapsed_ns"].likely

    assert elapsed("true") == elapsed("false")
