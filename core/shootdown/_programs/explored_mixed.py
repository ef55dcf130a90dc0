"""hugetlb memory beside other memory in one explored program: what each call is about decides who writes it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from shootdown._mm import ordinary_parts, shared_tables
from shootdown._mm.model import Model
from shootdown._programs.explored_hugetlb import HugetlbSpace
from shootdown._programs.explored_ordinary import OrdinarySpace
from shootdown._programs.program import Statement
from shootdown._programs.small import Actor, Small
from shootdown._values.setup import Setup


class MixedSpace:
    """Write statements about both.

    Args:
        small, scene, marks: as for `OrdinarySpace`.

    A slot is a PUD entry: its PMD table is hugetlb memory's, or the first entry of it leads to a page table of other
    memory, so that two page tables are as far apart as two PUD entries.
    """

    invariants = OrdinarySpace.invariants
    user_mode = True
    buffers = False

    def __init__(self, small: Small, scene: Setup, *, marks: bool) -> None:
        self.places = tuple(dict.fromkeys((*ordinary_parts.PLACES, *shared_tables.PLACES))) if marks else ()
        self.small = small
        self.scene = scene
        self._hugetlb = HugetlbSpace(
            small, scene, marks=marks, places=self.places, invariants=self.invariants
        )
        self._ordinary = OrdinarySpace(small, scene, marks=marks, first_slot=self._hugetlb.slots)

    @property
    def cut_text(self) -> tuple[str, ...]:
        """What was cut, in words."""
        apart = self._ordinary.slots - self._ordinary.first_slot > 1
        return (
            *self._hugetlb.cut_text,
            *self._ordinary.cut_text,
            *(("each page table of ordinary memory in a PUD entry of its own",) if apart else ()),
        )

    def model(self, cpus: int) -> Model:
        """Return the model with all that is mapped at first."""
        huge, small = self._hugetlb, self._ordinary
        self._model = model = Model(
            self.scene.kernel, self.scene.lowering, cpus=cpus, mms=self.small.mms, slots=small.slots,
            files=huge.files, classes=max(huge.classes, small.classes),
        )  # fmt: skip
        huge.declare(model)
        small.declare(model, first_freed=huge.slots)
        return model

    def write(self, number: int, one: Statement) -> None:
        """Write a statement of a thread, by its number."""
        assert one.place is not None
        if self.small.program.memory[one.place.memory].kind != "hugetlb":
            self._ordinary.write(number, one)
            return
        with self._ordinary.in_kernel(number, self.small.actors[number], f"{one.verb} of hugetlb memory"):
            self._hugetlb.write(number, one)

    def fork(self, number: int, actor: Actor, child: int) -> None:
        """Write fork() by a thread, but for its return."""
        self._ordinary.fork(number, actor, child, lambda: self._hugetlb.copy_vmas(actor.mm, child))

    def exit(self, actor: Actor) -> None:
        """Write exit() of a process."""
        mappings = self._hugetlb.leaves(actor)
        self._ordinary.exit(actor, mappings, lambda: self._hugetlb.free(mappings))

    def exec(self, actor: Actor, new_mm: int) -> None:
        """Write execve() of a process that has no hugetlb memory."""
        self._ordinary.exec(actor, new_mm)

    def in_kernel(self, number: int, actor: Actor, text: str) -> AbstractContextManager[None]:
        """Write what a thread does in the kernel within, about no memory."""
        return self._ordinary.in_kernel(number, actor, text)

    def goes_on(self, actor: Actor, ends: str) -> None:
        """Write what a process may do later on with its hugetlb memory."""
        number = next(n for n, other in enumerate(self.small.actors) if other is actor)
        if actor.thread.name == "main" and ends not in ("exit", "sleep"):
            with self._ordinary.in_kernel(number, actor, "hugetlb memory may be unmapped later"):
                self._hugetlb.goes_on(actor, ends)
