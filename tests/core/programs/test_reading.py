"""A program is read from TOML or from values in Python; a mistake is one line that names file, line and key."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shootdown._programs.program import Pattern, Place
from shootdown._programs.reading import read_file, read_values
from shootdown._programs.shipped import scenario_files, shipped
from shootdown._programs.verbs import VERBS
from shootdown._values.errors import ShootdownError

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "docs" / "examples" / "programs").glob("*.toml"))

GOOD = """\
[memory]
heap = { kind = "anonymous", size = "2M" }
pool = { kind = "hugetlb", size = "4G" }

[process.A]
do = [
  "touch heap",
  "measure { madvise heap[0:4K] DONTNEED }",
]

[process.A.thread.other]
count = 3
do = "spin"
"""


def read(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return read_file(file).program({})


def refusal(tables: Any) -> str:
    """Return what the reader says against values, or nothing."""
    try:
        read_values(tables)
    except ShootdownError as error:
        return str(error)
    return ""


def test_statements_become_values(tmp_path: Path) -> None:
    text = GOOD.replace(
        '"touch heap"', '"touch heap[4K:8K] read every 4K; work 10us; repeat 3 { touch heap }"'
    )
    first, work, again, _ = read(tmp_path, text).processes["A"].threads[0].body
    assert (first.verb, first.word, first.place) == ("touch", "read", Place("heap", 4096, 8192))
    assert first.pattern == Pattern("every", 4096)
    assert work.number == 10_000
    assert (again.number, [one.verb for one in again.body]) == (3, ["touch"])


def test_a_text_of_several_lines_is_statements_with_comments(tmp_path: Path) -> None:
    text = GOOD.replace('do = "spin"', 'do = """\ntouch heap  # all of it\nspin\n"""')
    body = read(tmp_path, text).processes["A"].threads[1].body
    assert [one.verb for one in body] == ["touch", "spin"]


def test_it_is_a_piece_of_the_place_of_each(tmp_path: Path) -> None:
    text = GOOD.replace('"touch heap"', '"each 64K of heap[0:1M] { touch it; madvise it DONTNEED }"')
    each = read(tmp_path, text).processes["A"].threads[0].body[0]
    assert {one.place for one in each.body} == {Place("heap", 0, 1 << 20, 65536)}


def test_parameters_stand_for_their_values(tmp_path: Path) -> None:
    text = '[parameters]\nmany = 3\nsize = "2M"\n' + GOOD.replace('"2M"', '"$size"').replace(
        "= 3\ndo", '= "$many"\ndo'
    )
    file = tmp_path / "mine.toml"
    file.write_text(text)
    found = read_file(file).program({"many": 5, "size": "4M"})
    assert found.processes["A"].threads[1].count == 5
    assert found.memory["heap"].size == 4 << 20
    with pytest.raises(ShootdownError, match=r"size: '3' for \$many is no size such as 4K"):
        read(tmp_path, text.replace('"$size"', '"$many"'))


def test_a_process_may_be_nothing_but_its_further_threads() -> None:
    found = read_values({"process": {"A": {"thread": {"worker": {"cpu": 1, "do": "spin"}}}}}).program({})
    assert [thread.name for thread in found.processes["A"].threads] == ["worker"]
    forked = {"A": {"do": "fork B"}, "B": {"thread": {"worker": {"do": "spin"}}}}
    assert "it is forked, so it has `do`" in refusal({"process": forked})


def test_values_in_python_have_the_form_of_a_file() -> None:
    found = read_values(
        {"memory": {"heap": {"size": "4K"}}, "process": {"A": {"do": ["touch heap", "spin"]}}}
    )
    assert [one.verb for one in found.program({}).processes["A"].threads[0].body] == ["touch", "spin"]


@pytest.mark.parametrize(
    "path", [*EXAMPLES, *shipped().values(), *scenario_files().values()], ids=lambda path: path.stem
)
def test_each_example_and_each_shipped_program_can_be_read(path: Path) -> None:
    assert read_file(path).summary != ""


