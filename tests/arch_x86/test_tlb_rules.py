"""What each x86 invalidation drops and what it leaves, sentence by sentence from the manuals."""

import pytest

from shootdown import CacheGeometry, ShootdownError, TlbGeometry
from shootdown.porting import NOTHING, Tlb
from shootdown_x86._tlb_rules import TlbRules

K4, M2, G1, G512 = 1 << 12, 1 << 21, 1 << 30, 1 << 39
VA = 5 * G1 + 3 * M2
FAR = 900 * G1
GEOMETRY = TlbGeometry(
    l1=CacheGeometry(256, 16, (K4, M2)),
    l2=CacheGeometry(256, 16, (K4, M2)),
    walk_caches=(CacheGeometry(16, 16, (M2,)), CacheGeometry(16, 16, (G1,)), CacheGeometry(8, 8, (G512,))),
    levels=(K4, M2, G1, G512),
    asid_bits=12,
    vm_bits=1,
)
INTEL = TlbRules(vendor="intel")
ZEN = TlbRules(vendor="amd", invlpgb_count_max=8)
ZEN_TCE = TlbRules(vendor="amd", tce=True, invlpgb_count_max=8)


@pytest.fixture(params=[True, False], ids=["lazy", "eager"])
def tlb(request):
    """One CPU that has VA and FAR with PCIDs 1 and 2, and a global page behind VA's."""
    tlb = Tlb(GEOMETRY, 1, lazy=request.param)
    for pcid in (1, 2):
        for va in (VA, FAR):
            tlb.access(0, pcid, va, K4)
    tlb.access(0, 1, VA + K4, K4, is_global=True)
    return tlb


def left(tlb):
    return {
        (str(e["level"]), int(e["va"]), int(e["page_size"]), "G" if e["is_global"] else int(e["asid"]))
        for e in tlb.entries(0)
        if e["level"] != "l2"
    }


def gone(tlb, scope):
    before = left(tlb)
    tlb.flush(0, scope)
    return before - left(tlb)


