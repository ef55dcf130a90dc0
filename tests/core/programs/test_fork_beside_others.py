"""fork() beside calls that move, reclaim, migrate and collapse pages, also where the child uses what it got."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.programs.comparing import explored, ground

from shootdown._mm.reclaim import Reclaim
from shootdown._questions.explore import explore
from shootdown._values.errors import ShootdownError


def _program(*do: str, other: str = "spin", child: str = "spin", **memory: Any) -> dict[str, Any]:
    return {
        "memory": {"heap": {"size": "4K", **memory}},
        "process": {
            "A": {"do": ["touch heap write", *do], "thread": {"other": {"do": ["signal begun", other]}}},
            "child": {"do": [child]},
        },
    }


def _forgets_others(self: Reclaim, atoms: list[int], name: str, *, others: bool) -> None:
    """Unmap a page, and flush only the process whose memory is reclaimed."""
    page_tables = self.calls.model.calls.page_tables
    if others:
        page_tables.try_to_unmap_flush = lambda _: None  # type: ignore[method-assign]
    _UNMAP(self, atoms, name, others=others)
    if others:
        del page_tables.try_to_unmap_flush


_UNMAP = Reclaim._unmap


@pytest.mark.compiled
@pytest.mark.parametrize(
    "program",
    [
        _program("fork child", "mremap heap", "touch heap write", child="touch heap write"),
        _program("mremap heap", "fork child", "touch heap write", child="touch heap write"),
        _program("mremap heap", "move 3", "fork child", child="touch heap write"),
        _program("fork child", "touch heap write", other="mremap heap"),
        _program("fork child", "reclaim heap", child="touch heap write"),
        _program("fork child", other="migrate heap"),
        _program("fork child", "madvise heap PAGEOUT", "touch heap write", child="madvise heap FREE"),
        _program("fork child", other="khugepaged heap", size="2M"),
        _program("fork child", "madvise heap COLLAPSE", size="2M", kind="thp"),
        _program("fork child", "mremap heap", "touch heap write", size="2M", kind="thp"),
    ],
    ids=lambda program: ", ".join(program["process"]["A"]["do"]),
)
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_today_s_kernels_are_safe(arch: str, program: dict[str, Any]) -> None:
    assert explored(ground(arch), program) == "safe"


@pytest.mark.compiled
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_reclaim_flushes_every_process_that_maps_the_page(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = _program("fork child", "reclaim heap", "touch heap write")
    assert explored(ground(arch), program) == "safe"
    monkeypatch.setattr(Reclaim, "_unmap", _forgets_others)
    assert explored(ground(arch), program) == "bug"


@pytest.mark.compiled
def test_a_file_s_page_is_unmapped_in_each_process() -> None:
    program = {
        "memory": {"log": {"kind": "file", "size": "4K"}},
        "process": {"A": {"do": ["touch log", "reclaim log"]}, "B": {"do": ["touch log", "spin"]}},
    }
    (row,) = explore(program, arch=["x86"], kernels=["7.0"])
    assert row.verdict == "safe"
    assert "freed" in row.reached


@pytest.mark.compiled
def test_pageout_leaves_alone_what_the_child_maps_too() -> None:
    """madvise_cold_or_pageout_pte_range() looks at folio_maybe_mapped_shared()."""
    (row,) = explore(_program("fork child", "madvise heap PAGEOUT"), arch=["x86"], kernels=["7.0"])
    assert "freed" not in row.reached


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            _program("fork child", other="mremap heap", child="touch heap"),
            "another thread of the parent moves",
        ),
        (_program("fork child", "userfaultfd heap COPY"), "userfaultfd heap COPY` and fork() in one program"),
        (
            _program("fork child", "mremap heap", other="mmap heap", alone=False),
            "memory that mmap() maps anew is not explored yet",
        ),
    ],
)
def test_what_is_not_explored_is_one_line(program: dict[str, Any], words: str) -> None:
    with pytest.raises(ShootdownError) as raised:
        explored(ground("x86"), program)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
