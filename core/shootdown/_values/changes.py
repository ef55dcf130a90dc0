"""The changes that moved a switch of the kernel, as one table: commit, what it sets, which releases have it.

Where the first release of a stable series comes from is named by `source`: the kernel's own CVE record (its
`semver` ranges), the announcement of a stable review (`-rc1`), Debian's changelog, which names the ChangeLog
that a commit came with, or a kernel that was measured (`tests/oracle`). Where `source` is empty, there is no
backport to give a source for, and the mainline release is the one that the commit was merged for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from shootdown._values.checked import checked, frozen_lists


def _frozen_items(values: Mapping[str, Any]) -> Any:
    return tuple(values.items()) if isinstance(values, Mapping) else frozen_lists(values)


@attrs.frozen(field_transformer=checked)
class Change:
    """What one commit changed and which releases have it.

    Args:
        commit: the mainline commit, abbreviated to 12 digits; the version of the series for a proposal.
        subject: the subject line of the commit, or what the proposal is called.
        mainline: the first mainline release, `6.16` or, where the candidate is known, `6.16-rc1`; None for a proposal
            that was never merged, and for a change that no mainline release known here has yet.
        sets: the switches it moved and their values afterwards.
        stable: the first point release of each stable series that has it, `{"5.10": 239}`. A series before
            the mainline release that is not named here never got it.
        unverified: series for which no source was found; they resolve as without the change, with a remark.
        proposal: the name under which a change that was never merged can be asked for.
        note: a remark for readers of the table.
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


SKIP_REDUNDANT_SYNC = "skip-redundant-sync"
TARGETED_SYNC = "targeted-sync"

