"""Trials: what one program does on kernels that have these changes and not those.

Kernels with equal switches are tried once, and so are kernels that give a program the same machine, step by step and
cell by cell. That makes all releases affordable, and each change turned back by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._plugins.registry import registry
from shootdown._questions.case import Case, Question, prepare
from shootdown._questions.equal import key_of
from shootdown._questions.explore import MOST_STATES, explore_case, scenario_named
from shootdown._questions.simulate import simulate
from shootdown._questions.subjects import is_program, program_explored, workload_named
from shootdown._values.changes import CHANGES, Change
from shootdown._values.errors import MistakeError, ShootdownError, nearest
from shootdown._values.releases import kernel_with
from shootdown._values.result import Result, Span
from shootdown._values.scenario import Scenario
from shootdown._values.verdict import BUG, INCONCLUSIVE, NOT_APPLICABLE
from shootdown._values.workload import Workload

if TYPE_CHECKING:
    from shootdown._values.architecture import Architecture
    from shootdown._values.kernel import Kernel
    from shootdown._values.platform import Platform

Program = Workload | Scenario

#: What a kernel without a name of its own is called in sentences.
THIS_RELEASE = "this release"


def program_named(name: str, *, explored: bool = False) -> Program:
    """Find a workload or a scenario by its name, or read a program or a scenario from a file.

    Args:
        name: of it, or of its file.
        explored: a program is one to explore, not one to count.

    Raises:
        ShootdownError: there is nothing of this name.
    """
    if is_program(name):
        return program_explored(name) if explored else workload_named(name)
    installed = registry()
    workloads = installed.workloads()
    if name in workloads:
        return workloads[name]
    if name.endswith(".py") or name in installed.scenarios():
        return scenario_named(name)
    known = (*workloads, *installed.scenarios())
    raise ShootdownError(f"there is no workload or scenario {name!r}; {nearest(name, known)}")


def sizes(program: Program, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of a quick run: those that were given, and a workload's small ones if they name none."""
    small = program.small if isinstance(program, Workload) else {}
    return dict(given) if set(small) & set(given) else {**small, **given}


@attrs.frozen
class Outcome:
    """What a program does on a kernel.

    Args:
        counts: integers by name; empty for a scenario, and where the kernel can't run the program.
        times: `elapsed_ns` and `system_ns`; empty likewise.
        timed: the counts that timing decides.
        verdict: of a scenario; None for a workload.
        invariant: the one that a bug breaks.
        reason: why the kernel can't run the program, or why a search is inconclusive.
    """

    counts: Mapping[str, int] = attrs.field(factory=dict)
    times: Mapping[str, Span] = attrs.field(factory=dict)
    timed: tuple[str, ...] = ()
    verdict: str | None = None
    invariant: str | None = None
    reason: str | None = None

    @property
    def supported(self) -> bool:
        """Whether the kernel can run the program."""
        return self.reason is None if self.verdict is None else self.verdict != NOT_APPLICABLE

    @property
    def said(self) -> str | None:
        """The verdict in words, with the invariant of a bug: `safe`, `bug gup-fast`, `livelock`."""
        return f"bug {self.invariant}" if self.verdict == BUG else self.verdict

    @property
    def same(self) -> Any:
        """A value that is equal for outcomes with equal counts, or equal verdicts."""
        if self.verdict is not None:
            return self.verdict, self.invariant
        return tuple(self.counts.items()) if self.supported else self.reason


