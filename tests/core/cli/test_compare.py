"""`shootdown compare`: a row for each combination, as JSON that others can rely on."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable

import pytest

from shootdown import _cli
from shootdown._questions import compare as comparing
from shootdown._questions.simulate import simulate
from shootdown._values.errors import ShootdownError

ROW = (
    "arch", "platform", "kernel", "workload", "parameters", "cpus", "set", "supported", "reason", "counts",
    "times", "remarks",
)  # fmt: skip
PROMISED = (
    "unshared_tables", "fully_unshared_tables", "gathers", "flush_requests", "flush_ipis", "sync_broadcasts",
    "sync_ipis", "redundant_sync_ipis", "interrupted_cpus", "broadcast_invalidations", "full_flushes",
    "page_invalidations", "completion_waits", "stale_entries_left", "kernel_warnings",
)  # fmt: skip

Rows = Callable[..., list[dict[str, object]]]


@pytest.fixture
def rows(capsys: pytest.CaptureFixture[str]) -> Rows:
    """Compare, and return the rows of the JSON."""

    def run(*arguments: str) -> list[dict[str, object]]:
        status = _cli.run(["compare", *arguments, "--json"])
        written = capsys.readouterr()
        assert status == 0, written.err
        document = json.loads(written.out)
        assert set(document) == {"schema", "version", "command", "rows", "asked"}
        assert document["schema"] == 1
        found: list[dict[str, object]] = document["rows"]
        return found

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Compare what can't be compared, and return the one message."""

    def run(*arguments: str) -> str:
        assert _cli.run(["compare", *arguments]) == 2
        written = capsys.readouterr()
        assert written.out == ""
        assert len(written.err.splitlines()) <= 10
        assert "Traceback" not in written.err
        return written.err

    return run


SMALL = ("hugetlb-munmap", "--arch", "x86", "--cpus", "4")


def test_a_row_has_the_promised_names_and_counts_that_are_integers(rows: Rows) -> None:
    (row,) = rows(*SMALL, "--kernel", "7.0", "--set", "kernel.rcu-table-free=off")
    assert tuple(row) == ROW
    counts = row["counts"]
    assert isinstance(counts, dict)
    assert set(PROMISED) <= set(counts)
    assert all(type(count) is int for count in counts.values())
    times = row["times"]
    assert isinstance(times, dict)
    assert list(times) == ["elapsed_ns", "system_ns", "lost_ns", "user_ns"]
    assert times["elapsed_ns"]["low"] > 0
    assert times["system_ns"]["low"] > 0
    for span in times.values():
        assert list(span) == ["low", "likely", "high"]
        assert 0 <= span["low"] <= span["likely"] <= span["high"]
    assert row["supported"] is True
    assert row["reason"] is None
    assert row["set"] == {"kernel.rcu_table_free": "off"}
    assert row["remarks"] == [
        "what-if: rcu_table_free=false (7.0 has true)",
        "follows: pt_reclaim=false (7.0 has true)",
    ]
    assert counts["sync_broadcasts"] == 0


def test_a_row_that_cannot_be_run_says_why_and_counts_nothing(rows: Rows) -> None:
    (row,) = rows("hugetlb-mremap", "--arch", "x86", "--cpus", "4", "--kernel", "5.15.209")
    assert tuple(row) == ROW
    assert row["supported"] is False
    assert isinstance(row["reason"], str)
    assert "v5.16" in row["reason"]
    assert row["counts"] == row["times"] == {}


def test_rows_come_in_the_order_of_the_lists_and_kernels_as_they_were_typed(rows: Rows) -> None:
    found = rows(
        "hugetlb-munmap", "--platform", "intel-server,neoverse-v2,amd-server", "--kernel", "v6.16,6.15.0",
        "--kernel", "proposal:targeted-sync@6.16", "--cpus", "4,2",
    )  # fmt: skip
    machines = [("x86", "intel-server"), ("arm64", "neoverse-v2"), ("x86", "amd-server")]
    kernels = ("v6.16", "6.15.0", "proposal:targeted-sync@6.16")
    assert [(row["arch"], row["platform"], row["kernel"], row["cpus"]) for row in found] == [
        (*machine, kernel, cpus) for machine in machines for kernel in kernels for cpus in (4, 2)
    ]


