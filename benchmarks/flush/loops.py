"""Loops of flushes, so that what is measured is the flush and not the call from Python."""

import numpy as np

from shootdown._jit import kernel
from shootdown._raw import raw
from shootdown._tlb.flushing import catch_up, flush
from shootdown._tlb.kernels import access
from shootdown._tlb.words import CPUS

ALL = np.int64(-1)


@kernel
def flushes(words, plan, scope, count):
    """Flush on every CPU, so often."""
    w, p = raw(words), raw(plan)
    for _ in range(count):
        flush(w, p, ALL, scope)


@kernel
def flushes_on_each(words, plan, scope, count):
    """Flush on one CPU after another, so often: a generation for each CPU."""
    w, p = raw(words), raw(plan)
    for _ in range(count):
        for cpu in range(p[CPUS]):
            flush(w, p, cpu, scope)


@kernel
def filled(words, plan, mark, pages, shift):
    """Let every CPU use so many pages."""
    w, p = raw(words), raw(plan)
    for cpu in range(p[CPUS]):
        for page in range(pages):
            access(w, p, cpu, mark, np.uint64(page) << np.uint64(shift), shift)


@kernel
def caught_up(words, plan):
    """Let every CPU carry out what the log has for it."""
    w, p = raw(words), raw(plan)
    for cpu in range(p[CPUS]):
        catch_up(w, p, cpu)
