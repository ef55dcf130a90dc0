"""Cases that fill memory, each run alone in a process: `python -m benchmarks.memory.cases KIND NAME`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from benchmarks.flush.loops import filled
from benchmarks.tables import mapped
from shootdown._pagetables.format import Format
from shootdown._plugins.registry import registry
from shootdown._tlb import Tlb

GIB = 1 << 30
CASES = {
    "entries": {
        "intel-server, 8 CPUs": ("x86", "intel-server", 8),
        "intel-server, 196 CPUs": ("x86", "intel-server", 196),
        "neoverse-v2, 196 CPUs": ("arm64", "neoverse-v2", 196),
    },
    "tables": {
        "x86_64-4level, 16 GiB mapped": ("x86_64-4level", 16 * GIB),
        "x86_64-4level, 512 GiB mapped": ("x86_64-4level", 512 * GIB),
        "arm64-64k-48, 512 GiB mapped": ("arm64-64k-48", 512 * GIB),
        "riscv-sv39, 64 GiB mapped": ("riscv-sv39", 64 * GIB),
    },
}


def resident():
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def entries(arch, platform, cpus):
    """Use more pages than any cache of a platform holds, on every CPU."""
    geometry = registry().platforms(arch)[platform].tlb
    small = min(geometry.levels[0], *(size for cache in geometry.l1 for size in cache.page_sizes))
    pages = 4 * geometry.entries
    warm = Tlb(geometry, 1)
    filled(warm.words, warm.plan, warm.tag(1), 1, small.bit_length() - 1)
    before = resident()
    tlb = Tlb(geometry, cpus)
    filled(tlb.words, tlb.plan, tlb.tag(1), pages, small.bit_length() - 1)
    return geometry.entries * cpus, tlb.words.nbytes, resident() - before


def tables(name, size):
    """Map a range in base pages; what a kernel needs is the tables' own bytes."""
    form = registry().formats()[name]
    assert isinstance(form, Format)
    kept = [mapped(form, 1 << 28)]  # numpy's and the interpreter's own growth comes first
    before = resident()
    memory, _, needed = mapped(form, size)
    kept.append(memory)
    return needed, memory.frames * 4096 + memory.frames // 8, resident() - before


def main(kind, name):
    """Run one case."""
    needed, counted, grown = {"entries": entries, "tables": tables}[kind](*CASES[kind][name])
    print(json.dumps({"needed": needed, "counted": counted, "resident": grown}))


if __name__ == "__main__":
    np.seterr(all="raise")
    main(*sys.argv[1:])
