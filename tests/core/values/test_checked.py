"""Every field of the values that plugins write refuses what is of another type, in one line that names it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from shootdown import Change, Geometry, MmRules, Parameter, Workload
from shootdown._plugins.registry import registry
from shootdown._values.errors import ShootdownError
from shootdown.formats import CustomFormat
from shootdown.porting import CacheGeometry, TlbGeometry

ODD = (
    None,
    -1,
    1 << 70,
    "",
    "x",
    (),
    {},
    object(),
    1.5,
    float("nan"),
    True,
    lambda: 0,
    (1, 1),
    (n for n in "a"),
)


def examples() -> Iterator[Any]:
    """Yield one value of each class that plugins write."""
    seen: set[type] = set()
    waiting: list[Any] = [
        *registry().architectures().values(),
        next(iter(registry().scenarios().values())),
        Workload("w", "", (Parameter("n", 1, "n"),), lambda _: None),  # type: ignore[arg-type, return-value]
        Geometry(12, 21, 30, 39, 39),
        MmRules(clear_on_switch=True, lazy_tlb=True, asids=1, tagged=False),
        TlbGeometry(l1=CacheGeometry(64, 4, (4096,))),
        Change("1", "", "6.9"),
    ]
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple):
            waiting += value
        elif attrs.has(type(value)) and type(value).__module__.startswith("shootdown."):
            if type(value) not in seen:
                seen.add(type(value))
                yield value
            waiting += [getattr(value, field.name) for field in attrs.fields(type(value))]


EXAMPLES = {type(value).__name__: value for value in examples()}
#: Checked where they are used: another api makes a plugin outdated, and the rest is whatever core made of it.
NOT_OURS = {"Difference", "Measured", "Row", "Seen"}


def refusal(value: Any, field: str, odd: object) -> str:
    """Return what is said of a field with an odd value; empty if it takes it."""
    try:
        attrs.evolve(value, **{field: odd})
    except (ShootdownError, ValueError) as error:
        return str(error)
    return ""


def test_the_values_that_plugins_write_are_all_there() -> None:
    assert {"Architecture", "Platform", "Costs", "Cost", "Format", "Level", "Test", "Scenario"} <= set(
        EXAMPLES
    )


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - NOT_OURS))
def test_a_field_takes_a_value_or_refuses_it_in_one_line(name: str) -> None:
    value = EXAMPLES[name]
    for field in attrs.fields(type(value)):
        if not field.init:
            continue
        for odd in ODD:
            assert "\n" not in refusal(value, field.name, odd)


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - NOT_OURS))
def test_no_field_takes_an_object_of_another_kind(name: str) -> None:
    value = EXAMPLES[name]
    wild = {
        field.name
        for field in attrs.fields(type(value))
        if field.init and "Any" in str(field.type) and "[" not in str(field.type)
    }
    for field in attrs.fields(type(value)):
        if not field.init or field.name in wild | {"api"}:
            continue
        with pytest.raises(ShootdownError, match=rf"\b{field.name}\b"):
            attrs.evolve(value, **{field.name: object()})


def test_lists_become_tuples_so_that_values_can_be_hashed() -> None:
    form = next(one for one in registry().formats().values() if not isinstance(one, CustomFormat))
    assert attrs.evolve(form, levels=list(form.levels)).levels == form.levels
    assert hash(attrs.evolve(form, levels=list(form.levels))) == hash(form)
