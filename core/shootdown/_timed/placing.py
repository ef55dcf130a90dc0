"""Write into the books where CPUs are and how they are called: sockets, cores, clusters of the interrupt controller."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from shootdown._machine.machine import Machine
from shootdown._timed import books as k
from shootdown._timed.books import Books
from shootdown._values.places import places_of
from shootdown._values.platform import Platform


def place_cpus(machine: Machine, platform: Platform, B: Books, Q: npt.NDArray[np.int64]) -> None:
    """Write into the books what calls need to know of the CPUs.

    Args:
        machine, platform: what is run.
        B, Q: the books.
    """
    cpus = machine.layout.cpus
    Q[B.o_number : B.o_number + cpus] = machine.numbers or range(cpus)
    Q[B.o_misc + k.REACH] = machine.reach
    Q[B.o_misc + k.CLUSTER], Q[B.o_misc + k.WRITE_WORDS] = machine.writes
    Q[B.o_misc + k.SCAN_MISSES] = machine.scan_misses
    Q[B.o_misc + k.SHORTHAND] = machine.shorthand
    _clusters(machine, B, Q)
    _sockets_and_cores(machine, platform, B, Q)


def _bit(machine: Machine, cpu: int) -> int:
    """Return the bit of a CPU in its word, as a signed cell holds it."""
    bit = 1 << cpu % machine.layout.bits
    return bit - (1 << 64) if bit == 1 << 63 else bit


def _clusters(machine: Machine, B: Books, Q: npt.NDArray[np.int64]) -> None:
    """Write which CPUs one write can interrupt: those whose ids are alike but for the last digits.

    The sets of CPUs are kept in pieces of a word each, those of a cluster one behind another.
    """
    size, L = machine.writes[0], machine.layout
    if size < 2:
        return
    clusters = [one // size for one in machine.controller_ids or range(L.cpus)]
    number = {cluster: n for n, cluster in enumerate(sorted(set(clusters)))}
    for cpu, cluster in enumerate(clusters):
        Q[B.o_cluster + cpu] = number[cluster]
    for cluster, count in Counter(clusters).items():
        Q[B.o_cluster_size + number[cluster]] = count
    found = sorted({(number[cluster], cpu // L.bits) for cpu, cluster in enumerate(clusters)})
    pieces = {piece: at for at, piece in enumerate(found)}
    for (cluster, word), at in pieces.items():
        Q[B.o_piece_of + at], Q[B.o_piece_word + at] = cluster, word
    for cpu, cluster in enumerate(clusters):
        Q[B.o_piece_set + pieces[number[cluster], cpu // L.bits]] |= _bit(machine, cpu)
    Q[B.o_misc + k.PIECES], Q[B.o_misc + k.CLUSTERS] = len(pieces), len(number)


def _sockets_and_cores(machine: Machine, platform: Platform, B: Books, Q: npt.NDArray[np.int64]) -> None:
    L = machine.layout
    places = places_of(platform, L.cpus)
    sockets = [place.socket for place in places]
    numbers = {core: n for n, core in enumerate(sorted({(place.socket, place.core) for place in places}))}
    cores = [numbers[place.socket, place.core] for place in places]
    Q[B.o_socket : B.o_socket + L.cpus], Q[B.o_core : B.o_core + L.cpus] = sockets, cores
    for socket, count in Counter(sockets).items():
        Q[B.o_socket_size + socket] = count
    on: dict[int, list[int]] = {}
    for cpu, (socket, core) in enumerate(zip(sockets, cores, strict=True)):
        Q[B.o_socket_set + socket * L.words + cpu // L.bits] |= _bit(machine, cpu)
        on.setdefault(core, []).append(cpu)
    for threads in on.values():
        for cpu in threads:
            others = [other for other in threads if other != cpu]
            start = B.o_sibling + cpu * B.siblings
            Q[start : start + B.siblings] = others + [-1] * (B.siblings - len(others))
    Q[B.o_misc + k.SLOWED] = platform.smt_slowed
    Q[B.o_misc + k.CORES_FULL] = all(len(threads) > B.siblings for threads in on.values())
