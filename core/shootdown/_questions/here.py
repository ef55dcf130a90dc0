"""This machine: its architecture, the platform that it is like, its CPUs and its kernel."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import attrs

from shootdown._plugins.registry import registry
from shootdown._questions.case import of_this_machine
from shootdown._values.architecture import Architecture
from shootdown._values.errors import ShootdownError

CPUINFO = Path("/proc/cpuinfo")
_MOST = 1 << 20


@attrs.frozen
class Here:
    """A machine as it says of itself.

    Args:
        arch: the architecture's name.
        platform: the platform that it is like; None if none is.
        cpu: what it calls its CPU, for a message.
        cpus: CPUs online.
        kernel: as `uname -r` prints it.
    """

    arch: str
    platform: str | None
    cpu: str
    cpus: int
    kernel: str


def here() -> Here:
    """Look at this machine.

    Raises:
        ShootdownError: no architecture is installed.
    """
    installed = registry()
    architecture = installed.architecture(of_this_machine(installed))
    text = _cpuinfo()
    return Here(
        architecture.name,
        platform_like(architecture, text),
        _named(text),
        os.cpu_count() or 1,
        platform.release(),
    )


def platform_like(architecture: Architecture, cpuinfo: str) -> str | None:
    """Return the platform that a machine is like, by what its /proc/cpuinfo says; None if none is."""
    return next((name for pattern, name in architecture.cpuinfo if re.search(pattern, cpuinfo)), None)


def this_platform(found: Here, asked: str = "--here", instead: str = "--platform") -> str:
    """Return the platform that this machine is like.

    Args:
        found: this machine.
        asked: what asked for it.
        instead: the option that names one.

    Raises:
        ShootdownError: none is.
    """
    if found.platform is None:
        raise ShootdownError(
            f"{asked}: no platform of {found.arch} is known to be like this CPU ({found.cpu}); choose one with "
            f"{instead}: `shootdown list platforms --arch {found.arch}`"
        )
    return found.platform


def _cpuinfo() -> str:
    try:
        with CPUINFO.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(_MOST)
    except OSError:
        return ""


def _named(cpuinfo: str) -> str:
    """Return what a CPU is called, in the words of the architectures that say it."""
    for name in ("model name", "cpu", "uarch", "CPU part"):
        found = re.search(rf"(?m)^{name}\s*: (.{{1,80}})", cpuinfo)
        if found is not None:
            return found[1].strip()
    return "unnamed"
