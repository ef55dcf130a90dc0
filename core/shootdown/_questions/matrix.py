"""The verdicts of scenarios over kernels and platforms, in one table.

Machines that are equal, step by step and cell by cell, have the same verdict: kernels that give a scenario the same
machine are explored once. Scenarios are distributed to processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import attrs

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.fields import Fields
from shootdown._plugins.registry import registry
from shootdown._porting.geometry import sized
from shootdown._questions.case import Case, all_platforms, machines
from shootdown._questions.equal import key_of
from shootdown._questions.explore import Verdict, explorations, explore_case, refuse_patch
from shootdown._questions.workers import divided
from shootdown._values.lowering import EntryFunction
from shootdown._values.releases import resolve, starts_later
from shootdown._values.series import newest_known
from shootdown._values.verdict import BUG, LIVELOCK, NOT_APPLICABLE

if TYPE_CHECKING:
    from shootdown._values.architecture import Architecture
    from shootdown._values.lowering import Lowering
    from shootdown._values.platform import Platform
    from shootdown._values.scenario import Scenario

#: The default kernels: before the sync was batched, with that, in mainline after the rework; and the newest release.
KERNELS = ("6.15", "6.16", "7.0")

_FLUSHES = (
    "tlb_flush",
    "flush_range",
    "flush_mm",
    "flush_page",
    "flush_pmd_range",
    "flush_hugetlb_range",
    "flush_collapsed_pmd",
)
#: Steps that no verdict depends on: they only count instructions or take time.
_PACE = (o.EXECUTE, o.NOTE, o.WORK)


@attrs.frozen
class Job:
    """Cells of one scenario that one process explores.

    Args:
        scenario: its name, or a file that defines one.
        cells: architecture, platform and kernel of each cell, by name.
        parameters, settings, patch: as in `explorations`.
    """

    scenario: str
    cells: tuple[tuple[str, str, str], ...]
    parameters: Mapping[str, Any]
    settings: tuple[str, ...]
    patch: str | None = None

    def cases(self) -> list[Case[Scenario]]:
        """Prepare the cells; errors are raised here."""
        return [
            case
            for arch, platform, kernel in self.cells
            for case in explorations(
                self.scenario,
                arch=[arch],
                platforms=[platform],
                kernels=[kernel],
                parameters=self.parameters,
                settings=self.settings,
                patch=self.patch,
                reaches=False,
            )
        ]


def default_kernels() -> tuple[str, ...]:
    """Return the names of the kernels in a matrix without `--kernel`."""
    return tuple(dict.fromkeys((*KERNELS, newest_known())))


def jobs(
    names: Sequence[str] = (),
    *,
    arch: Sequence[str] = (),
    platforms: Sequence[str] = (),
    kernels: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Iterable[str] = (),
    patch: str | None = None,
) -> list[Job]:
    """Prepare a matrix, so that errors are raised before anything runs.

    Args:
        names: scenarios, or files that define some; all installed ones if empty.
        arch: architectures; all installed ones if empty.
        platforms: platforms; if empty, those of each architecture that differ in how they flush.
        kernels: releases and proposals.
        parameters: of the scenarios.
        settings: what-ifs.
        patch: a file that replaces kernel functions; all platforms of each architecture are then taken.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    wanted = list(kernels) or list(default_kernels())
    chosen_machines = _machines(arch, platforms, wanted, patched=patch is not None)
    found = []
    for name in names or registry().scenarios():
        for owner, chosen in chosen_machines:
            cells = tuple((owner.name, platform, kernel) for platform in chosen for kernel in wanted)
            found.append(Job(name, cells, parameters or {}, tuple(settings), patch))
    prepared = [case for job in found for case in job.cases()]
    if patch is not None:
        refuse_patch(prepared)
    return found


def _machines(
    arch: Sequence[str], platforms: Sequence[str], kernels: Sequence[str], *, patched: bool = False
) -> list[tuple[Architecture, list[str]]]:
    installed = registry()
    if platforms:
        pairs = machines(installed, arch, platforms)
        return [(owner, [platform.name]) for owner, platform in pairs]
    return [
        (owner, list(own) if patched else [group[0] for group in alike(owner, list(own.values()), kernels)])
        for owner, own in all_platforms(installed, arch)
    ]


