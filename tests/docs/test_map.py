"""The map of core names the wings that there are, in the order in which they may import one another."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "shootdown"
PAGE = (ROOT / "docs" / "explanation" / "map.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"`(_\w+/\w+\.py)`", PAGE)))


def wings() -> list[set[str]]:
    """Return the wings of each row of the table, from above."""
    return [
        set(re.findall(r"`(\w+)`", first)) for first in re.findall(r"^\| (`_[^|]*) \|", PAGE, re.MULTILINE)
    ]


def layers() -> list[set[str]]:
    """Return the layers of the contract, from above."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    text = contracts["importlinter:contract:wings"]["layers"]
    return [set(re.findall(r"\w+", line)) for line in text.splitlines() if line.strip()]


def test_the_wings_stand_in_the_order_of_the_contract() -> None:
    assert wings() == layers()


def test_every_wing_is_on_the_map() -> None:
    folders = {path.parent.name for path in CORE.glob("_*/__init__.py")}
    assert set().union(*wings()) == folders


def test_every_public_module_is_on_the_map() -> None:
    public = {f"shootdown.{path.stem}" for path in CORE.glob("[a-z]*.py")}
    (line,) = re.findall(r"^Public: .*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([\w.]+)`", line.partition("An\n")[0]))
    assert named == public | {"shootdown"}


@pytest.mark.parametrize("file", FILES)
def test_every_file_on_the_map_exists(file: str) -> None:
    assert (CORE / file).is_file()


def test_every_function_on_the_map_is_in_its_file() -> None:
    places = re.findall(r"`(\w+)\(\)`\s+in\s+`(_\w+/\w+\.py)`", PAGE)
    assert places
    for name, file in places:
        tree = ast.parse((CORE / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (
            f"{file}: {name}"
        )
