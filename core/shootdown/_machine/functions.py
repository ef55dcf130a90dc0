"""Kernel functions: each is written once, called through the table of a model, and replaced by name by a patch."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from shootdown._machine.fields import THIS_MM, Fields, PlacedField, ThisMm
from shootdown._values.errors import ShootdownError, nearest, one_line, shown
from shootdown._values.sites import beginning, mistake, raised

if TYPE_CHECKING:
    from shootdown._machine.assembler import Assembler
    from shootdown._values.kernel import Kernel
    from shootdown._values.lowering import Lowering
    from shootdown._values.parameter import Value
    from shootdown._values.patch import AppliedPatch

F = TypeVar("F", bound=Callable[..., None])
_ASM = "asm"
_MARK = "kernel_function"


@attrs.frozen
class KernelFunction:
    """A kernel function that core or an architecture writes.

    Args:
        name: the kernel's name of it.
        where: its source file, or what returns that of an object.
        write: what writes its steps: a method.
        parameters: the names of its arguments, without the object and the assembler.
        gets_asm: the method gets the assembler as its first argument, as those of a `Lowering` do.
        named: its steps are said to be its own; else those of the function that calls it, as of a macro.
    """

    name: str
    where: str | Callable[[Any], str] = attrs.field(repr=False)
    write: Callable[..., None] = attrs.field(repr=False)
    parameters: tuple[str, ...]
    gets_asm: bool
    named: bool = True


#: All functions that were declared, by name; an architecture's own may have the same name as another's.
DECLARED: dict[str, list[KernelFunction]] = {}


def function(name: str, where: str | Callable[[Any], str], *, named: bool = True) -> Callable[[F], F]:
    """Declare that a method writes a kernel function: its steps belong to it, and a patch may replace it.

    Args:
        name: the kernel's name of it.
        where: its source file, or what returns that of the method's object.
        named: stories call its steps its own; False for a macro, whose steps are its caller's.
    """

    def declare(write: F) -> F:
        names = tuple(inspect.signature(write).parameters)[1:]
        gets_asm = names[:1] == (_ASM,)
        declared = KernelFunction(name, where, write, names[1:] if gets_asm else names, gets_asm, named)
        DECLARED.setdefault(name, []).append(declared)

        if gets_asm:

            @functools.wraps(write)
            def called(self: Any, asm: Assembler, *args: Any, **kwargs: Any) -> None:
                asm.functions.call(declared, self, asm, args, kwargs)

        else:

            @functools.wraps(write)
            def called(self: Any, *args: Any, **kwargs: Any) -> None:
                self.asm.functions.call(declared, self, self.asm, args, kwargs)

        setattr(called, _MARK, declared)
        return called  # type: ignore[return-value]

    return declare


class Functions:
    """The table through which the kernel functions of one model are called.

    Args:
        patch: what replaces some of them.

    `reached` are the names that were called, `fields` the patch's own variables.
    """

    def __init__(self, patch: AppliedPatch | None = None) -> None:
        self.patch = patch
        self.reached: set[str] = set()
        self.fields: Fields | None = None
        self.kernel: Kernel | None = None
        self.lowering: Lowering | None = None
        self._parts: tuple[object, ...] = ()

    def bind(self, kernel: Kernel, lowering: Lowering, *parts: object) -> None:
        """Say for which kernel and lowering the functions are, and which objects have them."""
        self.kernel, self.lowering, self._parts = kernel, lowering, (*parts, lowering)

    def call(
        self,
        declared: KernelFunction,
        owner: Any,
        asm: Assembler,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Write a call of a function: what it does, or what a patch does instead."""
        self.reached.add(declared.name)
        replacement = self.patch.functions.get(declared.name) if self.patch is not None else None
        first = (asm,) if declared.gets_asm else ()
        where = declared.where if isinstance(declared.where, str) else declared.where(owner)
        with asm.function(declared.name, where) if declared.named else nullcontext():
            if replacement is None:
                declared.write(owner, *first, *args, **kwargs)
                return
            bound = inspect.signature(declared.write).bind(owner, *first, *args, **kwargs)
            bound.apply_defaults()
            given = {name: bound.arguments[name] for name in declared.parameters}
            self._replaced(declared, replacement, Call(asm, self, declared, owner, given), given)

    def _replaced(
        self, declared: KernelFunction, replacement: Callable[..., None], call: Call, given: dict[str, Any]
    ) -> None:
        assert self.patch is not None
        what = f"patch {self.patch.file}: {declared.name}()"
        try:
            inspect.signature(replacement).bind(call, **given)
        except TypeError as error:
            takes = ", ".join(("call", *declared.parameters))
            raise mistake(
                f"{what} is to take ({takes}), by these names: {error}", beginning(replacement)
            ) from None
        try:
            made: object = replacement(call, **given)  # type: ignore[func-returns-value]
        except (ShootdownError, KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:
            if os.environ.get("SHOOTDOWN_TRACEBACK"):
                raise
            raise mistake(f"{what}: {one_line(error)}", raised(error) or beginning(replacement)) from error
        if made is not None:  # with `yield` in it, say, nothing of it has run
            if isinstance(made, Coroutine):
                made.close()  # or Python warns that it was never awaited
            raise mistake(
                f"{what} returned {shown(made)}; it writes steps, and returns nothing", beginning(replacement)
            )

    def named(self, name: str) -> Iterator[Callable[..., None]]:
        """Yield the functions of a name that this model has, ready to be called."""
        for part in self._parts:
            for at in dir(type(part)):
                declared = getattr(getattr(type(part), at, None), _MARK, None)
                if isinstance(declared, KernelFunction) and declared.name == name:
                    yield getattr(part, at)

    def names(self) -> set[str]:
        """Return the names of all functions that this model has."""
        return {
            declared.name
            for part in self._parts
            for at in dir(type(part))
            if isinstance(declared := getattr(getattr(type(part), at, None), _MARK, None), KernelFunction)
        }


@attrs.frozen(eq=False)
class Call:
    """A call of a replaced kernel function, as the function that replaces it sees it.

    Args:
        asm: writes single steps.
    """

    asm: Assembler
    _table: Functions = attrs.field(repr=False)
    _declared: KernelFunction = attrs.field(repr=False)
    _owner: Any = attrs.field(repr=False)
    _given: dict[str, Any] = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """The name of the kernel function."""
        return self._declared.name

    @property
    def kernel(self) -> Kernel:
        """The kernel's switches."""
        kernel: Kernel = self._table.kernel or self._owner.kernel
        return kernel

    @property
    def lowering(self) -> Lowering:
        """How the architecture flushes; `lowering.platform` is the platform."""
        lowering: Lowering = self._table.lowering or self._owner
        return lowering

    @property
    def arch(self) -> str:
        """The architecture's name."""
        assert self._table.patch is not None
        return self._table.patch.arch

    def switch(self, name: str) -> Value:
        """Return the value of one of the patch's own switches.

        Raises:
            ShootdownError: it declares no such switch.
        """
        assert self._table.patch is not None
        values = self._table.patch.values
        if name not in values:
            raise mistake(f"the patch declares no switch {name!r}; {nearest(name, values)}")
        return values[name]

    @property
    def mm(self) -> ThisMm:
        """The mm that the kernel's work is on, as a value of a field; 0 is NULL."""
        return THIS_MM

    def field(self, name: str) -> PlacedField:
        """Return one of the patch's own fields, to be stored, loaded, compared.

        Raises:
            ShootdownError: it declares no such field.
        """
        if self._table.fields is None:
            raise mistake("there are no fields here: the program is not written with a Model")
        return self._table.fields.of(name, self.asm)

    def original(self, **changes: Any) -> None:
        """Write what the kernel function does without the patch, with the same arguments.

        Args:
            changes: by name, arguments that differ.
        """
        for name in changes:
            if name not in self._declared.parameters:
                raise mistake(
                    f"{self.name}() has no argument {name!r}; {nearest(name, self._declared.parameters)}"
                )
        write, given = self._declared.write, {**self._given, **changes}
        bound: list[Any] = [self._owner, self.asm] if self._declared.gets_asm else [self._owner]
        keywords: dict[str, Any] = {}
        for parameter in list(inspect.signature(write).parameters.values())[len(bound) :]:
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                keywords[parameter.name] = given[parameter.name]
            else:
                bound.append(given[parameter.name])
        write(*bound, **keywords)

    def function(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Write a call of another kernel function, by its name.

        Raises:
            ShootdownError: this model has no such function.
        """
        found = next(self._table.named(name), None)
        if found is None:
            raise mistake(f"there is no function {name!r} to call; {nearest(name, self._table.names())}")
        declared: KernelFunction = getattr(found, _MARK)
        found(*((self.asm,) if declared.gets_asm else ()), *args, **kwargs)
