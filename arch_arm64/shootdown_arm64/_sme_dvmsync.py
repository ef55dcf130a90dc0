"""An access of the SME unit is under way when a flush completes: erratum 4193714 of C1-Pro (CVE-2026-0995).

A CPU answers a TLBI and DSB of another one when all of its accesses by the old translation are done. C1-Pro answers
before those of its SME unit are. They are when the CPU takes an exception (SCTLR_EL1.IESB), so that since
0baba94a9779 (7.1) a flush interrupts the CPUs which run the mm in user mode with SME.

An access is two steps here: it is translated, and it reaches memory. Between the two the CPU takes no interrupt.
"""

from __future__ import annotations

from shootdown.scenarios import (
    OUTER,
    Expect,
    Leaf,
    LeafEntry,
    LeafStretch,
    Model,
    Problem,
    Scenario,
    Scene,
    maps,
)
from shootdown.scenarios import ops as o

_FREED_PAGE = 1
_INVARIANTS = ("walk-cache", "freed-page")
_SENTENCES = {"freed-page": "An access may not reach a page that was freed."}
_PLACES = ("translated", "accessed", "freed")
_TRANSLATED, _ACCESSED, _FREED = range(len(_PLACES))


def _build(scene: Scene) -> Problem:
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    leaf = Leaf(model)
    entry = model.entry(0, maps(0, dirty=True), "the entry", lo=0, hi=1)
    freed = model.variable(0, "page freed")
    unmapper, computes = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2))
    model.starts(unmapper)
    asm, gathers = model.asm, model.gathers
    with model.calls.syscall("munmap"), asm.because("munmap"):
        gathers.begin(OUTER)
        model.calls.page_tables.zap_pte_range(OUTER, [LeafStretch(leaf, LeafEntry(leaf, entry, o.INDEX))])
        gathers.finish(OUTER)
        leaf.exchange(freed, 1, o.SCRATCH, "the page is freed")
        asm.reached(_FREED)
    model.spin()
    model.starts(computes)
    asm.irq_off(text="an SME instruction: an exception waits until its accesses are done")
    leaf.access(o.CLASS, entry, write=True)
    with asm.if_nonzero(o.CLASS):
        asm.reached(_TRANSLATED)
        leaf.load(o.SCRATCH, freed, "the access reaches memory: was the page freed?")
        asm.reached(_ACCESSED)
        model.fail_if(o.SCRATCH, 1, _FREED_PAGE, "the SME unit writes to a freed page")
    asm.irq_on(text="the instruction is over")
    model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        entries=True,
        lanes=("munmap", "computes with SME"),
    )


def _refuse(scene: Scene) -> str | None:
    if not getattr(scene.platform.arch, "sme_erratum", False):
        return "the CPU has no erratum 4193714; set platform.sme_erratum=true on arm64"
    return None


_ERRATUM = ("platform.sme_erratum=true",)

SME_DVMSYNC = Scenario(
    name="sme-dvmsync",
    summary="an access of the SME unit is under way when a flush completes (erratum 4193714 of C1-Pro)",
    source="0baba94a9779 (CVE-2026-0995)",
    build=_build,
    sentences=_SENTENCES,
    refuse=_refuse,
    window=_PLACES,
    expected=(
        Expect("bug", "arm64", settings=_ERRATUM),
        Expect("safe", "arm64", kernel="7.1", settings=_ERRATUM),
        Expect("bug", "arm64", kernel="7.1", settings=(*_ERRATUM, "kernel.erratum_4193714=false")),
        Expect("not-applicable", "arm64", kernel="7.1"),
        Expect("not-applicable", "x86"),
    ),
)
