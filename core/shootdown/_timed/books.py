"""What the timed engine keeps beside the machine's state: clocks, queues, counters, the ledger.

All of it lies in one flat int64 array, as the state does, because kernels that take one array are four times as
fast as kernels that take eleven. Times are integer picoseconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: What is counted, machine-wide, and once more for the actor of an open window.
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
)
(
    GATHERS,
    GATHERS_VMA,
    FLUSH_REQUESTS,
    FLUSH_WHOLE_MM,
    UNSHARED,
    FULLY_UNSHARED,
    SHARED,
    SYNC_BROADCASTS,
    SYNC_IPIS,
    REDUNDANT_SYNC_IPIS,
    FLUSH_IPIS,
    TRANSITION_IPIS,
    HYPERCALLS,
    BROADCASTS,
    FULL_FLUSHES,
    PAGE_INVALIDATIONS,
    COMPLETIONS,
    STALE_LEFT,
    WARNINGS,
    GRACE_PERIODS,
    OWN_HANDLER_RUNS,
    LAZY_SWITCHES,
    ROOT_LOADS,
    LOCK_WAITS,
    CONTEXT_SWITCHES,
    REMOTE_FULL_FLUSHES,
    LAZY_IPIS,
    TRIM_IPIS,
) = range(28)

LOG_CELLS = 6  # kind, begin, end, CPU, step (or sender), targets
LOG_STEP, LOG_HANDLER, LOG_WAIT = range(3)


#: What `audit` writes down of the first stale entries in the first window; three sets of CPUs follow.
STALE_CELLS = 4
STALE_TIMES, STALE_STEP, STALE_MM, STALE_TABLES = range(STALE_CELLS)


class Books(NamedTuple):
    """Sizes and offsets of the timed engine's own array; see the module.

    Args:
        counters, windows, steps, instructions: how many there are in the programs.
        walk_entries, huge_entries: how many entries of one CPU can point into, or come from, PMD tables.
        o_*: where the parts begin.
    """

    counters: int
    windows: int
    steps: int
    instructions: int
    walk_entries: int
    huge_entries: int
    sections: int
    o_clock: int
    o_owed: int
    o_paid: int
    o_handler: int
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
    o_parked: int
    o_section_of: int
    o_unshared_of: int
    o_lock: int
    o_lock_end: int
    o_lock_at: int
    o_waiting: int
    o_flushes_taken: int
    o_syncs_taken: int
    o_user: int
    o_resume: int
    o_idles: int
    o_trim: int
    o_asked: int
    o_total: int
    o_all: int
    o_actor: int
    o_instructions: int
    o_window_begin: int
    o_window_end: int
    o_window_system: int
    o_step_count: int
    o_step_targets: int
    o_step_time: int
    o_step_kept: int
    o_section_flushed: int
    o_section_needed: int
    o_section_slots: int
    o_section_count: int
    o_section_waits: int
    o_taken: int
    o_whole: int
    o_ranged: int
    o_events: int
    o_stale: int
    o_misc: int
    size: int


# Cells of the miscellaneous part.
(
    HEAP_SIZE,
    WINDOW,
    ACTOR,
    RANDOM,
    ELAPSED,
    SYSTEM,
    SPIN_ONE,
    SPIN_ALL,
    LOG_SIZE,
    LOG_LOST,
    LAST_CPU,
    UNFINISHED,
    USER_TIME,
    DELIVERIES,
    PAGES_PER_TABLE,
    CHANNEL,
    ALL_BUSY,
    ALL_OWED,
    ALL_SYNCS,
    ALL_FLUSHES,
    APART,
) = range(21)


def make_books(
    *,
    cpus: int,
    words: int,
    tasks: int,
    mms: int,
    locks: int,
    events: int,
    slots: int,
    sections: int,
    steps: int,
    instructions: int,
    windows: int,
    walk_entries: int,
    huge_entries: int,
    pending_events: int,
) -> Books:
    """Lay out the timed engine's array for a machine of the given sizes."""
    count = len(COUNTERS)
    offset = 0
    starts = {}
    for name, cells in (
        ("o_clock", cpus),
        ("o_owed", cpus),
        ("o_paid", cpus),
        ("o_handler", cpus),
        ("o_apart", cpus + 1),
        ("o_apart_at", cpus),
        ("o_answer", cpus),
        ("o_collect", cpus),
        ("o_heap", cpus + 1),
        ("o_place", cpus),
        ("o_queue", cpus),
        ("o_queue_end", cpus),
        ("o_next", tasks),
        ("o_ready", tasks),
        ("o_since", tasks),
        ("o_parked", tasks),
        ("o_section_of", tasks),
        ("o_unshared_of", tasks),
        ("o_lock", locks),
        ("o_lock_end", locks),
        ("o_lock_at", locks),
        ("o_waiting", events),
        ("o_flushes_taken", cpus),
        ("o_syncs_taken", cpus),
        ("o_user", words),
        ("o_resume", cpus),
        ("o_idles", cpus),
        ("o_trim", mms),
        ("o_asked", cpus),
        ("o_total", count),
        ("o_all", windows * count),
        ("o_actor", windows * count),
        ("o_instructions", (windows + 1) * instructions),
        ("o_window_begin", windows),
        ("o_window_end", windows),
        ("o_window_system", windows),
        ("o_step_count", steps),
        ("o_step_targets", steps),
        ("o_step_time", steps),
        ("o_step_kept", 3 * steps if windows else 0),
        ("o_section_flushed", sections * words),
        ("o_section_needed", sections * cpus),
        ("o_section_slots", sections * slots),
        ("o_section_count", sections),
        ("o_section_waits", sections),
        ("o_taken", words),
        ("o_whole", words),
        ("o_ranged", words),
        ("o_events", pending_events),
        ("o_stale", STALE_CELLS + 3 * words),
        ("o_misc", 24),
    ):
        starts[name] = offset
        offset += cells
    return Books(
        counters=count,
        windows=windows,
        steps=steps,
        instructions=instructions,
        walk_entries=walk_entries,
        huge_entries=huge_entries,
        sections=sections,
        size=offset,
        **starts,
    )


def blank(books: Books, *, seed: int) -> npt.NDArray[np.int64]:
    """Open the books: all clocks at zero, no window, all queues empty."""
    array = np.zeros(books.size, np.int64)
    for start, end in (
        (books.o_apart_at, books.o_answer),
        (books.o_place, books.o_queue),
        (books.o_queue, books.o_next),
        (books.o_next, books.o_ready),
        (books.o_lock, books.o_lock_at),
        (books.o_waiting, books.o_flushes_taken),
    ):
        array[start:end] = -1
    array[books.o_section_of : books.o_unshared_of] = books.sections - 1
    array[books.o_misc + WINDOW] = -1
    array[books.o_misc + RANDOM] = (seed * 2654435761 + 88172645463325252) & 0x7FFFFFFFFFFFFFFF or 1
    return array
