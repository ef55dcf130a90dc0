"""Run one workload on one kernel and platform, and say what was counted."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._values.architecture import Lowering
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.kernel import Kernel
from shootdown._values.platform import MOST_CPUS, Platform
from shootdown._values.releases import resolve
from shootdown._values.result import COUNTS, Result, Span
from shootdown._values.whatif import parse_settings, refuse_contradictions, set_fields, set_kernel
from shootdown._values.workload import Setting, Workload

if TYPE_CHECKING:
    from shootdown._machine.machine import Machine
    from shootdown._timed.run import Run
    from shootdown._values.architecture import Architecture


@attrs.frozen
class Case:
    """One cell of a comparison: everything chosen, nothing run yet.

    Args:
        architecture, platform, kernel, workload: values, what-ifs applied.
        values: the workload's parameters, complete.
        cpus: online CPUs.
        settings: the what-ifs, as asked.
        remarks: what the choices already say.
    """

    architecture: Architecture
    platform: Platform
    kernel: Kernel
    workload: Workload
    values: Mapping[str, Any]
    cpus: int
    settings: Mapping[str, str]
    remarks: tuple[str, ...]

    @property
    def setting(self) -> Setting:
        """What the workload's `build` gets."""
        assert self.architecture.lower is not None
        lowering = self.architecture.lower(self.kernel, self.platform)
        _expect(f"architecture {self.architecture.name}: lower()", lowering, Lowering)
        return Setting(self.kernel, self.platform, lowering, self.cpus, self.values)

    def refusal(self) -> str | None:
        """Say why kernel and platform can't run the workload, or None."""
        if self.architecture.lower is None:
            return f"the plugin of {self.architecture.name} does not say how it flushes (Architecture.lower)"
        setting = self.setting
        if self.workload.shares_tables and self.settings.get("kernel.pmd_sharing") is None:
            reason = setting.lowering.no_pmd_sharing()
            if reason is not None:
                return reason
        reason = self.workload.refuse(setting)
        _expect(f"workload {self.workload.name}: refuse()", reason, str | None)
        return reason


def prepare(
    architecture: Architecture,
    platform: Platform,
    kernel: str,
    workload: Workload,
    *,
    parameters: Mapping[str, Any] | None = None,
    cpus: int | None = None,
    settings: Iterable[str] | Mapping[str, str] = (),
) -> Case:
    """Choose everything for one run and check that it can hold together.

    Args:
        architecture, platform, workload: values.
        kernel: a release or proposal, as typed.
        parameters: of the workload; the others get their defaults.
        cpus: online CPUs; the platform's default if None.
        settings: what-ifs, as `kernel.FIELD=value` texts or as a mapping.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    if isinstance(settings, Mapping):
        settings = [f"{name}={value}" for name, value in settings.items()]
    chosen = parse_settings(settings)
    resolved = set_kernel(resolve(kernel, architecture), chosen, architecture)
    name = platform.name
    platform, remarks = set_fields(platform, chosen, "platform", name)
    _check_hypervisor(architecture, platform, chosen)
    refuse_contradictions(chosen, resolved, platform, architecture.contradictions)
    online = platform.cpus if cpus is None else cpus
    if "platform.cpus" in chosen and online != platform.cpus:
        raise ShootdownError(
            f"platform.cpus={platform.cpus} and {online} CPUs cannot both hold: ask for one of them"
        )
    if not 1 <= online <= MOST_CPUS:
        raise ShootdownError(f"{online} CPUs: a machine has between 1 and {MOST_CPUS}")
    values = workload.read(parameters or {})
    return Case(
        architecture, platform, resolved, workload, values, online, chosen, (*resolved.remarks, *remarks)
    )


def kernel(name: str, arch: str, settings: Iterable[str] = ()) -> Kernel:
    """Return the kernel that a release or proposal is on an architecture, with what-ifs.

    Args:
        name: `6.12.74`, `7.0`, `6.16-rc1` or `proposal:NAME`.
        arch: the name of an installed architecture.
        settings: what-ifs such as `kernel.unshare_sync=none`.

    Raises:
        ShootdownError: something is unknown or out of range.
    """
    from shootdown._plugins.registry import registry

    architecture = registry().architecture(arch)
    return set_kernel(resolve(name, architecture), parse_settings(settings), architecture)


def _check_hypervisor(architecture: Architecture, platform: Platform, chosen: Mapping[str, str]) -> None:
    known = {"none", *(other.hypervisor for other in architecture.platforms)}
    if "platform.hypervisor" in chosen and platform.hypervisor not in known:
        raise ShootdownError(
            f"platform.hypervisor={platform.hypervisor} is not possible on {architecture.name}; "
            f"{nearest(platform.hypervisor, known)}"
        )


def _expect(what: str, value: object, wanted: Any) -> None:
    """Name a plugin's function that returned something else than it promises."""
    if not isinstance(value, wanted):
        name = getattr(wanted, "__name__", "text or None")
        raise ShootdownError(f"{what} returned {value!r:.60}; it is to return {name}")


