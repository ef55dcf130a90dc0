"""What the parts of an address space's ordinary memory have in common: faults, rights, unmapping."""

from __future__ import annotations

from shootdown._mm.anonymous import Anonymous
from shootdown._programs.areas import Area, Cut
from shootdown._programs.mapped import Mapped
from shootdown._programs.reclaiming import Reclaiming
from shootdown._programs.sharing import Sharing


class SpacePart:
    """Write a part of what calls do to the ordinary memory of one address space.

    Args:
        mapped: what is mapped of it.
        calls: the kernel's calls.
        reclaiming: reclaim of its pages, whose flushes other calls do not rely on.
        sharing: which of its pages other processes have too.
    """

    def __init__(self, mapped: Mapped, calls: Anonymous, reclaiming: Reclaiming, sharing: Sharing) -> None:
        self.mapped = mapped
        self.model = mapped.model
        self.asm = mapped.asm
        self.calls = calls
        self.reclaiming = reclaiming
        self.sharing = sharing

    def split(self, here: Cut, part: Area) -> None:
        """Write the split of the huge page that an area is a part of: a page table takes its place."""
        self.mapped.become_small(here, part)
        self.calls.split_thp()
