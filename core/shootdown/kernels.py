"""Functions that numba compiles, for authors of plugins: what the walk of a `CustomFormat` is written with.

    from shootdown.kernels import Walk, find, inlined, kernel, peek

    @inlined
    def is_present(entry):
        ...

    @kernel
    def walk(memory, check, root, va):
        entry = peek(find(memory, root))
        ...
        return Walk(pa, entry, reason, level, shift, rights)

A kernel here is one of numba's, not Linux's: a plain function of `numpy.uint64`. `kernel` gives the very function back;
a copy is compiled, with the kernels that it names, when a walk first runs. So a kernel names others by names of its
module, not through another module, and nothing here imports numba. `inlined` is for small helpers. What `kernel` marks
is kept on disk until a source of its module changes; a function without a mark is compiled with what calls it.
`CustomFormat.walk` names it as `module:name`, so that whoever only lists formats does not import it.
"""

from __future__ import annotations

# Imported at once, not when first used: kernels kept on disk are stamped with the sources that imports lead to.
from shootdown._compilation.instructions import peek, poke
from shootdown._compilation.kernels import inlined, kernel
from shootdown._pagetables.format_layout import Check, Walk
from shootdown._pagetables.memory_kernels import find, swap_word

__all__ = ["Check", "Walk", "find", "inlined", "kernel", "peek", "poke", "swap_word"]
