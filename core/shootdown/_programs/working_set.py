"""Which translations a thread of a program uses over and over: of what it touched and has not given up since."""

from __future__ import annotations

from collections.abc import Mapping

from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._programs.areas import Cut
from shootdown._programs.program import Statement
from shootdown._programs.touches import draws
from shootdown._programs.verbs import COMPUTING
from shootdown._tlb.geometry import TlbGeometry
from shootdown._values.platform import Platform

#: Statements after which a thread computes for a while.
_COMPUTES = ("work", *COMPUTING, "khugepaged")
#: Statements after which it does not use again what their place mapped.
_GIVES_UP = ("munmap", "truncate", "punch", "reclaim", "migrate", "mremap", "khugepaged", "vfree")
#: Advice of that kind.
_ADVICE = ("DONTNEED", "PAGEOUT", "COLLAPSE")
#: Statements after which it uses nothing of what it had.
_ENDS = ("exec", "exit")


def reach(platform: Platform, page_size: int) -> int:
    """Return how many translations of a page size one thread of a core may hold: its largest cache of them.

    Threads of a core share its caches.

    Args:
        platform: its TLBs are looked at; without any it is 0.
        page_size: bytes.
    """
    tlb = platform.tlb
    if not isinstance(tlb, TlbGeometry):
        return 0
    held = [cache.entries for cache in (*tlb.l1, *tlb.l2) if page_size in cache.page_sizes]
    return max(held, default=0) // platform.smt


def _gives_up(one: Statement) -> bool:
    return one.verb in _GIVES_UP or (one.verb == "madvise" and one.word in _ADVICE)


class WorkingSet:
    """Write what a thread uses, where it changes (`ops.NOTE_USES`).

    What it goes through piece by piece (`each`) it does not use over and over.

    Args:
        model: the model.
        cuts: the areas of each ordinary memory.
        page_size: bytes of a base page.
    """

    def __init__(self, model: Model, cuts: Mapping[str, Cut], page_size: int) -> None:
        self._asm, self._cuts, self._page_size = model.asm, cuts, page_size
        platform, huge = model.lowering.platform, 1 << model.lowering.geometry.pmd_shift
        self._huge = huge
        self._reach = reach(platform, page_size) * platform.refill, reach(platform, huge) * platform.refill
        self._used: dict[tuple[str, int], tuple[int, int]] = {}
        self._told: tuple[int, bool] | None = 0, False

    def before(self, one: Statement) -> None:
        """Write what is left of it when a statement begins."""
        if one.verb in _ENDS:
            self._used.clear()
        elif one.place and (_gives_up(one) or one.place.piece):
            for part in self._parts(one):
                self._used.pop(part, None)
        self._tell(computes=one.verb in _COMPUTES)

    def after(self, one: Statement) -> None:
        """Write what a statement added."""
        if one.verb == "touch" and one.place and not one.place.piece:
            self._used |= self._parts(one)
            self._tell(computes=False)

    def unknown(self) -> None:
        """Forget what was written: what follows is reached from elsewhere too."""
        if self._used or self._told != (0, False):
            self._told = None

    def _tell(self, *, computes: bool) -> None:
        pages, huge = (sum(part[kind] for part in self._used.values()) for kind in (0, 1))
        uses = min(pages, self._reach[0]) + min(huge, self._reach[1])
        now = (uses, computes and uses > 0)
        if now != self._told and any(self._reach):
            self._asm.note(o.NOTE_USES, uses, 0, now[1], text=f"it uses {uses} translations over and over")
            self._told = now

    def _parts(self, one: Statement) -> dict[tuple[str, int], tuple[int, int]]:
        """Return the parts of a statement's place, each with its base pages and huge pages."""
        assert one.place is not None
        name = one.place.memory
        here = self._cuts.get(name)
        if here is None:  # hugetlb, or the kernel's own
            return {(name, -1): (0, self._huge_pages(one))}
        found = {}
        for area in here.about(one, self._page_size):
            if area.folio >= 0:
                found[name, -2 - area.folio] = (0, 1)
            else:
                found[name, area.number] = (0 if area.huge else area.pages, area.huge)
        return found

    def _huge_pages(self, one: Statement) -> int:
        assert one.place is not None
        pages = -(-(one.place.hi - one.place.lo) // self._huge)
        if one.pattern.how == "every":
            return min(pages, -(-(one.place.hi - one.place.lo) // one.pattern.number))
        if one.pattern.how in ("random", "rand"):
            return len(set(draws(one.pattern, pages)))
        return pages
