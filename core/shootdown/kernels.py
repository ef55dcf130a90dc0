"""Functions that numba compiles, for authors of plugins: what the walk of a `CustomFormat` is written with.

    from shootdown.kernels import Walk, find, peek

    def walk(memory, check, root, va):
        entry = peek(find(memory, root))
        ...
        return Walk(pa, entry, reason, level, shift, rights)

A kernel here is one of numba's, not Linux's: a plain function of `numpy.uint64` that is compiled when a walk first
runs. `CustomFormat.walk` names it as `module:name`, so that whoever only lists formats does not import it.
"""

from __future__ import annotations

# Imported at once, not when first used: kernels kept on disk are stamped with the sources that imports lead to.
from shootdown._pagetables.format_layout import Check, Walk
from shootdown._pagetables.memory_kernels import find, peek, poke, swap_word

__all__ = ["Check", "Walk", "find", "peek", "poke", "swap_word"]
