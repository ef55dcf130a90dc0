"""What runs: a workload has a name, parameters with ranges, and a function that writes its programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._values.errors import ShootdownError, nearest

if TYPE_CHECKING:
    from shootdown._machine.machine import Machine
    from shootdown._values.architecture import Lowering
    from shootdown._values.kernel import Kernel
    from shootdown._values.platform import Platform

Value = int | str | bool


@attrs.frozen
class Parameter:
    """One parameter of a workload.

    Args:
        name: as typed after `-p`.
        default: its value; its type decides what is accepted.
        doc: one plain sentence.
        minimum, maximum: bounds of an integer.
        choices: the words allowed.
    """

    name: str
    default: Value
    doc: str
    minimum: int = 0
    maximum: int = 10**9
    choices: tuple[str, ...] = ()

    def read(self, given: Any) -> Value:
        """Check a value that a person gave, as text or already typed.

        Raises:
            ShootdownError: it is not of this parameter's kind or range.
        """
        text = str(given).strip()
        if isinstance(self.default, bool):
            word = text.lower()
            if word in ("true", "on", "yes", "1"):
                return True
            if word in ("false", "off", "no", "0"):
                return False
            raise ShootdownError(f"-p {self.name}={text:.60}: it is true or false")
        if isinstance(self.default, int):
            try:
                number = int(text, 0)
            except ValueError:
                raise ShootdownError(f"-p {self.name}={text:.60}: it is a whole number") from None
            if not self.minimum <= number <= self.maximum:
                raise ShootdownError(
                    f"-p {self.name}={number}: it lies between {self.minimum} and {self.maximum}"
                )
            return number
        if self.choices and text not in self.choices:
            raise ShootdownError(f"-p {self.name}={text:.60}: it is one of {', '.join(self.choices)}")
        return text


SEED = Parameter("seed", 1, "of the random variation of ordinary work; the same seed gives the same run")


@attrs.frozen
class Setting:
    """Where a workload runs: what its `build` gets.

    Args:
        kernel, platform, lowering: whose rules.
        cpus: online CPUs.
        values: the parameters.
    """

    kernel: Kernel
    platform: Platform
    lowering: Lowering
    cpus: int
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return a parameter's value."""
        return self.values[name]


@attrs.frozen
class Workload:
    """Processes, mappings, threads and the mm events that they perform.

    Args:
        name: as typed.
        summary: one line.
        parameters: what can be chosen.
        build: writes the programs and returns the machine; a window named `measured` bounds what is counted,
            and without one everything is.
        refuse: says why a kernel or platform can't run it, or None.
        remarks: says what a reader of the row must know of how it ran.
        shares_tables: it is about hugetlb PMD sharing, and means nothing where there is none.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    build: Callable[[Setting], Machine] = attrs.field(repr=False)
    refuse: Callable[[Setting], str | None] = attrs.field(default=lambda _: None, repr=False)
    remarks: Callable[[Setting], Iterable[str]] = attrs.field(default=lambda _: (), repr=False)
    shares_tables: bool = False

    def read(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """Complete and check parameters.

        Raises:
            ShootdownError: a name is unknown or a value out of range.
        """
        known = {p.name: p for p in (*self.parameters, SEED)}
        for name in given:
            if name not in known:
                raise ShootdownError(
                    f"workload {self.name} has no parameter {name!r}; {nearest(str(name), known)}"
                )
        return {name: p.read(given.get(name, p.default)) for name, p in known.items()}
