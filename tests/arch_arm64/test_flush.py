"""How arm64 kernels flush, release by release, counted in TLBIs, and what a flush leaves behind.

The rules are those of docs/facts/flushes.md#arm64-tlb_flush.
"""

import attrs
import pytest

from shootdown import ShootdownError
from shootdown._mm.call_parts import OUTER
from shootdown._mm.model import Model
from shootdown._plugins.registry import registry
from shootdown._timed.run import run_machine
from shootdown._values.releases import resolve

ASIDE, VAE, VALE, RVAE, RVALE = (
    "tlbi_aside1is",
    "tlbi_vae1is",
    "tlbi_vale1is",
    "tlbi_rvae1is",
    "tlbi_rvale1is",
)
RANGES = "qemu-tcg-max"
#: QEMU's translator has no walk cache, whatever machine it emulates.
CACHE = "platform.walk_entries=16"
FIX = "kernel.honour_unshared_tables"


# --- one table is unshared


@pytest.mark.parametrize("kernel", ["6.12.73", "6.12.74", "6.18.34", "7.0", "7.0.11"])
def test_with_range_operations_one_table_is_one_rvale1is_and_its_walk_cache_entry_stays(run, kernel):
    """MADV_DONTNEED has no other flush than that of the unsharing."""
    found = run("hugetlb-madvise", kernel, CACHE, platform=RANGES)
    assert found.instructions == {RVALE: 1}
    assert found.counts["stale_entries_left"] == 1


def test_where_there_is_no_walk_cache_nothing_of_it_stays(run):
    found = run("hugetlb-madvise", "7.0", platform=RANGES)
    assert (found.instructions, found.counts["stale_entries_left"]) == ({RVALE: 1}, 0)


@pytest.mark.parametrize("kernel", ["6.1.176", "6.6.143", "6.12.93", "6.18.35", "7.0.12", "7.1", "7.2.13"])
def test_since_c2ff4764e03e_it_is_one_rvae1is_and_nothing_stays(run, kernel):
    """c2ff4764e03e keeps the level hint and drops walk-cache entries."""
    found = run("hugetlb-madvise", kernel, CACHE, platform=RANGES)
    assert found.instructions == {RVAE: 1}
    assert found.counts["stale_entries_left"] == 0


@pytest.mark.parametrize("kernel", ["6.4", "6.12.73", "6.12.74", "6.12.93", "7.0", "7.2.13"])
def test_without_range_operations_one_table_is_aside1is_which_leaves_nothing(run, kernel):
    """1 GiB at a stride of 2 MiB reaches MAX_DVM_OPS."""
    found = run("hugetlb-madvise", kernel)
    assert found.instructions == {ASIDE: 1}
    assert found.counts["stale_entries_left"] == 0


def test_the_fix_is_a_switch_of_any_release(run):
    with_it = run("hugetlb-madvise", "7.0", f"{FIX}=true", CACHE, platform=RANGES)
    without = run("hugetlb-madvise", "7.2.13", f"{FIX}=false", CACHE, platform=RANGES)
    assert (with_it.instructions, with_it.counts["stale_entries_left"]) == ({RVAE: 1}, 0)
    assert (without.instructions, without.counts["stale_entries_left"]) == ({RVALE: 1}, 1)


@pytest.mark.parametrize(("tables", "tlbi"), [(1, RVALE), (8, RVALE), (9, ASIDE)])
def test_up_to_8_gib_are_one_range_operation(run, tables, tlbi):
    assert run("hugetlb-madvise", "7.0", platform=RANGES, tables=tables).instructions == {tlbi: 1}


def test_before_6_10_exactly_8_gib_went_by_asid(run):
    """73301e464a72: a range of MAX_TLBI_RANGE_PAGES itself."""
    assert run("hugetlb-madvise", "6.9", platform=RANGES, tables=8).instructions == {ASIDE: 1}
    assert run("hugetlb-madvise", "6.10", platform=RANGES, tables=8).instructions == {RVALE: 1}
    switch = "kernel.range_limit_includes_max=true"
    assert run("hugetlb-madvise", "6.10", switch, platform=RANGES, tables=8).instructions == {ASIDE: 1}


