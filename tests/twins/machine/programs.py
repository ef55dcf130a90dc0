"""Random programs on a memory of atoms: calls as the kernel makes them, or steps in no order that a kernel has."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.call_parts import SCRATCH
from shootdown._mm.gup import Gup
from shootdown._mm.model import Model
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import INVARIANTS
from shootdown._values.setup import Setup

FRAMES = 3
#: Steps of a task at most: few, so that all states are found, or many for a walk.
LENGTHS = (3, 4, 5, 6, 12)
#: Levels at which a request says that entries were cleared.
_LEVELS = (o.CLEARED_PTES, o.CLEARED_PMDS, o.CLEARED_PTES | o.CLEARED_PMDS, 0)

#: Kinds of steps; some come twice, as they matter more.
_KINDS = tuple(
    (  # noqa: SIM905
        "load store copy xchg queue note note gone gone put get user table link clear set populate state touch fence"
        " flush flush own own"
    ).split()
)


@attrs.frozen
class Memory:
    """A program's atoms: small ones, and one that is a whole page of a PMD entry.

    `left`: of the references to each frame, those that no step drops or needs.
    """

    model: Model
    small: tuple[int, ...]
    huge: int
    left: list[int]

    @property
    def atoms(self) -> tuple[int, ...]:
        return (*self.small, self.huge)


def _value(draw: random.Random) -> int:
    """Draw the value of an entry: what it says of its page, and one frame, seldom two."""
    frames = draw.choice((1, 2, 4, 1, 2, 4, 3))
    return draw.randrange(8) | frames << o.ENTRY_PAGE_SHIFT


def _memory(draw: random.Random, scene: Setup, cpus: int, mms: int, classes: int) -> Memory:
    geometry = scene.lowering.geometry
    huge = 1 << (geometry.pmd_shift - geometry.page_shift)
    # A slot is a PTE table's, whose addresses one huge page would span, or a PMD table's.
    per_slot = draw.choice((1, 2, None))
    model = Model(
        scene.kernel,
        scene.lowering,
        cpus=cpus,
        mms=mms,
        slots=2,
        classes=classes,
        slot_pages=None if per_slot is None else huge * per_slot,
    )
    pages = model.slot_pages
    left = [draw.randint(1, 3) for _ in range(FRAMES)]
    for number, references in enumerate(left):
        model.frame(references, f"frame {number}")
    beside = draw.randint(1, huge - 1)
    small = [model.atom(0, 1, "first"), model.atom(beside, beside + 1, "beside")]
    small.append(model.atom(pages, pages + draw.choice((1, 1, 2)), "of the other table"))
    last = 2 * pages - huge if pages > huge else huge
    whole = (
        model.atom(last, last + huge, "huge") if pages > huge else model.atom(last + 2, last + 3, "second")
    )
    for klass in range(classes):
        for atom in (*small, whole):
            if draw.random() < 0.7:
                model.maps(atom, _value(draw), klass)
    for mm in range(mms):
        for slot in range(2):
            if draw.random() < 0.8:
                model.populate(mm, slot, draw.randrange(classes))
    return Memory(model, tuple(small), whole, left)


def _problem(draw: random.Random, scene: Setup, model: Model) -> Problem:
    return Problem(
        machine=model.build(bits=16, memory=draw.choice((scene.memory, o.SC, o.TSO, o.WEAK))),
        invariants=INVARIANTS,
        hypervisor=scene.preempts,
    )


def drawn_calls(draw: random.Random, scene: Setup) -> Problem:
    """Draw a program whose threads make a call or two each, while another thread is in user mode."""
    threads = draw.randint(1, 3)
    geometry = scene.lowering.geometry
    pages = 1 << (geometry.pmd_shift - geometry.page_shift)
    model = Model(scene.kernel, scene.lowering, cpus=threads + 1, mms=1, slots=2, slot_pages=pages)
    page, private = model.frame(2, "the file's page"), model.frame(1, "a private page")
    old, beside = model.atom(0, 1, "old"), model.atom(draw.choice((1, 7, pages - 1)), pages, "beside")
    new = model.atom(pages, pages + 1, "new")
    for atom, frame in ((old, page), (beside, private)):
        rights = draw.choice((0, o.ENTRY_WRITABLE, o.ENTRY_WRITABLE | o.ENTRY_DIRTY))
        model.maps(atom, o.ENTRY_PRESENT | rights | 1 << o.ENTRY_PAGE_SHIFT + frame)
    for table in range(2):
        model.populate(0, table)
    calls = Ordinary(model, scene.pte_clear)
    freed: list[str] = []
    for cpu in range(threads + 1):
        model.user_mode(cpu)
        model.starts(model.task(mm=0, cpu=cpu, ready=True))
        for _ in range(draw.randint(1, 2) if cpu < threads else 0):
            _call(draw, calls, (old, beside, new), page, freed)
        model.spin()
    return _problem(draw, scene, model)


def _call(
    draw: random.Random, calls: Ordinary, atoms: tuple[int, int, int], page: int, done: list[str]
) -> None:
    """Write one call; one that frees a page or a table comes once."""
    old, beside, new = atoms
    known: dict[str, Callable[[], None]] = {
        "madvise": lambda: calls.madvise([draw.choice((old, beside))], nested=draw.random() < 0.6),
        "mprotect": lambda: calls.mprotect([old, beside]),
        "gup": lambda: Gup(calls).gup_fast(draw.choice(atoms)),
        "mremap": lambda: calls.mremap(old, new, flushes_locked=draw.random() < 0.6),
        "truncate": lambda: calls.truncate([old, new], page),
        "munmap": lambda: calls.munmap([old, beside], tables=draw.choice(([], [0]))),
    }
    once = ("mremap", "truncate", "munmap")
    if "munmap" in done:  # the tables that mremap() would write to are gone
        once = (*once, "mremap")
    name = draw.choice([name for name in known if name not in once or name not in done])
    done.append(name)
    if name == "munmap":
        done.append("mremap")
    known[name]()


def drawn_steps(draw: random.Random, scene: Setup) -> Problem:
    """Draw a program whose tasks take steps on memory and flush ranges, in no order that a kernel has."""
    cpus, mms, classes = draw.randint(2, 3), draw.randint(1, 2), draw.randint(1, 2)
    memory = _memory(draw, scene, cpus, mms, classes)
    model = memory.model
    longest = draw.choice(LENGTHS)
    for cpu in range(cpus):
        if draw.random() < 0.3:
            model.user_mode(cpu)
        model.starts(model.task(mm=cpu % mms, cpu=cpu, ready=True))
        model.asm.set(o.SLOT, draw.randrange(2))
        model.asm.set(o.CLASS, draw.randint(1, classes))
        model.asm.set(o.INDEX, 0)
        model.asm.set(o.SCRATCH2, 0)
        model.asm.set(o.SCRATCH, _value(draw))
        noted: set[int] = set()
        for _ in range(draw.randint(2, longest)):
            _step(draw, memory, classes, noted)
        model.spin()
    return _problem(draw, scene, model)


def _has(memory: Memory, frames: set[int], references: int) -> bool:
    """Give a step so many references to each of some frames, if there are as many that no other step has."""
    if not all(memory.left[frame] >= references for frame in frames):
        return False
    for frame in frames:
        memory.left[frame] -= references
    return True


def _step(draw: random.Random, memory: Memory, classes: int, noted: set[int]) -> None:
    """Write one step; `noted`: the frames that register INDEX of the task may note by now."""
    asm, model = memory.model.asm, memory.model
    atom, here = draw.choice(memory.atoms), model.label()
    kind = draw.choice(_KINDS)
    match kind:
        case "load":
            asm.entry_load(o.SCRATCH, atom)
        case "store":
            asm.entry_store(atom, _value(draw))
        case "copy":
            asm.clear_bits(o.SCRATCH, draw.choice((0, o.ENTRY_WRITABLE)))
            asm.entry_store(atom, o.SCRATCH, from_register=True)
        case "xchg":
            asm.entry_xchg(atom, draw.choice((0, _value(draw))), o.SCRATCH)
        case "queue":
            if noted:  # what is noted twice loses one of two references
                frames = {frame for frame in range(FRAMES) if draw.random() < 0.5}
                if not _has(memory, frames & noted, 2):
                    return
                asm.set(o.SCRATCH, sum(1 << o.ENTRY_PAGE_SHIFT + frame for frame in frames))
                noted |= frames
            else:  # whatever an entry maps
                noted |= set(range(FRAMES))
            asm.queue_frames(o.INDEX, o.SCRATCH)
        case "note":
            asm.occupants(o.SCRATCH2, atom)
        case "gone":
            asm.right_is_gone(o.SCRATCH2, atom, writes=draw.random() < 0.5)
        case "put":
            frame = draw.randrange(FRAMES)
            if _has(memory, {frame}, 1):
                asm.set(o.SCRATCH, 1 << o.ENTRY_PAGE_SHIFT + frame)
                asm.put_frames(o.SCRATCH)
        case "get":
            if draw.random() < 0.3:
                asm.jump_referenced(o.SCRATCH, here)
            asm.get_frames(o.SCRATCH, here)
            if draw.random() < 0.5:
                asm.set(o.INDEX, 1 << o.ENTRY_PAGE_SHIFT)
                noted |= {0}
            asm.place(here)
        case "user":
            asm.user_mode(draw.random() < 0.6)
        case "table":
            asm.set(o.SLOT, draw.randrange(2))
            asm.set(o.CLASS, draw.randint(1, classes))
        case "link":
            asm.load_pud(o.INDEX)
        case "clear":
            asm.clear_pud()
        case "set":
            asm.set_pud(draw.randrange(classes))
        case "populate":
            asm.populate(draw.randrange(classes), here)
            asm.place(here)
        case "state":
            asm.table_state(draw.choice((o.TABLE_SHARED, o.TABLE_REUSED, o.TABLE_FREED)))
        case "touch":
            asm.touch()
        case "fence":
            asm.fence()
        case _:
            _flush(draw, memory, atom, own=kind == "own")


def _flush(draw: random.Random, memory: Memory, atom: int, *, own: bool) -> None:
    """Write a flush of some pages: as the architecture does, or on this CPU with whatever rules."""
    asm, model = memory.model.asm, memory.model
    lo, hi = model.pages_of(atom)
    if draw.random() < 0.7:  # otherwise walkers hold again at once what the flush dropped
        asm.entry_xchg(atom, 0, o.SCRATCH)
    if draw.random() < 0.2:
        asm.clear_pud()
    begin = max(0, lo - draw.choice((0, 0, 1, 5)))
    end = draw.choice((hi, hi, hi + 3, lo, max(hi - 1, begin)))
    asm.request(SCRATCH, cleared=draw.choice(_LEVELS), lo=begin, hi=end)
    if not own:
        model.lowering.flush_range(asm, SCRATCH)
        return
    how = draw.choice((0, 0, o.ROUNDED, o.PMD_STRIDES, o.BASE_STRIDES, o.IN_PAGES, o.ROUNDED | o.IN_PAGES))
    how |= draw.choice((0, 0, o.ONE_SIZE, o.ONE_SIZE | o.PMD_TOO)) | draw.choice((0, 0, 0, o.EVERYTHING))
    how |= draw.choice((0, o.UNTRACKED)) | (o.EMPTY_TOO if begin % 2 else 0)
    scope = draw.choice((o.SCOPE_LEAF, o.SCOPE_BOTH, o.SCOPE_BOTH | o.SCOPE_AT_VA, o.SCOPE_WALK))
    scope |= draw.choice((0, 0, o.SCOPE_FORCED))
    asm.flush_begin(SCRATCH, draw.choice((512, 512, 33, 0)), draw.choice((0, 0, 200)), how)
    if draw.random() < 0.1:
        asm.target_online()
        asm.execute("invalidate", per=o.PER_TARGET | o.IN_MASK)
        asm.send(draw.choice((o.CALL_INVALIDATE, o.CALL_INVALIDATE_MASKED)), scope)
        asm.wait()
        return
    if draw.random() < 0.4:
        asm.flush_local_pages(1, scope)
    else:
        asm.flush_self(scope, forced=draw.choice((0, 1, 1, 1, 2)))
    asm.cancel()
