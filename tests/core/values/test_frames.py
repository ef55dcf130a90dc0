"""Rows as tables of pandas and pyarrow: each column has one type."""

from __future__ import annotations

import pytest

import shootdown
from shootdown._values.errors import ShootdownError
from shootdown._values.frames import needed, to_arrow, to_pandas


def test_nested_values_are_columns_named_by_their_path() -> None:
    frame = to_pandas([{"a": {"b": {"c": 1}}, "d": ["x", "y"], "e": None}])
    assert frame.columns.tolist() == ["a.b.c", "d", "e"]
    assert frame.iloc[0].tolist() == [1, "x | y", None]


def test_a_column_has_one_type() -> None:
    rows = [
        {
            "i": 1,
            "n": 1,
            "t": 1,
            "b": True,
            "counts": {"x": None},
            "set": {"a": "1", "b": "0.5", "c": "true", "d": "1,2"},
        },
        {
            "i": None,
            "n": 0.5,
            "t": "x",
            "b": False,
            "counts": {"x": None},
            "set": {"a": "2", "b": "3", "c": "false"},
        },
    ]
    kinds = {field.name: str(field.type) for field in to_arrow(rows).schema}
    assert kinds == {
        "i": "int64",
        "n": "double",
        "t": "string",
        "b": "bool",
        "counts.x": "int64",
        "set.a": "int64",
        "set.b": "double",
        "set.c": "bool",
        "set.d": "string",
    }
    frame = to_pandas(rows)
    assert frame["i"].isna().tolist() == [False, True]
    assert frame["t"].tolist() == ["1", "x"]
    assert frame["set.b"].sum() == 3.5
    assert frame["set.c"].tolist() == [True, False]


def test_compare_and_history_return_tables() -> None:
    rows = shootdown.compare("hugetlb-munmap", arch=["x86"], kernels=["6.16", "7.0"], cpus=[4])
    assert rows.to_pandas()["counts.sync_ipis"].tolist() == [row.counts["sync_ipis"] for row in rows]
    assert rows.to_arrow().num_rows == len(rows) == 2
    found = shootdown.history("hugetlb-munmap", arch=["x86"], series=["6.12"])
    assert found.to_pandas()["first"].tolist() == [row.first for row in found.rows]


def test_no_rows_are_a_table_without_columns() -> None:
    assert to_pandas([]).shape == (0, 0)
    assert to_arrow([]).num_rows == 0


def test_what_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(ShootdownError, match=r"pip install 'shootdown\[tables\]'"):
        needed("no_such_package", "tables")
