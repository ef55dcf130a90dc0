"""The assembler has a typed method for each step, written out from the table, and everything of ours uses them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

import shootdown
from shootdown._machine import builders, write_builders
from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.label import Label
from shootdown._machine.steps.row import Kind, Operand, Row
from shootdown._machine.steps.table import ROWS
from shootdown._values.errors import MistakeError

ROOT = Path(shootdown.__file__).parents[2]
OURS = ("core", "arch_x86", "arch_arm64", "arch_powerpc", "plugins", "docs")
BUILT = [row for row in ROWS if row.builder]


def test_the_builders_are_what_the_script_writes_from_the_table() -> None:
    folder = Path(builders.__file__).parent
    written = {name: (folder / name).read_text() for name in write_builders.written()}
    assert written == write_builders.written(), "run: python -m shootdown._machine.write_builders"


def test_only_steps_that_the_assembler_has_to_number_something_for_have_no_builder() -> None:
    assert [row.name for row in ROWS if not row.builder] == ["WORK", "EXECUTE"]


def _argument(operand: Operand, number: int, label: Label) -> object:
    """A value for an operand that differs from its default and from those of the other operands."""
    if operand.kind is Kind.LABEL:
        return label
    if operand.kind is Kind.TRUTH:
        return True
    return number if operand.most is None else min(number, operand.most)


def _raw(row: Row, label: Label) -> tuple[dict[str, object], list[int | Label]]:
    """Arguments for a builder, and the numbers that they stand for."""
    taken: dict[str, object] = {}
    numbers: list[int | Label] = [0] * 4
    for at, (place, operand) in enumerate(row.placed(), 1):
        if operand.unused:
            continue
        value = taken[operand.name] = _argument(operand, at, label)
        if isinstance(value, Label):
            numbers[place - 1] = value
            continue
        assert isinstance(value, int)
        before = numbers[place - 1] if operand.above else 0
        assert isinstance(before, int)
        numbers[place - 1] = before | (value + (operand.kind is Kind.INDEX)) << operand.above
    return taken, numbers


@pytest.mark.parametrize("row", BUILT, ids=lambda row: row.name)
def test_a_builder_writes_what_the_raw_form_does(row: Row) -> None:
    asm, raw = Assembler(), Assembler()
    label = Label()
    taken, numbers = _raw(row, label)
    getattr(asm, row.builder)(**taken, cost="lock_ns", text="words")
    raw.emit(row.number, *numbers, cost="lock_ns", text="words")
    for one in (asm, raw):
        label.at, label.owner = 0, one
        one.code = one.finish()  # type: ignore[attr-defined]
    assert asm.code.steps.tolist() == raw.code.steps.tolist()  # type: ignore[attr-defined]
    assert asm.code.cost.tolist() == raw.code.cost.tolist()  # type: ignore[attr-defined]
    assert asm.code.notes == raw.code.notes  # type: ignore[attr-defined]


@pytest.mark.parametrize("row", BUILT, ids=lambda row: row.name)
def test_what_a_builder_is_not_told_is_what_its_row_says(row: Row) -> None:
    asm = Assembler()
    label = Label()
    label.at, label.owner = 0, asm
    needed = {x.name: _argument(x, 1, label) for x in row.operands if x.default is None and not x.unused}
    getattr(asm, row.builder)(**needed)
    step = asm.finish().steps.tolist()
    for place, operand in row.placed():
        if operand.default is not None:
            shift, width = operand.above, 0xFFFF if operand.default >= 0 else -1
            assert step[place] >> shift & width == operand.default


@pytest.mark.parametrize("row", BUILT, ids=lambda row: row.name)
def test_a_builder_explains_each_of_its_parameters(row: Row) -> None:
    doc = inspect.getdoc(getattr(Assembler, row.builder)) or ""
    assert doc.startswith(row.does)
    for operand in row.operands:
        assert operand.unused or f"{operand.name}: " in doc


def test_nothing_of_ours_writes_steps_in_the_raw_form() -> None:
    raw = re.compile(r"\bemit\(\s*(?:o|ops)\.|\.emit\(\*")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in OURS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md") and path.name != "writer.py" and ".venv" not in path.parts
        for line in path.read_text().splitlines()
        if raw.search(line)
    ]
    assert found == []
    assert raw.search("asm.emit(o.SET_FLAGS, g, flags)")


def test_the_raw_form_stays_for_plugins_of_api_1() -> None:
    asm = Assembler()
    asm.emit(o.GATHER_ADD, 0, 1, 2, o.FREED_TABLES | o.CLEARED_PMDS << 16, text="a range")
    assert asm.finish().steps.tolist() == [o.GATHER_ADD, 0, 1, 2, o.FREED_TABLES | o.CLEARED_PMDS << 16]


#: By annotation, what an argument can be and what it can't.
RIGHT = {"bool": True, "str": "word", "Label": 0, "str | None": None}
WRONG = ("x", 1.5, [1])


def _arguments() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Each argument of each public method, with arguments for those that it needs besides."""
    for method, function in inspect.getmembers(Assembler(), callable):
        parameters = inspect.signature(function).parameters.values() if method[0] != "_" else ()
        needed = {one.name: RIGHT.get(one.annotation, 1) for one in parameters if one.default is one.empty}
        for one in parameters:
            if "str" not in one.annotation and one.annotation != "list[int]":
                yield method, one.name, needed


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_every_argument_of_every_method_is_checked(wrong: object) -> None:
    unchecked = []
    for method, name, needed in _arguments():
        asm = Assembler()
        try:
            with getattr(asm, method)(**needed | {name: wrong}) or nullcontext():
                unchecked.append(f"{method}({name}={wrong!r})")
        except MistakeError:
            pass
    assert not unchecked
