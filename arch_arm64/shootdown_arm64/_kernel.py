"""The switches that only arm64 kernels have, the changes that moved them, and what a configuration selects."""

from __future__ import annotations

from typing import Literal

import attrs

from shootdown import Change, Expected, Kernel, ShootdownError, switch
from shootdown.porting import Contradiction

#: Address bits that each page size can be built with (arch/arm64/Kconfig, "Virtual address space size").
VA_BITS = {4096: (39, 48, 52), 16384: (36, 47, 48, 52), 65536: (42, 48, 52)}


@attrs.frozen
class Arm64Kernel:
    """What only an arm64 kernel has (arch/arm64/include/asm/tlbflush.h and tlb.h, arch/arm64/Kconfig)."""

    # --- configuration
    page_size: int = switch(
        4096,
        "bytes in a base page: CONFIG_ARM64_4K_PAGES, 16K or 64K",
        choices=(4096, 16384, 65536),
        words={"4k": 4096, "16k": 16384, "64k": 65536},
        configured=True,
    )
    va_bits: int = switch(
        48,
        "CONFIG_ARM64_VA_BITS; 4K pages have 39, 48 or 52, 16K have 36, 47, 48 or 52, 64K have 42, 48 or 52",
        choices=(36, 39, 42, 47, 48, 52),
        configured=True,
    )
    kpti: bool = switch(
        False,
        "the kernel is unmapped in user mode: each mm has a pair of ASIDs, and TLBIs by ASID come in pairs",
    )

    # --- which TLBIs a flush is made of (arch/arm64/include/asm/tlbflush.h)
    max_dvm_ops: int = switch(
        0,
        "a CPU without range operations flushes the ASID rather than so many pages (MAX_DVM_OPS, earlier "
        "MAX_TLBI_OPS); 0 is PTRS_PER_PTE",
        minimum=0,
    )
    range_limit_includes_max: bool = switch(
        True, "a range of exactly MAX_TLBI_RANGE_PAGES (2^21) flushes the ASID; otherwise only a longer one"
    )
    range_limit_without_tlbirange: bool = switch(
        True, "MAX_TLBI_RANGE_PAGES also limits CPUs that have no range operations"
    )
    batched_pending_flushes_mm: bool = switch(
        False,
        "who finds pages that reclaim has unmapped and not waited for flushes the ASID; otherwise it executes a DSB, "
        "which waits for TLBIs of its own CPU alone",
    )
    exit_ignores_unshared_tables: bool = switch(
        False,
        "exit flushes only for freed_tables, even where other flushes honour unshared_tables: the flush of an "
        "unsharing in exit is left out, as before c2ff4764e03e",
    )
    reuse_fault_flushes_locally: bool = switch(
        False, "a write fault that reuses its page flushes on its own CPU only (TLBI VALE1)"
    )
    contpte: bool = switch(
        False,
        "entries of large folios carry the Contiguous bit in whole blocks; changing one entry unfolds its block, and "
        "the block is flushed for it (CONFIG_ARM64_CONTPTE)",
    )
    contpte_elision: Literal["never", "bbml2", "bbml3"] = switch(
        "never",
        "folding and unfolding flush nothing on CPUs with platform.bbm=bbml2, or with bbml3 too",
        choices=("never", "bbml2", "bbml3"),
    )
    mprotect_batches: bool = switch(
        False,
        "mprotect() changes the entries of a folio together, so that blocks it covers whole stay folded",
    )
    repeat_tlbi: Literal["each", "once", "never"] = switch(
        "each",
        "on CPUs with an erratum (platform.tlbi_erratum) each TLBI is executed twice, or one more TLBI and DSB "
        "follow each DSB; never: the workaround isn't configured",
        choices=("each", "once", "never"),
    )
    erratum_4118414: bool = switch(
        False,
        "CONFIG_ARM64_ERRATUM_4118414: Cortex-A76 to Neoverse-V3 and others count as CPUs with the erratum",
    )
    erratum_4193714: bool = switch(
        False,
        "CONFIG_ARM64_ERRATUM_4193714: after the DSB the CPUs that run the mm in user mode with SME are interrupted, "
        "where they have that erratum (platform.sme_erratum)",
    )


