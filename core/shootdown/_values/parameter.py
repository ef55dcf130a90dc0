"""What can be chosen of a workload or a scenario: a parameter has a name, a default and a range."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from shootdown._values.checked import checked
from shootdown._values.errors import ShootdownError, nearest, shown
from shootdown._values.reading import UnreadableError, read_boolean, read_choice, read_integer

Value = int | str | bool


@attrs.frozen(field_transformer=checked)
class Parameter:
    """One parameter of a workload or scenario, or one switch of a scenario.

    Args:
        name: as typed after `-p`.
        default: its value; its type decides what is accepted.
        doc: one plain sentence.
        minimum, maximum: bounds of an integer.
        choices: the words allowed.
        check: reads a text that is not one of a few words, and raises UnreadableError where it can't.
        share_of: the parameter of which `50%` is a share, rounded down; nothing is a share if empty.
    """

    name: str
    default: Value
    doc: str
    minimum: int = 0
    maximum: int = 10**9
    choices: tuple[str, ...] = ()
    check: Callable[[str], object] | None = attrs.field(default=None, repr=False)
    share_of: str = ""

    @property
    def is_listed(self) -> bool:
        """Whether `a,b` are two values to be tried one after the other, and not one text."""
        return not isinstance(self.default, str) or bool(self.choices)

    def read(self, given: Any) -> Value:
        """Check a value that a person gave, as text or already typed.

        Raises:
            ShootdownError: it is not of this parameter's kind or range.
        """
        text = str(given).strip()
        try:
            if isinstance(self.default, bool):
                return read_boolean(text)
            if isinstance(self.default, int):
                return self._in_range(self._number(text))
            if self.choices:
                return read_choice(text, self.choices)
            if self.check is not None:
                self.check(text)
            return text
        except UnreadableError as error:
            one_of = "one of " if self.choices else ""
            raise ShootdownError(f"-p {self.name}={text:.60}: it is {one_of}{error.allowed}") from None

    def _number(self, text: str) -> int:
        try:
            return read_integer(text)
        except UnreadableError as error:
            allowed = f"{error.allowed} from {self.minimum} to {self.maximum}"
            raise UnreadableError(text, allowed) from None

    def _in_range(self, number: int) -> int:
        if not self.minimum <= number <= self.maximum:
            raise ShootdownError(
                f"-p {self.name}={number}: it lies between {self.minimum} and {self.maximum}"
            )
        return number


SEED = Parameter("seed", 1, "of the random variation of ordinary work; the same seed gives the same run")


def read_values(
    known: Iterable[Parameter], given: Mapping[str, Any], lacks: Callable[[str], str]
) -> dict[str, Value]:
    """Complete and check values by name.

    Args:
        known: the parameters that there are.
        given: values, as text or already typed; the others get their defaults.
        lacks: says of a name that there is no such parameter.

    Raises:
        ShootdownError: a name is unknown or a value out of range.
    """
    by_name = {parameter.name: parameter for parameter in known}
    for name in given:
        if name not in by_name:
            raise ShootdownError(f"{lacks(name)}; {nearest(str(name), by_name)}")
    whole = {name: given.get(name, one.default) for name, one in by_name.items()}
    return {name: one.read(_shared(one, by_name, whole)) for name, one in by_name.items()}


def _shared(one: Parameter, known: Mapping[str, Parameter], values: Mapping[str, Any]) -> Any:
    """Return the value of a parameter; `50%` of another one as a number."""
    given = values[one.name]
    text = str(given).strip()
    if not text.endswith("%"):
        return given
    asked = f"-p {one.name}={text:.60}"
    if not one.share_of:
        raise ShootdownError(f"{asked}: it is no share of another parameter; write a value")
    try:
        percent = read_integer(text[:-1].strip(), minimum=0, maximum=100)
    except UnreadableError:
        raise ShootdownError(
            f"{asked}: a share is a whole number from 0% to 100%, here of {one.share_of}"
        ) from None
    return int(known[one.share_of].read(values[one.share_of])) * percent // 100


def alternatives(known: Iterable[Parameter], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one mapping of values for each combination of those that were given as a list.

    Args:
        known: the parameters that there are.
        given: values by name; a list or tuple, or a text such as `1,2,4` of a parameter that isn't a free text, has
            several.

    Raises:
        ShootdownError: a list has an empty place.
    """
    listed = {one.name for one in known if one.is_listed}
    choices: list[list[Any]] = []
    for name, value in given.items():
        values = [value]
        if isinstance(value, list | tuple):
            values = list(value)
        elif isinstance(value, str) and name in listed and "," in value:
            values = [part.strip() for part in value.split(",")]
        if not values or "" in values:
            raise ShootdownError(f"-p {name}={shown(value, 60)} has an empty place in its list")
        choices.append(values)
    return [dict(zip(given, chosen, strict=True)) for chosen in itertools.product(*choices)]
