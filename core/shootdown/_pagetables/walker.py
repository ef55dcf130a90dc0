"""Walks from Python: one format, one memory, any addresses."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._compilation.slices import Slices
from shootdown._pagetables.format import USER_READ, Access, CustomFormat, Format, Settings
from shootdown._pagetables.format_layout import Layout, Walk, check, layout
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._pagetables.walk import Walks, walk_each
from shootdown._pagetables.walk_many import walk_many


@attrs.frozen
class Walker:
    """Walk addresses of one format in one memory.

    Args:
        format: a `Format` or `CustomFormat`.
        memory: where the tables are.
        settings: the CPU's; the format's defaults where None.
    """

    format: Format | CustomFormat
    memory: PhysicalMemory
    settings: Settings = attrs.field()

    @settings.default
    def _default_settings(self) -> Settings:
        return self.format.settings()

    def walk(
        self, root: int, va: int, access: Access = USER_READ, *, hardware_sets_flags: bool = False
    ) -> Walk:
        """Walk one address.

        Args:
            root: physical address of the top table.
            va: address in bytes, below 2**64.
            access: what is asked; a user-mode data read where not given.
            hardware_sets_flags: accessed and dirty flags are written into the tables.
        """
        found = self.walk_many(
            root, np.array([va], dtype=np.uint64), access, hardware_sets_flags=hardware_sets_flags
        )
        return Walk(*(int(column[0]) for column in found))

    def walk_many(
        self,
        root: int,
        addresses: npt.NDArray[np.uint64],
        access: Access = USER_READ,
        *,
        hardware_sets_flags: bool = False,
    ) -> Walks:
        """Walk each address of an array of `uint64`; arguments as for `walk`."""
        if isinstance(self.format, CustomFormat):
            found = walk_many(
                self.format,
                self.memory,
                root,
                addresses,
                access,
                settings=self.settings,
                hardware_sets_flags=hardware_sets_flags,
                threads=1,
            )
            assert found.entry is not None
            return Walks(found.pa, found.entry, found.reason, found.level, found.shift, found.rights)
        count = addresses.size
        out = Walks(
            pa=np.empty(count, dtype=np.uint64),
            entry=np.empty(count, dtype=np.uint64),
            reason=np.empty(count, dtype=np.uint8),
            level=np.empty(count, dtype=np.uint8),
            shift=np.empty(count, dtype=np.uint8),
            rights=np.empty(count, dtype=np.uint8),
        )
        checked = check(self.format, access, self.settings, hardware_sets_flags=hardware_sets_flags)
        shape: Layout = layout(self.format, self.settings)
        each = runnable(walk_each)
        for start, end in Slices().parts(count):
            part: Any = Walks._make(column[start:end] for column in out)
            each(shape, self.memory.view, checked, np.uint64(root), addresses[start:end], part)
        return out
