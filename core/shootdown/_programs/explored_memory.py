"""Ordinary memory of an explored program: each range that statements treat alike is a page, mapped by one entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shootdown._machine import ops as o
from shootdown._mm.collapse import Collapse
from shootdown._mm.declarations import MOST_ATOMS, MOST_FRAMES
from shootdown._mm.faults import Faults
from shootdown._mm.gup import Gup
from shootdown._mm.model import Model
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import PLACES
from shootdown._mm.reclaim import Reclaim
from shootdown._mm.writeback import Writeback
from shootdown._programs.areas import Cut, collapses, cut
from shootdown._programs.explored_huge import Huge
from shootdown._programs.explored_rights import ExploredRights
from shootdown._programs.language import size_text
from shootdown._programs.pages import Page, Statements
from shootdown._programs.program import Statement
from shootdown._programs.small import Actor, Small
from shootdown._values.errors import ShootdownError
from shootdown._values.setup import Setup

#: The most ranges of a page table of which some are written back: bits of a register that no frame has.
_MOST_WRITTEN_BACK = o.ENTRY_PAGE_SHIFT


class OrdinaryMemory:
    """Lay out ordinary memory, and declare what is mapped at first.

    Args:
        small: the program.
        scene: what it is explored on.
        marks: places are marked as reached.
        first_slot: slots that come before its own.
    """

    def __init__(self, small: Small, scene: Setup, *, marks: bool, first_slot: int = 0) -> None:
        self.places = PLACES if marks else ()
        self.small = small
        self.scene = scene
        geometry = scene.lowering.geometry
        self.page_size = scene.kernel.page_size
        self.slot_pages = 1 << (geometry.pmd_shift - geometry.page_shift)
        self.cuts = cut(small.program, self.page_size, self.slot_pages)
        self._pages: list[Page] = []
        self.first_slot = self.slots = first_slot
        for here in self.cuts.values():
            owners = range(len(small.actors)) if here.memory.each == "thread" else (-1,)
            for owner in owners:
                self._lay_out(here, owner)
        self._frames = 0
        self._about = Statements(small, self.page_size)
        #: By the first part of a thread, the memories that are moved by the place that was written last.
        self.moved = {
            (number, name)
            for number in range(len(small.actors))
            for name in self.cuts
            if self._moved_at_first(number, name)
        }
        self._huge = Huge(self._pages, self._about, self.slot_pages)
        self._anew = {name for name in self._mapped_anew() if self.cuts[name].memory.alone}
        #: By an access, the class of the table that it allocates where munmap() has freed the one before.
        self._new_tables = {
            id(one): small.mms + number
            for number, one in enumerate(
                one
                for _, one in self._bodies("touch", "userfaultfd")
                if one.place and one.place.memory in self._anew
            )
        }
        #: Which use of a statement is written, where they are written for many programs; equal uses take the same page.
        self.use = 0
        self._taken: dict[tuple[str, Page, int, bool], int] = {}
        #: By thread, statement and page, the class of the table that is deposited with a huge page which it maps.
        self._deposits = {
            (number, id(one), page): small.mms + len(self._new_tables) + place
            for place, (number, one, page) in enumerate(self._huge.mapped_by())
        }
        self._refuse()

    def _bodies(self, *verbs: str) -> Iterator[tuple[Actor, Statement]]:
        """Yield the statements with one of some verbs, but for accesses at the beginning and other kinds of memory."""
        return (
            (actor, one) for actor in self.small.actors for one in actor.body
            if one.verb in verbs and (one.place is None or one.place.memory in self.cuts)
        )  # fmt: skip

    def _mapped_anew(self) -> set[str]:
        return {one.place.memory for _, one in self._bodies("mmap") if one.place}

    def _refuse(self) -> None:
        """Refuse what calls can't be explored together yet."""
        self._huge.refuse()
        forks = [one for _, one in self._bodies("fork")]
        mapped = self._mapped_anew()
        for _, one in self._bodies("mremap", "khugepaged", "madvise", "userfaultfd"):
            if forks and one.verb == "userfaultfd":
                raise not_yet(forks[0], f"`{one.text:.40}` and fork() in one program")
            anew = mapped if forks and one.verb == "mremap" else self._anew
            if one.place and one.place.memory in anew and (one.verb == "mremap" or collapses(one)):
                raise not_yet(one, "memory that mmap() maps anew")
        for number, actor in enumerate(self.small.actors):
            for one in (*actor.before, *actor.body):
                if one.place and any(
                    self.small.parts_of(mover)[0] != self.small.parts_of(forker)[0]
                    for mover, forker in self._moved_by(number, one.place.memory)
                ):
                    raise not_yet(one, "memory that another thread of the parent moves")
        for here in self.cuts.values():
            if forks and here.memory.each == "thread":
                raise not_yet(forks[0], f"fork() of memory that each thread has one of ({here.memory.name})")

    def _forker(self, number: int) -> tuple[int, tuple[Statement, ...]] | None:
        """Return who forks the process that an actor begins in, and what he does before; None: nobody."""
        small = self.small
        if small.actors[number].begins != "fork":
            return None
        return next(
            (parent, (*self._earlier(parent), *actor.body[:at]))
            for parent, actor in enumerate(small.actors)
            for at, one in enumerate(actor.body)
            if one.verb == "fork" and small.children[id(one)] == small.actors[number].mm
        )

    def _earlier(self, number: int) -> Iterator[Statement]:
        """Yield what a thread has done on CPUs that it has left."""
        return (one for part in self.small.parts_of(number)[:-1] for one in self.small.actors[part].body)

    def _moved_at_first(self, number: int, memory: str) -> bool:
        """Whether a memory was moved already when an actor's process was forked."""
        forked = self._forker(number)
        if forked is None:
            return False
        parent, before = forked
        return any(map(self._moves(memory), before)) or self._moved_at_first(parent, memory)

    def _moves(self, memory: str) -> Callable[[Statement], bool]:
        return lambda one: one.verb == "mremap" and one.place is not None and one.place.memory == memory

    def _moved_by(self, number: int, memory: str) -> Iterator[tuple[int, int]]:
        """Yield who moves a memory of processes that an actor's is forked from, each with the thread that forks."""
        forked = self._forker(number)
        if forked is not None:
            mm = self.small.actors[forked[0]].mm
            for other, actor in enumerate(self.small.actors):
                if actor.mm == mm and any(map(self._moves(memory), actor.body)):
                    yield other, forked[0]
            yield from self._moved_by(forked[0], memory)

    def _lay_out(self, here: Cut, owner: int) -> None:
        """Give each area a page: those of one table lie side by side in one slot."""
        name = here.memory.name
        if owner >= 0 and not any(
            one.place and one.place.memory == name and self.small.parts_of(number)[0] == owner
            for number, actor in enumerate(self.small.actors)
            for one in (*actor.before, *actor.body)
        ):
            return
        slots: dict[tuple[int, int], int] = {}
        used: dict[int, int] = {}
        for area in here.areas:
            if any(
                place.memory == name
                and place.lo <= area.lo * self.page_size
                and area.hi * self.page_size <= place.hi
                for place in self.small.left_out
            ):
                continue
            key = (0, area.table) if area.table >= 0 else (1, area.number)
            if key not in slots:
                slots[key] = self.slots
                self.slots += 1
            at = used.get(slots[key], 0)
            used[slots[key]] = at + 1
            self._pages.append(Page(name, area, owner, slots[key], at))
        moves = [
            one
            for _, _, one in self.small.program.statements()
            if one.verb == "mremap" and one.place and one.place.memory == name
        ]
        if self.small.uses:  # of those that can be written a program has one
            moves = moves[:1]
        for one in moves:
            if len(here.areas) > 1 or len(moves) > 1:
                raise ShootdownError(
                    f"{one.at}: `{one.text:.60}`: explored is one mremap() of memory whose parts no statement is about"
                )
            self._pages.append(Page(name, here.areas[0], owner, self.slots, 0, moved=True))
            self.slots += 1

    @property
    def cut_text(self) -> tuple[str, ...]:
        """What was cut, in words."""
        huge = {(page.memory, page.area.number) for page in self._huge.pages()}
        whole = sum(
            area.hi - area.lo
            for name, here in self.cuts.items() for area in here.areas if (name, area.number) not in huge
        )  # fmt: skip
        here = len({(page.memory, page.area.number) for page in self._pages} - huge)
        found: tuple[str, ...] = (
            (f"{here} page{'s' if here > 1 else ''} of {whole:,}",) if whole > here else ()
        )
        found = (*self._huge.cut_text(), *found)
        if any(
            page.slot not in self._huge.slots for one in self._collapses() for page in self._pages_of(one)
        ):
            found = (*found, "what is collapsed is mapped by nothing: a huge page itself is not explored")
        return found

    def _collapses(self) -> Iterator[Statement]:
        return (one for actor in self.small.actors for one in actor.body if collapses(one))

    def _pages_of(self, one: Statement) -> list[Page]:
        return [page for page in self._pages if self._about.is_about(one, page)]

    @property
    def classes(self) -> int:
        """How many tables a slot may have: one for each address space, and those that accesses allocate."""
        new = len(self._new_tables)
        uses = self.small.uses
        return self.small.mms + (min(uses, new) if uses else new) + max(uses, 1) * len(self._deposits)

    def model(self, cpus: int) -> Model:
        """Return the model with all that is mapped at first."""
        model = Model(
            self.scene.kernel, self.scene.lowering, cpus=cpus, mms=self.small.mms, slots=self.slots,
            classes=self.classes, slot_pages=self.slot_pages,
        )  # fmt: skip
        self.declare(model)
        return model

    def declare(self, model: Model, *, first_freed: int = 0) -> None:
        """Declare all that is mapped at first; `first_freed`: bits that say of other tables that they are freed."""
        small, scene = self.small, self.scene
        if len(self._pages) + len(self._huge.slots) > MOST_ATOMS:
            raise ShootdownError(
                f"{small.program.name}: statements cut its memory into {len(self._pages)} ranges"
            )
        self._model = model
        self._calls = Ordinary(model, scene.pte_clear, self.places)
        self._calls.first_freed = first_freed
        self._reclaim = Reclaim(self._calls)
        self._gup = Gup(self._calls)
        self._writeback = Writeback(self._calls)
        self._collapse = Collapse(self._calls)
        self._faults = Faults(self._calls)
        self._calls.has_table_locks(small.mms, self.slots)
        if any(unmaps_by_rmap(one) for actor in small.actors for one in actor.body):
            self._calls.has_reclaim(small.mms)
        self._atoms = {
            page: model.atom(self._first(page), self._first(page) + 1, self._name(page))
            for page in self._pages
        }
        self._cached: dict[Page, int] = {}
        self._first_entries: dict[Page, tuple[bool, ...]] = {}
        for mm in range(small.mms):
            for slot in range(self.first_slot, self.slots):
                if slot not in self._huge.slots:
                    model.populate(mm, slot, mm)
        for slot, parts in self._huge.slots.items():
            lo = model.first_page(slot)
            atom = model.atom(lo, lo + self.slot_pages, f"the huge page of {parts[0].memory}")
            self._calls.has_huge_pages(
                small.mms, slot, atom, [self._atoms[page] for page in parts], splits=self._huge.splits(slot)
            )
            if not parts[0].moved:
                self._map_huge(slot, parts)
        for page in self._pages:
            if not page.moved and page.slot not in self._huge.slots:
                self._map(page)
        self._declare_files()
        self._declare_collapse()
        kinds = {name: here.memory.kind for name, here in self.cuts.items()}
        self._rights = ExploredRights(self._calls, self._about, self._atoms, kinds)
        for page in self._pages:
            for mm, writes in self._first_accesses([page]).items() if not page.moved else ():
                if not writes and self._about.copies_what_was_read(page, mm):
                    self._rights.was_read(mm, page)
        for mm in range(small.mms):
            if self._anew or any(actor.mm == mm for actor, _ in self._bodies("exit")):
                self._rights.declare_tables(mm, range(self.first_slot, self.slots), bool(self._anew))
            self._rights.declare_tables(mm, filter(self._huge.splits, self._huge.slots), True)

    def _first(self, page: Page) -> int:
        return self._model.first_page(page.slot) + page.at

    def _name(self, page: Page) -> str:
        memory = self.cuts[page.memory].memory
        name = page.memory
        if len(self.cuts[page.memory].areas) > 1:
            lo, hi = (size_text(end * self.page_size - memory.begin) for end in (page.area.lo, page.area.hi))
            name += f"[{lo}:{hi}]"
        if page.owner >= 0:
            name += f" of {self.small.actors[page.owner].name}"
        return f"{name}, moved" if page.moved and memory else name

    def _map(self, page: Page) -> None:
        """Map a page when the search begins, if a thread touches it before everything else."""
        memory = self.cuts[page.memory].memory
        writes = self._first_accesses([page])
        if memory.kind == "file":
            self._cached[page] = frame = self._frame(page, 1 + len(writes))
            self._first_entries[page] = tuple(writes.values())
            for mm, dirty in writes.items():
                self._model.maps(self._atoms[page], entry(frame, dirty), mm)
            return
        for mm, dirty in writes.items():
            self._model.maps(self._atoms[page], entry(self._private_frame(page, mm, dirty), dirty), mm)

    def _private_frame(self, page: Page, mm: int, writes: bool) -> int:
        """Return a page that an access maps privately: one that is only read others have too, if a write copies it."""
        copied = not writes and self._about.copies_what_was_read(page, mm)
        return self._frame(page, 1 + copied)

    def _map_huge(self, slot: int, parts: list[Page]) -> None:
        """Map a huge page when the search begins, as `_map`."""
        for mm, dirty in self._first_accesses(parts).items():
            value = o.ENTRY_HUGE | entry(self._frame(parts[0], 1, huge=True), dirty)
            self._calls.deposit_at_first(mm, slot, value)

    def _first_accesses(self, pages: list[Page]) -> dict[int, bool]:
        """Return the address spaces whose threads touch some pages before everything else, and whether they write."""
        writes: dict[int, bool] = {}
        for number, actor in enumerate(self.small.actors):
            for one in actor.before:
                if one.verb == "touch" and any(
                    self._about.is_about(one, page) and page.owner in (-1, number) for page in pages
                ):
                    writes[actor.mm] = writes.get(actor.mm, False) or one.word == "write"
        return writes

    def _declare_files(self) -> None:
        """Say where pages of files can be mapped, and what writeback looks at, of memory that is written back."""
        back = {
            one.place.memory: one
            for actor in self.small.actors for one in actor.body if one.verb == "mkclean" and one.place
        }  # fmt: skip
        for page, frame in self._cached.items():
            self._calls.files.maps(frame, self._everywhere(page))
            if page.memory not in back:
                continue
            if sum(other.slot == page.slot for other in self._pages) > _MOST_WRITTEN_BACK:
                raise not_yet(
                    back[page.memory], f"writeback of more than {_MOST_WRITTEN_BACK} ranges of a table"
                )
            first = self._first_entries[page]
            self._calls.files.has_writeback(frame, len(first), dirty=any(first))

    def _everywhere(self, page: Page) -> list[int]:
        """Return the atoms of a page: where it is mapped first, and where mremap() moves it."""
        return [atom for one, atom in self._atoms.items() if self._same(one, page)]

    def _same(self, one: Page, other: Page) -> bool:
        return (one.memory, one.area.number, one.owner) == (other.memory, other.area.number, other.owner)

    def _declare_collapse(self) -> None:
        slots = {page.slot for one in self._collapses() for page in self._pages_of(one)}
        if slots:
            atoms = [atom for page, atom in self._atoms.items() if page.slot in slots]
            wholes = [here.atom for slot, here in self._calls.huge_slots.items() if slot in slots]
            self._calls.has_collapse([self.small.root(mm) for mm in range(self.small.mms)], [*atoms, *wholes])

    def _frame(self, page: Page, references: int, *, huge: bool = False) -> int:
        self._frames += 1
        if self._frames > MOST_FRAMES:
            at = self.cuts[page.memory].memory.at
            raise ShootdownError(
                f"{at}: the program maps more than {MOST_FRAMES} pages even if each range is one: touch fewer of them"
            )
        name = f"the huge page of {page.memory}" if huge else f"the page of {self._name(page)}"
        return self._model.frame(references, name)


def unmaps_by_rmap(one: Statement) -> bool:
    """Whether a statement unmaps pages through the reverse map: flushes of that may wait."""
    return one.verb in ("reclaim", "migrate") or (one.verb == "madvise" and one.word == "PAGEOUT")


def entry(frame: int, writes: bool) -> int:
    """Return the entry that an access makes: writable and dirty if it writes."""
    flags = o.ENTRY_PRESENT | (o.ENTRY_WRITABLE | o.ENTRY_DIRTY if writes else 0)
    return flags | 1 << o.ENTRY_PAGE_SHIFT + frame


def not_yet(one: Statement, what: str) -> ShootdownError:
    return one.wrong(f"{what} is not explored yet")
