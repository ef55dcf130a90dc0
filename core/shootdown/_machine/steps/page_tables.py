"""Steps on page-table entries and the tables behind them; the PUD entry is that of the mm and of register SLOT."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.steps.cells import (
    CLASS,
    FLAGS,
    LEAF,
    LINKS,
    PUD,
    SCRATCH,
    SHARED,
    SLOT,
    STALE_LEAF,
    STALE_WALK,
    STATE,
    STORES,
    WALK,
    own,
)
from shootdown._machine.steps.row import Clock, Kind, Operand, Row, Shared, Whose

_CLASS = Operand("table_class", Kind.CLASS)
_FROM_REGISTER = Operand("from_register", Kind.TRUTH, "`value` is a register that holds it", default=0)
_VALUE = Operand("value", Kind.READ_IF, "the value that is written", by="from_register")
_READS_PUD = (Shared("pud", Whose.ON),)
_WRITES_PUD = (Shared("pud", Whose.ON, writes=True),)
_SHARES = (Shared("share", Whose.ONE, writes=True),)
_WRITES_TLB = (Shared("tlb", Whose.ON, writes=True),)

PAGE_TABLES = (
    Row(
        name="LOAD_PUD",
        does="Read the PUD entry: the class of the table that it points to, plus one; 0 for none.",
        operands=(Operand("register", Kind.WRITTEN),),
        reads=(SLOT, PUD, STORES),
        touches=_READS_PUD,
        words="read the PUD entry",
        tells="link",
    ),
    Row(
        name="CLEAR_PUD",
        does="Clear the PUD entry; entries that CPUs have cached through it become stale.",
        reads=(SLOT, LEAF, WALK, STALE_LEAF, STALE_WALK, STORES),
        writes=(PUD.perhaps(), STORES.perhaps(), STALE_LEAF.perhaps(), STALE_WALK.perhaps()),
        touches=_WRITES_PUD + _WRITES_TLB,
        words="clear the PUD entry",
        clock=Clock.NOTED,
    ),
    Row(
        name="SET_PUD",
        does="Set the PUD entry to the table of a class.",
        operands=(_CLASS,),
        reads=(SLOT, STORES),
        writes=(PUD.perhaps(), STORES.perhaps()),
        touches=_WRITES_PUD,
        words="write the PUD entry",
        clock=Clock.NOTED,
    ),
    Row(
        name="STORE_PUD",
        does="Write the link: a table's class plus one, or with `ops.ENTRY_HUGE` the entry of a huge page.",
        operands=(
            _VALUE,
            _FROM_REGISTER,
            Operand("huge", Kind.TRUTH, "`ops.ENTRY_HUGE` is set in what is written", default=0),
        ),
        reads=(SLOT, LEAF, WALK, STALE_LEAF, STALE_WALK, STORES),
        writes=(PUD.perhaps(), STORES.perhaps(), STALE_LEAF.perhaps(), STALE_WALK.perhaps()),
        touches=_WRITES_PUD + _WRITES_TLB,
        words="write the entry",
    ),
    Row(
        name="XCHG_PUD",
        does="Write the link as STORE_PUD does and read its old value, fully ordered, as xchg() does.",
        operands=(_VALUE, Operand("register", Kind.WRITTEN, "gets the old value"), _FROM_REGISTER),
        reads=(SLOT, LEAF, WALK, STALE_LEAF, STALE_WALK, STORES, PUD),
        writes=(PUD.perhaps(), STALE_LEAF.perhaps(), STALE_WALK.perhaps()),
        touches=_WRITES_PUD + _WRITES_TLB,
        words="exchange the entry",
    ),
    Row(
        name="JUMP_EXCLUSIVE",
        does="Jump to a label unless other processes map the table of register CLASS too.",
        operands=(Operand("label", Kind.LABEL),),
        reads=(SLOT, CLASS, SHARED),
        touches=(Shared("share", Whose.ONE),),
        words="is the table exclusive?",
        tells="exclusive",
    ),
    Row(
        name="SHARE",
        does="Increment the share count of a table; register SCRATCH gets the count before.",
        operands=(_CLASS,),
        reads=(SLOT, SHARED),
        writes=(SCRATCH, SHARED),
        touches=_SHARES,
        words="map the table too",
    ),
    Row(
        name="POPULATE",
        does="Share a table and set the PUD entry to it, or jump to a label if the entry is present already.",
        operands=(_CLASS, Operand("label", Kind.LABEL)),
        reads=(SLOT, PUD, SHARED, STORES),
        writes=(PUD.perhaps(), STORES.perhaps(), SHARED.perhaps(), SCRATCH.perhaps()),
        touches=_WRITES_PUD + _SHARES,
        clock=Clock.NOTED,
    ),
    Row(
        name="UNSHARE",
        does="Decrement the share count of the table of register CLASS, and set flags of a gather.",
        operands=(
            Operand("gather", Kind.GATHER),
            Operand("flags", Kind.FLAGS, "flags that are set in the gather"),
            Operand("more_flags", Kind.FLAGS, "flags that are also set if one process is left", default=0),
        ),
        reads=(SLOT, CLASS, SHARED, FLAGS),
        writes=(SHARED, FLAGS),
        touches=_SHARES,
        words="stop sharing the table",
        tells="flags",
        clock=Clock.NOTED,
        counts=("unshared_tables", "fully_unshared_tables"),
    ),
    Row(
        name="DROP",
        does="Decrement the share count of the table of register CLASS, for its last process.",
        reads=(SLOT, CLASS, SHARED),
        writes=(SHARED,),
        touches=_SHARES,
        words="stop mapping the table",
    ),
    Row(
        name="TABLE_STATE",
        does="Set the use of the page of register CLASS's table, by the mm that the task's kernel work is on.",
        operands=(Operand("state", says="`ops.TABLE_*`", most=o.TABLE_FREED),),
        reads=(SLOT, CLASS, LINKS),
        writes=(STATE, LINKS.perhaps()),
        touches=(Shared("state", Whose.ONE, writes=True), Shared("tlb", Whose.ANY, writes=True)),
        words="use the table's page",
    ),
    Row(
        name="READ_TABLE",
        does="Read an entry in a table, as a walker does; the result is the use of the table's page.",
        operands=(
            Operand("register", Kind.WRITTEN, "gets the table's state (`ops.TABLE_*`)"),
            Operand("table", Kind.READ, "a register that holds the table's class, plus one"),
        ),
        reads=(SLOT, STATE),
        touches=(Shared("state", Whose.ONE),),
        words="read an entry in the table",
        tells="table",
    ),
    Row(
        name="TOUCH",
        does="Use a translation of the mm: this CPU's TLB and walk caches may hold it from now on.",
        reads=(LEAF, WALK),
        writes=own(LEAF.perhaps(), WALK.perhaps()),
        touches=_WRITES_TLB,
        words="access",
        uses="table",
    ),
)
