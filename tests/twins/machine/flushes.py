"""What a CPU does when a flush or another call reaches it, and when it switches to a task.

From arch/x86/mm/tlb.c as the kernel reference describes it, and the step table's words for the other calls. Each
function handles one CPU.
"""

from __future__ import annotations

from tests.twins.machine.world import ALL, Pages, Scope, World

#: Calls that no CPU takes an interrupt for.
WITHOUT_INTERRUPT = ("hypercall", "broadcast")


def goes(w: World, pages: Pages | None, first: int, end: int) -> bool:
    """Whether a flush invalidates the translation of a page: one of its addresses lies there, and the size is right."""
    if pages is None:
        return True
    if pages.one_size:
        sizes = {pages.apart} | ({w.rules.spans["pmd"]} if pages.pmd_too else set())
        size = end - first
        huge = size in (w.rules.spans["pmd"], w.rules.spans["pud"])
        if (size if huge else 1) not in sizes:  # where no page is as large, base pages map the atom
            return False
    return pages.names(first, end)


def drop(w: World, cpu: int, mm: int, scope: Scope, pages: Pages | None = None) -> None:
    """Invalidate what a CPU holds of an mm: of some pages, or all."""
    m, c, rules = w.mms[mm], w.cpus[cpu], w.rules
    if scope.leaf:
        c.tlb = tuple(
            0 if rules.owners[entry] == mm and (span is None or goes(w, pages, *span)) else value
            for entry, (value, span) in enumerate(zip(c.tlb, rules.entry_pages, strict=True))
        )
        atoms = {(mm, atom) for atom, (_, lo, hi) in enumerate(rules.atoms) if goes(w, pages, lo, hi)}
        c.translations = frozenset(one for one in c.translations if one[:2] not in atoms)
        c.dead_translations -= atoms
        m.leaf -= {cpu}
        m.stale_leaf -= {cpu}
    if scope.walk or (scope.leaf and not rules.walk_cache):
        everywhere = not rules.walk_cache  # any invalidation ends the walks that are under way
        size = rules.slot_pages
        slots = {
            (mm, slot)
            for slot in range(rules.slots)
            if everywhere or not scope.at_va or pages is None or pages.names(slot * size, slot * size + size)
        }
        c.links = frozenset(one for one in c.links if one[:2] not in slots)
        c.dead_links -= slots
        m.walk -= {cpu}
        m.stale_walk -= {cpu}


def named_by(w: World, sender: int) -> Pages | None:
    """What the call of a CPU names; None: everything."""
    return w.cpus[sender].pages if w.cpus[sender].strides else None


def catch_up(w: World, cpu: int, mm: int) -> None:
    """Set the CPU's own tlb_gen of an mm to the newest."""
    w.mms[mm].flushed[cpu] = w.mms[mm].generation


def unload(w: World, cpu: int) -> None:
    """Load init_mm on a CPU that has an mm loaded without running it."""
    c = w.cpus[cpu]
    mm = c.loaded
    assert mm is not None
    c.loaded = None
    c.lazy = False
    if w.rules.clear_on_switch:
        w.mms[mm].cpumask -= {cpu}
    if not w.rules.tagged:
        drop(w, cpu, mm, ALL)


def leave_unless_running(w: World, cpu: int, mm: int) -> bool:
    """Leave an mm and its mm_cpumask unless a task of it runs here; returns whether it had been loaded."""
    c = w.cpus[cpu]
    if c.loaded == mm and not c.lazy:
        return False
    had = c.loaded == mm
    if had:
        unload(w, cpu)
    w.mms[mm].cpumask -= {cpu}
    return had


def flush_handler(w: World, cpu: int, sender: int, scope: Scope) -> str:
    """flush_tlb_func(): returns `all`, `range`, `left` (it was lazy and went to init_mm) or nothing."""
    c, order = w.cpus[cpu], w.cpus[sender]
    mm = order.about
    assert mm is not None
    m = w.mms[mm]
    if c.loaded != mm:
        m.cpumask -= {cpu}
        return ""
    if c.lazy:
        unload(w, cpu)
        return "left"
    if order.generation <= m.flushed[cpu]:
        return ""  # a later flush has taken this one along
    if m.flushed[cpu] == m.generation:
        return ""
    next_one = order.generation == m.flushed[cpu] + 1 == m.generation
    catch_up(w, cpu, mm)
    if order.strides and next_one:
        drop(w, cpu, mm, scope, order.pages)
        return "range"
    drop(w, cpu, mm, scope if scope.forced else ALL)
    return "all"


def drop_all(w: World, cpu: int) -> None:
    """Drop all that a CPU holds of any mm."""
    for mm in range(len(w.mms)):
        drop(w, cpu, mm, ALL)


