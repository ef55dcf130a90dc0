"""`shootdown.explain`: one run explained, from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from shootdown._questions.compare import cases
from shootdown._questions.subjects import Subject
from shootdown._report.explanation import Explanation
from shootdown._report.explanation import explain as explain_case
from shootdown._values.errors import ShootdownError
from shootdown._values.given import Names, Numbers, Settings
from shootdown._values.series import newest_known


def explain(
    workload: Subject,
    *,
    arch: Names = (),
    platforms: Names = (),
    kernels: Names = (),
    cpus: Numbers = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Settings = (),
    patch: str | os.PathLike[str] | None = None,
    events: int = 0,
) -> Explanation:
    """Run a workload once and return who caused each interrupt: the row, the ledger, the steps, the events.

    Args:
        workload: its name, the file of a program, or a program as values.
        arch: the name of an architecture; this machine's if empty.
        platforms: the name of a platform; the architecture's first if empty.
        kernels: a release or proposal; the newest release known if empty.
        cpus: online CPUs; the platform's own if empty.
        parameters: of the workload.
        settings: what-ifs such as `kernel.rcu_table_free=false`.
        patch: a file that replaces kernel functions.
        events: how many events of the timeline to keep.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory, or several runs are asked for.
    """
    chosen = cases(
        workload,
        arch=arch,
        platforms=platforms,
        kernels=kernels or (newest_known(),),
        cpus=cpus,
        parameters=parameters,
        settings=settings,
        patch=patch,
    )
    if len(chosen) != 1:
        raise ShootdownError(
            f"{len(chosen)} runs are asked for, and one is explained: name one architecture, platform, kernel and "
            f"number of CPUs, and one value of each parameter"
        )
    return explain_case(chosen[0], events=events)
