"""Sections 3, 8 and 9: geometries and TLBs, equal answers, sources; what is right is shown, what is wrong is named."""

from __future__ import annotations

import copy
import itertools
import re
from typing import Any

import attrs
import pytest
from tests.core.compliance.toys import findings, good, outcome, subject, vax

from shootdown import Architecture, Cost, Geometry, Kernel, MmRules, Platform, switch
from shootdown._compliance.checking import check
from shootdown._compliance.registry import chosen
from shootdown.porting import Assembler, CacheGeometry, mm_rules

VAX = vax.VaxLowering
MACHINE: Platform = good().platforms[0]
TLB = MACHINE.tlb
GEOMETRY = Geometry(12, 21, 30, 30, 30)


def lowering(**properties: Any) -> Architecture:
    """Return the toy with other attributes of its lowering."""
    return good(lower=type("Wrong", (VAX,), properties))


def machine(**fields: Any) -> Architecture:
    return good(platforms=(attrs.evolve(MACHINE, **fields),))


def tlb(**fields: Any) -> Architecture:
    return machine(tlb=attrs.evolve(TLB, **fields))


def shape(*shifts: int) -> Architecture:
    return lowering(geometry=property(lambda _: Geometry(*shifts)))


def costing(**fields: Any) -> Architecture:
    return machine(costs=attrs.evolve(MACHINE.costs, **fields))


@attrs.frozen
class TwoSizes:
    """Kernels of two page sizes."""

    most_pages: int = switch(16, "the most pages", minimum=1)
    page_size: int = switch(4096, "bytes in a base page", choices=(1024, 4096), configured=True)


#: A value that no check of types notices: its levels are a list.
HASHLESS = copy.copy(vax.VAX)
object.__setattr__(HASHLESS, "levels", list(vax.VAX.levels))
object.__setattr__(HASHLESS, "_attrs_cached_hash", None)

_turns = itertools.count()


class Forgetful(VAX):  # type: ignore[misc, valid-type]
    """A lowering that writes something else each time."""

    def flush(self, asm: Assembler, g: int, **more: Any) -> None:
        """Write other steps each time."""
        for _ in range(next(_turns) % 101):
            asm.execute("tbis")
        super().flush(asm, g, **more)


