"""What is explored: a scenario has a name, parameters, switches of its own, and a function that writes its programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.parameter import Parameter, Value

if TYPE_CHECKING:
    from shootdown._explore.problem import Problem
    from shootdown._values.architecture import Lowering
    from shootdown._values.kernel import Kernel
    from shootdown._values.platform import Platform


@attrs.frozen
class Scene:
    """Where a scenario is explored: what its `build` gets.

    Args:
        kernel, platform, lowering: whose rules.
        values: parameters (`-p`) and the scenario's own switches (`--set scenario.x`), by name.
        memory: the memory model, `ops.SC`, `TSO` or `WEAK`.
        pte_clear: how the architecture clears an entry, `xchg` (fully ordered) or `store`.
        pte_clear_atomic: it reads and clears the entry in one access, ordered or not.
    """

    kernel: Kernel
    platform: Platform
    lowering: Lowering
    values: Mapping[str, Any]
    memory: int
    pte_clear: str = "store"
    pte_clear_atomic: bool = True

    def __getitem__(self, name: str) -> Any:
        """Return a parameter's or switch's value."""
        return self.values[name]

    @property
    def preempts(self) -> bool:
        """Any vCPU may be preempted at any moment."""
        flush = self.platform.flush
        return flush == "kvm" or (flush == "auto" and self.platform.hypervisor == "kvm")


@attrs.frozen
class Expect:
    """A verdict that a scenario must have.

    Args:
        verdict: `safe`, `bug` or `not-applicable`.
        arch, platform, kernel: where; an empty platform is the architecture's first.
        settings: what-ifs, as `--set` takes them.
        parameters: as `-p` takes them.
        why: in a few words.
    """

    verdict: str
    arch: str = "x86"
    platform: str = ""
    kernel: str = "7.0"
    settings: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    why: str = ""


@attrs.frozen
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
        shares_tables: it is about hugetlb PMD sharing, and means nothing where there is none.
        flushes: its verdict depends on how TLBs are flushed; otherwise it is the same on every architecture.
        window: the places (REACHED) that show, in a safe verdict, that the race was possible at all.
        sentences: each of its invariants by name, explained in one sentence: what may never happen.
        expected: verdicts that tests check.
    """

    name: str
    summary: str
    source: str
    build: Callable[[Scene], Problem] = attrs.field(repr=False)
    parameters: tuple[Parameter, ...] = ()
    switches: tuple[Parameter, ...] = ()
    refuse: Callable[[Scene], str | None] = attrs.field(default=lambda _: None, repr=False)
    shares_tables: bool = False
    flushes: bool = True
    window: tuple[str, ...] = ()
    sentences: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    expected: tuple[Expect, ...] = attrs.field(default=(), repr=False)

    def read(self, parameters: Mapping[str, Any], switches: Mapping[str, Any]) -> dict[str, Value]:
        """Complete and check parameters and switches.

        Raises:
            ShootdownError: a name is unknown or a value out of range.
        """
        values: dict[str, Value] = {}
        for known, given, what in (
            (self.parameters, parameters, "parameter"),
            (self.switches, switches, "switch scenario."),
        ):
            by_name = {p.name: p for p in known}
            for name in given:
                if name not in by_name:
                    raise ShootdownError(
                        f"scenario {self.name} has no {what}{'' if what[-1] == '.' else ' '}{name}; "
                        f"{nearest(str(name), by_name)}"
                    )
            values |= {name: p.read(given.get(name, p.default)) for name, p in by_name.items()}
        return values
