"""A hugetlb mapping: which tables it covers, and what of them its process touches."""

from __future__ import annotations

from typing import Annotated

import attrs

from shootdown._values.checked import Between, checked
from shootdown._values.errors import shown
from shootdown._values.sites import mistake

_COUNT = Between(0, 1 << 30)


@attrs.frozen(field_transformer=checked)
class Mapping:
    """One hugetlb VMA: the slots that it covers, and those that its process uses.

    Args:
        used: slots whose tables the process touches, ascending.
        order: the same in the order in which they are touched; ascending if empty.
        pages: huge pages touched in each table.
        first, last: the range of pages touched in a table: the first one, and the one after the last.
        klass: the class of the tables: mappings share a table only within a class.
        file: the number of its file, and of the i_mmap_rwsem.
        own: the slots of `used` whose tables are never shared: the VMA does not cover the PUD entry, or is private.
        private: it is MAP_PRIVATE: each process that touches a page gets one of its own.
        span: the number of slots that the VMA covers, those that nobody uses included; 0: those of `used`.
    """

    used: tuple[int, ...]
    order: tuple[int, ...] = ()
    pages: Annotated[int, _COUNT] = 2
    first: Annotated[int, _COUNT] = 0
    last: Annotated[int, _COUNT] = 1
    klass: Annotated[int, _COUNT] = 0
    file: Annotated[int, _COUNT] = 0
    own: tuple[int, ...] = ()
    private: bool = False
    span: Annotated[int, _COUNT] = 0

    def __attrs_post_init__(self) -> None:
        """Raise an error if no VMA can be so."""
        strange = [slot for slot in self.own if slot not in self.used]
        if not self.used or list(self.used) != sorted(set(self.used)) or self.used[0] < 0:
            raise mistake(f"mapping: used is {shown(self.used)}: slots from 0 on, ascending, each once")
        if self.order and sorted(self.order) != list(self.used):
            raise mistake(f"mapping: order is {shown(self.order)}: the slots of `used` in another order")
        if strange:
            raise mistake(f"mapping: own has slot {strange[0]}, which is none of `used`")
        if self.last <= self.first:
            raise mistake(f"mapping: first is {self.first} and last {self.last}: the page after the last one")
        if 0 < self.span < len(self.used):
            raise mistake(f"mapping: span is {self.span}: it covers the {len(self.used)} slots of `used`")

    @property
    def unused(self) -> int:
        """The number of slots that the VMA covers and its process never uses."""
        return max(self.span - len(self.used), 0)

    @property
    def shareable(self) -> tuple[int, ...]:
        """The slots of `used` whose tables other processes can share."""
        return tuple(slot for slot in self.used if slot not in self.own) if self.own else self.used
