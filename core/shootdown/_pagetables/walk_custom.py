"""Many walks by a plugin's own function: kernels compiled for it, and kept on disk where it has a name.

The kernels here are compiled for each `CustomWalk`, whose type names the plugin's functions and carries a digest of the
sources that they come from: only an edited plugin's are compiled anew. A function that has no name to import it by,
such as one made within another, is numbered, and every process compiles it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from shootdown._compilation.instructions import peek, prefetch_address
from shootdown._compilation.kernels import instruction, kernel
from shootdown._compilation.named import function_named, name_of
from shootdown._compilation.running import plain, runnable, unkept
from shootdown._compilation.sources import digest, is_edited
from shootdown._compilation.typed import compiled_type
from shootdown._pagetables.memory_kernels import find
from shootdown._pagetables.walk_batch import LEVEL_AT, RIGHTS_AT, SHIFT_AT, U8, finish

AHEAD = 32  # walks between a prefetch and its read


@compiled_type("shootdown._compilation.backend.walk_type:teach")
@dataclass(frozen=True)
class CustomWalk:
    """The functions of a custom format, by name.

    Args:
        walk: of `CustomFormat.walk`, as `module:name`.
        first_read: of `CustomFormat.first_read`; never called where there is none.
        stamp: a digest of the sources that they come from.
    """

    walk: str
    first_read: str
    stamp: str


@instruction("shootdown._compilation.backend.walk_type:walk_one")
def walk_one(functions: CustomWalk, memory: Any, check: Any, root: Any, va: Any) -> Any:
    """Walk one address by the plugin's function."""
    return plain(function_named(functions.walk))(memory, check, root, va)


@instruction("shootdown._compilation.backend.walk_type:first_read")
def first_read(functions: CustomWalk, memory: Any, check: Any, root: Any, va: Any) -> Any:
    """Return the physical address that the walk of an address reads first."""
    return plain(function_named(functions.first_read))(memory, check, root, va)


@kernel
def _walk_each(
    functions: Any, memory: Any, check: Any, root: Any, addresses: Any, count: Any, out: Any
) -> None:
    for i in range(count):
        n = np.uint64(i)
        found = walk_one(functions, memory, check, root, peek(addresses + n * U8))
        info = found.reason | found.level << LEVEL_AT | found.shift << SHIFT_AT | found.rights << RIGHTS_AT
        finish(out, n, found.pa, found.entry, info)


@kernel
def _walk_ahead(
    functions: Any, memory: Any, check: Any, root: Any, addresses: Any, count: Any, out: Any
) -> None:
    for i in range(count):
        n = np.uint64(i)
        if i + AHEAD < count:
            later = peek(addresses + (n + np.uint64(AHEAD)) * U8)
            prefetch_address(find(memory, first_read(functions, memory, check, root, later)))
        found = walk_one(functions, memory, check, root, peek(addresses + n * U8))
        info = found.reason | found.level << LEVEL_AT | found.shift << SHIFT_AT | found.rights << RIGHTS_AT
        finish(out, n, found.pa, found.entry, info)


@functools.cache
def custom_kernel(walk: Callable[..., Any] | str, first: Callable[..., Any] | str | None) -> Any:
    """Return the kernel that walks many addresses by a plugin's functions.

    Args:
        walk: `CustomFormat.walk`.
        first: `CustomFormat.first_read`: what is prefetched `AHEAD` walks before it is read; may be None.
    """
    names = [name_of(function) for function in (walk, first) if function is not None]
    each = _walk_each if first is None else _walk_ahead
    for name in names:
        function_named(name)  # a module's sources are known once it is imported
    modules = [name.partition(":")[0] for name in names if not name.isdecimal()]
    if len(modules) < len(names) or any(map(is_edited, modules)):
        return functools.partial(unkept(each), CustomWalk(names[0], names[-1], ""))
    stamp = " ".join(digest(module)[:16] for module in modules)
    return functools.partial(runnable(each), CustomWalk(names[0], names[-1], stamp))
