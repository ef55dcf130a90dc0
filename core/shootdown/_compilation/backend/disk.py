"""Compiled kernels on disk: kept for the next process, until a source that they come from changes."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, NullCache

from shootdown._compilation.announcing import announce
from shootdown._compilation.backend.loading import rebuilt
from shootdown._compilation.folders import folder_of, is_private
from shootdown._compilation.sources import digest, is_edited

#: Where kernels that this process compiled could not be kept, and why.
lost: list[str] = []


class _Place:
    """Where one kernel is kept, as numba asks for it."""

    def __init__(self, source: str, line: int, folder: str) -> None:
        self._source, self._line, self._folder = source, line, folder

    @classmethod
    def from_function(cls, function: Any, source: str) -> _Place | None:
        folder = folder_of(source) if os.path.exists(source) else None
        return None if folder is None else cls(source, function.__code__.co_firstlineno, str(folder))

    def ensure_cache_path(self) -> None:
        os.makedirs(self._folder, exist_ok=True)

    def get_cache_path(self) -> str:
        return self._folder

    def get_source_stamp(self) -> tuple[float, int]:
        found = os.stat(self._source)
        return found.st_mtime, found.st_size

    def get_disambiguator(self) -> str:
        return str(self._line)


class _Kernels(FunctionCache._impl_class):  # type: ignore[misc,valid-type]
    # numba offers no other way to say where a kernel is kept, and how it is loaded.
    _locator_classes = [_Place]  # noqa: RUF012

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        return rebuilt(target_context, payload)


class _Kept(FunctionCache):
    _impl_class = _Kernels


class Disk:
    """numba's disk cache of one kernel, made at its first use: most kernels are only inlined into others.

    The cache key has a digest of the kernel's sources.

    Args:
        function: the kernel's copy.
        before_compiling: called before it is compiled, as it is not on disk.
    """

    def __init__(self, function: Callable[..., Any], before_compiling: Callable[[], None]) -> None:
        self._function = function
        self._before_compiling = before_compiling

    @functools.cached_property
    def made(self) -> Any:
        """The cache, or one that keeps nothing if no folder is writable or a source was edited since its import."""
        module = self._function.__module__
        if is_edited(module):
            return NullCache()
        try:
            cache: Any = _Kept(self._function)  # type: ignore[no-untyped-call]
        except RuntimeError:
            return NullCache()
        # numba offers no other way to say that a kernel depends on more than its own file.
        index = cache._cache_file
        index._source_stamp = (index._source_stamp, digest(module))
        return cache

    @property
    def keeps(self) -> bool:
        """Whether there is a folder for it."""
        return not isinstance(self.made, NullCache)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Load a kernel; None if it is not kept.

        numba's own method makes the context ready to compile first: what compiles a kernel does so itself.
        """
        found = None
        if self.keeps:
            with self.made._guard_against_spurious_io_errors():
                found = self.made._load_overload(signature, target_context)
        if found is None:
            self._before_compiling()
        return found

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep a kernel; it runs all the same if the disk is full or read-only."""
        try:
            self.made.save_overload(signature, data)
        except OSError as error:
            lost.append(f"{self.made.cache_path}: {error.strerror or error}")
            announce(f"compiled kernels can't be kept in {lost[-1]}")

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute from numba's cache."""
        return getattr(self.made, name)


def is_kept(compiled: Callable[..., Any]) -> bool:
    """Whether a compiled kernel of the present sources is on disk, so that calling it is quick.

    Args:
        compiled: what `kernels.compiled` returned.
    """
    index = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    try:
        return index is not None and bool(index._load_index())
    except OSError:
        return False


def keeps(compiled: Callable[..., Any]) -> bool:
    """Whether what is compiled is kept on disk for other processes; it is not where no folder can be written to.

    Args:
        compiled: what `kernels.compiled` returned.
    """
    cache = getattr(compiled, "_cache", None)
    return isinstance(cache, Disk) and cache.keeps and not is_private(Path(cache.made.cache_path))


def has(compiled: Any, types: tuple[Any, ...]) -> bool:
    """Whether a kernel compiled for arguments of these types is on disk.

    Args:
        compiled: what `kernels.compiled` returned.
        types: numba's.
    """
    cache = compiled._cache
    if not isinstance(cache, Disk) or not cache.keeps:
        return False
    try:
        kept = cache.made._cache_file._load_index()
    except OSError:
        return False
    return cache.made._index_key(types, compiled.targetctx.codegen()) in kept
