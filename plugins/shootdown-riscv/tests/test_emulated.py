"""Instructions that are counted on an emulated machine, as the manual encodes them."""

from __future__ import annotations

import pytest

from shootdown_riscv._emulated import EMULATION


def name(word: int, half: str) -> str | None:
    """Return the name of the first pattern that an instruction has."""
    for one in EMULATION.instructions:
        if word & one.mask == one.value and one.half in ("any", half):
            return one.name
    return None


RS1, RS2 = 10 << 15, 11 << 20


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0x12000073, "sfence_vma"),
        (0x12000073 | RS2, "sfence_vma_asid"),
        (0x12000073 | RS1, ""),  # the kernel's own, and entries that a fault maps
        (0x12000073 | RS1 | RS2, "sfence_vma_addr_asid"),
        (0x16000073 | RS1 | RS2, "sinval_vma_addr_asid"),
        (0x18000073, "sfence_w_inval"),
        (0x18100073, "sfence_inval_ir"),
        (0x18051073, "csr_satp"),  # csrw satp, a0
        (0x0000100F, "fence_i"),
        (0x00000073, None),  # ecall
        (0x0FF0000F, None),  # fence
    ],
)
def test_each_word_is_one_instruction(word: int, expected: str | None) -> None:
    assert name(word, "upper") == expected


def test_what_firmware_executes_has_another_name() -> None:
    assert name(0x12000073 | RS2, "lower") == "m_sfence_vma_asid"
    assert name(0x0000100F, "lower") is None


def test_the_marks_are_counted_by_nobody() -> None:
    assert EMULATION.marks is not None
    assert name(EMULATION.marks.value, "lower") is None
