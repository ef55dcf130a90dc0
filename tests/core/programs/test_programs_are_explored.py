"""A program that nobody wrote invariants for is explored: bugs of old kernels are found in it, and their fixes hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from shootdown._mm.calls import Calls
from shootdown._mm.faults import Faults
from shootdown._questions.explore import explorations, explore, explore_case
from shootdown._values.errors import ShootdownError

PROGRAMS = Path(__file__).parents[3] / "docs/examples/programs"
_16K = ("kernel.page_size=16k", "kernel.va_bits=47")


def _verdict(
    program: str | dict[str, Any], arch: str, kernel: str = "7.3.4", **more: Any
) -> tuple[str, str | None]:
    (case,) = explorations(program, arch=[arch], kernels=[kernel], **more)
    found = explore_case(case)
    return found.verdict, found.invariant


def _huge(*calls: str, size: str = "1G", **threads: list[str]) -> dict[str, Any]:
    """Return a program of two processes that share a hugetlb table; the first one makes calls."""
    others = {name: {"do": do} for name, do in threads.items()}
    return {
        "memory": {"pool": {"kind": "hugetlb", "size": size}},
        "process": {
            "A": {"do": ["touch pool", *calls], "thread": others},
            "B": {"do": ["touch pool", "spin"]},
        },
    }


def _heap(
    *do: str, kind: str = "anonymous", size: str = "4K", child: Sequence[str] = (), **threads: list[str]
) -> dict[str, Any]:
    """Return a program of a process, and of one that it forks if `child` says what that does."""
    process: dict[str, Any] = {
        "A": {"do": list(do), "thread": {name: {"do": text} for name, text in threads.items()}}
    }
    if child:
        process["child"] = {"do": list(child)}
    return {"memory": {"heap": {"kind": kind, "size": size}}, "process": process}


@pytest.mark.parametrize(
    ("new_table", "rechecks", "verdict"),
    [(False, True, "bug"), (True, True, "safe"), (True, False, "bug")],
)
def test_without_its_sync_khugepaged_is_safe_only_if_it_deposits_a_new_table(
    new_table: bool, rechecks: bool, verdict: str
) -> None:
    program = _heap("touch heap write", "khugepaged heap", size="2M", other=["gup heap"])
    settings = (
        "kernel.khugepaged_sync=false",
        f"kernel.khugepaged_deposits_new_table={str(new_table).lower()}",
        f"kernel.gup_rechecks_pmd={str(rechecks).lower()}",
    )
    assert _verdict(program, "arm64", settings=settings)[0] == verdict


@pytest.mark.parametrize("kernel", ["6.15", "6.16", "7.0"])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_unshare_gup_is_as_its_scenario_where_walk_caches_are_flushed(arch: str, kernel: str) -> None:
    """The scenario has no hardware walkers, which every program has."""
    settings = ("kernel.honour_unshared_tables=true",)
    program = str(PROGRAMS / "unshare-gup.toml")
    assert _verdict(program, arch, kernel, settings=settings) == _verdict(
        "unshare-gup", arch, kernel, settings=settings
    )


@pytest.mark.parametrize("call", ["munmap pool", "mprotect pool read", "madvise pool DONTNEED"])
def test_each_call_that_unshares_leaves_the_walk_cache_on_arm64_until_the_fix(call: str) -> None:
    """c2ff4764e03e."""
    assert _verdict(_huge(call), "arm64", "7.0") == ("bug", "walk-cache")
    assert _verdict(_huge(call), "arm64", "7.1")[0] == "safe"


def test_an_unsharing_without_any_flush_is_found() -> None:
    """a4a118f2eead."""
    settings = ("kernel.unshare_flush=none",)
    assert _verdict(_huge("munmap pool"), "arm64", "7.1", settings=settings) == ("bug", "walk-cache")


def test_the_range_that_is_truncated_with_16k_pages_is_found() -> None:
    program = _huge("munmap pool", size="64G")
    fixed = (*_16K, "kernel.range_truncation_16k=false")
    assert _verdict(program, "arm64", settings=_16K) == ("bug", "walk-cache")
    assert _verdict(program, "arm64", settings=fixed)[0] == "safe"


def test_gup_fast_of_a_process_takes_its_own_new_memory_for_nobody_else_s() -> None:
    program = {
        "memory": {"pool": {"kind": "hugetlb", "size": "1G"}},
        "process": {"A": {"do": ["touch pool", "spin"], "thread": {"pinner": {"do": ["gup pool"]}}}},
    }
    for arch in ("x86", "arm64"):
        assert _verdict(program, arch)[0] == "safe"


def test_the_idle_cpu_of_x86_keeps_its_walk_cache() -> None:
    honoured = ("kernel.honour_unshared_tables=true",)
    assert _verdict(_huge("munmap pool"), "x86") == ("bug", "walk-cache")
    assert _verdict(_huge("munmap pool"), "x86", settings=honoured)[0] == "safe"


def test_gup_fast_is_interrupted_by_no_broadcast() -> None:
    """1013af4f585f, in mprotect(), which flushed walk caches then."""
    program = _huge("mprotect pool read", pinner=["gup pool"])
    assert _verdict(program, "arm64", "6.15") == ("bug", "gup-fast")
    assert _verdict(program, "arm64", "6.16")[0] == "safe"


@pytest.mark.parametrize(
    "program",
    [
        _heap("touch heap write", "munmap heap", other=["spin"]),
        _heap("touch heap", "mprotect heap read", other=["gup heap"]),
        _heap("touch heap[0:8K]", "munmap heap[0:4K]", size="8K", other=["munmap heap[4K:8K]"]),
        _heap("touch heap write", "madvise heap DONTNEED", other=["touch heap write"]),
        _heap("touch heap write", "munmap heap", other=["touch heap write"]),
        _heap("touch heap write", "truncate heap", kind="file", other=["touch heap"]),
        _heap("touch heap", "munmap heap", kind="file", other=["sleep"]),
    ],
)
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_today_s_kernels_are_safe(program: dict[str, Any], arch: str) -> None:
    assert _verdict(program, arch)[0] == "safe"


WRITES = ["touch heap write"]
_FORK = _heap("touch heap write", "fork child", child=["spin"], other=WRITES)
_FORK_AND_PIN = _heap(
    "touch heap write", "fork child", "touch heap write", child=["spin"], other=["gup heap"]
)


@pytest.mark.parametrize(
    "program",
    [
        _FORK,
        _FORK_AND_PIN,
        _heap("touch heap write", "fork child", "touch heap write", child=[*WRITES, "exit"]),
        _heap("touch heap write", "fork child", "munmap heap", child=WRITES),
        _heap("touch heap write", "mprotect heap read", other=["mprotect heap write", *WRITES]),
        _heap("touch heap write", "munmap heap", "mmap heap", "touch heap write", other=WRITES),
        _heap("touch heap write", "mmap heap", "touch heap write", other=WRITES),
        _heap("touch heap", "madvise heap DONTNEED", kind="file", other=["gup heap", "touch heap"]),
        _heap("touch heap write", "mkclean heap", kind="file", other=["gup heap", "touch heap write"]),
        _heap("touch heap write", "exit"),
        _heap("touch heap write", "exit", kind="file"),
        _heap("touch heap write", "start other", "munmap heap", other=["touch heap write"]),
    ],
)
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_today_s_kernels_fork_copy_map_anew_and_give_rights_safely(
    program: dict[str, Any], arch: str
) -> None:
    assert _verdict(program, arch)[0] == "safe"


@pytest.mark.compiled
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_a_page_is_copied_while_a_cpu_writes_to_it_until_fork_locks_the_vmas(arch: str) -> None:
    """fb49c455323f: until then a page fault could come between fork()'s write protection and its flush."""
    program = _heap("touch heap write", "fork child", child=["spin"], other=WRITES, third=WRITES)
    assert _verdict(program, arch, "6.4.2") == ("bug", "stale-tlb-entry")
    assert _verdict(program, arch, "6.4.3")[0] == "safe"
    off = ("kernel.fork_locks_vmas=false",)
    assert _verdict(program, arch, settings=off) == ("bug", "stale-tlb-entry")


