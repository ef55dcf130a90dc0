"""A kernel as named, citable switches.

Kernels differ by the values of these fields and by nothing else: no code asks for a version. The table of
changes (`_releases.py`, and each architecture's own) says which commit moved which switch, and when.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs


def switch(default: Any, doc: str, *, choices: tuple[Any, ...] = (), minimum: int | None = None) -> Any:
    """Declare one switch of a kernel: a frozen field that carries its own documentation and range.

    Args:
        default: the value before any change in the tables was made (the state of v5.10).
        doc: one plain sentence: what the kernel does when the switch is set.
        choices: the values allowed; empty for booleans and integers.
        minimum: the smallest integer allowed.
    """
    return attrs.field(
        default=default, metadata={"doc": doc, "choices": choices, "minimum": minimum}, kw_only=True
    )


def switches_of(value: Any) -> tuple[tuple[str, Any], ...]:
    """Return the switches that an attrs class or value declares, as pairs of name and attrs attribute."""
    cls = value if isinstance(value, type) else type(value)
    return tuple((field.name, field) for field in attrs.fields(cls) if "doc" in field.metadata)


@attrs.frozen
class NoSwitches:
    """The architecture adds no switches of its own."""


@attrs.frozen
class Kernel:
    """One kernel generation: what it does when page tables are torn down, unshared and flushed.

    Values come from `shootdown.kernel("6.12.74", "x86")`; a what-if is `attrs.evolve(kernel, field=...)`.

    Args:
        name: what was asked for, such as `6.12.74` or `proposal:skip-redundant-sync`.
        release: the release it resolves to.
        arch: the switches that only this architecture has (a frozen value of the plugin's).
        remarks: what a reader of results must know (unverified backports, what-ifs).
    """

    name: str
    release: str
    arch: Any = attrs.field(factory=NoSwitches)
    remarks: tuple[str, ...] = ()

    # --- configuration that a distribution chooses
    page_size: int = switch(4096, "bytes in a base page")
    va_bits: int = switch(48, "bits of user virtual address that the page tables translate")

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
        "when no batch page can be had, a table is freed after a sync broadcast, or after synchronize_rcu()",
        choices=("sync", "rcu"),
    )
    delayed_rmap: bool = switch(
        False, "the rmap of dirty file pages is removed after the TLB flush (tlb_flush_rmaps)"
    )

    # --- hugetlb PMD sharing (mm/hugetlb.c)
    pmd_sharing: bool = switch(
        True, "processes share hugetlb PMD tables (CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING)"
    )
    fork_shares_pmd: bool = switch(
        True, "fork() shares the PMD tables; otherwise the child's first fault does"
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
    unshare_at_split: Literal["before", "during"] = switch(
        "before", "hugetlb tables are unshared before a VMA split, or during it", choices=("before", "during")
    )
    sync_targets: Literal["all", "own-mm"] = switch(
        "all", "whom the sync interrupts: all online CPUs, or those of the own mm", choices=("all", "own-mm")
    )
    skip_redundant_sync: Literal["never", "native-ipi", "always"] = switch(
        "never",
        "tlb_remove_table_sync_one() returns early: never, where TLB flushes are native IPIs, or always",
        choices=("never", "native-ipi", "always"),
    )
    honour_unshared_tables: bool = switch(
        False, "the architecture's flush treats unshared_tables as it treats freed_tables"
    )
    honour_freed_tables: bool = switch(True, "the architecture's flush looks at freed_tables at all")
    unshare_sets_freed_tables: bool = switch(
        False,
        "unsharing sets freed_tables instead of unshared_tables (the alternative of the commit message)",
    )
    gup_rechecks_pud: bool = switch(
        False, "GUP-fast reads the PUD entry again after it took the page (an alternative to the sync)"
    )
    hugetlb_vma_lock: bool = switch(False, "PMD sharing is serialised by a per-VMA lock besides i_mmap_rwsem")

    # --- who flushes through a gather, and which operations exist
    mprotect_gather: bool = switch(False, "ordinary mprotect() flushes through an mmu_gather")
    hugetlb_mremap: bool = switch(False, "mremap() of hugetlb mappings exists")
    hugetlb_madvise_dontneed: bool = switch(False, "madvise(MADV_DONTNEED) of hugetlb mappings exists")
    khugepaged_sync: bool = switch(
        False, "khugepaged calls tlb_remove_table_sync_one() after it withdrew a page table"
    )
