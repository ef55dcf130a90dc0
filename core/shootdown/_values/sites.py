"""Where in somebody's file something was written: messages about mistakes name file and line."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType
from typing import NamedTuple

from shootdown._values.errors import MistakeError

#: What stands between a person's file and the assembler without being either.
_BETWEEN = frozenset(
    {"contextlib", "runpy", "importlib", "attr", "attrs", "numpy", "_sitebuiltins", "typing"}
)
#: Where a command begins: nobody's file comes before it.
_BEGINNING = frozenset({"click", "pluggy"})


class Site(NamedTuple):
    """A line of a file.

    Args:
        code, at: the code object and the offset of the instruction in it.
        module: the module's name.
    """

    code: CodeType
    at: int
    module: str

    @property
    def line(self) -> int:
        """The number of the line."""
        known = self.code.co_firstlineno
        for begin, end, line in self.code.co_lines():
            if begin <= self.at < end and line is not None:
                return line
        return known

    @property
    def package(self) -> str:
        """The plugin that the line belongs to; empty where it is a file of its own."""
        return "" if self.module.startswith(("<", "__main__")) else self.module.partition(".")[0]

    def __str__(self) -> str:
        """Name file and line."""
        name = self.code.co_filename
        beside = os.path.relpath(name) if os.path.isabs(name) else name
        return f"{name if beside.startswith('..') else beside}, line {self.line}"


def caller() -> Site | None:
    """Find the call, outside of shootdown itself, that what runs now was called from; None if there is none."""
    return _outside(sys._getframe(1))


def _outside(frame: FrameType | None) -> Site | None:
    while frame is not None:
        name = frame.f_globals.get("__name__")
        place = _places.get(name)
        if place is None:
            place = _places[name] = _place(name or "")
        if place is not _INSIDE:
            return Site(frame.f_code, frame.f_lasti, place) if place else None
        frame = frame.f_back
    return None


#: What a module is, by its name: `_INSIDE`, empty where a command begins, or that name.
_INSIDE = "shootdown"
_places: dict[str | None, str] = {}


def _place(name: str) -> str:
    package = name.partition(".")[0]
    if package in _BEGINNING:
        return ""
    return _INSIDE if package in _BETWEEN or package in ("", "shootdown") else name


def raised(error: BaseException) -> Site | None:
    """Find the line outside of shootdown that an error came through last."""
    found = None
    step = error.__traceback__
    while step is not None:
        name = step.tb_frame.f_globals.get("__name__") or ""
        package = name.partition(".")[0]
        generated = found is not None and step.tb_frame.f_code.co_filename.startswith("<")
        if package and package != "shootdown" and package not in _BETWEEN | _BEGINNING and not generated:
            found = Site(step.tb_frame.f_code, step.tb_lasti, name)
        step = step.tb_next
    return found


def beginning(function: object) -> Site | None:
    """Name the first line of somebody's function; None if it is shootdown's own, or none of Python's."""
    code = getattr(function, "__code__", None)
    module = str(getattr(function, "__module__", ""))
    if not isinstance(code, CodeType) or _place(module) is _INSIDE:
        return None
    return Site(code, 0, module)


def mistake(text: str, site: Site | None = None) -> MistakeError:
    """Say what is wrong, and in which line; that of the caller unless one is given."""
    where = site or caller()
    return MistakeError(f"{where}: {text}" if where else text)