def test_a_release_means_its_first_point_release_and_counts_follow_the_release(rows: Rows) -> None:
    found = rows(*SMALL, "-p", "tables=3", "--kernel", "6.12.34,6.12.35,6.12.73,6.12.74,6.15,6.15.0,6.15.4")
    counts = [row["counts"] for row in found]
    assert [c["sync_broadcasts"] for c in counts if isinstance(c, dict)] == [0, 3, 3, 1, 0, 0, 3]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("hugetlb-munmp", "nearest: hugetlb-munmap"),
        (
            "hugetlb-munmap --platform intel-servr",
            "there is no platform 'intel-servr'; nearest: intel-server",
        ),
        (
            "hugetlb-munmap --platform epyc",
            "there is no platform 'epyc'; that word describes: amd-server, amd-server-zen2\n",
        ),
        ("hugetlb-munmap --arch arm64 --platform intel-server", "there is no arm64 platform 'intel-server'"),
        (
            "hugetlb-munmap --arch x86 --platform intel-server,nonsense",
            "there is no platform 'nonsense' of x86",
        ),
        ("hugetlb-munmap -p tables=0", "it lies between 1 and"),
        ("hugetlb-munmap -p tables=1e3", "-p tables=1e3: it is a whole number"),
        ("hugetlb-munmap --cpus 99999999999999999999999", "a machine has between 1 and 8192"),
        (
            "hugetlb-munmap --set kernel.rcu_table_fre=off",
            "nearest: kernel.rcu_table_free, kernel.table_free_flushes\n",
        ),
        ("hugetlb-munmap --set platform.walk_entries=99999999999999999999", "from 0 to 1048576"),
        ("hugetlb-munmap --set platform.hypervisor=foo", "platform.hypervisor=foo is not possible on"),
        ("hugetlb-munmap --cpus 4 --set platform.cpus=8", "platform.cpus=8 and 4 CPUs cannot both hold"),
        (
            "hugetlb-munmap --set kernel.pt_reclaim=on --set kernel.rcu_table_free=off",
            "cannot both hold: PT_RECLAIM",
        ),
        (f"hugetlb-munmap -p tables={'9' * 5000}", "it is a whole number"),
    ],
)
def test_what_cannot_be_compared_is_one_message(
    refused: Callable[..., str], arguments: str, says: str
) -> None:
    message = refused(*arguments.split())
    assert says in message


def test_ctrl_c_leaves_the_rows_that_are_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def once(case: object, after_run: Callable[[], None]) -> object:
        if case.kernel.name == "7.0":  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return simulate(case)  # type: ignore[arg-type]

    monkeypatch.setattr(comparing, "simulate", once)
    assert _cli.run(["compare", *SMALL, "--kernel", "6.15,6.16,7.0", "--json"]) == _cli.INTERRUPTED
    written = capsys.readouterr()
    assert [row["kernel"] for row in json.loads(written.out)["rows"]] == ["6.15", "6.16"]
    assert written.err.splitlines() == ["2 of 3 rows are done", "shootdown: interrupted"]


def test_a_thread_that_has_no_cpu_is_remarked(rows: Rows) -> None:
    (row,) = rows("anonymous", "--arch", "x86", "--cpus", "4", "--kernel", "7.0", "-p", "threads=10")
    assert row["remarks"] == [
        "threads=10 is more than there can be: 3 (each has a CPU of its own, and there are 4)"
    ]


@pytest.mark.parametrize("cpus", ["1", "2", "3", "4"])
@pytest.mark.parametrize("threads", ["0", "9"])
def test_khugepaged_finds_a_cpu_on_every_machine(rows: Rows, cpus: str, threads: str) -> None:
    given = ("--arch", "x86", "--kernel", "7.0", "--cpus", cpus, "-p", f"threads={threads}", "-p", "gib=1")
    (row,) = rows("thp-collapse", *given)
    counts = row["counts"]
    assert isinstance(counts, dict)
    assert counts["sync_ipis"] == 512 * (int(cpus) - 1)


def test_a_workload_that_builds_no_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import attrs

    from shootdown._questions.compare import cases

    (case,) = cases("hugetlb-munmap", arch=["x86"], kernels=["7.0"], cpus=[2])
    broken = attrs.evolve(case, program=attrs.evolve(case.program, build=lambda setting: None))
    with pytest.raises(
        ShootdownError, match=r"hugetlb-munmap: build\(\) returned None; it is to return Mach"
    ):
        simulate(broken)


