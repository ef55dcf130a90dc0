"""The timed engine's own data, apart from the machine's state: clocks, queues, counters, the ledger.

All of it is in one flat int64 array, as the state is, because kernels that take one array are four times as fast as
kernels that take eleven. Times are integer picoseconds.
"""

from __future__ import annotations

from typing import NamedTuple

from shootdown._compilation.typed import compiled_type, words_of

#: The counters: machine-wide, for the open window, and for the window's actor.
COUNTERS = (
    "gathers",
    "gathers_vma",
    "flush_requests",
    "flush_whole_mm",
    "unshared_tables",
    "fully_unshared_tables",
    "shared_tables",
    "sync_broadcasts",
    "sync_ipis",
    "redundant_sync_ipis",
    "flush_ipis",
    "transition_ipis",
    "hypercalls",
    "broadcast_invalidations",
    "full_flushes",
    "page_invalidations",
    "completion_waits",
    "stale_entries_left",
    "kernel_warnings",
    "grace_periods",
    "own_handler_runs",
    "lazy_switches",
    "root_loads",
    "lock_waits",
    "context_switches",
    "remote_full_flushes",
    "lazy_ipis",
    "trim_ipis",
    "interrupts_taken",
    "flush_range_calls",
    "flush_page_calls",
    "barrier_ipis",
    "kernel_flushes",
    "preemptions",
    "migrations",
    "far_calls",
    "far_targets",
    "far_lines",
)
GATHERS = COUNTERS.index("gathers")
GATHERS_VMA = COUNTERS.index("gathers_vma")
FLUSH_REQUESTS = COUNTERS.index("flush_requests")
FLUSH_WHOLE_MM = COUNTERS.index("flush_whole_mm")
UNSHARED = COUNTERS.index("unshared_tables")
FULLY_UNSHARED = COUNTERS.index("fully_unshared_tables")
SHARED = COUNTERS.index("shared_tables")
SYNC_BROADCASTS = COUNTERS.index("sync_broadcasts")
SYNC_IPIS = COUNTERS.index("sync_ipis")
REDUNDANT_SYNC_IPIS = COUNTERS.index("redundant_sync_ipis")
FLUSH_IPIS = COUNTERS.index("flush_ipis")
TRANSITION_IPIS = COUNTERS.index("transition_ipis")
HYPERCALLS = COUNTERS.index("hypercalls")
BROADCASTS = COUNTERS.index("broadcast_invalidations")
FULL_FLUSHES = COUNTERS.index("full_flushes")
PAGE_INVALIDATIONS = COUNTERS.index("page_invalidations")
COMPLETIONS = COUNTERS.index("completion_waits")
STALE_LEFT = COUNTERS.index("stale_entries_left")
WARNINGS = COUNTERS.index("kernel_warnings")
GRACE_PERIODS = COUNTERS.index("grace_periods")
OWN_HANDLER_RUNS = COUNTERS.index("own_handler_runs")
LAZY_SWITCHES = COUNTERS.index("lazy_switches")
ROOT_LOADS = COUNTERS.index("root_loads")
LOCK_WAITS = COUNTERS.index("lock_waits")
CONTEXT_SWITCHES = COUNTERS.index("context_switches")
REMOTE_FULL_FLUSHES = COUNTERS.index("remote_full_flushes")
LAZY_IPIS = COUNTERS.index("lazy_ipis")
TRIM_IPIS = COUNTERS.index("trim_ipis")
INTERRUPTS_TAKEN = COUNTERS.index("interrupts_taken")
FLUSH_RANGE_CALLS = COUNTERS.index("flush_range_calls")
FLUSH_PAGE_CALLS = COUNTERS.index("flush_page_calls")
BARRIER_IPIS = COUNTERS.index("barrier_ipis")
KERNEL_FLUSHES = COUNTERS.index("kernel_flushes")
PREEMPTIONS = COUNTERS.index("preemptions")
MIGRATIONS = COUNTERS.index("migrations")
# Of calls that interrupt: those with a target on another socket, and such targets; lines that came from another socket.
FAR_CALLS = COUNTERS.index("far_calls")
FAR_TARGETS = COUNTERS.index("far_targets")
FAR_LINES = COUNTERS.index("far_lines")

#: The fields of an event of the timeline; `about` is a step, or the sender of an interrupt.
LOG_PARTS = ("kind", "begin", "end", "cpu", "about", "targets")
LOG_CELLS = len(LOG_PARTS)
LOG_STEP, LOG_HANDLER, LOG_WAIT = 0, 1, 2  # kinds of event

#: What `audit` records of the first stale entries in the first window; three sets of CPUs follow.
STALE_PARTS = ("times", "step", "mm", "tables")
STALE_CELLS = len(STALE_PARTS)
STALE_TIMES, STALE_STEP, STALE_MM, STALE_TABLES = range(STALE_CELLS)

#: What a window keeps of the thread that opened it: exact work, and what its CPU lost to handlers, to all that others
#: did, to translations that were dropped, and to handlers on the same core.
OWN_PARTS = ("exact", "handlers", "stolen", "refill", "shared")
OWN_EXACT, OWN_HANDLERS, OWN_STOLEN, OWN_REFILL, OWN_SHARED = range(len(OWN_PARTS))


