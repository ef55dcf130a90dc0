"""What each x86 invalidation drops and what it leaves, sentence by sentence from the manuals."""

import pytest
from tests.held import G1, K4, M2, VA, filled, geometry, gone, walk

from shootdown.porting import ops, scope_of
from shootdown_x86._tlb_rules import invlpg, invlpgb

FAR = 900 * G1
GEOMETRY = geometry(l1=(K4, M2), asid_bits=12)


@pytest.fixture(params=[True, False], ids=["lazy", "eager"])
def tlb(request):
    """One CPU that has VA and FAR with PCIDs 1 and 2, and a global page behind VA's."""
    return filled(GEOMETRY, VA, FAR, cpus=1, lazy=request.param)


def pages(pcid, *vas):
    return {("l1", va, K4, pcid) for va in vas}


GLOBAL_PAGE = ("l1", VA + K4, K4, "G")


def test_intel_invlpg_drops_the_page_and_every_walk_cache_entry_of_the_pcid(tlb):
    assert gone(tlb, invlpg(VA, 1)) == pages(1, VA) | walk(1, VA, FAR)


def test_invlpg_drops_a_global_page_whatever_its_pcid(tlb):
    assert gone(tlb, invlpg(VA + K4, 2)) == {GLOBAL_PAGE} | walk(2, VA, FAR)


def test_invlpg_drops_the_large_page_that_holds_its_address(tlb):
    tlb.fill(0, 1, VA, M2)
    assert ("l1", VA, M2, 1) in gone(tlb, invlpg(VA + 0x12345, 1))


def test_amd_invlpg_without_tce_drops_every_upper_level_entry_of_the_pcid(tlb):
    assert gone(tlb, invlpg(VA, 1)) == pages(1, VA) | walk(1, VA, FAR)


def test_amd_invlpg_with_tce_drops_only_upper_levels_that_lead_to_the_page(tlb):
    assert gone(tlb, invlpg(VA, 1, tce=True)) == pages(1, VA) | walk(1, VA)


def test_invlpgb_of_a_pcid_drops_all_of_it_but_global_pages(tlb):
    assert gone(tlb, invlpgb(None, 1)) == pages(1, VA, FAR) | walk(1, VA, FAR)


def test_invlpgb_drops_upper_levels_as_tce_says(tlb):
    assert gone(tlb, invlpgb(VA, 1, tce=True)) == pages(1, VA) | walk(1, VA)
    assert gone(tlb, invlpgb(FAR, 1)) == pages(1, FAR) | walk(1, FAR) - walk(1, VA)


def test_invlpgb_names_as_many_pages_as_its_count(tlb):
    for page in range(4):
        tlb.access(0, 1, VA + page * K4, K4)
    scope = invlpgb(VA, 1, count=3, tce=True)
    assert gone(tlb, scope) - walk(1, VA) == pages(1, VA, VA + 2 * K4)  # the page between them is global


def test_invlpgb_with_pmd_stride_names_one_page_in_each_2_mib(tlb):
    for offset in (K4 * 2, M2, M2 + K4):
        tlb.access(0, 1, VA + offset, K4)
    tlb.fill(0, 1, VA + 2 * M2, M2)
    scope = invlpgb(VA, 1, count=3, pmd_stride=True, tce=True)
    found = {entry for entry in gone(tlb, scope) if entry[0] != "walk"}
    assert found == pages(1, VA, VA + M2) | {("l1", VA + 2 * M2, M2, 1)}


def test_both_drop_leaves_and_upper_levels_so_that_no_flush_of_a_range_leaves_walk_cache_entries():
    for rule in (invlpg(VA, 1), invlpg(VA, 1, tce=True), invlpgb(VA, 1), invlpgb(VA, 1, tce=True)):
        assert scope_of(rule) == ops.SCOPE_BOTH