@pytest.mark.parametrize(
    "number",
    ["3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "8.1", "8.2", "8.4", "9.1", "9.2", "9.4"],
)
def test_each_statement_is_shown_of_the_toy(number: str) -> None:
    assert outcome(number, good()).word == "shown"


@pytest.mark.parametrize(
    ("number", "architecture", "named"),
    [
        (
            "3.1",
            shape(13, 21, 30, 30, 30),
            "page_shift 13, which is pages of 8192 bytes; the kernel's have 4096",
        ),
        ("3.1", shape(12, 12, 30, 30, 30), "pmd_shift 12, not above page_shift 12"),
        ("3.1", shape(12, 21, 20, 30, 30), "pud_shift is 20, below pmd_shift"),
        ("3.1", shape(12, 21, 21, 30, 39), "folds pud_shift although there are levels above it"),
        ("3.1", shape(12, 21, 30, 39, 58), "pgd_shift 58"),
        (
            "3.2",
            shape(12, 22, 31, 31, 31),
            "12, 22, 31, 31, 31 is that of no format; the nearest is vax with 12, 21",
        ),
        ("3.3", tlb(levels=(1 << 12, 1 << 22), walk_caches=()), "its levels 4K, 4M are those of no format"),
        (
            "3.3",
            tlb(l1=CacheGeometry(64, 64, (1 << 12, 1 << 16))),
            "l1 holds pages of 64K, which no format has",
        ),
        ("3.3", tlb(l1=CacheGeometry(64, 64, (1 << 21,))), "no first-level TLB holds base pages of 4K"),
        ("3.4", good(switches=TwoSizes), "kernels have pages of 1K, and the smallest .* are 4K"),
        ("3.5", machine(huge_entries=7), "huge_entries is 7; its tlb has 1088"),
        ("3.5", machine(walk_entries=16), "walk_entries is 16; its tlb has 8"),
        ("3.6", lowering(mm=mm_rules(64)), "mm.asids is 64; the 0 asid_bits of its tlb tell 1 apart"),
        ("3.6", lowering(mm=MmRules(True, True, 4, False)), "entries carry no tag"),
        (
            "3.6",
            lowering(mm=property(lambda _: MmRules(True, True, 0, False))),
            "asids is 0; it lies between",
        ),
        (
            "3.7",
            tlb(pages_in_pairs=True, walk_caches=()),
            "flush_tlb_range.. invalidates single pages, and an entry of the platform's TLB translates pairs",
        ),
        (
            "3.7",
            lowering(pages_in_pairs=True),
            "invalidates pairs of pages, and no platform's TLB says that its entries translate pairs",
        ),
        ("3.2", good(formats=()), "flushes are of the format vax, which is none of Architecture.formats"),
        ("3.8", machine(cpus=8, sockets=3, smt=2), "8 CPUs can't be 3 sockets of cores with 2 threads each"),
        ("3.8", machine(itlb=attrs.evolve(TLB, asid_bits=9)), "asid_bits is 0 in tlb and 9 in itlb"),
        ("3.8", tlb(l2=CacheGeometry(8, 8, (4096,))), "l2 has 8 entries, fewer than l1 with 64"),
        ("3.8", good(preempting_hosts=("kvmm",)), "names 'kvmm', which no platform has as its hypervisor"),
        (
            "8.1",
            good(configure=lambda kernel: attrs.evolve(kernel, pmd_sharing=bool(next(_turns) % 3))),
            "is another",
        ),
        (
            "9.4",
            costing(page_flush_ns=Cost(40e-9, 60e-9, 90e-9, "in seconds")),
            "page_flush_ns: 4e-08 to 9e-08 ns; at .* GHz .* are usual",
        ),
        (
            "9.4",
            costing(page_flush_ns=Cost(40_000, 60_000, 90_000, "in picoseconds")),
            "page_flush_ns: 40000 to",
        ),
        (
            "9.4",
            costing(page_flush_ns=Cost(900, 950, 1000, "mine"), full_flush_ns=Cost(90, 95, 99, "mine")),
            "one page takes 900 ns or more .page_flush_ns., and everything at most 99 ns",
        ),
        ("8.2", good(lower=Forgetful), "flush.. writes other steps a second time|tlb_flush.. writes"),
        ("8.4", good(formats=(HASHLESS,)), "format vax can't be hashed"),
    ],
)
def test_a_wrong_value_is_named(number: str, architecture: Architecture, named: str) -> None:
    text = findings(number, architecture)
    assert re.search(named, text), text


def test_a_question_that_is_answered_otherwise_the_second_time_is_found() -> None:
    assert outcome("8.3", good()).word == "shown"
    assert "compare anonymous on vax-9000: the same seed gives other bytes" in findings(
        "8.3", good(lower=Forgetful)
    )


@pytest.mark.parametrize(
    ("number", "architecture", "named"),
    [
        ("9.1", costing(ipi_send_ns=Cost(1, 2, 3, "")), "cost ipi_send_ns: its source is ''"),
        ("9.1", costing(ipi_send_ns=Cost(1, 2, 3, "TODO")), "cost ipi_send_ns: its source is 'TODO'"),
        ("9.1", costing(ipi_send_ns=Cost(1, 2, 3, "estimate:")), "an estimate without a reason"),
        ("9.2", tlb(source=""), "nothing says where its sizes and its 0 asid_bits are from"),
        ("9.2", tlb(source="TBD"), "nothing says where its sizes"),
        (
            "9.3",
            good(instructions={"tbis": "todo", "tbia": "VAX manual"}),
            "the instruction 'tbis'; nothing says",
        ),
        ("9.3", good(), "flushes count the instruction 'tbis'; nothing says where a manual has it"),
    ],
)
def test_what_has_no_source_is_unevidenced(number: str, architecture: Architecture, named: str) -> None:
    found = outcome(number, architecture)
    assert found.word == "unevidenced"
    assert any(named in message for message in found.unevidenced)


def test_instructions_with_a_place_in_a_manual_are_shown_and_those_that_nothing_counts_are_found() -> None:
    names = {"tbis": "VAX manual, TBIS", "tbia": "VAX manual, TBIA"}
    names |= {name: "VAX manual" for name in outcome_names() if name not in names}
    assert outcome("9.3", good(instructions=names)).word == "shown"
    text = findings("9.3", good(instructions=names | {"tbic": "VAX manual, TBIC"}))
    assert "instructions names 'tbic', which no flush counts; nearest: tbi" in text


def outcome_names() -> list[str]:
    """Return the instructions that the toy's flushes count."""
    messages = outcome("9.3", good()).unevidenced
    return [found[1] for message in messages if (found := re.search("the instruction '(\\w+)'", message))]


def test_a_count_that_is_none_shows_nothing() -> None:
    def configure(kernel: Kernel) -> Kernel:
        return kernel

    (found,) = check(subject(good(configure=configure, platforms=())), chosen(["9.1"]))
    assert (found.word, found.why) == ("not applicable", "it has no platforms")
