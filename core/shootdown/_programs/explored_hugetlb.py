"""hugetlb memory of an explored program: processes share PMD tables, give them up, reuse and free them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby

import attrs

from shootdown._machine import ops as o
from shootdown._mm.mapping import Mapping
from shootdown._mm.model import Model
from shootdown._mm.shared_tables import PLACES, SharedTables
from shootdown._programs import hugetlb as huge
from shootdown._programs.checking import used
from shootdown._programs.program import Statement
from shootdown._programs.small import Actor, Small
from shootdown._values.errors import ShootdownError
from shootdown._values.setup import Setup

#: The register that gets a bit for each table that a call frees.
_FREED = o.SCRATCH2
#: The most tables: a bit of that register for each.
_MOST_TABLES = 2
#: Calls after which a process has no table to keep.
_GIVES_ALL_UP = ("munmap", "exit", "mremap")


class HugetlbSpace:
    """Write statements about hugetlb memory.

    Args:
        small: the program.
        scene: what it is explored on.
        marks: places are marked as reached.
        places, invariants: those of the whole program, by their numbers.
    """

    #: Whether it matters here when CPUs are in user mode, and whether stores wait in buffers.
    user_mode = False
    buffers = False

    def __init__(
        self,
        small: Small,
        scene: Setup,
        *,
        marks: bool,
        places: Sequence[str] = PLACES,
        invariants: Sequence[str] = ("walk-cache", "gup-fast"),
    ) -> None:
        self.places = tuple(places) if marks else ()
        self.invariants = tuple(invariants)
        self.small = small
        self.scene = scene
        self._span = 1 << scene.lowering.geometry.pud_shift
        self._memory: dict[str, huge.Mapped] = {}
        self._kept: dict[str, tuple[int, ...]] = {}
        self._whole = 0
        self.slots = 0
        names = {name for name, memory in small.program.memory.items() if memory.kind == "hugetlb"}
        touches = (
            one for actor in small.actors for one in actor.body
            if one.verb == "touch" and one.place and one.place.memory in names
        )  # fmt: skip
        #: By an access, the class of the table that it allocates where there is none to share.
        self._new_tables = {id(one): 1 + number for number, one in enumerate(touches)}
        #: Which use of a statement is written; see `OrdinarySpace`.
        self.use = 0
        self._vmas: dict[tuple[int, int], int] = {}
        self._freed: dict[tuple[int, int], int] = {}
        self._refuse(names)
        for name, whole in huge.mapped(small.program, scene.lowering).items():
            self._cut(name, whole)
        if self.slots > _MOST_TABLES:
            raise ShootdownError(
                f"{small.program.name}: its statements are about {self.slots} PMD tables that differ, and explored are "
                f"at most {_MOST_TABLES}"
            )

    def _refuse(self, names: Collection[str]) -> None:
        """Refuse accesses that can't be explored yet."""
        for actor in self.small.actors:
            gone: list[Statement] = []
            for one in actor.body:
                if one.place is None or one.place.memory not in names:
                    continue
                if one.verb == "touch" and gone:
                    raise _not_yet(one, f"an access after `{gone[0].text:.40}`, which takes the mapping away")
                if one.verb in ("munmap", "mremap"):
                    gone.append(one)

    def _cut(self, name: str, whole: huge.Mapped) -> None:
        """Keep one of the tables that all statements and VMAs treat alike."""
        memory = whole.memory
        if any(m.own for m in whole.mappings) and len(self.small.mms_of(name)) > 1:
            raise ShootdownError(
                f"{memory.at}: tables that processes can't share (private ones, or parts of a PUD entry, which has "
                f"{self._span >> 30}G here) are explored of one process alone"
            )
        about = [
            one for _, _, one in self.small.program.statements() if one.place and one.place.memory == name
        ]

        def treated(slot: int) -> tuple[object, ...]:
            lo = (slot - whole.base) * self._span
            return (
                *(one.place is not None and one.place.lo <= lo < one.place.hi for one in about),
                next(n for n, m in enumerate(whole.mappings) if slot in m.used),
            )

        slots = sorted(slot for m in whole.mappings for slot in m.used)
        self._whole += len(slots)
        kept = [next(iter(some)) for _, some in groupby(slots, treated)]
        numbers = {slot: self.slots + n for n, slot in enumerate(kept)}
        self._kept[name] = tuple(kept)
        mappings = tuple(
            attrs.evolve(
                m,
                used=tuple(numbers[slot] for slot in m.used if slot in numbers),
                order=(),
                pages=1,
                own=tuple(numbers[slot] for slot in m.own if slot in numbers),
            )
            for m in whole.mappings
        )
        self._memory[name] = attrs.evolve(whole, mappings=tuple(m for m in mappings if m.used))
        self.slots += len(kept)

    @property
    def cut_text(self) -> tuple[str, ...]:
        """What was cut, in words."""
        if self._whole <= self.slots:
            return ()
        return (f"{self.slots} PMD table{'s' if self.slots > 1 else ''} of {self._whole:,}",)

    @property
    def classes(self) -> int:
        """How many tables a slot may have one after another."""
        new = len(self._new_tables)
        return 1 + (min(self.small.uses, new) if self.small.uses else new)

    @property
    def files(self) -> int:
        """How many files there are."""
        return max(len(self._memory), 1)

    def model(self, cpus: int) -> Model:
        """Return the model with all that is mapped at first."""
        small, scene = self.small, self.scene
        model = Model(
            scene.kernel, scene.lowering, cpus=cpus, mms=small.mms, slots=max(self.slots, 1), files=self.files,
            classes=self.classes,
        )  # fmt: skip
        self.declare(model)
        return model

    def declare(self, model: Model) -> None:
        """Declare all that is mapped at first."""
        small = self.small
        self._model = model
        model.hugetlb.notes_freed = _FREED
        model.hugetlb.table_classes = self.classes
        if self._new_tables:
            for slot in range(self.slots):
                for mm in range(small.mms):
                    self._vmas[mm, slot] = model.variable(1, "the VMA")
                for number in range(len(small.actors)):
                    self._freed[number, slot] = model.variable(0, "the table that the call frees")
        self._tables = SharedTables(model, self.places, self.invariants.index("gup-fast"))
        for mm in range(small.mms):
            for slot in range(self.slots):
                if any(
                    slot in self._slots(one)
                    for actor in small.actors
                    if actor.mm == mm
                    for one in actor.before
                ):
                    model.populate(mm, slot)

    def _slots(self, one: Statement) -> tuple[int, ...]:
        """Return the tables that a statement is about."""
        assert one.place is not None
        whole = self._memory[one.place.memory]
        first = min((slot for m in whole.mappings for slot in m.used), default=0)
        return tuple(
            first + n
            for n, slot in enumerate(self._kept[one.place.memory])
            if one.place.lo <= (slot - whole.base) * self._span < one.place.hi
        )

    def _mappings(self, one: Statement) -> tuple[Mapping, ...]:
        assert one.place is not None
        slots = self._slots(one)
        found = []
        for m in self._memory[one.place.memory].mappings:
            part = tuple(slot for slot in m.used if slot in slots)
            if part:
                found.append(attrs.evolve(m, used=part, own=tuple(slot for slot in m.own if slot in part)))
        return tuple(found)

    # --- statements

    def write(self, number: int, one: Statement) -> None:
        """Write a statement of a thread, by its number."""
        assert one.place is not None
        actor = self.small.actors[number]
        if one.verb == "mmap":
            return
        mappings = self._mappings(one)
        if not mappings:
            return
        here = self._memory[one.place.memory]
        if one.verb == "touch":
            self._touch(one, actor, mappings)
            return
        self._works_on(number, actor.mm)
        if one.verb == "gup":
            self._tables.gup_fast(mappings[0].used[0])
            return
        self._model.asm.set(_FREED, 0)
        whole = len(self._slots(one)) == len(self._kept[one.place.memory])
        mms = self.small.mms_of(here.memory.name)
        huge.write_call(self._model, one.verb, mappings, here.tables if whole else 0, mms)
        if one.verb in ("punch", "truncate", "migrate"):
            self._model.asm.on_mm(actor.mm, text="back to the own mm")
        self.free(mappings)

    def in_kernel(self, number: int, actor: Actor, text: str) -> AbstractContextManager[None]:
        """Write what a thread does in the kernel within, about other memory."""
        return nullcontext()

    def takes(self, one: Statement) -> bool:
        """Whether a statement takes a table of its own; see `OrdinarySpace`."""
        return one.verb == "touch"

    def fork(self, number: int, actor: Actor, child: int) -> None:
        """Write fork() by a thread, up to where the child may begin."""
        self._model.calls.dup_mmap(lambda: self.copy_vmas(actor.mm, child))

    def copy_vmas(self, mm: int, child: int) -> None:
        """Write what fork() copies."""
        for name in self._mapped_by(mm):
            for m in self._memory[name].mappings:
                self._model.hugetlb.fork(m, child, mm, m.shareable)

    def _touch(self, one: Statement, actor: Actor, mappings: tuple[Mapping, ...]) -> None:
        """Write an access: where nothing is mapped a table is shared, or allocated."""
        assert one.place is not None
        kernel, name = self.scene.kernel, one.place.memory
        if not kernel.pmd_sharing or any(m.own for m in mappings):
            raise _not_yet(
                one, "an access, after another statement, to hugetlb memory whose tables are not shared"
            )
        mms = [mm for mm in self.small.mms_of(name) if mm != actor.mm]
        for m in mappings:
            for slot in m.used:
                part = attrs.evolve(m, used=(slot,))
                others = [(mm, self._vmas.get((mm, slot))) for mm in (*mms, actor.mm)]
                new = 1 + self.use if self.small.uses else self._new_tables[id(one)]
                self._tables.fault(part, slot, others, new)

    def _works_on(self, number: int, mm: int) -> None:
        """Say for which thread and address space the next call is written."""
        hugetlb = self._model.hugetlb
        hugetlb.vmas = {slot: vma for (whose, slot), vma in self._vmas.items() if whose == mm}
        hugetlb.freed_classes = {slot: freed for (who, slot), freed in self._freed.items() if who == number}

    def _mapped_by(self, mm: int) -> list[str]:
        return [name for name in self._memory if mm in self.small.mms_of(name)]

    def exit(self, actor: Actor) -> None:
        """Write exit() of a process."""
        mappings = self.leaves(actor)
        self._model.asm.set(_FREED, 0)
        self._model.calls.exit(mappings)
        self.free(mappings)

    def exec(self, actor: Actor, new_mm: int) -> None:
        """Write execve() of a process that has no hugetlb memory."""
        self._model.calls.exec(new_mm, actor.mm, (), lambda: None)

    def leaves(self, actor: Actor) -> tuple[Mapping, ...]:
        """Return all VMAs of a process, whose tables the next call takes away."""
        number = next((n for n, other in enumerate(self.small.actors) if other is actor), 0)
        self._works_on(number, actor.mm)
        return tuple(m for name in self._mapped_by(actor.mm) for m in self._memory[name].mappings)

    def free(self, mappings: Sequence[Mapping]) -> None:
        """Write the freeing of the tables of some VMAs that a call noted."""
        self._free(tuple(slot for m in mappings for slot in m.used))

    def _free(self, slots: tuple[int, ...]) -> None:
        """Write the freeing of the tables that a call noted."""
        asm = self._model.asm
        for slot in slots:
            with asm.if_bits(_FREED, 1 << slot):
                asm.set(o.SLOT, slot)
                which = self._model.hugetlb.freed_classes.get(slot)
                if which is None:
                    asm.set(o.CLASS, 1)
                else:
                    asm.v_load(o.CLASS, which)
                    asm.v_store(which, 0)
                self._model.free_table()
                self._tables.reached("freed", "a copy was alive")

    def goes_on(self, actor: Actor, ends: str) -> None:
        """Write what a process may do later on: a table that is its alone may come to map memory of its own.

        Args:
            actor: its thread.
            ends: the verb of its last statement.
        """
        if actor.thread.name != "main" or ends in ("exit", "sleep"):
            return
        self.keeps(actor, [one for other in self.small.actors if other.mm == actor.mm for one in other.body])

    def keeps(self, actor: Actor, calls: Sequence[Statement]) -> None:
        """Write what a process may do later on whose threads have made these calls."""
        pins = any(one.verb == "gup" for one in calls)
        number = next((n for n, other in enumerate(self.small.actors) if other is actor), 0)
        self._works_on(number, actor.mm)
        for name in used(actor.process):
            if name not in self._memory:
                continue
            gone = [
                slot
                for one in calls
                if one.verb in _GIVES_ALL_UP and one.place and one.place.memory == name
                for slot in self._slots(one)
            ]
            for m in self._memory[name].mappings:
                for slot in m.used:
                    if slot not in gone:
                        part = attrs.evolve(m, used=(slot,), own=())
                        self._tables.keep(part, slot, may_be_gone=True, reuses=not pins)


def _not_yet(one: Statement, what: str) -> ShootdownError:
    return ShootdownError(f"{one.at}: `{one.text:.60}`: {what} is not explored yet")
