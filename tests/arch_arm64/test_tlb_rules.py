"""What each TLBI drops and what it leaves, sentence by sentence from the Arm ARM; ranges, hints, runs, CnP."""

import pytest

from shootdown import CacheGeometry, ShootdownError, TlbGeometry
from shootdown.porting import Tlb
from shootdown_arm64._tlb_rules import TlbRules

K4, K16, K64, M2, M32, G1, G512 = (1 << n for n in (12, 14, 16, 21, 25, 30, 39))
VA = 5 * G1 + 3 * M2
FAR = 900 * G1
SIZES = (K4, K64, M2, M32, G1)
GEOMETRY = TlbGeometry(
    l1=CacheGeometry(256, 16, SIZES),
    l2=CacheGeometry(256, 16, SIZES),
    walk_caches=(CacheGeometry(16, 16, (M2,)), CacheGeometry(16, 16, (G1,)), CacheGeometry(8, 8, (G512,))),
    levels=(K4, M2, G1, G512),
    asid_bits=16,
    vm_bits=1,
)
ARM = TlbRules()


@pytest.fixture(params=[True, False], ids=["lazy", "eager"])
def tlb(request):
    """Two CPUs that have VA and FAR in ASIDs 1 and 2, and a global page behind VA's."""
    tlb = Tlb(GEOMETRY, 2, lazy=request.param)
    for cpu in (0, 1):
        for asid in (1, 2):
            for va in (VA, FAR):
                tlb.access(cpu, asid, va, K4)
        tlb.access(cpu, 1, VA + K4, K4, is_global=True)
    return tlb


def left(tlb, cpu=0):
    return {
        (str(e["level"]), int(e["va"]), int(e["page_size"]), "G" if e["is_global"] else int(e["asid"]))
        for e in tlb.entries(cpu)
        if e["level"] != "l2"
    }


def gone(tlb, scope, cpus=0):
    before = left(tlb)
    tlb.flush(cpus, scope)
    return before - left(tlb)


