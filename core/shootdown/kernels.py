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

`check_by()` makes the `Check` that the walk gets from the format's attributes and `Deny` rules, and `FLAGS_*` are the
values of `Check.flags`: what becomes of accessed and dirty flags.

`foreign` names a C function, which compiled kernels call natively in place of a plain one, its twin.

A kernel here is numba's kind, not Linux: a plain function of `numpy.uint64`. `kernel` registers the function and
returns it unchanged; a copy is compiled, with the kernels that it names, when a walk first runs. Therefore a kernel
must name others directly, as globals of its module, not through another module; and nothing here imports numba.
`inlined` is for small helpers. A compiled `kernel` is kept on disk until a source of its module changes; a function
without a decorator is compiled with its caller. `CustomFormat.walk` names the walk as `module:name`, so that listing
formats does not import it.
"""

from __future__ import annotations

# Imported here, not on first use: the disk cache of kernels depends on the sources that imports lead to.
from shootdown._compilation.instructions import peek, poke
from shootdown._compilation.kernels import foreign, inlined, kernel
from shootdown._pagetables.format_layout import (
    FLAGS_FAULT,
    FLAGS_FAULT_FIRST,
    FLAGS_IGNORED,
    FLAGS_SET,
    Check,
    Walk,
    check_by,
)
from shootdown._pagetables.memory_kernels import find, swap_word

__all__ = [
    "FLAGS_FAULT",
    "FLAGS_FAULT_FIRST",
    "FLAGS_IGNORED",
    "FLAGS_SET",
    "Check",
    "Walk",
    "check_by",
    "find",
    "foreign",
    "inlined",
    "kernel",
    "peek",
    "poke",
    "swap_word",
]
