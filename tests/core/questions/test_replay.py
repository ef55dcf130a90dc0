"""A recording becomes a program: run where it came from it sends what was recorded, and a person can edit it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import shootdown
from shootdown import _cli
from shootdown._questions.read import read
from shootdown._questions.replay import distance, prepare, run, source_of
from shootdown._questions.replay_plan import MOST, plan
from shootdown._values.errors import ShootdownError

Write = Callable[[str], Path]

#: Each shootdown: path, pages and CPUs that answer.
ALONE = (("migration", 1, 2), ("reclaim", -1, 3), ("truncate", 2, 1), ("mkclean", 1, 2))
KINDS = (("munmap", 3, 2), ("madvise", 1, 1), ("mprotect", 2, 3), ("COW", 1, 2), ("fork", -1, 2), ("", 40, 3))
_STACKS = {
    "munmap": "__x64_sys_munmap",
    "madvise": "do_madvise",
    "mprotect": "mprotect_fixup",
    "COW": "wp_page_copy",
    "fork": "dup_mmap",
    "mkclean": "folio_mkclean",
    "migration": "try_to_migrate_one",
    "reclaim": "arch_tlbbatch_flush",
    "truncate": "unmap_mapping_range",
    "khugepaged": "collapse_huge_page",
}


def trace(kinds: tuple[tuple[str, int, int], ...], times: int = 1) -> str:
    """Write a trace of a kernel since 5.13 in which each kind of shootdown comes so often."""
    lines, now = ["cpus=6"], 1_000_000
    for _ in range(times):
        for path, pages, targets in kinds:
            now += 500

            def line(cpu: int, after: int, reason: str, pages: int = pages, now: int = now) -> str:
                time = f"{(now + after) // 10**6}.{(now + after) % 10**6:06}"
                return f" app-{90 + cpu} [{cpu:03}] d..2. {time}: tlb_flush: pages:{pages} reason:{reason}"

            lines.append(line(0, 0, "remote ipi send (4)"))
            if path:
                lines += [" => native_flush_tlb_multi+0x1/0x9", f" => {_STACKS[path]}+0x1/0x9"]
            lines.append(line(0, 1, "local mm shootdown (3)"))
            lines += [line(cpu, 2 + cpu, "remote shootdown (1)") for cpu in range(1, targets + 1)]
    lines.append(
        f" app-90 [000] d..2. {now // 10**6 + 9}.000000: tlb_flush: pages:0 reason:flush on task switch (0)"
    )
    return "\n".join(lines) + "\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def of(text: str) -> Path:
        file = tmp_path / "trace.txt"
        file.write_text(text)
        return file

    return of


@pytest.mark.parametrize("kind", [*KINDS, *ALONE], ids=[kind[0] or "untold" for kind in (*KINDS, *ALONE)])
def test_each_path_sends_where_it_came_from_what_was_recorded(
    write: Write, kind: tuple[str, int, int]
) -> None:
    ready = prepare([write(trace((kind,), 4))])
    rows = run(ready)
    found = distance(ready, rows[0])
    assert found is not None
    assert (found.recorded, found.model) == (4 * kind[2], 4 * kind[2])
    assert rows[0].workload == "replay"


def test_all_paths_of_one_trace_are_one_program(write: Write) -> None:
    ready = prepare([write(trace(KINDS, 2))])
    assert {(one.path, one.targets, one.times) for one in ready.plan.statements} == {
        (path, targets, 2) for path, _, targets in KINDS
    }
    found = distance(ready, run(ready)[0])
    assert found is not None
    assert found.recorded == found.model == 2 * sum(targets for _, _, targets in KINDS)


def test_many_of_a_kind_are_fewer_in_the_program_and_it_says_so(write: Write) -> None:
    recording = read(write(trace((("madvise", 1, 1),), 2 * MOST)))
    made = plan(recording)
    (one,) = made.statements
    assert (one.recorded, one.times, made.share) == (2 * MOST, MOST, 2.0)
    assert f"{2 * MOST} shootdowns of the recording are {MOST} here" in made.text


def test_what_has_no_statement_is_left_out_with_its_reason(write: Write) -> None:
    made = plan(read(write(trace((("khugepaged", 1, 1), ("munmap", 1, 1)), 3))))
    assert made.left_out == (
        (
            "khugepaged",
            3,
            "how much of a huge page was mapped is not in a recording: write a program with khugepaged",
        ),
    )
    assert "Left out: 3 of khugepaged" in made.text
    with pytest.raises(ShootdownError, match="write a program with khugepaged"):
        plan(read(write(trace((("khugepaged", 1, 1),)))))


def test_what_needs_memory_of_its_own_is_left_out_beside_fork(write: Write) -> None:
    alone = plan(read(write(trace(ALONE))))
    assert {one.path for one in alone.statements} == {"migration", "reclaim", "truncate", "mkclean"}
    beside = plan(read(write(trace((*ALONE, ("COW", 1, 2))))))
    assert {one.path for one in beside.statements} == {"truncate", "mkclean", "COW"}
    assert beside.left_out == (
        ("migration and reclaim", 2, "memory that fork() shares is not migrated or reclaimed here"),
    )


def test_the_program_is_a_file_that_compare_takes(write: Write, tmp_path: Path) -> None:
    file = tmp_path / "program.toml"
    assert _cli.run(["replay", str(write(trace(KINDS))), "--write", str(file)]) == 0
    (row,) = shootdown.compare(str(file), arch=["x86"], kernels=["7.0"], cpus=[8])
    assert row.counts["flush_ipis"] == sum(targets for _, _, targets in KINDS)
    assert tomllib.loads(file.read_text())["summary"] == "a replay of trace.txt"


def test_a_program_that_somebody_edited_is_not_written_over(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "program.toml"
    file.write_text("edited")
    assert _cli.run(["replay", str(write(trace(KINDS))), "--write", str(file)]) == 2
    assert "there is such a file already" in capsys.readouterr().err
    assert file.read_text() == "edited"


def test_other_architectures_and_what_ifs_are_further_rows(write: Write) -> None:
    ready = prepare(
        [write(trace((("munmap", 1, 2),)))], platforms=["intel-server", "neoverse-v2"], kernels=["7.0"]
    )
    rows = run(ready)
    assert [(row.arch, row.kernel, row.counts["flush_ipis"]) for row in rows] == [
        ("x86", "6.18.55", 2),
        ("x86", "7.0", 2),
        ("arm64", "7.0", 0),
    ]
    assert rows[2].counts["broadcast_invalidations"] == 1


def test_more_cpus_reach_as_large_a_part_of_them_if_asked(write: Write) -> None:
    file = write(trace((("munmap", 1, 2),), 3))
    for grow, targets in ((False, 2), (True, 4)):
        rows = run(prepare([file], cpus=[11], grow=grow))
        assert rows[-1].counts["flush_ipis"] == 3 * targets


def test_what_a_recording_does_not_tell_is_a_parameter_and_nothing_else_is(tmp_path: Path) -> None:
    file = tmp_path / "stacks.txt"
    file.write_text("@[\n    native_flush_tlb_multi+1\n    do_madvise+9\n    __x64_sys_madvise+1\n]: 5\n")
    ready = prepare([file], parameters={"targets": "3", "pages": "8K"})
    rows = run(ready)
    assert rows[0].counts["flush_ipis"] == 15
    assert distance(ready, rows[0]) is None
    with pytest.raises(ShootdownError, match="-p threads: this replay has targets and pages"):
        prepare([file], parameters={"threads": "3"})


def test_where_it_came_from_is_told_by_the_recording_or_by_a_person(write: Write) -> None:
    recording = read(write(trace(KINDS)))
    told = source_of(recording)
    assert (told.arch, told.platform, told.kernel, told.cpus) == ("x86", "intel-server", "6.18.55", 6)
    assert any("6.18.55 is the newest release" in remark for remark in told.remarks)
    said = source_of(recording, "amd-server@6.1.158")
    assert (said.platform, said.kernel, said.remarks) == ("amd-server", "6.1.158", ())
    with pytest.raises(ShootdownError, match="there is no platform 'cray'"):
        source_of(recording, "cray@6.1")


@pytest.mark.parametrize(
    ("named", "kernel"),
    [
        ("6.1.158", "6.1.158"),
        ("6.12.57+deb13-amd64", "6.12.57"),
        ("6.10.0-rc5", "6.10-rc5"),
        ("6.8.0-51-generic", "6.8.12"),
    ],
)
def test_a_release_that_the_recording_names_is_where_it_came_from(
    tmp_path: Path, named: str, kernel: str
) -> None:
    file = tmp_path / "report.txt"
    file.write_text(f"# os release : {named}\n 60.0% pages:1 reason:remote ipi send (4)\n")
    found = source_of(read(file))
    assert found.kernel == kernel
    assert any(named in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--write", "program.txt"], "a program's name ends in .toml"),
        (["--grow"], "--grow goes with --cpus"),
        (["-p", "pages=4K"], "what a recording tells is no parameter"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(
    write: Write, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _cli.run(["replay", str(write(trace(KINDS))), *words]) == 2
    assert message in capsys.readouterr().err
