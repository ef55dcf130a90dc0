"""`shootdown check`: what is wrong with a plugin, for people and for programs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from shootdown import _cli
from shootdown._compliance import kernels
from shootdown._compliance.statement import Statement

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
Plug = Callable[[str, str], None]

PLUGIN = """
from shootdown import Architecture, Change, hookimpl

@hookimpl
def shootdown_architectures():
    return [Architecture(api=1, name="toy", summary="a toy", {fields})]
"""
WRONG = 'changes=(Change("0123456789ab", "s", "6.2", {"pt_reclaim": True}, {"6.1": 9999}, source="x"),)'


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = _cli.run(["check", *words])
    return status, capsys.readouterr().out


def test_a_statement_or_a_section_can_be_checked_alone(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = run("riscv", "--statement", "2.6,0.1", capsys=capsys)
    assert status == 0
    assert [line.split()[:2] for line in text.splitlines()] == [
        ["0.1", "shown"],
        ["2.6", "shown"],
        ["shootdown", "check"],
    ]
    assert text.endswith("shootdown check riscv: 2 shown\n")


def test_a_finding_is_named_with_its_remedy_and_ends_with_status_1(shell: Shell, plug: Plug) -> None:
    plug("toy", PLUGIN.replace("{fields}", WRONG))
    done = shell("check", "toy", "--statement", "2.6")
    assert done.returncode == 1
    assert "2.6   FINDING" in done.stdout
    assert "toy (shootdown-toy 9.9): the change 0123456789ab 's' names 6.1.9999" in done.stdout
    assert "to do: Sort `changes` by `mainline`" in done.stdout
    assert done.stdout.endswith("check toy: 1 wrong, 0 shown\n")


def test_json_has_findings_shown_and_unevidenced(shell: Shell, plug: Plug) -> None:
    plug("toy", PLUGIN.replace("{fields}", WRONG))
    done = shell("check", "shootdown-toy", "--statement", "0,2", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["plugin"] == "shootdown-toy"
    assert {row["statement"] for row in found["findings"]} == {"2.6"}
    assert all(set(row) == {"statement", "message"} for row in found["findings"])
    assert "2.1" in found["shown"]
    assert found["unevidenced"] == []


def test_a_refused_plugin_is_a_finding(shell: Shell, plug: Plug) -> None:
    plug("toy", PLUGIN.replace("{fields}", "lower=3"))
    done = shell("check", "toy", "--json")
    (finding,) = json.loads(done.stdout)["findings"]
    assert done.returncode == 1
    assert finding["statement"] == "0.1"
    assert "not loaded: toy (shootdown-toy 9.9): " in finding["message"]
    assert "architecture 'toy': lower is an int, not a function" in finding["message"]


def test_an_unknown_name_is_bad_input(shell: Shell) -> None:
    done = shell("check", "x87")
    assert done.returncode == 2
    assert "there is no architecture 'x87'; nearest: x86" in done.stderr


def test_an_unknown_statement_is_bad_input(shell: Shell) -> None:
    done = shell("check", "x86", "--statement", "2.66")
    assert done.returncode == 2
    assert "there is no statement '2.66'; nearest: 2.6" in done.stderr


def test_junit_and_badge_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite, text, shield = tmp_path / "check.xml", tmp_path / "badge.txt", tmp_path / "badge.json"
    run("x86", "--statement", "2", "--junit", str(suite), "--badge", str(text), capsys=capsys)
    run("x86", "--statement", "2", "--badge", str(shield), capsys=capsys)
    cases = ElementTree.parse(suite).getroot().findall("testcase")
    assert [case.get("name", "").partition(" ")[0] for case in cases] == [f"2.{n}" for n in range(1, 9)]
    assert text.read_text() == "shootdown check x86: 8 shown\n"
    assert json.loads(shield.read_text())["color"] == "green"


def test_ctrl_c_keeps_what_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_subject: object) -> object:
        raise KeyboardInterrupt

    first, second, *rest = kernels.STATEMENTS
    stopped = Statement(second.number, second.title, second.reason, second.todo, interrupt)  # type: ignore[arg-type]
    monkeypatch.setattr("shootdown._compliance.registry.statements", lambda: (first, stopped, *rest))
    status, text = run("x86", "--statement", "2", "--json", capsys=capsys)
    found = json.loads(text)
    assert status == _cli.INTERRUPTED
    assert found["shown"] == ["2.1"]
    assert found["not_checked"] == ["2.2", "2.3", "2.4", "2.5", "2.6", "2.7"]


@pytest.mark.parametrize(
    ("end", "how"), [("os._exit(0)", "by os._exit(0)"), ("os.kill(os.getpid(), 11)", "by SIGSEGV")]
)
def test_a_plugin_that_ends_the_process_is_told_of(shell: Shell, plug: Plug, end: str, how: str) -> None:
    code = PLUGIN.replace("{fields}", "configure=ends")
    ends = f"\ndef ends(kernel):\n    import os\n    {end}\n"
    plug("toy", code + ends)
    done = shell("check", "toy", "--json")
    assert done.returncode == 1
    assert f"a plugin ended the process {how} while plugins were loaded" in done.stderr
    assert ("plugged_toy.py, line" in done.stderr) == ("SIGSEGV" in how)
    (finding,) = json.loads(done.stdout)["findings"]
    assert how in finding["message"]


def test_platforms_of_an_architecture_that_there_is_not_are_a_finding(shell: Shell, plug: Plug) -> None:
    code = PLUGIN.replace("shootdown_architectures", "shootdown_platforms").replace(
        'return [Architecture(api=1, name="toy", summary="a toy", {fields})]', 'return {"riskv": []}'
    )
    plug("toy", code)
    done = shell("check", "toy")
    assert done.returncode == 1
    assert "are of 'riskv', which no loaded plugin describes; nearest: riscv" in " ".join(done.stdout.split())
