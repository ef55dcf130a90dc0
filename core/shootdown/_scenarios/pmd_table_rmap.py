"""How the sharers of a hugetlb PMD table are counted: by its page's reference count, or by a count of their own
(59d9094df3d7; a8682d500f69).

Until 59d9094df3d7 (6.13) a PMD table counted as shared when its page had more than one reference. A scan of page frames
may take one for a moment (get_page_unless_zero()). If the last process unmaps just then, it takes the table for a
shared one: it clears its PUD entry and drops its reference, and the huge page stays mapped for ever, by a table that no
process has. Since then pt_share_count counts only the sharers.

The rules that a8682d500f69 states in comments are checked after each process: the huge page's mapcount is one, however
many processes share the entry; unsharing does not change the mapcount; a reverse-map walk over n sharers makes n - 1
unsharings and one unmap.
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_INVARIANTS = ("walk-cache", "mapcount", "table-references", "share-count", "freed-in-use")
_SENTENCES = {
    "mapcount": "The huge page counts as mapped if and only if somebody maps it.",
    "table-references": "A table in use has a reference.",
    "share-count": "pt_share_count is the number of the other sharers.",
    "freed-in-use": "A table is not freed while it maps the huge page.",
}
_MAPCOUNT, _REFERENCES, _SHARES, _FREED_IN_USE = range(1, len(_INVARIANTS))
_PLACES = ("unshared", "unmapped", "referenced", "unmapped-while-referenced", "table-freed")
_UNSHARED, _UNMAPPED, _REFERENCED, _WHILE, _TABLE_FREED = range(len(_PLACES))


class _Table:
    """The PMD table: references, sharers, the entry in it; and the huge page's mapcount."""

    def __init__(self, model: Model, scene: Setup) -> None:
        self.counts_references = scene.kernel.share_count == "page_count"
        sharers = scene["sharers"]
        self.references = model.variable(sharers if self.counts_references else 1, "references")
        self.shares = model.variable(0 if self.counts_references else sharers - 1, "pt_share_count")
        self.entry = model.variable(1, "entry in the table")
        self.mapcount = model.variable(1, "mapcount")
        self.users = model.variable(sharers, "processes that map the table")
        self.scanned = model.variable(0, "scanned")
        self.i_mmap = model.locks.i_mmap


def _build(scene: Setup) -> Problem:
    rmap = scene["path"] == "rmap"
    sharers = scene["sharers"]
    cpus = 2 if rmap else sharers + 1
    model = Model(scene.kernel, scene.lowering, cpus=cpus, mms=1)
    table = _Table(model, scene)
    for cpu in range(cpus - 1):
        model.starts(model.task(mm=None, cpu=cpu, ready=True))
        with model.asm.function(
            "try_to_migrate" if rmap else "unmap_hugepage_range", "mm/rmap.c" if rmap else ""
        ):
            model.asm.lock(table.i_mmap, write=True, sleeps=True, text="i_mmap_rwsem")
            for _ in range(sharers if rmap else 1):
                _unmap(model, table)
            model.asm.unlock(table.i_mmap, write=True, text="i_mmap_rwsem")
        model.spin()
    model.starts(model.task(mm=None, cpu=cpus - 1, ready=True))
    _scan(model, table)
    model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        lanes=(
            *(("migration",) if rmap else (f"{chr(65 + n)}: munmap" for n in range(sharers))),
            "pfn scanner",
        ),
    )


def _unmap(model: Model, table: _Table) -> None:
    """Write the unmapping of the table in one process, all of it under i_mmap_rwsem."""
    asm = model.asm
    exclusive, over = model.label(), model.label()
    with asm.function("huge_pmd_unshare", "mm/hugetlb.c"):
        if table.counts_references:
            asm.v_load(o.SCRATCH, table.references, text="page_count of the table")
            asm.jump_equal(o.SCRATCH, 1, exclusive)
        else:
            asm.v_load(o.SCRATCH, table.shares, text="pt_share_count of the table")
            asm.jump_zero(o.SCRATCH, exclusive)
        if table.counts_references:
            _put_table(model, table, "pud_clear; put_page of the table")
        else:
            asm.v_add(table.shares, -1, o.SCRATCH, text="pud_clear; one sharer less")
        asm.v_add(table.users, -1, o.SCRATCH)
        asm.reached(_UNSHARED)
    asm.jump(over)
    asm.place(exclusive)
    with asm.function("__unmap_hugepage_range", "mm/hugetlb.c"):
        asm.v_xchg(table.entry, 0, o.SCRATCH, text="clear the entry in the table")
        asm.v_add(table.mapcount, -1, o.SCRATCH, text="page_remove_rmap of the huge page")
        asm.reached(_UNMAPPED)
        apart = model.label()
        asm.v_load(o.SCRATCH, table.scanned)
        asm.jump_zero(o.SCRATCH, apart)
        asm.reached(_WHILE)
        asm.place(apart)

    def free() -> None:
        asm.v_add(table.users, -1, o.SCRATCH)
        _put_table(model, table, "pud_clear; pmd_free_tlb")

    model.calls.free_pgtables(free)
    asm.place(over)
    _check(model, table)


