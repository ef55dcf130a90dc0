"""Programs as the runner takes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from shootdown._measure.bytecode import (
    _ADVICE,
    _KINDS,
    _OPS,
    _UNABLE,
    OP,
    Image,
    _Compiler,
    compile_program,
)
from shootdown._measure.shipped import shipped
from shootdown._programs.reading import read_file, read_values
from shootdown._programs.verbs import COMMANDS, IOCTLS, VERBS
from shootdown._values.errors import ShootdownError

HEADER = Path(__file__).parents[3] / "core" / "shootdown" / "_measure" / "runner" / "image.h"
GIB = 1 << 30


def program(do: list[str], kind: str = "anonymous", size: str = "64K", **more: Any) -> Image:
    memory = {"heap": {"kind": kind, "size": size}}
    tables = {"memory": memory, "process": {"A": {"do": do}, **more}}
    return compile_program(read_values(tables).chosen({}), cpus=4)


def parts(image: Image) -> dict[str, list[tuple[int, ...]]]:
    """Take an image apart, as image.h says it is made."""
    words = image.words
    found: dict[str, list[tuple[int, ...]]] = {"header": [words[:11]]}
    at = 11
    for name, count, width in zip(
        ("memories", "processes", "roles", "code", "pages"), words[1:6], (9, 6, 6, 8, 1), strict=True
    ):
        found[name] = [words[at + width * n : at + width * (n + 1)] for n in range(count)]
        at += width * count
    assert at == len(words)
    return found


def verbs(image: Image) -> list[str]:
    return [_OPS[one[0]] for one in parts(image)["code"]]


def test_numbers_are_those_of_the_runners_header() -> None:
    text = HEADER.read_text()
    enums = [re.sub(r"\s", "", body).strip(",").split(",") for body in re.findall(r"enum \{([^}]*)\}", text)]
    assert [name.lower() for name in enums[0]] == ["anonymous", "thp", "file_pages", "hugetlb"]
    assert len(enums[0]) == len(_KINDS)
    assert [name.removeprefix("OP_").lower() for name in enums[1]] == list(_OPS)
    assert list(OP.values()) == list(range(len(_OPS)))
    assert words_of("memory.c", r"known\[\] = ") == [f"MADV_{name}" for name in _ADVICE]
    assert words_of("asking.c", r"enum ") == list(IOCTLS)
    assert [
        name.removeprefix("MEMBARRIER_CMD_") for name in words_of("asking.c", r"barriers\[\] = ")
    ] == list(COMMANDS)


def words_of(file: str, before: str) -> list[str]:
    found = re.search(before + r"\{([^}]*)\}", HEADER.with_name(file).read_text())
    assert found is not None
    return [name.strip() for name in found[1].split(",")]


def test_each_statement_is_run_or_refused_with_its_reason() -> None:
    done = {*OP, *(name.removeprefix("_") for name in vars(_Compiler) if callable(getattr(_Compiler, name)))}
    assert set(VERBS) - done - set(_UNABLE) == {"migrate"}  # move_pages() or a soft offline


def test_a_big_endian_machine_gets_the_words_in_its_byte_order() -> None:
    image = program(["touch heap", "measure { munmap heap }"])
    little, big = image.content(big_endian=False), image.content(big_endian=True)
    assert little[:8] == image.words[0].to_bytes(8, "little")
    assert big[:8] == image.words[0].to_bytes(8, "big")
    assert len(little) == len(big) == 8 * len(image.words)


def test_statements_become_instructions_in_their_order() -> None:
    image = program(["touch heap", "measure { madvise heap[4K:8K] DONTNEED; munmap heap }"])
    assert verbs(image) == ["touch", "measure", "madvise", "munmap", "measured", "end"]
    code = parts(image)["code"]
    assert code[0][2:6] == (0, 64 << 10, 1, 4096)
    assert code[2][2:5] == (4096, 8192, _ADVICE.index("DONTNEED"))


def test_a_piece_of_each_moves_with_its_loop() -> None:
    image = program(["touch heap", "measure { each 16K of heap { mprotect it read } }"])
    assert verbs(image) == ["touch", "measure", "loop", "mprotect", "again", "measured", "end"]
    loop, call, again = parts(image)["code"][2:5]
    assert loop[1] == 4
    assert call[2:4] + call[6:] == (0, 16 << 10, 16 << 10, loop[7])
    assert again[1] == 3


def test_drawn_pages_are_listed() -> None:
    image = program(["touch heap random 5 seed 2", "measure { munmap heap }"])
    assert verbs(image)[0] == "touch_pages"
    pages = [page for (page,) in parts(image)["pages"]]
    assert len(pages) == 5
    assert all(page % 4096 == 0 and 0 <= page < 64 << 10 for page in pages)


def test_hugetlb_memory_has_a_table_of_the_level_above_for_itself() -> None:
    image = program(["touch heap every 1G", "measure { munmap heap }"], "hugetlb", "2G")
    (memory,) = parts(image)["memories"]
    assert memory[6] % (512 * GIB) == 0
    assert memory[7] == 512 * GIB
    assert image.huge_pages == 2


def test_a_forked_process_is_known_with_who_forks_it() -> None:
    image = program(
        ["touch heap", "fork B", "fork B", "wait B 2"], B={"do": ["move 2", "measure { touch heap }", "exit"]}
    )
    processes = parts(image)["processes"]
    assert [one[2] for one in processes] == [0, 1, 1]
    assert image.actor_forked
    assert image.forks == 0
    assert "reap" in verbs(image)


def test_forks_of_the_window_are_counted() -> None:
    image = program(["measure { repeat 3 { fork B; wait B } }"], B={"do": ["exit"]})
    assert (image.forks, image.actor_forked) == (3, False)


@pytest.mark.parametrize(
    ("do", "why"),
    [
        (["touch heap"], "measures nothing"),
        (["touch heap", "measure { reclaim heap }"], "a kernel reclaims what it likes"),
        (["touch heap", "measure { gup heap }"], "GUP-fast alone"),
        (["touch heap", "measure { other 5us; munmap heap }"], "what is not modelled"),
    ],
)
def test_what_no_kernel_can_be_made_to_do_is_refused_with_its_reason(do: list[str], why: str) -> None:
    with pytest.raises(ShootdownError, match=why):
        program(do)


def test_a_program_says_if_it_needs_swap_or_a_second_node() -> None:
    neither = program(["touch heap", "measure { madvise heap FREE }"])
    swaps = program(["touch heap", "measure { madvise heap PAGEOUT }"])
    migrates = program(["touch heap", "measure { migrate heap }"])
    assert [(one.swaps, one.migrates) for one in (neither, swaps, migrates)] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    assert verbs(migrates)[2] == "move_pages"


def test_places_count_from_the_page_table_that_an_offset_is_told_from() -> None:
    tables = {
        "memory": {"heap": {"kind": "anonymous", "size": "64K", "offset": "16K"}},
        "process": {"A": {"do": ["touch heap", "measure { munmap heap[0:4K] }"]}},
    }
    found = parts(compile_program(read_values(tables).chosen({}), cpus=4))
    (memory,) = found["memories"]
    assert memory[6] % (2 << 20) == 0
    assert memory[8] == 16 << 10
    assert found["code"][2][2:4] == (16 << 10, 20 << 10)


def test_a_private_mapping_is_of_a_file_and_not_shared() -> None:
    tables = {
        "memory": {"data": {"kind": "file", "size": "64K", "shared": False}},
        "process": {"A": {"do": ["touch data read", "measure { touch data write }"]}},
    }
    (memory,) = parts(compile_program(read_values(tables).chosen({}), cpus=4))["memories"]
    assert (_KINDS[memory[0]], memory[2]) == ("file", 0)


def test_what_a_monitor_and_a_barrier_are_asked_for_is_told() -> None:
    image = program(["touch heap", "measure { userfaultfd heap WRITEPROTECT; membarrier GLOBAL }"])
    code = parts(image)["code"]
    assert verbs(image)[2:4] == ["userfaultfd", "membarrier"]
    assert (code[2][4], code[3][4]) == (list(IOCTLS).index("WRITEPROTECT"), list(COMMANDS).index("GLOBAL"))


def test_more_pages_than_the_runner_moves_at_once_are_refused() -> None:
    with pytest.raises(ShootdownError, match="4,096 pages at most are moved at once"):
        program(["touch heap", "measure { migrate heap }"], size="32M")


def test_only_a_parent_waits_for_its_child() -> None:
    with pytest.raises(ShootdownError, match="only A, which forked it"):
        program(
            ["fork B", "sleep"],
            B={"do": ["exit"]},
            C={"do": ["wait B", "measure { work 1us }"]},
        )


@pytest.mark.parametrize("file", shipped(), ids=lambda path: path.stem)
def test_every_shipped_program_can_be_measured(file: Path) -> None:
    source = read_file(file)
    assert verbs(compile_program(source.chosen({}), cpus=4)).count("measure") == 1
