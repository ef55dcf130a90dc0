"""Collect the steps of programs, with the kernel function, the cause and the cost of each, and resolve their labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeGuard

from shootdown._compilation.announcing import tick
from shootdown._machine import ops as o
from shootdown._machine.arguments import whole
from shootdown._machine.checks import as_written, cost_number
from shootdown._machine.code import Code, Derived, StepNote
from shootdown._machine.functions import Functions
from shootdown._machine.label import Label
from shootdown._values.errors import ShootdownError
from shootdown._values.sites import Site, caller, mistake

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from shootdown._values.patch import AppliedPatch

#: The most steps of the programs of one machine: they take some 600 bytes each.
MOST_STEPS = 4_000_000
_OFTEN = 1024  # steps between two signs of life


class Writer:
    """Collect the steps of all programs of one machine.

    Args:
        patch: what replaces some kernel functions.

    `functions` is the table through which kernel functions are called.
    """

    def __init__(self, patch: AppliedPatch | None = None) -> None:
        self.functions = Functions(patch)
        self._steps: list[list[int | Label]] = []
        self._sites: list[Site | None] = []
        self._open: list[tuple[str, Site | None]] = []
        self._lists: list[int] = []
        self._list_ends: list[int] = []
        self._cost: list[int] = []
        self._cause: list[int] = []
        self._notes: list[StepNote] = []
        self._causes: list[str] = ["none"]
        self._instructions: list[str] = []
        self._where = ("", "")
        self._why = "none"
        self._path: tuple[str, ...] = ()
        self._files: tuple[str, ...] = ()
        self._reasons: tuple[str, ...] = ()
        self._aside = False
        self._scope: int | None = None
        self._derived: list[tuple[Derived, npt.NDArray[np.int64]]] = []

    @property
    def here(self) -> int:
        """The number of the next step."""
        return len(self._steps)

    def emit(
        self,
        op: int,
        a: int | Label = 0,
        b: int | Label = 0,
        c: int | Label = 0,
        d: int | Label = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write one step by its number (`ops`) and its raw operands: the form of `api=1`, which stays supported.

        The step's own method does the same by name: `asm.set_flags(g, ops.FREED_TABLES)` is
        `asm.emit(ops.SET_FLAGS, g, ops.FREED_TABLES)`.
        """
        self._write(op, a, b, c, d, cost=cost, text=text)

    def _write(
        self,
        op: int,
        a: int | Label = 0,
        b: int | Label = 0,
        c: int | Label = 0,
        d: int | Label = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write one step: an operation, its operands, its cost, and a description for stories."""
        if not len(self._steps) % _OFTEN:
            tick()
            self.expect(len(self._steps))
        if self._scope is not None:
            if op == o.SEND and a in o.INVALIDATING_CALLS:
                b = self._scope
            elif op == o.FLUSH_SELF:
                a = self._scope
        step, bad = as_written(op, (a, b, c, d))
        number, unknown = cost_number(cost)
        if bad or unknown or not isinstance(text, str):
            raise mistake(bad or unknown or f"the text of a step is words, not {text!r:.40}")
        self._steps.append(step)
        self._sites.append(caller())
        self._cost.append(number)
        if self._why not in self._causes:
            self._causes.append(self._why)
        self._cause.append(self._causes.index(self._why))
        self._notes.append(
            StepNote(*self._where, self._why, text, self._path, self._reasons, self._aside, self._files)
        )

    def expect(self, steps: int) -> None:
        """Refuse to write so many steps.

        Raises:
            ShootdownError: they are more than `MOST_STEPS`.
        """
        if whole(steps, "steps") > MOST_STEPS:
            raise ShootdownError(
                f"the programs have more than {MOST_STEPS:,} steps, which fill the memory: ask for fewer processes, "
                "calls, VMAs or passes"
            )

    def _derive(self, rows: npt.NDArray[np.int64], size: int) -> None:
        """Write the last `size` steps again, several times, with other operands.

        Args:
            rows: operations and operands, shape (times * size, 5).
            size: how many steps there are of one time.
        """
        start, times = self.here, len(rows) // size
        self._derived.append((Derived(start, start + len(rows), size), rows))
        for known in (self._steps, self._sites, self._cost, self._cause, self._notes):
            known.extend(known[start - size :] * times)  # type: ignore[arg-type]

    def _cut(self, end: int) -> None:
        """Forget the steps from `end` on."""
        for known in (self._steps, self._sites, self._cost, self._cause, self._notes):
            del known[end:]
        self._derived = [pair for pair in self._derived if pair[0].end <= end]

    def place(self, label: Label) -> None:
        """Place a label at the next step.

        Raises:
            ShootdownError: it is no label, or it was placed before.
        """
        if not isinstance(label, Label):
            raise mistake(f"{label!r:.40} is no label: model.label() makes one")
        if label.at >= 0:
            raise mistake(
                f"a label is placed twice: first before step {label.at}, now before step {self.here}"
            )
        label.at, label.owner = self.here, self

    def add_list(self, values: list[int]) -> int:
        """Store a list for `pick`; return its base.

        Raises:
            ShootdownError: it is empty, or holds something else than whole numbers from zero on.
        """
        base = len(self._lists)
        numbers = list(values) if isinstance(values, Iterable) else []
        if not numbers or not all(isinstance(value, int) and 0 <= value < 1 << 31 for value in numbers):
            raise mistake(
                f"a list for pick() holds whole numbers from 0 on, one at least, not {values!r:.60}"
            )
        self._lists.extend(numbers)
        self._list_ends.append(len(self._lists))
        return base

    @contextmanager
    def function(self, name: str, where: str = "") -> Iterator[None]:
        """Name the kernel function, and its file, that the steps within belong to."""
        if not isinstance(name, str) or not isinstance(where, str):
            raise mistake(
                f"function() takes the names of a function and a file, not {name!r:.40}, {where!r:.40}"
            )
        before, path, files = self._where, self._path, self._files
        file = where or before[1]
        self._where, self._path, self._files = (name, file), (*path, name), (*files, file)
        with self._within(f"function({name!r})"):
            yield
        self._where, self._path, self._files = before, path, files

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Mark the steps within as bookkeeping of the model: stories leave them out."""
        before = self._aside
        self._aside = True
        yield
        self._aside = before

    @contextmanager
    def because(self, cause: str) -> Iterator[None]:
        """Name the cause that the IPIs and invalidations within are counted under."""
        if not isinstance(cause, str):
            raise mistake(f"because() takes a cause in words, not {cause!r:.40}")
        before, reasons = self._why, self._reasons
        self._why, self._reasons = cause, (*reasons, cause)
        yield
        self._why, self._reasons = before, reasons

    @contextmanager
    def dropping(self, scope: int | None) -> Iterator[None]:
        """Let every flush within drop exactly what `scope` says, for what-ifs; None changes nothing."""
        before = self._scope
        self._scope = before if scope is None else whole(scope, "scope") | o.SCOPE_FORCED
        yield
        self._scope = before

    def finish(self) -> Code:
        """Resolve all labels and return the finished programs.

        Raises:
            ShootdownError: a label was never placed, or a `with` block of the assembler is still open.
        """
        import numpy as np  # imported here: every plugin imports this module, and listing plugins needs no numpy

        for what, site in self._open:
            raise mistake(f"the programs end within a `with` block: {what} is still open", site)
        parts, at = [], 0
        for derived, rows in self._derived:
            parts += [np.array(self._resolved(at, derived.start), np.int64), self._with_rests(rows).ravel()]
            at = derived.end
        parts.append(np.array(self._resolved(at, self.here), np.int64))
        return Code(
            steps=np.concatenate(parts),
            lists=np.array(self._lists or [0], np.int64),
            cost=np.array(self._cost, np.int64),
            cause=np.array(self._cause, np.int64),
            notes=tuple(self._notes),
            causes=tuple(self._causes),
            instructions=tuple(self._instructions),
            sites=tuple(self._sites),
            functions=frozenset(self.functions.reached),
            derived=tuple(derived for derived, _ in self._derived),
        )

    def _resolved(self, start: int, end: int) -> list[int]:
        """Return operations and operands of steps that were written, with numbers in the place of labels."""
        flat: list[int] = []
        for n in range(start, end):
            step = self._steps[n]
            if step[0] != o.PICK and _numbers(step):
                flat += step
                continue
            for operand in step:
                value = operand.at if isinstance(operand, Label) else operand
                if isinstance(operand, Label) and value < 0:
                    raise mistake(
                        "a label is used, and never placed: place(label) says where it is", self._sites[n]
                    )
                if isinstance(operand, Label) and operand.owner is not self:
                    raise mistake("a label is used that was placed in another model", self._sites[n])
                flat.append(value)
            if step[0] == o.PICK:
                flat[-2] = self._rest_of_list(int(flat[-4]))
        return flat

    def _with_rests(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Write how long lists are into the steps that read them."""
        for at in (rows[:, 0] == o.PICK).nonzero()[0].tolist():
            rows[at, 3] = self._rest_of_list(int(rows[at, 1]))
        return rows

    def _rest_of_list(self, base: int) -> int:
        """Say how many numbers of a list there are from a place on; 0 if there is no such place."""
        return next((end - base for end in self._list_ends if base < end), 0)

    @contextmanager
    def _within(self, what: str) -> Iterator[None]:
        """Remember that a `with` block is open."""
        self._open.append((what, caller()))
        try:
            yield
        finally:
            self._open.pop()


def _numbers(step: list[int | Label]) -> TypeGuard[list[int]]:
    """Whether no operand is a label."""
    return Label not in map(type, step)
