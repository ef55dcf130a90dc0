"""Every reader of a file, with inputs: valid ones, made from the grammar of the format, and damaged."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import lzma
import random
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from fuzz.mutations import NUMBERS, TEXTS, damaged, damaged_value

from shootdown._oracle.rows import MOST, read_rows
from shootdown._oracle.rows import WORKLOADS as MEASURED_WORKLOADS
from shootdown._pagetables.format import Access
from shootdown._questions import saved
from shootdown._questions.explore import scenario_named
from shootdown._questions.image import page_tables
from shootdown._traces.columns import KINDS
from shootdown._traces.formats import open_trace
from shootdown._traces.source import TraceError
from shootdown._values.errors import ShootdownError

ROOT = Path(__file__).parents[2]
INPUTS = ROOT / "tests" / "outputs" / "inputs"
ORACLE = ROOT / "tests" / "oracle"

Make = Callable[[random.Random], bytes]
Use = Callable[[bytes], str]


@attrs.frozen
class Reader:
    """One reader, as it is tried out.

    Args:
        name: of what it reads.
        make: makes the bytes of a file.
        use: returns a function that writes them into a file in a folder and reads it.
        heavy: an input takes a millisecond and more.
    """

    name: str
    make: Make
    use: Callable[[Path], Use]
    heavy: bool = False


def _file(folder: Path, name: str, data: bytes) -> Path:
    file = folder / name
    file.write_bytes(data)
    return file


# --- measured rows


@cache
def _rows() -> list[dict[str, Any]]:
    """Return one row of each arch, workload, mode, step and kind."""
    kinds: dict[tuple[Any, ...], dict[str, Any]] = {}
    for file in sorted(ORACLE.glob("measured*.jsonl")):
        with file.open() as lines:
            for line in itertools.islice(lines, 0, None, 7):
                row = json.loads(line)
                kinds.setdefault(
                    tuple(row.get(n) for n in ("arch", "workload", "mode", "step", "kind", "op")), row
                )
    return list(kinds.values())


def _made_row(rng: random.Random) -> dict[str, Any]:
    """Return a row out of the names of fields and values of all kinds."""
    row = rng.choice(_rows())
    names = [*row, *MOST, "counts", "attempts", "orders", "populated", *rng.sample(TEXTS, 2)]
    made: dict[str, Any] = {
        "arch": row["arch"],
        "kernel": row["kernel"],
        "workload": rng.choice(MEASURED_WORKLOADS),
    }
    for name in rng.sample(names, rng.randrange(len(names))):
        made[name] = rng.choice((row.get(name), row.get(name), rng.choice(NUMBERS), rng.choice(TEXTS)))
    return made


def measured_rows(rng: random.Random) -> bytes:
    """Make a file of measured rows."""
    rows: list[Any] = []
    for _ in range(rng.choice((1, 1, 1, 2))):
        row = rng.choice(_rows()) if rng.random() < 0.7 else _made_row(rng)
        rows.append(damaged_value(rng, row) if rng.random() < 0.8 else row)
    text = "\n".join(json.dumps(row) for row in rows) + "\n"
    data = text.encode("utf-8", "surrogatepass")
    words = (
        b"NaN",
        b"Infinity",
        b"1e400",
        b"\n",
        b"{}",
        b"[]",
        b"null",
        b"\xef\xbb\xbf",
        b"9" * 5000,
        b"[" * 3000,
    )
    return damaged(rng, data, words) if rng.random() < 0.4 else data


def _use_rows(folder: Path) -> Use:
    def use(data: bytes) -> str:
        for row in read_rows(_file(folder, "rows.jsonl", data)):
            for name in ("N", "k", "M", "conc", "T", "pages"):
                if name in row.fields:
                    row.integer(name)
            if "mode" in row.fields:
                row.word("mode")
        return "read"

    return use


def _small(value: Any) -> Any:
    """Return a row whose sizes let it run at once."""
    if not isinstance(value, dict):
        return value
    return {
        name: min(part, 5) if name in MOST and type(part) is int and part <= MOST[name] else part
        for name, part in value.items()
    }


def rows_that_run(rng: random.Random) -> bytes:
    """Make a file with one small row, which may be damaged."""
    row = _small(rng.choice(_rows()))
    if rng.random() < 0.9:
        row = _small(damaged_value(rng, row))
    return json.dumps(row).encode("utf-8", "surrogatepass")


def _run_rows(folder: Path) -> Use:
    from shootdown._oracle.validate import validate

    def use(data: bytes) -> str:
        (found,) = validate(read_rows(_file(folder, "rows.jsonl", data)))
        json.dumps(found.to_dict(), allow_nan=True)
        return "not run" if found.predicted is None else "compared"

    return use


# --- saved stories


@cache
def _stories() -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(INPUTS.glob("story-*.json"))]


@cache
def _short_stories() -> list[dict[str, Any]]:
    """Return the stories with two moves each: the reader of rows does not look further."""
    return [
        {
            **one,
            "rows": [
                {**row, "story": row["story"][:2]} if isinstance(row, dict) else row for row in one["rows"]
            ],
        }
        for one in _stories()
        if isinstance(one.get("rows"), list)
    ]


def saved_rows(rng: random.Random) -> bytes:
    """Make what `explore --json` prints."""
    value: Any = rng.choice(_short_stories())
    for _ in range(rng.randrange(4)):
        value = damaged_value(rng, value)
    data = json.dumps(value).encode("utf-8", "surrogatepass")
    words = (b"NaN", b"1e400", b"{}", b"[]", b"null", b"9" * 5000, b"[" * 3000, b'"rows"', b'"schema": 2')
    return damaged(rng, data, words) if rng.random() < 0.4 else data


def _use_saved(folder: Path) -> Use:
    del folder  # the command hands over the text

    def use(data: bytes) -> str:
        saved.read_rows(data.decode("utf-8", "replace"), "a file")
        return "read"

    return use


def whole_stories(rng: random.Random) -> bytes:
    """Make a story to replay, one place of which may be damaged."""
    value: Any = rng.choice([one for one in _stories() if json.dumps(one).find("message-passing") < 0])
    rows = value["rows"]
    if rng.random() < 0.9 and rows:
        at = rng.randrange(len(rows))
        value = {**value, "rows": [*rows[:at], damaged_value(rng, rows[at]), *rows[at + 1 :]]}
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _replay(folder: Path) -> Use:
    del folder

    def use(data: bytes) -> str:
        rows = saved.read_rows(data.decode("utf-8", "replace"), "a file")
        bugs = [row for row in rows if row.values["verdict"] == "bug"]
        for row in bugs[:1]:
            json.dumps(saved.replay_row(row, "a file").to_dict())
        return "replayed" if bugs else "no bug"

    return use


# --- traces


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _addresses(rng: random.Random) -> list[int]:
    return [
        rng.choice((rng.getrandbits(64), rng.getrandbits(47), 0x7000 + 8 * n))
        for n in range(rng.randrange(12))
    ]


def npy_trace(rng: random.Random) -> bytes:
    """Make a `.npy` file: addresses, or records."""
    addresses = _addresses(rng)
    if rng.random() < 0.5:
        data = _npy(np.array(addresses, np.uint64).astype(rng.choice(("<u8", ">u8", "<u4", "<i8", "u1"))))
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
        data = _npy(array)
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
            trace = open_trace(_file(folder, name, data), format=format, **options)
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


# --- memory images

#: Of each format an image, the root of its tables, and settings.
_HASH = {"segment_table": 10485760, "segment_table_shift": 14, "htab_shift": 18}
IMAGES: tuple[tuple[str, str, int, dict[str, int]], ...] = (
    ("x86_64-gap.npz", "x86_64-4level", 0x4000_3000, {}),
    ("x86_64-5level.npz", "x86_64-5level", 0x4000_0000, {}),
    ("x86-pae.npz", "x86-pae", 0x4000_0000, {}),
    ("x86-32bit.npz", "x86-32bit", 0x4000_0000, {}),
    ("riscv-sv32.npz", "riscv-sv32", 0x4000_0000, {}),
    ("riscv-sv39.npz", "riscv-sv39", 0x4000_0000, {}),
    ("arm64-4k-48.npz", "arm64-4k-48", 0x4000_0000, {}),
    ("arm64-16k-47.npz", "arm64-16k-47", 0x4000_0000, {}),
    ("arm64-64k-52.npz", "arm64-64k-52", 0x4000_0000, {}),
    ("ppc64-radix-64k.npz", "ppc64-radix-64k", 0x4000_0000, {}),
    ("ppc64-hash-4k.npz", "ppc64-hash-4k", 0x100_0003, _HASH),
)
_BASE = 0x4000_0000
_FRAME = 4096


@cache
def _arrays(name: str) -> tuple[Any, Any]:
    with np.load(INPUTS / name) as archive:
        return archive["pfn"], archive["data"]


def _members(arrays: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in arrays.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


def npz_image(rng: random.Random) -> bytes:
    """Make an `.npz`: an archive that is damaged, or whose arrays are; a byte before it says which format it has."""
    if rng.random() < 0.4:
        which = rng.randrange(len(IMAGES))
        archive = (INPUTS / IMAGES[which][0]).read_bytes()
        words = (b"PK\x03\x04", b"PK\x05\x06", b"pfn.npy")
        return bytes([which]) + (damaged(rng, archive, words) if rng.random() < 0.9 else archive)
    frames, whole = rng.randrange(3), rng.random() < 0.4
    if whole:
        frames += 1
    numbers = [
        rng.choice((0, 1, 0x40003, 0x40003, 5, 1 << 20, 1 << 44, (1 << 44) - 1)) for _ in range(frames)
    ]
    if whole:
        numbers[0] = 0x40003  # where the root is
    kind = rng.choice(("<i4", "<u2", "<f8", "?") if rng.random() < 0.2 else ("<u8", ">i8"))
    pfn = _npy(np.array(numbers, np.uint64).astype(kind))
    width = 4096 if whole else rng.choice((4096, 4096, 4095, 0, 8))
    more = 0 if whole else rng.choice((0, 0, 1))
    data = _npy(np.zeros((frames + more, width), rng.choice(("u1", "u1", "u1", "i1", "<u8"))))
    words = (b"(2,)", b"'|O'", b"(99999999999,)", b"'|u1'", b"True", b"(-1,)", b"{", b"'<V4294967296'")
    if rng.random() < 0.5:
        pfn = damaged(rng, pfn, words)
    if rng.random() < 0.5:
        data = damaged(rng, data[:200], words) + data[200:]
    members = {rng.choice(("pfn.npy", "pfn.npy", "pfn.npy", "pfn", "x")): pfn, "data.npy": data}
    made = _members(members)
    return b"\0" + (damaged(rng, made[-300:], (b"PK",)) if rng.random() < 0.05 else made)


def _use_npz(folder: Path) -> Use:
    def use(data: bytes) -> str:
        _, form, root, settings = IMAGES[data[0]]
        tables = page_tables(_file(folder, "image.npz", data[1:]), format=form, root=root, settings=settings)
        tables.translate(0x40_0000, Access("read", True))
        return "read"

    return use


def raw_image(rng: random.Random) -> bytes:
    """Make an image of the frames of another and some more, with random entries; a byte says which format it has."""
    which = rng.randrange(len(IMAGES) - 1)  # the hash table is too large
    pfn, data = _arrays(IMAGES[which][0])
    frames = {int(number) - (_BASE >> 12): frame for number, frame in zip(pfn.tolist(), data, strict=True)}
    size = max(number + 1 for number in frames if number < 64)
    image = bytearray(_FRAME * (size + rng.randrange(2)))
    for number, frame in frames.items():
        if 0 <= number < size:
            image[number * _FRAME : (number + 1) * _FRAME] = frame.tobytes()
    used = [at for at in range(0, len(image), 8) if any(image[at : at + 8])] or [0]
    for _ in range(rng.choice((0, 1, 3, 9))):
        at = rng.choice(used) if rng.random() < 0.7 else rng.randrange(len(image) // 8) * 8
        old = int.from_bytes(image[at : at + 8], "little")
        new = rng.choice(
            (old ^ 1 << rng.randrange(64), rng.getrandbits(64), _BASE | rng.randrange(size) << 12 | 0x67)
        )
        image[at : at + 8] = new.to_bytes(8, rng.choice(("little", "little", "big")))
    if rng.random() < 0.1:
        image = image[: rng.randrange(len(image))]
    return bytes([which]) + bytes(image)


def _use_raw(folder: Path) -> Use:
    def use(data: bytes) -> str:
        _, form, root, settings = IMAGES[data[0]]
        file = _file(folder, "image.raw", data[1:])
        tables = page_tables(file, format=form, root=root, base=_BASE, settings=settings)
        rng = random.Random(data[:8192])
        for access in ("read", "write", "execute"):
            va = rng.choice(
                (0, 0x1000, 0x40_0000, 0x1000_0000, 0x3000_0000, 0xFFFF_FFFF_FFFF_F000, rng.getrandbits(64))
            )
            tables.translate(va, Access(access, rng.random() < 0.5)).to_dict()
        for found in itertools.islice(tables.listing(), 20):
            tables.rights(found.attributes)
        return "walked"

    return use


# --- scenarios


@cache
def _scenario() -> str:
    return (INPUTS / "message.py").read_text()


def scenario_file(rng: random.Random) -> bytes:
    """Make a Python file that may define a scenario; what it says runs when it is built, not here."""
    text = _scenario()
    lines = text.splitlines(keepends=True)
    for _ in range(rng.randrange(3)):
        at = rng.randrange(len(lines))
        kind = rng.randrange(4)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, rng.choice(lines))
        elif kind == 2:
            lines[at] = lines[at].replace(
                rng.choice(("model", '"', "0", "1", "True", "(", "=")), rng.choice(TEXTS[:40])
            )
        else:
            lines.insert(
                at, rng.choice(("raise SystemExit\n", "1/0\n", "SCENARIO = 5\n", "import nothing\n", "\0\n"))
            )
    data = "".join(lines).encode("utf-8", "surrogatepass")
    return (
        damaged(rng, data, (b"SCENARIO", b"Scenario(", b"\n\t", b"import ", b"\xff"))
        if rng.random() < 0.3
        else data
    )


def _use_scenario(folder: Path) -> Use:
    def use(data: bytes) -> str:
        scenario_named(str(_file(folder, "scenario.py", data)))
        return "read"

    return use


_STATEMENTS = (
    "model.asm.v_store({n}, {n}, text='x')", "model.asm.v_load({n}, {n}, text='x')", "model.asm.set({n}, {n})",
    "model.asm.fence(text='x')", "model.asm.halt()", "model.spin()", "model.sleep()", "model.signal({n})",
    "model.wait({n})", "model.asm.jump(down)", "model.asm.jump_zero({n}, down)",
    "model.asm.place(down)", "model.move({n})",
    "model.populate({n}, {n})", "model.asm.emit({n}, {n}, {n}, {n}, {n})", "model.asm.lock({n})",
    "model.asm.unlock({n})",
    "model.starts({n})", "model.starts(model.task(mm={n}, cpu={n}, ready=True))", "model.fail_if({n}, 0, 1, 'x')",
    "model.variable({n}, 'z')", "model.entry({n}, {n})", "down = model.label()", "model.asm.spawn({n})",
    "model.keep_lazy({n}, {n})", "model.preempt({n})", "model.concern({n})", "model.free_table()", "scene[{n}]",
)  # fmt: skip
_OPERANDS = ("0", "1", "2", "3", "-1", "9", "64", "9999", "2**31", "2**63", "1.5", "None", "'x'", "flag", "data",
             "ops.SCRATCH", "True", "down", "[]", "float('nan')")  # fmt: skip


def scenario_that_runs(rng: random.Random) -> bytes:
    """Make a scenario with mistakes in what it builds."""
    lines = _scenario().splitlines()
    first = next(n for n, line in enumerate(lines) if "flag, data" in line) + 1
    last = next(n for n, line in enumerate(lines) if "return Problem" in line)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        at = rng.randrange(first, last)
        kind = rng.randrange(5)
        if kind == 0:
            lines[at] = (
                "    pass" if lines[at].startswith("    ") and not lines[at].endswith(":") else lines[at]
            )
        elif kind == 1:
            lines[at] = lines[at].replace(
                rng.choice(("0", "1", "2", "True", "flag", "data")), rng.choice(_OPERANDS), 1
            )
        else:
            statement = rng.choice(_STATEMENTS)
            while "{n}" in statement:
                statement = statement.replace("{n}", rng.choice(_OPERANDS), 1)
            lines.insert(at, f"    {statement}")
    if rng.random() < 0.2:
        at, old = rng.randrange(last, len(lines)), rng.choice(('"', "(", "16", "2", "walk", "build", "False"))
        lines[at] = lines[at].replace(old, rng.choice(_OPERANDS), 1)
    return "\n".join(lines).encode()


def _explore(folder: Path) -> Use:
    from shootdown._questions.explore import explorations, explore_case

    def use(data: bytes) -> str:
        scenario = scenario_named(str(_file(folder, "scenario.py", data)))
        (case,) = explorations(scenario, arch=["x86"], kernels=["7.0"])
        found = explore_case(case, stories=True, most_states=300)
        json.dumps(found.to_dict())
        return found.verdict

    return use


# --- what options say


_KNOWN = (
    "7.0", "6.16-rc1", "v5.10.223", "proposal:targeted-sync@6.16", "kernel.unshare_sync=none", "platform.cpus=4",
    "kernel.tlb_single_page_flush_ceiling=64", "platform.va_bits=48", "l1.entries=64", "l2.2m.ways=12", "asid_bits=12",
    "l1.policy=tree-plru", "l2.index=xor7", "inclusion=exclusive", "walk.2m.entries=32", "l1.4k.entries=0x40", "4k",
    "0x7f0000000000", "0x7f0000000000-0x7f8000000000=2m", "1GiB", "on",
)  # fmt: skip


def option_value(rng: random.Random) -> bytes:
    """Make the text of a value: a release, what-if, geometry, address, region or size."""
    text = rng.choice(_KNOWN) if rng.random() < 0.8 else rng.choice(TEXTS)
    words = tuple(b"= . , - 0x 999999999999999999999999999999 @ proposal: k inf nan _".split())
    data = text.encode("utf-8", "surrogatepass")
    return damaged(rng, data, words) if rng.random() < 0.9 else data


def _use_option(folder: Path) -> Use:
    del folder
    from shootdown._cli import _tlb
    from shootdown._plugins.registry import registry
    from shootdown._tlb.parameters import geometry_of
    from shootdown._traces.simulation import PageSizes
    from shootdown._values import reading
    from shootdown._values.releases import resolve
    from shootdown._values.whatif import parse_settings, set_fields, set_kernel

    x86 = registry().architecture("x86")
    platform = registry().platform("x86", "intel-server")
    kernel = resolve("7.0", x86)
    steps: tuple[Callable[[str], object], ...] = (
        lambda text: resolve(text, x86),
        lambda text: set_kernel(kernel, parse_settings([text], ("kernel", "platform")), x86),
        lambda text: set_fields(platform, parse_settings([text], ("platform",)), "platform", "x"),
        lambda text: geometry_of(dict([text.split("=", 1)])) if "=" in text else None,
        lambda text: PageSizes(4096, [_tlb._region(text)]),
        lambda text: PageSizes(reading.read_size(text)),
        lambda text: reading.read_address("VA", text),
        lambda text: reading.read_integer(text, units=True),
        reading.read_boolean,
    )

    def use(data: bytes) -> str:
        text = data.decode("utf-8", "replace")
        good, last = 0, None
        for step in steps:
            try:
                step(text)
                good += 1
            except ShootdownError as error:
                last = error
        if not good and last is not None:
            raise last
        return "accepted"

    return use


def _readers() -> list[Reader]:
    found = [
        Reader("measured rows", measured_rows, _use_rows),
        Reader("measured rows that run", rows_that_run, _run_rows, heavy=True),
        Reader("saved stories", saved_rows, _use_saved),
        Reader("replays", whole_stories, _replay, heavy=True),
    ]
    traces: list[tuple[str, str, str | None, Make]] = [
        ("npy", "trace.npy", None, npy_trace),
        ("bin", "trace.bin", None, raw_trace),
        ("champsim", "trace.champsim", "champsim", champsim_trace),
        ("lackey", "trace.txt", "lackey", _text(_LACKEY)),
        ("drmemtrace", "trace.txt", "drmemtrace", _text(_VIEW)),
    ]
    for name, file, format, make in traces:
        cores = {"cores": True} if name == "drmemtrace" else {}
        for suffix, pack in (("", None), (".gz", _gzip), (".xz", _xz)):
            data = make if pack is None else _packed(make, pack)
            found.append(Reader(f"traces, {name}{suffix}", data, _use_trace(file + suffix, format, **cores)))
    told = _text((*_LACKEY, *_VIEW))
    found.append(Reader("traces, format told", told, _use_trace("trace.out", None, instructions=True)))
    found += [
        Reader("images, npz", npz_image, _use_npz, heavy=True),
        Reader("images, raw", raw_image, _use_raw, heavy=True),
        Reader("scenario files", scenario_file, _use_scenario),
        Reader("scenarios explored", scenario_that_runs, _explore, heavy=True),
        Reader("option values", option_value, _use_option),
    ]
    return found


READERS = {reader.name: reader for reader in _readers()}
