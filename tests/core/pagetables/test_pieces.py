"""The pieces of an address in an entry, which move up (riscv) or down (MIPS) as it is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.compliance.toys import good, outcome
from twins.mips import MIPS64

from shootdown._compilation.running import plain
from shootdown._compliance import twin
from shootdown._pagetables import walker
from shootdown._values.errors import MistakeError
from shootdown.formats import (
    Access,
    AddressSpace,
    Fault,
    Format,
    Level,
    PhysicalMemory,
    Piece,
    Test,
    Walker,
    bits,
    mappings,
    trace,
)

PAGE = 4096


def piece_at(place: int, lowest: int, highest: int) -> Piece:
    """Return the piece that holds address bits `lowest` to `highest` from bit `place` of an entry on."""
    mask = bits(place, place + highest - lowest)
    return Piece(mask, max(0, lowest - place), down=max(0, place - lowest))


@st.composite
def formats(draw: st.DrawFn) -> Format:
    """Draw a format whose addresses, of 40 bits, lie in two pieces of an entry, wherever there is room."""
    split = draw(st.integers(14, 38))
    first = draw(st.integers(2, 34))
    after = first + split - 12
    second = draw(st.integers(after, 64 - (40 - split)))
    return Format(
        name="drawn",
        summary="",
        levels=(Level("L1", "pmd", 9, "never"), Level("L0", "pte", 9, "always")),
        page_shift=12,
        va_bits=30,
        va_upper="zero",
        present=Test(1, 1),
        points_to_table=Test(2, 0),
        address=(piece_at(first, 12, split - 1), piece_at(second, split, 39)),
        table_bits=1,
        leaf_bits=1,
        attributes=(),
        deny=(),
        root_mask=bits(12, 39),
        faults=(Fault("fault"),),
    )


@given(formats(), st.integers(1, (1 << 18) - 1), st.integers(1, (1 << 28) - 1))
def test_the_walk_kernel_the_listing_and_the_twin_find_what_was_mapped_wherever_its_address_lies(
    form: Format, page: int, frame: int
) -> None:
    memory = PhysicalMemory()
    space = AddressSpace(form, memory)
    va, pa = page * PAGE, frame * PAGE
    space.map(va, pa, PAGE, "r")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walker, "runnable", plain)
        assert Walker(form, memory).walk(space.root, va + 5).pa == pa + 5
    slow = twin.walk(form, memory.read, space.root, va + 5, Access(), form.settings())
    assert slow.pa == trace(form, memory, space.root, va + 5).pa == pa + 5
    assert [(one.va, one.pa) for one in mappings(form, memory, space.root)] == [(va, pa)]


@given(formats(), st.integers(0, (1 << 64) - 1))
def test_what_is_read_of_an_entry_is_what_was_written_into_it(form: Format, entry: int) -> None:
    for piece in form.address:
        address = piece.read(entry)
        assert piece.written(address) == entry & piece.mask
        words = np.array([entry, 0], dtype=np.uint64)
        assert piece.read(words).tolist() == [address, 0]
        assert piece.written(piece.read(words)).tolist() == [entry & piece.mask, 0]


def test_bits_that_move_both_ways_are_refused() -> None:
    with pytest.raises(MistakeError, match="piece: its bits move up by 2 and down by 1; one of the two is 0"):
        Piece(bits(12, 20), 2, down=1)


@pytest.mark.parametrize("number", [f"1.{n}" for n in range(1, 12)])
def test_each_statement_about_formats_is_shown_of_mips(number: str) -> None:
    found = outcome(number, good(formats=(MIPS64,)))
    assert found.word == "shown", (found.findings, found.unevidenced)