def alike(owner: Architecture, platforms: Sequence[Platform], kernels: Sequence[str]) -> list[list[str]]:
    """Group platforms that flush in the same steps on all of these kernels; the first of a group represents it."""
    groups: dict[Any, list[str]] = {}
    for platform in platforms:
        groups.setdefault(_ways(owner, platform, kernels), []).append(platform.name)
    return list(groups.values())


def _ways(owner: Architecture, platform: Platform, kernels: Sequence[str]) -> Any:
    """Return a key that differs for platforms that flush differently."""
    if owner.lower is None:
        return ()
    found: list[Any] = [owner.preempts(platform)]
    for kernel in kernels:
        resolved = resolve(kernel, owner)
        if starts_later(owner, resolved.release) or starts_later(platform, resolved.release):
            found.append(None)
            continue
        lowering = owner.lower(resolved, sized(platform, resolved.page_size))
        found += [_written(lowering, flush) for flush in _FLUSHES]
        found.append(
            (
                lowering.mm,
                tuple(lowering.other_flushes.items()),
                lowering.global_asid_from_start,
                lowering.needs_table_invalidate,
                lowering.tables_freed_at_once,
                lowering.no_pmd_sharing(),
            )
        )
    return tuple(found)


def _written(lowering: Lowering, flush: str) -> Any:
    asm = Assembler()
    asm.functions.fields, _ = Fields.apart()
    for huge in (False, True):
        for by in get_args(EntryFunction):
            lowering.entries_changed(asm, 1, huge=huge, by=by)
        lowering.entries_cleared(asm, 1, huge=huge)
    lowering.tables_freed(asm, 0)
    getattr(lowering, flush)(asm, 0)
    return tuple(
        step for step in map(tuple, asm.finish().steps.reshape(-1, 5).tolist()) if step[0] not in _PACE
    )


# --- exploring


def matrix(prepared: Sequence[Job], *, processes: int = 1) -> Iterator[Verdict]:
    """Explore all cells and yield their verdicts.

    Args:
        prepared: what `jobs` returned.
        processes: the most processes that explore at once.

    Yields:
        Verdicts; those of a job together, jobs in the order in which they finish.
    """
    for _, found in divided(run_job, prepared, processes=processes, size=lambda job: len(job.cells)):
        yield from found


def run_job(job: Job) -> list[Verdict]:
    """Explore the cells of a job, each of several equal machines once."""
    known: dict[bytes, Verdict] = {}
    return [_cell(case, known) for case in job.cases()]


def _cell(case: Case[Scenario], known: dict[bytes, Verdict]) -> Verdict:
    if case.refusal() is not None:
        return _light(explore_case(case), case)
    key = key_of(case)
    if key not in known:
        known[key] = explore_case(case)
    return _light(known[key], case)


def _light(found: Verdict, case: Case[Scenario]) -> Verdict:
    """Return the verdict of an equal machine as the verdict of a case, without fields that can't be pickled."""
    own = found.exploration.remarks if found.exploration is not None else ()
    extra = [remark for remark in found.remarks if remark not in own]
    return attrs.evolve(
        found,
        arch=case.architecture.name,
        platform=case.platform.name,
        kernel=case.kernel.name,
        remarks=(*case.remarks, *extra),
        outcome=None,
        exploration=None,
        patch=None if case.kernel.patch is None else case.kernel.patch.to_dict(),
    )


# --- the table


