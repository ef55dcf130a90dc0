"""Steps on an mmu_gather: the range, the levels and the flags that it collects."""

from __future__ import annotations

from shootdown._machine.steps.cells import (
    CLEARED,
    FLAGS,
    HI,
    LO,
    PENDING,
    QUEUED,
    RANGE,
    REQUEST_RANGE,
    SCRATCH,
    SLOT,
    TABLES,
)
from shootdown._machine.steps.row import FREE, UNUSED, Kind, Operand, Row, Shared, Whose

_GATHER = Operand("gather", Kind.GATHER)
_FLAGS = Operand("flags", Kind.FLAGS, default=0)
_CLEARED = Operand("cleared", Kind.CLEARED, "levels at which entries were cleared", default=0, above=16)
_LABEL = Operand("label", Kind.LABEL)
_BEGINS = (Shared("pending", Whose.ON, writes=True),)
_ASKS = (Shared("pending", Whose.ON),)
#: Operands for the huge pages that GATHER_PAGES counts: the first base page, their number, the distance between two.
_PART = (
    _GATHER,
    Operand("first", says="the first base page of the first one"),
    Operand("pages", says="the number of huge pages"),
    Operand("apart", says="base pages from the start of one to the start of the next", above=16),
    _FLAGS,
    _CLEARED,
)
_WIDENED = tuple(cell.perhaps() for cell in RANGE)

GATHERS = (
    Row(
        name="GATHER",
        does="Begin a gather and increment tlb_flush_pending, as tlb_gather_mmu() does.",
        operands=(_GATHER, _FLAGS),
        reads=(PENDING,),
        writes=(*RANGE, TABLES, PENDING, QUEUED.if_("gather", 0)),
        touches=_BEGINS,
        tells="flags",
    ),
    Row(
        name="GATHER_ADD",
        does="Add a constant range to a gather.",
        operands=(
            _GATHER,
            Operand("lo", says="the first page of the range"),
            Operand("hi", says="the page after its last"),
            _FLAGS,
            _CLEARED,
        ),
        reads=RANGE,
        writes=RANGE,
        local=True,
        tells="flags",
    ),
    Row(
        name="GATHER_SLOT",
        does="Add a part of the span of the PUD entry of register SLOT to a gather.",
        operands=(
            _GATHER,
            Operand("first", says="the first page of the part, counted from the entry's first"),
            Operand("last", says="the unit after its last, counted likewise"),
            _FLAGS,
            _CLEARED,
        ),
        reads=(SLOT, *RANGE),
        writes=RANGE,
        local=True,
        tells="flags",
    ),
    Row(
        name="GATHER_PAGES",
        does="Queue pages to be freed; register SCRATCH gets 1 if the batches are full now, else 0.",
        operands=(
            _GATHER,
            Operand("pages", says="the number of pages"),
            Operand("limit", says="the number of pages that fit", most=FREE),
        ),
        reads=(QUEUED,),
        writes=(QUEUED, SCRATCH),
        local=True,
    ),
    Row(
        name="GATHER_PART",
        does="Add to a gather the range of those pages that GATHER_PAGES queued until the batches were full.",
        operands=_PART,
        reads=(SLOT, SCRATCH, QUEUED, *RANGE),
        writes=_WIDENED,
        local=True,
    ),
    Row(
        name="GATHER_REST",
        does="Add to a gather the range of those pages that GATHER_PAGES queued after the batches were full.",
        operands=_PART,
        reads=(SLOT, SCRATCH, QUEUED, *RANGE),
        writes=_WIDENED,
        local=True,
    ),
    Row(
        name="GATHER_RESET",
        does="Reset the range, cleared levels and flags of a gather, as __tlb_reset_range() does.",
        operands=(_GATHER,),
        reads=(FLAGS,),
        writes=RANGE,
        local=True,
        tells="flags",
    ),
    Row(
        name="GATHER_TABLES",
        does="Queue tables to be freed; jump to a label unless their batch is full.",
        operands=(
            _GATHER,
            Operand("tables", says="the number of tables"),
            Operand("batch", says="the number of tables in a full batch", most=FREE),
            _LABEL,
        ),
        reads=(TABLES,),
        writes=(TABLES,),
        local=True,
    ),
    Row(
        name="JUMP_FLAGS",
        does="Jump to a label unless a gather has one of some flags.",
        operands=(_GATHER, Operand("flags", Kind.FLAGS), _LABEL),
        reads=(FLAGS,),
        local=True,
    ),
    Row(
        name="JUMP_CLEARED",
        does="Jump to a label unless a gather recorded a cleared entry, at any level, or has one of some flags.",
        operands=(_GATHER, Operand("flags", Kind.FLAGS), _LABEL),
        reads=(FLAGS, CLEARED),
        local=True,
    ),
    Row(
        name="CLEAR_FLAGS",
        does="Clear flags of a gather.",
        operands=(_GATHER, Operand("flags", Kind.FLAGS)),
        reads=(FLAGS,),
        writes=(FLAGS,),
        local=True,
    ),
    Row(
        name="SET_FLAGS",
        does="Set flags of a gather.",
        operands=(_GATHER, Operand("flags", Kind.FLAGS)),
        reads=(FLAGS,),
        writes=(FLAGS,),
        local=True,
        words="how to flush",
        tells="flags",
    ),
    Row(
        name="NESTED",
        does="Make a gather flush everything if another gather of this mm is pending, as tlb_finish_mmu() does.",
        operands=(_GATHER,),
        reads=(PENDING, FLAGS),
        writes=(FLAGS.perhaps(), CLEARED.perhaps()),
        touches=_ASKS,
        tells="pending",
        aside=True,
    ),
    Row(
        name="GATHER_END",
        does="End a gather: decrement tlb_flush_pending.",
        operands=(_GATHER,),
        reads=(PENDING,),
        writes=(PENDING, FLAGS, TABLES),
        touches=_BEGINS,
    ),
    Row(
        name="REQUEST",
        does="Set the range and levels of the request of a flush without a gather.",
        operands=(
            _GATHER,
            _FLAGS,
            _CLEARED,
            Operand("lo", says="the first page of the range", default=0),
            Operand("hi", says="the page after its last", default=0),
        ),
        writes=RANGE,
        local=True,
        tells="flags",
    ),
    Row(
        name="COPY_RANGE",
        does="Copy a gather's range into the request of a flush without a gather.",
        operands=(_GATHER, _FLAGS, _CLEARED),
        reads=(LO, HI),
        writes=REQUEST_RANGE,
        local=True,
        tells="flags",
    ),
    Row(
        name="JUMP_NOT_PENDING",
        does="Jump to a label unless a gather of this mm has begun and not ended (mm_tlb_flush_pending()).",
        operands=(UNUSED, _LABEL),
        reads=(PENDING,),
        touches=_ASKS,
    ),
)
