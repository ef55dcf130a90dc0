"""The runner and the emulator's plugin, built from their C source."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import attrs
import pytest

from shootdown._measure import building
from shootdown._plugins.registry import registry
from shootdown._values.errors import ShootdownError
from shootdown.measured import Emulation

SOURCES = Path(building.__file__).parent
NEEDS_CC = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@NEEDS_CC
@pytest.mark.parametrize("folder", ["runner", "plugin"])
def test_the_source_has_no_warning(folder: str) -> None:
    files = [str(path) for path in sorted((SOURCES / folder).glob("*.c"))]
    command = ("cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *files)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""


@NEEDS_CC
def test_the_runner_has_each_mark_of_this_machine_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "own_folder", lambda: tmp_path)
    told: list[Emulation] = [
        one.emulation
        for one in registry().architectures().values()
        if one.emulation is not None and one.emulation.machine == platform.machine()
    ]
    for emulation in told:
        content = building.runner(emulation)
        marks = emulation.marks
        assert marks is not None
        width = (marks.mask.bit_length() + 7) // 8
        for number in (1, 2, 3):
            assert content.count((marks.value | number << marks.shift).to_bytes(width, "little")) >= 1
        assert building.runner(emulation) == content
    assert len(list(tmp_path.glob("runner-*"))) == len(told)


def test_a_missing_compiler_is_named_with_its_package() -> None:
    (x86,) = (one.emulation for one in registry().architectures().values() if one.name == "x86")
    assert x86 is not None
    with pytest.raises(ShootdownError, match="apt-get install gcc-none-linux-gnu"):
        building.compiler(attrs.evolve(x86, machine="none", compiler="none-linux-gnu-gcc"))
