"""Entries of tables, the frames that they map, and the rights to reach those."""

from __future__ import annotations

from tests.twins.machine.steps.memory import read_memory, store, stores_wait, value_of, write_memory
from tests.twins.machine.steps.step import BUFFERED, Answer, Words, cpu_of, step
from tests.twins.machine.world import CLASS, DIRTY, FRAMES, HUGE, PRESENT, WRITABLE, Cpu, Where, World


def frames_in(value: int) -> set[int]:
    """The frames that the value of an entry, or a register that notes frames, names."""
    value &= HUGE - 1
    return {n for n in range(value.bit_length() - FRAMES) if value >> FRAMES + n & 1}


def cacheable(value: int) -> set[tuple[int, str]]:
    """What a walker may cache of an entry; one that is not dirty lets no store through before another walk."""
    if not value & PRESENT:
        return set()
    rights = ["read", "write"] if value & WRITABLE and value & DIRTY else ["read"]
    return {(frame, right) for frame in frames_in(value) for right in rights}


def huge(link: int) -> bool:
    """Whether what is in a link in place of a table's class is the entry of a huge page."""
    return link + 1 >= HUGE


def mapped_huge(w: World, link: int | None, atom: int) -> int:
    """The entry of a huge page in a link if an atom is as large as that; else one that maps nothing."""
    _, lo, hi = w.rules.atoms[atom]
    return link + 1 if link is not None and huge(link) and hi - lo == w.rules.spans["pmd"] else 0


def _entry(w: World, task: int, s: Words) -> Where:
    return ("entry", w.tasks[task].registers[CLASS] - 1, s.atom)


@step
def entry_load(w: World, task: int, s: Words) -> Answer:
    value = read_memory(w, cpu_of(w, task), _entry(w, task, s))
    assert value is not None
    w.tasks[task].registers[s.register] = value
    return None


@step
def entry_store(w: World, task: int, s: Words) -> Answer:
    return store(w, task, _entry(w, task, s), value_of(w, task, s))


@step
def entry_xchg(w: World, task: int, s: Words) -> Answer:
    if stores_wait(w, task):
        return BUFFERED
    where, new = _entry(w, task, s), value_of(w, task, s)
    old = read_memory(w, None, where)
    assert old is not None
    write_memory(w, where, new)
    w.tasks[task].registers[s.register] = old
    return None


@step
def put_frames(w: World, task: int, s: Words) -> Answer:
    for frame in frames_in(w.tasks[task].registers[s.register]):
        assert w.frames[frame], "core calls that a mistake"
        w.frames[frame] -= 1
        if w.frames[frame] == 0:
            for c in w.cpus:
                _kill(c, {one for one in c.translations if one[2] == frame})
    return None


def _kill(c: Cpu, translations: set[tuple[int, int, int, str]]) -> None:
    c.translations -= translations
    c.dead_translations |= {one[:2] for one in translations}


@step
def get_frames(w: World, task: int, s: Words) -> Answer:
    frames = frames_in(w.tasks[task].registers[s.register])
    if any(w.frames[frame] == 0 for frame in frames):
        return s.label
    for frame in frames:
        w.frames[frame] += 1
    return None


@step
def jump_referenced(w: World, task: int, s: Words) -> Answer:
    frames = frames_in(w.tasks[task].registers[s.register])
    return s.label if any(w.frames[frame] > 1 for frame in frames) else None


def _note(w: World, task: int, register: int, frames: set[int]) -> None:
    w.tasks[task].registers[register] |= sum(1 << FRAMES + frame for frame in frames)


@step
def queue_frames(w: World, task: int, s: Words) -> Answer:
    frames = frames_in(w.tasks[task].registers[s.source])
    for frame in frames & frames_in(w.tasks[task].registers[s.register]):
        assert w.frames[frame] > 1, "core calls that a mistake"
        w.frames[frame] -= 1
    _note(w, task, s.register, frames)
    return None


@step
def occupants(w: World, task: int, s: Words) -> Answer:
    on = w.tasks[task].on
    assert on is not None
    kind = w.mms[on].pud[w.rules.atoms[s.atom][0]]
    value = mapped_huge(w, kind, s.atom)
    if kind is not None and not huge(kind):
        value = w.entries[(kind, s.atom)]
    mapped = {frame for frame, _ in cacheable(value)}
    held = {frame for c in w.cpus for mm, atom, frame, _ in c.translations if (mm, atom) == (on, s.atom)}
    _note(w, task, s.register, mapped | held)
    return None


@step
def right_is_gone(w: World, task: int, s: Words) -> Answer:
    frames, on = frames_in(w.tasks[task].registers[s.register]), w.tasks[task].on
    for c in w.cpus:
        _kill(
            c,
            {
                one
                for one in c.translations
                if one[:2] == (on, s.atom) and one[2] in frames and (one[3] == "write" or not s.writes)
            },
        )
    return None


@step
def right_is_gone_unless(w: World, task: int, s: Words) -> Answer:
    if not read_memory(w, None, ("variable", s.variable, 0)):
        right_is_gone(w, task, s)
    return None


@step
def user_mode(w: World, task: int, s: Words) -> Answer:
    cpu_of(w, task).user = bool(s.enters)
    return None
