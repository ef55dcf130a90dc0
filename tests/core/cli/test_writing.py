"""Tables fit where they go, and a report is all that reaches standard output."""

from __future__ import annotations

import json
import math

import pytest

from shootdown._cli import _common, _writing

ROWS = [
    ("a-name-that-is-long", 1, "words " * 30),
    ("b", 22222, None),
    ("[bold]c[/bold] :smile:", 3, "w" * 70),
]


def table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str | None) -> str:
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    # Continuous integration often sets this; a table in a file stays plain all the same.
    monkeypatch.setenv("FORCE_COLOR", "1")
    _writing.write_table(("name", "count", "text"), ROWS, title="Title", right=("count",))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("columns", "width"),
    [(None, 80), ("100", 100), ("40", 40), ("wide", 80), ("1", 20), ("0", 80), ("9" * 30, 10**9)],
)
def test_a_table_outside_of_a_terminal_is_plain_text_of_the_width_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str | None, width: int
) -> None:
    text = table(monkeypatch, capsys, columns)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    assert not any(line.endswith(" ") for line in text.splitlines())


@pytest.mark.parametrize("columns", [None, "80", "40", "30"])
def test_a_table_cuts_no_text_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str | None
) -> None:
    text = table(monkeypatch, capsys, columns)
    for character, count in (("w", 30 + 70), ("2", 5)):
        assert text.count(character) == count
    assert "…" not in text


def test_names_in_the_first_column_stay_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "a-name-that-is-long" in table(monkeypatch, capsys, "60")


def test_a_narrow_table_leaves_out_empty_columns_and_breaks_names_after_a_sign(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    headings = ("count", "compared", "exact", "documented")
    rows = [("flush_tlb_mm_range_all", 2, 2, None), ("gathers", 1, 1, None)]
    monkeypatch.setenv("COLUMNS", "40")
    _writing.write_table(headings, rows, right=headings[1:])
    whole = capsys.readouterr().out.splitlines()
    assert [line.split() for line in whole if "─" not in line] == [
        ["count", "compared", "exact"],
        ["flush_tlb_mm_range_all", "2", "2"],
        ["gathers", "1", "1"],
    ]
    monkeypatch.setenv("COLUMNS", "30")
    _writing.write_table(headings, rows, right=headings[1:])
    broken = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in broken[2:]] == ["flush_tlb_mm_", "range_all", "gathers"]
    assert max(map(len, broken)) <= 30


def test_cells_are_never_read_as_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "[bold]c[/bold] :smile:" in table(monkeypatch, capsys, "100")


def test_what_a_command_prints_is_no_part_of_its_report(capsys: pytest.CaptureFixture[str]) -> None:
    @_common.command("chatty")
    def chatty() -> None:
        print("by the way")
        _writing.write_json({"a": 1})

    chatty.main([], standalone_mode=False)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": 1}
    assert captured.err == "by the way\n"


def test_json_never_contains_what_json_lacks() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        _writing.write_json(math.nan)
