"""khugepaged collapses a PTE table into a huge page while GUP-fast is inside that table.

khugepaged clears the PMD entry and flushes (pmdp_collapse_flush()). Then it checks the pages' references, copies the
pages into the huge page and releases them. The withdrawn table is deposited until the huge page is split; it is then
filled anew or freed at once: no grace period protects a table that is withdrawn this way.

Where the flush sends IPIs, it waits for the walk on GUP-fast's CPU. Elsewhere 70cbc3cc78a9 protects the pages: GUP-fast
takes the page first and then reads the PMD entry again; khugepaged clears the entry first and then checks the
references. That recheck comes too late for the table; 2ba99c5e0881 protects it: khugepaged sends an IPI to all CPUs
before it uses the table. Radix kernels of powerpc had an IPI of their own in pmdp_collapse_flush() until bedf03416913,
which came with the first fix.

The switches `scenario.recheck` and `scenario.sync` follow the kernel unless they are set.
"""

from __future__ import annotations

from collections.abc import Callable

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.model import Model
from shootdown._scenarios.gup import no_gup_fast, recheck, walk, walk_table
from shootdown._scenarios.pte import PmdEntry
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_GUP = 1
_INVARIANTS = ("walk-cache", "gup-fast")
_SENTENCES = {
    "gup-fast": "GUP-fast may not return a page that was replaced by its copy, nor read a table that is in other use.",
}
_KHUGEPAGED, _WALKER = range(2)
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


def _rechecks(scene: Setup) -> bool:
    return scene.kernel.gup_rechecks_pmd if scene["recheck"] == "auto" else scene["recheck"] == "true"


def _syncs(scene: Setup) -> bool:
    return scene.kernel.khugepaged_sync if scene["sync"] == "auto" else scene["sync"] == "true"


def _refuse(scene: Setup) -> str | None:
    return no_gup_fast(scene) or scene.lowering.no_thp()


def _model(scene: Setup) -> Model:
    return Model(scene.kernel, scene.lowering, cpus=2, mms=1)


def _problem(scene: Setup, model: Model, places: tuple[str, ...]) -> Problem:
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=places,
        hypervisor=scene.preempts,
        lanes=("khugepaged", "GUP-fast"),
    )


def _collapse(scene: Setup, model: Model, pmd: int, then: Callable[[], None]) -> None:
    """Write khugepaged: it is a kernel thread, whose CPU does not have the mm loaded.

    Args:
        scene: the scene.
        model: the model.
        pmd: the variable that is the PMD entry.
        then: writes the steps after the flush, when no walk is supposed to be in the table any more.
    """
    asm = model.asm
    pages = 1 << (scene.lowering.geometry.pmd_shift - scene.lowering.geometry.page_shift)

    def clear(text: str) -> None:
        if scene.pte_clear == "xchg":
            asm.v_xchg(pmd, 0, o.SCRATCH, text=text)
        else:
            asm.v_store(pmd, 0, text=text)

    model.starts(model.task(mm=None, cpu=_KHUGEPAGED, ready=True))
    model.concern(0)
    with asm.function("collapse_huge_page", "mm/khugepaged.c"), asm.because("khugepaged"):
        asm.lock(model.locks.mmap, index=1, write=True, sleeps=True, text="mmap_lock")
        model.calls.page_tables.pmdp_collapse_flush(PmdEntry(pages, clear))
        if _syncs(scene):
            model.gathers.sync("a page table was withdrawn")
        then()
        asm.unlock(model.locks.mmap, index=1, write=True, text="mmap_lock")
    model.spin()


_WALKED, _REPLACED, _PINNED = range(3)


