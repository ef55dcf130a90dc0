"""Steps on page-table entries and the tables behind them; the PUD entry is that of the mm and of register SLOT."""

from __future__ import annotations

from shootdown._machine.steps.cells import (
    CLASS,
    FLAGS,
    LEAF,
    PUD,
    SCRATCH,
    SHARED,
    SLOT,
    STALE_LEAF,
    STALE_WALK,
    STATE,
    WALK,
    own,
)
from shootdown._machine.steps.row import Clock, Kind, Operand, Row, Shared, Whose

_CLASS = Operand("table_class", Kind.CLASS)
_READS_PUD = (Shared("pud", Whose.ON),)
_WRITES_PUD = (Shared("pud", Whose.ON, writes=True),)
_SHARES = (Shared("share", Whose.ONE, writes=True),)
_WRITES_TLB = (Shared("tlb", Whose.ON, writes=True),)

PAGE_TABLES = (
    Row(
        name="LOAD_PUD",
        does="Read the PUD entry: the class of the table that it points to, plus one; 0 if none.",
        operands=(Operand("register", Kind.WRITTEN),),
        reads=(SLOT, PUD),
        touches=_READS_PUD,
        words="read the PUD entry",
        tells="link",
    ),
    Row(
        name="CLEAR_PUD",
        does="Clear the PUD entry; what CPUs have cached of it turns stale.",
        reads=(SLOT, LEAF, WALK, STALE_LEAF, STALE_WALK),
        writes=(PUD, STALE_LEAF.perhaps(), STALE_WALK.perhaps()),
        touches=_WRITES_PUD + _WRITES_TLB,
        words="clear the PUD entry",
        clock=Clock.NOTED,
    ),
    Row(
        name="SET_PUD",
        does="Let the PUD entry point to the table of a class.",
        operands=(_CLASS,),
        reads=(SLOT,),
        writes=(PUD,),
        touches=_WRITES_PUD,
        words="write the PUD entry",
        clock=Clock.NOTED,
    ),
    Row(
        name="JUMP_EXCLUSIVE",
        does="Go to a label unless other processes too map the table of register CLASS.",
        operands=(Operand("label", Kind.LABEL),),
        reads=(SLOT, CLASS, SHARED),
        touches=(Shared("share", Whose.ONE),),
        words="is the table exclusive?",
        tells="exclusive",
    ),
    Row(
        name="SHARE",
        does="Let one more process map a table; register SCRATCH gets how many did before.",
        operands=(_CLASS,),
        reads=(SLOT, SHARED),
        writes=(SCRATCH, SHARED),
        touches=_SHARES,
        words="map the table too",
    ),
    Row(
        name="POPULATE",
        does="Share a table and let the PUD entry point to it, or go to a label if the entry is there already.",
        operands=(_CLASS, Operand("label", Kind.LABEL)),
        reads=(SLOT, PUD, SHARED),
        writes=(PUD.perhaps(), SHARED.perhaps(), SCRATCH.perhaps()),
        touches=_WRITES_PUD + _SHARES,
        clock=Clock.NOTED,
    ),
    Row(
        name="UNSHARE",
        does="Let one process fewer map the table of register CLASS, and note it in a gather.",
        operands=(
            Operand("gather", Kind.GATHER),
            Operand("flags", Kind.FLAGS, "that the gather gets"),
            Operand("more_flags", Kind.FLAGS, "that it gets besides if one process is left", default=0),
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
        does="Let the last process stop mapping the table of register CLASS.",
        reads=(SLOT, CLASS, SHARED),
        writes=(SHARED,),
        touches=_SHARES,
        words="stop mapping the table",
    ),
    Row(
        name="TABLE_STATE",
        does="Say what the page of the table of register CLASS is used for from now on, by the mm that this concerns.",
        operands=(Operand("state", says="`ops.TABLE_*`"),),
        reads=(SLOT, CLASS),
        writes=(STATE,),
        touches=(Shared("state", Whose.ONE, writes=True),),
        words="use the table's page",
    ),
    Row(
        name="READ_TABLE",
        does="Read an entry in a table, as a walker does, and so what the table's page is used for.",
        operands=(
            Operand("register", Kind.WRITTEN, "gets the table's state"),
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
