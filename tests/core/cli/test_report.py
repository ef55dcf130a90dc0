"""`shootdown report`: from files and from standard input, to a page and to text; `--plot`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from shootdown import _cli

COMPARE = [
    "compare",
    "hugetlb-munmap",
    "-p",
    "tables=2",
    "--arch",
    "x86",
    "--kernel",
    "6.16,7.0",
    "--cpus",
    "4",
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a comparison."""
    path = tmp_path_factory.mktemp("saved") / "rows.json"
    with pytest.MonkeyPatch.context() as patch:
        out = io.StringIO()
        patch.setattr("sys.stdout", out)
        assert _cli.run([*COMPARE, "--json"]) == 0
    path.write_text(out.getvalue())
    return path


def test_a_page_is_written_and_nothing_is_printed(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert _cli.run(["report", str(saved), "--html", str(page)]) == 0
    assert capsys.readouterr().out == ""
    text = page.read_text()
    assert "shootdown compare hugetlb-munmap -p tables=2" in text
    assert "6.16 sends" in text


def test_standard_input_is_read_and_told_as_text_or_markdown(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in ([], ["-"], ["--markdown"], ["--lore"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(saved.read_bytes())))
        assert _cli.run(["report", *options]) == 0
        assert "What does hugetlb-munmap cost on 6.16 and 7.0?" in " ".join(capsys.readouterr().out.split())


def test_the_same_file_gives_the_same_page(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    pages = [tmp_path / "one.html", tmp_path / "two.html"]
    for page in pages:
        assert _cli.run(["report", str(saved), "--html", str(page)]) == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert "2026-01-01" in pages[0].read_text()


@pytest.mark.parametrize(
    ("text", "said"), [("", "no JSON"), ("{}", "not what compare"), ("\xff", "not what"), ("[1", "cut off")]
)
def test_what_is_no_result_is_refused(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(b"\xff" if text == "\xff" else text.encode())
    assert _cli.run(["report", str(path)]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert (said if text != "\xff" else "no UTF-8 text") in written.err


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(["report", "nowhere.json"]) == 2
    assert "nowhere.json: no such file" in capsys.readouterr().err


def test_a_saved_result_given_to_another_command_is_pointed_at_report(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _cli.run([str(saved)]) == 2
    assert f"shootdown report {saved}" in capsys.readouterr().err


def test_a_comparison_draws_its_picture_beside_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "rows.svg"
    assert _cli.run([*COMPARE, "--plot", str(path)]) == 0
    assert "6.16 sends" in capsys.readouterr().out
    assert path.read_text().startswith("<?xml")


def test_a_picture_that_cant_be_written_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _cli.run([*COMPARE, "--plot", str(tmp_path / "rows.pdf")]) == 2
    assert ".svg, .png, .html" in capsys.readouterr().err


def test_what_is_saved_says_the_command_and_the_version(saved: Path) -> None:
    value = json.loads(saved.read_text())
    assert value["command"].startswith("shootdown compare hugetlb-munmap")
    assert value["version"]