MISTAKES = {
    "touch heap": {
        "tuoch heap": "line 7, process.A.do: there is no statement 'tuoch'; nearest: touch",
        "touch heep": "there is no memory 'heep'; nearest: heap",
        "touch": "`touch` lacks its memory; it is written: touch PLACE",
        "touch heap[0:4M]": "heap has the bytes 0 to 2M",
        "touch heap[4K:4K]": "heap has the bytes 0 to 2M",
        "touch heap[0:5000]": "its ends are multiples of 4K",
        "touch heap[a:b]": "its ends are sizes such as 4K or 2M",
        "touch heap!": "is no place such as heap or heap",
        "touch heap twice": "'twice' is left over; it is written",
        "touch heap every 1K": "a multiple of 4K",
        "touch heap random": "lacks a number of pages",
        "touch heap random 0": "is no number from 1",
        "reclaim heap by magic": "'magic' is none of kswapd",
        "exec heap": "'heap' is left over",
        "membarrier EXPEDITED": "is no command; nearest: PRIVATE_EXPEDITED",
        "madvise heap COLD": "MADV_COLD is not modelled",
        "madvise heap DONTNED": "is no advice; nearest: DONTNEED",
        "mprotect heap": "`mprotect` lacks read or write",
        "mprotect heap exec": "'exec' is none of read, write",
        "mremap pool[0:1G]": "`mremap` is for a whole memory",
        "truncate pool[0:1G]": "what is truncated goes up to the end; `punch` takes a part away",
        "each 4K of heap { truncate it }": "a file is not truncated piece by piece",
        "work": "`work` lacks a time",
        "work 10": "is no time such as 500ns",
        "wait nobody": "nobody signals 'nobody'",
        "signal A": "A is a process",
        "fork B": "there is no process 'B'",
        "fork A": "a process can't fork itself",
        "start somebody": "process A has no thread 'somebody'",
        "lock a": "a is locked, and never unlocked",
        "unlock a": "does not hold a",
        "lock a; lock a": "holds a already",
        "repeat 3": "`repeat` lacks its braces",
        "repeat 3 {": "the braces of `repeat` are not closed",
        "repeat 3 { }": "the braces of `repeat` are empty",
        "repeat 0 { touch heap }": "is no number from 1",
        "repeat 3 { exit }": "`exit` can't be repeated",
        "touch heap }": "} closes what no { opened",
        "measure { touch heap }": "one statement is measured",
        "spin; touch heap": "nothing can follow `spin`",
        "each 4K of pool { touch it }": "`each` is not for hugetlb memory",
        "each 3M of heap { touch it }": "are no whole pieces",
        "touch it": "there is no memory 'it'",
        "move": "`move` lacks a CPU",
        "touch $size": "there is no parameter $size",
    },
    'kind = "anonymous"': {
        'kind = "anonymus"': "memory.heap.kind: there is no kind 'anonymus'; nearest: anonymous",
        "kind = 7": "there is no kind",
        'knid = "thp"': "[memory.heap] has no 'knid'; nearest: kind",
        "shared = true": "only hugetlb and file memory has it",
        "alone = 3": "it is true or false, not 3",
        'each = "cpu"': "it is process or thread, not 'cpu'",
    },
    '"2M"': {
        '"2000"': "is no size such as 4K",
        '"0K"': "is no size such as 4K",
        '"many"': "is no size such as 4K",
        "true": "is no size such as 4K",
        '"512T"': "256T at most",
    },
    '"4G"': {'"1G3M"': "is no size", '"1K"': "is no size such as 4K", '"4K"': "is no multiple of 2M"},
    "count = 3": {
        "count = 0": "it is a number from 1",
        "count = 3.5": "it is a number from 1",
        "count = true": "it is a number from 1",
        "cuont = 3": "has no 'cuont'; nearest: count",
        "cpu = -1": "it is a number from 0",
    },
    'do = "spin"': {
        'does = "spin"': "has no 'does'; nearest: do",
        "do = 3": "it is a text, or a list of texts",
        "do = []": "it is a text, or a list of texts",
        'do = [["spin"]]': "it is a text, or a list of texts",
    },
    "measure { madvise heap[0:4K] DONTNEED }": {"measure { spin }": "nothing would be measured"},
    "[process.A]": {
        "[proces.A]": "line 5, proces: a program has no 'proces'; nearest: process",
        '[process."A B"]': "a name is letters, digits",
        "[[process.A]]": "it is a table",
    },
}


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [(good, bad, told) for good, each in MISTAKES.items() for bad, told in each.items()],
)
def test_a_mistake_is_one_line_that_says_what_was_written_and_what_there_is(
    tmp_path: Path, good: str, bad: str, told: str
) -> None:
    assert good in GOOD
    with pytest.raises(ShootdownError) as error:
        read(tmp_path, GOOD.replace(good, bad, 1))
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert "mine.toml" in str(error.value)


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "it is no UTF-8 text"),
        (lambda path: path.write_text("a = "), "it is no TOML"),
        (lambda path: path.write_text("#" * (2 << 20)), "it is larger than 1 MiB"),
        (lambda path: path.write_text(""), "a program has a process"),
        (lambda path: path.write_text("process = 3"), "it is a table"),
        (lambda path: path.write_text("a = " + "[" * 5000), "it is no TOML"),
    ],
)
def test_a_file_that_is_no_program_is_named(
    tmp_path: Path, write: Callable[[Path], object], told: str
) -> None:
    file = tmp_path / "mine.toml"
    write(file)
    with pytest.raises(ShootdownError, match=told):
        read_file(file)


