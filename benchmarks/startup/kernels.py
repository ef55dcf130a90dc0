"""What one more kernel costs a process that has some already: walks of each format, found on disk."""

from __future__ import annotations

import json
import time

import numpy as np

from shootdown._pagetables.address_space import AddressSpace
from shootdown._pagetables.format import Format
from shootdown._pagetables.memory import SECTION_BYTES, PhysicalMemory
from shootdown._pagetables.walk_many import walk_many
from shootdown._plugins.registry import registry


def main():
    """Walk once in each format, and once more; the difference is what finding the kernel cost."""
    memory = PhysicalMemory(window_bytes=SECTION_BYTES)
    one = np.zeros(1, np.uint64)
    seconds = {}
    for name, form in registry().formats().items():
        if isinstance(form, Format):
            root = AddressSpace(form, memory, settings=form.settings()).root
            spent = []
            for _ in range(2):
                start = time.perf_counter()
                walk_many(form, memory, root, one, threads=1, way="ring")
                spent.append(time.perf_counter() - start)
            seconds[name] = spent[0] - spent[1]
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
