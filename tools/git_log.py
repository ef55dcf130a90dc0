"""Read the log of a Linux tree as a stream: each commit with the first release that contains it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

Key = tuple[int, int, int, int]
"""A release as numbers that compare: a candidate is (6, 16, 0, 1), 6.16 is (6, 16, 1, 0), 6.16.3 (6, 16, 1, 3)."""

_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+)|-rc(\d+))?", re.ASCII)
_TAG = "tag: refs/tags/v"


class GitError(Exception):
    """A tree or range that can't be read, said in one line."""


@attrs.frozen
class Commit:
    """One commit of the log.

    Args:
        sha: its name, 40 digits.
        subject: the first line of its message.
        body: its whole message.
        release: the first release that contains it, among those whose tags are in the range; None if none does.
    """

    sha: str
    subject: str
    body: bytes
    release: Key | None


def key(text: str) -> Key | None:
    """Return a release as numbers that compare, or None if the text is no release.

    Args:
        text: `6.12.74`, `6.16` or `6.16-rc1`.
    """
    match = _RELEASE.fullmatch(text)
    if match is None:
        return None
    major, minor, point, candidate = match.groups()
    if candidate is not None:
        return int(major), int(minor), 0, int(candidate)
    return int(major), int(minor), 1, int(point or 0)


def series(release: Key) -> str:
    """Return the series of a release: `6.12`."""
    return f"{release[0]}.{release[1]}"


def written(release: Key) -> str:
    """Return a release as people write it: `6.12.74`, `6.16` or `6.16-rc1`."""
    if not release[2]:
        return f"{series(release)}-rc{release[3]}"
    return f"{series(release)}.{release[3]}" if release[3] else series(release)


def check(tree: Path, ranges: Sequence[str]) -> bool:
    """Check that there are such a tree and such ranges, and return whether its history was cut off.

    Args:
        tree: a git tree, also a bare one.
        ranges: as git log takes them.

    Raises:
        GitError: git is not there, or there is no such tree or range.
    """
    if not tree.is_dir():
        raise GitError(f"{tree}: no such folder")
    try:
        shallow = b"".join(_stream(tree, ("rev-parse", "--is-shallow-repository"))).strip()
    except GitError as error:
        said = "not a git tree" if "not a git repository" in str(error) else str(error)
        raise GitError(f"{tree}: {said}") from None
    for one in ranges:
        try:
            for _ in _stream(tree, ("rev-list", "--max-count=1", "--end-of-options", one, "--")):
                pass
        except GitError as error:
            raise GitError(f"{tree}: no range {one!r} ({error})") from None
    return shallow == b"true"


def read_log(tree: Path, ranges: Sequence[str], releases: set[Key]) -> Iterator[Commit]:
    """Yield the commits of the ranges, children before parents.

    A commit is in the first of the releases that its children are in: what is kept meanwhile is one release for each
    parent that did not come yet.

    Args:
        tree: a git tree, also a bare one.
        ranges: as git log takes them.
        releases: gets each release whose tag is in the ranges.

    Raises:
        GitError: git ended with an error.
    """
    words = (
        *("log", "--topo-order", "--no-color", "--no-show-signature", "--decorate=full"),
        *("--decorate-refs=refs/tags/v*", "-z", "--format=%H%n%P%n%D%n%B", "--end-of-options", *ranges, "--"),
    )
    waiting: dict[bytes, Key] = {}
    for record in _stream(tree, words):
        sha, parents, names, body = record.split(b"\n", 3)
        first = waiting.pop(sha, None)
        for name in names.decode(errors="replace").split(", ") if names else ():
            tag = key(name.removeprefix(_TAG))
            if tag is not None and name.startswith(_TAG):
                releases.add(tag)
                first = tag if first is None else min(first, tag)
        if first is not None:
            for parent in parents.split():
                waiting[parent] = min(waiting.get(parent, first), first)
        subject = body.partition(b"\n")[0].decode(errors="replace").strip()
        yield Commit(sha.decode(), subject, body, first)


def touching(tree: Path, ranges: Sequence[str], paths: Sequence[str]) -> dict[str, list[str]]:
    """Return the commits of the ranges that touch some files, each with those of them that it touches.

    Args:
        tree: a git tree, also a bare one.
        ranges: as git log takes them.
        paths: patterns of files, in which `*` stands for a part of a name.

    Raises:
        GitError: git ended with an error.
    """
    words = (
        *("log", "--no-merges", "--full-history", "--no-color", "--no-show-signature", "--name-only"),
        *("--format=%x00%H", "--end-of-options", *ranges, "--", *(f":(glob){path}" for path in paths)),
    )
    found: dict[str, list[str]] = {}
    for record in _stream(tree, words):
        sha, *files = record.decode(errors="replace").split() or [""]
        if sha:
            found[sha] = files
    return found


def _environment(tree: Path) -> dict[str, str]:
    """Return an environment in which git looks at this tree, and not at one that it stands in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"GIT_CEILING_DIRECTORIES": str(tree.resolve().parent), "LC_ALL": "C"}


def _stream(tree: Path, words: Sequence[str]) -> Iterator[bytes]:
    """Yield what git prints, split at NUL bytes, as it comes.

    Raises:
        GitError: git is not there, or ends with an error.
    """
    with tempfile.TemporaryFile() as said:
        try:
            running = subprocess.Popen(
                ("git", "-C", str(tree), *words), stdout=subprocess.PIPE, stderr=said, env=_environment(tree)
            )
        except FileNotFoundError:
            raise GitError("git is not installed, or not in PATH") from None
        try:
            assert running.stdout is not None
            with running.stdout:
                rest = b""
                while block := running.stdout.read(1 << 16):
                    *whole, rest = (rest + block).split(b"\0")
                    yield from whole
                if rest:
                    yield rest
            if status := running.wait():
                said.seek(0)
                lines = said.read().decode(errors="replace").strip().splitlines()
                raise GitError(lines[0] if lines else f"git ended with status {status}")
        finally:
            running.kill()
            running.wait()
