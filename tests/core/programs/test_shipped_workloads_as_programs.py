"""Shipped workloads, written as programs, have the counts that they have as workloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shootdown

_PROGRAMS = Path(__file__).parents[3] / "docs" / "examples" / "programs"
_KERNELS = ["5.10", "6.16", "7.3.4"]
_ARCHS = ["x86", "arm64", "powerpc"]
_STATES = {"spin": "spin", "lazy": "sleep"}


def _anonymous(call: str, kind: str, size: str, *, alone: bool = True, state: str = "spin") -> dict[str, Any]:
    return {
        "memory": {"heap": {"kind": kind, "size": size, "alone": alone}},
        "process": {
            "A": {
                "cpu": 0,
                "do": ["touch heap write", "wait ready 3", f"measure {{ {call} }}"],
                "thread": {
                    "other": {"count": 3, "cpu": 1, "do": ["work 1us", "signal ready", _STATES[state]]},
                },
            }
        },
    }


def _counts(rows: list[shootdown.Result]) -> list[tuple[str, str, object]]:
    return [(row.arch, row.kernel, row.counts if row.supported else None) for row in rows]


@pytest.mark.parametrize("state", list(_STATES))
@pytest.mark.parametrize(
    ("op", "kind", "pages", "call", "memory", "size", "alone"),
    [
        ("munmap", "isolated", 1, "munmap heap", "anonymous", "4K", True),
        ("munmap", "embedded", 1, "munmap heap", "anonymous", "4K", False),
        ("munmap", "isolated", 1000, "munmap heap", "anonymous", "4000K", True),
        ("munmap", "isolated", 40000, "munmap heap", "anonymous", "160000K", True),
        ("madv_dontneed", "isolated", 40, "madvise heap DONTNEED", "anonymous", "160K", True),
        ("madv_dontneed", "isolated", 2048, "madvise heap DONTNEED", "anonymous", "8M", True),
        ("mprotect_ro", "isolated", 5, "mprotect heap read", "anonymous", "20K", True),
        ("munmap", "thp", 1, "munmap heap", "thp", "2M", True),
        ("madv_dontneed", "thp", 1, "madvise heap DONTNEED", "thp", "2M", True),
        ("mprotect_ro", "thp", 1, "mprotect heap read", "thp", "2M", True),
        ("thp_split_mprotect", "thp", 1, "mprotect heap[64K:68K] read", "thp", "2M", True),
        ("thp_split_madvise", "thp", 1, "madvise heap[64K:68K] DONTNEED", "thp", "2M", True),
        ("munmap", "file", 700, "munmap heap", "file", "2800K", True),
        ("madv_dontneed", "file", 700, "madvise heap DONTNEED", "file", "2800K", True),
    ],
)
def test_calls_on_ordinary_memory_have_the_counts_of_the_workload_anonymous(
    op: str, kind: str, pages: int, call: str, memory: str, size: str, alone: bool, state: str
) -> None:
    """Each call, on each kind of memory, by each architecture and on kernels of all generations."""
    shipped = shootdown.compare(
        "anonymous",
        arch=_ARCHS,
        kernels=_KERNELS,
        cpus=[8],
        parameters={"op": op, "kind": kind, "pages": pages, "threads": 3, "state": state},
        settings=["kernel.page_size=4096"],
    )
    written = shootdown.compare(
        _anonymous(call, memory, size, alone=alone, state=state),
        arch=_ARCHS,
        kernels=_KERNELS,
        cpus=[8],
        settings=["kernel.page_size=4096"],
    )
    assert _counts(written) == _counts(shipped)


@pytest.mark.parametrize("sharers", [2, 3])
@pytest.mark.parametrize(
    ("workload", "call"),
    [
        ("hugetlb-munmap", "munmap pool"),
        ("hugetlb-mprotect", "mprotect pool read"),
        ("hugetlb-mremap", "mremap pool"),
        ("hugetlb-madvise", "madvise pool DONTNEED"),
        ("hugetlb-exit", "exit"),
        ("hugetlb-punch", "punch pool"),
        ("hugetlb-truncate", "truncate pool"),
        ("hugetlb-migrate", "migrate pool"),
    ],
)
def test_calls_on_hugetlb_memory_have_the_counts_of_their_workloads(
    workload: str, call: str, sharers: int
) -> None:
    """Four tables, of which each process touches two pages; the first of the sharers makes the call."""
    shipped = shootdown.compare(
        workload,
        arch=["x86", "arm64"],
        kernels=_KERNELS,
        cpus=[8],
        parameters={"tables": 4, "sharers": sharers},
    )
    program = {
        "memory": {"pool": {"kind": "hugetlb", "size": "4G"}},
        "process": {
            "A": {
                "cpu": 0,
                "do": ["touch pool every 512M", f"wait ready {sharers - 1}", f"measure {{ {call} }}"],
            },
            "B": {
                "cpu": 1,
                "count": sharers - 1,
                "do": ["touch pool every 512M", "signal ready", "sleep"],
            },
        },
    }
    written = shootdown.compare(program, arch=["x86", "arm64"], kernels=_KERNELS, cpus=[8])
    assert _counts(written) == _counts(shipped)


def test_the_bug_reports_reproducer_is_a_file_like_a_users() -> None:
    """docs/examples/programs/fork_storm.toml has the counts of fork-storm, those that timing decides included."""
    kernels = ["6.15", "6.16", "7.0"]
    shipped = shootdown.compare("fork-storm", arch=["x86"], kernels=kernels, parameters={"children": 9})
    written = shootdown.compare(
        str(_PROGRAMS / "fork_storm.toml"), arch=["x86"], kernels=kernels, parameters={"children": 9}
    )
    assert _counts(written) == _counts(shipped)
    assert [row.times for row in written] == [row.times for row in shipped]


def test_a_child_that_says_nothing_of_its_parents_memory_unshares_it_when_it_exits() -> None:
    """Before v6.0 fork() shares the parent's hugetlb tables with the child (copy_hugetlb_page_range())."""
    program = {
        "memory": {"pool": {"kind": "hugetlb", "size": "4G"}},
        "process": {
            "parent": {"cpu": 0, "do": "touch pool; fork child; measure { wait child }"},
            "child": {"do": "exit"},
        },
    }
    old, new = shootdown.compare(program, arch=["x86"], kernels=["5.10", "6.1"], cpus=[4])
    assert (old.counts["unshared_tables"], new.counts["unshared_tables"]) == (4, 0)
