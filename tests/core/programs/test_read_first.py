"""Private memory that is read first, explored: a write copies the zero page, or the file's, and flushes it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.programs.comparing import explored, ground
from tests.core.programs.test_programs_are_explored import without_clearing

from shootdown._mm.faults import Faults
from shootdown._questions.explore import explore


def _program(*do: str, other: str = "touch heap read", **memory: Any) -> dict[str, Any]:
    threads = {"other": {"do": ["signal begun", other]}}
    return {
        "memory": {"heap": {"size": "4K", **memory}},
        "process": {"A": {"do": list(do), "thread": threads}},
    }


@pytest.mark.compiled
@pytest.mark.parametrize("memory", [{}, {"kind": "file", "shared": False}])
@pytest.mark.parametrize("first", ["touch heap read; signal read", "madvise heap DONTNEED; touch heap read"])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_nobody_reads_the_old_page_once_the_write_is_over(
    arch: str, first: str, memory: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """wp_page_copy() calls ptep_clear_flush(); without its flush a reader's TLB keeps what was before."""
    program = _program(first, "touch heap write", **memory)
    assert explored(ground(arch), program) == "safe"
    monkeypatch.setattr(Faults, "_replace", without_clearing)
    assert explored(ground(arch), program) == "bug"


@pytest.mark.compiled
@pytest.mark.parametrize(
    "call", ["madvise heap DONTNEED", "munmap heap", "mprotect heap read", "touch heap write"]
)
def test_it_is_safe_beside_other_calls(call: str) -> None:
    assert (
        explored(ground("x86"), _program("touch heap read", "signal read", "touch heap write", other=call))
        == "safe"
    )


@pytest.mark.compiled
def test_the_place_is_reached() -> None:
    (row,) = explore(
        _program("touch heap read", "signal read", "touch heap write"), arch=["x86"], kernels=["7.0"]
    )
    assert "copied" in row.reached
