"""The bug report's story, from the rows of a comparison: how many broadcasts, which of them were needed, how slow.

What was reported: lore 4d3878531c76479d9f8ca9789dc6485d@amazon.de (`make stress` on 196 cores and 1.5 TB, once
without and once with 1013af4f585f). Everything else is computed from the rows. Whether lockless walks are safe on a
row's kernel and platform is what the explorer finds there; where it has no verdict, nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby

import attrs

from shootdown._compilation.running import small_work
from shootdown._questions.case import Case
from shootdown._report.text import Column, about, estimate, exact, lay_out, paragraph, ratio, share, widths
from shootdown._values.errors import ShootdownError
from shootdown._values.result import Result, Span, paired
from shootdown._values.verdict import BUG, SAFE
from shootdown._values.workload import Workload

Pair = tuple[Case[Workload], Result]

MAIL = "lore 4d3878531c76479d9f8ca9789dc6485d@amazon.de"
_WORKLOAD = "fork-storm"
_AS_REPORTED = {"children": 1000, "gib": 1200, "pages": 100}
_CPUS_REPORTED = 196
#: Huge pages of a GiB, and tables that a child reads through.
_PAGES_PER_GIB, _TABLES_READ = 512, 97
_SCENARIO = "unshare-gup"
#: The most states of a search for one sentence: the largest needs 562.
_MOST_STATES = 20_000


@attrs.frozen
class _Reported:
    """One of the reported times, in seconds."""

    without: float
    with_sync: float

    @property
    def slowdown(self) -> float:
        return self.with_sync / self.without


_WALL = _Reported(2.475, 11.275)
_SYSTEM = _Reported(2.501, 23.905)
_USER_WITHOUT = 1.398


def always_shown(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Return the counts that are shown even if all are 0."""
    return ("broadcast_invalidations",) if any(_global_asid_instruction(case) for case, _ in pairs) else ()


def story(pairs: Sequence[Pair], width: int) -> list[str]:
    """Explain the rows of the bug report's workload; no lines for other workloads.

    Args:
        pairs: rows with what they were computed from, in their order.
        width: columns of text that there are.
    """
    told = [pair for pair in pairs if pair[0].program.name == _WORKLOAD and pair[1].supported]
    lines: list[str] = []
    groups = [
        list(group)
        for _, group in groupby(
            told, key=lambda pair: (pair[1].arch, pair[1].platform, pair[1].cpus if _one_size(told) else 0)
        )
    ]
    for group in groups:
        facts = list(_facts(group))
        if not facts:
            continue
        row = group[0][1]
        lines += ["", f"{row.arch} {row.platform}:" if len(groups) > 1 else "What happened:"]
        for fact in facts:
            lines += paragraph(fact, width, first="- ")
        lines += _beside_the_report(group, width)
    return lines


def searches(chosen: Sequence[Case[Workload]]) -> list[Callable[[], object]]:
    """Return what `story` asks the explorer about some cases: what is asked before it need not be found once more."""
    return [
        partial(_explored, case)
        for case in chosen
        if case.program.name == _WORKLOAD
        and case.refusal() is None
        and _generation(case) in ("none", "proposal")
    ]


def _one_size(pairs: Sequence[Pair]) -> bool:
    return len({row.cpus for _, row in pairs}) == 1


def _facts(group: Sequence[Pair]) -> Iterator[str]:
    """Return what each generation of kernels did, from its counts."""
    idle = [
        pair for pair in group if _generation(pair[0]) in ("per-table", "last-sharer") and _is_idle(pair[1])
    ]
    if idle:
        yield f"{_names(idle)}: no broadcast: no two processes used a table at the same time, so none was unshared."
    for case, row in group:
        if _generation(case) == "per-table" and row.counts["sync_broadcasts"]:
            yield _per_table(case, row, group)
    told: tuple[tuple[str, Callable[[Sequence[Pair]], str]], ...] = (
        ("last-sharer", _last_sharer),
        ("none", _never),
        ("proposal", _proposal),
    )
    for generation, tell in told:
        rows = [pair for pair in group if _generation(pair[0]) == generation and pair not in idle]
        if rows:
            yield tell(rows)
    by_asid = [pair for pair in group if _global_asid_instruction(pair[0])]
    if by_asid:
        yield _by_global_asid(by_asid)


