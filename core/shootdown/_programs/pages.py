"""The pages of an explored program's ordinary memory: each stands for a range that statements treat alike."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from shootdown._programs.areas import Area
from shootdown._programs.program import PRIVATE_FILE, Statement
from shootdown._programs.small import Actor, Small
from shootdown._programs.touches import pages_of


@attrs.frozen
class Page:
    """The page that stands for an area.

    Args:
        memory, area: whose.
        owner: the number of the thread whose own memory it is; -1: every process has it.
        slot: the slot of its page table.
        at: its place in the slot.
        moved: it is where mremap() moves the memory.
    """

    memory: str
    area: Area
    owner: int
    slot: int
    at: int
    moved: bool = False

    def is_at_first(self, moved: Page) -> bool:
        """Whether it is where a page was before mremap() moved it."""
        return not self.moved and (self.memory, self.area, self.owner) == (
            moved.memory,
            moved.area,
            moved.owner,
        )


class Statements:
    """Which statements are about which page.

    Args:
        small: the program.
        page_size: bytes in a base page.
    """

    def __init__(self, small: Small, page_size: int) -> None:
        self.small = small
        self.page_size = page_size

    def is_about(self, one: Statement, page: Page) -> bool:
        """Whether a statement is about a page."""
        if one.place is None or one.place.memory != page.memory:
            return False
        lo, hi = pages_of(one.place, self.page_size)
        return lo <= page.area.lo and page.area.hi <= hi

    def actors(self, mm: int) -> Iterator[tuple[int, Actor]]:
        """Yield the threads of an address space and of those that are copies of it or it is one of, with numbers."""
        kin = self.small.kin(mm)
        return ((number, actor) for number, actor in enumerate(self.small.actors) if actor.mm in kin)

    def of(self, mm: int, *verbs: str) -> Iterator[Statement]:
        """Yield the statements with one of some verbs of these threads; accesses at the beginning are left out."""
        return (one for _, actor in self.actors(mm) for one in actor.body if one.verb in verbs)

    def copies_what_was_read(self, page: Page, mm: int) -> bool:
        """Whether a read may map what a write copies then: the zero page, or that of a file mapped privately."""
        if self.small.program.memory[page.memory].kind not in ("anonymous", PRIVATE_FILE) or page.moved:
            return False
        accesses = [
            one
            for _, actor in self.actors(mm)
            for one in (*actor.before, *actor.body)
            if self.is_about(one, page)
        ]
        reads = any(
            (one.verb == "touch" and one.word == "read") or one.word == "ZEROPAGE" for one in accesses
        )
        return reads and self.about(page, mm, "touch", word="write")

    def about(self, page: Page, mm: int, *verbs: str, word: str = "") -> bool:
        """Whether one of these statements is about a page, and has a word if one is given."""
        return any(self.is_about(one, page) and (not word or one.word == word) for one in self.of(mm, *verbs))
