"""Calls of a kernel with arguments for whose types it is not compiled yet."""

# numba has type hints only in part.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shootdown._compilation.announcing import announce, what
from shootdown._compilation.backend.disk import Disk, has
from shootdown._compilation.elsewhere import Asking


def patient(function: Callable[..., Any], made: Any, plain: Callable[..., Any]) -> Any:
    """Let a dispatcher run plain Python while a child process compiles the kernel.

    Without such a process, or if its result can't be kept on disk, this process compiles the kernel.

    Args:
        function: the kernel.
        made: its dispatcher.
        plain: the function that runs meanwhile.
    """
    compile_here = made._compile_for_args
    asked: dict[Any, Asking] = {}

    def compile_for_args(*args: Any) -> Any:
        """Return what numba calls for arguments of types that it has not compiled."""
        types = tuple(made.typeof_pyval(arg) for arg in args)
        if types not in asked:
            if has(made, types):
                return compile_here(*args)
            if not _is_kept(made):
                _announce(function)
                return compile_here(*args)
            asked[types] = Asking(function, types)
        why = asked[types].answer(args, lambda: has(made, types))
        if why is None:
            return plain
        if why or not has(made, types):
            _announce(function)
        return compile_here(*args)

    # numba's C code calls this method of the dispatcher if nothing is compiled for the types of the arguments.
    made._compile_for_args = compile_for_args
    return made


def saying(function: Callable[..., Any], made: Any) -> Any:
    """Let a dispatcher announce a compilation whose result is not on disk."""
    compile_here = made._compile_for_args

    def compile_for_args(*args: Any) -> Any:
        if not has(made, tuple(made.typeof_pyval(arg) for arg in args)):
            _announce(function)
        return compile_here(*args)

    made._compile_for_args = compile_for_args
    return made


def _announce(function: Callable[..., Any]) -> None:
    announce(f"{what(function.__module__)}: compiled first, which takes up to a minute or two")


def _is_kept(made: Any) -> bool:
    return isinstance(made._cache, Disk) and made._cache.keeps
