"""Where CPUs are: sockets, cores and threads of a machine, by the numbers that Linux gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from shootdown._values.platform import Platform


class Place(NamedTuple):
    """Where a CPU is.

    Attributes:
        socket: its number.
        core: the number of its core within the socket.
        thread: its number within the core.
    """

    socket: int
    core: int
    thread: int


def places_of(platform: Platform, cpus: int) -> tuple[Place, ...]:
    """Return where each CPU of a machine is.

    Cores are spread over the sockets evenly, the first ones on the first socket. The threads of a core have numbers
    that follow one another (`platform.smt_adjacent`), or all first threads come before all second ones.

    Args:
        platform: its `sockets`, `smt` and `smt_adjacent` are looked at.
        cpus: online CPUs.
    """
    cores = -(-cpus // platform.smt)
    on_socket = -(-cores // platform.sockets)
    found = []
    for cpu in range(cpus):
        core, thread = divmod(cpu, platform.smt) if platform.smt_adjacent else (cpu % cores, cpu // cores)
        found.append(Place(core // on_socket, core % on_socket, thread))
    return tuple(found)
