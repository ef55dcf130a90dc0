"""Names in a plugin that nobody asks for: a misspelt method changes nothing, and what it was meant for goes on."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

from shootdown._values.errors import nearest
from shootdown._values.sites import beginning

_OWN = "shootdown"
#: Where the methods are from that attrs writes: they mention each field.
_GENERATED = "<attrs generated"


@functools.cache
def unasked(cls: type[Any]) -> str:
    """Say which public name of a plugin's class no class of shootdown's has and no code of the plugin uses.

    Args:
        cls: the class; it inherits from one of shootdown's, which has the names that it is asked for.

    Returns:
        A line about the first such name; empty if there is none.
    """
    known = {name for owner in cls.__mro__ if _package(owner) in (_OWN, "builtins") for name in vars(owner)}
    owners = [owner for owner in cls.__mro__ if _package(owner) not in (_OWN, "builtins", "abc", "typing")]
    strangers = {name: member for owner in owners for name, member in _strangers(owner, known)}
    for name, member in _unmentioned(strangers, owners).items():
        site = beginning(getattr(member, "fget", None) or member)
        at = "" if site is None else f" ({site})"
        asked = [other for other in known if not other.startswith("_")]
        return f"{cls.__name__} has {name}{at}, which nothing asks for; {nearest(name, asked)}"
    return ""


def unread(cls: type[Any], names: Iterable[str], functions: Iterable[object]) -> list[str]:
    """Return those of some fields of a plugin's class that no code of the plugin mentions.

    Args:
        cls: the class.
        names: of its fields.
        functions: of the plugin, besides those of its modules and classes: what its values have.
    """
    seen: set[int] = set()
    told = {word for one in functions for _, code in _codes(one, seen) for word in _words(code)}
    return list(_unmentioned({name: None for name in names if name not in told}, [cls]))


def unmarked(module: ModuleType, prefix: str) -> FunctionType | None:
    """Return a function of a module that is called as hooks are and is not marked as one; None if there is none."""
    for name, value in vars(module).items():
        hook = name.startswith(f"{prefix}_") and isinstance(value, FunctionType)
        if hook and not hasattr(value, f"{prefix}_impl"):
            return value  # type: ignore[no-any-return]
    return None


def _unmentioned(names: Mapping[str, object], owners: list[type[Any]]) -> dict[str, object]:
    """Return the names that no code has of the packages of some classes, but for that of what each name stands for."""
    left = dict(names)
    for member, code in _codes_of(owners) if left else ():
        for word in _words(code):
            if word in left and left[word] is not member:
                del left[word]
        if not left:
            break
    return left


def _package(value: Any) -> str:
    return str(getattr(value, "__module__", "")).partition(".")[0]


def _strangers(owner: type[Any], known: set[str]) -> Iterator[tuple[str, object]]:
    """Yield the public names of a class but known ones, fields, and those of a function that has a known one too."""
    functions = FunctionType | property
    same = {
        id(value) for name, value in vars(owner).items() if name in known and isinstance(value, functions)
    }
    for name, value in vars(owner).items():
        other = isinstance(value, type | ModuleType | MemberDescriptorType)
        if not name.startswith("_") and name not in known and id(value) not in same and not other:
            yield name, value


def _codes_of(owners: list[type[Any]]) -> Iterator[tuple[object, CodeType]]:
    """Yield the functions of some classes, then those of their packages, each with its code."""
    seen: set[int] = set()
    for owner in owners:
        yield from _codes(owner, seen)
    packages = {_package(owner) for owner in owners}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in packages:
            for value in list(vars(module).values()):
                if _package(value) in packages:
                    yield from _codes(value, seen)


def _codes(value: Any, seen: set[int]) -> Iterator[tuple[object, CodeType]]:
    """Yield what is a member of a class, or a function, with the code of each function that it is made of."""
    members = list(vars(value).values()) if isinstance(value, type) else [value]
    for member in members:
        part: Any = member
        while part is not None and id(part) not in seen:
            seen.add(id(part))
            if isinstance(part, FunctionType) and not part.__code__.co_filename.startswith(_GENERATED):
                yield member, part.__code__
            inner = (getattr(part, name, None) for name in ("__wrapped__", "__func__", "func", "fget"))
            part = next((one for one in inner if one is not None), None)


def _words(code: CodeType) -> Iterator[str]:
    """Yield the names that code looks up or passes, and its texts: `getattr()` takes some."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _words(constant)
        for one in constant if isinstance(constant, tuple) else (constant,):
            if isinstance(one, str):
                yield one
