"""Programs that are linked from the calls of their world have the verdicts of those that are written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count, islice, pairwise
from typing import Any

import attrs
import numpy as np
import pytest

from shootdown._explore.engine import Explorer
from shootdown._explore.linking import STATES, WHY, link
from shootdown._explore.many import Many, _store
from shootdown._explore.search import ALL, GROW
from shootdown._explore.searches import _FIRST_ROOM, _LARGER
from shootdown._explore.searches_plain import search_plain
from shootdown._programs.explored import build
from shootdown._programs.linkable import ASKS_MORE, DoesNotFitError, Linkable, Row
from shootdown._programs.reading import read_values
from shootdown._programs.sketch import RUNS, Sketch
from shootdown._programs.worlds import World, programs, random_program, worlds
from shootdown._questions.hunt import grounds
from shootdown._questions.hunt_batch import Batches, _Explored
from shootdown._questions.hunt_ground import Ground, explored
from shootdown._values.setup import Setup
from shootdown._values.verdict import INCONCLUSIVE, NOT_APPLICABLE, SAFE

_MOST = 300_000
#: The part of programs without accesses that may have to be written, as calls of theirs are not linked together.
_UNLINKED = 0.15
#: Grounds: today's kernels, with tasks that are preempted while a flush waits too, an old one, a guest whose vCPUs are
#: preempted, and old fixes turned off.
_GROUNDS = {
    "x86": ("x86", "intel-server", "7.3.4", ()),
    "preempted": ("x86", "intel-server", "7.3.4", ()),
    "arm64": ("arm64", "neoverse-v2", "7.3.4", ()),
    "powerpc": ("powerpc", "power9", "7.3.4", ()),
    "old arm64": ("arm64", "neoverse-v2", "6.15", ()),
    "guest": ("x86", "kvm-guest", "7.3.4", ()),
    "preempted guest": ("x86", "kvm-guest", "7.3.4", ()),
    "preempted arm64": ("arm64", "neoverse-v2", "7.3.4", ()),
    "nested gathers": ("x86", "intel-server", "7.3.4", ("kernel.nested_gathers_flush=false",)),
    "mremap": ("arm64", "neoverse-v2", "7.3.4", ("kernel.mremap_flushes_locked=false",)),
}


def _ground(name: str) -> Ground:
    arch, platform, kernel, settings = _GROUNDS[name]
    (ground,) = grounds(arch=[arch], platforms=[platform], kernels=[kernel], settings=settings)
    return attrs.evolve(ground, preempts="preempted" in name)


def _compared(ground: Ground, sketches: Sequence[Sketch]) -> dict[str, int]:
    """Explore programs in both ways; return how many had which verdict."""
    calls = max(sketch.calls for sketch in sketches)
    idle = [sketch.calls < 3 for sketch in sketches]
    found: dict[str, int] = {}
    unlinked = 0
    batches = Batches(ground.scene, calls, _MOST)
    if ground.preempts:
        batches = Batches(ground.scene, calls, _MOST, before=batches)
    linked = batches.explore(sketches, idle=idle)
    for sketch, one in zip(sketches, linked, strict=True):
        written = explored(ground, sketch, _MOST)
        if one is None:  # a hunt writes it
            unlinked += written.verdict != NOT_APPLICABLE and not sketch.has("touch")
            continue
        if INCONCLUSIVE in (one.verdict, written.verdict):  # one that is linked has more states
            assert {one.verdict, written.verdict} <= {INCONCLUSIVE, SAFE}, sketch.said
            continue
        assert (one.verdict, one.invariant) == (written.verdict, written.invariant), sketch.said
        found[one.verdict] = found.get(one.verdict, 0) + 1
    assert unlinked <= _UNLINKED * len(sketches)
    return found


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("name", "step"),
    [("x86", 50), ("preempted", 120), ("arm64", 50), ("powerpc", 70), ("nested gathers", 50)],
)
def test_linked_programs_have_the_verdicts_of_written_ones(name: str, step: int) -> None:
    ground = _ground(name)
    found = _compared(ground, list(islice(programs(ground.scene, 2), 7, None, step)))
    assert found["safe"] > 4


@pytest.mark.parametrize("name", ["x86", "arm64"])
def test_programs_that_fork_start_threads_and_map_anew_have_the_verdicts_of_written_ones(name: str) -> None:
    ground = _ground(name)
    some = [
        one for one in programs(ground.scene, 2) if one.has("fork") or one.has("start") or one.has("mmap")
    ]
    found = _compared(ground, some[3::16])
    assert found["safe"] > 4


def _rows(batches: Batches, sketches: Iterable[Sketch]) -> Iterator[tuple[Sketch, _Explored, Row]]:
    """Yield the programs that can be linked, with their worlds and their numbers."""
    for sketch in sketches:
        world = batches.world(sketch)
        if world is not None:
            with suppress(DoesNotFitError):
                yield sketch, world, world.linkable.row(sketch, idle=True)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["x86", "old arm64"])
def test_plain_python_finds_the_same_states_and_moves(name: str) -> None:
    """It searches on lists, without packing states, and finds as many states, by as many moves, in the same order."""
    ground = _ground(name)
    batches = Batches(ground.scene, 2, _MOST)
    sample = list(islice(_rows(batches, programs(ground.scene, 2)), 5, None, 70))
    assert len(sample) > 14
    assert {sketch.kind for sketch, _, _ in sample} == {"hugetlb", "file", "anonymous", "thp"}
    for sketch, world, row in sample:
        many = world.machine(row.shape)
        compiled = many.explore([row.parts])
        work = many.work(many.rows_of([row.parts]))
        steps, marks = many.room
        plan: Any = None
        end = search_plain(
            plan,
            plan,
            plan,
            plan,
            steps,
            world.linkable.linked.code.lists,
            many.layout,
            marks,
            many.rules,
            work,
        )
        assert end == 1
        assert np.array_equal(work.results, compiled.reshape(-1)), sketch.said


#: Rules without what a hunt alone leaves out of a search; see ADR 62.
_EVERY_ORDER = {"choosing": 0, "cpus": 0, "apart": 0, "arrive": 0}


def _without_reductions(ground: Ground, sketches: Sequence[Sketch]) -> tuple[int, int]:
    """Search programs once more by moves that hunts leave out; return the states with and without these."""
    batches = Batches(ground.scene, 2, _MOST)
    if ground.preempts:
        batches = Batches(ground.scene, 2, _MOST, before=batches)
    with_all = without = 0
    for sketch, world, row in _rows(batches, sketches):
        many = world.machine(row.shape)
        rules = many.rules
        found = many.explore([row.parts])[0]
        many.rules = rules._replace(**_EVERY_ORDER)
        other = many.explore([row.parts])[0]
        many.rules = rules
        if GROW in (found[WHY], other[WHY]):
            assert {found[WHY], other[WHY]} <= {GROW, ALL}, sketch.said
            continue
        # With calls that arrive early another invariant of the same program may be found to be broken first.
        assert found[WHY] == other[WHY], sketch.said
        with_all += int(found[STATES])
        without += int(other[STATES])
    return with_all, without


@pytest.mark.compiled
@pytest.mark.parametrize(("name", "step"), [("preempted", 90), ("guest", 90), ("preempted arm64", 60)])
def test_what_hunts_leave_out_changes_no_verdict(name: str, step: int) -> None:
    ground = _ground(name)
    sketches = [
        one for one in programs(ground.scene, 2) if name != "preempted arm64" or one.kind == "hugetlb"
    ]
    with_all, without = _without_reductions(ground, sketches[11::step])
    assert with_all < without


@pytest.mark.long
@pytest.mark.compiled
@pytest.mark.parametrize("name", ["preempted", "guest", "preempted guest", "preempted arm64"])
def test_what_hunts_leave_out_changes_no_verdict_of_two_calls(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    ground = _ground(name)
    began = time.process_time()
    every = list(programs(ground.scene, 2))
    with_all, without = _without_reductions(ground, every)
    assert 2 * with_all < 3 * without
    record_property("sample", json.dumps({
        "what": f"linked programs of two calls: {name}", "against": "the same programs in every order",
        "seed": 0, "count": len(every), "result": "equal", "cpu_seconds": round(time.process_time() - began, 1),
    }))  # fmt: skip


@pytest.mark.long
@pytest.mark.compiled
@pytest.mark.parametrize("name", list(_GROUNDS))
def test_all_linked_programs_of_two_calls_have_the_verdicts_of_written_ones(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    ground = _ground(name)
    began = time.process_time()
    every = list(programs(ground.scene, 2))
    found = _compared(ground, every)
    assert found["safe"] > 300
    assert ("bug" in found) == (name != "powerpc")  # a bug of shared tables, whatever else is turned off
    record_property("sample", json.dumps({
        "what": f"linked programs of two calls: {name}", "against": "the same programs, written",
        "seed": 0, "count": len(every), "result": "equal", "cpu_seconds": round(time.process_time() - began, 1),
    }))  # fmt: skip


@pytest.mark.long
@pytest.mark.compiled
@pytest.mark.parametrize("name", ["x86", "arm64", "old arm64", "nested gathers"])
def test_random_linked_programs_of_three_calls_have_the_verdicts_of_written_ones(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    ground = _ground(name)
    began = time.process_time()
    some = [random_program(ground.scene, 5, number) for number in range(150)]
    found = _compared(ground, some)
    assert found["safe"] > 20
    record_property("sample", json.dumps({
        "what": f"linked programs of three calls: {name}", "against": "the same programs, written",
        "seed": 5, "count": len(some), "result": "equal", "cpu_seconds": round(time.process_time() - began, 1),
    }))  # fmt: skip


@pytest.mark.compiled
def test_a_linked_program_of_too_many_states_is_given_up_as_a_written_one_is() -> None:
    ground = _ground("x86")
    sketch = next(
        one
        for one in programs(ground.scene, 2)
        if one.kind == "hugetlb" and one.said == "fork | madvise heap DONTNEED || spin"
    )
    for most in (3_000, 6_000):
        (one,) = Batches(ground.scene, 2, most).explore([sketch], idle=[True])
        assert one is not None
        assert one.verdict == explored(ground, sketch, most).verdict == INCONCLUSIVE


@pytest.mark.parametrize("most", [1, 4_000, 100_000, 300_000])
def test_a_store_has_room_for_each_size_that_its_table_grows_to(most: int) -> None:
    room = _FIRST_ROOM
    while room < most:
        room *= _LARGER
    assert len(_store(most, 8).table) >= 2 * room


# --- what is linked


def _world(scene: Setup, kind: str, processes: int) -> World:
    return next(one for one in worlds(scene) if (one.sketch.kind, one.processes) == (kind, processes))


def _without(world: World, *verbs: str) -> World:
    """Return a world without some calls."""
    return attrs.evolve(world, calls=tuple(call for call in world.calls if call.split(" ")[0] not in verbs))


def _linked(
    linkable: Linkable, sketch: Sketch
) -> tuple[Many, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Link one program; return its machine, steps, first state, and what is known of its steps."""
    row = linkable.row(sketch, idle=True)
    world = Batches(linkable.scene, 2, _MOST).world(sketch)
    assert world is not None
    many = world.machine(row.shape)
    work = many.work(many.rows_of([row.parts]))
    steps, marks = many.room
    state = work.first.copy()
    link(work, 0, state, steps, many.layout, marks)
    return many, steps, state, marks.local, marks.dead


