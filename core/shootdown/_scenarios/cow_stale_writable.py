"""Copy on write while another CPU may still write through its TLB: userfaultfd write-protection defers its flush.

`mwriteprotect_range()` takes mmap_lock for reading only, removes the write bit under the page-table lock and flushes
at the end. A page fault in between sees an entry without the write bit and copies the page; a thread whose TLB holds
the entry as it was writes to the old page after the copy, and its write is lost. Clearing soft-dirty bits
(`clear_refs_write()`) did the same. Since 6ce64428d620 (v5.12) the fault flushes before it copies if a flush is
pending.
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.call_parts import OUTER
from shootdown._mm.model import Model
from shootdown._scenarios.pte import Leaf, maps
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_OLD, _NEW = 0, 1
_LOST = 1
_INVARIANTS = ("walk-cache", "lost-write")
_SENTENCES = {
    "lost-write": "What user mode writes to the page before the copy is installed must be in the copy.",
}
_PLACES = ("pending", "copied", "installed")
_PENDING, _COPIED, _INSTALLED = range(len(_PLACES))


def _build(scene: Setup) -> Problem:
    model = Model(scene.kernel, scene.lowering, cpus=3, mms=1)
    leaf = Leaf(model)
    entry = model.entry(0, maps(_OLD, dirty=True), "the PTE", lo=0, hi=1)
    copied, late, installed = (
        model.variable(0, name) for name in ("page copied", "written late", "copy installed")
    )
    protector, faulter, writer = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(3))
    model.starts(protector)
    _protect(model, leaf, entry)
    model.starts(faulter)
    _fault(model, leaf, entry, copied, late, installed, flushes=scene["fix"])
    model.starts(writer)
    _write(model, leaf, entry, copied, late, installed)
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        entries=True,
        hypervisor=scene.preempts,
        lanes=("removes the write bit", "faults and copies", "writes"),
    )


def _protect(model: Model, leaf: Leaf, entry: int) -> None:
    """Write mwriteprotect_range() of one page; its flush comes after the page-table lock is released."""
    asm, gathers = model.asm, model.gathers

    def change_entry() -> None:
        with leaf.locked():
            gathers.change_page_size(OUTER, huge=False)
            leaf.exchange(entry, 0, o.SCRATCH, "ptep_modify_prot_start")
            leaf.store(entry, maps(_OLD, writable=False, dirty=True), "ptep_modify_prot_commit: not writable")
            asm.gather_add(OUTER, 0, 1, cleared=o.CLEARED_PTES, text="one entry changed")
            leaf.changed()

    def change() -> None:
        gathers.begin(OUTER)  # without a gather: inc_tlb_flush_pending()
        model.calls.change_pte_range(change_entry)
        if model.kernel.mprotect_gather:
            gathers.finish(OUTER)
        else:
            leaf.flush_range(1)
            asm.gather_end(OUTER, text="dec_tlb_flush_pending")

    with (
        asm.function("mwriteprotect_range", "mm/userfaultfd.c"),
        asm.because("userfaultfd"),
        leaf.mmap_locked(write=False),
    ):
        model.calls.change_protection(change)
    model.spin()


def _fault(
    model: Model, leaf: Leaf, entry: int, copied: int, late: int, installed: int, *, flushes: bool
) -> None:
    """Write do_wp_page() for a write that faulted; if the entry is writable, the fault was spurious."""
    asm = model.asm

    def fault() -> None:
        with leaf.locked():
            leaf.load(o.INDEX, entry, "read the entry")
            with asm.if_flush_pending():
                asm.reached(_PENDING)
                if flushes:
                    leaf.flush_page()
        writable = model.label()
        with asm.if_bits(o.INDEX, o.ENTRY_WRITABLE):
            asm.jump(writable)  # a spurious fault
        model.calls.wp_page_copy(replace)
        asm.place(writable)

    def replace() -> None:
        leaf.exchange(copied, 1, o.SCRATCH, "__wp_page_copy_user: the old page is copied")
        asm.reached(_COPIED)
        with leaf.locked():
            changed = model.label()
            leaf.load(o.CLASS, entry, "read the entry again")
            with leaf.unless_same(o.INDEX, o.CLASS):
                asm.jump(changed)
            leaf.clear_flush(entry, o.SCRATCH)
            leaf.store(entry, maps(_NEW, dirty=True), "set_pte_at: the new page")
            leaf.exchange(installed, 1, o.SCRATCH, "the copy is what everybody sees")
            asm.reached(_INSTALLED)
            leaf.load(o.SCRATCH, late, "was anything written after the copy?")
            model.fail_if(o.SCRATCH, 1, _LOST, "a write to the old page came after the copy: it is lost")
            asm.place(changed)

    with leaf.mmap_locked(write=False):
        model.calls.do_wp_page(fault)
    model.spin()


def _write(model: Model, leaf: Leaf, entry: int, copied: int, late: int, installed: int) -> None:
    """Write one write access of another thread, which records whether it went to the old page after the copy."""
    asm = model.asm
    leaf.load(o.SCRATCH, copied, "was the page copied?")
    leaf.access(o.CLASS, entry, write=True)
    with leaf.if_page(o.CLASS, _OLD), asm.if_nonzero(o.SCRATCH):
        leaf.exchange(late, 1, o.SCRATCH2, "the old page was written after the copy")
        leaf.load(o.SCRATCH2, installed, "is the copy in place?")
        model.fail_if(o.SCRATCH2, 1, _LOST, "a write to the old page came after the copy: it is lost")
    model.spin()


_BEFORE = ("scenario.fix=false",)

COW_STALE_WRITABLE = Scenario(
    name="cow-stale-writable",
    summary="copy on write against a writable TLB entry whose flush is pending (userfaultfd, soft-dirty)",
    source="6ce64428d620 (v5.12)",
    build=_build,
    sentences=_SENTENCES,
    switches=(Parameter("fix", True, "the fault flushes before it copies if a flush is pending"),),
    window=("pending", "copied", "installed"),
    expected=(
        Expect("safe", arch="x86"),
        Expect("bug", arch="x86", settings=_BEFORE, why="flush IPIs come after the copy"),
        Expect(
            "bug",
            arch="x86",
            kernel="5.10",
            settings=_BEFORE,
            why="so does flush_tlb_range() without a gather",
        ),
        Expect("safe", arch="x86", kernel="5.10"),
        Expect("bug", arch="x86", settings=(*_BEFORE, "platform.flush=invlpgb")),
        Expect("safe", arch="x86", settings=("platform.flush=invlpgb",)),
        Expect("bug", arch="x86", platform="kvm-guest", settings=_BEFORE),
        Expect("safe", arch="x86", platform="kvm-guest", why="a preempted vCPU flushes before it writes"),
        Expect("bug", arch="x86", platform="hyper-v-guest", settings=_BEFORE),
        Expect("safe", arch="x86", platform="hyper-v-guest"),
        Expect("bug", arch="arm64", settings=_BEFORE),
        Expect("safe", arch="arm64"),
        Expect("bug", arch="powerpc", settings=_BEFORE),
        Expect("safe", arch="powerpc"),
        Expect("safe", arch="powerpc", platform="power9-hash", settings=_BEFORE, why="flushed before unlock"),
        Expect("safe", arch="powerpc", platform="power9-hash"),
    ),
)
