"""What a gather collects: ranges, levels, pages and tables."""

from __future__ import annotations

from tests.twins.machine.steps.step import Answer, Words, mm_of, step
from tests.twins.machine.world import NO_NAMES, SCRATCH, SLOT, Gather, World


def _widen(g: Gather, lo: int, hi: int, s: Words) -> None:
    """__tlb_adjust_range()."""
    if "RANGE" in g.flags:
        lo, hi = min(lo, g.lo), max(hi, g.hi)
    g.lo, g.hi = lo, hi
    g.flags = g.flags | s.flags | {"RANGE"}
    g.cleared |= s.cleared


def gather_of(w: World, task: int, s: Words) -> Gather:
    return w.tasks[task].gathers[s.gather]


def _queue(w: World, task: int) -> Gather:
    """Where the pages that the outermost gather has queued are counted: the request's own queue is not used."""
    return w.tasks[task].gathers[2]


@step
def gather(w: World, task: int, s: Words) -> Answer:
    w.tasks[task].gathers[s.gather] = Gather(flags=s.flags)
    mm_of(w, task).pending += 1
    if s.gather == 0:
        _queue(w, task).tables = 0
    return None


@step
def gather_add(w: World, task: int, s: Words) -> Answer:
    _widen(gather_of(w, task, s), s.lo, s.hi, s)
    return None


@step
def gather_slot(w: World, task: int, s: Words) -> Answer:
    begin = w.tasks[task].registers[SLOT] * w.rules.slot_pages
    _widen(gather_of(w, task, s), begin + s.first, begin + s.last, s)
    return None


@step
def gather_pages(w: World, task: int, s: Words) -> Answer:
    queue = _queue(w, task)
    queue.tables += s.pages
    full = queue.tables >= s.limit
    if full:
        queue.tables -= s.limit
    w.tasks[task].registers[SCRATCH] = 1 if full else 0
    return None


def _pages_after(w: World, task: int) -> int:
    """How many of the pages came after the batches were full."""
    return _queue(w, task).tables if w.tasks[task].registers[SCRATCH] else 0


def _widen_by_pages(w: World, task: int, s: Words, begin: int, end: int) -> None:
    if begin < end:
        first = w.tasks[task].registers[SLOT] * w.rules.slot_pages + s.first
        after = first + (end - 1) * s.apart + w.rules.spans["pmd"]
        _widen(gather_of(w, task, s), first + begin * s.apart, after, s)


@step
def gather_part(w: World, task: int, s: Words) -> Answer:
    _widen_by_pages(w, task, s, 0, s.pages - _pages_after(w, task))
    return None


@step
def gather_rest(w: World, task: int, s: Words) -> Answer:
    _widen_by_pages(w, task, s, s.pages - _pages_after(w, task), s.pages)
    return None


@step
def gather_reset(w: World, task: int, s: Words) -> Answer:
    g = gather_of(w, task, s)
    g.lo = g.hi = 0
    g.cleared = NO_NAMES
    g.flags -= {"RANGE", "FREED_TABLES", "UNSHARED_TABLES"}
    return None


@step
def gather_tables(w: World, task: int, s: Words) -> Answer:
    g = gather_of(w, task, s)
    g.tables += s.tables
    if g.tables < s.batch:
        return s.label
    g.tables -= s.batch
    return None


@step
def jump_flags(w: World, task: int, s: Words) -> Answer:
    return None if gather_of(w, task, s).flags & s.flags else s.label


@step
def jump_cleared(w: World, task: int, s: Words) -> Answer:
    g = gather_of(w, task, s)
    return None if g.cleared or g.flags & s.flags else s.label


@step
def clear_flags(w: World, task: int, s: Words) -> Answer:
    gather_of(w, task, s).flags -= s.flags
    return None


@step
def set_flags(w: World, task: int, s: Words) -> Answer:
    gather_of(w, task, s).flags |= s.flags
    return None


@step
def nested(w: World, task: int, s: Words) -> Answer:
    if mm_of(w, task).pending > 1:  # mm_tlb_flush_nested()
        g = gather_of(w, task, s)
        g.flags |= {"FULLMM", "FREED_TABLES", "RANGE"}
        g.cleared = NO_NAMES
    return None


@step
def gather_end(w: World, task: int, s: Words) -> Answer:
    mm_of(w, task).pending -= 1
    g = gather_of(w, task, s)
    g.flags, g.tables = NO_NAMES, 0
    return None


@step
def request(w: World, task: int, s: Words) -> Answer:
    g = gather_of(w, task, s)
    g.lo, g.hi, g.flags, g.cleared = s.lo, s.hi, s.flags | {"RANGE"}, s.cleared
    return None


@step
def copy_range(w: World, task: int, s: Words) -> Answer:
    g, r = gather_of(w, task, s), w.tasks[task].gathers[2]
    r.lo, r.hi, r.flags, r.cleared = g.lo, g.hi, s.flags | {"RANGE"}, s.cleared
    return None


@step
def jump_not_pending(w: World, task: int, s: Words) -> Answer:
    return None if mm_of(w, task).pending > 0 else s.label
