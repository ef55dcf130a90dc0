"""Rows of what a machine counted."""

from __future__ import annotations

import json

import attrs
import pytest

from shootdown._measure.boot import Booted, Ran
from shootdown._measure.rows import Asked, release_of, rows_of
from shootdown._oracle.rows import parse_rows
from shootdown._values.errors import ShootdownError
from shootdown.measured import Counted, Emulation

EMULATION = Emulation(
    "amd64", "qemu", "none", (), "qemu64", "ttyS0", "x86_64", "cc", (0, b""), 62,
    counts=(
        Counted("gathers", ("tlb_gather_mmu", "tlb_gather_mmu_fullmm"), by="actor"),
        Counted("sync_ipis", ("tlb_remove_table_smp_sync",)),
        Counted("unshared_tables", probe="r:NAME huge_pmd_unshare", inlined=True),
        Counted("tlb_row", row="TLB"),
    ),
)  # fmt: skip


def ran(gathers: int, syncs: int, row: int, unshared: int = 0) -> Ran:
    return Ran(
        calls={
            "tlb_gather_mmu": (gathers, gathers + 7),
            "tlb_gather_mmu_fullmm": (1, 1),
            "tlb_remove_table_smp_sync": (0, syncs),
            "probe_unshared_tables": (0, unshared),
        },
        rows={"TLB": row},
        windows=1,
    )


ASKED = (Asked("one", {"memory": {}}, {}, 0, False), Asked("two", {"memory": {}}, {"pages": 3}, 2, True))


def counts(booted: Booted) -> list[dict[str, list[int]]]:
    return [row["counts"] for row in rows_of(EMULATION, booted, ASKED, kernel="6.1.192", cpus=4)]


def test_a_count_is_what_the_actor_or_all_cpus_did_lowest_and_highest() -> None:
    booted = Booted(runs={0: [ran(2, 3, 5), ran(2, 6, 4)]})
    assert counts(booted) == [{"gathers": [3, 3], "sync_ipis": [3, 6], "tlb_row": [4, 5]}]


def test_a_function_that_no_program_called_may_be_inlined_and_gives_no_count() -> None:
    never, once = (
        Booted(runs={0: [ran(1, 0, 0)], 1: [ran(1, 0, 0)]}),
        Booted(runs={0: [ran(1, 0, 0)], 1: [ran(1, 0, 0, unshared=4)]}),
    )
    assert all("unshared_tables" not in one for one in counts(never))
    assert [one["unshared_tables"] for one in counts(once)] == [[0, 0], [4, 4]]


def test_a_function_that_is_inlined_in_some_calls_alone_gives_no_count() -> None:
    told = [attrs.evolve(one, comes_with="sync_ipis") if one.inlined else one for one in EMULATION.counts]
    booted = Booted(runs={0: [ran(1, 3, 0)], 1: [ran(1, 3, 0, unshared=4)]})
    rows = rows_of(attrs.evolve(EMULATION, counts=tuple(told)), booted, ASKED, kernel="6.1.192", cpus=4)
    assert all("unshared_tables" not in row["counts"] for row in rows)


def test_what_the_kernel_has_not_gives_no_count() -> None:
    booted = Booted(runs={0: [ran(1, 0, 0)]}, absent={"tlb_gather_mmu", "tlb_remove_table_smp_sync"})
    assert counts(booted) == [{"gathers": [1, 1], "tlb_row": [0, 0]}]


def test_calls_of_others_are_those_that_the_actor_did_not_make() -> None:
    others = attrs.evolve(EMULATION, counts=(Counted("gathers", ("tlb_gather_mmu",), by="others"),))
    (row,) = rows_of(others, Booted(runs={0: [ran(2, 0, 0)]}), ASKED, kernel="6.1.192", cpus=4)
    assert row["counts"] == {"gathers": [7, 7]}


def test_a_row_says_the_page_size_if_it_is_not_4k() -> None:
    booted = Booted(runs={0: [ran(1, 0, 0)]})
    large = (attrs.evolve(ASKED[0], page_size=65536),)
    (row,) = rows_of(EMULATION, booted, large, kernel="6.1.192", cpus=4)
    assert row["page_size"] == "64k"
    (row,) = rows_of(EMULATION, booted, ASKED, kernel="6.1.192", cpus=4)
    assert "page_size" not in row


def test_instructions_are_counted_where_every_run_was() -> None:
    one, two = ran(1, 0, 0), ran(1, 0, 0)
    one.instructions, two.instructions = {"invlpg": 3, "mov_cr3": 0}, {"invlpg": 4, "mov_cr3": 0}
    assert counts(Booted(runs={0: [one, two]}))[0]["instructions"] == {"invlpg": [3, 4]}  # type: ignore[comparison-overlap]
    two.instructions = None
    assert "instructions" not in counts(Booted(runs={0: [one, two]}))[0]


def test_a_program_that_failed_has_no_row() -> None:
    booted = Booted(runs={0: [ran(1, 0, 0)], 1: [ran(1, 0, 0)]}, failures={0: "mmap: Cannot allocate memory"})
    rows = rows_of(EMULATION, booted, ASKED, kernel="6.1.192", cpus=4)
    assert [row["name"] for row in rows] == ["two"]
    assert (rows[0]["forks"], rows[0]["parameters"]) == (2, {"pages": 3})


def test_a_row_is_one_that_validate_reads() -> None:
    booted = Booted(runs={0: [ran(1, 0, 0)]})
    (row,) = rows_of(EMULATION, booted, ASKED, kernel="6.1.192", cpus=4)
    (read,) = parse_rows(json.dumps(row))
    assert (read.arch, read.kernel, read.workload, read.cpus) == ("amd64", "6.1.192", "program", 4)


@pytest.mark.parametrize(
    ("version", "release"),
    [
        (
            "Linux version 6.1.0-56-amd64 (x@y) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP Debian 6.1.192-2 (2026)",
            "6.1.192",
        ),
        ("Linux version 6.12.57+deb13-arm64 (x@y) (gcc) #1 SMP Debian 6.12.57-1 (2025)", "6.12.57"),
        ("Linux version 7.0.3 (x@y) (gcc (Debian 12.2.0)) #2 SMP", "7.0.3"),
        ("Linux version 6.17.0-rc3+ (x@y) #1", "6.17.0-rc3+"),
    ],
)
def test_a_kernel_says_its_release(version: str, release: str) -> None:
    assert release_of(version) == release


def test_a_version_without_release_asks_for_it() -> None:
    with pytest.raises(ShootdownError, match="--release names it"):
        release_of("")
