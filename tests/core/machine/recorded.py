"""States that record which of their cells are read and written, and what the table of steps says of those cells."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

from shootdown._machine import ops as o
from shootdown._machine.layout import (
    ATOM_CELLS,
    CPU_CELLS,
    CPU_PARTS,
    CPU_SETS,
    GATHER_CELLS,
    GATHER_PARTS,
    LOCK_CELLS,
    LOCK_PARTS,
    MM_CELLS,
    MM_PARTS,
    MM_SETS,
    SPAN_CELLS,
    STORE_CELLS,
    T_CPU,
    T_GATHER,
    T_ON,
    T_PC,
    T_REG,
    TASK_CELLS,
    TASK_PARTS,
    Layout,
    make_layout,
)
from shootdown._machine.steps.cells import Cell, Of
from shootdown._machine.steps.row import BY_MM, BY_TABLE, Kind, Operand, Row
from shootdown._machine.steps.table import holds

#: The program is one step, at 0; a label leads to one of those after it, which is not taken.
LABELS = (0, 3)
TASK = 1


class Recorded:
    """A state that records reads and writes.

    Args:
        cells: the state.
    """

    def __init__(self, cells: list[int]) -> None:
        self.cells = list(cells)
        self.before = tuple(cells)
        self.reads: set[int] = set()
        self.writes: set[int] = set()

    def __getitem__(self, at: int) -> int:
        assert 0 <= at < len(self.cells)
        self.reads.add(int(at))
        return self.cells[at]

    def __setitem__(self, at: int, value: int) -> None:
        assert 0 <= at < len(self.cells)
        self.writes.add(int(at))
        self.cells[at] = int(value)


def machines() -> list[Layout]:
    """List small machines with different layouts: sets of CPUs of one word, and of two."""
    return [
        make_layout(
            cpus=cpus,
            tasks=3,
            mms=2,
            slots=3,
            classes=2,
            locks=6,
            events=3,
            asids=2,
            bits=bits,
            slot_pages=16,
            shifts=(2, 4, 6),
            clear_on_switch=rule,
            lazy_tlb=not rule,
            tagged=rule,
            variables=5,
            entries=2,
            atoms=3,
            frames=2,
            stores=0 if memory == o.SC else 2,
            memory=memory,
        )
        for memory in (o.SC, o.TSO, o.WEAK)
        for cpus, bits in ((3, 16), (5, 4))
        for rule in (False, True)
    ]


def random_state(layout: Layout, rng: random.Random) -> list[int]:
    """Draw a random state with valid values in all cells; task 1 is at step 0."""
    L = layout  # noqa: N806  # as in the step functions
    S = [0] * L.size  # noqa: N806

    def put(at: int, count: int, low: int, high: int) -> None:
        for i in range(count):
            S[at + i] = rng.randint(low, high)

    def put_sets(at: int, sets: int) -> None:
        for one in range(sets):
            few = rng.random() < 0.3
            for cpu in range(L.cpus):
                if rng.random() < (0.1 if few else 0.5):
                    S[at + one * L.words + cpu // L.bits] |= 1 << cpu % L.bits

    for cpu in range(L.cpus):
        base = L.o_cpu + cpu * CPU_CELLS
        ranges = (
            (0, L.tasks),
            (0, L.mms),
            (0, 127),
            (1, L.mms),
            (0, 3),
            (0, 3),
            (0, 40),
            (0, 60),
            (0, 4),
            (0, L.asids - 1),
        )
        for part, (low, high) in enumerate(ranges):
            S[base + part] = rng.randint(low, high)
        put(L.o_asid + cpu * L.asids, L.asids, 0, L.mms)
        waiting = rng.randint(0, L.stores)
        for i in range(waiting):
            row = L.o_store + (cpu * L.stores + i) * STORE_CELLS
            S[row], S[row + 1] = rng.randint(1, L.variables), rng.randint(0, 9)
    put_sets(L.o_sets, len(CPU_SETS))
    put_sets(L.o_out, L.cpus)
    put_sets(L.o_mmset, L.mms * len(MM_SETS))
    for task in range(L.tasks):
        t = L.o_task + task * TASK_CELLS
        for part, (low, high) in enumerate(((0, 0), (0, L.mms), (0, L.cpus - 1), (1, L.mms))):
            S[t + part] = rng.randint(low, high)
        put(t + T_REG, o.REGISTERS, 0, 2)
        S[t + T_REG + o.SCRATCH] = rng.choice((0, 1, 2, 8, 16, 31))
        for register in (o.OWN, o.VALUE):
            S[t + T_REG + register] = rng.choice((0, 1, 2, 8, 16, 31))
        S[t + T_REG + o.SLOT] = rng.randint(0, L.slots - 1)
        S[t + T_REG + o.CLASS] = rng.randint(1, L.classes)
        for g in range(o.GATHERS):
            at = t + T_GATHER + g * GATHER_CELLS
            lo = rng.randint(0, 5)
            S[at : at + GATHER_CELLS] = [
                lo,
                lo + rng.randint(0, 40),
                rng.choice((0, 0, o.RANGE, rng.randint(0, 511))),
                rng.choice((0, rng.randint(0, 15))),
                rng.randint(0, 3),
            ]
    put(L.o_mm, L.mms * MM_CELLS, 0, 2)
    put(L.o_pud, L.mms * L.slots, 0, L.classes)
    put(L.o_share, L.slots * L.classes, 0, 3)
    put(L.o_state, L.slots * L.classes, 0, 11)
    put(L.o_lock, L.locks * LOCK_CELLS, 0, 1)
    put(L.o_event, L.events, 0, 2)
    put(L.o_variable, L.variables, 0, 15)
    put(L.o_owner, L.entries, 0, L.mms - 1)
    for entry in range(L.entries):
        lo = rng.randint(0, 40)
        S[L.o_span + entry * SPAN_CELLS : L.o_span + (entry + 1) * SPAN_CELLS] = [lo, lo + rng.randint(1, 9)]
    put(L.o_tlb, L.cpus * L.entries, 0, 15)
    for atom in range(L.atoms):
        lo = rng.randint(0, 40)
        S[L.o_atom + atom * ATOM_CELLS : L.o_atom + (atom + 1) * ATOM_CELLS] = [
            rng.randint(0, L.slots - 1),
            lo,
            lo + rng.choice((1, 1, 4)),
        ]
    put(L.o_entry, L.classes * L.atoms, 0, 31)
    put(L.o_frame, L.frames, 0, 3)
    put(L.o_held, L.cpus * L.mms * L.atoms, 0, (2 << 2 * L.frames) - 1)
    put(L.o_links, L.cpus * L.mms * L.slots, 0, (2 << L.classes) - 1)
    return S


def random_step(row: Row, layout: Layout, rng: random.Random) -> list[int]:
    """Draw random operands for a step, such as programs may have."""
    step = [row.number, 0, 0, 0, 0]
    for place, operand in row.placed():
        step[place] |= _random_operand(row, operand, layout, rng) << operand.above
    if row.name == "PICK":  # how much of the list there is from its base on
        step[3] = len(LISTS) - step[1]
    return step


def _random_operand(row: Row, operand: Operand, layout: Layout, rng: random.Random) -> int:
    if operand.unused:
        return 0
    if row.name == "READ_TABLE" and operand.name == "table":
        return o.CLASS  # the class of a table, plus one
    registers, last = (0, o.REGISTERS - 1), o.GATHERS - 1
    ranges = {
        Kind.TRUTH: (0, 1), Kind.LABEL: LABELS, Kind.READ: registers, Kind.WRITTEN: registers,
        Kind.CHANGED: registers, Kind.READ_IF: registers, Kind.READ_OR_NONE: (-1, o.REGISTERS - 1),
        Kind.INDEX: (0, o.REGISTERS), Kind.GATHER: (0, last), Kind.FLAGS: (0, 511), Kind.CLEARED: (0, 15),
        Kind.HOW: (0, 255), Kind.SCOPE: (0, 15), Kind.CALL: (0, 8), Kind.TASK: (0, layout.tasks - 1),
        Kind.EVENT: (0, layout.events - 1), Kind.CPU: (0, layout.cpus - 1), Kind.MM: (0, 0), Kind.LOCK: (0, 1),
        Kind.LOCK_INDEX: (0, 2), Kind.CLASS: (0, layout.classes - 1), Kind.VARIABLE: (0, 2),
        Kind.ENTRY: (0, layout.entries - 1), Kind.LIST: (0, 3), Kind.ATOM: (0, layout.atoms - 1),
    }  # fmt: skip
    low, high = ranges.get(operand.kind, (0, 3))
    return rng.randint(low, high)


LISTS = [0, 1, 2, 1, 0, 2, 1, 0]


def read_of(row: Row, step: list[int], layout: Layout, before: tuple[int, ...]) -> dict[int, Cell | str]:
    """Map each cell that the row declares as read to the declaration."""
    t = layout.o_task + TASK * TASK_CELLS
    found: dict[int, Cell | str] = dict.fromkeys((t + T_PC, t + T_CPU, t + T_ON), "every step")
    for register in _registers(row, step, written=False):
        found[t + T_REG + register] = "an operand"
    for cell in row.reads:
        if holds(cell.when, row, step):
            found |= {at: cell for at, _ in addresses(cell, row, step, layout, before)}
    return found


def written_of(
    row: Row, step: list[int], layout: Layout, before: tuple[int, ...]
) -> dict[int, tuple[Cell | str, int]]:
    """Map each cell that the row declares as written to the declaration, and to the bits that may change."""
    t = layout.o_task + TASK * TASK_CELLS
    found: dict[int, tuple[Cell | str, int]] = {t + T_PC: ("every step", -1)}
    for register in _registers(row, step, written=True):
        found[t + T_REG + register] = ("an operand", -1)
    for cell in row.writes:
        if holds(cell.when, row, step):
            for at, bits in addresses(cell, row, step, layout, before):
                found[at] = (cell, bits)
    return found


def overwritten_of(row: Row, step: list[int], layout: Layout, before: tuple[int, ...]) -> set[int]:
    """List the cells that the row declares as written whenever the step is taken."""
    t = layout.o_task + TASK * TASK_CELLS
    found = {t + T_PC}
    found |= {t + T_REG + step[place] for place, operand in row.placed() if operand.kind is Kind.WRITTEN}
    for cell in row.writes:
        if holds(cell.when, row, step) and not cell.maybe:
            found |= {at for at, _ in addresses(cell, row, step, layout, before)}
    return found


def _registers(row: Row, step: list[int], *, written: bool) -> Iterator[int]:
    for place, operand in row.placed():
        kind, value = operand.kind, step[place]
        if kind is not Kind.CHANGED and (kind is Kind.WRITTEN) != written:
            continue
        if (
            kind in (Kind.READ, Kind.WRITTEN, Kind.CHANGED)
            or (kind is Kind.READ_IF and step[row.place_of(operand.by)])
            or (kind is Kind.READ_OR_NONE and value >= 0)
        ):
            yield value
        elif kind is Kind.INDEX and value:
            yield value - 1
        elif kind is Kind.LOCK_INDEX and value == BY_TABLE:
            yield o.SLOT


def addresses(
    cell: Cell, row: Row, step: list[int], layout: Layout, before: tuple[int, ...]
) -> Iterator[tuple[int, int]]:
    """Return the indices of a declared cell for a step in a state, each with the bits declared (-1: all)."""
    L, part = layout, cell.part  # noqa: N806
    t = L.o_task + TASK * TASK_CELLS
    registers = before[t + T_REG : t + T_REG + o.REGISTERS]
    cpu, slot = before[t + T_CPU], registers[o.SLOT]
    base = L.o_cpu + cpu * CPU_CELLS
    called = before[base + CPU_PARTS.index("call_mm")] - 1
    mm = called if cell.of is Of.CALLED else before[t + T_ON] - 1
    words = range(cpu // L.bits, cpu // L.bits + 1) if cell.bits is Of.CPU else range(L.words)
    bits = 1 << cpu % L.bits if cell.bits is Of.CPU else -1
    if part == "register":
        yield t + T_REG + cell.number, -1
    elif part in GATHER_PARTS:
        g = o.GATHERS - 1 if cell.of is Of.REQUEST else step[row.first(Kind.GATHER)]
        yield t + T_GATHER + g * GATHER_CELLS + GATHER_PARTS.index(part), -1
    elif part in TASK_PARTS:
        for task in range(L.tasks) if cell.of is Of.TASKS else (TASK,):
            yield L.o_task + task * TASK_CELLS + TASK_PARTS.index(part), -1
    elif part == "asid":
        for at in range(L.asids):
            yield L.o_asid + cpu * L.asids + at, -1
    elif part in CPU_PARTS and cell.of is Of.CPUS:
        for other in range(L.cpus):
            yield L.o_cpu + other * CPU_CELLS + CPU_PARTS.index(part), -1
    elif part in CPU_PARTS:
        yield base + CPU_PARTS.index(part), -1
    elif part == "targets":
        for word in range(L.words):
            yield L.o_out + cpu * L.words + word, -1
    elif part in CPU_SETS:
        for word in words:
            yield L.o_sets + CPU_SETS.index(part) * L.words + word, bits
    elif part in MM_PARTS:
        yield L.o_mm + mm * MM_CELLS + MM_PARTS.index(part), -1
    elif part in MM_SETS:
        for word, whose in product(words, range(L.mms) if cell.of is Of.MACHINE else (mm,)):
            yield L.o_mmset + (whose * len(MM_SETS) + MM_SETS.index(part)) * L.words + word, bits
    elif part == "pud":
        for at in range(L.mms * L.slots) if cell.of is Of.MACHINE else (mm * L.slots + slot,):
            yield L.o_pud + at, -1
    elif part in ("share", "state"):
        named, held = row.first(Kind.CLASS), row.first(Kind.READ)
        klass = step[named] if named else registers[step[held] if held else o.CLASS] - 1
        yield (L.o_share if part == "share" else L.o_state) + klass * L.slots + slot, -1
    elif part in LOCK_PARTS:
        lock, index = step[row.first(Kind.LOCK)], step[row.first(Kind.LOCK_INDEX)]
        lock += before[t + T_ON] - 1 if index == BY_MM else slot if index == BY_TABLE else 0
        yield L.o_lock + lock * LOCK_CELLS + LOCK_PARTS.index(part), -1
    elif part == "event":
        yield L.o_event + step[row.first(Kind.EVENT)], -1
    elif part == "variable":
        index = row.first(Kind.INDEX)
        number = step[row.first(Kind.VARIABLE, Kind.ENTRY)]
        if cell.of is Of.CPUS:
            for at in range(number, min(number + L.cpus, L.variables)):
                yield L.o_variable + at, -1
            return
        yield L.o_variable + number + (registers[step[index] - 1] if index and step[index] else 0), -1
    elif part == "owner":
        for entry in range(L.entries):
            yield L.o_owner + entry, -1
    elif part == "span":
        for at in range(L.entries * SPAN_CELLS):
            yield L.o_span + at, -1
    elif part == "tlb":
        for entry in (step[row.first(Kind.ENTRY)],) if cell.of is Of.GIVEN else range(L.entries):
            yield L.o_tlb + cpu * L.entries + entry, -1
    elif part in ("atom", "frame"):
        first, count = {
            "atom": (L.o_atom, L.atoms * ATOM_CELLS),
            "frame": (L.o_frame, L.frames),
        }[part]
        for at in range(count):
            yield first + at, -1
    elif part in ("held", "links"):
        first, each = (L.o_held, L.mms * L.atoms) if part == "held" else (L.o_links, L.mms * L.slots)
        for at in range(cpu * each, (cpu + 1) * each) if cell.of is Of.CPU else range(L.cpus * each):
            yield first + at, -1
    elif part == "entry":
        for table in range(L.classes) if cell.of is Of.MACHINE else (registers[o.CLASS] - 1,):
            yield L.o_entry + table * L.atoms + step[row.first(Kind.ATOM)], -1
    elif part == "store":
        for i in range(L.stores * STORE_CELLS):
            yield L.o_store + cpu * L.stores * STORE_CELLS + i, -1
    else:
        raise AssertionError(f"nobody knows where {part} lies")
