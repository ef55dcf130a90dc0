"""The journal of a sweep: each finished point is a line on disk, so that a run that was killed goes on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import attrs

from shootdown._batches.design import GRID
from shootdown._batches.named_files import digest
from shootdown._batches.points import Plan
from shootdown._questions.tables import TABLES, code_digest, own_version, plugin_versions, table_digests
from shootdown._values.errors import ShootdownError

#: What the name of a result's journal ends in.
SUFFIX = ".journal"
_FORM = 1
#: The journal is forced to the disk at most so often, in seconds: a process that is killed loses nothing without it.
_OFTEN = 1.0
_SUM = 8
#: A first line that was cut off.
_BEGUN = re.compile(rb'[0-9a-f]{0,8}|[0-9a-f]{8} |[0-9a-f]{8} \{"journal[^\n]*|[0-9a-f]{8} \{"?j?o?u?r?n?a?')


@attrs.frozen
class Header:
    """What the points of a journal depend on.

    Args:
        version: of shootdown.
        plugins: versions of the distributions of the plugins, by name.
        code: a digest of the code.
        tables: digests of tables, by name.
        files: digests of the files of the sweep, by path.
        points: how many there are.
        drawn: a digest of the points, if they are drawn.
    """

    version: str
    plugins: Mapping[str, str]
    code: str
    tables: Mapping[str, str]
    files: Mapping[str, str]
    points: int
    drawn: str

    def changed(self, now: Header) -> list[str]:
        """Say what is different now."""
        found = []
        for file in {**self.files, **now.files}:
            if file not in now.files:
                found.append(f"{file} is no part of the sweep now")
            elif file not in self.files:
                found.append(f"{file} was no part of the sweep then")
            elif self.files[file] != now.files[file]:
                found.append(f"{file} has changed")
        found += [
            f"the table of {name} has changed"
            for name in TABLES
            if self.tables.get(name) != now.tables.get(name)
        ]
        if self.version != now.version:
            found.append(f"shootdown {self.version} ran then, {now.version} now")
        elif self.code != now.code:
            found.append("the code of shootdown or of a plugin has changed")
        for name in {**self.plugins, **now.plugins}:
            before, after = (one.get(name, "not loaded") for one in (self.plugins, now.plugins))
            if before != after and name != "shootdown":
                found.append(f"plugin {name}: {before} then, {after} now")
        if not found and (self.points, self.drawn) != (now.points, now.drawn):
            found.append("other points are drawn, as by another version of scipy")
        return found


def header_of(plan: Plan) -> Header:
    """Return what the points of a sweep depend on."""
    drawn = ""
    if plan.points.design.kind != GRID:
        drawn = digest("\n".join(map(repr, plan.points)))
    return Header(
        own_version(),
        plugin_versions(),
        code_digest(),
        table_digests(),
        dict(plan.digests),
        len(plan.points),
        drawn,
    )


class Journal:
    """Finished points of a sweep, on disk.

    Args:
        path: of the file.
        header: what its points depend on.
        again: throw away what is there.

    Raises:
        ShootdownError: it has points of another sweep, another process writes it, or it can't be written.
    """

    def __init__(self, path: str, header: Header, *, again: bool = False) -> None:
        self.path = path
        self.dropped = 0
        self._end = 0
        self._places: dict[int, tuple[int, int]] = {}
        self._forced = time.monotonic()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise ShootdownError(f"{path} can't be written: {error.strerror}") from None
        try:
            self._lock()
            if again:
                os.ftruncate(self._file, 0)
            self._end = self._read(header)
            if not self._end:
                os.ftruncate(self._file, 0)
                self._append(json.dumps({"journal": _FORM, **attrs.asdict(header)}).encode())
                os.fsync(self._file)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Force everything to the disk, and let others write the journal."""
        with contextlib.suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, number: object) -> bool:
        return number in self._places

    def add(self, row: Mapping[str, Any]) -> None:
        """Write the row of a point, unless it is there.

        Raises:
            ShootdownError: the disk is full, for example.
        """
        number = row["point"]
        if number in self._places:
            return
        data = json.dumps(row, allow_nan=False).encode()
        begin = self._append(data)
        self._places[number] = (begin, len(data))
        now = time.monotonic()
        if now - self._forced >= _OFTEN:
            self._forced = now
            os.fsync(self._file)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that there are, in the order of their points."""
        for number in sorted(self._places):
            begin, size = self._places[number]
            row: dict[str, Any] = json.loads(os.pread(self._file, size, begin))
            yield row

    def _append(self, data: bytes) -> int:
        """Write a line with its checksum in front; return where the data begins."""
        line = b"%08x %s\n" % (zlib.crc32(data), data)
        begin, written = self._end, 0
        try:
            while written < len(line):
                written += os.pwrite(self._file, line[written:], begin + written)
        except OSError as error:
            raise ShootdownError(f"{self.path} can't be written: {error.strerror}") from None
        self._end = begin + len(line)
        return begin + _SUM + 1

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # no POSIX system
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ShootdownError(
                f"{self.path}: another process runs this sweep; wait for it, or name another --out"
            ) from None
        except OSError:  # a file system that has no locks
            return

    def _read(self, header: Header) -> int:
        """Find the points that are there; return where the last whole line ends, 0 if there is no journal yet.

        A line that was cut off by a kill, or damaged, is dropped, and its point is run anew.
        """
        end = place = 0
        first = True
        with os.fdopen(os.dup(self._file), "rb") as lines:
            for line in lines:
                begin, place = place, place + len(line)
                data = _checked(line)
                if first:
                    if data is None and _BEGUN.fullmatch(line):
                        return 0  # killed when it began
                    self._compare(data, header)
                    first, end = False, place
                elif data is None:
                    self.dropped += 1
                    end = place if line.endswith(b"\n") else end
                else:
                    end = place
                    number = json.loads(data)["point"]
                    if 0 <= number < header.points:
                        self._places.setdefault(number, (begin + _SUM + 1, len(data)))
        os.ftruncate(self._file, end)
        return end

    def _compare(self, data: bytes | None, header: Header) -> None:
        """Refuse a file that is no journal, or that of another sweep."""
        try:
            values = json.loads(data or b"")
            form = values.pop("journal")
            before = Header(**values)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ShootdownError(
                f"{self.path} is there, and no journal of a sweep: name another --out, or remove it"
            ) from None
        found = before.changed(header) if form == _FORM else ["another version of shootdown wrote it"]
        if found:
            told = "; ".join(found[:4]) + (f", and {len(found) - 4} more" if len(found) > 4 else "")
            raise ShootdownError(
                f"{self.path} has points of another sweep: {told}\n"
                "--again throws them away and begins anew; another --out keeps them"
            )


def _checked(line: bytes) -> bytes | None:
    """Return what a line holds, or None if it is not whole."""
    if not line.endswith(b"\n") or line[_SUM : _SUM + 1] != b" ":
        return None
    data = line[_SUM + 1 : -1]
    return data if line[:_SUM] == b"%08x" % zlib.crc32(data) else None
