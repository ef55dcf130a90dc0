"""Makes `twins` importable, and one run of one workload on arm64 a call with keywords."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))


class Counted(NamedTuple):
    """What one run counted in its window: TLBIs that were executed at all, and the counts of a row."""

    tlbis: dict[str, int]
    counts: dict[str, int]


@pytest.fixture(scope="session")
def run() -> Callable[..., Counted]:
    """Run a workload once, with the likely costs."""
    from shootdown._plugins.registry import registry
    from shootdown._questions.case import Question, prepare
    from shootdown._questions.simulate import counts_of
    from shootdown._timed.run import run_machine

    def once(
        workload: str,
        kernel: str,
        *settings: str,
        cpus: int = 4,
        platform: str = "qemu-tcg",
        **parameters: Any,
    ) -> Counted:
        installed = registry()
        case = prepare(
            Question(
                installed.workload(workload),
                installed.architecture("arm64"),
                installed.platform("arm64", platform),
                kernel,
                parameters=parameters,
                cpus=cpus,
                settings=settings,
            )
        )
        assert case.refusal() is None
        machine = case.program.build(case.setup())
        found = run_machine(machine, case.platform)
        executed = found.window_instructions[0] if machine.windows else found.instructions
        return Counted({name: n for name, n in executed.items() if n}, counts_of(machine, found))

    return once
