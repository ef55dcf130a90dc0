"""The six regimes of traces, from one that nearly always hits to one that never does, the same on every machine.

The first three stand for programs: pages are revisited in runs, out of a hot set, a warm one that L2 holds, and
cold ones. Their numbers are chosen so that a TLB of 64 entries in 4 ways and 1536 in 12 hits as often as on the
traces of three programs (in the comment of each: hits in L1, hits in L2, walks).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Addresses = npt.NDArray[np.uint64]
U = np.uint64
PAGE = 4096


def _mixed(n: int, hot: float, warm: float, warm_pages: int, run: float, seed: int) -> Addresses:
    """Visit pages out of three sets, each for a run of accesses whose mean length is `run`."""
    rng = np.random.default_rng(seed)
    which = rng.random(n)
    hot_pages = rng.permutation(1 << 20)[:40]
    pages = hot_pages[np.minimum(rng.zipf(1.3, n) - 1, 39)]
    pages = np.where(which > hot, rng.integers(0, warm_pages, n) + (1 << 21), pages)
    pages = np.where(which > hot + warm, rng.integers(0, 1 << 20, n) + (1 << 22), pages)
    visits = np.cumsum(rng.random(n) < 1 / run)
    return pages[visits].astype(U) * U(PAGE) + rng.integers(0, PAGE, n).astype(U)


def pointer_heavy(n: int) -> Addresses:
    """.71 / .14 / .149."""
    return _mixed(n, 0.49, 0.30, 1050, 2.0, 1)


def compiler_like(n: int) -> Addresses:
    """.85 / .13 / .021."""
    return _mixed(n, 0.765, 0.203, 1000, 2.0, 2)


def interpreter_like(n: int) -> Addresses:
    """.86 / .14 / .001."""
    return _mixed(n, 0.785, 0.2145, 700, 2.0, 3)


def zipf(n: int) -> Addresses:
    """Zipf over 4 GiB: .49 / .24 / .27."""
    rng = np.random.default_rng(4)
    ranks = np.arange(1, (1 << 20) + 1, dtype=np.float64)
    chances = np.cumsum(ranks**-1.2)
    pages = np.searchsorted(chances, rng.random(n) * chances[-1])
    return rng.permutation(1 << 20)[pages].astype(U) * U(PAGE) + rng.integers(0, PAGE, n).astype(U)


def random(n: int) -> Addresses:
    """Uniform over 4 GiB: 0 / 0 / 1."""
    return np.random.default_rng(5).integers(0, 1 << 32, n).astype(U)


def sequential(n: int) -> Addresses:
    """8 bytes after 8 bytes: .998 / 0 / .002."""
    return np.arange(n, dtype=U) * U(8)


TRACES: dict[str, Callable[[int], Addresses]] = {
    "pointer-heavy": pointer_heavy,
    "compiler-like": compiler_like,
    "interpreter-like": interpreter_like,
    "zipf 4 GiB": zipf,
    "random 4 GiB": random,
    "sequential 8 B": sequential,
}
