"""Steps on variables of scenarios and single page-table entries, on registers, and RCU.

A store waits in the CPU's store buffer unless memory is sequentially consistent. Numbers are taken modulo 2^15. An
array of variables is named by its first one; a register can hold the index of an element.
"""

from __future__ import annotations

from shootdown._machine.steps.cells import BY_CPU, ENTRY, ONLINE, STORES, TARGETS, VARIABLE
from shootdown._machine.steps.row import Kind, Operand, Row, Shared, Whose

#: Sums are taken modulo that.
_MODULUS = 1 << 15
_VARIABLE = Operand("variable", Kind.VARIABLE)
_INDEX = Operand(
    "index", Kind.INDEX, "a register with the index of the element, if `variable` is an array", default=0
)
_LABEL = Operand("label", Kind.LABEL)
_FROM_REGISTER = Operand("from_register", Kind.TRUTH, "`value` is a register that holds it", default=0)
_VALUE = Operand("value", Kind.READ_IF, "the value that is written", by="from_register")
_READS = (Shared("variable", Whose.VARIABLE),)
_WRITES = (Shared("variable", Whose.VARIABLE, writes=True),)

VARIABLES = (
    Row(
        name="V_LOAD",
        does="Read a variable: the newest store to it in this CPU's store buffer, else memory.",
        operands=(Operand("register", Kind.WRITTEN), _VARIABLE, _INDEX),
        reads=(STORES, VARIABLE),
        touches=_READS,
        words="read {}",
        tells="value",
    ),
    Row(
        name="V_STORE",
        does="Write a variable.",
        operands=(_VARIABLE, _VALUE, _FROM_REGISTER, _INDEX),
        reads=(STORES,),
        writes=(VARIABLE.perhaps(), STORES.perhaps()),
        touches=_WRITES,
        words="write {}",
    ),
    Row(
        name="V_ADD",
        does="Add to a variable and read the sum, fully ordered, as atomic_add_return() does.",
        operands=(
            _VARIABLE,
            Operand("number", says="what is added", least=-_MODULUS, most=_MODULUS),
            Operand("register", Kind.WRITTEN, "gets the sum"),
            _INDEX,
        ),
        reads=(STORES, VARIABLE),
        writes=(VARIABLE,),
        touches=_WRITES,
        words="add to {}",
    ),
    Row(
        name="V_XCHG",
        does="Write a variable and read its old value, fully ordered, as xchg() does.",
        operands=(_VARIABLE, _VALUE, Operand("register", Kind.WRITTEN, "gets the old value"), _FROM_REGISTER),
        reads=(STORES, VARIABLE),
        writes=(VARIABLE,),
        touches=_WRITES,
        words="exchange {}",
    ),
    Row(
        name="V_CAS",
        does="Write a variable if it holds the expected value; else read it and jump to a label (cmpxchg()).",
        operands=(
            _VARIABLE,
            Operand(
                "expected",
                Kind.CHANGED,
                "a register with the expected value; gets the value found if that differs",
            ),
            Operand("new", Kind.READ, "a register with the new value"),
            _LABEL,
        ),
        reads=(STORES, VARIABLE),
        writes=(VARIABLE.perhaps(),),
        touches=_WRITES,
        words="compare and exchange {}",
        tells="exchanged",
    ),
    Row(
        name="FENCE",
        does="Wait until this CPU's store buffer is empty, as smp_mb() does.",
        reads=(STORES,),
        words="full barrier",
        primitive="alone",
    ),
    Row(
        name="ACCESS",
        does="Access memory in user mode through an entry: by this CPU's TLB copy of it, or by a walk.",
        operands=(
            Operand("register", Kind.WRITTEN, "gets the entry's value, 0 for a fault"),
            Operand("entry", Kind.ENTRY),
            Operand("write", Kind.TRUTH, default=0),
        ),
        reads=(ENTRY, VARIABLE),
        writes=(ENTRY, VARIABLE.perhaps()),
        touches=(*_WRITES, Shared("tlb", Whose.ANY, writes=True)),
        decides=True,
        words="access memory through {}",
        tells="access",
        uses="entry",
    ),
    Row(
        name="CHOICE",
        does="Go on or jump to a label; exploration tries both.",
        operands=(_LABEL,),
        decides=True,
        words="goes one way",
    ),
    Row(
        name="FAIL",
        does="Report a broken invariant.",
        operands=(Operand("invariant", Kind.INVARIANT),),
        local=True,
        ends=True,
    ),
    Row(
        name="JUMP_NO_BITS",
        does="Jump to a label unless a register has one of the bits of a mask.",
        operands=(Operand("register", Kind.READ), Operand("mask"), _LABEL),
        local=True,
    ),
    Row(
        name="COPY",
        does="Copy a register.",
        operands=(Operand("register", Kind.WRITTEN), Operand("source", Kind.READ)),
        local=True,
    ),
    Row(
        name="ADD",
        does="Add to a register.",
        operands=(
            Operand("register", Kind.CHANGED),
            Operand("number", says="what is added", least=-_MODULUS, most=_MODULUS),
        ),
        local=True,
    ),
    Row(
        name="CLEAR_BITS",
        does="Clear the bits of a mask in a register.",
        operands=(Operand("register", Kind.CHANGED), Operand("mask")),
        local=True,
    ),
    Row(
        name="JUMP_SAME",
        does="Jump to a label if two registers are equal.",
        operands=(Operand("register", Kind.READ), Operand("other", Kind.READ), _LABEL),
        local=True,
    ),
    Row(
        name="TARGET_RCU",
        does="Target all online CPUs but this one: each answers a CALL_RCU once it is in a quiescent state.",
        reads=(ONLINE, TARGETS),
        writes=(TARGETS,),
        touches=(Shared("call", Whose.CPU, writes=True),),
    ),
    Row(
        name="OWN_NUMBER",
        does="Read the number of the task's CPU, or of the mm that its kernel work is on.",
        operands=(
            Operand("register", Kind.WRITTEN),
            Operand("what", says="`ops.OF_CPU` or `ops.OF_MM`", most=1),
        ),
        local=True,
    ),
    Row(
        name="TARGET_HOLDING",
        does="Leave out targets whose element of an array with one for each CPU is not what a register holds.",
        operands=(Operand("variable", Kind.VARIABLE), Operand("register", Kind.READ)),
        reads=(STORES, BY_CPU, TARGETS),
        writes=(TARGETS.perhaps(),),
        touches=(Shared("variable", Whose.ANY), Shared("call", Whose.CPU, writes=True)),
        words="keep the targets of which {} and the others is so",
    ),
    Row(
        name="REACHED",
        does="Mark a place as reached by exploration.",
        operands=(Operand("place", Kind.PLACE),),
        local=True,
        aside=True,
    ),
)
