"""Files of any size and state: packed, cut, damaged, binary, interrupted, and those that another command takes."""

from __future__ import annotations

import gzip
import lzma
from collections import Counter
from pathlib import Path

import pytest

from shootdown import _cli
from shootdown._questions.files import taken_by
from shootdown._questions.read import read
from shootdown._records.events_part import EventsPart
from shootdown._records.lines import LONGEST, Lines
from shootdown._records.values import REST, largest
from shootdown._values.errors import ShootdownError

ROOT = Path(__file__).parents[3]
INPUTS = ROOT / "tests" / "outputs" / "inputs"
EVENT = "a-1 [000] {}.000001: tlb_flush: pages:1 reason:remote ipi send (4)\n"
TRACE = "".join(EVENT.format(second) for second in range(1, 2000))


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_a_packed_recording_is_read_up_to_where_it_breaks_off(
    tmp_path: Path, suffix: str, pack: object
) -> None:
    assert callable(pack)
    data = pack(TRACE.encode())
    whole, cut = tmp_path / f"whole.txt{suffix}", tmp_path / f"cut.txt{suffix}"
    whole.write_bytes(data)
    cut.write_bytes(data[: len(data) * 3 // 4])
    (part,) = read(whole).parts
    assert isinstance(part, EventsPart)
    assert part.groups.whole == 1998
    found = read(cut)
    assert found.files[0].fault is not None
    assert 0 < found.files[0].understood < 1999


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_text_of_another_system_is_the_same(tmp_path: Path, coding: str) -> None:
    file = tmp_path / "trace.txt"
    text = TRACE.replace("\n", "\r\n")
    file.write_bytes(("\ufeff" + text if coding == "utf-16-be" else text).encode(coding))
    (part,) = read(file).parts
    assert isinstance(part, EventsPart)
    assert part.groups.whole == 1998


@pytest.mark.parametrize(
    "name", ["trace.txt", "interrupts-after.txt", "vmstat-after.txt", "stacks.json", "kernel.log"]
)
@pytest.mark.parametrize("before", ["    ", "> ", "> > "])
def test_lines_that_are_indented_or_quoted_in_a_mail_are_the_same(
    tmp_path: Path, name: str, before: str
) -> None:
    text = (INPUTS / "recorded" / name).read_text()
    file = tmp_path / "mail.txt"
    found = []
    for each in (
        text,
        "Hello,\n\n" + "".join(before + line for line in text.splitlines(keepends=True)) + "-- \nbye\n",
    ):
        file.write_text(each)
        found.append(read(file).to_dict()["parts"])
    assert found[0] == found[1]


def test_a_line_without_end_is_cut_and_counted_and_the_next_one_is_read(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    file.write_text(EVENT.format(1) + "x" * (3 << 20) + "\n" + EVENT.format(2) + EVENT.format(3))
    lines = Lines(file)
    sizes = [len(line) for line in lines]
    lines.close()
    assert (len(sizes), max(sizes), lines.cut) == (4, LONGEST, 1)
    (part,) = read(file).parts
    assert isinstance(part, EventsPart)
    assert part.of_reason(4) == 3


def test_zeros_of_a_gigabyte_packed_into_a_megabyte_take_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "bomb.gz"
    with gzip.open(file, "wb", compresslevel=1) as out:
        out.write(EVENT.format(1).encode())
        for _ in range(16):
            out.write(b"0" * (1 << 20))
    found = read(file)
    assert (found.files[0].lines, found.files[0].damaged) == (2, 1)


def test_what_was_read_before_ctrl_c_is_kept(tmp_path: Path) -> None:
    files = [tmp_path / "first.txt", tmp_path / "second.txt"]
    for file in files:
        file.write_text("".join(EVENT.format(second) for second in range(1, 9000)))
    calls = iter([None] * 4)  # the first file calls three times

    def stop(_: int) -> None:
        if next(calls, 1) == 1:
            raise KeyboardInterrupt

    found = read(files, progress=stop)
    assert [one.fault for one in found.files] == [None, "interrupted"]


def test_a_binary_file_is_refused_with_the_command_that_makes_a_text_of_it(tmp_path: Path) -> None:
    file = tmp_path / "trace.dat"
    file.write_bytes(b"\x17\x08\x44tracing6\0" + bytes(100))
    with pytest.raises(ShootdownError, match="trace-cmd report -i"):
        read(file)
    file.write_bytes(bytes(5000))
    with pytest.raises(ShootdownError, match="it is binary"):
        read(file)


@pytest.mark.parametrize(
    ("file", "words", "command"),
    [
        (INPUTS / "recorded" / "trace.txt", "a trace of events", "shootdown read"),
        (INPUTS / "recorded" / "interrupts-after.txt", "/proc/interrupts", "shootdown read"),
        (INPUTS / "recorded" / "vmstat-after.txt", "/proc/vmstat", "shootdown read"),
        (INPUTS / "recorded" / "stacks.json", "counts by stack of bpftrace", "shootdown read"),
        (INPUTS / "recorded" / "kernel.log", "a kernel log with lockups", "shootdown read"),
        (ROOT / "docs" / "examples" / "programs" / "drop.toml", "a program", "shootdown compare"),
        (ROOT / "docs" / "examples" / "lackey.txt", "a trace of addresses (lackey)", "shootdown tlb"),
        (INPUTS / "events.npy", "a trace of addresses (npy)", "shootdown tlb"),
        (INPUTS / "measured-few.jsonl", "measured rows", "shootdown validate"),
        (INPUTS / "story-message.json", "a saved story", "shootdown explore --replay"),
        (ROOT / "docs" / "examples" / "late_flush.py", "a scenario", "shootdown explore"),
    ],
)
def test_every_kind_of_file_is_known_by_the_command_that_takes_it(
    file: Path, words: str, command: str
) -> None:
    assert taken_by(file) == (words, f"{command} {file}")


def test_what_no_command_takes_has_none(tmp_path: Path) -> None:
    assert taken_by(tmp_path) is None
    assert taken_by(tmp_path / "none") is None
    assert taken_by(INPUTS / "ordinary.txt") is None


@pytest.mark.parametrize(
    "words",
    [
        ["tlb", "FILE"],
        ["validate", "FILE"],
        ["compare", "FILE"],
        ["explore", "FILE"],
        ["walk", "--memory", "FILE", "--format", "x86_64-4level", "--root", "0", "0x1000"],
        ["FILE"],
    ],
)
def test_other_commands_point_to_read(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    file = str(INPUTS / "recorded" / "interrupts-after.txt")
    assert _cli.run([file if word == "FILE" else word for word in words]) == 2
    assert f"{file} looks like /proc/interrupts: shootdown read {file}" in capsys.readouterr().err


def test_what_is_left_out_of_a_list_is_counted_once_and_last() -> None:
    """A trace of more tasks than are kept apart has others before the list is cut, too."""
    assert largest(Counter({REST: 9, "a": 1, "b": 3, "c": 2}), 2) == [("b", 3), ("c", 2), (REST, 10)]
    assert largest(Counter({REST: 9, "a": 1})) == [("a", 1), (REST, 9)]
    assert largest(Counter(a=1, b=2)) == [("b", 2), ("a", 1)]
