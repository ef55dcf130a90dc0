"""Where this machine's CPUs are: its sockets and the threads of its cores, as /sys says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import attrs

from shootdown._values.places import places_of
from shootdown._values.platform import Platform

#: What Linux says of CPUs (Documentation/ABI/stable/sysfs-devices-system-cpu).
FOLDER = Path("/sys/devices/system/cpu")


def placed(platform: Platform, folder: Path = FOLDER) -> tuple[Platform, str]:
    """Return a platform with this machine's sockets and threads of a core, and what it can't say of them, if anything.

    Args:
        platform: a platform whose `cpus` are those that are online.
        folder: what Linux says of CPUs.
    """
    try:
        online = list(_numbers((folder / "online").read_text()))
        sockets = [_read(folder, cpu, "physical_package_id") for cpu in online]
        cores = [_siblings(folder, cpu) for cpu in online]
    except (OSError, ValueError):
        return platform, "sockets and threads of a core: /sys/devices/system/cpu does not say where CPUs are"
    together = defaultdict(list)
    for at, core in enumerate(cores):
        together[core].append(at)
    threads = next((those for those in together.values() if len(those) > 1), [0])
    found = attrs.evolve(
        platform,
        sockets=len(set(sockets)),
        smt=max(map(len, together.values())),
        smt_adjacent=len(threads) > 1 and threads[1] == threads[0] + 1,
    )
    places = places_of(found, len(online))
    same_socket = len({(place.socket, socket) for place, socket in zip(places, sockets, strict=True)})
    same_core = len({(place.socket, place.core, core) for place, core in zip(places, cores, strict=True)})
    if same_socket != found.sockets or same_core != len(together):
        return found, "CPUs by their numbers: they are not numbered socket by socket, as a platform's are"
    return found, ""


def _read(folder: Path, cpu: int, name: str) -> str:
    return (folder / f"cpu{cpu}" / "topology" / name).read_text().strip()


def _siblings(folder: Path, cpu: int) -> str:
    """Return the list of the threads of a CPU's core."""
    try:
        return _read(folder, cpu, "core_cpus_list")
    except FileNotFoundError:  # its name until 5.3
        return _read(folder, cpu, "thread_siblings_list")


def _numbers(text: str) -> Iterator[int]:
    """Yield the numbers of a list such as `0-3,8`."""
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
