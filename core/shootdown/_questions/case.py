"""A question, and the one way to prepare it: choices become values, and contradictory choices are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from platform import machine as host_machine
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import attrs

from shootdown._machine import ops as o
from shootdown._plugins.registry import registry
from shootdown._porting.geometry import sized
from shootdown._questions.called import called
from shootdown._questions.costing import CLOCK_RATE, with_costs
from shootdown._questions.platform_file import is_file, platform_of_file
from shootdown._values.errors import MistakeError, ShootdownError, nearest, shown
from shootdown._values.flushes import AUTO
from shootdown._values.given import Names, Settings, names, what_ifs
from shootdown._values.lowering import Lowering
from shootdown._values.platform import MOST_CPUS, Platform
from shootdown._values.releases import resolve, starts_later
from shootdown._values.scenario import MEMORY_MODEL
from shootdown._values.setup import Setup
from shootdown._values.whatif import parse_settings, refuse_contradictions, set_fields, set_kernel

if TYPE_CHECKING:
    from shootdown._plugins.installed import Registry
    from shootdown._values.architecture import Architecture
    from shootdown._values.kernel import Kernel
    from shootdown._values.parameter import Parameter, Value
    from shootdown._values.patch import AppliedPatch

#: Every installed architecture: `--arch all`.
ALL = "all"
#: The group of a patch's own switches: `--set patch.NAME=value`.
PATCH_GROUP = "patch"
MEMORY_MODELS = {"sc": o.SC, "tso": o.TSO, "weak": o.WEAK}


class Program(Protocol):
    """The fields that workloads and scenarios have in common."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def switches(self) -> tuple[Parameter, ...]: ...
    @property
    def shares_tables(self) -> bool: ...
    @property
    def build(self) -> Callable[[Setup], Any]: ...
    @property
    def refuse(self) -> Callable[[Setup], str | None]: ...
    def read(self, parameters: Mapping[str, Any], switches: Mapping[str, Any] = ...) -> dict[str, Value]: ...


class Patching(Protocol):
    """A patch file that was read: `PatchFile`."""

    @property
    def name(self) -> str: ...
    @property
    def elsewhere(self) -> tuple[str, ...]: ...
    def applied(self, arch: str, settings: Mapping[str, str], release: str = ...) -> AppliedPatch: ...


P = TypeVar("P", bound=Program)


@attrs.frozen
class Question(Generic[P]):
    """A question: what a workload or scenario does on one kernel and platform.

    Args:
        program: the workload or scenario.
        architecture, platform: those installed.
        kernel: a release or proposal, by name.
        parameters: of the program, as text or values; the others get their defaults.
        settings: what-ifs, as `kernel.FIELD=value` texts or as a mapping.
        cpus: the number of online CPUs; the platform's own if None.
        switches: the kernel itself, where no name resolves to it: a release without one of its commits.
        patch: what replaces kernel functions.
    """

    program: P
    architecture: Architecture
    platform: Platform
    kernel: str
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    settings: Iterable[str] | Mapping[str, str] = ()
    cpus: int | None = None
    switches: Kernel | None = None
    patch: Patching | None = None


@attrs.frozen
class Case(Generic[P]):
    """A question with every choice made and checked; nothing is built yet.

    Args:
        program: the workload or scenario.
        architecture, platform, kernel: values, with what-ifs applied.
        parameters, switches: all those of the program.
        settings: the what-ifs, as given.
        cpus: the number of online CPUs.
        memory: the memory model, by name.
        remarks: remarks that follow from the choices alone.
    """

    program: P
    architecture: Architecture
    platform: Platform
    kernel: Kernel
    parameters: Mapping[str, Any]
    switches: Mapping[str, Any]
    settings: Mapping[str, str]
    cpus: int
    memory: str
    remarks: tuple[str, ...]

    def setup(self, *extra: str) -> Setup:
        """Return the argument of the program's `build`; `extra` are further settings of the platform."""
        platform, _ = _with_settings(self.architecture, self.platform, parse_settings(extra))
        assert self.architecture.lower is not None
        lowering = called(
            f"architecture {self.architecture.name}: lower()", self.architecture.lower, self.kernel, platform
        )
        expect(f"architecture {self.architecture.name}: lower()", lowering, Lowering)
        return Setup(
            self.kernel,
            platform,
            lowering,
            self.cpus,
            {**self.parameters, **self.switches},
            MEMORY_MODELS[self.memory],
            self.architecture.pte_clear,
            self.architecture.pte_clear_atomic,
            self.architecture.preempts(platform),
        )

    def refusal(self) -> str | None:
        """Return why kernel and platform can't run the program, or None."""
        if self.architecture.lower is None:
            lacks = f"the plugin of {self.architecture.name} does not say how it flushes (Architecture.lower)"
            return "; ".join((lacks, *registry().losers(self.architecture.name)))
        for value in (self.architecture, self.platform):
            if starts_later(value, self.kernel.release):
                return f"{value.name} begins with {value.first}"
        setup = self.setup()
        if self.program.shares_tables and self.settings.get("kernel.pmd_sharing") is None:
            what = f"architecture {self.architecture.name}: no_pmd_sharing()"
            reason = called(what, setup.lowering.no_pmd_sharing)
            expect(what, reason, str | None)
            if reason is not None:
                return reason
        reason = called(f"{self.program.kind} {self.program.name}: refuse()", self.program.refuse, setup)
        expect(f"{self.program.kind} {self.program.name}: refuse()", reason, str | None)
        return reason


