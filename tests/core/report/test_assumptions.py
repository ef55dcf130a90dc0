"""What a report says that its answer rests on."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._report.assumptions import assumptions
from shootdown._report.document import Table


def left_out(kernels: Sequence[str], *archs: str) -> list[str]:
    """Return the subjects of the changes that a report names as left out."""
    rows = [{"arch": arch, "platform": "", "kernel": kernel} for arch in archs for kernel in kernels]
    tables = [block for block in assumptions(rows, timed=False, kernels=kernels) if isinstance(block, Table)]
    return [row[1] for table in tables for row in table.rows]


def test_changes_of_other_architectures_are_not_among_those_left_out() -> None:
    every = {subject.split(":")[0].split("/")[0] for subject in left_out(["7.3"])}
    assert {"x86", "riscv", "smp"} <= every
    of_x86 = {subject.split(":")[0].split("/")[0] for subject in left_out(["7.3"], "x86")}
    assert {"x86", "smp"} <= of_x86
    assert "riscv" not in of_x86
    both = {subject.split(":")[0].split("/")[0] for subject in left_out(["7.3"], "x86", "riscv")}
    assert {"x86", "riscv"} <= both


def test_releases_before_any_of_these_changes_have_none() -> None:
    assert left_out(["5.10"], "x86") == left_out([], "x86") == []