@pytest.mark.parametrize("call", ["hugetlb-mremap", "hugetlb-uffd"])
def test_flush_hugetlb_tlb_range_dropped_walk_caches_until_the_rework_lost_that(run, call):
    """G0 and G1 flush with last_level clear; the gather of G2 does not, until c2ff4764e03e."""
    seen = [run(call, kernel, CACHE, platform=RANGES) for kernel in ("6.4", "6.12.73", "6.12.74", "6.12.93")]
    # move_vma() then unmaps the old place, and frees the table above
    freed = {ASIDE: 1} if call == "hugetlb-mremap" else {}
    assert [found.instructions for found in seen] == [
        {name: 1, **freed} for name in (RVAE, RVAE, RVALE, RVAE)
    ]
    assert [found.counts["stale_entries_left"] for found in seen] == [0, 0, 1, 0]


def test_in_munmap_tlb_end_vma_flushes_and_the_sync_follows_although_nothing_is_pending(run):
    """One flush of the unsharing, one sync; the other TLBI is that of the freed tables above."""
    found = run("hugetlb-munmap", "7.0", platform=RANGES)
    assert found.instructions == {RVALE: 1, ASIDE: 1}
    assert found.counts["sync_broadcasts"] == 1
    assert run("hugetlb-munmap", "7.0", platform=RANGES, sharers=3).counts["sync_broadcasts"] == 0


# --- exit


@pytest.mark.parametrize(
    ("kernel", "flushes", "stale"),
    [
        ("5.10.223", 1, True),
        ("6.12.74", 1, True),
        ("7.0", 1, True),
        ("6.12.93", 2, False),
        ("7.0.12", 2, False),
        ("7.1", 1, True),  # 11f6dd8dd283 asks for freed_tables itself; c2ff4764e03e does not reach exit
        ("7.2.13", 1, True),
    ],
)
def test_exit_does_not_flush_for_the_unsharing_but_where_backports_do(run, kernel, flushes, stale):
    """The one ASIDE1IS is that of the freed tables, at the end; sharers see one sync before it."""
    found = run("hugetlb-exit", kernel)
    assert found.instructions == {ASIDE: flushes}
    assert (found.counts["stale_entries_left"] > 0) == stale


def test_that_exit_ignores_unshared_tables_is_a_switch(run):
    found = run("hugetlb-exit", "7.2.13", "kernel.exit_ignores_unshared_tables=false")
    assert (found.instructions, found.counts["stale_entries_left"]) == ({ASIDE: 2}, 0)


def test_munmap_on_7_1_flushes_upper_tables_by_one_vae1is(run):
    """c753d667d959: without range operations a range has no limit in pages, and one stride of 512 GiB is one TLBI."""
    assert run("hugetlb-munmap", "7.0").instructions == {ASIDE: 2}
    assert run("hugetlb-munmap", "7.1").instructions == {ASIDE: 1, VAE: 1}
    assert run("hugetlb-munmap", "7.1", "kernel.range_limit_without_tlbirange=true").instructions == {
        ASIDE: 2
    }


# --- 16K pages


@pytest.mark.parametrize("kernel", ["6.4", "6.12.74", "6.12.93", "7.0", "7.2.13"])
@pytest.mark.parametrize("platform", ["qemu-tcg", RANGES])
@pytest.mark.parametrize("call", ["hugetlb-madvise", "hugetlb-munmap"])
def test_with_16k_pages_unsharing_one_table_executes_no_tlbi_at_all(run, kernel, platform, call):
    """The range of 64 GiB is 0 in 32 bits; even TLB entries stay."""
    found = run(call, kernel, "kernel.page_size=16k", platform=platform)
    assert found.instructions == {}
    assert found.counts["stale_entries_left"] > 1


@pytest.mark.parametrize("tables", [2, 8])
def test_with_16k_pages_several_tables_are_far_enough_apart_for_aside1is(run, tables):
    found = run("hugetlb-madvise", "7.2.13", "kernel.page_size=16k", tables=tables)
    assert (found.instructions, found.counts["stale_entries_left"]) == ({ASIDE: 1}, 0)


