"""Patches: read a file, apply it to kernels, and refuse names that no run reaches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._machine.functions import DECLARED
from shootdown._plugins.refusing import RefusedError
from shootdown._plugins.registry import registry
from shootdown._plugins.vetting import vet_parameters
from shootdown._questions.building import built
from shootdown._questions.called import called
from shootdown._values import inputs
from shootdown._values.errors import ShootdownError, nearest, shown
from shootdown._values.parameter import read_values
from shootdown._values.patch import AppliedPatch, Patch, marks_of
from shootdown._values.renames import outdated, written_as
from shootdown._values.scenario import Scenario
from shootdown._values.sites import beginning, mistake

if TYPE_CHECKING:
    from shootdown._machine.code import Code
    from shootdown._questions.case import Case
    from shootdown._values.setup import Setup


@attrs.frozen
class PatchFile:
    """A patch file as it was read.

    Args:
        file: the path, as given.
        about: its `PATCH`.
        functions: kernel function, architecture or empty, and what replaces it there.
    """

    file: str
    about: Patch
    functions: tuple[tuple[str, str, Callable[..., None]], ...]

    @property
    def name(self) -> str:
        """The file's name without `.py`."""
        return os.path.basename(self.file).removesuffix(".py")

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """A remark for each architecture of the file that is not installed."""
        there_are = registry().architectures()
        return tuple(
            f"patch {self.name}: {name}() is for {arch}, which is no architecture here; {nearest(arch, there_are)}"
            for name, arch, _ in self.functions
            if arch and arch not in there_are
        )

    def applied(self, arch: str, settings: Mapping[str, str], release: str = "") -> AppliedPatch:
        """Return the patch as it applies on an architecture.

        Args:
            arch: its name.
            settings: what-ifs; those that start with `patch.` set its switches.
            release: the release; functions have the names that it gives them, or later ones. Empty for any.

        Raises:
            ShootdownError: a switch is unknown or its value out of range, or nothing is replaced there; or a function
                has another name on the release.
        """
        functions: dict[str, Callable[..., None]] = {}
        here = [(name, function) for name, on, function in self.functions if on in ("", arch)]
        for name, function in here:
            renamed = outdated(name, release)
            if renamed is not None and (renamed.after, function) not in here:
                raise ShootdownError(
                    f"patch {self.file}: {name}() is called {renamed.after}() since {renamed.since} ({renamed.source})"
                )
            functions[written_as(name)] = function
        if not functions:
            on = ", ".join(dict.fromkeys(on for _, on, _ in self.functions))
            raise ShootdownError(f"patch {self.file} replaces nothing on {arch}: it is for {on}")
        given = {at.partition(".")[2]: text for at, text in settings.items() if at.startswith("patch.")}
        try:
            values = read_values(
                self.about.switches, given, lambda name: f"patch {self.file} has no switch {name!r}"
            )
        except ShootdownError as error:
            raise ShootdownError(str(error).replace("-p ", "--set patch.")) from None
        return AppliedPatch(self.name, self.file, self.about, functions, values, arch)


def read_patch(path: str | os.PathLike[str]) -> PatchFile:
    """Read a patch file.

    Raises:
        ShootdownError: there is no such file, or something is wrong in it; the message names the line.
    """
    import runpy

    try:
        file = os.fspath(path)
    except TypeError:
        file = path  # type: ignore[assignment]
    if not isinstance(file, str):
        raise ShootdownError(f"patch {file!r:.40}: it is the path of a file of Python")
    if not file.endswith(".py"):
        raise ShootdownError(f"patch {file}: its name does not end in .py; a patch is a file of Python")
    if (problem := inputs.no_file(file)) is not None:
        raise ShootdownError(f"patch {file}: {problem}")
    inputs.note(file)
    found = called(f"patch {file}", runpy.run_path, file)
    about = found.get("PATCH", Patch())
    if not isinstance(about, Patch):
        raise ShootdownError(f"patch {file}: PATCH is {shown(about)}, not a shootdown.patches.Patch")
    try:
        vet_parameters(f"patch {file}", (), switches=about.switches)
    except RefusedError as error:
        raise ShootdownError(error.reason) from None
    functions: dict[tuple[str, str], Callable[..., None]] = {}
    for value in dict.fromkeys(one for one in found.values() if callable(one)):
        for name, arch in marks_of(value):
            if (name, arch) in functions:
                raise mistake(f"patch {file}: {name}() is replaced twice", beginning(value))
            functions[name, arch] = value
    if not functions:
        raise ShootdownError(
            f"patch {file}: it replaces nothing; mark a function with @replaces from shootdown.patches"
        )
    return PatchFile(file, about, tuple((name, arch, value) for (name, arch), value in functions.items()))


