"""Propose rows for the tables of changes from the log of a Linux tree: which point release got which commit.

    .venv/bin/python tools/changes_from_git.py TREE RANGE... [--paths] [--all] [--json]

TREE is a git tree of Linux that has the stable branches and their tags, also a bare one; RANGE is what git log takes:
`v6.12..linux-6.12.y`, or `v7.2..v7.3` for mainline. Whatever is proposed is unverified until somebody read the commit:
docs/how-to/add-a-commit.md says how to go on. The status is 0 if the tables agree with the log, 1 if there is something
to read, 2 if there is no such tree or range.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from git_log import Commit, GitError, Key, check, key, read_log, series, touching, written
from shootdown._plugins.registry import registry
from shootdown._values.changes import CHANGES, Change
from shootdown._values.left_out import LEFT_OUT
from shootdown._values.series import BY_NAME

PATHS = (
    "arch/*/include/asm/pgalloc.h",
    "arch/*/include/asm/tlb*.h",
    "arch/*/mm/*tlb*.c",
    "arch/*/mm/contpte.c",
    "arch/*/mm/hugetlbpage.c",
    "arch/powerpc/include/asm/book3s/64/tlb*.h",
    "arch/powerpc/mm/book3s64/*tlb*.c",
    "include/asm-generic/tlb.h",
    "mm/gup.c",
    "mm/hugetlb.c",
    "mm/khugepaged.c",
    "mm/mmu_gather.c",
    "mm/mprotect.c",
    "mm/pt_reclaim.c",
)
"""What decides counts of flushes and IPIs: `--paths` proposes each commit that touches one of these."""

UNVERIFIED = "unverified until read: this is what the log says of itself"
AFTER = "after the last tag"

_SHA = rb"([0-9a-f]{8,40})"
_UPSTREAM = re.compile(
    rb"^[ \t]*\[?[ \t]*(?:back-?port(?:ed)? (?:of|from) )?(?:upstream )?commit:? " + _SHA + rb"(?: upstream)?"
    rb"[ \t.]*\]?[ \t.]*$|\bcherry[ -]picked from (?:upstream )?commit " + _SHA,
    re.IGNORECASE | re.MULTILINE,
)
_REVERTS = re.compile(rb"\bThis reverts (?:upstream )?commit\s+" + _SHA, re.IGNORECASE)
_WHICH_IS = re.compile(rb"\bwhich is\s+(?:upstream )?commit\s+" + _SHA, re.IGNORECASE)
_FIXES = re.compile(rb"^Fixes:[ \t]*(?:commit )?" + _SHA, re.IGNORECASE | re.MULTILINE)
_NAME = re.compile(r"[0-9a-f]{12}")
_INDEXED = 8  # digits of a name by which commits are looked up; the rest is compared


@attrs.frozen
class Row:
    """One row of a table of changes, and whose table it is: `mm` or an architecture."""

    table: str
    change: Change


@attrs.frozen
class Landing:
    """A commit that is one row's change: by the name of the upstream commit, or only by its subject."""

    release: Key
    sha: str
    upstream: str
    by_subject: bool


@attrs.frozen
class Proposal:
    """What the log says of one row in one series.

    Args:
        status: `agrees`; `new` (the table names no release of the series); `settles` (the table leaves it open);
            `differs`; `not found` (the table's release is in the range, the commit is not); `reverted`.
        table: `mm` or an architecture.
        commit: as the table names it.
        subject: as the table has it.
        series: `6.12`.
        release: as the log has it, `6.12.74` or `6.19-rc7`; empty where the commit was not found.
        known: what the table says of the series; empty where it says nothing.
        sha: the commit that was found.
        beyond: whether the release is newer than the newest known of its series.
        remark: what else a reader must know.
    """

    status: str
    table: str
    commit: str
    subject: str
    series: str
    release: str
    known: str
    sha: str
    beyond: bool
    remark: str


