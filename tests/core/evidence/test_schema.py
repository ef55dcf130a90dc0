"""The JSON schema of claims says what the reader says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

from shootdown._evidence import reading
from shootdown._evidence.claim import MEASURES, SUBJECTS
from shootdown._evidence.shipped import FOLDER

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
SCHEMA = json.loads((REFERENCE / "claims.schema.json").read_text())
PROGRAM = json.loads((REFERENCE / "program.schema.json").read_text())
FILES = [*sorted(FOLDER.glob("*.toml")), *sorted((ROOT / "docs" / "examples" / "claims").glob("*.toml"))]


def validator() -> jsonschema.Draft202012Validator:
    programs = Registry().with_resource("program.schema.json", Resource.from_contents(PROGRAM))
    return jsonschema.Draft202012Validator(SCHEMA, registry=programs)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_it_has_the_keys_that_the_reader_has() -> None:
    claim = SCHEMA["properties"]["claim"]["additionalProperties"]["properties"]
    assert set(claim) == set(reading._CLAIM)
    assert set(claim["points"]["items"]["properties"]) == set(reading._POINT)
    assert set(claim["base"]["properties"]) == set(claim["minus"]["properties"]) == set(reading._RUN)
    assert set(claim["measure"]["enum"]) == set(MEASURES)
    assert set(claim["subject"]["enum"]) == set(SUBJECTS)


def test_the_page_has_each_key() -> None:
    page = (ROOT / "docs" / "how-to" / "reproduce.md").read_text()
    for key in (*reading._CLAIM, *SUBJECTS):
        assert re.search(rf"`{key}`", page), key


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_fits_it(path: Path) -> None:
    assert [error.message for error in validator().iter_errors(tomllib.loads(path.read_text()))] == []


@pytest.mark.parametrize("tables", [{}, {"claim": {}}, {"claim": {"a": {"what": "x"}}}, {"claims": {}}])
def test_what_the_reader_refuses_does_not_fit(tables: dict[str, object]) -> None:
    assert list(validator().iter_errors(tables))
