"""Costs as the engine gets them: where each lies in its array (the order of `Costs`' fields), and by step."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shootdown._machine import ops as o
from shootdown._values.platform import COST_NAMES

IPI_SEND = COST_NAMES.index("ipi_send_ns")
IPI_SEND_EACH = COST_NAMES.index("ipi_send_each_ns")
IPI_LATENCY = COST_NAMES.index("ipi_latency_ns")
IPI_HANDLER = COST_NAMES.index("ipi_handler_ns")
IPI_ANSWER_EACH = COST_NAMES.index("ipi_answer_each_ns")
PREEMPTED_FOR = COST_NAMES.index("preempted_ns")
FULL_FLUSH = COST_NAMES.index("full_flush_ns")
PAGE_FLUSH = COST_NAMES.index("page_flush_ns")
BROADCAST = COST_NAMES.index("broadcast_ns")
COMPLETION = COST_NAMES.index("completion_ns")
COMPLETION_EACH = COST_NAMES.index("completion_each_ns")
HYPERCALL = COST_NAMES.index("hypercall_ns")
HYPERCALL_EACH = COST_NAMES.index("hypercall_each_ns")
LOCK_HANDOFF = COST_NAMES.index("lock_handoff_ns")
LOCK_WAKE = COST_NAMES.index("lock_wake_ns")
SWITCH = COST_NAMES.index("switch_ns")
MIGRATE = COST_NAMES.index("migrate_ns")
START = COST_NAMES.index("start_ns")
USER = COST_NAMES.index("user_ns")

# What a step is to the engine.
CHARGED = 1  # it takes time that is known beforehand
USER_MODE = 2  # which is not the kernel's
VARIES = 4  # ordinary work, whose time varies a little
ASKS_TIME = 8  # the state must be told what time it is first
LOCKS = 16  # it takes a lock, behind those that wait for it already
ACTS = 32  # it means something to clocks, queues or the ledger (`ops.AFTER`)
SPENDS = 64  # and takes time that only then is known
RELEASES = 128  # it acts only if somebody waits for the lock that it releases
NOTED = 256  # it acts on the books alone: whose turn it is stays as it is

_NOTED = (o.NOTE, o.CLEAR_PUD, o.UNSHARE, o.POPULATE, o.SET_PUD, o.FLUSH_BEGIN, o.MARK)


def charges(
    steps: npt.NDArray[np.int64], cost_of: npt.NDArray[np.int64], costs: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Say for each step how many picoseconds it takes and what it is to the engine; shape (steps * 2,).

    Args:
        steps: operations and operands, shape (steps * 5,).
        cost_of: which cost each step has, -1 for none.
        costs: picoseconds, in the order of `COST_NAMES`.
    """
    table = steps.reshape(-1, 5)
    op = table[:, 0]
    charged = cost_of >= 0
    time = np.where(charged, costs[cost_of], 0)
    time = np.where(op == o.WORK, time * table[:, 2], time)
    what = CHARGED * charged + USER_MODE * np.isin(cost_of, (USER, START)) + VARIES * (op == o.WORK)
    what += ASKS_TIME * np.isin(op, (o.TARGET_LOADED, o.CONSIDER_GLOBAL, o.JUMP_NOT_DUE))
    what += LOCKS * np.isin(op, (o.LOCK_READ, o.LOCK_WRITE)) + ACTS * ((op >= o.AFTER) & ~np.isin(op, _NOTED))
    what += NOTED * np.isin(op, _NOTED)
    what += RELEASES * np.isin(op, (o.UNLOCK_READ, o.UNLOCK_WRITE))
    what += SPENDS * np.isin(op, (o.SEND, o.FLUSH_SELF, o.FLUSH_LOCAL_PAGES, o.EXECUTE))
    return np.column_stack((time, what)).astype(np.int64).ravel()