def can_take(w: World, sender: int, cpu: int) -> bool:
    """Whether a CPU can take the call of another now."""
    order, c = w.cpus[sender], w.cpus[cpu]
    if cpu not in order.targets or order.call is None:
        return False
    return order.call in WITHOUT_INTERRUPT or not (c.irq_off or c.preempted)


def take(w: World, sender: int, cpu: int) -> frozenset[str]:
    """Let a CPU take the call of another; returns what it did: `all`, `range`, `left`."""
    order, c = w.cpus[sender], w.cpus[cpu]
    order.targets -= {cpu}
    scope, mm = order.scope, order.about
    pages = named_by(w, sender)
    much = "all" if order.strides == 0 else "range"
    if order.call in ("sync", "rcu", "barrier"):
        return frozenset()
    if order.call == "kernel" or mm is None:  # of kernel addresses: everything is that of all mms too
        if much == "all":
            drop_all(w, cpu)
        return frozenset({much})
    assert mm is not None
    if order.call == "flush":
        what = flush_handler(w, cpu, sender, scope)
        return frozenset({what} - {""})
    if order.call == "hypercall":
        drop(w, cpu, mm, scope, pages)
        return frozenset({much})
    if order.call == "broadcast":
        drop(w, cpu, mm, scope, pages)
        catch_up(w, cpu, mm)
        return frozenset({much})
    if order.call in ("invalidate", "invalidate_masked"):
        if scope.nothing or (order.call == "invalidate_masked" and cpu not in w.mms[mm].cpumask):
            return frozenset()
        drop(w, cpu, mm, scope, pages)
        catch_up(w, cpu, mm)
        return frozenset({much})
    if order.call == "leave":
        left = leave_unless_running(w, cpu, mm)
        drop(w, cpu, mm, scope)
        return frozenset(({"left"} if left else set()) | (set() if scope.nothing else {"all"}))
    assert order.call == "transition"
    if c.loaded != mm:
        w.mms[mm].cpumask -= {cpu}
        return frozenset()
    drop(w, cpu, mm, ALL)  # the root is loaded anew, with the global ASID
    catch_up(w, cpu, mm)
    return frozenset({"left"})


def turn_lazy(w: World, cpu: int) -> None:
    """enter_lazy_tlb()."""
    if w.rules.lazy_tlb and w.cpus[cpu].loaded is not None:
        w.cpus[cpu].lazy = True


def switch(w: World, cpu: int, task: int | None) -> bool:
    """context_switch() to a task, or to the idle one; returns whether the CPU loaded a page-table root."""
    c = w.cpus[cpu]
    c.task = task
    mm = None if task is None else w.tasks[task].mm
    if mm is None:
        turn_lazy(w, cpu)
        return False
    return load(w, cpu, mm)


def load(w: World, cpu: int, mm: int) -> bool:
    """switch_mm_irqs_off().

    A CPU that ran the mm until now has its calls still to come, so that it looks at no tlb_gen. One that was lazy, or
    that ran another mm, was left out of calls and looks.
    """
    c, m = w.cpus[cpu], w.mms[mm]
    before, was_lazy = c.loaded, c.lazy
    c.lazy = False
    stale = m.flushed[cpu] < m.generation
    if before == mm:
        if not was_lazy and w.rules.lazy_tlb:  # from one thread to another
            return False
        if stale:
            catch_up(w, cpu, mm)
            drop(w, cpu, mm, ALL)
        return stale
    if before is not None:
        if w.rules.clear_on_switch:
            w.mms[before].cpumask -= {cpu}
        if not w.rules.tagged:
            drop(w, cpu, before, ALL)
    c.loaded = mm
    m.cpumask |= {cpu}
    if mm in c.asids:  # choose_new_asid(): it has one here already
        if stale:
            catch_up(w, cpu, mm)
            drop(w, cpu, mm, ALL)
        return True
    place = c.next_asid
    c.next_asid = (place + 1) % len(c.asids)
    evicted = c.asids[place]
    if evicted is not None:
        drop(w, cpu, evicted, ALL)
    c.asids = (*c.asids[:place], mm, *c.asids[place + 1 :])
    catch_up(w, cpu, mm)
    drop(w, cpu, mm, ALL)
    return True


def enter_guest(w: World, cpu: int) -> None:
    """The host runs a vCPU again; KVM_VCPU_FLUSH_TLB drops everything that it holds."""
    c = w.cpus[cpu]
    c.preempted = False
    if c.flush_on_entry:
        c.flush_on_entry = False
        for mm in range(len(w.mms)):
            drop(w, cpu, mm, ALL)
