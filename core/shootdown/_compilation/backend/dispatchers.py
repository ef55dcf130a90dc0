"""Make the compiled copies of kernels: numba's dispatchers, over globals in which kernels are dispatchers too.

All compilation options are chosen here. numba looks for a compiled kernel on disk, or compiles it, at the first call
with arguments of new types.
"""

from __future__ import annotations

import dis
import functools
import itertools
import pkgutil
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from numba import jit, njit
from numba.core.dispatcher import Dispatcher

from shootdown._compilation.backend import foreign
from shootdown._compilation.backend.disk import Disk
from shootdown._compilation.backend.parts import CompilePart, CompileWhole
from shootdown._compilation.registry import FOREIGN, INSTRUCTIONS, MANNERS, TYPES, Manner
from shootdown._compilation.worlds import copied, names_in, settle

# Kernels return reason codes and never raise: no division checks in hot loops. They release the GIL.
# Kernels allocate nothing and return no array, so references to arrays are not counted: with counting, two atomic
# additions for each array and call were 70 % of a timed run. A kernel that allocates does not compile.
# None is called from C: an entry for that would take a tenth of the time to compile.
_FLAGS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False, "no_cfunc_wrapper": True}
_WHOLE: dict[str, Any] = {**_FLAGS, "pipeline_class": CompileWhole}
_PART: dict[str, Any] = {**_FLAGS, "no_cpython_wrapper": True, "pipeline_class": CompilePart}
_INLINED: dict[str, Any] = {**_PART, "forceinline": True}
#: A plugin's own function may allocate: it is compiled with numba's defaults.
_PLUGINS_FLAGS: dict[str, Any] = {"error_model": "numpy", "nogil": True}

_made: dict[Callable[..., Any], Any] = {}
_entries: dict[Callable[..., Any], Any] = {}
_taught: set[type] = set()


def dispatcher(function: Callable[..., Any]) -> Any:
    """Make the dispatcher of a kernel that Python calls."""
    if function not in _entries:
        teach()
        _entries[function] = _kept(function, njit(**_WHOLE))
    return _entries[function]


def within(function: Callable[..., Any]) -> Any:
    """Make the dispatcher of a kernel that other kernels call, as a part of them; and of the kernels that it names."""
    if function not in _made:
        inlined = MANNERS[function] in (Manner.INLINED, Manner.INLINED_COPY)
        _make(function, njit(**(_INLINED if inlined else _PART)))
    teach()
    return _made[function]


def teach() -> None:
    """Register with numba the classes whose values kernels take, and with LLVM the C functions that they call."""
    foreign.register()
    for kind in TYPES.keys() - _taught:
        _taught.add(kind)
        pkgutil.resolve_name(TYPES[kind])(kind)


@functools.cache
def unkept(function: Callable[..., Any]) -> Any:
    """Make a dispatcher of a kernel without a disk cache."""
    teach()
    return _alone(function, _WHOLE)


@functools.cache
def plugins_own(function: Callable[..., Any]) -> Any:
    """Make the dispatcher of a function that a plugin hands over.

    Args:
        function: a kernel; a plain function, which only the kernel that calls it keeps on disk; or what the plugin
            compiled with numba itself.
    """
    if function in MANNERS:
        return within(function)
    if isinstance(function, Dispatcher):
        return _instead(function)
    return _alone(function, _PLUGINS_FLAGS)


def _alone(function: Callable[..., Any], flags: dict[str, Any]) -> Any:
    copy = copied(_plain(function))
    made = njit(**flags)(copy)
    _settle(copy, function)
    return made


def _kept(function: Callable[..., Any], compile_: Callable[..., Any]) -> Any:
    """Make the dispatcher of a kernel that is kept on disk; of those that it names only if it has to be compiled."""
    plain = _plain(function)
    copy = copied(plain)
    made = compile_(copy)
    _refuse_modules(plain)
    settle_it = functools.partial(_settle, copy, function)
    if plain.__closure__:  # its values are a part of the key on disk
        settle_it()
    made._cache = Disk(copy, settle_it)
    return made


def _make(function: Any, compile_: Callable[..., Any]) -> None:
    copy = copied(_plain(function))
    _made[function] = compile_(copy)
    _settle(copy, function)


def _plain(function: Any) -> FunctionType:
    plain: FunctionType = getattr(function, "py_func", function)
    return plain


def _settle(copy: FunctionType, function: Any) -> None:
    plain = _plain(function)
    _refuse_modules(plain)
    settle(copy, plain, _instead)


def _instead(value: Any) -> Any:
    """Return the replacement of a value in compiled code."""
    if isinstance(value, FunctionType):
        if value in MANNERS:
            return within(value)
        if value in FOREIGN:
            return foreign.replacement(value)
        if value in INSTRUCTIONS:
            return pkgutil.resolve_name(INSTRUCTIONS[value])
    # A plugin may compile its helpers itself, and they may name kernels, which must then be compiled copies.
    if isinstance(value, Dispatcher) and value not in _made and _names_kernels(value):
        _make(value, jit(**value.targetoptions))
    if isinstance(value, Dispatcher):
        return _made.get(value, value)
    return value


def _names_kernels(value: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a function that a plugin compiled itself names a kernel, directly or through other such functions."""
    if value in seen:
        return False
    if isinstance(value, FunctionType):
        return value in MANNERS or value in INSTRUCTIONS or value in FOREIGN
    if not isinstance(value, Dispatcher):
        return False
    plain = _plain(value)
    cells = [cell.cell_contents for cell in plain.__closure__ or ()]
    named = [plain.__globals__[name] for name in names_in(plain.__code__) & plain.__globals__.keys()]
    return any(
        _names_kernels(one, seen | {value})
        for one in named + cells
        if isinstance(one, Dispatcher | FunctionType)
    )


def _refuse_modules(function: FunctionType) -> None:
    """Refuse a function that names a kernel as an attribute of a module, where it is the plain function."""
    for module, attribute in through_modules(function):
        raise TypeError(
            f"{function.__module__}.{function.__qualname__} names the kernel {attribute} through the module "
            f"{module}: import it by its own name"
        )


def through_modules(function: FunctionType) -> list[tuple[str, str]]:
    """List the kernels that a function's code names as attributes of a module: pairs of module and name."""
    modules = {
        name: value
        for name in names_in(function.__code__)
        if isinstance(value := function.__globals__.get(name), ModuleType)
    }
    suspects = {
        (name, attribute)
        for name, module in modules.items()
        for attribute in names_in(function.__code__)
        if isinstance(value := vars(module).get(attribute), FunctionType)
        and (value in MANNERS or value in INSTRUCTIONS or value in FOREIGN)
    }
    if not suspects:
        return []
    code = list(dis.get_instructions(function))
    pairs = {(a.argval, b.argval) for a, b in itertools.pairwise(code) if "GLOBAL" in a.opname}
    return sorted(suspects & pairs)
