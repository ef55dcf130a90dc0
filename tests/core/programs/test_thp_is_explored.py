"""Programs on thp memory are explored: huge entries are faulted in, split, zapped, moved, shared and collapsed onto."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.core.programs.test_programs_are_explored import _heap, _verdict, without_flush

from shootdown._mm.calls import Calls
from shootdown._mm.huge_functions import HugeFunctions
from shootdown._questions.explore import explore
from shootdown._values.errors import ShootdownError

WRITES = "touch heap write"
DROPS_PART = "madvise heap[0:4K] DONTNEED"
Change = Callable[[], None]


def _thp(*do: str, size: str = "2M", child: tuple[str, ...] = (), **threads: list[str]) -> dict[str, Any]:
    return _heap(*do, kind="thp", size=size, child=child, **threads)


@pytest.mark.parametrize(
    "program",
    [
        _thp(WRITES, "munmap heap", other=["spin"]),
        _thp(WRITES, "munmap heap[0:4K]", "munmap heap[4K:2M]", other=["gup heap[4K:2M]"]),
        _thp(WRITES, DROPS_PART, other=["gup heap[0:4K]"]),
        _thp(WRITES, "madvise heap DONTNEED", WRITES, other=["gup heap"]),
        _thp(WRITES, "mprotect heap[0:4K] read", other=["mprotect heap[0:4K] write", WRITES]),
        _thp(WRITES, "mprotect heap read", other=["mprotect heap write", WRITES]),
        _thp(WRITES, "mremap heap", other=["madvise heap DONTNEED"]),
        _thp(WRITES, "fork child", WRITES, child=("spin",), other=["gup heap"]),
        _thp(WRITES, "fork child", child=(WRITES, "exit"), other=["spin"]),
        _thp(WRITES, DROPS_PART, "khugepaged heap", "madvise heap DONTNEED", other=["gup heap[4K:2M]"]),
        _thp(WRITES, DROPS_PART, "madvise heap COLLAPSE", DROPS_PART, other=["spin"]),
        _thp(WRITES, "munmap heap", "mmap heap", WRITES, other=["spin"]),
        _thp(WRITES, "exit"),
    ],
)
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_today_s_kernels_are_safe(program: dict[str, Any], arch: str) -> None:
    assert _verdict(program, arch)[0] == "safe"


def test_fork_takes_no_right_to_a_part_that_it_copies_as_it_is_pinned() -> None:
    """The other part is shared, and both lead to one huge page."""
    program = _thp(WRITES, "fork child", child=("spin",), other=["gup heap[0:4K]"])
    assert _verdict(program, "arm64")[0] == "safe"


COLLAPSES = _thp(WRITES, DROPS_PART, "khugepaged heap", "madvise heap DONTNEED", other=["gup heap[4K:2M]"])


@pytest.mark.parametrize(("kernel", "verdict"), [("5.10.100", "bug"), ("5.10.159", "safe")])
def test_the_table_that_khugepaged_deposits_is_freed_with_the_huge_page(kernel: str, verdict: str) -> None:
    """2ba99c5e0881: GUP-fast may be inside it still."""
    assert _verdict(COLLAPSES, "arm64", kernel)[0] == verdict


def test_a_new_deposited_table_makes_the_sync_unneeded() -> None:
    off = "kernel.khugepaged_sync=false"
    assert _verdict(COLLAPSES, "arm64", settings=(off,)) == ("bug", "gup-fast")
    new = "kernel.khugepaged_deposits_new_table=true"
    assert _verdict(COLLAPSES, "arm64", settings=(off, new))[0] == "safe"


def _without_flush(self: HugeFunctions, change: Change, lo: int, hi: int) -> None:
    change()


def _flushed_first(self: HugeFunctions, change: Change, lo: int, hi: int) -> None:
    self.flush_pmd_tlb_range(lo, hi)
    change()


@pytest.mark.parametrize("defect", [_without_flush, _flushed_first])
def test_a_split_that_flushes_wrongly_is_found_where_flushes_name_a_page_size(
    defect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they don't, the flush of the part drops the huge translation as well."""
    monkeypatch.setattr(HugeFunctions, "pmdp_invalidate", defect)
    program = _thp(WRITES, DROPS_PART, other=["spin"])
    assert _verdict(program, "powerpc") == ("bug", "stale-tlb-entry")
    assert _verdict(program, "x86")[0] == "safe"


@pytest.mark.parametrize("arch", ["x86", "arm64", "powerpc"])
def test_a_move_without_its_flush_is_found(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def moves(self: HugeFunctions, move: Change, flush: Change) -> None:
        move()

    monkeypatch.setattr(HugeFunctions, "move_huge_pmd", moves)
    assert _verdict(_thp(WRITES, "mremap heap"), arch) == ("bug", "stale-tlb-entry")


@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_a_fork_without_its_flush_is_found(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calls, "dup_mmap", without_flush)
    program = _thp(WRITES, "fork child", child=("spin",))
    assert _verdict(program, arch) == ("bug", "stale-tlb-entry")


@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_a_huge_page_that_is_pinned_while_fork_shares_it_is_found(arch: str) -> None:
    """57efa1fe5957."""
    program = _thp(WRITES, "fork child", WRITES, child=("spin",), other=["gup heap"])
    assert _verdict(program, arch, settings=("kernel.gup_sees_fork=false",)) == ("bug", "gup-fast")


def test_a_verdict_says_how_many_huge_pages_and_parts_there_are() -> None:
    (row,) = explore(_thp(WRITES, DROPS_PART, size="8M"), arch=["x86"], kernels=["7.0"])
    assert row.remarks[0].endswith("2 huge pages of 4; 2 parts of huge pages, each an entry once it is split")


def test_a_huge_page_of_which_nothing_is_taken_is_vacuous() -> None:
    assert _verdict(_thp(WRITES, other=["gup heap"]), "x86")[0] == "vacuous"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            _thp(WRITES, "khugepaged heap", other=["mprotect heap read"]),
            "collapse of thp memory whose rights `mprotect heap read` changes is not explored yet",
        ),
        (_thp(WRITES, "migrate heap"), "`migrate` of thp memory is not known yet"),
        (
            _thp(WRITES, "reclaim heap[0:4K]"),
            "reclaim of thp memory of a part of a huge page is not explored yet",
        ),
        (
            _thp(WRITES, "madvise heap PAGEOUT", "khugepaged heap"),
            "PAGEOUT of thp memory in a program that collapses pages is not explored yet",
        ),
        (
            _thp(WRITES, "fork child", "madvise heap FREE", child=("spin",)),
            "FREE of thp memory in a program with fork() is not explored yet",
        ),
        (
            _thp(WRITES, "mremap heap", DROPS_PART),
            "explored is one mremap() of memory whose parts no statement",
        ),
    ],
)
def test_what_cannot_be_explored_yet_is_one_line(program: dict[str, Any], words: str) -> None:
    with pytest.raises(ShootdownError) as raised:
        explore(program, arch=["x86"])
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_machine_without_huge_pages_has_none_to_explore() -> None:
    (row,) = explore(_thp(WRITES, "munmap heap"), platforms=["power9-hash"], kernels=["7.3.4"])
    assert row.verdict == "not-applicable"
