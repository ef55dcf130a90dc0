"""One entry of a contiguous block changes in place, while a TLB entry made from another one still maps the whole block.

Entries with the Contiguous bit set may be cached as one TLB entry for the whole block, made from whichever of them the
walker read; the access flag and dirty state may be set in any of them. munmap() of one page of the block that clears
one entry alone leaves the others able to translate that page, and misses a dirty bit that went to them.
contpte_unfold() (4602e5757bcc, v6.9; for hugetlb get_clear_contig_flush(), d8bdcff28764) clears them all, collecting
dirty bits, flushes the block, and writes them again without the bit. The block has two entries here.
"""

from __future__ import annotations

from shootdown.scenarios import (
    OUTER,
    Expect,
    Leaf,
    LeafEntry,
    LeafStretch,
    Model,
    Parameter,
    Problem,
    Scenario,
    Scene,
    maps,
)  # fmt: skip
from shootdown.scenarios import ops as o

_FIRST, _SECOND = 0, 1
_CONTIGUOUS = 1 << 12
_FREED, _LOST, _CONFLICT = 1, 2, 3
_INVARIANTS = ("walk-cache", "freed-page", "lost-dirty-bit", "tlb-conflict")
_SENTENCES = {
    "freed-page": "User mode may not use a page that was freed.",
    "lost-dirty-bit": "A page that was written may not be dropped as clean.",
    "tlb-conflict": "A TLB may not hold the block and one of its pages for the same address.",
}
_PLACES = ("written-by-another", "freed", "kept", "faulted")
_BY_ANOTHER, _GONE, _KEPT, _FAULTED = range(len(_PLACES))


def _build(scene: Scene) -> Problem:
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    leaf = Leaf(model)
    entries = [
        # A TLB entry made from either maps the block, and goes with a flush of any of its pages.
        model.entry(0, maps(number, bits=_CONTIGUOUS), f"entry {number}", lo=_FIRST, hi=_SECOND + 1)
        for number in (_FIRST, _SECOND)
    ]
    wrote, freed, unfolded = (
        model.variable(0, name) for name in ("page written", "page freed", "block unfolded")
    )
    unmapper, user = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2))
    model.starts(unmapper)
    _unmap(model, leaf, entries, wrote, freed, unfolded, unfolds=scene["fix"])
    model.starts(user)
    _use(model, leaf, entries, wrote, freed, unfolded)
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        entries=True,
        hypervisor=scene.preempts,
        lanes=("unmaps the second page", "writes to the second page"),
    )


def _unmap(
    model: Model,
    leaf: Leaf,
    entries: list[int],
    wrote: int,
    freed: int,
    unfolded: int,
    *,
    unfolds: bool,
) -> None:
    """Write munmap() of the second page: its dirty bit decides whether the page is written back or dropped."""
    asm, gathers = model.asm, model.gathers
    second = _Second(model, leaf, entries, unfolded, unfolds=unfolds)
    with model.calls.syscall("munmap"), asm.because("munmap"):
        gathers.begin(OUTER)
        model.calls.page_tables.zap_pte_range(OUTER, [LeafStretch(leaf, second)])
        gathers.finish(OUTER)
        with asm.if_bits(o.INDEX, o.ENTRY_DIRTY) as dirty:
            leaf.exchange(freed, 1, o.SCRATCH, "the page is dirty: it is written back, then freed")
            asm.reached(_KEPT)
            dirty.otherwise()
            leaf.exchange(freed, 2, o.SCRATCH, "the page is clean: it is freed")
            asm.reached(_GONE)
            leaf.load(o.SCRATCH, wrote, "had anybody written to it?")
            model.fail_if(o.SCRATCH, 1, _LOST, "the page was written, and dropped as clean")
    model.spin()


class _Second(LeafEntry):
    """The entry of the second page; clearing it unfolds the block first (contpte_try_unfold())."""

    def __init__(self, model: Model, leaf: Leaf, entries: list[int], unfolded: int, *, unfolds: bool) -> None:
        super().__init__(leaf, entries[_SECOND], o.INDEX, lo=_SECOND)
        self.model, self.all, self.unfolded, self.unfolds = model, entries, unfolded, unfolds

    def take(self, name: str) -> None:
        if self.unfolds:
            _unfold(self.model, self.leaf, self.all, self.unfolded)
        super().take(f"{name}: one entry")