CHANGES: tuple[Change, ...] = (
    Change(
        commit="45544eee9606",
        subject="arm64: mremap speedup - Enable HAVE_MOVE_PMD",
        mainline="5.10",
        sets={"mremap_moves_tables": "yes"},
        note="since 5.11 whole PMD tables are moved too, where both places lie alike up to a PUD entry: not counted so",
        source="arm64's fixes for 5.10-rc1, with 'arm64: link with -z norelro regardless of CONFIG_RELOCATABLE'",
    ),
    Change(
        commit="4f83145721f3",
        subject="mm: avoid unnecessary flush on change_huge_pmd()",
        mainline="5.19-rc1",
        sets={"thp_mprotect_flushes": True},
        note="x86 got a pmdp_invalidate_ad() that doesn't flush; arm64 has the generic one, which does",
        source="the oracle: VAE1IS besides the gather's VALE1IS on 6.12 and 7.2; 78fc63ffa781 says 5.19",
    ),
    Change(
        commit="d0637c505f8a",
        subject="arm64: enable THP_SWAP for arm64",
        mainline="6.0-rc1",
        sets={"thp_swap": "yes"},
        note="with 4K pages; until 6.9 not on hardware with MTE",
        source="arch/arm64/Kconfig of 6.5 and 7.0; 20220524071403.128644-1-21cnbao@gmail.com, whose v3 it is",
    ),
    Change(
        commit="cd7f176aea5f",
        subject="arm64/mm: try VMA lock-based page fault handling first",
        mainline="6.4-rc1",
        sets={"faults_lock_vmas": True},
        source="v4 of 2023-02-27, 20230227173632.3292573-1-surenb@google.com; merged for 6.4",
    ),
    Change(
        commit="43b3dfdd0455",
        subject="arm64: support batched/deferred tlb shootdown during page reclamation/migration",
        mainline="6.6-rc1",
        sets={"batched_unmap": True},
        source="v11 of 2023-07-17, 20230717131004.12662-1-yangyicong@huawei.com; 4b634918384c went to no older series",
    ),
    Change(
        commit="4602e5757bcc",
        subject="arm64/mm: wire up PTE_CONT for user mappings",
        mainline="6.9-rc1",
        sets={"contpte": True},
        note="with f0c2264958e1 (fold automatically) and 2bdba9868a4f (a THP that is split gets its 512 entries at "
        "once, so that its blocks are contiguous from the beginning); CONFIG_ARM64_CONTPTE, default y",
        source="v6 of 2024-02-15, 20240215103205.2607016-1-ryan.roberts@arm.com; the oracle: 17 VALE1IS on 6.12.73 and "
        "6.18.5 where one entry of a split THP changes",
    ),
    Change(
        commit="5b32510af77b",
        subject="arm64/mm: Add uffd write-protect support",
        mainline="6.10-rc1",
        sets={"userfaultfd_wp": True},
        source="arch/arm64/Kconfig: HAVE_ARCH_USERFAULTFD_WP if USERFAULTFD; arm64's for-next/mm of May 2024",
    ),
    Change(
        commit="73301e464a72",
        subject="arm64: tlb: Allow range operation for MAX_TLBI_RANGE_PAGES",
        mainline="6.10-rc1",
        sets={"range_limit_includes_max": False},
        source="applied to arm64 for-next on top of v6.9-rc4's e3ba51ab24fd; not in the source of 5.10.262; "
        "the oracle: 8 GiB by one range operation on 6.12.74",
    ),
    Change(
        commit="4b634918384c",
        subject="arm64/mm: Close theoretical race where stale TLB entry remains valid",
        mainline="6.16-rc1",
        sets={"batched_pending_flushes_mm": True},
        stable={"6.6": 95, "6.12": 35, "6.15": 4},
        source="arm64's fixes for -rc1, 20250605134126.GA4845@willie-the-truck; the announcement of 6.6.95 and the "
        "stable reviews of 2025-06-23",
    ),
    Change(
        commit="cac1db8c3aad",
        subject="mm: optimize mprotect() by PTE batching",
        mainline="6.17-rc1",
        sets={"mprotect_batches": True},
        note="with 7efa1cd5f89b (arm64's batched ptep_modify_prot_start() and commit())",
    ),
    Change(
        commit="83bbd6be7d17",
        subject="arm64/mm: Elide tlbi in contpte_convert() under BBML2",
        mainline="6.17-rc1",
        sets={"contpte_elision": "bbml2"},
        note="only CPUs of a list: Cortex-X4, Neoverse-V3 and V3AE; 7.2 has NVIDIA Olympus, AmpereOne and 1A too",
    ),
    Change(
        commit="cb1fa2e99955",
        subject="arm64, tlbflush: don't TLBI broadcast if page reused in write fault",
        mainline="6.19-rc1",
        sets={"reuse_fault_flushes_locally": True},
        source="v6.19 by its lore threads (v6 of 2025-11-14); the oracle: VALE1 on 7.2.13, none on 6.12",
    ),
    Change(
        commit="c320dbb7c80d",
        subject="arm64/mm: Elide TLB flush in certain pte protection transitions",
        mainline="6.19-rc1",
        sets={"unchanged_flushes": False},
        source="its version 2 is based on 6.18-rc1; arch/arm64/include/asm/tlbflush.h: __pte_flags_need_flush()",
    ),
    Change(
        commit="a8f78680ee6b",
        subject="arm64: tlb: Optimize ARM64_WORKAROUND_REPEAT_TLBI",
        mainline="7.0",
        sets={"repeat_tlbi": "once"},
        stable={"5.10": 259, "5.15": 210, "6.1": 176, "6.6": 143, "6.12": 94, "6.18": 25},
        source="Rutland's backports of 2026-06-11 (20260611134024.1700323-1-mark.rutland@arm.com: upstream since "
        "v7.0, already in 6.18.y); Debian's changelogs (5.10.259-1, 6.1.176-1, 6.12.94-1); the stable review "
        "6.18.25-rc1 of 2026-04-24",
    ),
    Change(
        commit="53cd7a06274d",
        subject="mm: make PT_RECLAIM depends on MMU_GATHER_RCU_TABLE_FREE",
        mainline="7.0-rc1",
        sets={"pt_reclaim": True},
        note="the hash is that of one linux-next; mm-unstable was rebased since",
        source="the source of 7.0: def_bool y, on every architecture with RCU table freeing",
    ),
    Change(
        commit="c753d667d959",
        subject="arm64: mm: Simplify __flush_tlb_range_limit_excess()",
        mainline="7.1-rc1",
        sets={"range_limit_without_tlbirange": False},
        note="Deacon's and Roberts' rework of the TLBI interface: 512 GiB by one VAE1IS where the ASID went before",
        source="posted as 20250711161732.384-10-will@kernel.org; in arm64's for-next of v7.0-rc4; the source of "
        "7.2.13; the oracle: munmap is ASIDE1IS and VAE1IS on 7.2.13, two ASIDE1IS on 6.12.95",
    ),
    Change(
        commit="11f6dd8dd283",
        subject="arm64: mm: Refactor __flush_tlb_range() to take flags",
        mainline="7.1-rc1",
        sets={"exit_ignores_unshared_tables": True},
        note="last_level, which exit looked at too, became a flag; exit now looks at freed_tables itself, so that "
        "c2ff4764e03e does not reach it in mainline, but does in the backports",
        source="the sources of 7.2.13 and 7.3.4, and the 7.0.y backport 20260531002354.3659423-1-sashal@kernel.org; "
        "the oracle: exit is one ASIDE1IS on 7.2.13 and two on 6.12.95",
    ),
    Change(
        commit="c2ff4764e03e",
        subject="arm64: tlb: Flush walk cache when unsharing PMD tables",
        mainline="7.1",
        sets={"honour_unshared_tables": True},
        stable={
            "5.10": 259,
            "5.15": 210,
            "6.1": 176,
            "6.6": 143,
            "6.12": 93,
            "6.18": 35,
            "7.0": 12,
        },
        source="CVE-2026-63875; Debian's changelogs; the oracle: 6.12.74 without, 6.12.95 with it",
    ),
    Change(
        commit="0baba94a9779",
        subject="arm64: errata: Work around early CME DVMSync acknowledgement",
        mainline="7.1-rc1",
        sets={"erratum_4193714": True},
        stable={"6.18": 25},
        note="CVE-2026-0995; whether 7.0 and 6.12 got it is UNVERIFIED, and no result says so: it matters where "
        "platform.sme_erratum is set alone",
        source="20260421100018.335793-7-catalin.marinas@arm.com, which names it; the stable review 6.18.25-rc1 of "
        "2026-04-24; absent in the source of 7.0",
    ),
    Change(
        commit="cfd391e74134",
        subject="arm64: errata: Mitigate TLBI errata on various Arm CPUs",
        mainline="7.2-rc1",
        sets={"repeat_tlbi": "once", "erratum_4118414": True},
        stable={
            "5.10": 259,
            "5.15": 210,
            "6.1": 176,
            "6.6": 143,
            "6.12": 94,
            "6.18": 36,
            "7.0": 13,
            "7.1": 1,
        },
        note="CVE-2025-10263; its backports bring a8f78680ee6b with them",
        source="the stable reviews of 2026-06-16 (5.15.210, 6.6.143, 6.12.94); Debian's changelogs (5.10.259-1, "
        "6.1.176-1, 7.1.1-1); 6.18.36 and 7.0.13 are the first releases after the backports of that day",
    ),
    Change(
        commit="a7ac60414475",
        subject="arm64: cpufeature: Extend bbml2_noabort support list",
        mainline="7.3-rc1",
        sets={"contpte_elision": "bbml3"},
        note="with e4fa24624308 and 94104e3cfa80 (which rename it BBML3) and 879aca5119cd (ID_AA64MMFR2_EL1.BBM of 3 "
        "is believed) of the same series",
        source="in seven trees under these hashes; cpu_supports_bbml3() in the source of 7.3.4, "
        "cpu_supports_bbml2_noabort() in those of 7.0 and 7.2.13",
    ),
)
"""The changes of arch/arm64, in the order of their mainline releases."""


