"""The formats of traces, and how to tell them apart."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.lib import format as npy

from shootdown._traces.columns import KINDS, Columns
from shootdown._traces.reading import FixedTrace, Trace
from shootdown._traces.source import Source, TraceError
from shootdown._traces.text import TextTrace
from shootdown._values.errors import ShootdownError, nearest

FORMATS = {
    "npy": "NumPy array of uint64 addresses, or of records with a field `address`",
    "bin": "raw little-endian uint64 addresses",
    "champsim": "ChampSim records of 64 bytes",
    "lackey": "text of valgrind --tool=lackey --trace-mem=yes",
    "drmemtrace": "text of drrun -t drmemtrace -tool view",
}

_LACKEY = re.compile(rb"^ ?[ILSM] +[0-9A-Fa-f]+,\d+\s*$", re.MULTILINE)
_VALGRIND = re.compile(rb"^(==|--)\d+(==|--)", re.MULTILINE)
_VIEW = re.compile(rb"^\s*\d+(\s+\d+)?:\s+(W\d+\.)?T?\d+ |^<--record#->|^Output format:", re.MULTILINE)
_CHAMPSIM = np.dtype(
    [
        ("ip", "<u8"),
        ("branch", "u1", 2),
        ("registers", "u1", 6),
        ("destination", "<u8", 2),
        ("source", "<u8", 4),
    ]
)


def open_trace(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    instructions: bool = False,
    cores: bool = False,
) -> Trace:
    """Open a trace, packed with gzip or xz or not.

    Args:
        path: a file, or `-` for standard input.
        format: one of `FORMATS`; told by name and content where None.
        instructions: an instruction fetch is an access too, where the format tells.
        cores: each core of a `drmemtrace` trace is a CPU of its own, each workload a process.

    Raises:
        ShootdownError: there is no such file, or its format can't be told.
    """
    if format is not None and format not in FORMATS:
        raise ShootdownError(f"there is no trace format {format!r}; {nearest(format, FORMATS)}")
    source = Source(path)
    name = format or _told(source)
    if name == "npy":
        return NumpyTrace(source)
    if name == "bin":
        return RawTrace(source)
    if name == "champsim":
        return ChampSimTrace(source, instructions)
    return TextTrace(source, instructions, cores and name == "drmemtrace", name)


def kind_of(name: str, start: bytes) -> str | None:
    """Tell a trace's format by its name, without the suffix of its compression, and its first bytes.

    Returns:
        One of `FORMATS`; None where neither tells.
    """
    name = name.lower()
    if start.startswith(b"\x93NUMPY") or name.endswith(".npy"):
        return "npy"
    if name.endswith(".bin"):
        return "bin"
    if _VIEW.search(start):
        return "drmemtrace"
    if _LACKEY.search(start) or _VALGRIND.search(start):
        return "lackey"
    return "champsim" if "champsim" in name or name.endswith(".trace") else None


def _told(source: Source) -> str:
    start = source.start
    kind = kind_of(source.name, start)
    if kind is not None:
        return kind
    source.close()
    if not start:
        raise ShootdownError(f"trace {source.path}: {source.fault or 'it is empty'}")
    raise ShootdownError(
        f"trace {source.path}: neither its name nor its content tells the format; give --format: "
        + ", ".join(FORMATS)
    )


class RawTrace(FixedTrace):
    """Raw little-endian uint64 addresses."""

    format = "bin"

    def _blocks(self) -> Iterator[Columns]:
        for words in self._records(np.dtype("<u8"), 0, None):
            yield Columns(words.astype(np.uint64, copy=False))


class NumpyTrace(FixedTrace):
    """A `.npy` file: addresses, or records with flushes, CPUs, processes and page sizes."""

    format = "npy"
    _FIELDS: ClassVar[dict[str, str]] = {
        "kind": "kind",
        "cpu": "cpu",
        "process": "process",
        "page_shift": "shift",
        "pages": "pages",
    }

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._fault: TraceError | None = None
        self._kind, self._count, self._start = np.dtype(np.uint64), 0, 0
        try:
            self._kind, self._count, self._start = self._header()
        except (ValueError, TraceError) as problem:
            where = f"byte {self._start:,}"
            self._fault = problem if isinstance(problem, TraceError) else TraceError(where, str(problem))

    def _header(self) -> tuple[np.dtype[Any], int, int]:
        reader = _Reader(self.source)
        try:
            version = npy.read_magic(reader)
            if version not in ((1, 0), (2, 0)):
                raise TraceError("byte 6", f"an .npy file of version {version[0]}.{version[1]}")
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            with warnings.catch_warnings(
                action="ignore"
            ):  # numpy prints which of its own lines reads old headers
                shape, _, kind = read(reader)
        except TraceError:
            raise
        except Exception as problem:  # numpy parses it as Python, and lets through whatever the parser raises
            why = f"no .npy header: {problem}".splitlines()[0]
            raise TraceError(f"byte {reader.taken:,}", f"{why:.200}") from None
        if len(shape) != 1:
            raise TraceError(
                f"byte {reader.taken:,}", f"an array of {len(shape)} dimensions; a trace has one"
            )
        if kind.names is None:
            if kind.kind not in "ui":
                raise TraceError(f"byte {reader.taken:,}", f"an array of {kind}; addresses are uint64")
        else:
            _check_fields(kind, reader.taken)
        return kind, shape[0], reader.taken

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but addresses."""
        return not set(self._kind.names or ()) & set(self._FIELDS)

    def _blocks(self) -> Iterator[Columns]:
        if self._fault is not None:
            raise self._fault
        done = 0
        for part in self._records(self._kind, self._start, self._count):
            if self._kind.names is None:
                yield Columns(part.astype(np.uint64, copy=False))
            else:
                good = _good_records(part)
                if good:
                    yield self._columns(part[:good])
                if good < part.size:
                    place = (
                        f"byte {self._start + (done + good) * self._kind.itemsize:,}, record {done + good:,}"
                    )
                    raise TraceError(place, _bad_record(part[good]))
            done += part.size

    def _columns(self, part: np.ndarray[Any, Any]) -> Columns:
        there_is = {
            ours: part[name] for name, ours in self._FIELDS.items() if name in (part.dtype.names or ())
        }
        return Columns(np.ascontiguousarray(part["address"], np.uint64), **there_is)


