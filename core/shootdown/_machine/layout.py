"""The layout of the machine's state, which is one flat array.

The same layout serves both engines: `int64` cells and 64 CPUs in a word for a timed run, `uint32` cells and 16 CPUs
in a word for exploration. Ranges of addresses are `[lo, hi)` in base pages everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shootdown._compilation.typed import compiled_type, words_of
from shootdown._machine import ops
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: The most cells of a state: 2 GiB in a timed run, and as much for the copy that runs.
MOST_CELLS = 1 << 28
#: CPUs in a word of a set in timed runs.
WIDE = 64
#: The last page that an entry may map, in base pages; an entry of so many pages is one that every flush reaches.
MOST_PAGES = (1 << 32) - 1
#: Sets of CPUs that exist once in the machine.
CPU_SETS = ("online", "irq_off", "lazy", "preempted", "flush_on_entry", "walking", "user")
#: Sets of CPUs that exist once for each mm.
MM_SETS = ("mask", "loaded", "behind", "far_behind", "leaf", "walk", "stale_leaf", "stale_walk")

#: The cells of a CPU: the task that it runs, the mm that is loaded, the call that it sends (kind and scope, mm,
#: tlb_gen, strides with 0 for everything, the pages that these strides reach, how its instructions name them), the ASID
#: that it gives out next. How: log2 of the pages from each stride to the next in the bits of `ranges.SHIFT`, and above
#: them which page sizes go, `ops.ONE_SIZE` and `ops.PMD_TOO`.
CPU_PARTS = (
    "task",
    "loaded_mm",
    "call",
    "call_mm",
    "call_gen",
    "call_strides",
    "call_lo",
    "call_hi",
    "call_how",
    "next_asid",
)
CPU_CELLS = len(CPU_PARTS)
(
    CPU_TASK,
    CPU_MM,
    CPU_CALL,
    CPU_CALL_MM,
    CPU_CALL_GEN,
    CPU_CALL_STRIDES,
    CPU_CALL_LO,
    CPU_CALL_HI,
    CPU_CALL_HOW,
    CPU_NEXT_ASID,
) = range(CPU_CELLS)
#: The cells of a gather: its range, its flags, levels at which entries were cleared, tables queued to be freed.
GATHER_PARTS = ("lo", "hi", "flags", "cleared", "tables")
GATHER_CELLS = len(GATHER_PARTS)
G_LO, G_HI, G_FLAGS, G_CLEARED, G_TABLES = range(GATHER_CELLS)
#: The first cells of a task: its step, current->mm, its home CPU, the mm that its kernel work is on. Its registers and
#: gathers follow.
TASK_PARTS = ("step", "mm", "home", "on")
T_PC, T_MM, T_CPU, T_ON = range(len(TASK_PARTS))
T_REG = len(TASK_PARTS)
T_GATHER = T_REG + ops.REGISTERS
TASK_CELLS = T_GATHER + ops.GATHERS * GATHER_CELLS
#: The cells of an mm: tlb_gen, gathers under way, its global ASID (1: in transition to it, 2: in use), whether trimming
#: of mm_cpumask is due, whether a global ASID may be considered.
MM_PARTS = ("generation", "pending", "global", "trim", "consider")
MM_CELLS = len(MM_PARTS)
M_GEN, M_PENDING, M_GLOBAL, M_TRIM, M_CONSIDER = range(MM_CELLS)
#: The cells of a buffered store: its variable (from one; 0: free), its value.
STORE_PARTS = ("variable", "value")
STORE_CELLS = len(STORE_PARTS)
#: The cells of the pages that a single entry maps.
SPAN_PARTS = ("lo", "hi")
SPAN_CELLS = len(SPAN_PARTS)
#: The cells of an atom: its slot, and the pages that its entry maps.
ATOM_PARTS = ("slot", "lo", "hi")
ATOM_CELLS = len(ATOM_PARTS)
A_SLOT, A_LO, A_HI = range(ATOM_CELLS)
#: The cells of a lock.
LOCK_PARTS = ("writer", "readers")
LOCK_CELLS = len(LOCK_PARTS)
K_WRITER, K_READERS = range(LOCK_CELLS)


@compiled_type("shootdown._compilation.backend.sizes_type:teach")
class Layout(NamedTuple):
    """Sizes, offsets and rules of one machine; every field is a plain integer so that kernels can take it.

    Args:
        cpus, tasks, mms, slots, classes, locks, events, asids: the number of each. A slot is one PUD entry of
            an address space; a class is one kind of PMD table that a slot's entry can point to. Table
            `class * slots + slot` is one page.
        bits, shift: CPUs in one word of a bitmap: a power of two, and its logarithm.
        words: words in a bitmap.
        slot_pages: base pages in a slot.
        pmd_shift, pud_shift, p4d_shift: log2 of base pages that an entry of this level spans.
        clear_on_switch: a CPU that switches to another mm leaves the mm_cpumask of the old one.
        lazy_tlb: an idle CPU keeps its last mm loaded (lazy TLB mode).
        tagged: translations of an mm survive a switch to another mm (PCID, ASID).
        variables, entries: memory that scenarios name. The first `entries` variables are single page-table entries:
            entries modelled one by one, each with the pages that it maps and a copy in each CPU's TLB.
        atoms, frames: of an explored program: ranges of addresses that it treats alike, and frames that they map. A
            table has an entry for each atom of its slot.
        walks: walk caches hold the links that the CPUs' walkers could read; with atoms they always do.
        walk_cache: walkers keep links to tables from one walk to the next; where they don't, any invalidation of the mm
            on a CPU ends the walk that is under way there.
        hardware_walks: hardware walks tables by itself, at any moment and on lazy CPUs too. Otherwise a miss traps, and
            a handler walks with interrupts off: only where the mm runs, and no link outlives it.
        stores: the capacity of a CPU's store buffer.
        memory: `ops.SC`, `TSO` or `WEAK`.
        by_task: a request in progress belongs to its task: its cells are those of the CPU of that number, wherever the
            task runs. Otherwise it belongs to the CPU.
        most: the largest number that a cell holds; larger numbers of strides are stored as this one.
    """

    cpus: int
    tasks: int
    mms: int
    slots: int
    classes: int
    locks: int
    events: int
    asids: int
    bits: int
    shift: int
    words: int
    slot_pages: int
    pmd_shift: int
    pud_shift: int
    p4d_shift: int
    clear_on_switch: int
    lazy_tlb: int
    tagged: int
    variables: int
    entries: int
    atoms: int
    frames: int
    walks: int
    walk_cache: int
    hardware_walks: int
    stores: int
    memory: int
    by_task: int
    most: int
    o_cpu: int
    o_asid: int
    o_sets: int
    o_out: int
    o_task: int
    o_mm: int
    o_mmset: int
    o_share: int
    o_state: int
    o_lock: int
    o_event: int
    o_variable: int
    o_pud: int
    o_entry: int
    o_owner: int
    o_span: int
    o_atom: int
    o_frame: int
    o_held: int
    o_tlb: int
    o_store: int
    o_links: int
    size: int

    @property
    def packed(self) -> bytes:
        """The fields as 64-bit words, for compiled kernels."""
        return words_of(self)


def make_layout(
    *,
    cpus: int,
    tasks: int,
    mms: int,
    slots: int,
    classes: int,
    locks: int,
    events: int,
    asids: int,
    bits: int,
    slot_pages: int,
    shifts: tuple[int, int, int],
    clear_on_switch: bool,
    lazy_tlb: bool,
    tagged: bool,
    variables: int = 0,
    entries: int = 0,
    atoms: int = 0,
    frames: int = 0,
    walk_cache: bool = True,
    hardware_walks: bool = True,
    stores: int = 0,
    memory: int = ops.SC,
) -> Layout:
    """Lay out a machine of the given sizes; see `Layout` for the arguments."""
    words = -(-cpus // bits)
    offset = 0
    starts = {}
    for name, cells in (
        ("o_cpu", cpus * CPU_CELLS),
        ("o_asid", cpus * asids),
        ("o_sets", len(CPU_SETS) * words),
        ("o_out", cpus * words),
        ("o_task", tasks * TASK_CELLS),
        ("o_mm", mms * MM_CELLS),
        ("o_mmset", mms * len(MM_SETS) * words),
        ("o_share", slots * classes),
        ("o_state", slots * classes),
        ("o_lock", locks * LOCK_CELLS),
        ("o_event", events),
        # Memory: a store buffer names its cells by their distance from the first variable.
        ("o_variable", variables),
        ("o_pud", mms * slots),
        ("o_entry", classes * atoms),
        ("o_owner", entries),  # the mm that each entry belongs to
        ("o_span", entries * SPAN_CELLS),  # the pages that it maps
        ("o_atom", atoms * ATOM_CELLS),
        ("o_frame", frames),  # the references to each
        ("o_held", cpus * mms * atoms),
        ("o_tlb", cpus * entries),
        ("o_store", cpus * stores * STORE_CELLS),
        ("o_links", cpus * mms * slots if atoms else 0),  # last: `with_walkers` adds them
    ):
        starts[name] = offset
        offset += cells
    return Layout(
        cpus=cpus,
        tasks=tasks,
        mms=mms,
        slots=slots,
        classes=classes,
        locks=locks,
        events=events,
        asids=asids,
        bits=bits,
        shift=bits.bit_length() - 1,
        words=words,
        slot_pages=slot_pages,
        pmd_shift=shifts[0],
        pud_shift=shifts[1],
        p4d_shift=shifts[2],
        clear_on_switch=int(clear_on_switch),
        lazy_tlb=int(lazy_tlb),
        tagged=int(tagged),
        variables=variables,
        entries=entries,
        atoms=atoms,
        frames=frames,
        walks=int(atoms > 0),
        walk_cache=int(walk_cache),
        hardware_walks=int(hardware_walks),
        stores=stores,
        memory=memory,
        by_task=0,
        most=_most(bits),
        size=padded(offset),
        **starts,
    )


def with_cells(layout: Layout, bits: int) -> Layout:
    """Return the layout with wider cells at unchanged places.

    Each word of a set still holds as many CPUs as before, which also says that it is a machine to explore: sums stay as
    small as they are there (`variables.largest`).
    """
    if bits < layout.bits:
        raise AssertionError("cells only get wider")
    return layout._replace(most=_most(bits))


def with_walkers(layout: Layout) -> Layout:
    """Return the layout of a machine whose walk caches hold links; they come behind all other parts of the state."""
    links = layout.cpus * layout.mms * layout.slots
    return layout._replace(walks=1, size=padded(layout.o_links + links))


def padded(cells: int) -> int:
    """Return the size of a state with room for so many cells."""
    return -(-cells // 8) * 8


def _most(bits: int) -> int:
    """The largest number that a cell holds, by the CPUs in a word of a set."""
    return (1 << (62 if bits == WIDE else 32)) - 1


def refuse_large(mms: int, slots: int, cells: int) -> None:
    """Refuse a machine whose state would fill the memory.

    Args:
        mms, slots: address spaces, and PUD entries in each.
        cells: of the whole state, or of its largest part.

    Raises:
        ShootdownError: there are more than `MOST_CELLS`.
    """
    if cells > MOST_CELLS:
        raise ShootdownError(
            f"a machine of {mms:,} address spaces with {slots:,} PMD tables each has {cells:,} cells of state; the "
            f"most are {MOST_CELLS:,}: ask for fewer processes or tables"
        )


def empty_state(layout: Layout, dtype: npt.DTypeLike = "int64") -> npt.NDArray[np.int64]:
    """Make a state in which every CPU is online and idle and nothing is mapped.

    Raises:
        ShootdownError: it has more than `MOST_CELLS`.
    """
    import numpy as np

    refuse_large(layout.mms, layout.slots, layout.size)
    state = np.zeros(layout.size, dtype)
    for cpu in range(layout.cpus):
        set_cpu(state, layout, "online", cpu)
    return state


def set_cpu(state: npt.NDArray[np.int64], layout: Layout, name: str, cpu: int) -> None:
    """Put a CPU into one of the machine's sets."""
    at = layout.o_sets + CPU_SETS.index(name) * layout.words + cpu // layout.bits
    state[at] |= _bit(layout, cpu)


def cpus_of(state: npt.NDArray[np.int64], layout: Layout, name: str, mm: int | None = None) -> list[int]:
    """List the CPUs in a set of the machine, or of an mm."""
    if mm is None:
        at = layout.o_sets + CPU_SETS.index(name) * layout.words
    else:
        at = layout.o_mmset + (mm * len(MM_SETS) + MM_SETS.index(name)) * layout.words
    return [
        cpu for cpu in range(layout.cpus) if int(state[at + cpu // layout.bits]) >> (cpu % layout.bits) & 1
    ]


def _bit(layout: Layout, cpu: int) -> int:
    """The bit of a CPU in its word, as a signed cell holds it."""
    bit = 1 << (cpu % layout.bits)
    return bit - (1 << 64) if bit == 1 << 63 else bit
