"""A result in JSON says what it was asked, and can be asked again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from shootdown._cli import COMMANDS, _asked, _rerun, run
from shootdown._programs.shipped import shipped
from shootdown._report.rerun import differences

ROOT = Path(__file__).parents[3]
PATCH = ROOT / "docs" / "examples" / "patches" / "skip-redundant-sync.py"
COMPARE = ["compare", "hugetlb-munmap", "--arch", "x86", "--kernel", "6.16,7.0", "--cpus", "4", "--json"]


WALK = [
    *("walk", "--format", "x86_64-4level", "--root", "0x4062000"),
    *("--memory", str(ROOT / "tests" / "oracle" / "walks" / "amd64-4l.npz")),
]


def saved(path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(words) in (0, 1)
    path.write_text(capsys.readouterr().out)
    value: dict[str, Any] = json.loads(path.read_text())
    return value


@pytest.mark.parametrize(
    "words",
    [
        COMPARE,
        ["explore", "unshare-gup", "--arch", "arm64", "--kernel", "6.15", "--json"],
        ["history", "hugetlb-munmap", "--arch", "x86", "--series", "6.12", "--json"],
        ["list", "workloads", "hugetlb-munmap", "--json"],
        ["plugins", "--json"],
        [*WALK, "0x2c0d57f1000", "--json"],
        [*WALK, "--all", "--json"],
    ],
    ids=lambda words: words[0],
)
def test_the_same_question_gives_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    file = tmp_path / "r.json"
    value = saved(file, words, capsys)
    assert list(value)[-1] == "asked"
    assert [value["asked"]["command"], *value["asked"]["arguments"]] == words
    assert run(["rerun", str(file)]) == 0
    assert "the same bytes" in capsys.readouterr().out
    assert run(["rerun", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["bytes"], told["changed"], told["differences"]) == (True, True, [], [])


def test_a_table_that_has_changed_is_named_with_what_is_different(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "r.json"
    value = saved(file, COMPARE, capsys)
    value["asked"]["tables"]["costs"] = "0ther"
    file.write_text(json.dumps(value))
    assert run(["rerun", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "the same answer" in printed
    assert "the table of costs has changed since" in printed
    value["rows"][1]["counts"]["sync_ipis"] += 1
    value["asked"]["version"] = "0.0.9"
    file.write_text(json.dumps(value))
    assert run(["rerun", str(file)]) == 1
    printed = capsys.readouterr().out
    assert "shootdown 0.0.9 answered then" in printed
    assert "rows[1].counts.sync_ipis: 4 then, 3 now" in printed


def test_a_file_that_has_changed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "drop.toml"
    program.write_bytes((ROOT / "docs/examples/programs/drop.toml").read_bytes())
    file = tmp_path / "r.json"
    words = ["compare", str(program), "--arch", "x86", "--kernel", "7.0", "--cpus", "4", "--json"]
    value = saved(file, words, capsys)
    assert list(value["asked"]["files"]) == [str(program)]
    with program.open("a") as more:
        more.write("# more\n")
    assert run(["rerun", str(file)]) == 0
    assert f"{program} has changed since" in " ".join(capsys.readouterr().out.split())


def test_files_that_a_file_names_in_turn_are_named_if_they_have_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program, gate, file = (tmp_path / name for name in ("drop.toml", "gate.toml", "r.json"))
    program.write_bytes((ROOT / "docs/examples/programs/drop.toml").read_bytes())
    gate.write_text(
        'arch = "x86"\nkernel = "7.0"\n[check.one]\nprogram = "drop.toml"\ncpus = 4\nmax_flush_ipis = 100\n'
    )
    value = saved(file, ["gate", str(gate), "--json"], capsys)
    assert set(value["asked"]["files"]) == {str(gate), str(program)}
    with program.open("a") as more:
        more.write("# more\n")
    assert run(["rerun", str(file)]) == 0
    assert f"{program} has changed since" in " ".join(capsys.readouterr().out.split())


def test_files_that_ship_with_shootdown_are_none_of_the_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = next(iter(shipped()))
    value = saved(tmp_path / "r.json", ["list", "workloads", name, "--json"], capsys)
    assert value["asked"]["files"] == {}


def test_code_that_a_result_names_runs_only_if_it_is_named_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, patch, mark = tmp_path / "r.json", tmp_path / "mine.py", tmp_path / "ran"
    patch.write_text(PATCH.read_text())
    saved(file, [*COMPARE, "--patch", str(patch)], capsys)
    patch.write_text(f"import os\nos.makedirs({str(mark)!r}, exist_ok=True)\n{PATCH.read_text()}")
    assert run(["rerun", str(file)]) == 2
    assert "is code that would run" in capsys.readouterr().err
    assert not mark.exists()
    assert run(["rerun", str(file), "--patch", str(patch)]) == 0
    assert mark.exists()


def test_what_writes_files_is_no_part_of_the_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = tmp_path / "t.json"
    words = ["explain", "hugetlb-munmap", "--arch", "x86", "--cpus", "4", "--kernel", "7.0", "--json"]
    value = saved(tmp_path / "r.json", [*words, "--perfetto", str(drawn)], capsys)
    assert value["asked"]["arguments"] == words[1:]
    drawn.unlink()
    assert run(["rerun", str(tmp_path / "r.json")]) == 0
    assert not drawn.exists()
    value["asked"]["arguments"].append(f"--perfetto={drawn}")
    (tmp_path / "r.json").write_text(json.dumps(value))
    assert run(["rerun", str(tmp_path / "r.json")]) == 2
    assert not drawn.exists()


def test_every_option_that_takes_a_file_is_known_to_read_or_to_write_it() -> None:
    reads = {"--patch", "--plugin", "--scenario", "--file", "--replay", "--memory", "--symbols", "--config"}
    options = [
        (name, option)
        for name in COMMANDS
        for option in __import__(f"shootdown._cli._{name}", fromlist=["command"]).command.params
        if isinstance(option, click.Option)
    ]
    options = [(name, option) for name, option in options if name not in _rerun._NEVER]
    for name, option in options:
        takes = isinstance(option.type, click.Path | click.File) or (option.metavar or "").startswith(
            ("FILE", "DIR", "FOLDER", "PATH")
        )
        if takes:
            assert set(option.opts) & (reads | _asked.WRITES), (name, option.opts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "it is no result that --json printed"),
        ("{}", "it is no result that --json printed"),
        ("{", "it is no JSON"),
        ('{"asked": {"command": "compare"}}', "its asked.arguments is missing"),
        ("command=warm", "'warm' is no command whose answer"),
        ("command=sweep", "'sweep' is no command whose answer"),
        ("command=rm", "'rm' is no command whose answer"),
        ('arguments=["hugetlb-munmap"]', "lack --json"),
        ("arguments=[1]", "are no texts"),
        ('arguments=["no-such-workload", "--json"]', "ends with status 2 now"),
    ],
)
def test_a_file_that_is_no_result_is_refused_in_a_line_or_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    asked: dict[str, Any] = {
        "command": "compare",
        "arguments": COMPARE[1:],
        "version": "0",
        "code": "",
        "plugins": {},
        "tables": {},
        "machine": "x86_64",
        "files": {},
    }
    key, equals, value = text.partition("=")
    if equals and key in asked:
        asked[key] = json.loads(value) if value.startswith("[") else value
        text = json.dumps({"asked": asked})
    file = tmp_path / "r.json"
    file.write_text(text)
    assert run(["rerun", str(file)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_what_a_clock_measured_is_no_difference() -> None:
    then = {
        "seconds": 1.5,
        "rows": [{"found_after": {"seconds": 2, "programs": 3}}],
        "asked": {"version": "1"},
    }
    now = {
        "seconds": 9.0,
        "rows": [{"found_after": {"seconds": 7, "programs": 3}}],
        "asked": {"version": "2"},
    }
    assert list(differences(then, now)) == []
    now["rows"] = []
    assert list(differences(then, now)) == [("rows (how many)", 1, 0)]


def test_commands_that_cannot_be_asked_again_are_commands() -> None:
    assert set(_rerun._NEVER) - {"serve"} <= set(COMMANDS)
