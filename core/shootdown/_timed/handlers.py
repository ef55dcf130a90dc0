"""For each CPU, when its interrupt handlers end and how much time they took.

Most broadcasts interrupt all CPUs but their sender, so that most CPUs have been in the same handlers at the same
times. These common values are stored once; only CPUs that differ, those set apart, have values of their own.
"""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, internal
from shootdown._machine.bits import Cells, int64
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._timed.heap import push, sift_down, sift_up


@inlined
def busy_until(Q: Cells, B: Books, cpu: int) -> int:
    """Return the time at which a CPU's last handler ends."""
    if Q[B.o_apart_at + cpu] >= 0:
        return int64(Q[B.o_handler + cpu])
    return int64(Q[B.o_all_busy + Q[B.o_socket + cpu]])


@inlined
def began(Q: Cells, B: Books, cpu: int) -> int:
    """Return the time at which a CPU's last handler begins: until then, calls to it need no further interrupt."""
    if Q[B.o_apart_at + cpu] >= 0:
        return int64(Q[B.o_entered + cpu])
    return int64(Q[B.o_all_began + Q[B.o_socket + cpu]])


@inlined
def owed(Q: Cells, B: Books, cpu: int) -> int:
    """Return the total time that handlers have taken from a CPU."""
    return int64(Q[B.o_owed + cpu] + Q[B.o_misc + k.ALL_OWED])


@inlined
def hit(Q: Cells, B: Books, cpu: int) -> int:
    """Return the total time that a CPU has been in interrupt handlers."""
    return int64(Q[B.o_hit + cpu] + Q[B.o_misc + k.ALL_HIT])


@inlined
def outside(Q: Cells, B: Books, cpu: int, time: int, before: int) -> int:
    """Return how much of a time that a CPU spun was not spent in handlers, which are kernel time already.

    Args:
        cpu: the CPU.
        time: how long it spun.
        before: `hit` of the CPU when it began to.
    """
    return max(time - (hit(Q, B, cpu) - before), int64(0))


@inlined
def set_apart(Q: Cells, B: Books, cpu: int, until: int) -> None:
    """Store the end of a CPU's last handler for that CPU alone."""
    if Q[B.o_apart_at + cpu] < 0:
        n = Q[B.o_misc + k.APART]
        Q[B.o_apart + n] = cpu
        Q[B.o_apart_at + cpu] = n
        socket = Q[B.o_socket + cpu]
        Q[B.o_entered + cpu] = Q[B.o_all_began + socket]
        Q[B.o_apart_in + socket] += 1
        Q[B.o_misc + k.APART] = n + 1
    Q[B.o_handler + cpu] = until


@inlined
def rejoin(Q: Cells, B: Books, at: int) -> None:
    """Let a CPU that was set apart share the common values again; `at` is its place in the list."""
    n = Q[B.o_misc + k.APART] - 1
    Q[B.o_apart_at + Q[B.o_apart + at]] = -1
    Q[B.o_apart_in + Q[B.o_socket + Q[B.o_apart + at]]] -= 1
    if at < n:
        last = Q[B.o_apart + n]
        Q[B.o_apart + at] = last
        Q[B.o_apart_at + last] = at
    Q[B.o_misc + k.APART] = n


@inlined
def charge(Q: Cells, B: Books, cpu: int, arrival: int, handler: int) -> int:
    """Let a CPU spend time in a handler, after those that it is in; return the time at which it ends."""
    begin = max(arrival, busy_until(Q, B, cpu))
    end = begin + handler
    set_apart(Q, B, cpu, end)
    Q[B.o_entered + cpu] = begin
    Q[B.o_misc + k.LAST_BEGAN] = max(int64(Q[B.o_misc + k.LAST_BEGAN]), begin)
    spend_in_handler(Q, B, cpu, handler)
    return end


@inlined
def charge_merged(Q: Cells, B: Books, cpu: int, handler: int) -> int:
    """Let a CPU spend time on a further call in the handler that begins next; return the time at which that ends."""
    end = busy_until(Q, B, cpu) + handler
    set_apart(Q, B, cpu, end)
    spend_in_handler(Q, B, cpu, handler)
    return end


@inlined
def spend_in_handler(Q: Cells, B: Books, cpu: int, handler: int) -> None:
    """Take the time of a handler from a CPU."""
    Q[B.o_owed + cpu] += handler
    Q[B.o_hit + cpu] += handler
    Q[B.o_misc + k.SYSTEM] += handler
    Q[B.o_misc + k.LOST] += handler