def test_a_lowering_that_is_not_finished_names_what_is_missing() -> None:
    import attrs

    from shootdown._questions.compare import cases
    from shootdown._values.lowering import Lowering

    class Begun(Lowering):
        pass

    (case,) = cases("hugetlb-munmap", arch=["x86"], kernels=["7.0"], cpus=[2])
    lower = lambda kernel, platform: Begun()  # type: ignore[abstract]  # noqa: E731 - the field takes a function
    begun = attrs.evolve(case, architecture=attrs.evolve(case.architecture, lower=lower))
    with pytest.raises(ShootdownError, match=r"x86: lower\(\): TypeError: .* Begun .* flush_mm"):
        simulate(begun)


def test_kernels_that_are_refused_for_one_reason_share_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        _cli.run(
            ["compare", "hugetlb-munmap", "--arch", "powerpc,x86", "--kernel", "6.18,7.0", "--cpus", "4"]
        )
        == 0
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if "not applicable" in line]
    assert len(lines) == 1
    assert lines[0].startswith("6.18, 7.0  not applicable: no hugetlb PMD sharing")


def test_without_a_row_that_ran_there_is_no_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(["compare", "hugetlb-munmap", "--arch", "powerpc", "--kernel", "7.0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.startswith("---") for line in lines)
    assert lines[2].startswith("7.0  not applicable")


def test_the_headline_fits_80_columns_in_one_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = ["compare", "fork-storm", "-p", "children=100", "--kernel", "6.16,proposal:skip-redundant-sync"]
    words += ["--arch", "all"]
    assert _cli.run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.startswith("-----")]) == 1
    for arch in ("arm64 neoverse-v2", "powerpc power9", "x86 intel-server"):
        assert any(line.startswith(f"{arch}, ") for line in lines), arch


# --- several values of a parameter, and other forms


def test_a_list_of_values_has_a_row_for_each_combination(rows: Rows) -> None:
    found = rows(*SMALL, "--kernel", "6.16,7.0", "-p", "sharers=2,3", "-p", "tables=1,2")
    asked = [(row["kernel"], row["parameters"]["sharers"], row["parameters"]["tables"]) for row in found]  # type: ignore[index]
    assert asked == [(k, s, t) for k in ("6.16", "7.0") for s in (2, 3) for t in (1, 2)]
    assert [row["counts"]["sync_broadcasts"] for row in found] == [1, 2, 1, 2, 1, 1, 0, 0]  # type: ignore[index]


def test_a_share_is_of_another_parameter(rows: Rows) -> None:
    (row,) = rows(
        *SMALL, "--kernel", "7.0", "-p", "threads=2", "-p", "preempted=50%", "--platform", "kvm-guest"
    )
    assert row["parameters"]["preempted"] == 1  # type: ignore[index]


def test_python_takes_lists_too() -> None:
    found = comparing.compare(
        "hugetlb-munmap", arch=["x86"], cpus=[4], kernels=["7.0"], parameters={"tables": [1, 2], "sharers": 2}
    )
    assert [row.parameters["tables"] for row in found] == [1, 2]


def test_too_many_combinations_are_refused(refused: Callable[..., str]) -> None:
    values = ",".join(map(str, range(1, 102)))
    said = refused(*SMALL, "-p", f"tables={values}", "-p", f"pages={values}")
    assert "10,201 combinations of parameters: compare takes at most 10,000" in said


@pytest.mark.parametrize("others", [("--json",), ("--lore",), ("--jsonl", "--lore", "--json")])
def test_one_form_of_the_report_at_a_time(refused: Callable[..., str], others: tuple[str, ...]) -> None:
    assert "cannot both hold: " in refused(*SMALL, "--csv", *others)


def test_csv_and_lines_of_json_have_the_rows_of_the_json(
    rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (*SMALL, "--kernel", "6.16,7.0")
    whole = rows(*asked)
    assert _cli.run(["compare", *asked, "--jsonl"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == whole
    assert _cli.run(["compare", *asked, "--csv"]) == 0
    found = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["counts.sync_ipis"] for row in found] == [str(row["counts"]["sync_ipis"]) for row in whole]  # type: ignore[index]


def test_markdown_has_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(["compare", *SMALL, "--kernel", "6.16,7.0", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("| 6.16 |")]