def _unfold(model: Model, leaf: Leaf, entries: list[int], unfolded: int) -> None:
    """Write contpte_convert(): the dirty bit of any entry becomes that of all."""
    asm = model.asm
    with asm.function("contpte_convert", "arch/arm64/mm/contpte.c"):
        clean = model.label()
        done = model.label()
        asm.set(o.CLASS, 0)
        for number, entry in enumerate(entries):
            leaf.exchange(entry, 0, o.INDEX, f"__ptep_get_and_clear: entry {number}")
            with asm.if_bits(o.INDEX, o.ENTRY_DIRTY):
                asm.set(o.CLASS, 1)
        leaf.changed(len(entries))
        leaf.flush_range(len(entries))
        asm.jump_zero(o.CLASS, clean)
        for dirty in (True, False):
            if not dirty:
                asm.place(clean)
            for number, entry in enumerate(entries):
                leaf.store(entry, maps(number, dirty=dirty), f"__set_ptes: entry {number}, not contiguous")
            if dirty:
                asm.jump(done)
        asm.place(done)
        leaf.exchange(unfolded, 1, o.SCRATCH, "walkers find the new entries")


def _use(model: Model, leaf: Leaf, entries: list[int], wrote: int, freed: int, unfolded: int) -> None:
    """Write two writes to the second page: each by its own entry, or by the other one while that is contiguous."""
    asm = model.asm
    with asm.loop(2, o.SLOT):
        own, over, hit = model.label(), model.label(), model.label()
        leaf.load(o.SCRATCH, freed, "was the page freed?")
        leaf.load(o.SCRATCH2, unfolded, "was the block unfolded?")
        asm.choice(own, text="a TLB entry made from the first entry, or from the page's own")
        leaf.access(o.CLASS, entries[_FIRST], write=True)
        with asm.if_bits(o.CLASS, _CONTIGUOUS):
            asm.reached(_BY_ANOTHER)
            asm.jump(hit)
        asm.jump(over)
        asm.place(own)
        leaf.access(o.CLASS, entries[_SECOND], write=True)
        with asm.if_nonzero(o.CLASS) as done:
            asm.place(hit)
            with asm.if_bits(o.CLASS, _CONTIGUOUS):
                model.fail_if(
                    o.SCRATCH2, 1, _CONFLICT, "contiguous and single entries can be in the TLB at once"
                )
            with asm.if_nonzero(o.SCRATCH):
                asm.fail(_FREED, text="a freed page is written")
            leaf.exchange(wrote, 1, o.SCRATCH, "the page was written")
            leaf.load(o.SCRATCH, freed, "is it gone already?")
            model.fail_if(o.SCRATCH, 2, _LOST, "the page was written, and dropped as clean")
            done.otherwise()
            asm.reached(_FAULTED)
        asm.place(over)
    model.spin()


_PARTIAL = ("scenario.fix=false",)

CONTPTE_PARTIAL = Scenario(
    name="contpte-partial",
    summary="one entry of a contiguous block changes in place, or the block is unfolded first",
    source="4602e5757bcc (v6.9), d8bdcff28764; Arm ARM (DDI 0487), the Contiguous bit",
    build=_build,
    sentences=_SENTENCES,
    switches=(Parameter("fix", True, "the block is unfolded before one of its entries changes"),),
    refuse=lambda scene: scene.lowering.no_contiguous_entries(),
    window=("written-by-another", "freed", "kept", "faulted"),
    expected=(
        Expect("safe", arch="arm64"),
        Expect("bug", arch="arm64", settings=_PARTIAL),
        Expect("safe", arch="arm64", platform="neoverse-n1", kernel="6.12"),
        Expect("bug", arch="arm64", platform="neoverse-n1", kernel="6.12", settings=_PARTIAL),
        Expect("bug", arch="arm64", settings=(*_PARTIAL, "platform.flush=ipi")),
        Expect("safe", arch="arm64", settings=("platform.flush=ipi",)),
        Expect("not-applicable", arch="x86"),
        Expect("not-applicable", arch="x86", settings=_PARTIAL),
        Expect("not-applicable", arch="powerpc"),
        Expect("not-applicable", arch="powerpc", platform="power9-hash", settings=_PARTIAL),
    ),
)
