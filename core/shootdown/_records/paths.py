"""Which kernel path a stack belongs to: functions of mm/ and their neighbours, with where each stands.

An architecture's own functions are in its plugin. The order is that of the rules: the first that matches tells, so that
what is special stands before what it calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import attrs

from shootdown._values.recorded import StackName

_SUFFIX = re.compile(r"(?:\.(?:isra|constprop|part|cold|llvm|lto_priv)(?:\.\d+)*)+$")
_OFFSET = re.compile(r"\+(?:0x)?[0-9a-fA-F]+(?:/0x[0-9a-fA-F]+)?$")
#: How system calls are called on the way in: `__x64_sys_munmap`, `__se_sys_munmap`, `__do_sys_munmap`, `ksys_munmap`.
_SYSCALL = re.compile(
    r"^(?:__\w{1,10}_(?:compat_)?sys_|__(?:se|do)_(?:compat_)?sys_|k?sys_|compat_sys_)([a-z0-9_]+)$"
)


@attrs.frozen
class Rule:
    """Functions of which any one in a stack tells what the flush is for.

    Args:
        path: the name of what happened.
        functions: any of them in a stack.
        flushes: whether it is a flush of user pages.
        source: where the functions stand.
        doc: a remark for people; empty for none.
    """

    path: str
    functions: tuple[str, ...]
    source: str
    flushes: bool = True
    doc: str = ""


MEMBARRIER, SYNC, KERNEL, ANSWER, UNTOLD = "membarrier", "table sync", "kernel range", "answer", ""

#: What runs the calls that other CPUs queued (kernel/smp.c): who called it was interrupted, and has no part in it.
HANDLERS = frozenset(
    {
        "__flush_smp_call_function_queue",
        "flush_smp_call_function_queue",
        "generic_smp_call_function_single_interrupt",
    }
)

RULES: tuple[Rule, ...] = (
    Rule(MEMBARRIER, ("membarrier_private_expedited", "membarrier_global_expedited", "ipi_mb", "ipi_sync_core",
                      "ipi_sync_rq_state", "ipi_rseq", "sync_runqueues_membarrier_state"),
         "kernel/sched/membarrier.c", flushes=False, doc="no TLB flush: a memory barrier on the process's other CPUs"),
    Rule(SYNC, ("tlb_remove_table_sync_one", "tlb_remove_table_smp_sync"), "mm/mmu_gather.c", flushes=False,
         doc="no TLB flush: an empty interrupt to all other CPUs, so that GUP-fast is out of a page table"),
    Rule("hypervisor", ("kvm_make_all_cpus_request", "kvm_make_vcpus_request_mask", "kvm_flush_remote_tlbs",
                        "kvm_kick_many_cpus", "kvm_mmu_notifier_invalidate_range_start", "kvm_vcpu_kick",
                        "kvm_flush_remote_tlbs_range", "ack_kick", "ack_flush"),
         "virt/kvm/kvm_main.c", flushes=False, doc="vCPUs are kicked out of the guest: KVM's page tables, not Linux's"),
    Rule("set_memory", ("change_page_attr_set_clr", "cpa_flush", "__change_page_attr_set_clr", "set_memory_ro",
                        "set_memory_rw", "set_memory_x", "set_memory_nx", "set_memory_rox"),
         "kernel's set_memory_*()", flushes=False, doc="kernel addresses change their rights: modules, BPF"),
    Rule("vunmap", ("__purge_vmap_area_lazy", "purge_vmap_node", "_vm_unmap_aliases", "drain_vmap_area_work",
                    "free_vmap_area_noflush", "vunmap_range", "remove_vm_area", "purge_vmap_area_lazy"),
         "mm/vmalloc.c", flushes=False, doc="kernel addresses: vfree() and vunmap(), flushed many at once"),
    Rule(KERNEL, ("flush_tlb_kernel_range", "do_kernel_range_flush"), "asm/tlbflush.h", flushes=False,
         doc="kernel addresses on all CPUs: vfree(), vunmap(), modules"),
    Rule("code patching", ("text_poke_bp_batch", "smp_text_poke_batch_finish", "text_poke_sync", "do_sync_core",
                           "text_poke_finish", "aarch64_insn_patch_text_nosync", "patch_text_stop_machine"),
         "kernel code is patched", flushes=False, doc="no TLB flush: CPUs are serialised after code changed"),
    Rule("wake-up", ("sched_ttwu_pending", "ttwu_queue_wakelist", "try_to_wake_up", "__smp_call_single_queue"),
         "kernel/sched/core.c", flushes=False, doc="no TLB flush: a task is woken on another CPU"),
    Rule("RCU expedited", ("rcu_exp_handler", "sync_rcu_exp_select_node_cpus", "synchronize_rcu_expedited"),
         "kernel/rcu/tree_exp.h", flushes=False, doc="no TLB flush"),
    Rule("hugetlb unshare", ("huge_pmd_unshare", "hugetlb_unshare_pmds", "hugetlb_unshare_all_pmds",
                             "huge_pmd_unshare_flush"), "mm/hugetlb.c"),
    Rule("COW", ("wp_page_copy", "do_wp_page", "do_huge_pmd_wp_page", "hugetlb_wp", "hugetlb_cow", "wp_huge_pmd",
                 "do_wp_page_fault", "wp_page_reuse"), "mm/memory.c, mm/huge_memory.c, mm/hugetlb.c",
         doc="a write to a page that fork() or a file shares"),
    Rule("mkclean", ("page_mkclean_one", "page_vma_mkclean_one", "page_mkclean", "folio_mkclean",
                     "clear_page_dirty_for_io", "folio_clear_dirty_for_io", "pfn_mkclean_range", "dax_entry_mkclean"),
         "mm/rmap.c, mm/page-writeback.c", doc="writeback takes the right to write from pages of a shared mapping"),
    Rule("NUMA balancing", ("change_prot_numa", "task_numa_work", "do_numa_page", "do_huge_pmd_numa_page",
                            "migrate_misplaced_page", "migrate_misplaced_folio"),
         "mm/mempolicy.c, kernel/sched/fair.c"),
    Rule("khugepaged", ("collapse_huge_page", "collapse_file", "collapse_pte_mapped_thp", "retract_page_tables",
                        "hpage_collapse_scan_pmd", "khugepaged_scan_mm_slot", "khugepaged", "madvise_collapse",
                        "pmdp_collapse_flush"), "mm/khugepaged.c"),
    Rule("KSM", ("write_protect_page", "try_to_merge_one_page", "ksm_scan_thread", "ksm_do_scan"), "mm/ksm.c"),
    Rule("split", ("split_huge_page_to_list", "split_huge_page_to_list_to_order", "split_folio_to_list",
                   "__split_huge_pmd", "split_huge_pmd_address", "deferred_split_scan"), "mm/huge_memory.c"),
    Rule("migration", ("migrate_pages", "migrate_pages_batch", "try_to_migrate", "try_to_migrate_one",
                       "unmap_and_move", "unmap_and_move_huge_page", "compact_zone", "kcompactd",
                       "do_move_pages_to_node", "do_migrate_pages"), "mm/migrate.c, mm/compaction.c"),
    Rule("reclaim", ("shrink_page_list", "shrink_folio_list", "shrink_inactive_list", "shrink_lruvec", "shrink_node",
                     "kswapd", "try_to_unmap_flush", "try_to_unmap_flush_dirty", "try_to_unmap", "try_to_unmap_one",
                     "reclaim_folio_list", "madvise_pageout", "arch_tlbbatch_flush"), "mm/vmscan.c, mm/rmap.c"),
    Rule("userfaultfd", ("mwriteprotect_range", "userfaultfd_writeprotect", "uffd_wp_range", "userfaultfd_ioctl"),
         "mm/userfaultfd.c"),
    Rule("soft-dirty", ("clear_refs_write", "clear_soft_dirty", "pagemap_scan_pmd_entry", "do_pagemap_scan"),
         "fs/proc/task_mmu.c"),
    Rule("truncate", ("unmap_mapping_range", "unmap_mapping_pages", "unmap_mapping_folio", "truncate_pagecache",
                      "truncate_inode_pages_range", "hugetlb_vmdelete_list", "hugetlbfs_punch_hole", "vfs_fallocate",
                      "do_truncate", "invalidate_inode_pages2_range"),
         "mm/memory.c, mm/truncate.c, fs/hugetlbfs/inode.c"),
    Rule("mremap", ("move_page_tables", "move_vma", "mremap_to", "move_ptes"), "mm/mremap.c"),
    Rule("madvise", ("madvise_dontneed_free", "madvise_vma_behavior", "do_madvise", "madvise_dontneed_single_vma",
                     "madvise_free_single_vma", "zap_page_range", "zap_page_range_single", "madvise_do_behavior",
                     "madvise_walk_vmas", "zap_page_range_single_batched"), "mm/madvise.c"),
    Rule("mprotect", ("mprotect_fixup", "do_mprotect_pkey", "change_protection", "change_protection_range"),
         "mm/mprotect.c"),
    Rule("exec", ("exec_mmap", "begin_new_exec", "setup_arg_pages", "shift_arg_pages", "load_elf_binary",
                  "relocate_vma_down"), "fs/exec.c"),
    Rule("exit", ("exit_mmap", "exit_mm", "do_exit", "do_group_exit", "mmput"), "mm/mmap.c, kernel/exit.c"),
    Rule("fork", ("dup_mmap", "dup_mm", "copy_process", "kernel_clone", "_do_fork"), "kernel/fork.c"),
    Rule("munmap", ("__vm_munmap", "__do_munmap", "do_munmap", "do_vmi_munmap", "do_vmi_align_munmap",
                    "do_mas_munmap", "do_mas_align_munmap", "vm_munmap", "vms_clear_ptes",
                    "vms_complete_munmap_vmas"), "mm/mmap.c, mm/vma.c"),
    Rule("mmap over", ("mmap_region", "__mmap_region", "do_mmap"), "mm/mmap.c",
         doc="mmap() over what was mapped, or a mapping that failed"),
    Rule("munmap", ("unmap_region",), "mm/mmap.c"),
    Rule("swapoff", ("try_to_unuse",), "mm/swapfile.c"),
    Rule("page fault", ("ptep_set_access_flags", "handle_mm_fault", "do_user_addr_fault"), "mm/memory.c",
         doc="a fault that changed an entry"),
    Rule("ptep_clear_flush", ("ptep_clear_flush",), "mm/pgtable-generic.c",
         doc="one page, by COW, migration or reclaim: the stack is too short to tell"),
)  # fmt: skip

#: System calls whose flushes have the name of a rule.
_CALLS = {
    "munmap": "munmap",
    "mprotect": "mprotect",
    "pkey_mprotect": "mprotect",
    "madvise": "madvise",
    "process_madvise": "madvise",
    "mremap": "mremap",
    "brk": "munmap",
    "mmap": "mmap over",
    "mmap_pgoff": "mmap over",
    "mmap2": "mmap over",
    "execve": "exec",
    "execveat": "exec",
    "exit": "exit",
    "exit_group": "exit",
    "fork": "fork",
    "vfork": "fork",
    "clone": "fork",
    "clone3": "fork",
    "membarrier": MEMBARRIER,
    "migrate_pages": "migration",
    "move_pages": "migration",
    "mbind": "migration",
    "ftruncate": "truncate",
    "truncate": "truncate",
    "fallocate": "truncate",
    "msync": "mkclean",
    "fsync": "mkclean",
    "fdatasync": "mkclean",
    "sync_file_range": "mkclean",
}

_BY_FUNCTION = {name: rank for rank, rule in reversed(list(enumerate(RULES))) for name in rule.functions}


def plain(function: str) -> str:
    """Return a function's name without its offset, its module and what the compiler appended."""
    text = function.strip().split(" ", 1)[0].partition("[")[0]
    text = _OFFSET.sub("", text)
    if text.startswith("__pfx_"):
        text = text.removeprefix("__pfx_")
    return _SUFFIX.sub("", text)


