"""Run one case on powerpc and count instructions in its measured window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests import counting

from shootdown._questions.case import Case
from shootdown._values.workload import Workload


def prepared(
    workload: str, kernel: str = "7.0", *, settings: tuple[str, ...] = (), **given: Any
) -> Case[Workload]:
    """Choose a case that can be run."""
    return counting.prepared("powerpc", workload, kernel, *settings, **given)


def counted(workload: str, kernel: str = "7.0", **given: Any) -> dict[str, int]:
    """Return the counts of the window, and each instruction executed in it by its name; as `prepared`."""
    found = counting.counted(prepared(workload, kernel, **given))
    return {**found.window, **found.instructions}


def instructions(counts: Mapping[str, int]) -> dict[str, int]:
    """Pick the instructions: `tlbiel_ric0` for radix, process-scoped ones; others by their whole names."""
    mnemonics = ("tlbie", "tlbsync", "h_rpt")
    return {name.removesuffix("_prs1_r1"): n for name, n in counts.items() if name.startswith(mnemonics)}
