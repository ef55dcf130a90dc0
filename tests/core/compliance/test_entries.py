"""Lowerings that flush entries as they change: right ones are shown, and of wrong ones each is found."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.core.compliance import wrong_entries as wrong
from tests.core.compliance.narrow import narrow, outcomes
from tests.core.compliance.toys import findings, good

#: For each wrong lowering the statement that finds it, and what its message says.
NAMED = {
    "ForgetsCopyOnWrite": ("5.1", "flush_tlb_page.* keeps the translation"),
    "ForgetsFork": ("5.1", "flush_tlb_mm.* keeps the translation"),
    "ForgetsSplits": ("5.1", "flush_pmd_tlb_range.* keeps the translation"),
    "FirstEntryOnly": ("5.1", "asked for pages 0 to 1: .* keeps the translation of page 1"),
    "FromTheStart": ("5.1", "flush_tlb_page.* keeps the translation of page 3"),
    "HugeAsBase": ("5.1", "huge.* keeps the translation of pages 0 to 511|keeps the translation of pages"),
    "KeepsWhatIsBelow": ("5.1", "pmdp_collapse_flush.* keeps the translation of page 1"),
    "LinksStay": ("5.3", "pmdp_collapse_flush.* keeps the walk-cache link"),
    "FreedTablesSetNothing": ("5.3", "keeps the walk-cache link to a page table that is gone"),
    "FlagOfTheCpu": ("5.3", "keeps the walk-cache link to a page table that is gone"),
    "FlagTheOtherWayRound": ("5.3", "keeps the walk-cache link to a page table that is gone"),
    "MarksOnly": ("5.1", "flush_tlb_range.* keeps the translation"),
    "NeverWaits": ("4.2", "a path ends without waiting for CALL_BROADCAST"),
    "SetsWithoutWaiting": ("4.2", "the setting of entries.* a path ends without waiting for CALL_INVALIDATE"),
    "SetsNobodysRange": ("4.2", "begins the flush of gather 1, which nobody has given a range"),
}


@pytest.mark.parametrize("lowering", wrong.FLAWLESS, ids=lambda one: one.__name__)
def test_a_right_lowering_is_shown(lowering: Any) -> None:
    for number, found in outcomes(["4", "5", "6"], narrow(lowering)).items():
        assert (number, found.findings) == (number, ())


def test_each_wrong_lowering_has_a_message_that_names_its_mistake() -> None:
    assert {one.__name__ for one in wrong.wrong()} - {"FreesAtOnce"} == set(NAMED)


@pytest.mark.long
def test_tables_that_are_freed_before_any_flush_while_hardware_walks_break_a_scenario() -> None:
    text = "\n".join(outcomes(["7.1"], narrow(wrong.FreesAtOnce))["7.1"].findings)
    assert re.search("lazy-freed-tables.* breaks walk-cache", text), text


@pytest.mark.parametrize("name", NAMED)
def test_a_wrong_lowering_is_found_and_its_mistake_named(name: str) -> None:
    number, words = NAMED[name]
    found = outcomes([number], narrow(getattr(wrong, name)))
    text = "\n".join(line for one in found.values() for line in one.findings)
    assert re.search(words, text), text or "nothing was found"


def test_instructions_that_entries_count_have_their_places_too() -> None:
    named = {"tbis": "manual", "tbia": "manual", "ipte": "manual", "gone": "manual"}
    assert "'gone', which no flush counts" in findings(
        "9.3", good(lower=wrong.Invalidates, instructions=named)
    )
