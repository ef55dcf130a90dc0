"""What is known of kernels, instructions and types before anything is compiled."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from typing import Any

#: When the first kernel may have been imported, in ns since 1970: a source that changed later may not be what runs.
STARTED = time.time_ns()


class Manner(Enum):
    """How a kernel is compiled; each has a decorator in `kernels`."""

    KERNEL = "kernel"
    INTERNAL = "internal"
    INLINED = "inlined"
    INLINED_COPY = "inlined copy"


#: How each kernel is compiled, by its plain function.
MANNERS: dict[Callable[..., Any], Manner] = {}
#: What stands for each instruction where kernels are compiled, as `module:name`.
INSTRUCTIONS: dict[Callable[..., Any], str] = {}
#: What teaches numba each class whose values kernels take, as `module:name`.
TYPES: dict[type, str] = {}
#: The modules of `backend` that the kernels of a module are made with, beside those that the module imports.
MADE_WITH: dict[str, set[str]] = {
    "shootdown._compilation.kernels": {"shootdown._compilation.backend.dispatchers"}
}
