"""Describe in words what a step changed in a machine's state.

The description comes from two states and the layout, so that programs need no text of their own. Changes that only the
task itself can see (registers, the range of a gather) are described only for steps where they matter: the value that a
load read, how much a flush flushes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from shootdown._explore.flow import index_of
from shootdown._machine import ops as o
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CALL_HI,
    CPU_CALL_HOW,
    CPU_CALL_LO,
    CPU_CALL_STRIDES,
    CPU_CELLS,
    CPU_MM,
    CPU_SETS,
    CPU_TASK,
    G_FLAGS,
    GATHER_CELLS,
    M_GLOBAL,
    M_PENDING,
    MM_CELLS,
    MM_SETS,
    STORE_CELLS,
    T_CPU,
    T_GATHER,
    T_ON,
    T_PC,
    T_REG,
    TASK_CELLS,
    Layout,
)
from shootdown._machine.ranges import SHIFT
from shootdown._machine.steps.row import Kind
from shootdown._machine.steps.table import STEPS

State = npt.NDArray[np.int64]

_TABLE_WORDS = {o.TABLE_SHARED: "is shared", o.TABLE_REUSED: "is reused", o.TABLE_FREED: "is free"}
_PENDING = {
    o.CALL_FLUSH: "flush IPI",
    o.CALL_SYNC: "sync IPI",
    o.CALL_HYPERCALL: "the hypervisor's flush",
    o.CALL_BROADCAST: "broadcast invalidation",
    o.CALL_TRANSITION: "IPI (global ASID)",
    o.CALL_INVALIDATE: "invalidation IPI",
    o.CALL_INVALIDATE_MASKED: "invalidation IPI",
    o.CALL_LEAVE: "IPI (leave the mm)",
    o.CALL_BARRIER: "barrier IPI",
    o.CALL_KERNEL: "IPI (kernel addresses)",
    o.CALL_RCU: "quiescent state",
}
#: Words for entering and leaving each of the machine's CPU sets.
_CPU_SET_WORDS = {
    "irq_off": ("{cpu} has interrupts off", "{cpu} has interrupts on"),
    "lazy": ("{cpu} is lazy", "{cpu} is not lazy any more"),
    "preempted": ("the host runs something else on {cpu}", "{cpu} runs again"),
    "flush_on_entry": ("{cpu} is told to flush when it enters the guest", "{cpu} flushed on entry"),
}
#: The same for the sets of an mm; of a pair that changes together, one has no words.
_MM_SET_WORDS = {
    "mask": ("{cpu} enters {mm}'s mm_cpumask", "{cpu} leaves {mm}'s mm_cpumask"),
    "loaded": ("{cpu} loads {mm}", "{cpu} has {mm} loaded no more"),
    "walk": ("{cpu}'s walk cache holds {mm}'s link to the table", "{cpu}'s walk cache drops {mm}'s link"),
    "stale_walk": ("{cpu}'s cached link of {mm} is stale", ""),
    "leaf": ("{cpu}'s TLB holds a translation of {mm}", "{cpu}'s TLB drops {mm}'s translations"),
    "stale_leaf": ("{cpu}'s translation of {mm} is stale", ""),
}
_GATHER_FLAGS = (
    (o.FREED_TABLES, "freed_tables"),
    (o.UNSHARED_TABLES, "unshared_tables"),
    (o.FULLY_UNSHARED, "fully_unshared_tables"),
    (o.FULLMM, "fullmm"),
)


def mm_name(mm: int) -> str:
    """Name an address space as stories and lanes do: A, B, C..."""
    return chr(ord("A") + mm) if 0 <= mm < 26 else f"mm {mm}"


def cpu_names(cpus: Sequence[int]) -> str:
    """Name some CPUs: `CPU 1`, `CPUs 1, 2`."""
    return f"CPU{'s' if len(cpus) > 1 else ''} {', '.join(map(str, cpus))}"


def entry_words(value: int) -> str:
    """Describe the value of a single page-table entry."""
    if value == 0:
        return "none"
    words = [f"page {value >> o.ENTRY_PAGE_SHIFT}"]
    words += [] if value & o.ENTRY_PRESENT else ["not present"]
    words += ["writable"] if value & o.ENTRY_WRITABLE else ["read-only"]
    words += ["dirty"] if value & o.ENTRY_DIRTY else []
    return ", ".join(words)


class Words:
    """The differences between two states of one machine, in words.

    Args:
        layout: of the machine.
        names: the names of its variables, in their order; a variable without one is named by its number.
        words: the names of the values of some variables, by the variable's number.
        atoms, frames: the names of a program's ranges of addresses, and of the pages that they map.
    """

    def __init__(
        self,
        layout: Layout,
        names: Sequence[str] = (),
        words: Mapping[int, Callable[[int], str]] | None = None,
        atoms: Sequence[str] = (),
        frames: Sequence[str] = (),
    ) -> None:
        self._atoms = atoms
        self._frames = frames
        self._layout = layout
        self._names = names
        self._words = words or {}

    def variable(self, number: int) -> str:
        """Name a variable or an entry; links and entries of tables by their distance from the first variable."""
        layout = self._layout
        entry, link = (number + layout.o_variable - start for start in (layout.o_entry, layout.o_pud))
        if layout.atoms and 0 <= entry < layout.classes * layout.atoms:
            return f"the entry of {self.atom(entry % layout.atoms)}"
        if number >= layout.variables and 0 <= link < layout.mms * layout.slots:
            which = f" {link % layout.slots}" if layout.slots > 1 else ""
            return f"PUD entry{which} of {mm_name(link // layout.slots)}"
        if number < len(self._names) and self._names[number]:
            return self._names[number]
        return f"entry {number}" if number < self._layout.entries else f"variable {number}"

    def value(self, number: int, value: int) -> str:
        """Describe the value of a variable, a link or an entry."""
        layout = self._layout
        if layout.atoms and number + layout.o_variable >= layout.o_entry:
            return self._entry(value)
        if number >= layout.variables:
            return self._link(value)
        if number < self._layout.entries:
            return entry_words(value)
        return self._words[number](value) if number in self._words else str(value)

    def does(self, step: Sequence[int]) -> str:
        """Describe a step that its program gives no text, by its operation; empty if the operation has no words."""
        row = STEPS[int(step[0])]
        place = row.first(Kind.VARIABLE, Kind.ENTRY)
        if not place:
            return row.words
        return "" if index_of(step) else row.words.format(self.variable(int(step[place])))

    def changed(self, before: State, after: State) -> list[str]:
        """List the changes that are visible to more than the moving task."""
        return [
            *self._tables(before, after),
            *self._memory(before, after),
            *self._held(before, after),
            *self._cpus(before, after),
            *self._mms(before, after),
        ]

    def _tables(self, before: State, after: State) -> Iterator[str]:
        layout = self._layout
        for mm in range(layout.mms):
            for slot in range(layout.slots):
                at = layout.o_pud + mm * layout.slots + slot
                if before[at] != after[at]:
                    which = f" {slot}" if layout.slots > 1 else ""
                    yield (
                        f"PUD entry{which} of {mm_name(mm)}: {self._link(before[at])} → {self._link(after[at])}"
                    )
        for table in range(layout.slots * layout.classes):
            name = f"table {table}" if layout.slots * layout.classes > 1 else "the table"
            was, now = int(before[layout.o_share + table]), int(after[layout.o_share + table])
            if was != now:
                yield f"processes that map {name}: {was} → {now}"
            if before[layout.o_state + table] != after[layout.o_state + table]:
                yield f"{name} {self._use(int(after[layout.o_state + table]))}"

    def _link(self, value: int) -> str:
        if value == 0:
            return "none"
        if value >= o.ENTRY_HUGE:
            return self._entry(int(value) - o.ENTRY_HUGE)
        return f"table {int(value) - 1}" if self._layout.classes > 1 else "table"

    def _use(self, state: int) -> str:
        used, owner = state & o.TABLE_MASK, (state >> o.TABLE_OWNER_SHIFT) - 1
        if used == o.TABLE_REUSED and owner >= 0:
            return f"is reused by {mm_name(owner)}: it maps memory of {mm_name(owner)}'s own"
        return _TABLE_WORDS[used]

    def atom(self, atom: int) -> str:
        """Return the name of an atom."""
        return self._atoms[atom] or f"atom {atom}"

    def _held(self, before: State, after: State) -> Iterator[str]:
        """Describe changes of entries, of frames and of what is dead in what CPUs hold."""
        layout = self._layout
        for i in range(layout.classes * layout.atoms):
            was, now = (int(state[layout.o_entry + i]) for state in (before, after))
            if was != now:
                where = f"the entry of {self.atom(i % layout.atoms)}"
                yield f"{where}: {self._entry(was)} → {self._entry(now)}"
        for frame in range(layout.frames):
            was, now = (int(state[layout.o_frame + frame]) for state in (before, after))
            if was != now:
                name = self._frames[frame] or f"frame {frame}"
                yield f"references to {name}: {was} → {now}" + (": it is free" if now == 0 else "")
        for cpu in range(layout.cpus):
            for mm in range(layout.mms):
                for atom in range(layout.atoms):
                    at = layout.o_held + (cpu * layout.mms + mm) * layout.atoms + atom
                    if (int(after[at]) & ~int(before[at])) >> (2 * layout.frames):
                        yield f"CPU {cpu}'s TLB may still lead there from {self.atom(atom)}"
                for slot in range(layout.slots if layout.walks else 0):
                    at = layout.o_links + (cpu * layout.mms + mm) * layout.slots + slot
                    if (int(after[at]) & ~int(before[at])) >> layout.classes:
                        yield f"CPU {cpu}'s walk cache may still lead into the table for {mm_name(mm)}"

    def usable(self, state: State) -> Iterator[str]:
        """Say which CPUs can use something dead: a link at any time, a translation in user mode."""
        layout = self._layout
        for cpu in range(layout.cpus) if layout.walks else ():
            mm = int(state[layout.o_cpu + cpu * CPU_CELLS + CPU_MM]) - 1
            if mm < 0 or self._in_set(state, "preempted", cpu):
                continue
            for slot in range(layout.slots):
                if (
                    int(state[layout.o_links + (cpu * layout.mms + mm) * layout.slots + slot])
                    >> layout.classes
                ):
                    whose = self._whose(state, slot, mm)
                    yield f"CPU {cpu} may walk the table through {mm_name(mm)}'s old link, and the table {whose}"
            if self._in_set(state, "user", cpu) and not self._in_set(state, "lazy", cpu):
                for atom in range(layout.atoms):
                    if int(state[layout.o_held + (cpu * layout.mms + mm) * layout.atoms + atom]) >> (
                        2 * layout.frames
                    ):
                        yield f"CPU {cpu}, in user mode, may use what its TLB holds of {self.atom(atom)}"

    def _whose(self, state: State, slot: int, mm: int) -> str:
        """Describe who has a table of a slot that is no longer an mm's."""
        for klass in range(self._layout.classes):
            value = int(state[self._layout.o_state + klass * self._layout.slots + slot])
            used, owner = value & o.TABLE_MASK, (value >> o.TABLE_OWNER_SHIFT) - 1
            if used == o.TABLE_FREED:
                return "is free"
            if used == o.TABLE_REUSED and owner != mm:
                return f"belongs to {mm_name(owner)}"
        return "is somebody else's"

    def _in_set(self, state: State, name: str, cpu: int) -> bool:
        at = self._layout.o_sets + CPU_SETS.index(name) * self._layout.words
        return bool(self._set(state, at) >> cpu & 1)

    def _entry(self, value: int) -> str:
        """Describe the value of an entry of a table."""
        frames = value >> o.ENTRY_PAGE_SHIFT
        named = [name for frame, name in enumerate(self._frames) if frames >> frame & 1 and name]
        return ", ".join([*named, *entry_words(value).split(", ")[1:]]) if named else entry_words(value)

    def _memory(self, before: State, after: State) -> Iterator[str]:
        layout = self._layout
        for number in range(layout.variables):
            was, now = (int(state[layout.o_variable + number]) for state in (before, after))
            if was != now:
                yield f"{self.variable(number)}: {self.value(number, was)} → {self.value(number, now)}"
        for cpu in range(layout.cpus):
            for entry in range(layout.entries):
                at = layout.o_tlb + cpu * layout.entries + entry
                if before[at] == after[at]:
                    continue
                if after[at]:
                    words = entry_words(int(after[at]))
                    yield f"CPU {cpu}'s TLB holds {self.variable(entry)} ({words})"
                else:
                    yield f"CPU {cpu}'s TLB drops {self.variable(entry)}"
            yield from self._stores(before, after, cpu)

    def _stores(self, before: State, after: State, cpu: int) -> Iterator[str]:
        layout = self._layout
        row = layout.o_store + cpu * layout.stores * STORE_CELLS
        was, now = (
            [
                (int(state[row + i * STORE_CELLS]), int(state[row + i * STORE_CELLS + 1]))
                for i in range(layout.stores)
                if state[row + i * STORE_CELLS]
            ]
            for state in (before, after)
        )
        if len(now) > len(was):
            number, value = now[-1][0] - 1, now[-1][1]
            yield f"{self.variable(number)} = {self.value(number, value)} waits in CPU {cpu}'s store buffer"

    def _cpus(self, before: State, after: State) -> Iterator[str]:
        layout = self._layout
        for name, (enters, leaves) in _CPU_SET_WORDS.items():
            at = layout.o_sets + CPU_SETS.index(name) * layout.words
            yield from self._members(self._set(before, at), self._set(after, at), enters, leaves)
        for cpu in range(layout.cpus):
            base = layout.o_cpu + cpu * CPU_CELLS
            if before[base + CPU_TASK] and not after[base + CPU_TASK] and not self._in_user_mode(after, cpu):
                yield f"CPU {cpu} idles"
            yield from self._calls(before, after, cpu)

    def _in_user_mode(self, state: State, cpu: int) -> bool:
        at = self._layout.o_sets + CPU_SETS.index("user") * self._layout.words
        return cpu in self._bits(self._set(state, at))

    def _calls(self, before: State, after: State, sender: int) -> Iterator[str]:
        """Describe the changes of a CPU's call: its targets, where it is pending, which CPUs have answered."""
        layout = self._layout
        base, out = layout.o_cpu + sender * CPU_CELLS, layout.o_out + sender * layout.words
        if layout.by_task and sender < layout.tasks:
            sender = int(after[layout.o_task + sender * TASK_CELLS + T_CPU])
        was, now = self._bits(self._set(before, out)), self._bits(self._set(after, out))
        old, new = (int(state[base + CPU_CALL]) & o.CALL_MASK for state in (before, after))
        if new and not old:
            what = _PENDING[new]
            yield f"{what} pending at {cpu_names(now)}" if now else f"{what}: nobody is a target"
        elif new and was != now:
            gone = [cpu for cpu in was if cpu not in now]
            if gone and now:
                yield f"CPU {sender} still waits for {cpu_names(now)}"
            elif gone:
                yield f"CPU {sender} has all answers"
        elif was != now and not new and not old:
            yield f"targets: {cpu_names(now) if now else 'none'}"

    def _mms(self, before: State, after: State) -> Iterator[str]:
        layout = self._layout
        for mm in range(layout.mms):
            sets = {
                name: [
                    self._set(state, layout.o_mmset + (mm * len(MM_SETS) + i) * layout.words)
                    for state in (before, after)
                ]
                for i, name in enumerate(MM_SETS)
            }
            for name, (enters, leaves) in _MM_SET_WORDS.items():
                was, now = sets[name]
                yield from self._members(was, now, enters, leaves, mm_name(mm))
            row = layout.o_mm + mm * MM_CELLS
            one, other = int(before[row + M_PENDING]), int(after[row + M_PENDING])
            if one != other and max(one, other) > 1:
                yield f"gathers under way in {mm_name(mm)}: {one} → {other}"
            if before[row + M_GLOBAL] != after[row + M_GLOBAL]:
                has = int(after[row + M_GLOBAL]) == 2
                yield f"{mm_name(mm)} {'has' if has else 'moves to'} a global ASID"

    def _members(self, was: int, now: int, enters: str, leaves: str, mm: str = "") -> Iterator[str]:
        for text, cpus in ((enters, self._bits(now & ~was)), (leaves, self._bits(was & ~now))):
            if text:
                for cpu in cpus:
                    yield text.format(cpu=f"CPU {cpu}", mm=mm)

    def _set(self, state: State, at: int) -> int:
        """Return a set of CPUs, whose words begin at a cell, as a mask."""
        layout = self._layout
        every = (1 << layout.bits) - 1
        return sum((int(state[at + word]) & every) << (word * layout.bits) for word in range(layout.words))

    def _bits(self, mask: int) -> list[int]:
        return [cpu for cpu in range(self._layout.cpus) if mask >> cpu & 1]

    # --- changes that only the moving task can see

    def found(self, step: Sequence[int], task: int, before: State, after: State) -> list[str]:
        """Describe what a step read or decided, if its row has `tells`."""
        tells = STEPS[int(step[0])].tells
        if not tells:
            return []
        words: list[str] = getattr(self, f"_tell_{tells}")([int(cell) for cell in step], task, before, after)
        return words

    def _row(self, task: int) -> int:
        return self._layout.o_task + task * TASK_CELLS

    def _read(self, task: int, after: State, register: int) -> int:
        """Return the value that a step read into a register."""
        return int(after[self._row(task) + T_REG + register])

    def _tell_link(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        return [f"reads {self._link(self._read(task, after, step[1]))}"]

    def _tell_entry(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        return [f"reads {self._entry(self._read(task, after, step[1]))}"]

    def _tell_table(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        return [f"the table {_TABLE_WORDS[self._read(task, after, step[1]) & o.TABLE_MASK]}"]

    def _tell_value(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        index = index_of(step)
        number = step[2] + (int(before[self._row(task) + T_REG + index - 1]) if index else 0)
        return [f"reads {self.value(number, self._read(task, after, step[1]))}"]

    def _tell_exchanged(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        expected = int(before[self._row(task) + T_REG + step[2]])
        same = int(before[self._layout.o_variable + step[1]]) == expected
        return [] if same else ["another value is there: nothing is written"]

    def _tell_access(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        value = self._read(task, after, step[1])
        return ["faults" if value == 0 else f"uses {entry_words(value)}"]

    def _tell_refused(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        at = self._row(task) + T_PC
        return [] if int(after[at]) == int(before[at]) + 1 else ["somebody holds it"]

    def _tell_exclusive(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        return ["yes" if int(after[self._row(task) + T_PC]) == step[1] else "no: others map it too"]

    def _tell_pending(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        mm = int(before[self._row(task) + T_ON]) - 1
        pending = int(before[self._layout.o_mm + mm * MM_CELLS + M_PENDING])
        return ["yes"] if pending > 1 else []

    def _tell_strides(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        cpu = int(before[self._row(task) + T_CPU])
        base = self._layout.o_cpu + cpu * CPU_CELLS
        if int(after[base + CPU_CALL_STRIDES]) == 0:
            return ["flush everything"]
        pages = int(after[base + CPU_CALL_HI]) - int(after[base + CPU_CALL_LO])
        step_pages = 1 << (int(after[base + CPU_CALL_HOW]) & SHIFT)
        said = f"flush a range of {pages:,} page{'' if pages == 1 else 's'}"
        if step_pages == 1:
            return [said]
        strides = -(-pages // step_pages)
        return [f"{said}: {strides:,} stride{'' if strides == 1 else 's'} of {step_pages:,}"]

    def _tell_flags(self, step: list[int], task: int, before: State, after: State) -> list[str]:
        at = self._row(task) + T_GATHER + step[1] * GATHER_CELLS + G_FLAGS
        new = int(after[at]) & ~int(before[at])
        who = "request" if step[1] == o.GATHERS - 1 else "gather"
        return [f"the {who} notes {name}" for bit, name in _GATHER_FLAGS if new & bit]
