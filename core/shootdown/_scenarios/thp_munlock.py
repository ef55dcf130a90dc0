"""When an anonymous huge page counts as mlocked (efdb6720b44b, 5.14-rc2): histories of mappings and mlock().

An anonymous THP is marked mlocked only while one PMD maps it (follow_trans_huge_pmd() in mm/huge_memory.c); PTEs that
map a THP never mark it (follow_page_pte() in mm/gup.c). munlock() of a page that is mapped more than once walks the
reverse map for another VM_LOCKED VMA that keeps it mlocked (page_mlock() in mm/rmap.c). Since d9770fcc1c0c (5.14-rc1)
the walk accepted VMAs that map the page by PTEs too: a check of PageDoubleMap was meant to exclude those. For an
anonymous page it does not: the flag is cleared with the last PMD mapping, and is not set when a PMD mapping comes back.
Migration makes that possible: set_pmd_migration_entry() removes the PMD mappings, and remove_migration_ptes() maps the
new page by PMD and by PTEs as the old one was (page_add_anon_rmap() sets no PageDoubleMap). Since the fix page_mlock()
leaves anonymous THPs alone, and so does try_to_unmap(), which had the same test (`-p reclaim=true`).

Up to three processes map the page, each by PMD or by PTEs, each VM_LOCKED or not, read-only: mlock() would break COW of
a writable one. Processes are in the order of the reverse map. All operations run under one lock.

    mlocker     a page that is marked mlocked is mapped by a PMD of a VM_LOCKED VMA
    balance     NR_MLOCK counts the page if and only if it is marked, and it is not marked once it is unmapped
    double-map  page_mlock() is never called with PageDoubleMap set (its VM_BUG_ON_PAGE())
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.model import Model
from shootdown._scenarios.histories import Operation, Writer, write_operations
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_INVARIANTS = ("walk-cache", "mlocker", "balance", "double-map")
_SENTENCES = {
    "mlocker": "A page that is marked mlocked is mapped by a PMD of a VM_LOCKED VMA: nobody else will unmark it.",
    "balance": "NR_MLOCK counts the page if and only if it is marked, and an unmapped page is not marked.",
    "double-map": "page_mlock() gets no page with PageDoubleMap.",
}
_MLOCKER, _BALANCE, _DOUBLE_MAP = range(1, len(_INVARIANTS))
_PLACES = ("mlocked", "munlocked", "walked", "walked-past-locked-ptes", "unmapped")
_MLOCKED, _MUNLOCKED, _WALKED, _WALKED_PAST, _UNMAPPED = range(len(_PLACES))
_PROCESSES = 3
_COLUMNS = 2
_END = _PROCESSES * _COLUMNS
# The ways in which a process maps the page.
_NOT, _BY_PTES, _BY_PMD = range(3)


class _Page(Writer):
    """The huge page's flags and counts, and for each process how it maps the page and whether its VMA is VM_LOCKED."""

    def __init__(self, model: Model, scene: Setup) -> None:
        super().__init__(model)
        self.fixed = scene["fix"]
        self.pmds = model.variable(1, "compound_mapcount")
        self.ptes = model.variable(0, "mappings by PTEs")
        self.double_map = model.variable(0, "PageDoubleMap")
        self.mlocked = model.variable(0, "PageMlocked")
        self.nr_mlock = model.variable(0, "NR_MLOCK")
        rows = [
            variable
            for number in range(_PROCESSES)
            for variable in (
                model.variable(
                    _NOT if number else _BY_PMD,
                    f"page in process {number + 1}",
                    ("not mapped", "by PTEs", "by PMD").__getitem__,
                ),
                model.variable(0, f"VM_LOCKED in process {number + 1}"),
            )
        ]
        self.how, self.locked = rows[:_COLUMNS]

    @contextmanager
    def each(self) -> Iterator[None]:
        """Write: run the steps within for each process in reverse-map order; INDEX is the start of its row."""
        asm, model = self.asm, self.model
        again, over = model.label(), model.label()
        asm.set(o.INDEX, 0)
        asm.place(again)
        yield
        asm.add(o.INDEX, _COLUMNS)
        asm.jump_equal(o.INDEX, _END, over)
        asm.jump(again)
        asm.place(over)

    def mark(self) -> None:
        """Write mlock_vma_page()."""
        asm = self.asm
        with asm.function("mlock_vma_page", "mm/mlock.c"):
            self.look(o.SCRATCH, self.mlocked)
            with self.if_equal(o.SCRATCH, 0):
                asm.v_store(self.mlocked, 1, text="SetPageMlocked")
                self.count(self.nr_mlock, 1, text="NR_MLOCK counts the page")
                asm.reached(_MLOCKED)

    @contextmanager
    def unmarked(self) -> Iterator[None]:
        """Write TestClearPageMlocked() with its accounting; the steps within run only if the page was marked."""
        self.look(o.SCRATCH, self.mlocked)
        with self.if_equal(o.SCRATCH, 1):
            self.asm.v_store(self.mlocked, 0, text="ClearPageMlocked")
            self.count(self.nr_mlock, -1, text="NR_MLOCK counts it no more")
            yield

    def clear_mlock(self) -> None:
        """Write clear_page_mlock()."""
        with self.asm.function("clear_page_mlock", "mm/mlock.c"), self.unmarked():
            pass

    # --- operations; register SLOT is where the row of a process begins

    def mlock(self, refused: Label) -> None:
        """Write mlock() of a VMA that may be VM_LOCKED already: it is populated once more."""
        asm, model = self.asm, self.model
        over = model.label()
        self._refuse_unmapped(refused)
        asm.v_store(self.locked, 1, index=o.SLOT, text="the VMA is VM_LOCKED")
        self.look(o.SCRATCH, self.how, o.SLOT)
        with self.if_equal(o.SCRATCH, _BY_PMD), asm.function("follow_trans_huge_pmd", "mm/huge_memory.c"):
            self.look(o.SCRATCH, self.pmds)
            with self.unless_equal(o.SCRATCH, 1):
                asm.jump(over)
            self.look(o.SCRATCH, self.double_map)
            with self.if_equal(o.SCRATCH, 0):
                self.mark()
        asm.place(over)

    def _refuse_unmapped(self, refused: Label) -> None:
        self.look(o.SCRATCH, self.how, o.SLOT)
        self.asm.jump_equal(o.SCRATCH, _NOT, refused)

    def munlock(self, refused: Label) -> None:
        """Write munlock() of a VM_LOCKED VMA."""
        self.look(o.SCRATCH, self.locked, o.SLOT)
        self.asm.jump_zero(o.SCRATCH, refused)
        self._munlock_vma()

    def _munlock_vma(self) -> None:
        """Write munlock_vma_pages_range()."""
        asm, model = self.asm, self.model
        with asm.function("munlock_vma_pages_range", "mm/mlock.c"):
            asm.v_store(self.locked, 0, index=o.SLOT, text="the VMA is VM_LOCKED no more")
            with asm.function("munlock_vma_page"), self.unmarked():
                asm.reached(_MUNLOCKED)
                few = model.label()  # page_mapcount(): the mapping that is munlocked is the only one
                self.look(o.SCRATCH, self.pmds)
                self.look(o.SCRATCH2, self.ptes)
                with self.if_equal(o.SCRATCH, 0):
                    asm.jump_equal(o.SCRATCH2, 1, few)
                with self.if_equal(o.SCRATCH, 1):
                    asm.jump_equal(o.SCRATCH2, 0, few)
                self._page_mlock()
                asm.place(few)

    def _page_mlock(self) -> None:
        """Write page_mlock(): look for another VM_LOCKED VMA, which keeps the page mlocked."""
        asm, model = self.asm, self.model
        over = model.label()
        with asm.function("page_mlock", "mm/rmap.c"):
            asm.reached(_WALKED)
            self.look(o.SCRATCH, self.double_map)
            self.model.fail_if(o.SCRATCH, 1, _DOUBLE_MAP, "VM_BUG_ON_PAGE: PageDoubleMap")
            with self.each():
                self.look(o.SCRATCH, self.locked, o.INDEX)
                with self.if_equal(o.SCRATCH, 1):
                    if (
                        self.fixed
                    ):  # it has returned already for an anonymous THP; this marks what it would have found
                        self.look(o.SCRATCH, self.how, o.INDEX)
                    else:
                        asm.v_load(o.SCRATCH, self.how, index=o.INDEX, text="a VM_LOCKED VMA maps the page")
                    with self.if_equal(o.SCRATCH, _BY_PTES):
                        asm.reached(_WALKED_PAST)
                    if not self.fixed:
                        self.mark()
                        asm.jump(over)
        asm.place(over)

    def fork(self, refused: Label) -> None:
        """Write dup_mmap(): the child maps the page as its parent does, and is not VM_LOCKED."""
        asm, model = self.asm, self.model
        again, found = model.label(), model.label()
        self._refuse_unmapped(refused)
        self.look(o.CLASS, self.how, o.SLOT)
        asm.set(o.INDEX, 0)
        asm.place(again)
        self.look(o.SCRATCH, self.how, o.INDEX)
        asm.jump_equal(o.SCRATCH, _NOT, found)
        asm.add(o.INDEX, _COLUMNS)
        asm.jump_equal(o.INDEX, _END, refused)
        asm.jump(again)
        asm.place(found)
        with asm.function("copy_page_range", "mm/memory.c"):
            self.put(self.how, o.CLASS, o.INDEX, text="map the page in the child")
            self._count(1)

    def _count(self, much: int) -> None:
        """Write: change the number of mappings of the kind in CLASS; SCRATCH gets the new number."""
        for kind, count in ((_BY_PMD, self.pmds), (_BY_PTES, self.ptes)):
            with self.if_equal(o.CLASS, kind):
                self.count(count, much, text="one more" if much > 0 else "one less")

    def split(self, refused: Label) -> None:
        """Write __split_huge_pmd() of a process that maps the page by PMD."""
        self.look(o.SCRATCH, self.how, o.SLOT)
        with self.unless_equal(o.SCRATCH, _BY_PMD):
            self.asm.jump(refused)
        self._split_pmd(o.SLOT)

    def _split_pmd(self, at: int) -> None:
        asm, model = self.asm, self.model
        last, over = model.label(), model.label()
        self.clear_mlock()

        def split() -> None:
            asm.v_store(self.how, _BY_PTES, index=at, text="the PMD becomes a table of PTEs")
            self.count(self.ptes, 1, text="one more")
            self.count(self.pmds, -1, text="one less")
            asm.jump_zero(o.SCRATCH, last)
            asm.v_store(self.double_map, 1, text="SetPageDoubleMap: others map it by PMD")
            asm.jump(over)
            asm.place(last)
            asm.v_store(self.double_map, 0, text="ClearPageDoubleMap: no PMD maps it")
            asm.place(over)

        model.calls.split_huge_pmd_locked(split)

    def munmap(self, refused: Label) -> None:
        """Write munmap() or exit(): VM_LOCKED VMAs are munlocked first."""
        self._refuse_unmapped(refused)
        self.look(o.SCRATCH, self.locked, o.SLOT)
        with self.if_equal(o.SCRATCH, 1):
            self._munlock_vma()
        self._remove_rmap(o.SLOT)

    def _remove_rmap(self, at: int) -> None:
        """Write page_remove_rmap(): the last mapping of a kind also clears the mark."""
        asm = self.asm
        with asm.function("page_remove_rmap", "mm/rmap.c"):
            self.look(o.CLASS, self.how, at)
            asm.v_store(self.how, _NOT, index=at, text="unmap the page")
            self._count(-1)
            with self.if_equal(o.SCRATCH, 0):
                with self.if_equal(o.CLASS, _BY_PMD):
                    asm.v_store(self.double_map, 0, text="ClearPageDoubleMap: no PMD maps it")
                self.clear_mlock()

    def migrate(self, refused: Label) -> None:
        """Write migration of a whole THP (ARCH_ENABLE_THP_MIGRATION): the variables then describe the new page."""
        asm = self.asm
        self._refuse_unmapped_everywhere(refused)
        with asm.function("set_pmd_migration_entry", "mm/huge_memory.c"):
            self.clear_mlock()  # as for the last mapping
            asm.v_store(self.double_map, 0, text="ClearPageDoubleMap: no PMD maps it")
        with self.each():
            self.look(o.CLASS, self.how, o.INDEX)
            with self.if_equal(o.CLASS, _BY_PMD), asm.function("remove_migration_pmd", "mm/huge_memory.c"):
                self.look(o.SCRATCH, self.locked, o.INDEX)
                with self.if_equal(o.SCRATCH, 1):
                    self.mark()
            with self.if_equal(o.CLASS, _BY_PTES), asm.function("remove_migration_pte", "mm/migrate.c"):
                self.clear_mlock()

    def _refuse_unmapped_everywhere(self, refused: Label) -> None:
        mapped = self.model.label()
        for count in (self.pmds, self.ptes):
            self.look(o.SCRATCH, count)
            with self.unless_equal(o.SCRATCH, 0):
                self.asm.jump(mapped)
        self.asm.jump(refused)
        self.asm.place(mapped)

    def reclaim(self, refused: Label) -> None:
        """Write try_to_unmap() of a page that is not marked: PMDs are split, and a VM_LOCKED VMA ends the walk."""
        asm, model = self.asm, self.model
        over = model.label()
        self._refuse_unmapped_everywhere(refused)
        self.look(o.SCRATCH, self.mlocked)
        asm.jump_equal(o.SCRATCH, 1, refused)
        with self.each():
            self.look(o.SCRATCH, self.how, o.INDEX)
            with self.if_equal(o.SCRATCH, _BY_PMD):
                self._split_pmd(o.INDEX)
            self.look(o.SCRATCH, self.how, o.INDEX)
            with self.unless_equal(o.SCRATCH, _NOT):
                self.look(o.SCRATCH, self.locked, o.INDEX)
                with self.if_equal(o.SCRATCH, 1):
                    if not self.fixed:
                        self.look(o.SCRATCH, self.double_map)
                        with self.if_equal(o.SCRATCH, 0):
                            self.mark()
                    asm.jump(over)
                self._remove_rmap(o.INDEX)
        asm.place(over)

    def check(self) -> None:
        """Write the checks after each operation."""
        asm, model = self.asm, self.model
        fine, mapped = model.label(), model.label()
        self.look(o.SCRATCH, self.mlocked)
        self.look(o.SCRATCH2, self.nr_mlock)
        with self.unless_same(o.SCRATCH, o.SCRATCH2):
            asm.fail(_BALANCE, text="NR_MLOCK is not what the page's mark says")
        for count in (self.pmds, self.ptes):
            self.look(o.CLASS, count)
            with self.unless_equal(o.CLASS, 0):
                asm.jump(mapped)
        asm.reached(_UNMAPPED)
        model.fail_if(o.SCRATCH, 1, _BALANCE, "nobody maps the page, but it is mlocked")
        asm.place(mapped)
        asm.jump_equal(o.SCRATCH, 0, fine)
        with self.each():
            self.look(o.CLASS, self.locked, o.INDEX)
            with self.if_equal(o.CLASS, 1):
                self.look(o.CLASS, self.how, o.INDEX)
                asm.jump_equal(o.CLASS, _BY_PMD, fine)
        asm.fail(_MLOCKER, text="the page is mlocked, but no VM_LOCKED VMA maps it by PMD")
        asm.place(fine)


