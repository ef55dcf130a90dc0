"""The contracts of `.importlinter` hold, and each of them is broken once to see it fail."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LINT = "from importlinter.cli import lint_imports_command as lint; lint()"
SHIPPED = sorted(path.parent for path in ROOT.glob("arch_*/shootdown_*/__init__.py"))
THIRD_PARTIES = sorted(path.parent for path in ROOT.glob("plugins/*/src/shootdown_*/__init__.py"))
BACKEND = "only the backend of the compilation wing imports numba and llvmlite"
PACKAGES = [*SHIPPED, *THIRD_PARTIES]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of everything that the contracts look at."""
    skip = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
    for package in (ROOT / "core" / "shootdown", *PACKAGES):
        shutil.copytree(package, tmp_path / package.relative_to(ROOT), ignore=skip)
    contract = Path("tests", "packaging", "kernel_contract.py")
    (tmp_path / contract).parent.mkdir(parents=True)
    shutil.copy(ROOT / contract, tmp_path / contract)
    shutil.copy(ROOT / ".importlinter", tmp_path / ".importlinter")
    return tmp_path


def broken_contracts(folder: Path) -> set[str]:
    """Check the contracts in a folder, and return the names of those that are broken."""
    roots = [folder / "core", *sorted(folder.glob("arch_*")), *sorted(folder.glob("plugins/*/src"))]
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", "--no-logo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots)), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    broken = set(re.findall(r"^(.+) BROKEN\b", done.stdout, flags=re.MULTILINE))
    assert bool(broken) == (done.returncode != 0)
    return broken


def add(file: Path, line: str) -> None:
    file.write_text(file.read_text() + f"\n\ndef _sneak() -> None:\n    {line}\n")


def test_every_contract_holds(copy: Path) -> None:
    assert broken_contracts(copy) == set()


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("core/shootdown/_values/errors.py", "import shootdown_x86", "core knows no architecture"),
        ("core/shootdown/_cli/_list.py", "from shootdown_x86 import x", "core knows no architecture"),
        ("core/shootdown/hookspecs.py", "import pluggy", "only the plugins wing imports pluggy"),
        (
            "arch_x86/shootdown_x86/__init__.py",
            "from pluggy import x",
            "only the plugins wing imports pluggy",
        ),
        ("core/shootdown/_tlb/words.py", "import scipy", "kernels depend on numpy alone"),
        ("core/shootdown/_machine/ops.py", "import attrs", "kernels depend on numpy alone"),
        ("core/shootdown/_machine/bits.py", "import numba", BACKEND),
        ("core/shootdown/_compilation/running.py", "from llvmlite import ir", BACKEND),
        ("arch_powerpc/shootdown_powerpc/_hash_kernels.py", "from numba import njit", BACKEND),
        ("core/shootdown/_values/kernel.py", "import numba", "values import no numba"),
        (
            "core/shootdown/_values/errors.py",
            "from shootdown._compilation.backend import disk",
            "values import no numba",
        ),
        (
            "core/shootdown/_mm/model.py",
            "from shootdown._cli import run",
            "wings import only what is below them",
        ),
        (
            "core/shootdown/_explore/problem.py",
            "from shootdown._explore import engine",
            "no modules import each other in a circle",
        ),
        (
            "core/shootdown/_report/headline.py",
            "from shootdown._explore.engine import Explorer",
            "what reads verdicts imports no search",
        ),
        ("core/shootdown/_values/kernel.py", "import rich", "only the command line draws and parses options"),
        (
            "arch_x86/shootdown_x86/__init__.py",
            "import click",
            "only the command line draws and parses options",
        ),
    ],
)
def test_an_import_across_a_boundary_breaks_its_contract(
    copy: Path, file: str, line: str, contract: str
) -> None:
    add(copy / file, line)
    assert contract in broken_contracts(copy)


def test_an_architecture_that_imports_another_breaks_its_contract(copy: Path) -> None:
    other = copy / "arch_other" / "shootdown_other"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("import shootdown_x86\n")
    config = copy / ".importlinter"
    text = config.read_text()
    for heading in ("root_packages =\n", "\nmodules =\n"):
        assert text.count(heading) == 1
        text = text.replace(heading, f"{heading}    shootdown_other\n")
    config.write_text(text)
    assert broken_contracts(copy) == {"architectures do not know each other"}


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("shootdown_x86", "from shootdown._machine.assembler import Assembler"),
        ("shootdown_arm64", "from shootdown._values import series"),
        ("shootdown_powerpc", "import shootdown._pagetables.memory_kernels"),
        ("shootdown_riscv", "from shootdown import _values"),
    ],
)
def test_a_plugin_that_imports_what_is_not_public_breaks_its_contract(
    copy: Path, package: str, line: str
) -> None:
    (folder,) = (folder for folder in PACKAGES if folder.name == package)
    add(copy / folder.relative_to(ROOT) / "_kernel.py", line)
    assert broken_contracts(copy) == {"plugins import public modules only"}


def private_imports(source: str) -> list[str]:
    """Name what a module imports of shootdown's private modules; imports for type checkers alone count."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in found if name.startswith("shootdown._")]


def test_a_private_import_for_type_checkers_alone_is_seen() -> None:
    assert private_imports("if TYPE_CHECKING:\n    from shootdown._tlb import state\n") == [
        "shootdown._tlb.state"
    ]
    assert private_imports("from shootdown import Kernel, _values\nimport shootdown.formats") == [
        "shootdown._values"
    ]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_plugin_imports_no_private_module_for_type_checkers_either(package: Path) -> None:
    files = sorted(package.rglob("*.py"))
    assert files
    for file in files:
        assert private_imports(file.read_text()) == [], file


NOT_INSTALLED = ("shootdown_cdecode", "shootdown_loongarch", "shootdown_s390")


# These are not installed where contracts are checked: they would be listed among the architectures.
@pytest.mark.parametrize("package", [one.name for one in PACKAGES if one.name not in NOT_INSTALLED])
def test_each_architecture_of_the_checkout_is_under_the_contracts(package: str) -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    for section, key in (
        ("importlinter", "root_packages"),
        ("importlinter:contract:core", "forbidden_modules"),
        ("importlinter:contract:architectures", "modules"),
        ("importlinter:contract:doors", "source_modules"),
        ("importlinter:contract:pluggy", "source_modules"),
        ("importlinter:contract:libraries", "source_modules"),
    ):
        assert package in config[section][key].split()


def test_what_is_installed_can_be_listed_without_numba() -> None:
    code = "import sys; from shootdown._plugins.registry import registry; registry(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "shootdown._plugins.registry" in loaded
    assert not {"numba", "llvmlite", "rich", "click"} & loaded


@pytest.mark.parametrize("module", ["explore", "matrix", "saved", "trials", "history", "difference"])
def test_a_question_imports_the_search_only_when_one_begins(module: str) -> None:
    code = f"import sys, shootdown._questions.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert f"shootdown._questions.{module}" in loaded
    assert not {name for name in loaded if name.startswith("shootdown._explore")}
