"""Bare protocols of withdrawn or freed tables and of entries that outlive pages, searched in plain Python.

Nothing of the package is used here; each protocol is written from the description of its race. Memory is sequentially
consistent. `way` is how a flush reaches another CPU: `ipi` waits until it takes an interrupt, `kvm` too, but only tells
a preempted vCPU to flush when it runs again; `broadcast` and `hypercall` wait for nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple


class BrokenError(Exception):
    """An invariant does not hold."""


def search(first: Any, successors: Callable[[Any], Iterator[Any]]) -> str:
    """Search all states; `bug` if an invariant breaks anywhere."""
    seen, queue = {first}, deque([first])
    try:
        while queue:
            for state in successors(queue.popleft()):
                if state not in seen:
                    seen.add(state)
                    queue.append(state)
    except BrokenError:
        return "bug"
    return "safe"


def _waits(way: str, off: bool) -> bool:
    return way == "ipi" or (way == "kvm" and not off)


# --- khugepaged takes a page away


class Page(NamedTuple):
    """K is khugepaged, W walks."""

    k: str = "clear"
    w: str = "out"
    pmd: bool = True
    pte: bool = True
    references: int = 0
    off: bool = False  # W's vCPU is preempted


def khugepaged_page(way: str, *, recheck: bool, sync: bool) -> str:
    """K clears the PMD, flushes, [syncs], checks references, copies; W grabs the page between two reads."""

    def successors(s: Page) -> Iterator[Page]:
        answers = s.w in ("out", "kept", "gone") and not s.off
        after = "sync" if sync else "check"
        if s.k == "clear":
            yield s._replace(k="flush", pmd=False)
        elif s.k == "flush":
            yield s._replace(k="flushing" if _waits(way, s.off) else after)
        elif s.k == "flushing" and answers:
            yield s._replace(k=after)
        elif s.k == "sync" and answers:
            yield s._replace(k="check")
        elif s.k == "check":
            yield s._replace(k="give up" if s.references else "copy")
        elif s.k == "copy":
            yield s._replace(k="copied", pte=False)
        elif s.k == "give up":
            yield s._replace(k="gave up", pmd=True)
        if way == "kvm":
            yield s._replace(off=not s.off)
        if s.off:
            return
        again = "pmd again" if recheck else "pte again"
        if s.w == "out":
            yield s._replace(w="in")
        elif s.w == "in":
            yield s._replace(w="pte" if s.pmd else "gone")
        elif s.w == "pte":
            yield s._replace(w="grab" if s.pte else "gone")
        elif s.w == "grab":
            yield s._replace(w=again, references=1)
        elif s.w == "pmd again":
            yield s._replace(w="pte again" if s.pmd else "put")
        elif s.w == "pte again":
            yield s._replace(w="kept" if s.pte else "put")
        elif s.w == "put":
            yield s._replace(w="gone", references=0)
        elif s.w == "kept" and s.k in ("copy", "copied"):
            raise BrokenError

    return search(Page(), successors)


# --- a table is withdrawn: used anew and freed by khugepaged, or freed by munmap

USED, REUSED, FREED = range(3)


class Table(NamedTuple):
    """K withdraws the table, W walks."""

    k: str = "clear"
    w: str = "out"
    pmd: bool = True
    table: int = USED
    saw: int = USED
    off: bool = False


def withdrawn_table(
    way: str, *, recheck: bool, sync: bool = False, rcu: bool = False, reuse: bool = True
) -> str:
    """K clears the PMD, flushes, [syncs], [reuses the table], [waits for a grace period], frees it."""
    steps = ["clear", "flush", *(["sync"] if sync else []), *(["reuse"] if reuse else [])]
    steps += [*(["grace"] if rcu else []), "free", "done"]
    after = dict(pairwise(steps))

    def successors(s: Table) -> Iterator[Table]:
        answers = s.w in ("out", "gone") and not s.off
        if s.k == "clear":
            yield s._replace(k="flush", pmd=False)
        elif s.k == "flush":
            yield s._replace(k="flushing" if _waits(way, s.off) else after["flush"])
        elif s.k == "flushing" and answers:
            yield s._replace(k=after["flush"])
        elif s.k in ("sync", "grace") and answers:
            yield s._replace(k=after[s.k])
        elif s.k == "reuse":
            yield s._replace(k=after["reuse"], table=REUSED)
        elif s.k == "free":
            yield s._replace(k="done", table=FREED)
        if way == "kvm":
            yield s._replace(off=not s.off)
        if s.off:
            return
        if s.w == "out":
            yield s._replace(w="in")
        elif s.w == "in":
            yield s._replace(w="read" if s.pmd else "gone")
        elif s.w in ("read", "again") and s.table == FREED:
            raise BrokenError
        elif s.w == "read":
            yield s._replace(saw=s.table, w="recheck" if recheck else "again")
        elif s.w == "recheck":
            yield s._replace(w="again" if s.pmd else "gone")
        elif s.w == "again":
            if s.saw == s.table == REUSED:
                raise BrokenError
            yield s._replace(w="gone")

    return search(Table(), successors)


# --- a walker remembers a freed table


class Remembers(NamedTuple):
    """U frees the table; the walkers of its CPU and another may cache a link to it: 0 none, 1 a link, 2 a stale one."""

    u: str = "clear"
    pud: bool = True
    own: int = 0
    link: int = 0
    loaded: bool = True
    freed: bool = False
    off: bool = False
    told: bool = False


def remembered_table(way: str, *, lazy: bool, honoured: bool, leaf_only: bool = False) -> str:
    """U clears the entry, flushes, frees; `leaf_only` flushes leave links, and not `honoured` ones lazy CPUs."""
    left_out = lazy and not honoured and way != "broadcast"

    def successors(s: Remembers) -> Iterator[Remembers]:
        dropped, own = (s.link, s.own) if leaf_only else (0, 0)
        if s.u == "clear":
            yield s._replace(u="flush", pud=False, link=2 if s.link else 0, own=2 if s.own else 0)
        elif s.u == "flush" and left_out:
            yield s._replace(u="free", own=own)
        elif s.u == "flush" and way == "kvm" and s.off:
            yield s._replace(u="free", own=own, told=True)
        elif s.u == "flush" and _waits(way, s.off):
            yield s._replace(u="flushing", own=own)
        elif s.u == "flush":
            yield s._replace(u="free", own=own, link=dropped)
        elif s.u == "flushing" and not s.off:  # a lazy CPU leaves the mm, any other drops what it cached
            yield s._replace(u="free", loaded=not lazy, link=dropped)
        elif s.u == "free":
            yield s._replace(u="done", freed=True)
        if way == "kvm":
            link = 0 if s.off and s.told else s.link
            yield s._replace(off=not s.off, told=s.told and not s.off, link=link)
        if s.pud and not s.own:
            yield s._replace(own=1)
        if s.freed and s.own == 2:
            raise BrokenError
        if s.off or not s.loaded:
            return
        if s.pud and not s.link:
            yield s._replace(link=1)
        if s.freed and s.link == 2:
            raise BrokenError

    return search(Remembers(), successors)


# --- mremap() moves an entry, a truncation frees its page


class Moved(NamedTuple):
    """M moves old to new, T takes new away and frees the page; `tlb`: a third CPU holds the old entry."""

    m: str = "lock"
    t: str = "lock"
    old: bool = True
    new: bool = False
    locked: bool = False
    tlb: bool = False
    off: bool = False
    told: bool = False


def moved_entry(way: str, *, fix: bool, whole: bool = False) -> str:
    """With the fix M flushes before it unlocks. T's flush is of the new address, unless it is of the `whole` mm."""
    after = {"clear": "set", "set": "flush" if fix else "unlock", "flush": "unlock" if fix else "done"}

    def flush(s: Moved, who: str, then: str, drops: bool) -> Iterator[Moved]:
        if way == "kvm" and s.off:
            yield s._replace(**{who: then}, told=True)
        elif _waits(way, s.off):
            yield s._replace(**{who: "flushing"})
        else:
            yield s._replace(**{who: then}, tlb=s.tlb and not drops)

    def successors(s: Moved) -> Iterator[Moved]:
        if s.m == "lock" and not s.locked:
            yield s._replace(m="clear", locked=True)
        elif s.m == "clear":
            yield s._replace(m="set", old=False)
        elif s.m == "set":
            yield s._replace(m=after["set"], new=True)
        elif s.m == "unlock":
            yield s._replace(m="done" if fix else "flush", locked=False)
        elif s.m == "flush":
            yield from flush(s, "m", after["flush"], True)
        elif s.m == "flushing" and not s.off:
            yield s._replace(m=after["flush"], tlb=False)
        if s.t == "lock" and not s.locked:
            yield s._replace(t="zap", locked=True)
        elif s.t == "zap":
            yield s._replace(t="flush" if s.new else "nothing", new=False, locked=False)
        elif s.t == "flush":
            yield from flush(s, "t", "free", whole)
        elif s.t == "flushing" and not s.off:
            yield s._replace(t="free", tlb=s.tlb and not whole)
        elif s.t == "free":
            yield s._replace(t="freed")
        if way == "kvm":
            yield s._replace(off=not s.off, told=s.told and not s.off, tlb=s.tlb and not (s.off and s.told))
        if s.off:
            return
        if s.old and not s.tlb:
            yield s._replace(tlb=True)
        if s.tlb and s.t == "freed":
            raise BrokenError

    return search(Moved(), successors)


