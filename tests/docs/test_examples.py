"""Every example of the README and the docs runs, and prints what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from shootdown._cli import run

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{page.relative_to(ROOT)}:{page.read_text()[: match.start()].count(chr(10)) + 1}", match.group(2))
        for page in PAGES
        for match in _BLOCK.finditer(page.read_text())
        if match.group(1) == language
    ]


def commands() -> list[tuple[str, str, list[str]]]:
    """Return place, command line and the lines that the page shows below it."""
    found: list[tuple[str, str, list[str]]] = []
    for place, text in blocks("console"):
        for line in text.splitlines():
            if line.startswith("$ "):
                found.append((place, line[2:], []))
            elif found:
                found[-1][2].append(line)
    return [entry for entry in found if entry[1].startswith("shootdown ")]


def matches(shown: list[str], printed: list[str]) -> bool:
    """Say whether lines were printed in this order; `...` stands for anything, within a line or for lines."""
    at = 0
    for line in shown:
        if line.strip() == "...":
            continue
        words = [re.escape(" ".join(part.split())) for part in line.split("...")]
        pattern = re.compile(".*".join(words))
        while at < len(printed) and not pattern.search(" ".join(printed[at].split())):
            at += 1
        if at == len(printed):
            return False
        at += 1
    return True


#: Options that name a file to write.
WRITES = ("--html", "--plot", "--perfetto")


def makers(place: str) -> dict[str, str]:
    """Return the files that commands of a page write with `>`, each with its command."""
    page = place.rpartition(":")[0]
    own = [command for other, command, _ in commands() if other.rpartition(":")[0] == page]
    return {command.rpartition(" > ")[2]: command for command in own if " > " in command}


def in_folder(command: str, folder: Path) -> tuple[list[str], Path | None]:
    """Return the words of a command, with the files that it writes in a folder, and what `>` names."""
    line, arrow, name = command.split("  #")[0].partition(" > ")
    words = shlex.split(line)
    made = {one for _, other, _ in commands() if " > " in other for one in [other.rpartition(" > ")[2]]}
    for n, word in enumerate(words):
        if word in made or words[n - 1] in WRITES:
            words[n] = str(folder / word)
    return words, folder / name if arrow else None


@pytest.fixture
def beside_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder that has all of the checkout by links, so that what is written stays out of it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for entry in ROOT.iterdir():
        (folder / entry.name).symlink_to(entry)
    monkeypatch.chdir(folder)


@pytest.mark.usefixtures("beside_the_checkout")
@pytest.mark.parametrize(
    ("place", "command", "shown"), commands(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_commands_print_what_the_page_shows(
    place: str, command: str, shown: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words, into = in_folder(command, tmp_path)
    for maker in (made_by for name, made_by in makers(place).items() if str(tmp_path / name) in words):
        own, target = in_folder(maker, tmp_path)
        assert run(own[1:]) == 0
        target.write_text(capsys.readouterr().out)
    status = run(words[1:])
    printed = capsys.readouterr()
    assert status == 0, (place, printed.err)
    assert into is None or printed.out
    assert matches(shown, printed.out.splitlines()), (place, printed.out)


@pytest.mark.parametrize(
    ("place", "code"), blocks("python"), ids=lambda v: v if ":" in v and "\n" not in v else ""
)
@pytest.mark.usefixtures("beside_the_checkout")
def test_python_examples_run(place: str, code: str) -> None:
    exec(compile(code, place, "exec"), {})


def test_the_readme_opens_with_the_two_commands() -> None:
    first = _BLOCK.search((ROOT / "README.md").read_text())
    assert first is not None
    assert [line.split("#")[0].split()[1:] for line in first.group(2).splitlines()] == [
        ["make", "demo"],
        ["make", "test"],
    ]


def test_no_page_names_a_place_of_one_machine() -> None:
    for page in PAGES:
        assert not re.search(r"/(?:work|root|home)/", page.read_text()), page


def test_every_link_of_a_page_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} -> {target}"


def test_every_count_is_explained_with_the_heading_that_tables_give_it() -> None:
    from shootdown._report.comparison import HEADINGS
    from shootdown._values.result import COUNTS

    page = (ROOT / "docs" / "reference" / "reading-results.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*)\|", page, re.MULTILINE))
    assert [name for name in rows if name in COUNTS] == list(COUNTS)
    for name, heading in HEADINGS.items():
        assert rows[name].strip() == heading.replace("\u00ad", ""), name


def test_the_glossary_is_sorted_and_says_each_word_once() -> None:
    page = (ROOT / "docs" / "reference" / "glossary.md").read_text()
    words = [word.strip("`").lower() for word in re.findall(r"^\| (.+?) \|", page, re.MULTILINE)][1:]
    assert words == sorted(words)
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("page", "example", "right", "wrong", "words"),
    [
        (
            "programs.md",
            "programs/drop.toml",
            "wait ready",
            "wait reddy",
            ["compare", "drop.toml", "--arch", "x86"],
        ),
        (
            "how-to/reproduce.md",
            "claims/mine.toml",
            'of = "elapsed"',
            'of = "elapse"',
            ["reproduce", "--file", "mine.toml"],
        ),
        (
            "how-to/try-a-patch.md",
            "patches/skip-redundant-sync.py",
            '"tlb_remove_table_sync_one"',
            '"tlb_remove_table_sync_on"',
            ["compare", "hugetlb-munmap", "--arch", "x86", "--kernel", "7.0", "--patch", "mine.py"],
        ),
    ],
)
def test_the_mistake_that_a_page_shows_is_told_in_its_words(
    page: str,
    example: str,
    right: str,
    wrong: str,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "docs/examples" / example).read_text()
    assert right in text
    file = next(word for word in words if word.endswith((".toml", ".py")))
    (tmp_path / file).write_text(text.replace(right, wrong))
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    assert " ".join(capsys.readouterr().err.split()) in " ".join((ROOT / "docs" / page).read_text().split())


def test_every_page_is_within_two_steps_of_the_readme() -> None:
    def pages_linked(page: Path) -> set[Path]:
        found = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
        there = {(page.parent / target).resolve() for target in found if "://" not in target}
        # A folder stands for its pages: a browser lists them.
        inside = {child for folder in there if folder.is_dir() for child in folder.glob("*.md")}
        return {path for path in there | inside if path.suffix == ".md" and path.is_file()}

    first = pages_linked(ROOT / "README.md")
    second = {page for one in first for page in pages_linked(one)}
    everything = {path.resolve() for path in (ROOT / "docs").rglob("*.md")}
    missing = {str(page.relative_to(ROOT)) for page in everything - first - second}
    assert not missing
