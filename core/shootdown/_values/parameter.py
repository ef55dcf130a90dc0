"""What can be chosen of a workload or a scenario: a parameter has a name, a default and a range."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.reading import UnreadableError, read_boolean, read_choice, read_integer

Value = int | str | bool


@attrs.frozen
class Parameter:
    """One parameter of a workload or scenario, or one switch of a scenario.

    Args:
        name: as typed after `-p`.
        default: its value; its type decides what is accepted.
        doc: one plain sentence.
        minimum, maximum: bounds of an integer.
        choices: the words allowed.
        check: reads a text that is not one of a few words, and raises UnreadableError where it can't.
    """

    name: str
    default: Value
    doc: str
    minimum: int = 0
    maximum: int = 10**9
    choices: tuple[str, ...] = ()
    check: Callable[[str], object] | None = attrs.field(default=None, repr=False)

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
    return {name: parameter.read(given.get(name, parameter.default)) for name, parameter in by_name.items()}
