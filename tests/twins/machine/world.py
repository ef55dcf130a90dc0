"""The twin's own picture of a machine: CPUs, address spaces, tasks, gathers, locks, each a plain Python object.

Written from the words of the step table and from the kernel's structures, for tests. It shares nothing with core: no
flat array, no offsets, no words of bits. A CPU keeps, as the kernel does, the generation up to which it has flushed.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from types import SimpleNamespace

NOBODY: frozenset[int] = frozenset()
NO_NAMES: frozenset[str] = frozenset()
#: Registers that steps use without naming them.
SLOT, CLASS, SCRATCH = 1, 2, 3
#: Bits of a single page-table entry.
PRESENT, WRITABLE, DIRTY = 1, 2, 4
FRAMES = 3  # above them, a bit for each frame that an entry maps
HUGE = 1 << 15  # above all frames: a link with it is the entry of a huge page
GENERATIONS = 128  # what core keeps of a generation


@dataclass(frozen=True, slots=True)
class Scope:
    """What a flush drops: translations, walk-cache entries, and of these only those that lead to its addresses."""

    leaf: bool = False
    walk: bool = False
    forced: bool = False
    at_va: bool = False

    @property
    def nothing(self) -> bool:
        return not (self.leaf or self.walk or self.forced or self.at_va)


NO_SCOPE = Scope()
ALL = Scope(leaf=True, walk=True)


@dataclass(frozen=True, slots=True)
class Pages:
    """What the instructions of a flush name: one base page in `apart`, from `lo` on and below `hi`.

    They may name a page size too, that of `apart`, and then leave translations of other sizes alone; `pmd_too`: those
    of huge pages go besides.
    """

    lo: int = 0
    hi: int = 0
    apart: int = 1
    one_size: bool = False
    pmd_too: bool = False

    def names(self, first: int, end: int) -> bool:
        """Whether one of the named addresses lies between two pages."""
        return any(first <= page < end for page in range(self.lo, min(self.hi, end), self.apart))


NO_PAGES = Pages()
#: Where a buffered store goes: a variable, the PUD entry of an mm and slot, the entry of an atom in a class's table.
Where = tuple[str, int, int]


@dataclass(slots=True)
class Gather:
    """struct mmu_gather, as far as flushes read it."""

    lo: int = 0
    hi: int = 0
    flags: frozenset[str] = NO_NAMES
    cleared: frozenset[str] = NO_NAMES
    tables: int = 0

    def facts(self) -> Hashable:
        return (self.lo, self.hi, self.flags, self.cleared, self.tables)


@dataclass(slots=True)
class Task:
    """A task: where it is, whose it is, and what its kernel work collects."""

    at: int
    mm: int | None
    home: int | None  # None: fork() chooses
    on: int | None
    registers: list[int]
    gathers: list[Gather]

    def facts(self) -> Hashable:
        return (
            self.at,
            self.mm,
            self.home,
            self.on,
            tuple(self.registers),
            tuple([g.facts() for g in self.gathers]),
        )


@dataclass(slots=True)
class Cpu:
    """A CPU: cpu_tlbstate, the call that it sends, its store buffer, and what it may hold.

    It holds copies of single entries, translations of atoms (mm, atom, frame, `read` or `write`) and links to tables
    (mm, slot, class). Of an atom or a slot with something dead only that is known.
    """

    task: int | None = None
    loaded: int | None = None
    lazy: bool = False
    online: bool = True
    irq_off: bool = False
    walking: bool = False
    preempted: bool = False
    flush_on_entry: bool = False
    call: str | None = None
    scope: Scope = NO_SCOPE
    about: int | None = None  # the mm of the call
    generation: int = 0  # new_tlb_gen of the call
    strides: int = 0  # 0: everything
    pages: Pages = NO_PAGES  # what these strides name
    targets: frozenset[int] = NOBODY  # CPUs at which the call is pending
    asids: tuple[int | None, ...] = ()
    next_asid: int = 0
    stores: tuple[tuple[Where, int | None], ...] = ()
    tlb: tuple[int, ...] = ()
    user: bool = False
    translations: frozenset[tuple[int, int, int, str]] = frozenset()
    links: frozenset[tuple[int, int, int]] = frozenset()
    dead_translations: frozenset[tuple[int, int]] = frozenset()  # (mm, atom)
    dead_links: frozenset[tuple[int, int]] = frozenset()  # (mm, slot)
    loaded_root: bool = False  # whether exec() loaded a page-table root, until that is counted

    def facts(self) -> Hashable:
        return (
            self.task,
            self.loaded,
            self.lazy,
            self.online,
            self.irq_off,
            self.walking,
            self.preempted,
            self.flush_on_entry,
            self.call,
            self.scope,
            self.about,
            self.generation % GENERATIONS,
            self.strides,
            self.pages,
            self.targets,
            self.asids,
            self.next_asid,
            self.stores,
            self.tlb,
            self.user,
            self.translations,
            self.links,
            self.dead_translations,
            self.dead_links,
        )


@dataclass(slots=True)
class Mm:
    """struct mm_struct with its mm_context_t, and which CPUs' TLBs may hold what of it."""

    generation: int = 0  # tlb_gen
    flushed: list[int] = field(default_factory=list)  # by CPU: the generation up to which it has flushed
    pending: int = 0  # tlb_flush_pending
    asid: str = "own"  # `own` of each CPU, in `transition` to a global one, `global`
    trim_due: bool = False
    consider: bool = False
    cpumask: frozenset[int] = NOBODY
    leaf: frozenset[int] = NOBODY  # CPUs whose TLB may hold translations of it
    walk: frozenset[int] = NOBODY  # CPUs whose walk cache may
    stale_leaf: frozenset[int] = NOBODY  # of those, who may hold what was cleared since
    stale_walk: frozenset[int] = NOBODY
    pud: list[int | None] = field(default_factory=list)  # by slot: the class of the table

    def behind(self, cpu: int) -> int:
        """By how many generations a CPU is behind: two stand for more, as the handler asks no further."""
        return min(self.generation - self.flushed[cpu], 2)

    def facts(self) -> Hashable:
        return (
            self.generation % GENERATIONS,
            tuple([self.behind(cpu) for cpu in range(len(self.flushed))]),
            self.pending,
            self.asid,
            self.trim_due,
            self.consider,
            self.cpumask,
            self.leaf,
            self.walk,
            self.stale_leaf,
            self.stale_walk,
            tuple(self.pud),
        )


