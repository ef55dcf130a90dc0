"""Run one case of one workload, and return the counts of its measured window."""

from __future__ import annotations

from typing import Any, NamedTuple

from shootdown._plugins.registry import registry
from shootdown._questions.case import Case, Question, prepare
from shootdown._questions.simulate import counts_of
from shootdown._timed.run import run_machine
from shootdown._values.workload import Workload


class Counted(NamedTuple):
    """The counts of one run with the likely costs.

    Args:
        instructions: those of the measured window by name, without zeros.
        window: every counter of the window.
        counts: the counts of a row.
    """

    instructions: dict[str, int]
    window: dict[str, int]
    counts: dict[str, int]


def prepared(
    arch: str,
    workload: str,
    kernel: str = "7.0",
    *settings: str,
    platform: str = "qemu-tcg",
    cpus: int = 4,
    **parameters: Any,
) -> Case[Workload]:
    """Choose a case that can be run."""
    installed = registry()
    case = prepare(
        Question(
            installed.workload(workload),
            installed.architecture(arch),
            installed.platform(arch, platform),
            kernel,
            parameters=parameters,
            cpus=cpus,
            settings=settings,
        )
    )
    assert case.refusal() is None
    return case


def counted(case: Case[Workload]) -> Counted:
    """Run a case once."""
    machine = case.program.build(case.setup())
    run = run_machine(machine, case.platform)
    executed, window = (
        (run.window_instructions[0], run.windows[0]) if machine.windows else (run.instructions, run.counts)
    )
    return Counted({name: n for name, n in executed.items() if n}, dict(window), counts_of(machine, run))
