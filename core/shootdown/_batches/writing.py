"""Write the rows of a sweep as Parquet, CSV or JSON lines: the same rows give the same bytes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from shootdown._values.errors import ShootdownError
from shootdown._values.frames import Columns, arrow_schema, csv_lines, flat, needed, typed
from shootdown._values.outputs import check_place, replacing, replacing_bytes

PARQUET, CSV, LINES = ".parquet", ".csv", ".jsonl"
FORMS = (PARQUET, CSV, LINES)
#: Rows of one row group of Parquet.
_AT_ONCE = 10_000

Rows = Callable[[], Iterable[Mapping[str, Any]]]


def check_out(out: str) -> None:
    """Refuse a place at which no table can be written, before anything runs.

    Raises:
        ShootdownError: its name says no form, there is no folder for it, or pyarrow is missing.
    """
    path = Path(out)
    if path.suffix not in FORMS:
        raise ShootdownError(f"--out {out}: its name ends in {', '.join(FORMS[:-1])} or {FORMS[-1]}")
    check_place("--out", path)
    if path.suffix == PARQUET:
        needed("pyarrow.parquet", "tables")


def write(path: Path, rows: Rows) -> None:
    """Write a table whole, in place of one that may be there.

    Args:
        path: where; its suffix says the form.
        rows: yields them in order, each time that it is called.

    Raises:
        ShootdownError: it can't be written; what was there is as it was.
    """
    if path.suffix == LINES:
        _write_lines(path, (json.dumps(row, allow_nan=False) for row in rows()))
        return
    columns = Columns()
    for row in rows():
        columns.add(flat(row))
    if path.suffix == CSV:
        names = list(columns.types)
        each = (line for row in rows() for line in csv_lines(names, [flat(row)], heading=False))
        _write_lines(path, itertools.chain(csv_lines(names, []), each))
    else:
        _write_parquet(path, columns.types, rows)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with replacing(path) as stream:
        stream.writelines(f"{line}\n" for line in lines)


def _write_parquet(path: Path, types: Mapping[str, str], rows: Rows) -> None:
    pyarrow, parquet = needed("pyarrow", "tables"), needed("pyarrow.parquet", "tables")
    schema = arrow_schema(types)
    with (
        replacing_bytes(path) as stream,
        parquet.ParquetWriter(stream, schema, compression="zstd") as writer,
    ):
        each = iter(rows())
        while group := [typed(flat(row), types) for row in itertools.islice(each, _AT_ONCE)]:
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))
