"""What is published can be installed: sdist to wheel to a fresh environment, far from the checkout."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.core.plugins.skeletons import NEW

# Venvs, pip and builds of wheels; test_what_is_published.py looks at what they are made from.
pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]

ROOTS = sorted(
    path.parent
    for path in ROOT.glob("*/shootdown*/__init__.py")
    if path.parts[-3] == "core" or path.parts[-3].startswith("arch_")
)

# What pip says when nothing can be asked for a package: only then there is nothing to test with.
NO_INDEX = (
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "from versions: none",
)

BACKEND = "import sys; from hatchling import build; print(build.build_sdist(sys.argv[1]))"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside of this checkout's environment, and return what it prints."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `dist/` (sdist and wheel) and `env/` (where the wheel is installed).

    Made once in a run of the tests, also by several workers: the first one builds, the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "packaging"
    with open(shared / "packaging.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            build(folder)
            (folder / "done").touch()
    return folder


def build(folder: Path) -> None:
    """Build and install, each step from what the one before made."""
    dist, env = folder / "dist", folder / "env"
    dist.mkdir(parents=True, exist_ok=True)
    run(sys.executable, "-m", "venv", env, cwd=folder)
    python = env / "bin" / "python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
    try:
        run(*pip, "install", "hatchling>=1.26", cwd=folder)
    except AssertionError as error:
        # Of the first package only: a dependency of ours that can't be found is a failure.
        if any(sign in str(error) for sign in NO_INDEX):
            pytest.skip("no package index can be reached")
        raise
    run(python, "-c", BACKEND, dist, cwd=ROOT)
    sdist = next(dist.glob("*.tar.gz"))
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", dist, sdist, cwd=folder)
    run(*pip, "install", next(dist.glob("*.whl")), cwd=folder)


@pytest.fixture(scope="session")
def with_plugin(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment that has what `installed` has, and a third party's distribution besides."""
    env = tmp_path_factory.mktemp("third-party") / "env"
    run(sys.executable, "-m", "venv", env, cwd=env.parent)
    there = next((installed / "env").glob("lib/python*/site-packages"))
    (next(env.glob("lib/python*/site-packages")) / "installed.pth").write_text(f"{there}\n")
    pip = (env / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    # As a person types it, but for --no-build-isolation: the build backend is there already.
    run(*pip, "install", "--no-build-isolation", ROOT / "plugins" / "shootdown-riscv", cwd=env.parent)
    return env


def test_a_third_partys_distribution_brings_its_architecture(with_plugin: Path, tmp_path: Path) -> None:
    ask = "import sys; from shootdown._cli import main; sys.argv[0] = 'shootdown'; main()"
    python = with_plugin / "bin" / "python"
    plugins = json.loads(run(python, "-c", ask, "plugins", "--json", cwd=tmp_path))
    assert ("riscv", "shootdown-riscv") in {(one["name"], one["distribution"]) for one in plugins["loaded"]}
    row = json.loads(
        run(
            python,
            "-c",
            ask,
            *["compare", "anonymous", "--arch", "riscv", "--kernel", "7.0", "--json"],
            cwd=tmp_path,
        )
    )
    assert "riscv" in json.dumps(row)
    where = run(python, "-c", "import shootdown_riscv; print(shootdown_riscv.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(with_plugin)


@pytest.mark.parametrize(("name", "options"), NEW.items())
def test_a_new_plugin_is_built_installed_and_checked(
    name: str, options: tuple[str, ...], installed: Path, tmp_path: Path
) -> None:
    """As a person does it: from the wheel of shootdown alone, in an environment of its own."""
    env = tmp_path / "env"
    run(sys.executable, "-m", "venv", env, cwd=tmp_path)
    there = next((installed / "env").glob("lib/python*/site-packages"))
    (next(env.glob("lib/python*/site-packages")) / "installed.pth").write_text(f"{there}\n")
    python, pip = (
        env / "bin" / "python",
        (env / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"),
    )
    ask = "import sys; from shootdown._cli import main; sys.argv[0] = 'shootdown'; main()"
    run(python, "-c", ask, "new", name, *options, cwd=tmp_path)
    folder = tmp_path / f"shootdown-{name}"
    run(*pip, "install", "--no-build-isolation", "./" + folder.name, "pytest", cwd=tmp_path)
    (package,) = folder.glob("src/*")
    package.rename(tmp_path / "hidden")  # what is installed is tried, not this folder
    checked = f"shootdown-{name}" if "--kind" in options else name
    printed = run(python, "-c", ask, "check", checked, cwd=tmp_path)
    assert f"shootdown check {checked}" in printed
    assert " passed" in run(python, "-m", "pytest", "-q", cwd=folder)


def test_a_plugin_with_c_in_it_is_built_installed_and_checked(installed: Path, tmp_path: Path) -> None:
    env = tmp_path / "env"
    run(sys.executable, "-m", "venv", env, cwd=tmp_path)
    there = next((installed / "env").glob("lib/python*/site-packages"))
    (next(env.glob("lib/python*/site-packages")) / "installed.pth").write_text(f"{there}\n")
    python = env / "bin" / "python"
    copy = shutil.copytree(
        ROOT / "plugins" / "shootdown-cdecode", tmp_path / "cdecode", ignore=shutil.ignore_patterns("*.so")
    )
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", copy, cwd=tmp_path)
    ask = "import sys; from shootdown._cli import main; sys.argv[0] = 'shootdown'; main()"
    printed = run(python, "-c", ask, "check", "cdecode", "--statement", "0,1", cwd=tmp_path)
    assert "Both walks of a custom format find the same" in printed


def test_without_the_third_party_its_architecture_is_not_there(installed: Path, tmp_path: Path) -> None:
    formats = run(installed / "env" / "bin" / "shootdown", "list", "formats", cwd=tmp_path)
    assert "riscv" not in formats


def test_the_wheel_is_pure_and_holds_the_import_packages_alone(installed: Path) -> None:
    wheel = next((installed / "dist").glob("*.whl"))
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {package.name for package in ROOTS}
    assert not [name for name in names if name.endswith((".nbi", ".nbc", ".pyc"))]


def test_each_import_package_says_that_it_is_typed(installed: Path) -> None:
    with zipfile.ZipFile(next((installed / "dist").glob("*.whl"))) as archive:
        names = archive.namelist()
    assert [package.name for package in ROOTS if f"{package.name}/py.typed" not in names] == []


def test_the_wheel_holds_every_module_of_the_checkout(installed: Path) -> None:
    with zipfile.ZipFile(next((installed / "dist").glob("*.whl"))) as archive:
        names = set(archive.namelist())
    modules = {str(path.relative_to(package.parent)) for package in ROOTS for path in package.rglob("*.py")}
    assert modules - names == set()


def test_the_sdist_holds_what_the_tests_need(installed: Path) -> None:
    with tarfile.open(next((installed / "dist").glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "tests/oracle/measured.jsonl"} <= names


def test_what_is_installed_comes_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = "import shootdown, shootdown_x86; print(shootdown.__file__); print(shootdown_x86.__file__)"
    files = run(installed / "env" / "bin" / "python", "-c", code, cwd=tmp_path).split()
    assert len(files) == 2
    for file in files:
        assert Path(file).is_relative_to(installed / "env")


def test_no_module_is_called_core(installed: Path, tmp_path: Path) -> None:
    code = "from importlib.util import find_spec as f; print(f('core'), f('arch_x86'), f('tests'))"
    assert run(installed / "env" / "bin" / "python", "-c", code, cwd=tmp_path).split() == ["None"] * 3


def test_the_command_finds_the_shipped_architecture(installed: Path, tmp_path: Path) -> None:
    plugins = json.loads(run(installed / "env" / "bin" / "shootdown", "plugins", "--json", cwd=tmp_path))
    found = {(one["name"], one["distribution"]) for one in plugins["loaded"] + plugins["refused"]}
    assert ("x86", "shootdown") in found


def test_the_default_install_is_light(installed: Path, tmp_path: Path) -> None:
    code = "from importlib.metadata import distributions as d; print(*(one.metadata['Name'] for one in d()))"
    names = set(run(installed / "env" / "bin" / "python", "-c", code, cwd=tmp_path).lower().split())
    assert {"numba", "numpy", "pluggy"} <= names
    assert not {"matplotlib", "cffi", "unicorn", "pytest", "mypy", "hypothesis"} & names
