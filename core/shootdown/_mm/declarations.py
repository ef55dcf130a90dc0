"""What a machine is made of: processes and tasks, what they map, variables, locks and events."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.checks import MOST_ENTRIES
from shootdown._machine.layout import MOST_PAGES, refuse_large
from shootdown._mm.hugetlb import Locks
from shootdown._mm.vetting import LARGEST, MOST, named, told_by, whole
from shootdown._values.kernel import Kernel
from shootdown._values.lowering import Lowering
from shootdown._values.sites import Site, caller, mistake

#: The most atoms and frames of a machine: moves name an atom by eight bits, cells a frame by one of 32.
MOST_ATOMS, MOST_FRAMES = 128, 12


@attrs.define
class Task:
    """A task: its mm, where it begins, and the line that declared it."""

    mm: int | None
    cpu: int
    entry: int
    ready: bool
    site: Site | None
    floats: bool = False


class Declarations:
    """Collect what is declared of a machine, before its programs are written or while they are.

    Args:
        kernel, lowering, cpus, mms, slots, files, classes, slot_pages: as for `Model`.
    """

    def __init__(
        self,
        kernel: Kernel,
        lowering: Lowering,
        *,
        cpus: int,
        mms: int,
        slots: int,
        files: int,
        classes: int,
        slot_pages: int | None,
    ) -> None:
        for name, number in (("cpus", cpus), ("mms", mms), ("classes", classes)):
            whole(f"{name} of a model", number, 1, MOST)
        for name, number in (("slots", slots), ("files", files)):
            whole(f"{name} of a model", number, 0, MOST)
        self.kernel = kernel
        self.lowering = lowering
        self.cpus = cpus
        self.mms = mms
        self.slots = max(slots, 1)
        refuse_large(mms, self.slots, mms * self.slots)
        self.files = files
        self.classes = classes
        geometry = lowering.geometry
        self.slot_pages = slot_pages or 1 << (geometry.pud_shift - geometry.page_shift)
        huge_pages = 1 << (geometry.pmd_shift - geometry.page_shift)
        self.slot_huge_pages = self.slot_pages // huge_pages
        #: Base pages that a PTE table translates.
        self.table_pages = huge_pages
        self.asm = Assembler(kernel.patch)
        own = lowering.machine_locks
        self.locks = Locks(i_mmap=own, mmap=own + files, vma=own + files + mms, ptl=own + files + 2 * mms)
        self._tasks: list[Task] = []
        self._events = 0
        self._preempted: set[int] = set()
        self._populated: list[tuple[int, int, int]] = []
        self._atoms: list[tuple[int, int, str]] = []
        self._frames: list[tuple[int, str]] = []
        self._maps: list[tuple[int, int, int]] = []
        self._maps_huge: list[tuple[int, int, int]] = []
        self._in_user_mode: set[int] = set()
        self._lazy: list[tuple[int, int]] = []
        self._variables: list[int] = []
        self._owners: list[int] = []
        self._spans: list[int] = []
        self._names: list[str] = []
        self._words: dict[int, Callable[[int], str]] = {}
        self._page_caches: dict[int, int] = {}
        self._locks = 0

    def task(self, *, mm: int | None, cpu: int | None, ready: bool = False, floats: bool = False) -> int:
        """Declare a task; `cpu=None` lets fork() choose. Its program is the one written after `starts()`.

        With `floats` the scheduler may move it to another CPU whenever it wakes up or was preempted.

        Raises:
            ShootdownError: there is no such mm or CPU.
        """
        if mm is not None:
            self._is_mm(mm)
        if cpu is not None:
            self._is_cpu(cpu)
        self._tasks.append(Task(mm, self.cpus if cpu is None else cpu, -1, bool(ready), caller(), floats))
        return len(self._tasks) - 1

    def starts(self, *tasks: int) -> None:
        """Begin the program of these tasks here."""
        for task in tasks:
            whole("task", task, 0, len(self._tasks) - 1)
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
        whole("the first value of an entry", value, 0, LARGEST)
        named(name)
        if hi is not None:
            whole("the first page of an entry", lo, 0, MOST_PAGES)
            whole("the end of an entry's pages", hi, lo + 1, MOST_PAGES)
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
        whole("the first value of a variable", value, 0, LARGEST)
        named(name)
        if words is not None and not callable(words):
            raise mistake(f"the words of a variable are a function of its value, not {words!r:.40}")
        if words is not None:
            self._words[len(self._variables)] = told_by(words, name, caller())
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
        whole("slot", slot, 0, self.slots - 1)
        whole("class of tables", klass, 0, self.classes - 1)
        if (mm, slot) in {(other, there) for other, there, _ in self._populated}:
            raise mistake(
                f"mm {mm} maps the table of slot {slot} already: populate() was called for it before"
            )
        self._populated.append((mm, slot, klass))

    def maps_huge(self, mm: int, slot: int, value: int) -> None:
        """Let a huge page map a slot of the mm when the run begins; `value` is the entry, with `ops.ENTRY_HUGE`."""
        self._is_mm(mm)
        whole("slot", slot, 0, self.slots - 1)
        whole("the value of an entry of a huge page", value, o.ENTRY_HUGE, LARGEST)
        self._maps_huge.append((mm, slot, value))

    def begins_with(self, variable: int, value: int) -> None:
        """Let a variable that was declared begin with another value."""
        whole("variable", variable, 0, len(self._variables) - 1)
        whole("the first value of a variable", value, 0, LARGEST)
        self._variables[variable] = value

    def atom(self, lo: int, hi: int, name: str = "") -> int:
        """Declare an atom: pages that the whole program treats alike, and that one entry maps.

        Args:
            lo, hi: its base pages, `[lo, hi)`; all of them in one slot.
            name: its name in stories.
        """
        whole("the first page of an atom", lo, 0, MOST_PAGES)
        whole("the end of an atom's pages", hi, lo + 1, MOST_PAGES)
        named(name)
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

    def first_page(self, slot: int) -> int:
        """Return the first base page of a slot."""
        return slot * self.slot_pages

    def pages_of(self, atom: int) -> tuple[int, int]:
        """Return the base pages of an atom, `(lo, hi)`."""
        return self._atoms[atom][:2]

    def frame(self, references: int, name: str = "") -> int:
        """Declare a page frame with its first references: of entries, of the page cache."""
        whole("references to a frame", references, 0, MOST)
        named(name)
        if len(self._frames) == MOST_FRAMES:
            raise mistake(f"a machine has at most {MOST_FRAMES} frames")
        self._frames.append((references, name))
        return len(self._frames) - 1

    def maps(self, atom: int, value: int, klass: int = 0) -> None:
        """Let the entry of an atom, in the table of a class, have a value when the run begins."""
        whole("atom", atom, 0, len(self._atoms) - 1)
        whole("class of tables", klass, 0, self.classes - 1)
        whole("the value of an entry", value, 0, LARGEST)
        self._maps.append((klass, atom, value))

    def user_mode(self, cpu: int) -> None:
        """Let a CPU be in user mode when the run begins."""
        whole("CPU", cpu, 0, self.cpus - 1)
        self._in_user_mode.add(cpu)

    def keep_lazy(self, cpu: int, mm: int) -> None:
        """Let a CPU idle when the run begins, with an mm loaded lazily."""
        self._is_cpu(cpu)
        self._is_mm(mm)
        self._lazy.append((cpu, mm))

    def _is_cpu(self, cpu: int) -> None:
        whole("CPU", cpu, 0, self.cpus - 1)

    def _is_mm(self, mm: int) -> None:
        whole("mm", mm, 0, self.mms - 1)
