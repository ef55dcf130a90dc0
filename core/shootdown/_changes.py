"""The changes that moved a switch of the kernel, as one table: commit, what it sets, which releases have it.

The first release of a stable series comes from the kernel's own CVE records where there is one (`affected`
ranges by `semver`), and otherwise from what `source` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


def _frozen_items(values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(values.items())


@attrs.frozen
class Change:
    """Say what one commit changed and which releases have it.

    Args:
        commit: the mainline commit, abbreviated to 12 digits; the version of the series for a proposal.
        subject: the subject line of the commit, or what the proposal is called.
        mainline: the first mainline release, `6.16` or, where the candidate is known, `6.16-rc1`;
            None for a proposal that was never merged.
        sets: the switches it moved and their values afterwards; empty for a fact that moves none.
        stable: the first point release of each stable series that has it, `{"5.10": 239}`. A series before
            the mainline release that is not named here never got it.
        unverified: series for which nobody could say; they resolve as without it, and the kernel says so.
        proposal: the name under which a change that was never merged can be asked for.
        note: what a reader of the table should know.
        source: where the releases come from.
    """

    commit: str
    subject: str
    mainline: str | None
    sets: tuple[tuple[str, Any], ...] = attrs.field(converter=_frozen_items, factory=dict)
    stable: tuple[tuple[str, int], ...] = attrs.field(converter=_frozen_items, factory=dict)
    unverified: tuple[str, ...] = ()
    proposal: str | None = None
    note: str = ""
    source: str = ""


CHANGES: tuple[Change, ...] = (
    Change(
        commit="1013af4f585f",
        subject="mm/hugetlb: fix huge_pmd_unshare() vs GUP-fast race",
        mainline="6.16-rc1",
        sets={"unshare_sync": "per-table"},
        stable={"5.10": 239, "5.15": 186, "6.1": 142, "6.6": 95, "6.12": 35, "6.15": 4},
        source="CVE-2025-38085",
    ),
    Change(
        commit="8ce720d5bd91",
        subject="mm/hugetlb: fix excessive IPI broadcasts when unsharing PMD tables using mmu_gather",
        mainline="6.19",
        sets={"unshare_sync": "last-sharer", "unshare_gather": True},
        stable={"5.10": 253, "5.15": 203, "6.1": 167, "6.6": 127, "6.12": 74, "6.18": 13},
        source="CVE-2026-63875: the releases from which the follow-up fix was needed",
    ),
)
