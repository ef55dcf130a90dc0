"""What a hash flush executes: arch/powerpc/mm/book3s64/hash_tlb.c and hash_native.c (docs/facts/flushes.md)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from powerpc_counts import counted, instructions, prepared

from shootdown import ShootdownError
from shootdown_powerpc._flush_hash import BATCH, batches

LOCAL, GLOBAL = "tlbiel_ric0_prs0_r0", "tlbie_ric0_prs0_r0"


def executed(kernel: str = "7.0", **given: object) -> dict[str, int]:
    given.setdefault("platform", "power8")
    return instructions(counted("anonymous", kernel, **given))  # type: ignore[arg-type]


# --- the batch


@given(first=st.integers(0, 3000), count=st.integers(0, 3000), table=st.sampled_from([256, 512]))
def test_batches_are_those_of_a_cpu_that_collects_one_entry_after_another(
    first: int, count: int, table: int
) -> None:
    """A twin of hpte_need_flush(): flush at 192 entries, and when the lock of a page table is released."""
    flushed, index = [], 0
    for page in range(first, first + count):
        if page % table == 0 and index:
            flushed.append(index)
            index = 0
        index += 1
        if index == BATCH:
            flushed.append(index)
            index = 0
    if index:
        flushed.append(index)
    assert list(batches(first, count, table)) == flushed


@pytest.mark.parametrize(
    ("pages", "tlbsyncs"), [(1, 1), (192, 1), (193, 2), (384, 2), (385, 3), (512, 3), (513, 4), (1024, 6)]
)
def test_192_entries_of_one_table_share_a_tlbsync(pages: int, tlbsyncs: int) -> None:
    """PPC64_TLB_BATCH_NR; a table of 4K pages has 512 entries."""
    counts = executed(pages=pages, threads=1, op="mprotect_ro")
    assert counts == {GLOBAL: pages, "tlbsync": tlbsyncs}


def test_a_full_gather_flushes_the_batch_early() -> None:
    """After 9678 pages zap_pte_range() leaves lazy MMU mode: the table that it is in is flushed in two parts."""
    assert executed(pages=9678, threads=1)["tlbsync"] == 18 * 3 + 3
    assert executed(pages=9728, threads=1)["tlbsync"] == 18 * 3 + 3 + 1
    assert executed(pages=9728, threads=1, op="mprotect_ro")["tlbsync"] == 19 * 3


# --- where


def test_a_process_that_ran_on_one_cpu_executes_tlbiel_and_any_other_tlbie() -> None:
    """mm_is_thread_local(); unlike radix, hash never trims mm_cpumask."""
    assert executed(pages=5, threads=0) == {LOCAL: 5}
    for state in ("spin", "lazy", "switched"):
        assert executed(pages=5, threads=1, state=state) == {GLOBAL: 5, "tlbsync": 1}
    assert executed(pages=1, threads=1, state="switched", times=1100, op="mprotect_ro") == {
        GLOBAL: 1,
        "tlbsync": 1,
    }


def test_nothing_is_interrupted_and_freed_tables_flush_nothing() -> None:
    """tlb_needs_table_invalidate() is false: an isolated page and an embedded one cost the same."""
    for kind in ("isolated", "embedded"):
        counts = counted("anonymous", "7.0", platform="power8", pages=7, threads=3, kind=kind)
        assert counts["flush_ipis"] == 0
        assert instructions(counts) == {GLOBAL: 7, "tlbsync": 1}


def test_mprotect_flushes_entries_that_it_only_widens_too() -> None:
    """pte_needs_flush() is about radix: the entry leaves the hash table when it is changed."""
    assert executed(pages=5, threads=1, op="mprotect_rw") == {GLOBAL: 5, "tlbsync": 1}


def test_power9_repeats_with_the_last_values_once_for_each_batch() -> None:
    """fixup_tlbie_vpn(): a radix tlbie for the ERAT bug, the last tlbie again for the store queue's."""
    p9 = {"platform": "power9-hash", "pages": 200, "threads": 1, "op": "mprotect_ro"}
    assert executed(**p9) == {GLOBAL: 200, "tlbie_ric0_prs0_r1": 2, "tlbsync": 2}
    assert executed(settings=("platform.p9_tlbie_stq_bug=true",), **p9) == {
        GLOBAL: 202,
        "tlbie_ric0_prs0_r1": 2,
        "tlbsync": 2,
    }


def test_huge_pages_are_flushed_one_by_one() -> None:
    """No lazy MMU mode around them; a THP of 64K base pages is 16M and had one of its pages touched."""
    big = ("kernel.page_size=64k",)
    assert executed(kind="thp", threads=1, settings=big) == {GLOBAL: 1, "tlbsync": 1}
    shared = ("kernel.pmd_sharing=true",)
    last = counted(
        "hugetlb-munmap", platform="power8", sharers=1, pages=3, tables=2, threads=1, settings=shared
    )
    assert instructions(last) == {GLOBAL: 6, "tlbsync": 6}


def test_unsharing_a_table_would_leave_the_entries_in_the_hash_table() -> None:
    """What if powerpc shared PMD tables: only PTEs lead to the hash table, and clearing a PUD entry touches none."""
    counts = counted(
        "hugetlb-munmap", platform="power8", tables=2, threads=3, settings=("kernel.pmd_sharing=true",)
    )
    assert instructions(counts) == {}
    assert counts["stale_entries_left"] > 0


def test_a_collapse_waits_for_lockless_look_ups_and_flushes_the_table() -> None:
    """hash__pmdp_collapse_flush(): an IPI to mm_cpumask, then 256 entries of 64K in two batches."""
    counts = counted("thp-collapse", platform="power8", threads=2, gib=1, settings=("kernel.page_size=64k",))
    times = (1 << 30) // (16 << 20)
    assert instructions(counts) == {GLOBAL: 256 * times, "tlbsync": 2 * times}
    assert counts["flush_ipis"] == 3 * times


# --- native_tlbie_lock


def test_only_a_cpu_that_cannot_take_two_tlbie_at_once_has_a_lock_around_them() -> None:
    """native_tlbie_lock, without MMU_FTR_LOCKLESS_TLBIE: before POWER5. It costs no instruction."""
    given = {"platform": "power8", "pages": 64, "threads": 3}
    old = ("platform.lockless_tlbie=false",)
    texts = {
        settings: {note.text for note in case.program.build(case.setup()).code.notes}
        for settings in ((), old)
        for case in [prepared("anonymous", settings=settings, **given)]
    }
    taken = {f"{verb} native_tlbie_lock" for verb in ("take", "release")}
    assert taken & texts[()] == set()
    assert taken <= texts[old]
    assert executed(settings=old, **given) == executed(**given)


# --- what cannot be


@pytest.mark.parametrize(
    ("platform", "setting"),
    [
        ("power8", "platform.flush=ipi"),
        ("power8", "platform.flush=hypercall"),
        ("power8", "kernel.disable_tlbie=true"),
        ("power8", "platform.mmu=radix"),
        ("power9", "platform.flush=kvm"),
        ("power9", "platform.flush=invlpgb"),
        ("power9", "platform.isa=2.07"),
    ],
)
def test_what_the_machine_cannot_do_is_refused_in_one_line(platform: str, setting: str) -> None:
    with pytest.raises(ShootdownError, match="is not possible here") as refusal:
        executed(platform=platform, settings=(setting,))
    assert len(str(refusal.value).splitlines()) == 1


def test_disable_radix_is_one_set_away() -> None:
    assert executed(platform="power10", pages=3, threads=1, settings=("platform.mmu=hash",)) == {
        GLOBAL: 3,
        "tlbsync": 1,
    }
