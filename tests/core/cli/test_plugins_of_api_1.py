"""A plugin as one was written for api 1 in the first release goes on working: raw steps, costs and geometries by hand.

It must not be brought up to date: what it stands for is in other people's repositories. `docs/examples/vax` is how one
is written now.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

CODE = """
import attrs

from shootdown import (
    Architecture, Cost, Costs, Geometry, Kernel, Lowering, MmRules, Platform, hookimpl, switch,
)
from shootdown.porting import COST_NAMES, Assembler, CacheGeometry, TlbGeometry, ops


@attrs.frozen
class VaxKernel:
    most_pages: int = switch(16, "more pages than these flush everything", minimum=1)


@attrs.frozen
class VaxLowering(Lowering):
    kernel: Kernel
    platform: Platform

    mm = property(lambda self: MmRules(clear_on_switch=True, lazy_tlb=True, asids=64, tagged=True))
    geometry = property(lambda self: Geometry(page_shift=14, pmd_shift=25, pud_shift=36, p4d_shift=36, pgd_shift=36))

    def no_pmd_sharing(self):
        return None if self.kernel.pmd_sharing else "not applicable: vax shares nothing"

    def tlb_flush(self, asm, g):
        with asm.function("flush_tlb_range", "arch/vax/mm/tlb.c"), asm.because("TLB flush"):
            asm.begin_flush(g, ceiling=self.kernel.arch.most_pages, text="pages or everything")
            asm.target_mm_cpumask()
            with asm.if_targets() as some:
                asm.execute("tbis", 1, ops.PER_TARGET)
                asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH, text="IPI: flush_tlb_range_ipi")
                with asm.if_loaded_here():
                    asm.flush_this_cpu(ops.SCOPE_BOTH)
                asm.wait_for_answers()
                some.otherwise()
                with asm.if_loaded_here():
                    asm.flush_this_cpu(ops.SCOPE_BOTH)
                asm.emit(ops.CANCEL)

    flush_range = flush_mm = flush_page = tlb_flush


@hookimpl
def shootdown_architectures():
    cost = Cost(100, 300, 1000, "estimate: nobody measured")
    tlb = TlbGeometry(l1=CacheGeometry(entries=64, ways=64, page_sizes=(1 << 14, 1 << 25)), levels=(1 << 14, 1 << 25))
    machine = Platform(
        name="vax-9000", summary="one", costs=Costs(**dict.fromkeys(COST_NAMES, cost)), tlb=tlb, cpus=8
    )
    return [
        Architecture(
            api=1,
            name="vax",
            summary="VAX",
            switches=VaxKernel,
            configure=lambda kernel: attrs.evolve(kernel, pmd_sharing=False),
            platforms=(machine,),
            lower=VaxLowering,
        )
    ]
"""


@pytest.fixture
def vax(plug: Callable[[str, str], None], shell: Callable[..., Any]) -> Callable[..., str]:
    plug("vax", CODE)

    def run(*words: str) -> str:
        done = shell(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def counts(vax: Callable[..., str], *words: str) -> list[dict[str, int]]:
    return [row["counts"] for row in json.loads(vax("compare", *words, "--json"))["rows"]]


def test_flushes_are_counted(vax: Callable[..., str]) -> None:
    few, many = (
        counts(
            vax, "anonymous", "-p", "op=madv_dontneed", "-p", f"pages={n}", "-p", "threads=3", "--arch", "vax"
        )[0]
        for n in (16, 17)
    )
    assert (few["flush_ipis"], few["page_invalidations"], few["full_flushes"]) == (3, 16 * 4, 0)
    assert (many["flush_ipis"], many["page_invalidations"], many["full_flushes"]) == (3, 0, 4)


def test_it_stands_beside_others_in_one_table(vax: Callable[..., str]) -> None:
    text = vax("compare", "anonymous", "--arch", "vax,x86", "--kernel", "6.12,7.0", "--cpus", "4")
    assert "vax vax-9000, 4 CPUs" in text
    assert "x86 intel-server, 4 CPUs" in text


def test_sharing_is_not_applicable_and_one_what_if_away(vax: Callable[..., str]) -> None:
    assert "not applicable: vax shares nothing" in vax(
        "compare", "hugetlb-munmap", "--arch", "vax", "--kernel", "7.0"
    )
    (row,) = json.loads(
        vax("targets", "--arch", "vax", "--kernel", "7.0", "--set", "kernel.pmd_sharing=true", "--json")
    )["rows"]
    assert (row["walk_cache_dropped"], row["sync"]) == (True, "redundant")
    assert "3 flush IPIs (tbis 3 times)" in row["reason"]


def test_its_steps_and_its_switches_are_shown(vax: Callable[..., str]) -> None:
    text = vax("explain", "anonymous", "-p", "threads=2", "--arch", "vax", "--kernel", "7.0", "--cpus", "4")
    assert "arch/vax/mm/tlb.c" in text
    assert "kernel.most_pages" in vax("list", "switches", "--arch", "vax")
    changed = ("--arch", "vax", "--set", "kernel.most_pages=1", "-p", "pages=2")
    assert counts(vax, "anonymous", *changed)[0]["full_flushes"] > 0
