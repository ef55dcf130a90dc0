"""A TLB entry outlives what a driver took away: pages that move to a device, and pages that it had lent (VM_PFNMAP).

`migrate-device` (fixed by 60bae7370896): migrate_vma_setup() makes a migration entry of an entry, and flushed only
after it had released the page-table lock. MADV_DONTNEED in between finds nothing mapped and has nothing to flush, so
that the page can still be reached when it has returned.

`pfn-unmap` (CVE-2022-39188, fixed by b67fbebd4cf9): munmap() of a VM_PFNMAP mapping clears its entries, takes the VMA
out of the file's tree, and flushes at the end. unmap_mapping_range() in between finds no VMA, and the driver frees a
page that TLBs still lead to. Where a gather flushes at the end of each VMA anyway (not MMU_GATHER_MERGE_VMAS) it
never happened.
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._mm.device_memory import DeviceMemory
from shootdown._mm.model import Model
from shootdown._mm.ordinary import Ordinary
from shootdown._scenarios.pte import maps
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_INVARIANTS = ("walk-cache", "stale-tlb-entry")
_SENTENCES = {
    "stale-tlb-entry": "User mode may not use a TLB entry that leads to a page which was freed, or which a call that "
    "has returned took away.",
}
_MISSED, _FREED = ("missed", "returned"), ("freed", "returned")
_ALIVE = "a copy was alive"


def _model(scene: Setup) -> Model:
    """Return a model of three CPUs in user mode and of one page table."""
    geometry = scene.lowering.geometry
    slot_pages = 1 << (geometry.pmd_shift - geometry.page_shift)
    model = Model(scene.kernel, scene.lowering, cpus=3, mms=1, slot_pages=slot_pages)
    model.populate(0)
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


def _build_migrate(scene: Setup) -> Problem:
    model = _model(scene)
    page = model.frame(1, "the page")
    there = model.atom(0, 1, "the page's address")
    model.maps(there, maps(page, dirty=True))
    places = (*_MISSED, _ALIVE)
    calls = Ordinary(model, scene.pte_clear, places)
    device = DeviceMemory(calls)
    driver, dropper, user = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(3))
    model.starts(driver)
    device.migrate_vma(there)
    model.spin()
    model.starts(dropper)
    calls.madvise([there])
    model.spin()
    model.starts(user)
    model.spin()
    return _problem(scene, model, places, ("a driver migrates", "MADV_DONTNEED", "user mode"))


def _build_pfn(scene: Setup) -> Problem:
    model = _model(scene)
    page = model.frame(2, "the driver's page")  # the driver has a reference; the other stands for the entry
    there = model.atom(0, 1, "the page's address")
    model.maps(there, maps(page, dirty=True))
    places = (*_FREED, _ALIVE)
    calls = Ordinary(model, scene.pte_clear, places)
    device = DeviceMemory(calls)
    unmapper, driver, user = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(3))
    model.starts(unmapper)
    device.munmap(there)
    model.spin()
    model.starts(driver)
    device.revoke(there, page)
    model.spin()
    model.starts(user)
    model.spin()
    return _problem(scene, model, places, ("munmap", "a driver revokes", "user mode"))


_LATE = ("kernel.migrate_device_flushes_locked=false",)
_ALWAYS_LATE = ("kernel.pfn_maps_flush_early=false",)
_GUESTS = ("amd-server", "kvm-guest", "hyper-v-guest", "xen-pv-guest")

DEVICE_MEMORY = (
    Scenario(
        name="migrate-device",
        summary="MADV_DONTNEED returns while a page's move to a device has yet to flush",
        source="60bae7370896",
        build=_build_migrate,
        sentences=_SENTENCES,
        window=_MISSED,
        expected=(
            *(Expect("safe", arch) for arch in ("x86", "arm64", "powerpc", "riscv")),
            *(Expect("bug", arch, settings=_LATE) for arch in ("x86", "arm64", "powerpc", "riscv")),
            *(Expect("bug", "x86", name, settings=_LATE) for name in _GUESTS),
            Expect("bug", "x86", kernel="5.19.13"),
            Expect("safe", "x86", kernel="5.19.14"),
            Expect("safe", "powerpc", "power9-hash", settings=_LATE, why="the hash entry goes before the lock does"),
        ),
    ),
    Scenario(
        name="pfn-unmap",
        summary="a driver frees a page whose VM_PFNMAP mapping munmap() has cleared and not flushed",
        source="b67fbebd4cf9 (CVE-2022-39188)",
        build=_build_pfn,
        sentences=_SENTENCES,
        window=_FREED,
        expected=(
            *(Expect("safe", arch) for arch in ("x86", "arm64", "powerpc", "riscv")),
            Expect("bug", "x86", kernel="5.18"),
            Expect("safe", "x86", kernel="5.19"),
            Expect("bug", "powerpc", settings=_ALWAYS_LATE),
            *(Expect("bug", "x86", name, settings=_ALWAYS_LATE) for name in _GUESTS),
            Expect("safe", "arm64", settings=_ALWAYS_LATE, why="tlb_end_vma() flushes each VMA anyway"),
            Expect("safe", "riscv", settings=_ALWAYS_LATE, why="tlb_end_vma() flushes each VMA anyway"),
            Expect("safe", "powerpc", "power9-hash", settings=_ALWAYS_LATE, why="the hash entry goes before"),
        ),
    ),
)  # fmt: skip
