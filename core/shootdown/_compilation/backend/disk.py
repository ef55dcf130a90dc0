"""Compiled kernels on disk: kept for the next process, until a source that they come from changes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba.core.caching import FunctionCache, NullCache

from shootdown._compilation.sources import digest, is_edited


class Disk:
    """numba's cache of one kernel, made when it is first asked: most are only ever inlined into others.

    What is kept is stamped with the kernel's sources.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @functools.cached_property
    def made(self) -> Any:
        """The cache, or one that keeps nothing: no folder can be written to, or sources are not what was imported."""
        module = self._function.__module__
        if is_edited(module):
            return NullCache()
        try:
            cache: Any = FunctionCache(self._function)  # type: ignore[no-untyped-call]
        except RuntimeError:
            return NullCache()
        # numba offers no other way to say that a kernel depends on more than its own file.
        index = cache._cache_file
        index._source_stamp = (index._source_stamp, digest(module))
        return cache

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep a kernel; a disk that is full, or was made read-only meanwhile, is no reason not to run it."""
        with suppress(OSError):
            self.made.save_overload(signature, data)

    def __getattr__(self, name: str) -> Any:
        """Answer the rest as numba's does."""
        return getattr(self.made, name)


def is_kept(compiled: Callable[..., Any]) -> bool:
    """Say whether something compiled from a kernel's present sources is on disk, so that calling it is quick.

    Args:
        compiled: what `kernels.compiled` returned.
    """
    index = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    try:
        return index is not None and bool(index._load_index())
    except OSError:
        return False


def keeps(compiled: Callable[..., Any]) -> bool:
    """Say whether what is compiled is kept on disk; it is not where no folder can be written to.

    Args:
        compiled: what `kernels.compiled` returned.
    """
    cache = getattr(compiled, "_cache", None)
    return isinstance(cache, Disk) and not isinstance(cache.made, NullCache)
