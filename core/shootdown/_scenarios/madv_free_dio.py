"""Reclaim of a MADV_FREE page against a direct-IO read into it (6c8e2a256915, 5.18).

Reclaim clears the PTE of a clean lazyfree page and discards the page if nobody needs it. A direct-IO read takes the
page by GUP-fast: it reads the PTE, takes a reference, and reads the PTE again. The page becomes dirty only when the
device is done. Before the fix reclaim checked the dirty flag alone; since then it checks the references first, between
two barriers:

    clear PTE; smp_mb(); read references and mapcount; smp_rmb(); read dirty flag    (try_to_unmap_one, mm/rmap.c)
    take reference; read PTE again; ...; set dirty flag; drop reference              (gup_pte_range, block/bio.c)

The TLB flush is deferred here (TTU_BATCH_FLUSH), so nothing but the barrier orders the cleared PTE before the reads;
where the PTE is cleared by a fully ordered exchange (x86), that orders them too. The invariants: user mode reads no
zeros where the device wrote, and the device does not write to a freed page.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_INVARIANTS = ("walk-cache", "device-data", "freed-page")
_SENTENCES = {
    "device-data": "The user reads what the device wrote.",
    "freed-page": "The device may not write to a page that was freed.",
}
_DATA, _FREED_PAGE = 1, 2
_PLACES = ("grabbed", "restored", "discarded")
_GRABBED, _RESTORED, _DISCARDED = range(len(_PLACES))
# The values of the PTE.
_NONE, _PAGE, _FRESH = range(3)


class _State:
    """The variables: the PTE, the page's struct page, and the data of the pages (1: written by the device)."""

    def __init__(self, model: Model) -> None:
        self.pte = model.variable(_PAGE, "the PTE")
        self.refs = model.variable(1, "references")
        self.mapcount = model.variable(1, "mapcount")
        self.dirty = model.variable(0, "dirty flag")
        self.freed = model.variable(0, "page freed")
        self.data = model.variable(0, "the page")
        self.fresh = model.variable(0, "the fresh page")


def _build(scene: Setup) -> Problem:
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    state = _State(model)
    reader = model.task(mm=0, cpu=0, ready=True)
    reclaim = model.task(mm=None, cpu=1, ready=True)
    model.starts(reader)
    _read_by_direct_io(model, state)
    model.spin()
    model.starts(reclaim)
    _reclaim(model, state, scene)
    model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        lanes=("direct IO", "reclaim"),
    )


def _put_page(model: Model, state: _State) -> None:
    asm = model.asm
    free, over = model.label(), model.label()
    asm.v_add(state.refs, -1, o.SCRATCH, text="put_page: one reference less")
    asm.jump_zero(o.SCRATCH, free)
    asm.jump(over)
    asm.place(free)
    asm.v_xchg(state.freed, 1, o.SCRATCH, text="the page is freed")
    asm.place(over)


def _read_by_direct_io(model: Model, state: _State) -> None:
    asm = model.asm
    again, slow, same, present, got, read = (model.label() for _ in range(6))
    with asm.function("gup_pte_range", "mm/gup.c"):
        asm.v_load(o.SLOT, state.pte, text="read the PTE")
        asm.jump_zero(o.SLOT, slow)
        asm.v_load(o.SCRATCH, state.refs, text="read the page's reference count")
        asm.place(again)
        asm.jump_zero(o.SCRATCH, slow)
        asm.copy(o.SCRATCH2, o.SCRATCH)
        asm.add(o.SCRATCH2, 1)
        asm.v_cas(state.refs, o.SCRATCH, o.SCRATCH2, again, text="take a reference, unless it is zero")
        asm.v_load(o.CLASS, state.pte, text="read the PTE again")
        asm.jump_same(o.CLASS, o.SLOT, same)
        _put_page(model, state)
        asm.jump(slow)
        asm.place(same)
        asm.reached(_GRABBED)
        asm.jump(got)
    asm.place(slow)
    with asm.function("__get_user_pages", "mm/gup.c"):
        asm.lock(model.locks.ptl, write=True, sleeps=False, text="page-table lock")
        asm.v_load(o.CLASS, state.pte, text="read the PTE")
        asm.jump_equal(o.CLASS, _PAGE, present)
        model.calls.do_anonymous_page(lambda: asm.v_store(state.pte, _FRESH, text="map a fresh page"))
        asm.unlock(model.locks.ptl, write=True, text="page-table lock")
        with _bio_endio(model):
            asm.v_store(state.fresh, 1, text="the device wrote to the fresh page")
        asm.jump(read)
        asm.place(present)
        with asm.function("follow_page_pte"):
            asm.v_add(state.refs, 1, o.SCRATCH, text="take a reference")
            asm.v_xchg(state.dirty, 1, o.SCRATCH, text="set_page_dirty: it will be written")
        asm.unlock(model.locks.ptl, write=True, text="page-table lock")
    asm.place(got)
    with _bio_endio(model):
        asm.v_load(o.SCRATCH, state.freed, text="the device writes to the page")
        model.fail_if(o.SCRATCH, 1, _FREED_PAGE, "the device writes to a freed page")
        asm.v_store(state.data, 1, text="the device wrote to the page")
    with asm.function("bio_check_pages_dirty", "block/bio.c"):
        asm.v_xchg(state.dirty, 1, o.SCRATCH, text="set_page_dirty_lock")
        _put_page(model, state)
    asm.place(read)
    _read_in_user_mode(model, state)


