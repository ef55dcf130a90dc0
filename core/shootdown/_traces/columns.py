"""A part of a trace as columns: what every reader yields."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

Addresses = npt.NDArray[np.uint64]
Column = npt.NDArray[Any]

ACCESS, FLUSH_PAGES, FLUSH_PROCESS, FLUSH_ALL = 0, 1, 2, 3
SHOOTDOWN = 16  # added to a flush: on every CPU; `cpu` is the initiator
KINDS = (ACCESS, *(base + flush for base in (0, SHOOTDOWN) for flush in (1, 2, 3)))


@attrs.frozen(eq=False)
class Columns:
    """A part of a trace: an array of addresses, and optional columns beside it.

    Args:
        address: of an access, or the first of a flush.
        kind: one of `KINDS`; accesses where None.
        cpu: the CPU that accesses or flushes, any number below 2**32; 0 where None.
        process: the process whose address it is, any number below 2**32; 0 where None.
        shift: log2 of the page's bytes; 0 or None for the page size that was asked for.
        pages: how many pages a flush names; 1 where None or 0.
    """

    address: Addresses
    kind: Column | None = None
    cpu: Column | None = None
    process: Column | None = None
    shift: Column | None = None
    pages: Column | None = None

    @property
    def is_plain(self) -> bool:
        """Whether these are accesses of one process on one CPU to pages of one size."""
        return all(c is None for c in (self.kind, self.cpu, self.process, self.shift, self.pages))
