"""The programs that a hunt tries: each once, all readable, the smaller ones first, and random ones by their seed."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import attrs
import pytest

from shootdown._programs.reading import read_file, read_values
from shootdown._programs.sketch import FORK, START, Sketch
from shootdown._programs.worlds import programs, random_program, worlds
from shootdown._questions.hunt import grounds
from shootdown._values.setup import Setup


@pytest.fixture(name="scene", params=["x86", "arm64", "powerpc"])
def _scene(request: pytest.FixtureRequest) -> Setup:
    (ground,) = grounds(arch=[request.param], kernels=["7.3.4"])
    return ground.scene


def test_programs_of_fewer_calls_come_first_and_each_is_there_once(scene: Setup) -> None:
    found = list(programs(scene, 2))
    assert [one.calls for one in found] == sorted(one.calls for one in found)
    assert len(set(found)) == len(found)
    for one in found:
        for order in permutations(one.processes) if not one.has(FORK) else ():
            assert attrs.evolve(one, processes=tuple(order)).canonical() == one
    assert all(one.calls == 1 for one in programs(scene, 1))


def test_every_program_can_be_read(scene: Setup) -> None:
    for one in programs(scene, 2):
        read_values(one.tables())


def test_a_program_written_to_a_file_is_the_same(scene: Setup, tmp_path: Path) -> None:
    for number in range(40):
        one = random_program(scene, 3, number)
        path = tmp_path / "one.toml"
        path.write_text(one.toml("what it is"))
        assert dict(read_file(path).tables) == one.tables()


def test_tables_are_shared_only_where_the_architecture_shares_them(scene: Setup) -> None:
    shares = scene.lowering.no_pmd_sharing() is None
    assert any(world.sketch.kind == "hugetlb" for world in worlds(scene)) == shares


def test_huge_pages_are_split_moved_collapsed_and_forked_where_there_are_any(scene: Setup) -> None:
    verbs = {
        call.split(" ")[0] for world in worlds(scene) for call in world.calls if world.sketch.kind == "thp"
    }
    assert {"munmap", "madvise", "mprotect", "mremap", "khugepaged", "touch", "exit"} <= verbs
    assert len({world.makes for world in worlds(scene) if world.sketch.kind == "thp"}) == 2
    (guest,) = grounds(platforms=["xen-pv-guest"], kernels=["7.3.4"])
    assert not any(world.sketch.kind == "thp" for world in worlds(guest.scene))


def test_processes_are_forked_and_threads_started(scene: Setup) -> None:
    """Each such program has one fork, of its second process, or starts its last thread."""
    found = list(programs(scene, 2))
    for call in (FORK, START):
        making = [one for one in found if one.has(call)]
        for verb in ("touch", "munmap", "mprotect", "madvise"):
            assert any(one.has(verb) for one in making)
        for one in making:
            everything = [call for threads in one.processes for thread in threads for call in thread]
            assert everything.count(call) == 1
            assert any(call in thread for thread in one.processes[0])
            assert len(one.processes) == 2 - (call == START)


def test_a_thread_whose_first_call_maps_memory_signals_something_before(scene: Setup) -> None:
    """Otherwise the memory would be mapped when a search begins."""
    one = next(one for one in programs(scene, 2) if one.said == "madvise heap DONTNEED | touch heap write")
    assert one.tables()["process"]["A"]["thread"]["second"]["do"] == ["signal begun", "touch heap write"]


def test_a_random_program_has_so_many_calls_and_is_that_of_its_seed(scene: Setup) -> None:
    found = [random_program(scene, 1, number) for number in range(50)]
    assert all(one.calls == 3 for one in found)
    assert found == [random_program(scene, 1, number) for number in range(50)]
    assert found != [random_program(scene, 2, number) for number in range(50)]


def test_what_is_one_thing_smaller_has_one_thing_less() -> None:
    whole = Sketch(
        "anonymous", 1 << 21, ((("munmap @", "gup @[0:4K]"), ("spin",)), (("exit",),)), ("@[0:4K]", "@")
    )
    found = list(whole.smaller())
    assert all(one.weight < whole.weight for one in found)
    assert (
        attrs.evolve(whole, processes=((("munmap @[0:4K]", "gup @[0:4K]"), ("spin",)), (("exit",),))) in found
    )
    assert attrs.evolve(whole, processes=whole.processes[:1]) in found
