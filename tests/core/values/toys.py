"""Architectures that exist for tests of releases: one with a history of its own, and one that adds nothing."""

from __future__ import annotations

import attrs

from shootdown._values.changes import Change
from shootdown._values.kernel import Kernel, NoSwitches, switch
from shootdown._values.releases import (
    resolve,
)


@attrs.frozen
class ToySwitches:
    """One switch of its own, and a page size that core declares too."""

    page_size: int = switch(65536, "bytes in a base page", choices=(4096, 65536))
    toy: bool = switch(False, "something that only this architecture does")


@attrs.frozen
class Toy:
    """An architecture with a history of its own, part of it not known."""

    name: str = "toy"
    switches: type = ToySwitches
    configure: None = None
    changes: tuple[Change, ...] = (
        Change("aaaaaaaaaaaa", "toy: do it", "6.3", {"toy": True}, {"5.10": 100}, unverified=("6.1", "6.2")),
    )


@attrs.frozen
class Plain:
    """An architecture that adds nothing."""

    name: str = "plain"
    switches: type = NoSwitches
    configure: None = None
    changes: tuple[Change, ...] = ()


def plain(name: str) -> Kernel:
    return resolve(name, Plain())
