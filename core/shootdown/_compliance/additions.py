"""What a plugin offers besides architectures and platforms, as statements look at it, and how it is tried."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from shootdown._compliance.statement import Finding, Said
from shootdown._plugins.patience import TooLongError
from shootdown._plugins.registry import registry
from shootdown._values.architecture import Architecture
from shootdown._values.errors import MistakeError, ShootdownError, one_line
from shootdown._values.parameter import Parameter, Value
from shootdown._values.report import Report
from shootdown._values.scenario import Scenario
from shootdown._values.setup import Setup
from shootdown._values.sites import raised
from shootdown._values.workload import Workload

#: The most words of a parameter that are tried.
_MOST_WORDS = 12


@attrs.frozen(eq=False)
class Additions:
    """The workloads, scenarios and reports of a plugin.

    Args:
        plugin: how messages name it.
        workloads, scenarios, reports: what it offers.
        long: take larger samples.
        seed: of everything random.
        slow: programs that something took too long with; further statements leave them out.
    """

    about: ClassVar[str] = "additions"

    plugin: str
    workloads: tuple[Workload, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    reports: tuple[Report, ...] = ()
    long: bool = False
    seed: int = 1
    slow: set[str] = attrs.field(factory=set)

    @contextlib.contextmanager
    def trying(self, program: Workload | Scenario) -> Iterator[None]:
        """Try a program within; it stays among the slow ones if a function or the statement runs out of time."""
        self.slow.add(program.name)
        try:
            yield
        except TooLongError:
            raise
        except Exception:
            self.slow.discard(program.name)
            raise
        self.slow.discard(program.name)

    def tried_workloads(self) -> list[Workload]:
        """Return the workloads but for the slow ones."""
        return [one for one in self.workloads if one.name not in self.slow]

    def tried_scenarios(self) -> list[Scenario]:
        """Return the scenarios but for the slow ones."""
        return [one for one in self.scenarios if one.name not in self.slow]


def workloads(additions: Additions) -> str | None:
    """Whether it offers workloads."""
    return None if additions.workloads else "it offers no workload"


def scenarios(additions: Additions) -> str | None:
    """Whether it offers scenarios."""
    return None if additions.scenarios else "it offers no scenario"


def reports(additions: Additions) -> str | None:
    """Whether it offers reports."""
    return None if additions.reports else "it offers no report"


def architectures() -> list[Architecture]:
    """Return the architectures that programs can be tried on."""
    return [one for one in registry().architectures().values() if one.lower is not None and one.platforms]


def told(error: Exception) -> str:
    """Say in one line what went wrong, with file and line where an unexpected error is somebody's."""
    if isinstance(error, ShootdownError):
        return " ".join(str(error).split())
    site = raised(error)
    return one_line(error) + ("" if site is None else f", at {site}")


def is_refusal(error: Exception) -> bool:
    """Whether an error refuses a choice in words, as programs do with those that mean nothing."""
    return isinstance(error, ShootdownError) and not isinstance(error, MistakeError)


class Findings:
    """What goes wrong, and where: what goes wrong alike in several places is told once."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}
        self.too_long = False

    def add(self, place: str, what: str | Exception) -> None:
        """Note that something goes wrong in a place; `too_long` says that it would take as long in further ones."""
        self._places.setdefault(told(what) if isinstance(what, Exception) else what, []).append(place)
        self.too_long |= isinstance(what, TooLongError)

    def said(self) -> Iterator[Said]:
        """Yield a finding for each text."""
        for text, there in self._places.items():
            more = f" and {len(there) - 1} more" if len(there) > 1 else ""
            yield Finding(f"{there[0]}{more}: {text}")


class Noted(Mapping[str, Any]):
    """Values of parameters and switches, which note what is asked for.

    Args:
        values: by name.
        asked: gets the names.
    """

    def __init__(self, values: Mapping[str, Any], asked: set[str]) -> None:
        self._values = values
        self._asked = asked

    def __getitem__(self, name: str) -> Any:
        self._asked.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        self._asked.update(self._values)
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def noting(setup: Setup, asked: set[str]) -> Setup:
    """Return a setup that notes which parameters and switches are asked for."""
    return attrs.evolve(setup, values=Noted(setup.values, asked))


def others(parameter: Parameter) -> Sequence[Value]:
    """Return values of a parameter beside its default: the smallest number, or each word."""
    default = parameter.default
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, int):
        smallest = parameter.minimum
        return [smallest if smallest != default else min(default + 1, parameter.maximum)]
    return [word for word in parameter.choices if word != default][:_MOST_WORDS]
