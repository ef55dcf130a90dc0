"""No verdict gets worse, and counts are what they were. Run this file to record what runs give now."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from shootdown._evidence.claim import Claim
from shootdown._evidence.judging import NO_CLAIM, VERDICTS, Row, reproduce
from shootdown._evidence.shipped import shipped
from shootdown._report.evidence import markdown

RECORD = Path(__file__).parent / "verdicts.json"
#: Claims whose runs take more than two seconds of CPU time each.
LONG = ("B01", "B03", "C01", "C01-after")
#: Series that docs/evidence.md is compared with by `make long` alone.
LONG_ON_THE_PAGE = ("A01", "A09", "A10", "A37", "B01", "B03", "B06", "C01")


def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORD.read_text())
    return found


def entry(row: Row) -> dict[str, Any]:
    """Return what is recorded: the verdicts of all points, and the values that are counts."""
    counts = [one.likely for one in row.ranges if one.counted]
    return {"verdict": row.verdict, "points": list(row.verdicts), **({"counts": counts} if counts else {})}


def claims(*, long: bool) -> list[Claim]:
    return [claim for claim in shipped() if (claim.name in LONG) is long]


@cache
def reproduced(name: str) -> Row:
    """Return what runs give for a claim: once for the tests of verdicts and of the page."""
    (claim,) = (one for one in shipped() if one.name == name)
    return reproduce(claim)


def judge(claim: Claim) -> None:
    row, before = reproduced(claim.name), recorded()[claim.name]
    now = entry(row)
    worse = VERDICTS.index(now["verdict"]) > VERDICTS.index(before["verdict"])
    assert not worse, f"{claim.name} was {before['verdict']} and is {now['verdict']}: {row.reason}"
    for at, (old, new) in enumerate(zip(before["points"], now["points"], strict=False)):
        assert VERDICTS.index(new) <= VERDICTS.index(old), f"{claim.name}, value {at + 1}: {old}, now {new}"
    if "counts" in before:
        assert now["counts"] == before["counts"]


def test_every_claim_is_recorded() -> None:
    assert {claim.name for claim in shipped()} == set(recorded())


def test_all_series_at_hand_have_a_claim() -> None:
    series = {name.partition("-")[0] for name in recorded()}
    numbers = {"A": set(range(1, 46)) - {7, 8, 11, 12, 13, 25, 33, 35}}
    numbers["B"] = {
        1,
        3,
        4,
        5,
        6,
        8,
        9,
        11,
        12,
        13,
        15,
        17,
        18,
        19,
        21,
        23,
        25,
        26,
        *range(28, 33),
        *range(35, 41),
    }
    wanted = {f"{letter}{number:02}" for letter, those in numbers.items() for number in those}
    assert wanted <= series
    assert len(wanted) == 66


@pytest.mark.compiled
@pytest.mark.parametrize("claim", claims(long=False), ids=lambda claim: claim.name)
def test_no_verdict_gets_worse(claim: Claim) -> None:
    judge(claim)


@pytest.mark.compiled
def test_the_page_has_what_runs_give() -> None:
    from tests.docs.test_evidence import written  # not where this file is a script

    rows = [reproduced(one.name) for one in shipped() if one.name.partition("-")[0] not in LONG_ON_THE_PAGE]
    lines = [line for line in markdown(rows) if line.startswith(("| ", "* **"))]
    there = set(written().splitlines())
    assert [line for line in lines if line not in there] == [], "make evidence writes docs/evidence.md anew"


@pytest.mark.long
@pytest.mark.parametrize("claim", claims(long=True), ids=lambda claim: claim.name)
def test_no_verdict_of_long_runs_gets_worse(claim: Claim) -> None:
    judge(claim)


def test_what_is_no_claim_says_where_it_stands() -> None:
    for claim in shipped():
        if claim.measure == "none":
            row = reproduced(claim.name)
            assert row.verdict == NO_CLAIM
            assert row.reason


if __name__ == "__main__":
    before = recorded() if RECORD.exists() else {}
    found = {}
    for one in shipped():
        found[one.name] = now = entry(reproduce(one))
        old = before.get(one.name, now)["verdict"]
        if VERDICTS.index(now["verdict"]) > VERDICTS.index(old):
            print(f"WORSE: {one.name} was {old} and is {now['verdict']}")
    RECORD.write_text(json.dumps(found, indent=1) + "\n")
