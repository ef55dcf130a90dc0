"""All statements, in the order of their numbers, and those that a person asks for.

A section is made of modules with a tuple `STATEMENTS` each; its row in `SECTIONS` is all that makes `shootdown check`,
`shootdown.testing` and docs/compliance.md know it.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable

from shootdown._compliance.statement import Statement
from shootdown._values.errors import ShootdownError, nearest

#: The sections, by number: the modules of each, whose `STATEMENTS` are numbered within it, and what it is about.
SECTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "0": (("asked", "expecting"), "Loading"),
    "1": (("formats", "rules", "walks", "evidence", "custom"), "Page-table formats"),
    "2": (("kernels", "switches"), "Kernels"),
    "3": (("geometry", "platforms"), "Geometry"),
    "4": (("flushes", "counting"), "Flushes"),
    "5": (("coverage",), "Coverage"),
    "6": (("spaces",), "Address spaces"),
    "7": (("exploring",), "Explorer"),
    "8": (("same",), "Determinism"),
    "9": (("sources",), "Sources"),
    "10": (("absent",), "What is not there"),
    "11": (("workloads",), "Workloads"),
    "12": (("scenarios",), "Scenarios"),
    "13": (("reports",), "Reports"),
}


@functools.cache
def statements() -> tuple[Statement, ...]:
    """Return all statements in the order of their numbers."""
    found: list[Statement] = []
    for module in (module for modules, _ in SECTIONS.values() for module in modules):
        found += importlib.import_module(f"shootdown._compliance.{module}").STATEMENTS
    return tuple(sorted(found, key=lambda statement: statement.key))


def chosen(numbers: Iterable[str]) -> tuple[Statement, ...]:
    """Return the statements that these numbers name, all of them where there are none.

    Args:
        numbers: of statements, `1.3`, or of whole sections, `1`.

    Raises:
        ShootdownError: there is no such statement.
    """
    wanted = tuple(numbers)
    known = {statement.number for statement in statements()}
    for number in wanted:
        if number not in known | set(SECTIONS):
            raise ShootdownError(
                f"there is no statement {number!r}; {nearest(number, known | set(SECTIONS))}"
            )
    if not wanted:
        return statements()
    return tuple(one for one in statements() if one.number in wanted or one.section in wanted)