_WORDS = st.sampled_from(
    [*VERBS, "heap", "heap[0:4K]", "pool", "it", "{", "}", ";", "3", "4K", "10us", "of", "read", "write", "A", "go",
     "DONTNEED", "every", "random", "seed", "for", "$x", "heap[", "[0:4K]", "-1", "", "é", "#"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(_WORDS, max_size=12).map(" ".join))
def test_any_words_are_a_program_or_one_line(words: str) -> None:
    """Sentences of the language's own words, in any order."""
    tables = {
        "memory": {"heap": {"size": "2M"}, "pool": {"kind": "hugetlb", "size": "4G"}},
        "process": {"A": {"do": [words]}},
    }
    assert "\n" not in refusal(tables)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["2M", "thp"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_value_in_the_place_of_another_is_a_program_or_one_line(data: st.DataObject) -> None:
    tables: Any = {
        "summary": "x",
        "parameters": {"n": 3},
        "memory": {"heap": {"kind": "anonymous", "size": "2M", "alone": True, "each": "process"}},
        "process": {"A": {"cpu": 0, "do": ["touch heap"], "thread": {"b": {"count": "$n", "do": "spin"}}}},
    }
    tables = copy.deepcopy(tables)
    at = tables
    while True:
        key = data.draw(st.sampled_from(sorted(at)))
        if isinstance(at[key], dict) and data.draw(st.booleans()):
            at = at[key]
            continue
        at[key] = data.draw(_VALUES)
        break
    assert "\n" not in refusal(tables)


def test_a_key_that_is_no_line_of_text_is_told_in_a_line() -> None:
    told = refusal({"memory": {"a\nb": {"size": "4K"}}, "process": {"A": {"do": "spin"}}})
    assert told.startswith(r"program, memory.'a\nb': a name is")


def test_the_reference_has_each_statement_as_the_reader_has_it() -> None:
    page = (ROOT / "docs" / "programs.md").read_text()
    shown = page.partition("verbs.py -->\n")[2].partition("<!-- statements end")[0].splitlines()[2:]
    assert shown == ["| `" + verb.form.replace("|", "\\|") + f"` | {verb.says} |" for verb in VERBS.values()]


def test_a_call_on_hugetlb_memory_that_nobody_touches_is_told_with_its_place() -> None:
    values = {"memory": {"pool": {"kind": "hugetlb", "size": "1G"}}, "process": {"A": {"do": "munmap pool"}}}
    with pytest.raises(ShootdownError, match=r"process\.A\.do: `munmap pool`: no statement touches pool"):
        read_values(values)
