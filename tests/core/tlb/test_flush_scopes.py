"""What the scopes mean that arm64, powerpc and riscv need, as facts about what is left."""

import pytest
from tests.held import G1, G512, K4, M2, VA, filled, geometry, gone, left, walk

from shootdown._tlb import NOTHING, FlushScope, Tlb
from shootdown._values.errors import ShootdownError

K64 = 1 << 16
OTHER = VA + 7 * G1
GEOMETRY = geometry(l1=(K4, K64, M2), l2=(K4, M2), asid_bits=16, vm_bits=2)


@pytest.fixture(params=[True, False], ids=["lazy", "eager"])
def tlb(request):
    """Two CPUs that have VA and OTHER in ASIDs 1 and 2, and a global page each."""
    return filled(GEOMETRY, VA, OTHER, cpus=2, lazy=request.param)


def test_arm64_vale_drops_the_leaf_and_no_table_entry(tlb):
    """TLBI VALE1: last level only."""
    assert gone(tlb, FlushScope(start=VA, asid=1, walk_cache="none")) == {("l1", VA, K4, 1)}


def test_arm64_vae_drops_the_leaf_and_the_table_entries_on_the_way_to_it(tlb):
    scope = FlushScope(start=VA, asid=1, global_entries=True, walk_cache="leading-to-va")
    assert gone(tlb, scope) == {("l1", VA, K4, 1)} | walk(1, VA)