@attrs.define
class Further:
    """A commit that no table has: it fixes one that a table has, or touches one of `PATHS`."""

    commit: str
    subject: str
    why: list[str]
    releases: list[str]


@attrs.define
class Found:
    """What is kept of a log: what concerns the tables, and which commits were reverted."""

    commits: int = 0
    releases: set[Key] = attrs.field(factory=set)
    landings: dict[int, list[Landing]] = attrs.field(factory=dict)
    reverted: dict[str, list[Key | None]] = attrs.field(factory=dict)
    further: dict[str, Further] = attrs.field(factory=dict)
    left_out: set[str] = attrs.field(factory=set)


def rows_known() -> tuple[Row, ...]:
    """Return the rows of every table but those of proposals, which are in no tree."""
    tables = {"mm": CHANGES} | {name: one.changes for name, one in registry().architectures().items()}
    return tuple(
        Row(table, change) for table, changes in tables.items() for change in changes if not change.proposal
    )


class Reader:
    """Reads commits and keeps what concerns the tables.

    Args:
        rows: of the tables.
        touched: commits that touch one of `PATHS`, with the files.
    """

    def __init__(self, rows: Sequence[Row], touched: Mapping[str, list[str]]) -> None:
        self.rows, self.touched = rows, touched
        self.found = Found()
        self.by_name: dict[str, list[int]] = {}
        self.by_subject: dict[str, list[int]] = {}
        for number, row in enumerate(rows):
            if _NAME.fullmatch(row.change.commit):
                self.by_name.setdefault(row.change.commit[:_INDEXED], []).append(number)
            self.by_subject.setdefault(row.change.subject, []).append(number)
        self.left_out = {one.commit for one in LEFT_OUT} | {one.subject for one in LEFT_OUT}

    def read(self, commits: Iterable[Commit]) -> None:
        """Read commits, children before parents."""
        for commit in commits:
            self.found.commits += 1
            upstream = [one.decode() for pair in _UPSTREAM.findall(commit.body) for one in pair if one]
            if reverts := _REVERTS.findall(commit.body):
                # "This reverts commit X which is commit Y upstream." may be wrapped before the second "commit".
                for sha in (*reverts, *_WHICH_IS.findall(commit.body)):
                    self.found.reverted.setdefault(sha[:_INDEXED].decode(), []).append(commit.release)
                upstream = []
            matched = self._rows(commit, upstream)
            if not matched:
                self._further(commit, upstream)
            elif commit.release is not None:
                by_subject = not self._named((commit.sha, *upstream))
                landing = Landing(
                    commit.release, commit.sha, upstream[0] if upstream else commit.sha, by_subject
                )
                for number in matched:
                    self.found.landings.setdefault(number, []).append(landing)

    def _named(self, names: Iterable[str]) -> list[int]:
        """Return the rows whose commit is one of these."""
        return [
            number
            for name in names
            for number in self.by_name.get(name[:_INDEXED], ())
            if name.startswith(commit := self.rows[number].change.commit) or commit.startswith(name)
        ]

    def _rows(self, commit: Commit, upstream: Sequence[str]) -> list[int]:
        return self._named((commit.sha, *upstream)) or self.by_subject.get(commit.subject, [])

    def _further(self, commit: Commit, upstream: Sequence[str]) -> None:
        fixed = self._named(map(bytes.decode, _FIXES.findall(commit.body)))
        why = sorted({f"fixes {self.rows[number].change.commit}" for number in fixed})
        why += self.touched.get(commit.sha, ())
        if not why:
            return
        name = (upstream[0] if upstream else commit.sha)[:12]
        if name in self.left_out or commit.subject in self.left_out:
            self.found.left_out.add(name)
            return
        one = self.found.further.setdefault(name, Further(name, commit.subject, [], []))
        one.why += [reason for reason in why if reason not in one.why]
        release = AFTER if commit.release is None else written(commit.release)
        if release not in one.releases:
            one.releases.append(release)


