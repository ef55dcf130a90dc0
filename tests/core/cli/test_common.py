"""Options read lists and assignments in one way, and tables fit where they go."""

from __future__ import annotations

import io
import json
import math

import click
import pytest

from shootdown._cli import _common, _progress


def test_a_list_keeps_its_order_and_its_repetitions() -> None:
    assert _common.read_list("7.0, 6.15 ,7.0") == ("7.0", "6.15", "7.0")


@pytest.mark.parametrize("text", ["", ",", "a,", ",a", "a,,b", "a, ,b"])
def test_an_empty_place_in_a_list_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="empty place"):
        _common.read_list(text)


def test_counts_are_whole_numbers_from_one() -> None:
    assert _common.read_counts("2,196, 4096") == (2, 196, 4096)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "two", "2,0", "٣", "9" * 5000, "1e3"])
def test_other_counts_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a whole number from 1"):
        _common.read_counts(text)


def test_assignments_become_a_dict_in_their_order() -> None:
    read = _common.read_assignments(["tables=3", "state = lazy", "expr=a=b"])
    assert read == {"tables": "3", "state": "lazy", "expr": "a=b"}
    assert list(read) == ["tables", "state", "expr"]


@pytest.mark.parametrize("text", ["tables", "=3", "tables=", "", "="])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not of the form name=value"):
        _common.read_assignments([text])


def test_a_name_that_is_assigned_twice_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="'tables' is given twice"):
        _common.read_assignments(["tables=1", "tables=1"])


def collect(*arguments: str) -> dict[str, object]:
    """Parse with all the options that commands share."""
    seen: dict[str, object] = {}

    @_common.command("all")
    @_common.arch_option
    @_common.platform_option
    @_common.kernel_option
    @_common.cpus_option
    @_common.parameter_option
    @_common.set_option
    @_common.json_option
    def everything(**given: object) -> None:
        seen.update(given)

    everything.main(list(arguments), standalone_mode=False)
    return seen


def test_options_that_are_not_given_are_empty() -> None:
    assert collect() == {
        "arch": (),
        "platform": (),
        "kernel": (),
        "cpus": (),
        "parameters": {},
        "settings": (),
        "as_json": False,
    }


def test_options_reach_the_command_as_values() -> None:
    what = "--arch x86,riscv --platform a --kernel 7.0,6.15 --cpus 2,4"
    how = "-p tables=3 -p a=b --set kernel.pti=off --set platform.jitter=0 --json"
    assert collect(*what.split(), *how.split()) == {
        "arch": ("x86", "riscv"),
        "platform": ("a",),
        "kernel": ("7.0", "6.15"),
        "cpus": (2, 4),
        "parameters": {"tables": "3", "a": "b"},
        "settings": ("kernel.pti=off", "platform.jitter=0"),
        "as_json": True,
    }


def test_a_list_that_is_given_again_is_longer() -> None:
    seen = collect(*["--kernel", "6.15,6.16", "--kernel", "7.0", "--cpus", "4", "--cpus", "2,8"])
    assert seen["kernel"] == ("6.15", "6.16", "7.0")
    assert seen["cpus"] == (4, 2, 8)


def test_a_bad_option_is_named_in_the_message() -> None:
    with pytest.raises(click.BadParameter) as raised:
        collect("--cpus", "0")
    assert raised.value.format_message() == "Invalid value for '--cpus': '0' is not a whole number from 1"


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
    _common.write_table(("name", "count", "text"), ROWS, title="Title", right=("count",))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("columns", "width"),
    [(None, 100), ("80", 80), ("40", 40), ("wide", 100), ("1", 20), ("0", 100), ("9" * 30, 10**9)],
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
    _common.write_table(headings, rows, right=headings[1:])
    whole = capsys.readouterr().out.splitlines()
    assert [line.split() for line in whole if "─" not in line] == [
        ["count", "compared", "exact"],
        ["flush_tlb_mm_range_all", "2", "2"],
        ["gathers", "1", "1"],
    ]
    monkeypatch.setenv("COLUMNS", "30")
    _common.write_table(headings, rows, right=headings[1:])
    broken = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in broken[2:]] == ["flush_tlb_mm_", "range_all", "gathers"]
    assert max(map(len, broken)) <= 30


def test_cells_are_never_read_as_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "[bold]c[/bold] :smile:" in table(monkeypatch, capsys, "100")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_standard_error_while_it_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with _progress.progress("comparing", 2) as advance:
        advance()
        advance()
    assert "comparing" in terminal.getvalue()


def test_progress_is_silent_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with _progress.progress("comparing", 2) as advance:
        advance()
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_what_a_command_prints_is_no_part_of_its_report(capsys: pytest.CaptureFixture[str]) -> None:
    @_common.command("chatty")
    def chatty() -> None:
        print("by the way")
        _common.write_json({"a": 1})

    chatty.main([], standalone_mode=False)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": 1}
    assert captured.err == "by the way\n"


def test_json_never_contains_what_json_lacks() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        _common.write_json(math.nan)


def test_without_a_terminal_a_line_now_and_then_says_what_is_being_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is said of what is done at once."""
    now = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    with _progress.progress("counting", 4) as advance:
        for _ in range(4):
            now[0] += 4
            advance()
    assert capsys.readouterr().err.splitlines() == ["shootdown: counting: 2 of 4 done; 8 s so far"]
    with _progress.progress("counting", 4) as advance:
        for _ in range(4):
            advance()
    assert capsys.readouterr().err == ""


def test_what_is_compiled_is_said_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    _progress.note("the timed engine: compiled first")
    assert capsys.readouterr() == ("", "shootdown: the timed engine: compiled first\n")