@dataclass(slots=True)
class Table:
    """A PMD table and its page: how many processes map it, what the page is used for, by whose doing."""

    sharers: int = 0
    use: int = 0  # 0 a shared table, 1 used anew, 2 freed
    owner: int | None = None

    def facts(self) -> Hashable:
        return (self.sharers, self.use, self.owner)


@dataclass(frozen=True)
class Rules:
    """What stays the same while a machine runs."""

    program: tuple[SimpleNamespace, ...]
    lists: tuple[int, ...]
    slots: int
    slot_pages: int  # base pages that a PUD entry spans
    spans: dict[str, int]  # base pages that an entry of a level spans
    clear_on_switch: bool
    lazy_tlb: bool
    tagged: bool
    memory: str  # `sc`, `tso`, `weak`
    buffer: int  # the stores that fit in a CPU's store buffer
    owners: tuple[int, ...]  # of single entries: their mms
    entry_pages: tuple[
        tuple[int, int] | None, ...
    ]  # and the pages that each maps; None: those of every flush
    atoms: tuple[tuple[int, int, int], ...]  # the slot of each, and its pages
    walks: bool  # CPUs hold what their walkers could read: links, and translations of atoms
    most_strides: int
    walk_cache: bool  # links are kept from one walk to the next
    hardware_walks: bool  # otherwise a miss traps, and its handler walks all at once


@dataclass(slots=True)
class World:
    """A machine at one moment."""

    rules: Rules
    cpus: list[Cpu]
    mms: list[Mm]
    tasks: list[Task]
    tables: dict[tuple[int, int], Table]  # by class and slot
    locks: list[tuple[bool, int]]  # held by a writer; how many readers
    events: list[int]
    variables: list[int]
    entries: dict[tuple[int, int], int] = field(default_factory=dict)  # by class and atom
    frames: list[int] = field(default_factory=list)  # references to each
    failed: int = -1  # the invariant that a FAIL step named
    did: str = ""  # what FLUSH_SELF did last: `all`, `range`, `left` or nothing

    def clone(self) -> World:
        return World(
            self.rules,
            [replace_cpu(cpu) for cpu in self.cpus],
            [replace_mm(mm) for mm in self.mms],
            [
                Task(
                    t.at,
                    t.mm,
                    t.home,
                    t.on,
                    t.registers.copy(),
                    [Gather(g.lo, g.hi, g.flags, g.cleared, g.tables) for g in t.gathers],
                )
                for t in self.tasks
            ],
            {name: Table(t.sharers, t.use, t.owner) for name, t in self.tables.items()},
            self.locks.copy(),
            self.events.copy(),
            self.variables.copy(),
            self.entries.copy(),
            self.frames.copy(),
        )

    def facts(self) -> Hashable:
        """All of it as one value that can be compared and kept in a set."""
        return (
            tuple([cpu.facts() for cpu in self.cpus]),
            tuple([mm.facts() for mm in self.mms]),
            tuple([task.facts() for task in self.tasks]),
            tuple([table.facts() for table in self.tables.values()]),
            tuple(self.locks),
            tuple(self.events),
            tuple(self.variables),
            tuple(self.entries.values()),
            tuple(self.frames),
        )

    def loaded(self, mm: int) -> frozenset[int]:
        """The CPUs that have an mm loaded."""
        return frozenset([n for n, cpu in enumerate(self.cpus) if cpu.loaded == mm])

    def lazy(self) -> frozenset[int]:
        return frozenset([n for n, cpu in enumerate(self.cpus) if cpu.lazy])


def replace_cpu(c: Cpu) -> Cpu:
    return Cpu(
        c.task,
        c.loaded,
        c.lazy,
        c.online,
        c.irq_off,
        c.walking,
        c.preempted,
        c.flush_on_entry,
        c.call,
        c.scope,
        c.about,
        c.generation,
        c.strides,
        c.pages,
        c.targets,
        c.asids,
        c.next_asid,
        c.stores,
        c.tlb,
        c.user,
        c.translations,
        c.links,
        c.dead_translations,
        c.dead_links,
    )


def replace_mm(m: Mm) -> Mm:
    return Mm(
        m.generation,
        m.flushed.copy(),
        m.pending,
        m.asid,
        m.trim_due,
        m.consider,
        m.cpumask,
        m.leaf,
        m.walk,
        m.stale_leaf,
        m.stale_walk,
        m.pud.copy(),
    )