def test_arm64_ttl_2_drops_level_2_leaves_and_table_entries_of_levels_0_and_1(tlb):
    """The table entry at level 2, which leads to a level-3 table, stays, and so does the level-3 leaf."""
    tlb.fill(0, 1, VA, M2)
    scope = FlushScope(start=VA, asid=1, walk_cache="leading-to-va", page_sizes=(M2,))
    assert gone(tlb, scope) == {("l1", VA, M2, 1), ("walk", VA // G1 * G1, G1, 1), ("walk", 0, G512, 1)}


def test_arm64_ttl_3_covers_contiguous_leaves_as_well(tlb):
    tlb.fill(0, 1, VA, K64)
    scope = FlushScope(start=VA, asid=1, walk_cache="none", page_sizes=(K4, K64))
    assert gone(tlb, scope) == {("l1", VA, K4, 1), ("l1", VA, K64, 1)}


def test_arm64_aside1_drops_all_of_an_asid_but_global_entries(tlb):
    tables = walk(1, VA) | walk(1, OTHER)
    assert gone(tlb, FlushScope(asid=1)) == {("l1", VA, K4, 1), ("l1", OTHER, K4, 1)} | tables


def test_arm64_vmalle1_drops_all_of_a_vm_and_nothing_of_another(tlb):
    tlb.fill(0, 1, OTHER, M2, vm=3, is_global=True)
    tlb.flush(0, FlushScope(asid=None, vm=0, global_entries=True))
    assert [(e["vm"], e["va"]) for e in tlb.entries(0)] == [(3, OTHER // M2 * M2)] * 2


def test_a_global_entry_serves_every_asid_of_its_vm_and_no_other_vm(tlb):
    assert tlb.lookup(0, 77, VA + K4) is not None
    assert tlb.lookup(0, 1, VA + K4, vm=1) is None


def test_powerpc_ric_0_leaves_the_walk_cache_and_ric_1_the_tlb(tlb):
    ric0 = gone(tlb, FlushScope(asid=1, walk_cache="none"))
    ric1 = gone(tlb, FlushScope(asid=1, leaf=False))
    assert ric0 == {("l1", VA, K4, 1), ("l1", OTHER, K4, 1)}
    assert ric1 == walk(1, VA) | walk(1, OTHER)


def test_riscv_sfence_vma_with_an_address_covers_leaves_only(tlb):
    """Privileged architecture, SFENCE.VMA: leaf PTEs with rs1 != x0, every level with rs1 = x0."""
    assert gone(tlb, FlushScope(start=VA, asid=2, walk_cache="none")) == {("l1", VA, K4, 2)}
    assert gone(tlb, FlushScope(asid=2)) == {("l1", OTHER, K4, 2)} | walk(2, VA) | walk(2, OTHER)


def test_a_stride_names_one_address_in_each_step_and_nothing_between(tlb):
    """The page behind VA lies inside the first stride and is not named."""
    tlb.access(0, 1, VA + 2 * K4, K4)
    tlb.access(0, 1, VA + M2, K4)
    scope = FlushScope(start=VA, count=2, stride=M2, asid=1, walk_cache="none")
    assert gone(tlb, scope) == {("l1", VA, K4, 1), ("l1", VA + M2, K4, 1)}


def test_an_address_inside_a_large_page_drops_it(tlb):
    tlb.fill(0, 1, VA, M2)
    scope = FlushScope(start=VA + 17 * K4, asid=1, walk_cache="none")
    assert gone(tlb, scope) == {("l1", VA, M2, 1)}


def test_the_last_page_of_the_address_space_can_be_flushed(tlb):
    last = (1 << 64) - K4
    tlb.access(0, 1, last, K4)
    assert ("l1", last, K4, 1) in gone(tlb, FlushScope(start=last, asid=1, walk_cache="none"))


def test_a_flush_of_one_cpu_leaves_the_others(tlb):
    before = left(tlb)
    assert gone(tlb, FlushScope(asid=None, vm=None, global_entries=True), cpus=1) == set()
    assert left(tlb) == before
    assert left(tlb, cpu=1) == set()


def test_a_broadcast_reaches_every_cpu(tlb):
    tlb.flush(None, FlushScope(asid=None, vm=None, global_entries=True))
    assert [len(tlb.entries(cpu)) for cpu in (0, 1)] == [0, 0]


def test_the_scope_of_nothing_drops_nothing(tlb):
    assert gone(tlb, NOTHING) == set()


def test_an_entry_filled_after_a_flush_stays(tlb):
    tlb.flush(None, FlushScope(asid=1))
    tlb.access(0, 1, VA, K4)
    assert tlb.access(0, 1, VA, K4) == ("l1", 0)


def test_entries_know_the_page_table_page_that_makes_them_stale(tlb):
    """A leaf counts for the table that it was read from, a walk-cache entry for the one that it leads to."""
    tlb.fill(0, 1, VA, M2, table=0x77)
    tlb.walk_fill(1, 1, VA, G1, table=0x77)
    tlb.walk_fill(1, 2, VA, G1, table=0x77)
    assert tlb.leading_into(0x77) == 4  # the leaf is in L1 and in L2
    assert tlb.leading_into(0x77, cpu=1) == 2
    assert tlb.leading_into(0x77, asid=2) == 1
    tlb.flush(None, FlushScope(start=VA, asid=1, walk_cache="none"))
    assert tlb.leading_into(0x77, asid=1) == 1


def test_the_deepest_cached_level_wins(tlb):
    assert tlb.walk_lookup(0, 1, VA)[0] == M2
    tlb.flush(0, FlushScope(start=VA, leaf=False, asid=1, walk_cache="leading-to-va"))
    assert tlb.walk_lookup(0, 1, VA) is None
    tlb.walk_fill(0, 1, VA, G1, table=0x55, data=0x1234)
    assert tlb.walk_lookup(0, 1, VA) == (G1, 0x55, 0x1234)


@pytest.mark.parametrize("scope", [FlushScope(asid=1, vm=0), FlushScope(asid=None, vm=None)])
def test_a_broadcast_of_a_whole_asid_writes_four_words_however_many_cpus(scope):
    """Two floors, the time and the machine's last flush."""
    tlb = Tlb(GEOMETRY, 300)
    tlb.access_many(range(300), 1, VA, K4)
    before = tlb.words.copy()
    tlb.flush(None, scope)
    assert (before != tlb.words).sum() == 4
    assert tlb.leading_into(0) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"start": VA, "count": 0}, "at least one address"),
        ({"start": VA, "count": 2}, "a stride where there are more"),
        ({"start": (1 << 64) - K4, "count": 2, "stride": K4}, "leave the 64-bit address space"),
        ({"start": -1}, "leave the 64-bit address space"),
        ({"walk_cache": "leading"}, "nearest: leading-to-va"),
        ({"page_sizes": (3000,)}, "a power of two"),
    ],
)
def test_a_scope_that_means_nothing_is_refused(arguments, says):
    with pytest.raises(ShootdownError, match=says):
        FlushScope(**arguments)
