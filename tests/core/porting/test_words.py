"""Words for architectures that are unlike x86: pairs of pages, no walker, masks that CPUs leave, an mm that is dead."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest

import shootdown
from shootdown import Architecture, MmRules, Platform, ShootdownError
from shootdown._mm.model import Model
from shootdown._plugins.registry import registry
from shootdown._questions.case import Question, prepare
from shootdown._questions.explore import explore_case
from shootdown._timed.run import run_machine
from shootdown.porting import EVERYTHING, NO_LIMIT, Assembler, PlainLowering, mm_rules, ops

sys.path.insert(0, str(Path(__file__).parent))
from toy import MACHINE, ToyLowering, run


def discard(lowering: type[PlainLowering], pages: int, **more: Any) -> Any:
    """Discard pages with three further threads on other CPUs: one ranged flush, no freed tables."""
    given = {"op": "madv_dontneed", "kind": "embedded", "pages": pages, "threads": 3, **more}
    return run(lowering, "anonymous", parameters=given)


def verdict(
    lowering: type[PlainLowering],
    scenario: str,
    settings: Iterable[str] = (),
    platform: Platform = MACHINE,
    **parameters: Any,
) -> str:
    """Explore a scenario on the toy."""
    toy = Architecture(
        api=1, name="toy", summary="", platforms=(platform,), lower=lowering, memory_model="sc"
    )
    question = Question(
        registry().scenario(scenario), toy, platform, "7.0", parameters=parameters, settings=tuple(settings)
    )
    return explore_case(prepare(question)).verdict


# --- pairs of pages


class Pairs(ToyLowering):
    """As LoongArch: one TLB entry translates an even page and the odd one after it."""

    pages_in_pairs = True
    ceiling = 4


@pytest.mark.parametrize(
    ("first", "pages", "pairs"), [(0, 1, 1), (0, 2, 1), (0, 3, 2), (0, 8, 4), (1, 1, 1), (1, 2, 2), (1, 7, 4)]
)
def test_a_range_is_flushed_in_pairs_and_counted_in_pairs(first: int, pages: int, pairs: int) -> None:
    assert flushed(Pairs, first, pages) == {"drop_page": pairs}


@pytest.mark.parametrize(("first", "pages"), [(0, 9), (1, 8)])
def test_more_pairs_than_the_ceiling_go_as_everything(first: int, pages: int) -> None:
    assert flushed(Pairs, first, pages) == {"drop_all": 1}


def flushed(lowering: type[PlainLowering], first: int, pages: int) -> dict[str, int]:
    """Flush a range on a machine of one CPU, and return what was executed."""
    made = lowering(shootdown.kernel("7.0", "x86"), MACHINE)
    model = Model(made.kernel, made, cpus=1, mms=1)
    task = model.task(mm=0, cpu=0, ready=True)
    model.starts(task)
    model.asm.request(2, cleared=ops.CLEARED_PTES, lo=first, hi=first + pages)
    made.flush_range(model.asm, 2)
    model.asm.halt()
    found = run_machine(model.build(), MACHINE)
    return {name: n for name, n in found.instructions.items() if n}


def test_pairs_halve_what_a_run_executes_and_leave_nothing_stale() -> None:
    assert discard(Pairs, 8).instructions == {"drop_page": 4 * 4}
    assert verdict(Pairs, "nested-flush") == verdict(ToyLowering, "nested-flush")


# --- no hardware walker, no walk cache


class Careless(ToyLowering):
    """Drop TLB entries alone, also where tables were freed."""

    page_scope = ops.SCOPE_LEAF

    @property
    def flags_that_flush_everything(self) -> int:
        return ops.FULLMM | ops.NEED_FLUSH_ALL


class Refilled(Careless):
    """The same on a CPU whose TLB misses trap, as on a 3A5000."""

    def no_hardware_walker(self) -> str | None:
        return "a TLB miss traps"


CACHELESS = attrs.evolve(MACHINE, name="cacheless", walk_entries=0)


def test_a_flush_that_keeps_walk_cache_entries_is_a_bug_only_where_there_are_any() -> None:
    assert verdict(Careless, "lazy-freed-tables") == "bug"
    assert verdict(Refilled, "lazy-freed-tables") != "bug"
    assert verdict(Careless, "lazy-freed-tables", platform=CACHELESS) != "bug"


def test_without_a_walk_cache_no_stale_entry_of_it_is_counted() -> None:
    given = {"op": "munmap", "pages": 1, "threads": 3, "kind": "isolated"}
    assert (
        run(Refilled, "anonymous", parameters=given).counts
        == run(Careless, "anonymous", parameters=given).counts
    )


class NoFlush(Refilled):
    """Flush nothing on other CPUs."""

    def interrupt(self, asm: Assembler) -> None:
        self.invalidate_here(asm)
        asm.cancel(text="nobody is told")


def test_a_tlb_that_traps_refill_still_holds_what_nobody_flushed() -> None:
    assert verdict(NoFlush, "nested-flush") == "bug"


# --- taking CPUs out of mm_cpumask


class Keeps(ToyLowering):
    """CPUs stay in mm_cpumask when they switch away."""

    @property
    def mm(self) -> MmRules:
        return mm_rules(4, clear_on_switch=False)


class Leaves(Keeps):
    """As drop_mmu_context() and s390's cpu_attach_mask: who does not run the mm any more is reached once more."""

    def interrupt(self, asm: Assembler) -> None:
        asm.leave_mm_cpumask()
        super().interrupt(asm)


