"""Counts by stack, kernel logs and benchmarks: what each flush is for, and what is no flush at all."""

# Lines of recordings are as long as tracers and kernels write them.
# ruff: noqa: E501

from __future__ import annotations

import json

import pytest
from tests.core.records.parts import Read, only

from shootdown._records import paths
from shootdown._records.benchmarks import BenchmarksPart
from shootdown._records.lockups import LockupsPart
from shootdown._records.recording import Recording
from shootdown._records.stacks import StacksPart

STACKS = {
    ("flush_tlb_mm_range+1", "ptep_clear_flush+72", "wp_page_copy+400", "do_syscall_64+60"): ("COW", True),
    ("native_flush_tlb_multi+1", "flush_tlb_mm_range+3", "tlb_finish_mmu+5", "do_madvise+9"): ("madvise", True),
    ("flush_tlb_mm_range+1", "ptep_clear_flush+1", "page_vma_mkclean_one.constprop.0+8", "folio_mkclean+2"): ("mkclean", True),
    ("flush_tlb_mm_range+1", "try_to_migrate_one+7", "migrate_pages_batch+9", "compact_zone+4"): ("migration", True),
    ("smp_call_function_many_cond+1", "membarrier_private_expedited+8", "__x64_sys_membarrier+2"): ("membarrier", False),
    ("smp_call_function_many_cond+1", "flush_tlb_kernel_range+3", "__purge_vmap_area_lazy+8"): ("vunmap", False),
    ("smp_call_function_many_cond+1", "kvm_make_all_cpus_request+5 [kvm]"): ("hypervisor", False),
    ("smp_call_function_many_cond+1", "tlb_remove_table_sync_one+5", "collapse_huge_page+7"): ("table sync", False),
    ("flush_tlb_mm_range+1", "tlb_finish_mmu+1", "unmap_region+1", "__x64_sys_munmap+1"): ("munmap", True),
    ("flush_tlb_mm_range+1", "tlb_finish_mmu+1", "unmap_region+1", "mmap_region+1"): ("mmap over", True),
    # What was interrupted has no part in it.
    ("flush_tlb_func+1", "__flush_smp_call_function_queue+209", "asm_sysvec_call_function+26", "unmap_region+2", "__x64_sys_munmap+1"): ("answer", True),
    ("ipi_mb+1", "flush_smp_call_function_queue+10", "do_handle_IPI+7", "unmap_region+2"): ("membarrier", False),
}  # fmt: skip


def part(found: Recording) -> StacksPart:
    return only(StacksPart, found)


@pytest.mark.parametrize(("stack", "told"), STACKS.items(), ids=[told[0] for told in STACKS.values()])
def test_a_map_of_stacks_says_the_same_as_text_and_as_json(
    recorded: Read, stack: tuple[str, ...], told: tuple[str, bool]
) -> None:
    text = "Attaching 1 probe...\n\n@[\n" + "".join(f"    {name}\n" for name in stack) + "]: 42\n"
    key = "\n    " + "\n    ".join(stack) + "\n"
    as_json = json.dumps({"type": "attached_probes", "data": {"probes": 1}}) + "\n"
    as_json += json.dumps({"type": "map", "data": {"@": {key: 42}}}) + "\n"
    for each in (text, as_json):
        found = part(recorded(each))
        assert dict(found.by_path) == {told: 42}
        assert found.total == 42


def test_stacks_may_have_further_keys_and_maps_without_stacks_are_kept(recorded: Read) -> None:
    found = part(
        recorded(
            """\
            @stacks[
                flush_tlb_mm_range+1
                mprotect_fixup+9
            , postgres]: 7
            @reasons[4]: 12
            @total: 19
            @us:
            [1]                    3 |@@@                    |
            [2, 4)                 5 |@@@@@                  |
            [1K, 2K)               1 |@                      |
            Lost 4 events
            """
        )
    )
    assert dict(found.by_path) == {("mprotect", True): 7}
    assert found.scalars == {"reasons": {"4": 12}, "total": {"": 19}}
    assert found.histograms == {"us": {1: 3, 2: 5, 1024: 1}}
    assert found.lost == 4


