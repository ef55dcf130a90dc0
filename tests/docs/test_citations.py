"""What source, tests and docs cite is in the repository: pages, sections of pages, and facts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ["core", "arch_x86", "arch_arm64", "arch_powerpc", "plugins", "tests", "benchmarks", "docs", ".ci"]
KINDS = {".py", ".md", ".toml", ".pml", ".cff", ".c", ".h", ""}
_CITED = re.compile(r"(?<![\w/])docs/[\w./-]*\w(?:#[\w-]+)?")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PRIVATE_NOTES = re.compile(r"\b(?:kernel|races|frontier)\.md\b")


def files() -> list[Path]:
    """Return the text files of the project, without what tools leave behind."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in KINDS]
    found += [path for path in ROOT.iterdir() if path.suffix in KINDS]
    return sorted(
        path
        for path in found
        if path.is_file()
        and not any(part in ("node_modules", "dist", "build", ".venv") for part in path.parts)
    )


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to a page's headings, and those that the page sets itself."""
    text = page.read_text(encoding="utf-8")
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([\w-]+)">', text))


def missing(target: Path, anchor: str) -> bool:
    """Whether a cited file, or a section of it, isn't there."""
    return not target.exists() or bool(anchor and anchor not in anchors(target))


def cited(path: Path) -> list[str]:
    """Return what a file cites below docs/, from the repository's root."""
    return _CITED.findall(path.read_text(encoding="utf-8"))


def test_every_page_that_is_cited_exists() -> None:
    lost = [
        f"{path.relative_to(ROOT)} cites {name}"
        for path in files()
        if path != Path(__file__) and "tests/docs" not in path.parent.as_posix()
        for name in cited(path)
        if missing(ROOT / name.partition("#")[0], name.partition("#")[2])
    ]
    assert not lost, "\n".join(lost)


def test_every_section_that_a_page_links_to_exists() -> None:
    lost = []
    for page in (path for path in files() if path.suffix == ".md"):
        for link in _LINK.findall(page.read_text(encoding="utf-8")):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if "://" not in link and target.suffix == ".md" and missing(target, anchor):
                lost.append(f"{page.relative_to(ROOT)} links to {link}")
    assert not lost, "\n".join(lost)


def test_nothing_cites_notes_that_are_not_in_the_repository() -> None:
    lost = [
        f"{path.relative_to(ROOT)} cites {found.group()}"
        for path in files()
        if path != Path(__file__)
        for found in _PRIVATE_NOTES.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize("anchor", ["no-such-section", "levels"])
def test_a_section_that_is_not_there_is_missed(anchor: str) -> None:
    assert missing(ROOT / "docs" / "reference" / "plugins.md", anchor)
    assert missing(ROOT / "docs" / "reference" / "no-such-page.md", "")


def test_every_fact_names_its_source() -> None:
    for page in sorted((ROOT / "docs" / "facts").glob("[a-z]*.md")):
        text = page.read_text(encoding="utf-8")
        sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
        assert sections, page
        for section in sections:
            title = section.partition("\n")[0]
            assert re.search(r"^Sources?: ", section, re.MULTILINE), f"{page.name}: {title}"