CHANGES: tuple[Change, ...] = (
    Change(
        commit="57efa1fe5957",
        subject="mm/gup: prevent gup_fast from racing with COW during fork",
        mainline="5.11-rc1",
        sets={"gup_sees_fork": True},
        stable={"5.10": 4},
        source="its 5.10 backport is 537946556cc9, in the log of the push of 5.10.4",
    ),
    Change(
        commit="550a7d60bd5e",
        subject="mm, hugepages: add mremap() support for hugepage backed vma",
        mainline="5.16-rc1",
        sets={"hugetlb_mremap": True},
        source="5.10 lacks it: said in the 5.10 backport of 8ce720d5bd91, and by the oracle",
    ),
    Change(
        commit="a4a118f2eead",
        subject="hugetlbfs: flush TLBs correctly after huge_pmd_unshare",
        mainline="5.16-rc3",
        sets={"zap_flushes_unshared": True},
        stable={"5.10": 82, "5.15": 5},
        source="CVE-2021-4002 and Debian's changelog (5.10.84-1, 5.15.5-1)",
    ),
    Change(
        commit="5ee2fa2f0636",
        subject="mm/rmap: fix potential batched TLB flush race",
        mainline="5.17-rc1",
        sets={"batched_flushes_counted": True},
        source="v2 of 2021-11-29, 20211201021104.126469-1-ying.huang@intel.com; merged with mm of January 2022",
    ),
    Change(
        commit="90e7e7f5ef3f",
        subject="mm: enable MADV_DONTNEED for hugetlb mappings",
        mainline="5.18-rc1",
        sets={"hugetlb_madvise_dontneed": True},
    ),
    Change(
        commit="4a18419f71cd",
        subject="mm/mprotect: use mmu_gather",
        mainline="5.19-rc1",
        sets={"mprotect_gather": True, "thp_mprotect_flushes": False},
        note="with 4f83145721f3 (no flush of its own in change_huge_pmd) and c9fe66560bf2 in the same series",
        source="78fc63ffa781, a fix of it, says 5.19",
    ),
    Change(
        commit="b67fbebd4cf9",
        subject="mmu_gather: Force tlb-flush VM_PFNMAP vmas",
        mainline="5.19-rc8",
        sets={"pfn_maps_flush_early": True},
        stable={"5.10": 141, "5.15": 65},
        note='CVE-2022-39188; the backports flush in unmap_region(), "mm: Force TLB flush for PFNMAP mappings before '
        'unlink_file_vma()"',
        source="merged after net-5.19-rc8, by the log of the push to mainline; the announcements of 5.10.141 and "
        "5.15.65",
    ),
    Change(
        commit="bcd51a3c679d",
        subject="hugetlb: lazy page table copies in fork()",
        mainline="6.0-rc1",
        sets={"fork_shares_pmd": False},
        source="the oracle: 5.10 shares at fork, 6.1 at the first fault",
    ),
    Change(
        commit="e95a9851787d",
        subject="hugetlb: skip to end of PT page mapping when pte not present",
        mainline="6.0-rc1",
        sets={"hugetlb_visits_absent": False},
        note="of the same series as bcd51a3c679d",
        source="the series of 16 June 2022 (lore 20220616210518.125287-1-mike.kravetz@oracle.com)",
    ),
    Change(
        commit="70cbc3cc78a9",
        subject="mm: gup: fix the fast GUP race against THP collapse",
        mainline="6.0-rc8",
        sets={"gup_rechecks_pmd": True},
        stable={"5.10": 148, "5.15": 73, "5.19": 14},
        source="mm-hotfixes-stable-2022-09-26; Debian's changelog (5.10.148-1); 5.15.73-rc1; the log of the push of "
        "5.19.14, which 5.19.13-rc1 became",
    ),
    Change(
        commit="60bae7370896",
        subject="mm/migrate_device.c: flush TLB while holding PTL",
        mainline="6.0-rc8",
        sets={"migrate_device_flushes_locked": True},
        stable={"5.10": 147, "5.15": 72, "5.19": 14},
        source="mm-hotfixes-stable-2022-09-26; the announcements of 5.10.147 and 5.15.72; the log of the push of "
        "5.19.14",
    ),
    Change(
        commit="8d9bfb260814",
        subject="hugetlb: add vma based lock for pmd sharing",
        mainline="6.1-rc1",
        sets={"hugetlb_vma_lock": True},
        note="used by 40549ba8f8e0 of the same series",
    ),
    Change(
        commit="7d8faaf15545",
        subject="mm/madvise: introduce MADV_COLLAPSE sync hugepage collapse",
        mainline="6.1-rc1",
        sets={"madv_collapse": True},
        source="madvise(2): since Linux 6.1 (20221021223300.3675201-1-zokeefe@google.com)",
    ),
    Change(
        commit="2ba99c5e0881",
        subject="mm/khugepaged: fix GUP-fast interaction by sending IPI",
        mainline="6.1",
        sets={"khugepaged_sync": True},
        stable={"5.10": 159, "5.15": 83, "6.0": 13},
        source="the stable reviews 5.10.159-rc1, 5.15.83-rc1 and 6.0.13-rc1 of 2022-12-12",
    ),
    Change(
        commit="5df397dec7c4",
        subject="mm: delay page_remove_rmap() until after the TLB has been flushed",
        mainline="6.2-rc1",
        sets={"delayed_rmap": True},
    ),
    Change(
        commit="b30c14cd6102",
        subject="hugetlb: unshare some PMDs when splitting VMAs",
        mainline="6.2",
        sets={"unshare_at_split": "before"},
        stable={"5.10": 239, "5.15": 90, "6.1": 8},
        source="Debian's changelog (5.10.244-1, 6.1.8-1); 5.15.90-rc1",
    ),
    Change(
        commit="7e12beb8ca2a",
        subject="migrate_pages: batch flushing TLB",
        mainline="6.3-rc1",
        sets={"batched_migration": True},
        note="lists of NR_MAX_BATCHED_MIGRATION pages come with 5dfab109d519 of the same series",
        source="20230213123444.155149-1-ying.huang@intel.com; merged by mm-stable-2023-02-20-13-37",
    ),
    Change(
        commit="fb49c455323f",
        subject="fork: lock VMAs of the parent process when forking",
        mainline="6.5-rc1",
        sets={"fork_locks_vmas": True},
        stable={"6.4": 3},
        note="no series before 6.4 has faults without mmap_lock",
        source="the stable review 6.4.3-rc1 of 2023-07-09",
    ),
    Change(
        commit="2864f3d0f583",
        subject="mm: madvise: pageout: ignore references rather than clearing young",
        mainline="6.9-rc1",
        sets={"pageout_clears_young": False},
        source="20240226005739.24350-1-21cnbao@gmail.com; merged by mm-stable-2024-03-13-20-04",
    ),
    Change(
        commit="bc2ff4cbc329",
        subject="mm: free folios in a batch in shrink_folio_list()",
        mainline="6.9-rc1",
        sets={"reclaim_frees_batches": True},
        note="a batch has 15 folios until 9cecde80aae0 (6.9-rc2)",
        source="20240227174254.710559-12-willy@infradead.org: it may increase the number of IPIs",
    ),
    Change(
        commit="d7f861b9c43a",
        subject="mm/mmu_gather: add __tlb_remove_folio_pages()",
        mainline="6.9-rc1",
        sets={"folio_batches": True},
        note="9678 single pages of 4 KiB until a flush is forced, 9698 before",
        source="merged with v3 of 2024-02-14, 20240214204435.167852-9-david@redhat.com",
    ),
    Change(
        commit="59d9094df3d7",
        subject="mm: hugetlb: independent PMD page table shared count",
        mainline="6.13",
        sets={"share_count": "pt_share_count"},
        stable={"5.10": 239, "5.15": 186, "6.1": 142, "6.6": 72, "6.12": 9},
        source="CVE-2024-57883",
    ),
    Change(
        commit="1aa43598c03b",
        subject="mm: remove unnecessary calls to lru_add_drain",
        mainline="6.14-rc1",
        sets={"zap_drains_lru": False},
        source="mm-stable of January 2025, in the log of a push of mainline before f2fs-for-6.14-rc1; 4afeb0ed1753 "
        "measures with and without it",
    ),
    Change(
        commit="081056dc00a2",
        subject="mm/hugetlb: unshare page tables during VMA split, not before",
        mainline="6.16-rc1",
        sets={"unshare_at_split": "during"},
        stable={"5.10": 239, "5.15": 186, "6.1": 142, "6.6": 95, "6.12": 35, "6.15": 4},
        source="CVE-2025-38084",
    ),
    Change(
        commit="1013af4f585f",
        subject="mm/hugetlb: fix huge_pmd_unshare() vs GUP-fast race",
        mainline="6.16-rc1",
        sets={"unshare_sync": "per-table"},
        stable={"5.10": 239, "5.15": 186, "6.1": 142, "6.6": 95, "6.12": 35, "6.15": 4},
        source="CVE-2025-38085",
    ),
    Change(
        commit="43c4cfde7e37",
        subject="mm/madvise: batch tlb flushes for MADV_DONTNEED[_LOCKED]",
        mainline="6.16-rc1",
        sets={"madvise_gather": True},
        note="zap_page_range_single_batched() of de8efdf8cd27 in the same series (zap_vma_range_batched() by 7.2) ends "
        "the gather of the call before hugetlb_zap_end() and begins another",
        source="the source of 6.12.118 has one gather for each VMA; the oracle: 2 on 6.18 and later, 1 on 6.5 and 6.12",
    ),
    Change(
        commit="a6fde7add78d",
        subject="mm: use per_vma lock for MADV_DONTNEED",
        mainline="6.17-rc1",
        sets={"madvise_locks_vma": True},
        source="v4 of June 2025, and the log of a push of mainline, after 'userfaultfd: remove UFFD_CLOEXEC, "
        "UFFD_NONBLOCK, and UFFD_FLAGS_SET'",
    ),
    Change(
        commit="8ce720d5bd91",
        subject="mm/hugetlb: fix excessive IPI broadcasts when unsharing PMD tables using mmu_gather",
        mainline="6.19-rc7",
        sets={"unshare_sync": "last-sharer", "unshare_gather": True},
        stable={"5.10": 253, "5.15": 203, "6.1": 167, "6.6": 127, "6.12": 74, "6.18": 13},
        source="mm-hotfixes-stable-2026-01-20; the oracle (5.10, 6.1, 6.12); 5.15.203-rc1; ff37dd18ce77 in v6.6.127; "
        "6.18.13-rc1; CVE-2026-63875 fixes the follow-up c2ff4764e03e in the same series",
    ),
    Change(
        commit="1fb3d8c20bfa",
        subject="mm/mmu_gather: replace IPI with synchronize_rcu() when batch allocation fails",
        mainline="7.1-rc1",
        sets={"batch_failure": "rcu"},
        source="in the sources of 7.2.13 and 7.3.4, not in those of 7.0",
    ),
    Change(
        commit="6.12.118",
        subject="mm/hugetlb: fix mremap move length truncation",
        mainline=None,
        sets={"hugetlb_mremap_in_int": False},
        stable={"6.12": 118},
        note="named by its first stable release; mainline has it after 7.3",
        source="the source of 6.12.118, where the length is an unsigned long; that of 7.3.4 has the int",
    ),
    Change(
        commit="90ed32d00054",
        subject="mm/khugepaged: introduce mTHP collapse support",
        mainline="7.2-rc1",
        sets={"khugepaged_mthp": True},
        note="the hash is that of one mm tree in the merge window of 7.2, which is rebased; with b7f16963efe7 (run "
        "khugepaged for all orders) and c85418be9666 (swap entries count at PMD order) of the same series",
        source="v19 of 2026-06-05, 20260605161422.213817-1-npache@redhat.com; in the sources of 7.2.13 and 7.3.4, not "
        "in 7.0's; the oracle: 7.3.4",
    ),
    Change(
        commit="8df8a6028309",
        subject="smp: Enable preemption early in smp_call_function_many_cond()",
        mainline="7.3-rc1",
        sets={"ipi_waits_preemptible": True},
        note="with 66344732b058 (smp_call_function()) and 947c397f5991 (on_each_cpu_cond_mask()) of the same series; "
        "the interrupts are sent with preemption off",
        source="v9 of 2026-06-30 (Chuyi Zhou); tip's smp/core; in the source of 7.3.4",
    ),
    Change(
        commit="v4",
        subject="targeted TLB sync IPIs for lockless page table walkers (Lance Yang, 2026-02-02)",
        mainline=None,
        sets={"sync_targets": "walkers"},
        proposal=TARGETED_SYNC,
        note="each CPU says which mm it walks; the sync of an unsharing interrupts the walkers of its mm: "
        "with three sharers the walker of an earlier unsharer is missed where flushes are no IPIs",
        source="20260202074557.16544-1-lance.yang@linux.dev; v5 dropped it for a 3 percent cost in GUP-fast",
    ),
    Change(
        commit="v10",
        subject="skip redundant sync IPIs when TLB flush sent them (Lance Yang, 2026-04-24)",
        mainline=None,
        sets={"skip_redundant_sync": "native-ipi"},
        proposal=SKIP_REDUNDANT_SYNC,
        note="decided at boot: native flush_tlb_multi() and no INVLPGB; KVM, Xen and Hyper-V keep the sync",
        source="v7 20260309020711.20831-1-lance.yang@linux.dev to v10; not in the sources of 7.3.4",
    ),
)
"""The changes of mm/, in the order of their mainline releases; proposals last."""


