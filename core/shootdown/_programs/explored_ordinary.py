"""Statements about ordinary memory in explored programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._mm.huge_faults import HugeFault
from shootdown._mm.mapping import Mapping
from shootdown._programs.areas import collapses
from shootdown._programs.explored_memory import OrdinaryMemory, entry, not_yet, unmaps_by_rmap
from shootdown._programs.explored_rights import writes
from shootdown._programs.language import size_text
from shootdown._programs.pages import Page
from shootdown._programs.program import PRIVATE, Memory, Statement
from shootdown._programs.small import Actor
from shootdown._programs.touches import pages_of
from shootdown._values.errors import ShootdownError


class OrdinarySpace(OrdinaryMemory):
    """Write statements about ordinary memory; see `OrdinaryMemory`."""

    invariants = ("walk-cache", "stale-tlb-entry", "gup-fast")
    user_mode = True
    buffers = True

    @property
    def notes_by_thread(self) -> bool:
        """Whether threads note something of their own, in variables that the model has been given."""
        return self._calls.notes_by_thread

    def takes(self, one: Statement) -> bool:
        """Whether a statement takes something for itself, so that it differs each time that a program has it."""
        kind = self.cuts[one.place.memory].memory.kind if one.place is not None else ""
        if one.verb == "touch":
            return kind != "file" or id(one) in self._new_tables
        return one.verb in ("reclaim", "migrate") or (collapses(one) and kind == "thp")

    # --- statements

    def write(self, number: int, one: Statement) -> None:
        """Write a statement of a thread, by its number."""
        assert one.place is not None
        actor = self.small.actors[number]
        thread = self.small.parts_of(number)[0]
        moved = (thread, one.place.memory) in self.moved
        pages = [
            page for page in self._pages
            if page.moved == moved and page.owner in (-1, thread) and self._about.is_about(one, page)
        ]  # fmt: skip
        atoms = [self._atoms[page] for page in pages]
        memory = self.cuts[one.place.memory].memory
        self._calls.mm, self._calls.task = actor.mm, number
        if one.verb == "mmap":
            self._calls.mmap(
                atoms,
                self._rights.vmas(actor.mm, pages),
                self._rights.writable(actor.mm, pages),
                tables=self._tables(actor, memory, [page for page in pages if page.slot in self._huge.slots]),
                klass=actor.mm,
            )
        elif one.verb == "touch":
            self._touch(number, one, actor, memory, pages)
        elif one.verb == "munmap":
            self._munmap(one, actor, memory, pages)
        elif one.verb == "madvise" and one.word == "DONTNEED":
            self._calls.madvise(atoms)
        elif one.verb == "madvise" and one.word == "FREE":
            self._calls.madvise_free(atoms)
        elif one.verb == "mprotect":
            self._calls.mprotect(
                atoms, widens=one.word == "write", vmas=self._rights.writable(actor.mm, pages)
            )
        elif one.word == "WRITEPROTECT":
            self._calls.write_protect(atoms)
        elif one.verb == "userfaultfd":
            self._fill(one, actor, pages)
        elif one.verb == "mremap":
            self.moved.add((thread, one.place.memory))
            new = next(page for page in self._pages if page.memory == one.place.memory and page.moved)
            self._calls.mremap(atoms[0], self._atoms[new], vmas=self._rights.vmas(actor.mm, pages))
        elif one.verb in ("truncate", "punch"):
            self._calls.truncate(
                [atom for page in pages for atom in self._everywhere(page)],
                *map(self._in_file, pages),
                mms=self._mms(actor, memory),
            )
        elif unmaps_by_rmap(one):
            self._unmap_by_rmap(one, actor, memory, pages)
        elif collapses(one):
            self._collapse_tables(number, one, actor, pages)
        elif one.verb == "mkclean":
            for page in pages:
                self._writeback.write_back(
                    self._in_file(page), self._everywhere(page), self._mms(actor, memory)
                )
        elif one.verb == "gup":
            self._gup.gup_fast(
                atoms[0],
                writes=self._rights.pinned_to_write(actor.mm) and memory.kind in PRIVATE,
                sequence=self._rights.sequence(actor.mm),
            )
        else:
            raise not_yet(one, f"`{one.verb}` of {memory.kind} memory here")

    def _touch(self, number: int, one: Statement, actor: Actor, memory: Memory, pages: list[Page]) -> None:
        """Write accesses: each page that is not mapped is faulted in, a new one unless it is a file's."""
        written = {name.place.memory for _, name in self._bodies("mkclean") if name.place}
        for page in pages:
            self._refuse_unmapped(number, one, page)
            cached = memory.kind == "file"
            fits = page.slot in self._huge.slots
            huge = self._huge_fault(number, one, actor, page) if fits else None
            frame = 0  # where no table is ever there no entry of one is written
            if self._has_table(page.slot):
                frame = self._in_file(page) if cached else self._own_frame(one, page, actor.mm)
            self._faults.fault(
                self._atoms[page],
                entry(frame, one.word == "write"),
                vma=self._rights.vma(actor.mm, page),
                cached=cached,
                rights=self._rights.rights(actor.mm, page, cleaned=memory.name in written),
                new_table=self._new_table(one),
                huge=huge,
            )

    def _fill(self, one: Statement, actor: Actor, pages: list[Page]) -> None:
        """Write that a monitor maps new pages where there are none, or the zero page."""
        for page in pages:
            self._faults.fill(
                self._atoms[page],
                entry(self._own_frame(one, page, actor.mm), one.word == "COPY"),
                vma=self._rights.vma(actor.mm, page),
                new_table=self._new_table(one),
            )

    def _own_frame(self, one: Statement, page: Page, mm: int) -> int:
        """Return the page that an access maps."""
        if self.small.uses:
            return self._taken_frame(one, page)
        return self._private_frame(page, mm, one.word in ("write", "COPY"))

    def _taken_frame(self, one: Statement, page: Page, *, huge: bool = False) -> int:
        """Return a page that a statement takes: where it is written for many programs, each use has one."""
        if self.small.uses == 0:
            return self._frame(page, 1, huge=huge)
        key = (one.text, page, self.use, huge)
        if key not in self._taken:
            self._taken[key] = self._frame(page, 1, huge=huge)
        return self._taken[key]

    def _new_table(self, one: Statement) -> int | None:
        """Return the class of the table that an access allocates."""
        if id(one) not in self._new_tables or self.small.uses == 0:
            return self._new_tables.get(id(one))
        return self.small.mms + self.use

    def _huge_fault(self, number: int, one: Statement, actor: Actor, page: Page) -> HugeFault:
        """Return the huge page that a statement maps in the slot of a page, if there is room for one."""
        frame = self._taken_frame(one, page, huge=True)
        writes = one.word == "write" or collapses(one)
        return HugeFault(
            o.ENTRY_HUGE | entry(frame, writes),
            self._deposited(number, one, page),
            self._rights.vmas(actor.mm, self._huge.slots[page.slot]),
        )

    def _deposited(self, number: int, one: Statement, page: Page) -> int:
        """Return the class of the table that is deposited with a huge page which a statement maps."""
        return self._deposits[number, id(one), page] + self.use * len(self._deposits)

    def _refuse_unmapped(self, number: int, one: Statement, page: Page) -> None:
        """Refuse an access to memory that the thread itself has unmapped, and nobody maps again."""
        actor = self.small.actors[number]
        body = [other for part in self.small.parts_of(number) for other in self.small.actors[part].body]
        gone = False
        for other in body[: next((n for n, other in enumerate(body) if other is one), 0)]:
            if self._about.is_about(other, page) and other.verb in ("munmap", "mmap"):
                gone = other.verb == "munmap"
        others = (of for of, _ in self._bodies("mmap") if of is not actor and of.mm == actor.mm)
        if gone and not any(others):
            raise not_yet(one, "an access to memory that the thread has unmapped")

    @contextmanager
    def in_kernel(self, number: int, actor: Actor, text: str) -> Iterator[None]:
        """Write what a thread does in the kernel within, about other memory."""
        self._calls.mm, self._calls.task = actor.mm, number
        self._calls.enter_kernel(text)
        yield
        self._model.asm.user_mode(True, text="returns to user mode")

    def goes_on(self, actor: Actor, ends: str) -> None:
        """Write what a process may do later on: nothing."""

    def fork(self, number: int, actor: Actor, child: int, others: Callable[[], None] | None = None) -> None:
        """Write fork() by a thread, but for its return; `others` writes how other memory is copied, if any."""
        self._calls.mm, self._calls.task = actor.mm, number
        pinned = [
            page for page, atom in self._atoms.items()
            if atom in self._calls.pins and actor.mm in self.small.mms_of(page.memory)
        ]  # fmt: skip
        copies = {page: writes(self._frame(page, 1)) for page in pinned}
        self._rights.fork(actor.mm, child, copies, others)

    def exit(
        self, actor: Actor, mappings: tuple[Mapping, ...] = (), freed: Callable[[], None] = lambda: None
    ) -> None:
        """Write exit() of a process.

        Args:
            actor: its thread.
            mappings: its hugetlb VMAs.
            freed: writes how their tables are freed after the flush.
        """
        self._calls.exit(*self._mapped_by(actor), mappings=mappings, freed=freed)

    def exec(self, actor: Actor, new_mm: int) -> None:
        """Write execve() of a process."""
        self._calls.exec(*self._mapped_by(actor), new_mm)

    def _mapped_by(self, actor: Actor) -> tuple[list[int], tuple[int, ...], int]:
        """Return what a process maps, which its thread tears down now: addresses, slots of tables, their class."""
        number = next(n for n, other in enumerate(self.small.actors) if other is actor)
        self._calls.mm, self._calls.task = actor.mm, number
        pages = [
            page for page in self._pages
            if page.owner in (-1, self.small.parts_of(number)[0]) and actor.mm in self.small.mms_of(page.memory)
        ]  # fmt: skip
        slots = dict.fromkeys(page.slot for page in pages if self._has_table(page.slot))
        return [self._atoms[page] for page in pages], tuple(slots), actor.mm

    def _has_table(self, slot: int) -> bool:
        """Whether a page table may ever be in a slot."""
        return slot not in self._huge.slots or self._huge.splits(slot)

    def _unmap_by_rmap(self, one: Statement, actor: Actor, memory: Memory, pages: list[Page]) -> None:
        """Write reclaim or migration of pages."""
        frames = [self._in_file(page) if memory.kind == "file" else None for page in pages]
        if any(frame in self._calls.files.written for frame in frames):
            raise not_yet(one, "reclaim of a page that is written back")
        if self.small.uses:
            self._reclaim.times = self.use
        mms = self.small.kin(actor.mm) if memory.kind in PRIVATE else self.small.mms_of(memory.name)
        if one.verb == "migrate" and memory.kind == "file" and len(mms) > 1:
            raise not_yet(one, "migration of a file that several processes map")
        self._reclaim.mms = (actor.mm, *(mm for mm in mms if mm != actor.mm))
        every = [
            (sorted(self._everywhere(page), key=lambda atom: atom != self._atoms[page]), frame)
            for page, frame in zip(pages, frames, strict=True)
        ]
        self._reclaim.huge = [
            slot for slot in dict.fromkeys(page.slot for page in pages) if slot in self._huge.slots
        ]
        if one.verb == "migrate":
            self._reclaim.move_pages(every)
        elif one.verb == "madvise":
            self._reclaim.page_out(every, [self._rights.vma(actor.mm, page) for page in pages])
        else:
            self._reclaim.reclaim(every, by_kswapd=bool(one.word))

    def _collapse_tables(self, number: int, one: Statement, actor: Actor, pages: list[Page]) -> None:
        """Write the collapse of a place's page tables, one after another: mmap_lock is released between them."""
        assert one.place is not None
        lo, hi = pages_of(one.place, self.page_size)
        if lo % self.slot_pages or hi % self.slot_pages:
            size = size_text(self.slot_pages * self.page_size)
            raise ShootdownError(f"{one.at}: `{one.text:.60}`: collapsed are whole page tables, of {size}")
        for slot in dict.fromkeys(page.slot for page in pages):
            here = [page for page in pages if page.slot == slot]
            huge = self._huge_fault(number, one, actor, here[0]) if slot in self._huge.slots else None
            vmas = self._rights.vmas(actor.mm, here)
            self._collapse.collapse([self._atoms[page] for page in here], vmas, huge)

    def _mms(self, actor: Actor, memory: Memory) -> tuple[int, ...]:
        """Return the address spaces that map a memory, the actor's own last."""
        return (*(mm for mm in self.small.mms_of(memory.name) if mm != actor.mm), actor.mm)

    def _in_file(self, page: Page) -> int:
        """Return the frame of a page of a file, wherever it is mapped."""
        return self._cached[next(one for one in self._cached if self._same(one, page))]

    def _munmap(self, one: Statement, actor: Actor, memory: Memory, pages: list[Page]) -> None:
        tables = self._tables(actor, memory, pages)
        counted = [slot for slot in tables if slot not in self._huge.slots]
        most = self._calls.most_freed
        if len(counted) > most and not self._anew:
            raise not_yet(one, f"a munmap() that frees more than {most} page tables")
        self._calls.munmap(
            [self._atoms[page] for page in pages],
            tables=tables,
            klass=actor.mm,
            vmas=self._rights.vmas(actor.mm, pages),
        )

    def _tables(self, actor: Actor, memory: Memory, pages: list[Page]) -> dict[int, list[int]]:
        """Return the slots whose tables go with some pages, each with the variables of other VMAs that use it."""
        unmaps = list(self._about.of(actor.mm, "munmap"))
        gone = {page for page in self._pages if any(self._about.is_about(one, page) for one in unmaps)}
        tables: dict[int, list[int]] = {}
        for page in pages if memory.alone else ():
            others = [other for other in self._pages if other.slot == page.slot and other not in pages]
            if self._has_table(page.slot) and all(other in gone for other in others):
                tables[page.slot] = self._rights.vmas(actor.mm, others)
        return tables
