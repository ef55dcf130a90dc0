"""`shootdown explore`, `matrix` and `list scenarios`: what they print, write and refuse."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.cli.explored import rows, run

from shootdown import _cli

Shell = Callable[..., "subprocess.CompletedProcess[str]"]

MAIN = [sys.executable, "-c", "from shootdown._cli import main; main()"]
BUG = ("explore", "unshare-gup", "--arch", "arm64", "--kernel", "6.15")
SAFE = ("explore", "unshare-gup", "--arch", "arm64", "--kernel", "6.16")
GUEST = ("explore", "unshare-gup", "--arch", "x86", "--platform", "kvm-guest", "--kernel", "7.0")

KEYS = [
    "scenario",
    "arch",
    "platform",
    "kernel",
    "set",
    "parameters",
    "verdict",
    "invariant",
    "states",
    "transitions",
    "depth",
    "story",
]


@pytest.mark.parametrize(
    "arguments",
    [
        ["explore", "--help"],
        ["matrix", "--help"],
        ["list", "scenarios"],
        ["explore"],
        ["explore", "nothing-of-that-name"],
        ["explore", "unshare-gup", "--kernel", "x"],
        ["explore", "unshare-gup", "-p", "sharers=99"],
        ["explore", "unshare-gup", "--reductions", "x"],
        ["explore", "unshare-gup", "--memory", "x"],
        ["explore", "unshare-gup", "--seed", "4"],
        ["matrix", "nothing-of-that-name"],
        ["explore", "--replay", "no-such-file"],
    ],
)
def test_help_lists_and_mistakes_import_no_numba(arguments: list[str]) -> None:
    code = f"import sys; from shootdown._cli import run; run({arguments!r}); print('\\n', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numba" not in done.stdout.split()


def test_json_has_a_row_for_each_combination_with_all_that_the_issue_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = rows(capsys, "explore", "unshare-gup", "--arch", "arm64,x86", "--kernel", "6.15,7.0")
    assert [(row["arch"], row["kernel"], row["verdict"]) for row in found] == [
        ("arm64", "6.15", "bug"),
        ("arm64", "7.0", "safe"),
        ("x86", "6.15", "safe"),
        ("x86", "7.0", "safe"),
    ]
    for row in found:
        assert list(row)[: len(KEYS)] == KEYS
        assert set(row) == {*KEYS, "reason", "remarks", "reached", "sentence"}
        assert row["parameters"] == {"sharers": 2, "path": "munmap", "lazy": False}
        assert (row["story"] == []) == (row["verdict"] == "safe")
    story = found[0]["story"]
    assert isinstance(story, list)
    assert len(story) == found[0]["depth"]
    assert all(line["step"] and isinstance(line["cpu"], int) for line in story)
    assert {"function", "step", "changed", "lane", "who", "bad"} <= set(story[0])


def test_settings_stand_in_the_row(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows(
        capsys, *SAFE, "--set", "kernel.unshare_sync=none", "--set", "memory_model=sc", "-p", "sharers=3"
    )
    assert row["set"] == {"kernel.unshare_sync": "none", "memory_model": "sc"}
    assert row["verdict"] == "bug"
    assert any("unshare_sync=none" in str(remark) for remark in row["remarks"])  # type: ignore[union-attr]


def test_verdicts_are_results_and_only_bounds_that_were_hit_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert rows(capsys, *BUG)[0]["verdict"] == "bug"
    assert rows(capsys, *SAFE)[0]["verdict"] == "safe"
    (row,) = rows(capsys, "explore", "unshare-gup", "--arch", "powerpc")
    assert (row["verdict"], row["states"]) == ("not-applicable", 0)
    assert "ARCH_WANT_HUGE_PMD_SHARE" in str(row["reason"])
    (row,) = rows(capsys, *SAFE, "-p", "sharers=4", "--states", "100", status=3)
    assert row["verdict"] == "inconclusive"
    assert "the bound was hit" in str(row["reason"])
    (row,) = rows(capsys, *GUEST, "-p", "sharers=4", "--memory", "1M", status=3)
    assert row["verdict"] == "inconclusive"


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_a_story_fits_its_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text, _ = run(capsys, *BUG, "-p", "sharers=2")
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0].endswith("kernel 6.15: BUG")
    assert "GUP-fast may not read a page table" in text
    assert text.count("✗") >= 2
    for word in ("CPU 0", "CPU 1", "CPU 2", "huge_pmd_unshare", "pud_clear"):
        assert word in text, word
    assert re.search(r"PUD entry of A:\s", text)


def test_each_move_is_in_the_lane_of_its_cpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    (row,) = rows(capsys, *BUG)
    text, _ = run(capsys, *BUG)
    moves = re.findall(r"^[ ✗]\s*(\d+) CPU (\d)\s*(│.*)$", text, re.MULTILINE)
    story = row["story"]
    assert isinstance(story, list)
    assert len(moves) == len(story)
    for (number, cpu, rest), (n, line) in zip(moves, enumerate(story, 1), strict=True):
        assert (int(number), int(cpu)) == (n, line["cpu"])
        cells = [cell.strip() for cell in rest.split("│")[1:]]
        assert [bool(cell) for cell in cells] == [index == line["cpu"] for index in range(3)]


def test_several_rows_are_a_table_and_the_stories_of_the_bugs(capsys: pytest.CaptureFixture[str]) -> None:
    text, _ = run(capsys, "explore", "unshare-gup", "--arch", "arm64", "--kernel", "6.15,7.0")
    assert re.search(r"arm64 +neoverse-v2 +6\.15 +bug +gup-fast", text)
    assert re.search(r"arm64 +neoverse-v2 +7\.0 +safe", text)
    assert text.count(": BUG") == 1


@pytest.mark.parametrize(
    "reductions", ["none", "fuse", pytest.param("dead,symmetry", marks=pytest.mark.long), "all"]
)
def test_reductions_change_no_verdict(capsys: pytest.CaptureFixture[str], reductions: str) -> None:
    for arguments in (BUG, SAFE):
        plain, reduced = rows(capsys, *arguments)[0], rows(capsys, *arguments, "--reductions", reductions)[0]
        assert (plain["verdict"], plain["invariant"]) == (reduced["verdict"], reduced["invariant"])


def test_a_soak_says_how_to_walk_again(capsys: pytest.CaptureFixture[str]) -> None:
    command = (*SAFE, "--soak", "30", "--seed", "7")
    first, again = rows(capsys, *command, status=3), rows(capsys, *command, status=3)
    assert first == again
    assert "--soak 30 --seed 7" in str(first[0]["remarks"])


def test_a_story_that_was_printed_replays(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "story.json"
    path.write_text(
        run(capsys, "explore", "unshare-gup", "--arch", "arm64", "--kernel", "6.15,7.0", "--json")[0]
    )
    text, errors = run(capsys, "explore", "--replay", str(path))
    assert "replayed, and gup-fast does not hold at the end" in " ".join(text.split())
    assert "14 moves in the timed engine lead to the same state" in text
    assert "(estimate)" in text
    assert "1 other row has no story to replay" in errors
    document = json.loads(run(capsys, "explore", "--replay", str(path), "--json")[0])
    (one,) = document["replays"]
    assert one["reached"]
    assert one["moves"] == 14
    assert one["elapsed_ns"]["low"] < one["elapsed_ns"]["likely"] < one["elapsed_ns"]["high"]


def test_a_replay_takes_nothing_but_its_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "story.json"
    path.write_text('{"rows": []}')
    for more in (
        ("--arch", "x86"),
        ("--html", "page.html"),
        ("--perfetto", "trace.json"),
        ("--states", "5"),
        ("--reductions", "none"),
        ("--soak", "1"),
    ):
        _, errors = run(capsys, "explore", "--replay", str(path), *more, status=2)
        assert "--replay takes everything from its file" in errors
    for text in ("", "{", '{"rows": []}', '{"rows": [{"scenario": 3}]}', "\x00"):
        path.write_text(text)
        _, errors = run(capsys, "explore", "--replay", str(path), status=2)
        assert errors.startswith("shootdown: error: ")
        assert len(errors.splitlines()) == 1
    path.write_text('{"schema": 99, "rows": [{}]}')
    _, errors = run(capsys, "explore", "--replay", str(path), status=2)
    assert "its schema is 99; this version of shootdown reads schema 1" in errors
    path.write_bytes(b"\xff\xfe\xff")
    assert "it is no UTF-8 text" in run(capsys, "explore", "--replay", str(path), status=2)[1]
    path.write_text(run(capsys, *SAFE, "--json")[0])
    assert "no verdict is bug" in run(capsys, "explore", "--replay", str(path), status=2)[1]


def test_a_replay_reads_standard_input() -> None:
    printed = subprocess.run([*MAIN, *BUG, "--json"], capture_output=True, text=True, check=True).stdout
    done = subprocess.run(
        [*MAIN, "explore", "--replay", "-"], input=printed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "does not hold at the end" in " ".join(done.stdout.split())


def test_the_page_needs_nothing_else_and_has_a_column_for_each_lane(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "story.html"
    _, errors = run(capsys, *BUG, "--html", str(path))
    assert str(path) in errors
    page = path.read_text()
    assert page.startswith("<!doctype html>")
    assert not re.search(r"src=|url\(|@import|<link|http:", page)
    assert all(to.startswith("https://git.kernel.org/") for to in re.findall(r'href="([^#"]+)"', page))
    assert "prefers-color-scheme: dark" in page
    assert re.findall(r'<th class="lane" scope="col">(CPU \d)<small>([^<]*)', page) == [
        ("CPU 0", "A: munmap"),
        ("CPU 1", "A: GUP-fast"),
        ("CPU 2", "B: keeps the table"),
    ]
    assert page.count('<tr class="bad">') == 1
    assert page.count("<tr") == page.count("</tr>")


def test_the_timeline_has_a_track_for_each_cpu_and_names_the_bad_move(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "story.perfetto"
    run(capsys, *BUG, "--perfetto", str(path))
    trace = json.loads(path.read_text())
    events = trace["traceEvents"]
    tracks = [event["args"]["name"] for event in events if event["name"] == "thread_name"]
    assert tracks == ["CPU 0", "CPU 1", "CPU 2"]
    slices = [event for event in events if event["ph"] == "X"]
    assert {event["tid"] for event in slices} == {1, 2, 3}
    assert [event["name"] for event in slices if "✗" in event["name"]] == [slices[-1]["name"]]
    assert trace["otherData"]["row"]["verdict"] == "bug"


def test_files_that_cannot_be_written_are_refused_before_anything_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for option in ("--html", "--perfetto"):
        _, errors = run(capsys, *BUG, option, str(tmp_path / "no" / "file"), status=2)
        assert "there is no folder" in errors


def test_without_a_bug_there_is_no_timeline(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "story.perfetto"
    _, errors = run(capsys, *SAFE, "--perfetto", str(path))
    assert "no row has a story" in errors
    assert not path.exists()


def test_scenarios_are_listed_with_what_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(run(capsys, "list", "scenarios", "--json")[0])
    listed = {row["scenario"]: row for row in document["scenarios"]}
    assert {"unshare-gup", "unshare-walk-cache"} <= set(listed)
    assert listed["unshare-gup"]["parameters"] == ["sharers", "path", "lazy"]
    text, _ = run(capsys, "list", "scenarios")
    assert "1013af4f585f" in text


def test_the_matrix_has_a_column_for_each_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    text, _ = run(capsys, "matrix", "unshare-gup", "--arch", "arm64", "--kernel", "6.15,7.0")
    assert re.search(r"scenario +platforms +6\.15 +7\.0", text)
    assert re.search(r"unshare-gup +all +BUG gup-fast +safe", text)
    found = rows(capsys, "matrix", "unshare-gup", "--arch", "arm64,powerpc", "--kernel", "6.15,7.0")
    assert {row["verdict"] for row in found} == {"bug", "safe", "not-applicable"}
    assert all(set(KEYS) <= set(row) for row in found)
    page, _ = run(capsys, "matrix", "unshare-gup", "--arch", "arm64", "--kernel", "6.15", "--markdown")
    assert "| all | **BUG gup-fast** |" in page


def test_ctrl_c_leaves_the_rows_that_are_done() -> None:
    command = [
        *MAIN,
        "explore",
        "unshare-gup",
        "--arch",
        "arm64",
        "--kernel",
        "6.15,7.0",
        "-p",
        "sharers=5",
        "--json",
    ]
    process = subprocess.Popen(
        [*command, "--reductions", "none"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "so far" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "rows are done" in errors
    document = json.loads(out)
    assert len(document["rows"]) < 2


# --- what scripts expect


@pytest.mark.parametrize(
    ("kernels", "expected", "status", "said"),
    [
        ("7.1", "safe", 0, ""),
        ("7.0,7.1", "safe", 1, "expected safe: bug on arm64 neoverse-v2 7.0\n"),
        ("7.0,7.1", "safe,bug", 0, ""),
        ("7.1", "BUG", 1, "expected bug: safe on arm64 neoverse-v2 7.1\n"),
    ],
)
def test_the_exit_status_says_whether_the_verdict_is_the_expected_one(
    capsys: pytest.CaptureFixture[str], kernels: str, expected: str, status: int, said: str
) -> None:
    arguments = (
        "explore",
        "unshare-walk-cache",
        "--arch",
        "arm64",
        "--kernel",
        kernels,
        "--expect",
        expected,
    )
    assert _cli.run(arguments) == status
    assert capsys.readouterr().err == said


def test_what_applies_nowhere_is_as_expected_only_if_that_was_expected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ("explore", "unshare-walk-cache", "--arch", "powerpc", "--expect")
    assert _cli.run([*arguments, "safe"]) == 1
    assert "it applies to none of the 1 rows" in capsys.readouterr().err
    assert _cli.run([*arguments, "not-applicable"]) == 0


def test_an_unknown_verdict_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(["explore", "unshare-gup", "--expect", "good"]) == 2
    assert "'good' is no verdict: safe, bug, livelock" in capsys.readouterr().err
