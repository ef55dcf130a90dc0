"""What a stranger's plugin can reach: public names, and what they promise."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import shootdown
from shootdown import ShootdownError, porting
from shootdown._values.kernel import Kernel
from shootdown.porting import ops

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "public.md"
PUBLIC = [
    "shootdown",
    *sorted(
        f"shootdown.{file.stem}"
        for file in Path(shootdown.__file__).parent.glob("*.py")
        if not file.stem.startswith("_")
    ),
]


def documented(page: str) -> dict[str, list[str]]:
    """Read which names the page of public names lists, by module."""
    found: dict[str, list[str]] = {}
    for line in page.splitlines():
        if heading := re.fullmatch(r"## `([\w.]+)`", line):
            names = found.setdefault(heading[1], [])
        elif row := re.fullmatch(r"\| `(\w+)` \| \S.+ \|", line):
            names.append(row[1])
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__) > 0
    for each in module.__all__:
        assert getattr(module, each) is not None, each


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_class_function_and_module_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert inspect.getdoc(module)
    for each in module.__all__:
        value = getattr(module, each)
        if inspect.isclass(value) or inspect.isroutine(value) or isinstance(value, types.ModuleType):
            assert inspect.getdoc(value), each


def test_the_page_of_public_names_lists_each_once_and_no_other() -> None:
    page = documented(PAGE.read_text())
    assert sorted(page) == sorted(PUBLIC)
    for name, listed in page.items():
        assert sorted(listed) == sorted(importlib.import_module(name).__all__), name


def test_a_name_without_a_sentence_is_not_documented() -> None:
    assert documented("## `a.b`\n| `one` | a word |\n| `two` |  |\n") == {"a.b": ["one"]}


def test_the_names_for_plugins_need_no_numba() -> None:
    code = "import sys, shootdown.porting, shootdown.formats; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_method_of_a_lowering_says_what_to_write() -> None:
    for name, member in vars(shootdown.Lowering).items():
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
            assert inspect.getdoc(member), name


def test_the_guide_names_steps_and_constants_that_exist() -> None:
    guide = inspect.getdoc(shootdown.Lowering) or ""
    for name in re.findall(r"asm\.(\w+)\(", guide):
        assert hasattr(porting.Assembler, name), name
    for name in re.findall(r"ops\.(\w+)", guide):
        assert hasattr(ops, name), name


def test_a_kernel_is_found_by_its_release_and_its_architectures_name() -> None:
    kernel = shootdown.kernel("6.12.74", "amd64", ["kernel.unshare_sync=none"])
    assert isinstance(kernel, Kernel)
    assert (kernel.release, kernel.unshare_sync) == ("6.12.74", "none")
    with pytest.raises(ShootdownError, match="there is no architecture 'vax'"):
        shootdown.kernel("6.12.74", "vax")


def test_a_result_has_the_instructions_that_the_lowering_names() -> None:
    (row,) = shootdown.compare("anonymous", arch=["arm64"], kernels=["7.0"], cpus=[4])
    assert sum(count for name, count in row.instructions.items() if name.startswith("tlbi")) > 0
    assert "instructions" not in row.to_dict()


def test_where_there_is_no_gup_fast_nobody_needs_the_sync_and_there_are_no_walkers() -> None:
    without = ["kernel.gup_fast=false"]
    (target,) = shootdown.targets(
        arch=["x86"], platforms=["intel-server"], kernels=["6.18.2"], settings=without
    )
    assert target.sync == "not-applicable"
    (row,) = shootdown.compare(
        "hugetlb-munmap", arch=["x86"], kernels=["6.18.2"], parameters={"walkers": 1}, settings=without
    )
    assert not row.supported
    assert "no GUP-fast" in (row.reason or "")
