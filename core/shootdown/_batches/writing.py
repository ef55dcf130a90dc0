"""Write the rows of a sweep as Parquet, CSV or JSON lines: the same rows give the same bytes."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shootdown._values.errors import ShootdownError
from shootdown._values.frames import Columns, arrow_schema, csv_lines, flat, needed, typed

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
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise ShootdownError(f"--out {out}: {what}")
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
    with _replacing(path) as beside:
        if path.suffix == LINES:
            _write_lines(beside, (json.dumps(row, allow_nan=False) for row in rows()))
            return
        columns = Columns()
        for row in rows():
            columns.add(flat(row))
        if path.suffix == CSV:
            names = list(columns.types)
            each = (line for row in rows() for line in csv_lines(names, [flat(row)], heading=False))
            _write_lines(beside, itertools.chain(csv_lines(names, []), each))
        else:
            _write_parquet(beside, columns.types, rows)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def _write_parquet(path: Path, types: Mapping[str, str], rows: Rows) -> None:
    pyarrow, parquet = needed("pyarrow", "tables"), needed("pyarrow.parquet", "tables")
    schema = arrow_schema(types)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        each = iter(rows())
        while group := [typed(flat(row), types) for row in itertools.islice(each, _AT_ONCE)]:
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside another one, and put what was written there in its place.

    Raises:
        ShootdownError: it can't be written.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield beside
        beside.replace(target)
    except OSError as error:
        raise ShootdownError(f"{path} can't be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
