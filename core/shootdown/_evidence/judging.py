"""Published beside predicted: the verdict of a claim, and of a curve how far its points are off."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from shootdown._evidence.claim import Claim
from shootdown._evidence.predicting import Predicted, platform_of, predict
from shootdown._evidence.quantities import Range
from shootdown._values.errors import ShootdownError
from shootdown._values.platform import Platform

EXACT, WITHIN, INSIDE, WEAK, OUTSIDE = "exact", "within 25 %", "inside 80 %", "weak", "outside"
INEXPRESSIBLE, NO_CLAIM = "not expressible", "no claim"
#: From the best to the worst: what a test compares. The last two say nothing of the model's numbers.
VERDICTS = (EXACT, WITHIN, INSIDE, WEAK, OUTSIDE, INEXPRESSIBLE, NO_CLAIM)
#: How far a value may be off, and how wide an interval may be.
CLOSE, WIDE = 0.25, 10.0


@attrs.frozen
class Curve:
    """How a curve compares, as it is and after one common factor.

    Args:
        points: how many there are.
        within: how many are within 25 %.
        largest: the largest deviation, as a factor from one.
        factor: what all predicted values are multiplied with, so that they are right on average.
        within_after, largest_after: the same after the common factor.
    """

    points: int
    within: int
    largest: float
    factor: float
    within_after: int
    largest_after: float


@attrs.frozen
class Row:
    """A claim beside its prediction.

    Args:
        claim: what was published.
        ranges: what the model says, a value for each point; empty if nothing.
        verdict: one of `VERDICTS`.
        verdicts: of each point.
        reason: what is missing, or what decides the verdict; empty if nothing has to be said.
        curve: of a curve.
    """

    claim: Claim
    ranges: tuple[Range, ...]
    verdict: str
    verdicts: tuple[str, ...]
    reason: str
    curve: Curve | None = None

    @property
    def width(self) -> float:
        """How many times the high end of the widest interval is its low end; 1 if there is none."""
        return max((_width(one) for one in self.ranges), default=1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        claim = self.claim
        return {
            "id": claim.name,
            "what": claim.what,
            "source": claim.source,
            "machine": claim.machine,
            "measure": claim.measure,
            "subject": claim.subject,
            "unit": claim.unit,
            "at": [point.label for point in claim.points if point.label],
            "published": _alone(claim.values),
            "predicted": _alone([_finite(one.likely) for one in self.ranges]),
            "interval": _alone([[_finite(one.low), _finite(one.high)] for one in self.ranges]),
            "verdict": self.verdict,
            "verdicts": list(self.verdicts),
            "in_sample": claim.in_sample,
            "used_by": list(claim.used_by),
            "assumed": list(claim.assumed),
            "reason": self.reason or None,
            "curve": None
            if self.curve is None
            else {name: _finite(value) for name, value in attrs.asdict(self.curve).items()},
        }


def reproduce(claim: Claim, draws: int = 0) -> Row:
    """Run a claim and judge it.

    Args:
        claim: what was published.
        draws: runs with costs that are drawn, from which intervals come; 0 takes them from the ledger of one run.

    Raises:
        ShootdownError: something in it is unknown or out of range, or a run fails.
    """
    if claim.measure == "none":
        return Row(claim, (), NO_CLAIM, (), claim.stands)
    if claim.measure == "fact" and not claim.needs:
        return _fact(claim)
    return judge(claim, predict(claim, draws))


def judge(claim: Claim, predicted: Predicted) -> Row:
    """Compare a claim with what the model says."""
    if predicted.missing:
        return Row(claim, (), INEXPRESSIBLE, (), predicted.missing)
    pairs = list(zip(claim.points, predicted.ranges, strict=True))
    verdicts = tuple(verdict(point.published, point.decimals, found) for point, found in pairs)
    worst = max(verdicts, key=VERDICTS.index)
    off = _curve([(point.published, found.likely) for point, found in pairs]) if len(pairs) > 1 else None
    return Row(claim, predicted.ranges, worst, verdicts, _reason(pairs_of(claim, predicted), verdicts), off)


def pairs_of(claim: Claim, predicted: Predicted) -> list[tuple[str, float, Range]]:
    """Return the points' labels, published values and predictions."""
    return [
        (point.label, point.published, found)
        for point, found in zip(claim.points, predicted.ranges, strict=True)
    ]


