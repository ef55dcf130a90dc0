"""A page is mapped anew while the hash table still holds the entry of its old mapping: powerpc with the hash MMU.

Clearing a Linux PTE queues its hash-table entry (HPTE) in a batch of the CPU. Once the page-table lock
drops, another CPU may fault a new page in and hash it; if the batch is not flushed by then, two HPTEs translate one
virtual page. Since a741e6796957 (v2.6.22) the batch lives in lazy MMU mode, which ends inside the lock. A second
protocol keeps a Linux entry and its HPTE together: `hash_page()` takes no lock, it marks the entry busy
(H_PAGE_BUSY) while it inserts, and whoever changes the entry waits for that (arch/powerpc/mm/book3s64/hash_4k.c).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
    page,
)  # fmt: skip
from shootdown.scenarios import ops as o

_OLD, _NEW = 0, 1
# Bits of the Linux entry.
_PRESENT, _HASHED, _BUSY = o.ENTRY_PRESENT, 1 << 1, 1 << 2
_TWO, _FREED = 1, 2
_INVARIANTS = ("walk-cache", "two-hash-entries", "freed-page")
_SENTENCES = {
    "two-hash-entries": "No two entries of the hash table may translate one virtual page.",
    "freed-page": "User mode may not use a page that was freed.",
}
_PLACES = ("hashed", "batched", "freed", "hashed-anew")
_FIRST_HASH, _BATCHED, _GONE, _HASHED_ANEW = range(len(_PLACES))
_HASH_H = "arch/powerpc/include/asm/book3s/64/hash.h"
_NATIVE = "arch/powerpc/mm/book3s64/hash_native.c"


def _build(scene: Scene) -> Problem:
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    leaf = Leaf(model)
    hpte = model.entry(0, 0, "the HPTE", lo=0, hi=1)
    pte = model.variable(_PRESENT | page(_OLD), "Linux' entry")
    freed = model.variable(0, "page freed")
    zapper, user = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2))
    model.starts(zapper)
    _zap(model, leaf, hpte, pte, freed, locked=scene["fix"])
    model.starts(user)
    _use(model, leaf, hpte, pte, freed)
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        entries=True,
        hypervisor=scene.preempts,
        lanes=("MADV_DONTNEED", "uses the page"),
    )


def _zap(model: Model, leaf: Leaf, hpte: int, pte: int, freed: int, *, locked: bool) -> None:
    """Write MADV_DONTNEED of one page; the batch is flushed inside the page-table lock, or by the gather after it."""
    asm, gathers = model.asm, model.gathers
    with model.calls.syscall("madvise", "mm/madvise.c", write=False), asm.because("MADV_DONTNEED"):
        gathers.begin(OUTER)
        stretch = _Table(leaf, _Pte(model, leaf, pte), hpte, locked=locked)
        model.calls.page_tables.zap_pte_range(OUTER, [stretch])
        gathers.finish(OUTER)
        leaf.exchange(freed, 1, o.SCRATCH, "the old page is freed")
        asm.reached(_GONE)
    model.spin()


class _Pte(LeafEntry):
    """Linux' entry, which is not cleared while somebody hashes it."""

    def __init__(self, model: Model, leaf: Leaf, pte: int) -> None:
        super().__init__(leaf, pte, o.INDEX)
        self.model = model

    def take(self, name: str) -> None:
        asm, again = self.asm, self.model.label()
        with asm.function("hash__pte_update", _HASH_H):
            asm.place(again)
            self.leaf.load(o.INDEX, self.entry, "ldarx: read the entry")
            with asm.if_bits(o.INDEX, _BUSY):
                asm.jump(again)
            asm.set(o.CLASS, 0)
            asm.v_cas(self.entry, o.INDEX, o.CLASS, again, text="stdcx.: clear the entry")
        with asm.if_bits(o.INDEX, _HASHED):
            asm.reached(_BATCHED)

    def changed(self, by: str) -> None:
        """Write nothing, as `cleared`."""

    def cleared(self, by: str | None = None) -> None:
        """Write nothing: the batch goes at the end of lazy MMU mode, see `_Table`."""


class _Table(LeafStretch):
    """The table, with the CPU's batch of entries of the hash table.

    Args:
        leaf, entry: as for `LeafStretch`.
        hpte: the entry of the hash table.
        locked: lazy MMU mode ends before the lock drops, else after it.
    """

    def __init__(self, leaf: Leaf, entry: _Pte, hpte: int, *, locked: bool) -> None:
        super().__init__(leaf, entry)
        self.hpte, self.within = hpte, locked

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self.leaf.locked():
            yield
            if self.within:
                self._flush_batch()

    def free_flushed(self) -> None:
        if not self.within:
            self._flush_batch()

    def _flush_batch(self) -> None:
        asm = self.leaf.asm
        with (
            asm.if_bits(o.INDEX, _HASHED),
            asm.function("__flush_tlb_pending", "arch/powerpc/mm/book3s64/hash_tlb.c"),
        ):
            with asm.function("native_flush_hash_range", _NATIVE):
                self.leaf.store(self.hpte, 0, "the HPTE is invalid")
            self.leaf.changed()


