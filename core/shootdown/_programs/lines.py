"""Write the statements of one thread of a program as steps of the timed engine."""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine import ops as o
from shootdown._machine.repeating import repeated
from shootdown._mm.counted_reclaim import BATCH_CELLS
from shootdown._mm.mapping import Mapping as Vma
from shootdown._programs import userfaultfd
from shootdown._programs.areas import Area, Cut, unmaps_by_pieces
from shootdown._programs.cast import forks_of
from shootdown._programs.ending import POLL_NS
from shootdown._programs.exits import exits
from shootdown._programs.mapped import GONE
from shootdown._programs.program import Statement, within
from shootdown._programs.space import Space
from shootdown._programs.verbs import ENDLESS, LAST
from shootdown._programs.working_set import WorkingSet
from shootdown._programs.writing import Writer, told
from shootdown._values.errors import ShootdownError
from shootdown._values.platform import NANOSECOND

#: How long GUP-fast walks if a program does not say: some entries.
_WALK_NS = 200


class Lines:
    """Write the statements of one role."""

    def __init__(self, writer: Writer, number: int) -> None:
        self.writer = writer
        self.number = number
        self.role = writer.cast.roles[number]
        self._last_piece = self._measures = False
        self._uses = WorkingSet(writer.model, writer.cuts, writer.page_size)
        self.task = writer.tasks[number]
        self.model = writer.model
        self.asm = writer.model.asm
        self.mm = self.role.mm
        self.shared = writer.spaces[self.mm]
        self.own = writer.own[number]
        self._maps = writer.maps[self.role.process.name]
        self._turns: dict[int, int] = {}
        #: Where a thread goes on that another one's exit() has killed; None: none does.
        self._killed = writer.model.label() if self._is_killed() else None
        self._verbs: dict[str, Callable[[Statement], None]] = {
            "gup": self._gup,
            "khugepaged": self._by_daemon,
            "vmalloc": lambda one: self.model.calls.vmalloc(writer.pages_of(one)),
            "vfree": lambda one: self.model.calls.vfree(writer.pages_of(one), writer.lazy, self.model.cpus),
            "membarrier": self._membarrier,
            "fork": self._fork,
            "exec": self._exec,
            "exit": self._exit,
            "start": self._start,
            "signal": lambda one: self.model.signal(writer.events[one.name]),
            "wait": lambda one: self.asm.await_event(
                writer.events[one.name], one.number, one.name in writer.used_up, text=told(one)
            ),
            "lock": lambda one: self.asm.lock(
                writer.locks[one.name], write=True, sleeps=True, at_once=True, text=told(one)
            ),
            "unlock": lambda one: self.asm.unlock(writer.locks[one.name], write=True, text=one.name),
            "work": self._work,
            "other": self._other,
            "spin": lambda _: self._spin(),
            "preempted": lambda _: self._preempted(),
            "sleep": lambda _: self._sleep(),
            "move": self._move,
            "turn": lambda _: None,
            "repeat": self._repeat,
            "each": self._each,
            "measure": self._measure,
        }

    def write(self) -> None:
        """Write all statements."""
        body = self.role.thread.body
        if not self.role.begins and self.role.thread.name == "main":
            self._start_threads()
        self._body(body)
        if self._killed is not None:
            self.asm.place(self._killed)
            self.writer.endings[self.mm].leave()
        elif body[-1].verb not in ENDLESS:
            self.writer.time.ends()
            self.asm.halt()

    def _is_killed(self) -> bool:
        """Whether another thread of the process exits."""
        return self.mm in self.writer.endings and not exits(self.role.thread)

    def _body(self, body: tuple[Statement, ...]) -> None:
        for one in body:
            self._uses.before(one)
            write = self._verbs.get(one.verb)
            if write is not None:
                write(one)
            elif one.place is not None and one.place.memory in self.writer.memory:
                self.writer.hugetlb.write(one)
            else:
                self._ordinary(one)
            self._uses.after(one)
            if one.verb not in LAST:
                self.writer.time.preemptible()
                if self._killed is not None and not self._measures:
                    self.writer.endings[self.mm].look(self._killed)

    def _work(self, one: Statement) -> None:
        time = self.writer.time
        pieces = -(-one.number // time.piece_ns)
        if pieces < 2:
            self.asm.work(NANOSECOND, one.number, text="compute in user mode")
            return

        def turn() -> None:
            self.asm.work(NANOSECOND, one.number // pieces, text="compute in user mode")
            time.preemptible()

        self.loop(self._cells(one, 1), pieces, turn)
        if one.number % pieces:
            self.asm.work(NANOSECOND, one.number % pieces, text="compute in user mode")

    def _other(self, one: Statement) -> None:
        self.asm.work(NANOSECOND, one.number, elsewhere=True, text="something that is not modelled")

    def space_of(self, here: Cut) -> Space:
        return self.own if here.memory.each == "thread" else self.shared

    def _ordinary(self, one: Statement) -> None:
        assert one.place is not None
        here = self.writer.cuts[one.place.memory]
        space = self.space_of(here)
        areas = here.about(one, self.writer.page_size)
        if one.place.piece:
            areas = here.pieces(areas, one.place.piece // self.writer.page_size, last=self._last_piece)
        if one.verb == "mmap":
            space.mmap(here)
        elif one.verb == "touch":
            space.faulting.touch(here, areas, write=one.word == "write")
        elif one.verb == "munmap":
            space.munmap(here, areas)
        elif one.verb == "madvise" and one.word == "FREE":
            space.reclaiming.free(here, areas)
        elif one.verb == "madvise" and one.word == "PAGEOUT":
            space.reclaiming.pageout(here, areas, space.reclaiming.batch(self._cells(one, BATCH_CELLS)))
        elif one.verb == "madvise" and one.word == "COLLAPSE":
            with self.writer.calls.collapses():
                space.collapsing.collapse(here, areas, by_process=True)
        elif one.verb == "madvise":
            space.madvise(here, areas)
        elif one.verb == "mremap":
            space.mremap(here)
        elif one.word in ("COPY", "ZEROPAGE"):
            userfaultfd.fill(space, here, areas, zero=one.word == "ZEROPAGE")
        elif one.verb == "userfaultfd":
            userfaultfd.write_protect(space, here, areas)
        elif one.verb in ("truncate", "punch"):
            self._unmap_file(one, here, areas)
        elif one.verb == "mkclean":
            self._mkclean(here, areas)
        elif one.verb == "reclaim" and one.word:
            self._by_daemon(one)
        elif one.verb == "reclaim":
            space.reclaiming.reclaim(here, areas, space.reclaiming.batch(self._cells(one, BATCH_CELLS)))
        elif one.verb == "migrate":
            space.reclaiming.migrate(here, areas, space.reclaiming.batch(self._cells(one, BATCH_CELLS)))
        else:
            assert one.verb == "mprotect"
            space.rights.mprotect(here, areas, writable=one.word == "write")

    def _unmap_file(self, one: Statement, here: Cut, areas: tuple[Area, ...]) -> None:
        """Write what takes a file's pages out of every process.

        Truncation takes private copies too, and looks a second time after it freed the pages.
        """
        self.asm.work("syscall_ns", text="ftruncate: entry" if one.verb == "truncate" else "fallocate: entry")
        cows = one.verb == "truncate"
        for _ in range(1 + cows):
            self._in_each(here, lambda space: space.unmap_file(here, areas, cows=cows))
        for area in areas:
            self.space_of(here).mapped.note_cached(area, False)

    def _mkclean(self, here: Cut, areas: tuple[Area, ...]) -> None:
        """Write fsync(): dirty pages are cleaned in every process, one after another, before they are written."""
        self.asm.work("syscall_ns", text="fsync: entry")
        self._in_each(here, lambda space: space.reclaiming.mkclean(areas))

    def _in_each(self, here: Cut, write: Callable[[Space], None]) -> None:
        """Write steps in each address space that maps a file, as the reverse map finds them."""
        mms = self.writer.mms_of(here.memory.name)
        for mm in mms:
            if len(mms) > 1:
                self.asm.on_mm(mm, text="a process that maps the file")
            write(self.writer.spaces[mm])
        if len(mms) > 1:
            self.asm.on_mm(self.mm, text="back to its own")

    def _by_daemon(self, one: Statement) -> None:
        """Write a thread that computes until a kernel thread is through, whose task is written later."""
        asm, daemon, again = self.asm, self.writer.daemons.of(self.number, one), self.model.label()
        self.model.signal(daemon.starts)
        asm.place(again)
        asm.work(NANOSECOND, POLL_NS, text=f"compute until {one.word or one.verb} is through")
        self.writer.time.preemptible()
        with asm.aside():
            asm.v_load(o.SCRATCH, daemon.done)
            asm.jump_zero(o.SCRATCH, again)
            asm.v_store(daemon.done, 0)

    def _gup(self, one: Statement) -> None:
        def walk() -> None:
            self.asm.work(NANOSECOND, one.number or _WALK_NS, text="walk the page tables")

        self.model.calls.gup_fast(walk)

    def _membarrier(self, one: Statement) -> None:
        threads = sum(thread.count for thread in self.role.process.threads)
        self.model.calls.membarrier(one.word, alone=threads == 1)

    # --- processes and threads

    def _fork(self, one: Statement) -> None:
        writer, cast = self.writer, self.writer.cast
        at = (one.name, self.role.instance)
        number = writer.forked.get(at, 0)
        writer.forked[at] = number + 1
        instance = self.role.instance * cast.forked_before[one.name] + number
        mm = cast.mm_of(one.name, instance)
        main = cast.of(one.name, instance, "main")[0]
        child = writer.tasks[main]
        for mine, theirs in ((self.shared, writer.spaces[mm]), (self.own, writer.own[main])):
            mine.fork(theirs)
        self.model.calls.fork(child, mm, self.mm, self._mappings(), populated=True)

    def _mappings(self) -> tuple[Vma, ...]:
        """Return the hugetlb VMAs of the process."""
        memory = self.writer.memory
        return tuple(m for name in self._maps if name in memory for m in memory[name].mappings)

    def _exit(self, _: Statement) -> None:
        if self.mm in self.writer.endings:
            self.writer.endings[self.mm].kill()

        def clear_others() -> None:
            writer = self.writer
            own = [
                there for role, there in zip(writer.cast.roles, writer.own, strict=True) if role.mm == self.mm
            ]
            for space in (self.shared, *own):
                space.exit(self._maps)

        self.model.calls.exit(self._mappings(), others=clear_others)
        if self.role.process.name in self.writer.events:
            self.model.signal(self.writer.events[self.role.process.name])

    def _exec(self, _: Statement) -> None:
        old = self.shared
        self.mm += 1
        self.model.calls.exec(self.mm, self.mm - 1, self._mappings(), lambda: old.exit(self._maps))
        self.shared = self.writer.spaces[self.mm]

    def _start(self, one: Statement) -> None:
        for number in self.writer.cast.of(self.role.process.name, self.role.instance, one.name):
            self.asm.spawn(self.writer.tasks[number], text="a thread starts")

    def _start_threads(self) -> None:
        """Start the threads of a process that was forked, but those that a statement starts."""
        process = self.role.process
        named = {one.name for thread in process.threads for one in within(thread.body) if one.verb == "start"}
        for thread in process.threads[1:]:
            if thread.name not in named:
                for number in self.writer.cast.of(process.name, self.role.instance, thread.name):
                    self.asm.spawn(self.writer.tasks[number], text="a thread starts")

    def _spin(self) -> None:
        if self._killed is not None:
            self.writer.endings[self.mm].spin(self._killed)
        else:
            self.writer.time.spin()

    def _sleep(self) -> None:
        if self._killed is not None:
            self.writer.endings[self.mm].sleep()
        else:
            self.model.sleep()

    def _preempted(self) -> None:
        if self.writer.hosted:
            self.asm.host_preempt()
        self.model.spin()

    def _move(self, one: Statement) -> None:
        if one.number >= self.model.cpus:
            raise ShootdownError(f"{one.at}: `{one.text}`: there are CPUs 0 to {self.model.cpus - 1}")
        self.model.move(one.number)

    # --- blocks

    def _measure(self, one: Statement) -> None:
        self._measures = True
        with self.model.window("measured", self.task):
            self._body(one.body)
        self._measures = False

    def _repeat(self, one: Statement) -> None:
        children = {inner.name for inner in within(one.body) if inner.verb == "fork"}
        if children:
            self._unrolled(one, children)
            return
        self.loop(self._cells(one, 1), one.number, lambda: self._body(one.body))

    def _each(self, one: Statement) -> None:
        """Write a loop over the pieces of a place, which are all as they were before it when their turn comes."""
        assert one.place is not None
        here = self.writer.cuts[one.place.memory]
        areas = here.about(one, self.writer.page_size)
        space = self.space_of(here)
        cells = self._cells(one, 1 + space.mapped.kept_for(areas))
        count = (one.place.hi - one.place.lo) // one.number
        unmaps = unmaps_by_pieces(self.writer.program, one) and all(area.table >= 0 for area in areas)
        with (
            space.mapped.as_before(areas, cells + 1) as restore,
            space.sharing.by_pieces(areas, cells + 1),
        ):

            def turn() -> None:
                restore()
                self._body(one.body)

            if count > unmaps:
                self.loop(cells, count - unmaps, turn)
            if unmaps:
                restore()
                for area in areas:  # with the last piece no VMA is left in their table
                    space.mapped.put(space.mapped.cell(GONE, area), 1)
                self._last_piece = True
                self._body(one.body)
                self._last_piece = False

    def _cells(self, one: Statement, count: int) -> int:
        """Return the first of a statement's variables: the same ones each time that it is written."""
        if id(one) not in self._turns:
            self._turns[id(one)] = self.model.variable()
            for _ in range(count - 1):
                self.model.variable()
        return self._turns[id(one)]

    def loop(self, turns: int, count: int, write: Callable[[], None]) -> None:
        """Write a loop that counts in a variable, as calls use all registers."""
        asm, start, out = self.asm, self.model.label(), self.model.label()
        with asm.aside():
            asm.v_store(turns, count)
        asm.place(start)
        self._uses.unknown()
        write()
        self._uses.unknown()
        with asm.aside():
            asm.v_add(turns, -1, o.SCRATCH)
            asm.jump_zero(o.SCRATCH, out)
            asm.jump(start)
            asm.place(out)

    def _unrolled(self, one: Statement, children: set[str]) -> None:
        """Write a repetition that forks: each turn makes processes of its own."""
        forked = self.writer.forked
        before = {child: forked.get((child, self.role.instance), 0) for child in children}
        each = {child: forks_of(one.body, child) for child in children}

        def turn(n: int) -> None:
            for child in children:
                forked[child, self.role.instance] = before[child] + n * each[child]
            self._body(one.body)

        repeated(self.asm, one.number, turn)
        for child in children:
            forked[child, self.role.instance] = before[child] + one.number * each[child]