def _bio_endio(model: Model) -> AbstractContextManager[None]:
    """Run the steps within where the device has written and says so."""
    return model.asm.function("bio_endio", "block/bio.c")


def _read_in_user_mode(model: Model, state: _State) -> None:
    asm = model.asm
    page, fresh, fault, zero, over = (model.label() for _ in range(5))
    with asm.function("user mode", "the reader"):
        asm.v_load(o.SLOT, state.pte, text="read the buffer: through the PTE")
        asm.jump_equal(o.SLOT, _NONE, fault)
        asm.jump_equal(o.SLOT, _FRESH, fresh)
        asm.place(page)
        asm.v_load(o.CLASS, state.data, text="read the page")
        asm.jump(over)
        asm.place(fresh)
        asm.v_load(o.CLASS, state.fresh, text="read the fresh page")
        asm.jump(over)
        asm.place(fault)

        def map_zeros() -> None:
            asm.lock(model.locks.ptl, write=True, sleeps=False, text="page-table lock")
            asm.v_load(o.SLOT, state.pte, text="read the PTE")
            asm.unlock(model.locks.ptl, write=True, text="page-table lock")
            asm.jump_equal(o.SLOT, _NONE, zero)
            asm.jump_equal(o.SLOT, _FRESH, fresh)
            asm.jump(page)
            asm.place(zero)
            asm.set(o.CLASS, 0)  # the data of the zero page, which is mapped now

        model.calls.do_anonymous_page(map_zeros)
        asm.place(over)
        model.fail_if(o.CLASS, 0, _DATA, "the user reads zeros where the device wrote")


def _reclaim(model: Model, state: _State, scene: Setup) -> None:
    asm = model.asm
    mapped, out, alone, clean, keep, kept = (model.label() for _ in range(6))
    with asm.function("shrink_page_list", "mm/vmscan.c"):
        asm.v_add(state.refs, 1, o.SCRATCH, text="isolate the page: one more reference")
        with asm.function("try_to_unmap_one", "mm/rmap.c"):
            asm.lock(model.locks.ptl, write=True, sleeps=False, text="page-table lock")
            asm.v_load(o.SLOT, state.pte, text="read the PTE")
            asm.jump_equal(o.SLOT, _PAGE, mapped)
            asm.unlock(model.locks.ptl, write=True, text="page-table lock")
            asm.jump(out)
            asm.place(mapped)
            _clear_pte(model, state, scene)
            if scene["fix"]:
                _read_references_and_dirty(model, state, scene)
                asm.add(o.SCRATCH2, 1)
                asm.jump_same(o.SCRATCH, o.SCRATCH2, alone, text="isolation and mappings only?")
                asm.jump(keep)
                asm.place(alone)
            else:
                asm.v_load(o.CLASS, state.dirty, text="read the dirty flag")
                asm.place(alone)
            asm.jump_zero(o.CLASS, clean)
            asm.place(keep)
            asm.v_store(state.pte, _PAGE, text="set_pte_at: map the page again")
            asm.reached(_RESTORED)
            asm.unlock(model.locks.ptl, write=True, text="page-table lock")
            asm.jump(kept)
            asm.place(clean)
            asm.v_add(state.mapcount, -1, o.SCRATCH, text="page_remove_rmap")
            _put_page(model, state)
            asm.reached(_DISCARDED)
            asm.unlock(model.locks.ptl, write=True, text="page-table lock")
        # 5.15 and before checked the dirty flag once more; later kernels don't, as the page is freed in any case.
        asm.set(o.SCRATCH, 1)
        asm.set(o.SCRATCH2, 0)
        asm.v_cas(state.refs, o.SCRATCH, o.SCRATCH2, kept, text="page_ref_freeze: 1 to 0")
        asm.v_xchg(state.freed, 1, o.SCRATCH, text="the page is freed")
        asm.jump(out)
        asm.place(kept)
        with asm.function("putback_lru_page"):
            _put_page(model, state)
        asm.place(out)


