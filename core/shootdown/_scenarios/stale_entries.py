"""A TLB entry outlives its page: mremap() flushes too late, or madvise() relies on another thread's flush.

`mremap-stale` (CVE-2018-18281, fixed by eb66ae030829 in 4.19): mremap() moves a PTE. A truncation finds the page at the
new address, flushes that, and frees the page; the TLB entry of the old address still leads there unless mremap()
flushes before it drops the page-table locks.

`nested-flush` (fixed by 99baac21e458 in 4.13): two threads drop the same page with MADV_DONTNEED. The second finds
pte_none() and has nothing to flush; but the first has not flushed yet, so that the old page is still accessible after
the second call has returned, unless that call detects the other gather (mm_tlb_flush_nested()) and flushes everything.
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._mm.model import Model
from shootdown._mm.ordinary import Ordinary
from shootdown._scenarios.pte import maps
from shootdown._values.parameter import Parameter
from shootdown._values.releases import evolve
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_INVARIANTS = ("walk-cache", "stale-tlb-entry")
_SENTENCES = {
    "stale-tlb-entry": "User mode may not use a TLB entry that leads to a page which was freed, or which a call that "
    "has returned took away.",
}
_MOVED = ("moved", "freed")
_MISSED = ("missed", "returned")


def _model(scene: Setup, tables: int, switch: str) -> Model:
    """Return a model of three CPUs in user mode, and of some PTE tables; `switch` is the fix of the scenario."""
    geometry = scene.lowering.geometry
    model = Model(
        scene.kernel if scene["fix"] else evolve(scene.kernel, {switch: False}),
        scene.lowering,
        cpus=3,
        mms=1,
        slots=tables,
        slot_pages=1 << (geometry.pmd_shift - geometry.page_shift),
    )
    for table in range(tables):
        model.populate(0, table)
    for cpu in range(3):
        model.user_mode(cpu)
    return model


def _problem(scene: Setup, model: Model, places: tuple[str, ...], lanes: tuple[str, ...]) -> Problem:
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=places,
        hypervisor=scene.preempts,
        preemption=True,
        lanes=lanes,
    )


def _build_mremap(scene: Setup) -> Problem:
    model = _model(scene, 2, "mremap_flushes_locked")
    page = model.frame(2, "the file's page")  # the page cache has a reference, and the mapping
    old = model.atom(0, 1, "the old address")
    new = model.atom(model.slot_pages, model.slot_pages + 1, "the new address")
    model.maps(old, maps(page, dirty=True))
    calls = Ordinary(model, scene.pte_clear, _MOVED)
    mover, truncater, user = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(3))
    model.starts(mover)
    calls.mremap(old, new)
    model.spin()
    model.starts(truncater)
    calls.truncate([old, new], page)
    model.spin()
    model.starts(user)
    model.spin()
    return _problem(scene, model, _MOVED, ("mremap", "ftruncate", "user mode"))


def _build_nested(scene: Setup) -> Problem:
    model = _model(scene, 1, "nested_gathers_flush")
    page = model.frame(1, "the page")
    there = model.atom(0, 1, "the page's address")
    model.maps(there, maps(page, dirty=True))
    calls = Ordinary(model, scene.pte_clear, _MISSED)
    droppers = [model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2)]
    user = model.task(mm=0, cpu=2, ready=True)
    model.starts(*droppers)
    calls.madvise([there])
    model.spin()
    model.starts(user)
    model.spin()
    return _problem(scene, model, _MISSED, ("MADV_DONTNEED", "MADV_DONTNEED", "user mode"))


_FIX = (Parameter("fix", True, "the code as it has been since the commit named; false: before it"),)
_BEFORE = ("scenario.fix=false",)
_WHERE = (
    *((arch, "") for arch in ("x86", "arm64", "powerpc", "riscv")),
    *(("x86", platform) for platform in ("amd-server", "kvm-guest", "hyper-v-guest", "xen-pv-guest")),
)


def _expected() -> tuple[Expect, ...]:
    both = [
        Expect(verdict, arch, platform, settings=settings)
        for arch, platform in _WHERE
        for verdict, settings in (("safe", ()), ("bug", _BEFORE))
    ]
    both += [
        Expect(
            "safe",
            "powerpc",
            "power9-hash",
            settings=settings,
            why="the hash entry goes before the lock does",
        )
        for settings in ((), _BEFORE)
    ]
    return tuple(both)  # fmt: skip


STALE_ENTRIES = (
    Scenario(
        name="mremap-stale",
        summary="a TLB entry of the old address outlives a page that mremap() moved and a truncation freed",
        source="eb66ae030829 (CVE-2018-18281)",
        build=_build_mremap,
        sentences=_SENTENCES,
        switches=_FIX,
        window=_MOVED,
        expected=_expected(),
    ),
    Scenario(
        name="nested-flush",
        summary="MADV_DONTNEED returns while another one of the same page has yet to flush",
        source="99baac21e458",
        build=_build_nested,
        sentences=_SENTENCES,
        switches=_FIX,
        window=_MISSED,
        expected=_expected(),
    ),
)