def _is_idle(row: Result) -> bool:
    return not (row.counts["sync_broadcasts"] or row.counts["unshared_tables"])


def _generation(case: Case[Workload]) -> str:
    """Return when a kernel synchronises, judged by its switches and not by its name."""
    kernel = case.kernel
    if kernel.skip_redundant_sync != "never" or kernel.sync_targets != "all":
        return "proposal"
    return kernel.unshare_sync


def _per_table(case: Case[Workload], row: Result, group: Sequence[Pair]) -> str:
    from shootdown._workloads.fork_storm import tables_read

    children = row.parameters["children"]
    tables = len(tables_read(row.parameters["gib"], row.parameters["pages"]))
    broadcasts, ipis = row.counts["sync_broadcasts"], row.counts["sync_ipis"]
    each = ipis // broadcasts
    redundant = row.counts["redundant_sync_ipis"]
    return (
        f"{_name(row, group)} broadcasts for each table that it unshares (1013af4f585f): {exact(broadcasts)} of the "
        f"at most {exact(children * tables)} broadcasts ({exact(children)} children, {tables} tables each: "
        f"the {exact(row.parameters['pages'])} pages that a child reads lie in {tables} of "
        f"{exact(row.parameters['gib'])} tables) happened, "
        f"each to {each} CPUs. {share(redundant, ipis)} of the {exact(ipis)} interrupts were redundant: "
        f"{exact(ipis - redundant)} reached a CPU that could have been walking the table."
    )


def _last_sharer(rows: Sequence[Pair]) -> str:
    children = rows[0][1].parameters["children"]
    counts = [row.counts["sync_broadcasts"] for _, row in rows]
    each = [f"{count / children:.2f}" for count in counts]
    return (
        f"{_names(rows)}: at most one broadcast for each exiting child, if a table became exclusive (8ce720d5bd91): "
        f"{_listed([exact(count) for count in counts])} for {exact(children)} "
        f"{'child' if children == 1 else 'children'}, "
        f"{_listed(each)} a child."
    )


def _never(rows: Sequence[Pair]) -> str:
    counts = [exact(row.counts["sync_broadcasts"]) for _, row in rows]
    told = f"{_names(rows)}: {_listed(counts)} broadcasts."
    return " ".join((told, *_safety(rows, ", which is the race that 1013af4f585f closed")))


def _proposal(rows: Sequence[Pair]) -> str:
    counts = [exact(row.counts["sync_broadcasts"]) for _, row in rows]
    told = f"{_names(rows)} (never merged): {_listed(counts)} broadcasts."
    return " ".join((told, *_safety(rows)))


@attrs.frozen
class _Found:
    """What the explorer found for a row: its verdict, and the way of flushing with which it found a bug."""

    verdict: str
    sharers: int
    way: str


def _safety(rows: Sequence[Pair], race: str = "") -> Iterator[str]:
    """Say whether GUP-fast is safe from unsharing on these kernels, as the explorer finds; nothing if it can't tell."""
    alike: dict[_Found, list[Pair]] = {}
    for pair in rows:
        found = _explored(pair[0])
        if found is not None:
            alike.setdefault(found, []).append(pair)
    for found, same in alike.items():
        where = "" if len(same) == len(rows) else f"{_names(same)}: "
        source = f"`explore {_SCENARIO} -p sharers={found.sharers}`"
        if found.verdict == BUG:
            way = f" for the {found.way}" if found.way else ""
            yield (
                f"{where}If a process unmaps a shared table, GUP-fast can walk it when another process owns it by "
                f"now{race} ({source}: BUG{way})."
            )
        else:
            yield (
                f"{where}GUP-fast walks no table that another process owns by now, in any order of events "
                f"({source}: SAFE)."
            )