def prepare(question: Question[P]) -> Case[P]:
    """Choose everything that a question leaves open, and check that the choices are consistent.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    program, architecture = question.program, question.architecture
    groups = program.groups if question.patch is None else (*program.groups, PATCH_GROUP)
    settings = _what_ifs(groups, question.settings)
    named = resolve(question.kernel, architecture) if question.switches is None else question.switches
    kernel = set_kernel(named, settings, architecture)
    if question.patch is not None:
        patch = question.patch.applied(architecture.name, settings, kernel.release)
        kernel = attrs.evolve(
            kernel,
            name=f"{kernel.name}+{patch.name}",
            patch=patch,
            remarks=(*kernel.remarks, patch.remark, *question.patch.elsewhere),
        )
    machine = sized(question.platform, kernel.page_size)
    platform, remarks = _with_settings(architecture, machine, settings)
    _check_hypervisor(architecture, platform, settings)
    refuse_contradictions(settings, kernel, platform, architecture.contradictions)
    _check_flush(architecture, platform)
    if question.cpus is not None and program.kind == "scenario":
        raise ShootdownError(f"{program.name} is a scenario: how many CPUs it has is its own")
    cpus = _cpus(platform, question.cpus, settings)
    switches = {
        text.partition(".")[2]: value for text, value in settings.items() if text.startswith("scenario.")
    }
    memory = switches.pop(MEMORY_MODEL, architecture.memory_model)
    if memory not in MEMORY_MODELS:
        raise ShootdownError(f"--set {MEMORY_MODEL}={memory}: it is one of {', '.join(MEMORY_MODELS)}")
    values = program.read(question.parameters, switches)
    of_switches = {switch.name for switch in program.switches}
    return Case(
        program,
        architecture,
        platform,
        kernel,
        {name: value for name, value in values.items() if name not in of_switches},
        {name: value for name, value in values.items() if name in of_switches},
        {(MEMORY_MODEL if at == f"scenario.{MEMORY_MODEL}" else at): value for at, value in settings.items()},
        cpus,
        memory,
        (*kernel.remarks, *remarks),
    )


def questions(
    program: P,
    pairs: Iterable[tuple[Architecture, Platform]],
    kernels: Iterable[str],
    *,
    parameters: Mapping[str, Any] | None = None,
    settings: Settings = (),
    cpus: Sequence[int | None] = (None,),
    patch: Patching | None = None,
) -> list[Question[P]]:
    """Return a question for each combination: for each platform its kernels, for each kernel its numbers of CPUs."""
    asked = what_ifs(settings)
    wanted = tuple(kernels)
    return [
        Question(program, architecture, platform, kernel, parameters or {}, asked, online, patch=patch)
        for architecture, platform in pairs
        for kernel in wanted
        for online in cpus
    ]


def _what_ifs(groups: tuple[str, ...], settings: Iterable[str] | Mapping[str, str]) -> dict[str, str]:
    """Parse what-ifs; for scenarios, `memory_model` is a switch without a group."""
    if "scenario" not in groups:
        return parse_settings(settings, groups)
    texts = (
        [f"{name}={value}" for name, value in settings.items()] if isinstance(settings, Mapping) else settings
    )
    grouped = [
        f"scenario.{text}" if text.partition("=")[0].strip().replace("-", "_") == MEMORY_MODEL else text
        for text in texts
    ]
    return parse_settings(grouped, groups)


def _with_settings(
    architecture: Architecture, platform: Platform, settings: Mapping[str, str]
) -> tuple[Platform, tuple[str, ...]]:
    """Apply what-ifs to a platform; a way of flushing of another architecture is accepted here and refused later."""
    own = (way.name for way in architecture.flush_ways)
    names = tuple(dict.fromkeys((*registry().flush_names(), *own)))
    fields = {name: value for name, value in settings.items() if name != CLOCK_RATE}
    new, remarks = set_fields(platform, fields, "platform", platform.name, {"flush": names})
    new, of_costs = with_costs(new, settings)
    return new, (*remarks, *of_costs)


def _check_flush(architecture: Architecture, platform: Platform) -> None:
    names = (AUTO, *(way.name for way in architecture.flush_ways))
    if platform.flush not in names:
        raise ShootdownError(
            f"platform.flush={platform.flush} is not possible on {architecture.name}; allowed: {', '.join(names)}"
        )


def _check_hypervisor(architecture: Architecture, platform: Platform, chosen: Mapping[str, str]) -> None:
    known = {"none", *(other.hypervisor for other in architecture.platforms)}
    if "platform.hypervisor" in chosen and platform.hypervisor not in known:
        raise ShootdownError(
            f"platform.hypervisor={platform.hypervisor} is not possible on {architecture.name}; "
            f"{nearest(platform.hypervisor, known)}"
        )


def _cpus(platform: Platform, asked: int | None, chosen: Mapping[str, str]) -> int:
    online = platform.cpus if asked is None else asked
    if "platform.cpus" in chosen and online != platform.cpus:
        raise ShootdownError(
            f"platform.cpus={platform.cpus} and {online} CPUs cannot both hold: ask for one of them"
        )
    if not 1 <= online <= MOST_CPUS:
        raise ShootdownError(f"{online} CPUs: a machine has between 1 and {MOST_CPUS}")
    return online


def expect(what: str, value: object, wanted: Any) -> None:
    """Check the type of what a plugin's function returned; the error names the function.

    Raises:
        MistakeError: it has another type.
    """
    if not isinstance(value, wanted):
        name = getattr(wanted, "__name__", "text or None")
        raise MistakeError(f"{what} returned {shown(value, 60)}; it is to return {name}")


def machines(installed: Registry, arch: Names, platforms: Names) -> list[tuple[Architecture, Platform]]:
    """Choose pairs of architecture and platform, in the order in which they were named.

    Args:
        installed: the registry.
        arch: names of architectures, or `all` for every one that has a platform; if empty, those that have the
            platforms, or this machine's.
        platforms: names of platforms, or their files; each architecture's first if empty.

    Raises:
        ShootdownError: a name is unknown, a file is wrong, or a named architecture has none of the platforms.
    """
    arch, platforms = names("arch", arch), names("platforms", platforms)
    if any(map(is_file, platforms)):
        return [
            pair
            for platform in platforms
            for pair in (
                [platform_of_file(installed, arch, platform)]
                if is_file(platform)
                else machines(installed, arch, [platform])
            )
        ]
    if platforms and (not arch or ALL in arch):
        return [pair for platform in platforms for pair in installed.machines(platform)]
    if ALL in arch:
        owners = [one for one in installed.architectures().values() if installed.platforms(one.name)]
        if not owners:
            raise ShootdownError("no architecture is loaded that has a platform: see `shootdown plugins`")
    else:
        owners = [installed.architecture(name) for name in arch or [of_this_machine(installed)]]
    chosen = [(owner, one) for owner in owners for one in _of(installed, owner, platforms)]
    for name in platforms:
        if name not in {one.name for _, one in chosen}:
            there = {known for owner in owners for known in installed.platforms(owner.name)}
            raise ShootdownError(
                f"there is no platform {name!r} of {' or '.join(arch)}; {nearest(name, there)}"
            )
    return chosen


def of_this_machine(installed: Registry) -> str:
    """Return the name of this machine's architecture, or of the first one installed.

    Raises:
        ShootdownError: none is installed.
    """
    known = installed.architectures()
    here = host_machine()
    for name, architecture in known.items():
        if here in (name, *architecture.aliases):
            return name
    if not known:
        raise ShootdownError("no architecture is installed; `shootdown plugins` says why")
    return next(iter(known))


def all_platforms(
    installed: Registry, arch: Sequence[str]
) -> Sequence[tuple[Architecture, Mapping[str, Platform]]]:
    """Choose all platforms of the architectures that are named; of all that flush if none is.

    Raises:
        ShootdownError: a name is unknown, a named architecture has no platform, or there is none that flushes.
    """
    if arch and ALL not in arch:
        owners = [installed.architecture(name) for name in arch]
        return [(owner, _there_are(installed, owner)) for owner in owners]
    known = installed.architectures().values()
    found = [(owner, installed.platforms(owner.name)) for owner in known if owner.lower is not None]
    found = [pair for pair in found if pair[1]]
    if not found:
        raise ShootdownError("no architecture is loaded that says how it flushes: see `shootdown plugins`")
    return found


def _there_are(installed: Registry, owner: Architecture) -> Mapping[str, Platform]:
    found = installed.platforms(owner.name)
    if not found:
        lacks = f"architecture {owner.name} has no platform (Architecture.platforms, stage 3)"
        raise ShootdownError("\n".join((lacks, *installed.losers(owner.name))))
    return found


def _of(installed: Registry, owner: Architecture, platforms: Sequence[str]) -> list[Platform]:
    """Choose the platforms of a named architecture: those named that it has, else its first."""
    there_are = _there_are(installed, owner)
    if not platforms:
        return list(there_are.values())[:1]
    chosen = [there_are[name] for name in platforms if name in there_are]
    # The message names the architecture, and platforms with similar names.
    return chosen or [installed.platform(owner.name, platforms[0])]
