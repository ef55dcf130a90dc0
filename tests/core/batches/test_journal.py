"""The journal of a sweep: whole lines count, and it is that of one sweep."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shootdown._batches.journal import Header, Journal
from shootdown._values.errors import ShootdownError

HEADER = Header(
    "1.0",
    {"shootdown": "1.0"},
    "c0de",
    {"changes": "a", "costs": "b", "platforms": "c"},
    {"s.toml": "f"},
    9,
    "",
)
ROWS = [{"point": number, "counts": {"sync_ipis": number * 7}, "reason": "é"} for number in range(5)]


def written(path: Path) -> None:
    path.unlink(missing_ok=True)
    with Journal(str(path), HEADER) as journal:
        for row in ROWS:
            journal.add(row)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_journal_that_was_cut_off_anywhere_has_its_whole_lines(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.journal"
    written(path)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:at])
    lines = whole[:at].count(b"\n")
    with Journal(str(path), HEADER) as journal:
        assert list(journal.rows()) == ROWS[: max(lines - 1, 0)]
        for row in ROWS:
            journal.add(row)
        assert list(journal.rows()) == ROWS
    assert path.read_bytes() == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_line_is_dropped_and_its_point_is_run_anew(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.journal"
    written(path)
    whole = bytearray(path.read_bytes())
    second = whole.index(b"\n") + 1
    at = data.draw(st.integers(second, len(whole) - 2))
    whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(whole))
    with Journal(str(path), HEADER) as journal:
        assert journal.dropped >= 1
        assert 3 <= len(journal) < 5
        assert all(row in ROWS for row in journal.rows())
        for row in ROWS:
            journal.add(row)
        assert list(journal.rows()) == ROWS


def test_a_point_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    with Journal(str(path), HEADER) as journal:
        journal.add(ROWS[0])
        before = path.stat().st_size
        journal.add(ROWS[0])
        assert path.stat().st_size == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"files": {"s.toml": "g"}}, "s.toml has changed"),
        ({"files": {"s.toml": "f", "p.py": "h"}}, "p.py was no part of the sweep then"),
        ({"files": {}}, "s.toml is no part of the sweep now"),
        ({"tables": {"changes": "a", "costs": "z", "platforms": "c"}}, "the table of costs has changed"),
        ({"code": "0ther"}, "the code of shootdown or of a plugin has changed"),
        ({"version": "1.1"}, "shootdown 1.0 ran then, 1.1 now"),
        ({"plugins": {"shootdown": "1.0", "more": "2"}}, "plugin more: not loaded then, 2 now"),
        ({"drawn": "abc"}, "other points are drawn"),
    ],
)
def test_the_points_of_another_sweep_are_told_apart_and_not_mixed(
    tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    path = tmp_path / "x.journal"
    written(path)
    before = path.read_bytes()
    with pytest.raises(ShootdownError) as raised:
        Journal(str(path), attrs.evolve(HEADER, **changed))  # type: ignore[arg-type]
    assert said in str(raised.value)
    assert "--again throws them away" in str(raised.value)
    assert path.read_bytes() == before
    with Journal(str(path), attrs.evolve(HEADER, **changed), again=True) as journal:  # type: ignore[arg-type]
        assert len(journal) == 0


@pytest.mark.parametrize("text", ["hello\n", "hello", '{"a": 1}\n', "deadbeef x\n"])
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.journal"
    path.write_text(text)
    with pytest.raises(ShootdownError, match="no journal of a sweep"):
        Journal(str(path), HEADER)
    assert path.read_text() == text


def test_two_processes_cannot_write_one_journal(tmp_path: Path) -> None:
    path = str(tmp_path / "x.journal")
    with Journal(path, HEADER), pytest.raises(ShootdownError, match="another process runs this sweep"):
        Journal(path, HEADER)