# --- two threads drop the same page


class Dropped(NamedTuple):
    """Threads 0 and 1 drop the page, 2 runs in user mode; by CPU: who holds the entry, is preempted, was told."""

    at: tuple[str, str] = ("begin", "begin")
    recorded: tuple[bool, bool] = (False, False)
    waits: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())
    pending: int = 0
    pte: bool = True
    tlb: tuple[bool, bool, bool] = (False, False, False)
    off: tuple[bool, bool, bool] = (False, False, False)
    told: tuple[bool, bool, bool] = (False, False, False)


def _at(values: Any, i: int, value: Any) -> Any:
    return (*values[:i], value, *values[i + 1 :])


def dropped_page(way: str, *, fix: bool) -> str:
    """A thread counts its gather, zaps, flushes what it recorded - with the fix if another is pending, too."""

    def thread(s: Dropped, i: int) -> Iterator[Dropped]:
        at = s.at[i]
        if s.off[i]:
            return
        if at == "begin":
            yield s._replace(at=_at(s.at, i, "zap"), pending=s.pending + 1)
        elif at == "zap":
            yield s._replace(at=_at(s.at, i, "finish"), recorded=_at(s.recorded, i, s.pte), pte=False)
        elif at == "finish":
            wanted = s.recorded[i] or (fix and s.pending > 1)
            yield s._replace(at=_at(s.at, i, "flush" if wanted else "end"))
        elif at == "flush":
            others = frozenset(range(3)) - {i}
            tlb, told = _at(s.tlb, i, False), s.told
            waiting = frozenset(cpu for cpu in others if _waits(way, s.off[cpu]))
            for cpu in others - waiting:
                if way == "kvm":
                    told = _at(told, cpu, True)
                else:
                    tlb = _at(tlb, cpu, False)
            yield s._replace(at=_at(s.at, i, "flushing"), tlb=tlb, told=told, waits=_at(s.waits, i, waiting))
        elif at == "flushing" and not s.waits[i]:
            yield s._replace(at=_at(s.at, i, "end"))
        elif at == "end":
            yield s._replace(at=_at(s.at, i, "returned"), pending=s.pending - 1)
        elif at == "returned" and s.tlb[i]:
            raise BrokenError

    def successors(s: Dropped) -> Iterator[Dropped]:
        for i in range(2):
            yield from thread(s, i)
            for cpu in s.waits[i]:
                if not s.off[cpu]:
                    yield s._replace(waits=_at(s.waits, i, s.waits[i] - {cpu}), tlb=_at(s.tlb, cpu, False))
        for cpu in range(3):
            if way == "kvm":
                tlb = _at(s.tlb, cpu, s.tlb[cpu] and not (s.off[cpu] and s.told[cpu]))
                told = _at(s.told, cpu, s.told[cpu] and not s.off[cpu])
                yield s._replace(off=_at(s.off, cpu, not s.off[cpu]), told=told, tlb=tlb)
            if s.pte and not s.tlb[cpu] and not s.off[cpu]:
                yield s._replace(tlb=_at(s.tlb, cpu, True))
        if "returned" in s.at and s.tlb[2] and not s.off[2]:
            raise BrokenError

    return search(Dropped(), successors)
