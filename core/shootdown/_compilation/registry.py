"""The registered kernels, instructions and types, before anything is compiled."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

#: Linux's CLOCK_REALTIME_COARSE, by which files are dated: it goes on by ticks, and is up to one behind.
_CLOCK_OF_FILES = 5
#: The earliest import of a kernel, in ns since 1970: a source that changed since may differ from the code that runs.
STARTED = time.clock_gettime_ns(_CLOCK_OF_FILES) if sys.platform == "linux" else time.time_ns()


class Manner(Enum):
    """The manner in which a kernel is compiled; each has a decorator in `kernels`."""

    KERNEL = "kernel"
    INTERNAL = "internal"
    INLINED = "inlined"
    INLINED_COPY = "inlined copy"


#: The manner of each kernel, by its plain function.
MANNERS: dict[Callable[..., Any], Manner] = {}
#: The replacement of each instruction in compiled kernels, as `module:name`.
INSTRUCTIONS: dict[Callable[..., Any], str] = {}
#: The C function that compiled kernels call in place of a plain one: its symbol, and its address in this process.
FOREIGN: dict[Callable[..., Any], tuple[str, int]] = {}
#: The function that registers with numba each class whose values kernels take, as `module:name`.
TYPES: dict[type, str] = {}
#: For each module with kernels, the modules of `backend` that they also depend on, beside those that it imports.
MADE_WITH: dict[str, set[str]] = {
    "shootdown._compilation.kernels": {"shootdown._compilation.backend.dispatchers"}
}
