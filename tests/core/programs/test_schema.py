"""The JSON schema of programs says what the reader says."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from shootdown._programs import reading
from shootdown._programs.program import KINDS
from shootdown._programs.shipped import scenario_files, shipped

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "reference" / "program.schema.json").read_text())
PROGRAMS = [
    *sorted((ROOT / "docs" / "examples" / "programs").glob("*.toml")),
    *shipped().values(),
    *scenario_files().values(),
]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_it_has_the_keys_that_the_reader_has() -> None:
    parts = SCHEMA["$defs"]
    assert set(SCHEMA["properties"]) == set(reading._TABLES)
    assert set(parts["memory"]["properties"]) == set(reading._MEMORY)
    assert set(parts["memory"]["properties"]["kind"]["enum"]) == set(KINDS)
    assert set(parts["thread"]["properties"]) == set(reading._THREAD)
    assert set(parts["process"]["properties"]) == set(reading._PROCESS)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_each_program_that_is_read_fits_it(path: Path) -> None:
    jsonschema.validate(tomllib.loads(path.read_text()), SCHEMA)


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"process": {}},
        {"process": {"A": {}}},
        {"process": {"A": {"do": []}}},
        {"process": {"A": {"do": "spin", "cuont": 3}}},
        {"process": {"A": {"do": "spin"}}, "memory": {"heap": {"kind": "thp"}}},
        {"process": {"A": {"do": "spin"}}, "memory": {"heap": {"size": "2M", "kind": "swap"}}},
        {"process": {"A B": {"do": "spin"}}},
    ],
)
def test_what_does_not_fit_it_the_reader_refuses_too(tables: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tables, SCHEMA)
    with pytest.raises(reading.ShootdownError):
        reading.read_values(tables)