def _build_page(scene: Setup) -> Problem:
    """Build the scenario of one page: khugepaged may replace it only if it has no references and gets none later."""
    model = _model(scene)
    asm = model.asm
    pmd, pte = model.variable(1, "the PMD entry"), model.variable(1, "the PTE")
    references = model.variable(0, "references")
    replaced, pinned = model.variable(0, "page replaced"), model.variable(0, "page pinned")

    def replace() -> None:
        given_up, over = model.label(), model.label()
        with asm.function("__collapse_huge_page_isolate"):
            asm.v_load(o.SCRATCH, references, text="are there references other than the mapping's?")
            clean = model.label()
            asm.jump_zero(o.SCRATCH, clean)
            asm.jump(given_up)
            asm.place(clean)
        with asm.function("__collapse_huge_page_copy"):
            asm.work("collapse_ns", text="copy the page")
            asm.v_store(pte, 0, text="clear the PTE, let go of the page")
        asm.v_xchg(replaced, 1, o.SCRATCH, text="the page is replaced by its copy")
        asm.reached(_REPLACED)
        asm.v_load(o.SCRATCH2, pinned)
        model.fail_if(o.SCRATCH2, 1, _GUP, "a page that GUP-fast returned was replaced")
        asm.jump(over)
        asm.place(given_up)
        asm.v_store(pmd, 1, text="pmd_populate: the table goes back, nothing is collapsed")
        asm.place(over)

    _collapse(scene, model, pmd, replace)
    model.starts(model.task(mm=0, cpu=_WALKER, ready=True))

    def in_table(out: Label) -> None:
        put = model.label()
        asm.v_load(o.SCRATCH, pte, text="read the PTE")
        asm.jump_zero(o.SCRATCH, out)
        asm.reached(_WALKED)
        asm.v_add(references, 1, o.SCRATCH2, text="try_grab_folio_fast: take the page")
        if _rechecks(scene):
            recheck(model, pmd, put)
        same = model.label()
        asm.v_load(o.SCRATCH2, pte, text="read the PTE again")
        asm.jump_same(o.SCRATCH, o.SCRATCH2, same)
        asm.place(put)
        asm.v_add(references, -1, o.SCRATCH2, text="give the page back")
        asm.jump(out)
        asm.place(same)
        asm.v_xchg(pinned, 1, o.SCRATCH2, text="the page is returned")
        asm.reached(_PINNED)
        asm.v_load(o.SCRATCH2, replaced)
        model.fail_if(o.SCRATCH2, 1, _GUP, "the page that is returned was replaced")

    walk(model, pmd, in_table)
    model.spin()
    return _problem(scene, model, ("walked", "replaced", "pinned"))


_IN_TABLE, _REUSED, _FREED = range(3)


def _build_table(scene: Setup) -> Problem:
    """Build the scenario of one table: it is deposited, filled anew when the huge page is split, and freed."""
    model = _model(scene)
    asm = model.asm
    pmd = model.variable(1, "the PMD entry")

    def reuse() -> None:
        asm.set(o.SLOT, 0)
        asm.set(o.CLASS, 1)
        with asm.function("pgtable_trans_huge_deposit", "mm/pgtable-generic.c"):
            asm.table_state(o.TABLE_REUSED, text="the table is deposited; a split fills it anew")
            asm.reached(_REUSED)
        with asm.function("zap_deposited_table", "mm/huge_memory.c"):
            asm.table_state(o.TABLE_FREED, text="pte_free: the table's page is freed at once")
            asm.reached(_FREED)

    _collapse(scene, model, pmd, reuse)
    model.starts(model.task(mm=0, cpu=_WALKER, ready=True))
    walk_table(model, pmd, rechecks=_rechecks(scene), walked=_IN_TABLE, invariant=_GUP)
    model.spin()
    return _problem(scene, model, ("walked", "reused", "freed"))


_BARE = ("scenario.recheck=false", "scenario.sync=false")
_RECHECK = ("scenario.recheck=true", "scenario.sync=false")
_SYNC = ("scenario.recheck=false", "scenario.sync=true")
_WITHOUT_IPIS = (("x86", "kvm-guest"), ("x86", "amd-server"), ("arm64", ""), ("powerpc", ""))

KHUGEPAGED = (
    Scenario(
        name="khugepaged-gup-page",
        summary="GUP-fast takes a page that khugepaged replaces by its copy",
        source="70cbc3cc78a9, 2ba99c5e0881",
        build=_build_page,
        sentences=_SENTENCES,
        switches=_SWITCHES,
        refuse=_refuse,
        window=("walked", "replaced", "pinned"),
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
    ),
    Scenario(
        name="khugepaged-gup-table",
        summary="GUP-fast is inside a page table that khugepaged withdraws and uses anew",
        source="2ba99c5e0881",
        build=_build_table,
        sentences=_SENTENCES,
        switches=_SWITCHES,
        refuse=_refuse,
        window=("walked", "reused", "freed"),
        expected=(
            Expect("safe", arch="x86"),
            Expect("safe", arch="arm64"),
            Expect("safe", arch="x86", kernel="5.10.100", why="the flush IPI waits for the walk"),
            Expect("bug", arch="arm64", kernel="5.10.148", why="the recheck comes after the table was read"),
            Expect("safe", arch="arm64", kernel="5.10.159"),
            Expect("safe", "powerpc", kernel="5.10.147", why="an IPI of its own"),
            Expect("bug", "powerpc", kernel="5.10.148", why="bedf03416913 relies on the recheck, which is too late"),
            Expect("safe", "powerpc", kernel="5.10.159"),
            Expect("not-applicable", "x86", "xen-pv-guest", why="no huge pages"),
            Expect("safe", arch="x86", settings=_BARE),
            *(
                Expect("bug", arch, platform, settings=settings)
                for arch, platform in (*_WITHOUT_IPIS, ("x86", "hyper-v-guest"))
                for settings in (_BARE, _RECHECK)
            ),
            *(
                Expect("safe", arch, platform, settings=_SYNC)
                for arch, platform in _WITHOUT_IPIS
            ),
        ),
    ),
)  # fmt: skip
