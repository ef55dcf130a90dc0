"""Which sources decide what a kernel does, and a number that others would not have.

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
from collections.abc import Iterator
from pathlib import Path

from shootdown._compilation.registry import MADE_WITH, STARTED

_CORE = __name__.partition(".")[0]
_BACKEND = f"{_CORE}._compilation.backend."

# Imports at the left margin: those of functions and of `if TYPE_CHECKING` give a kernel nothing.
_IMPORT = re.compile(
    r"^(?:from[ \t]+(?P<base>[.\w]+)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n]*)|import[ \t]+(?P<modules>[^\n]*))",
    re.MULTILINE,
)


def sources(module: str) -> tuple[Path, ...]:
    """Return the files that decide what the kernels of an imported module do: its own and those it imports.

    What stands for its instructions and types where kernels are compiled counts as imported.

    Args:
        module: its name; what it imports of other packages than its own and shootdown is left out.
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
    """Give an imported module's file; what kernels are compiled with may not be imported yet."""
    if module.startswith(_BACKEND):
        made = Path(__file__).parent / "backend" / f"{module.removeprefix(_BACKEND)}.py"
        return made if made.exists() else None
    file = getattr(sys.modules.get(module), "__file__", None)
    return None if file is None else Path(file)


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


@functools.cache
def is_edited(module: str) -> bool:
    """Say whether a source changed after this process may have imported it: then what runs may come from another.

    A kernel's sources are read when it is first compiled, which may be long after its module was imported.
    """
    return any(_is_edited(file) for file in sources(module))


@functools.cache
def _is_edited(file: Path) -> bool:
    found = file.stat()
    # The second is when the file itself last changed on POSIX: it tells of a file that was copied with its old date.
    return any(STARTED < changed <= time.time_ns() for changed in (found.st_mtime_ns, found.st_ctime_ns))
