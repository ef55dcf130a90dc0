"""Which anon_vma a forked VMA may reuse (2555283eb40d, 6.0): histories of fork, exit, split and unmap.

A forked VMA is linked to all anon_vmas of its parent's chain and gets one of its own, unless it can reuse one of the
chain, so that chains do not grow for ever in programs that fork and exit (7a3ef208e662, 3.19). It may reuse one that no
VMA uses and that has one child. Before the fix one counter, `degree`, counted both VMAs and children: anon_vma_clone()
in mm/rmap.c reused the first one with a degree below two other than the parent VMA's own; that one could have one VMA
and no child. Since then `num_children` (of a root, itself included) and `num_active_vmas` are separate counters.

    I1  no anon_vma is reused while a live VMA uses it
    I2  VMAs of one anon_vma have the same chain: is_mergeable_anon_vma() and its callers rely on it
    I3  page->mapping never points to an anon_vma without VMAs: a live VMA is linked to its own anon_vma, and a freed
        anon_vma has neither children nor VMAs (unlink_anon_vmas() warns otherwise)

All operations run under one lock, so that each is one move: the length of a story is its number of operations.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from shootdown._explore.alike import Table
from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.model import Model
from shootdown._scenarios.histories import Operation, Writer, cpus_of, write_operations
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

_INVARIANTS = ("walk-cache", "I1", "I2", "I3", "room")
_SENTENCES = {
    "I1": "No anon_vma is reused while a live VMA uses it.",
    "I2": "VMAs of one anon_vma have the same chain: vma_merge() relies on it.",
    "I3": "A page points to an anon_vma that has VMAs: none is freed that is still used.",
    "room": "The model has room for all anon_vmas that histories of this length make.",
}
_I1, _I2, _I3, _ROOM = range(1, len(_INVARIANTS))
_PLACES = ("reused", "made", "freed")
_REUSED, _MADE, _FREED = range(len(_PLACES))
#: The most VMAs, and so processes, at the same time.
_VMAS = 5
#: The most anon_vmas at the same time; running out of them counts as a violation, so that no history is left out.
_ANON_VMAS = 12
_CHAIN, _ANON, _PROCESS = range(3)
_COLUMNS = 3
_END = _VMAS * _COLUMNS
_BELOW_ZERO = 1 << 14


def _chain_words(value: int) -> str:
    numbers = [str(k + 1) for k in range(_ANON_VMAS) if value >> k & 1]
    return f"anon_vma{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}" if numbers else "none"


def _anon_words(value: int) -> str:
    return f"anon_vma {value}" if value else "none"


def _process_words(value: int) -> str:
    return f"process {value}" if value else "none"


class _World(Writer):
    """The variables, and the operations on them.

    `rows` has a row for each VMA: the anon_vmas that it is linked to, as bits (a child's number is larger than those
    of its chain, so that the order of bits is that of the chain), its own anon_vma and its process, both from one on.
    The VMAs of a process are in the order of their addresses. Of each anon_vma: its parent, how many VMAs are linked
    to it, and its counters.
    """

    def __init__(self, model: Model, scene: Setup) -> None:
        super().__init__(model)
        self.fixed = scene["fix"]
        self.checks = scene["check"]
        self.bound = scene["operations"]
        self.done = model.variable(0, "operations")
        self.child = model.variable(0, "the child's number")
        self.parent = self._of_each("parent of anon_vma {}", 1, _anon_words)
        self.linked = self._of_each("VMAs linked to anon_vma {}", 1)
        # A root is its own parent. Where one counter counts all, it begins at two: the VMA, and itself.
        if self.fixed:
            self.children = self._of_each("num_children of anon_vma {}", 1)
            self.active = self._of_each("num_active_vmas of anon_vma {}", 1)
        else:
            self.children = self.active = self._of_each("degree of anon_vma {}", 2)
        columns = (
            ("anon_vma_chain", _chain_words), ("anon_vma", _anon_words), ("process", _process_words),
        )  # fmt: skip
        rows = [
            model.variable(int(vma == 0), f"{name} of VMA {vma + 1}", words)
            for vma in range(_VMAS)
            for name, words in columns
        ]
        self.rows = rows[0]

    def _of_each(self, name: str, root: int, words: Callable[[int], str] | None = None) -> int:
        """Declare a variable for each anon_vma and return the first; only the root's is not zero."""
        first = self.model.variable(root, name.format(1), words)
        for number in range(2, _ANON_VMAS + 1):
            self.model.variable(0, name.format(number), words)
        return first

    def row(self, vma: int, column: int) -> int:
        """Return the variable of a VMA's row."""
        return self.rows + vma * _COLUMNS + column

    def fails(self, invariant: int, text: str) -> None:
        """Write: report a broken invariant, if it is one of those that are checked."""
        if self.checks in ("all", _INVARIANTS[invariant]) or invariant == _ROOM:
            self.asm.fail(invariant, text=text)

    # --- operations; register SLOT has the number of a process, or where the row of a VMA begins

    def fork(self, refused: Label) -> None:
        """Write dup_mmap(): the child gets the VMAs in the order of their addresses."""
        asm, model = self.asm, self.model
        self._within_bound(refused)
        self._refuse_without_room(refused)
        self._name_child()
        again, over = model.label(), model.label()
        asm.set(o.INDEX, 0)
        asm.place(again)
        self.look(o.SCRATCH, self.rows + _PROCESS, o.INDEX)
        with self.if_same(o.SCRATCH, o.SLOT), asm.function("anon_vma_fork", "mm/rmap.c"):
            self._fork_vma()
        asm.add(o.INDEX, _COLUMNS)
        asm.jump_equal(o.INDEX, _END, over)
        asm.jump(again)
        asm.place(over)
        with asm.aside():
            asm.v_store(self.child, 0)

    def _within_bound(self, refused: Label) -> None:
        self.look(o.SCRATCH, self.done)
        self.asm.jump_equal(o.SCRATCH, self.bound, refused)

    def _refuse_without_room(self, refused: Label) -> None:
        """Write: refuse unless the process exists and each of its VMAs has a free row; CLASS counts rows left free."""
        asm = self.asm
        asm.set(o.CLASS, _VMAS)
        asm.set(o.SCRATCH2, 0)
        for vma in range(_VMAS):
            self.look(o.SCRATCH, self.row(vma, _PROCESS))
            with self.unless_equal(o.SCRATCH, 0):
                asm.add(o.CLASS, -1)
            with self.if_same(o.SCRATCH, o.SLOT):
                asm.add(o.CLASS, -1)
                asm.set(o.SCRATCH2, 1)
        asm.jump_zero(o.SCRATCH2, refused)
        with self.if_bits(o.CLASS, _BELOW_ZERO):
            asm.jump(refused)

    def _name_child(self) -> None:
        """Write: give the child the lowest unused process number; there is one, as there is a free row."""
        asm, model = self.asm, self.model
        found = model.label()
        for name in range(1, _VMAS + 1):
            taken = model.label()
            for vma in range(_VMAS):
                self.look(o.SCRATCH, self.row(vma, _PROCESS))
                asm.jump_equal(o.SCRATCH, name, taken)
            with asm.aside():
                asm.v_store(self.child, name)
            asm.jump(found)
            asm.place(taken)
        asm.place(found)

    def _fork_vma(self) -> None:
        """Write anon_vma_fork() of the VMA of INDEX: CLASS = the child's chain, SCRATCH2 = its own anon_vma."""
        asm, model = self.asm, self.model
        reuse, link = model.label(), model.label()
        self.look(o.CLASS, self.rows + _CHAIN, o.INDEX)
        with self._anon_vma_clone():
            for k in range(_ANON_VMAS):
                with self.if_bits(o.CLASS, 1 << k):
                    self._consider(k, reuse)
        self._make()
        asm.jump(link)
        asm.place(reuse)
        with self._anon_vma_clone():
            for other in range(_VMAS):
                self.look(o.SCRATCH, self.row(other, _ANON))
                with self.if_same(o.SCRATCH, o.SCRATCH2):
                    self.fails(_I1, "the anon_vma that it reuses is that of a live VMA")
            self.count(self.active - 1, 1, o.SCRATCH2, text="reuse it: one more VMA uses it")
            asm.reached(_REUSED)
        asm.place(link)
        with asm.function("anon_vma_chain_link"):
            self._count_links()
            self._fill_row()

    def _anon_vma_clone(self) -> AbstractContextManager[None]:
        """Run the steps within in anon_vma_clone()."""
        return self.asm.function("anon_vma_clone", "mm/rmap.c")

    def _consider(self, k: int, reuse: Label) -> None:
        """Write: set SCRATCH2 to k if anon_vma k, which is in the chain, may be reused."""
        asm, model = self.asm, self.model
        few, no = model.label(), model.label()
        if not self.fixed:
            self.look(o.SCRATCH, self.rows + _ANON, o.INDEX)
            asm.jump_equal(o.SCRATCH, k + 1, no)
        counter = "num_children" if self.fixed else "degree"
        asm.v_load(o.SCRATCH, self.children + k, text=f"{counter} of anon_vma {k + 1} < 2?")
        asm.jump_zero(o.SCRATCH, few)
        asm.jump_equal(o.SCRATCH, 1, few)
        asm.jump(no)
        asm.place(few)
        if self.fixed:
            asm.v_load(o.SCRATCH, self.active + k, text=f"num_active_vmas of anon_vma {k + 1} == 0?")
            with self.unless_equal(o.SCRATCH, 0):
                asm.jump(no)
        asm.set(o.SCRATCH2, k + 1)
        asm.jump(reuse)
        asm.place(no)

    def _make(self) -> None:
        """Write anon_vma_alloc(): SCRATCH2 = the lowest unused number above those of the chain."""
        asm, model = self.asm, self.model
        below, picked = model.label(), model.label()
        asm.set(o.SCRATCH2, 0)
        for k in reversed(range(_ANON_VMAS)):
            with self.if_bits(o.CLASS, 1 << k):
                asm.jump(below)
            self.look(o.SCRATCH, self.linked + k)
            with self.if_equal(o.SCRATCH, 0):
                asm.set(o.SCRATCH2, k + 1)
        asm.place(below)
        for k in range(_ANON_VMAS):
            with self.if_equal(o.SCRATCH2, k + 1):
                asm.add(o.CLASS, 1 << k)
                asm.jump(picked)
        asm.fail(_ROOM, text="the model has too few anon_vmas")
        asm.place(picked)
        if self.fixed:
            with asm.aside():
                asm.v_store(self.children - 1, 0, index=o.SCRATCH2)
        asm.v_store(self.active - 1, 1, index=o.SCRATCH2, text="make an anon_vma: one VMA uses it")
        self.look(o.SCRATCH, self.rows + _ANON, o.INDEX)
        self.put(self.parent - 1, o.SCRATCH, o.SCRATCH2, text="its parent is that of the parent's VMA")
        self.count(self.children - 1, 1, o.SCRATCH, text="which has one more child")
        asm.reached(_MADE)

    def _count_links(self) -> None:
        with self.asm.aside():
            for k in range(_ANON_VMAS):
                with self.if_bits(o.CLASS, 1 << k):
                    self.count(self.linked + k, 1)

    def _fill_row(self) -> None:
        """Write: fill a free row with the chain of CLASS, the anon_vma of SCRATCH2 and the child's number."""
        placed = self.model.label()
        for vma in range(_VMAS):
            self.look(o.SCRATCH, self.row(vma, _PROCESS))
            with self.if_equal(o.SCRATCH, 0):
                self.look(o.SCRATCH, self.child)
                self.put(self.row(vma, _PROCESS), o.SCRATCH, text="a VMA of the child")
                self.put(self.row(vma, _CHAIN), o.CLASS, text="the VMA's chain")
                self.put(self.row(vma, _ANON), o.SCRATCH2, text="its own anon_vma")
                self.asm.jump(placed)
        self.asm.place(placed)

    def exit(self, refused: Label) -> None:
        """Write exit_mmap(), one VMA after the other."""
        asm, model = self.asm, self.model
        self._within_bound(refused)
        there, again, over = (model.label() for _ in range(3))
        for vma in range(_VMAS):
            self.look(o.SCRATCH, self.row(vma, _PROCESS))
            asm.jump_same(o.SCRATCH, o.SLOT, there)
        asm.jump(refused)
        asm.place(there)
        asm.set(o.INDEX, 0)
        asm.place(again)
        self.look(o.SCRATCH, self.rows + _PROCESS, o.INDEX)
        with self.if_same(o.SCRATCH, o.SLOT):
            self._unlink(o.INDEX)
        asm.add(o.INDEX, _COLUMNS)
        asm.jump_equal(o.INDEX, _END, over)
        asm.jump(again)
        asm.place(over)

    def split(self, refused: Label) -> None:
        """Write __split_vma(): the new VMA follows the old one and equals it."""
        asm, model = self.asm, self.model
        self._within_bound(refused)
        self.look(o.SCRATCH, self.rows + _PROCESS, o.SLOT)
        asm.jump_zero(o.SCRATCH, refused)
        above, below, up, down, over = (model.label() for _ in range(5))
        # INDEX = a free row. The rows between it and the row that is split move by one, over the free one; the row that
        # is split moves too, and also keeps its place.
        asm.copy(o.INDEX, o.SLOT)
        asm.place(above)
        asm.add(o.INDEX, _COLUMNS)
        with self.unless_equal(o.INDEX, _END):
            self.look(o.SCRATCH, self.rows + _PROCESS, o.INDEX)
            asm.jump_zero(o.SCRATCH, down)
            asm.jump(above)
        asm.copy(o.INDEX, o.SLOT)
        asm.place(below)
        asm.jump_zero(o.INDEX, refused)
        asm.add(o.INDEX, -_COLUMNS)
        self.look(o.SCRATCH, self.rows + _PROCESS, o.INDEX)
        asm.jump_zero(o.SCRATCH, up)
        asm.jump(below)
        for start, towards in ((down, -_COLUMNS), (up, _COLUMNS)):
            asm.place(start)
            for column in range(_COLUMNS):
                self.look(o.SCRATCH, self.rows + column + towards, o.INDEX)
                self.put(
                    self.rows + column, o.SCRATCH, o.INDEX, text="a VMA next to the other, and its equal"
                )
            asm.add(o.INDEX, towards)
            with self.unless_same(o.INDEX, o.SLOT):
                asm.jump(start)
            asm.jump(over)
        asm.place(over)
        with self._anon_vma_clone():
            self.look(o.CLASS, self.rows + _CHAIN, o.SLOT)
            self._count_links()
            self.look(o.SCRATCH2, self.rows + _ANON, o.SLOT)
            self.count(self.active - 1, 1, o.SCRATCH2, text="one more VMA uses its anon_vma")

    def unmap(self, refused: Label) -> None:
        """Write munmap() of one VMA of several; for the only VMA, exit does the same."""
        asm, model = self.asm, self.model
        self._within_bound(refused)
        several = model.label()
        self.look(o.INDEX, self.rows + _PROCESS, o.SLOT)
        asm.jump_zero(o.INDEX, refused)
        asm.set(o.SCRATCH2, 0)
        for vma in range(_VMAS):
            self.look(o.SCRATCH, self.row(vma, _PROCESS))
            with self.if_same(o.SCRATCH, o.INDEX):
                asm.add(o.SCRATCH2, 1)
                asm.jump_equal(o.SCRATCH2, 2, several)
        asm.jump(refused)
        asm.place(several)
        self._unlink(o.SLOT)

    def _unlink(self, at: int) -> None:
        """Write unlink_anon_vmas() of the VMA whose row begins at the index in register `at`, and free the row."""
        asm = self.asm
        with asm.function("unlink_anon_vmas", "mm/rmap.c"):
            self.look(o.CLASS, self.rows + _CHAIN, at)
            self.look(o.SCRATCH2, self.rows + _ANON, at)
            for column in range(_COLUMNS):
                asm.v_store(self.rows + column, 0, index=at, text="the VMA goes")
            for k in reversed(range(_ANON_VMAS)):  # the newest first, as in the list
                with self.if_bits(o.CLASS, 1 << k):
                    with asm.aside():
                        self.count(self.linked + k, -1)
                    with self.if_equal(o.SCRATCH, 0):
                        self.look(o.SCRATCH, self.parent + k)
                        self.count(
                            self.children - 1, -1, o.SCRATCH,
                            text=f"no VMA is linked to anon_vma {k + 1}: its parent has one child less",
                        )  # fmt: skip
            self.count(self.active - 1, -1, o.SCRATCH2, text="one VMA less uses its anon_vma")
            for k in range(_ANON_VMAS):
                with self.if_bits(o.CLASS, 1 << k):
                    self.look(o.SCRATCH, self.linked + k)
                    with self.if_equal(o.SCRATCH, 0):
                        self._free(k)

    def _free(self, k: int) -> None:
        asm = self.asm
        asm.v_store(self.parent + k, 0, text=f"anon_vma {k + 1} is freed")
        asm.reached(_FREED)
        for count in dict.fromkeys((self.children, self.active)):
            self.look(o.SCRATCH, count + k)
            with self.unless_equal(o.SCRATCH, 0):
                self.fails(_I3, "it still has children or VMAs")

    def check(self) -> None:
        """Write the checks after each operation, and count the operation."""
        with self.asm.aside():
            self.count(self.done, 1)
        self._check_own()
        for vma in range(_VMAS):
            self.look(o.CLASS, self.row(vma, _ANON))
            with self.unless_equal(o.CLASS, 0):
                self.look(o.SCRATCH, self.linked - 1, o.CLASS)
                with self.if_equal(o.SCRATCH, 0):
                    self.fails(_I3, "new pages of a VMA would point to an anon_vma without VMAs")
                self.look(o.SCRATCH2, self.row(vma, _CHAIN))
                for other in range(vma):
                    self.look(o.SCRATCH, self.row(other, _ANON))
                    with self.if_same(o.SCRATCH, o.CLASS):
                        self.look(o.SCRATCH, self.row(other, _CHAIN))
                        with self.unless_same(o.SCRATCH, o.SCRATCH2):
                            self.fails(
                                _I2, f"VMAs {other + 1} and {vma + 1} share an anon_vma, not the chain"
                            )

    def _check_own(self) -> None:
        """Write the check that each VMA's chain includes its own anon_vma."""
        asm, model = self.asm, self.model
        again, next_one, over = model.label(), model.label(), model.label()
        asm.set(o.INDEX, 0)
        asm.place(again)
        self.look(o.CLASS, self.rows + _ANON, o.INDEX)
        self.look(o.SCRATCH2, self.rows + _CHAIN, o.INDEX)
        asm.jump_zero(o.CLASS, next_one)
        for k in range(_ANON_VMAS):
            with self.if_equal(o.CLASS, k + 1):
                with self.unless_bits(o.SCRATCH2, 1 << k):
                    self.fails(_I3, "a VMA is not linked to its own anon_vma")
                asm.jump(next_one)
        asm.place(next_one)
        asm.add(o.INDEX, _COLUMNS)
        asm.jump_equal(o.INDEX, _END, over)
        asm.jump(again)
        asm.place(over)


