"""The scenarios that come with shootdown: small workloads, explored under every interleaving."""

from __future__ import annotations

from shootdown._scenarios.break_before_make import BREAK_BEFORE_MAKE
from shootdown._scenarios.cow_stale_writable import COW_STALE_WRITABLE
from shootdown._scenarios.device_memory import DEVICE_MEMORY
from shootdown._scenarios.dirty_bit_lost import DIRTY_BIT_LOST
from shootdown._scenarios.feed import FEED
from shootdown._scenarios.freed_tables import FREED_TABLES
from shootdown._scenarios.khugepaged import KHUGEPAGED
from shootdown._scenarios.unshare import UNSHARE

SCENARIOS = (
    *UNSHARE,
    KHUGEPAGED,
    *FREED_TABLES,
    *DEVICE_MEMORY,
    *FEED,
    COW_STALE_WRITABLE,
    DIRTY_BIT_LOST,
    BREAK_BEFORE_MAKE,
)
