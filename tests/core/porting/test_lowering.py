"""The plain lowering: who is reached and how, how much goes, and what an architecture overrides."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

import shootdown
from shootdown.porting import EVERYTHING, PLAIN_WAYS, Assembler, PlainLowering, mm_rules, ops, table_flags

sys.path.insert(0, str(Path(__file__).parent))
from toy import MACHINE, RADIX_4K, ToyLowering, radix, run


def discard(lowering: type[PlainLowering], pages: int, way: str = "auto", **more: Any) -> Any:
    """Discard pages with three further threads on other CPUs: one ranged flush, no freed tables."""
    given = {"op": "madv_dontneed", "kind": "embedded", "pages": pages, "threads": 3, **more}
    return run(lowering, "anonymous", [f"platform.flush={way}"], parameters=given)


# --- who and how


def test_by_ipi_every_cpu_of_the_mask_invalidates_for_itself() -> None:
    found = discard(ToyLowering, 2)
    assert found.instructions == {"drop_page": 2 * 4}
    assert (found.counts["flush_ipis"], found.counts["page_invalidations"]) == (3, 2 * 4)


def test_by_broadcast_one_cpu_executes_and_nobody_is_interrupted() -> None:
    found = discard(ToyLowering, 2, "broadcast")
    assert found.instructions == {"drop_page": 2}
    assert found.counts["flush_ipis"] == 0
    assert found.counts["broadcast_invalidations"] == 2


def test_a_call_of_what_runs_below_interrupts_nobody_either() -> None:
    found = discard(ToyLowering, 2, "hypercall")
    assert found.instructions == {"call": 1}
    assert (found.counts["flush_ipis"], found.counts["hypercalls"]) == (0, 1)


@pytest.mark.parametrize("way", ["ipi", "hypercall"])
def test_alone_in_the_mask_a_cpu_invalidates_for_itself(way: str) -> None:
    found = discard(ToyLowering, 2, way, threads=0)
    assert found.instructions == {"drop_page": 2}
    assert (found.counts["flush_ipis"], found.counts["hypercalls"]) == (0, 0)


class Everywhere(ToyLowering):
    """Interrupt every CPU that is online, as smp_call_function() does."""

    def choose_targets(self, asm: Assembler) -> None:
        """Choose all of them, whatever is in mm_cpumask."""
        asm.target_all_online()


class LooksFirst(Everywhere):
    """Interrupt every CPU, whose handler looks whether the mm ever ran there: cpu_context() of MIPS."""

    handler_looks_first = True


class Sparing(Everywhere):
    """Interrupt nobody if no other task uses the mm."""

    only_user_flushes_here, tracked = True, True


@pytest.mark.parametrize(
    ("lowering", "threads", "reached"),
    [(ToyLowering, 1, 1), (Everywhere, 1, 3), (Everywhere, 0, 3), (Sparing, 1, 3), (Sparing, 0, 0)],
)
def test_a_lowering_chooses_which_cpus_are_reached_and_whether_an_only_user_interrupts_any(
    lowering: type[PlainLowering], threads: int, reached: int
) -> None:
    found = discard(lowering, 2, threads=threads)
    assert found.counts["flush_ipis"] == reached
    assert found.instructions == {"drop_page": 2 * (1 + reached)}


@pytest.mark.parametrize(("pages", "instructions"), [(2, {"drop_page": 4}), (17, {"drop_all": 2})])
def test_a_handler_that_looks_first_is_taken_everywhere_and_invalidates_where_the_mm_ran(
    pages: int, instructions: dict[str, int]
) -> None:
    found = discard(LooksFirst, pages, threads=1)
    assert (found.counts["flush_ipis"], found.counts["interrupts_taken"]) == (3, 3)
    assert found.instructions == instructions
    assert found.counts["page_invalidations"] == instructions.get("drop_page", 0)
    assert found.counts["full_flushes"] == instructions.get("drop_all", 0)


def test_a_forced_broadcast_is_one_for_an_only_user_too() -> None:
    assert discard(Sparing, 2, "broadcast", threads=0).counts["broadcast_invalidations"] == 2


def test_the_native_way_is_the_architectures_unless_a_what_if_says_otherwise() -> None:
    class Broadcasting(ToyLowering):
        native_way = "broadcast"

    assert discard(Broadcasting, 2).counts["flush_ipis"] == 0
    assert discard(Broadcasting, 2, "ipi").counts["flush_ipis"] == 3


def test_it_knows_the_ways_that_it_lists_and_takes_the_native_one_for_any_other() -> None:
    def way(forced: str) -> str:
        return ToyLowering(shootdown.kernel("7.0", "x86"), attrs.evolve(MACHINE, flush=forced)).way

    for each in PLAIN_WAYS:
        assert way(each.name) == each.name
        assert each.doc
    assert way("auto") == way("kvm") == "ipi"


# --- how much


@pytest.mark.parametrize(("pages", "pages_dropped", "all_dropped"), [(1, 4, 0), (16, 64, 0), (17, 0, 4)])
def test_a_range_above_the_ceiling_goes_as_everything(
    pages: int, pages_dropped: int, all_dropped: int
) -> None:
    found = discard(ToyLowering, pages)
    counts = found.counts
    assert (counts["page_invalidations"], counts["full_flushes"]) == (pages_dropped, all_dropped)
    assert found.instructions == (
        {"drop_page": pages_dropped} if pages_dropped else {"drop_all": all_dropped}
    )


def test_without_a_ceiling_of_its_own_an_architecture_flushes_everything() -> None:
    class Coarse(ToyLowering):
        ceiling = EVERYTHING

    assert discard(Coarse, 1).counts["full_flushes"] == 4


def test_freed_tables_flush_everything_only_where_an_address_leaves_walk_cache_entries() -> None:
    class Leaves(ToyLowering):
        page_scope = ops.SCOPE_LEAF

    given = {"op": "munmap", "pages": 1, "threads": 3, "kind": "isolated"}
    both, leaves = (run(lowering, "anonymous", parameters=given) for lowering in (ToyLowering, Leaves))
    assert (both.counts["full_flushes"], leaves.counts["full_flushes"]) == (0, 4)


def test_flags_of_tables_are_those_that_the_kernel_looks_at() -> None:
    def flags(freed: str, unshared: str) -> int:
        settings = [f"kernel.honour_freed_tables={freed}", f"kernel.honour_unshared_tables={unshared}"]
        return table_flags(shootdown.kernel("7.0", "x86", settings))

    assert flags("true", "true") == ops.FREED_TABLES | ops.UNSHARED_TABLES
    assert (flags("true", "false"), flags("false", "true")) == (ops.FREED_TABLES, ops.UNSHARED_TABLES)
    assert flags("false", "false") == 0


# --- strides


def test_a_huge_page_is_as_many_strides_as_pmd_stride_says() -> None:
    class Huge(ToyLowering):
        pmd_stride = ops.PMD_STRIDES
        hugetlb_stride = ops.PMD_STRIDES

    given = {"op": "thp_split_mprotect", "kind": "thp", "pages": 512, "threads": 3}
    by_pages, by_huge = (run(lowering, "anonymous", parameters=given) for lowering in (ToyLowering, Huge))
    assert by_pages.counts["full_flushes"] > by_huge.counts["full_flushes"]
    assert by_huge.counts["page_invalidations"] > by_pages.counts["page_invalidations"]


def test_where_a_pud_entry_spans_more_than_32_bits_the_flush_of_its_truncated_range_drops_nothing() -> None:
    """The range of a PUD entry of 64 GiB, which 16K pages have, is empty until range_truncation_16k is mended."""

    class Wide(ToyLowering):
        format = radix(14, 11, 11, 11)

    def munmap(truncated: bool) -> dict[str, int]:
        settings = [f"kernel.range_truncation_16k={str(truncated).lower()}"]
        given = {"tables": 1, "sharers": 2, "threads": 2}
        return run(Wide, "hugetlb-munmap", settings, parameters=given).counts

    assert munmap(False)["full_flushes"] > munmap(True)["full_flushes"]
    assert munmap(False)["flush_ipis"] == munmap(True)["flush_ipis"] > 0


# --- what follows from the rest


def test_geometry_and_address_spaces_follow_from_format_and_tlb() -> None:
    lowering = ToyLowering(shootdown.kernel("7.0", "x86"), MACHINE)
    assert (lowering.geometry.page_shift, lowering.geometry.pmd_shift, lowering.geometry.pud_shift) == (
        12,
        21,
        30,
    )
    assert lowering.mm == mm_rules(1)
    assert not lowering.mm.tagged


@pytest.mark.parametrize(
    ("asids", "kept", "tagged"), [(1, 1, False), (2, 2, True), (256, 256, True), (1 << 16, 256, True)]
)
def test_the_model_tells_at_most_256_asids_apart(asids: int, kept: int, tagged: bool) -> None:
    rules = mm_rules(asids)
    assert (rules.asids, rules.tagged) == (kept, tagged)


def test_a_lowering_without_a_format_says_that_one_is_missing() -> None:
    with pytest.raises(TypeError, match=r"abstract.*format"):
        PlainLowering(shootdown.kernel("7.0", "x86"), MACHINE)  # type: ignore[abstract]


def test_the_toy_is_of_the_format_that_its_machine_walks() -> None:
    assert MACHINE.tlb.levels == tuple(1 << shift for shift in RADIX_4K.shifts[::-1])
