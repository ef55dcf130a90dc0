"""What `shootdown new` writes works as it is: it loads, passes `check` and its own tests, and is plain to read."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.core.plugins.skeletons import NEW, written

from shootdown._cli import run

ROOT = Path(__file__).parents[3]
FILES = {
    "architecture": [
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/shootdown_{}/__init__.py",
        "src/shootdown_{}/_flush.py",
        "src/shootdown_{}/_values.py",
        "tests/test_compliance.py",
        "tests/test_counts.py",
        "tests/test_walks.py",
    ],
    "platform": [
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/shootdown_{}/__init__.py",
        "src/shootdown_{}/_values.py",
        "tests/test_platform.py",
    ],
    "workload": [
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/shootdown_{}/__init__.py",
        "src/shootdown_{}/_programs.py",
        "src/shootdown_{}/_values.py",
        "tests/test_counts.py",
    ],
    "scenario": [
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/shootdown_{}/__init__.py",
        "src/shootdown_{}/_programs.py",
        "src/shootdown_{}/_values.py",
        "tests/test_verdicts.py",
    ],
    "report": [
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/shootdown_{}/__init__.py",
        "src/shootdown_{}/_text.py",
        "src/shootdown_{}/_values.py",
        "tests/test_text.py",
    ],
}
ALL = """
import sys
from shootdown._cli import run
for name in sys.argv[1:]:
    # Explorations, 6, 7 and 12, take half a minute: tests/packaging runs them.
    assert run(["check", name, "--statement", "0,1,2,3,4,5,8,9,10,11.3,12.2,13.1"]) == 0, name
"""


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(tmp_path_factory.mktemp("new"))


@pytest.fixture(scope="module")
def environment(new: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which each is installed, as its pyproject.toml says."""
    site = tmp_path_factory.mktemp("site")
    for folder in new.values():
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        name, version = project["name"], project["version"]
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        points = [f"{one} = {module}\n" for one, module in project["entry-points"]["shootdown"].items()]
        (info / "entry_points.txt").write_text("[shootdown]\n" + "".join(points))
    path = os.pathsep.join(map(str, (site, *(folder / "src" for folder in new.values()))))
    return {**os.environ, "PYTHONPATH": path, "SHOOTDOWN_COMPILE": "never"}  # each is small


def done(environment: dict[str, str], folder: Path, *words: str) -> str:
    ran = subprocess.run(
        [sys.executable, *words], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("name", NEW)
def test_the_files_are_these_and_no_others(name: str, new: dict[str, Path]) -> None:
    kind = NEW[name][1] if "--kind" in NEW[name] else "architecture"
    found = sorted(
        str(path.relative_to(new[name]))
        for path in new[name].rglob("*")
        if path.is_file() and "__pycache__" not in str(path)
    )
    assert found == [path.format(name.replace("-", "_")) for path in FILES[kind]]


def test_every_kind_is_tried() -> None:
    assert {options[1] for options in NEW.values() if "--kind" in options} == set(FILES) - {"architecture"}


def test_each_passes_check_as_it_is(environment: dict[str, str], tmp_path: Path) -> None:
    """One architecture here: tests/packaging checks all three, in environments of their own."""
    names = ["toy", *(f"shootdown-{name}" for name, options in NEW.items() if "--kind" in options)]
    printed = done(environment, tmp_path, "-c", ALL, *names)
    assert len(re.findall(r"^shootdown check ", printed, re.MULTILINE)) == len(names)
    for number in ("11.3", "12.2", "13.1"):
        assert re.search(rf"^{number} +shown", printed, re.MULTILINE), number


def test_each_passes_its_own_tests(new: dict[str, Path], environment: dict[str, str], tmp_path: Path) -> None:
    # What test_compliance.py has is checked above.
    folders = [
        str(path)
        for folder in new.values()
        for path in folder.glob("tests/test_*.py")
        if "compliance" not in path.name
    ]
    options = [
        "-q",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        f"--rootdir={tmp_path}",
    ]
    printed = done(environment, tmp_path, "-m", "pytest", *options, *folders)
    assert re.search(r"^\d\d passed", printed, re.MULTILINE), printed


def test_they_are_written_as_this_project_is(new: dict[str, Path], environment: dict[str, str]) -> None:
    config = ["--config", str(ROOT / "pyproject.toml"), "--config", "src=['src']"]
    for folder in new.values():
        done(environment, folder, "-m", "ruff", "check", *config, ".")
        done(environment, folder, "-m", "ruff", "format", "--check", *config, ".")


def test_values_have_a_sentence_each(new: dict[str, Path]) -> None:
    """Every name that a file of values sets, and every argument of the format, stands below a comment."""
    for folder in new.values():
        (path,) = folder.glob("src/*/_values.py")
        text = path.read_text()
        lines = text.splitlines()
        nodes: list[ast.stmt | ast.keyword] = [
            node for node in ast.parse(text).body if isinstance(node, ast.Assign | ast.AnnAssign)
        ]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Format":
                nodes += node.keywords
        for node in nodes:
            name = ast.get_source_segment(text, node)
            if str(name).startswith(("FORMAT", "PLATFORMS", "_LIKE", "(PLATFORM")):
                continue  # each field has its own
            above = node.lineno - 2
            while lines[above].strip().startswith(("table_bits", "ALL_INSTRUCTION", "PAGE_INSTRUCTION")):
                above -= 1  # two that share a sentence
            assert lines[above].lstrip().startswith("#"), (path.name, name)


def test_the_licence_is_this_projects(new: dict[str, Path]) -> None:
    assert (new["toy"] / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("name", NEW)
def test_its_module_is_loaded_without_being_installed(
    name: str, new: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (module,) = new[name].glob("src/*/__init__.py")
    assert run(["plugins", "--plugin", str(module)]) == 0
    assert name in capsys.readouterr().out.replace("\n", "")
    for loaded in [loaded for loaded in sys.modules if loaded.startswith(module.parent.name)]:
        del sys.modules[loaded]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["x86"], "the name 'x86' is taken: it is the architecture of x86 (shootdown"),
        (["amd64"], "the name 'amd64' is taken"),
        (["intel-server", "--kind", "platform"], "the name 'intel-server' is taken: it is the platform of x86"),
        (["unshare-gup", "--kind", "scenario"], "the name 'unshare-gup' is taken: it is the scenario of core"),
        (["core"], "the name 'core' is taken"),
        (["Toy"], "the name 'Toy': a lower-case letter, then"),
        (["toy--x"], "the name 'toy--x'"),
        (["x" * 41], "at most 40"),
        (["shootdown-toy"], "leave shootdown- away, shootdown new toy writes shootdown-toy"),
        (["toy", "--kind", "report", "--flush", "ipi"], "--flush is of an architecture; a report has none"),
        (["toy", "--arch", "x86"], "--arch is for --kind platform"),
        (["toy", "--kind", "platform", "--arch", "x68"], "there is no architecture 'x68'; nearest: x86"),
        (["toy", "no/such/folder"], "there is no folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_told_in_a_line(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new", *words]) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "shootdown-toy" / "notes"
    kept.parent.mkdir()
    assert run(["new", "toy"]) == 0  # an empty one is
    capsys.readouterr()
    kept.write_text("mine")
    assert run(["new", "toy"]) == 2
    assert "the folder shootdown-toy is there already and is not empty" in capsys.readouterr().err
    assert kept.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["shootdown-toy"]
