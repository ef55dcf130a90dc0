"""The hardware walker sets an entry's dirty bit between the read and the clearing of the entry.

Reclaim clears an entry and drops the page if it is clean. Where walkers set dirty bits themselves (Intel SDM vol. 3A,
5.8; FEAT_HAFDBS on arm64), a plain read followed by a plain store loses a bit that is set in between, and the page is
dropped although it was written. One atomic access loses nothing: a later walk finds the entry not present and faults.
That access need not be ordered: x86 clears with a locked xchg, arm64 with SWP or LDXR/STXR (xchg_relaxed(),
arch/arm64/include/asm/pgtable.h), both since before v5.10.
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._scenarios.pte import Leaf, LeafEntry, maps
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_PAGE = 0
_LOST, _FREED = 1, 2
_INVARIANTS = ("walk-cache", "lost-dirty-bit", "freed-page")
_SENTENCES = {
    "lost-dirty-bit": "A page that was written may not be dropped as clean.",
    "freed-page": "User mode may not use a page that was freed.",
}
_PLACES = ("written", "kept", "dropped", "faulted")
_WRITTEN, _KEPT, _DROPPED, _FAULTED = range(len(_PLACES))


def _build(scene: Setup) -> Problem:
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    leaf = Leaf(model)
    entry = model.entry(0, maps(_PAGE), "the PTE", lo=0, hi=1)
    dirty, wrote, dropped = (
        model.variable(0, name) for name in ("dirty flag", "page written", "page dropped")
    )
    reclaimer = model.task(mm=None, cpu=0, ready=True)
    user = model.task(mm=0, cpu=1, ready=True)
    atomic = scene.pte_clear_atomic if scene["pte_clear"] == "auto" else scene["pte_clear"] == "xchg"
    model.starts(reclaimer)
    _reclaim(model, leaf, entry, dirty, wrote, dropped, atomic=atomic)
    model.starts(user)
    _use(model, leaf, entry, wrote, dropped)
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        entries=True,
        hypervisor=scene.preempts,
        lanes=("reclaims the page", "uses the page"),
    )


def _reclaim(
    model: Model, leaf: Leaf, entry: int, dirty: int, wrote: int, dropped: int, *, atomic: bool
) -> None:
    """Write try_to_unmap_one() of a page that is dropped if it is clean."""
    asm = model.asm
    model.concern(0)
    with asm.because("reclaim"):
        model.calls.page_tables.try_to_unmap_one(_Reclaimed(leaf, entry, o.INDEX, dirty, atomic=atomic), None)
    with asm.function("shrink_folio_list", "mm/vmscan.c"):
        leaf.load(o.SCRATCH, dirty, "folio_test_dirty")
        with asm.if_nonzero(o.SCRATCH) as kept:
            asm.reached(_KEPT)
            kept.otherwise()
            leaf.exchange(dropped, 1, o.SCRATCH, "the page is clean: it is freed")
            asm.reached(_DROPPED)
            leaf.load(o.SCRATCH, wrote, "had anybody written to it?")
            model.fail_if(o.SCRATCH, 1, _LOST, "the page was written, and dropped as clean")
    model.spin()


class _Reclaimed(LeafEntry):
    """The entry of the page, whose dirty bit becomes the page's dirty flag."""

    def __init__(self, leaf: Leaf, entry: int, register: int, dirty: int, *, atomic: bool) -> None:
        super().__init__(leaf, entry, register)
        self.dirty, self.atomic = dirty, atomic

    def take(self, name: str) -> None:
        if self.atomic:
            self.leaf.exchange(self.entry, 0, self.register, f"{name}: read and clear at once")
        else:
            self.leaf.load(self.register, self.entry, "read the entry")
            self.leaf.store(self.entry, 0, "clear the entry")

    def unmapped(self, *, deferred: bool) -> None:
        with self.asm.if_bits(self.register, o.ENTRY_DIRTY):
            self.leaf.exchange(self.dirty, 1, o.SCRATCH, "folio_mark_dirty")


def _use(model: Model, leaf: Leaf, entry: int, wrote: int, dropped: int) -> None:
    """Write one access, a write or a read; a write records afterwards that it happened."""
    asm = model.asm
    reads, over = model.label(), model.label()
    asm.choice(reads, text="write or read")
    for write in (True, False):
        leaf.load(o.SCRATCH, dropped, "was the page freed?")
        leaf.access(o.CLASS, entry, write=write)
        with leaf.if_page(o.CLASS, _PAGE) as hit:
            model.fail_if(o.SCRATCH, 1, _FREED, "a freed page is used")
            if write:
                asm.reached(_WRITTEN)
                leaf.exchange(wrote, 1, o.SCRATCH, "the page was written")
                leaf.load(o.SCRATCH, dropped, "is it gone already?")
                model.fail_if(o.SCRATCH, 1, _LOST, "the page was written, and dropped as clean")
            hit.otherwise()
            asm.reached(_FAULTED)
        asm.jump(over)
        if write:
            asm.place(reads)
    asm.place(over)
    model.spin()


_STORE, _XCHG = ("scenario.pte_clear=store",), ("scenario.pte_clear=xchg",)

DIRTY_BIT_LOST = Scenario(
    name="dirty-bit-lost",
    summary="the walker sets an entry's dirty bit between the read and the clearing of the entry",
    source="Intel SDM vol. 3A, 5.8; native_ptep_get_and_clear(), arch/x86/include/asm/pgtable_64.h",
    build=_build,
    sentences=_SENTENCES,
    switches=(
        Parameter(
            "pte_clear", "auto", "how an entry is read and cleared: at once (xchg), or in two steps (store)",
            choices=("auto", "store", "xchg"),
        ),
    ),
    refuse=lambda scene: scene.lowering.no_hardware_dirty(),
    window=("written", "kept", "dropped", "faulted"),
    expected=(
        Expect("safe", arch="x86", why="x86 clears with a locked xchg"),
        Expect("safe", arch="x86", settings=_XCHG),
        Expect("bug", arch="x86", settings=_STORE),
        Expect("bug", arch="x86", settings=(*_STORE, "memory_model=sc"), why="no store buffer is needed"),
        Expect("bug", arch="x86", settings=(*_STORE, "platform.flush=invlpgb")),
        Expect("safe", arch="x86", platform="kvm-guest"),
        Expect("bug", arch="x86", platform="kvm-guest", settings=_STORE),
        Expect("safe", arch="x86", platform="hyper-v-guest"),
        Expect("safe", arch="arm64", why="atomic, though not ordered"),
        Expect("bug", arch="arm64", settings=_STORE),
        Expect("safe", arch="arm64", settings=_XCHG),
        Expect("not-applicable", arch="arm64", platform="emag", settings=_STORE, why="no FEAT_HAFDBS"),
        Expect("not-applicable", arch="powerpc", settings=_STORE, why="faults set C"),
        Expect("not-applicable", arch="powerpc", platform="power9-hash", settings=_STORE),
    ),
)  # fmt: skip
