"""Finished programs: their steps, and what reports and stories say about each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import attrs

from shootdown._values.sites import Site

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class StepNote(NamedTuple):
    """What reports and stories say about one step.

    Args:
        function: the kernel function that the step belongs to, or what it does outside of one.
        where: its source file.
        cause: the cause that its IPIs and invalidations are counted under, such as `TLB flush`.
        text: what the step does, in a few words.
        path: the kernel functions around it, outermost first; the last one is `function`.
        reasons: the causes around it, outermost first, such as `("exit", "TLB flush")`.
        aside: it is bookkeeping of the model; stories leave it out.
        files: the source file of each function in `path`.
    """

    function: str
    where: str
    cause: str
    text: str
    path: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    aside: bool = False
    files: tuple[str, ...] = ()


class Derived(NamedTuple):
    """Steps that were not written but derived: the `size` steps before them, again and again, with other numbers.

    Each number grows by the same amount each time, from what was written before to what was written after them.

    Args:
        start, end: the first of them, and the one behind the last.
        size: how many there are of one time.
    """

    start: int
    end: int
    size: int


@attrs.frozen(eq=False)
class Code:
    """Finished programs: all steps in one array, with the cost and the note of each.

    Args:
        steps: shape (n * 5,), int64.
        lists: the lists that PICK reads, int64.
        cost: shape (n,), the index of each step's cost in `COST_NAMES`; -1 for none.
        cause: shape (n,), index into `causes`.
        notes: one for each step.
        causes: the names of the causes.
        instructions: the names of the instructions that EXECUTE counts, by number.
        sites: the line that wrote each step; None where shootdown itself did.
        functions: the names of the kernel functions that were called by name, which a patch could replace.
        derived: which steps were derived, in their order.
    """

    steps: npt.NDArray[np.int64]
    lists: npt.NDArray[np.int64]
    cost: npt.NDArray[np.int64]
    cause: npt.NDArray[np.int64]
    notes: tuple[StepNote, ...]
    causes: tuple[str, ...]
    instructions: tuple[str, ...] = ()
    sites: tuple[Site | None, ...] = ()
    functions: frozenset[str] = frozenset()
    derived: tuple[Derived, ...] = ()
