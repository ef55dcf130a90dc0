"""Costs as the engine gets them: where each lies in its array (the order of `Costs`' fields); what a step is to it."""

from __future__ import annotations

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
