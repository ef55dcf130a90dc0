"""Compiled kernels are loaded as code: they are kept only where nobody else can write."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import sys
from shootdown._compilation import announcing, folders
lines = []
announcing.listen(lines.append)
if sys.argv[2] == "no":
    can = folders._can_be_written
    folders._can_be_written = lambda folder: folder.name != "__pycache__" and can(folder)
found = folders.folder_of(sys.argv[1])
mode = oct(found.stat().st_mode & 0o777) if found.exists() else "-"
print(found, folders.is_private(found), mode, len(lines), sep="|")
print(*lines, sep="|")
"""


def asked(source: Path, beside: str = "no", **variables: str) -> tuple[Path, bool, str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(source), beside],
        env={name: value for name, value in {**os.environ, **variables}.items() if value},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()
    folder, private, mode, count = first.split("|")
    return Path(folder), private == "True", mode, second.split("|") if int(count) else []


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "package").mkdir()
    file = tmp_path / "package" / "module.py"
    file.write_text("")
    return file


def test_it_is_beside_the_source_where_that_can_be_written_to(source: Path) -> None:
    assert asked(source, "yes", NUMBA_CACHE_DIR="") == (source.parent / "__pycache__", False, "0o755", [])


def test_a_folder_that_is_named_comes_first(source: Path, tmp_path: Path) -> None:
    folder, private, _, lines = asked(source, "yes", NUMBA_CACHE_DIR=str(tmp_path / "named"))
    assert (folder.parent, private, lines) == (tmp_path / "named", False, [])


def test_else_it_is_a_folder_of_this_user_alone(source: Path, tmp_path: Path) -> None:
    folder, private, _, lines = asked(source, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (folder.parent, private, lines) == (tmp_path / "cache" / "shootdown", False, [])
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("fault", ["others can write", "a link", "no folder"])
def test_a_folder_in_which_somebody_else_may_have_put_code_is_not_used(
    source: Path, tmp_path: Path, fault: str
) -> None:
    """Kernels are then kept in a folder of the process, which has a name that nobody guesses and goes with it."""
    own = tmp_path / "cache" / "shootdown"
    own.parent.mkdir()
    if fault == "others can write":
        own.mkdir()
        own.chmod(0o777)
    elif fault == "a link":
        (tmp_path / "elsewhere").mkdir()
        own.symlink_to(tmp_path / "elsewhere")
    else:
        own.write_text("")
    folder, private, _, lines = asked(source, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(own.parent))
    assert private
    assert not folder.is_relative_to(own)
    assert not folder.exists()
    assert f"{own} is not used" in lines[0]
    assert "for this command alone" in lines[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_another_user_is_not_used(source: Path, tmp_path: Path) -> None:
    own = tmp_path / "cache" / "shootdown"
    own.mkdir(parents=True, mode=0o700)
    os.chown(own, 12345, 12345)
    _, private, _, lines = asked(source, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(own.parent))
    assert private
    assert "no folder of this user's" in lines[0]
