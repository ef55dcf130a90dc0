"""All calls of the memory-management API that the model writes."""

from __future__ import annotations

from shootdown._mm.barriers import Barriers
from shootdown._mm.exec_calls import ExecCalls
from shootdown._mm.file_calls import FileCalls
from shootdown._mm.huge_functions import HugeFunctions
from shootdown._mm.kernel_ranges import KernelRanges
from shootdown._mm.vma_calls import VmaCalls


class Calls(ExecCalls, VmaCalls, FileCalls, Barriers, HugeFunctions, KernelRanges):
    """Write whole calls for one kernel on one architecture, and single kernel functions of them.

    Args:
        asm, kernel, lowering, gathers, hugetlb, locks: the model's parts.
    """
