"""What a person may do wrong in a scenario or workload: each is one line that names file and line, and no crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from shootdown._machine.label import Label
from shootdown._plugins.registry import registry
from shootdown._questions.case import machines, prepare, questions
from shootdown._questions.explore import explorations, explore_case
from shootdown._questions.simulate import simulate
from shootdown._timed import endless
from shootdown._values.errors import ShootdownError
from shootdown._values.scenario import Scenario
from shootdown._values.workload import Workload
from shootdown.scenarios import Group, Model, Parameter, Problem, Table, ops

HERE = r"test_mistakes\.py, line \d+: "


@attrs.define
class Desk:
    """What a mistake is made with: a machine of two CPUs, two mms and two tasks; the first is being written."""

    model: Model
    first: int
    second: int
    flag: int
    entry: int
    lock: int
    event: int

    @property
    def asm(self) -> Any:
        return self.model.asm


def written(scene: Any, wrong: Callable[[Desk], object]) -> Desk:
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=2, slots=2)
    first, second = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2))
    entry = model.entry(0, 1)
    desk = Desk(model, first, second, model.variable(0), entry, model.lock(), model.event())
    model.starts(first)
    wrong(desk)
    model.spin()
    model.starts(second)
    model.asm.reached(0)
    model.spin()
    return desk


def explored(wrong: Callable[[Desk], object], **problem: Any) -> str:
    def build(scene: Any) -> Any:
        desk = written(scene, wrong)
        given = {"invariants": ("walk-cache",), "places": ("there",), **problem}
        return Problem(machine=desk.model.build(bits=16, memory=scene.memory), **given)

    scenario = Scenario(name="own", summary="own", source="a test", build=build)
    (case,) = explorations(scenario, arch=["x86"])
    return explore_case(case).verdict


def ran(build: Callable[[Any], Any]) -> bool:
    workload = Workload(name="own", summary="own", parameters=(), build=build)
    (question,) = questions(workload, machines(registry(), ["x86"], []), ["7.0"])
    return simulate(prepare(question)).supported


def after_label(desk: Desk) -> Label:
    label = desk.model.label()
    desk.asm.place(label)
    return label


MISTAKES: dict[str, tuple[Callable[[Desk], object], str]] = {
    "a register of two billion": (lambda d: d.asm.set(2_000_000_000, 7), "register 2000000000: there are 0 to 6"),
    "register 99": (lambda d: d.asm.set(99, 7), "register 99: there are 0 to 6"),
    "a negative register": (lambda d: d.asm.copy(0, -1), "register -1"),
    "an index register": (lambda d: d.asm.v_load(0, d.flag, index=7), "register 7: there are 0 to 6"),
    "operation 9999": (lambda d: d.asm.emit(9999), "no operation 9999"),
    "an operation that is text": (lambda d: d.asm.emit("SET"), "'SET' is no whole number"),
    "a float": (lambda d: d.asm.set(0, 1.5), "1.5 is no whole number"),
    "a string": (lambda d: d.asm.set("x", 1), "'x' is no whole number"),
    "nothing": (lambda d: d.asm.set(None, 1), "None is no whole number"),
    "a label for a register": (lambda d: d.asm.set(after_label(d), 1), "is a label"),
    "a value that no cell holds": (
        lambda d: d.asm.set(0, 1 << 40),
        "value 1099511627776: it is a number from 0 to 4294967295",
    ),
    "a value of more than 64 bits": (lambda d: d.asm.set(0, 1 << 70), "1180591620717411303424 does not fit into 64"),
    "a place below zero": (lambda d: d.asm.reached(-1), "place -1: it is a number from 0 on"),
    "a label where nothing belongs": (lambda d: d.asm.emit(ops.HALT, after_label(d)), "HALT: it has a label too many"),
    "a negative value": (lambda d: d.asm.v_store(d.flag, -1), "value -1"),
    "a value of a register that is none": (lambda d: d.asm.v_store(d.flag, 9, from_register=True), "register 9"),
    "a variable that is not there": (lambda d: d.asm.v_load(0, 7), "variable 7: there are 0 to 1"),
    "an entry that is a variable": (lambda d: d.asm.access(0, 1), "entry that stands alone 1: there are 0 to 0"),
    "gather 7": (lambda d: d.asm.gather(7), "gather 7: there are 0 to 2"),
    "flags of no gather": (lambda d: d.asm.set_flags(0, 4096), "flags of a gather 4096"),
    "a class of tables": (lambda d: d.asm.set_pud(3), "class of tables 3: there are 0 to 0"),
    "an event": (lambda d: d.asm.signal(4), "event 4: there are 0 to 0"),
    "a lock": (lambda d: d.asm.lock_write(99), "lock 99"),
    "the lock of an mm that is not there": (lambda d: d.asm.lock_write(d.lock, index=1), "lock"),
    "an mm": (lambda d: d.model.concern(5), "mm 5: there are 0 to 1"),
    "a call": (lambda d: d.asm.send(12), "call 12: there are 1 to 11"),
    "a mode of parking": (lambda d: d.asm.park(3), "mode 3: it is a number from 0 to 1"),
    "a state of tables": (lambda d: d.asm.table_state(9), "state 9: it is a number from 0 to 2"),
    "a cost that there is none of": (lambda d: d.asm.work("zap"), "no cost 'zap'; nearest: zap_ns"),
    "words that are none": (lambda d: d.asm.set(0, 1, text=5), "words, not 5"),
    "a list that is empty": (lambda d: d.asm.add_list([]), "one at least"),
    "a list of texts": (lambda d: d.asm.add_list(["a"]), "whole numbers"),
    "a list that is not there": (lambda d: d.asm.pick(9, 0), "place in the lists 9"),
    "a label placed twice": (lambda d: (d.asm.place(x := d.model.label()), d.asm.place(x)), "placed twice"),
    "a label never placed": (lambda d: d.asm.jump(d.model.label()), "never placed"),
    "a label that is a number": (lambda d: d.asm.place(3), "3 is no label"),
    "a step to jump to that is not there": (lambda d: d.asm.emit(ops.JUMP, 500), "step 500"),
    "an unlock of what is not held": (lambda d: d.asm.unlock_write(d.lock), "never took it"),
    "an unlock of another kind": (
        lambda d: (d.asm.lock_read(d.lock), d.asm.unlock_write(d.lock)), "for writing here: it never took it",
    ),
    "an unlock of another lock": (
        lambda d: (d.asm.lock_write(d.lock), d.asm.unlock_write(0)), "lock 0 for writing",
    ),
    "the end of a gather that has not begun": (lambda d: d.asm.gather_end(0), "gather 0 has not begun"),
    "a call without targets": (lambda d: d.asm.send(ops.CALL_SYNC), "there are no targets"),
    "a flush that has not begun": (lambda d: d.asm.flush_self(), "no flush has begun"),
    "an unknown place": (lambda d: d.asm.reached(4), r"place 4: there are 0 to 0 \(there\)"),
    "an unknown invariant": (lambda d: d.asm.fail(2), "invariant 2: there are 0 to 0"),
    "a fork": (lambda d: d.asm.spawn(1), "exploration has no step that forks a task"),
    "a move to another CPU": (lambda d: d.model.move(1), "exploration has no step that moves a task"),
    "a move to a CPU that is not there": (lambda d: d.model.move(2), "CPU 2: there are 0 to 1"),
    "CPU 9": (lambda d: d.model.task(mm=0, cpu=9), "CPU 9: there are 0 to 1"),
    "mm 9": (lambda d: d.model.task(mm=9, cpu=0), "mm 9: there are 0 to 1"),
    "an mm of text": (lambda d: d.model.task(mm="A", cpu=0), "mm 'A': it is a whole number"),
    "two tasks on a CPU": (
        lambda d: d.model.starts(d.model.task(mm=0, cpu=0, ready=True)), "tasks 0 and 2 are on CPU 0",
    ),
    "a task without a program": (lambda d: d.model.task(mm=0, cpu=1, ready=True), "task 2 has no program"),
    "a task that begins twice": (lambda d: d.model.starts(d.first), "task 0 begins twice"),
    "a task that is not there": (lambda d: d.model.starts(7), "task 7: there are 0 to 1"),
    "a task that nobody starts": (lambda d: d.model.starts(d.model.task(mm=0, cpu=1)), "task 2 never runs"),
    "an entry after variables": (lambda d: d.model.entry(0, 1), "entries come before other variables"),
    "a table mapped twice": (lambda d: (d.model.populate(0), d.model.populate(0)), "maps the table of slot 0 already"),
    "a slot": (lambda d: d.model.populate(0, 5), "slot 5: there are 0 to 1"),
    "a preempted CPU": (lambda d: d.model.preempt(4), "CPU 4"),
    "a lazy CPU": (lambda d: d.model.keep_lazy(4, 0), "CPU 4"),
    "a variable that begins too large": (lambda d: d.model.variable(1 << 40), "begins with 1099511627776"),
    "words that are no function": (lambda d: d.model.variable(0, words="x"), "a function of its value"),
    "an atom of no pages": (lambda d: d.model.atom(4, 4), "the end of an atom's pages 4"),
    "an atom of two tables": (lambda d: d.model.atom(0, d.model.slot_pages + 1), "it lies in one of"),
    "an entry of an atom that there is not": (lambda d: d.asm.entry_load(0, 3), "atom 3"),
    "a function without a name": (lambda d: d.asm.function(5).__enter__(), "names of a function"),
    "a block that is never left": (lambda d: keep(d.asm.function("f")), r"function\('f'\) is still open"),
    "an error of Python": (lambda d: 1 // 0, "build.*ZeroDivisionError"),
    "a list's end": (lambda d: [][3], "IndexError"),
    "an exit": (lambda d: exit(3), "SystemExit"),
    # what only a run can tell
    "a slot that is not there": (lambda d: (d.asm.set(1, 9), d.asm.load_pud(0)), "SLOT names no PUD entry"),
    "a table of no class": (lambda d: d.asm.drop(), "no class of tables"),
    "a table that nobody maps": (lambda d: (d.asm.set(2, 1), d.asm.drop()), "no process maps the table"),
    "an index too far": (
        lambda d: (d.asm.set(3, 60_000), d.asm.v_load(0, d.flag, index=3)), "the index leads to no variable",
    ),
    "a store too far": (
        lambda d: (d.asm.set(3, 2), d.asm.v_store(d.flag, 1, index=3)), "the index leads to no variable",
    ),
    "a sum too far": (
        lambda d: (d.asm.set(3, 2), d.asm.v_add(d.flag, 1, 0, index=3)), "the index leads to no variable",
    ),
    "a place behind a list": (
        lambda d: (d.asm.set(3, 2), d.asm.pick(d.asm.add_list([0, 1]), 3)), "no place in the list",
    ),
    "an mm too far": (lambda d: (d.asm.set(3, 5), d.asm.on_mm(0, 3)), "leads to no mm"),
    "the lock of a table that is not there": (
        lambda d: (d.asm.set(1, 9), d.asm.lock_write(d.model.locks.ptl, index=2)), "whose lock this is",
    ),
    "a page that is freed twice": (
        lambda d: (d.model.frame(1), d.asm.set(3, 1 << ops.ENTRY_PAGE_SHIFT), d.asm.put_frames(3), d.asm.put_frames(3)),
        "has no reference left",
    ),
    "a page that is queued once too often": (
        lambda d: (
            d.model.frame(1),
            d.asm.set(3, 1 << ops.ENTRY_PAGE_SHIFT),
            d.asm.queue_frames(4, 3),
            d.asm.queue_frames(4, 3),
        ),
        "has no reference left",
    ),
    "an unlock on one way alone": (lambda d: unlock_on_one_way(d), "nobody holds the lock"),
}  # fmt: skip
_kept: list[Any] = []


def keep(block: Any) -> None:
    block.__enter__()
    _kept.append(block)


def unlock_on_one_way(desk: Desk) -> None:
    free = desk.model.label()
    desk.asm.choice(free)
    desk.asm.lock_write(desk.lock)
    desk.asm.place(free)
    desk.asm.unlock_write(desk.lock)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_scenario_is_one_line_with_file_and_line(name: str) -> None:
    wrong, message = MISTAKES[name]
    with pytest.raises(ShootdownError, match=message) as error:
        explored(wrong)
    assert "\n" not in str(error.value)
    assert "test_mistakes.py, line " in str(error.value)


def test_what_is_right_is_explored() -> None:
    assert explored(lambda d: d.asm.set(0, 7)) == "safe"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"invariants": ()}, "at least one of the invariants"),
        ({"invariants": "walk-cache"}, "are names, a tuple of them"),
        ({"invariants": ("one", "one")}, "names of their own"),
        ({"places": (1,)}, "places of a problem are names"),
        ({"groups": (Group((0,), (0,), (7,)),)}, "a group names mms 7: there are 0 to 1"),
        ({"tables": (Table(first=0, rows=9, columns=9, owner=0, lock=0),)}, "a table of 9 rows"),
        ({"mm_locks": (99,)}, "mm_locks: 99"),
        ({"mm_locks": ("a",)}, "mm_locks of a problem are a tuple of int"),
        ({"invariants": None}, "are names, a tuple of them"),
        ({"walkers": "yes"}, "walkers of a problem: True or False"),
        ({"groups": (1,)}, "a tuple of Group"),
        ({"groups": (Group((0,), (0,), (0,)),) * 2}, "cpus 0 is named twice by groups"),
        ({"groups": (Group((0,), (0,), ()), Group((1,), (), ()))}, "have as many parts each"),
        ({"groups": (Group((0,), (0,), ()), Group((1,), (1,), ()))}, "begin with different programs"),
        ({"tables": (Table(first="a", rows=1, columns=1, owner=0, lock=0),)}, "five whole numbers"),
    ],
    ids=str,
)
def test_a_mistake_in_a_problem_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ShootdownError, match=HERE + ".*" + message):
        explored(lambda d: None, **given)


def test_a_state_too_large_to_explore_is_refused() -> None:
    def build(scene: Any) -> Any:
        model = Model(scene.kernel, scene.lowering, cpus=2, mms=100_000)
        model.starts(model.task(mm=0, cpu=0, ready=True))
        model.spin()
        return Problem(machine=model.build(bits=16), invariants=("walk-cache",))

    scenario = Scenario(name="own", summary="own", source="a test", build=build)
    (case,) = explorations(scenario, arch=["x86"])
    with pytest.raises(ShootdownError, match=HERE + r"a state of \d+ cells cannot be explored"):
        explore_case(case)


@pytest.mark.parametrize("atoms", [False, True])
def test_more_classes_of_tables_than_a_walk_cache_can_tell_apart_are_refused(atoms: bool) -> None:
    def build(scene: Any) -> Any:
        model = Model(scene.kernel, scene.lowering, cpus=1, mms=1, classes=scene["classes"])
        if atoms:
            model.atom(0, 1)
        model.starts(model.task(mm=0, cpu=0, ready=True))
        model.spin()
        return Problem(machine=model.build(bits=16), invariants=("walk-cache",), walkers=not atoms)

    classes = Parameter("classes", 31, "classes of tables")
    scenario = Scenario(name="own", summary="own", source="a test", build=build, parameters=(classes,))
    (case,) = explorations(scenario, arch=["x86"])
    assert explore_case(case).verdict == "safe"
    (case,) = explorations(scenario, arch=["x86"], parameters={"classes": 32})
    with pytest.raises(ShootdownError, match=HERE + "32 classes of tables.* at most 31"):
        explore_case(case)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"cpus": 0, "mms": 1}, "cpus of a model 0"),
        ({"cpus": 2.5, "mms": 1}, r"cpus of a model 2\.5: it is a whole number"),
        ({"cpus": 2, "mms": 0}, "mms of a model 0"),
        ({"cpus": 2, "mms": 1, "slots": -1}, "slots of a model -1"),
        ({"cpus": 2, "mms": 1, "classes": "x"}, "classes of a model 'x'"),
    ],
    ids=str,
)
def test_a_machine_of_impossible_size_is_refused(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ShootdownError, match=HERE + ".*" + message):
        ran(lambda scene: Model(scene.kernel, scene.lowering, **sizes).build())


def _one(scene: Any, write: Callable[[Model], object], *, end: bool = True, mm: int | None = 0) -> Model:
    model = Model(scene.kernel, scene.lowering, cpus=scene.cpus, mms=1)
    model.starts(model.task(mm=mm, cpu=0, ready=True))
    with model.asm.function("poll", "mine.c"):
        write(model)
    if end:
        model.asm.halt()
    return model


def test_a_program_that_ends_without_an_end_is_refused() -> None:
    with pytest.raises(ShootdownError, match=HERE + "the program goes on behind its last step"):
        ran(lambda scene: _one(scene, lambda model: model.asm.set(0, 1), end=False).build())


def test_a_program_that_goes_on_into_the_next_is_refused() -> None:
    def build(scene: Any) -> Any:
        model = _one(scene, lambda model: model.asm.set(0, 1), end=False)
        model.starts(model.task(mm=0, cpu=1, ready=True))
        model.spin()
        return model.build()

    with pytest.raises(ShootdownError, match=HERE + "task 0 goes on into that of task 1"):
        ran(build)


def test_work_on_an_mm_that_a_kernel_thread_does_not_have_is_refused() -> None:
    with pytest.raises(ShootdownError, match=HERE + "LOAD_PUD: the work of task 0 concerns no mm"):
        ran(lambda scene: _one(scene, lambda model: model.asm.load_pud(0), mm=None).build())


def test_a_machine_without_tasks_is_refused() -> None:
    with pytest.raises(ShootdownError, match="there is no task"):
        ran(lambda scene: Model(scene.kernel, scene.lowering, cpus=1, mms=1).build())


def test_a_timed_run_of_a_step_that_is_a_mistake_names_it() -> None:
    def write(model: Model) -> None:
        model.asm.set(1, 5)
        model.asm.load_pud(0, text="read it")

    with pytest.raises(
        ShootdownError, match=HERE + r"task 0 on CPU 0 in poll\(\), step 1 \(LOAD_PUD, 'read it'\)"
    ):
        ran(lambda scene: _one(scene, write).build())


def test_a_task_that_cannot_end_is_refused_before_it_runs() -> None:
    def write(model: Model) -> None:
        again = model.label()
        model.asm.place(again)
        model.asm.jump(again)

    with pytest.raises(ShootdownError, match=HERE + "task 0 never ends"):
        ran(lambda scene: _one(scene, write, end=False).build())


@pytest.mark.parametrize("cost", [None, "zap_ns"])
def test_a_run_that_goes_round_for_ever_names_plugin_function_and_step(
    monkeypatch: pytest.MonkeyPatch, cost: str | None
) -> None:
    def write(model: Model) -> None:
        flag, again = model.variable(0), model.label()
        model.asm.place(again)
        model.asm.v_load(0, flag, cost=cost, text="read the flag")
        model.asm.jump_zero(0, again)

    monkeypatch.setattr(endless, "_SOON", 0.0)
    with pytest.raises(
        ShootdownError,
        match=HERE + r"the run comes to no end: CPU 0 goes round for ever in poll\(\), at step 0 "
        r"\(V_LOAD, 'read the flag'\) of tests",
    ):
        ran(lambda scene: _one(scene, write).build())


def test_a_long_run_that_gets_somewhere_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(model: Model) -> None:
        with model.asm.loop(3000):
            model.asm.work("zap_ns")

    monkeypatch.setattr(endless, "_SOON", 0.0)
    assert ran(lambda scene: _one(scene, write).build())


@pytest.mark.parametrize("part", ["refuse", "remarks"])
def test_what_else_of_a_workload_fails_is_one_line_too(part: str) -> None:
    def wrong(_: Any) -> Any:
        raise KeyError("gone")

    workload = Workload(
        name="own", summary="own", parameters=(),
        build=lambda scene: _one(scene, lambda model: None).build(), **{part: wrong},
    )  # fmt: skip
    (question,) = questions(workload, machines(registry(), ["x86"], []), ["7.0"])
    with pytest.raises(ShootdownError, match=HERE + rf"workload own: {part}\(\): KeyError: 'gone'"):
        simulate(prepare(question))


@pytest.mark.parametrize(
    ("part", "made", "said"),
    [
        ("remarks", 5, "returned 5; it is to return Iterable"),
        ("remarks", None, "returned None; it is to return Iterable"),
        ("remarks", ["fine", 7], "returned 7; it is to return str"),
        ("applied", [1], r"returned \[1\]; it is to return Mapping"),
    ],
)
def test_what_else_of_a_workload_returns_another_type_is_one_line(part: str, made: Any, said: str) -> None:
    with pytest.raises(ShootdownError, match=rf"workload own: {part}\(\) {said}"):
        simulate(prepare(_question_of(**{part: lambda _: made})))


def test_a_remark_by_itself_is_one_and_not_its_letters() -> None:
    assert "mind this" in simulate(prepare(_question_of(remarks=lambda _: "mind this"))).remarks


def _question_of(**parts: Any) -> Any:
    def build(scene: Any) -> Any:
        return _one(scene, lambda model: None).build()

    workload = Workload(name="own", summary="own", parameters=(), build=build, **parts)
    (question,) = questions(workload, machines(registry(), ["x86"], []), ["7.0"])
    return question


def _never_written(_: Any) -> Any:
    raise NotImplementedError


def _says_nothing(_: Any) -> Any:
    raise ShootdownError(" ")


async def _later(_: Any) -> Any:
    return None


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (_never_written, r"build\(\): NotImplementedError$"),
        (_says_nothing, r"build\(\): a ShootdownError that says nothing"),
        (_later, r"build\(\) returned a coroutine; it is to return Machine"),
        (lambda _: (yield), r"build\(\) returned a generator; it is to return Machine"),
        (lambda scene: Model(scene.kernel, scene.lowering, cpus=1, mms=1), r"build\(\) returned a Model"),
    ],
)
def test_what_a_build_is_instead_is_told_in_words(build: Any, said: str) -> None:
    """No address, no warning of Python's, and no architecture is blamed for it."""
    with pytest.raises(ShootdownError, match=HERE + "workload own: " + said):
        ran(build)


