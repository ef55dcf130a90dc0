"""The lines of kernel functions are read from a tree or an archive of one, and nothing else of it is kept."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

import lines_from_tree
from shootdown._values.source_lines import known_releases, place

CODE = """\
/* huge_pmd_unshare(mm) is only named here */
int huge_pmd_unshare(struct mm_struct *mm, struct vm_area_struct *vma,
\t\t     unsigned long addr);
static void caller(void)
{
\thuge_pmd_unshare(mm, vma, addr);
}
#define huge_pmd_share(mm) \\
\tdo_it(mm)
int huge_pmd_unshare(struct mm_struct *mm, struct vm_area_struct *vma,
\t\t     unsigned long addr)
{
}
#else
int huge_pmd_unshare(struct mm_struct *mm, struct vm_area_struct *vma, unsigned long addr) { return 0; }
SYSCALL_DEFINE2(munmap, unsigned long, addr, size_t, len)
{
}
"""
NAMES = {"huge_pmd_unshare", "huge_pmd_share", "munmap", "caller_of_nothing"}


def first(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, line in lines_from_tree.definitions(text, NAMES):
        found.setdefault(name, line)
    return found


def test_definitions_are_found_and_declarations_calls_and_comments_are_not() -> None:
    assert first(CODE) == {"huge_pmd_unshare": 10, "huge_pmd_share": 8, "munmap": 16}


def test_a_tree_and_an_archive_of_it_give_the_same(tmp_path: Path) -> None:
    tree = tmp_path / "linux"
    (tree / "mm").mkdir(parents=True)
    (tree / "mm/hugetlb.c").write_text(CODE)
    (tree / "mm/other.c").write_text(CODE)
    archive = tmp_path / "linux.tar.xz"
    with tarfile.open(archive, "w:xz") as packed:
        for name in ("mm/hugetlb.c", "mm/other.c"):
            data = CODE.encode()
            member = tarfile.TarInfo(f"linux-6.1/{name}")
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    found = lines_from_tree.lines_of(tree)
    assert found == lines_from_tree.lines_of(archive)
    assert found["mm/hugetlb.c"]["huge_pmd_unshare"] == 10
    assert "mm/other.c" not in found  # the model names no function of it


def test_a_release_is_added_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, tree = tmp_path / "lines.json", tmp_path / "linux"
    (tree / "mm").mkdir(parents=True)
    (tree / "mm/hugetlb.c").write_text(CODE)
    monkeypatch.setattr(lines_from_tree, "TABLE", table)
    for release in ("6.12.1", "6.2", "6.1"):
        monkeypatch.setattr("sys.argv", ["lines", release, str(tree), "--source", "a tree"])
        assert lines_from_tree.main() == 0
    value = json.loads(table.read_text())
    assert list(value["releases"]) == ["6.1", "6.2", "6.12.1"]
    assert value["sources"]["6.2"] == "a tree"
    monkeypatch.setattr("sys.argv", ["lines", "6.2", "--remove"])
    assert lines_from_tree.main() == 0
    assert list(json.loads(table.read_text())["releases"]) == ["6.1", "6.12.1"]


def test_a_folder_that_is_no_tree_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["lines", "6.1", str(tmp_path)])
    assert lines_from_tree.main() == 1


@pytest.mark.parametrize("release", known_releases())
def test_what_unshares_a_table_is_known_in_every_release_of_the_table(release: str) -> None:
    found = place(release, "huge_pmd_unshare", "mm/hugetlb.c")
    assert found is not None
    assert found[0] == "mm/hugetlb.c"


def test_a_release_that_was_not_read_has_no_lines() -> None:
    assert place("6.1.2", "huge_pmd_unshare", "mm/hugetlb.c") is None
    assert place("6.1.192", "no_such_function", "mm/hugetlb.c") is None
    assert place("6.1.192+mine", "huge_pmd_unshare", "mm/hugetlb.c") is not None
