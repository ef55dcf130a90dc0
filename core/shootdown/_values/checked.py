"""Check the values that plugins write as they are made: each field against the type and range that its class declares.

A mistake is one line: the plugin's file and line, the field, what was given, what is allowed. A class is checked by
`attrs.frozen(field_transformer=checked)`. Lists become tuples where tuples are declared: a value is hashed.
"""

from __future__ import annotations

import math
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import attrs

from shootdown._values.errors import nearest, shown, typed
from shootdown._values.sites import mistake

#: What is wrong with a value, as the end of a sentence that begins with its name; empty if nothing is.
Judge = Callable[[object], str]
#: In a field's metadata: whoever takes the value looks at it.
UNCHECKED = "unchecked"


#: The names of the fields of each class that is checked, by its name.
FIELDS: dict[str, tuple[str, ...]] = {}


class Between(NamedTuple):
    """The range of a field that holds a number: `Annotated[int, Between(1, 48)]`."""

    minimum: float
    maximum: float


def checked(cls: type[Any], fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Let attrs check each field of a class when a value of it is made."""

    def transformed(field: attrs.Attribute[Any]) -> attrs.Attribute[Any]:
        if field.type is None or not field.init or field.metadata.get(UNCHECKED):
            return field
        own = _Validator(cls)
        validator = own if field.validator is None else attrs.validators.and_(own, field.validator)
        converter: Any = field.converter
        if converter is None and str(field.type).startswith("tuple["):
            converter = frozen_lists
        return field.evolve(validator=validator, converter=converter)

    FIELDS[cls.__name__] = tuple(field.name for field in fields)
    return [transformed(field) for field in fields]


def frozen_lists(value: Any) -> Any:
    """Return lists, and lists in them, as tuples; anything else as it is."""
    return tuple(frozen_lists(each) for each in value) if isinstance(value, list | tuple) else value


class _Validator:
    """Checks the fields of one class; hints are read when a value is first made, as names may be declared later."""

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        self.judges: dict[str, Judge] = {}

    def __call__(self, instance: Any, field: attrs.Attribute[Any], value: Any) -> None:
        judge = self.judges.get(field.name)
        if judge is None:
            judge = self.judges[field.name] = judge_of(field, sys.modules[self.cls.__module__])
        problem = judge(value)
        if problem:
            raise mistake(f"{called(instance)}: {field.name} {problem}")


def called(instance: Any) -> str:
    """Call a value by its class and its name: `architecture 'vax'`."""
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in type(instance).__name__).strip()
    name = getattr(instance, "name", None) or getattr(instance, "commit", None)
    return f"{words} {name!r}" if isinstance(name, str) else words


def judge_of(field: attrs.Attribute[Any], module: types.ModuleType) -> Judge:
    """Return what judges a field's values, from its type and its metadata.

    Args:
        field: of an attrs class; `minimum`, `maximum` and `choices` in its metadata are bounds.
        module: where its type is written.
    """
    by_type = judge_of_hint(_hint(field.type, module))
    meta = field.metadata
    least, most, choices = (meta.get(name) for name in ("minimum", "maximum", "choices"))
    if least is None and most is None and not choices:
        return by_type

    def judge(value: Any) -> str:
        return by_type(value) or out_of_range(value, least, most, choices)

    return judge


def out_of_range(value: Any, least: Any, most: Any, choices: Any) -> str:
    """Say that a value lies outside of its range or is none of its choices."""
    if choices and value not in choices:
        return f"is {shown(value)}; it is one of {', '.join(map(str, choices))}"
    if not isinstance(value, int | float):
        return ""
    if (least is None or value >= least) and (most is None or value <= most):
        return ""
    if most is None:
        return f"is {shown(value)}; it is at least {least:,}"
    if least is None:
        return f"is {shown(value)}; it is at most {most:,}"
    return f"is {shown(value)}; it lies between {least:,} and {most:,}"


def _hint(written: Any, module: types.ModuleType) -> Any:
    """Return the type that a field declares; `Any` where its names are known to type checkers alone."""
    if not isinstance(written, str):
        return written
    try:
        # An annotation of shootdown's or of a plugin's class; its module's names go before those of typing.
        return eval(written, vars(typing), vars(module))
    except NameError:
        if not written.startswith("Callable["):
            return Any
        return Callable[..., Any] | None if written.endswith("| None") else Callable


def judge_of_hint(hint: Any) -> Judge:
    """Return what judges values of a type hint."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, typing.TypeVar):
        return lambda value: ""
    if hint in (Callable, typing.Callable) or origin is Callable or _is_callable(origin):
        return lambda value: "" if callable(value) else f"is {typed(value)}, not a function"
    if origin is Annotated:
        return _between(judge_of_hint(arguments[0]), arguments[1])
    if origin is Literal:
        return lambda value: _not_chosen(value, arguments)
    if origin in (typing.Union, types.UnionType):
        return _any_of(arguments)
    if origin is tuple:
        return _tuple(arguments)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(judge_of_hint(arguments[0]), judge_of_hint(arguments[1]))
    if origin is type or hint is type:
        return lambda value: "" if isinstance(value, type) else f"is {shown(value, 60)}, not a class"
    if origin is not None and issubclass(origin, Iterable):
        return lambda value: "" if isinstance(value, origin) else _is(value, origin)
    if hint is bool:
        return lambda value: "" if isinstance(value, bool) else _is(value, bool)
    if hint is int:
        return lambda value: (
            "" if isinstance(value, int) and value is not True and value is not False else _is(value, int)
        )
    if hint is float:
        return _number
    if isinstance(hint, type):
        return lambda value: "" if isinstance(value, hint) else _is(value, hint)
    return lambda value: ""


def _between(by_type: Judge, bounds: Between) -> Judge:
    return lambda value: by_type(value) or out_of_range(value, *bounds, ())


def _is_callable(origin: Any) -> bool:
    return isinstance(origin, type) and origin.__name__ == "Callable"


def _is(value: object, wanted: type[Any]) -> str:
    text = shown(value)
    given = (
        ""
        if value is None or text == typed(value) or not isinstance(value, str | int | float)
        else f": {text}"
    )
    return f"is {typed(value)}, not {typed(wanted)}{given}"


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _is(value, float)
    return "" if math.isfinite(value) else f"is {value}, which is no finite number"


def _not_chosen(value: object, choices: tuple[Any, ...]) -> str:
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return ""
    return f"is {shown(value)}; {nearest(str(value), map(str, choices), limit=len(choices))}"


def _any_of(arguments: tuple[Any, ...]) -> Judge:
    judges = [judge_of_hint(argument) for argument in arguments if argument is not types.NoneType]
    optional = types.NoneType in arguments

    def judge(value: object) -> str:
        if optional and value is None:
            return ""
        problems = [problem(value) for problem in judges]
        return "" if "" in problems else problems[0]

    return judge


def _tuple(arguments: tuple[Any, ...]) -> Judge:
    each = [judge_of_hint(argument) for argument in arguments if argument is not Ellipsis]
    endless = len(arguments) == 2 and arguments[1] is Ellipsis
    of = arguments[0] if endless else None

    def judge(value: object) -> str:
        if not isinstance(value, list | tuple):
            return f"is {typed(value)}, not a list or tuple"
        if not endless and len(value) != len(each):
            return f"has {shown(value, 60)}: {len(each)} values are expected"
        for n, item in enumerate(value):
            problem = each[0 if endless else n](item)
            if problem and isinstance(of, type) and not isinstance(item, of):
                return f"has {typed(item)} where {typed(of)} belongs"
            if problem:
                return f"has {shown(item, 60)}, which {problem}"
        return ""

    return judge


def _mapping(key: Judge, item: Judge) -> Judge:
    def judge(value: object) -> str:
        if not isinstance(value, Mapping):
            return f"is {typed(value)}, not a dict"
        for name, one in value.items():
            if problem := key(name):
                return f"has the key {shown(name)}, which {problem}"
            if problem := item(one):
                return f"has {shown(name)}: it {problem}"
        return ""

    return judge
