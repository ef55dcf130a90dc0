"""A workload, which is run: a name, parameters with ranges, and a function that writes its programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from shootdown._values.checked import checked
from shootdown._values.parameter import SEED, Parameter, Value, read_values

if TYPE_CHECKING:
    from shootdown._machine.machine import Machine
    from shootdown._values.setup import Setup


@attrs.frozen(field_transformer=checked)
class Workload:
    """Processes, mappings and threads, and the calls that they make.

    Args:
        name: as typed.
        summary: one line.
        parameters: what can be chosen.
        build: writes the programs and returns the machine. If they open windows, only what happens inside the first
            one is counted, which is called `measured`; otherwise everything is.
        refuse: returns why a kernel or platform can't run it, or None.
        remarks: returns caveats for the reader of the row.
        shares_tables: it is about hugetlb PMD sharing; where there is none it is not supported.
        applied: returns, by parameter, how many of something there can be where more was asked for.
        small: parameters of a run that takes no time and still shows what kernels do differently. `history` and `diff`
            use them where none of them is given.
        turns: returns how many turns of its own the measured part has, which results then give a rate of; 0 for none.
    """

    kind: ClassVar[str] = "workload"
    groups: ClassVar[tuple[str, ...]] = ("kernel", "platform", "cost")
    switches: ClassVar[tuple[Parameter, ...]] = ()

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    build: Callable[[Setup], Machine] = attrs.field(repr=False)
    refuse: Callable[[Setup], str | None] = attrs.field(default=lambda _: None, repr=False)
    remarks: Callable[[Setup], Iterable[str]] = attrs.field(default=lambda _: (), repr=False)
    shares_tables: bool = False
    applied: Callable[[Setup], Mapping[str, int]] = attrs.field(
        default=lambda _: MappingProxyType({}), repr=False
    )
    small: Mapping[str, Value] = attrs.field(factory=dict, repr=False)
    turns: Callable[[Setup], int] = attrs.field(default=lambda _: 0, repr=False)

    def read(
        self, parameters: Mapping[str, Any], switches: Mapping[str, Any] = MappingProxyType({})
    ) -> dict[str, Value]:
        """Complete and check parameters.

        Raises:
            ShootdownError: a name is unknown or a value out of range.
        """
        return read_values(
            (*self.parameters, SEED),
            {**parameters, **switches},
            lambda name: f"workload {self.name} has no parameter {name!r}",
        )