def _put_table(model: Model, table: _Table, text: str) -> None:
    """Write the drop of one reference to the table's page; with the last one the page is freed, and must be empty."""
    asm = model.asm
    free, over = model.label(), model.label()
    asm.v_add(table.references, -1, o.SCRATCH, text=text)
    asm.jump_zero(o.SCRATCH, free)
    asm.jump(over)
    asm.place(free)
    asm.v_load(o.SCRATCH, table.entry, text="the table's page is freed")
    model.fail_if(o.SCRATCH, 1, _FREED_IN_USE, "it still maps the huge page")
    asm.reached(_TABLE_FREED)
    asm.place(over)


def _check(model: Model, table: _Table) -> None:
    """Write the check after each process, under i_mmap_rwsem: the counts agree with the mappings of the table."""
    asm = model.asm
    mapped, over, fine = (model.label() for _ in range(3))
    asm.v_load(o.SCRATCH, table.users)
    asm.v_load(o.SCRATCH2, table.mapcount)
    asm.jump_zero(o.SCRATCH, mapped)
    model.fail_if(o.SCRATCH2, 0, _MAPCOUNT, "the huge page is mapped, but its mapcount is 0")
    if not table.counts_references:
        asm.v_load(o.SCRATCH2, table.shares)
        asm.add(o.SCRATCH2, 1)
        asm.jump_same(o.SCRATCH, o.SCRATCH2, fine)
        asm.fail(_SHARES, text="pt_share_count is not the number of the other sharers")
        asm.place(fine)
        asm.v_load(o.SCRATCH2, table.references)
        model.fail_if(o.SCRATCH2, 0, _REFERENCES, "a table in use has no reference")
    asm.jump(over)
    asm.place(mapped)
    model.fail_if(o.SCRATCH2, 1, _MAPCOUNT, "nobody maps the huge page, but its mapcount is 1")
    asm.place(over)


def _scan(model: Model, table: _Table) -> None:
    asm = model.asm
    again, gone = model.label(), model.label()
    with asm.function("get_page_unless_zero", "a scanner of page frames"):
        asm.v_load(o.SCRATCH, table.references, text="read the reference count")
        asm.place(again)
        asm.jump_zero(o.SCRATCH, gone)
        asm.copy(o.SCRATCH2, o.SCRATCH)
        asm.add(o.SCRATCH2, 1)
        asm.v_cas(table.references, o.SCRATCH, o.SCRATCH2, again, text="take a reference")
        asm.v_xchg(table.scanned, 1, o.SCRATCH)
        asm.reached(_REFERENCED)
        _put_table(model, table, "put_page")
        asm.v_xchg(table.scanned, 0, o.SCRATCH)
        asm.place(gone)


_OLD, _NEW = "kernel.share_count=page_count", "kernel.share_count=pt_share_count"

PMD_TABLE_RMAP = Scenario(
    name="pmd-table-rmap",
    summary="a transient reference to a hugetlb PMD table while the last process unmaps it",
    source="a8682d500f69, 59d9094df3d7",
    build=_build,
    sentences=_SENTENCES,
    parameters=(
        Parameter("sharers", 2, "processes that map the table", minimum=1, maximum=4),
        Parameter(
            "path", "munmap", "who unmaps: each process, or the reverse map", choices=("munmap", "rmap")
        ),
    ),
    shares_tables=True,
    flushes=False,
    window=("unshared", "unmapped", "unmapped-while-referenced", "table-freed"),
    expected=(
        Expect("bug", arch="x86", kernel="6.12"),
        Expect("safe", arch="x86", kernel="6.13"),
        Expect("safe", arch="x86", kernel="7.0"),
        Expect("bug", arch="arm64", kernel="6.12"),
        Expect("safe", arch="arm64", kernel="6.13"),
        Expect("not-applicable", arch="powerpc", kernel="6.12", why="powerpc shares no PMD tables"),
        *(
            Expect("bug", arch="x86", settings=(_OLD,), parameters={"sharers": n, "path": p})
            for n in (1, 2, 3)
            for p in ("munmap", "rmap")
        ),
        *(
            Expect("safe", arch="x86", settings=(_NEW,), parameters={"sharers": n, "path": p})
            for n in (2, 3)
            for p in ("munmap", "rmap")
        ),
    ),
)
