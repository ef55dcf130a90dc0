"""One workload run with low, likely and high costs, and what is said of counts that differ."""

from __future__ import annotations

from shootdown._questions.compare import cases
from shootdown._questions.simulate import simulate
from shootdown._values.result import TIMING_DECIDES


def test_the_remark_on_timing_names_every_count_that_differs_between_the_runs() -> None:
    (case,) = cases(
        "fork-storm",
        arch=["x86"],
        kernels=["6.16"],
        cpus=[8],
        parameters={"children": 4, "gib": 16},
    )
    row = simulate(case)
    (remark,) = [remark for remark in row.remarks if remark.startswith(TIMING_DECIDES)]
    assert "lock_waits" in remark
    assert "lock_waits" in row.decided_by_timing


def test_a_call_without_rivals_leaves_nothing_to_timing() -> None:
    (case,) = cases("hugetlb-munmap", arch=["x86"], kernels=["7.0"], cpus=[4])
    assert simulate(case).decided_by_timing == ()