def _explored(case: Case[Workload]) -> _Found | None:
    """Explore the race that the sync is there for, on the row's own kernel and platform."""
    # Targeted syncs can differ between those who share a table; two sharers are one that leaves and one that stays.
    sharers = 2 if case.kernel.sync_targets == "all" else 3
    return _search(
        case.architecture.name, case.platform.name, case.kernel.name, tuple(case.settings.items()), sharers
    )


@cache
def _search(
    arch: str, platform: str, kernel: str, settings: tuple[tuple[str, str], ...], sharers: int
) -> _Found | None:
    from shootdown._questions.explore import explorations, explore_case

    try:
        (case,) = explorations(
            _SCENARIO,
            arch=[arch],
            platforms=[platform],
            kernels=[kernel],
            parameters={"sharers": sharers},
            settings=dict(settings),
        )
        with small_work():
            verdict = explore_case(case, most_states=_MOST_STATES, verdict_only=True)
    except ShootdownError:  # of a plugin that only workloads can use so far
        return None
    return _Found(verdict.verdict, sharers, verdict.way) if verdict.verdict in (BUG, SAFE) else None


def _by_global_asid(rows: Sequence[Pair]) -> str:
    used = sum(row.counts["broadcast_invalidations"] for _, row in rows)
    moved = sum(row.counts["transition_ipis"] for _, row in rows)
    instruction = _global_asid_instruction(rows[0][0])
    found = (
        f"{instruction}, which {_names(rows)} can use on {rows[0][1].platform}: {exact(used)} broadcast invalidations, "
        f"{exact(moved)} IPIs to move to a global ASID."
    )
    if used or moved:
        return found
    return (
        f"{found} It is never used: only an mm that runs on several CPUs at a time gets a global ASID, "
        "and each child has one thread."
    )


def _beside_the_report(group: Sequence[Pair], width: int) -> list[str]:
    """Compare the predicted slow-down of the row with 1013af4f585f with the reported one."""
    compared = _to_compare(group)
    if compared is None:
        return []
    case, before, with_sync = compared
    broadcasts = with_sync.counts["sync_broadcasts"]
    more_wall, more_system = (_more(before, with_sync, name) for name in ("elapsed_ns", "system_ns"))
    on_top = [(_WALL.without * 1e9 + more) / (_WALL.without * 1e9) for more in _ends(more_wall)]
    added = _WALL.with_sync - _WALL.without
    table = [
        [
            "wall time",
            _times(before, with_sync, "elapsed_ns"),
            f"x{_WALL.slowdown:.2f} ({_WALL.without} s to {_WALL.with_sync} s)",
        ],
        [
            "system time",
            _times(before, with_sync, "system_ns"),
            f"x{_SYSTEM.slowdown:.2f} ({_SYSTEM.without} s to {_SYSTEM.with_sync} s)",
        ],
        ["wall time added", estimate(more_wall), f"{added:.2f} s"],
        ["system time added", estimate(more_system), f"{_SYSTEM.with_sync - _SYSTEM.without:.2f} s"],
        [
            "wall time added, a broadcast",
            estimate(_scaled(more_wall, broadcasts)),
            f"{added / 97_000 * 1e6:.1f} us if all 97,000 happened",
        ],
    ]
    names = f"{with_sync.kernel} against {before.kernel}"
    columns = [Column(names, wraps=True), Column("predicted (range)"), Column("reported*", wraps=True)]
    chosen = widths(columns, table, width)
    lines = ["", *(lay_out(columns, table, chosen) if chosen else [" ".join(row) for row in table])]
    lines += paragraph(f"{MAIL}, without and with 1013af4f585f on 196 cores", width, first="* ")
    place = _place(added * 1e9, more_wall)
    lines += paragraph(
        f"The reported {added:.2f} s {place} the predicted range of added wall time. Why the ratios are apart all the "
        f"same: a ratio divides by the run without the sync, {_WALL.without} s there and "
        f"{about(before.times['elapsed_ns'].likely)} here. The model leaves out what the sync does not touch: `make`, "
        f"exec and the start of the program, its user-mode work ({_USER_WITHOUT} s of user time reported), setting up "
        f"and reserving the mapping. With the predicted addition on top of the reported {_WALL.without} s the wall "
        f"time is {ratio(min(on_top), on_top[1], max(on_top))} beside the reported x{_WALL.slowdown:.2f}. System "
        "time has the interrupt handlers on the CPUs that they hit, and all writers that spin for i_mmap_rwsem.",
        width,
    )
    return [*lines, *paragraph(_which_kernel(case, before.times["elapsed_ns"]), width)]