def test_with_16k_pages_mprotect_of_one_table_is_aside1is_as_was_seen(run):
    assert run("hugetlb-mprotect", "7.2.13", "kernel.page_size=16k").instructions == {ASIDE: 1}
    assert run("hugetlb-mprotect", "6.12.73", "kernel.page_size=16k").instructions == {ASIDE: 1}


def test_the_truncation_is_a_switch(run):
    sixteen = ("kernel.page_size=16k", "kernel.range_truncation_16k=false")
    found = run("hugetlb-madvise", "7.2.13", *sixteen)
    assert (found.instructions, found.counts["stale_entries_left"]) == ({ASIDE: 1}, 0)


# --- nested gathers


def test_a_gather_that_ends_while_another_is_pending_flushes_the_asid():
    """tlb_finish_mmu() takes a nested gather for a flush of all of the mm, tables included."""
    arch = registry().architecture("arm64")
    kernel, platform = resolve("7.0", arch), registry().platform("arm64", RANGES)
    executed = {}
    for nested in (False, True):
        model = Model(kernel, arch.lower(kernel, platform), cpus=4, mms=1, small=True)
        actor, other = (model.task(mm=0, cpu=cpu, ready=True) for cpu in (0, 1))
        begun, ended = model.event(), model.event()
        model.starts(other)
        if nested:
            model.gathers.begin(OUTER)
        model.signal(begun)
        model.wait(ended)
        if nested:
            model.gathers.finish(OUTER)
        model.asm.halt()
        model.starts(actor)
        model.wait(begun)
        with model.window("measured", actor):
            model.gathers.begin(OUTER)
            model.gathers.finish(OUTER)
        model.signal(ended)
        model.asm.halt()
        run = run_machine(model.build(pages_per_table=1), platform)
        executed[nested] = {name: n for name, n in run.window_instructions[0].items() if n}
    assert executed == {False: {}, True: {ASIDE: 1}}


# --- what a flush is made of


@pytest.mark.parametrize(("page_size", "limit"), [("4k", 512), ("16k", 2048), ("64k", 8192)])
def test_max_dvm_ops_is_ptrs_per_pte(run, page_size, limit):
    def discard(pages, *settings):
        return run(
            "anonymous",
            "6.12.74",
            f"kernel.page_size={page_size}",
            *settings,
            op="madv_dontneed",
            kind="embedded",
            pages=pages,
            threads=1,
        ).instructions

    assert discard(limit - 1) == {VALE: limit - 1}
    assert discard(limit) == {ASIDE: 1}
    assert discard(33, "kernel.max_dvm_ops=33") == {ASIDE: 1}
    assert discard(32, "kernel.max_dvm_ops=33") == {VALE: 32}


def test_kpti_needs_every_tlbi_twice(run):
    for kind, expected in (("embedded", {VALE: 2 * 7}), ("isolated", {VAE: 2, VALE: 14})):
        found = run("anonymous", "6.12.74", "kernel.kpti=true", kind=kind, pages=7, threads=1).instructions
        assert found == expected, kind


def test_kpti_halves_the_asids():
    arch = registry().architecture("arm64")
    platform = registry().platform("arm64", "neoverse-n1")
    eight = attrs.evolve(platform, arch=attrs.evolve(platform.arch, asid_bits=8))
    kernel = resolve("7.0", arch)
    pairs = attrs.evolve(kernel, arch=attrs.evolve(kernel.arch, kpti=True))
    assert arch.lower(kernel, eight).mm.asids == 256
    assert arch.lower(pairs, eight).mm.asids == 128


