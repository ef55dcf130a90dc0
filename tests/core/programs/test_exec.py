"""exec takes a new address space, loads it, and tears the old one down."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown


def row(do: list[str], *, arch: str = "x86", kernel: str = "7.0", **others: Any) -> shootdown.Result:
    program = {
        "memory": {"heap": {"size": "64K"}, "log": {"kind": "file", "size": "64K"}},
        "process": {"A": {"do": do}, **others},
    }
    (found,) = shootdown.compare(program, arch=[arch], kernels=[kernel], cpus=[8])
    return found


@pytest.mark.parametrize("arch", ["x86", "arm64", "powerpc", "riscv"])
def test_a_process_that_ran_on_one_cpu_interrupts_nobody(arch: str) -> None:
    counts = row(["touch heap", "measure { exec }", "touch heap"], arch=arch).counts
    assert (counts["flush_ipis"], counts["gathers"], counts["context_switches"]) == (0, 1, 0)


def test_the_cpu_that_executes_it_has_left_the_old_mm_when_that_is_flushed() -> None:
    """exit() leaves the mm, which its own CPU keeps lazily, when it is flushed; exec has loaded the new one by then."""
    assert row(["touch heap", "measure { exec }"]).counts["lazy_switches"] == 0
    assert row(["touch heap", "measure { exit }"]).counts["lazy_switches"] == 1


def test_a_cpu_where_it_ran_before_is_flushed_as_by_exit() -> None:
    """Before lazy CPUs are left out of a flush that frees tables, one that is lazy takes the IPI of exit_mmap()."""
    do = ["touch heap", "move 3", "touch heap", "measure { %s }"]
    counts = [row([*do[:3], do[3] % last]).counts["flush_ipis"] for last in ("exec", "exit")]
    assert counts[0] == counts[1]


def test_what_the_new_program_touches_is_faulted_in_anew() -> None:
    """The second `touch heap` of one program does nothing; after exec it faults, and a later unmap flushes."""
    again = row(["touch heap", "exec", "touch heap write", "measure { munmap heap }"]).counts
    assert again["flush_requests"] == 1
    empty = row(["touch heap", "exec", "measure { munmap heap }"]).counts
    assert empty["flush_requests"] == 0


def test_a_child_that_executes_another_program_leaves_the_parent_alone() -> None:
    do = ["touch heap write", "fork B", "wait B", "measure { touch heap write }"]
    child = {"do": ["exec", "touch heap write", "exit"]}
    counts = row(do, B=child).counts
    assert counts["flush_ipis"] == 0


def test_threads_of_the_new_mm_are_reached_by_its_flushes() -> None:
    """Three programs one after another, in a process that a second one waits for."""
    counts = row(
        ["touch heap", "exec", "touch heap", "exec", "touch heap write", "measure { munmap heap }"]
    ).counts
    assert counts["flush_requests"] == 1


@pytest.mark.parametrize(
    ("process", "said"),
    [
        ({"do": "exec", "thread": {"t": {"do": "spin"}}}, "`exec` of a process with other threads"),
        ({"do": "repeat 3 { exec }"}, "`exec` can't be repeated"),
        ({"do": "touch huge; exec"}, "`exec` of a process with hugetlb memory"),
        ({"do": "exec heap"}, "'heap' is left over"),
    ],
)
def test_what_is_not_counted_is_refused_in_one_line(process: dict[str, Any], said: str) -> None:
    memory = {"heap": {"size": "64K"}, "huge": {"kind": "hugetlb", "size": "1G"}}
    with pytest.raises(shootdown.ShootdownError) as error:
        shootdown.compare(
            {"memory": memory, "process": {"A": process}}, arch=["x86"], kernels=["7.0"], cpus=[4]
        )
    assert said in str(error.value)
    assert "\n" not in str(error.value)