@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_a_linked_program_is_the_written_one_step_by_step_where_memory_is_cut_alike(arch: str) -> None:
    """A hugetlb table is one slot, whatever a program does with it: steps, first state and dead values are the same."""
    ground = _ground(arch)
    linkable = Linkable(_without(_world(ground.scene, "hugetlb", 2), "touch"), ground.scene, 2)
    calls = ("munmap @", "gup @", "mremap @", "mprotect @ read")
    for first, second in pairwise(calls):
        whole = linkable.world.program(((first,), (second,)))
        assert whole is not None
        program = read_values(whole.tables()).program({})
        problem = build(program, ground.scene, idle=True, marks=False)
        explorer = Explorer(problem)
        _, steps, state, local, dead = _linked(linkable, whole)
        written = problem.machine.code.steps
        assert np.array_equal(steps[: len(written)], written)
        assert np.array_equal(state, explorer.first)
        here = slice(0, len(written) // 5)
        assert np.all(local[here][explorer.marks.local != 0])  # reads by a lock are local in linked programs
        assert np.array_equal(dead[here], explorer.marks.dead)


def test_each_use_of_a_call_that_takes_a_page_takes_another_one() -> None:
    scene = _ground("x86").scene
    world = _world(scene, "anonymous", 1)
    linkable = Linkable(world, scene, 4)
    touch = next(call for call in world.calls if call.startswith("touch"))
    gup = next(call for call in world.calls if call.startswith("gup"))
    sketch = world.program(((gup, touch), (gup, touch)))
    assert sketch is not None
    (_, one, _), (_, other, _) = linkable.row(sketch, idle=False).parts
    assert one != other


def test_what_is_moved_twice_or_touched_after_its_munmap_is_not_linked() -> None:
    scene = _ground("x86").scene
    file, anonymous = _world(scene, "file", 1), _world(scene, "anonymous", 1)
    touch = next(call for call in anonymous.calls if call.startswith("touch"))
    for world, threads in (
        (_without(file, *ASKS_MORE), (("mremap @",), ("mremap @",))),
        (anonymous, (("munmap @", touch), (RUNS,))),
    ):
        sketch = world.program(threads)
        assert sketch is not None
        with pytest.raises(DoesNotFitError):
            Linkable(world, scene, 2).row(sketch, idle=True)


def test_programs_that_are_equal_are_explored_once() -> None:
    scene = _ground("powerpc").scene
    world = _world(scene, "file", 1)
    touch_first = [world.program((("munmap @",), (RUNS,)))] * 2
    batches = Batches(scene, 2, _MOST)
    one, other = batches.explore([sketch for sketch in touch_first if sketch], idle=[True, True])
    assert one is other
    assert one is not None


def test_programs_that_differ_in_a_call_for_whose_sake_others_take_more_steps_are_kept_apart() -> None:
    """The parts of a world are numbered without such calls, and then with them."""
    scene = _ground("x86").scene
    batches = Batches(scene, 2, _MOST)
    world = _world(scene, "file", 1)
    plain, asking = (world.program(((call,), (RUNS,))) for call in ("munmap @", "reclaim @"))
    assert plain is not None
    assert asking is not None
    one, other = batches.explore([plain, asking], idle=[True, True])
    assert one is not None
    assert other is not None
    assert one.key != other.key
    assert batches.world(plain) is not batches.world(asking)


def test_equal_worlds_of_other_platforms_are_explored_once() -> None:
    names = ("intel-server", "intel-client")
    scenes = [grounds(arch=["x86"], platforms=[name], kernels=["7.3.4"])[0].scene for name in names]
    sketch = _world(scenes[0], "file", 1).program((("munmap @",), (RUNS,)))
    assert sketch is not None
    one, other = (Batches(scene, 2, _MOST).world(sketch) for scene in scenes)
    assert one is other


def test_a_random_program_is_that_of_its_number_whatever_was_tried_before() -> None:
    scene = _ground("x86").scene
    numbers = count()
    assert [random_program(scene, 9, next(numbers)) for _ in range(20)] == [
        random_program(scene, 9, number) for number in range(20)
    ]
