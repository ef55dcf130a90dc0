"""Random small programs for searches: tasks that flush, sync, walk without locks, lock, poll and use translations."""

from __future__ import annotations

from random import Random

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._questions.explore import explorations
from shootdown._values.errors import ShootdownError

_CALLS = (
    (o.CALL_SYNC, (0,)),
    (o.CALL_RCU, (0,)),
    (o.CALL_BROADCAST, (o.SCOPE_BOTH, o.SCOPE_LEAF, o.SCOPE_WALK)),
    (o.CALL_HYPERCALL, (o.SCOPE_BOTH, o.SCOPE_LEAF)),
    (o.CALL_INVALIDATE, (0, o.SCOPE_BOTH, o.SCOPE_WALK)),
    (o.CALL_FLUSH, (o.SCOPE_BOTH,)),
    (o.CALL_LEAVE, (0, o.SCOPE_BOTH)),
)
_ENDS = (o.TABLE_REUSED, o.TABLE_FREED)
_PRESENT = o.ENTRY_PRESENT | o.ENTRY_WRITABLE


class _Writer:
    """Writes the tasks of one program."""

    def __init__(self, random: Random, model: Model, *, entries: int, variables: int) -> None:
        self.random, self.model, self.asm = random, model, model.asm
        self.entries = list(range(entries))
        self.variables = list(range(entries, entries + variables))
        self.lock = model.lock()
        self.event = model.event()
        self.signals = 0

    def task(self, *, kernel_thread: bool) -> None:
        """Write one task: a few pieces, and an end."""
        if kernel_thread:
            self.asm.on_mm(self.random.randrange(self.model.mms))
        self.asm.set(o.SLOT, 0)
        self.asm.set(o.CLASS, 1)
        for _ in range(self.random.randint(1, 3)):
            self.piece(2)
        if self.random.random() < 0.1:
            self.asm.halt()
        else:
            self.model.spin()

    def piece(self, depth: int) -> None:
        """Write one piece; those that enclose others get smaller ones."""
        kinds = [self.call] * 5 + [self.store] * 3 + [self.check] * 3 + [self.table] * 2
        kinds += [self.poll, self.wait, self.signal, self.use, self.use, self.unmap, self.unmap, self.free]
        if depth:
            kinds += [self.walk] * 3 + [self.locked, self.branch]
        self.random.choice(kinds)(depth)

    def call(self, _: int) -> None:
        asm, random = self.asm, self.random
        call, scopes = random.choice(_CALLS)
        flushes = call not in (o.CALL_SYNC, o.CALL_RCU)
        if random.random() < 0.2 and self.model.mms > 1:
            asm.on_mm(random.randrange(self.model.mms))
        if flushes:
            asm.request(0, 1, 0)
            asm.flush_begin(2, 64, 0, 0 if random.random() < 0.4 else o.UNTRACKED)
        random.choice((asm.target_online, asm.target_every, asm.target_mm))()
        if random.random() < 0.2:
            random.choice((asm.target_not_lazy, asm.target_loaded, asm.target_walkers))()
        asm.send(call, random.choice(scopes))
        if flushes and random.random() < 0.3:
            asm.flush_self(o.SCOPE_BOTH, forced=random.randint(0, 1))
        if random.random() < 0.4:  # something that others see while the call is under way
            random.choice((self.store, self.store, self.signal, self.table))(0)
        asm.wait()

    def unmap(self, _: int) -> None:
        """Clear the entry and flush it, before the table is freed or, if that is wrong, after."""
        asm, random = self.asm, self.random
        asm.clear_pud()
        pieces = [lambda: self.call(0), lambda: asm.table_state(random.choice(_ENDS))]
        for piece in pieces if random.random() < 0.7 else pieces[::-1]:
            piece()

    def free(self, _: int) -> None:
        """Free the table once somebody says so."""
        if self.random.random() < 0.5:
            self.poll(0)
        else:
            self.wait(0)
        self.asm.table_state(self.random.choice(_ENDS))

    def store(self, _: int) -> None:
        where = self.random.choice(self.variables)
        if self.random.random() < 0.2:
            self.asm.v_add(where, 1, o.INDEX)
        else:
            self.asm.v_store(where, self.random.randint(0, 2))

    def check(self, _: int) -> None:
        """Fail, seldom, if a variable has a value."""
        asm, random = self.asm, self.random
        asm.v_load(o.INDEX, random.choice(self.variables))
        out = self.model.label()
        asm.jump_zero(o.INDEX, out)
        asm.v_load(o.SCRATCH, random.choice(self.variables))
        other = self.model.label()
        asm.jump_equal(o.SCRATCH, random.randint(0, 2), other)
        asm.jump(out)
        asm.place(other)
        asm.reached(random.randrange(2))
        if random.random() < 0.5:
            asm.fail(1)
        asm.place(out)

    def table(self, _: int) -> None:
        asm, random = self.asm, self.random
        what = random.randrange(5)
        if what == 0:
            asm.clear_pud()
        elif what == 1:
            asm.set_pud(0)
        elif what == 2:
            asm.table_state(random.choice((o.TABLE_REUSED, o.TABLE_FREED)))
        elif what == 3:
            asm.touch()
        else:
            asm.load_pud(o.SCRATCH2)
            out = self.model.label()
            asm.jump_zero(o.SCRATCH2, out)
            asm.read_table(o.SCRATCH, o.SCRATCH2)
            self.model.fail_if(o.SCRATCH, o.TABLE_FREED, 1, "a freed table")
            asm.place(out)

    def use(self, _: int) -> None:
        asm, random = self.asm, self.random
        if not self.entries:
            asm.touch()
            return
        entry = random.choice(self.entries)
        if random.random() < 0.5:
            asm.v_store(entry, random.choice((0, _PRESENT, o.ENTRY_PRESENT)))
        else:
            asm.access(o.SCRATCH, entry, write=random.randint(0, 1))
            bad = self.model.label()
            out = self.model.label()
            asm.jump_zero(o.SCRATCH, out)
            asm.v_load(o.INDEX, random.choice(self.variables))
            asm.jump_equal(o.INDEX, 2, bad)
            asm.jump(out)
            asm.place(bad)
            asm.reached(0)
            asm.fail(1)
            asm.place(out)

    def poll(self, _: int) -> None:
        again = self.model.label()
        self.asm.place(again)
        self.asm.v_load(o.SCRATCH, self.random.choice(self.variables))
        self.asm.jump_zero(o.SCRATCH, again)

    def wait(self, _: int) -> None:
        self.model.wait(self.event)

    def signal(self, _: int) -> None:
        self.model.signal(self.event)

    def walk(self, depth: int) -> None:
        lockless = self.random.random() < 0.7
        self.asm.irq_off(lockless=lockless)
        for _ in range(self.random.randint(1, 2)):
            self.random.choice((self.check, self.store, self.table, self.check))(depth - 1)
        self.asm.irq_on(lockless=lockless)

    def locked(self, depth: int) -> None:
        self.asm.lock(self.lock, write=True, sleeps=False, text="a lock")
        self.random.choice((self.call, self.store, self.check, self.table))(0)
        self.asm.unlock(self.lock, write=True, text="a lock")

    def branch(self, depth: int) -> None:
        other, out = self.model.label(), self.model.label()
        self.asm.choice(other)
        self.piece(depth - 1)
        self.asm.jump(out)
        self.asm.place(other)
        self.piece(depth - 1)
        self.asm.place(out)


