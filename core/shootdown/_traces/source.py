"""The bytes of a trace file, unpacked if it is packed, up to the byte at which it breaks off."""

from __future__ import annotations

import lzma
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from shootdown._values.errors import ShootdownError
from shootdown._values.inputs import refusal

_PIECE = 1 << 18
_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"
_PACKERS = {".gz": "gzip", ".xz": "xz"}
#: How files begin that are packed with what Python has no reader for before 3.14, or which hardly any tracer uses.
_OTHERS = ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4"), (b"BZh", "bzip2"))
SNIFFED = 4096  # bytes by which a format is recognised


class TraceError(ShootdownError):
    """A trace breaks off; what came before that is valid.

    Args:
        place: where, for the message: `byte 8128, address 1000`.
        problem: what is wrong there.
    """

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


class _Unpacker(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def _unpack(raw: BinaryIO, new: Any) -> Iterator[bytes | str]:
    """Yield the contents of a packed file in pieces; at the end a text, if something is wrong with the file."""
    unpacker: _Unpacker = new()
    fed = False
    packed = b""
    try:
        while True:
            if not packed and not (packed := raw.read(_PIECE)):
                break
            fed = True
            if piece := unpacker.decompress(packed, _PIECE):
                yield piece
            if unpacker.eof:  # several streams may follow one another, and zeros after the last
                packed = unpacker.unused_data.lstrip(b"\0")
                unpacker, fed = new(), False
            elif hasattr(unpacker, "unconsumed_tail"):
                packed = unpacker.unconsumed_tail
            else:
                packed = b""
                while not unpacker.eof and not getattr(unpacker, "needs_input", True):
                    yield unpacker.decompress(b"", _PIECE)
                if unpacker.eof:
                    packed = unpacker.unused_data.lstrip(b"\0")
                    unpacker, fed = new(), False
    except (zlib.error, lzma.LZMAError) as problem:
        yield f"the packed file is damaged ({str(problem) or 'no data'})"
        return
    if fed:
        yield "the packed file ends too early"


class Source:
    """Read a file from its beginning to its end, once.

    Args:
        path: a file, or `-` for standard input.
        what: what it is, for messages.

    Raises:
        ShootdownError: there is no such file, or it can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], what: str = "trace") -> None:
        self.what = what
        self.path = str(path)
        self.fault: str | None = None
        self.size = 0  # bytes of the file, 0 if unknown
        self._rest = b""
        self._pieces: Iterator[bytes | str] | None = None
        if self.path == "-":
            self._raw: BinaryIO = sys.stdin.buffer
        else:
            file = Path(path)
            if (problem := refusal(file)) is not None:
                raise ShootdownError(f"{what} {file}: {problem}")
            try:
                if file.is_dir():
                    raise ShootdownError(f"{what} {file}: it is a directory")
                self._raw = file.open("rb", buffering=0)
                self.size = os.fstat(self._raw.fileno()).st_size
            except FileNotFoundError:
                raise ShootdownError(f"{what} {file}: there is no such file") from None
            except (OSError, ValueError) as error:
                raise ShootdownError(f"{what} {file}: {getattr(error, 'strerror', None) or error}") from None
        self._read = 0
        self.start = self._first_bytes()

    def _first_bytes(self) -> bytes:
        first = bytearray(SNIFFED)
        got = self._fill_raw(memoryview(first))
        raw = _Chained(bytes(first[:got]), self)
        for magic, packed in _OTHERS:
            if first.startswith(magic) and (packed != "bzip2" or first[4:10] == b"1AY&SY"):
                self.close()
                raise ShootdownError(
                    f"{self.what} {self.path}: it is packed with {packed}: give what `{packed} -dc` makes of it, "
                    "which may be standard input, -"
                )
        if first.startswith(_GZIP):
            self._pieces = _unpack(raw, lambda: zlib.decompressobj(31))  # type: ignore[arg-type]
        elif first.startswith(_XZ):
            self._pieces = _unpack(raw, lzma.LZMADecompressor)  # type: ignore[arg-type]
        else:
            self._rest = bytes(first[:got])
            packer = _PACKERS.get(Path(self.path).suffix.lower())
            if got and packer is not None:
                self.close()
                raise ShootdownError(
                    f"{self.what} {self.path}: it is not packed with {packer}, as its name says"
                )
            return self._rest
        unpacked = bytearray(SNIFFED)
        got = self.fill(memoryview(unpacked))
        self._rest = bytes(unpacked[:got]) + self._rest
        return self._rest[:SNIFFED]

    @property
    def name(self) -> str:
        """Return the file's name without the suffix of its compression."""
        file = Path(self.path)
        return file.stem if file.suffix in (".gz", ".xz") else file.name

    @property
    def position(self) -> int:
        """Return how many bytes of the file were read."""
        return self._read

    def _fill_raw(self, view: memoryview) -> int:
        got = 0
        while got < len(view):
            try:
                n = self._raw.readinto(view[got:])  # type: ignore[attr-defined]
            except OSError as problem:
                self.fault = f"it can't be read ({problem.strerror or problem})"
                break
            if not n:
                break
            got += n
        self._read += got
        return got

    def fill(self, view: memoryview) -> int:
        """Fill a buffer and return how many bytes; fewer than its length at the end only, when `fault` may say why."""
        got = min(len(self._rest), len(view))
        view[:got] = self._rest[:got]
        self._rest = self._rest[got:]
        if self._pieces is None:
            return got + self._fill_raw(view[got:]) if got < len(view) else got
        while got < len(view):
            piece = next(self._pieces, None)
            if piece is None:
                break
            if isinstance(piece, str):
                self.fault = self.fault or piece
                break
            n = min(len(piece), len(view) - got)
            view[got : got + n] = piece[:n]
            self._rest = piece[n:]
            got += n
        return got

    def close(self) -> None:
        """Close the file."""
        if self.path != "-":  # standard input is not closed here
            self._raw.close()


class _Chained:
    """A file whose first bytes were read already: those, then the rest."""

    def __init__(self, first: bytes, source: Source) -> None:
        self._first = first
        self._source = source

    def read(self, size: int) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        piece = bytearray(size)
        return bytes(piece[: self._source._fill_raw(memoryview(piece))])
