"""Time walks whose numbers are constants beside a table read at run time and beside hand-inlining; print JSON.

A process of its own with a cache of its own: helpers of kernels are kept on disk for each type that they were
compiled for, and no other process knows the type of the table here.
"""

from __future__ import annotations

import json
from collections import namedtuple

import attrs
import numpy as np

from benchmarks import common
from benchmarks.tables import mapped
from shootdown._compilation.instructions import peek
from shootdown._compilation.kernels import kernel
from shootdown._compilation.running import runnable, unkept
from shootdown._pagetables.format import USER_READ
from shootdown._pagetables.format_layout import check, layout
from shootdown._pagetables.walk_batch import _walk_in_full, finish, walk_in_order
from shootdown._plugins.registry import registry

X86 = next(form for form in registry().architecture("x86").formats if form.name == "x86_64-4level")
WALKS = 20_000
TIMES = 50  # so that what is measured is in the cache
U = np.uint64

# The table: every number of the layout as an array or a word that the kernel reads.
_NAMES = [
    field.name for field in attrs.fields(type(layout(X86))) if field.name not in ("name", "fingerprint")
]
Table = namedtuple("Table", _NAMES)


@kernel
def by_hand(shape, memory, check, root, addresses, count, out):
    """Do what `walk_in_order` does, written out for x86-64's four levels: pages of 4 KiB, 2 MiB and 1 GiB.

    `shape` is only for what starts again from the root, as there.
    """
    window, base = memory.window, memory.window_base
    limit = memory.window_bytes - U(4096)
    pointer = U(0x000FFFFFFFFFF000)
    for i in range(count):
        n = U(i)
        va = peek(addresses + n * U(8))
        upper = va >> U(47)
        table = root & pointer
        walking = upper == U(0) or upper == U(0x1FFFF)
        done = False
        every, some = ~U(0), U(0)
        for level in range(4):
            if not walking:
                break
            shift = U(39 - 9 * level)
            offset = table - base
            walking = offset <= limit
            if walking:
                entry = peek(window + offset + ((va >> shift) & U(511)) * U(8))
                walking = level < 3 and entry & (U(0x81) | check.reserved[2 * level]) == U(1)
                if walking:
                    table = entry & pointer
                    every &= entry
                    some |= entry
                else:
                    rights = ((every & entry) >> U(1)) & U(3) | ((some | entry) >> U(63)) << U(2)
                    good = level > 0 and entry & (U(1) | check.reserved[2 * level + 1]) == U(1)
                    good = good and (level == 3 or entry & U(0x80) != U(0))
                    if good and (check.allowed >> rights) & U(1) != U(0):
                        low = (U(1) << shift) - U(1)
                        info = U(level) << U(8) | shift << U(16) | rights << U(24)
                        finish(out, n, (entry & pointer & ~low) | (va & low), entry, info)
                        done = True
        if not done:
            _walk_in_full(shape, memory, check, root, va, out, n)


def main() -> None:
    memory, root, _ = mapped(X86, 1 << 26)
    addresses = np.random.default_rng(3).integers(0, 1 << 26, WALKS, dtype=U)
    shape = layout(X86)
    table = Table(*(_as_data(getattr(shape, name)) for name in _NAMES))
    checked = check(X86, USER_READ)
    pa, info = np.zeros(WALKS, U), np.zeros(WALKS, np.uint32)
    out = (U(pa.ctypes.data), U(info.ctypes.data), U(0))
    rest = (U(root), U(addresses.ctypes.data), WALKS, out)
    once = {
        "specialised": lambda: runnable(walk_in_order)(shape, memory.view, checked, (), *rest),
        "table at run time": lambda: unkept(walk_in_order)(table, memory.view, checked, (), *rest),
        "inlined by hand": lambda: runnable(by_hand)(shape, memory.view, checked, *rest),
    }
    results = []
    for run in once.values():
        pa[:], info[:] = 0, 0
        run()
        results.append((pa.copy(), info.copy()))
    for found in results[1:]:
        assert np.array_equal(found[0], results[0][0])
        assert np.array_equal(found[1], results[0][1])
    assert results[0][0].all()
    many = {name: lambda run=run: [run() for _ in range(TIMES)] for name, run in once.items()}
    measured = common.in_turn(many, WALKS * TIMES)
    print(json.dumps({"seconds": measured.seconds, "units": measured.units}))


def _as_data(value):
    if isinstance(value, np.ndarray):
        return value.copy()
    return value if isinstance(value, bool) else U(value)


if __name__ == "__main__":
    main()
