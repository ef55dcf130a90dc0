"""Traces of addresses in each format, packed or not."""

from __future__ import annotations

import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fuzz.mutations import damaged
from fuzz.readers.reader import Make, Reader, Use, npy, written

from shootdown._traces.columns import KINDS
from shootdown._traces.formats import open_trace
from shootdown._traces.source import TraceError


def _addresses(rng: random.Random) -> list[int]:
    return [
        rng.choice((rng.getrandbits(64), rng.getrandbits(47), 0x7000 + 8 * n))
        for n in range(rng.randrange(12))
    ]


def npy_trace(rng: random.Random) -> bytes:
    """Make a `.npy` file: addresses, or records."""
    addresses = _addresses(rng)
    if rng.random() < 0.5:
        data = npy(np.array(addresses, np.uint64).astype(rng.choice(("<u8", ">u8", "<u4", "<i8", "u1"))))
    else:
        fields = ["address", *rng.sample(["kind", "cpu", "process", "page_shift", "pages"], rng.randrange(6))]
        kinds = [(name, rng.choice(("u8", "i8", "u4", "i4", "u1", ">u2"))) for name in fields]
        array = np.zeros(len(addresses), kinds)
        for name in fields:
            most = min(np.iinfo(array.dtype[name]).max, 1 << 33)
            values = {"kind": KINDS, "page_shift": (0, 12, 21, 30, 6, 62, 5, 63)}.get(
                name, (0, 1, 2, 1 << 32)
            )
            array[name] = [min(rng.choice(values), most) for _ in addresses]
        data = npy(array)
    words = (b"'<u8'", b"'|O'", b"'fortran_order': True", b"(3,)", b"(-1,)", b"(99999999999999999999,)", b"(1, 1)",
             b"{", b"'<V999999999'", b"'<U1'", b"'descr': []", b"\x93NUMPY\x03\x00")  # fmt: skip
    return damaged(rng, data, words) if rng.random() < 0.8 else data


def raw_trace(rng: random.Random) -> bytes:
    """Make raw addresses."""
    data = b"".join(address.to_bytes(8, "little") for address in _addresses(rng))
    return damaged(rng, data) if rng.random() < 0.8 else data


def champsim_trace(rng: random.Random) -> bytes:
    """Make ChampSim's records."""
    data = b"".join(rng.choice((bytes(64), rng.randbytes(64))) for _ in range(rng.randrange(4)))
    return damaged(rng, data) if rng.random() < 0.8 else data


_LACKEY = (b"I  0401e540,3\n", b" L 1ffefffd90,8\n", b" S 1ffefffd88,8\n", b" M 0402a1c0,4\n", b"==7== Lackey\n",
           b"Hello\n", b"\n", b" L 0,1\n", b" L ffffffffffffffff,8\r\n", b" L 10000000000000000,8\n")  # fmt: skip
_VIEW = (b"Output format:\n", b"<--record#-> <--instr#->: <---tid---> <record details>\n",
         b"           1           0:     3264 <marker: version 6>\n",
         b"           3           0:     3264 <marker: tid 3264 on core 5>\n",
         b"           4           1:     3264 ifetch       3 byte(s) @ 0x00007f8a0e5e0c30 48 89 e7  mov %rsp, %rdi\n",
         b"           6           2:     3264 write        8 byte(s) @ 0x00007ffd3cf5ef18 by PC 0x00007f8a0e5e0c33\n",
         b"           8           3: W1.T3265 read         8 byte(s) @ 0x00007f8a0e5f0b38 by PC 0x1\n",
         b"View tool results:\n", b"           5 : total instructions\n", b"\n",
         b"9: 1 read 8 byte(s) @ 0x10 by PC 0x1\n",
         b"99999999999999999999: 99999999999999999999 read 1 byte(s) @ 0x1\n")  # fmt: skip
_TEXT_WORDS = (b"0x", b"\r\n", b"\n\n", b" @ ", b",", b"byte(s)", b"T99999999999", b"<marker: ", b"W1.", b"\0", b"read",
               b"ifetch", b"on core 4294967296", b"ffffffffffffffffffff")  # fmt: skip


def _text(lines: tuple[bytes, ...]) -> Make:
    def make(rng: random.Random) -> bytes:
        data = b"".join(rng.choice(lines) for _ in range(rng.randrange(5)))
        return damaged(rng, data, _TEXT_WORDS) if rng.random() < 0.8 else data

    return make


def _packed(make: Make, pack: Callable[[bytes], bytes]) -> Make:
    def packed(rng: random.Random) -> bytes:
        data = make(rng)
        if rng.random() < 0.1:
            return data  # it only has the name
        data = pack(data)
        return damaged(rng, data) if rng.random() < 0.7 else data

    return packed


def _use_trace(name: str, format: str | None, **options: bool) -> Callable[[Path], Use]:
    def use_in(folder: Path) -> Use:
        def use(data: bytes) -> str:
            trace = open_trace(written(folder, name, data), format=format, **options)
            read = 0
            try:
                for columns in trace.blocks():
                    read += columns.address.size
                    assert all(
                        c is None or c.size == columns.address.size for c in (columns.cpu, columns.process)
                    )
            except TraceError:
                return "broken off"
            return "read" if read else "empty"

        return use

    return use_in


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


def _readers() -> list[Reader]:
    formats: list[tuple[str, str, str | None, Make]] = [
        ("npy", "trace.npy", None, npy_trace),
        ("bin", "trace.bin", None, raw_trace),
        ("champsim", "trace.champsim", "champsim", champsim_trace),
        ("lackey", "trace.txt", "lackey", _text(_LACKEY)),
        ("drmemtrace", "trace.txt", "drmemtrace", _text(_VIEW)),
    ]
    found = []
    for name, file, format, make in formats:
        cores = {"cores": True} if name == "drmemtrace" else {}
        for suffix, pack in (("", None), (".gz", _gzip), (".xz", _xz)):
            data = make if pack is None else _packed(make, pack)
            found.append(Reader(f"traces, {name}{suffix}", data, _use_trace(file + suffix, format, **cores)))
    told = _text((*_LACKEY, *_VIEW))
    found.append(Reader("traces, format told", told, _use_trace("trace.out", None, instructions=True)))
    return found


READERS = tuple(_readers())