def _use(model: Model, leaf: Leaf, hpte: int, pte: int, freed: int) -> None:
    """Write a read, a write and a read, each of which may fault a page in and hash it.

    A clean page is hashed read-only (htab_convert_pte_flags()), so that the write faults whether or not there is an
    HPTE. A faulting access is not repeated: the last read uses the HPTE that the fault inserted.
    """
    asm = model.asm
    for write in (False, True, False):
        used = model.label()
        leaf.load(o.SCRATCH, freed, "was the old page freed?")
        leaf.access(o.CLASS, hpte, write=write)
        with asm.if_nonzero(o.CLASS):
            with leaf.if_page(o.CLASS, _OLD):
                model.fail_if(o.SCRATCH, 1, _FREED, "a freed page is used")
            asm.jump(used)
        _hash_page(model, leaf, hpte, pte, write=write)
        asm.place(used)
    model.spin()


def _hash_page(model: Model, leaf: Leaf, hpte: int, pte: int, *, write: bool) -> None:
    """Write hash_page(): fault the page in if it is absent, then insert or update its HPTE while the PTE is busy."""
    asm = model.asm
    again, insert = model.label(), model.label()
    with asm.function("hash_page_mm", "arch/powerpc/mm/book3s64/hash_utils.c"):
        asm.place(again)
        leaf.load(o.INDEX, pte, "read the Linux entry")
        with asm.if_bits(o.INDEX, _PRESENT):
            asm.jump(insert)

    def map_new_page() -> None:
        with leaf.locked():
            leaf.store(pte, _PRESENT | page(_NEW), "set_pte_at: a new page")

    with asm.function("do_page_fault", "arch/powerpc/mm/fault.c"), leaf.mmap_locked(write=False):
        model.calls.do_anonymous_page(map_new_page)
    asm.jump(again)
    asm.place(insert)
    with asm.function("__hash_page_4K", "arch/powerpc/mm/book3s64/hash_4k.c"):
        asm.copy(o.CLASS, o.INDEX)
        asm.add(o.CLASS, _BUSY)
        asm.v_cas(pte, o.INDEX, o.CLASS, again, text="pte_xchg: the entry is busy")
        asm.copy(o.CLASS, o.INDEX)
        with asm.if_bits(o.INDEX, _HASHED) as hashed:
            with asm.function("native_hpte_updatepp", _NATIVE):
                _set(model, leaf, hpte, write=write, text="the HPTE gets new permissions")
            hashed.otherwise()
            with asm.function("native_hpte_insert", _NATIVE):
                leaf.load(o.SCRATCH2, hpte, "look for a free place in the group")
                with asm.if_nonzero(o.SCRATCH2):
                    asm.fail(_TWO, text="the old HPTE is still there: two translate one page")
                _set(model, leaf, hpte, write=write, text="the HPTE is valid")
            asm.add(o.CLASS, _HASHED)
        asm.v_store(pte, o.CLASS, from_register=True, text="the entry is hashed, and not busy")


def _set(model: Model, leaf: Leaf, hpte: int, *, write: bool, text: str) -> None:
    """Write the HPTE of the page in register INDEX; it is writable if the access is a write."""
    with leaf.if_page(o.INDEX, _OLD) as old:
        leaf.store(hpte, maps(_OLD, writable=write, dirty=write), text)
        model.asm.reached(_FIRST_HASH)
        old.otherwise()
        leaf.store(hpte, maps(_NEW, writable=write, dirty=write), text)
        model.asm.reached(_HASHED_ANEW)
    model.asm.fence(text="ptesync")


_LATE = ("scenario.fix=false",)

HASH_PTE_REUSE = Scenario(
    name="hash-pte-reuse",
    summary="a page is hashed anew while the hash table still holds its old entry (powerpc, hash MMU)",
    source="a741e6796957 (v2.6.22), UNVERIFIED; arch/powerpc/mm/book3s64/hash_tlb.c, hash_4k.c",
    build=_build,
    sentences=_SENTENCES,
    switches=(Parameter("fix", True, "the batch is flushed before the page-table lock drops"),),
    refuse=lambda scene: scene.lowering.no_hash_table(),
    window=("hashed", "batched", "freed", "hashed-anew"),
    expected=(
        Expect("safe", arch="powerpc", platform="power9-hash"),
        Expect("bug", arch="powerpc", platform="power9-hash", settings=_LATE),
        Expect("safe", arch="powerpc", platform="power8", kernel="5.10"),
        Expect("bug", arch="powerpc", platform="power8", kernel="5.10", settings=_LATE),
        Expect("bug", arch="powerpc", platform="power8", settings=(*_LATE, "memory_model=sc")),
        Expect("not-applicable", arch="powerpc", settings=_LATE, why="radix"),
        Expect("not-applicable", arch="arm64"),
        Expect("not-applicable", arch="x86", settings=_LATE),
    ),
)