class Trials:
    """Try one program on one platform, on any set of changes.

    Args:
        program: a workload or scenario.
        architecture, platform: those installed.
        parameters: of the program; the others get their defaults.
        settings: what-ifs, for every kernel.
        cpus: online CPUs; the platform's own if None.
        most_states: the bound of each search.
        most_seconds: the CPU time after which a search is given up; None if it never is.
        tried: called after each run or search.
    """

    def __init__(
        self,
        program: Program,
        architecture: Architecture,
        platform: Platform,
        *,
        parameters: Mapping[str, Any] | None = None,
        settings: Iterable[str] | Mapping[str, str] = (),
        cpus: int | None = None,
        most_states: int = MOST_STATES,
        most_seconds: float | None = None,
        tried: Callable[[], None] = lambda: None,
    ) -> None:
        self.program = program
        self.architecture = architecture
        self.arch = architecture.called or architecture.name
        self.platform = platform
        self.parameters = dict(parameters or {})
        self.settings = settings if isinstance(settings, Mapping) else tuple(settings)
        self.cpus = cpus
        self.runs = 0
        self._most_states = most_states
        self._most_seconds = most_seconds
        self._tried = tried
        self._order = {id(change): n for n, change in enumerate((*CHANGES, *architecture.changes))}
        self._by_changes: dict[tuple[int, ...], Kernel] = {}
        self._by_kernel: dict[Kernel, Outcome] = {}
        self._by_machine: dict[bytes, Outcome] = {}
        self._machines: dict[Kernel, bytes | None] = {}

    def case(self, changes: Sequence[Change]) -> Case[Any]:
        """Prepare the program for the kernel that has these changes.

        Raises:
            ShootdownError: something is unknown, out of range or contradictory.
        """
        return self._case(self.kernel(changes))

    def kernel(self, changes: Iterable[Change]) -> Kernel:
        """Return the kernel that has these changes, in any order; it has no name of its own."""
        numbers = tuple(sorted(self._order[id(change)] for change in changes))
        if numbers not in self._by_changes:
            table = (*CHANGES, *self.architecture.changes)
            self._by_changes[numbers] = kernel_with(
                (table[number] for number in numbers),
                self.architecture,
                name=THIS_RELEASE,
                release=THIS_RELEASE,
            )
        return self._by_changes[numbers]

    def of(self, changes: Iterable[Change]) -> Outcome:
        """Return what the program does on the kernel that has these changes.

        Raises:
            MistakeError: the program itself is wrong.
        """
        kernel = self.kernel(changes)
        if kernel not in self._by_kernel:
            try:
                case = self._case(kernel)
                reason = case.refusal()
                found = self._run(case, kernel) if reason is None else self._refused(reason)
            except MistakeError:
                raise
            except ShootdownError as error:
                found = self._refused(str(error))
            self._by_kernel[kernel] = found
        return self._by_kernel[kernel]

    def machine(self, changes: Iterable[Change]) -> bytes | None:
        """Return a key that is equal for equal machines; None where the kernel can't run the program.

        Raises:
            MistakeError: the program itself is wrong.
        """
        kernel = self.kernel(changes)
        if kernel not in self._machines:
            try:
                case = self._case(kernel)
                self._machines[kernel] = key_of(case) if case.refusal() is None else None
            except MistakeError:
                raise
            except ShootdownError:
                self._machines[kernel] = None
        return self._machines[kernel]

    def _case(self, kernel: Kernel) -> Case[Any]:
        return prepare(
            Question(
                self.program,
                self.architecture,
                self.platform,
                kernel.name,
                self.parameters,
                self.settings,
                self.cpus,
                switches=kernel,
            )
        )

    def _refused(self, reason: str) -> Outcome:
        verdict = NOT_APPLICABLE if isinstance(self.program, Scenario) else None
        return Outcome(reason=reason, verdict=verdict)

    def _run(self, case: Case[Any], kernel: Kernel) -> Outcome:
        key = self._machines[kernel] = self._machines.get(kernel) or key_of(case)
        if key not in self._by_machine:
            self.runs += 1
            if isinstance(self.program, Scenario):
                self._by_machine[key] = self._searched(case)
            else:
                row: Result = simulate(case)
                self._by_machine[key] = Outcome(
                    counts=dict(row.counts), times=dict(row.times), timed=row.decided_by_timing
                )
            self._tried()
        return self._by_machine[key]

    def _searched(self, case: Case[Scenario]) -> Outcome:
        limit = _Limit(self._most_seconds)
        try:
            found = explore_case(case, most_states=self._most_states, progress=limit.check)
        except _TookTooLongError:
            return Outcome(verdict=INCONCLUSIVE, reason=f"it took more than {self._most_seconds:g} s")
        return Outcome(verdict=found.verdict, invariant=found.invariant, reason=found.reason)


class _TookTooLongError(Exception):
    """End a search that was to take a moment."""


class _Limit:
    """The time that a search may take, from when it first reports: what is compiled before does not count."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._began: float | None = None

    def check(self, _found: int, _expanded: int) -> None:
        """Raise if the time is over."""
        now = time.process_time()
        if self._began is None:
            self._began = now
        elif self._seconds is not None and now - self._began > self._seconds:
            raise _TookTooLongError
