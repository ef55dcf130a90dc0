"""A toy as LoongArch is: empty tables, pairs of pages, misses that trap, and an address space that gets a new ASID."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from shootdown import Architecture, MmRules
from shootdown._plugins.registry import registry
from shootdown._questions.case import Question, prepare
from shootdown._questions.explore import explore_case
from shootdown.formats import Attribute, Deny, Format, Level, Piece, Test, bit, bits
from shootdown.porting import Assembler, PlainLowering, mm_rules, ops, typical_tlb, with_entries

sys.path.insert(0, str(Path(__file__).parent))
from toy import MACHINE, run

V, D, PLV, HUGE = bit(0), bit(1), bits(2, 3), bit(6)
NOTHING = Test(0, 0)


def tables(page_shift: int, name: str) -> Format:
    """Three levels of tables of one page each, as pgtable.h has them."""
    index = page_shift - 3
    return Format(
        name=name,
        summary="as LoongArch",
        levels=(
            Level("DIR3", "pgd", index, "never", present=NOTHING),
            Level("DIR1", "pmd", index, "flag", present=NOTHING, leaf_bits=V | HUGE, leaf_present=Test(V, V)),
            Level("PTE", "pte", index, "always"),
        ),
        page_shift=page_shift,
        va_bits=page_shift + 3 * index,
        present=Test(V, V),
        points_to_table=Test(HUGE, 0),
        address=(Piece(bits(page_shift, 47)),),
        attributes=(Attribute("user", 3), Attribute("dirty", 1), Attribute("no_execute", 62)),
        deny=(
            Deny(user=True, lacks=("user",)),
            Deny(kinds=("write",), lacks=("dirty",)),
            Deny(kinds=("execute",), has=("no_execute",)),
        ),
        leaf_bits=V,
        va_upper="zero",
        root_mask=bits(page_shift, 63),
        empty_tables=True,
    )


FORMATS = {4096: tables(12, "toy-4k"), 16384: tables(14, "toy-16k")}
(SOFT,) = with_entries(
    attrs.evolve(
        MACHINE,
        name="soft",
        walk_entries=0,
        tlb=attrs.evolve(typical_tlb(FORMATS[4096], asid_bits=10), walk_caches=()),
    )
)


class LikeLoongArch(PlainLowering):
    """IPIs to mm_cpumask, by address in pairs up to half the TLB, else a new ASID; nothing for a dead mm."""

    source, format = "arch/loongarch/mm/tlb.c", FORMATS[4096]
    page_instruction, all_instruction = "invtlb", "drop_mmu_context"
    pages_in_pairs = True
    ceiling = 8

    @property
    def mm(self) -> MmRules:
        return mm_rules(1 << self.platform.tlb.asid_bits, clear_on_switch=False)

    def no_hardware_walker(self) -> str | None:
        return "a TLB miss traps, and the handler refills"

    @property
    def flags_that_flush_everything(self) -> int:
        return ops.FULLMM | ops.NEED_FLUSH_ALL  # freed_tables is ignored: no CPU keeps anything of a table

    @property
    def page_scope(self) -> int:
        return ops.SCOPE_LEAF

    def flush_mm(self, asm: Assembler, g: int) -> None:
        with asm.if_mm_dead() as dead:
            dead.otherwise()
            super().flush_mm(asm, g)

    def interrupt(self, asm: Assembler) -> None:
        with asm.if_ranged() as ranged:
            ranged.otherwise()
            asm.leave_mm_cpumask()
        super().interrupt(asm)


class Walked(LikeLoongArch):
    """The same with a hardware walker and a walk cache, as if on another CPU."""

    def no_hardware_walker(self) -> str | None:
        return None


def discard(pages: int) -> Any:
    given = {"op": "madv_dontneed", "kind": "embedded", "pages": pages, "threads": 3}
    return run(LikeLoongArch, "anonymous", parameters=given)


@pytest.mark.parametrize(("pages", "pairs"), [(1, 1), (2, 1), (16, 8)])
def test_a_range_goes_by_one_instruction_for_each_pair_on_each_cpu(pages: int, pairs: int) -> None:
    found = discard(pages)
    assert found.instructions == {"invtlb": pairs * 4}
    assert found.counts["flush_ipis"] == 3


def test_a_longer_range_gets_every_cpu_a_new_asid() -> None:
    assert discard(17).instructions == {"drop_mmu_context": 4}


def verdict(lowering: type[PlainLowering], scenario: str, platform: Any) -> str:
    toy = Architecture(api=1, name="toy", summary="", platforms=(platform,), lower=lowering)
    return explore_case(prepare(Question(registry().scenario(scenario), toy, platform, "7.0"))).verdict


@pytest.mark.parametrize("scenario", ["lazy-freed-tables", "nested-flush", "mremap-stale"])
def test_freed_tables_need_no_flush_of_their_own_where_misses_trap(scenario: str) -> None:
    assert verdict(LikeLoongArch, scenario, SOFT) == "safe"


def test_they_do_where_hardware_walks_and_keeps_links() -> None:
    assert verdict(Walked, "lazy-freed-tables", MACHINE) == "bug"


def test_both_page_sizes_pass_what_shootdown_check_says_of_formats() -> None:
    from shootdown._compliance.registry import chosen
    from shootdown._compliance.subject import Subject

    architecture = Architecture(api=1, name="toy", summary="", formats=tuple(FORMATS.values()))
    subject = Subject(architecture, (), "toy")
    for number in ("1.1", "1.2", "1.3", "1.4", "1.5", "1.7", "1.8"):
        (statement,) = chosen((number,))
        findings = [said for said in statement.check(subject) if type(said).__name__ == "Finding"]
        assert findings == [], number
