"""Page tables that are freed while a lazy CPU's walk cache leads into one.

`lazy-freed-tables`: the other CPU idles and keeps the mm loaded. It makes no accesses, but its walker may speculate
through a cached entry that leads into the table, after the table was freed. Therefore flushes that free tables reach
lazy CPUs too, and drop walk-cache entries. A table for which no batch can be had is freed at once, and needs its
flush before that (d86564a2f085, merged by 706a1ea65e). On x86 freed_tables requests that; flush_tlb_range(), with
which khugepaged withdraws a table, passes it only since 3ef938c35035 (CVE-2025-22045).
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.call_parts import OUTER
from shootdown._mm.model import Model
from shootdown._scenarios.pte import PmdEntry
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_INVARIANTS = ("walk-cache",)
_UNMAPPER, _OTHER = range(2)

_PATHS = ("munmap", "collapse")


def _build_lazy(scene: Setup) -> Problem:
    collapse = scene["path"] == "collapse"
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1, batch_fails=not scene["batch"])
    model.populate(0)
    model.starts(model.task(mm=None if collapse else 0, cpu=_UNMAPPER, ready=True))
    if collapse:
        _withdraw(scene, model)
    else:
        _unmap(model, batch=bool(scene["batch"]))
    model.asm.reached(0)
    model.spin()
    if scene["lazy"]:
        model.keep_lazy(_OTHER, 0)
    else:
        model.starts(model.task(mm=0, cpu=_OTHER, ready=True))
        model.spin()
    return Problem(
        machine=model.build(bits=16),
        invariants=_INVARIANTS,
        places=("freed",),
        walkers=True,
        hypervisor=scene.preempts,
        lanes=("khugepaged" if collapse else "munmap", "lazy" if scene["lazy"] else "runs"),
    )


def _unmap(model: Model, *, batch: bool) -> None:
    """Write munmap() of an ordinary mapping that frees a PMD table; the PUD entry pointed to it.

    Args:
        model: the model.
        batch: the table waits in a batch for the flush; otherwise tlb_remove_table_one() frees it.
    """
    asm, gathers, kernel = model.asm, model.gathers, model.kernel
    alone = not batch and not gathers.tables_as_pages
    with model.calls.syscall("munmap"), asm.because("munmap"):
        gathers.begin(OUTER)
        gathers.change_page_size(OUTER, huge=False)
        with asm.function("free_pmd_range", "mm/memory.c"):
            asm.set(o.SLOT, 0)
            asm.set(o.CLASS, 1)
            asm.clear_pud(text="pud_clear")
            gathers.free_tables(OUTER, 1, o.CLEARED_PUDS)
            at_once = gathers.at_once(o.CLEARED_PUDS)
            if at_once or (alone and not kernel.pt_reclaim and kernel.batch_failure == "sync"):
                asm.table_state(o.TABLE_FREED, text="the table's page is freed at once")
            elif alone:
                model.free_table()
        gathers.finish(OUTER)
        if not at_once and not alone:
            model.free_table()


def _withdraw(scene: Setup, model: Model) -> None:
    """Write collapse_pte_mapped_thp(): pmdp_collapse_flush(), and the PTE table is freed at once."""
    asm = model.asm
    pages = 1 << (scene.lowering.geometry.pmd_shift - scene.lowering.geometry.page_shift)
    model.concern(0)
    with asm.function("collapse_pte_mapped_thp", "mm/khugepaged.c"), asm.because("khugepaged"):
        asm.lock(model.locks.mmap, index=1, write=True, sleeps=True, text="mmap_lock")
        asm.set(o.SLOT, 0)
        asm.set(o.CLASS, 1)
        table = PmdEntry(pages, lambda text: asm.clear_pud(text=text))
        model.calls.page_tables.pmdp_collapse_flush(table)
        if scene.kernel.khugepaged_sync:
            model.gathers.sync("a page table was withdrawn")
        with asm.function("pte_free", "include/asm-generic/pgalloc.h"):
            asm.table_state(o.TABLE_FREED, text="the table's page is freed at once")
        asm.unlock(model.locks.mmap, index=1, write=True, text="mmap_lock")


def _refuse_lazy(scene: Setup) -> str | None:
    if not scene.lowering.needs_table_invalidate:
        return "the hardware walks no page table of Linux here (tlb_needs_table_invalidate() is false)"
    return scene.lowering.no_thp() if scene["path"] == "collapse" else None


_IGNORED = ("kernel.honour_freed_tables=false",)
_COLLAPSE = {"path": "collapse"}
_ALONE = {"batch": False}
_NO_FLUSH = ("kernel.table_free_flushes=false",)

FREED_TABLES = (
    Scenario(
        name="lazy-freed-tables",
        summary="the walker of a lazy CPU remembers a page table that is freed",
        source="3ef938c35035, d86564a2f085 (merged by 706a1ea65e)",
        build=_build_lazy,
        parameters=(
            Parameter(
                "path", "munmap", "who frees the table: munmap(), or khugepaged, which withdraws it", choices=_PATHS
            ),
            Parameter("lazy", True, "the other CPU is in lazy TLB mode; false: it runs the mm"),
            Parameter("batch", True, "munmap() has a batch for the table; false: there is no page for one"),
        ),
        refuse=_refuse_lazy,
        window=("freed",),
        expected=(
            *(Expect("safe", arch) for arch in ("x86", "arm64", "powerpc", "riscv")),
            Expect("bug", arch="x86", settings=_IGNORED, why="the flush leaves lazy CPUs out"),
            Expect("safe", arch="x86", settings=_IGNORED, parameters={"lazy": False}),
            Expect("bug", "x86", "amd-server", settings=_IGNORED, why="no global ASID before four CPUs run the mm"),
            Expect("safe", "x86", "amd-server", settings=(*_IGNORED, "platform.flush=invlpgb")),
            Expect("bug", "x86", "kvm-guest", settings=_IGNORED),
            Expect("bug", "x86", "hyper-v-guest", settings=_IGNORED),
            Expect("safe", "x86", "xen-pv-guest", settings=_IGNORED, why="Xen flushes every vCPU of the mask"),
            Expect("bug", "arm64", settings=_IGNORED, why="VALE1IS leaves walk-cache entries"),
            Expect("bug", "riscv", settings=_IGNORED, why="a fence by address need not reach non-leaf entries"),
            Expect("not-applicable", "powerpc", "power9-hash", why="the hash MMU walks no page table"),
            Expect("bug", arch="x86", kernel="6.14.1", parameters=_COLLAPSE, why="CVE-2025-22045"),
            Expect("safe", arch="x86", kernel="6.14.2", parameters=_COLLAPSE),
            Expect("safe", "arm64", kernel="6.14.1", parameters=_COLLAPSE),
            *(Expect("safe", arch, kernel="6.12", parameters=_ALONE) for arch in ("x86", "arm64", "powerpc")),
            *(Expect("bug", arch, "", "6.12", _NO_FLUSH, _ALONE) for arch in ("arm64", "powerpc")),
            Expect("bug", "x86", "kvm-guest", "6.12", parameters=_ALONE, settings=_NO_FLUSH, why="706a1ea65e"),
            Expect("safe", "x86", parameters=_ALONE),
            Expect("bug", "x86", parameters=_ALONE, settings=_NO_FLUSH),
            Expect("safe", "x86", settings=_NO_FLUSH, why="a batch that is not full waits for the flush"),
        ),
    ),
)  # fmt: skip
