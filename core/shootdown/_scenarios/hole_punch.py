"""Hole punching against reads that fill the page cache (730633f0b7f9, 5.15).

A hole is punched in two steps: the page cache of the range is dropped, then its blocks are unmapped and freed. A read
that finds no page asks the filesystem for the block and reads it. Without a lock between the two, the read can get the
block before it is freed and fill the page cache after that was dropped: the punched data stays readable, or data that
another file has written to the block since. With the fix both take mapping->invalidate_lock, the reads for reading.

After the punch, the range reads as zeros. A page that is cached and up to date is read without that lock.
"""

from __future__ import annotations

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_INVARIANTS = ("walk-cache", "stale-data", "other-file")
_SENTENCES = {
    "stale-data": "After the punch the range reads zeros.",
    "other-file": "The range never reads what another file wrote.",
}
_STALE, _OTHER_FILE = 1, 2
_PLACES = ("hit", "filled", "filled-after-punch", "reused")
_HIT, _FILLED, _FILLED_AFTER, _REUSED = range(len(_PLACES))
# The data of a block; a page of the cache has the same values, or is absent.
_ABSENT, _ZEROS, _OLD, _OTHER = range(4)


class _File:
    """The range of a file: its page in the cache, its block on disk, and the locks."""

    def __init__(self, model: Model, *, fixed: bool) -> None:
        self.fixed = fixed
        self.page = model.variable(_OLD, "page cache")
        self.mapped = model.variable(1, "block mapped")
        self.disk = model.variable(_OLD, "block")
        self.punched = model.variable(0, "punched")
        self.freed = model.event()
        self.i_rwsem = model.lock()
        self.invalidate_lock = model.lock()


def build(scene: Setup) -> Problem:
    """Write the programs: the puncher, the readers, and the file that gets the block next."""
    readers = scene["readers"]
    model = Model(scene.kernel, scene.lowering, cpus=readers + 2, mms=1)
    file = _File(model, fixed=scene["fix"])
    punch = model.task(mm=None, cpu=0, ready=True)
    other = model.task(mm=None, cpu=1, ready=True)
    model.starts(punch)
    _punch(model, file)
    _check(model, file)
    model.spin()
    model.starts(other)
    _reuse_block(model, file)
    model.spin()
    for number in range(readers):
        model.starts(model.task(mm=None, cpu=number + 2, ready=True))
        # The first is a page fault, the second read(): only mmap_lock differs, which no other program takes here.
        name, where = (
            ("filemap_fault", "mm/filemap.c") if number % 2 == 0 else ("filemap_read", "mm/filemap.c")
        )
        with model.asm.function(name, where):
            _read(model, file)
        model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=_INVARIANTS,
        places=_PLACES,
        lanes=("punch hole", "other file", *(("page fault", "read")[n % 2] for n in range(readers))),
    )


def _punch(model: Model, file: _File) -> None:
    asm = model.asm
    with asm.function("fallocate(PUNCH_HOLE)", "the filesystem"):
        asm.lock(file.i_rwsem, write=True, sleeps=True, text="inode lock")
        if file.fixed:
            asm.lock(file.invalidate_lock, write=True, sleeps=True, text="invalidate_lock")
        with asm.function("truncate_pagecache_range", "mm/truncate.c"):
            asm.v_xchg(file.page, _ABSENT, o.SCRATCH, text="drop the page from the page cache")
        asm.v_xchg(file.mapped, 0, o.SCRATCH, text="unmap the block and free it")
        model.signal(file.freed)
        if file.fixed:
            asm.unlock(file.invalidate_lock, write=True, text="invalidate_lock")
        asm.unlock(file.i_rwsem, write=True, text="inode lock")
        asm.v_xchg(file.punched, 1, o.SCRATCH, text="the hole is punched")


def _reuse_block(model: Model, file: _File) -> None:
    model.wait(file.freed)
    with model.asm.function("write", "another file"):
        model.asm.v_xchg(file.disk, _OTHER, o.SCRATCH, text="get the block, write to it")
        model.asm.reached(_REUSED)


def _read(model: Model, file: _File) -> None:
    """Write the look-up of a page of the cache, which is filled if absent; register CLASS gets the data."""
    asm = model.asm
    miss, hole, insert, over = (model.label() for _ in range(4))
    asm.v_load(o.CLASS, file.page, text="look the page up in the page cache")
    asm.jump_zero(o.CLASS, miss)
    asm.reached(_HIT)
    asm.jump(over)
    asm.place(miss)
    if file.fixed:
        asm.lock(file.invalidate_lock, write=False, sleeps=True, text="invalidate_lock")
    with asm.function("readahead", "the filesystem"):
        asm.v_load(o.SCRATCH, file.mapped, text="get the block")
        asm.jump_zero(o.SCRATCH, hole)
        asm.v_load(o.CLASS, file.disk, text="read the block")
        asm.jump(insert)
        asm.place(hole)
        asm.set(o.CLASS, _ZEROS)
    asm.place(insert)
    present = model.label()
    with asm.function("filemap_add_folio", "mm/filemap.c"):
        asm.set(o.SCRATCH2, _ABSENT)
        asm.v_cas(file.page, o.SCRATCH2, o.CLASS, present, text="add the page to the page cache")
        asm.reached(_FILLED)
        early = model.label()
        asm.v_load(o.SCRATCH, file.punched)
        asm.jump_zero(o.SCRATCH, early)
        asm.reached(_FILLED_AFTER)
        asm.place(early)
        asm.place(present)
    if file.fixed:
        asm.unlock(file.invalidate_lock, write=False, text="invalidate_lock")
    asm.place(over)


def _check(model: Model, file: _File) -> None:
    """Write the puncher's read of the range after the punch."""
    asm = model.asm
    with asm.function("filemap_read", "mm/filemap.c"):
        _read(model, file)
    model.fail_if(o.CLASS, _OLD, _STALE, "the range reads as before the punch")
    model.fail_if(o.CLASS, _OTHER, _OTHER_FILE, "the range reads what another file wrote")


HOLE_PUNCH_FILL = Scenario(
    name="hole-punch-fill",
    summary="hole punching against reads that fill the page cache",
    source="730633f0b7f9",
    build=build,
    sentences=_SENTENCES,
    parameters=(Parameter("readers", 1, "tasks that read the range meanwhile", minimum=1, maximum=4),),
    switches=(Parameter("fix", True, "punching and filling take mapping->invalidate_lock"),),
    flushes=False,
    window=("hit", "filled", "filled-after-punch", "reused"),
    expected=(
        *(Expect("safe", arch=arch, parameters={"readers": n}) for arch in ("x86", "arm64") for n in (1, 2)),
        *(
            Expect("bug", arch=arch, parameters={"readers": n}, settings=("scenario.fix=false",))
            for arch in ("x86", "arm64", "powerpc")
            for n in (1, 2)
        ),
    ),
)