@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_gup_fast_returns_a_page_that_fork_shares_until_it_looks_at_the_sequence(arch: str) -> None:
    """57efa1fe5957."""
    assert _verdict(_FORK_AND_PIN, arch, "5.10.3") == ("bug", "gup-fast")
    assert _verdict(_FORK_AND_PIN, arch, settings=("kernel.gup_sees_fork=false",)) == ("bug", "gup-fast")


@pytest.mark.parametrize("arch", ["x86", "arm64"])
@pytest.mark.parametrize(
    ("function", "where", "program"),
    [
        ("flush_tlb_mm", "dup_mmap", _heap("touch heap write", "fork child", child=["spin"])),
        ("flush_tlb_page", "wp_page_copy", _FORK),
    ],
)
def test_a_flush_that_is_left_out_is_found(
    function: str, where: str, program: dict[str, Any], arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out = {"flush_tlb_mm": (Calls, "dup_mmap"), "flush_tlb_page": (Faults, "_replace")}[function]
    monkeypatch.setattr(*left_out, {"dup_mmap": without_flush, "wp_page_copy": without_clearing}[where])
    assert _verdict(program, arch) == ("bug", "stale-tlb-entry")


def without_flush(self: Calls, copy: Callable[[], None]) -> None:
    self.asm.lock(self.locks.mmap, index=1, write=True, sleeps=True, text="mmap_lock")
    copy()
    self.asm.unlock(self.locks.mmap, index=1, write=True, text="mmap_lock")


def without_clearing(self: Faults, atom: int, value: int) -> None:
    self.calls.take_entry(atom, "ptep_clear")
    self.asm.entry_store(atom, value)


def test_two_processes_that_map_a_file_are_both_told_of_a_truncation() -> None:
    program = {
        "memory": {"shared": {"kind": "file", "size": "4K"}},
        "process": {"A": {"do": ["touch shared", "truncate shared"]}, "B": {"do": ["touch shared", "spin"]}},
    }
    assert _verdict(program, "x86")[0] == _verdict(program, "arm64")[0] == "safe"


def test_a_verdict_says_what_was_cut_and_what_was_reached() -> None:
    program = {
        "memory": {"heap": {"size": "400K"}},
        "process": {
            "A": {
                "do": ["touch heap write", "wait done 9"],
                "thread": {"worker": {"count": 9, "do": ["repeat 5 { mprotect heap read }", "signal done"]}},
            }
        },
    }
    (row,) = explore(program, arch=["arm64"], kernels=["7.0"])
    assert row.verdict == "safe"
    small, reached = row.remarks
    assert small == (
        "explored small, and a verdict for this size: 4 CPUs, one of them idle; 2 of 9 like threads worker of A; "
        "one turn of 5 of a loop; 1 page of 100"
    )
    assert reached.startswith("reached: ")
    assert "a copy was alive" in reached


@pytest.mark.parametrize("kind", ["anonymous", "thp"])
def test_a_loop_over_pieces_has_a_turn_for_the_first_and_the_last_one(kind: str) -> None:
    drops = "each 64K of heap { madvise it DONTNEED }"
    (row,) = explore(_heap("touch heap write", drops, kind=kind, size="2M", other=["spin"]), arch=["x86"])
    assert row.verdict == "safe"
    assert "2 of 32 pieces of heap" in row.remarks[0]


def test_a_table_goes_with_the_last_piece_and_another_part_stays() -> None:
    unmaps = "each 4K of heap[0:16K] { munmap it }"
    program = _heap("touch heap write", unmaps, size="32K", other=["munmap heap[16K:32K]"])
    (row,) = explore(program, arch=["x86"])
    assert row.verdict == "safe"
    assert "2 of 4 pieces of heap" in row.remarks[0]
    assert "table freed" in row.remarks[1]


def test_like_threads_that_map_anew_have_a_table_each() -> None:
    program = _heap("touch heap write", "spin")
    maps = ["signal begun", "munmap heap", "mmap heap", "touch heap write"]
    program["process"]["A"]["thread"] = {"worker": {"count": 2, "do": maps}}
    assert _verdict(program, "x86")[0] == "safe"


def _beside_a_pool(*calls: str, other: Sequence[str] = ("spin",)) -> dict[str, Any]:
    """Return a program of two processes that share a hugetlb table; the first one has other memory too."""
    program = _huge("touch heap write", *calls)
    program["memory"]["heap"] = {"size": "4K"}
    program["process"]["B"]["do"] = ["touch pool", *other]
    return program


def test_what_a_call_on_hugetlb_memory_leaves_is_found_beside_other_memory() -> None:
    """c2ff4764e03e."""
    for call in ("munmap pool", "exit"):
        program = _beside_a_pool("munmap heap", call)
        assert _verdict(program, "arm64", "7.0") == ("bug", "walk-cache")
        assert _verdict(program, "arm64", "7.1")[0] == ("safe" if call == "munmap pool" else "bug")


def test_a_call_that_does_not_look_what_kswapd_has_put_off_is_found() -> None:
    """3ea277194daa."""
    program = _heap("touch heap write", "reclaim heap by kswapd", other=["madvise heap DONTNEED"])
    off = ("kernel.flush_batched_pending=false",)
    assert _verdict(program, "x86", "7.0")[0] == "safe"
    assert _verdict(program, "x86", "7.0", settings=off) == ("bug", "stale-tlb-entry")


def test_page_tables_beside_hugetlb_memory_are_said_to_lie_apart() -> None:
    program = _beside_a_pool("munmap heap")
    program["memory"]["heap"] = {"size": "4M"}
    program["process"]["A"]["do"] = ["touch pool", "touch heap write", "munmap heap[0:2M]"]
    (row,) = explore(program, arch=["arm64"], kernels=["7.1"])
    assert row.verdict == "safe"
    assert "each page table of ordinary memory in a PUD entry of its own" in row.remarks[0]


@pytest.mark.parametrize(
    "program",
    [
        _heap("touch heap write", "move 3", "munmap heap", other=["spin"]),
        _heap("touch heap write", "move 3", "exec", "touch heap write"),
        _heap("touch heap write", "membarrier GLOBAL", "munmap heap", other=["gup heap"]),
        _heap("touch heap write", "madvise heap PAGEOUT", size="8K", other=["munmap heap[0:4K]"]),
        _heap("touch heap write", "migrate heap", other=["madvise heap FREE"]),
        _heap("touch heap write", "reclaim heap by kswapd", "munmap heap"),
        _heap("touch heap write", "punch heap", kind="file", other=["spin"]),
        _heap("touch heap write", "madvise heap COLLAPSE", size="4M", other=["munmap heap[0:2M]"]),
    ],
)
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_today_s_kernels_move_migrate_and_begin_other_programs_safely(
    program: dict[str, Any], arch: str
) -> None:
    assert _verdict(program, arch, "7.1")[0] == "safe"


def test_a_program_that_takes_nothing_away_is_vacuous() -> None:
    assert _verdict(_heap("touch heap", other=["gup heap"]), "x86")[0] == "vacuous"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (_heap("fork B") | {}, "there is no process"),
        (_heap("touch heap", "truncate heap"), "not known yet: only of hugetlb, file"),
        (_heap("touch heap", "munmap heap", "touch heap"), "unmapped is not explored yet"),
        (_heap("touch heap", "khugepaged heap[0:4K]", size="2M"), "collapsed are whole page tables, of 2M"),
        (
            _heap("touch heap", "mkclean heap", kind="file", other=["reclaim heap"]),
            "reclaim of a page that is written back is not explored yet",
        ),
        (_huge("munmap pool", "touch pool"), "an access after `munmap pool`, which takes the mapping away"),
    ],
)
def test_what_cannot_be_explored_yet_is_one_line(program: dict[str, Any], words: str) -> None:
    with pytest.raises(ShootdownError) as raised:
        explore(program, arch=["x86"])
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("arch", "kernel", "found"),
    [
        ("x86", "5.10.200", ("safe", None)),
        ("x86", "7.3.4", ("safe", None)),
        ("arm64", "7.3.4", ("bug", "walk-cache")),
    ],
)
def test_the_bug_report_s_reproducer_is_explored(
    arch: str, kernel: str, found: tuple[str, str | None]
) -> None:
    """exit() of arm64 flushes nothing if it has unshared tables alone (docs/explanation/unshared-tables.md)."""
    assert _verdict(str(PROGRAMS / "fork_storm.toml"), arch, kernel) == found


