"""One kernel of the toy on one platform: what a mistake needs to be found, and no more."""

from __future__ import annotations

from typing import Any

from tests.core.compliance.toys import good, subject

from shootdown._compliance.checking import check
from shootdown._compliance.registry import chosen
from shootdown._compliance.statement import Outcome
from shootdown._compliance.subject import Subject
from shootdown._values.releases import resolve


def narrow(lowering: Any, kernel: str = "7.0", **fields: Any) -> Subject:
    """Return the toy with another lowering, as statements look at it: one kernel, one platform, one way of flushing."""
    architecture = good(**{"lower": lowering, "flush_ways": ()} | fields)
    found = subject(architecture)
    found.platforms = found.platforms[:1]
    found.__dict__["kernels"] = (resolve(kernel, architecture),)
    return found


def outcomes(numbers: list[str], about: Subject) -> dict[str, Outcome]:
    """Check statements, and return what they say by number."""
    return {found.statement.number: found for found in check(about, chosen(numbers))}


def findings(number: str, lowering: Any, **fields: Any) -> str:
    """Return what one statement finds wrong with a lowering, as one text."""
    return "\n".join(outcomes([number], narrow(lowering, **fields))[number].findings)
