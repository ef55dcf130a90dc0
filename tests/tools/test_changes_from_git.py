"""Rows are proposed from the log of a tree: which point release got which commit that the tables have."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import changes_from_git
from shootdown._values.left_out import LEFT_OUT
from shootdown._values.series import BY_NAME

if TYPE_CHECKING:
    from conftest import Tree

PROGRAM = Path(__file__).parents[2] / "tools" / "changes_from_git.py"
GATHER = "8ce720d5bd91"  # in 6.12.74, says the table of mm
FULL = GATHER + "0123456789" * 2 + "abcdef01"
SUBJECT = "mm/hugetlb: fix excessive IPI broadcasts when unsharing PMD tables using mmu_gather"
UPSTREAM = f"{SUBJECT}\n\ncommit {FULL} upstream.\n"


def asked(capsys: pytest.CaptureFixture[str], tree: Tree, *words: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the answer to a question."""
    status = changes_from_git.main([str(tree.path), *(words or ("v6.12..HEAD",)), "--json"])
    return status, json.loads(capsys.readouterr().out)


def row(answer: dict[str, Any], commit: str = GATHER) -> dict[str, Any]:
    """Return the only row about a commit."""
    (only,) = [one for one in answer["rows"] if one["commit"] == commit]
    return dict(only)


