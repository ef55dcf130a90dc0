"""Run one case on powerpc and count instructions in its measured window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shootdown._plugins.registry import registry
from shootdown._questions.case import Case, Question, prepare
from shootdown._timed.run import run_machine


def prepared(
    workload: str,
    kernel: str = "7.0",
    *,
    platform: str = "qemu-tcg",
    cpus: int = 4,
    settings: tuple[str, ...] = (),
    **parameters: Any,
) -> Case:
    """Choose a case that can be run."""
    installed = registry()
    case = prepare(
        Question(
            installed.workload(workload),
            installed.architecture("powerpc"),
            installed.platform("powerpc", platform),
            kernel,
            parameters=parameters,
            cpus=cpus,
            settings=settings,
        )
    )
    assert case.refusal() is None
    return case


def counted(workload: str, kernel: str = "7.0", **given: Any) -> dict[str, int]:
    """Return the counts of the window, and each instruction executed in it by its name; as `prepared`."""
    case = prepared(workload, kernel, **given)
    run = run_machine(case.program.build(case.setup()), case.platform)
    return {**run.windows[0], **{name: n for name, n in run.window_instructions[0].items() if n}}


def instructions(counts: Mapping[str, int]) -> dict[str, int]:
    """Pick the instructions: `tlbiel_ric0` for radix, process-scoped ones; others by their whole names."""
    mnemonics = ("tlbie", "tlbsync", "h_rpt")
    return {name.removesuffix("_prs1_r1"): n for name, n in counts.items() if name.startswith(mnemonics)}
