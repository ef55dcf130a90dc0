"""Huge pages of an explored program: which slots they may map, and what may split them."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._programs.areas import collapses
from shootdown._programs.pages import Page, Statements
from shootdown._programs.program import Statement
from shootdown._programs.small import Actor
from shootdown._values.errors import ShootdownError


class Huge:
    """The slots of thp memory that a huge page fits.

    Args:
        pages: all pages of the program.
        statements: its statements.
        slot_pages: base pages in a slot.
    """

    def __init__(self, pages: list[Page], statements: Statements, slot_pages: int) -> None:
        self._of = statements
        self._slot_pages = slot_pages
        thp = {name for name, memory in statements.small.program.memory.items() if memory.kind == "thp"}
        #: By slot, its pages: the parts of the huge page.
        self.slots: dict[int, list[Page]] = {}
        for page in pages:
            area = page.area
            if page.memory in thp and (
                area.folio >= 0 or (area.table < 0 and area.hi - area.lo >= slot_pages)
            ):
                self.slots.setdefault(page.slot, []).append(page)

    def pages(self) -> Iterator[Page]:
        """Yield the parts of all huge pages."""
        return (page for parts in self.slots.values() for page in parts)

    def mapped_by(self) -> Iterator[tuple[int, Statement, Page]]:
        """Yield what may map a huge page: the number of a thread, a statement, and the page that it accesses."""
        for number, actor in enumerate(self._of.small.actors):
            for one in actor.body:
                about = [page for page in self.pages() if self._of.is_about(one, page)]
                if one.verb == "touch":
                    yield from ((number, one, page) for page in about)
                elif collapses(one):
                    first = {page.slot: page for page in reversed(about)}
                    yield from ((number, one, page) for page in reversed(first.values()))

    def splits(self, slot: int) -> bool:
        """Whether some call may put a table in a slot: reclaim, one about a part, a copy of what fork() has shared."""
        parts = self.slots[slot]
        for actor in self._of.small.actors:
            for one in actor.body:
                about = [self._of.is_about(one, page) for page in parts]
                parted = one.verb in ("munmap", "madvise", "mprotect") and any(about) and not all(about)
                if parted or one.verb == "fork" or (any(about) and _reclaims(one)):
                    return True
        return False

    def refuse(self) -> None:
        """Refuse what can't be explored together yet."""
        about = {page.memory for page in self.pages()}
        for actor in self._of.small.actors:
            for one in actor.body:
                self._refuse_reclaimed(actor, one)
                if not collapses(one) or one.place is None or one.place.memory not in about:
                    continue
                for other in self._of.of(actor.mm, "mprotect"):
                    if other.place and other.place.memory == one.place.memory:
                        raise ShootdownError(
                            f"{one.at}: `{one.text:.60}`: collapse of thp memory whose rights `{other.text:.40}` "
                            "changes is not explored yet"
                        )

    def _refuse_reclaimed(self, actor: Actor, one: Statement) -> None:
        """Refuse reclaim of parts, and what can't stand beside reclaim or MADV_FREE of huge pages yet."""
        parts = [[self._of.is_about(one, page) for page in some] for some in self.slots.values()]
        if not (_reclaims(one) or one.word == "FREE") or not any(map(any, parts)):
            return
        why = None
        if any(self._of.of(actor.mm, "fork")):
            why = "in a program with fork()"
        elif _reclaims(one) and any(any(some) and not all(some) for some in parts):
            why = "of a part of a huge page"
        elif _reclaims(one) and any(
            collapses(other) for mine in self._of.small.actors for other in mine.body
        ):
            why = "in a program that collapses pages"
        if why:
            what = one.word if one.verb == "madvise" else one.verb
            raise ShootdownError(
                f"{one.at}: `{one.text:.60}`: {what} of thp memory {why} is not explored yet"
            )

    def cut_text(self) -> tuple[str, ...]:
        """What was cut of huge pages, in words."""
        first = {
            (page.memory, page.area.number, page.area.folio): page for page in self.pages() if not page.moved
        }
        whole = sum(
            (page.area.hi - page.area.lo) // self._slot_pages if page.area.folio < 0 else 0
            for page in first.values()
        )
        folios = {(page.memory, page.area.folio) for page in first.values() if page.area.folio >= 0}
        here = len({page.slot for page in first.values()})
        found: tuple[str, ...] = ()
        if whole + len(folios) > here:
            found = (f"{here} huge page{'s' if here > 1 else ''} of {whole + len(folios):,}",)
        parts = sum(self.splits(page.slot) for page in first.values())
        if parts:
            found = (
                *found,
                f"{parts} part{'s' if parts > 1 else ''} of huge pages, each an entry once it is split",
            )
        return found


def _reclaims(one: Statement) -> bool:
    """Whether a statement reclaims pages, so that huge ones are split."""
    return one.verb == "reclaim" or (one.verb == "madvise" and one.word == "PAGEOUT")
