"""A small machine on which one flush is carried out step by step, with CPUs in all the states that matter.

What CPUs hold, what a flush drops and what a switch does are the functions that both engines run; there is no second
model. The CPUs hold what was cleared before the flush as something dead, and everything else as something alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from shootdown._compliance.lowered import CPUS, FEW_ASIDS, MMS, WRITTEN, Flush
from shootdown._compliance.requests import table_pages
from shootdown._machine import ops as o
from shootdown._machine.flushes import take, takeable
from shootdown._machine.holding import dead_link, dead_translation, held_at, links_at
from shootdown._machine.layout import (
    A_HI,
    A_LO,
    A_SLOT,
    ATOM_CELLS,
    CPU_CELLS,
    CPU_MM,
    M_GLOBAL,
    M_TRIM,
    MM_CELLS,
    T_CPU,
    T_MM,
    T_ON,
    T_PC,
    TASK_CELLS,
    Layout,
    empty_state,
    make_layout,
)
from shootdown._machine.sets import LAZY, MASK, PREEMPTED, cpu_set, has, mm_set, put
from shootdown._machine.step import step
from shootdown._machine.steps.table import STEPS
from shootdown._machine.switching import enter_guest, load_mm, switch_to

#: Steps that one flush may take; those that ship take some hundred, a loop of a few pages included.
BUDGET = 5_000
#: Ranges of pages that are looked at in a flush.
ATOMS = 16
_SLOTS = 4
_SENDER, _THREAD = 0, 1
MM, OTHER = 0, 1


class StuckError(Exception):
    """A flush that does not come to its end; the message says where and why."""


class Place(NamedTuple):
    """Pages that one entry translates.

    Args:
        lo, hi: `[lo, hi)` in base pages.
        dead: the entry was cleared, or the right to use it taken away, before the flush.
    """

    lo: int
    hi: int
    dead: bool


class Left(NamedTuple):
    """What a CPU holds that it must not.

    Args:
        cpu: the CPU.
        what: `a translation` or `a link`.
        place: of a translation, its place.
    """

    cpu: int
    what: str
    place: Place | None = None


class Stage:
    """A machine with one flush.

    Args:
        flush: the flush.
        slot_pages: the base pages that a table of the level translates whose links are looked at; by default those of
            a page table.
        cast: puts tasks and CPUs into their states, before anything is held.
    """

    def __init__(self, flush: Flush, cast: Callable[[Stage], None], slot_pages: int = 0) -> None:
        self.flush = flush
        self.lowering = flush.lowering
        # Lists of plain numbers: single cells of arrays are slow.
        self.program: Any = flush.code.steps.tolist()
        self.lists: Any = [0]
        self.names: dict[int, str] = {}
        self.layout = _layout(flush, slot_pages or table_pages(flush.lowering))
        self.state: Any = empty_state(self.layout).tolist()
        first = self.layout.o_variable
        self.state[first : first + len(flush.firsts)] = flush.firsts
        self._range = WRITTEN
        self.places: list[Place] = []
        self._holds: set[int] = set()
        layout, state = self.layout, self.state
        for task, mm in ((0, MM), (1, None)):
            at = layout.o_task + task * TASK_CELLS
            state[at + T_CPU] = task
            state[at + T_MM] = state[at + T_ON] = 0 if mm is None else mm + 1
        if self.lowering.global_asid_from_start:
            for mm in range(layout.mms):
                state[layout.o_mm + mm * MM_CELLS + M_GLOBAL] = 2
        cast(self)
        self._first: Any = list(state)

    # --- the cast

    def runs(self, cpu: int, name: str, mm: int = MM) -> None:
        """Let a CPU load an mm and run a task of it."""
        load_mm(self.state, self.layout, cpu, mm + 1)
        self.names[cpu] = name
        if mm == MM:
            self._holds.add(cpu)

    def idles(self, cpu: int, name: str) -> None:
        """Let a CPU that had the mm loaded idle: lazily, where CPUs do so."""
        self.runs(cpu, name)
        switch_to(self.state, self.layout, cpu, -1)

    def away(self, cpu: int, name: str) -> None:
        """Let a CPU that ran the mm run another one."""
        self.runs(cpu, name)
        load_mm(self.state, self.layout, cpu, OTHER + 1)
        if not self.layout.tagged:
            self._holds.discard(cpu)

    def preempted(self, cpu: int, name: str) -> None:
        """Let the host preempt a vCPU that runs the mm."""
        self.runs(cpu, name)
        put(self.state, cpu_set(self.layout, PREEMPTED), self.layout, cpu)

    def thread(self) -> None:
        """Let a second task use the mm."""
        at = self.layout.o_task + _THREAD * TASK_CELLS
        self.state[at + T_MM] = self.state[at + T_ON] = MM + 1

    def stranger(self) -> None:
        """Let the task that flushes be a kernel thread, which works on the mm of others."""
        self.state[self.layout.o_task + T_MM] = 0

    def borrows(self, name: str) -> None:
        """Let the CPU that flushes switch from a task of the mm to the kernel thread, which borrows the mm lazily."""
        self.runs(_SENDER, name)
        switch_to(self.state, self.layout, _SENDER, 0)

    def trims(self) -> None:
        """Let mm_cpumask be due for trimming: a flush that looks every so often looks now."""
        self.state[self.layout.o_mm + MM * MM_CELLS + M_TRIM] = 1

    def others(self) -> bool:
        """Whether mm_cpumask has another CPU than the one that flushes."""
        first = self._first
        at = mm_set(self.layout, MM, MASK)
        return any(has(first, at, self.layout, cpu) for cpu in range(self.layout.cpus) if cpu != _SENDER)

    @property
    def pc(self) -> int:
        """The number of the next step."""
        return int(self.state[self.layout.o_task + T_PC])

    def goes_on(self, state: list[int]) -> None:
        """Go back to the state after a flush, and ask for another one: of the entries right behind the range.

        What CPUs still hold of them is dead now.
        """
        layout = self.layout
        self.state[:] = state
        self.state[layout.o_task + T_PC] = 0
        at = self._range_at()
        lo, hi = self.program[at : at + 2]
        self.program[at : at + 2] = hi, hi + (hi - lo)
        self.places = [place._replace(dead=hi <= place.lo < hi + (hi - lo)) for place in self.places]
        for atom, place in enumerate(self.places):
            for cpu in self._holds if place.dead else ():
                cell = held_at(layout, cpu, MM, atom)
                if self.state[cell]:
                    self.state[cell] = dead_translation(layout)

    def _range_at(self) -> int:
        """Return where the program has the range of the request."""
        return self.flush.at * 5 + (3 if self.program[self.flush.at * 5] == o.REQUEST else 2)

    def range_of(self, entries: int) -> tuple[int, int]:
        """Return a range of the request, in base pages: so many entries, or as many as it always has."""
        request = self.flush.request
        return 0, request.span(self.lowering) or entries * request.pages(self.lowering)

    # --- a flush

    def begin(self, lo: int, hi: int, places: list[Place], dead_slots: set[int]) -> None:
        """Begin anew, with a range and with what CPUs hold.

        Args:
            lo, hi: the range of the request.
            places: what each CPU that has run the mm holds; at most `ATOMS`.
            dead_slots: the slots whose tables were freed or unshared.
        """
        layout = self.layout
        self.state[:] = self._first
        state = self.state
        if self.flush.ranged and self._range != (lo, hi):
            self.flush = self.flush.rewritten(lo, hi)
            self.program, self._range = self.flush.code.steps.tolist(), (lo, hi)
        at = self._range_at()
        self.program[at : at + 2] = lo, hi
        self.places = places
        far = Place(layout.slot_pages * (layout.slots - 1), layout.slot_pages * (layout.slots - 1) + 1, False)
        alive_link, alive = 1, 1 | 1 << layout.frames
        for atom in range(ATOMS):
            place = places[atom] if atom < len(places) else far
            at = layout.o_atom + atom * ATOM_CELLS
            state[at + A_SLOT] = min(place.lo // layout.slot_pages, layout.slots - 1)
            state[at + A_LO], state[at + A_HI] = place.lo, place.hi
            for cpu in self._holds if atom < len(places) else ():
                state[held_at(layout, cpu, MM, atom)] = dead_translation(layout) if place.dead else alive
        for slot in range(layout.slots):
            for cpu in self._holds:
                dead = slot in dead_slots
                state[links_at(layout, cpu, MM, slot)] = dead_link(layout) if dead else alive_link
        state[layout.o_task + T_PC] = 0

    def run(self, *, early: bool = False, until: int | None = None) -> int:
        """Take the steps of the flush; a CPU takes a call when the sender waits for it.

        Args:
            early: CPUs take a call as soon as it is sent.
            until: stop after so many steps.

        Returns:
            How many steps were taken.

        Raises:
            StuckError: it does not end.
        """
        rows, layout = self.program, self.layout
        taken = 0
        while until is None or taken < until:
            pc = self.pc
            said = step(self.state, rows, self.lists, layout, 0) & 7
            if said == o.HALTED:
                if pc != len(rows) // 5 - 1:
                    raise StuckError(f"it ends the task at {self.named(pc)}")
                return taken
            if said == o.BLOCKED_ACK:
                if not self.answer():
                    raise StuckError(f"{self.named(pc)} waits for an answer to what was never sent")
                continue
            if said != o.DONE:
                raise StuckError(f"{self.named(pc)} can't be taken: {_WHY.get(said, 'it fails')}")
            taken += 1
            if early and rows[pc * 5] == o.SEND:
                self.answer()
            if taken > BUDGET:
                raise StuckError(f"it is not over after {BUDGET:,} steps, at {self.named(self.pc)}")
        return taken

    def answer(self) -> bool:
        """Let every target take the call of the sender; preempted vCPUs enter the guest for it."""
        state, layout = self.state, self.layout
        found = False
        for word in range(layout.words):
            cpus = int(takeable(state, layout, _SENDER, word))
            for cpu in range(layout.cpus) if not cpus else ():
                if has(state, layout.o_out + _SENDER * layout.words, layout, cpu) and has(
                    state, cpu_set(layout, PREEMPTED), layout, cpu
                ):
                    enter_guest(state, layout, cpu)
            cpus = cpus or int(takeable(state, layout, _SENDER, word))
            if cpus:
                take(state, layout, _SENDER, word, cpus)
                found = True
        return found

    def named(self, pc: int) -> str:
        """Name a step by its operation and, where a plugin's file wrote it, by its line."""
        site = self.flush.code.sites[pc]
        return f"{STEPS[self.program[pc * 5]].name}{'' if site is None else f' ({site})'}"

    # --- afterwards

    def loaded(self, cpu: int) -> int:
        """Return the mm that a CPU has loaded, from one."""
        return int(self.state[self.layout.o_cpu + cpu * CPU_CELLS + CPU_MM])

    def left(self) -> list[Left]:
        """List what CPUs can use that they must not: any link of a loaded mm; translations where it is not lazy."""
        state, layout = self.state, self.layout
        found = []
        for cpu in self._holds:
            if self.loaded(cpu) != MM + 1 or has(state, cpu_set(layout, PREEMPTED), layout, cpu):
                continue
            for slot in range(layout.slots):
                if int(state[links_at(layout, cpu, MM, slot)]) & dead_link(layout):
                    found.append(Left(cpu, "a link"))
                    break
            if has(state, cpu_set(layout, LAZY), layout, cpu):
                continue
            for atom, place in enumerate(self.places):
                if int(state[held_at(layout, cpu, MM, atom)]) & dead_translation(layout):
                    found.append(Left(cpu, "a translation", place))
        return found

    def dropped(self, cpu: int) -> list[Place]:
        """List the live translations that a CPU lost."""
        return [
            place
            for atom, place in enumerate(self.places)
            if not place.dead and not int(self.state[held_at(self.layout, cpu, MM, atom)])
        ]

    def in_mask(self, cpu: int) -> bool:
        """Whether a CPU is in the mm's mm_cpumask."""
        return has(self.state, mm_set(self.layout, MM, MASK), self.layout, cpu)

    def all_come_back(self) -> None:
        """Let every CPU that held something run a task of the mm again; preempted vCPUs enter the guest."""
        for cpu in self._holds:
            self.comes_back(cpu)

    def comes_back(self, cpu: int) -> None:
        """Let a CPU run a task of the mm."""
        state, layout = self.state, self.layout
        if has(state, cpu_set(layout, PREEMPTED), layout, cpu):
            enter_guest(state, layout, cpu)
        load_mm(state, layout, cpu, MM + 1)


