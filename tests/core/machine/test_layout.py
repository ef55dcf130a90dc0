"""Where each thing lies in the state, for timed runs and for exploration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.machine.tiny import Tiny, laid_out

from shootdown._machine import layout as places
from shootdown._machine import ops as o
from shootdown._machine import sets
from shootdown._machine.layout import (
    CPU_SETS,
    MM_SETS,
    Layout,
    cpus_of,
    empty_state,
    set_cpu,
    with_cells,
    with_walkers,
)
from shootdown._machine.sets import cpu_set, has, mm_set, put, take_out
from shootdown._machine.variables import largest

SIZES = st.fixed_dictionaries({
    "cpus": st.integers(1, 200), "tasks": st.integers(1, 9), "mms": st.integers(1, 5), "slots": st.integers(1, 4),
    "classes": st.integers(1, 3), "locks": st.integers(0, 9), "events": st.integers(1, 3),
    "asids": st.integers(1, 6), "bits": st.sampled_from((16, 64)), "variables": st.integers(0, 9),
    "entries": st.integers(0, 4), "stores": st.integers(0, 4),
})  # fmt: skip


@given(SIZES)
def test_parts_lie_one_behind_another_and_none_overlaps_the_next(sizes: dict[str, int]) -> None:
    layout = laid_out(**sizes)
    starts = [value for name, value in zip(Layout._fields, layout, strict=True) if name.startswith("o_")]
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert layout.o_store + layout.cpus * layout.stores * places.STORE_CELLS <= starts[-1] <= layout.size


@given(SIZES)
def test_a_state_is_a_whole_number_of_eight_cells(sizes: dict[str, int]) -> None:
    assert laid_out(**sizes).size % 8 == 0


@given(SIZES)
def test_a_set_has_a_bit_for_each_cpu(sizes: dict[str, int]) -> None:
    layout = laid_out(**sizes)
    assert (layout.words - 1) * layout.bits < layout.cpus <= layout.words * layout.bits
    assert 1 << layout.shift == layout.bits


@given(SIZES)
def test_in_the_first_state_every_cpu_is_online_and_idle_and_nothing_else_is_known(
    sizes: dict[str, int],
) -> None:
    layout = laid_out(**sizes)
    state = empty_state(layout, "int64" if layout.bits == 64 else "uint32")
    assert cpus_of(state, layout, "online") == list(range(layout.cpus))
    assert np.count_nonzero(state) == layout.words


@pytest.mark.parametrize(("bits", "dtype"), [(64, "int64"), (16, "uint32")])
def test_the_last_cpu_of_a_word_is_in_a_set_as_any_other(bits: int, dtype: str) -> None:
    layout = laid_out(cpus=130, bits=bits)
    state = empty_state(layout, dtype)
    for cpu in (bits - 1, 2 * bits - 1, 129):
        set_cpu(state, layout, "lazy", cpu)
    assert cpus_of(state, layout, "lazy") == sorted({bits - 1, 2 * bits - 1, 129})


def test_the_largest_number_of_a_cell_is_one_that_it_holds() -> None:
    assert laid_out(bits=16).most == np.iinfo(np.uint32).max
    assert laid_out(bits=64).most < np.iinfo(np.int64).max


@pytest.mark.parametrize(("cpus", "words"), [(8, 1), (40, 3)])
def test_wider_cells_leave_everything_where_it_lay(cpus: int, words: int) -> None:
    narrow = laid_out(cpus=cpus, bits=16)
    wide = with_cells(narrow, 64)
    assert (wide.bits, wide.shift, wide.words, wide.most) == (16, 4, words, (1 << 62) - 1)
    assert wide._replace(most=narrow.most) == narrow


def test_sums_wrap_around_in_wider_cells_as_they_did_and_later_in_a_timed_run() -> None:
    narrow = laid_out(bits=16)
    assert largest(with_cells(narrow, 64)) == largest(narrow) < largest(laid_out(bits=64))


def test_cells_never_get_narrower() -> None:
    with pytest.raises(AssertionError, match="wider"):
        with_cells(laid_out(bits=64), 16)


@given(SIZES)
def test_walk_caches_come_to_hold_links_and_everything_else_stays_where_it_lay(sizes: dict[str, int]) -> None:
    plain = laid_out(**sizes)
    walking = with_walkers(plain)
    assert (plain.walks, walking.walks) == (0, 1)
    assert walking._replace(walks=0, size=plain.size) == plain
    assert walking.o_links + walking.cpus * walking.mms * walking.slots <= walking.size
    assert walking.size % 8 == 0


def test_where_there_are_atoms_walk_caches_hold_links_anyway() -> None:
    layout = laid_out(atoms=3, frames=1)
    assert layout.walks == 1
    assert with_walkers(layout) == layout


# --- sets of CPUs, as kernels reach them


@pytest.mark.parametrize("name", CPU_SETS)
def test_kernels_know_each_set_of_the_machine_by_its_position(name: str) -> None:
    layout = laid_out(cpus=40)
    state = empty_state(layout)
    set_cpu(state, layout, name, 37)
    assert has(state, cpu_set(layout, getattr(sets, name.upper())), layout, 37)


@pytest.mark.parametrize("name", MM_SETS)
def test_kernels_know_each_set_of_an_mm_by_its_position(name: str) -> None:
    machine = Tiny()
    machine.put(name, 3, mm=1)
    layout = machine.layout
    of_0, of_1 = (mm_set(layout, mm, getattr(sets, name.upper())) for mm in (0, 1))
    assert has(machine.state, of_1, layout, 3)
    assert not has(machine.state, of_0, layout, 3)


@given(st.integers(1, 130).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_a_set_holds_the_cpus_that_were_put_into_it_and_not_taken_out(drawn: tuple[int, set[int]]) -> None:
    cpus, members = drawn
    layout = laid_out(cpus=cpus, tasks=1)
    state = empty_state(layout)
    at = cpu_set(layout, sets.LAZY)
    for cpu in range(cpus):
        put(state, at, layout, cpu)
    for cpu in set(range(cpus)) - members:
        take_out(state, at, layout, cpu)
    assert cpus_of(state, layout, "lazy") == sorted(members)
    assert {cpu for cpu in range(cpus) if has(state, at, layout, cpu)} == members


def test_every_operation_has_a_number_of_its_own() -> None:
    """Operations are those constants of `ops` that come before the first constant of another kind."""
    import re
    from pathlib import Path

    text = Path(o.__file__).read_text()
    names = re.findall(
        r"^([A-Z][A-Z_0-9]*) = (?:\(\n)?\s*(?:AFTER \+ )?\d+", text.split("# --- control")[1], re.M
    )
    operations = names[: names.index("EXECUTE") + 1]
    kinds = {"ROUNDED", "IN_PAGES", "UNTRACKED", "BASE_STRIDES", "PMD_STRIDES"}
    numbers = [getattr(o, name) & ~o.AFTER for name in operations if name not in kinds]
    assert len(numbers) > 80
    assert len(set(numbers)) == len(numbers)
