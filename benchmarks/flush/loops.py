"""Loops of flushes, so that what is measured is the flush and not the call from Python."""

import ctypes
import time

import numpy as np

from shootdown._compilation.backend.dispatchers import plugins_own
from shootdown._compilation.instructions import raw
from shootdown._compilation.kernels import kernel
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


_clock = ctypes.CDLL(None).clock_gettime
_clock.argtypes, _clock.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_int
MONOTONIC = time.CLOCK_MONOTONIC


def least_of_rounds(words, plan, scope, count, rounds):
    """Flush on every CPU, so often, let every CPU carry it out, and all that again for some rounds.

    Returns:
        The least nanoseconds that the flushes of a round took: measured here, since after the others have used the
        caches a call from Python takes longer than the flushes.
    """
    begin, end = np.zeros(2, np.int64), np.zeros(2, np.int64)
    least = 1 << 62
    w, p = raw(words), raw(plan)
    for _ in range(rounds):
        _clock(MONOTONIC, begin.ctypes.data)
        for _ in range(count):
            flush(w, p, ALL, scope)
        _clock(MONOTONIC, end.ctypes.data)
        least = min(least, (end[0] - begin[0]) * 1_000_000_000 + end[1] - begin[1])
        for cpu in range(p[CPUS]):
            catch_up(w, p, cpu)
    return least


#: It allocates, and is not kept on disk: the clock lies elsewhere in each process.
compiled_rounds = plugins_own(least_of_rounds)
