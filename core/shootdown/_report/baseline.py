"""Remarks on rows with a measured base: what was measured, and what is predicted, each by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shootdown._questions.baseline import OnBase, predicted
from shootdown._report.text import about, estimate, ratio
from shootdown._values.result import Result


def of_base(first: Result, base: Mapping[str, float]) -> str:
    """Return the remark on the row whose times were measured."""
    told = (
        f"{name} {about(ns).removeprefix('~')} (the model says {estimate(predicted(first, name))})"
        for name, ns in base.items()
    )
    return f"measured, as given: {'; '.join(told)}"


def of_row(first: Result, found: Sequence[OnBase]) -> str:
    """Return the remark on a row that stands on them."""
    told = []
    for one in found:
        low, likely, high = (end / one.measured for end in (one.total.low, one.total.likely, one.total.high))
        told.append(
            f"{one.name} {estimate(one.total)}, {ratio(low, likely, high)} of the base, of which {estimate(one.added)} "
            "is added"
        )
    base = f"the measured base of {first.kernel} on {first.platform}"
    return f"on {base}, with what is predicted to be added: {'; '.join(told)}"