_WHY = {
    o.BLOCKED_LOCK: "the lock is held, by this task itself",
    o.BLOCKED_EVENT: "nobody signals the event",
    o.PARKED: "the task sleeps",
    o.BLOCKED_BUFFER: "a store is buffered",
}


def _layout(flush: Flush, slot_pages: int) -> Layout:
    lowering = flush.lowering
    rules, geometry = lowering.mm, lowering.geometry
    return make_layout(
        cpus=CPUS,
        tasks=2,
        mms=MMS,
        slots=_SLOTS,
        classes=1,
        locks=max(lowering.machine_locks, 1),
        events=1,
        asids=max(min(rules.asids, FEW_ASIDS), 1),
        bits=64,
        slot_pages=slot_pages,
        shifts=(
            geometry.pmd_shift - geometry.page_shift,
            geometry.pud_shift - geometry.page_shift,
            geometry.p4d_shift - geometry.page_shift,
        ),
        clear_on_switch=rules.clear_on_switch,
        lazy_tlb=rules.lazy_tlb,
        tagged=rules.tagged,
        variables=len(flush.firsts),
        atoms=ATOMS,
        frames=1,
        memory=o.SC,
        walk_cache=lowering.platform.walk_entries > 0,
        hardware_walks=lowering.no_hardware_walker() is None,
    )