def walk(asid, *vas, sizes=(M2, G1, G512)):
    return {("walk", va // size * size, size, asid) for va in vas for size in sizes}


def pages(asid, *vas):
    return {("l1", va, K4, asid) for va in vas}


GLOBAL_PAGE = ("l1", VA + K4, K4, "G")
EVERY_ASID = pages(1, VA, FAR) | walk(1, VA, FAR) | pages(2, VA, FAR) | walk(2, VA, FAR)


# --- by address


def test_vae1_drops_the_page_and_the_table_entries_that_lead_to_it(tlb):
    assert gone(tlb, ARM.vae1(VA, 1)) == pages(1, VA) | walk(1, VA)


def test_vale1_drops_the_page_and_leaves_every_table_entry(tlb):
    assert gone(tlb, ARM.vale1(VA, 1)) == pages(1, VA)


def test_both_drop_a_global_page_whatever_the_asid(tlb):
    assert gone(tlb, ARM.vale1(VA + K4, 2)) == {GLOBAL_PAGE}
    assert gone(tlb, ARM.vaae1(FAR)) >= pages(1, FAR)


def test_vaae1_and_vaale1_match_every_asid(tlb):
    assert gone(tlb, ARM.vaale1(VA)) == pages(1, VA) | pages(2, VA)
    assert gone(tlb, ARM.vaae1(FAR)) == pages(1, FAR) | pages(2, FAR) | walk(1, FAR) | walk(2, FAR)


def test_an_address_anywhere_in_a_block_or_a_contiguous_run_drops_all_of_it(tlb):
    tlb.fill(0, 1, FAR + M32, M32)
    tlb.fill(0, 1, FAR + G1, K64)
    assert gone(tlb, ARM.vale1(FAR + M32 + 17 * M2 // 2, 1)) == {("l1", FAR + M32, M32, 1)}
    assert gone(tlb, ARM.vale1(FAR + G1 + 15 * K4, 1)) == {("l1", FAR + G1, K64, 1)}


# --- level hints


def test_with_ttl_2_a_level_3_page_stays_and_so_does_the_table_entry_of_level_2(tlb):
    tlb.fill(0, 1, VA, M2)
    assert gone(tlb, ARM.vae1(VA, 1, level=2)) == {("l1", VA, M2, 1)} | walk(1, VA, sizes=(G1, G512))


def test_with_ttl_3_pages_and_their_contiguous_runs_go_and_blocks_stay(tlb):
    tlb.fill(0, 1, VA, K64)
    tlb.fill(0, 1, VA, M2)
    assert gone(tlb, ARM.vale1(VA, 1, level=3)) == pages(1, VA) | {("l1", VA, K64, 1)}


def test_without_feat_ttl_the_hint_is_ignored(tlb):
    old = TlbRules(ttl=False)
    assert gone(tlb, old.vae1(VA, 1, level=2)) == pages(1, VA) | walk(1, VA)


@pytest.mark.parametrize(
    ("granule", "level", "sizes"),
    [
        (K4, 3, (K4, K64)),
        (K4, 2, (M2, M32)),
        (K4, 1, (G1, 16 * G1)),
        (K4, 0, (G512,)),
        (K16, 3, (K16, M2)),
        (K16, 2, (M32, G1)),
        (K64, 3, (K64, M2)),
        (K64, 2, (1 << 29, 1 << 34)),
    ],
)
def test_a_level_has_the_sizes_of_its_granule(granule, level, sizes):
    assert TlbRules(granule=granule).sizes(level) == sizes


# --- by range


def test_a_range_drops_every_page_in_it_and_none_beside_it(tlb):
    for page in range(2, 6):
        tlb.access(0, 1, VA + page * K4, K4)
    scope = ARM.rvale1(VA, 1, num=1, scale=0)  # 4 pages
    assert gone(tlb, scope) == pages(1, VA, VA + 2 * K4, VA + 3 * K4) | {GLOBAL_PAGE}


def test_rvae1_drops_table_entries_that_lead_into_the_range_as_well(tlb):
    scope = ARM.rvae1(VA - M2, 1, num=1, scale=1)  # 128 pages: ends before VA's 2 MiB
    assert gone(tlb, scope) == walk(1, VA, sizes=(G1, G512))
    assert gone(tlb, ARM.rvae1(VA, 1, num=0, scale=0)) == pages(1, VA) | {GLOBAL_PAGE} | walk(
        1, VA, sizes=(M2,)
    )


def test_a_range_of_1_gib_with_ttl_2_leaves_what_leads_to_the_pmd_table_only_with_rvale1(tlb):
    """The unsharing of one PMD table before and after c2ff4764e03e."""
    base = 5 * G1
    tlb.fill(0, 1, base + M2, M2, table=0x77)
    tlb.walk_fill(0, 1, base + M2, G1, table=0x77)
    before = ARM.rvale1(base, 1, num=3, scale=3, level=2)
    tlb.flush(None, before)
    assert ("l1", base + M2, M2, 1) not in left(tlb)
    assert tlb.leading_into(0x77, asid=1) == 1
    tlb.flush(None, ARM.rvae1(base, 1, num=3, scale=3, level=2))
    assert tlb.leading_into(0x77, asid=1) == 0


def test_without_feat_tlbirange_there_is_no_range():
    with pytest.raises(ShootdownError, match="no FEAT_TLBIRANGE"):
        TlbRules(tlbirange=False).rvae1(VA, 1, num=0, scale=0)


# --- whole ASIDs


def test_aside1_drops_all_of_one_asid_but_global_pages(tlb):
    assert gone(tlb, ARM.aside1(2)) == pages(2, VA, FAR) | walk(2, VA, FAR)


def test_vmalle1_drops_everything_of_this_vm_and_nothing_of_another(tlb):
    tlb.fill(0, 1, FAR, M2, vm=1)
    assert gone(tlb, ARM.vmalle1()) == EVERY_ASID | {GLOBAL_PAGE}
    assert len(left(tlb)) == 1


def test_a_local_form_leaves_other_cpus_and_an_is_form_reaches_them(tlb):
    untouched = left(tlb, 1)
    tlb.flush(0, ARM.aside1(1))
    assert left(tlb, 1) == untouched
    tlb.flush(None, ARM.aside1(1))
    assert left(tlb, 1) == left(tlb, 0) == pages(2, VA, FAR) | walk(2, VA, FAR) | {GLOBAL_PAGE}


def test_kpti_needs_a_tlbi_for_either_asid_of_the_pair(tlb):
    """Each half of the address space fills entries of its own ASID; one TLBI finds those of one."""
    gone(tlb, ARM.vale1(VA, 2))
    assert pages(1, VA) <= left(tlb)
    gone(tlb, ARM.vale1(VA, 1))
    assert not pages(1, VA) & left(tlb)


# --- CnP


@pytest.mark.parametrize(("cnp", "shared"), [(True, True), (False, False)])
def test_with_cnp_threads_of_a_core_use_each_others_entries_and_lose_them_together(cnp, shared):
    rules = TlbRules(cnp=cnp, threads=4)
    tlb = Tlb(GEOMETRY, 8)
    first, second, other_core = (rules.tlb_of(cpu) for cpu in (0, 3, 4))
    assert (first == second) == shared
    assert other_core not in (first, second)
    tlb.access(first, 1, VA, K4)
    assert (tlb.lookup(second, 1, VA) is not None) == shared
    tlb.access(second, 1, VA, K4)
    tlb.flush(first, rules.vale1(VA, 1))  # a local TLBI of the first thread
    assert (tlb.lookup(second, 1, VA) is None) == shared


# --- what does not exist


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: TlbRules(granule=8192), "there is 4096, 16384 and 65536"),
        (lambda: TlbRules(asid_bits=12), "there is 8 and 16"),
        (lambda: TlbRules(threads=0), "there is at least 1"),
        (lambda: TlbRules(asid_bits=8).aside1(256), "ASID 256: it has 8 bits, there is 0 to 255"),
        (lambda: ARM.vae1(VA, 1, level=4), "TTL level 4"),
        (lambda: ARM.rvae1(VA, 1, num=32, scale=0), "there is 0 to 31 and 0 to 3"),
    ],
)
def test_what_does_not_exist_is_refused(make, says):
    with pytest.raises(ShootdownError, match=says):
        make()