def build(scene: Setup) -> Problem:
    """Write the programs: one for each operation on each process or VMA."""
    numbers = range(1, _VMAS + 1)
    processes = tuple(numbers), "process"
    vmas = tuple((n - 1) * _COLUMNS for n in numbers), "VMA"
    kinds = (
        ("fork", "dup_mmap", "kernel/fork.c", *processes, _World.fork),
        ("exit of", "exit_mmap", "mm/mmap.c", *processes, _World.exit),
        ("split", "__split_vma", "mm/mmap.c", *vmas, _World.split),
        ("unmap", "__vm_munmap", "mm/mmap.c", *vmas, _World.unmap),
    )
    model = Model(scene.kernel, scene.lowering, cpus=len(kinds) * _VMAS, mms=1)
    world = _World(model, scene)
    operations = [
        Operation(function, file, tuple(f"{name} {what} {n}" for n in numbers), slots, write.__get__(world))
        for name, function, file, slots, what, write in kinds
    ]
    assert cpus_of(operations) == model.cpus
    lock = model.locks.mmap
    lanes = write_operations(model, operations, lock=lock, called="mmap_lock", check=world.check)
    return Problem(
        machine=model.build(bits=16, memory=o.SC),
        invariants=_INVARIANTS,
        places=_PLACES,
        tables=(Table(world.rows, _VMAS, _COLUMNS, _PROCESS, lock),),
        lanes=lanes,
    )