#: How often a case is run, for progress.
RUNS = ("low", "likely", "high")


def simulate(case: Case, after_run: Callable[[], None] = lambda: None) -> Result:
    """Run a case three times, with the low, likely and high end of each cost.

    Counts are those of the likely run. Where another run counts otherwise, timing decides, and a remark gives
    the range.

    Args:
        case: what `prepare` returned.
        after_run: called after each of the three runs; not at all if kernel and platform can't run the workload.

    Raises:
        ShootdownError: the run hangs, or the machine needs more memory than there is.
    """
    reason = case.refusal()
    if reason is not None:
        return _row(case, supported=False, reason=reason)
    try:
        return _simulated(case, after_run)
    except NotImplementedError as error:
        method = traceback.extract_tb(error.__traceback__)[-1].name
        raise ShootdownError(
            f"{case.architecture.name}: {type(case.setting.lowering).__name__} does not say yet what {method}() writes"
        ) from None
    except MemoryError:
        values = ", ".join(f"{name}={value}" for name, value in case.values.items())
        raise ShootdownError(
            f"{case.workload.name} on {case.cpus} CPUs with {values} needs more memory than there is: make it smaller"
        ) from None


def _simulated(case: Case, after_run: Callable[[], None]) -> Result:
    from shootdown._machine.machine import Machine
    from shootdown._timed.run import run_machine

    setting = case.setting
    machine = case.workload.build(setting)
    _expect(f"workload {case.workload.name}: build()", machine, Machine)
    seed = int(case.values["seed"])
    runs = {}
    for which in RUNS:
        runs[which] = run_machine(machine, case.platform, which=which, seed=seed)
        after_run()
    counted = {which: counts_of(machine, run) for which, run in runs.items()}
    return _row(
        case,
        supported=True,
        reason=None,
        counts=counted["likely"],
        times=_times(machine, runs),
        remarks=(*case.workload.remarks(setting), *_races(counted), *_warnings(counted["likely"])),
        interrupts=(runs["likely"].flushes_taken + runs["likely"].syncs_taken).tolist(),
        instructions=runs["likely"].window_instructions[0]
        if machine.windows
        else runs["likely"].instructions,
    )


def counts_of(machine: Machine, run: Run) -> dict[str, int]:
    """Pick the counts of a row: of the measured window where the workload has one, else of the whole run."""
    counted = run.windows[0] if machine.windows else run.counts
    return {name: run.interrupted_cpus if name == "interrupted_cpus" else counted[name] for name in COUNTS}


def _times(machine: Machine, runs: Mapping[str, Run]) -> dict[str, Span]:
    """Give elapsed and system time as ranges; waiting writers of a lock may spin, one of them or all."""
    elapsed, system = {}, {}
    for which, run in runs.items():
        elapsed[which] = run.window_ns[0] if machine.windows else run.elapsed_ns
        spinning = {"low": 0.0, "likely": run.spin_ns[0], "high": run.spin_ns[1]}[which]
        system[which] = run.window_system_ns[0] if machine.windows else run.system_ns + spinning
    return {"elapsed_ns": _span(elapsed), "system_ns": _span(system)}


def _span(values: Mapping[str, float]) -> Span:
    """Order a range; races can make the run with the higher costs the shorter one."""
    low, likely, high = (float(values[which]) for which in ("low", "likely", "high"))
    return Span(round(min(low, likely), 1), round(likely, 1), round(max(high, likely), 1))


def _races(counted: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Say which counts differ between the three runs, all in one remark."""
    ranges = []
    for name in ("unshared_tables", "sync_broadcasts", "sync_ipis", "flush_ipis", "stale_entries_left"):
        values = sorted({counts[name] for counts in counted.values()})
        if len(values) > 1:
            ranges.append(f"{name} {values[0]} to {values[-1]}")
    return [f"timing decides, over the range of costs: {', '.join(ranges)}"] if ranges else []


def _warnings(counts: Mapping[str, int]) -> list[str]:
    if not counts["kernel_warnings"]:
        return []
    return [
        f"the kernel would warn {counts['kernel_warnings']} times in tlb_finish_mmu(): fully_unshared_tables "
        "is still set, so a table became exclusive and nobody waited for lockless walkers before the lock "
        "dropped"
    ]


def _row(
    case: Case,
    *,
    supported: bool,
    reason: str | None,
    counts: Mapping[str, int] | None = None,
    times: Mapping[str, Span] | None = None,
    remarks: Iterable[str] = (),
    interrupts: Iterable[int] = (),
    instructions: Mapping[str, int] | None = None,
) -> Result:
    return Result(
        arch=case.architecture.name,
        platform=case.platform.name,
        kernel=case.kernel.name,
        workload=case.workload.name,
        parameters=dict(case.values),
        cpus=case.cpus,
        set=dict(case.settings),
        supported=supported,
        reason=reason,
        counts=counts or {},
        times=times or {},
        remarks=(*case.remarks, *remarks),
        interrupts=tuple(interrupts),
        instructions=instructions or {},
    )
