"""What a stranger's plugin can reach: public names, and what they promise."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import shootdown
from shootdown import ShootdownError, formats, porting
from shootdown._values.kernel import Kernel
from shootdown.porting import ops


@pytest.mark.parametrize("module", [shootdown, formats, porting], ids=lambda module: module.__name__)
def test_every_public_name_is_there(module: object) -> None:
    for name in module.__all__:  # type: ignore[attr-defined]
        assert getattr(module, name) is not None, name


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