def test_a_machine_of_a_problem_that_is_none_is_named_by_its_type() -> None:
    def build(scene: Any) -> Any:
        return Problem(machine=written(scene, lambda _: None).model, invariants=("walk-cache",))  # type: ignore[arg-type]

    (case,) = explorations(Scenario(name="own", summary="own", source="a test", build=build), arch=["x86"])
    with pytest.raises(ShootdownError, match=HERE + r"the machine of a problem .* returns, not a Model$"):
        explore_case(case)


@pytest.mark.parametrize("bits", [16.0, True, "16", 32])
def test_bits_are_one_of_two_numbers(bits: Any) -> None:
    with pytest.raises(
        ShootdownError, match=HERE + r"build\(bits=.*\): it is 64 for a timed run, 16 for exp"
    ):
        ran(lambda scene: _one(scene, lambda model: None).build(bits=bits))


def test_a_parameter_without_a_usable_name_is_told_whose_it_is() -> None:
    switch = Parameter("a b", False, "a switch")
    scenario = Scenario(name="own", summary="own", source="a test", build=_later, switches=(switch,))
    with pytest.raises(ShootdownError, match=r"^the scenario given has the parameter name 'a b': use"):
        explorations(scenario, arch=["x86"])
    with pytest.raises(ShootdownError, match=r"parameter: name is a NoneType, not a str"):
        Parameter(None, False, "a switch")  # type: ignore[arg-type]
