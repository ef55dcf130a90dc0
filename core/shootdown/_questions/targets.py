"""Targets: what happens to page tables that are unshared but not freed, on each architecture, platform and kernel.

Each cell is the outcome of runs of one small case. Two processes share a table. The first has threads on other CPUs:
one running, one lazy, all with warm TLBs and walk caches, and one inside GUP-fast with interrupts off. It unshares by
munmap(), by exit() and by mprotect(), which flush in different ways.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from shootdown._plugins.installed import Registry
from shootdown._plugins.registry import registry
from shootdown._questions.case import PATCH_GROUP, Case, P, Question, all_platforms, machines, prepare
from shootdown._questions.patching import read_patch, refuse_unreached
from shootdown._questions.target_runs import SYNC, SYNC_FUNCTION, Ran, flush_of, how, run_case
from shootdown._values.errors import ShootdownError
from shootdown._values.kernel import Kernel
from shootdown._values.parameter import Parameter
from shootdown._values.setup import Setup
from shootdown._values.whatif import GROUPS, parse_settings
from shootdown._values.workload import Workload

#: The default kernels: before 1013af4f585f, with it, the rework, today.
KERNELS = ("6.4", "6.18.2", "7.0")
_CPUS = 6


#: The paths that unshare: munmap() (and MADV_DONTNEED) through a gather of its own, exit() through one of everything,
#: mprotect() (as mremap(), userfaultfd and the reverse map) through flush_hugetlb_tlb_range() until 8ce720d5bd91.
PATHS = ("munmap", "exit", "mprotect")
#: The CPUs that still hold entries: none, those in lazy TLB mode, or any that runs the mm.
NONE, LAZY, ALL = "none", "lazy", "all"
_WHERE = {LAZY: "on lazy CPUs, which are left out", ALL: "on CPUs that run the mm"}
_KINDS = {"walk-cache": "walk-cache", "tlb": "TLB"}


@attrs.frozen
class Left:
    """The entries that lead into an unshared table and that a flush leaves.

    Args:
        cpus: the CPUs that could still use one: `none`, `lazy` for only those in lazy TLB mode, `all` if those that run
            the mm too (in exit(), the exiting task's own CPU, which keeps the mm loaded).
        entries: their kinds, `walk-cache` and `tlb`.
    """

    cpus: str
    entries: tuple[str, ...]


@attrs.frozen
class Target:
    """The verdicts on unsharing on one target.

    Args:
        arch, platform, kernel: names.
        flush_differs_with_freed_tables: the flush would differ if the table were also freed.
        honours_unshared_tables: the architecture's flush looks at unshared_tables.
        walk_cache_dropped: no CPU that runs the mm keeps a walk-cache or TLB entry into the table after munmap();
            None if nothing is ever unshared.
        lazy_cpus_keep_entries: only CPUs in lazy TLB mode keep such entries after munmap().
        stale_after: by path (`munmap`, `exit`, `mprotect`), the entries left when i_mmap_rwsem is released.
        sync: whether tlb_remove_table_sync_one() is `needed` for GUP-fast and sent, needed and `missing`,
            `redundant`, or `not-applicable`: nothing is unshared, or there is no GUP-fast.
        reason: the reason for the verdicts, in words.
        evidence: the counts of the runs that they are derived from.
        patch: the patch of the kernel, as JSON has it; None, and not part of the JSON, without one.
        explored: of a program or scenario that was explored, its `verdict`, `invariant`, `states` and `depth`; None,
            and not part of the JSON, of one that was not.

    Of a program `stale_after` has one path, `program`; it is empty if nothing was unshared, and the first four verdicts
    are None. `sync` may be `untried` too, if nobody in the program is ever inside GUP-fast, and `hidden`, if another
    bug is found before it matters.
    """

    arch: str
    platform: str
    kernel: str
    flush_differs_with_freed_tables: bool | None
    honours_unshared_tables: bool | None
    walk_cache_dropped: bool | None
    lazy_cpus_keep_entries: bool | None
    stale_after: Mapping[str, Left]
    sync: str
    reason: str
    evidence: Mapping[str, Mapping[str, int]]
    patch: Mapping[str, Any] | None = None
    explored: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        row = attrs.asdict(self, recurse=False)
        row["stale_after"] = {path: attrs.asdict(left) for path, left in self.stale_after.items()}
        row["evidence"] = {name: dict(counts) for name, counts in self.evidence.items()}
        for name in ("patch", "explored"):
            if row[name] is None:
                del row[name]
        return row


def _build(setting: Setup) -> Any:
    """Write the case; the path, the state of the thread and whether the walker's vCPU is preempted are parameters.

    In exit() the threads have ended: their CPUs idle, with or without the mm loaded lazily, and none is in GUP-fast.
    """
    from shootdown._mm.model import Model
    from shootdown._workloads.hugetlb import split_into_vmas
    from shootdown._workloads.threads import Threads

    model = Model(setting.kernel, setting.lowering, cpus=setting.cpus, mms=3, slots=1, classes=2)
    mappings = split_into_vmas(1, 1, 2, model.slot_huge_pages)
    path, state = setting["path"], setting["state"]
    actor = model.task(mm=0, cpu=0, ready=True)
    other = model.task(mm=1, cpu=_CPUS - 1, ready=True)
    threads = Threads(model, mm=0, other_mm=2, cpu=0)
    if path != "exit":
        threads.add(2, state)
        threads.add_walkers(1, preempted=setting["walker_preempted"])
    elif state == LAZY:
        threads.add(2, state)
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
        if path == "exit":
            model.calls.exit(mappings)
        elif path == "mprotect":
            model.calls.mprotect(mappings)
        else:
            model.calls.munmap(mappings, upper_tables=0)
    model.asm.halt()
    return model.build()


_CASE = Workload(
    name="unshare",
    summary="one process unshares a table while its other CPUs hold it cached and one walks it",
    parameters=(
        Parameter("path", "munmap", "how it gives the table up", choices=PATHS),
        Parameter("state", "spin", "what the actor's threads do", choices=("spin", LAZY)),
        Parameter("walker_preempted", False, "the walker's vCPU is preempted inside its window"),
    ),
    build=_build,
    shares_tables=True,
)


@attrs.frozen
class Cell:
    """One target, by names: another process finds the same.

    Args:
        arch, platform, kernel: names.
        settings: the what-ifs.
        patch: a file that replaces kernel functions.
    """

    arch: str
    platform: str
    kernel: str
    settings: Mapping[str, str]
    patch: str | os.PathLike[str] | None = None


def cells(
    arch: Sequence[str],
    platforms: Sequence[str],
    kernels: Sequence[str],
    settings: Iterable[str] | Mapping[str, str],
    patch: str | os.PathLike[str] | None = None,
) -> list[Cell]:
    """List the targets that `targets` judges; see there.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    from shootdown._values.series import newest_known

    installed = registry()
    chosen = list(kernels) or [*KERNELS, newest_known()]
    asked = parse_settings(settings, GROUPS if patch is None else (*GROUPS, PATCH_GROUP))
    if "platform.cpus" in asked:
        raise ShootdownError(
            f"platform.cpus={asked['platform.cpus']} is not possible here: the case that targets are judged by "
            f"has {_CPUS} CPUs, some for its threads; `shootdown explain` runs any number"
        )
    found = [
        Cell(architecture.name, platform.name, kernel, asked, patch)
        for architecture, platform in pairs(installed, arch, platforms)
        for kernel in chosen
    ]
    if patch is not None:
        paths = [attrs.evolve(_question(cell), parameters={"path": path}) for cell in found for path in PATHS]
        refuse_unreached(map(prepare, paths))
    return found


def judge_cell(cell: Cell) -> Target:
    """Judge one target."""
    return judge(_question(cell))


def _question(cell: Cell) -> Question[Workload]:
    return question_of(cell, _CASE, cpus=_CPUS)


def question_of(
    cell: Cell, program: P, *, cpus: int | None = None, parameters: Mapping[str, Any] | None = None
) -> Question[P]:
    """Return the question of what a program does on a target."""
    installed = registry()
    return Question(
        program,
        installed.architecture(cell.arch),
        installed.platforms(cell.arch)[cell.platform],
        cell.kernel,
        parameters or {},
        settings=cell.settings,
        cpus=cpus,
        patch=None if cell.patch is None else read_patch(cell.patch),
    )


def pairs(installed: Registry, arch: Sequence[str], platforms: Sequence[str]) -> list[tuple[Any, Any]]:
    """Return pairs of architecture and platform: those named, or all platforms."""
    if platforms:
        return list(machines(installed, arch, platforms))
    return [(one, platform) for one, own in all_platforms(installed, arch) for platform in own.values()]


def judge(question: Question[Workload]) -> Target:
    """Run the case in its variants and derive the verdicts."""
    case = prepare(question)
    reason = case.refusal()
    names = (question.architecture.name, question.platform.name, case.kernel.name)
    if reason is not None:
        return Target(*names, None, None, None, None, {}, "not-applicable", reason, {}, _told(case))

    def run(settings: Mapping[str, str] = case.settings, *, syncs: bool = False, **parameters: Any) -> Ran:
        asked = prepare(attrs.evolve(question, settings=settings, parameters=parameters))
        if syncs and asked.kernel.patch is not None:
            kernel = attrs.evolve(asked.kernel, patch=asked.kernel.patch.without(SYNC_FUNCTION))
            asked = attrs.evolve(asked, kernel=kernel)
        return run_case(asked)

    runs = {_name(path, state): run(path=path, state=state) for path in PATHS for state in ("spin", LAZY)}
    freed = {**case.settings, "kernel.unshare_sets_freed_tables": "true"}
    what_if = {_name("munmap", state, "freed_tables"): run(freed, state=state) for state in ("spin", LAZY)}
    synced = {**case.settings, **SYNC}
    walking = {"walker": run(synced, syncs=True)}
    for name, other in case.setup().lowering.other_flushes.items():
        walking[name] = run({**synced, **parse_settings(other)}, syncs=True)
    if question.platform.hypervisor != "none":
        walking["preempted walker"] = run(synced, syncs=True, walker_preempted=True)
    return attrs.evolve(_target(names, case.kernel, runs, what_if, walking), patch=_told(case))


def _told(case: Case[Workload]) -> dict[str, Any] | None:
    """Return the patch of the kernel for JSON, if it has one."""
    return None if case.kernel.patch is None else case.kernel.patch.to_dict()


def _name(path: str, state: str, flag: str = "") -> str:
    return ", ".join(word for word in (path, LAZY if state == LAZY else "", flag) if word)


def _target(
    names: tuple[str, str, str],
    kernel: Kernel,
    runs: Mapping[str, Ran],
    what_if: Mapping[str, Ran],
    walking: Mapping[str, Ran],
) -> Target:
    differs = any(
        flush_of(runs[_name("munmap", state)]) != flush_of(what_if[_name("munmap", state, "freed_tables")])
        for state in ("spin", LAZY)
    )
    left = {path: _left(runs[path], runs[_name(path, LAZY)]) for path in PATHS}
    waited = {
        name: ran.counts["sync_ipis"] - ran.counts["redundant_sync_ipis"] for name, ran in walking.items()
    }
    needed = any(waited.values())
    sent = runs["munmap"].counts["sync_broadcasts"] > 0
    sync = ("needed" if sent else "missing") if needed else "redundant"
    if not kernel.gup_fast:
        sync = "not-applicable"
    return Target(
        *names,
        flush_differs_with_freed_tables=differs,
        honours_unshared_tables=kernel.honour_unshared_tables or runs["munmap"].patch_honours,
        walk_cache_dropped=left["munmap"].cpus != ALL,
        lazy_cpus_keep_entries=left["munmap"].cpus == LAZY,
        stale_after=left,
        sync=sync,
        reason=_reason(runs, left, waited, sent, kernel),
        evidence={name: ran.counts for name, ran in {**runs, **what_if, **walking}.items()},
    )


def _left(running: Ran, lazy: Ran) -> Left:
    """Return the entries that two runs of one path left; the second run has lazy threads."""
    if running.left:
        return Left(ALL, running.left)
    return Left(LAZY, lazy.left) if lazy.left else Left(NONE, ())


def _reason(
    runs: Mapping[str, Ran],
    left: Mapping[str, Left],
    waited: Mapping[str, int],
    sent: bool,
    kernel: Kernel,
) -> str:
    """Write the reason for the verdicts in words."""
    parts = [how(runs["munmap"]), *_what_is_left(left)]
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


def _what_is_left(left: Mapping[str, Left]) -> Iterator[str]:
    """Describe the entries that each path leaves, and on which CPUs; empty if none are left."""
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for path, found in left.items():
        if found.cpus != NONE:
            own = path == "exit" and found.cpus == ALL
            where = "on the CPU that exits" if own else _WHERE[found.cpus]
            alike.setdefault((where, found.entries), []).append(path)
    for (where, entries), paths in alike.items():
        kinds = " and ".join(_KINDS[kind] for kind in entries)
        yield f"{_listed(paths)} {'leaves' if len(paths) == 1 else 'leave'} {kinds} entries {where}"


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
