"""Plugins from files: `--plugin FILE.py` loads one that no distribution has installed."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType

from shootdown._plugins.installed import Origin
from shootdown._values.errors import ShootdownError, one_line
from shootdown._values.inputs import no_file
from shootdown._values.sites import beginning, raised

#: Names files too, with colons between them.
VARIABLE = "SHOOTDOWN_PLUGIN"

_given: tuple[str, ...] | None = None


def given() -> tuple[str, ...]:
    """Return the files whose plugins this process loads, as absolute paths: by default those of the environment.

    Raises:
        ShootdownError: the environment names what can't be a plugin.
    """
    if _given is None:
        give([path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path])
    return _given or ()


def give(paths: Sequence[str]) -> None:
    """Load these files from now on, besides what is installed.

    Raises:
        ShootdownError: one of them can't be a plugin.
    """
    global _given
    for path in paths:
        _refuse_path(path)
    _given = tuple(dict.fromkeys(map(os.path.abspath, paths)))


def _refuse_path(path: str) -> None:
    if not path.endswith(".py"):
        raise ShootdownError(f"plugin {path}: its name does not end in .py; a plugin is a file of Python")
    if (problem := no_file(path)) is not None:
        raise ShootdownError(f"plugin {path}: {problem}")


class _Source(SourceFileLoader):
    """Read the source each time: what was kept on disk may be a second old, and the file edited since."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def points(paths: Sequence[str]) -> list[tuple[Origin, Callable[[], ModuleType]]]:
    """Return where each file's plugin comes from, and how to load it."""
    found = []
    names: set[str] = set()
    for path in paths:
        name = _module_name(path)
        while name in names:
            name += "_"
        names.add(name)
        stem = name if _is_package(path) else os.path.basename(path).removesuffix(".py")
        found.append((Origin(stem, shown(path), "", name), _loader(name, path)))
    return found


def _is_package(path: str) -> bool:
    return os.path.basename(path) == "__init__.py"


def _module_name(path: str) -> str:
    """Return a name for the module: a package's own, so that its modules import one another by it."""
    if _is_package(path):
        return os.path.basename(os.path.dirname(path))
    return "plugin_" + re.sub(r"\W", "_", os.path.basename(path).removesuffix(".py"))


def _loader(name: str, path: str) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        folders = [os.path.dirname(path)] if _is_package(path) else None
        spec = importlib.util.spec_from_file_location(
            name, path, loader=_Source(name, path), submodule_search_locations=folders
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Functions of the plugin are found by their module's name in other processes, and by attrs.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return load


def shown(path: str) -> str:
    """Return a path as a message has it: from this folder on, if it is below it."""
    beside = os.path.relpath(path)
    return path if beside.startswith("..") else beside


def why(path: str, error: BaseException, at: object = None) -> str:
    """Say in one line what is wrong in a file, and in which line of it.

    Args:
        path: the file.
        error: what loading it raised.
        at: the function that the error is about, where no line raised it.
    """
    if isinstance(error, SyntaxError) and error.lineno:
        where = error.filename or path
        return f"{shown(where)}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    return f"{raised(error) or beginning(at) or shown(path)}: {one_line(error)}"
