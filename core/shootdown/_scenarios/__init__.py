"""The scenarios that come with shootdown: small workloads, explored under every interleaving."""

from __future__ import annotations

from shootdown._scenarios.feed import FEED
from shootdown._scenarios.freed_tables import FREED_TABLES
from shootdown._scenarios.khugepaged import KHUGEPAGED
from shootdown._scenarios.stale_entries import STALE_ENTRIES
from shootdown._scenarios.unshare import UNSHARE

ALL = (*UNSHARE, *KHUGEPAGED, *FREED_TABLES, *STALE_ENTRIES, *FEED)
