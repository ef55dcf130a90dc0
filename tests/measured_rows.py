"""Measured rows beside what the model predicts, each predicted once in a process.

Test modules that read whole files of rows share an xdist group, so that one process predicts them.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from shootdown._oracle.rows import Row, read_rows
from shootdown._oracle.validate import Comparison, validate

ORACLE = Path(__file__).parent / "oracle"
ONE_PROCESS = pytest.mark.xdist_group("measured rows")


@functools.cache
def rows_of(file: str, arch: str) -> tuple[Row, ...]:
    """Return the rows of an architecture in a file of tests/oracle."""
    return tuple(row for row in read_rows(ORACLE / file) if row.arch == arch)


@functools.cache
def compared(file: str, arch: str) -> tuple[Comparison, ...]:
    """Predict all rows of an architecture in a file of tests/oracle."""
    return tuple(validate(rows_of(file, arch)))
