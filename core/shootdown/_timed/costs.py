"""Costs as the engine gets them: their indices in its array, in the order of `Costs`' fields; and flags of steps."""

from __future__ import annotations

from shootdown._values.platform import COST_NAMES

IPI_SEND = COST_NAMES.index("ipi_send_ns")
IPI_SEND_EACH = COST_NAMES.index("ipi_send_each_ns")
IPI_WRITE = COST_NAMES.index("ipi_write_ns")
IPI_SCAN = COST_NAMES.index("ipi_scan_ns")
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
LINE = COST_NAMES.index("line_ns")
ZONE = COST_NAMES.index("zone_ns")
LRU = COST_NAMES.index("lru_ns")
SMALL_FAULT = COST_NAMES.index("small_fault_ns")
ZAP = COST_NAMES.index("zap_ns")
LOCK_HANDOFF = COST_NAMES.index("lock_handoff_ns")
LOCK_WAKE = COST_NAMES.index("lock_wake_ns")
SWITCH = COST_NAMES.index("switch_ns")
MIGRATE = COST_NAMES.index("migrate_ns")
START = COST_NAMES.index("start_ns")
USER = COST_NAMES.index("user_ns")
FAR_LINE = COST_NAMES.index("far_line_ns")
FAR_IPI = COST_NAMES.index("far_ipi_ns")
REFILL = COST_NAMES.index("refill_ns")
REFILL_LINE = COST_NAMES.index("refill_line_ns")

# How the engine treats a step: flags.
CHARGED = 1  # it takes a time that is known beforehand
USER_MODE = 2  # that time is not the kernel's
VARIES = 4  # that time is ordinary work, to which jitter is added
ASKS_TIME = 8  # the time is written into the state before it
LOCKS = 16  # it takes a lock, behind tasks that wait for it already
ACTS = 32  # it affects clocks, queues or the ledger (`ops.AFTER`)
SPENDS = 64  # and takes a time that is known only then
RELEASES = 128  # it has an effect only if a task waits for the lock that it releases
NOTED = 256  # it changes only the books: the order of CPUs stays as it is
SERVED = 512  # it uses something that serves one CPU after another
EXACT = 1024  # its time is what the program says: no cost decides it
ELSEWHERE = 2048  # that time is neither the program's nor of what is modelled of the kernel

# What serves one CPU after another, by kind; a lock and an mm are as many as there are.
NOTHING, LOCK_LINE, MM_LINE, NODE = 0, 1, 2, 3
#: Pages that move between a zone's free lists and a CPU's own list at a time (mm/page_alloc.c, zone_batchsize()).
ZONE_BATCH = 63
