"""khugepaged replaces a page by its copy in a huge page while GUP-fast takes that page.

khugepaged clears the PMD entry and flushes (pmdp_collapse_flush()). Then it checks the pages' references, copies the
pages into the huge page and releases them. Where the flush sends IPIs, it waits for the walk on GUP-fast's CPU.
Elsewhere 70cbc3cc78a9 protects the pages: GUP-fast takes the page first and then reads the PMD entry again; khugepaged
clears the entry first and then checks the references. So does the sync of 2ba99c5e0881. Radix kernels of powerpc had an
IPI of their own in pmdp_collapse_flush() until bedf03416913, which came with the first fix.

It is the program khugepaged-gup-table with one thing left out: what becomes of the table that is withdrawn.

The switches `scenario.recheck` and `scenario.sync` follow the kernel unless they are set.
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._mm.collapse import Collapse
from shootdown._mm.gup import Gup
from shootdown._mm.model import Model
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import INVARIANTS
from shootdown._scenarios.pte import maps
from shootdown._values.parameter import Parameter
from shootdown._values.releases import evolve
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_PLACES = ("walked", "pinned", "freed")
_SENTENCES = {
    "gup-fast": "GUP-fast may not return a page that was replaced by its copy.",
    "stale-tlb-entry": "User mode may not use a TLB entry that leads to a page which was freed after it was copied.",
}
_AUTO = ("auto", "true", "false")
_SWITCHES = (
    Parameter(
        "recheck",
        "auto",
        "GUP-fast reads the PMD entry again after it took the page (70cbc3cc78a9); auto: if the kernel does",
        choices=_AUTO,
    ),
    Parameter(
        "sync",
        "auto",
        "khugepaged calls tlb_remove_table_sync_one() after the flush (2ba99c5e0881); auto: if the kernel does",
        choices=_AUTO,
    ),
)
#: The kernel's switch that each of them sets.
_SETS = {"recheck": "gup_rechecks_pmd", "sync": "khugepaged_sync"}


def _refuse(scene: Setup) -> str | None:
    if not scene.kernel.gup_fast:
        return "this kernel has no GUP-fast (CONFIG_HAVE_GUP_FAST): nobody walks page tables without a lock"
    return scene.lowering.no_thp()


def _build(scene: Setup) -> Problem:
    """Build the scenario of one page: khugepaged may replace it only if it has no references and gets none later."""
    geometry = scene.lowering.geometry
    chosen = {_SETS[name]: scene[name] == "true" for name in _SETS if scene[name] != "auto"}
    model = Model(
        evolve(scene.kernel, chosen),
        scene.lowering,
        cpus=2,
        mms=1,
        slot_pages=1 << (geometry.pmd_shift - geometry.page_shift),
    )
    model.populate(0)
    page = model.frame(1, "the page")
    there = model.atom(0, 1, "the page's address")
    model.maps(there, maps(page, dirty=True))
    calls = Ordinary(model, scene.pte_clear, _PLACES)
    calls.has_table_locks(1, 1)
    calls.has_collapse([0], [there])
    for cpu in range(2):
        model.user_mode(cpu)
    khugepaged, walker = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2))
    model.starts(khugepaged)
    Collapse(calls).collapse([there], (), drops=False)
    model.spin()
    model.starts(walker)
    Gup(calls).gup_fast(there)
    model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=INVARIANTS,
        places=_PLACES,
        hypervisor=scene.preempts,
        lanes=("khugepaged", "GUP-fast"),
    )


_BARE = ("scenario.recheck=false", "scenario.sync=false")
_RECHECK = ("scenario.recheck=true", "scenario.sync=false")
_SYNC = ("scenario.recheck=false", "scenario.sync=true")
_WITHOUT_IPIS = (("x86", "kvm-guest"), ("x86", "amd-server"), ("arm64", ""), ("powerpc", ""))

KHUGEPAGED = Scenario(
    name="khugepaged-gup-page",
    summary="GUP-fast takes a page that khugepaged replaces by its copy",
    source="70cbc3cc78a9, 2ba99c5e0881",
    build=_build,
    sentences=_SENTENCES,
    switches=_SWITCHES,
    refuse=_refuse,
    window=_PLACES,
    expected=(
        Expect("safe", arch="x86"),
        Expect("safe", arch="arm64"),
        Expect("safe", arch="x86", kernel="5.10.100", why="the flush IPI waits for the walk"),
        Expect("bug", arch="arm64", kernel="5.10.100", why="neither recheck nor sync, and TLBI waits for nobody"),
        Expect("safe", arch="arm64", kernel="5.10.148", why="the recheck alone saves the page"),
        Expect("safe", "powerpc", kernel="5.10.100", why="an IPI of its own, which bedf03416913 took out"),
        Expect("safe", arch="x86", settings=_BARE),
        Expect("bug", arch="x86", platform="kvm-guest", settings=_BARE, why="a preempted vCPU is not interrupted"),
        Expect("bug", arch="x86", platform="hyper-v-guest", settings=_BARE),
        Expect("bug", arch="x86", platform="amd-server", settings=_BARE, why="INVLPGB"),
        Expect("bug", arch="arm64", settings=_BARE),
        Expect("bug", arch="powerpc", settings=_BARE, why="tlbie"),
        Expect(
            "safe", "powerpc", "power9-hash", settings=(*_BARE, "kernel.page_size=64k"),
            why="serialize_against_pte_lookup() interrupts",
        ),
        *(
            Expect("safe", arch, platform, settings=settings)
            for arch, platform in _WITHOUT_IPIS
            for settings in (_RECHECK, _SYNC)
        ),
    ),
)  # fmt: skip
