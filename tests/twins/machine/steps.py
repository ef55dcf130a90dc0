"""Each step of the table, as one function on the twin's picture of a machine, written from the table's words.

A function returns nothing to go on with the next step, the number of the step to go on with, or a `Stop`: the step
can't be taken now, or the task is over. A step that can't be taken changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from tests.twins.machine import flushes
from tests.twins.machine.world import (
    CLASS,
    DIRTY,
    FRAMES,
    NO_NAMES,
    NO_PAGES,
    NO_SCOPE,
    PRESENT,
    SCRATCH,
    SLOT,
    WRITABLE,
    Cpu,
    Gather,
    Mm,
    Pages,
    Table,
    Where,
    World,
)


class Stop(str):
    """Why a task does not go on."""

    __slots__ = ()


LOCKED, UNANSWERED, UNTOLD, BUFFERED = Stop("lock"), Stop("answers"), Stop("event"), Stop("buffer")
ENDED, PARKED, FAILED = Stop("ended"), Stop("parked"), Stop("failed")
Answer = int | Stop | None
Words = SimpleNamespace
STEPS: dict[str, Callable[[World, int, Words], Answer]] = {}
_LARGEST = 0x7FFF  # numbers of variables and registers are taken modulo 2^15


def _step(function: Callable[[World, int, Words], Answer]) -> Callable[[World, int, Words], Answer]:
    STEPS[function.__name__.upper().rstrip("_")] = function
    return function


def next_step(w: World, task: int) -> Words:
    return w.rules.program[w.tasks[task].at]


def take_step(w: World, task: int) -> Stop | None:
    """Take a task's next step; returns why not, if not."""
    t = w.tasks[task]
    s = w.rules.program[t.at]
    answer = STEPS[s.name](w, task, s)
    if isinstance(answer, Stop):
        return answer
    t.at = t.at + 1 if answer is None else answer
    return None


def cpu_of(w: World, task: int) -> Cpu:
    home = w.tasks[task].home
    assert home is not None
    return w.cpus[home]


def mm_of(w: World, task: int) -> Mm:
    on = w.tasks[task].on
    assert on is not None
    return w.mms[on]


# --- control


@_step
def halt(w: World, task: int, s: Words) -> Answer:
    return ENDED


@_step
def jump(w: World, task: int, s: Words) -> Answer:
    return s.label


@_step
def set_(w: World, task: int, s: Words) -> Answer:
    w.tasks[task].registers[s.register] = s.value
    return None


