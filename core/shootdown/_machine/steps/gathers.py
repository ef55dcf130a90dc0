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
from shootdown._machine.steps.row import UNUSED, Kind, Operand, Row, Shared, Whose

_GATHER = Operand("gather", Kind.GATHER)
_FLAGS = Operand("flags", Kind.FLAGS, default=0)
_CLEARED = Operand("cleared", Kind.CLEARED, "levels at which entries were cleared", default=0, above=16)
_LABEL = Operand("label", Kind.LABEL)
_BEGINS = (Shared("pending", Whose.ON, writes=True),)
_ASKS = (Shared("pending", Whose.ON),)
#: A part of the pages that GATHER_PAGES counts: the first unit of them, how many, and how far apart.
_PART = (
    _GATHER,
    Operand("first", says="the first unit of the first page"),
    Operand("pages", says="how many there are"),
    Operand("apart", says="units from one page to the next", above=16),
    _FLAGS,
    _CLEARED,
)
_WIDENED = tuple(cell.perhaps() for cell in RANGE)

GATHERS = (
    Row(
        name="GATHER",
        does="Begin a gather, as tlb_gather_mmu() does: one more is pending.",
        operands=(_GATHER, _FLAGS),
        reads=(PENDING,),
        writes=(*RANGE, TABLES, PENDING, QUEUED.if_("gather", 0)),
        touches=_BEGINS,
        tells="flags",
    ),
    Row(
        name="GATHER_ADD",
        does="Add a range that is known beforehand to a gather.",
        operands=(
            _GATHER,
            Operand("lo", says="its first unit"),
            Operand("hi", says="where it ends"),
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
        does="Add a part of what the PUD entry of register SLOT spans to a gather.",
        operands=(
            _GATHER,
            Operand("first", says="its first unit, counted from where the entry's begin"),
            Operand("last", says="where it ends, counted from there"),
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
        does="Queue pages to be freed; register SCRATCH gets 1 if as many as fit are queued, else 0.",
        operands=(_GATHER, Operand("pages", says="how many"), Operand("limit", says="how many fit")),
        reads=(QUEUED,),
        writes=(QUEUED, SCRATCH),
        local=True,
    ),
    Row(
        name="GATHER_PART",
        does="Add the pages that GATHER_PAGES queued until no more fitted to a gather.",
        operands=_PART,
        reads=(SLOT, SCRATCH, QUEUED, *RANGE),
        writes=_WIDENED,
        local=True,
    ),
    Row(
        name="GATHER_REST",
        does="Add the pages that GATHER_PAGES queued after it was full to a gather.",
        operands=_PART,
        reads=(SLOT, SCRATCH, QUEUED, *RANGE),
        writes=_WIDENED,
        local=True,
    ),
    Row(
        name="GATHER_RESET",
        does="Forget what a gather has collected, as __tlb_reset_range() does.",
        operands=(_GATHER,),
        reads=(FLAGS,),
        writes=RANGE,
        local=True,
        tells="flags",
    ),
    Row(
        name="GATHER_TABLES",
        does="Queue tables to be freed; go to a label unless their batch is full.",
        operands=(
            _GATHER,
            Operand("tables", says="how many"),
            Operand("batch", says="how many a batch holds"),
            _LABEL,
        ),
        reads=(TABLES,),
        writes=(TABLES,),
        local=True,
    ),
    Row(
        name="JUMP_FLAGS",
        does="Go to a label unless a gather has one of some flags.",
        operands=(_GATHER, Operand("flags", Kind.FLAGS), _LABEL),
        reads=(FLAGS,),
        local=True,
    ),
    Row(
        name="JUMP_CLEARED",
        does="Go to a label unless a gather recorded a cleared entry, at any level, or has one of some flags.",
        operands=(_GATHER, Operand("flags", Kind.FLAGS), _LABEL),
        reads=(FLAGS, CLEARED),
        local=True,
    ),
    Row(
        name="CLEAR_FLAGS",
        does="Take flags from a gather.",
        operands=(_GATHER, Operand("flags", Kind.FLAGS)),
        reads=(FLAGS,),
        writes=(FLAGS,),
        local=True,
    ),
    Row(
        name="SET_FLAGS",
        does="Give flags to a gather.",
        operands=(_GATHER, Operand("flags", Kind.FLAGS)),
        reads=(FLAGS,),
        writes=(FLAGS,),
        local=True,
        words="how to flush",
        tells="flags",
    ),
    Row(
        name="NESTED",
        does="Let a gather flush everything if another of this mm is pending, as tlb_finish_mmu() does.",
        operands=(_GATHER,),
        reads=(PENDING, FLAGS),
        writes=(FLAGS.perhaps(), CLEARED.perhaps()),
        touches=_ASKS,
        tells="pending",
        aside=True,
    ),
    Row(
        name="GATHER_END",
        does="End a gather: one fewer is pending.",
        operands=(_GATHER,),
        reads=(PENDING,),
        writes=(PENDING, FLAGS, TABLES),
        touches=_BEGINS,
    ),
    Row(
        name="REQUEST",
        does="Say what a flush that needs no gather concerns.",
        operands=(
            _GATHER,
            _FLAGS,
            _CLEARED,
            Operand("lo", says="its first unit", default=0),
            Operand("hi", says="where it ends", default=0),
        ),
        writes=RANGE,
        local=True,
        tells="flags",
    ),
    Row(
        name="COPY_RANGE",
        does="Let the request of a flush that needs no gather have the range of a gather.",
        operands=(_GATHER, _FLAGS, _CLEARED),
        reads=(LO, HI),
        writes=REQUEST_RANGE,
        local=True,
        tells="flags",
    ),
    Row(
        name="JUMP_NOT_PENDING",
        does="Go to a label unless a gather of this mm has begun and not ended (mm_tlb_flush_pending()).",
        operands=(UNUSED, _LABEL),
        reads=(PENDING,),
        touches=_ASKS,
    ),
)