def walk(pcid, *vas):
    return {("walk", va // size * size, size, pcid) for va in vas for size in (M2, G1, G512)}


def pages(pcid, *vas):
    return {("l1", va, K4, pcid) for va in vas}


GLOBAL_PAGE = ("l1", VA + K4, K4, "G")
EVERY_PCID = pages(1, VA, FAR) | walk(1, VA, FAR) | pages(2, VA, FAR) | walk(2, VA, FAR)


def test_intel_invlpg_drops_the_page_and_every_walk_cache_entry_of_the_pcid(tlb):
    assert gone(tlb, INTEL.invlpg(VA, 1)) == pages(1, VA) | walk(1, VA, FAR)


def test_invlpg_drops_a_global_page_whatever_its_pcid(tlb):
    assert gone(tlb, INTEL.invlpg(VA + K4, 2)) == {GLOBAL_PAGE} | walk(2, VA, FAR)


def test_invlpg_drops_the_large_page_that_holds_its_address(tlb):
    tlb.fill(0, 1, VA, M2)
    assert ("l1", VA, M2, 1) in gone(tlb, INTEL.invlpg(VA + 0x12345, 1))


def test_amd_invlpg_without_tce_drops_every_upper_level_entry_of_the_pcid(tlb):
    assert gone(tlb, ZEN.invlpg(VA, 1)) == pages(1, VA) | walk(1, VA, FAR)


def test_amd_invlpg_with_tce_drops_only_upper_levels_that_lead_to_the_page(tlb):
    assert gone(tlb, ZEN_TCE.invlpg(VA, 1)) == pages(1, VA) | walk(1, VA)


def test_mov_to_cr3_drops_all_of_the_pcid_but_global_pages(tlb):
    assert gone(tlb, INTEL.mov_cr3(1)) == pages(1, VA, FAR) | walk(1, VA, FAR)


def test_mov_to_cr3_with_bit_63_drops_nothing(tlb):
    assert gone(tlb, INTEL.mov_cr3(1, no_flush=True)) == set()


def test_without_pcide_there_is_only_pcid_0():
    old = TlbRules(vendor="intel", pcide=False)
    assert old.mov_cr3(0).asid == 0
    with pytest.raises(ShootdownError, match=r"PCID 1: there is only 0 while CR4\.PCIDE is clear"):
        old.mov_cr3(1)
    with pytest.raises(ShootdownError, match="#GP"):
        old.mov_cr3(0, no_flush=True)


def test_intel_invpcid_type_0_drops_what_translates_the_address_with_that_pcid(tlb):
    assert gone(tlb, INTEL.invpcid(0, pcid=2, va=VA)) == pages(2, VA) | walk(2, VA)


def test_invpcid_type_0_leaves_global_pages(tlb):
    assert GLOBAL_PAGE not in gone(tlb, INTEL.invpcid(0, pcid=1, va=VA + K4))


def test_amd_invpcid_type_0_without_tce_drops_every_upper_level_entry_of_the_pcid(tlb):
    assert gone(tlb, ZEN.invpcid(0, pcid=2, va=VA)) == pages(2, VA) | walk(2, VA, FAR)


def test_invpcid_type_1_drops_all_of_one_pcid_but_global_pages(tlb):
    assert gone(tlb, INTEL.invpcid(1, pcid=2)) == pages(2, VA, FAR) | walk(2, VA, FAR)


def test_invpcid_type_2_drops_everything(tlb):
    assert gone(tlb, INTEL.invpcid(2)) == EVERY_PCID | {GLOBAL_PAGE}


def test_invpcid_type_3_drops_everything_but_global_pages(tlb):
    assert gone(tlb, INTEL.invpcid(3)) == EVERY_PCID


def test_there_is_no_invpcid_type_4():
    with pytest.raises(ShootdownError, match="INVPCID type 4"):
        INTEL.invpcid(4)


def test_toggling_cr4_pge_drops_everything(tlb):
    assert gone(tlb, INTEL.mov_cr4_pge()) == EVERY_PCID | {GLOBAL_PAGE}


def test_invlpgb_of_a_pcid_drops_all_of_it_but_global_pages(tlb):
    assert gone(tlb, ZEN.invlpgb(pcid=1, asid=0)) == pages(1, VA, FAR) | walk(1, VA, FAR)


def test_invlpgb_of_nothing_in_particular_drops_all_but_global_pages(tlb):
    """INVLPGB_MODE_ALL_NONGLOBALS in Linux."""
    assert gone(tlb, ZEN.invlpgb(asid=0)) == EVERY_PCID


def test_invlpgb_with_include_global_drops_global_pages_too(tlb):
    assert gone(tlb, ZEN.invlpgb(asid=0, include_global=True)) == EVERY_PCID | {GLOBAL_PAGE}


def test_invlpgb_of_an_address_without_a_pcid_matches_every_pcid(tlb):
    scope = ZEN_TCE.invlpgb(va=VA, asid=0)
    assert gone(tlb, scope) == pages(1, VA) | pages(2, VA) | walk(1, VA) | walk(2, VA)


def test_invlpgb_drops_upper_levels_as_tce_says(tlb):
    assert gone(tlb, ZEN_TCE.invlpgb(va=VA, pcid=1, asid=0)) == pages(1, VA) | walk(1, VA)
    assert gone(tlb, ZEN.invlpgb(va=FAR, pcid=1, asid=0)) == pages(1, FAR) | walk(1, FAR) - walk(1, VA)


def test_invlpgb_of_final_translations_leaves_upper_levels(tlb):
    scope = ZEN.invlpgb(va=VA, pcid=1, asid=0, final_translation_only=True)
    assert gone(tlb, scope) == pages(1, VA)


def test_invlpgb_names_as_many_pages_as_its_count(tlb):
    for page in range(4):
        tlb.access(0, 1, VA + page * K4, K4)
    scope = ZEN.invlpgb(va=VA, pcid=1, asid=0, count=3, final_translation_only=True)
    assert gone(tlb, scope) == pages(1, VA, VA + 2 * K4)  # the page between them is global


def test_invlpgb_with_pmd_stride_names_one_page_in_each_2_mib(tlb):
    for offset in (K4 * 2, M2, M2 + K4):
        tlb.access(0, 1, VA + offset, K4)
    tlb.fill(0, 1, VA + 2 * M2, M2)
    scope = ZEN.invlpgb(va=VA, pcid=1, asid=0, count=3, pmd_stride=True, final_translation_only=True)
    assert gone(tlb, scope) == pages(1, VA, VA + M2) | {("l1", VA + 2 * M2, M2, 1)}


def test_invlpgb_of_the_hosts_asid_leaves_a_guests_entries_and_without_an_asid_takes_them(tlb):
    tlb.access(0, 1, VA, K4, vm=1)
    guests = {int(va) for va in tlb.entries(0)["va"][tlb.entries(0)["vm"] == 1]}
    tlb.flush(0, ZEN.invlpgb(asid=0, include_global=True))
    assert {int(e["va"]) for e in tlb.entries(0)} == guests
    tlb.flush(0, ZEN.invlpgb(include_global=True))
    assert len(tlb.entries(0)) == 0


def test_including_nested_translations_changes_nothing_here():
    assert ZEN.invlpgb(va=VA, asid=0, include_nested=True) == ZEN.invlpgb(va=VA, asid=0)


def test_invlpgb_of_more_pages_than_the_cpu_takes_faults():
    with pytest.raises(
        ShootdownError, match=r"INVLPGB of 9 pages: this CPU takes 1 to 8, more fault \(#GP\)"
    ):
        ZEN.invlpgb(va=VA, count=9)
    with pytest.raises(ShootdownError, match=r"no INVLPGB \(#UD\)"):
        TlbRules(vendor="amd").invlpgb(va=VA)


def test_tlbsync_drops_nothing():
    assert ZEN.tlbsync() is NOTHING


def test_intel_has_neither_tce_nor_invlpgb():
    for wrong in ({"tce": True}, {"invlpgb_count_max": 8}):
        with pytest.raises(ShootdownError, match="use vendor 'amd'"):
            TlbRules(vendor="intel", **wrong)
