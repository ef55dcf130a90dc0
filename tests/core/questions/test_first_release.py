"""An architecture or platform that begins with a release has a row that says so for every earlier kernel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from shootdown import Architecture, Kernel
from shootdown._plugins.registry import registry
from shootdown._questions.case import Question, prepare
from shootdown._questions.explore import explore_case
from shootdown._questions.simulate import simulate

sys.path.insert(0, str(Path(__file__).parents[1] / "porting"))
from toy import MACHINE, ToyLowering


def fails_before_5_19(kernel: Kernel) -> Kernel:
    """Configure as a plugin does that knows nothing of older kernels."""
    assert kernel.release.startswith(("5.19", "6."))
    return kernel


NEW = attrs.evolve(MACHINE, name="toy-new", first="6.3")
TOY = Architecture(
    api=1,
    name="toy",
    summary="a toy",
    platforms=(MACHINE, NEW),
    lower=ToyLowering,
    configure=fails_before_5_19,
    first="5.19",
)


def case(kernel: str, platform: Any = MACHINE, program: str = "anonymous", **more: Any) -> Any:
    installed = registry()
    subject = installed.scenarios().get(program) or installed.workload(program)
    return prepare(
        Question(subject, TOY, platform, kernel, cpus=None if program != "anonymous" else 2, **more)
    )


@pytest.mark.parametrize(
    ("kernel", "platform", "reason"),
    [
        ("5.10", MACHINE, "toy begins with 5.19"),
        ("5.18.19", MACHINE, "toy begins with 5.19"),
        ("6.1.50", NEW, "toy-new begins with 6.3"),
    ],
)
def test_a_row_of_an_earlier_kernel_says_when_it_begins(kernel: str, platform: Any, reason: str) -> None:
    row = simulate(case(kernel, platform))
    assert (row.supported, row.reason) == (False, reason)


def test_what_ifs_of_an_earlier_kernel_configure_nothing_either() -> None:
    assert not simulate(case("5.10", settings=("kernel.merge_vmas=true",))).supported


@pytest.mark.parametrize(("kernel", "platform"), [("5.19", MACHINE), ("6.3", NEW), ("6.1", MACHINE)])
def test_from_its_first_release_on_it_runs(kernel: str, platform: Any) -> None:
    assert case(kernel, platform).refusal() is None


def test_exploration_says_so_too() -> None:
    row = explore_case(case("5.10", program="nested-flush"))
    assert row.reason is not None
    assert row.reason.startswith("toy begins with 5.19")
