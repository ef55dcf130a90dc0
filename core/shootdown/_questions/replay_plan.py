"""Turn what was recorded into a program: which statements do what was seen, and what has no statement."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from shootdown._records import paths
from shootdown._records.interrupts import InterruptsPart
from shootdown._records.recording import Recording
from shootdown._records.values import Cell
from shootdown._values.errors import ShootdownError

#: Shootdowns that a program repeats: more of the same give the same numbers for each.
MOST = 300
#: Kinds of shootdowns that a program has.
_KINDS = 24
#: Pages of a statement for "all pages": more than any release flushes one by one.
ALL_PAGES = 64
#: A statement's pages: what is above is flushed as a whole as well.
_MOST_PAGES = 1024
_MOST_TARGETS = 4000
_PAGE = 4  # KiB

#: The statement of each path, with `M` for its memory and `P` for the bytes of a piece.
_STATEMENTS = {
    "munmap": "each P of M { munmap it }",
    "mmap over": "each P of M { munmap it }",
    "truncate": "each P of M { punch it }",
    "mkclean": "each P of M { mkclean it }",
    "migration": "each P of M { migrate it }",
    "reclaim": "each P of M { reclaim it }",
    "madvise": "each P of M { madvise it DONTNEED }",
    "mprotect": "each P of M { mprotect it read }",
    "COW": "touch M write",
    "fork": "repeat N { fork F; wait F }",
    "": "each P of M { madvise it DONTNEED }",
}
_ASSUMED = {
    "mmap over": "mmap() over a mapping is written as the munmap() in it",
    "truncate": "truncation is written as holes punched into a file that this process alone maps",
    "migration": "each migration is one of a page: how many pages one flush was for is not in a recording",
    "reclaim": "each flush of reclaim is for one page: how many pages it was for is not in a recording",
    "": "shootdowns whose path is not told are written as madvise(DONTNEED), whose flush of as many pages is the same",
}
#: Those that fork, and those whose memory one process alone may map.
_FORKS, _ALONE = ("COW", "fork"), ("migration", "reclaim")
#: Those of a page each, and those of memory of a file.
_SINGLE, _FILES = ("COW", "mkclean", *_ALONE), ("truncate", "mkclean")
#: How a person writes it in a few words.
SHORT = {
    "munmap": "munmap",
    "mmap over": "munmap",
    "truncate": "punch",
    "mkclean": "mkclean",
    "migration": "migrate",
    "reclaim": "reclaim",
    "madvise": "madvise DONTNEED",
    "mprotect": "mprotect read",
    "COW": "touch write, after fork",
    "fork": "fork",
    "": "madvise DONTNEED",
}
#: Why other paths have no statement.
_NONE = {
    "NUMA balancing": "no statement takes rights for NUMA hints",
    "khugepaged": "how much of a huge page was mapped is not in a recording: write a program with khugepaged",
    "mremap": "mremap is counted for hugetlb memory alone",
    "exit": "the flush of exit() depends on where the process ran",
    "exec": "no statement executes another program",
    "hugetlb unshare": "which tables were shared is not in a recording: write memory of kind hugetlb",
}


@attrs.frozen
class Statement:
    """Shootdowns that became a statement.

    Args:
        path: of the recording.
        text: the statement.
        pages: of each; None where the recording doesn't tell.
        targets: of each; None where the recording doesn't tell.
        recorded: how many there were.
        times: how many the program has.
    """

    path: str
    text: str
    pages: int | None
    targets: int | None
    recorded: float
    times: int


@attrs.frozen
class Plan:
    """A program, and how it came about.

    Args:
        text: the program as TOML.
        statements: what it does.
        left_out: path, how many, and why they have no statement.
        assumed: what is not in the recording, a sentence each.
        cpus: that it needs.
        share: recorded shootdowns for each one of the program.
        answers: interrupts that were answered in the recording, for the shootdowns of the program; None where targets
            are not known.
        unit: of what was recorded: `%` where there are only shares.
    """

    text: str
    statements: tuple[Statement, ...]
    left_out: tuple[tuple[str, float, str], ...]
    assumed: tuple[str, ...]
    cpus: int
    share: float
    answers: int | None
    unit: str = ""


def plan(recording: Recording, *, targets_times: float = 1.0) -> Plan:
    """Turn a recording into a program.

    Args:
        recording: what was read.
        targets_times: what each number of targets is multiplied with, for machines with more CPUs.

    Raises:
        ShootdownError: nothing in it can become a statement.
    """
    cells, assumed = _cells(recording)
    left_out = _without(recording, cells)
    kept = [cell for cell in cells if cell.path in _STATEMENTS and cell.targets != 0]
    if any(cell.path in _FORKS for cell in kept):
        shared = sum(cell.count for cell in kept if cell.path in _ALONE)
        if shared:
            left_out.append(
                (
                    "migration and reclaim",
                    shared,
                    "memory that fork() shares is not migrated or reclaimed here",
                )
            )
        kept = [cell for cell in kept if cell.path not in _ALONE]
    none = sum(cell.count for cell in cells if cell.targets == 0)
    if none:
        left_out.append(("", none, "no CPU answered: whom they reached is not in the recording"))
    kept.sort(key=lambda cell: -cell.count)
    if len(kept) > _KINDS:
        rest = sum(cell.count for cell in kept[_KINDS:])
        left_out.append(("", rest, f"rare kinds: the {_KINDS} most frequent ones are in the program"))
        kept = kept[:_KINDS]
    if not kept:
        why = left_out[0][2] if left_out else "it counts no shootdown of user pages"
        raise ShootdownError(
            f"nothing in the recording can become a statement: {why}; shootdown read says what it has"
        )
    total = sum(cell.count for cell in kept)
    shares = any(part.kind == "shares" and not getattr(part, "count", 0) for part in recording.parts)
    per = total / MOST if total > MOST or shares else 1.0
    statements = sorted(
        (_statement(cell, per, targets_times) for cell in kept),
        key=lambda one: (one.targets or 0, -one.times),
    )
    assumed += [_ASSUMED[path] for path in dict.fromkeys(one.path for one in statements) if path in _ASSUMED]
    if any(
        cell.pages is not None and cell.pages < 0 and cell.path not in ("fork", *_SINGLE) for cell in kept
    ):
        assumed.append(f"`all pages` is written as {ALL_PAGES} pages, more than are flushed one by one")
    if any((cell.pages or 0) > _MOST_PAGES for cell in kept):
        assumed.append(f"more than {_MOST_PAGES} pages are written as {_MOST_PAGES}")
    assumed.append(
        "one task sends all of them, one after another, while the targets compute: a recording doesn't say who waited "
        "for whom"
    )
    text, cpus = _program(
        recording, statements, left_out, assumed, "% of the events" if shares else "shootdowns"
    )
    known = all(one.targets is not None for one in statements)
    answers = sum(one.times * (one.targets or 0) for one in statements) if known else None
    return Plan(
        text, tuple(statements), tuple(left_out), tuple(assumed), cpus, per, answers, "%" if shares else ""
    )


def _cells(recording: Recording) -> tuple[list[Cell], list[str]]:
    """Return the shootdowns, or what is the nearest to them, with what that assumes."""
    cells = [cell for cell in recording.cells() if cell.count > 0]
    assumed: list[str] = []
    if not cells:
        rows = next((part for part in recording.parts if isinstance(part, InterruptsPart)), None)
        tlb = rows.row("shootdown") if rows is not None else None
        if tlb is not None and tlb.total > 0:
            cells = [Cell("", None, None, tlb.total)]
            assumed.append(
                f"the {tlb.name} row counts answers, and each is taken for a shootdown of its own: with N targets "
                "each there were an N-th as many"
            )
    if any(cell.targets is None for cell in cells):
        assumed.append("the number of targets is not in the recording: 1 unless -p targets= says otherwise")
    if any(cell.pages is None for cell in cells):
        assumed.append("the number of pages is not in the recording: 4K unless -p pages= says otherwise")
    return cells, assumed


def _without(recording: Recording, cells: Sequence[Cell]) -> list[tuple[str, float, str]]:
    """Return what of the recording has no statement."""
    found: dict[tuple[str, str], float] = {}
    for cell in cells:
        if cell.path not in _STATEMENTS:
            why = _NONE.get(cell.path, "no statement does that")
            found[cell.path, why] = found.get((cell.path, why), 0) + cell.count
    for part in recording.parts:
        for (path, flushes), count in getattr(part, "by_path", {}).items():
            if flushes is False:
                found[path, paths.remark(path) or "no flush of user pages"] = count
        if part.kind == "stacks":
            nothing = sum(count for (_, flushes), count in part.by_path.items() if flushes is None)  # type: ignore[attr-defined]
            if nothing:
                found["", "nothing in their stacks tells whether they flush"] = nothing
        if part.kind == "events":
            alone = part.groups.alone  # type: ignore[attr-defined]
            if alone:
                found["", "flushes of one CPU's own TLB interrupt nobody"] = alone
    return [(path, count, why) for (path, why), count in found.items()]


def _statement(cell: Cell, per: float, targets_times: float) -> Statement:
    times = max(round(cell.count / per), 1)
    targets = cell.targets
    if targets is not None:
        targets = min(max(round(targets * targets_times), 1), _MOST_TARGETS)
    pages = cell.pages
    if pages is not None:
        pages = ALL_PAGES if pages < 0 else min(max(pages, 1), _MOST_PAGES)
    if cell.path in _SINGLE:
        pages = 1
    return Statement(cell.path, _STATEMENTS[cell.path], pages, targets, cell.count, times)


def _program(
    recording: Recording,
    statements: Sequence[Statement],
    left_out: Sequence[tuple[str, float, str]],
    assumed: Sequence[str],
    unit: str,
) -> tuple[str, int]:
    """Write the program, and say how many CPUs it needs."""
    memory, before, measured, threads = [], [], [], []
    have = 0
    forks = {one.path for one in statements} & {*_FORKS}
    unknown_targets = any(one.targets is None for one in statements)
    if unknown_targets:
        threads.append(("others", "$targets", "ready"))
        measured += ["start others", "wait ready $targets"]
    for number, one in enumerate(statements, start=1):
        if one.targets is not None and one.targets > have:
            name = f"t{one.targets}"
            threads.append((name, str(one.targets - have), f"ready{one.targets}"))
            measured += [f"start {name}", f"wait ready{one.targets} {one.targets - have}"]
            have = one.targets
        if one.path == "fork":
            measured.append(f"repeat {one.times} {{ fork F; wait F }}")
            continue
        name = f"m{number}"
        if one.pages is None and one.path not in _SINGLE:
            memory.append(f'{name} = {{ kind = "anonymous", size = "$pages", alone = false }}')
            measured.append(_repeated(one, name))
            continue
        pages = one.pages or 1
        # Entries of anonymous memory that fork() shares can't be written: mprotect() would find nothing to take away.
        file = one.path in _FILES or (one.path == "mprotect" and forks)
        memory.append(
            f'{name} = {{ kind = "{"file" if file else "anonymous"}", '
            f'size = "{_PAGE * pages * one.times}K", alone = false }}'
        )
        before.append(f"touch {name} write")
        measured.append(one.text.replace("M", name).replace(" P ", f" {_PAGE * pages}K "))
    if "COW" in forks:
        before.append("fork B")
    parameters = []
    if unknown_targets:
        parameters.append("targets = 1")
    if any(one.pages is None and one.path not in ("fork", *_SINGLE) for one in statements):
        parameters.append('pages = "4K"')
    lines = _comments(recording, statements, left_out, assumed, unit)
    lines += [f'summary = "a replay of {_told(recording)}"', ""]
    if parameters:
        lines += ["[parameters]", *parameters, ""]
    lines += ["[memory]", *memory, "", "[process.A]", "do = [", *(f'  "{text}",' for text in before)]
    lines += ['  """measure {', *(f"    {text}" for text in measured), '  }""",', "]"]
    for name, count, event in threads:
        shown = f'"{count}"' if count.startswith("$") else count
        lines += ["", f"[process.A.thread.{name}]", f"count = {shown}", f'do = ["signal {event}", "spin"]']
    if "COW" in forks:
        lines += ["", "[process.B]", 'do = ["sleep"]']
    if "fork" in forks:
        lines += ["", "[process.F]", 'do = ["exit"]']
    return "\n".join(lines) + "\n", 1 + max(have, 1) + len(forks)


def _repeated(one: Statement, name: str) -> str:
    """Write a statement of so many pages as a parameter says: each time they are touched anew."""
    if one.path in ("munmap", "mmap over"):
        return f"repeat {one.times} {{ touch {name} write; munmap {name}; mmap {name} }}"
    if one.path == "mprotect":
        return (
            f"repeat {one.times} {{ touch {name} write; mprotect {name} read; munmap {name}; mmap {name} }}"
        )
    return f"repeat {one.times} {{ touch {name} write; madvise {name} DONTNEED }}"


def _told(recording: Recording) -> str:
    name = recording.files[0].path.rpartition("/")[2]
    plain = "".join(char if char.isprintable() and char not in '"\\' else "?" for char in name)
    return plain if len(recording.files) == 1 else f"{plain} and {len(recording.files) - 1} more"


def _comments(
    recording: Recording,
    statements: Sequence[Statement],
    left_out: Sequence[tuple[str, float, str]],
    assumed: Sequence[str],
    unit: str,
) -> list[str]:
    total = sum(one.recorded for one in statements)
    lines = [
        f"# Written by shootdown replay from {_told(recording)}.",
        f"# {total:,.6g} {unit} of the recording are {sum(one.times for one in statements):,} here.",
    ]
    lines += [f"# Assumed: {text}." for text in assumed]
    for path, count, why in left_out:
        lines.append(f"# Left out: {count:,.6g} of {path or 'an untold path'}: {why}.")
    return [line.replace("\n", " ") for line in lines]


def needed(plan_: Plan, cpus: int, targets: int = 1) -> int:
    """Return how many CPUs a program runs on.

    Args:
        plan_: the program.
        cpus: of the machine that was recorded, at least.
        targets: those of each shootdown, where the recording doesn't tell.
    """
    return max(plan_.cpus + targets - 1, cpus)


def times_for(cpus: int, recorded: int) -> float:
    """Return what targets are multiplied with, so that as large a part of more CPUs is reached."""
    if recorded < 2 or cpus < 2 or math.isclose(cpus, recorded):
        return 1.0
    return (cpus - 1) / (recorded - 1)