def proposals(rows: Sequence[Row], found: Found) -> list[Proposal]:
    """Compare what was found with the tables, in their order."""
    said: list[Proposal] = []
    for number, row in enumerate(rows):
        landings: dict[str, list[Landing]] = {}
        for landing in sorted(found.landings.get(number, ()), key=lambda landing: landing.release):
            landings.setdefault(series(landing.release), []).append(landing)
        said += [_landed(row, of, those, found) for of, those in landings.items()]
        for release in _releases(row.change):
            of = series(release)
            if _whole(release, found.releases) and of not in landings:
                remark = f"{written(release)} is in the range, but no commit names this one"
                said.append(_proposal("not found", row, of, None, "", remark))
    return said


def _landed(row: Row, of: str, landings: Sequence[Landing], found: Found) -> Proposal:
    reverts = [_revert(row, landing, found) for landing in landings]
    standing = [landing for landing, revert in zip(landings, reverts, strict=True) if not revert]
    first = (standing or landings)[0]
    remarks = [
        f"{written(landing.release)} has it, reverted {revert}"
        for landing, revert in zip(landings, reverts, strict=True)
        if revert
    ]
    known, release = _known(row.change, of), written(first.release)
    if not standing:
        status = "reverted"
    elif known == release:
        status = "agrees"
    elif known == "open" or release.startswith(f"{known}-rc"):
        status = "settles"
    else:
        status = "differs" if known else "new"
    if first.by_subject and first.upstream != first.sha:
        remarks.append(f"found by its subject: it names {first.upstream[:12]} upstream")
    elif first.by_subject and status != "agrees":
        remarks.append("found by its subject, names no upstream commit")
    return _proposal(status, row, of, first.release, first.sha, "; ".join(remarks))


def _revert(row: Row, landing: Landing, found: Found) -> str:
    """Say where a commit was taken back; empty if it was not."""
    for name in (landing.sha, row.change.commit):
        for release in found.reverted.get(name[:_INDEXED], ()):
            if release is None:
                return AFTER
            if series(release) == series(landing.release) and release >= landing.release:
                return f"in {written(release)}"
    return ""


def _proposal(status: str, row: Row, of: str, release: Key | None, sha: str, remark: str) -> Proposal:
    return Proposal(
        status=status,
        table=row.table,
        commit=row.change.commit,
        subject=row.change.subject,
        series=of,
        release="" if release is None else written(release),
        known=_known(row.change, of),
        sha=sha,
        beyond=release is not None and _beyond(release),
        remark=remark,
    )


def _beyond(release: Key) -> bool:
    known = BY_NAME.get(series(release))
    return known is None or release[2:] > (1, known.newest)


def _whole(release: Key, seen: set[Key]) -> bool:
    """Say whether a release is in the range; of one that had candidates, whether the first of them is too."""
    final = release[2:] == (1, 0)
    return release in seen and (not final or (*release[:2], 0, 1) in seen)


def _releases(change: Change) -> Iterator[Key]:
    if not _NAME.fullmatch(change.commit):
        return
    for text in (change.mainline or "", *(f"{of}.{point}" for of, point in change.stable)):
        if (release := key(text)) is not None:
            yield release


def _known(change: Change, of: str) -> str:
    """Return what a row says of a series: a release, `open`, or nothing."""
    point = dict(change.stable).get(of)
    if point is not None:
        return f"{of}.{point}"
    if change.mainline is None or of in change.unverified:
        return "open"
    mainline, asked = key(change.mainline), key(of)
    return change.mainline if mainline is not None and asked is not None and mainline[:2] <= asked[:2] else ""


def newer(found: Found) -> list[str]:
    """Return the newest release of each series that is newer than the table of series knows."""
    newest: dict[str, Key] = {}
    for release in sorted(found.releases):
        newest[series(release)] = release
    return [written(release) for release in newest.values() if _beyond(release)]


