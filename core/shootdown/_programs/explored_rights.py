"""What calls of an explored program look at besides entries: VMAs, their rights, what fork() has shared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from shootdown._machine import ops as o
from shootdown._mm.forking import Forking, Shared
from shootdown._mm.huge_faults import Rights
from shootdown._mm.ordinary import Ordinary
from shootdown._programs.pages import Page, Statements
from shootdown._programs.program import PRIVATE


class ExploredRights:
    """Declare variables of VMAs and pages, where a call looks at them.

    Args:
        calls: the calls.
        statements: the program's statements.
        pages: its pages, each with its atom.
        kinds: the kind of each memory, by its name.
    """

    def __init__(
        self, calls: Ordinary, statements: Statements, pages: dict[Page, int], kinds: dict[str, str]
    ) -> None:
        self._calls = calls
        self._model = calls.model
        self._of = statements
        self._pages = pages
        self._kinds = kinds
        self.forking = Forking(calls)
        self._vmas: dict[tuple[int, Page], int] = {}
        self._writable: dict[tuple[int, Page], int] = {}
        self._shared: dict[tuple[int, Page], int] = {}
        self._protected: dict[tuple[int, Page], int] = {}
        for mm in range(statements.small.mms):
            for page in pages:
                self._declare(mm, page)
        for mm in range(statements.small.mms):
            self._declare_mm(mm)

    def _declare(self, mm: int, page: Page) -> None:
        model, of = self._model, self._of
        if page.moved:
            self._declare_moved(mm, page)
            return
        name = page.memory
        if self._looked_at(page, mm):
            first = int(self.is_mapped_at_first(page, mm))
            self._vmas[mm, page] = model.variable(first, f"the VMA of {name}")
        forks = any(of.of(mm, "fork"))
        narrows = of.about(page, mm, "mprotect", word="read")
        protects = of.about(page, mm, "userfaultfd", word="WRITEPROTECT")
        copies = of.copies_what_was_read(page, mm)
        if of.about(page, mm, "mprotect", word="write") or ((forks or protects or copies) and narrows):
            self._writable[mm, page] = model.variable(1, f"{name} may be written")
        if protects:
            protected = model.variable(0, f"{name} is write-protected for a monitor")
            self._protected[mm, page] = self._calls.protected[mm, self._pages[page]] = protected
        private = self._kinds[name] in PRIVATE
        calls, atom = self._calls, self._pages[page]
        whole = calls.whole_of.get(atom)
        if private and (forks or copies):
            if whole is not None and (mm, whole) not in calls.shared_pages:
                calls.shared_pages[mm, whole] = model.variable(
                    0, f"fork() has shared the huge page of {name}"
                )
            what = "fork() has shared the page of" if forks else "a write copies the page of"
            self._shared[mm, page] = model.variable(0, f"{what} {name}")
            calls.shared_pages[mm, atom] = self._shared[mm, page]
            if forks and (of.about(page, mm, "gup") or (whole is not None and any(of.of(mm, "gup")))):
                for one in calls.with_whole(atom):
                    calls.has_pins(mm, one)
        self._may_be_given_again(mm, page)

    def _declare_moved(self, mm: int, page: Page) -> None:
        """Declare that a page which mremap() moves keeps what is known of it, and of its VMA's rights."""
        calls, new = self._calls, self._pages[page]
        old = next(one for one in self._pages if one.is_at_first(page))
        for known in (self._writable, self._shared, self._protected):
            if (mm, old) in known:
                known[mm, page] = known[mm, old]
        for where, before in zip(calls.with_whole(new), calls.with_whole(self._pages[old]), strict=True):
            calls.has_the_pins_of(mm, where, before)
            for noted in (calls.shared_pages, calls.protected):
                if (mm, before) in noted:
                    noted[mm, where] = noted[mm, before]
        self._may_be_given_again(mm, page)

    def _may_be_given_again(self, mm: int, page: Page) -> None:
        """Declare for whom the right to a page may be given again while he takes it away."""
        of = self._of
        private = self._kinds[page.memory] in PRIVATE and not page.moved
        freed = of.about(page, mm, "madvise", word="FREE")
        touched = (freed or not private) and of.about(page, mm, "touch")
        if touched or of.about(page, mm, "mprotect", word="write"):
            for number, actor in of.actors(mm):
                if actor.mm == mm:
                    for one in self._calls.with_whole(self._pages[page]):
                        self._calls.may_be_given_again(number, mm, one)

    def _declare_mm(self, mm: int) -> None:
        kernel, of = self._model.kernel, self._of
        if not any(of.of(mm, "fork")):
            return
        if kernel.gup_sees_fork and any(of.of(mm, "gup")):
            self.forking.sequences[mm] = self._model.variable(0, "mm->write_protect_seq")
        if kernel.faults_lock_vmas and not kernel.fork_locks_vmas:
            self._calls.has_vma_locks(mm)

    def declare_tables(self, mm: int, slots: Iterable[int], anew: bool) -> None:
        """Declare which tables threads free, where bits of a register do not say it."""
        there = list(slots)
        for number, actor in enumerate(self._of.small.actors):
            if actor.mm == mm and (anew or len(there) > self._calls.most_freed):
                for slot in there:
                    self._calls.has_other_tables(number, mm, slot)

    def is_mapped_at_first(self, page: Page, mm: int) -> bool:
        """Whether a memory is mapped at first: no statement maps it later on, or some access comes before that."""
        before = any(
            one.place is not None and one.place.memory == page.memory
            for _, actor in self._of.actors(mm)
            for one in actor.before
        )
        return before or not any(
            one.place is not None and one.place.memory == page.memory for one in self._of.of(mm, "mmap")
        )

    def _looked_at(self, page: Page, mm: int) -> bool:
        """Whether a call looks for the VMA of a page, which another call may unmap or map."""
        of = self._of
        if of.about(page, mm, "mmap"):
            return True
        if not of.about(page, mm, "munmap", "mremap"):
            return False
        beside = [other for other in self._pages if other.slot == page.slot]
        pages_out = of.about(page, mm, "madvise", word="PAGEOUT")
        return (
            pages_out
            or of.about(page, mm, "touch", "khugepaged", "userfaultfd")
            or any(
                of.is_about(one, here) != of.is_about(one, page)
                for one in of.of(mm, "munmap")
                for here in beside
            )
        )

    def was_read(self, mm: int, page: Page) -> None:
        """Let a page be mapped at first that a write copies."""
        if (mm, page) in self._shared:
            self._model.begins_with(self._shared[mm, page], 1)

    # --- what statements ask

    def vma(self, mm: int, page: Page) -> int | None:
        """Return the variable that is zero once the VMA of a page is gone."""
        return self._vmas.get((mm, page))

    def vmas(self, mm: int, pages: Iterable[Page]) -> list[int]:
        """Return those of some pages."""
        return [self._vmas[mm, page] for page in pages if (mm, page) in self._vmas]

    def writable(self, mm: int, pages: Iterable[Page]) -> list[int]:
        """Return the variables that say whether the VMAs of some pages may be written."""
        return [self._writable[mm, page] for page in pages if (mm, page) in self._writable]

    def rights(self, mm: int, page: Page, *, cleaned: bool) -> Rights | None:
        """Return what a write fault on a page looks at; None if no fault finds a page that may only be read.

        Args:
            mm, page: the address space and the page.
            cleaned: writeback takes the right to write to it.
        """
        writable, shared, protected = (
            there.get((mm, page)) for there in (self._writable, self._shared, self._protected)
        )
        found = Rights(writable, shared, protected, self._of.about(page, mm, "madvise", word="FREE"))
        return found if cleaned or found != Rights() else None

    def fork(self, mm: int, child: int, copies: dict[Page, int], others: Callable[[], None] | None) -> None:
        """Write fork() of an address space.

        Args:
            mm, child: the address space, and the copy.
            copies: the entries of the copies that pinned pages get.
            others: writes how other memory is copied, if there is some.
        """
        mine: Sequence[tuple[int, Page]] = [key for key in self._shared if key[0] == mm]
        inherited = [
            (variable, there[child, page])
            for there in (self._vmas, self._writable)
            for (whose, page), variable in there.items()
            if whose == mm
        ]
        self.forking.fork(
            child,
            [
                Shared(self._pages[page], self._shared[mm, page], self._shared[child, page], copies.get(page))
                for _, page in mine
            ],
            inherited,
            others,
        )

    def sequence(self, mm: int) -> int | None:
        """Return the variable of mm->write_protect_seq, if GUP-fast looks at it."""
        return self.forking.sequences.get(mm)

    def pinned_to_write(self, mm: int) -> bool:
        """Whether GUP-fast pins pages to write to them: where fork() might share them."""
        return any(self._of.of(mm, "fork"))


def writes(frame: int) -> int:
    """Return the entry of a page that may be written and is dirty."""
    return o.ENTRY_PRESENT | o.ENTRY_WRITABLE | o.ENTRY_DIRTY | 1 << o.ENTRY_PAGE_SHIFT + frame
