"""What pyproject.toml publishes is what stands here; `make long` builds and installs it."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOLD = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = sorted(
    path.parent
    for path in ROOT.glob("*/shootdown*/__init__.py")
    if path.parts[-3].startswith(("core", "arch_"))
)


def test_the_wheel_takes_every_import_package_and_no_other_folder() -> None:
    chosen = TOLD["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(ROOT / name for name in chosen) == PACKAGES


def test_each_import_package_says_that_it_is_typed() -> None:
    assert [package.name for package in PACKAGES if not (package / "py.typed").exists()] == []


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for package in PACKAGES for path in package.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_sdist_takes_what_the_tests_need() -> None:
    chosen = set(TOLD["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    needed = {"tests", "docs", "benchmarks", "plugins", "README.md", "LICENSE", "Makefile", ".importlinter"}
    assert needed <= chosen
    assert {package.parent.name for package in PACKAGES} <= chosen
    assert [name for name in chosen if not (ROOT / name).exists()] == []


def test_every_architecture_that_stands_here_is_found_through_an_entry_point() -> None:
    points = TOLD["project"]["entry-points"]["shootdown"]
    assert {package.name for package in PACKAGES} - {"shootdown"} == set(points.values()) - {points["core"]}


def test_the_default_install_is_light() -> None:
    names = {line.split(">")[0] for line in TOLD["project"]["dependencies"]}
    assert not {"matplotlib", "cffi", "unicorn", "pytest", "mypy", "hypothesis"} & names


def test_make_compiles_the_byte_code_of_every_import_package() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    (compiled,) = (line.split() for line in lines if line.startswith("COMPILEALL ="))
    assert {package.parent.name for package in PACKAGES} <= set(compiled)
