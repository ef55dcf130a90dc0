"""A kernel as named, citable switches.

Kernels differ by the values of these fields and by nothing else: no code asks for a version. The table of
changes (`changes.py`, and each architecture's own) says which commit moved which switch, and when.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Container, Mapping
from typing import Any, Literal

import attrs

from shootdown._values.checked import Judge, judge_of
from shootdown._values.errors import shown, typed
from shootdown._values.explained import explained
from shootdown._values.patch import AppliedPatch
from shootdown._values.sites import mistake


def switch(
    default: Any,
    doc: str,
    *,
    choices: tuple[Any, ...] = (),
    minimum: int | None = None,
    maximum: int | None = None,
    words: Mapping[str, Any] | None = None,
    configured: bool = False,
) -> Any:
    """Declare one switch: a frozen field that carries its own documentation and range.

    Args:
        default: the value before any change in the tables was made (the state of v5.10).
        doc: one plain sentence: what the kernel does when the switch is set.
        choices: the values allowed; empty for booleans, free text and integers in a range.
        minimum: the smallest integer allowed.
        maximum: the largest integer allowed.
        words: further ways to write a value, such as `true` for `always`.
        configured: whoever builds a kernel chooses it: another value than the default is no what-if.

    Raises:
        MistakeError: the default, the sentence or the choices are of another type. Whether the default is in its range
            is looked at when the plugin is loaded.
    """
    if not isinstance(default, bool | int | str):
        raise mistake(f"switch({shown(default)}): a default is a bool, an int or a str, not {typed(default)}")
    if not isinstance(doc, str):
        raise mistake(f"switch({default!r}, {shown(doc)}): say in a sentence what it does")
    if isinstance(choices, str) or not isinstance(choices, list | tuple):
        raise mistake(f"switch({default!r}): choices is {typed(choices)}, not a list or tuple")
    return attrs.field(
        default=default,
        metadata={
            "doc": doc,
            "choices": tuple(choices),
            "minimum": minimum,
            "maximum": maximum,
            "words": dict(words or {}),
            "configured": configured,
        },
        kw_only=True,
    )


def switches_of(value: Any) -> tuple[tuple[str, Any], ...]:
    """Return the switches that an attrs class or value declares, as pairs of name and attrs attribute."""
    cls = value if isinstance(value, type) else type(value)
    return tuple((field.name, field) for field in attrs.fields(cls) if "doc" in field.metadata)


def out_of_place(value: Any, but: Container[str] = ()) -> str:
    """Say which switch of a value has another type than it declares, or is out of its range; empty if none is.

    Args:
        value: of an attrs class.
        but: names of switches that another class declares again.
    """
    cls: Any = type(value)  # to mypy, type[Any] is not hashable
    for name, judge in _judges(cls):
        if name not in but and (problem := judge(getattr(value, name))):
            return f"{name} {problem}"
    return ""


@functools.cache
def _judges(cls: type[Any]) -> tuple[tuple[str, Judge], ...]:
    """Return what judges each switch of a class. Platforms share classes."""
    return tuple((name, judge_of(field, sys.modules[cls.__module__])) for name, field in switches_of(cls))


@attrs.frozen
class NoSwitches:
    """An architecture or platform without switches of its own."""


@explained
@attrs.frozen
class Kernel:
    """One kernel generation: what it does when page tables are torn down, unshared and flushed.

    Values come from `shootdown.kernel("6.12.74", "x86")`; a what-if is `attrs.evolve(kernel, field=...)`.

    Args:
        name: the name as it was typed, such as `6.12.74` or `proposal:skip-redundant-sync`.
        release: the release it resolves to.
        arch: the switches that only this architecture has (a frozen value of the plugin's).
        remarks: caveats for the reader of a result (unverified backports, what-ifs).
        patch: what replaces some of its functions.
    """

    name: str
    release: str
    arch: Any = attrs.field(factory=NoSwitches)
    remarks: tuple[str, ...] = ()
    patch: AppliedPatch | None = attrs.field(default=None, repr=False, kw_only=True)

    # --- configuration that a distribution chooses
    # (an architecture that offers other sizes declares these two again, with its choices)
    page_size: int = switch(4096, "bytes in a base page", choices=(4096,), configured=True)
    va_bits: int = switch(
        48, "bits of user virtual address that the page tables translate", choices=(48,), configured=True
    )

    # --- table freeing (mm/mmu_gather.c)
    rcu_table_free: bool = switch(
        True, "page-table pages are freed after an RCU grace period (CONFIG_MMU_GATHER_RCU_TABLE_FREE)"
    )
    merge_vmas: bool = switch(
        False, "tlb_end_vma() does not flush: one flush may serve several VMAs (CONFIG_MMU_GATHER_MERGE_VMAS)"
    )
    pt_reclaim: bool = switch(
        False, "madvise(MADV_DONTNEED) frees page tables that became empty (CONFIG_PT_RECLAIM)"
    )
    batch_failure: Literal["sync", "rcu"] = switch(
        "sync",
        "when no batch page can be had, a table is freed after a sync broadcast, or after synchronize_rcu(); "
        "with pt_reclaim by call_rcu() in either case",
        choices=("sync", "rcu"),
    )
    gather_page_size: bool = switch(
        False, "entries of one gather have one size: others are flushed first (CONFIG_MMU_GATHER_PAGE_SIZE)"
    )
    hugetlb_free_keeps_page_size: bool = switch(
        False,
        "hugetlb_free_pgd_range() is the architecture's and leaves the gather's page size: one flush is for huge "
        "pages and their tables",
    )
    lazy_tlb_shootdown: bool = switch(
        False,
        "the last reference to an mm interrupts CPUs that are lazily on it (CONFIG_MMU_LAZY_TLB_SHOOTDOWN)",
    )
    delayed_rmap: bool = switch(
        False,
        "the rmap of dirty file pages is removed after the TLB flush (tlb_flush_rmaps); a gather with such pages "
        "begins no third batch",
    )
    gather_pages: bool = switch(
        True,
        "pages wait in a gather until it has flushed; otherwise they are freed as their entries are cleared, and none "
        "forces a flush (CONFIG_MMU_GATHER_NO_GATHER)",
    )
    folio_batches: bool = switch(
        False,
        "a run of a folio's pages takes two slots of a batch, so that a batch is full with one slot left "
        "(__tlb_remove_folio_pages); otherwise with none",
    )

    # --- what 5.10 had already, so that no release known here lacks it; `OLDER` of changes.py names the commits
    nested_gathers_flush: bool = switch(
        True,
        "tlb_finish_mmu() flushes everything if another gather of the mm is pending, which may have cleared what this "
        "one found gone (99baac21e458, 4.13)",
    )
    mremap_flushes_locked: bool = switch(
        True, "mremap() flushes before it releases the page-table locks (eb66ae030829, 4.19: CVE-2018-18281)"
    )
    mremap_moves_tables: Literal["unknown", "no", "yes"] = switch(
        "unknown",
        "mremap() moves a page table as it is, with one flush, where all that it maps moves and lies alike "
        "(CONFIG_HAVE_MOVE_PMD); unknown: moves of so much memory are not counted",
        choices=("unknown", "no", "yes"),
    )
    flush_batched_pending: bool = switch(
        True,
        "munmap(), madvise(), mprotect(), mremap() and truncation flush what reclaim has unmapped and not flushed yet "
        "(3ea277194daa, 4.13)",
    )
    table_free_flushes: bool = switch(
        True,
        "a batch of page tables, or one that finds no batch, is freed after a flush where hardware walks tables "
        "(d86564a2f085, 4.19)",
    )

    # --- faults (mm/memory.c)
    fault_around: int = switch(
        65536,
        "bytes of a file that a read fault maps at once, as far as the page cache has them (fault_around_bytes; "
        "8c6e50b0290c, 3.15)",
        choices=tuple(1 << bits for bits in range(12, 22)),
    )

    # --- hugetlb PMD sharing (mm/hugetlb.c)
    pmd_sharing: bool = switch(
        True, "processes share hugetlb PMD tables (CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING)"
    )
    fork_shares_pmd: bool = switch(
        True, "fork() shares the PMD tables; otherwise the child's first fault does"
    )
    zap_drains_lru: bool = switch(
        True, "munmap(), madvise() and exit() call lru_add_drain(), which takes the node's lru_lock"
    )
    hugetlb_visits_absent: bool = switch(
        True,
        "fork(), exit() and unmapping step over every huge page of a hugetlb VMA, even where no table is; otherwise "
        "they skip to the end of the table that is not there",
    )
    share_count: Literal["page_count", "pt_share_count"] = switch(
        "page_count", "where the number of sharers is kept", choices=("page_count", "pt_share_count")
    )
    unshare_sync: Literal["none", "per-table", "last-sharer"] = switch(
        "none",
        "when unsharing broadcasts tlb_remove_table_sync_one(): never, for each table, or once per VMA if a "
        "table became exclusive",
        choices=("none", "per-table", "last-sharer"),
    )
    unshare_gather: bool = switch(
        False, "mprotect, mremap, split and the reverse map unshare through an mmu_gather of their own"
    )
    unshare_flush: Literal["none", "locked", "after-unlock"] = switch(
        "locked",
        "when the TLB flush of an unsharing happens: never, before i_mmap_rwsem drops, or after",
        choices=("none", "locked", "after-unlock"),
    )
    zap_flushes_unshared: bool = switch(
        False, "munmap, exit, truncate and hole punch flush for a table that they unshared; others always do"
    )
    unshare_at_split: Literal["never", "before", "during"] = switch(
        "never",
        "hugetlb tables that a VMA split cuts are not unshared, unshared before the split, or during it",
        choices=("never", "before", "during"),
    )
    sync_targets: Literal["all", "own-mm", "walkers"] = switch(
        "all",
        "whom the sync interrupts: all online CPUs, those of the own mm, or those that are inside a lockless "
        "walk of the own mm",
        choices=("all", "own-mm", "walkers"),
    )
    skip_redundant_sync: Literal["never", "native-ipi", "always"] = switch(
        "never",
        "tlb_remove_table_sync_one() returns early: never, where TLB flushes are native IPIs, or always",
        choices=("never", "native-ipi", "always"),
        words={"true": "always", "false": "never"},
    )
    honour_unshared_tables: bool = switch(
        False, "the architecture's flush treats unshared_tables as it treats freed_tables"
    )
    honour_freed_tables: bool = switch(True, "the architecture's flush looks at freed_tables at all")
    range_truncation_16k: bool = switch(
        True,
        "a gather takes the size of a range in 32 bits: the range of a PUD entry of 64 GiB (16K pages) is empty",
    )
    unshare_sets_freed_tables: bool = switch(
        False,
        "unsharing sets freed_tables instead of unshared_tables (the alternative of the commit message)",
    )
    gup_fast: bool = switch(
        True, "GUP-fast exists (CONFIG_HAVE_GUP_FAST): page tables are walked without a lock, interrupts off"
    )
    gup_rechecks_pud: bool = switch(
        False, "GUP-fast reads the PUD entry again after it took the page (an alternative to the sync)"
    )
    gup_rechecks_pmd: bool = switch(
        False, "GUP-fast reads the PMD entry again after it took the page of a PTE"
    )
    gup_sees_fork: bool = switch(
        False, "GUP-fast that pins a page gives up if fork() copies page tables meanwhile (write_protect_seq)"
    )
    faults_lock_vmas: bool = switch(
        False, "page faults take the lock of a VMA and no mmap_lock (CONFIG_PER_VMA_LOCK)"
    )
    madvise_locks_vma: bool = switch(
        False,
        "madvise(MADV_DONTNEED) of one VMA takes its lock and no mmap_lock, where faults do (CONFIG_PER_VMA_LOCK)",
    )
    fork_locks_vmas: bool = switch(
        False,
        "fork() takes the locks of the parent's VMAs, so that no page fault comes between its write protection and its "
        "flush",
    )
    hugetlb_vma_lock: bool = switch(False, "PMD sharing is serialised by a per-VMA lock besides i_mmap_rwsem")

    # --- interrupts to other CPUs (kernel/smp.c)
    ipi_waits_preemptible: bool = switch(
        False,
        "a task that waits for other CPUs to answer an interrupt may be preempted, and go on elsewhere: exploration "
        "tries it, timed runs don't",
    )

    # --- unmapping by reclaim and migration (mm/rmap.c, mm/vmscan.c, mm/migrate.c)
    batched_unmap: bool = switch(
        False,
        "reclaim unmaps pages of a list and flushes once for all of them, where the architecture says so "
        "(CONFIG_ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH)",
    )
    batched_migration: bool = switch(
        False, "migration unmaps pages of a list and flushes once for all of them, where reclaim does"
    )
    pageout_clears_young: bool = switch(
        True,
        "madvise(MADV_PAGEOUT) makes entries old first, which a gather flushes; otherwise reclaim is told to ignore "
        "references",
    )
    reclaim_frees_batches: bool = switch(
        False,
        "reclaim frees pages 31 at a time (PAGEVEC_SIZE), after a flush of what it has unmapped until then; otherwise "
        "at the end of its list",
    )
    thp_swap: Literal["unknown", "no", "yes"] = switch(
        "no",
        "a transparent huge page is swapped whole (CONFIG_THP_SWAP, to a swap device that has so much room in a row); "
        "otherwise it is split before; unknown: its reclaim is not counted",
        choices=("unknown", "no", "yes"),
    )
    batched_flushes_counted: bool = switch(
        False,
        "mm->tlb_flush_batched counts: who flushes what reclaim has unmapped does not forget what it unmaps meanwhile",
    )

    migrate_device_flushes_locked: bool = switch(
        False,
        "migrate_vma_setup() flushes what it has cleared before it releases the page-table lock; otherwise after it",
    )

    # --- who flushes through a gather, and which operations exist
    pfn_maps_flush_early: bool = switch(
        False,
        "munmap() of a VM_PFNMAP mapping flushes before the VMA leaves the file's tree (tlb_end_vma(), later "
        "tlb_free_vmas()), so that unmap_mapping_range() finds it until then",
    )
    mprotect_gather: bool = switch(False, "ordinary mprotect() flushes through an mmu_gather")
    widening_flushes: bool = switch(
        True, "mprotect() through a gather flushes entries that it only widens (pte_needs_flush() says so)"
    )
    unchanged_flushes: bool = switch(
        True, "mprotect() through a gather flushes entries that stay as they are (pte_needs_flush() says so)"
    )
    thp_zap_flushes: bool = switch(
        False,
        "clearing a THP's PMD flushes it at once, besides the gather's flush (unless all of the mm goes)",
    )
    thp_mprotect_flushes: bool = switch(
        True, "mprotect() of a THP flushes its PMD at once, besides the flush that ends mprotect()"
    )
    hugetlb_mremap: bool = switch(False, "mremap() of hugetlb mappings exists")
    hugetlb_mremap_in_int: bool = switch(
        True,
        "move_hugetlb_page_tables() returns the bytes that it moved as an int: of 4 GiB nothing is left, so that "
        "mremap() undoes the move and fails with ENOMEM",
    )
    hugetlb_madvise_dontneed: bool = switch(False, "madvise(MADV_DONTNEED) of hugetlb mappings exists")
    madvise_gather: bool = switch(
        False,
        "madvise(MADV_DONTNEED) has one mmu_gather for the whole call; a hugetlb VMA ends it and begins another",
    )
    khugepaged_sync: bool = switch(
        False, "khugepaged calls tlb_remove_table_sync_one() after it withdrew a page table"
    )
    khugepaged_deposits_new_table: bool = switch(
        False,
        "khugepaged deposits a new page table with the huge page and frees the withdrawn one by RCU (proposed: "
        "page-table freeing by RCU everywhere, v5)",
    )
    khugepaged_mthp: bool = switch(
        False, "khugepaged also collapses to the enabled orders below PMD order, in anonymous mappings"
    )
    userfaultfd_wp: bool = switch(
        False, "userfaultfd can write-protect pages on this architecture (CONFIG_HAVE_ARCH_USERFAULTFD_WP)"
    )
    madv_collapse: bool = switch(False, "madvise(MADV_COLLAPSE) exists: a process collapses for itself")


def settled(kernel: Kernel) -> Kernel:
    """Return the kernel with the values that follow from its other switches on every architecture.

    Args:
        kernel: any kernel; CONFIG_PT_RECLAIM depends on (before 7.0: selects) MMU_GATHER_RCU_TABLE_FREE.
    """
    return attrs.evolve(kernel, pt_reclaim=kernel.pt_reclaim and kernel.rcu_table_free)