def test_a_row_that_the_log_has_where_the_table_has_it_agrees(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.commit("Linux 6.12.73", tag="v6.12.73")
    sha = tree.commit(UPSTREAM)
    tree.commit("Linux 6.12.74", tag="v6.12.74")
    status, answer = asked(capsys, tree)
    assert status == 0
    assert (row(answer)["status"], row(answer)["release"], row(answer)["sha"]) == ("agrees", "6.12.74", sha)
    assert (answer["commits"], answer["further"], answer["newer"]) == (3, [], [])


@pytest.mark.parametrize(
    "line",
    [
        f"commit {FULL} upstream.",
        f"Commit {FULL} upstream",
        f"[ Upstream commit {FULL} ]",
        f"Upstream commit {FULL}.",
        f"  commit {FULL} upstream.",
        f"[ upstream commit {FULL[:14]} ]",
        f"(cherry picked from commit {FULL})",
        f"(backported from commit {FULL})".strip("()"),
    ],
)
def test_each_way_in_which_a_backport_names_its_commit_is_known(
    tree: Tree, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    tree.commit(f"another subject\n\n{line}\n\nWhy.\n", tag="v6.12.74")
    assert row(asked(capsys, tree)[1])["status"] == "agrees"


def test_a_commit_that_is_only_spoken_of_is_no_backport(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.commit(
        f"another\n\nAs since commit {FULL} upstream does that, too,\nthis does it.\n", tag="v6.12.70"
    )
    assert asked(capsys, tree)[1]["rows"] == []


def test_another_release_than_the_tables_differs_and_the_row_is_written_anew(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.commit(UPSTREAM, tag="v6.12.73")
    status, answer = asked(capsys, tree)
    assert status == 1
    assert (row(answer)["status"], row(answer)["release"], row(answer)["known"]) == (
        "differs",
        "6.12.73",
        "6.12.74",
    )
    assert [line.partition("stable=")[2] for line in answer["stable"]] == [
        '{"5.10": 253, "5.15": 203, "6.1": 167, "6.6": 127, "6.12": 73, "6.18": 13},'
    ]


def test_a_series_that_a_row_does_not_name_is_new(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.commit(UPSTREAM, tag="v6.13.12")
    assert (row(asked(capsys, tree)[1])["status"], row(asked(capsys, tree)[1])["beyond"]) == ("new", False)


def test_a_release_beyond_the_newest_known_says_so(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    beyond = f"6.12.{BY_NAME['6.12'].newest + 2}"
    tree.commit(UPSTREAM, tag=f"v{beyond}")
    status, answer = asked(capsys, tree)
    assert (status, row(answer)["beyond"], answer["newer"]) == (1, True, [beyond])


def test_a_release_without_the_commit_that_the_table_has_there_is_said(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.commit("Linux 6.12.74", tag="v6.12.74")
    status, answer = asked(capsys, tree)
    assert status == 1
    assert (row(answer)["status"], row(answer)["known"]) == ("not found", "6.12.74")


def test_what_the_table_leaves_open_is_settled(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    collapse = "f0293cd1f4fc"  # riscv: whether 6.1 has it is unverified
    tree.commit(f"x\n\ncommit {collapse}{'0' * 28} upstream.\n", tag="v6.1.20")
    assert (row(asked(capsys, tree)[1], collapse)["status"]) == "settles"


def test_a_backport_that_was_reverted_says_so_and_a_second_one_counts(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tree.commit(UPSTREAM, tag="v6.12.72")
    # The second line begins as a backport does.
    tree.commit(
        f'Revert "mm"\n\nThis reverts commit {first} which is\ncommit {FULL} upstream.\n', tag="v6.12.73"
    )
    answer = asked(capsys, tree)[1]
    assert (row(answer)["status"], row(answer)["remark"]) == (
        "reverted",
        "6.12.72 has it, reverted in 6.12.73",
    )


def test_a_commit_of_mainline_is_in_the_first_candidate_that_contains_it(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.git("checkout", "--quiet", "-b", "topic")
    tree.commit(UPSTREAM)
    tree.git("checkout", "--quiet", "master")
    tree.commit("Linux 6.19-rc6", tag="v6.19-rc6")
    tree.git("merge", "--quiet", "--no-ff", "-m", "Merge", "topic")
    tree.commit("Linux 6.19-rc7", tag="v6.19-rc7")
    tree.commit("Linux 6.19", tag="v6.19")
    tree.commit("Linux 6.19.1", tag="v6.19.1")
    answer = asked(capsys, tree)[1]
    assert (row(answer)["status"], row(answer)["release"]) == ("agrees", "6.19-rc7")


def test_a_row_whose_commit_is_another_in_the_tree_is_found_by_its_subject(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "feed" * 10
    tree.commit(f"{SUBJECT}\n\ncommit {other} upstream.\n", tag="v6.12.74")
    assert row(asked(capsys, tree)[1])["remark"] == f"found by its subject: it names {other[:12]} upstream"


def test_a_commit_after_the_last_tag_is_in_no_release_yet(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.commit("Linux 6.12.70", tag="v6.12.70")
    tree.commit(UPSTREAM)
    assert asked(capsys, tree)[1]["rows"] == []
    tree.commit(f"fix\n\nFixes: {GATHER} (x)\n")
    assert asked(capsys, tree)[1]["further"][0]["releases"] == [changes_from_git.AFTER]


def test_a_fix_of_a_commit_that_a_table_has_is_proposed_once_for_all_series(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    body = f"mm: mend it\n\n[ Upstream commit {'ab' * 20} ]\n\nFixes: {GATHER} (x)\n"
    tree.commit(body, tag="v6.12.80")
    tree.git("checkout", "--quiet", "-b", "other", "v6.12")
    tree.commit(f"{body}Another line\n", tag="v6.6.130")
    status, answer = asked(capsys, tree, "v6.12..master", "v6.12..other")
    assert status == 1
    (fix,) = answer["further"]
    assert (fix["commit"], fix["why"], sorted(fix["releases"])) == (
        "ab" * 6,
        [f"fixes {GATHER}"],
        ["6.12.80", "6.6.130"],
    )


def test_paths_propose_what_touches_them_but_not_what_was_left_out(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.commit("mm: gather otherwise", "mm/mmu_gather.c", "mm/vmscan.c")
    tree.commit("riscv: flush less", "arch/riscv/mm/tlbflush.c")
    tree.commit("drivers: whatever", "drivers/tlb.c")
    tree.commit(next(one for one in LEFT_OUT if one.first != "posted").subject, "mm/hugetlb.c")
    tree.commit("Linux 6.12.80", tag="v6.12.80")
    assert asked(capsys, tree)[1]["further"] == []
    answer = asked(capsys, tree, "v6.12..HEAD", "--paths")[1]
    assert {one["subject"]: one["why"] for one in answer["further"]} == {
        "riscv: flush less": ["arch/riscv/mm/tlbflush.c"],
        "mm: gather otherwise": ["mm/mmu_gather.c"],
    }
    assert len(answer["left_out"]) == 1


def test_the_report_says_unverified_until_read(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.commit(UPSTREAM, tag="v6.12.73")
    assert changes_from_git.main([str(tree.path), "v6.12..HEAD"]) == 1
    said = capsys.readouterr().out
    assert "unverified until read" in said
    assert "differs  mm     8ce720d5bd91  6.12.73" in said
    assert 'mm 8ce720d5bd91: stable={"5.10": 253' in said


def test_a_bare_tree_reads_as_its_original(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.commit(UPSTREAM, tag="v6.12.74")
    bare = tree.path.parent / "linux.git"
    tree.git("clone", "--quiet", "--bare", str(tree.path), str(bare))
    assert changes_from_git.main([str(bare), "v6.12..master"]) == 0


def test_a_shallow_tree_is_told(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.commit(UPSTREAM, tag="v6.12.74")
    shallow = tree.path.parent / "shallow"
    tree.git("clone", "--quiet", "--depth=1", f"file://{tree.path}", str(shallow))
    tree.git("fetch", "--quiet", "--depth=1", "--tags", at=shallow)
    changes_from_git.main([str(shallow), "HEAD"])
    assert "shallow" in capsys.readouterr().err


def test_a_range_without_tags_is_told(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.commit(UPSTREAM)
    assert changes_from_git.main([str(tree.path), "v6.12..HEAD"]) == 0
    assert "no tag of a release" in capsys.readouterr().err


def test_what_cannot_be_read_is_one_line_and_status_2(
    tree: Tree, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = tree.path / "folder"  # in a git tree, but none
    inside.mkdir()
    for path, span, why in (
        (tmp_path / "nowhere", "HEAD", "no such folder"),
        (inside, "HEAD", "not a git tree"),
        (tree.path, "v6.12..v9.9", "no range 'v6.12..v9.9'"),
        (tree.path, "--all", "no range '--all'"),
    ):
        assert changes_from_git.main(["--json", "--", str(path), span]) == 2
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n"), why in said.err) == ("", 1, True), said


def test_without_git_it_says_so(tree: Tree, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert changes_from_git.main([str(tree.path), "HEAD"]) == 2
    assert "git is not installed" in capsys.readouterr().err


def test_it_runs_from_any_folder(tree: Tree) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tree.path), "HEAD"],
        cwd=tree.path.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 commits read")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_is_kept_does_not_grow_with_the_log(tree: Tree) -> None:
    lines = []
    for number in range(4_000):
        body = f"commit {number}\n\n{'words ' * 1000}\n"
        lines.append(f"commit refs/heads/long\ncommitter a <a@b> {number} +0000\ndata {len(body)}\n{body}\n")
    subprocess.run(
        ("git", "fast-import", "--quiet"),
        input="".join(lines).encode(),
        cwd=tree.path,
        check=True,
        env=os.environ,
    )
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]); import changes_from_git as it; "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; it.main(sys.argv[2:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(PROGRAM.parent), str(tree.path), "long"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("4000 commits read")
    # The log is 24 MB; the plugins that it loads take some, too.
    assert int(done.stderr.splitlines()[-1]) < 16_000


def test_every_row_but_those_of_proposals_is_looked_for() -> None:
    rows = changes_from_git.rows_known()
    assert {row.table for row in rows} >= {"mm", "x86", "arm64", "powerpc"}
    assert all(row.change.proposal is None for row in rows)