def configure(kernel: Kernel) -> Kernel:
    """Return the kernel with what its configuration selects (arch/arm64/Kconfig).

    Args:
        kernel: one whose `arch` is an `Arm64Kernel`.

    Raises:
        ShootdownError: no kernel of this page size has so many address bits.
    """
    possible = VA_BITS[kernel.page_size]
    if kernel.va_bits not in possible:
        raise ShootdownError(
            f"va_bits={kernel.va_bits} with pages of {kernel.page_size >> 10}K: there is "
            f"{', '.join(map(str, possible))}; set kernel.page_size too"
        )
    return attrs.evolve(
        kernel,
        pmd_sharing=kernel.pmd_sharing and why_no_sharing(kernel) is None,
        thp_swap=kernel.thp_swap
        if kernel.page_size == 4096
        else "no",  # ARCH_WANTS_THP_SWAP if ARM64_4K_PAGES
    )


def why_no_sharing(kernel: Kernel) -> str | None:
    """Return why the page size and address bits rule PMD sharing out, or None where they don't.

    arch/arm64/Kconfig selects ARCH_WANT_HUGE_PMD_SHARE with 4K pages, and with 16K pages but for 36 bits.
    """
    if kernel.page_size == 65536:
        return (
            "arm64 shares no PMD tables with 64K pages: a table would map 4 TiB, and ARCH_WANT_HUGE_PMD_SHARE is "
            "selected with 4K and 16K pages only"
        )
    if kernel.page_size == 16384 and kernel.va_bits == 36:
        return (
            "arm64 shares no PMD tables with 16K pages and 36 address bits: there are two levels, and the PMD "
            "table is the root"
        )
    return None


CONTRADICTIONS: tuple[Contradiction, ...] = (
    Contradiction(
        ("platform.flush",),
        lambda kernel, platform: platform.flush not in ("auto", "ipi", "broadcast"),
        "arm64 flushes by TLBIs that reach every CPU (broadcast); IPIs (ipi) are a what-if",
    ),
    Contradiction(
        ("kernel.page_size", "kernel.pmd_sharing"),
        lambda kernel, platform: kernel.pmd_sharing and kernel.page_size == 16384 and kernel.va_bits == 36,
        "with two levels the PMD table is the root and nothing can point to it twice",
    ),
)
"""Settings that cannot hold on arm64, alone or together."""

EXPECTED: tuple[Expected, ...] = (
    Expected(
        ("5.1", "5.2", "6.1"),
        "4b634918384c: DSB ISH waits for the TLBIs of its own CPU, not for those of the CPU that reclaims",
        about="arch_flush_tlb_batched_pending",
        when=lambda kernel, platform: kernel.batched_unmap and not kernel.arch.batched_pending_flushes_mm,
    ),
)
"""What the compliance suite finds on real arm64 kernels."""
