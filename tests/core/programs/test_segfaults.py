"""Accesses that would be segmentation faults are told of, and what may have been given back is not."""

from __future__ import annotations

import pytest

from shootdown._programs.checking import check_counted
from shootdown._programs.reading import read_values
from shootdown._values.errors import ShootdownError


def _check(do: str, other: str = "spin") -> None:
    process = {"A": {"do": do, "thread": {"t": {"do": other}}}}
    check_counted(read_values({"memory": {"heap": {"size": "16K"}}, "process": process}).program({}))


@pytest.mark.parametrize(
    ("do", "by"),
    [
        ("touch heap; munmap heap; touch heap read", "munmap heap"),
        ("munmap heap[4K:]; touch heap[0:8K]", "munmap heap[4K:]"),
        ("repeat 2 { touch heap; munmap heap }", "munmap heap"),
        ("mprotect heap read; mprotect heap[0:8K] write; touch heap", "mprotect heap read"),
        ("munmap heap; mprotect heap write; touch heap", "munmap heap"),
    ],
)
def test_a_thread_that_is_sure_to_fault_is_refused_in_a_line(do: str, by: str) -> None:
    with pytest.raises(ShootdownError) as raised:
        _check(do)
    assert f"a segmentation fault, after `{by}`" in str(raised.value)
    assert "process.A.do" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "do", ["touch heap[0:4K]; mmap heap", "touch heap every 8K; mmap heap", "exec; touch heap"]
)
def test_what_a_statement_maps_is_not_there_before(do: str) -> None:
    """What no statement maps is mapped from the beginning, and nothing is in the address space that exec() makes."""
    maps = {"memory": {"heap": {"size": "16K"}}, "process": {"A": {"do": do}, "B": {"do": "mmap heap"}}}
    with pytest.raises(ShootdownError, match="a segmentation fault: `mmap heap` maps it"):
        check_counted(read_values(maps).program({}))


@pytest.mark.parametrize(
    "do",
    [
        "touch heap; munmap heap[4K:]; touch heap[0:4K]",
        "repeat 2 { mmap heap; touch heap; munmap heap }",
        "mprotect heap read; touch heap read; mprotect heap write; touch heap",
        "each 4K of heap { touch it; munmap it }",
        "munmap heap; exec; touch heap",
    ],
)
def test_what_is_mapped_and_may_be_written_is_fine(do: str) -> None:
    if "exec" in do:
        program = {"memory": {"heap": {"size": "16K"}}, "process": {"A": {"do": do}}}
        check_counted(read_values(program).program({}))
    else:
        _check(do)


def test_what_another_thread_may_give_back_is_left_alone() -> None:
    _check("munmap heap; wait given; touch heap", "mmap heap; signal given; spin")
    _check("mprotect heap read; wait given; touch heap", "mprotect heap write; signal given; spin")
