"""Write a program as steps of the timed engine."""

from __future__ import annotations

from collections import Counter, defaultdict

from shootdown._machine.machine import Machine
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.kernel_ranges import none_waits
from shootdown._mm.model import Model
from shootdown._programs import hugetlb as huge
from shootdown._programs.areas import cut
from shootdown._programs.cast import Cast, Role, cast, times_of
from shootdown._programs.checking import maps, reclaims, repeated_waits
from shootdown._programs.daemons import Daemon, Daemons
from shootdown._programs.ending import Ending
from shootdown._programs.exits import exits, others_of
from shootdown._programs.lines import Lines
from shootdown._programs.program import PRIVATE_FILE, Program, Statement, within
from shootdown._programs.scheduled import Scheduled
from shootdown._programs.space import Space
from shootdown._programs.writing import told
from shootdown._values.setup import Setup


def build(program: Program, setting: Setup) -> Machine:
    """Return the machine that runs a program.

    Raises:
        ShootdownError: something is wrong in the program; the message names file, line and key.
    """
    return _Writer(program.in_use(), setting).build()


class _Writer:
    """Write all threads of a program."""

    def __init__(self, program: Program, setting: Setup) -> None:
        self.program = program
        self.cast: Cast = cast(program, setting.cpus)
        lowering = setting.lowering
        geometry = lowering.geometry
        memory = huge.mapped(program, lowering)
        self.model = model = Model(
            setting.kernel,
            lowering,
            cpus=setting.cpus,
            mms=self.cast.mms,
            slots=sum(one.tables for one in memory.values()),
            files=max(len(memory), 1),
            classes=2,
            counts_pages=bool(memory) and _fills_batches(setting, memory),
        )
        model.hugetlb.visits = True
        self.asm = model.asm
        self.calls = Anonymous(model.calls, 1 << (geometry.pmd_shift - geometry.page_shift))
        self.page_size = setting.kernel.page_size
        around = setting.kernel.fault_around // self.page_size
        self.cuts = cut(program, self.page_size, self.calls.table_pages, counts=True, around=around)
        self.memory = memory
        self.maps = {name: maps(program, process) for name, process in program.processes.items()}
        mms = {name: self.mms_of(name) for name in memory}
        self.hugetlb = huge.Hugetlb(model, memory, mms)
        taken = dict.fromkeys(one.name for _, _, one in program.statements() if one.verb == "lock")
        self.locks = {name: model.lock() for name in taken}
        names = dict.fromkeys(
            one.name for _, _, one in program.statements() if one.verb in ("signal", "wait")
        )
        self.events = {name: model.event() for name in names}
        self.daemons = Daemons(model, self.cast)
        self.used_up = repeated_waits(program)
        self.cached = {
            area.number: model.variable()
            for here in self.cuts.values()
            for area in here.areas
            if area.window is not None
        }
        self._declared = len(self.cached)
        self.mapped = {
            one.place.memory for _, _, one in program.statements() if one.verb == "mmap" and one.place
        }
        threads = Counter(role.mm for role in self.cast.roles)
        self.spaces = [self._space("process", threads[mm]) for mm in range(self.cast.mms)]
        self.own = [self._space("thread", threads[role.mm]) for role in self.cast.roles]
        self._tell_families()
        if any(reclaims(program, one) for _, _, one in program.statements()):
            self._declare_batches()
        self.tasks = [
            model.task(mm=role.mm, cpu=role.cpu, ready=role.begins, floats=role.thread.floats)
            for role in self.cast.roles
        ]
        self.lazy = model.variable(none_waits(setting.cpus, self.page_size))
        self.hosted = setting.platform.hypervisor != "none"
        self.time = Scheduled(model, program, self.cast)
        self.forked: dict[tuple[str, int], int] = {}
        #: By address space, how the threads end of a process of several that one of them ends.
        self.endings = {
            role.mm: Ending(model, role.process)
            for role in self.cast.roles
            if others_of(role.process) and exits(role.thread)
        }
        self._pages = max((m.pages for one in memory.values() for m in one.mappings), default=1)

    def _space(self, each: str, threads: int) -> Space:
        """Declare the ordinary memory that each process has, or each thread, of so many threads."""
        cuts = {name: here for name, here in self.cuts.items() if here.memory.each == each}
        space = Space(self.model, self.calls, cuts, self._declared, self.cached, threads)
        space.mapped.declare(self.mapped)
        self._declared += space.mapped.cells
        return space

    def _tell_families(self) -> None:
        """Tell the address spaces of processes that fork which ones may begin with their pages."""
        cast, families = self.cast, defaultdict[tuple[str, int], list[int]](list)
        for name, parent in cast.parents.items():
            for instance in range(cast.counts[name]):
                families[parent, instance // cast.forked_before[name]].append(cast.mm_of(name, instance))
        for (parent, instance), children in families.items():
            first = cast.mm_of(parent, instance)
            after = range(first + 1, first + cast.spaces[parent])  # those that it gets by exec
            self.spaces[first].sharing.forks([self.spaces[mm].sharing for mm in (*after, *children)])

    def _write_daemon(self, daemon: Daemon) -> None:
        model, role, one = self.model, self.cast.roles[daemon.role], daemon.one
        lines = Lines(self, daemon.role)
        assert one.place is not None
        here = self.cuts[one.place.memory]
        areas, space = here.about(one, self.page_size), lines.space_of(here)
        model.starts(daemon.task)

        def turn() -> None:
            self.asm.await_event(daemon.starts, 1, True, text=told(one))
            model.concern(role.mm)
            if one.verb == "khugepaged":
                space.collapsing.collapse(here, areas, by_process=False)
            else:
                space.reclaiming.reclaim(here, areas, space.reclaiming.batch(daemon.turns + 1))
            with self.asm.aside():
                self.asm.v_store(daemon.done, 1)

        lines.loop(daemon.turns, times_of(role.thread.body, one), turn)
        model.sleep()

    def _declare_batches(self) -> None:
        """Declare for each mm whether pages of it were unmapped in batches."""
        for space in self.spaces:
            space.reclaiming.batched = self.model.variable()
        for role, own in zip(self.cast.roles, self.own, strict=True):
            own.reclaiming.batched = self.spaces[role.mm].reclaiming.batched
        for name, here in self.cuts.items():
            if here.memory.kind in ("file", PRIVATE_FILE) and here.memory.each == "process":
                mms = self.mms_of(name)
                for mm in mms:
                    others = [self.spaces[other].mapped for other in mms if other != mm]
                    self.spaces[mm].reclaiming.others[name] = others

    def pages_of(self, one: Statement) -> int:
        """Return the base pages of the memory that a statement is about."""
        assert one.place is not None
        return -(-one.place.hi // self.page_size)

    def mms_of(self, memory: str) -> tuple[int, ...]:
        """Return the address spaces that map a memory, in the order in which processes are in the file."""
        return tuple(
            self.cast.mm_of(name, instance) + after
            for name in self.program.processes
            if memory in self.maps[name]
            for instance in range(self.cast.counts[name])
            for after in range(self.cast.spaces[name])
        )

    def build(self) -> Machine:
        """Write everything; those who fork come last, as `repeated` needs their children's tasks alone."""
        done: set[int] = set()
        for number, role in enumerate(self.cast.roles):
            if number in done:
                continue
            alike = [number]
            if not _needs_its_own(self, role):
                alike = [
                    other for other, one in enumerate(self.cast.roles)
                    if one.process is role.process and one.thread is role.thread
                ]  # fmt: skip
            done.update(alike)
            self.model.starts(*(self.tasks[one] for one in alike))
            Lines(self, number).write()
        for daemon in self.daemons:
            self._write_daemon(daemon)
        return self.model.build(pages_per_table=self._pages)


def _needs_its_own(writer: _Writer, role: Role) -> bool:
    """Whether the steps of a role name variables or tasks of its own, so that others like it can't share them."""
    memory = writer.program.memory
    if writer.program.scheduled or role.mm in writer.endings:
        return True
    for one in within(role.thread.body):
        if one.verb in ("repeat", "each", "fork", "start", "measure"):
            return True
        if one.place is not None and memory[one.place.memory].kind != "hugetlb":
            return True
        if one.verb == "exit" and any(memory[name].kind == "file" for name in writer.maps[role.process.name]):
            return True
    return len(role.process.threads) > 1 and role.thread.name == "main" and not role.begins


def _fills_batches(setting: Setup, memory: dict[str, huge.Mapped]) -> bool:
    """Whether the last owner of all tables could fill a gather's batches with its pages and tables."""
    from shootdown._mm.gather import pages_until_flush

    pages = sum(len(m.used) * (m.pages + 1) for one in memory.values() for m in one.mappings)
    return pages >= pages_until_flush(
        setting.kernel.page_size, folio_batches=bool(setting.kernel.folio_batches)
    )
