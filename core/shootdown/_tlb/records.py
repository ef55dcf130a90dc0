"""Traces of several processes on several CPUs: accesses and flushes, carried out record by record."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from shootdown._compilation.instructions import raw
from shootdown._compilation.kernels import inlined, kernel
from shootdown._tlb.flushing import (
    flush,
    with_tag,
)
from shootdown._tlb.kernels import (
    access,
)
from shootdown._tlb.words import (
    L2_ROW,
    ONE,
    ZERO,
    Scope,
)

ACCESS, FLUSH_PAGES, FLUSH_PROCESS, FLUSH_ALL = 0, 1, 2, 3
SHOOTDOWN = 16  # added to a flush: on every CPU; `cpu` is the initiator
TALLIES, L1_HITS, L2_HITS, MISSES, READS, FLUSHES, SHOOTDOWNS, INTERRUPTS = 8, 0, 1, 2, 3, 4, 5, 6


class Records(NamedTuple):
    """A part of a trace as columns of equal length, for `on_records`.

    `running` has for each CPU the process of its last access plus 1; `of_cpus` and `of_processes` have a row of
    `TALLIES` for each and are added to. CPUs and processes are numbered from 0 without gaps.
    """

    kind: Any
    cpu: Any
    process: Any
    va: Any
    shift: Any
    pages: Any
    running: Any
    of_cpus: Any
    of_processes: Any


@inlined
def _scope_on(scopes: Any, kind: Any, va: Any, shift: Any, pages: Any, tag: Any) -> Any:
    """Fill in the scope of a flush: of pages of a process, of a process, or of everything."""
    if kind == FLUSH_PAGES:
        stride = ONE << np.uint64(shift)
        count = max(np.uint64(pages), ONE)
        # The last page of the address space is as far as a range goes.
        count = min(count, ((~ZERO - va) >> np.uint64(shift)) + ONE)
        scope = scopes[0]
        return Scope(va & ~(stride - ONE), stride, count, tag, scope.mask, scope.sizes, scope.what)
    if kind == FLUSH_PROCESS:
        return with_tag(scopes[1], tag)
    return scopes[2]


@kernel
def on_records(words: Any, plan: Any, records: Any, scopes: Any, tagged: Any, used: Any) -> None:
    """Carry out a part of a trace in order.

    Args:
        words: the caches.
        plan: see above.
        records: `Records`.
        scopes: three of `Scope`: pages of a process, a process, everything.
        tagged: entries carry the process's number as their tag. Otherwise a CPU that runs another process than
            before drops all but global entries first, and a flush of a process concerns the CPUs that run it.
        used: how many CPUs there are so far.
    """
    w, p = raw(words), raw(plan)
    running, of_cpus, of_processes = records.running, records.of_cpus, records.of_processes
    for i in range(len(records.va)):
        kind, cpu, process = np.int64(records.kind[i]), np.int64(records.cpu[i]), np.int64(records.process[i])
        va, shift = records.va[i], np.int64(records.shift[i])
        tag = np.uint64(process) if tagged else ZERO
        if kind == ACCESS:
            if not tagged and running[cpu] != 0 and running[cpu] != process + 1:
                flush(w, p, cpu, scopes[1])
            running[cpu] = process + 1
            outcome = access(w, p, cpu, tag, va, shift)
            which = MISSES
            if outcome > 0:
                which = L1_HITS if outcome < p[L2_ROW] else L2_HITS
            else:
                of_cpus[cpu, READS] -= outcome
                of_processes[process, READS] -= outcome
            of_cpus[cpu, which] += 1
            of_processes[process, which] += 1
            continue
        what = kind & 15
        scope = _scope_on(scopes, what, va, shift, records.pages[i], tag)
        which = FLUSHES if kind < SHOOTDOWN else SHOOTDOWNS
        of_cpus[cpu, which] += 1
        of_processes[process, which] += 1
        if kind < SHOOTDOWN:
            if tagged or what == FLUSH_ALL or running[cpu] == process + 1:
                flush(w, p, cpu, scope)
        else:
            everywhere = tagged or what == FLUSH_ALL
            for other in range(used):
                runs = running[other] == process + 1
                if other != cpu and (runs or (what == FLUSH_ALL and running[other] != 0)):
                    of_cpus[other, INTERRUPTS] += 1
                    of_processes[process, INTERRUPTS] += 1
                if runs and not everywhere:
                    flush(w, p, other, scope)
            if everywhere:
                flush(w, p, np.int64(-1), scope)  # one, lazily, however many CPUs there are