def code_of(case: Case[Any], setup: Setup) -> Code:
    """Build the program of a workload's or scenario's case, and return its steps."""
    if isinstance(case.program, Scenario):
        from shootdown._explore.problem import Problem

        return built(case, setup, Problem).machine.code
    from shootdown._machine.machine import Machine

    return built(case, setup, Machine).code


def refuse_unreached(cases: Iterable[Case[Any]]) -> None:
    """Refuse a patch with a name that is no kernel function here, or of which nothing is called.

    A patch may replace several functions of which a run calls some: a remark then names the others.

    Args:
        cases: prepared ones; they are built until all functions of the patch were called.

    Raises:
        ShootdownError: the functions are never called.
    """
    found = Reached()
    for case in cases:
        patch = case.kernel.patch
        if patch is None or found.all_of(patch) or case.refusal() is not None:
            continue
        setup = case.setup()
        found.add(patch, code_of(case, setup), setup)
    found.refuse()


@attrs.define
class Reached:
    """What building found: the functions called by name, those only opened in place, those that could be called."""

    called: set[str] = attrs.field(factory=set)
    opened: set[str] = attrs.field(factory=set)
    known: set[str] = attrs.field(factory=set)
    file: str = ""
    wanted: set[str] = attrs.field(factory=set)

    def all_of(self, patch: AppliedPatch) -> bool:
        """Whether all functions of a patch were called."""
        return set(patch.functions) <= self.called

    def refuse(self) -> list[str]:
        """Return the functions of the patches that were never called.

        Raises:
            ShootdownError: there is no kernel function of that name, or none of them was called.
        """
        nothing = not self.wanted & self.called
        missing = sorted(self.wanted - self.called)
        for name in missing:
            if nothing or name not in self.known:
                raise ShootdownError(f"patch {self.file}: {self.why(name)}")
        return missing

    def add(self, patch: AppliedPatch, code: Code, setup: Setup) -> None:
        """Add what the programs of a machine call that was built with a patch."""
        package = type(setup.lowering).__module__.partition(".")[0]
        self.file, self.wanted = patch.file, self.wanted | set(patch.functions)
        self.called |= code.functions
        self.opened |= {name for note in code.notes for name in note.path}
        self.known |= {
            name
            for name, declared in DECLARED.items()
            if any(one.write.__module__.partition(".")[0] in ("shootdown", package) for one in declared)
        }

    def why(self, name: str) -> str:
        """Say why a function could not be replaced, and name near ones."""
        near = nearest(name, self.called)
        if name in self.known:
            return f"{name}() is never called here; {near}"
        if name in self.opened:
            return f"{name}() cannot be replaced yet: its steps are written in place; {near}"
        return f"there is no kernel function {name}() here; {near}"


def uncalled(patch: AppliedPatch | None, code: Code) -> tuple[str, ...]:
    """Return a remark on the functions of a patch that a program does not call, if any."""
    if patch is None:
        return ()
    return never_called(patch.name, [name for name in patch.functions if name not in code.functions])


def never_called(patch: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a remark on functions of a patch that are not called, if there are any."""
    if not names:
        return ()
    told = " and ".join(f"{name}()" for name in names)
    return (f"patch {patch}: {told} {'are' if len(names) > 1 else 'is'} never called here",)
