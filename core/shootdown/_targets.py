"""Targets: what happens to page tables that are unshared but not freed, on each architecture, platform and kernel.

Each cell is the outcome of runs of one small case: two processes share a table; the first has threads on other CPUs,
one running, one lazy, all with warm TLBs and walk caches, and one inside GUP-fast with interrupts off; it unshares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from shootdown._installed import Registry
from shootdown._kernel import Kernel
from shootdown._registry import registry
from shootdown._simulate import Case, counts_of, prepare
from shootdown._workload import Parameter, Setting, Workload

#: Kernels that are compared unless others are asked for: before 1013af4f585f, with it, the rework, today.
KERNELS = ("6.4", "6.18.2", "7.0")
_CPUS = 6


@attrs.frozen
class Target:
    """What unsharing does on one target.

    Args:
        arch, platform, kernel: names.
        flush_differs_with_freed_tables: the flush would do something else if the table were also freed.
        honours_unshared_tables: the architecture's flush looks at unshared_tables.
        walk_cache_dropped: no CPU that runs the mm keeps a walk-cache or TLB entry into the table; None where
            nothing is ever unshared.
        lazy_cpus_keep_entries: CPUs in lazy TLB mode keep such entries.
        sync: whether tlb_remove_table_sync_one() is `needed` for GUP-fast and sent, needed and `missing`,
            `redundant`, or `not-applicable`: nothing is unshared, or there is no GUP-fast.
        reason: what the verdicts follow from, in words.
        evidence: the counts of the runs they follow from.
    """

    arch: str
    platform: str
    kernel: str
    flush_differs_with_freed_tables: bool | None
    honours_unshared_tables: bool | None
    walk_cache_dropped: bool | None
    lazy_cpus_keep_entries: bool | None
    sync: str
    reason: str
    evidence: Mapping[str, Mapping[str, int]]

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        row = attrs.asdict(self, recurse=False)
        row["evidence"] = {name: dict(counts) for name, counts in self.evidence.items()}
        return row


def _build(setting: Setting) -> Any:
    """Write the case: the state of the thread, and whether the walker's vCPU is preempted, are parameters."""
    from shootdown._mm.model import Model
    from shootdown._workloads.hugetlb import split_into_vmas
    from shootdown._workloads.threads import Threads

    model = Model(setting.kernel, setting.lowering, cpus=setting.cpus, mms=3, slots=1, classes=2)
    mappings = split_into_vmas(1, 1, 2, model.slot_units)
    actor = model.task(mm=0, cpu=0, ready=True)
    other = model.task(mm=1, cpu=_CPUS - 1, ready=True)
    threads = Threads(model, mm=0, other_mm=2, cpu=0)
    threads.add(2, setting["state"])
    threads.add_walkers(1, preempted=setting["walker_preempted"])
    threads.write(mappings)
    touched = model.event()
    model.starts(other)
    for m in mappings:
        model.hugetlb.touch(m)
    model.signal(touched)
    model.sleep()
    model.starts(actor)
    for m in mappings:
        model.hugetlb.touch(m)
    model.wait(touched)
    threads.await_all()
    with model.window("measured", actor):
        model.calls.munmap(mappings, upper_tables=0)
    model.asm.halt()
    return model.build()


_CASE = Workload(
    name="unshare",
    summary="one process unshares a table while its other CPUs hold it cached and one walks it",
    parameters=(
        Parameter("state", "spin", "what the actor's threads do", choices=("spin", "lazy")),
        Parameter("walker_preempted", False, "the walker's vCPU is preempted inside its window"),
    ),
    build=_build,
    shares_tables=True,
)


