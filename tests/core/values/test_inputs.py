"""Files that commands read: never more than they may have, and one line about what is wrong."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from shootdown import ShootdownError, _cli
from shootdown._values import inputs

ENDLESS = Path("/dev/zero")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "program {}: it is no UTF-8 text: invalid start byte"),
        (b"#" * (1 << 20) + b"#", "program {}: it is larger than 1 MiB"),
        (b"a = [", "program {}: it is no TOML: "),
        (b"a = " + b"[" * 100_000, "program {}: it is no TOML: "),
    ],
)
def test_a_file_that_is_no_toml_gets_one_line(tmp_path, content, said):
    path = tmp_path / "p.toml"
    path.write_bytes(content)
    with pytest.raises(ShootdownError) as error:
        inputs.read_toml(path, "program")
    assert str(error.value).startswith(said.format(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing", "rows {}: no such file or directory"), ("a\0b", "rows {}: embedded null byte")],
)
def test_a_file_that_is_not_there_gets_one_line(tmp_path, name, said):
    path = str(tmp_path / name)
    with pytest.raises(ShootdownError, match=said.format(path)):
        inputs.read_text(path, "rows")


def test_a_mark_of_the_byte_order_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert inputs.read_text(path, "rows") == "{}"


def test_standard_input_is_bounded_too(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"12345")))
    with pytest.raises(ShootdownError, match="rows standard input: it is larger than 0 MiB"):
        inputs.read_text("-", "rows", 4)


FILES = [
    ("explore", "--replay"),
    ("validate",),
    ("reproduce", "--file"),
    ("compare",),
    ("sweep",),
    ("gate",),
    ("report", "--html", "x.html"),
    ("rerun",),
    ("compare", "hugetlb-munmap", "--platform"),
    ("read",),
    ("tlb",),
]


@pytest.mark.skipif(not ENDLESS.exists(), reason="the system has no file without an end")
@pytest.mark.parametrize("words", FILES, ids=" ".join)
def test_neither_a_device_nor_a_named_pipe_is_read(words, tmp_path, monkeypatch, capsys):
    """A device may have no end, and a pipe that nobody writes into would never answer."""
    monkeypatch.chdir(tmp_path)
    for suffix in ("toml", "json"):
        (tmp_path / f"endless.{suffix}").symlink_to(ENDLESS)
        os.mkfifo(tmp_path / f"pipe.{suffix}")
    suffix = "json" if words[0] in ("explore", "validate", "report", "rerun") else "toml"
    assert _cli.run([*words, f"endless.{suffix}"]) == 2
    assert "it is a device, and no file" in capsys.readouterr().err
    assert _cli.run([*words, f"pipe.{suffix}"]) == 2
    assert "it is a named pipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "loop"),
    [
        (("read",), "loop.txt"),
        (("tlb",), "loop.txt"),
        (("gate",), "loop.toml"),
        (("explore",), "loop.py"),
        (("explore", "unshare-gup", "--patch"), "loop.py"),
        (("compare", "fork-storm", "--plugin"), "loop.py"),
        (("walk", "0", "--root", "0", "--format", "x86_64-4level", "--memory"), "loop.raw"),
        (("sweep", "sweep.toml", "--out"), "loop.csv"),
        (("explain", "fork-storm", "--perfetto"), "loop.json"),
        (("calibrate",), "loop.toml"),
        (("hunt", "--keep"), "loop"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else words,
)
def test_a_link_to_itself_is_told_as_what_it_is_and_stays(words, loop, tmp_path, monkeypatch, capsys):
    """It is there, so "no such file" would send people to look for a typing error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / loop).symlink_to(loop)
    assert _cli.run([*words, loop]) == 2
    assert f"{loop}: {inputs.CIRCULAR}" in capsys.readouterr().err
    assert (tmp_path / loop).is_symlink()


def test_a_pipe_without_a_name_is_read(tmp_path):
    """As a shell's `<(...)` makes it."""
    end, begin = os.pipe()
    os.write(begin, b"{}")
    os.close(begin)
    assert inputs.read_text(f"/dev/fd/{end}", "rows") == "{}"
    os.close(end)


def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b"12345")
    with pytest.raises(ShootdownError, match="it is larger than 0 MiB"):
        inputs.read_text(path, "rows", 4)
