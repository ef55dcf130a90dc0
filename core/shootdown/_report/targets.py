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


def cells(target: Target) -> tuple[str, str, str, str]:
    """Write a target's verdicts, without the reason."""
    return (
        _word(target.flush_differs_with_freed_tables),
        _word(target.honours_unshared_tables),
        _dropped(target),
        target.sync.upper() if target.sync == "missing" else target.sync,
    )


def _word(claim: bool | None) -> str:
    return "-" if claim is None else "yes" if claim else "no"


def _dropped(target: Target) -> str:
    """Write after which calls entries that lead into the table survive, and on which CPUs."""
    if target.walk_cache_dropped is None:
        return "-"
    parts = []
    for cpus in (ALL, LAZY):
        alike: dict[str, list[str]] = {}
        for path in PATHS:
            left = target.stale_after[path]
            if left.cpus == cpus:
                text = (
                    "not if lazy" if cpus == LAZY else "NO, nor TLB" if "tlb" in left.entries else "NO: stale"
                )
                alike.setdefault(text, []).append(path)
        for text, paths in alike.items():
            parts.append(text if len(paths) == len(PATHS) else f"{text} ({', '.join(paths)})")
    return "; ".join(parts) or "yes"


def lines(found: Sequence[Target], width: int) -> Iterator[str]:
    """Write the table, its legend and its footnotes.

    Args:
        found: what `targets()` returned.
        width: columns of text that there are.
    """
    reasons = list(dict.fromkeys(target.reason for target in found))
    columns = [
        Column("kernel", wraps=True),
        *(Column(heading, wraps=True) for heading in _HEADINGS[:-1]),
        Column(""),
    ]
    body: list[Sequence[str] | str] = []
    for group in groups(found):
        body.append("\n".join(paragraph(f"{group.arch} {', '.join(group.platforms)}", width, rest="  ")))
        body += [
            [", ".join(kernels), *cells(target), f"[{reasons.index(target.reason) + 1}]"]
            for kernels, target in group.rows
        ]
    texts = [row for row in body if not isinstance(row, str)]
    sizes = widths(columns, texts, width) or widths(columns, texts, 10_000)
    assert sizes is not None
    yield from lay_out(columns, body, sizes)
    yield ""
    for text in _LEGEND:
        yield from paragraph(text, width, rest="  ")
    for number, reason in enumerate(reasons, start=1):
        yield from paragraph(reason, width, first=f"[{number}] ")
    yield from _how_to_see(found, width)


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


def markdown(found: Sequence[Target]) -> Iterator[str]:
    """Write the table for a page of the documentation, its footnotes below it."""
    reasons = list(dict.fromkeys(target.reason for target in found))
    headings = ("arch", "platforms", "kernels", *_HEADINGS)
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for group in groups(found):
        for kernels, target in group.rows:
            row = (
                group.arch,
                ", ".join(group.platforms),
                ", ".join(kernels),
                *cells(target),
                str(reasons.index(target.reason) + 1),
            )
            yield f"| {' | '.join(row)} |"
    yield ""
    for number, reason in enumerate(reasons, start=1):
        yield from paragraph(f"{reason}.", 120, first=f"{number}. ")