@pytest.mark.parametrize(
    ("kernel", "erratum", "expected"),
    [
        ("6.12.74", "none", {VALE: 3}),
        ("6.12.74", "1286807", {VALE: 6}),  # each TLBI twice
        ("7.0", "1286807", {VALE: 4}),  # a8f78680ee6b: one more at the end
        ("6.12.94", "1286807", {VALE: 4}),
        ("6.12.74", "4118414", {VALE: 3}),  # not known yet
        ("7.2.13", "4118414", {VALE: 4}),
        ("7.2.13", "none", {VALE: 3}),
    ],
)
def test_the_repeat_tlbi_workaround_costs_what_its_release_makes_of_it(run, kernel, erratum, expected):
    case = {"op": "madv_dontneed", "kind": "embedded", "pages": 3, "threads": 1}
    assert run("anonymous", kernel, f"platform.tlbi_erratum={erratum}", **case).instructions == expected


@pytest.mark.parametrize(("switch", "count"), [("never", 3), ("each", 6), ("once", 4)])
def test_the_workaround_is_a_switch(run, switch, count):
    case = {"op": "madv_dontneed", "kind": "embedded", "pages": 3, "threads": 1}
    settings = ("platform.tlbi_erratum=1286807", f"kernel.repeat_tlbi={switch}")
    assert run("anonymous", "7.2.13", *settings, **case).instructions == {VALE: count}


@pytest.mark.parametrize("state", ["spin", "lazy", "switched"])
def test_nobody_is_interrupted_and_no_cpu_is_left_out_whatever_runs_there(run, state):
    found = run("anonymous", "7.0", cpus=8, pages=3, threads=5, state=state, kind="embedded")
    assert found.instructions == {VALE: 3}
    assert found.counts["flush_ipis"] == 0
    assert found.counts["broadcast_invalidations"] == 3


@pytest.mark.parametrize("cpus", [1, 2, 3, 16, 96, 192])
def test_the_number_of_cpus_changes_syncs_and_no_tlbi(run, cpus):
    found = run("hugetlb-munmap", "7.0", cpus=cpus, platform=RANGES)
    assert found.instructions == {RVALE: 1, ASIDE: 1}
    assert found.counts["sync_ipis"] == cpus - 1


def test_if_arm64_flushed_by_ipis_the_sync_would_be_redundant(run):
    found = run("hugetlb-munmap", "7.0", "platform.flush=ipi", cpus=8, threads=3, platform=RANGES)
    assert found.instructions == {}
    assert found.counts["flush_ipis"] == 2 * 3


# --- what has no PMD sharing


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["kernel.page_size=64k"], "64K pages"),
        (["kernel.page_size=16k", "kernel.va_bits=36"], "the PMD table is the root"),
    ],
)
def test_where_no_tables_are_shared_the_reason_is_given(settings, reason):
    from shootdown import compare

    (row,) = compare("hugetlb-munmap", arch=["arm64"], kernels=["7.0"], cpus=[4], settings=settings)
    assert not row.supported
    assert reason in row.reason


def test_if_64k_pages_shared_tables_a_table_of_4_tib_would_be_truncated_like_one_of_64_gib(run):
    shared = ("kernel.page_size=64k", "kernel.pmd_sharing=true")
    found = run("hugetlb-madvise", "7.0", *shared, platform=RANGES)
    assert (found.instructions, found.counts["unshared_tables"]) == ({}, 1)
    whole = run("hugetlb-madvise", "7.0", *shared, "kernel.range_truncation_16k=false", platform=RANGES)
    assert whole.instructions == {ASIDE: 1}


def test_address_bits_that_no_kernel_of_the_page_size_has_are_refused(run):
    with pytest.raises(ShootdownError, match="va_bits=39 with pages of 16K: there is 36, 47, 48, 52"):
        run("hugetlb-munmap", "7.0", "kernel.page_size=16k", "kernel.va_bits=39")


@pytest.mark.parametrize(
    ("page_size", "va_bits"),
    [("4k", 39), ("4k", 48), ("4k", 52), ("16k", 47), ("16k", 48), ("16k", 52)],
)
def test_every_configuration_that_shares_tables_runs(run, page_size, va_bits):
    found = run("hugetlb-madvise", "7.0", f"kernel.page_size={page_size}", f"kernel.va_bits={va_bits}")
    assert found.instructions == ({ASIDE: 1} if page_size == "4k" else {})
    assert found.counts["unshared_tables"] == 1
