"""One workload run with low, likely and high costs, and what is said of counts that differ."""

from __future__ import annotations

from typing import Any

from shootdown._questions.compare import cases
from shootdown._questions.simulate import simulate
from shootdown._values.result import TIMING_DECIDES


def remarks(
    workload: str, platform: str, kernel: str = "7.0", *, settings: list[str] | None = None, **given: Any
) -> str:
    (case,) = cases(
        workload, platforms=[platform], kernels=[kernel], cpus=[8], parameters=given, settings=settings or []
    )
    return " ".join(simulate(case).remarks)


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
    assert "context_switches" in row.decided_by_timing
    assert [name for name in row.decided_by_timing if f" {name} " not in remark] == []


def test_a_call_without_rivals_leaves_nothing_to_timing() -> None:
    (case,) = cases("hugetlb-munmap", arch=["x86"], kernels=["7.0"], cpus=[4])
    assert simulate(case).decided_by_timing == ()


def test_where_no_table_becomes_exclusive_a_row_says_why_nobody_synchronised() -> None:
    said = "no sync: several other processes still share each table that is unshared, and 7.0 synchronises only when"
    assert said in remarks("hugetlb-munmap", "intel-server", sharers=3)
    assert "no sync" not in remarks("hugetlb-munmap", "intel-server", sharers=2)
    assert "no sync" not in remarks("hugetlb-munmap", "intel-server", sharers=3, covers="private")
    assert "no sync" not in remarks("hugetlb-munmap", "intel-server", "6.15", sharers=3)


def test_a_fork_that_shares_nothing_says_where_the_cost_is() -> None:
    assert "since v6.0 (bcd51a3c679d)" in remarks("hugetlb-fork", "intel-server", "6.1.158")
    assert "v6.0" not in remarks("hugetlb-fork", "intel-server", "5.10")


def test_where_invlpgb_could_have_served_a_row_says_why_ipis_did() -> None:
    assert (
        "no INVLPGB: it needs a global ASID; a flush gives an mm one if it runs on 4 CPUs or more"
        in remarks("anonymous", "amd-server")
    )
    assert "INVLPGB" not in remarks("anonymous", "amd-server", threads=0)
    assert "INVLPGB" not in remarks("anonymous", "intel-server")
    assert "no INVLPGB" not in remarks("anonymous", "amd-server", settings=["platform.flush=ipi"])


def test_a_row_has_how_many_preempted_vcpus_and_actors_there_were() -> None:
    (case,) = cases(
        "hugetlb-munmap",
        platforms=["kvm-guest"],
        kernels=["7.0"],
        cpus=[8],
        parameters={"preempted": 32, "actors": 99},
    )
    row = simulate(case)
    assert row.applied == {"preempted": 0, "actors": 2}
    assert "actors=99 is more than there can be: 2 (each is one of the 2 sharers)" in row.remarks
    assert any(remark.startswith("preempted=32 is more than there can be: 0") for remark in row.remarks)
    assert "applied" not in row.to_dict()


def test_kernels_with_the_same_steps_are_run_once_and_have_the_same_row(monkeypatch):
    from shootdown._questions import simulate as module
    from shootdown._questions.compare import compare
    from shootdown._timed import run as timed

    runs = []
    before = timed.run_machine

    def counted(*args, **options):
        runs.append(options["which"])
        return before(*args, **options)

    monkeypatch.setattr(timed, "run_machine", counted)
    monkeypatch.setattr(module, "_known", {})
    asked = {"arch": ["x86"], "parameters": {"children": 3, "gib": 2}, "cpus": [3]}
    both = [row.to_dict() for row in compare("fork-storm", kernels=["7.0", "7.0.2"], **asked)]
    assert runs == ["low", "likely", "high"]
    module._known.clear()
    alone = [
        row.to_dict() for name in ("7.0", "7.0.2") for row in compare("fork-storm", kernels=[name], **asked)
    ]
    assert both == alone
    runs.clear()
    compare("fork-storm", kernels=["7.0"], **{**asked, "parameters": {"children": 3, "gib": 2, "seed": 2}})
    compare("fork-storm", kernels=["7.0"], **asked, settings=["platform.walk_entries=3"])
    assert len(runs) == 6