def pasted(rows: Sequence[Row], said: Sequence[Proposal]) -> list[str]:
    """Return, for each row that would get other point releases, its `stable=` as it would be."""
    lines = []
    for row in rows:
        points = {
            one.series: int(one.release.rpartition(".")[2])
            for one in said
            if (one.table, one.commit, one.subject) == (row.table, row.change.commit, row.change.subject)
            and one.status in ("new", "settles", "differs")
            and one.release.count(".") == 2
        }
        if points:
            merged = dict(row.change.stable) | points
            inside = ", ".join(f'"{of}": {merged[of]}' for of in sorted(merged, key=key))  # type: ignore[arg-type]
            lines.append(f"{row.table} {row.change.commit}: stable={{{inside}}},")
    return lines


def text(rows: Sequence[Row], said: Sequence[Proposal], found: Found, every: bool) -> Iterator[str]:
    """Yield the lines of the report.

    Args:
        rows: of the tables.
        said: what the log says of them.
        found: all that was found.
        every: whether rows that agree are shown too.
    """
    agree = sum(one.status == "agrees" for one in said)
    yield f"{found.commits} commits read; of {len(said)} rows and series {agree} are as the tables have them"
    if shown := [one for one in said if every or one.status != "agrees" or one.remark]:
        yield f"\n{UNVERIFIED}"
        yield from _table(
            ("status", "table", "commit", "log", "table has", "in the tree", "subject", "remark"),
            (
                (one.status, one.table, one.commit, one.release or "-", one.known or "-", one.sha[:12] or "-",
                 one.subject[:60], "; ".join(filter(None, ("beyond the newest known" * one.beyond, one.remark))))
                for one in shown
            ),
        )  # fmt: skip
    if lines := pasted(rows, said):
        yield "\nonce they are read, these rows have"
        yield from lines
    if ahead := newer(found):
        yield f"\nnewer than core/shootdown/_values/series.py knows: {', '.join(ahead)}"
    if found.further:
        yield f"\ncommits that no table has ({UNVERIFIED})"
        further = found.further.values()
        yield from _table(
            ("commit", "first in", "why", "subject"),
            ((one.commit, ", ".join(one.releases), ", ".join(one.why), one.subject) for one in further),
        )
    if found.left_out:
        yield f"\n{len(found.left_out)} more were read before and left out: core/shootdown/_values/left_out.py"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    cells = [heading, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Read a tree, print the report, and return the status."""
    parser = argparse.ArgumentParser(
        prog="changes_from_git.py", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("tree", type=Path, help="a git tree of Linux, also a bare one")
    parser.add_argument("ranges", nargs="+", metavar="range", help="as git log takes it: v6.12..linux-6.12.y")
    parser.add_argument(
        "--paths", action="store_true", help="propose each commit that touches what decides counts"
    )
    parser.add_argument("--all", action="store_true", help="show the rows that agree too")
    parser.add_argument("--json", action="store_true", help="write JSON")
    asked = parser.parse_args(arguments)
    rows = rows_known()
    try:
        if check(asked.tree, asked.ranges):
            print("the tree is shallow: what was cut off is not found", file=sys.stderr)
        reader = Reader(rows, touching(asked.tree, asked.ranges, PATHS) if asked.paths else {})
        found = reader.found
        reader.read(read_log(asked.tree, asked.ranges, found.releases))
    except GitError as error:
        print(f"changes_from_git.py: {error}", file=sys.stderr)
        return 2
    if not found.releases:
        print(
            "the range has no tag of a release (v6.12.74): where a commit landed is unknown",
            file=sys.stderr,
        )
    said = proposals(rows, found)
    if asked.json:
        answer = {
            "schema": 1,
            "note": UNVERIFIED,
            "commits": found.commits,
            "rows": [attrs.asdict(one) for one in said],
            "stable": pasted(rows, said),
            "newer": newer(found),
            "further": [attrs.asdict(one) for one in found.further.values()],
            "left_out": sorted(found.left_out),
        }
        print(json.dumps(answer, indent=2))
    else:
        for line in text(rows, said, found, asked.all):
            print(line)
    return int(bool(found.further or newer(found) or any(one.status != "agrees" for one in said)))


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
