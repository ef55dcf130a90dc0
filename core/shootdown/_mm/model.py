"""Put a machine together: processes, mappings, programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from operator import index
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._compilation.running import runnable
from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.checks import MOST_ENTRIES, Sizes
from shootdown._machine.code import Code
from shootdown._machine.courses import Start, check
from shootdown._machine.fields import Fields
from shootdown._machine.label import Label
from shootdown._machine.layout import (
    ATOM_CELLS,
    M_GLOBAL,
    MM_CELLS,
    MOST_PAGES,
    SPAN_CELLS,
    T_CPU,
    T_MM,
    T_ON,
    T_PC,
    TASK_CELLS,
    Layout,
    empty_state,
    make_layout,
    refuse_large,
    set_cpu,
)
from shootdown._machine.machine import Machine
from shootdown._mm.calls import Calls
from shootdown._mm.gather import Gathers
from shootdown._mm.hugetlb import Hugetlb, Locks
from shootdown._values.architecture import Lowering
from shootdown._values.errors import ShootdownError
from shootdown._values.kernel import Kernel
from shootdown._values.patch import CPU, MACHINE, MM
from shootdown._values.sites import Site, caller, mistake, raised

if TYPE_CHECKING:
    import numpy.typing as npt

#: Bits of a cell of the state that exploration keeps, and the most CPUs of a machine that it takes: a state has a row
#: of cells for each pair of CPUs, and with thousands it takes minutes until the first is looked at.
EXPLORED_BITS = 16
MOST_EXPLORED_STEPS = (1 << 16) - 1
MOST_EXPLORED_CPUS = 64
#: The most cells of an explored state; those of shipped scenarios have some hundreds.
MOST_EXPLORED_CELLS = 1 << 18
#: More than any machine has of anything.
_MOST = 1 << 20
#: More than any variable holds, in a timed run.
_LARGEST = (1 << 62) - 1
#: The most atoms and frames of a machine: moves name an atom by eight bits, cells a frame by one of 32.
MOST_ATOMS, MOST_FRAMES = 128, 12


@attrs.define
class _Task:
    mm: int | None
    cpu: int
    entry: int
    ready: bool
    site: Site | None


class Model:
    """Collect the programs of one scenario; `build()` makes the machine.

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
        for name, number in (("cpus", cpus), ("mms", mms), ("classes", classes)):
            _whole(f"{name} of a model", number, 1, _MOST)
        for name, number in (("slots", slots), ("files", files)):
            _whole(f"{name} of a model", number, 0, _MOST)
        self.kernel = kernel
        self.lowering = lowering
        self.cpus = cpus
        self.mms = mms
        self.slots = max(slots, 1)
        refuse_large(mms, self.slots, mms * self.slots)
        self.files = files
        self.classes = classes
        geometry = lowering.geometry
        del small
        self.slot_pages = slot_pages or 1 << (geometry.pud_shift - geometry.page_shift)
        huge_pages = 1 << (geometry.pmd_shift - geometry.page_shift)
        self.slot_huge_pages = self.slot_pages // huge_pages
        self.asm = Assembler(kernel.patch)
        own = lowering.machine_locks
        self.locks = Locks(i_mmap=own, mmap=own + files, vma=own + files + mms, ptl=own + files + 2 * mms)
        self.gathers = Gathers(self.asm, kernel, lowering, batch_fails=batch_fails, counts_pages=counts_pages)
        self._page_caches: dict[int, int] = {}
        self.hugetlb = Hugetlb(
            self.asm,
            kernel,
            lowering,
            self.gathers,
            self.locks,
            self.slot_pages,
            huge_pages,
            self._page_cache,
        )
        self.calls = Calls(self.asm, kernel, lowering, self.gathers, self.hugetlb, self.locks)
        self.asm.functions.bind(kernel, lowering, self.gathers, self.hugetlb, self.calls)
        self.asm.functions.fields = Fields(
            tuple(kernel.patch.about.fields) if kernel.patch is not None else (),
            self.variable,
            {CPU: cpus, MM: mms, MACHINE: 1},
        )
        self._tasks: list[_Task] = []
        self._events = 0
        self._windows: list[str] = []
        self._preempted: set[int] = set()
        self._populated: list[tuple[int, int, int]] = []
        self._atoms: list[tuple[int, int, str]] = []
        self._frames: list[tuple[int, str]] = []
        self._maps: list[tuple[int, int, int]] = []
        self._in_user_mode: set[int] = set()
        self._lazy: list[tuple[int, int]] = []
        self._variables: list[int] = []
        self._owners: list[int] = []
        self._spans: list[int] = []
        self._names: list[str] = []
        self._words: dict[int, Callable[[int], str]] = {}
        self._stores = 2
        self._locks = 0

    # --- declarations

    def task(self, *, mm: int | None, cpu: int | None, ready: bool = False) -> int:
        """Declare a task; `cpu=None` lets fork() choose. Its program is the one written after `starts()`.

        Raises:
            ShootdownError: there is no such mm or CPU.
        """
        if mm is not None:
            self._is_mm(mm)
        if cpu is not None:
            self._is_cpu(cpu)
        self._tasks.append(_Task(mm, self.cpus if cpu is None else cpu, -1, bool(ready), caller()))
        return len(self._tasks) - 1

    def starts(self, *tasks: int) -> None:
        """Begin the program of these tasks here."""
        for task in tasks:
            _whole("task", task, 0, len(self._tasks) - 1)
            if self._tasks[task].entry >= 0:
                raise mistake(f"task {task} begins twice: starts() was called for it before")
            self._tasks[task].entry = self.asm.here

    def entry(self, mm: int, value: int, name: str = "", *, lo: int = 0, hi: int | None = None) -> int:
        """Declare a single page-table entry of an mm; entries come before all variables.

        Args:
            mm: the address space.
            value: its first value.
            name: its name in stories.
            lo, hi: the base pages that it maps, `[lo, hi)`: a flush drops a TLB's copy of it if an address that it
                invalidates lies among them. Without `hi` every flush of the mm does.
        """
        if len(self._owners) != len(self._variables):
            raise mistake("entries come before other variables: declare this one first")
        if len(self._owners) == MOST_ENTRIES:
            raise mistake(f"a machine has at most {MOST_ENTRIES} entries that stand alone")
        self._is_mm(mm)
        _whole("the first value of an entry", value, 0, _LARGEST)
        _name(name)
        if hi is not None:
            _whole("the first page of an entry", lo, 0, MOST_PAGES)
            _whole("the end of an entry's pages", hi, lo + 1, MOST_PAGES)
        self._owners.append(mm)
        self._spans += (0, MOST_PAGES) if hi is None else (lo, hi)
        self._names.append(name)
        self._variables.append(value)
        return len(self._variables) - 1

    def variable(self, value: int = 0, name: str = "", words: Callable[[int], str] | None = None) -> int:
        """Declare a variable that all CPUs can read and write.

        Args:
            value: its first value.
            name: its name in stories.
            words: the names of its values in stories; numbers if None.
        """
        _whole("the first value of a variable", value, 0, _LARGEST)
        _name(name)
        if words is not None and not callable(words):
            raise mistake(f"the words of a variable are a function of its value, not {words!r:.40}")
        if words is not None:
            self._words[len(self._variables)] = _told(words, name, caller())
        self._names.append(name)
        self._variables.append(value)
        return len(self._variables) - 1

    def _page_cache(self, file: int) -> int:
        """Return the first of a file's variables, one for each slot: whether its page cache holds the slot's pages."""
        if file not in self._page_caches:
            self._page_caches[file] = len(self._variables)
            self._variables += [0] * self.slots
            self._names += [""] * self.slots
        return self._page_caches[file]

    def lock(self) -> int:
        """Declare one more lock, one that the kernel model does not have."""
        self._locks += 1
        return self.locks.ptl + self.slots + self._locks - 1

    def event(self) -> int:
        """Declare an event that tasks signal and await."""
        self._events += 1
        return self._events - 1

    def preempt(self, cpu: int) -> None:
        """Let a vCPU be preempted when the run begins."""
        self._is_cpu(cpu)
        self._preempted.add(cpu)

    def populate(self, mm: int, slot: int = 0, klass: int = 0) -> None:
        """Let the mm map the slot's table of a class when the run begins."""
        self._is_mm(mm)
        _whole("slot", slot, 0, self.slots - 1)
        _whole("class of tables", klass, 0, self.classes - 1)
        if (mm, slot) in {(other, there) for other, there, _ in self._populated}:
            raise mistake(
                f"mm {mm} maps the table of slot {slot} already: populate() was called for it before"
            )
        self._populated.append((mm, slot, klass))

    def atom(self, lo: int, hi: int, name: str = "") -> int:
        """Declare an atom: pages that the whole program treats alike, and that one entry maps.

        Args:
            lo, hi: its base pages, `[lo, hi)`; all of them in one slot.
            name: its name in stories.
        """
        _whole("the first page of an atom", lo, 0, MOST_PAGES)
        _whole("the end of an atom's pages", hi, lo + 1, MOST_PAGES)
        _name(name)
        slot = lo // self.slot_pages
        if slot >= self.slots or (hi - 1) // self.slot_pages != slot:
            raise mistake(
                f"an atom of pages {lo} to {hi}: it lies in one of {self.slots} slots of {self.slot_pages} pages"
            )
        if len(self._atoms) == MOST_ATOMS:
            raise mistake(f"a machine has at most {MOST_ATOMS} atoms")
        self._atoms.append((lo, hi, name))
        return len(self._atoms) - 1

    def slot_of(self, atom: int) -> int:
        """Return the slot of an atom."""
        return self._atoms[atom][0] // self.slot_pages

    def pages_of(self, atom: int) -> tuple[int, int]:
        """Return the base pages of an atom, `(lo, hi)`."""
        return self._atoms[atom][:2]

    def frame(self, references: int, name: str = "") -> int:
        """Declare a page frame with its first references: of entries, of the page cache."""
        _whole("references to a frame", references, 0, _MOST)
        _name(name)
        if len(self._frames) == MOST_FRAMES:
            raise mistake(f"a machine has at most {MOST_FRAMES} frames")
        self._frames.append((references, name))
        return len(self._frames) - 1

    def maps(self, atom: int, value: int, klass: int = 0) -> None:
        """Let the entry of an atom, in the table of a class, have a value when the run begins."""
        _whole("atom", atom, 0, len(self._atoms) - 1)
        _whole("class of tables", klass, 0, self.classes - 1)
        _whole("the value of an entry", value, 0, _LARGEST)
        self._maps.append((klass, atom, value))

    def user_mode(self, cpu: int) -> None:
        """Let a CPU be in user mode when the run begins."""
        _whole("CPU", cpu, 0, self.cpus - 1)
        self._in_user_mode.add(cpu)

    def keep_lazy(self, cpu: int, mm: int) -> None:
        """Let a CPU idle when the run begins, with an mm loaded lazily."""
        self._is_cpu(cpu)
        self._is_mm(mm)
        self._lazy.append((cpu, mm))

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

    def _is_cpu(self, cpu: int) -> None:
        _whole("CPU", cpu, 0, self.cpus - 1)

    def _is_mm(self, mm: int) -> None:
        _whole("mm", mm, 0, self.mms - 1)

    # --- synchronisation between tasks

    def signal(self, event: int) -> None:
        """Write: signal the event."""
        self.asm.signal(event, text="tell who waits")

    def wait(self, event: int, count: int = 1) -> None:
        """Write: sleep until the event was signalled `count` times."""
        self.asm.await_event(event, count, text="sleep until told")

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
                self.asm.fence(text="what came before a grace period is seen by who comes after it")
                self.asm.target_rcu(text="a grace period begins")
                self.asm.send(o.CALL_RCU, 0, text="wait for a quiescent state of each CPU")
                self.asm.wait_for_answers("the grace period is over")
        self.asm.table_state(o.TABLE_FREED, text="the table's page is freed")

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
        _whole("pages_per_table", pages_per_table, 0, _LARGEST)
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
            writes=self.lowering.writes_of_ipis(self.cpus),
            scan_misses=self.lowering.ipi_scan_misses,
        )

    def _layout(self, bits: int, memory: int) -> Layout:
        """Return where the parts of the state lie, of everything that was declared."""
        rules, patch = self.lowering.mm, self.kernel.patch
        geometry = self.lowering.geometry
        if self.cpus < 1:
            raise ShootdownError(f"a machine has at least one CPU, not {self.cpus}")
        if bits == EXPLORED_BITS and self.cpus > MOST_EXPLORED_CPUS:
            raise mistake(
                f"a scenario of {self.cpus} CPUs: exploration takes up to {MOST_EXPLORED_CPUS}, "
                "and races show with two to four"
            )
        layout = make_layout(
            cpus=self.cpus,
            tasks=len(self._tasks),
            mms=self.mms,
            slots=self.slots,
            classes=self.classes,
            locks=self.locks.ptl + self.slots + self._locks,
            events=max(self._events, 1),
            asids=min(rules.asids, self.mms),  # no CPU sees more address spaces than there are
            bits=bits,
            slot_pages=self.slot_pages,
            shifts=(
                geometry.pmd_shift - geometry.page_shift,
                geometry.pud_shift - geometry.page_shift,
                geometry.p4d_shift - geometry.page_shift,
            ),
            clear_on_switch=rules.clear_on_switch
            and not (patch is not None and patch.about.keeps_mm_cpumask),
            lazy_tlb=rules.lazy_tlb,
            tagged=rules.tagged,
            variables=len(self._variables),
            entries=len(self._owners),
            atoms=len(self._atoms),
            frames=len(self._frames),
            walk_cache=getattr(getattr(self.lowering, "platform", None), "walk_entries", 1) > 0,
            hardware_walks=self.lowering.no_hardware_walker() is None,
            stores=self._stores if memory else 0,
            memory=memory,
        )
        if bits == EXPLORED_BITS and layout.size > MOST_EXPLORED_CELLS:
            raise mistake(
                f"a state of {layout.size} cells cannot be explored: there are at most {MOST_EXPLORED_CELLS}; "
                "races show with few mms, slots and files"
            )
        return layout

    def _first_state(self, layout: Layout) -> npt.NDArray[Any]:
        """Return the state in which everything that was declared begins."""
        state = empty_state(layout, "int64" if layout.bits == 64 else "uint32")
        for number, task in enumerate(self._tasks):
            at = layout.o_task + number * TASK_CELLS
            state[at + T_PC] = task.entry
            state[at + T_CPU] = task.cpu
            state[at + T_MM] = 0 if task.mm is None else task.mm + 1
            state[at + T_ON] = 0 if task.mm is None else task.mm + 1
        for cpu in self._preempted:
            set_cpu(state, layout, "preempted", cpu)
        for mm in range(self.mms if self.lowering.global_asid_from_start else 0):
            state[layout.o_mm + mm * MM_CELLS + M_GLOBAL] = 2
        for mm, slot, klass in self._populated:
            state[layout.o_pud + mm * layout.slots + slot] = klass + 1
            state[layout.o_share + klass * layout.slots + slot] += 1
        for atom, (lo, hi, _) in enumerate(self._atoms):
            at = layout.o_atom + atom * ATOM_CELLS
            state[at : at + ATOM_CELLS] = lo // self.slot_pages, lo, hi
        state[layout.o_frame : layout.o_frame + layout.frames] = [count for count, _ in self._frames]
        for klass, atom, value in self._maps:
            state[layout.o_entry + klass * layout.atoms + atom] = value
        for cpu in self._in_user_mode:
            set_cpu(state, layout, "user", cpu)
        state[layout.o_variable : layout.o_variable + layout.variables] = self._variables
        state[layout.o_owner : layout.o_owner + layout.entries] = self._owners
        state[layout.o_span : layout.o_span + SPAN_CELLS * layout.entries] = self._spans
        if self._lazy:
            from shootdown._machine.switching import load_mm, switch_to  # imports numba, so only when needed

            for cpu, mm in self._lazy:
                runnable(load_mm)(state, layout, cpu, mm + 1)
                runnable(switch_to)(state, layout, cpu, -1)
        return state

    def explored_with(
        self, homes: Sequence[int], *, lazy: int | None, user: bool, memory: int
    ) -> tuple[Layout, npt.NDArray[Any]]:
        """Return layout and first state of a machine to explore that has these tasks in place of the model's own.

        Args:
            homes: for each task its mm; its CPU is the one of its number, and nobody has said where it begins.
            lazy: the mm that one more CPU idles with; None: there is no such CPU.
            user: the CPUs of the tasks are in user mode.
            memory: the memory model.
        """
        other = copy(self)
        other.cpus = len(homes) + (lazy is not None)
        other._tasks = [_Task(mm, cpu, 0, True, None) for cpu, mm in enumerate(homes)]
        other._in_user_mode = set(range(len(homes))) if user else set()
        other._lazy = [] if lazy is None else [(len(homes), lazy)]
        layout = other._layout(EXPLORED_BITS, memory)
        return layout, other._first_state(layout)

    def _numbers(self) -> tuple[int, ...]:
        """Return each CPU the number by which what runs below knows it."""
        given = self.lowering.numbers_below[: self.cpus]
        after = given[-1] + 1 if given else 0
        return (*given, *range(after, after + self.cpus - len(given)))

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


def _whole(what: str, value: object, least: int, most: int) -> None:
    """Refuse what is no whole number from `least` to `most`."""
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        raise mistake(f"{what} {value!r:.40}: it is a whole number") from None
    if not least <= number <= most:
        there = f"there are {least} to {most}" if most < _MOST else f"it is a number from {least} to {most}"
        raise mistake(f"{what} {number}: {there if most >= least else 'there is none'}")


def _told(words: Callable[[int], str], name: str, site: Site | None) -> Callable[[int], str]:
    """Return what a person wrote to tell a variable's values, so that its errors are one line."""

    def told(value: int) -> str:
        try:
            return str(words(value))
        except Exception as error:
            what = f"the words of variable {name!r} for {value}: {type(error).__name__}: {error}"
            raise mistake(what, raised(error) or site) from error

    return told


def _name(name: object) -> None:
    if not isinstance(name, str):
        raise mistake(f"a name is words, not {name!r:.40}")