@compiled_type("shootdown._compilation.backend.sizes_type:teach")
class Books(NamedTuple):
    """Sizes and offsets of the timed engine's own array; see the module.

    Args:
        counters, windows, steps, instructions: the number of each in the programs.
        walk_entries, huge_entries: a CPU's walk-cache entries that can point to a PMD table, and its TLB entries that
            can hold a huge page.
        sockets, siblings: sockets, and further CPUs on a CPU's core.
        o_*: the offsets of the parts.
    """

    counters: int
    windows: int
    steps: int
    instructions: int
    walk_entries: int
    huge_entries: int
    sections: int
    sockets: int
    siblings: int
    o_clock: int
    o_owed: int
    o_paid: int
    o_hit: int
    o_handler: int
    o_entered: int
    o_apart: int
    o_apart_at: int
    o_answer: int
    o_collect: int
    o_heap: int
    o_place: int
    o_queue: int
    o_queue_end: int
    o_next: int
    o_ready: int
    o_since: int
    o_since_hit: int
    o_spins: int
    o_parked: int
    o_floats: int
    o_began: int
    o_section_of: int
    o_unshared_of: int
    o_lock: int
    o_lock_end: int
    o_spinning: int
    o_waiting: int
    o_flushes_taken: int
    o_syncs_taken: int
    o_user: int
    o_resume: int
    o_idles: int
    o_trim: int
    o_asked: int
    o_number: int
    o_total: int
    o_all: int
    o_actor: int
    o_instructions: int
    o_window_begin: int
    o_window_end: int
    o_window_system: int
    o_window_lost: int
    o_window_user: int
    o_step_count: int
    o_step_targets: int
    o_step_time: int
    o_step_kept: int
    o_flushes_kept: int
    o_syncs_kept: int
    o_section_flushed: int
    o_section_needed: int
    o_section_slots: int
    o_section_count: int
    o_section_waits: int
    o_taken: int
    o_whole: int
    o_ranged: int
    o_merged: int
    o_free: int
    o_user_of: int
    o_all_busy: int
    o_all_began: int
    o_apart_in: int
    o_socket_size: int
    o_socket_set: int
    o_socket: int
    o_core: int
    o_sibling: int
    o_called: int
    o_shared: int
    o_cluster: int
    o_cluster_size: int
    o_piece_of: int
    o_piece_word: int
    o_piece_set: int
    o_uses: int
    o_computes: int
    o_pending: int
    o_cold: int
    o_refilled: int
    o_exact: int
    o_window_other: int
    o_window_refill: int
    o_window_own: int
    o_events: int
    o_stale: int
    o_misc: int
    size: int

    @property
    def packed(self) -> bytes:
        """The fields as 64-bit words, for compiled kernels."""
        return words_of(self)


#: Cells of the miscellaneous part.
MISC = (
    "heap_size",
    "window",
    "actor",
    "random",
    "elapsed",
    "system",
    "log_size",
    "log_lost",
    "last_cpu",
    "floating",
    "unfinished",
    "user_time",
    "deliveries",
    "pages_per_table",
    "last_began",
    "merging",
    "all_owed",
    "all_hit",
    "lost",
    "all_syncs",
    "all_flushes",
    "apart",
    "reach",
    "cluster",
    "write_words",
    "scan_misses",
    "serial",
    "slowed",
    "cores_full",
    "pieces",
    "clusters",
    "shorthand",
    "refill_time",
    "other_time",
    "refills",
)
HEAP_SIZE = MISC.index("heap_size")
WINDOW = MISC.index("window")
ACTOR = MISC.index("actor")
RANDOM = MISC.index("random")
ELAPSED = MISC.index("elapsed")
SYSTEM = MISC.index("system")
LOG_SIZE = MISC.index("log_size")
LOG_LOST = MISC.index("log_lost")
LAST_CPU = MISC.index("last_cpu")
FLOATING = MISC.index("floating")
UNFINISHED = MISC.index("unfinished")
USER_TIME = MISC.index("user_time")
DELIVERIES = MISC.index("deliveries")
PAGES_PER_TABLE = MISC.index("pages_per_table")
LAST_BEGAN = MISC.index("last_began")
MERGING = MISC.index("merging")
ALL_OWED = MISC.index("all_owed")
ALL_HIT = MISC.index("all_hit")
LOST = MISC.index("lost")
ALL_SYNCS = MISC.index("all_syncs")
ALL_FLUSHES = MISC.index("all_flushes")
APART = MISC.index("apart")
REACH = MISC.index("reach")
CLUSTER = MISC.index("cluster")
WRITE_WORDS = MISC.index("write_words")
SCAN_MISSES = MISC.index("scan_misses")
SERIAL = MISC.index("serial")
SLOWED = MISC.index("slowed")
CORES_FULL = MISC.index("cores_full")
PIECES = MISC.index("pieces")
CLUSTERS = MISC.index("clusters")
SHORTHAND = MISC.index("shorthand")
REFILL_TIME = MISC.index("refill_time")
OTHER_TIME = MISC.index("other_time")
REFILLS = MISC.index("refills")
#: The first things that serve one CPU after another; all locks and then all mms follow.
MACHINE, NODE, LOCKS = 0, 1, 2
