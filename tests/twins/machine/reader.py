"""Read core's assembled machines and states as the twin's values: no other module of the twin knows core's arrays."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

from tests.twins.machine.world import Cpu, Gather, Mm, Pages, Rules, Scope, Table, Task, Where, World

from shootdown._machine import layout as arrays
from shootdown._machine import ops
from shootdown._machine.machine import Machine
from shootdown._machine.steps.row import Kind, Operand
from shootdown._machine.steps.table import STEPS
from shootdown._values.platform import COST_NAMES, NANOSECOND

FLAGS = {
    getattr(ops, name): name
    for name in (
        "FULLMM",
        "NEED_FLUSH_ALL",
        "FREED_TABLES",
        "UNSHARED_TABLES",
        "FULLY_UNSHARED",
        "RANGE",
        "BASE_PAGES",
        "PMD_PAGES",
    )
}
LEVELS = {ops.CLEARED_PTES: "pte", ops.CLEARED_PMDS: "pmd", ops.CLEARED_PUDS: "pud", ops.CLEARED_P4DS: "p4d"}
HOW = {
    getattr(ops, name): name
    for name in (
        "ROUNDED",
        "IN_PAGES",
        "UNTRACKED",
        "BASE_STRIDES",
        "PMD_STRIDES",
        "EVERYTHING",
        "ONE_SIZE",
        "PMD_TOO",
        "PAIR_STRIDES",
        "WHOLE_STRIDES",
        "EMPTY_TOO",
    )
}
CALLS = {
    getattr(ops, f"CALL_{name}"): name.lower()
    for name in (
        "FLUSH",
        "SYNC",
        "HYPERCALL",
        "BROADCAST",
        "TRANSITION",
        "INVALIDATE",
        "LEAVE",
        "RCU",
        "BARRIER",
        "KERNEL",
        "INVALIDATE_MASKED",
    )
}
NOTES = {getattr(ops, name): name for name in dir(ops) if name.startswith("NOTE_")}
UNITS = {
    getattr(ops, name): name for name in ("PER_REQUEST", "PER_STRIDE", "PER_RANGE_DIGIT", "PER_ODD_STRIDE")
}
UNIT_FLAGS = {
    getattr(ops, name): name
    for name in (
        "PER_TARGET",
        "PER_PMD",
        "PER_CALL_BELOW",
        "ONE_STRIDE",
        "MORE_STRIDES",
        "BROADCASTS",
        "IN_MASK",
    )
}
MEMORY = {ops.SC: "sc", ops.TSO: "tso", ops.WEAK: "weak"}
#: The pages of a single entry that is declared without any: every flush of its mm reaches it.
EVERY_PAGE = (0, 2**32 - 1)
ASIDS = {0: "own", 1: "transition", 2: "global"}


def named(bits: int, names: dict[int, str]) -> frozenset[str]:
    """Read a number whose bits have names."""
    assert bits & ~sum(names) == 0, f"bits {bits:#x} without a name"
    return frozenset(name for bit, name in names.items() if bits & bit)


def scope(number: int) -> Scope:
    assert number & ~ops.SCOPE_MASK == 0
    return Scope(
        bool(number & ops.SCOPE_LEAF),
        bool(number & ops.SCOPE_WALK),
        bool(number & ops.SCOPE_FORCED),
        bool(number & ops.SCOPE_AT_VA),
    )


def pages(lo: int, hi: int, how: int) -> Pages:
    apart = 1 << how % ops.ONE_SIZE
    return Pages(lo, hi, apart, bool(how & ops.ONE_SIZE), bool(how & ops.PMD_TOO))


def buffered(machine: Machine, number: int, value: int) -> tuple[Where, int | None]:
    """Read a store: the number is that of a variable, from one, or counts on into links and entries of tables."""
    layout = machine.layout
    cell = layout.o_variable + number - 1
    if cell < layout.o_variable + layout.variables:
        return ("variable", number - 1, 0), value
    if cell >= layout.o_entry:
        assert cell < layout.o_entry + layout.classes * layout.atoms
        return ("entry", *divmod(cell - layout.o_entry, layout.atoms)), value
    assert layout.o_pud <= cell < layout.o_pud + layout.mms * layout.slots
    return ("link", *divmod(cell - layout.o_pud, layout.slots)), _less(value)


def _operand(step: str, operand: Operand, value: int) -> Any:
    if operand.kind is Kind.FLAGS:
        return named(value, FLAGS)
    if operand.kind is Kind.CLEARED:
        return named(value, LEVELS)
    if operand.kind is Kind.HOW:
        return named(value, HOW)
    if operand.kind is Kind.SCOPE:
        return scope(value)
    if operand.kind is Kind.CALL:
        return CALLS[value]
    if operand.kind is Kind.INDEX:
        return value - 1 if value else None
    if operand.kind is Kind.READ_OR_NONE:
        return value if value >= 0 else None
    if step == "EXECUTE" and operand.name == "per":
        return {UNITS[value & 3]} | named(value & ~3, UNIT_FLAGS)
    if step == "EXECUTE" and operand.name == "cost":
        return COST_NAMES[value] if value >= 0 else None
    if step == "NOTE" and operand.name == "what":
        return NOTES[value]
    return value


@cache
def _step(numbers: tuple[int, ...], cost: int) -> SimpleNamespace:
    """Read one step: its name, its cost, and its operands by their names in the table of steps."""
    row = STEPS[numbers[0]]
    found = SimpleNamespace(name=row.name, charge=(*COST_NAMES, NANOSECOND)[cost] if cost >= 0 else None)
    placed = row.placed()
    for n, (place, operand) in enumerate(placed):
        if operand.unused:
            continue
        value = numbers[place]
        above = placed[n + 1][1].above if n + 1 < len(placed) else 0
        value = value >> operand.above if operand.above else value & ((1 << above) - 1) if above else value
        setattr(found, operand.name, _operand(row.name, operand, value))
    if found.name == "WORK":
        found.times = numbers[2]
    return found


def read_rules(machine: Machine) -> Rules:
    """Read what stays the same."""
    layout, code = machine.layout, machine.code
    rows = code.steps.reshape(-1, 5).tolist()
    at, state = layout.o_owner, machine.state.tolist()
    spans = [
        tuple(state[start : start + arrays.SPAN_CELLS])
        for start in range(
            layout.o_span, layout.o_span + layout.entries * arrays.SPAN_CELLS, arrays.SPAN_CELLS
        )
    ]
    atoms = range(layout.o_atom, layout.o_atom + layout.atoms * arrays.ATOM_CELLS, arrays.ATOM_CELLS)
    return Rules(
        program=tuple(_step(tuple(row), cost) for row, cost in zip(rows, code.cost.tolist(), strict=True)),
        lists=tuple(code.lists.tolist()),
        slots=layout.slots,
        slot_pages=layout.slot_pages,
        spans={"pte": 1, "pmd": 2**layout.pmd_shift, "pud": 2**layout.pud_shift, "p4d": 2**layout.p4d_shift},
        clear_on_switch=bool(layout.clear_on_switch),
        lazy_tlb=bool(layout.lazy_tlb),
        tagged=bool(layout.tagged),
        memory=MEMORY[layout.memory],
        buffer=layout.stores,
        owners=tuple(state[at : at + layout.entries]),
        entry_pages=tuple(None if span == EVERY_PAGE else span for span in spans),
        atoms=tuple(tuple(state[start : start + arrays.ATOM_CELLS]) for start in atoms),
        walks=bool(layout.walks),
        most_strides=layout.most,
        walk_cache=bool(layout.walk_cache),
        hardware_walks=bool(layout.hardware_walks),
    )


def read_world(machine: Machine, rules: Rules, state: Any | None = None) -> World:
    """Read a state; the first one if none is given."""
    layout = machine.layout
    cells = [int(cell) for cell in (machine.state if state is None else state)[: layout.size]]

    def cpus_in(start: int) -> frozenset[int]:
        return frozenset(
            n for n in range(layout.cpus) if cells[start + n // layout.bits] >> n % layout.bits & 1
        )

    def of_machine(name: str) -> frozenset[int]:
        return cpus_in(layout.o_sets + arrays.CPU_SETS.index(name) * layout.words)

    def of_mm(mm: int, name: str) -> frozenset[int]:
        return cpus_in(
            layout.o_mmset + (mm * len(arrays.MM_SETS) + arrays.MM_SETS.index(name)) * layout.words
        )

    def part(at: int, names: tuple[str, ...]) -> dict[str, int]:
        return dict(zip(names, cells[at : at + len(names)], strict=True))

    sets = {name: of_machine(name) for name in arrays.CPU_SETS}
    cpus = []
    for n in range(layout.cpus):
        own = part(layout.o_cpu + n * arrays.CPU_CELLS, arrays.CPU_PARTS)
        asids = cells[layout.o_asid + n * layout.asids : layout.o_asid + (n + 1) * layout.asids]
        row = layout.o_store + n * layout.stores * arrays.STORE_CELLS
        stores = [part(row + i * arrays.STORE_CELLS, arrays.STORE_PARTS) for i in range(layout.stores)]
        kept = [buffered(machine, s["variable"], s["value"]) for s in stores if s["variable"]]
        assert all(s["variable"] == 0 for s in stores[len(kept) :]), "a gap in a store buffer"
        cpus.append(
            Cpu(
                task=_less(own["task"]),
                loaded=_less(own["loaded_mm"]),
                lazy=n in sets["lazy"],
                online=n in sets["online"],
                irq_off=n in sets["irq_off"],
                walking=n in sets["walking"],
                preempted=n in sets["preempted"],
                flush_on_entry=n in sets["flush_on_entry"],
                call=CALLS.get(own["call"] & ops.CALL_MASK),
                scope=scope(own["call"] >> ops.SCOPE_SHIFT),
                about=_less(own["call_mm"]),
                generation=own["call_gen"],
                strides=own["call_strides"],
                pages=pages(own["call_lo"], own["call_hi"], own["call_how"]),
                targets=cpus_in(layout.o_out + n * layout.words),
                asids=tuple(_less(mm) for mm in asids),
                next_asid=own["next_asid"],
                stores=tuple(kept),
                tlb=tuple(cells[layout.o_tlb + n * layout.entries : layout.o_tlb + (n + 1) * layout.entries]),
                user=n in sets["user"],
                **_held(machine, cells, n),
            )
        )
    mms = []
    for n in range(layout.mms):
        own = part(layout.o_mm + n * arrays.MM_CELLS, arrays.MM_PARTS)
        late, later = of_mm(n, "behind"), of_mm(n, "far_behind")
        loaded = of_mm(n, "loaded")
        assert loaded == {i for i, cpu in enumerate(cpus) if cpu.loaded == n}, (
            "two words on who has it loaded"
        )
        flushed = [own["generation"] - (2 if i in late & later else i in late) for i in range(layout.cpus)]
        pud = cells[layout.o_pud + n * layout.slots : layout.o_pud + (n + 1) * layout.slots]
        mms.append(
            Mm(
                generation=own["generation"],
                flushed=flushed,
                pending=own["pending"],
                asid=ASIDS[own["global"]],
                trim_due=bool(own["trim"]),
                consider=bool(own["consider"]),
                cpumask=of_mm(n, "mask"),
                leaf=of_mm(n, "leaf"),
                walk=of_mm(n, "walk"),
                stale_leaf=of_mm(n, "stale_leaf"),
                stale_walk=of_mm(n, "stale_walk"),
                pud=[_less(table) for table in pud],
            )
        )
    tasks = []
    for n in range(layout.tasks):
        start = layout.o_task + n * arrays.TASK_CELLS
        own = part(start, arrays.TASK_PARTS)
        gathers = []
        for g in range(ops.GATHERS):
            one = part(start + arrays.T_GATHER + g * arrays.GATHER_CELLS, arrays.GATHER_PARTS)
            gathers.append(
                Gather(
                    one["lo"],
                    one["hi"],
                    named(one["flags"], FLAGS),
                    named(one["cleared"], LEVELS),
                    one["tables"],
                )
            )
        tasks.append(
            Task(
                at=own["step"],
                mm=_less(own["mm"]),
                home=own["home"] if own["home"] < layout.cpus else None,
                on=_less(own["on"]),
                registers=cells[start + arrays.T_REG : start + arrays.T_REG + ops.REGISTERS],
                gathers=gathers,
            )
        )
    tables = {}
    for kind in range(layout.classes):
        for slot in range(layout.slots):
            state_of = cells[layout.o_state + kind * layout.slots + slot]
            tables[(kind, slot)] = Table(
                cells[layout.o_share + kind * layout.slots + slot],
                state_of & ops.TABLE_MASK,
                _less(state_of >> ops.TABLE_OWNER_SHIFT),
            )
    locks = [part(layout.o_lock + n * arrays.LOCK_CELLS, arrays.LOCK_PARTS) for n in range(layout.locks)]
    return World(
        rules=rules,
        cpus=cpus,
        mms=mms,
        tasks=tasks,
        tables=tables,
        locks=[(bool(lock["writer"]), lock["readers"]) for lock in locks],
        events=cells[layout.o_event : layout.o_event + layout.events],
        variables=cells[layout.o_variable : layout.o_variable + layout.variables],
        entries={
            (kind, atom): cells[layout.o_entry + kind * layout.atoms + atom]
            for kind in range(layout.classes)
            for atom in range(layout.atoms)
        },
        frames=cells[layout.o_frame : layout.o_frame + layout.frames],
    )


def _held(machine: Machine, cells: list[int], cpu: int) -> dict[str, Any]:
    """Read what a CPU may hold: a cell for each mm and atom, and one for each mm and slot."""
    layout = machine.layout
    translations, links, dead_translations, dead_links = set(), set(), set(), set()
    for mm in range(layout.mms if layout.walks else 0):
        for atom in range(layout.atoms):
            cell = cells[layout.o_held + (cpu * layout.mms + mm) * layout.atoms + atom]
            for frame in range(layout.frames):
                translations |= {(mm, atom, frame, "read")} if cell >> frame & 1 else set()
                translations |= {(mm, atom, frame, "write")} if cell >> layout.frames + frame & 1 else set()
            assert cell >> 2 * layout.frames in (0, 1)
            dead_translations |= {(mm, atom)} if cell >> 2 * layout.frames else set()
        for slot in range(layout.slots):
            cell = cells[layout.o_links + (cpu * layout.mms + mm) * layout.slots + slot]
            links |= {(mm, slot, kind) for kind in range(layout.classes) if cell >> kind & 1}
            assert cell >> layout.classes in (0, 1)
            dead_links |= {(mm, slot)} if cell >> layout.classes else set()
    return {
        "translations": frozenset(translations),
        "links": frozenset(links),
        "dead_translations": frozenset(dead_translations),
        "dead_links": frozenset(dead_links),
    }


def _less(number: int) -> int | None:
    """Read a number that is counted from one, 0 for none."""
    return number - 1 if number else None
