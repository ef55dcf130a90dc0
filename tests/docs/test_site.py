"""The site that `make docs` builds: every page is near, in the menu once, and every link has a page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import shootdown

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
API = DOCS / "reference" / "api"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import docs_site

    return docs_site


def test_every_page_is_within_two_steps_of_the_readme(site) -> None:  # type: ignore[no-untyped-def]
    assert site.unreached(2) == []
    assert "docs/reference/api/shootdown.md" in site.unreached(1)


def test_every_page_stands_in_the_menu_once(site) -> None:  # type: ignore[no-untyped-def]
    places = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} | {"index.md", *site.outside()}
    found = re.findall(r"'([\w./-]+\.md)'", str(site.menu(places)))
    assert sorted(found) == sorted(places)


def test_links_out_of_the_docs_lead_to_pages_of_the_site(site) -> None:  # type: ignore[no-untyped-def]
    text = "[a](../../CONTRIBUTING.md#rules) [b](../../core/shootdown/_mm) [c](map.md) [d](https://x.y) `[e](../../x)`"
    assert site.rewritten(text, "docs/explanation/why.md", "explanation/why.md") == (
        "[a](../outside/CONTRIBUTING.md#rules) [b](../outside/core/shootdown/_mm/folder.md) [c](map.md) "
        "[d](https://x.y) `[e](../../x)`"
    )
    assert site.in_site("README.md") == "index.md"
    assert "outside/core/shootdown/_values/changes.py.md" in site.outside()


def test_every_public_module_has_a_page_made_from_its_docstrings() -> None:
    public = {
        "shootdown",
        *(f"shootdown.{path.stem}" for path in Path(shootdown.__file__).parent.glob("[a-z]*.py")),
    }
    assert {path.stem for path in API.glob("*.md")} == public
    for path in API.glob("*.md"):
        assert f"\n::: {path.stem}\n" in path.read_text(), path.name


def test_every_anchor_of_a_link_is_a_heading_of_its_page() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]:
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
            there = (page.parent / target) if target else page
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            slugs = {
                re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
            }
            assert anchor in slugs, f"{page.name} -> {target}#{anchor}"


@pytest.mark.long
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    index = (tmp_path / "site" / "index.html").read_text()
    assert "outside/CONTRIBUTING/" in index
    shutil.rmtree(tmp_path / "site")
