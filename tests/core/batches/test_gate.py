"""A gate: what holds, what does not, and where that is told."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import jsonschema
import pytest
from referencing import Registry, Resource

from shootdown._batches import gate_file
from shootdown._batches.gate_file import read_gate
from shootdown._cli import run
from shootdown._questions.hunt_ground import Fix, Ground
from shootdown._values.errors import ShootdownError

ROOT = Path(__file__).parents[3]
PATCHES = ROOT / "docs" / "examples" / "patches"
SCHEMA = json.loads((ROOT / "docs" / "reference" / "gate.schema.json").read_text())
PROGRAM = json.loads((ROOT / "docs" / "reference" / "program.schema.json").read_text())
EXAMPLES = sorted((ROOT / "docs" / "examples" / "gates").glob("*.toml"))

START = 'arch = "x86"\nkernel = "7.0"\n'
CHECK = START + '[check.a]\nprogram = "hugetlb-munmap"\nparameters = { tables = 2 }\ncpus = 4\n'


def wrong(tmp_path: Path, text: str) -> str:
    file = tmp_path / "g.toml"
    file.write_text(text)
    with pytest.raises(ShootdownError) as raised:
        read_gate(file)
    return str(raised.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (START, "g.toml, check: it has no check: [check.NAME]"),
        (CHECK, "g.toml, line 3, check.a: it has nothing that must hold"),
        (
            CHECK + "max_sink_ipis = 1\n",
            "line 7, check.a.max_sink_ipis: [check.a] has no 'max_sink_ipis'; nearest: max_sync",
        ),
        (CHECK + "max_sync_ipis = -1\n", "line 7, check.a.max_sync_ipis: it is a number from 0"),
        (CHECK + 'max_sync_ipis = "90%"\n', "line 7, check.a.max_sync_ipis: a percent needs `relative_to`"),
        (
            CHECK + 'max_sync_ipis = 1\nrelative_to = { kernel = "6.16" }\n',
            "line 8, check.a.relative_to: no limit is",
        ),
        (
            CHECK + 'max_sync_ipis = "1%"\nrelative_to = { kernl = "6.16" }\n',
            "has no 'kernl'; nearest: kernel",
        ),
        (CHECK + 'verdict = "save"\n', "line 7, check.a.verdict: there is no verdict 'save'; nearest: safe"),
        (CHECK + "size = 2\nmax_sync_ipis = 1\n", "line 7, check.a.size: only no_new_findings has it"),
        (CHECK + "no_redundant = 1\n", "line 7, check.a.no_redundant: it is true or false"),
        (
            CHECK.replace("7.0", "9.9") + "max_sync_ipis = 1\n",
            "g.toml, line 2, kernel: kernel '9.9': there is no",
        ),
        (
            CHECK.replace("tables", "table") + "max_sync_ipis = 1\n",
            "line 5, check.a.parameters.table: workload",
        ),
        (
            CHECK.replace("hugetlb-munmap", "hugetlb-mumap") + "max_sync_ipis = 1\n",
            "line 4, check.a.program: there is",
        ),
        (
            CHECK.replace("hugetlb-munmap", "unshare-gup") + "max_sync_ipis = 1\n",
            "is a scenario, which has a verdict",
        ),
        (CHECK + 'patch = "x.py"\nmax_sync_ipis = 1\n', "line 7, check.a.patch: x.py is code that would run"),
        (
            'patch = "x.py"\n' + CHECK + "max_sync_ipis = 1\n",
            "g.toml, line 1, patch: x.py is code that would run",
        ),
        (
            '[check.a]\nprogram = "x.py"\nverdict = "safe"\n',
            "line 2, check.a.program: x.py is code that would run",
        ),
        (
            '[check.a]\nprogram = "anonymous"\nno_new_findings = true\n',
            "check.a.program: no_new_findings hunts",
        ),
        (
            CHECK.replace("hugetlb-munmap", "gone.toml") + "max_sync_ipis = 1\n",
            "line 4, check.a.program: program",
        ),
        (
            CHECK.replace("tables = 2", "tables = 2, tables2 = 1") + "max_sync_ipis = 1\n",
            "check.a.parameters.tables2: workload hugetlb-munmap has no parameter 'tables2'",
        ),
        ('[check."a b"]\nprogram = "anonymous"\n', "a name is letters, digits"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    told = wrong(tmp_path, text)
    assert said in told
    assert "\n" not in told


def gate(tmp_path: Path, text: str, *options: str) -> int:
    (tmp_path / "g.toml").write_text(text)
    return run(["gate", str(tmp_path / "g.toml"), *options])


def test_a_limit_holds_up_to_its_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate(tmp_path, CHECK + "max_sync_ipis = 3\n") == 0
    assert "1 passed" in capsys.readouterr().out
    assert gate(tmp_path, CHECK + "max_sync_ipis = 2\n") == 1
    assert "FAILED: max_sync_ipis: sync IPIs 3; at most 2" in capsys.readouterr().out


def test_a_limit_may_be_a_part_of_what_another_kernel_sends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = 'relative_to = { kernel = "6.16" }\n'
    assert gate(tmp_path, CHECK + other + 'max_sync_ipis = "50%"\n') == 0
    assert gate(tmp_path, CHECK + other + 'max_sync_ipis = "49%"\n') == 1
    assert "sync IPIs 3; at most 2.9, 49% of the 6 of 6.16" in capsys.readouterr().out


def test_redundant_ipis_are_counted_only_where_they_are_to_be_none(tmp_path: Path) -> None:
    assert gate(tmp_path, CHECK + "no_redundant = true\n") == 1
    assert gate(tmp_path, CHECK.replace("7.0", "6.15") + "no_redundant = true\n") == 0


def test_a_patch_is_compared_with_the_kernel_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = PATCHES / "skip-redundant-sync.py"
    text = f'patch = "{patch}"\n{CHECK}relative_to = {{ patch = "none" }}\nmax_sync_ipis = "0%"\n'
    assert gate(tmp_path, text, "--patch", str(patch)) == 0
    assert "0% of the 3 of 7.0" in " ".join(capsys.readouterr().out.split())
    assert gate(tmp_path, CHECK + "max_sync_ipis = 3\n", "--patch", str(patch)) == 2
    assert "g.toml does not name it" in capsys.readouterr().err


BUG = 'kernel = "6.15"\narch = "arm64"\n[check.gup]\nprogram = "unshare-gup"\nverdict = "safe"\n'


def test_a_bug_has_its_story_in_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    junit, sarif = tmp_path / "g.xml", tmp_path / "g.sarif"
    assert gate(tmp_path, BUG, "--github", "--junit", str(junit), "--sarif", str(sarif)) == 1
    out = capsys.readouterr().out
    assert "the page of another process is returned" in out
    (annotation,) = [line for line in out.splitlines() if line.startswith("::")]
    assert re.match(r"::error file=[^,]*g\.toml,line=5,title=shootdown%3A gup::gup: verdict: bug", annotation)
    assert "%0A1. CPU" in annotation
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert "the page of another process" in str(suite[0][0].text)
    value = json.loads(sarif.read_text())
    (result,) = value["runs"][0]["results"]
    assert value["version"] == "2.1.0"
    assert result["level"] == "error"
    assert (
        result["ruleId"]
        == value["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"]
        == "verdict"
    )
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 5
    assert gate(tmp_path, BUG.replace('"safe"', '["safe", "bug"]')) == 0


def test_a_check_that_applies_to_nothing_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CHECK.replace("hugetlb-munmap", "hugetlb-mremap").replace('"7.0"', '["5.10"]')
    assert gate(tmp_path, text + "max_sync_ipis = 9\n") == 1
    assert "it applies to none of its 1 rows" in " ".join(capsys.readouterr().out.split())
    assert gate(tmp_path, text.replace('["5.10"]', '["5.10", "7.0"]') + "max_sync_ipis = 9\n") == 0


def test_a_search_without_an_answer_is_status_three(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[check.a]\nprogram = "unshare-gup"\narch = "arm64"\nverdict = "safe"\nstates = 10\n'
    assert gate(tmp_path, text, "--json") == 3
    value = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in value["rows"]] == ["unanswered"]
    assert value["passed"] is False


@pytest.mark.parametrize(
    ("more", "patched", "origins", "status"),
    [
        ("", [], [], 0),
        ("", ["one"], [], 1),
        ("", ["one"], ["commit"], 0),
        ("", ["one"], ["open"], 0),
        ("", ["one"], ["commit", "patch"], 1),
        ("", ["one"], ["guess"], 1),
        ('known = ["one"]\n', ["one"], [], 0),
        ('known = ["one"]\n', ["one", "two"], [], 1),
        ('relative_to = { kernel = "6.16" }\n', ["one"], [], 1),
        ('relative_to = { kernel = "6.16" }\n', ["both"], [], 0),
    ],
)
def test_a_finding_is_new_where_nothing_explains_it_and_the_other_run_has_it_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: str,
    patched: list[str],
    origins: list[str],
    status: int,
) -> None:
    from shootdown._questions import hunt

    class Hunt:
        def __init__(self, ground: Ground, *, size: int, processes: int) -> None:
            self.kernel = ground.kernel
            assert size == 1

        def run(self) -> hunt.Hunted:
            names = patched if self.kernel == "7.0" else ["both"]
            fixes = tuple(Fix(origin, origin=origin) for origin in origins)
            findings = [SimpleNamespace(bug=name, fixed_by=fixes, command="--arch x86") for name in names]
            return hunt.Hunted(findings, programs=9)  # type: ignore[arg-type]

    monkeypatch.setattr(hunt, "Hunt", Hunt)
    assert gate(tmp_path, f"{START}[check.a]\nno_new_findings = true\n{more}") == status


def validator() -> jsonschema.Draft202012Validator:
    programs = Registry().with_resource("program.schema.json", Resource.from_contents(PROGRAM))
    return jsonschema.Draft202012Validator(SCHEMA, registry=programs)


def test_the_schema_has_the_keys_that_the_reader_has() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(gate_file.TOP)
    check = SCHEMA["$defs"]["check"]["properties"]
    assert set(check) == set(gate_file.CHECK)
    assert set(check["relative_to"]["properties"]) == set(gate_file.RUN)
    assert set(check["verdict"]["anyOf"][0]["enum"]) == set(gate_file.VERDICTS)


def test_the_page_has_each_key() -> None:
    page = (ROOT / "docs" / "ci.md").read_text()
    for key in (*gate_file.TOP, *gate_file.CHECK):
        assert key in gate_file.LIMITS or re.search(rf"[`\[]{key}\b", page), key


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_fits_the_schema(path: Path) -> None:
    assert [error.message for error in validator().iter_errors(tomllib.loads(path.read_text()))] == []


def test_the_workflow_runs_what_there_is() -> None:
    workflow = (ROOT / "docs" / "examples" / "ci" / "gate.yml").read_text()
    container = (ROOT / "docs" / "examples" / "ci" / "Containerfile").read_text()
    for text in (workflow, container):
        assert "shootdown warm engine explorer" in text
    (line,) = re.findall(r"shootdown (gate .*--.*)", workflow)
    from shootdown._cli._gate import command

    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in line.split() if word.startswith("--")} <= known