@attrs.frozen
class TableRow:
    """A row of the table: platforms on which a scenario has the same verdicts.

    Args:
        scenario: its name.
        platforms: their names, by architecture.
        verdicts: the verdicts by kernel.
        whole: the architectures of which this row has all platforms in the table.
        everywhere: the row has all platforms of the table.
    """

    scenario: str
    platforms: Mapping[str, tuple[str, ...]]
    verdicts: Mapping[str, Verdict]
    whole: frozenset[str] = frozenset()
    everywhere: bool = False

    def words(self, kernel: str) -> str:
        """Return a cell's word: `safe`, `BUG gup-fast`, another verdict, or `-` where it does not apply."""
        verdict = self.verdicts.get(kernel)
        return "" if verdict is None else words(verdict)

    def where(self) -> str:
        """Return the platforms as text; only the architecture if the row has all its platforms."""
        if self.everywhere:
            return "all"
        return "; ".join(
            arch if arch in self.whole else f"{arch}: {', '.join(names)}"
            for arch, names in self.platforms.items()
        )


def words(verdict: Verdict) -> str:
    """Write a verdict in a word or two."""
    if verdict.verdict == BUG:
        return f"BUG {verdict.invariant}"
    if verdict.verdict == LIVELOCK:
        return "LIVELOCK"
    return "-" if verdict.verdict == NOT_APPLICABLE else verdict.verdict


def table(rows: Iterable[Verdict], order: Sequence[str]) -> list[TableRow]:
    """Return the rows of the table: platforms of a scenario with the same verdicts share one.

    Args:
        rows: verdicts in any order.
        order: the names of scenarios, in the order of the table.
    """
    cells: dict[tuple[str, str, str], dict[str, Verdict]] = {}
    for row in rows:
        cells.setdefault((row.scenario, row.arch, row.platform), {})[row.kernel] = row
    lines: dict[Any, tuple[dict[str, list[str]], dict[str, Verdict]]] = {}
    for (scenario, arch, platform), verdicts in sorted(cells.items(), key=by_place(order)):
        key = (scenario, tuple((kernel, words(verdict)) for kernel, verdict in sorted(verdicts.items())))
        where, _ = lines.setdefault(key, ({}, verdicts))
        where.setdefault(arch, []).append(platform)
    known: dict[str, set[str]] = {}
    for _, arch, platform in cells:
        known.setdefault(arch, set()).add(platform)
    found = []
    for key, (where, verdicts) in lines.items():
        whole = frozenset(arch for arch, names in where.items() if set(names) == known[arch])
        names = {arch: tuple(platforms) for arch, platforms in where.items()}
        many = sum(map(len, known.values())) > 1
        found.append(TableRow(key[0], names, verdicts, whole, many and whole == frozenset(known)))
    return found


def platforms_of(rows: Iterable[Verdict]) -> dict[str, list[str]]:
    """Return the platforms of a table by architecture, in their order."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        found.setdefault(row.arch, {})[row.platform] = None
    installed = registry()
    return {
        arch: [name for name in installed.platforms(arch) if name in found[arch]]
        for arch in installed.architectures()
        if arch in found
    }


def by_place(order: Sequence[str]) -> Callable[[Any], Any]:
    """Return a key to sort cells by: scenarios in this order, then architectures and platforms in their own."""
    installed = registry()
    owners = list(installed.architectures())
    platforms = {arch: list(installed.platforms(arch)) for arch in owners}
    names = list(order)

    def key(entry: tuple[tuple[str, str, str], Any]) -> Any:
        scenario, arch, platform = entry[0]
        where = names.index(scenario) if scenario in names else len(names)
        return where, owners.index(arch), platforms[arch].index(platform)

    return key


def sorted_rows(rows: Iterable[Verdict], order: Sequence[str]) -> list[Verdict]:
    """Sort verdicts by place, those of one platform by kernel as they came."""
    key = by_place(order)
    return sorted(rows, key=lambda row: key(((row.scenario, row.arch, row.platform), None)))


def reasons(rows: Iterable[Verdict], order: Sequence[str]) -> dict[str, list[str]]:
    """Return why cells do not apply, with the scenario and architecture of each, in the order of the table."""
    found: dict[str, dict[str, None]] = {}
    for row in sorted_rows(rows, order):
        if row.verdict == NOT_APPLICABLE and row.reason:
            found.setdefault(row.reason, {})[f"{row.scenario} on {row.arch}"] = None
    return {reason: list(where) for reason, where in found.items()}
