"""Try a plugin's functions once, as it is loaded: what they take, what `configure` and `lower` return."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import attrs

from shootdown._plugins.names import unasked
from shootdown._plugins.refusing import RefusedError, failed
from shootdown._porting.geometry import sized
from shootdown._porting.lowering import PLAIN_WAYS, PlainLowering
from shootdown._values.architecture import Architecture
from shootdown._values.checked import judge_of_hint
from shootdown._values.errors import ShootdownError, typed
from shootdown._values.kernel import Kernel, out_of_place, switches_of
from shootdown._values.lowering import Geometry, Lowering, MmRules
from shootdown._values.platform import Platform
from shootdown._values.releases import newest_known, resolve

#: The types of a lowering's properties that are no plain values.
_OWN_TYPES = {"mm": MmRules, "geometry": Geometry}


def vet_callable(what: str, field: str, value: Any, *takes: str) -> None:
    """Refuse what can't be called with so many arguments.

    Args:
        what: whose it is.
        field: its name.
        value: it.
        takes: what it gets, one word an argument.
    """
    if not callable(value):
        raise RefusedError("broken", f"{what}: {field} is {typed(value)}, not a function")
    if type(value) is FunctionType:
        code = value.__code__
        least = code.co_argcount - len(value.__defaults__ or ())
        if least <= len(takes) <= code.co_argcount and not code.co_kwonlyargcount:
            return
    try:
        inspect.signature(value).bind(*takes)
    except TypeError as error:
        raise RefusedError("broken", f"{what}: {field} is to take ({', '.join(takes)}): {error}") from None
    except ValueError:  # a builtin says nothing of its arguments
        return


def vet_functions(what: str, value: Architecture) -> None:
    """Refuse an architecture whose newest kernel can't be made, or whose lowering lacks something."""
    if value.configure is not None:
        vet_callable(what, "configure", value.configure, "kernel")
    if value.lower is not None:
        vet_callable(what, "lower", value.lower, "kernel", "platform")
    kernel = _kernel(what, value)
    for platform in value.platforms if value.lower is not None else ():
        try:
            machine = sized(platform, kernel.page_size)
        except ShootdownError as error:
            raise RefusedError("broken", f"{what}: {failed(error)}") from None
        vet_lowering(f"{what}: lower() for {platform.name}", value.lower, kernel, machine)


def _kernel(what: str, value: Architecture) -> Kernel:
    try:
        kernel = resolve(newest_known(), value)
    except ShootdownError as error:
        raise RefusedError("broken", str(error)) from None
    except Exception as error:
        raise RefusedError("broken", f"{what}: configure(): {failed(error)}") from None
    again = {name for name, _ in switches_of(kernel.arch)}
    problem = out_of_place(kernel, again) or out_of_place(kernel.arch)
    if problem:
        raise RefusedError("broken", f"{what}: configure() of {kernel.release}: {problem}")
    return kernel


def vet_lowering(what: str, lower: Any, kernel: Kernel, platform: Platform) -> None:
    """Refuse a lowering that lacks a method, or whose properties raise or return something else.

    Args:
        what: which, for the message.
        lower, kernel, platform: what makes it.
    """
    if missing := getattr(lower, "__abstractmethods__", None):
        lacks = next(name for owner in reversed(lower.__mro__) for name in vars(owner) if name in missing)
        member = (
            f"method {lacks}(asm, g)" if inspect.isfunction(getattr(lower, lacks)) else f"property {lacks}"
        )
        raise RefusedError("broken", f"{what}: {lower.__name__} has no {member}")
    try:
        lowering = lower(kernel, platform)
    except Exception as error:
        raise RefusedError("broken", f"{what}: {failed(error)}") from None
    if not isinstance(lowering, Lowering):
        raise RefusedError("broken", f"{what} returned {typed(lowering)}, not a Lowering")
    # Not equal to what was asked before: a lowering that somebody kept is of another kernel.
    other = attrs.evolve(kernel, name=f"{kernel.name} again")
    made = getattr(lower(other, platform), "kernel", other)
    if isinstance(made, Kernel) and made.name != other.name:
        raise RefusedError(
            "broken", f"{what} returned the lowering of another kernel: make a new one each time"
        )
    if problem := unasked(type(lowering)):
        raise RefusedError("broken", f"{what}: {problem}")
    if lowering.no_kernel_ranges() is None and (
        type(lowering).flush_kernel_addresses is Lowering.flush_kernel_addresses
    ):
        raise RefusedError(
            "broken", f"{what}: {type(lowering).__name__} has no method flush_kernel_addresses(asm)"
        )
    for name, judge in _properties(type(lowering)):
        try:
            found = getattr(lowering, name)
        except Exception as error:
            raise RefusedError("broken", f"{what}: {name}: {failed(error)}") from None
        if problem := judge(found):
            raise RefusedError("broken", f"{what}: {name} {problem}")
    if isinstance(lowering, PlainLowering) and lowering.native_way not in (
        ways := [way.name for way in PLAIN_WAYS]
    ):
        raise RefusedError(
            "broken", f"{what}: native_way is {lowering.native_way!r}; it is one of {', '.join(ways)}"
        )
    for name, method in _methods():
        own = getattr(type(lowering), name, None)
        if own is method:
            continue
        if not callable(own):
            raise RefusedError("broken", f"{what}: {name} is {typed(own)}, not a method")
        if inspect.isfunction(own):
            takes, problem = _misfit(own, method, inspect.ismethod(getattr(lowering, name)))
            if problem:
                raise RefusedError("broken", f"{what}: {name}() is to take ({takes}): {problem}")
            if _runs_later(own):
                raise RefusedError(
                    "broken", f"{what}: {name}() has a yield or is async: a call of it does nothing"
                )


def _runs_later(own: Callable[..., Any]) -> bool:
    """Whether a call only makes a generator or coroutine."""
    code = inspect.unwrap(own).__code__
    return bool(code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR))


@functools.cache
def _misfit(own: Callable[..., Any], of_core: Callable[..., Any], bound: bool) -> tuple[str, str]:
    """Return what a method is to take, and why it can't be called so; empty if it can. Platforms share methods."""
    mine = list(inspect.signature(of_core).parameters.values())[1:]
    given = [one.name for one in mine if one.kind is one.POSITIONAL_OR_KEYWORD]
    named = {one.name: None for one in mine if one.kind is one.KEYWORD_ONLY}
    takes = ", ".join([*given, *(f"{one}=" for one in named)])
    try:
        inspect.signature(own).bind(*([None] if bound else []), *given, **named)
    except TypeError as error:
        return takes, str(error)
    return takes, ""


def _properties(cls: type[Lowering]) -> list[tuple[str, Any]]:
    """Return the properties of a lowering that core's classes declare, each with what judges its value."""
    found: dict[str, Any] = {}
    for owner in cls.__mro__:
        if owner.__module__.startswith("shootdown.") and issubclass(owner, Lowering):
            if owner not in _judges:
                _judges[owner] = _judged(owner)
            found = {**_judges[owner], **found}
    return list(found.items())


_judges: dict[type[Any], dict[str, Any]] = {}


def _judged(owner: type[Any]) -> dict[str, Any]:
    names = dict(vars(sys.modules[owner.__module__]))
    return {
        name: judge_of_hint(_OWN_TYPES.get(name) or eval(value.fget.__annotations__["return"], names))
        for name, value in vars(owner).items()
        if isinstance(value, property) and value.fget is not None and not name.startswith("_")
    }


def _methods() -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(Lowering).items() if inspect.isfunction(value)]
