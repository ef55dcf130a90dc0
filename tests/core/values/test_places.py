"""Where CPUs are: sockets, cores and threads, by the numbers that Linux gives CPUs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.core.timed.clocked import platform

from shootdown._values.places import Place, places_of


def test_first_threads_come_before_second_ones() -> None:
    found = places_of(platform(sockets=2, smt=2), 8)
    assert found[:4] == (Place(0, 0, 0), Place(0, 1, 0), Place(1, 0, 0), Place(1, 1, 0))
    assert found[4:] == (Place(0, 0, 1), Place(0, 1, 1), Place(1, 0, 1), Place(1, 1, 1))


def test_threads_of_a_core_may_follow_one_another() -> None:
    found = places_of(platform(sockets=2, smt=4, smt_adjacent=True), 8)
    assert found == tuple(Place(socket, 0, thread) for socket in (0, 1) for thread in range(4))


@given(st.integers(1, 70), st.integers(1, 4), st.integers(1, 8), st.booleans())
def test_every_cpu_has_a_place_of_its_own(cpus: int, sockets: int, smt: int, adjacent: bool) -> None:
    found = places_of(platform(sockets=sockets, smt=smt, smt_adjacent=adjacent), cpus)
    assert len(set(found)) == cpus
    assert max(place.socket for place in found) < sockets
    assert max(place.thread for place in found) < smt
