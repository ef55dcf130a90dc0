"""The one place that decides how kernels are compiled and when what was compiled is stale.

Importing this module imports numba (about 0.2 s): only modules that hold kernels do it, and those are imported
only when a kernel runs.

numba keeps compiled kernels on disk and compares them with the file that a kernel stands in, but not with the
files whose helpers it inlines or whose constants it takes: after an edit there it would serve the stale kernel.
So what is kept also carries a digest of every source that the kernel's module imports, within shootdown and
within the kernel's own package. An edit of a plugin recompiles that plugin's kernels only: core imports none.
"""

from __future__ import annotations

import functools
import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from numba import njit
from numba.core import event
from numba.core.caching import FunctionCache, NullCache

F = TypeVar("F", bound=Callable[..., Any])

_CORE = __name__.partition(".")[0]

# Kernels never raise, they return reason codes: no division checks in hot loops. Two threads may run at once.
# Kernels allocate nothing and return no array, so nobody counts references to arrays: with counting, two atomic
# additions for each array and call were 70 % of a timed run. A kernel that allocates does not compile.
# Nobody calls one from C: an entry for that would take a tenth of the time to compile.
_FLAGS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False, "no_cfunc_wrapper": True}
_NO_ENTRY: dict[str, Any] = {"no_cpython_wrapper": True}

# Imports at the left margin: those of functions and of `if TYPE_CHECKING` give a kernel nothing.
_IMPORT = re.compile(
    r"^(?:from[ \t]+(?P<base>[.\w]+)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n]*)|import[ \t]+(?P<modules>[^\n]*))",
    re.MULTILINE,
)


def kernel(function: F) -> F:
    """Compile a kernel when it is first called; a second process finds it on disk."""
    return _kept(function, njit(**_FLAGS)(function))


def internal(function: F) -> F:
    """Compile a kernel that only other kernels call; to call it from Python crashes.

    It has no entry for Python, which takes a fifth of the engine's time to compile.
    """
    return _kept(function, njit(**_FLAGS, **_NO_ENTRY)(function))


def inlined(function: F) -> F:
    """Compile a small helper of kernels: inlined before optimisation, so that a step costs no call."""
    return _kept(function, njit(forceinline=True, **_FLAGS)(function))


def is_kept(compiled: Callable[..., Any]) -> bool:
    """Say whether something compiled from a kernel's present sources is on disk, so that calling it is quick.

    Args:
        compiled: what `kernel` returned.
    """
    index = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    try:
        return index is not None and bool(index._load_index())
    except OSError:
        return False


def keeps(compiled: Callable[..., Any]) -> bool:
    """Say whether what is compiled is kept on disk; it is not where no folder can be written to.

    Args:
        compiled: what `kernel` returned.
    """
    cache = getattr(compiled, "_cache", None)
    return isinstance(cache, _Disk) and not isinstance(cache.made, NullCache)


class Compiled(event.Listener):
    """Kernels that were compiled: how many that are kept on disk, and how long all took, in seconds."""

    def __init__(self) -> None:
        self.kernels = 0
        self.seconds = 0.0
        self._depth = 0
        self._since = 0.0

    def on_start(self, event: Any) -> None:
        """Count a kernel; kernels that it calls are compiled meanwhile."""
        if self._depth == 0:
            self._since = time.perf_counter()
        self._depth += 1
        self.kernels += keeps(event.data["dispatcher"])

    def on_end(self, event: Any) -> None:
        """Stop the clock when the outermost is done."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._since


@contextmanager
def watched() -> Iterator[Compiled]:
    """Watch what is compiled meanwhile, rather than found on disk."""
    found = Compiled()
    with event.install_listener("numba:compile", found):
        yield found


def inlined_copy(function: F) -> F:
    """Compile a large function once more, into the one loop that calls it; disk keeps that loop's kernel."""
    copy: F = njit(forceinline=True, **_FLAGS)(function)
    return copy


def sources(module: str) -> tuple[Path, ...]:
    """Return the files that decide what the kernels of an imported module do: its own and those it imports.

    Args:
        module: its name; what it imports of other packages than its own and shootdown is left out.
    """
    packages = {module.partition(".")[0], _CORE}
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        if name in found or name.partition(".")[0] not in packages or file is None:
            continue
        found[name] = Path(file)
        package = name if found[name].stem == "__init__" else name.rpartition(".")[0]
        waiting += _imports(found[name], package)
    return tuple(sorted(found.values()))


@functools.cache
def _imports(file: Path, package: str) -> tuple[str, ...]:
    """Name the modules that a source imports, and what could be one."""
    return tuple(_imported(_source(file), package))


def _imported(source: str, package: str) -> Iterator[str]:
    for match in _IMPORT.finditer(source):
        if match["modules"] is not None:
            yield from (part.split()[0] for part in match["modules"].split(",") if part.strip())
            continue
        base = match["base"]
        if dots := len(base) - len(base.lstrip(".")):
            above = package.split(".")[: len(package.split(".")) - dots + 1]
            base = ".".join([*above, *filter(None, [base[dots:]])])
        yield base
        names = re.sub(r"#[^\n]*", "", match["names"]).strip("()")
        yield from (f"{base}.{part.split()[0]}" for part in names.split(",") if part.strip())


@functools.cache
def _source(file: Path) -> str:
    """Read a source once: nearly every module's kernels come from the same few."""
    return file.read_text(encoding="utf-8")


@functools.cache
def digest(module: str) -> str:
    """Give a number that another version of a module's kernels, or of what they come from, would not have."""
    found = hashlib.sha256()
    for file in sources(module):
        found.update(_source(file).encode())
    return found.hexdigest()


class _Disk:
    """numba's cache of one kernel, made when it is first asked: most are only ever inlined into others.

    What is kept is stamped with the sources as they were when the kernel's module was imported.
    """

    def __init__(self, function: Callable[..., Any], stamp: str) -> None:
        self._function = function
        self._stamp = stamp

    @functools.cached_property
    def made(self) -> Any:
        """The cache, or one that keeps nothing where no folder can be written to: each process compiles."""
        try:
            cache: Any = FunctionCache(self._function)  # type: ignore[no-untyped-call]
        except RuntimeError:
            return NullCache()
        # numba offers no other way to say that a kernel depends on more than its own file.
        index = cache._cache_file
        index._source_stamp = (index._source_stamp, self._stamp)
        return cache

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep a kernel; a disk that is full, or was made read-only meanwhile, is no reason not to run it."""
        with suppress(OSError):
            self.made.save_overload(signature, data)

    def __getattr__(self, name: str) -> Any:
        """Answer the rest as numba's does."""
        return getattr(self.made, name)


def _kept(function: F, dispatcher: Any) -> F:
    """Keep what is compiled on disk, until a source that it comes from changes."""
    # To a type checker a kernel is the function that it was: `F`.
    compiled: F = dispatcher
    if dispatcher is not function:  # NUMBA_DISABLE_JIT=1
        dispatcher._cache = _Disk(function, digest(function.__module__))
    return compiled