def _check_fields(kind: np.dtype[Any], byte: int) -> None:
    names = kind.names or ()
    known = ("address", *NumpyTrace._FIELDS)
    for name in names:
        if name not in known:
            raise TraceError(f"byte {byte:,}", f"records have a field {name!r}; {nearest(name, known)}")
        if kind[name].kind not in "ui":
            raise TraceError(
                f"byte {byte:,}", f"the field {name!r} holds {kind[name]}; it must hold integers"
            )
    if "address" not in names:
        raise TraceError(f"byte {byte:,}", "records have no field 'address'")


def _good_records(part: np.ndarray[Any, Any]) -> int:
    bad = np.zeros(part.size, np.bool_)
    names = part.dtype.names or ()
    if "kind" in names:
        bad |= ~np.isin(part["kind"], KINDS)
    if "page_shift" in names:
        shift = part["page_shift"].astype(np.int64)
        bad |= (shift != 0) & ((shift < 6) | (shift > 62))
    for name in ("cpu", "process", "pages"):
        if name in names:
            bad |= part[name].astype(np.uint64) >> np.uint64(32) != 0
    return int(np.argmax(bad)) if bad.any() else part.size


def _bad_record(record: Any) -> str:
    shown = ", ".join(f"{name} {record[name]}" for name in record.dtype.names)
    return (
        f"no record ({shown}): kind is one of {', '.join(map(str, KINDS))}, page_shift 0 or 6 to 62, "
        "cpu, process and pages lie below 2**32"
    )


_MOST_HEADER = 1 << 20  # bytes


class _Reader:
    """A source with the `read` method that numpy's header reader needs.

    Headers of the second version say their length in 32 bits: of a damaged one no more is read than any has.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.taken = 0

    def read(self, size: int = 0, /) -> bytes:
        room = bytearray(min(size, _MOST_HEADER))
        got = self._source.fill(memoryview(room))
        self.taken += got
        return bytes(room[:got])


class ChampSimTrace(FixedTrace):
    """ChampSim's `input_instr`: one record for each instruction; an operand of 0 is absent.

    64 bytes: the instruction's address (8), branch and taken (2), destination registers (2), source registers
    (4), two destination and four source addresses (8 each), all little-endian (ChampSim inc/trace_instruction.h).
    The sources are read before the destinations are written.
    """

    format = "champsim"
    what = "record"

    def __init__(self, source: Source, instructions: bool) -> None:
        super().__init__(source)
        self._instructions = instructions

    def _blocks(self) -> Iterator[Columns]:
        for part in self._records(_CHAMPSIM, 0, None):
            columns = [part["source"], part["destination"]]
            if self._instructions:
                columns.insert(0, part["ip"][:, None])
            else:
                self.fetches_left_out += part.size
            used = np.concatenate(columns, axis=1)
            yield Columns(used[used != 0].astype(np.uint64, copy=False))
