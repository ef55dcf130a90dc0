"""Small programs, explored on IBM Z: what hunts found wrong in the model, and is mended."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown


def _program(kind: str, size: str, *does: str, second: tuple[str, ...] = ("spin",)) -> dict[str, Any]:
    return {
        "summary": ", ".join(does),
        "memory": {"heap": {"kind": kind, "size": size}},
        "process": {
            "A": {"do": ["touch heap write", *does], "thread": {"second": {"do": list(second)}}},
        },
    }


@pytest.mark.parametrize(
    "program",
    [
        _program("file", "4K", "munmap heap", second=("truncate heap",)),
        _program("thp", "1M", "mremap heap", "munmap heap"),
    ],
    ids=["who finds flush_mm cleared waits for the flush", "a moved huge page is flushed where it is"],
)
def test_a_program_is_safe(program: dict[str, Any]) -> None:
    (row,) = shootdown.explore(program, arch=["s390"], kernels=["7.0"])
    assert row.verdict == "safe"