def verdict(published: float, decimals: int, found: Range) -> str:
    """Judge one value.

    Args:
        published: the value.
        decimals: how many digits after the point it has.
        found: what the model says.
    """
    if found.counted and found.low == found.high and abs(found.likely - published) <= 0.5 * 10.0**-decimals:
        return EXACT
    if abs(found.likely - published) <= CLOSE * abs(published):
        return WITHIN
    if found.low <= published <= found.high:
        return WEAK if _width(found) >= WIDE else INSIDE
    return OUTSIDE


def _reason(pairs: Sequence[tuple[str, float, Range]], verdicts: Sequence[str]) -> str:
    """Say how far off the worst point is, and how wide its interval, where that decides."""
    worst = max(verdicts, key=VERDICTS.index)
    if worst in (EXACT, WITHIN):
        return ""
    label, published, found = max(
        (pair for pair, one in zip(pairs, verdicts, strict=True) if one == worst),
        key=lambda pair: deviation(pair[1], pair[2].likely),
    )
    at = f" at {label}" if label else ""
    width = _width(found)
    wide = f"; the interval is {width:.2g}x wide" if math.isfinite(width) else "; the interval reaches zero"
    off = deviation(published, found.likely)
    return (f"{off:.3g} times off{at}" if math.isfinite(off) else f"of another sign or zero{at}") + wide


def deviation(published: float, predicted: float) -> float:
    """Return how many times one value is the other, from one on; infinite if the signs differ."""
    if published == predicted:
        return 1.0
    if published * predicted <= 0:
        return math.inf
    quotient = abs(published / predicted)
    return max(quotient, 1 / quotient)


def _curve(pairs: Iterable[tuple[float, float]]) -> Curve:
    values = list(pairs)
    logs = [math.log(a / b) for a, b in values if a * b > 0]
    factor = math.exp(sum(logs) / len(logs)) if logs else 1.0
    after = [(a, b * factor) for a, b in values]
    return Curve(len(values), _close(values), _largest(values), factor, _close(after), _largest(after))


def _close(values: Iterable[tuple[float, float]]) -> int:
    return sum(abs(b - a) <= CLOSE * abs(a) for a, b in values)


def _largest(values: Iterable[tuple[float, float]]) -> float:
    return max(deviation(a, b) for a, b in values)


def _width(found: Range) -> float:
    return found.high / found.low if found.low > 0 else (1.0 if found.low == found.high else math.inf)


def _alone(values: Sequence[Any]) -> Any:
    """Return the only value, all of them, or None if there is none."""
    return None if not values else values[0] if len(values) == 1 else list(values)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _fact(claim: Claim) -> Row:
    """Compare numbers of a platform that are no time."""
    try:
        platform = platform_of(claim)
        found = [_at(platform, path) for path in claim.facts]
    except ShootdownError as error:
        raise claim.at.wrong(str(error), "claim", claim.name, "facts") from None
    ranges = tuple(Range(one, one, one, True) for one in found)
    verdicts = tuple(
        EXACT if one == value else verdict(value, 0, Range(one, one, one))
        for one, value in zip(found, claim.values, strict=True)
    )
    differing = [
        f"{path} is {one:g}"
        for path, one, value in zip(claim.facts, found, claim.values, strict=True)
        if one != value
    ]
    return Row(claim, ranges, max(verdicts, key=VERDICTS.index), verdicts, ", ".join(differing))


def _at(platform: Platform, path: str) -> float:
    """Return the number at a path such as `tlb.l1[0].entries`."""
    value: Any = platform
    for part in re.findall(r"\[\d+\]|[a-z]\w*", path):
        try:
            value = value[int(part[1:-1])] if part.startswith("[") else getattr(value, part)
        except (AttributeError, LookupError, TypeError):
            raise ShootdownError(f"{platform.name} has no {path}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ShootdownError(f"{path} of {platform.name} is no number")
    return float(value)
