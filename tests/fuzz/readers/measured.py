"""Measured rows: read, and run."""

from __future__ import annotations

import itertools
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

from fuzz.mutations import NUMBERS, TEXTS, damaged, damaged_value
from fuzz.readers.reader import ROOT, Reader, Use, written

from shootdown._oracle.rows import MOST, read_rows
from shootdown._oracle.rows import WORKLOADS as MEASURED_WORKLOADS

ORACLE = ROOT / "tests" / "oracle"


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
        for row in read_rows(written(folder, "rows.jsonl", data)):
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
        (found,) = validate(read_rows(written(folder, "rows.jsonl", data)))
        json.dumps(found.to_dict(), allow_nan=True)
        return "not run" if found.predicted is None else "compared"

    return use


READERS = (
    Reader("measured rows", measured_rows, _use_rows),
    Reader("measured rows that run", rows_that_run, _run_rows, heavy=True),
)
