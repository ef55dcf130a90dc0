"""The input of a search: a machine, the agents that act on it, and the invariants."""

from __future__ import annotations

import attrs

from shootdown._explore.alike import Group, Table
from shootdown._explore.checks import check
from shootdown._machine.layout import with_walkers
from shootdown._machine.machine import Machine


@attrs.frozen(eq=False)
class Problem:
    """A machine to explore.

    Args:
        machine: one to explore; see `Model.build`. With `walkers` it becomes one whose walk caches hold links.
        invariants: the names of the invariants; the first is that of hardware walkers.
        places: the names of the places that REACHED steps mark.
        walkers: each CPU holds the links to tables that its walker could read, as it always does where there are atoms.
        entries, hypervisor, scheduler: the other agents that act; see `Rules`.
        preemption: a task that waits for interrupts to be answered may be preempted, and go on elsewhere, where its
            kernel lets it (`asm.wait_for_answers(preemptible=True)`).
        groups: the like parts of the machine.
        tables: tables of records whose rows may be permuted.
        mm_locks: the number of the first lock that belongs to an mm.
        lanes: a description of what each CPU does, for stories.
        remarks: what a reader of the verdict must know.
    """

    machine: Machine
    invariants: tuple[str, ...]
    places: tuple[str, ...] = ()
    walkers: bool = False
    entries: bool = False
    hypervisor: bool = False
    scheduler: bool = False
    preemption: bool = False
    groups: tuple[Group, ...] = ()
    tables: tuple[Table, ...] = ()
    mm_locks: tuple[int, ...] = ()
    lanes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Check that all fits together, and let walk caches hold links."""
        check(self)
        if self.walkers and not self.machine.layout.walks:
            object.__setattr__(self, "machine", _keeping_links(self.machine))
        if self.preemption:
            from shootdown._explore.away import letting_tasks_wait  # numpy, only when needed

            object.__setattr__(self, "machine", letting_tasks_wait(self.machine))


def _keeping_links(machine: Machine) -> Machine:
    """Return the machine with walk caches that hold links; at first they are empty."""
    import numpy as np  # only when needed

    layout = with_walkers(machine.layout)
    state = np.zeros(layout.size, machine.state.dtype)
    state[: machine.layout.size] = machine.state
    return attrs.evolve(machine, layout=layout, state=state)