def ipis_of_two_flushes(lowering: type[PlainLowering]) -> int:
    """Flush twice an mm that another CPU has switched away from; return the IPIs."""
    made = lowering(shootdown.kernel("7.0", "x86"), MACHINE)
    model = Model(made.kernel, made, cpus=2, mms=2)
    gone, other = model.event(), model.event()
    flusher = model.task(mm=0, cpu=0, ready=True)
    first, second = model.task(mm=0, cpu=1, ready=True), model.task(mm=1, cpu=1)
    model.starts(first)
    model.asm.spawn(second)
    model.signal(gone)
    model.asm.halt()
    model.starts(second)
    model.signal(other)
    model.spin()
    model.starts(flusher)
    model.wait(gone)
    model.wait(other)
    for _ in range(2):
        model.asm.request(2, cleared=ops.CLEARED_PTES, lo=0, hi=1)
        made.flush_range(model.asm, 2)
    model.asm.halt()
    return int(run_machine(model.build(), MACHINE).counts["flush_ipis"])


def test_a_cpu_that_was_taken_out_of_the_mask_is_interrupted_no_more() -> None:
    assert (ipis_of_two_flushes(Keeps), ipis_of_two_flushes(Leaves)) == (2, 1)


@pytest.mark.parametrize("scenario", ["mremap-stale", "nested-flush", "lazy-freed-tables"])
def test_who_leaves_the_mask_and_is_told_holds_nothing_stale(scenario: str) -> None:
    assert verdict(Leaves, scenario) == verdict(Keeps, scenario) == "safe"


# --- the mm is dead


class SkipsTheDead(ToyLowering):
    """As LoongArch's flush_tlb_mm(), which returns at once if mm_users is 0."""

    def flush_mm(self, asm: Assembler, g: int) -> None:
        with asm.if_mm_dead() as dead:
            dead.otherwise()
            super().flush_mm(asm, g)


def flushes_of(lowering: type[PlainLowering], users: int) -> int:
    """Flush all of an mm whose tasks have left it but for some; return the flushes."""
    made = lowering(shootdown.kernel("7.0", "x86"), MACHINE)
    model = Model(made.kernel, made, cpus=2, mms=1)
    model.starts(model.task(mm=0, cpu=0, ready=True))
    model.asm.release_mm()
    model.asm.request(2, flags=ops.FULLMM)
    made.flush_mm(model.asm, 2)
    model.asm.halt()
    for _ in range(users):
        model.starts(model.task(mm=0, cpu=1, ready=True))
        model.spin()
    return int(run_machine(model.build(), MACHINE).counts["full_flushes"])


@pytest.mark.parametrize(("users", "skipped"), [(0, 0), (1, 2)])
def test_the_mm_is_dead_if_no_task_uses_it(users: int, skipped: int) -> None:
    assert flushes_of(SkipsTheDead, users) == skipped
    assert flushes_of(ToyLowering, users) > 0


def test_a_dead_mm_that_is_not_flushed_leaves_nothing_that_anybody_could_use() -> None:
    assert verdict(SkipsTheDead, "nested-flush") == "safe"


# --- variables that an architecture keeps


class Lazy(ToyLowering):
    """As s390: a flush that is put off is a flag of the mm, and tlb_flush() acts only if it is set."""

    def flush_range(self, asm: Assembler, g: int) -> None:
        with asm.field("flush_mm").if_equal(1):
            super().flush_range(asm, g)
            asm.field("flush_mm").store(0)


def test_a_flag_of_the_mm_decides_whether_there_is_a_flush() -> None:
    def executed(pending: int) -> dict[str, int]:
        made = Lazy(shootdown.kernel("7.0", "x86"), MACHINE)
        model = Model(made.kernel, made, cpus=1, mms=1)
        model.starts(model.task(mm=0, cpu=0, ready=True))
        if pending:
            model.asm.field("flush_mm").store(1)
        for _ in range(2):
            model.asm.request(2, cleared=ops.CLEARED_PTES, lo=0, hi=3)
            made.flush_range(model.asm, 2)
        model.asm.halt()
        found = run_machine(model.build(), MACHINE)
        return {name: n for name, n in found.instructions.items() if n}

    assert (executed(0), executed(1)) == ({}, {"drop_page": 3})


