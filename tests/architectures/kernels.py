"""Kernels of an installed architecture, and the rows that were measured on them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from shootdown import Kernel
from shootdown._plugins.registry import registry
from shootdown._values.releases import resolve
from shootdown._values.whatif import parse_settings, set_kernel

ORACLE = Path(__file__).parents[1] / "oracle" / "measured.jsonl"

#: What the rows call the generations that `Kernel.unshare_sync` tells apart.
GENERATION = {"none": "G0", "per-table": "G1", "last-sharer": "G2"}


def kernel_of(arch: str, name: str, *settings: str) -> Kernel:
    """Resolve a kernel as `--kernel` and `--set` do."""
    architecture = registry().architecture(arch)
    return set_kernel(resolve(name, architecture), parse_settings(settings), architecture)


@cache
def measured(arch: str) -> tuple[dict[str, object], ...]:
    """Return the measured rows of an architecture, by the name that the rows have for it."""
    rows = [json.loads(line) for line in ORACLE.read_text().splitlines()]
    return tuple(row for row in rows if row["arch"] == arch)


@cache
def measured_kernels(arch: str) -> tuple[str, ...]:
    """Name the kernels that were measured."""
    return tuple(sorted({str(row["kernel"]) for row in measured(arch)}))