def build(scene: Setup) -> Problem:
    """Write the programs: each operation on each process, migration, and reclaim if requested."""
    numbers = range(1, _PROCESSES + 1)
    slots = tuple((n - 1) * _COLUMNS for n in numbers)
    kinds = (
        ("mlock in", "mlock_fixup", "mm/mlock.c", _Page.mlock),
        ("munlock in", "mlock_fixup", "mm/mlock.c", _Page.munlock),
        ("fork of", "dup_mmap", "kernel/fork.c", _Page.fork),
        ("split PMD of", "__split_huge_pmd", "mm/huge_memory.c", _Page.split),
        ("munmap in", "__vm_munmap", "mm/mmap.c", _Page.munmap),
    )
    of_the_page = [("migration", "migrate_pages", "mm/migrate.c", _Page.migrate)]
    if scene["reclaim"]:
        of_the_page.append(("reclaim", "try_to_unmap", "mm/rmap.c", _Page.reclaim))
    model = Model(scene.kernel, scene.lowering, cpus=len(kinds) * _PROCESSES + len(of_the_page), mms=1)
    page = _Page(model, scene)
    operations = [
        *(
            Operation(
                function, file, tuple(f"{name} process {n}" for n in numbers), slots, write.__get__(page)
            )
            for name, function, file, write in kinds
        ),
        *(
            Operation(function, file, (name,), (0,), write.__get__(page))
            for name, function, file, write in of_the_page
        ),
    ]
    lanes = write_operations(
        model, operations, lock=model.locks.mmap, called="page lock, mmap_lock", check=page.check
    )
    return Problem(
        machine=model.build(bits=16, memory=o.SC), invariants=_INVARIANTS, places=_PLACES, lanes=lanes
    )


_BEFORE = ("scenario.fix=false",)

THP_MUNLOCK = Scenario(
    name="thp-munlock",
    summary="histories of mlock, munlock, fork, split and unmap: who counts an anonymous huge page as mlocked",
    source="efdb6720b44b",
    build=build,
    sentences=_SENTENCES,
    parameters=(Parameter("reclaim", False, "reclaim comes by too: try_to_unmap()"),),
    switches=(Parameter("fix", True, "page_mlock() and try_to_unmap() leave anonymous huge pages alone"),),
    flushes=False,
    window=("mlocked", "munlocked", "walked", "walked-past-locked-ptes", "unmapped"),
    expected=(
        Expect("safe", arch="x86"),
        Expect("safe", arch="arm64"),
        Expect("safe", arch="x86", parameters={"reclaim": True}),
        Expect("bug", arch="x86", settings=_BEFORE),
        Expect("bug", arch="powerpc", settings=_BEFORE),
        Expect("bug", arch="x86", settings=_BEFORE, parameters={"reclaim": True}),
    ),
)
