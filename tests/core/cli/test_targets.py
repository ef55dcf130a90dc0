"""`shootdown targets`: the table and its JSON."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest
from tests.core.explore.every_target import every_target

from shootdown._cli import run
from shootdown._report.targets import lines

_SHARED = ["--arch", "arm64,x86,powerpc", "--kernel", "6.18.2,7.0"]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["targets", *words]) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Return what the command prints of `_SHARED` as JSON."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert run(["targets", *_SHARED, "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(printed.getvalue())["rows"]
    return found


def test_json_rows_have_the_promised_fields(rows: list[dict[str, Any]]) -> None:
    assert {row["arch"] for row in rows} == {"arm64", "x86", "powerpc"}
    for row in rows:
        assert {
            *("arch", "platform", "kernel", "flush_differs_with_freed_tables", "honours_unshared_tables"),
            *("walk_cache_dropped", "sync", "reason"),
        } <= set(row)
        assert row["sync"] in ("redundant", "needed", "missing", "not-applicable")
        assert bool(row["stale_after"]) == (row["walk_cache_dropped"] is not None)
        for left in row["stale_after"].values():
            assert left["cpus"] in ("none", "lazy", "all")
            assert set(left["entries"]) <= {"walk-cache", "tlb"}


def test_each_platform_and_kernel_has_a_row_of_json_and_a_place_in_the_table(
    rows: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")  # no heading wraps
    text = printed(capsys, *_SHARED)
    headings = [line for line in text.splitlines() if line.split(" ")[0] in ("arm64", "x86", "powerpc")]
    for arch, platform in {(row["arch"], row["platform"]) for row in rows}:
        assert (
            len([line for line in headings if f" {platform}," in f"{line}," and line.startswith(arch)]) == 1
        )


@pytest.mark.parametrize("columns", [80, 100])
def test_the_table_fits_the_terminal(columns: int) -> None:
    table = list(lines(every_target(), columns))
    command = next(line for line in table if "shootdown explain" in line)
    assert max(len(line) for line in table if line != command) <= columns


def test_a_stale_entry_is_named_in_its_cell_and_the_footer_says_how_to_see_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = printed(capsys, "--platform", "neoverse-v2", "--kernel", "7.0")
    assert "NO: stale (munmap, mprotect)" in text
    words = next(line for line in text.splitlines() if "shootdown explain" in line).split()
    assert run(words[1:]) == 0
    shown = capsys.readouterr().out
    assert "drops TLB entries alone; walk-cache" in shown
    assert "can still use walk-cache entries" in shown


def test_a_lazy_cpu_is_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--platform", "intel-server", "--kernel", "7.0")
    assert "not if lazy" in text
    words = next(line for line in text.splitlines() if "shootdown explain" in line).split()
    assert "state=lazy" in words
    assert run(words[1:]) == 0
    assert "lazy CPUs keep theirs" in capsys.readouterr().out


def test_where_nothing_is_left_no_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--platform", "xen-pv-guest", "--kernel", "7.0")
    assert "shootdown explain" not in text


def test_markdown_has_a_row_for_each_group(capsys: pytest.CaptureFixture[str]) -> None:
    written = printed(capsys, *_SHARED, "--markdown").splitlines()
    table = [line for line in written if line.startswith("| ")]
    assert all(line.count("|") == table[0].count("|") for line in table)
    assert any("neoverse-v2" in line and "NO: stale" in line for line in table)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--platform", "nope"], "there is no platform 'nope'"),
        (["--arch", "vax"], "there is no architecture 'vax'"),
        (["--arch", "arm64", "--platform", "intel-server"], "there is no arm64 platform 'intel-server'"),
        (["--kernel", "4.19"], "there is no series 4.19"),
        (["--set", "kernel.nope=1"], "there is no switch 'kernel.nope'"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["targets", *words]) == 2
    found = capsys.readouterr()
    assert (found.out, found.err.count("\n")) == ("", 1)
    assert said in found.err


def test_a_platform_that_several_architectures_have_is_judged_on_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = json.loads(printed(capsys, "--platform", "qemu-tcg", "--kernel", "7.0", "--json"))["rows"]
    assert {"arm64", "powerpc", "x86"} <= {row["arch"] for row in rows}


def test_a_number_of_cpus_is_refused_as_the_case_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["targets", "--set", "platform.cpus=1"]) == 2
    assert (
        "platform.cpus=1 is not possible here: the case that targets are judged by" in capsys.readouterr().err
    )


def _rows(capsys: pytest.CaptureFixture[str], *words: str) -> dict[tuple[str, str], dict[str, Any]]:
    rows = json.loads(printed(capsys, *words, "--json"))["rows"]
    return {(row["platform"], row["kernel"]): row for row in rows}


def test_of_a_program_each_target_has_what_its_run_and_its_exploration_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    machines = ("--platform", "intel-server,neoverse-v2", "--kernel", "7.0,7.3.4", "--cpus", "8")
    rows = _rows(capsys, "docs/examples/programs/unshare-gup.toml", *machines)
    assert {row["sync"] for row in rows.values()} == {"needed"}
    assert rows["neoverse-v2", "7.0"]["stale_after"] == {
        "program": {"cpus": "all", "entries": ["walk-cache"]}
    }
    assert rows["neoverse-v2", "7.0"]["explored"]["invariant"] == "walk-cache"
    assert rows["neoverse-v2", "7.3.4"]["explored"]["verdict"] == "safe"
    assert rows["neoverse-v2", "7.3.4"]["walk_cache_dropped"] is True
    assert rows["intel-server", "7.0"]["evidence"]["program"]["flush_ipis"] == 2


def test_of_a_program_that_unshares_nothing_nothing_is_said_of_unsharing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("docs/examples/programs/drop.toml", "-p", "others=2", "--cpus", "8")
    row = _rows(capsys, *words, "--platform", "intel-server", "--kernel", "7.0")["intel-server", "7.0"]
    assert (row["walk_cache_dropped"], row["stale_after"], row["sync"]) == (None, {}, "not-applicable")
    assert row["evidence"]["program"]["flush_ipis"] == 2
    assert row["explored"]["verdict"] == "safe"


def test_of_a_scenario_each_target_has_its_verdict_and_whether_the_sync_matters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    machines = ("--platform", "neoverse-v2,kvm-guest", "--kernel", "6.4,7.3.4")
    rows = _rows(capsys, "unshare-gup", *machines)
    assert {place: row["sync"] for place, row in rows.items()} == {
        ("neoverse-v2", "6.4"): "missing",
        ("neoverse-v2", "7.3.4"): "needed",
        ("kvm-guest", "6.4"): "missing",
        ("kvm-guest", "7.3.4"): "needed",
    }
    assert rows["kvm-guest", "6.4"]["explored"]["invariant"] == "gup-fast"
    lazy = _rows(capsys, "unshare-walk-cache", "--platform", "neoverse-v2", "--kernel", "7.0")
    assert lazy["neoverse-v2", "7.0"]["sync"] == "untried"


def test_the_table_of_a_program_fits_the_terminal_and_lacks_what_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = ("docs/examples/programs/drop.toml", "--platform", "power9,intel-server", "--kernel", "7.0")
    text = printed(capsys, *words, "--cpus", "8")
    assert max(map(len, text.splitlines())) <= 80
    assert "walk cache dropped" not in text
    assert "3 IPIs" in text
    assert "| 3 IPIs |" in printed(capsys, *words, "--cpus", "8", "--markdown")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hugetlb-mumap"], "there is no workload or scenario 'hugetlb-mumap'"),
        (["nowhere.toml"], "nowhere.toml"),
        (["-p", "tables=2"], "-p: only a program has them"),
        (["unshare-gup", "-p", "nope=1"], "nope"),
        (["hugetlb-munmap", "--cpus", "8,16"], "--cpus: one number"),
    ],
)
def test_a_mistake_about_a_program_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["targets", *words]) == 2
    found = capsys.readouterr()
    assert (found.out, found.err.count("\n")) == ("", 1)
    assert said in found.err
