"""A method for each step of `steps/gathers.py`, as programs write it. Written by `write_builders.py`."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.arguments import above
from shootdown._machine.label import Label
from shootdown._machine.writer import Writer


class GathersSteps(Writer):
    """The steps of this family, one method each.

    All take `cost`, the name of the platform's cost (`COST_NAMES`), and `text`, a short description for stories.
    """

    def gather(self, gather: int, flags: int = 0, *, cost: str | None = None, text: str = "") -> None:
        """Begin a gather and increment tlb_flush_pending, as tlb_gather_mmu() does.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
        """
        self._write(o.GATHER, gather, flags, cost=cost, text=text)

    def gather_add(
        self,
        gather: int,
        lo: int,
        hi: int,
        flags: int = 0,
        cleared: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Add a constant range to a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            lo: the first page of the range.
            hi: the page after its last.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
        """
        self._write(
            o.GATHER_ADD,
            gather,
            lo,
            hi,
            above(flags, cleared, 16, ("flags", "cleared")),
            cost=cost,
            text=text,
        )

    def gather_slot(
        self,
        gather: int,
        first: int,
        last: int,
        flags: int = 0,
        cleared: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Add a part of the span of the PUD entry of register SLOT to a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            first: the first page of the part, counted from the entry's first.
            last: the unit after its last, counted likewise.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
        """
        self._write(
            o.GATHER_SLOT,
            gather,
            first,
            last,
            above(flags, cleared, 16, ("flags", "cleared")),
            cost=cost,
            text=text,
        )

    def gather_pages(
        self, gather: int, pages: int, limit: int, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Queue pages to be freed; register SCRATCH gets 1 if the batches are full now, else 0.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            pages: the number of pages.
            limit: the number of pages that fit.
        """
        self._write(o.GATHER_PAGES, gather, pages, limit, cost=cost, text=text)

    def gather_part(
        self,
        gather: int,
        first: int,
        pages: int,
        apart: int,
        flags: int = 0,
        cleared: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Add to a gather the range of those pages that GATHER_PAGES queued until the batches were full.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            first: the first base page of the first one.
            pages: the number of huge pages.
            apart: base pages from the start of one to the start of the next.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
        """
        self._write(
            o.GATHER_PART,
            gather,
            first,
            above(pages, apart, 16, ("pages", "apart")),
            above(flags, cleared, 16, ("flags", "cleared")),
            cost=cost,
            text=text,
        )

    def gather_rest(
        self,
        gather: int,
        first: int,
        pages: int,
        apart: int,
        flags: int = 0,
        cleared: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Add to a gather the range of those pages that GATHER_PAGES queued after the batches were full.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            first: the first base page of the first one.
            pages: the number of huge pages.
            apart: base pages from the start of one to the start of the next.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
        """
        self._write(
            o.GATHER_REST,
            gather,
            first,
            above(pages, apart, 16, ("pages", "apart")),
            above(flags, cleared, 16, ("flags", "cleared")),
            cost=cost,
            text=text,
        )

    def gather_reset(self, gather: int, *, cost: str | None = None, text: str = "") -> None:
        """Reset the range, cleared levels and flags of a gather, as __tlb_reset_range() does.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
        """
        self._write(o.GATHER_RESET, gather, cost=cost, text=text)

    def gather_tables(
        self, gather: int, tables: int, batch: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Queue tables to be freed; jump to a label unless their batch is full.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            tables: the number of tables.
            batch: the number of tables in a full batch.
            label: a place in the program.
        """
        self._write(o.GATHER_TABLES, gather, tables, batch, label, cost=cost, text=text)

    def jump_flags(
        self, gather: int, flags: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label unless a gather has one of some flags.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
            label: a place in the program.
        """
        self._write(o.JUMP_FLAGS, gather, flags, label, cost=cost, text=text)

    def jump_cleared(
        self, gather: int, flags: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label unless a gather recorded a cleared entry, at any level, or has one of some flags.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
            label: a place in the program.
        """
        self._write(o.JUMP_CLEARED, gather, flags, label, cost=cost, text=text)

    def clear_flags(self, gather: int, flags: int, *, cost: str | None = None, text: str = "") -> None:
        """Clear flags of a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
        """
        self._write(o.CLEAR_FLAGS, gather, flags, cost=cost, text=text)

    def set_flags(self, gather: int, flags: int, *, cost: str | None = None, text: str = "") -> None:
        """Set flags of a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
        """
        self._write(o.SET_FLAGS, gather, flags, cost=cost, text=text)

    def nested(self, gather: int, *, cost: str | None = None, text: str = "") -> None:
        """Make a gather flush everything if another gather of this mm is pending, as tlb_finish_mmu() does.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
        """
        self._write(o.NESTED, gather, cost=cost, text=text)

    def gather_end(self, gather: int, *, cost: str | None = None, text: str = "") -> None:
        """End a gather: decrement tlb_flush_pending.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
        """
        self._write(o.GATHER_END, gather, cost=cost, text=text)

    def request(
        self,
        gather: int,
        flags: int = 0,
        cleared: int = 0,
        lo: int = 0,
        hi: int = 0,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Set the range and levels of the request of a flush without a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
            lo: the first page of the range.
            hi: the page after its last.
        """
        self._write(
            o.REQUEST, gather, above(flags, cleared, 16, ("flags", "cleared")), lo, hi, cost=cost, text=text
        )

    def copy_range(
        self, gather: int, flags: int = 0, cleared: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Copy a gather's range into the request of a flush without a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags of a gather.
            cleared: levels at which entries were cleared.
        """
        self._write(
            o.COPY_RANGE, gather, above(flags, cleared, 16, ("flags", "cleared")), cost=cost, text=text
        )

    def jump_not_pending(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless a gather of this mm has begun and not ended (mm_tlb_flush_pending()).

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_NOT_PENDING, 0, label, cost=cost, text=text)