def test_a_flush_that_is_never_asked_for_is_missed_by_exploration() -> None:
    assert verdict(Lazy, "nested-flush") == "bug"


def test_a_field_has_one_meaning() -> None:
    made = Lazy(shootdown.kernel("7.0", "x86"), MACHINE)
    model = Model(made.kernel, made, cpus=1, mms=1)
    assert model.asm.field("a", by="cpu").field.by == "cpu"
    with pytest.raises(ShootdownError, match=r"test_words\.py, line \d+: field a is declared twice"):
        model.asm.field("a")
    with pytest.raises(ShootdownError, match=r"by= is one of cpu, mm, machine, not 'task'"):
        model.asm.field("b", by="task")


# --- this CPU alone


class Local(ToyLowering):
    """Flush on this CPU, and tell nobody."""

    def flush(
        self, asm: Assembler, g: int, *, everything: bool = False, stride: int = ops.BASE_STRIDES
    ) -> None:
        self.begin(asm, g, everything=everything, stride=stride)
        asm.flush_here(ops.SCOPE_LEAF)
        asm.cancel()


def test_flush_here_invalidates_on_this_cpu_alone() -> None:
    counts = discard(Local, 2).counts
    assert (counts["flush_ipis"], counts["page_invalidations"]) == (0, 2)
    assert verdict(Local, "nested-flush") == "bug"


# --- all of it, as s390 does


class LikeS390(ToyLowering):
    """IPTE at once where other CPUs have the mm attached; else IDTE once, when the gather flushes."""

    native_way = "broadcast"

    @property
    def mm(self) -> MmRules:
        return mm_rules(1, clear_on_switch=False)

    def entries_cleared(self, asm: Assembler, count: int, *, huge: bool, first: int = 0) -> None:
        asm.target_mm_cpumask()
        asm.drop_targets_not_loaded()
        with asm.if_targets() as attached_elsewhere:
            asm.request(2, cleared=ops.CLEARED_PTES, lo=first, hi=first + count)
            asm.begin_flush(2, ceiling=NO_LIMIT, tracked=False, stride=ops.BASE_STRIDES)
            asm.execute("ipte", 1, ops.PER_STRIDE, broadcasts=True, cost="broadcast_ns")
            asm.broadcast(ops.SCOPE_LEAF, text="IPTE")
            asm.complete("IPTE is done")
            attached_elsewhere.otherwise()
            asm.field("flush_mm").store(1)
            asm.cancel()

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        with asm.if_flags(g, ops.FREED_TABLES):
            asm.field("flush_mm").store(1)
        self.flush_mm(asm, g)

    def flush_mm(self, asm: Assembler, g: int) -> None:
        with asm.field("flush_mm").if_equal(1):
            asm.begin_flush(g, ceiling=EVERYTHING, everything=True, tracked=False)
            asm.leave_mm_cpumask()
            asm.execute("idte", broadcasts=True, cost="broadcast_ns")
            asm.broadcast(ops.SCOPE_BOTH, text="IDTE")
            asm.complete("IDTE is done")
            asm.field("flush_mm").store(0)

    def flush_range(self, asm: Assembler, g: int) -> None:
        """Do nothing, as flush_tlb_range() there: entries were flushed as they were cleared, or flush_mm is set."""
        self.flush_mm(asm, g)

    def flush_page(self, asm: Assembler, g: int) -> None:
        """Do nothing, as flush_tlb_page() there."""


@pytest.mark.parametrize(
    ("threads", "op", "kind", "instructions"),
    [
        (0, "madv_dontneed", "embedded", {"idte": 1}),
        (3, "madv_dontneed", "embedded", {"ipte": 3}),
        (3, "munmap", "isolated", {"ipte": 3, "idte": 1}),
    ],
)
def test_three_pages_go_by_ipte_where_others_run_the_mm_and_by_one_idte_where_nobody_does(
    threads: int, op: str, kind: str, instructions: dict[str, int]
) -> None:
    given = {"op": op, "kind": kind, "pages": 3, "threads": threads}
    found = run(LikeS390, "anonymous", parameters=given)
    assert found.instructions == instructions
    assert found.counts["flush_ipis"] == 0


class ForgetsFreedTables(LikeS390):
    """Leave out that freed tables ask for a flush."""

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        self.flush_mm(asm, g)


def test_what_is_put_off_is_safe_only_as_long_as_it_is_done() -> None:
    assert verdict(LikeS390, "lazy-freed-tables") == "safe"
    assert verdict(ForgetsFreedTables, "lazy-freed-tables") == "bug"
