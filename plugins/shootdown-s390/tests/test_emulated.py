"""Instructions that are counted on an emulated machine, and rows that were measured there."""

from __future__ import annotations

import pytest

from shootdown_s390._emulated import EMULATION


def name(*content: int) -> str | None:
    """Return the name of the first pattern that an instruction has, of its bytes in memory."""
    word = int.from_bytes(bytes(content), "little")
    for one in EMULATION.instructions:
        if word & one.mask == one.value:
            return one.name
    return None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ((0xB2, 0x21, 0x00, 0x12), "ipte"),
        ((0xB2, 0x21, 0x31, 0x12), "ipte_local"),
        ((0xB9, 0x8E, 0x20, 0x01), "idte_asce"),  # R1 is 0
        ((0xB9, 0x8E, 0x20, 0x31), "idte"),
        ((0xB9, 0x8E, 0x21, 0x31), "idte_local"),
        ((0xB9, 0x8F, 0x20, 0x31), None),  # CRDTE
        ((0x47, 0x00, 0x55, 0xD1), None),
    ],
)
def test_each_word_is_one_instruction(content: tuple[int, ...], expected: str | None) -> None:
    assert name(*content) == expected


def test_the_mark_is_a_branch_that_is_never_taken() -> None:
    assert EMULATION.marks is not None
    assert (EMULATION.marks.value | 2 << EMULATION.marks.shift).to_bytes(4, "little") == bytes(
        (0x47, 0, 0x55, 0xD2)
    )
