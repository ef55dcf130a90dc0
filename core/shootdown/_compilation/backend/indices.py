"""Take the indices of arrays in kernels as they are: none counts from the end.

numba lets a negative index count from the end, as Python does, and looks at the sign of each. Kernels have no such
index, and an engine reads and writes arrays in every second instruction: the looking was a fifth of its time.
"""

# numba has type hints only in part.
# mypy: disable-error-code="no-untyped-call,misc,attr-defined"

from __future__ import annotations

from typing import Any

from numba.core import ir, types
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.typing.templates import Signature


@register_pass(mutates_CFG=False, analysis_only=False)
class CountFromTheStart(FunctionPass):
    """Give each index of an array the type that numba does not look at the sign of."""

    _name = "shootdown_count_from_the_start"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Change the types of a function's reads and writes; returns whether any was changed."""
        changed = False
        for block in state.func_ir.blocks.values():
            for statement in block.body:
                access = _access(statement)
                signature = None if access is None else state.calltypes[access]
                if signature is not None and _is_signed(signature.args):
                    del state.calltypes[access]  # numba refuses to write one over
                    state.calltypes[access] = _unsigned(signature)
                    changed = True
        return changed


def _access(statement: Any) -> Any:
    """Return what reads or writes an array at a variable index, or None."""
    if isinstance(statement, ir.SetItem):
        return statement
    if isinstance(statement, ir.Assign):
        value = statement.value
        if isinstance(value, ir.Expr) and value.op == "getitem":
            return value
    return None


def _is_signed(args: Any) -> bool:
    array, index = args[:2]
    return isinstance(array, types.Array) and isinstance(index, types.Integer) and bool(index.signed)


def _unsigned(signature: Signature) -> Signature:
    array, _, *value = signature.args
    return Signature(signature.return_type, (array, types.uintp, *value), signature.recvr, signature.pysig)
