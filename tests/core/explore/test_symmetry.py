"""One state stands for all that differ in names, whichever of them a search comes to first."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._compilation.running import runnable
from shootdown._explore import engine
from shootdown._explore.engine import Explorer
from shootdown._explore.outcome import Reductions
from shootdown._explore.packing import unpack
from shootdown._explore.renaming import canonical, room_for_keys, weigh, weigh_all
from shootdown._explore.search import rehash
from shootdown._explore.symmetry import all_renamed, evened
from shootdown._questions.explore import explorations

CASES = (
    ("unshare-walk-cache", 3, ()),
    ("unshare-walk-cache", 4, ()),
    ("unshare-gup", 4, ()),
    ("unshare-gup", 3, ("platform.flush=kvm",)),
)


@functools.cache
def explorer(case, *, symmetry=True):
    name, sharers, chosen = case
    (prepared,) = explorations(
        name, arch=["x86"], kernels=["7.0"], parameters={"sharers": sharers}, settings=chosen
    )
    return Explorer(prepared.program.build(prepared.setup()), Reductions(symmetry=symmetry))


@functools.cache
def states_of(case, *, symmetry):
    """Search, and list all states that were found, unpacked."""
    found = {}
    searching = explorer(case, symmetry=symmetry)
    outcome_of = searching._outcome

    def catch(verdict, invariant, store, words, row, after):
        found["store"] = store
        return outcome_of(verdict, invariant, store, words, row, after)

    plans = []
    plan_for = engine.plan_for

    def noted(width):
        plans.append(plan_for(width))
        return plans[-1]

    searching._outcome = catch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "plan_for", noted)
        outcome = searching.search()
    state = searching.first.copy()
    rows = []
    for n in range(outcome.states):
        runnable(unpack)(found["store"].rows, n * plans[-1].words, state, plans[-1])
        rows.append(state.astype(np.int64)[: searching.problem.machine.layout.size])
    return np.array(rows)


def standing_for(case, state):
    """Rename a state to the one that stands for it."""
    sym = explorer(case).symmetry
    renamed = state.astype(np.uint32)
    runnable(canonical)(renamed, renamed.copy(), np.zeros(room_for_keys(sym), np.uint64), sym)
    return tuple(renamed)


@pytest.mark.parametrize("case", CASES, ids=str)
@given(data=st.data())
def test_whatever_its_names_a_state_is_renamed_to_the_same(case, data):
    states = states_of(case, symmetry=False)
    state = states[data.draw(st.integers(0, len(states) - 1))]
    sym = explorer(case).symmetry
    which = data.draw(st.integers(0, sym.renamings - 1))
    assert standing_for(case, all_renamed(state, sym, which)) == standing_for(case, state)


@pytest.mark.parametrize("case", CASES[:2], ids=str)
def test_the_search_keeps_the_states_that_stand_for_others_and_no_more(case):
    states = states_of(case, symmetry=True)
    for state in states[1 :: max(len(states) // 200, 1)]:
        assert standing_for(case, state) == tuple(state)


@pytest.mark.parametrize("case", CASES[:2], ids=str)
def test_a_search_finds_as_many_states_as_there_are_that_renaming_tells_apart(case):
    sym = explorer(case).symmetry
    whole = states_of(case, symmetry=False)
    smallest = {min(tuple(all_renamed(s, sym, which)) for which in range(sym.renamings)) for s in whole}
    reduced = states_of(case, symmetry=True)
    assert len(reduced) == len(smallest) < len(whole)
    assert {
        min(tuple(all_renamed(s, sym, which)) for which in range(sym.renamings)) for s in reduced
    } == smallest


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_key_that_followed_a_change_is_the_key_of_what_came_of_it(case):
    sym = explorer(case).symmetry
    states = states_of(case, symmetry=False)
    keys = np.zeros(room_for_keys(sym), np.uint64)
    before = np.full_like(states[0], -1)
    for state in states[:: max(len(states) // 40, 1)]:
        for cell in sym.order:
            runnable(weigh)(keys, 0, sym, int(cell), int(before[cell]), int(state[cell]))
        fresh = np.zeros(room_for_keys(sym), np.uint64)
        runnable(weigh_all)(state.astype(np.uint32), fresh, sym)
        assert list(keys[: sym.groups + 1]) == list(fresh[: sym.groups + 1])
        before = state


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_renamed_state_fits_wherever_the_state_does(case):
    sym = explorer(case).symmetry
    states = states_of(case, symmetry=False)
    first = explorer(case).first
    width = np.zeros(len(first), np.int64)
    for cell in range(states.shape[1]):
        if (states[:, cell] != first[cell]).any():
            width[cell] = int(states[:, cell].max()).bit_length()
    width = evened(sym, first, width)
    for state in states[:: max(len(states) // 40, 1)]:
        for which in range(sym.renamings):
            there = all_renamed(state, sym, which)
            constant = width[: len(there)] == 0
            assert (there[constant] == first[: len(there)][constant]).all()
            assert (there[~constant] >> width[: len(there)][~constant] == 0).all()


def test_the_table_is_filled_with_every_row_again():
    case = CASES[0]
    stores = []
    searching = Explorer(explorer(case).problem)
    outcome_of = searching._outcome
    searching._outcome = lambda v, i, store, w, r, a: (
        stores.append((store, w)) or outcome_of(v, i, store, w, r, a)
    )
    outcome = searching.search()
    (store, words) = stores[-1]
    before = sorted(store.table[store.table != 0])
    store.table[:] = 0
    runnable(rehash)(store, words)
    assert sorted(store.table[store.table != 0]) == before == list(range(1, outcome.states + 1))
