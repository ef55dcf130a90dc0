"""Emulated page tables take the memory that a kernel's would, and a bit for each frame."""

import pytest

from shootdown._pagetables.format import Format
from shootdown._plugins.registry import registry
from shootdown.formats import AddressSpace, PhysicalMemory

FORMATS = {name: form for name, form in registry().formats().items() if isinstance(form, Format)}
FRAME = 4096


@pytest.mark.parametrize("name", FORMATS)
def test_a_mapped_range_holds_exactly_the_frames_of_its_tables(name):
    form = FORMATS[name]
    memory = PhysicalMemory()
    space = AddressSpace(form, memory, settings=form.settings())
    size = 64 << form.shifts[-2]  # 64 last tables
    space.map(0, 0, size, "rw", page_size=1 << form.page_shift)
    expected = 0
    for level in range(len(form.levels)):
        span = 1 << form.shifts[level] + form.levels[level].bits
        expected += -(-size // span) * -(-form.table_bytes(level) // FRAME)
    assert memory.frames == expected
