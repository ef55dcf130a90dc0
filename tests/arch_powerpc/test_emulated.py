"""Instructions that are counted on an emulated machine, as the manual encodes them."""

from __future__ import annotations

import pytest

from shootdown_powerpc._emulated import EMULATION


def names(word: int) -> list[str]:
    return [one.name for one in EMULATION.instructions if word & one.mask == one.value]


@pytest.mark.parametrize(
    ("word", "name"),
    [
        # tlbie RB, RS, RIC, PRS, R: 31 | RS | / | RIC | PRS | R | RB | 306
        (31 << 26 | 4 << 21 | 0 << 18 | 1 << 17 | 1 << 16 | 9 << 11 | 306 << 1, "tlbie_ric0_prs1_r1"),
        (31 << 26 | 4 << 21 | 2 << 18 | 1 << 17 | 1 << 16 | 9 << 11 | 306 << 1, "tlbie_ric2_prs1_r1"),
        (31 << 26 | 4 << 21 | 1 << 18 | 1 << 17 | 1 << 16 | 9 << 11 | 274 << 1, "tlbiel_ric1_prs1_r1"),
        (31 << 26 | 4 << 21 | 9 << 11 | 274 << 1, "tlbiel_ric0_prs0_r0"),
        (31 << 26 | 566 << 1, "tlbsync"),
    ],
)
def test_each_word_is_one_instruction(word: int, name: str) -> None:
    assert names(word) == [name]


def test_marks_and_a_ptesync_are_none() -> None:
    assert EMULATION.marks is not None
    assert names(EMULATION.marks.value) == []
    assert names(0x7C4004AC) == []
