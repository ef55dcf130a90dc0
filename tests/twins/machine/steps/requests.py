"""Flush requests: what is flushed, who is targeted, the call and its answers."""

from __future__ import annotations

from tests.twins.machine import flushes
from tests.twins.machine.steps.gathers import gather_of
from tests.twins.machine.steps.memory import stores_wait
from tests.twins.machine.steps.step import BUFFERED, UNANSWERED, Answer, Words, cpu_of, mm_of, step
from tests.twins.machine.world import NO_PAGES, NO_SCOPE, Cpu, Gather, Pages, World


def stride_of(w: World, g: Gather) -> int:
    """Base pages in a stride: tlb_get_unmap_size(), by the lowest level at which entries were cleared."""
    for level in ("pte", "pmd", "pud", "p4d"):
        if level in g.cleared:
            return w.rules.spans[level]
    return 1


def strides_in(w: World, g: Gather) -> int:
    return (g.hi - g.lo) // stride_of(w, g)


@step
def flush_begin(w: World, task: int, s: Words) -> Answer:
    if stores_wait(w, task):
        return BUFFERED  # entries are visibly changed before anything is invalidated
    c, m, g = cpu_of(w, task), mm_of(w, task), gather_of(w, task, s)
    if "UNTRACKED" not in s.how:
        m.generation += 1
    lo, hi, apart = g.lo, g.hi, stride_of(w, g)
    if "PAIR_STRIDES" in s.how:
        lo, hi, apart = lo - lo % 2, hi + hi % 2, 2
    elif "PMD_STRIDES" in s.how:
        apart = w.rules.spans["pmd"]
    elif "BASE_STRIDES" in s.how:
        apart = 1
    elif "ROUNDED" in s.how:
        lo, hi = lo - lo % apart, hi + -hi % apart
    strides = (hi - lo) // apart
    pairs = "PAIR_STRIDES" in s.how
    pages = hi - lo if pairs else strides * stride_of(w, g)
    everything = bool(g.flags & {"FULLMM", "NEED_FLUSH_ALL"}) or "EVERYTHING" in s.how
    c.about, c.generation = w.tasks[task].on, m.generation
    if everything or strides > s.ceiling or (s.pages and pages > s.pages):
        c.strides, c.pages = 0, NO_PAGES
        return None
    if strides < 1:
        strides = 1
        if "EMPTY_TOO" in s.how:
            hi = max(hi, lo + 1)
    elif "IN_PAGES" in s.how:
        strides, apart = pages, 1
    else:
        strides = -(-(hi - lo) // apart)  # flush_tlb_func() of x86 goes on while it is below the end
    if pairs or "WHOLE_STRIDES" in s.how:
        apart = 1  # all pages of each pair or stride go
    c.strides = min(strides, w.rules.most_strides)
    c.pages = Pages(lo, hi, apart, "ONE_SIZE" in s.how, "PMD_TOO" in s.how)
    return None


@step
def target_mm(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    c.targets = mm_of(w, task).cpumask
    if not s.with_self:
        c.targets -= {w.tasks[task].home}
    return None


def _online(w: World) -> frozenset[int]:
    return frozenset(n for n, cpu in enumerate(w.cpus) if cpu.online)


@step
def target_online(w: World, task: int, s: Words) -> Answer:
    cpu_of(w, task).targets = _online(w) - {w.tasks[task].home}
    return None


@step
def target_rcu(w: World, task: int, s: Words) -> Answer:
    return target_online(w, task, s)


@step
def target_every(w: World, task: int, s: Words) -> Answer:
    cpu_of(w, task).targets = _online(w)
    return None


@step
def target_not_lazy(w: World, task: int, s: Words) -> Answer:
    cpu_of(w, task).targets -= w.lazy()
    return None


@step
def target_loaded(w: World, task: int, s: Words) -> Answer:
    m, c = mm_of(w, task), cpu_of(w, task)
    if m.trim_due:
        m.trim_due = False
    else:
        on = w.tasks[task].on
        assert on is not None
        c.targets &= w.loaded(on)
    return None


@step
def target_running(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    off = frozenset(n for n in c.targets if w.cpus[n].preempted)
    for n in off:
        w.cpus[n].flush_on_entry = True
    c.targets -= off
    return None


@step
def target_walkers(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    c.targets = frozenset(n for n in c.targets if w.cpus[n].walking and w.cpus[n].loaded == w.tasks[task].on)
    return None


@step
def target_current(w: World, task: int, s: Words) -> Answer:
    def of_mm(cpu: int) -> bool:
        current = w.cpus[cpu].task
        return current is not None and w.tasks[current].mm == w.tasks[task].on

    c = cpu_of(w, task)
    c.targets = frozenset(filter(of_mm, c.targets))
    return None


@step
def kernel_begin(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    _forget_call(c)
    c.call, c.strides = "kernel", s.pages
    return None


@step
def kernel_self(w: World, task: int, s: Words) -> Answer:
    if cpu_of(w, task).strides == 0:
        home = w.tasks[task].home
        assert home is not None
        flushes.drop_all(w, home)
    return None


@step
def jump_no_target(w: World, task: int, s: Words) -> Answer:
    return None if cpu_of(w, task).targets else s.label


@step
def jump_whole(w: World, task: int, s: Words) -> Answer:
    return s.label if cpu_of(w, task).strides == 0 else None


@step
def jump_empty(w: World, task: int, s: Words) -> Answer:
    g = gather_of(w, task, s)
    return s.label if g.lo >= g.hi else None


@step
def jump_strides(w: World, task: int, s: Words) -> Answer:
    return None if strides_in(w, gather_of(w, task, s)) > s.strides else s.label


@step
def jump_not_loaded(w: World, task: int, s: Words) -> Answer:
    return None if cpu_of(w, task).loaded == w.tasks[task].on else s.label


@step
def jump_not_masked(w: World, task: int, s: Words) -> Answer:
    return None if w.tasks[task].home in mm_of(w, task).cpumask else s.label


@step
def jump_not_own(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    return None if t.mm is not None and t.mm == t.on else s.label


@step
def jump_not_dead(w: World, task: int, s: Words) -> Answer:
    return s.label if any(other.mm == w.tasks[task].on for other in w.tasks) else None


@step
def leave_mask(w: World, task: int, s: Words) -> Answer:
    on = w.tasks[task].on
    assert on is not None
    without = mm_of(w, task).cpumask - w.loaded(on)
    mm_of(w, task).cpumask -= without & {w.tasks[task].home} if s.here else without
    return None


@step
def jump_not_alone(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    alone = t.mm is not None and t.mm == t.on and sum(other.mm == t.on for other in w.tasks) == 1
    return None if alone else s.label


@step
def jump_not_due(w: World, task: int, s: Words) -> Answer:
    m = mm_of(w, task)
    due, m.trim_due = m.trim_due, False
    return None if due else s.label


@step
def jump_not_global(w: World, task: int, s: Words) -> Answer:
    return s.label if mm_of(w, task).asid == "own" else None


@step
def jump_not_transition(w: World, task: int, s: Words) -> Answer:
    return None if mm_of(w, task).asid == "transition" else s.label


@step
def consider_global(w: World, task: int, s: Words) -> Answer:
    m, on = mm_of(w, task), w.tasks[task].on
    assert on is not None
    if m.consider and m.asid == "own" and len(w.loaded(on) - w.lazy()) >= s.cpus:
        m.asid = "transition"
    m.consider = False
    return None


@step
def end_transition(w: World, task: int, s: Words) -> Answer:
    mm_of(w, task).asid = "global"
    return None


@step
def send(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    of_kernel = c.call == "kernel"
    c.call, c.scope = s.call, s.scope
    if c.about is None and not of_kernel:
        c.about = w.tasks[task].on
    return None


def _forget_call(c: Cpu) -> None:
    c.call, c.about, c.generation, c.strides, c.scope, c.pages = None, None, 0, 0, NO_SCOPE, NO_PAGES


@step
def wait(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    if c.targets:
        return UNANSWERED
    _forget_call(c)
    return None


@step
def cancel(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    c.targets = frozenset()
    _forget_call(c)
    return None


def flush_self_does(w: World, task: int, s: Words) -> str:
    """Run the flush's handler on this CPU; returns what it did: `all`, `range`, `left` or nothing."""
    home = w.tasks[task].home
    assert home is not None
    c = w.cpus[home]
    if not s.forced:
        return flushes.flush_handler(w, home, home, s.scope)
    assert c.about is not None
    if s.forced == 2:
        flushes.leave_unless_running(w, home, c.about)
    flushes.drop(w, home, c.about, s.scope, flushes.named_by(w, home))
    flushes.catch_up(w, home, c.about)
    return "all" if c.strides == 0 else "range"


@step
def flush_self(w: World, task: int, s: Words) -> Answer:
    w.did = flush_self_does(w, task, s)
    return None


@step
def flush_local_pages(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    assert t.home is not None
    assert t.on is not None
    flushes.drop(w, t.home, t.on, s.scope, flushes.named_by(w, t.home))
    return None