def random_problem(seed: int) -> Problem | None:
    """Write a program and the agents that act on it; None if it is not a valid one.

    Args:
        seed: equal seeds give equal programs.
    """
    random = Random(seed)
    (case,) = explorations("unshare-gup", arch=["x86"], platforms=["intel-server"], kernels=["7.0"])
    scene = case.setup()
    cpus = random.choice((2, 2, 3))
    mms = random.choice((1, 2))
    model = Model(scene.kernel, scene.lowering, cpus=cpus, mms=mms)
    entries = random.choice((0, 0, 1))
    for _ in range(entries):
        model.entry(random.randrange(mms), _PRESENT)
    variables = random.choice((1, 2))
    for _ in range(variables):
        model.variable(0)
    for mm in range(mms):
        if random.random() < 0.7:
            model.populate(mm)
    tasks = {
        model.task(mm=mm, cpu=cpu, ready=True): mm
        for cpu in range(cpus)
        if cpu < 2 or random.random() < 0.8
        for mm in (random.choice([None, *range(mms)]),)
    }
    writer = _Writer(random, model, entries=entries, variables=variables)
    try:
        for task, mm in tasks.items():
            model.starts(task)
            writer.task(kernel_thread=mm is None)
        memory = random.choice((o.SC, o.SC, o.TSO))
        return Problem(
            machine=model.build(bits=16, memory=memory),
            invariants=("walk-cache", "bug"),
            places=("here", "there"),
            walkers=random.random() < 0.35,
            entries=entries > 0 and random.random() < 0.7,
            hypervisor=random.random() < 0.2,
            scheduler=random.random() < 0.15,
        )
    except ShootdownError:
        return None
