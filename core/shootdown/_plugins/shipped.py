"""The workloads that come with shootdown, through the same door as a stranger's."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown import hookimpl
from shootdown._values.workload import Workload


@hookimpl
def shootdown_workloads() -> Sequence[Workload]:
    """Offer the workloads of this package."""
    from shootdown._workloads import WORKLOADS

    return WORKLOADS
