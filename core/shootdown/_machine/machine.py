"""A machine ready to run, as both engines take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._machine.code import Code
from shootdown._machine.layout import Layout

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@attrs.frozen(eq=False)
class Machine:
    """A machine ready to run: programs, layout and first state.

    Args:
        code: the programs.
        layout: where the state's parts lie.
        state: the first state; runs work on a copy.
        ready: tasks that can run at the beginning.
        sections: the number of i_mmap_rwsems, under which tables are unshared; they are the first locks.
        windows: the number of counting windows in the programs.
        pages_per_table: huge pages that a process uses in each PMD table.
        tasks_expected: tasks that have to end or park for the run to be whole.
        names: what the variables that programs share are called, in their order; empty ones have no name.
        atoms, frames: the names of a program's ranges of addresses, and of the pages that they map.
        words: for some of them, by number, what a value is called.
        numbers: by which what runs below the kernel knows each CPU (hart ids); 0, 1, 2... if empty.
        indexed: a patch keeps variables by CPU or by mm, so that no two of them are alike.
        reach: one call of it reaches CPUs whose numbers lie within so many; 0: any.
        writes: CPUs that one write to the interrupt controller can interrupt, 0 if that is not told apart, and the
            words of such a write.
        controller_ids: by which the interrupt controller knows each CPU; 0, 1, 2... if empty.
        shorthand: one write interrupts all CPUs but the sender.
        floating: tasks that the scheduler may move to any CPU.
        scan_misses: who sends an IPI reads a cache line of its own for each target.
    """

    code: Code
    layout: Layout
    state: npt.NDArray[np.int64]
    ready: tuple[int, ...]
    sections: int
    windows: int
    pages_per_table: int
    tasks_expected: int
    names: tuple[str, ...] = ()
    atoms: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    words: Mapping[int, Callable[[int], str]] = attrs.field(factory=dict)
    numbers: tuple[int, ...] = ()
    reach: int = 0
    indexed: bool = False
    writes: tuple[int, int] = (0, 1)
    scan_misses: bool = False
    controller_ids: tuple[int, ...] = ()
    shorthand: bool = False
    floating: tuple[int, ...] = ()

    def digest(self, *others: Any) -> bytes:
        """Return a digest that is equal for machines that are equal, step by step and cell by cell.

        What only reports read makes no difference: notes, causes, sites and names.

        Args:
            others: what has to be equal too: arrays, and values for which `repr` writes all there is to them.
        """
        import numpy as np  # imported here: lists and errors of questions need no numpy

        used = np.flatnonzero(self.state)
        steps, lists, layout = self.code.steps, self.code.lists, tuple(self.layout)
        found = blake2b(digest_size=16)
        for part in (steps, lists, used, self.state[used], layout, self.ready, *others):
            array = isinstance(part, np.ndarray)
            found.update((str(part.shape) if array else repr(part)).encode())
            if array:
                found.update(np.ascontiguousarray(part).data)
        return found.digest()
