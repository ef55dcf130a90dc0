"""What is checked: an architecture with everything that its plugin defines, resolved once."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import ClassVar

import attrs

from shootdown._pagetables.format import CustomFormat, Format
from shootdown._porting.geometry import sized
from shootdown._tlb.geometry import TlbGeometry
from shootdown._values.architecture import Architecture
from shootdown._values.errors import ShootdownError
from shootdown._values.kernel import Kernel
from shootdown._values.lowering import Lowering
from shootdown._values.platform import Platform
from shootdown._values.releases import proposals, resolve, starts_later
from shootdown._values.series import SERIES, Release, newest_known


@attrs.define(eq=False, slots=False)
class Subject:
    """An architecture, as the statements look at it.

    Args:
        architecture: as the plugin defines it.
        platforms: its platforms, those that other plugins add among them.
        plugin: how messages name the plugin: `vax (shootdown-vax 0.1)`.
        long: take larger samples.
        seed: of everything random.
        gave_up: why its flushes are not tried any more: some code of the plugin ran out of time.
    """

    about: ClassVar[str] = "architecture"

    architecture: Architecture
    platforms: tuple[Platform, ...]
    plugin: str
    long: bool = False
    seed: int = 1
    gave_up: str = ""

    @property
    def name(self) -> str:
        """The architecture's name."""
        return self.architecture.name

    @property
    def formats(self) -> tuple[Format, ...]:
        """The page-table formats that are made of levels."""
        return tuple(form for form in self.architecture.formats if isinstance(form, Format))

    @property
    def custom_formats(self) -> tuple[CustomFormat, ...]:
        """The page-table formats that have walks of their own."""
        return tuple(form for form in self.architecture.formats if isinstance(form, CustomFormat))

    def sample(self, short: int) -> int:
        """Return the size of a sample: `short`, or twenty times that where larger ones were asked for."""
        return short * 20 if self.long else short

    @functools.cached_property
    def releases(self) -> tuple[str, ...]:
        """The first release of every series, each release that a change of the plugin begins with, and the newest.

        Between two of them nothing of this architecture changes, and no series is left out. Proposals are among them.
        """
        found = []
        for series in SERIES:
            if starts_later(self.architecture, series.name):
                continue
            points = {0, series.newest}
            for change in self.architecture.changes:
                point = dict(change.stable).get(series.name)
                points |= set() if point is None else {point}
            found += [str(Release(series.name, point)) for point in sorted(points) if point <= series.newest]
        return (*found, *(f"proposal:{name}" for name in proposals([self.architecture])))

    @functools.cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels that differ in a switch, each at the first release that has these values, oldest first.

        Releases that can't be resolved are left out: statement 2.1 is about those.
        """
        found: dict[Kernel, Kernel] = {}
        for name in self.releases:
            try:
                kernel = resolve(name, self.architecture)
                found.setdefault(attrs.evolve(kernel, name="", release="", remarks=()), kernel)
            except Exception:
                continue
        return tuple(found.values())

    @functools.cached_property
    def newest(self) -> Kernel:
        """The newest release that is known, as a kernel of this architecture."""
        return resolve(newest_known(), self.architecture)

    def lowerings(self) -> Iterator[tuple[Kernel, Platform, Lowering]]:
        """Yield every kernel on every platform with its lowering."""
        lower = self.architecture.lower
        if lower is None:
            return
        for kernel in self.kernels:
            for platform in self.platforms:
                machine = sized(platform, kernel.page_size)
                yield kernel, machine, lower(kernel, machine)


def geometries(held: object) -> dict[int, TlbGeometry]:
    """Return a platform's `tlb` or `itlb` by page size; 0 where it is the same for all. Empty: there is none."""
    by_size = held.items() if isinstance(held, Mapping) else ((0, held),)
    return {size: tlb for size, tlb in by_size if isinstance(tlb, TlbGeometry)}


def where(kernel: Kernel, platform: Platform) -> str:
    """Name a kernel on a platform in a message."""
    return f"kernel {kernel.name} on {platform.name}"


__all__ = ["ShootdownError", "Subject", "geometries", "where"]
