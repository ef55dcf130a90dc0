"""Trials: what one program does on kernels that have these changes and not those.

Kernels with equal switches are tried once, and so are kernels that give a program the same machine, step by step and
cell by cell. That makes all releases affordable, and each change turned back by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._plugins.registry import registry
from shootdown._questions.case import PATCH_GROUP, Case, Question, prepare
from shootdown._questions.equal import key_of
from shootdown._questions.explore import MOST_STATES, explore_case, scenario_named
from shootdown._questions.patching import PatchFile, code_of, never_called, refuse_unreached
from shootdown._questions.simulate import simulate
from shootdown._questions.subjects import is_program, program_explored, workload_named
from shootdown._values.changes import CHANGES, Change
from shootdown._values.errors import MistakeError, ShootdownError, nearest
from shootdown._values.releases import kernel_with
from shootdown._values.result import Result, Span
from shootdown._values.scenario import Scenario
from shootdown._values.verdict import BUG, INCONCLUSIVE, NOT_APPLICABLE
from shootdown._values.whatif import parse_settings
from shootdown._values.workload import Workload

if TYPE_CHECKING:
    from shootdown._values.architecture import Architecture
    from shootdown._values.kernel import Kernel
    from shootdown._values.platform import Platform

Program = Workload | Scenario
Changes = tuple[Change, ...]

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
        times: `elapsed_ns`, `system_ns`, `lost_ns` and `user_ns`; empty likewise.
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
        patch: what replaces kernel functions, on kernels that have the changes of `patched`.
        most_states: the bound of each search.
        most_seconds: the CPU time after which a search is given up; None if it never is.
        tried: called after each run or search.

    `patched` has a change for each function that the patch replaces; a kernel with all of them has the patch.
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
        patch: PatchFile | None = None,
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
        self._patch = patch
        self._functions = self._of_the_patch()
        self.patched: Changes = tuple(self._functions.values())
        self._order = {id(change): n for n, change in enumerate((*CHANGES, *architecture.changes))}
        self._by_changes: dict[tuple[int, ...], Kernel] = {}
        self._by_kernel: dict[_Tried, Outcome] = {}
        self._by_machine: dict[bytes, Outcome] = {}
        self._machines: dict[_Tried, bytes | None] = {}
        self._uncalled: dict[_Tried, frozenset[str]] = {}

    def case(self, changes: Sequence[Change]) -> Case[Any]:
        """Prepare the program for the kernel that has these changes.

        Raises:
            ShootdownError: something is unknown, out of range or contradictory.
        """
        return self._case(self._tried_one(changes))

    def kernel(self, changes: Iterable[Change]) -> Kernel:
        """Return the kernel that has these changes, in any order, without the patch; it has no name of its own."""
        numbers = tuple(sorted(self._order[id(change)] for change in changes if id(change) in self._order))
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
        tried = self._tried_one(changes)
        if tried not in self._by_kernel:
            try:
                case = self._case(tried)
                reason = case.refusal()
                found = self._run(case, tried) if reason is None else self._refused(reason)
            except MistakeError:
                raise
            except ShootdownError as error:
                found = self._refused(str(error))
            self._by_kernel[tried] = found
        return self._by_kernel[tried]

    def machine(self, changes: Iterable[Change]) -> bytes | None:
        """Return a key that is equal for equal machines; None where the kernel can't run the program.

        Raises:
            MistakeError: the program itself is wrong.
        """
        tried = self._tried_one(changes)
        if tried not in self._machines:
            try:
                case = self._case(tried)
                self._machines[tried] = key_of(case) if case.refusal() is None else None
            except MistakeError:
                raise
            except ShootdownError:
                self._machines[tried] = None
        return self._machines[tried]

    def uncalled(self, changes: Sequence[Change]) -> frozenset[str]:
        """Return the functions of the patch that the program does not call on a kernel; all if it can't run there."""
        tried = self._tried_one(changes)
        if tried not in self._uncalled:
            names = tried.functions
            try:
                case = self._case(tried)
                if case.kernel.patch is not None and case.refusal() is None:
                    names -= code_of(case, case.setup()).functions
            except ShootdownError:
                pass
            self._uncalled[tried] = names
        return self._uncalled[tried]

    def remark_on(self, uncalled: Collection[str]) -> tuple[str, ...]:
        """Return a remark on functions of the patch that are not called, if there are any."""
        if self._patch is None:
            return ()
        return never_called(self._patch.name, [name for name in self._functions if name in uncalled])

    def _of_the_patch(self) -> dict[str, Change]:
        """Return a change for each function that the patch replaces here."""
        if self._patch is None:
            return {}
        given = parse_settings(self.settings, (*self.program.groups, PATCH_GROUP))
        patch = self._patch.applied(self.architecture.name, given)
        about = f"of patch {patch.name}" + (f": {patch.about.subject}" if patch.about.subject else "")
        return {name: Change(commit=f"{name}()", subject=about, mainline=None) for name in patch.functions}

    def _tried_one(self, changes: Iterable[Change]) -> _Tried:
        chosen = tuple(changes)
        there = set(map(id, chosen))
        return _Tried(
            self.kernel(chosen), frozenset(name for name, one in self._functions.items() if id(one) in there)
        )

    def _case(self, tried: _Tried) -> Case[Any]:
        case = prepare(
            Question(
                self.program,
                self.architecture,
                self.platform,
                tried.kernel.name,
                self.parameters,
                self.settings,
                self.cpus,
                switches=tried.kernel,
                patch=self._patch,
            )
        )
        patch = case.kernel.patch
        if patch is None:
            return case
        left_out = [name for name in patch.functions if name not in tried.functions]
        kept = patch.without(*left_out) if tried.functions else None
        return attrs.evolve(case, kernel=attrs.evolve(case.kernel, name=tried.kernel.name, patch=kept))

    def _refused(self, reason: str) -> Outcome:
        verdict = NOT_APPLICABLE if isinstance(self.program, Scenario) else None
        return Outcome(reason=reason, verdict=verdict)

    def _run(self, case: Case[Any], tried: _Tried) -> Outcome:
        key = self._machines[tried] = self._machines.get(tried) or key_of(case)
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


@attrs.frozen
class _Tried:
    """A kernel without a patch, and the functions of the patch that it has."""

    kernel: Kernel
    functions: frozenset[str]


def refuse_unreached_by(trials: Sequence[Trials], kernels: Callable[[Trials], Iterable[Changes]]) -> None:
    """Refuse a patch with a name that is no kernel function, or of which nothing is called on any kernel.

    Args:
        trials: programs and platforms.
        kernels: returns the changes that kernels with the patch have, likely ones first.

    Raises:
        ShootdownError: the functions are never called.
    """

    def cases() -> Iterator[Case[Any]]:
        for each in trials:
            seen: set[Kernel] = set()
            for changes in kernels(each):
                kernel = each.kernel(changes)
                if kernel in seen:
                    continue
                seen.add(kernel)
                try:
                    case = each.case((*changes, *each.patched))
                except MistakeError:
                    raise
                except ShootdownError:  # choices that this release doesn't have
                    continue
                yield case

    refuse_unreached(cases())


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