def test_maps_with_keys_keep_them_in_text_and_in_json(recorded: Read) -> None:
    text = (
        "@us[postgres, 4]: \n(..., 0)    2 |@  |\n[1]         3 |@@ |\n\n@us[postgres, 3]: \n[1]      7 |@@ |\n\n"
        "@all: count 2, average 5, total 10\n@by[sh]: count 1, average 4, total 4\n"
    )
    as_json = "".join(
        json.dumps({"type": kind, "data": data}) + "\n"
        for kind, data in (
            (
                "hist",
                {
                    "@us": {
                        "postgres, 4": [{"max": -1, "count": 2}, {"min": 1, "max": 1, "count": 3}],
                        "postgres, 3": [{"min": 1, "max": 1, "count": 7}],
                    }
                },
            ),
            ("stats", {"@by": {"sh": {"count": 1, "average": 4, "total": 4}}}),
        )
    )
    for each in (text, as_json):
        found = recorded(each)
        assert part(found).histograms == {"us[postgres, 4]": {-1: 2, 1: 3}, "us[postgres, 3]": {1: 7}}
        assert part(found).scalars["by"] == {"sh count": 1, "sh average": 4, "sh total": 4}
        assert found.files[0].damaged == found.files[0].others == 0
    assert part(recorded(text)).scalars["all"] == {"count": 2, "average": 5, "total": 10}


def test_folded_stacks_begin_with_the_outermost_function(recorded: Read) -> None:
    found = part(recorded("db;entry_SYSCALL_64;__x64_sys_munmap;tlb_finish_mmu;flush_tlb_mm_range 9\n"))
    assert dict(found.by_path) == {("munmap", True): 9}
    assert found.by_first == {"flush_tlb_mm_range": 9}


def test_histograms_of_ftraces_triggers_have_stacks_and_keys(recorded: Read) -> None:
    found = part(
        recorded(
            """\
            # event histogram
            #
            # trigger info: hist:keys=common_stacktrace:vals=hitcount:sort=hitcount:size=2048 [active]
            #

            { common_stacktrace:
                     native_flush_tlb_multi+0x1/0x90
                     mprotect_fixup+0x9/0x100
                     __x64_sys_mprotect+0x1f/0x30
            } hitcount:         31
            { pages:          1, reason: remote IPI send [          4] } hitcount:         12

            Totals:
                Hits: 43
                Entries: 2
                Dropped: 3
            """
        )
    )
    assert dict(found.by_path) == {("mprotect", True): 31}
    assert found.scalars == {"histogram": {"pages: 1, reason: remote IPI send [ 4]": 12}}
    assert (found.form, found.lost) == ("ftrace histogram", 3)


def test_a_stack_of_which_nothing_tells_is_shown(recorded: Read) -> None:
    found = recorded("@[\n    flush_tlb_mm_range+1\n    some_driver+9\n]: 3\n")
    assert part(found).unattributed == {"flush_tlb_mm_range < some_driver": 3}
    assert any("nothing in their stacks tells" in text for text in found.unknown)


def test_a_map_without_an_end_is_damaged_and_the_next_one_is_read(recorded: Read) -> None:
    found = recorded("@[\n    flush_tlb_mm_range+1\n@[\n    do_madvise+9\n]: 3\n")
    assert found.files[0].damaged == 1
    assert dict(part(found).by_path) == {("madvise", True): 3}


def test_functions_lose_what_compilers_and_tracers_append() -> None:
    assert paths.plain("wp_page_copy.isra.0+0x2a3/0x6f0") == "wp_page_copy"
    assert paths.plain("page_vma_mkclean_one.constprop.0.cold+12") == "page_vma_mkclean_one"
    assert paths.plain("kvm_make_all_cpus_request+5 [kvm]") == "kvm_make_all_cpus_request"
    assert paths.plain("__pfx_do_kernel_range_flush+0x10/0x10") == "do_kernel_range_flush"
    assert paths.syscall_of("__arm64_sys_munmap") == "munmap"
    assert paths.syscall_of("ksys_mmap_pgoff") == "mmap_pgoff"


def test_every_rule_names_where_it_stands_and_no_function_has_two() -> None:
    assert all(rule.source and rule.functions for rule in paths.RULES)
    names = [name for rule in paths.RULES for name in rule.functions]
    assert len(names) == len(set(names))


LOG = """\
[   51.000001] smp: csd: Detected non-responsive CSD lock (#1) on CPU#9, waiting 5000000123 ns for CPU#3 do_flush_tlb_all+0x0/0x30(0x0).
[   51.000050] smp:     csd: CSD lock (#1) unresponsive.
[   51.000100] NMI backtrace for cpu 3
[   51.000110] CPU: 3 PID: 99 Comm: cat Not tainted 6.6.30-rt30 #1
[   51.000120] RIP: 0010:queued_write_lock_slowpath+0x5/0x90
[   56.000001] smp: csd: Continued non-responsive CSD lock (#1) on CPU#9, waiting 10000000456 ns for CPU#3 do_flush_tlb_all+0x0/0x30(0x0).
[   57.000001] smp: csd: CSD lock (#1) got unstuck on CPU#09, CPU#03 released the lock.
[   58.000001] usb 1-1: new high-speed USB device
"""


