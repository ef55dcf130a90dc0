"""ASIDs, generations and rollover: nobody ever meets another's translations."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shootdown import ShootdownError
from shootdown_arm64._asids import AsidAllocator


def test_each_address_space_gets_the_next_asid_and_0_is_nobodys():
    asids = AsidAllocator(cpus=2, bits=8)
    assert [asids.switch(0, mm).asid for mm in range(5)] == [1, 2, 3, 4, 5]
    assert asids.switch(1, 2).asid == 3


@pytest.mark.parametrize(
    ("bits", "kpti", "spaces"), [(8, False, 255), (8, True, 127), (16, False, 65535), (16, True, 32767)]
)
def test_so_many_address_spaces_fit_a_generation(bits, kpti, spaces):
    """With KPTI each takes an even ASID and the odd one after it."""
    asids = AsidAllocator(cpus=1, bits=bits, kpti=kpti)
    first = [asids.switch(0, mm) for mm in range(spaces)]
    assert {switch.generation for switch in first} == {1}
    assert not any(switch.flushes for switch in first)
    assert len({switch.asid for switch in first}) == spaces
    assert all(0 < switch.asid < 1 << bits and (not kpti or switch.asid % 2 == 0) for switch in first)
    last = asids.switch(0, spaces)
    assert (last.generation, last.flushes, last.rolls_over) == (2, True, True)


def test_after_a_rollover_each_cpu_flushes_once_at_its_next_switch():
    asids = AsidAllocator(cpus=3, bits=8)
    for mm in range(255):
        asids.switch(0, mm)
    assert asids.switch(1, 300).rolls_over
    assert [asids.switch(cpu, 400 + cpu).flushes for cpu in (0, 1, 2)] == [True, False, True]
    assert not any(asids.switch(cpu, 500 + cpu).flushes for cpu in (0, 1, 2))


def test_what_runs_during_a_rollover_keeps_its_asid_and_gets_the_new_generation():
    asids = AsidAllocator(cpus=2, bits=8)
    running = asids.switch(1, 7)
    for mm in range(100, 354):
        asids.switch(0, mm)
    assert asids.switch(0, 354).generation == 2
    again = asids.switch(1, 7)
    assert (again.asid, again.generation, again.flushes) == (running.asid, 2, True)


def test_an_asid_that_is_kept_over_a_rollover_is_nobody_elses():
    asids = AsidAllocator(cpus=2, bits=8)
    kept = asids.switch(1, 7).asid
    found = {asids.switch(0, mm).asid for mm in range(100, 354 + 250)}
    assert kept not in found


def test_an_old_asid_is_taken_up_again_if_it_is_still_free():
    asids = AsidAllocator(cpus=1, bits=8)
    held = [asids.switch(0, mm).asid for mm in range(255)]
    asids.switch(0, 255)
    assert asids.switch(0, 99).asid == held[99]


def test_the_asid_of_a_dead_address_space_is_not_given_away_before_the_rollover():
    """This is why exit may leave leaf entries in the TLB (fullmm without freed_tables)."""
    asids = AsidAllocator(cpus=1, bits=8)
    dead = asids.switch(0, 0).asid
    asids.forget(0)
    switches = [asids.switch(0, mm) for mm in range(1, 400)]
    first = next(switch for switch in switches if switch.asid == dead)
    flushed = next(switch for switch in switches if switch.flushes)
    assert first.generation == flushed.generation == 2
    assert switches.index(flushed) <= switches.index(first)


@settings(max_examples=40)
@given(st.booleans(), st.integers(0, 1 << 32))
def test_no_cpu_ever_runs_with_an_asid_under_which_it_cached_another_address_space(kpti, seed):
    """A CPU may cache anything of what it runs at any time; a flush empties it."""
    random = Random(seed)
    asids = AsidAllocator(cpus=4, bits=8, kpti=kpti)
    cached = [{} for _ in range(4)]
    running = [None] * 4
    for number in range(900):
        cpu, dies = random.randrange(4), random.random() < 0.5
        mm = 1000 + number if dies else random.randrange(140)
        switch = asids.switch(cpu, mm)
        if switch.flushes:
            cached[cpu].clear()
        running[cpu] = (switch.asid, mm)
        for each in range(4):
            if running[each] is not None:
                asid, owner = running[each]
                assert cached[each].setdefault(asid, owner) == owner
        owners = {}
        for at in running:
            if at is not None:
                assert owners.setdefault(at[0], at[1]) == at[1]
        if dies:
            asids.forget(mm)
    assert asids.generation > 1


def test_asids_that_do_not_exist_are_refused():
    with pytest.raises(ShootdownError, match="there is 8 and 16"):
        AsidAllocator(cpus=1, bits=12)
    with pytest.raises(ShootdownError, match="128 CPUs and 127 ASIDs"):
        AsidAllocator(cpus=128, bits=8, kpti=True)