def targets(
    *,
    arch: Sequence[str] = (),
    platforms: Sequence[str] = (),
    kernels: Sequence[str] = (),
    settings: Iterable[str] = (),
) -> list[Target]:
    """Judge unsharing on every platform of the architectures and each kernel.

    Args:
        arch: names of architectures; all installed ones if empty.
        platforms: names of platforms; all of each architecture if empty.
        kernels: releases; `KERNELS` and the newest known one if empty.
        settings: what-ifs such as `kernel.honour_unshared_tables=true`.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    from shootdown._series import newest_known

    installed = registry()
    chosen = list(kernels) or [*KERNELS, newest_known()]
    return [
        judge(architecture, platform, kernel, list(settings))
        for architecture, platform in _pairs(installed, arch, platforms)
        for kernel in chosen
    ]


def _pairs(installed: Registry, arch: Sequence[str], platforms: Sequence[str]) -> list[tuple[Any, Any]]:
    everything = installed.architectures().values()
    chosen = [installed.architecture(name) for name in arch] or list(everything)
    if not platforms:
        return [(a, platform) for a in chosen for platform in installed.platforms(a.name).values()]
    pairs = []
    for name in platforms:
        having = [a for a in chosen if name in installed.platforms(a.name)] or chosen[:1]
        pairs += [(a, installed.platform(a.name, name)) for a in having]
    return pairs


def judge(architecture: Any, platform: Any, kernel: str, settings: list[str]) -> Target:
    """Run the case in its variants and say what follows."""
    case = _prepare(architecture, platform, kernel, settings)
    reason = case.refusal()
    names = (architecture.name, platform.name, kernel)
    if reason is not None:
        return Target(*names, None, None, None, None, "not-applicable", reason, {})
    runs = {
        "running": _run(architecture, platform, kernel, settings),
        "lazy": _run(architecture, platform, kernel, settings, state="lazy"),
    }
    freed = ["kernel.unshare_sets_freed_tables=true"]
    what_if = {
        "running, freed_tables": _run(architecture, platform, kernel, [*settings, *freed]),
        "lazy, freed_tables": _run(architecture, platform, kernel, [*settings, *freed], state="lazy"),
    }
    synced = ["kernel.unshare_sync=last-sharer", "kernel.rcu_table_free=true"]
    given = {text.split("=")[0] for text in settings}
    synced = [text for text in synced if text.split("=")[0] not in given]
    walking = {"walker": _run(architecture, platform, kernel, [*settings, *synced])}
    for name, other in case.setting.lowering.other_flushes.items():
        walking[name] = _run(architecture, platform, kernel, [*settings, *synced, *other])
    if platform.hypervisor != "none":
        walking["preempted walker"] = _run(
            architecture, platform, kernel, [*settings, *synced], walker_preempted=True
        )
    return _target(names, case.kernel, runs, what_if, walking)


def _target(
    names: tuple[str, str, str],
    kernel: Kernel,
    runs: Mapping[str, Mapping[str, int]],
    what_if: Mapping[str, Mapping[str, int]],
    walking: Mapping[str, Mapping[str, int]],
) -> Target:
    differs = any(
        _flush(runs[state]) != _flush(what_if[f"{state}, freed_tables"]) for state in ("running", "lazy")
    )
    dropped = runs["running"]["stale_entries_left"] == 0
    lazy_keep = dropped and runs["lazy"]["stale_entries_left"] > 0
    waited = {name: c["sync_ipis"] - c["redundant_sync_ipis"] for name, c in walking.items()}
    needed = any(waited.values())
    sent = runs["running"]["sync_broadcasts"] > 0
    sync = ("needed" if sent else "missing") if needed else "redundant"
    if not kernel.gup_fast:
        sync = "not-applicable"
    return Target(
        *names,
        flush_differs_with_freed_tables=differs,
        honours_unshared_tables=kernel.honour_unshared_tables,
        walk_cache_dropped=dropped,
        lazy_cpus_keep_entries=lazy_keep,
        sync=sync,
        reason=_reason(runs["running"], dropped, lazy_keep, waited, sent, kernel),
        evidence={**runs, **what_if, **walking},
    )


def _flush(counts: Mapping[str, int]) -> tuple[int, ...]:
    """What a flush did, for comparing two: who was reached and what it invalidated, and what it left."""
    names = (
        "flush_ipis",
        "hypercalls",
        "broadcast_invalidations",
        "full_flushes",
        "page_invalidations",
        "lazy_switches",
        "stale_entries_left",
    )
    return tuple(counts[name] for name in names)


def _reason(
    counts: Mapping[str, int],
    dropped: bool,
    lazy_keep: bool,
    waited: Mapping[str, int],
    sent: bool,
    kernel: Kernel,
) -> str:
    """Say in words what the verdicts follow from."""
    how = [
        f"{counts[name]} {word if counts[name] != 1 else word[:-1]}"
        for name, word in (
            ("flush_ipis", "flush IPIs"),
            ("hypercalls", "flush hypercalls"),
            ("broadcast_invalidations", "broadcast invalidations"),
        )
        if counts[name]
    ]
    parts = [("the flush is " + " and ".join(how)) if how else "the flush reaches no other CPU"]
    if not dropped:
        parts.append(f"it leaves {counts['stale_entries_left']} stale entries that CPUs of the mm could use")
    elif lazy_keep:
        parts.append("lazy CPUs are left out and keep their entries")
    walkers = [name for name, count in waited.items() if count]
    if not kernel.gup_fast:
        parts.append("this kernel has no GUP-fast, so that nobody walks without a lock")
    elif walkers:
        parts.append(f"a {' or a '.join(walkers)} still is inside GUP-fast after it")
        if not sent:
            parts.append(
                "nothing waits for it"
                if kernel.rcu_table_free
                else "without RCU table freeing the sync is an empty function"
            )
    else:
        parts.append("each walker has left GUP-fast once it is over")
    return "; ".join(parts)


def _prepare(architecture: Any, platform: Any, kernel: str, settings: list[str], **parameters: Any) -> Case:
    return prepare(
        architecture, platform, kernel, _CASE, parameters=parameters, cpus=_CPUS, settings=settings
    )


def _run(
    architecture: Any, platform: Any, kernel: str, settings: list[str], **parameters: Any
) -> dict[str, int]:
    """Run the case once, with the likely costs, and return its counts."""
    from shootdown._timed.run import run_machine

    case = _prepare(architecture, platform, kernel, settings, **parameters)
    machine = case.workload.build(case.setting)
    return counts_of(machine, run_machine(machine, case.platform))
