"""Fields of a patch: one for each CPU, one for each mm, or one of the machine."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from shootdown._compilation.running import runnable
from shootdown._machine import ops as o
from shootdown._machine.fields import THIS_MM, PlacedField
from shootdown._machine.machine import Machine
from shootdown._machine.step import step
from shootdown._mm.model import Model
from shootdown._questions.compare import cases
from shootdown._values.patch import AppliedPatch, Field, Patch


def machine(by: str, write: Callable[[PlacedField, Model], None]) -> Machine:
    """Return a machine whose tasks, on CPUs 0 and 1 with mm 0 and on CPU 1 with mm 1, run the same program."""
    (case,) = cases("hugetlb-munmap", arch=["x86"], platforms=["qemu-tcg"], kernels=["7.0"])
    scene = case.setup()
    patch = AppliedPatch("mine", "mine.py", Patch(fields=[Field("count", by, first=2)]), {}, {}, "x86")
    model = Model(attrs.evolve(scene.kernel, patch=patch), scene.lowering, cpus=2, mms=2)
    tasks = [model.task(mm=mm, cpu=cpu, ready=True) for mm, cpu in ((0, 0), (0, 1), (1, 1))]
    model.starts(*tasks)
    fields = model.asm.functions.fields
    assert fields is not None
    write(fields.of("count", model.asm), model)
    model.asm.halt()
    return model.build()


def after(by: str, write: Callable[[PlacedField, Model], None]) -> dict[str, int]:
    """Let the tasks run one after another, and return the variables by name."""
    made = machine(by, write)
    state, layout = made.state.copy(), made.layout
    for task in range(layout.tasks):
        while int(runnable(step)(state, made.code.steps, made.code.lists, layout, task)) & 7 == o.DONE:
            pass
    first = layout.o_variable
    return dict(zip(made.names, map(int, state[first : first + layout.variables]), strict=True))


@pytest.mark.parametrize(
    ("by", "values"),
    [
        ("cpu", {"count of cpu 0": 3, "count of cpu 1": 4}),
        ("mm", {"count of mm 0": 4, "count of mm 1": 3}),
        ("machine", {"count": 5}),
    ],
)
def test_each_owner_has_its_own_element(by: str, values: dict[str, int]) -> None:
    assert after(by, lambda count, _: count.add(1)) == values


def test_the_mm_is_known_by_its_number_from_one() -> None:
    assert after("cpu", lambda count, _: count.store(THIS_MM)) == {"count of cpu 0": 1, "count of cpu 1": 2}


def test_a_condition_has_two_arms() -> None:
    def write(count: PlacedField, _: Model) -> None:
        with count.if_equal(2) as first:
            count.store(7)
            first.otherwise()
            count.store(9)

    assert after("mm", write) == {"count of mm 0": 9, "count of mm 1": 7}

    def compare(count: PlacedField, _: Model) -> None:
        with count.if_equal(THIS_MM):
            count.store(7)

    assert after("mm", compare) == {"count of mm 0": 2, "count of mm 1": 7}


def test_of_the_targets_those_are_kept_whose_field_has_the_value() -> None:
    def write(count: PlacedField, model: Model) -> None:
        model.asm.target_every()
        count.keep_targets(THIS_MM)
        with model.asm.if_targets():
            count.store(9)

    assert after("cpu", write) == {"count of cpu 0": 2, "count of cpu 1": 9}  # mm 1 is number 2


def test_cpus_and_mms_are_alike_unless_a_field_tells_them_apart() -> None:
    assert not machine("machine", lambda count, _: count.store(1)).indexed
    assert machine("cpu", lambda count, _: count.store(1)).indexed