@attrs.frozen
class Older:
    """A commit that every release known here has: what it set can be turned back by a what-if alone.

    Args:
        commit, subject: of the commit.
        mainline: the first release with it.
        switch: the switch whose default it is.
    """

    commit: str
    subject: str
    mainline: str
    switch: str


OLDER: tuple[Older, ...] = (
    Older(
        "99baac21e458", "mm: fix MADV_[FREE|DONTNEED] TLB flush miss problem", "4.13", "nested_gathers_flush"
    ),
    Older(
        "3ea277194daa",
        "mm, mprotect: flush TLB if potentially racing with a parallel reclaim leaving stale TLB entries",
        "4.13",
        "flush_batched_pending",
    ),
    Older(
        "d86564a2f085",
        "mm/tlb, x86/mm: Support invalidating TLB caches for RCU_TABLE_FREE",
        "4.19",
        "table_free_flushes",
    ),
    Older(
        "eb66ae030829",
        "mremap: properly flush TLB before releasing the page",
        "4.19",
        "mremap_flushes_locked",
    ),
)
"""Commits before 5.10, in the order of their releases."""


@attrs.frozen
class Open:
    """A defect that the newest release known has, and that is understood.

    Args:
        switch, value: what would make it go away; no commit does.
        page: where it is explained.
        call: the call that it takes, if it is not every call that unshares.
    """

    switch: str
    value: Any
    page: str
    call: str = ""


_UNSHARED = "docs/explanation/unshared-tables.md"
OPEN: tuple[Open, ...] = (
    Open("honour_unshared_tables", True, f"{_UNSHARED}: lazy CPUs are left out"),
    Open("range_truncation_16k", False, f"{_UNSHARED}: with 16K pages, an empty range"),
    Open("unshare_sets_freed_tables", True, f"{_UNSHARED}: exit flushes nothing", "exit"),
)
"""Defects that no commit closes yet."""
