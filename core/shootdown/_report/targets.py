"""The table of targets, as text and as Markdown: platforms and kernels that agree share a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from shootdown._questions.targets import ALL, LAZY, PATHS, Target
from shootdown._report.text import Column, lay_out, paragraph, widths

_HEADINGS = ("flush differs if freed", "honours unshared", "walk cache dropped", "sync", "why")
_LEGEND = (
    "flush differs if freed: the flush would reach or drop something else if the table were freed too.",
    "honours unshared: the architecture's flush looks at unshared_tables.",
    "walk cache dropped: when i_mmap_rwsem is released no CPU can use an entry into the table any more. NO: stale, any "
    "CPU that runs the mm can; NO, nor TLB: not even TLB entries went; not if lazy: CPUs in lazy TLB mode can. Of "
    "munmap, exit and mprotect those are named that leave entries, unless all do.",
    "sync: whether GUP-fast needs tlb_remove_table_sync_one() after the flush; missing: needed, not sent.",
)
#: The columns of a subject's table, each with its words; those are left out that say nothing of any target.
_OF_SUBJECT = ("verdict", "flushes", *_HEADINGS[:-1])
_OF_SUBJECT_LEGEND = {
    "verdict": "verdict: what exploring it, made small, finds.",
    "flushes": "flushes: CPUs interrupted by flushes, hypercalls, and invalidations that reach all CPUs.",
    **dict(zip(_HEADINGS, _LEGEND, strict=False)),
}
_OF_SUBJECT_SYNC = (
    "sync: whether GUP-fast needs tlb_remove_table_sync_one() here; missing: needed, not sent; untried: nobody is "
    "inside GUP-fast; hidden: another bug comes first."
)


@attrs.frozen
class Group:
    """Platforms of one architecture on which all kernels behave alike.

    Args:
        arch: its name.
        platforms: their names.
        rows: kernels that behave alike, with one of their targets.
    """

    arch: str
    platforms: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], Target], ...]


def groups(found: Sequence[Target]) -> list[Group]:
    """Group platforms that agree, in the order of the first of each group."""
    machines: dict[tuple[str, str], list[Target]] = {}
    for target in found:
        machines.setdefault((target.arch, target.platform), []).append(target)
    alike: dict[object, list[tuple[str, str]]] = {}
    for (arch, platform), targets in machines.items():
        key = (arch, tuple((target.kernel, cells(target), target.reason) for target in targets))
        alike.setdefault(key, []).append((arch, platform))
    return [
        Group(names[0][0], tuple(platform for _, platform in names), tuple(_rows(machines[names[0]])))
        for names in alike.values()
    ]


def _rows(targets: Sequence[Target]) -> Iterator[tuple[tuple[str, ...], Target]]:
    """Group neighbouring kernels that behave alike."""
    kernels: list[str] = []
    for target, following in zip(targets, [*targets[1:], None], strict=True):
        kernels.append(target.kernel)
        same = following is not None and (cells(following), following.reason) == (
            cells(target),
            target.reason,
        )
        if not same:
            yield tuple(kernels), target
            kernels = []


def cells(target: Target) -> tuple[str, ...]:
    """Write a target's verdicts, without the reason, as the columns of a subject's table."""
    return (
        _verdict(target),
        _flushes(target),
        _word(target.flush_differs_with_freed_tables),
        _word(target.honours_unshared_tables),
        _dropped(target),
        target.sync.upper() if target.sync == "missing" else target.sync,
    )


def _verdict(target: Target) -> str:
    if target.explored is None:
        return ""
    word, broken = target.explored["verdict"], target.explored["invariant"]
    return f"{word.upper()} {broken}" if broken else word


def _flushes(target: Target) -> str:
    counts = target.evidence.get("program", {})
    words = {"flush_ipis": "IPIs", "hypercalls": "hypercalls", "broadcast_invalidations": "broadcasts"}
    parts = [f"{counts[name]:,} {word}" for name, word in words.items() if counts.get(name)]
    return ", ".join(parts) or ("none" if counts else "")


def _word(claim: bool | None) -> str:
    return "-" if claim is None else "yes" if claim else "no"


def _dropped(target: Target) -> str:
    """Write after which calls entries that lead into the table survive, and on which CPUs."""
    if target.walk_cache_dropped is None:
        return "-"
    parts = []
    for cpus in (ALL, LAZY):
        alike: dict[str, list[str]] = {}
        for path, left in target.stale_after.items():
            if left.cpus == cpus:
                text = (
                    "not if lazy" if cpus == LAZY else "NO, nor TLB" if "tlb" in left.entries else "NO: stale"
                )
                alike.setdefault(text, []).append(path)
        for text, paths in alike.items():
            parts.append(text if len(paths) == len(target.stale_after) else f"{text} ({', '.join(paths)})")
    return "; ".join(parts) or "yes"


def lines(found: Sequence[Target], width: int, *, of_subject: bool = False) -> Iterator[str]:
    """Write the table, its legend and its footnotes.

    Args:
        found: what `targets()` returned.
        width: columns of text that there are.
        of_subject: they are targets of a program or scenario.
    """
    reasons = list(dict.fromkeys(target.reason for target in found))
    shown = _shown(found, of_subject)
    columns = [
        Column("kernel", wraps=True),
        *(Column(_OF_SUBJECT[n], wraps=True) for n in shown),
        Column(""),
    ]
    body: list[Sequence[str] | str] = []
    for group in groups(found):
        body.append("\n".join(paragraph(f"{group.arch} {', '.join(group.platforms)}", width, rest="  ")))
        body += [
            [
                ", ".join(kernels),
                *(cells(target)[n] or "-" for n in shown),
                f"[{reasons.index(target.reason) + 1}]",
            ]
            for kernels, target in group.rows
        ]
    texts = [row for row in body if not isinstance(row, str)]
    sizes = widths(columns, texts, width) or widths(columns, texts, 10_000)
    assert sizes is not None
    yield from lay_out(columns, body, sizes)
    yield ""
    for text in _legend(shown) if of_subject else _LEGEND:
        yield from paragraph(text, width, rest="  ")
    for number, reason in enumerate(reasons, start=1):
        yield from paragraph(reason, width, first=f"[{number}] ")
    if not of_subject:
        yield from _how_to_see(found, width)


def _shown(found: Sequence[Target], of_subject: bool) -> list[int]:
    """Return which columns there are: of a subject, the sync and those that say something of some target."""
    if not of_subject:
        return list(range(2, len(_OF_SUBJECT)))
    last = len(_OF_SUBJECT) - 1
    return [n for n in range(last + 1) if n == last or any(cells(one)[n] not in ("", "-") for one in found)]


def _legend(shown: Sequence[int]) -> Iterator[str]:
    for n in shown:
        name = _OF_SUBJECT[n]
        yield _OF_SUBJECT_SYNC if name == "sync" else _OF_SUBJECT_LEGEND[name].split(" Of munmap,")[0]


def _how_to_see(found: Sequence[Target], width: int) -> Iterator[str]:
    """Name a command that shows how entries survive: after munmap() if it leaves some, on lazy CPUs only if need be."""
    ranked = [
        (cpus == LAZY, path, target)
        for cpus in (ALL, LAZY)
        for path in PATHS
        for target in found
        if target.stale_after and target.stale_after[path].cpus == cpus
    ]
    if not ranked:
        return
    lazy, path, target = ranked[0]
    threads = "" if path == "exit" and not lazy else " -p threads=2" + (" -p state=lazy" if lazy else "")
    command = (
        f"shootdown explain hugetlb-{path}{threads} --arch {target.arch} --platform {target.platform} "
        f"--kernel {target.kernel} --cpus 6"
    )
    yield ""
    yield "How stale entries survive, step by step:"
    yield f"  {command}" if len(command) + 2 <= width else command


def markdown(found: Sequence[Target], *, of_subject: bool = False) -> Iterator[str]:
    """Write the table for a page of the documentation, its footnotes below it."""
    reasons = list(dict.fromkeys(target.reason for target in found))
    shown = _shown(found, of_subject)
    headings = ("arch", "platforms", "kernels", *(_OF_SUBJECT[n] for n in shown), "why")
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for group in groups(found):
        for kernels, target in group.rows:
            row = (
                group.arch,
                ", ".join(group.platforms),
                ", ".join(kernels),
                *(cells(target)[n] or "-" for n in shown),
                str(reasons.index(target.reason) + 1),
            )
            yield f"| {' | '.join(row)} |"
    yield ""
    for number, reason in enumerate(reasons, start=1):
        yield from paragraph(f"{reason}.", 120, first=f"{number}. ")