def _which_kernel(case: Case[Workload], without: Span) -> str:
    """Say which kernels the report could have been, by what they take without the sync.

    Before 6.0 fork() and exit() step over every huge page, one process after another: the parent forks all children,
    and exit() holds i_mmap_rwsem for writing.
    """
    pages = _AS_REPORTED["gib"] * _PAGES_PER_GIB
    steps = _AS_REPORTED["children"] * (2 * pages - _TABLES_READ * _PAGES_PER_GIB)
    visit = case.platform.costs.visit_ns
    more = [steps * cost for cost in (visit.low, visit.likely, visit.high)]
    if case.kernel.hugetlb_visits_absent:
        old, new = without, Span(*(max(a - b, 0.0) for a, b in zip(_ends(without), more, strict=True)))
    else:
        new, old = without, Span(*(a + b for a, b in zip(_ends(without), more, strict=True)))
    fit = [
        name
        for name, span in (("one before 6.0", old), ("6.0 or later", new))
        if span.low <= _WALL.without * 1e9 <= span.high
    ]
    verdict = f"it could have been {' or '.join(fit)}" if fit else "neither range holds it"
    return (
        f"Which kernel it was, the report does not say. Its {_WALL.without} s without the sync: 6.0 and later take "
        f"{estimate(new)} here, and kernels before 6.0 {estimate(old)}, as fork() and exit() then stepped over each of "
        f"{exact(pages)} huge pages (bcd51a3c679d, e95a9851787d). By that {verdict}."
    )


def _to_compare(group: Sequence[Pair]) -> tuple[Case[Workload], Result, Result] | None:
    """Find the row with 1013af4f585f, and the nearest before it that never broadcasts, with its case."""
    if any(group[0][1].parameters.get(name) != value for name, value in _AS_REPORTED.items()):
        return None
    before: Pair | None = None
    for case, row in group:
        if row.cpus != _CPUS_REPORTED:
            continue
        if _generation(case) == "per-table" and row.counts["sync_broadcasts"] and before is not None:
            return (*before, row)
        if _generation(case) == "none":
            before = case, row
    return None


def _ends(span: Span) -> tuple[float, float, float]:
    return span.low, span.likely, span.high


def _times(before: Result, after: Result, name: str) -> str:
    """Write how many times as long a time is."""
    found = paired(before, after, name, lambda a, b: b / a if a else 0.0)
    return ratio(found.low, found.likely, found.high)


def _more(before: Result, after: Result, name: str) -> Span:
    return paired(before, after, name, lambda a, b: b - a)


def _place(value: float, span: Span) -> str:
    if value < span.low:
        return "lie below"
    return "lie above" if value > span.high else "lie inside"


def _scaled(span: Span, count: int) -> Span:
    return Span(span.low / count, span.likely / count, span.high / count)


def _global_asid_instruction(case: Case[Workload]) -> str | None:
    """Name the instruction that flushes by machine-wide ASID, where kernel and CPU have one."""
    if case.architecture.lower is None:
        return None
    return case.setup().lowering.global_asid_instruction


def _name(row: Result, group: Sequence[Pair]) -> str:
    several = len({other.cpus for _, other in group}) > 1
    return f"{row.kernel} with {exact(row.cpus)} CPUs" if several else row.kernel


def _names(rows: Sequence[Pair]) -> str:
    return _listed([_name(row, rows) for _, row in rows])


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