def test_a_csd_lock_names_who_waits_for_whom_to_do_what_and_how_long(recorded: Read) -> None:
    found = recorded(LOG)
    (one,) = found.parts
    assert isinstance(one, LockupsPart)
    (wait,) = one.waits
    assert (wait.waiter, wait.target, wait.ns, wait.callback) == (9, 3, 10000000456, "do_flush_tlb_all")
    assert (wait.reports, wait.at, one.unstuck) == (2, "queued_write_lock_slowpath", 1)
    assert found.releases.exact == "6.6.30-rt30"
    assert found.files[0].others == 0


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("6.1.0-18-amd64 #1  Debian 6.1.76-1", "6.1.76"),
        ("6.12.57+deb13-amd64 #1 SMP", "6.12.57+deb13-amd64"),
        ("6.10.0-rc5-00019-g4236f0255ea8-dirty #3439", "6.10.0-rc5-00019-g4236f0255ea8-dirty"),
    ],
)
def test_a_log_names_its_release_and_what_the_distribution_says_of_it(
    recorded: Read, text: str, release: str
) -> None:
    assert recorded(LOG.replace("6.6.30-rt30 #1", text)).releases.exact == release


def test_the_kernel_range_that_a_csd_lock_waited_for_is_no_user_flush(recorded: Read) -> None:
    (one,) = recorded(LOG.replace("do_flush_tlb_all", "do_kernel_range_flush")).parts
    assert isinstance(one, LockupsPart)
    assert (one.waits[0].path, one.waits[0].flushes) == ("kernel range", False)


def test_the_whole_backtrace_of_a_lockup_says_what_it_is_for(recorded: Read) -> None:
    log = """\
        watchdog: BUG: soft lockup - CPU#5 stuck for 26s! [insmod:999]
        CPU: 5 UID: 0 PID: 999 Comm: insmod Not tainted 6.12.9-200.fc41.x86_64 #1
        RIP: 0010:smp_call_function_many_cond+0x131/0x500
         flush_tlb_kernel_range+0x5e/0x100
         change_page_attr_set_clr+0xd5/0x200
        CPU: 6 PID: 1 Comm: a Not tainted 6.12.9-200.fc41.x86_64 #1
         unmap_region+0x10/0x20
        """
    (one,) = recorded(log).parts
    assert isinstance(one, LockupsPart)
    assert [(soft["cpu"], soft["at"], soft["for"]) for soft in one.soft] == [
        (5, "smp_call_function_many_cond", "set_memory")
    ]


def test_lkps_rows_have_a_base_and_commits(recorded: Read) -> None:
    found = recorded(
        """\
             1000 ±  2%     -10.0%        900 ±  3%     +20.0%       1200        will-it-scale.per_thread_ops
             5.00            +1.2        6.20            +0.1        5.10        mpstat.cpu.all.irq%
        """
    )
    (one,) = found.parts
    assert isinstance(one, BenchmarksPart)
    assert one.rows[0] == ("will-it-scale.per_thread_ops", (1000, 900, 1200), ("-10.0%", "+20.0%"))
    assert found.checks[0].holds


@pytest.mark.parametrize("change", ["-13..0%", "--1%", "+%", "-1e5%"])
def test_a_change_that_is_no_number_is_no_row(recorded: Read, change: str) -> None:
    row = "7276 -13.2% 6315 -13.0% 6328 will-it-scale.per_thread_ops\n"
    found = recorded(row + row.replace("-13.0%", change))
    (one,) = found.parts
    assert isinstance(one, BenchmarksPart)
    assert (len(one.rows), found.files[0].others) == (1, 1)


def test_a_flush_that_another_cpu_asked_for_is_no_shootdown(recorded: Read) -> None:
    text = "Attaching 1 probe...\n^C\n\n@[\n    flush_tlb_func+1\n    __flush_smp_call_function_queue+2\n    do_madvise+1\n]: 7\n"
    found = recorded(text)
    assert found.cells() == ()
    assert part(found).by_call == {}
    assert found.files[0].others == 0


def test_frames_of_programs_end_no_stack(recorded: Read) -> None:
    """`@[kstack, ustack, comm]` of bpftrace: what a program's frames look like depends on what it knows of the file."""
    found = recorded(
        """\
        @[
            flush_tlb_mm_range+1
            tlb_finish_mmu+99
            __x64_sys_munmap+27
        ,
            munmap+11
            [unknown]
            std::vector<int, std::allocator<int> >::~vector() const+12
            main+100 (/usr/bin/foo)
        , stress-ng]: 17
        """
    )
    assert part(found).by_path == {("munmap", True): 17}
    assert found.files[0].damaged == found.files[0].others == 0
