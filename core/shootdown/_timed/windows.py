"""Counting windows: what they keep, and their sums of time."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import T_CPU, TASK_CELLS, Layout
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.handlers import hit, owed

OWN_CELLS = len(k.OWN_PARTS)


@inlined
def since_before(S: Cells, L: Layout, Q: Cells, B: Books, window: int, actor: int) -> None:
    """Turn a window's sums of CPU time into what they lack of the totals: at its end, what was added within it."""
    Q[B.o_window_system + window] = Q[B.o_misc + k.SYSTEM] - Q[B.o_window_system + window]
    Q[B.o_window_lost + window] = Q[B.o_misc + k.LOST] - Q[B.o_window_lost + window]
    Q[B.o_window_user + window] = Q[B.o_misc + k.USER_TIME] - Q[B.o_window_user + window]
    Q[B.o_window_other + window] = Q[B.o_misc + k.OTHER_TIME] - Q[B.o_window_other + window]
    Q[B.o_window_refill + window] = Q[B.o_misc + k.REFILL_TIME] - Q[B.o_window_refill + window]
    cpu = S[L.o_task + actor * TASK_CELLS + T_CPU]
    own = B.o_window_own + window * OWN_CELLS
    Q[own + k.OWN_EXACT] = Q[B.o_exact + actor] - Q[own + k.OWN_EXACT]
    Q[own + k.OWN_HANDLERS] = hit(Q, B, cpu) - Q[own + k.OWN_HANDLERS]
    Q[own + k.OWN_STOLEN] = owed(Q, B, cpu) - Q[own + k.OWN_STOLEN]
    Q[own + k.OWN_REFILL] = Q[B.o_refilled + actor] - Q[own + k.OWN_REFILL]
    Q[own + k.OWN_SHARED] = Q[B.o_shared + cpu] - Q[own + k.OWN_SHARED]


@internal
def mark(S: Cells, L: Layout, Q: Cells, B: Books, window: int, opens: int, actor: int, now: int) -> None:
    """Open or close a counting window; interrupts and time of each CPU count while it is open.

    A window that opens again goes on where it was closed. The ledger by step is that of the first window.
    """
    again = Q[B.o_window_end + window] != 0
    if window == 0:
        for i in range(3 * B.steps):
            if opens:
                Q[B.o_step_count + i] = Q[B.o_step_kept + i]
            else:
                Q[B.o_step_kept + i] = Q[B.o_step_count + i]
    if not opens:
        for cpu in range(L.cpus):
            Q[B.o_flushes_kept + cpu] = Q[B.o_flushes_taken + cpu] + Q[B.o_misc + k.ALL_FLUSHES]
            Q[B.o_syncs_kept + cpu] = Q[B.o_syncs_taken + cpu] + Q[B.o_misc + k.ALL_SYNCS]
        Q[B.o_misc + k.WINDOW] = -1
        Q[B.o_window_end + window] = now
        since_before(S, L, Q, B, window, actor)
        return
    Q[B.o_misc + k.WINDOW] = window
    Q[B.o_misc + k.ACTOR] = actor
    Q[B.o_window_begin + window] = now - (Q[B.o_window_end + window] - Q[B.o_window_begin + window])
    since_before(S, L, Q, B, window, actor)
    Q[B.o_misc + k.ALL_FLUSHES] = 0
    Q[B.o_misc + k.ALL_SYNCS] = 0
    for cpu in range(L.cpus):
        Q[B.o_flushes_taken + cpu] = Q[B.o_flushes_kept + cpu] if again else int64(0)
        Q[B.o_syncs_taken + cpu] = Q[B.o_syncs_kept + cpu] if again else int64(0)
