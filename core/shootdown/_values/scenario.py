"""A scenario, which is explored: a name, parameters, switches of its own, and a function that writes its programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from shootdown._values.checked import checked
from shootdown._values.parameter import Parameter, Value, read_values

if TYPE_CHECKING:
    from shootdown._explore.problem import Problem
    from shootdown._values.setup import Setup


#: The switch that every scenario has, `--set memory_model=`.
MEMORY_MODEL = "memory_model"


@attrs.frozen(field_transformer=checked)
class Expect:
    """A verdict that a scenario must have.

    Args:
        verdict: one of `verdict.VERDICTS`.
        arch, platform, kernel: where. An empty architecture is this machine's, an empty platform the architecture's
            first.
        settings: what-ifs, as `--set` takes them.
        parameters: as `-p` takes them.
        why: the reason, in a few words.
    """

    verdict: str
    arch: str = ""
    platform: str = ""
    kernel: str = "7.0"
    settings: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    why: str = ""


@attrs.frozen(field_transformer=checked)
class Scenario:
    """A small workload, what must never happen in it, and the verdicts that it must have.

    Args:
        name: as typed.
        summary: one line.
        source: the commit, or where the race is described.
        build: writes the programs.
        parameters: what `-p` can choose.
        switches: what `--set scenario.NAME` can change: the code before a fix, a barrier.
        refuse: says why a kernel or platform can't run it, or None.
        shares_tables: it is about hugetlb PMD sharing; where there is none it does not apply.
        flushes: its verdict depends on how TLBs are flushed; otherwise it is the same on every architecture.
        window: the places (REACHED) that show, in a safe verdict, that the race was possible at all.
        sentences: for each invariant, by name, one sentence that says what may never happen.
        expected: verdicts that tests check.
    """

    kind: ClassVar[str] = "scenario"
    groups: ClassVar[tuple[str, ...]] = ("kernel", "platform", "scenario")

    name: str
    summary: str
    source: str
    build: Callable[[Setup], Problem] = attrs.field(repr=False)
    parameters: tuple[Parameter, ...] = ()
    switches: tuple[Parameter, ...] = ()
    refuse: Callable[[Setup], str | None] = attrs.field(default=lambda _: None, repr=False)
    shares_tables: bool = False
    flushes: bool = True
    window: tuple[str, ...] = ()
    sentences: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    expected: tuple[Expect, ...] = attrs.field(default=(), repr=False)

    def read(
        self, parameters: Mapping[str, Any], switches: Mapping[str, Any] = MappingProxyType({})
    ) -> dict[str, Value]:
        """Complete and check parameters and switches.

        Raises:
            ShootdownError: a name is unknown or a value out of range.
        """
        lacks = f"scenario {self.name} has no"
        return {
            **read_values(self.parameters, parameters, lambda name: f"{lacks} parameter {name}"),
            **read_values(self.switches, switches, lambda name: f"{lacks} switch scenario.{name}"),
        }
