"""The `hugetlb_shared` program: a parent and its children, forked, that share page tables and act in turn."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from shootdown._mm.model import Model
from shootdown._oracle.placement import PARENT_CPU
from shootdown._oracle.program import COPIED, Program, touched
from shootdown._oracle.rows import Row
from shootdown._values.errors import ShootdownError
from shootdown._values.setup import Setup
from shootdown._workloads.hugetlb import split_into_vmas, upper_tables

#: The page through which the processes communicate: dirty, shared, of an ordinary file.
TALK_PAGES = 1
#: The most VMAs, as the workloads' parameter has it.
MOST_VMAS = 10**5

MODES = (
    "exit",
    "munmap",
    "pmunmap",
    "mprotect",
    "madvise",
    "mremap",
    "split",
    "punch",
    "trunc",
    "exitpar",
    "mixed",
    "mv_exit",
    "mv_munmap",
    "mv_mprotect",
    "softoff",
    "control_unshared",
)


class SharedHugetlb:
    """Write the `hugetlb_shared` program in one mode.

    Args:
        setting: kernel, platform and CPUs.
        row: the row with `N`, `k` and `mode`.
        variant: 1 if the CPU on which a child was forked still has the child's mm loaded lazily when the child acts,
            because the parent has not run there since. Timing decided which of the two happened.
    """

    def __init__(self, setting: Setup, row: Row, *, variant: int) -> None:
        self.lingers = variant == 1
        self.mode = row.word("mode", MODES)
        self.tables = row.integer("N")
        self.children = 0 if self.mode == "control_unshared" else row.integer("k")
        if self.tables < 1:
            raise ShootdownError(f"N is {self.tables}; it is at least 1")
        if self.children < 1 and self.mode != "control_unshared":
            raise ShootdownError(f"k is 0; with mode {self.mode} it is at least 1")
        vmas = self.tables if self.mode.startswith("mv_") else 1
        if vmas > MOST_VMAS:
            raise ShootdownError(
                f"N is {vmas}; with mode {self.mode}, of a VMA for each, it is at most {MOST_VMAS}"
            )
        self.model = Model(
            setting.kernel,
            setting.lowering,
            cpus=setting.cpus,
            mms=self.children + 2,
            slots=self.tables,
            classes=2,
        )
        self.mappings = touched(split_into_vmas(self.tables, vmas, 2, self.model.slot_huge_pages))
        self.parent = self.model.task(mm=0, cpu=0, ready=True)
        self.init = self.model.task(mm=self.children + 1, cpu=0)
        self.kids = [
            self.model.task(mm=1 + j, cpu=PARENT_CPU % self.model.cpus) for j in range(self.children)
        ]
        self.turns = [self.model.event() for _ in range(self.children + 1)]
        self.done = self.model.event()
        self.ready = self.model.event()
        self.windows: list[tuple[str, int]] = []

    def build(self) -> Program:
        """Write all programs of the mode."""
        model = self.model
        for j, kid in enumerate(self.kids, start=1):
            model.starts(kid)
            self._child(j)
            model.asm.expect(model.asm.here // j * self.children)
        model.starts(self.parent)
        self._parent()
        model.starts(self.init)
        self._conduct()
        model.sleep()
        return Program(model.build(pages_per_table=2), tuple(self.windows))

    # --- the children

    def _child(self, j: int) -> None:
        """Write a child: it pins itself, touches what the parent touched, and waits for its turn."""
        model = self.model
        model.move((PARENT_CPU + j) % model.cpus)
        touched = self.mappings
        if self.mode == "mixed" and j > 1:
            half = self.mappings[0].used[: self.tables // 2]
            touched = (attrs.evolve(self.mappings[0], used=half),)
        for m in touched:
            model.hugetlb.touch(m)
        model.signal(self.done)
        if j > 1 and self.mode not in ("exit", "mv_exit", "exitpar", "pmunmap", "munmap"):
            model.sleep()
            return
        if self.mode in ("punch", "trunc", "softoff"):
            model.sleep()
            return
        if self.mode == "mprotect":
            self._protect_thrice(j)
        else:
            model.wait(self.turns[j])
            self._linger(j)
            self._act(j)
        model.signal(self.done)
        if self._leaves():
            model.asm.halt()
        else:
            model.sleep()

    def _linger(self, j: int) -> None:
        """Let CPU 1 keep this child's mm lazily, as if nothing had run there since the fork.

        With more children than CPUs another child has run on each.
        """
        if self.lingers and not self._leaves() and j % self.model.cpus and self.children <= self.model.cpus:
            self.model.move(PARENT_CPU % self.model.cpus)
            self.model.move((PARENT_CPU + j) % self.model.cpus)

    def _leaves(self) -> bool:
        return self.mode in ("exit", "mv_exit", "exitpar", "pmunmap")

    def _act(self, j: int) -> None:
        calls = self.model.calls
        if self._leaves():
            calls.exit(self.mappings, dirty_shared_pages=TALK_PAGES)
        elif self.mode in ("munmap", "mv_munmap", "mixed"):
            self._munmap()
        elif self.mode == "mv_mprotect":
            calls.mprotect(self.mappings)
        elif self.mode == "madvise":
            calls.madvise(*self.mappings)
        elif self.mode == "mremap":
            count, level = upper_tables(self.model, self.tables)
            for m in self.mappings:
                calls.mremap(m, upper_tables=count, level=level)
        elif self.mode == "split":
            calls.split(self.mappings[0])

    def _munmap(self) -> None:
        count, level = upper_tables(self.model, self.tables)
        self.model.calls.munmap(self.mappings, upper_tables=count, level=level)

    def _protect_thrice(self, j: int) -> None:
        """Write three calls of mprotect(): read-only; back, with nothing touched; touched and read-only again."""
        model = self.model
        for n in range(3):
            model.wait(self.turns[j], n + 1)
            if n == 0:
                self._linger(j)
            elif n == 2:
                for m in self.mappings:
                    model.hugetlb.touch(m)
                model.signal(self.done)
                model.wait(self.turns[j], n + 2)
            model.calls.mprotect(self.mappings)
            if n < 2:
                model.signal(self.done)

    # --- the parent

    def _parent(self) -> None:
        """Write the parent: it leaves CPU 0 to the process that started it, pins itself, and touches everything.

        It shares its memory with that process and so copies pages on write first; on ppc64el that trims its mm_cpumask.
        """
        model = self.model
        model.move(PARENT_CPU % model.cpus)
        model.asm.spawn(self.init, text="the process that waits for it runs there")
        model.calls.copy_on_write(COPIED)
        for m in self.mappings:
            model.hugetlb.touch(m)
        if self.children:
            with self._window("fork", 0, self.parent):
                for j, kid in enumerate(self.kids, start=1):
                    model.calls.fork(kid, j, 0, self.mappings, populated=True, cow_pages=COPIED)
            self._await(self.children)
        if self.mode == "mprotect":  # nothing runs on its CPU meanwhile
            model.signal(self.ready)
            model.sleep()
            return
        self._steps()
        model.asm.halt()

    def _conduct(self) -> None:
        """Write the process that waits: where the parent sleeps it tells the child when to act."""
        if self.mode == "mprotect":
            self.model.wait(self.ready)
            self._three_protections()

    def _steps(self) -> None:
        steps: dict[str, Callable[[], None]] = {
            "exit": self._one_after_another,
            "munmap": self._one_after_another,
            "mv_exit": self._one_after_another,
            "pmunmap": self._parent_first,
            "exitpar": self._all_at_once,
            "control_unshared": self._control,
            "punch": self._by_file,
            "trunc": self._by_file,
            "softoff": self._by_file,
        }
        steps.get(self.mode, self._first_child)()

    def _window(self, step: str, i: int, actor: int):  # type: ignore[no-untyped-def]
        self.windows.append((step, i))
        return self.model.window(step, actor)

    def _await(self, count: int) -> None:
        """Sleep until so many more signals of `done` came."""
        self._awaited = getattr(self, "_awaited", 0) + count
        self.model.wait(self.done, self._awaited)

    def _turn(self, j: int, step: str) -> None:
        with self._window(step, j, self.kids[j - 1]):
            self.model.signal(self.turns[j])
            self._await(1)

    def _one_after_another(self) -> None:
        step = {"exit": "exit", "mv_exit": "exit_multi_vma", "munmap": "munmap"}[self.mode]
        for j in range(1, self.children + 1):
            self._turn(j, step)
        if self.mode == "exit":
            with self._window("parent_munmap_last", 0, self.parent):
                self._munmap()

    def _parent_first(self) -> None:
        with self._window("parent_munmap_first", 0, self.parent):
            self._munmap()
        for j in range(1, self.children + 1):
            self._turn(j, "exit_after_parent")

    def _three_protections(self) -> None:
        self._turn(1, "mprotect_ro")
        self._turn(1, "mprotect_rw_untouched")
        self.model.signal(self.turns[1])
        self._await(1)
        self._turn(1, "mprotect_ro_again")

    def _all_at_once(self) -> None:
        with self._window("exit_concurrent", 0, self.kids[0]):
            for j in range(1, self.children + 1):
                self.model.signal(self.turns[j])
            self._await(self.children)

    def _control(self) -> None:
        with self._window("munmap", 0, self.parent):
            self._munmap()

    def _by_file(self) -> None:
        step = {"punch": "punch_whole", "trunc": "truncate0", "softoff": "soft_offline_migrate"}[self.mode]
        mms = tuple(range(self.children + 1))  # in the order in which they mapped the file
        calls = self.model.calls
        with self._window(step, 0, self.parent):
            for m in self.mappings:
                if self.mode == "softoff":
                    calls.migrate(m, mms)
                else:
                    calls.zap_file(m, mms, name=step)

    def _first_child(self) -> None:
        step = {
            "madvise": "madvise",
            "mremap": "mremap",
            "split": "munmap_first_512M",
            "mixed": "munmap_mixed",
            "mv_munmap": "munmap_multi_vma",
            "mv_mprotect": "mprotect_multi_vma",
        }[self.mode]
        self._turn(1, step)


def shared_hugetlb(setting: Setup, row: Row, variant: int) -> Program:
    """Build the `hugetlb_shared` program of a row."""
    return SharedHugetlb(setting, row, variant=variant).build()
