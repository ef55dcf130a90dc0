"""The workloads that come with shootdown."""

from __future__ import annotations

from shootdown._values.workload import Workload
from shootdown._workloads.anonymous import ANONYMOUS
from shootdown._workloads.fork_storm import FORK_STORM
from shootdown._workloads.hugetlb import HUGETLB
from shootdown._workloads.thp_collapse import THP_COLLAPSE

WORKLOADS: tuple[Workload, ...] = (FORK_STORM, *HUGETLB, ANONYMOUS, THP_COLLAPSE)
