"""The version stands in several files; what a release needs goes into the sdist."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def field(name: str) -> str:
    """Return a top-level field of CITATION.cff."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^{name}: *(.+)$", text, re.MULTILINE)
    return str(found).strip('"')


def test_the_citation_names_version_and_license_of_the_project() -> None:
    assert field("version") == PROJECT["project"]["version"]
    assert field("license") == PROJECT["project"]["license"]
    assert field("cff-version") == "1.2.0"


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "name", [*sorted(path.name for path in ROOT.glob("*.md")), "CITATION.cff", "LICENSE"]
)
def test_every_page_of_the_root_is_in_the_sdist(name: str) -> None:
    assert name in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]


def test_every_top_level_folder_is_in_the_sdist() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("an unpacked sdist has no list of files to compare with")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    folders = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert folders <= set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