@_step
def next_(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    registers[s.register] += 1
    if registers[s.register] < s.limit:
        return s.label
    registers[s.register] = 0
    return None


@_step
def jump_zero(w: World, task: int, s: Words) -> Answer:
    return s.label if w.tasks[task].registers[s.register] == 0 else None


@_step
def jump_equal(w: World, task: int, s: Words) -> Answer:
    return s.label if w.tasks[task].registers[s.register] == s.value else None


@_step
def jump_same(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    return s.label if registers[s.register] == registers[s.other] else None


@_step
def jump_no_bits(w: World, task: int, s: Words) -> Answer:
    return s.label if w.tasks[task].registers[s.register] & s.mask == 0 else None


@_step
def copy_(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    registers[s.register] = registers[s.source]
    return None


@_step
def add(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    registers[s.register] = (registers[s.register] + s.number) & _LARGEST
    return None


@_step
def clear_bits(w: World, task: int, s: Words) -> Answer:
    w.tasks[task].registers[s.register] &= ~s.mask
    return None


def _nothing(w: World, task: int, s: Words) -> Answer:
    return None


for _name in ("WORK", "MARK", "NOTE", "SPAWN", "EXECUTE", "CHOICE", "REACHED"):
    STEPS[_name] = _nothing  # what they do besides is the books' or the search's


@_step
def signal(w: World, task: int, s: Words) -> Answer:
    w.events[s.event] += 1
    return None


@_step
def await_(w: World, task: int, s: Words) -> Answer:
    return None if w.events[s.event] >= s.count else UNTOLD


@_step
def migrate(w: World, task: int, s: Words) -> Answer:
    w.tasks[task].home = s.cpu
    return None


@_step
def on_mm(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    t.on = s.mm + (0 if s.register is None else t.registers[s.register])
    return None


@_step
def release_mm(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    t.mm = None
    if w.rules.lazy_tlb:
        cpu_of(w, task).lazy = True
    return None


@_step
def park(w: World, task: int, s: Words) -> Answer:
    return PARKED


@_step
def fail(w: World, task: int, s: Words) -> Answer:
    w.failed = s.invariant
    return FAILED


@_step
def pick(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    t.registers[SLOT] = w.rules.lists[s.base + t.registers[s.register]]
    return None


@_step
def irq_off(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    c.irq_off = True
    c.walking = c.walking or bool(s.lockless)
    return None


@_step
def irq_on(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    c.irq_off = False
    if s.lockless:
        c.walking = False
    return None


# --- locks


def lock_of(w: World, task: int, s: Words) -> int:
    t = w.tasks[task]
    if s.index == 1:
        assert t.on is not None
        return s.lock + t.on
    return s.lock + t.registers[SLOT] if s.index == 2 else s.lock


def must_wait(w: World, task: int, s: Words) -> bool:
    """Whether the lock of a step that takes one is held."""
    writer, readers = w.locks[lock_of(w, task, s)]
    return writer or (s.name != "LOCK_READ" and readers > 0)


def sleeps(w: World, task: int) -> bool:
    """Whether a task waits, at its next step, in a way that lets its CPU do something else."""
    s = next_step(w, task)
    if s.name == "AWAIT":
        return w.events[s.event] < s.count
    return s.name in ("LOCK_READ", "LOCK_WRITE") and bool(s.sleeps) and must_wait(w, task, s)


def _stores_wait(w: World, task: int) -> bool:
    return bool(cpu_of(w, task).stores)


@_step
def lock_write(w: World, task: int, s: Words) -> Answer:
    if w.rules.memory == "tso" and _stores_wait(w, task):
        return BUFFERED  # a locked instruction
    if must_wait(w, task, s):
        return LOCKED
    w.locks[lock_of(w, task, s)] = (True, w.locks[lock_of(w, task, s)][1])
    return None


@_step
def lock_read(w: World, task: int, s: Words) -> Answer:
    if w.rules.memory == "tso" and _stores_wait(w, task):
        return BUFFERED
    if must_wait(w, task, s):
        return LOCKED
    writer, readers = w.locks[lock_of(w, task, s)]
    w.locks[lock_of(w, task, s)] = (writer, readers + 1)
    return None


@_step
def try_write(w: World, task: int, s: Words) -> Answer:
    if w.rules.memory == "tso" and _stores_wait(w, task):
        return BUFFERED
    if must_wait(w, task, s):
        return s.label
    w.locks[lock_of(w, task, s)] = (True, w.locks[lock_of(w, task, s)][1])
    return None


@_step
def unlock_write(w: World, task: int, s: Words) -> Answer:
    if _stores_wait(w, task):
        return BUFFERED  # a release
    w.locks[lock_of(w, task, s)] = (False, w.locks[lock_of(w, task, s)][1])
    return None


@_step
def unlock_read(w: World, task: int, s: Words) -> Answer:
    if _stores_wait(w, task):
        return BUFFERED
    writer, readers = w.locks[lock_of(w, task, s)]
    w.locks[lock_of(w, task, s)] = (writer, readers - 1)
    return None


# --- memory: variables, links to tables, entries of atoms


def read_memory(w: World, c: Cpu | None, where: Where) -> int | None:
    """Read a variable, link or entry as a CPU sees it, through its store buffer, or as memory has it."""
    for place, value in reversed(c.stores if c else ()):
        if place == where:
            return value
    kind, x, y = where
    if kind == "link":
        return w.mms[x].pud[y]
    return w.variables[x] if kind == "variable" else w.entries[(x, y)]


def write_memory(w: World, where: Where, value: int | None) -> None:
    """Let a store reach memory."""
    kind, x, y = where
    if kind == "link":
        m = w.mms[x]
        m.pud[y] = value
        if value is None:  # what was cached through it is stale
            m.stale_leaf |= m.leaf
            m.stale_walk |= m.walk
        return
    assert value is not None
    if kind == "variable":
        w.variables[x] = value
    else:
        w.entries[(x, y)] = value


def store(w: World, task: int, where: Where, value: int | None) -> Answer:
    """Store, through the CPU's buffer where it has one."""
    if w.rules.memory == "sc":
        write_memory(w, where, value)
        return None
    c = cpu_of(w, task)
    if len(c.stores) == w.rules.buffer:
        return BUFFERED
    c.stores = (*c.stores, (where, value))
    return None


# --- page tables


def _table(w: World, task: int) -> Table:
    """The table of registers CLASS and SLOT; CLASS holds the class plus one, as a PUD entry is read."""
    t = w.tasks[task]
    return w.tables[(t.registers[CLASS] - 1, t.registers[SLOT])]


def _link(w: World, task: int) -> Where:
    """Where the PUD entry of the mm and of register SLOT is."""
    t = w.tasks[task]
    assert t.on is not None
    return ("link", t.on, t.registers[SLOT])


@_step
def load_pud(w: World, task: int, s: Words) -> Answer:
    kind = read_memory(w, cpu_of(w, task), _link(w, task))
    w.tasks[task].registers[s.register] = 0 if kind is None else kind + 1
    return None


@_step
def clear_pud(w: World, task: int, s: Words) -> Answer:
    return store(w, task, _link(w, task), None)


@_step
def set_pud(w: World, task: int, s: Words) -> Answer:
    return store(w, task, _link(w, task), s.table_class)


@_step
def jump_exclusive(w: World, task: int, s: Words) -> Answer:
    return None if _table(w, task).sharers > 1 else s.label


@_step
def share(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    table = w.tables[(s.table_class, registers[SLOT])]
    registers[SCRATCH] = table.sharers
    table.sharers += 1
    return None


@_step
def populate(w: World, task: int, s: Words) -> Answer:
    if read_memory(w, cpu_of(w, task), _link(w, task)) is not None:
        return s.label
    return store(w, task, _link(w, task), s.table_class) or share(w, task, s)


@_step
def unshare(w: World, task: int, s: Words) -> Answer:
    table = _table(w, task)
    table.sharers -= 1
    gather = w.tasks[task].gathers[s.gather]
    gather.flags |= s.flags
    if table.sharers == 1:
        gather.flags |= s.more_flags
    return None


@_step
def drop(w: World, task: int, s: Words) -> Answer:
    _table(w, task).sharers -= 1
    return None


@_step
def table_state(w: World, task: int, s: Words) -> Answer:
    t, table = w.tasks[task], _table(w, task)
    table.use, table.owner = s.state, t.on
    if s.state:  # freed, or used anew: links to it are dead, but in the latter case for the new owner's
        for c in w.cpus:
            dead = {
                link
                for link in c.links
                if link[1:] == (t.registers[SLOT], t.registers[CLASS] - 1)
                and (s.state == 2 or link[0] != t.on)
            }
            c.links -= dead
            c.dead_links |= {link[:2] for link in dead}
    return None


@_step
def read_table(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    registers[s.register] = w.tables[(registers[s.table] - 1, registers[SLOT])].use
    return None


@_step
def touch(w: World, task: int, s: Words) -> Answer:
    home = w.tasks[task].home
    assert home is not None
    m = mm_of(w, task)
    m.leaf |= {home}
    m.walk |= {home}
    return None


# --- entries of tables, frames, rights


def frames_in(value: int) -> set[int]:
    """The frames that the value of an entry, or a register that notes frames, names."""
    return {n for n in range(value.bit_length() - FRAMES) if value >> FRAMES + n & 1}


def cacheable(value: int) -> set[tuple[int, str]]:
    """What a walker may cache of an entry; one that is not dirty lets no store through before another walk."""
    if not value & PRESENT:
        return set()
    rights = ["read", "write"] if value & WRITABLE and value & DIRTY else ["read"]
    return {(frame, right) for frame in frames_in(value) for right in rights}


def _entry(w: World, task: int, s: Words) -> Where:
    return ("entry", w.tasks[task].registers[CLASS] - 1, s.atom)


@_step
def entry_load(w: World, task: int, s: Words) -> Answer:
    value = read_memory(w, cpu_of(w, task), _entry(w, task, s))
    assert value is not None
    w.tasks[task].registers[s.register] = value
    return None


@_step
def entry_store(w: World, task: int, s: Words) -> Answer:
    return store(w, task, _entry(w, task, s), _value(w, task, s))


@_step
def entry_xchg(w: World, task: int, s: Words) -> Answer:
    if _stores_wait(w, task):
        return BUFFERED
    where, new = _entry(w, task, s), _value(w, task, s)
    old = read_memory(w, None, where)
    assert old is not None
    write_memory(w, where, new)
    w.tasks[task].registers[s.register] = old
    return None


@_step
def put_frames(w: World, task: int, s: Words) -> Answer:
    for frame in frames_in(w.tasks[task].registers[s.register]):
        w.frames[frame] -= 1
        if w.frames[frame] == 0:
            for c in w.cpus:
                _kill(c, {one for one in c.translations if one[2] == frame})
    return None


def _kill(c: Cpu, translations: set[tuple[int, int, int, str]]) -> None:
    c.translations -= translations
    c.dead_translations |= {one[:2] for one in translations}


@_step
def get_frames(w: World, task: int, s: Words) -> Answer:
    frames = frames_in(w.tasks[task].registers[s.register])
    if any(w.frames[frame] == 0 for frame in frames):
        return s.label
    for frame in frames:
        w.frames[frame] += 1
    return None


def _note(w: World, task: int, register: int, frames: set[int]) -> None:
    w.tasks[task].registers[register] |= sum(1 << FRAMES + frame for frame in frames)


@_step
def queue_frames(w: World, task: int, s: Words) -> Answer:
    frames = frames_in(w.tasks[task].registers[s.source])
    for frame in frames & frames_in(w.tasks[task].registers[s.register]):
        w.frames[frame] -= 1
    _note(w, task, s.register, frames)
    return None


@_step
def occupants(w: World, task: int, s: Words) -> Answer:
    on = w.tasks[task].on
    assert on is not None
    kind = w.mms[on].pud[w.rules.atoms[s.atom][0]]
    mapped = set() if kind is None else {frame for frame, _ in cacheable(w.entries[(kind, s.atom)])}
    held = {frame for c in w.cpus for mm, atom, frame, _ in c.translations if (mm, atom) == (on, s.atom)}
    _note(w, task, s.register, mapped | held)
    return None


@_step
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


@_step
def user_mode(w: World, task: int, s: Words) -> Answer:
    cpu_of(w, task).user = bool(s.enters)
    return None


# --- gathers


def _widen(g: Gather, lo: int, hi: int, s: Words) -> None:
    """__tlb_adjust_range()."""
    if "RANGE" in g.flags:
        lo, hi = min(lo, g.lo), max(hi, g.hi)
    g.lo, g.hi = lo, hi
    g.flags = g.flags | s.flags | {"RANGE"}
    g.cleared |= s.cleared


def _gather(w: World, task: int, s: Words) -> Gather:
    return w.tasks[task].gathers[s.gather]


def _queue(w: World, task: int) -> Gather:
    """Where the pages that the outermost gather has queued are counted: the request's own queue is not used."""
    return w.tasks[task].gathers[2]


@_step
def gather(w: World, task: int, s: Words) -> Answer:
    w.tasks[task].gathers[s.gather] = Gather(flags=s.flags)
    mm_of(w, task).pending += 1
    if s.gather == 0:
        _queue(w, task).tables = 0
    return None


@_step
def gather_add(w: World, task: int, s: Words) -> Answer:
    _widen(_gather(w, task, s), s.lo, s.hi, s)
    return None


@_step
def gather_slot(w: World, task: int, s: Words) -> Answer:
    begin = w.tasks[task].registers[SLOT] * w.rules.slot_pages
    _widen(_gather(w, task, s), begin + s.first, begin + s.last, s)
    return None


@_step
def gather_pages(w: World, task: int, s: Words) -> Answer:
    queue = _queue(w, task)
    queue.tables += s.pages
    full = queue.tables >= s.limit
    if full:
        queue.tables -= s.limit
    w.tasks[task].registers[SCRATCH] = 1 if full else 0
    return None


def _pages_after(w: World, task: int) -> int:
    """How many of the pages came after the batches were full."""
    return _queue(w, task).tables if w.tasks[task].registers[SCRATCH] else 0


def _widen_by_pages(w: World, task: int, s: Words, begin: int, end: int) -> None:
    if begin < end:
        first = w.tasks[task].registers[SLOT] * w.rules.slot_pages + s.first
        after = first + (end - 1) * s.apart + w.rules.spans["pmd"]
        _widen(_gather(w, task, s), first + begin * s.apart, after, s)


@_step
def gather_part(w: World, task: int, s: Words) -> Answer:
    _widen_by_pages(w, task, s, 0, s.pages - _pages_after(w, task))
    return None


@_step
def gather_rest(w: World, task: int, s: Words) -> Answer:
    _widen_by_pages(w, task, s, s.pages - _pages_after(w, task), s.pages)
    return None


@_step
def gather_reset(w: World, task: int, s: Words) -> Answer:
    g = _gather(w, task, s)
    g.lo = g.hi = 0
    g.cleared = NO_NAMES
    g.flags -= {"RANGE", "FREED_TABLES", "UNSHARED_TABLES"}
    return None


@_step
def gather_tables(w: World, task: int, s: Words) -> Answer:
    g = _gather(w, task, s)
    g.tables += s.tables
    if g.tables < s.batch:
        return s.label
    g.tables -= s.batch
    return None


@_step
def jump_flags(w: World, task: int, s: Words) -> Answer:
    return None if _gather(w, task, s).flags & s.flags else s.label


@_step
def jump_cleared(w: World, task: int, s: Words) -> Answer:
    g = _gather(w, task, s)
    return None if g.cleared or g.flags & s.flags else s.label


@_step
def clear_flags(w: World, task: int, s: Words) -> Answer:
    _gather(w, task, s).flags -= s.flags
    return None


@_step
def set_flags(w: World, task: int, s: Words) -> Answer:
    _gather(w, task, s).flags |= s.flags
    return None


@_step
def nested(w: World, task: int, s: Words) -> Answer:
    if mm_of(w, task).pending > 1:  # mm_tlb_flush_nested()
        g = _gather(w, task, s)
        g.flags |= {"FULLMM", "FREED_TABLES", "RANGE"}
        g.cleared = NO_NAMES
    return None


@_step
def gather_end(w: World, task: int, s: Words) -> Answer:
    mm_of(w, task).pending -= 1
    g = _gather(w, task, s)
    g.flags, g.tables = NO_NAMES, 0
    return None


@_step
def request(w: World, task: int, s: Words) -> Answer:
    g = _gather(w, task, s)
    g.lo, g.hi, g.flags, g.cleared = s.lo, s.hi, s.flags | {"RANGE"}, s.cleared
    return None


@_step
def copy_range(w: World, task: int, s: Words) -> Answer:
    g, r = _gather(w, task, s), w.tasks[task].gathers[2]
    r.lo, r.hi, r.flags, r.cleared = g.lo, g.hi, s.flags | {"RANGE"}, s.cleared
    return None


@_step
def jump_not_pending(w: World, task: int, s: Words) -> Answer:
    return None if mm_of(w, task).pending > 0 else s.label


# --- flush requests


def stride_of(w: World, g: Gather) -> int:
    """Base pages in a stride: tlb_get_unmap_size(), by the lowest level at which entries were cleared."""
    for level in ("pte", "pmd", "pud", "p4d"):
        if level in g.cleared:
            return w.rules.spans[level]
    return 1


def strides_in(w: World, g: Gather) -> int:
    return (g.hi - g.lo) // stride_of(w, g)


@_step
def flush_begin(w: World, task: int, s: Words) -> Answer:
    if _stores_wait(w, task):
        return BUFFERED  # entries are visibly changed before anything is invalidated
    c, m, g = cpu_of(w, task), mm_of(w, task), _gather(w, task, s)
    if "UNTRACKED" not in s.how:
        m.generation += 1
    lo, hi, apart = g.lo, g.hi, stride_of(w, g)
    if "PMD_STRIDES" in s.how:
        apart = w.rules.spans["pmd"]
    elif "BASE_STRIDES" in s.how:
        apart = 1
    elif "ROUNDED" in s.how:
        lo, hi = lo - lo % apart, hi + -hi % apart
    strides = (hi - lo) // apart
    pages = strides * stride_of(w, g)
    everything = bool(g.flags & {"FULLMM", "NEED_FLUSH_ALL"}) or "EVERYTHING" in s.how
    c.about, c.generation = w.tasks[task].on, m.generation
    if everything or strides > s.ceiling or (s.pages and pages > s.pages):
        c.strides, c.pages = 0, NO_PAGES
        return None
    if strides < 1:
        strides, hi = 1, max(hi, lo + 1)
    elif "IN_PAGES" in s.how:
        strides, apart = pages, 1
    c.strides = min(strides, w.rules.most_strides)
    c.pages = Pages(lo, hi, apart, "ONE_SIZE" in s.how, "PMD_TOO" in s.how)
    return None


@_step
def target_mm(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    c.targets = mm_of(w, task).cpumask
    if not s.with_self:
        c.targets -= {w.tasks[task].home}
    return None


def _online(w: World) -> frozenset[int]:
    return frozenset(n for n, cpu in enumerate(w.cpus) if cpu.online)


@_step
def target_online(w: World, task: int, s: Words) -> Answer:
    cpu_of(w, task).targets = _online(w) - {w.tasks[task].home}
    return None


@_step
def target_rcu(w: World, task: int, s: Words) -> Answer:
    return target_online(w, task, s)


@_step
def target_every(w: World, task: int, s: Words) -> Answer:
    cpu_of(w, task).targets = _online(w)
    return None


@_step
def target_not_lazy(w: World, task: int, s: Words) -> Answer:
    cpu_of(w, task).targets -= w.lazy()
    return None


@_step
def target_loaded(w: World, task: int, s: Words) -> Answer:
    m, c = mm_of(w, task), cpu_of(w, task)
    if m.trim_due:
        m.trim_due = False
    else:
        on = w.tasks[task].on
        assert on is not None
        c.targets &= w.loaded(on)
    return None


@_step
def target_running(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    off = frozenset(n for n in c.targets if w.cpus[n].preempted)
    for n in off:
        w.cpus[n].flush_on_entry = True
    c.targets -= off
    return None


@_step
def target_walkers(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    c.targets = frozenset(n for n in c.targets if w.cpus[n].walking and w.cpus[n].loaded == w.tasks[task].on)
    return None


@_step
def jump_no_target(w: World, task: int, s: Words) -> Answer:
    return None if cpu_of(w, task).targets else s.label


@_step
def jump_targets_below(w: World, task: int, s: Words) -> Answer:
    return s.label if len(cpu_of(w, task).targets) < s.count else None


@_step
def jump_whole(w: World, task: int, s: Words) -> Answer:
    return s.label if cpu_of(w, task).strides == 0 else None


@_step
def jump_empty(w: World, task: int, s: Words) -> Answer:
    g = _gather(w, task, s)
    return s.label if g.lo >= g.hi else None


@_step
def jump_strides(w: World, task: int, s: Words) -> Answer:
    return None if strides_in(w, _gather(w, task, s)) > s.strides else s.label


@_step
def jump_not_loaded(w: World, task: int, s: Words) -> Answer:
    return None if cpu_of(w, task).loaded == w.tasks[task].on else s.label


@_step
def jump_not_masked(w: World, task: int, s: Words) -> Answer:
    return None if w.tasks[task].home in mm_of(w, task).cpumask else s.label


@_step
def jump_not_own(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    return None if t.mm is not None and t.mm == t.on else s.label


@_step
def jump_not_alone(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    alone = t.mm is not None and t.mm == t.on and sum(other.mm == t.on for other in w.tasks) == 1
    return None if alone else s.label


@_step
def jump_not_due(w: World, task: int, s: Words) -> Answer:
    m = mm_of(w, task)
    due, m.trim_due = m.trim_due, False
    return None if due else s.label


@_step
def jump_not_global(w: World, task: int, s: Words) -> Answer:
    return s.label if mm_of(w, task).asid == "own" else None


@_step
def jump_not_transition(w: World, task: int, s: Words) -> Answer:
    return None if mm_of(w, task).asid == "transition" else s.label


@_step
def consider_global(w: World, task: int, s: Words) -> Answer:
    m, on = mm_of(w, task), w.tasks[task].on
    assert on is not None
    if m.consider and m.asid == "own" and len(w.loaded(on) - w.lazy()) >= s.cpus:
        m.asid = "transition"
    m.consider = False
    return None


@_step
def end_transition(w: World, task: int, s: Words) -> Answer:
    mm_of(w, task).asid = "global"
    return None


@_step
def send(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    c.call, c.scope = s.call, s.scope
    if c.about is None:
        c.about = w.tasks[task].on
    return None


def _forget_call(c: Cpu) -> None:
    c.call, c.about, c.generation, c.strides, c.scope, c.pages = None, None, 0, 0, NO_SCOPE, NO_PAGES


@_step
def wait(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    if c.targets:
        return UNANSWERED
    _forget_call(c)
    return None


@_step
def cancel(w: World, task: int, s: Words) -> Answer:
    _forget_call(cpu_of(w, task))
    return None


def flush_self_does(w: World, task: int, s: Words) -> str:
    """Run the flush's handler on this CPU; returns what it did: `all`, `range`, `left` or nothing."""
    home = w.tasks[task].home
    assert home is not None
    c = w.cpus[home]
    if not s.forced:
        return flushes.flush_handler(w, home, home, s.scope)
    assert c.about is not None
    if s.forced == 2:
        flushes.leave_unless_running(w, home, c.about)
    flushes.drop(w, home, c.about, s.scope, flushes.named_by(w, home))
    flushes.catch_up(w, home, c.about)
    return "all" if c.strides == 0 else "range"


@_step
def flush_self(w: World, task: int, s: Words) -> Answer:
    w.did = flush_self_does(w, task, s)
    return None


@_step
def flush_local_pages(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    assert t.home is not None
    assert t.on is not None
    flushes.drop(w, t.home, t.on, s.scope, flushes.named_by(w, t.home))
    return None


# --- variables and single entries


def _variable(w: World, task: int, s: Words) -> int:
    index = getattr(s, "index", None)
    return s.variable + (0 if index is None else w.tasks[task].registers[index])


def _value(w: World, task: int, s: Words) -> int:
    return w.tasks[task].registers[s.value] if s.from_register else s.value


@_step
def v_load(w: World, task: int, s: Words) -> Answer:
    value = read_memory(w, cpu_of(w, task), ("variable", _variable(w, task, s), 0))
    assert value is not None
    w.tasks[task].registers[s.register] = value
    return None


@_step
def v_store(w: World, task: int, s: Words) -> Answer:
    return store(w, task, ("variable", _variable(w, task, s), 0), _value(w, task, s))


@_step
def fence(w: World, task: int, s: Words) -> Answer:
    return BUFFERED if _stores_wait(w, task) else None


@_step
def v_add(w: World, task: int, s: Words) -> Answer:
    if _stores_wait(w, task):
        return BUFFERED
    where = _variable(w, task, s)
    w.variables[where] = (w.variables[where] + s.number) & _LARGEST
    w.tasks[task].registers[s.register] = w.variables[where]
    return None


@_step
def v_xchg(w: World, task: int, s: Words) -> Answer:
    if _stores_wait(w, task):
        return BUFFERED
    new, old = _value(w, task, s), w.variables[s.variable]
    w.variables[s.variable] = new
    w.tasks[task].registers[s.register] = old
    return None


@_step
def v_cas(w: World, task: int, s: Words) -> Answer:
    if _stores_wait(w, task):
        return BUFFERED
    registers = w.tasks[task].registers
    found = w.variables[s.variable]
    if found != registers[s.expected]:
        registers[s.expected] = found
        return s.label
    w.variables[s.variable] = registers[s.new]
    return None


@_step
def access(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    cached, in_memory = c.tlb[s.entry], w.variables[s.entry]

    def ends(value: int, copy_kept: int) -> None:
        c.tlb = (*c.tlb[: s.entry], copy_kept, *c.tlb[s.entry + 1 :])
        w.tasks[task].registers[s.register] = value

    used = cached
    if not cached or (
        s.write and not cached & WRITABLE
    ):  # a miss, or the copy may not be written through: walk
        if not in_memory & PRESENT:
            ends(0, 0)
            return None
        if s.write and not in_memory & WRITABLE:
            ends(0, in_memory)
            return None
        used = in_memory
    if s.write and not used & DIRTY:  # the dirty bit is set in memory, of the entry that is there now
        if not in_memory & PRESENT or not in_memory & WRITABLE:
            ends(0, 0)
            return None
        used = in_memory | DIRTY
        w.variables[s.entry] = used
    ends(used, used)
    return None
