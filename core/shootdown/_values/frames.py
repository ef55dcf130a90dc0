"""Rows as tables of other programs: one level of columns, each of one type; pyarrow's and pandas' where installed."""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    import pandas
    import pyarrow

#: The types of columns, the narrowest first.
BOOLEAN, INTEGER, NUMBER, TEXT = "boolean", "integer", "number", "text"
#: Columns of which every row may be empty, by how their name begins.
_KNOWN = {"counts.": INTEGER, "times.": NUMBER}
#: What-ifs are texts; a column of them that are all numbers is one of numbers.
_WHAT_IFS = "set."


class Framed(ABC):
    """What can be handed to pyarrow and pandas: `_framed` returns its rows as JSON has them."""

    @abstractmethod
    def _framed(self) -> Iterable[Mapping[str, Any]]: ...

    def to_arrow(self) -> pyarrow.Table:
        """Return the rows as a `pyarrow.Table`: a nested value is a column named by its path, `counts.sync_ipis`.

        Raises:
            ShootdownError: pyarrow is not installed.
        """
        return to_arrow(self._framed())

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows as a `pandas.DataFrame`: a nested value is a column named by its path, `counts.sync_ipis`.

        Raises:
            ShootdownError: pandas is not installed.
        """
        return to_pandas(self._framed())


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of JSON as one level: `counts.sync_ipis`, `times.elapsed_ns.likely`; lists as one text.

    Args:
        row: mappings in it may be nested; of other values in lists the text is taken.
    """
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found.update({f"{name}.{inner}": leaf for inner, leaf in flat(value).items()})
        elif isinstance(value, list | tuple):
            found[name] = " | ".join(one if isinstance(one, str) else json.dumps(one) for one in value)
        else:
            found[name] = value
    return found


class Columns:
    """The columns of rows that come one after another: their names in order, and the type of each."""

    def __init__(self) -> None:
        self._kinds: dict[str, set[str]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row, as `flat` returns it, into account."""
        for name, value in row.items():
            kinds = self._kinds.setdefault(name, set())
            if value is not None:
                kinds.add(_kind(name, value))

    @property
    def types(self) -> dict[str, str]:
        """The type of each column, in the order in which rows named them."""
        return {name: _together(name, kinds) for name, kinds in self._kinds.items()}


def typed(row: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """Return a row, as `flat` returns it, with a value of its type, or None, for each column."""
    return {name: _as(kind, row.get(name)) for name, kind in types.items()}


def to_arrow(rows: Iterable[Mapping[str, Any]]) -> pyarrow.Table:
    """Return rows of JSON as a table of pyarrow.

    Raises:
        ShootdownError: it is not installed.
    """
    pyarrow = needed("pyarrow", "tables")
    table, types = _table(rows)
    return pyarrow.Table.from_pylist(table, schema=arrow_schema(types))


def to_pandas(rows: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    """Return rows of JSON as a frame of pandas.

    Raises:
        ShootdownError: it is not installed.
    """
    found = needed("pandas", "tables")
    table, types = _table(rows)
    names = {BOOLEAN: "boolean", INTEGER: "Int64", NUMBER: "float64", TEXT: "object"}
    full = {BOOLEAN: "bool", INTEGER: "int64"}
    columns = {}
    for name, kind in types.items():
        values = [row[name] for row in table]
        whole = None not in values
        columns[name] = found.Series(values, dtype=full.get(kind, names[kind]) if whole else names[kind])
    return found.DataFrame(columns)


def arrow_schema(types: Mapping[str, str]) -> pyarrow.Schema:
    """Return pyarrow's schema of columns."""
    pyarrow = needed("pyarrow", "tables")
    kinds = {
        BOOLEAN: pyarrow.bool_(),
        INTEGER: pyarrow.int64(),
        NUMBER: pyarrow.float64(),
        TEXT: pyarrow.string(),
    }
    return pyarrow.schema([(name, kinds[kind]) for name, kind in types.items()])


def needed(package: str, extra: str) -> Any:
    """Import a package of an extra.

    Args:
        package: its name.
        extra: which one it belongs to.

    Raises:
        ShootdownError: it is not installed; the message says how to install it.
    """
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        missing = package.partition(".")[0]
        raise ShootdownError(
            f"{missing} is not installed ({error}): pip install 'shootdown[{extra}]'"
        ) from None


def _table(rows: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    table = [flat(row) for row in rows]
    columns = Columns()
    for row in table:
        columns.add(row)
    types = columns.types
    return [typed(row, types) for row in table], types


def _kind(name: str, value: object) -> str:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return INTEGER
    if isinstance(value, float):
        return NUMBER
    if name.startswith(_WHAT_IFS) and isinstance(value, str):
        return _of_text(value)
    return TEXT


def _of_text(value: str) -> str:
    """Return the type of what a text of a what-if says."""
    if value in ("true", "false"):
        return BOOLEAN
    if value.isascii() and value.isdecimal():
        return INTEGER
    try:
        float(value)
    except ValueError:
        return TEXT
    return NUMBER


def _together(name: str, kinds: set[str]) -> str:
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds == {INTEGER, NUMBER}:
        return NUMBER
    if not kinds:
        return next((kind for begin, kind in _KNOWN.items() if name.startswith(begin)), TEXT)
    return TEXT


def _as(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == TEXT:
        return value if isinstance(value, str) else json.dumps(value)
    if kind == NUMBER:
        return float(value)
    if kind == INTEGER:
        return int(value)
    return value == "true" if isinstance(value, str) else value


def names_of(rows: Iterable[Mapping[str, Any]]) -> Sequence[str]:
    """Return the names of the columns of rows, as `flat` returns them, in the order in which rows name them."""
    return list(dict.fromkeys(name for row in rows for name in row))


def csv_lines(names: Sequence[str], rows: Iterable[Mapping[str, Any]], *, heading: bool = True) -> list[str]:
    """Write rows, as `flat` returns them, as lines of CSV.

    Args:
        names: of the columns.
        rows: None is empty, booleans are true and false, and a text has no line breaks.
        heading: begin with a line of the names.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if heading:
        writer.writerow(names)
    for row in rows:
        writer.writerow([cell_text(row.get(name)) for name in names])
    return text.getvalue().removesuffix("\n").split("\n")


def cell_text(value: object) -> object:
    """Return what stands for a value in a cell: an empty text for None, lower case for booleans, text on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(value.splitlines()) if isinstance(value, str) else "" if value is None else value
