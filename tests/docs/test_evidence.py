"""docs/evidence.md has what runs give. Run this file to write it, its pictures, and nothing else.

That its rows are what short runs give is a test of tests/core/evidence/test_verdicts.py, which has those runs.
"""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from shootdown._evidence.judging import Row, reproduce
from shootdown._evidence.shipped import shipped
from shootdown._report.evidence import markdown
from shootdown._report.evidence_pictures import ALL, CURVES, draw

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "evidence.md"
BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->\n"


def table(rows: list[Row]) -> str:
    return "\n".join(["", *markdown(rows), "", ""])


def written() -> str:
    text = PAGE.read_text()
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]


@pytest.mark.long
def test_the_whole_page_is_what_runs_give() -> None:
    assert written() == table([reproduce(claim) for claim in shipped()])


def test_every_claim_stands_on_the_page() -> None:
    text = written()
    for claim in shipped():
        assert f"* **{claim.name}**: " in text


def test_the_pictures_have_every_curve_and_claim_that_is_run() -> None:
    recorded = json.loads((ROOT / "tests/core/evidence/verdicts.json").read_text())
    curves, everything = ((ROOT / "docs" / name).read_text() for name in (CURVES, ALL))
    for claim in shipped():
        if recorded[claim.name]["points"] and claim.measure != "fact":
            assert f">{claim.name}<" in everything
    assert ">A09<" in curves
    assert ">B01<" in curves


def test_a_curve_to_which_a_cost_was_fitted_says_so(tmp_path: Path) -> None:
    (claim,) = (one for one in shipped() if one.name == "A09")
    row = reproduce(claim)
    fitted = attrs.evolve(row, claim=attrs.evolve(claim, used_by=("x86/amd-server.lru_ns",)))
    (curves, _) = draw([fitted], tmp_path)
    assert ">A09 (fitted)<" in curves.read_text()


def test_a_picture_is_the_same_for_the_same_rows(tmp_path: Path) -> None:
    rows = [reproduce(claim) for claim in shipped() if claim.name in ("A14", "A15-invlpg", "B15")]
    first, second = (draw(rows, tmp_path / name) for name in ("one", "two"))
    assert [path.read_text() for path in first] == [path.read_text() for path in second]


if __name__ == "__main__":
    found = [reproduce(claim) for claim in shipped()]
    text = PAGE.read_text()
    PAGE.write_text(text[: text.index(BEGIN) + len(BEGIN)] + table(found) + text[text.index(END) :])
    draw(found, PAGE.parent)
