"""What runs: a workload has a name, parameters with ranges, and a function that writes its programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.parameter import SEED, Parameter, Value

if TYPE_CHECKING:
    from shootdown._machine.machine import Machine
    from shootdown._values.architecture import Lowering
    from shootdown._values.kernel import Kernel
    from shootdown._values.platform import Platform


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
