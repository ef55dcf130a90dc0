"""Faults of threads that share an address space: which lock they take, and for whom they wait."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown
from shootdown import Lowering, Result


def run(kernel: str, *, threads: int, do: str = "touch heap write", each: str = "thread") -> Result:
    """Run threads that fault 16 pages of their own in at once."""
    worker = {"count": threads, "do": f"wait go; {do}; signal done"}
    program = {
        "memory": {"heap": {"size": "64K", "alone": False, "each": each}},
        "process": {
            "A": {"do": f"measure {{ signal go; wait done {threads} }}", "thread": {"worker": worker}}
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=[kernel], cpus=[threads + 1], settings=NODE)
    return row


#: Each CPU has pages of its own, so that locks alone make threads wait.
NODE = {"platform.serial_node": False, "platform.jitter": 0}


def elapsed(row: Result) -> float:
    return row.times["elapsed_ns"].likely


def test_faults_of_threads_wait_for_the_line_of_mmap_lock_until_vmas_have_locks() -> None:
    """0bff0aaea03e, 6.4: do_user_addr_fault() takes the lock of the VMA, which no other thread uses here."""
    before, since = (elapsed(run(kernel, threads=16)) for kernel in ("6.3", "6.4"))
    assert before > 1.5 * since
    alone = elapsed(run("6.4", threads=1))
    assert since == pytest.approx(alone, rel=0.01), "and sixteen take as long as one"


def test_a_fault_waits_for_who_maps_memory() -> None:
    do = "mmap heap; touch heap[0:4K] write; munmap heap"
    before, since = (run(kernel, threads=4, do=do) for kernel in ("6.3", "6.4"))
    assert before.counts["lock_waits"] > since.counts["lock_waits"]


def test_counts_are_the_same_whichever_lock_a_fault_takes() -> None:
    """Only how often somebody waits, which timing decides, is not."""
    do = "mmap heap; touch heap write; madvise heap DONTNEED; touch heap[0:8K] write; munmap heap"
    before, since = (run(kernel, threads=1, do=do).counts for kernel in ("6.3", "6.4"))
    assert before == since


def test_threads_drop_pages_of_their_own_without_mmap_lock_since_6_17() -> None:
    """a6fde7add78d: lock_vma_under_rcu() for MADV_DONTNEED."""
    do = "; ".join(["touch heap write; madvise heap[0:4K] DONTNEED"] * 20)
    before, since = (elapsed(run(kernel, threads=16, do=do)) for kernel in ("6.16", "6.17"))
    assert before > 1.1 * since
    shared = [elapsed(run(kernel, threads=16, do=do, each="process")) for kernel in ("6.16", "6.17")]
    assert shared[1] == pytest.approx(shared[0], rel=0.01), (
        "of memory that they share the VMA's lock is one line too"
    )


@pytest.mark.parametrize("memory", [{"size": "4K"}, {"kind": "thp", "size": "2M"}])
def test_a_page_that_may_be_written_again_is_told_to_the_architecture(
    memory: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """wp_page_reuse() and do_huge_pmd_wp_page() call ptep_set_access_flags() and pmdp_set_access_flags()."""
    told = []

    def note(self: Lowering, asm: Any, count: int, *, huge: bool, by: str, first: int = 0) -> None:
        told.append((by, huge))

    monkeypatch.setattr(Lowering, "entries_changed", note)
    program = {
        "memory": {"heap": memory},
        "process": {
            "A": {"do": ["touch heap write", "mprotect heap read", "mprotect heap write", "touch heap write"]}
        },
    }
    (row,) = shootdown.explore(program, arch=["x86"], kernels=["5.10"])
    assert row.verdict == "safe"
    assert ("ptep_set_access_flags", "kind" in memory) in told
