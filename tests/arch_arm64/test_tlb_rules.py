"""What each TLBI drops and what it leaves, sentence by sentence from the Arm ARM."""

import pytest
from tests.held import G1, G512, K4, M2, VA, filled, geometry, gone, left, walk

from shootdown.porting import ops, scope_of
from shootdown_arm64._tlb_rules import aside1, vae1, vale1

K16, K64, M32 = 1 << 14, 1 << 16, 1 << 25
FAR = 900 * G1
SIZES = (K4, K64, M2, M32, G1)
GEOMETRY = geometry(l1=SIZES, asid_bits=16)


@pytest.fixture(params=[True, False], ids=["lazy", "eager"])
def tlb(request):
    """Two CPUs that have VA and FAR in ASIDs 1 and 2, and a global page behind VA's."""
    return filled(GEOMETRY, VA, FAR, cpus=2, lazy=request.param)


def pages(asid, *vas):
    return {("l1", va, K4, asid) for va in vas}


GLOBAL_PAGE = ("l1", VA + K4, K4, "G")
EVERY_ASID = pages(1, VA, FAR) | walk(1, VA, FAR) | pages(2, VA, FAR) | walk(2, VA, FAR)


# --- by address


def test_vae1_drops_the_page_and_the_table_entries_that_lead_to_it(tlb):
    assert gone(tlb, vae1(VA, 1)) == pages(1, VA) | walk(1, VA)


def test_vale1_drops_the_page_and_leaves_every_table_entry(tlb):
    assert gone(tlb, vale1(VA, 1)) == pages(1, VA)


def test_both_drop_a_global_page_whatever_the_asid(tlb):
    assert gone(tlb, vale1(VA + K4, 2)) == {GLOBAL_PAGE}


def test_an_address_anywhere_in_a_block_or_a_contiguous_run_drops_all_of_it(tlb):
    tlb.fill(0, 1, FAR + M32, M32)
    tlb.fill(0, 1, FAR + G1, K64)
    assert gone(tlb, vale1(FAR + M32 + 17 * M2 // 2, 1)) == {("l1", FAR + M32, M32, 1)}
    assert gone(tlb, vale1(FAR + G1 + 15 * K4, 1)) == {("l1", FAR + G1, K64, 1)}


# --- by range


def test_a_range_drops_every_page_in_it_and_none_beside_it(tlb):
    for page in range(2, 6):
        tlb.access(0, 1, VA + page * K4, K4)
    scope = vale1(VA, 1, pages=4)
    assert gone(tlb, scope) == pages(1, VA, VA + 2 * K4, VA + 3 * K4) | {GLOBAL_PAGE}


def test_rvae1_drops_table_entries_that_lead_into_the_range_as_well(tlb):
    scope = vae1(VA - M2, 1, pages=128)  # ends before VA's 2 MiB
    assert gone(tlb, scope) == walk(1, VA, sizes=(G1, G512))
    assert gone(tlb, vae1(VA, 1, pages=2)) == pages(1, VA) | {GLOBAL_PAGE} | walk(1, VA, sizes=(M2,))


def test_a_range_of_1_gib_leaves_what_leads_to_the_pmd_table_only_with_rvale1(tlb):
    """The unsharing of one PMD table before and after c2ff4764e03e."""
    base = 5 * G1
    tlb.fill(0, 1, base + M2, M2, table=0x77)
    tlb.walk_fill(0, 1, base + M2, G1, table=0x77)
    before = vale1(base, 1, pages=1 << 18)
    tlb.flush(None, before)
    assert ("l1", base + M2, M2, 1) not in left(tlb)
    assert tlb.leading_into(0x77, asid=1) == 1
    tlb.flush(None, vae1(base, 1, pages=1 << 18))
    assert tlb.leading_into(0x77, asid=1) == 0


# --- whole ASIDs


def test_aside1_drops_all_of_one_asid_but_global_pages(tlb):
    assert gone(tlb, aside1(2)) == pages(2, VA, FAR) | walk(2, VA, FAR)


def test_a_local_form_leaves_other_cpus_and_an_is_form_reaches_them(tlb):
    untouched = left(tlb, 1)
    tlb.flush(0, aside1(1))
    assert left(tlb, 1) == untouched
    tlb.flush(None, aside1(1))
    assert left(tlb, 1) == left(tlb, 0) == pages(2, VA, FAR) | walk(2, VA, FAR) | {GLOBAL_PAGE}


def test_kpti_needs_a_tlbi_for_either_asid_of_the_pair(tlb):
    """Each half of the address space fills entries of its own ASID; one TLBI finds those of one."""
    gone(tlb, vale1(VA, 2))
    assert pages(1, VA) <= left(tlb)
    gone(tlb, vale1(VA, 1))
    assert not pages(1, VA) & left(tlb)


# --- in a program


def test_only_vale1_leaves_walk_cache_entries():
    assert [scope_of(rule) for rule in (vae1(VA, 1), vale1(VA, 1), aside1(1))] == [
        ops.SCOPE_BOTH,
        ops.SCOPE_LEAF,
        ops.SCOPE_BOTH,
    ]
