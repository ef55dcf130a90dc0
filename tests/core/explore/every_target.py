"""Every target, judged once in a process."""

from __future__ import annotations

from functools import cache

from shootdown._questions.targets import Target
from shootdown._questions.targets_of import targets


@cache
def every_target() -> tuple[Target, ...]:
    """Return what `targets` says of all platforms and kernels."""
    return tuple(targets())
