"""The source files that a kernel depends on, and a digest of them.

numba's disk cache checks the file in which a kernel is defined, but not the files whose helpers it inlines or whose
constants it uses: after an edit there it would load the stale kernel. Therefore the cache key also has a digest of
every source that the kernel's module imports, within shootdown and within the kernel's own package. An edit of a plugin
recompiles only that plugin's kernels, as core imports no plugin.
"""

from __future__ import annotations

import functools
import hashlib
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from shootdown._compilation.registry import MADE_WITH, STARTED

_CORE = __name__.partition(".")[0]
_BACKEND = f"{_CORE}._compilation.backend."

# Imports at the left margin: a kernel uses nothing from imports inside functions or `if TYPE_CHECKING`.
_IMPORT = re.compile(
    r"^(?:from[ \t]+(?P<base>[.\w]+)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n]*)|import[ \t]+(?P<modules>[^\n]*))",
    re.MULTILINE,
)


def sources(module: str) -> tuple[Path, ...]:
    """Return the files that the kernels of an imported module depend on: its own and those that it imports.

    The replacements of its instructions and the registration of its types count as imported.

    Args:
        module: its name; imports from packages other than its own and shootdown are left out.
    """
    packages = {module.partition(".")[0], _CORE}
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = None if name in found or name.partition(".")[0] not in packages else _file(name)
        if file is None:
            continue
        found[name] = file
        package = name if file.stem == "__init__" else name.rpartition(".")[0]
        waiting += _imports(file, package)
        waiting += MADE_WITH.get(name, ())
    return tuple(sorted(found.values()))


def _file(module: str) -> Path | None:
    """Return a module's file; modules of the backend may not be imported yet."""
    if module.startswith(_BACKEND):
        made = Path(__file__).parent / "backend" / f"{module.removeprefix(_BACKEND)}.py"
        return made if made.exists() else None
    file = getattr(sys.modules.get(module), "__file__", None)
    return None if file is None else Path(file)


@functools.cache
def _imports(file: Path, package: str) -> tuple[str, ...]:
    """List the modules that a source imports; names imported from a package may be modules too."""
    if file.suffix != ".py":  # an extension in C: a kernel names its functions by symbol
        return ()
    return tuple(_imported(_source(file).decode(), package))


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
def _source(file: Path) -> bytes:
    """Read a source, cached: the kernels of most modules depend on the same few files."""
    return file.read_bytes()


@functools.cache
def digest(module: str) -> str:
    """Return a digest of all sources that a module's kernels depend on."""
    found = hashlib.sha256()
    for file in sources(module):
        found.update(_source(file))
    return found.hexdigest()


@functools.cache
def is_edited(module: str) -> bool:
    """Whether a source may have changed since this process imported it, so that other code may be running.

    A kernel's sources are read when it is first compiled, which may be long after its module was imported.
    """
    return any(_is_edited(file) for file in sources(module))


@functools.cache
def _is_edited(file: Path) -> bool:
    found = file.stat()
    # On POSIX st_ctime is the last change of the file itself: it catches a file copied with its old modification time.
    return any(STARTED <= changed <= time.time_ns() for changed in (found.st_mtime_ns, found.st_ctime_ns))
