"""What `make docs` does besides mkdocs: the menu, and pages for what lies outside of docs/.

Pages of this repository link to one another, to READMEs and to source, as files. In the site a README or another page
outside of docs/ becomes a page, a file of source a page that shows it, and a folder a page that lists it. The menu is
made from the folders, so that a new page stands in it by itself.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

#: The menu: a heading, and where its pages are: files, or folders whose pages follow in the order of their titles.
MENU: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Tutorial", ("tutorial/first-steps.md", "tutorial")),
    ("How to", ("how-to", "programs.md", "ci.md")),
    ("Reference", ("reference",)),
    ("API", ("reference/api",)),
    ("Explanation", ("explanation/why.md", "explanation")),
    (
        "Evidence",
        ("evidence.md", "reference/matrix.md", "reference/performance.md", "facts/README.md", "facts"),
    ),
    ("Decisions", ("adr",)),
    ("Contributing", ("outside/CONTRIBUTING.md", "outside/CHANGELOG.md", "outside/plugins", "examples")),
)
#: Pages outside of docs/ that are pages of the site whether anything links to them or not.
PAGES = (
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("plugins/*/README.md")),
)

_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LANGUAGES = {".py": "python", ".toml": "toml", ".c": "c", ".h": "c", ".sh": "sh", ".json": "json"}


def title_of(text: str) -> str:
    """Return the first heading of a page, without its markup."""
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1].replace("`", "") if found else ""


def place_of(path: str) -> str:
    """Return the page of the site for a path of the repository that is not below docs/."""
    if path == "README.md":
        return "index.md"
    if (ROOT / path).is_dir():
        readme = ROOT / path / "README.md"
        return place_of(f"{path}/README.md") if readme.exists() else f"outside/{path}/folder.md"
    return f"outside/{path}" if path.endswith(".md") else f"outside/{path}.md"


def resolved(link: str, page: str) -> str | None:
    """Return what a link of a page means, as a path of the repository; None where it is an address.

    Args:
        link: as the page has it.
        page: the page's own path in the repository.
    """
    if "://" in link or link.startswith(("mailto:", "/")):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def in_site(path: str) -> str | None:
    """Return where the site has what lies at a path of the repository; None where there is nothing."""
    there = ROOT / path
    if not there.exists():
        return None
    if path == "docs" or not path.startswith("docs/"):
        return place_of(path)
    inside = path.removeprefix("docs/")
    if not there.is_dir():
        return inside
    return f"{inside}/README.md" if (there / "README.md").exists() else f"{inside}/folder.md"


def rewritten(text: str, page: str, src: str) -> str:
    """Return a page's text with each link leading to where the site has what it means.

    Args:
        text: of the page.
        page: its path in the repository.
        src: its path in the site.
    """

    def link(match: re.Match[str]) -> str:
        path = resolved(match[2], page)
        place = in_site(path) if path is not None else None
        if place is None:
            return match[0]
        return f"{match[1]}{posixpath.relpath(place, posixpath.dirname(src) or '.')}{match[3]}"

    parts, at = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(link, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, _LINK.sub(link, text[at:])])


def links_of(text: str, page: str) -> Iterator[str]:
    """Yield the paths of the repository that a page links to."""
    for match in _LINK.finditer(_FENCE.sub("", text)):
        path = resolved(match[2], page)
        if path is not None and (ROOT / path).exists():
            yield path


def shown(path: str) -> str:
    """Return the page that shows a file or lists a folder."""
    there = ROOT / path
    if there.is_dir():
        names = sorted(
            one.name + "/" * one.is_dir() for one in there.iterdir() if not one.name.startswith(("__", "."))
        )
        rows = []
        for name in names:
            file = there / name.rstrip("/")
            title = title_of(file.read_text(encoding="utf-8")) if name.endswith(".md") else ""
            rows.append(f"- [{title or name}]({name})" if title else f"- `{name}`")
        return f"# {path}\n\n" + "\n".join(rows) + "\n"
    text = there.read_text(encoding="utf-8")
    return f"# {path}\n\n````{_LANGUAGES.get(there.suffix, 'text')}\n{text.rstrip()}\n````\n"


def outside() -> dict[str, tuple[str, str]]:
    """Return each page that mkdocs does not find in docs/: its place in the site, its path and its text."""
    found: dict[str, tuple[str, str]] = {}
    pages = ["README.md", *PAGES, *(str(p.relative_to(ROOT)) for p in sorted(DOCS.rglob("*.md")))]
    while pages:
        page = pages.pop()
        text = (ROOT / page).read_text(encoding="utf-8")
        if not page.startswith("docs/"):
            found[place_of(page)] = (page, text)
        for path in links_of(text, page):
            place = in_site(path)
            if place is None or place in found or (DOCS / place).exists():
                continue
            if path.endswith(".md") or place.endswith("README.md"):
                pages.append(path if path.endswith(".md") else f"{path}/README.md")
            else:
                found[place] = (path, shown(path))
    return found


def on_files(files: Files, config: Any) -> Files:
    """Add the pages outside of docs/, and make the menu; mkdocs calls this when it has found the pages in docs/."""
    from mkdocs.structure.files import File

    for place, (path, text) in sorted(outside().items()):
        # A listing of a folder in docs/ has its links beside itself.
        page = f"{path}/folder.md" if (ROOT / path).is_dir() else path
        files.append(File.generated(config, place, content=rewritten(text, page, place)))
    config.nav = menu({file.src_uri for file in files.documentation_pages()})
    return files


def menu(places: set[str]) -> list[Any]:
    """Return the menu: every page but the home page below one of the headings."""
    left = places - {"index.md"}
    found: list[Any] = [{"Home": "index.md"}]
    # Deeper folders first claim their pages: reference/api is not a part of reference.
    own = {folder for _, wheres in MENU for folder in wheres if not folder.endswith(".md")}
    for heading, wheres in MENU:
        pages: list[str] = []
        for where in wheres:
            if where.endswith(".md"):
                pages += [where] if where in left else []
            else:
                deeper = tuple(f"{one}/" for one in own if one.startswith(f"{where}/"))
                named = {one for _, ones in MENU for one in ones if one.endswith(".md")} - set(wheres)
                below = {
                    one
                    for one in left
                    if one.startswith(f"{where}/") and not one.startswith(deeper) and one not in named
                }
                pages += sorted(below - set(pages), key=lambda one: _title(one).lower())
            left -= set(pages)
        found.append({heading: [{_title(one): one} for one in pages]})
    rest = sorted(left)
    return [*found, {"Source": [{_title(one): one} for one in rest]}] if rest else found


def _title(place: str) -> str:
    if (DOCS / place).exists():
        return title_of((DOCS / place).read_text(encoding="utf-8")) or place
    path = place.removeprefix("outside/")
    for one in (path, path.removesuffix(".md")):
        if (ROOT / one).is_file():
            return (title_of((ROOT / one).read_text(encoding="utf-8")) if one.endswith(".md") else "") or one
    return posixpath.dirname(path)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links of a page in docs/ lead to pages of the site; mkdocs calls this before it reads a page's markup."""
    src = page.file.src_uri
    if not (DOCS / src).exists():
        return markdown  # a page of on_files(), whose links were rewritten there
    return rewritten(markdown, posixpath.join("docs", src), src)


def unreached(steps: int) -> list[str]:
    """Return the pages that so many links from the README don't lead to; a link to a folder leads to its pages."""
    pages = {str(path.relative_to(ROOT)).replace(os.sep, "/") for path in DOCS.rglob("*.md")}
    reached, edge = {"README.md"}, {"README.md"}
    for _ in range(steps):
        found: set[str] = set()
        for page in edge:
            for path in links_of((ROOT / page).read_text(encoding="utf-8"), page):
                inside = {one for one in pages if posixpath.dirname(one) == path}
                found |= inside if (ROOT / path).is_dir() else {path} if path.endswith(".md") else set()
        edge = found - reached
        reached |= found
    return sorted(pages - reached)