def _clear_pte(model: Model, state: _State, scene: Setup) -> None:
    how = scene["pte_clear"] if scene["pte_clear"] != "auto" else scene.pte_clear
    with model.asm.function("ptep_get_and_clear", "the architecture's pgtable.h"):
        if how == "xchg":
            model.asm.v_xchg(state.pte, _NONE, o.SCRATCH, text="clear the PTE, fully ordered")
        else:
            model.asm.v_store(state.pte, _NONE, text="clear the PTE")


def _read_references_and_dirty(model: Model, state: _State, scene: Setup) -> None:
    """Write the reads between which the fix put its barriers; without the second they may swap places."""
    asm = model.asm
    swapped, over = model.label(), model.label()
    if scene["write_barrier"]:
        asm.fence(text="smp_mb")
    weak = scene.memory == o.WEAK and not scene["read_barrier"]
    if weak:
        asm.choice(swapped, text="the reads may happen in either order")
    asm.v_load(o.SCRATCH, state.refs, text="page_ref_count")
    asm.v_load(o.SCRATCH2, state.mapcount, text="page_mapcount")
    asm.v_load(o.CLASS, state.dirty, text="read the dirty flag")
    if weak:
        asm.jump(over)
        asm.place(swapped)
        asm.v_load(o.CLASS, state.dirty, text="read the dirty flag, early")
        asm.v_load(o.SCRATCH, state.refs, text="page_ref_count")
        asm.v_load(o.SCRATCH2, state.mapcount, text="page_mapcount")
        asm.place(over)


def _memory(model: str, *settings: str) -> tuple[str, ...]:
    return (f"memory_model={model}", *settings)


_NO_WRITE, _NO_READ = "scenario.write_barrier=false", "scenario.read_barrier=false"
_STORE, _XCHG = "scenario.pte_clear=store", "scenario.pte_clear=xchg"

MADV_FREE_DIO = Scenario(
    name="madv-free-dio",
    summary="reclaim of a MADV_FREE page against a direct-IO read into it",
    source="6c8e2a256915",
    build=_build,
    sentences=_SENTENCES,
    switches=(
        Parameter("fix", True, "reclaim looks at the references before it discards the page"),
        Parameter("write_barrier", True, "smp_mb() between clearing the PTE and reading the references"),
        Parameter("read_barrier", True, "smp_rmb() between reading the references and the dirty flag"),
        Parameter(
            "pte_clear", "auto", "how the PTE is cleared: a store, or a fully ordered exchange; auto: as the "
            "architecture does it", choices=("auto", "store", "xchg"),
        ),
    ),
    flushes=False,
    window=("grabbed", "restored", "discarded"),
    expected=(
        *(Expect("safe", arch="x86", settings=_memory(m, p)) for m in ("sc", "tso", "weak") for p in (_STORE, _XCHG)),
        *(Expect("bug", arch="x86", settings=_memory(m, "scenario.fix=false")) for m in ("sc", "tso", "weak")),
        Expect("safe", arch="x86", settings=_memory("sc", _NO_WRITE, _STORE), why="stores reach memory at once"),
        Expect("bug", arch="x86", settings=_memory("tso", _NO_WRITE, _STORE), why="the cleared PTE is buffered"),
        Expect("bug", arch="x86", settings=_memory("weak", _NO_WRITE, _STORE)),
        Expect("safe", arch="x86", settings=_memory("tso", _NO_WRITE, _XCHG), why="the exchange drains the buffer"),
        Expect("safe", arch="x86", settings=_memory("weak", _NO_WRITE, _XCHG), why="the exchange is fully ordered"),
        Expect("safe", arch="x86", settings=_memory("sc", _NO_READ)),
        Expect("safe", arch="x86", settings=_memory("tso", _NO_READ), why="loads keep their order"),
        Expect("bug", arch="x86", settings=_memory("weak", _NO_READ), why="the dirty flag is read first"),
        Expect("safe", arch="x86", settings=(_NO_WRITE,), why="x86 clears PTEs with a locked exchange"),
        Expect("bug", arch="arm64", settings=(_NO_WRITE,)),
        Expect("bug", arch="arm64", settings=(_NO_READ,)),
        Expect("bug", arch="powerpc", settings=(_NO_WRITE,)),
    ),
)  # fmt: skip
