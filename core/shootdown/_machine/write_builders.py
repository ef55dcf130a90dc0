"""Write the files of `builders`, a method of the assembler for each step, from the table of steps.

    python -m shootdown._machine.write_builders

The result is checked in, so that editors and type checkers know the methods; a test writes it again and compares.
"""

from __future__ import annotations

from pathlib import Path

from shootdown._machine import ops
from shootdown._machine.steps.row import Kind, Operand, Row
from shootdown._machine.steps.table import FAMILIES

_FOLDER = Path(__file__).with_name("builders")
_WIDTH = 110
_HEAD = '''"""A method for each step of `steps/{family}.py`, as programs write it. Written by `write_builders.py`."""

from __future__ import annotations

from shootdown._machine import ops as o
{imports}

class {name}(Writer):
    """The steps of this family, one method each.

    All take `cost`, the name of the platform's cost (`COST_NAMES`), and `text`, a short description for stories.
    """
'''
_ARGUMENTS = "from shootdown._machine.arguments import "
_LABEL = "from shootdown._machine.label import Label\n"
_WRITER = "from shootdown._machine.writer import Writer\n"
_TYPES = {Kind.LABEL: "Label", Kind.TRUTH: "bool", Kind.INDEX: "int | None", Kind.READ_OR_NONE: "int | None"}


def written() -> dict[str, str]:
    """Return the text of each file of `builders` that is written, by its name."""
    return {f"{family}.py": _file(family, rows) for family, rows in FAMILIES.items()}


def _file(family: str, rows: tuple[Row, ...]) -> str:
    built = [row for row in rows if row.builder]
    labels = any(operand.kind is Kind.LABEL for row in built for operand in row.operands)
    methods = "".join(map(_method, built))
    helpers = [name for name in ("above", "past", "truth") if f" {name}(" in methods]
    head = _HEAD.format(
        family=family,
        name="".join(word.title() for word in family.split("_")) + "Steps",
        imports=(_ARGUMENTS + ", ".join(helpers) + "\n" if helpers else "")
        + (_LABEL if labels else "")
        + _WRITER,
    )
    return head + methods


def _method(row: Row) -> str:
    taken = [operand for operand in row.operands if not operand.unused]
    # Optional operands follow required ones.
    taken.sort(key=lambda operand: operand.default is not None)
    parameters = [
        "self",
        *map(_parameter, taken),
        "*",
        "cost: str | None = None",
        f'text: str = "{row.text}"',
    ]
    lines = [
        *_fitted(f"    def {row.builder}(", parameters, ") -> None:"),
        f'        """{row.does}{_documented(taken)}"""',
        *_fitted("        self._write(", _arguments(row), ")"),
    ]
    return "\n" + "\n".join(lines) + "\n"


def _fitted(begin: str, items: list[str], end: str) -> list[str]:
    """Lay a list out as the formatter does: on the same line, on one line of its own, or one item a line."""
    line = begin + ", ".join(items) + end
    if len(line) <= _WIDTH:
        return [line]
    margin = " " * (len(begin) - len(begin.lstrip()))
    inner = f"{margin}    {', '.join(items)}"
    if len(inner) <= _WIDTH:
        return [begin, inner, margin + end]
    return [begin, *(f"{margin}    {item}," for item in items), margin + end]


def _parameter(operand: Operand) -> str:
    kind = _TYPES.get(operand.kind, "int")
    return f"{operand.name}: {kind}" + (f" = {_default(operand)}" if operand.default is not None else "")


def _default(operand: Operand) -> str:
    if operand.kind is Kind.SCOPE and operand.default == ops.SCOPE_BOTH:
        return "o.SCOPE_BOTH"
    if _TYPES.get(operand.kind, "").endswith("None"):
        return "None"
    return str(bool(operand.default)) if operand.kind is Kind.TRUTH else str(operand.default)


def _documented(taken: list[Operand]) -> str:
    if not taken:
        return ""
    lines = (f"            {operand.name}: {operand.says or operand.kind.value}." for operand in taken)
    return "\n\n        Args:\n" + "\n".join(lines) + "\n        "


def _arguments(row: Row) -> list[str]:
    """Write the operands in the order of a step's numbers."""
    places = [""] * 4
    for place, operand in row.placed():
        value = _value(operand)
        if operand.above:
            names = f'("{places[place - 1]}", "{value}")'
            value = f"above({places[place - 1]}, {value}, {operand.above}, {names})"
        places[place - 1] = value
    while places and not places[-1]:
        places.pop()
    return [f"o.{row.name}", *places, "cost=cost", "text=text"]


def _value(operand: Operand) -> str:
    if operand.unused:
        return "0"
    if operand.kind is Kind.TRUTH:
        return f'truth({operand.name}, "{operand.name}")'
    if operand.kind is Kind.INDEX:
        return f'past({operand.name}, "{operand.name}")'
    if operand.kind is Kind.READ_OR_NONE:
        return f"-1 if {operand.name} is None else {operand.name}"
    return operand.name


if __name__ == "__main__":
    for name, text in written().items():
        (_FOLDER / name).write_text(text)
