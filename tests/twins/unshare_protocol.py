"""The bare protocol of unsharing against a walker, searched in plain Python: written from the description of the race.

Nothing of the package is used here. One table T that `sharers` processes map; process i < sharers - 1 gives it up (U),
and has a second CPU: a software walker (W, GUP-fast) or a hardware walker with a cache. The last one (C) then reuses T
and frees it. CPUs that have to answer an interrupt do so when interrupts are on and the vCPU runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

SHARED, REUSED, FREED = range(3)


@dataclass(frozen=True)
class Protocol:
    """One cell: what the kernel does and how its flush reaches other CPUs."""

    gup: bool
    sharers: int = 2
    sync: str = "none"  # none, per-table, last-sharer
    flush: str = "locked"  # none, locked, after-unlock
    way: str = "ipi"  # ipi, broadcast, kvm, hypercall
    rcu: bool = True
    own_targets: bool = False
    skip_sync: bool = False
    recheck: bool = False
    lazy: bool = False
    wakes_lazy: bool = False
    keeps_links: bool = False


@dataclass(frozen=True)
class State:
    """Everything that changes; tuples are by unsharing process."""

    u: tuple[str, ...]
    w: tuple[str, ...]  # where the software walker is
    saw: tuple[int, ...]  # what it read in T
    pud: tuple[bool, ...]
    link: tuple[int, ...]  # the hardware walker's cache: 0 nothing, 1 a link to T, 2 one that is stale
    off: tuple[bool, ...]  # preempted
    told: tuple[bool, ...]  # flushes when it runs again
    waits: tuple[frozenset[int], ...]  # whose answers U waits for
    fully: tuple[bool, ...]
    share: int
    lock: bool
    c: str
    rcu: frozenset[int]
    table: int


def _at(values: tuple, i: int, value: object) -> tuple:
    return (*values[:i], value, *values[i + 1 :])


class BrokenError(Exception):
    """An invariant does not hold."""


def verdict(p: Protocol) -> str:
    """Search all states; `bug` if an invariant breaks anywhere."""
    n = p.sharers - 1
    first = State(
        ("lock",) * n, ("out",) * n, (SHARED,) * n, (True,) * n, (0,) * n, (False,) * n, (False,) * n,
        (frozenset(),) * n, (False,) * n, p.sharers, False, "lock", frozenset(), SHARED,
    )  # fmt: skip
    seen, queue = {first}, deque([first])
    try:
        while queue:
            for state in _successors(p, queue.popleft()):
                if state not in seen:
                    seen.add(state)
                    queue.append(state)
    except BrokenError:
        return "bug"
    return "safe"


def _successors(p: Protocol, s: State) -> Iterator[State]:
    for i in range(p.sharers - 1):
        yield from _unsharer(p, s, i)
        yield from _other_cpu(p, s, i)
    yield from _keeper(p, s)


def _inside(s: State) -> frozenset[int]:
    return frozenset(i for i, where in enumerate(s.w) if where not in ("out", "done"))


def _flush(p: Protocol, s: State, i: int, then: str) -> Iterator[State]:
    """The flush of mm i, at its other CPU."""
    skipped = p.lazy and not p.wakes_lazy and p.way != "broadcast"
    if p.way in ("broadcast", "hypercall"):
        link = s.link if skipped or p.keeps_links else _at(s.link, i, 0)
        yield replace(s, link=link, u=_at(s.u, i, then))
    elif skipped:
        yield replace(s, u=_at(s.u, i, then))
    elif p.way == "kvm" and s.off[i]:
        yield replace(s, told=_at(s.told, i, True), u=_at(s.u, i, then))
    else:
        yield replace(s, waits=_at(s.waits, i, frozenset({i})), u=_at(s.u, i, f"flushing {then}"))


def _sync(p: Protocol, s: State, i: int, then: str) -> Iterator[State]:
    if not p.rcu or p.skip_sync:
        yield replace(s, u=_at(s.u, i, then))
        return
    targets = frozenset({i}) if p.own_targets else frozenset(range(p.sharers - 1))
    yield replace(s, waits=_at(s.waits, i, targets), u=_at(s.u, i, f"syncing {then}"))


def _unsharer(p: Protocol, s: State, i: int) -> Iterator[State]:
    at = s.u[i]
    late = p.flush == "after-unlock"
    if " " in at:
        kind, then = at.split()
        for cpu in s.waits[i]:
            if cpu not in _inside(s) and not s.off[cpu]:
                link = s.link
                if kind == "flushing" and not p.keeps_links:
                    link = _at(link, i, 0)
                yield replace(s, waits=_at(s.waits, i, s.waits[i] - {cpu}), link=link)
        if not s.waits[i]:
            yield replace(s, u=_at(s.u, i, then))
    elif at == "lock" and not s.lock:
        yield replace(s, lock=True, u=_at(s.u, i, "clear"))
    elif at == "clear":
        stale = _at(s.link, i, 2 if s.link[i] else 0)
        then = "sync1" if p.sync == "per-table" and not late else "count"
        yield replace(s, pud=_at(s.pud, i, False), link=stale, u=_at(s.u, i, then))
    elif at == "sync1":
        yield from _sync(p, s, i, "count")
    elif at == "count":
        left = s.share - 1
        yield replace(
            s, share=left, fully=_at(s.fully, i, left == 1), u=_at(s.u, i, "unlock" if late else "flush")
        )
    elif at == "flush":
        if p.flush == "none":
            yield replace(s, u=_at(s.u, i, "sync2"))
        else:
            yield from _flush(p, s, i, "sync2")
    elif at == "sync2":
        wanted = s.fully[i] if p.sync == "last-sharer" else (p.sync == "per-table" and late)
        then = "done" if late else "unlock"
        if wanted:
            yield from _sync(p, s, i, then)
        else:
            yield replace(s, u=_at(s.u, i, then))
    elif at == "unlock":
        yield replace(s, lock=False, u=_at(s.u, i, "flush" if late else "done"))


def _other_cpu(p: Protocol, s: State, i: int) -> Iterator[State]:
    if p.way == "kvm":
        if s.off[i]:
            link = _at(s.link, i, 0) if s.told[i] else s.link
            yield replace(s, off=_at(s.off, i, False), told=_at(s.told, i, False), link=link)
        else:
            yield replace(s, off=_at(s.off, i, True))
    if s.off[i]:
        return
    if not p.gup:
        if s.pud[i] and not s.link[i]:
            yield replace(s, link=_at(s.link, i, 1))
        if s.link[i] == 2 and s.table != SHARED:
            raise BrokenError
        return
    if p.lazy:
        return
    at = s.w[i]
    if at == "out":
        yield replace(s, w=_at(s.w, i, "in"))
    elif at == "in":
        yield replace(s, w=_at(s.w, i, "read" if s.pud[i] else "done"))
    elif at == "read":
        if s.table == FREED:
            raise BrokenError
        yield replace(s, saw=_at(s.saw, i, s.table), w=_at(s.w, i, "recheck" if p.recheck else "again"))
    elif at == "recheck":
        yield replace(s, w=_at(s.w, i, "again" if s.pud[i] else "done"))
    elif at == "again":
        if s.table == FREED or s.saw[i] == s.table == REUSED:
            raise BrokenError
        yield replace(s, w=_at(s.w, i, "done"))


def _keeper(p: Protocol, s: State) -> Iterator[State]:
    if s.c == "lock" and not s.lock and s.share == 1:
        yield replace(s, c="reuse")
    elif s.c == "reuse":
        yield replace(s, table=REUSED, c="free")
    elif s.c == "free":
        yield replace(s, rcu=_inside(s) if p.rcu else frozenset(), c="grace")
    elif s.c == "grace":
        for i in s.rcu - _inside(s):
            yield replace(s, rcu=s.rcu - {i})
        if not s.rcu:
            yield replace(s, table=FREED, c="done")