@pytest.mark.parametrize("kernel", ["7.0", pytest.param("7.3.4", marks=pytest.mark.long)])
def test_a_table_is_shared_again_after_it_was_given_up(kernel: str) -> None:
    """Since 7.3 a task that waits for a flush may be preempted: the search takes much longer."""
    program = _huge("madvise pool DONTNEED", "touch pool")
    honoured = ("kernel.honour_unshared_tables=true",)
    assert _verdict(program, "x86", kernel) == ("bug", "walk-cache")
    assert _verdict(program, "x86", kernel, settings=honoured)[0] == "safe"
    assert _verdict(program, "arm64")[0] == "safe"


def test_what_is_explored_is_counted_too() -> None:
    import shootdown

    program = _heap("touch heap", "mkclean heap", kind="file")
    for row in shootdown.compare(program, arch=["x86"]):
        assert row.counts["flush_requests"] == 1


def test_a_page_table_that_no_hardware_walks_may_be_freed_without_a_flush() -> None:
    """The hash MMU of powerpc reads no Linux page table: tlb_needs_table_invalidate() is radix_enabled()."""
    program = _heap("touch heap write", "munmap heap", other=["spin"])
    (case,) = explorations(program, platforms=["power9-hash"], kernels=["7.3.4"])
    found = explore_case(case)
    assert found.verdict == "safe"
    assert "table freed" in found.reached