def syscall_of(function: str) -> str:
    """Return the system call whose function it is, or an empty text."""
    found = _SYSCALL.match(function)
    return found[1] if found is not None else ""


def path_of_syscall(call: str) -> str:
    """Return the path of flushes in a system call."""
    return _CALLS.get(call, f"{call}()")


@attrs.frozen
class Found:
    """What a stack tells.

    Args:
        path: what the flush is for; empty where nothing tells.
        flushes: whether it is a flush of user pages; None where nothing tells.
        syscall: the system call that the stack began with; empty for none.
    """

    path: str
    flushes: bool | None
    syscall: str


def attribute(stack: Sequence[str], named: Iterable[StackName] = ()) -> Found:
    """Say what a stack of functions belongs to.

    Args:
        stack: names of functions, innermost first, as `plain` returns them.
        named: functions of the architecture's flushes.
    """
    handler = next((i for i, name in enumerate(stack) if name in HANDLERS), None)
    if handler is not None:
        asked = attribute(stack[:handler], named)
        return asked if asked.path else Found(ANSWER, asked.flushes, "")
    rank = min((_BY_FUNCTION[name] for name in stack if name in _BY_FUNCTION), default=None)
    call = next((found for name in reversed(stack) if (found := syscall_of(name))), "")
    if rank is not None:
        rule = RULES[rank]
        general = rule.path in ("ptep_clear_flush", "page fault")
        if not general or call not in _CALLS:
            return Found(rule.path, rule.flushes, call)
    if call in _CALLS:
        path = _CALLS[call]
        return Found(path, path != MEMBARRIER, call)
    kinds = {one.name: one.kind for one in named}
    for name in stack:
        if name in kinds:
            kind = kinds[name]
            if kind == "kernel":
                return Found(KERNEL, False, call)
            if kind == "none":
                return Found(name, False, call)
            if kind == "user":
                return Found(f"{call}()" if call else UNTOLD, True, call)
    return Found(f"{call}()" if call else UNTOLD, None, call)


def remark(path: str) -> str:
    """Return what a person should know of a path, or an empty text."""
    if path == ANSWER:
        return (
            "no shootdown of its own: a CPU flushes, or runs something else, because another one asked it to"
        )
    return next((rule.doc for rule in RULES if rule.path == path), "")
