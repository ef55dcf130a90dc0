"""What commands print with --json is what docs/reference/result.schema.json says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shootdown._cli import COMMANDS, run
from shootdown._questions.tables import TABLES
from shootdown._values.result import COUNTS

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "reference" / "result.schema.json").read_text())
RECORDED = json.loads((ROOT / "tests" / "outputs" / "recorded.json").read_text())
WHOLE = jsonschema.Draft202012Validator(SCHEMA)

#: A cheap line for each command, and for each form of what it prints.
LINES = [
    "compare hugetlb-munmap --arch x86 --kernel 6.16,7.0 --cpus 4 --set kernel.pt_reclaim=false",
    "compare hugetlb-mremap --arch x86 --kernel 5.10 --cpus 4",
    "compare hugetlb-munmap --arch x86 --kernel 7.0 --cpus 4 --patch docs/examples/patches/skip-redundant-sync.py",
    "explain hugetlb-munmap -p tables=2 --arch x86 --kernel 6.16 --cpus 4 --events",
    "explain hugetlb-munmap -p threads=2 -p state=lazy --platform intel-server --kernel 7.0 --cpus 6",
    "explain anonymous -p threads=3 --platform xen-pv-guest --cpus 4 --kernel 7.0",
    "explore unshare-gup --arch arm64 --kernel 6.15",
    "explore --replay tests/outputs/inputs/story-unshare-gup.json",
    "history hugetlb-munmap --arch x86 --series 6.12 --advise",
    "diff 6.16 7.0 hugetlb-munmap --arch x86",
    "matrix unshare-gup --arch arm64 --kernel 6.15,7.0 --jobs 1",
    "walk --format x86_64-4level --memory tests/oracle/walks/amd64-4l.npz --root 0x4062000 0x2c0d57f1000 0x60000200001",
    "walk --memory tests/oracle/walks/amd64-4l.npz --roots",
    "tlb docs/examples/lackey.txt --instructions",
    "reproduce A14",
    "list",
    "list workloads hugetlb-munmap",
    "list scenarios unshare-gup",
    "list kernels 7.0",
    "plugins",
    "read tests/outputs/inputs/recorded/kernel.log",
    "read tests/outputs/inputs/recorded/functions.txt",
    "read tests/outputs/inputs/recorded/stacks.json tests/outputs/inputs/recorded/interrupts-after.txt",
    "replay tests/outputs/inputs/recorded/trace.txt",
    "replay tests/outputs/inputs/recorded/stacks.json --recorded-on amd-server@6.1.158",
    "gate docs/examples/gates/hugetlb.toml",
    "sweep docs/examples/sweeps/tables.toml --check",
    "sensitivity hugetlb-munmap --arch x86 --kernel 7.0 --cpus 2 --of sync_ipis --vary tables=1..4 --samples 2",
    "check x86 --statement 1.1",
]


def part(command: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{command}", "$defs": SCHEMA["$defs"]})


def told(validator: jsonschema.Draft202012Validator, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]


def test_the_schema_is_one_and_has_what_there_is() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["$defs"]["counts"]["properties"]) == set(COUNTS)
    assert set(SCHEMA["$defs"]["asked"]["properties"]["tables"]["properties"]) == set(TABLES)


def test_every_command_that_prints_json_has_a_part() -> None:
    commands = {
        name
        for name in COMMANDS
        for option in __import__(f"shootdown._cli._{name}", fromlist=["command"]).command.params
        if "--json" in option.opts
    }
    assert commands - set(SCHEMA["$defs"]) == set()


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:60])
def test_what_a_command_prints_fits(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert run([*shlex.split(line), "--json"]) in (0, 1)
    value = json.loads(capsys.readouterr().out)
    assert told(WHOLE, value) == []
    assert told(part(line.split()[0]), value) == []


def test_what_was_recorded_of_every_command_fits() -> None:
    wrong, many = [], 0
    for line, row in RECORDED.items():
        words = [word for word in shlex.split(line) if not re.match(r"[A-Z_]+=", word)]
        if "--json" not in words or not isinstance(row["stdout"], list) or row["status"] == 2:
            continue
        value = json.loads("\n".join(row["stdout"]))
        wrong += [f"{line}: {error}" for error in told(part(words[0]), value)]
        many += 1
    assert many > 40
    assert wrong == []


@pytest.mark.parametrize(
    ("command", "change"),
    [
        ("compare", {"rows": [{}]}),
        ("compare", {"rows": None}),
        ("history", {"rows": "x"}),
        ("sweep", {"points": "many"}),
    ],
)
def test_something_else_does_not_fit(command: str, change: dict[str, Any]) -> None:
    asked = {
        "command": command,
        "arguments": [],
        "version": "1",
        "code": "",
        "plugins": {},
        "tables": dict.fromkeys(TABLES, ""),
        "machine": "x86_64",
        "files": {},
    }
    assert told(WHOLE, {"schema": 1, **change, "asked": asked})