_BEFORE = ("scenario.fix=false",)

ANON_VMA_DEGREE = Scenario(
    name="anon-vma-degree",
    summary="histories of fork, exit, split and unmap: which anon_vma is reused",
    source="2555283eb40d",
    build=build,
    sentences=_SENTENCES,
    parameters=(
        Parameter("operations", 8, "how long histories are at most", minimum=1, maximum=60),
        Parameter("check", "all", "which invariants", choices=("all", "I1", "I2", "I3")),
    ),
    switches=(Parameter("fix", True, "children and VMAs of an anon_vma are counted apart"),),
    flushes=False,
    window=("reused", "made", "freed"),
    expected=(
        Expect("safe", arch="x86"),
        Expect("bug", arch="x86", settings=_BEFORE, why="in five operations"),
        Expect("bug", arch="x86", settings=_BEFORE, parameters={"operations": 5, "check": "I1"}),
        Expect("safe", arch="x86", settings=_BEFORE, parameters={"operations": 4}),
        Expect("bug", arch="x86", settings=_BEFORE, parameters={"operations": 8, "check": "I2"}),
        Expect("safe", arch="x86", settings=_BEFORE, parameters={"operations": 7, "check": "I2"}),
        Expect("safe", arch="x86", settings=_BEFORE, parameters={"operations": 6, "check": "I3"}),
        Expect("bug", arch="arm64", settings=_BEFORE),
        Expect("bug", arch="powerpc", settings=_BEFORE),
    ),
)
