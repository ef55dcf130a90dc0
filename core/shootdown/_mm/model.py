"""Put a machine together: processes, mappings, programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._machine.checks import Sizes
from shootdown._machine.code import Code
from shootdown._machine.courses import Start, check
from shootdown._machine.fields import Fields
from shootdown._machine.label import Label
from shootdown._machine.layout import Layout
from shootdown._machine.machine import Machine
from shootdown._mm.calls import Calls
from shootdown._mm.first_state import EXPLORED_BITS, FirstState
from shootdown._mm.gather import Gathers
from shootdown._mm.hugetlb import Hugetlb
from shootdown._mm.vetting import LARGEST, whole
from shootdown._values.errors import shown
from shootdown._values.kernel import Kernel
from shootdown._values.lowering import Lowering
from shootdown._values.patch import CPU, MACHINE, MM
from shootdown._values.places import places_of
from shootdown._values.sites import mistake

#: The most steps of the programs of a machine that exploration takes.
MOST_EXPLORED_STEPS = (1 << 16) - 1


class Model(FirstState):
    """Collect the programs of one scenario; `build()` makes the machine.

    `Declarations` has what is declared of it.

    Args:
        kernel, lowering: the kernel, and how it flushes on the platform.
        cpus: online CPUs.
        mms: address spaces.
        slots: PUD entries modelled in each address space; with `slot_pages`, entries of another level.
        files: hugetlb files.
        classes: kinds of PMD tables (one, and one more for each set of permissions in use).
        small: ignored; accepted so that scenarios of `api=1` that pass it still run: ranges are in base pages.
        batch_fails: allocating a page for a batch of tables fails.
        counts_pages: count queued huge pages, where there are enough of them to fill the batches.
        slot_pages: base pages that a slot's table translates; by default those of a PMD table.
    """

    def __init__(
        self,
        kernel: Kernel,
        lowering: Lowering,
        *,
        cpus: int,
        mms: int,
        slots: int = 1,
        files: int = 1,
        classes: int = 1,
        small: bool = False,
        batch_fails: bool = False,
        counts_pages: bool = False,
        slot_pages: int | None = None,
    ) -> None:
        del small
        super().__init__(
            kernel,
            lowering,
            cpus=cpus,
            mms=mms,
            slots=slots,
            files=files,
            classes=classes,
            slot_pages=slot_pages,
        )
        self.gathers = Gathers(self.asm, kernel, lowering, batch_fails=batch_fails, counts_pages=counts_pages)
        self.hugetlb = Hugetlb(
            self.asm,
            kernel,
            lowering,
            self.gathers,
            self.locks,
            self.slot_pages,
            1 << (lowering.geometry.pmd_shift - lowering.geometry.page_shift),
            self._page_cache,
        )
        self.calls = Calls(self.asm, kernel, lowering, self.gathers, self.hugetlb, self.locks)
        self.asm.functions.bind(
            kernel, lowering, self.gathers, self.hugetlb, self.calls, self.calls.page_tables
        )
        self.asm.functions.fields = Fields(
            tuple(kernel.patch.about.fields) if kernel.patch is not None else (),
            self.variable,
            {CPU: cpus, MM: mms, MACHINE: 1},
        )
        self._windows: list[str] = []

    @contextmanager
    def window(self, name: str, actor: int) -> Iterator[None]:
        """Count what happens within in a window; the counts of task `actor` are also kept apart."""
        self._windows.append(name)
        number = len(self._windows) - 1
        self.asm.mark(number, True, actor=actor, text=f"begin counting: {name}")
        yield
        self.asm.mark(number, False, actor=actor, text=f"end counting: {name}")

    @property
    def windows(self) -> tuple[str, ...]:
        """The names of the windows, in the order in which programs open them."""
        return tuple(self._windows)

    # --- synchronisation between tasks

    def signal(self, event: int) -> None:
        """Write: signal the event."""
        self.asm.signal(event, text="tell who waits")

    def wait(self, event: int, count: int = 1, *, takes: bool = False) -> None:
        """Write: sleep until the event was signalled `count` times; `takes`: these signals are used up."""
        self.asm.await_event(event, count, takes, text="sleep until told")

    def concern(self, mm: int) -> None:
        """Write: kernel work of this task is on that mm from now on."""
        self.asm.on_mm(mm, text="work on that mm")

    def sleep(self) -> None:
        """Write: sleep for ever; the CPU turns lazy."""
        self.asm.park(0, text="sleep")

    def spin(self) -> None:
        """Write: run in user mode for ever."""
        self.asm.park(1, text="run in user mode")

    def move(self, cpu: int) -> None:
        """Write: sched_setaffinity() to another CPU."""
        self.asm.migrate(cpu, text="sched_setaffinity")

    # --- for explored programs

    def label(self) -> Label:
        """Return a new label, to be placed once."""
        return Label()

    def fail_if(self, register: int, value: int, invariant: int, text: str) -> None:
        """Write: the invariant is broken if the register holds the value."""
        fine, bad = Label(), Label()
        self.asm.jump_equal(register, value, bad)
        self.asm.jump(fine)
        self.asm.place(bad)
        self.asm.fail(invariant, text=text)
        self.asm.place(fine)

    def free_table(self) -> None:
        """Write: free the table of registers CLASS and SLOT, after a grace period if the kernel waits for one."""
        if self.kernel.rcu_table_free:
            with self.asm.function("call_rcu", "mm/mmu_gather.c"):
                self._grace_period()
        self.asm.table_state(o.TABLE_FREED, text="the table's page is freed")

    def synchronize_rcu(self) -> None:
        """Write: wait for a grace period."""
        with self.asm.function("synchronize_rcu", "kernel/rcu/tree.c"):
            self._grace_period()

    def _grace_period(self) -> None:
        self.asm.fence(text="what came before a grace period is seen by who comes after it")
        self.asm.target_rcu(text="a grace period begins")
        self.asm.send(o.CALL_RCU, 0, text="wait for a quiescent state of each CPU")
        self.asm.wait_for_answers("the grace period is over")

    # --- the end

    def build(self, *, pages_per_table: int = 2, bits: int = 64, memory: int = o.SC) -> Machine:
        """Return the machine with all programs and declarations.

        Args:
            pages_per_table: huge pages that a process uses in each PMD table.
            bits: CPUs in a word of a set: 64 for a timed run, 16 for exploration, whose cells have 32 bits.
            memory: the memory model, `ops.SC`, `TSO` or `WEAK`.

        Raises:
            ShootdownError: something is wrong with the programs; it names the line.
        """
        if type(bits) is not int or bits not in (16, 64):
            raise mistake(f"build(bits={bits!r:.40}): it is 64 for a timed run, 16 for exploration")
        if memory not in (o.SC, o.TSO, o.WEAK):
            raise mistake(
                f"build(memory={memory!r:.40}): it is ops.SC, ops.TSO or ops.WEAK, as scene.memory says"
            )
        whole("pages_per_table", pages_per_table, 0, LARGEST)
        layout = self._layout(bits, memory)
        code = self.asm.finish()
        self._check(code, layout)
        state = self._first_state(layout)
        return Machine(
            code=code,
            layout=layout,
            state=state,
            ready=tuple(n for n, task in enumerate(self._tasks) if task.ready),
            sections=self.files,
            windows=len(self._windows),
            pages_per_table=pages_per_table,
            tasks_expected=len(self._tasks),
            names=tuple(self._names),
            atoms=tuple(name for _, _, name in self._atoms),
            frames=tuple(name for _, name in self._frames),
            words=self._words,
            numbers=self._numbers(),
            reach=self.lowering.reach_of_calls,
            indexed=self.asm.functions.fields is not None and self.asm.functions.fields.indexed,
            writes=self._writes(),
            scan_misses=self.lowering.ipi_scan_misses,
            controller_ids=self.lowering.controller_ids(places_of(self.lowering.platform, self.cpus)),
            shorthand=self.lowering.interrupts_all_at_once,
            floating=tuple(n for n, task in enumerate(self._tasks) if task.floats),
        )

    def _check(self, code: Code, layout: Layout) -> None:
        """Check everything that was written, now that all sizes are known."""
        if layout.bits == EXPLORED_BITS and len(code.cost) > MOST_EXPLORED_STEPS:
            raise mistake(
                f"{len(code.cost)} steps are too many: exploration takes programs of {MOST_EXPLORED_STEPS}"
            )
        sizes = Sizes(
            tasks=layout.tasks,
            cpus=layout.cpus,
            mms=layout.mms,
            slots=layout.slots,
            events=self._events,
            locks=layout.locks,
            classes=layout.classes,
            variables=layout.variables,
            entries=layout.entries,
            atoms=layout.atoms,
            windows=len(self._windows),
            sections=self.files + 1,
            lists=len(code.lists),
            instructions=len(code.instructions),
            steps=len(code.cost),
            most=layout.most,
        )
        starts = [Start(task.entry, task.mm, task.ready, task.site) for task in self._tasks]
        check(code, sizes, starts, timed=layout.bits == 64)
        for number, value in enumerate(self._variables):
            if value > layout.most:
                raise mistake(f"variable {number} begins with {value}: a cell holds up to {layout.most}")

    def _numbers(self) -> tuple[int, ...]:
        """Return each CPU the number by which what runs below knows it."""
        given = self.lowering.numbers_below[: self.cpus]
        if len(set(given)) < len(given):
            raise mistake(f"numbers_below is {shown(given)}: each CPU has a number of its own")
        after = given[-1] + 1 if given else 0
        return (*given, *range(after, after + self.cpus - len(given)))

    def _writes(self) -> tuple[int, int]:
        """Return how many CPUs one write to the interrupt controller can interrupt, and its words."""
        writes: object = self.lowering.writes_of_ipis(self.cpus)
        match writes:
            case (int(most), int(words)) if most >= 0 and not most & (most - 1) and words > 0:
                return most, words
        raise mistake(
            f"writes_of_ipis() returned {shown(writes)}: how many CPUs a write can interrupt, a power of two or 0, and "
            "its words, 1 at least"
        )