@inlined
def can_step(Q: Cells, B: Books, cpu: int) -> None:
    """Give a CPU that has a step to take from now on its place in the heap; its clock may have gone on.

    What it was interrupted while it only waited for the host is not paid: that put nothing off.
    """
    if Q[B.o_idles + cpu]:
        Q[B.o_idles + cpu] = 0
        Q[B.o_paid + cpu] = owed(Q, B, cpu)
    push(Q, B, cpu)
    sift_down(Q, B, Q[B.o_place + cpu])


@internal
def pay_at_once(Q: Cells, B: Books, sender: int, time: int) -> None:
    """Add the same time to the clocks of all CPUs but the sender that have a step to take; their order stays as it is.

    Each would be charged before its next step anyway, one at a time, and the heap would be reordered each time. CPUs
    that are in the heap only until the host runs them again pay nothing: they may now be before others.
    """
    idle = int64(0)
    for i in range(Q[B.o_misc + k.HEAP_SIZE]):
        cpu = Q[B.o_heap + i]
        if Q[B.o_idles + cpu]:
            idle += 1
        elif cpu != sender:
            Q[B.o_clock + cpu] += time
            Q[B.o_paid + cpu] += time
    if idle:
        for i in range(Q[B.o_misc + k.HEAP_SIZE]):
            sift_up(Q, B, int64(i))


@internal
def charge_everybody(Q: Cells, B: Books, cpus: int, sender: int, arrival: int, far: int, handler: int) -> int:
    """Let every CPU but the sender spend time in a handler, as `charge` does; return when the last one ends.

    Args:
        Q, B: the books.
        cpus, sender: how many CPUs there are, and who called.
        arrival: when the call arrives on the sender's socket.
        far: how much later it arrives on others.
        handler: how long the handler takes.
    """
    set_apart(Q, B, sender, busy_until(Q, B, sender))
    home = Q[B.o_socket + sender]
    latest = int64(0)
    end = arrival
    for socket in range(B.sockets):
        arrives = arrival if socket == home else arrival + far
        begins = max(arrives, int64(Q[B.o_all_busy + socket]))
        Q[B.o_all_busy + socket] = begins + handler
        Q[B.o_all_began + socket] = begins
        size = cpus if B.sockets == 1 else Q[B.o_socket_size + socket]
        if Q[B.o_apart_in + socket] < size:
            end = max(end, begins + handler)
            latest = max(latest, begins)
    at = int64(0)
    while at < Q[B.o_misc + k.APART]:
        cpu = Q[B.o_apart + at]
        if cpu != sender:
            socket = Q[B.o_socket + cpu]
            arrives = arrival if socket == home else arrival + far
            ends = max(arrives, int64(Q[B.o_handler + cpu])) + handler
            end = max(end, ends)
            latest = max(latest, ends - handler)
            if ends == Q[B.o_all_busy + socket]:
                rejoin(Q, B, at)
                continue
            Q[B.o_handler + cpu] = ends
            Q[B.o_entered + cpu] = ends - handler
        at += 1
    Q[B.o_misc + k.LAST_BEGAN] = max(int64(Q[B.o_misc + k.LAST_BEGAN]), latest)
    owe_everybody(Q, B, cpus, sender, handler)
    return end


@internal
def charge_everybody_merged(Q: Cells, B: Books, cpus: int, sender: int, handler: int) -> int:
    """Let the next handler of every CPU but the sender last longer, as `charge_merged` does; return when it ends."""
    set_apart(Q, B, sender, busy_until(Q, B, sender))
    end = int64(0)
    for socket in range(B.sockets):
        Q[B.o_all_busy + socket] += handler
        size = cpus if B.sockets == 1 else Q[B.o_socket_size + socket]
        if Q[B.o_apart_in + socket] < size:
            end = max(end, int64(Q[B.o_all_busy + socket]))
    for at in range(Q[B.o_misc + k.APART]):
        cpu = Q[B.o_apart + at]
        if cpu != sender:
            Q[B.o_handler + cpu] += handler
            end = max(end, int64(Q[B.o_handler + cpu]))
    owe_everybody(Q, B, cpus, sender, handler)
    return end


@inlined
def owe_everybody(Q: Cells, B: Books, cpus: int, sender: int, handler: int) -> None:
    """Take the time of a handler from every CPU but the sender."""
    Q[B.o_misc + k.ALL_OWED] += handler
    Q[B.o_owed + sender] -= handler
    Q[B.o_misc + k.ALL_HIT] += handler
    Q[B.o_hit + sender] -= handler
    Q[B.o_misc + k.SYSTEM] += handler * (cpus - 1)
    Q[B.o_misc + k.LOST] += handler * (cpus - 1)
    pay_at_once(Q, B, sender, handler)
