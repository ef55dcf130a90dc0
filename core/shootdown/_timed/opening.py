"""Lay out and open the books of the timed engine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shootdown._timed.books import COUNTERS, MISC, OWN_PARTS, RANDOM, STALE_CELLS, WINDOW, Books

#: Before any time.
NEVER = -(1 << 60)


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
    sockets: int = 1,
    siblings: int = 0,
) -> Books:
    """Lay out the timed engine's array for a machine of the given sizes."""
    count = len(COUNTERS)
    offset = 0
    starts = {}
    for name, cells in (
        ("o_clock", cpus),
        ("o_owed", cpus),
        ("o_paid", cpus),
        ("o_hit", cpus),
        ("o_handler", cpus),
        ("o_entered", cpus),
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
        ("o_since_hit", tasks),
        ("o_spins", tasks),
        ("o_parked", tasks),
        ("o_floats", tasks),
        ("o_began", cpus),
        ("o_section_of", tasks),
        ("o_unshared_of", tasks),
        ("o_lock", locks),
        ("o_lock_end", locks),
        ("o_spinning", locks),
        ("o_waiting", events),
        ("o_flushes_taken", cpus),
        ("o_syncs_taken", cpus),
        ("o_user", words),
        ("o_resume", cpus),
        ("o_idles", cpus),
        ("o_trim", mms),
        ("o_asked", cpus),
        ("o_number", cpus),
        ("o_total", count),
        ("o_all", windows * count),
        ("o_actor", windows * count),
        ("o_instructions", (windows + 1) * instructions),
        ("o_window_begin", windows),
        ("o_window_end", windows),
        ("o_window_system", windows),
        ("o_window_lost", windows),
        ("o_window_user", windows),
        ("o_step_count", steps),
        ("o_step_targets", steps),
        ("o_step_time", steps),
        ("o_step_kept", 3 * steps if windows else 0),
        ("o_flushes_kept", cpus if windows else 0),
        ("o_syncs_kept", cpus if windows else 0),
        ("o_section_flushed", sections * words),
        ("o_section_needed", sections * cpus),
        ("o_section_slots", sections * slots),
        ("o_section_count", sections),
        ("o_section_waits", sections),
        ("o_taken", words),
        ("o_whole", words),
        ("o_ranged", words),
        ("o_merged", words),
        ("o_free", 2 + locks + mms),
        ("o_user_of", 2 + locks + mms),
        ("o_all_busy", sockets),
        ("o_all_began", sockets),
        ("o_apart_in", sockets),
        ("o_socket_size", sockets),
        ("o_socket_set", sockets * words),
        ("o_socket", cpus),
        ("o_core", cpus),
        ("o_sibling", cpus * siblings),
        ("o_called", words),
        ("o_shared", cpus),
        ("o_cluster", cpus),
        ("o_cluster_size", cpus),
        ("o_piece_of", cpus),
        ("o_piece_word", cpus),
        ("o_piece_set", cpus),
        ("o_uses", tasks),
        ("o_computes", tasks),
        ("o_pending", tasks),
        ("o_cold", tasks),
        ("o_refilled", tasks),
        ("o_exact", tasks),
        ("o_window_other", windows),
        ("o_window_refill", windows),
        ("o_window_own", windows * len(OWN_PARTS)),
        ("o_events", pending_events),
        ("o_stale", STALE_CELLS + 3 * words),
        ("o_misc", len(MISC)),
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
        sockets=sockets,
        siblings=siblings,
        size=offset,
        **starts,
    )


def blank(books: Books, *, seed: int) -> npt.NDArray[np.int64]:
    """Initialise the books: all clocks at zero, no open window, all queues empty."""
    array = np.zeros(books.size, np.int64)
    for start, end in (
        (books.o_apart_at, books.o_answer),
        (books.o_place, books.o_queue),
        (books.o_queue, books.o_next),
        (books.o_next, books.o_ready),
        (books.o_lock, books.o_spinning),
        (books.o_waiting, books.o_flushes_taken),
        (books.o_user_of, books.o_all_busy),
    ):
        array[start:end] = -1
    array[books.o_cold : books.o_refilled] = NEVER
    array[books.o_section_of : books.o_unshared_of] = books.sections - 1
    array[books.o_misc + WINDOW] = -1
    array[books.o_misc + RANDOM] = (seed * 2654435761 + 88172645463325252) & 0x7FFFFFFFFFFFFFFF or 1
    return array
