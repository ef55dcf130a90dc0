"""What each fence drops, tried out on a TLB."""

from __future__ import annotations

from shootdown.porting import NOTHING, FlushScope, Tlb, ops, scope_of
from shootdown_riscv._flush import sfence_vma
from shootdown_riscv._platforms import KUNMINGHU

VA, OTHER = 0x4000_1000, 0x4000_3000


def kinds(scope: FlushScope) -> set[tuple[str, int, int, bool]]:
    """Fill a TLB, fence, and say what is left: level, address, ASID, global."""
    tlb = Tlb(KUNMINGHU, cpus=1)
    for asid in (1, 2):
        for va in (VA, OTHER):
            tlb.access(0, asid, va, 4096)
    tlb.access(0, 1, 0x8000_0000, 4096, is_global=True)
    tlb.flush(0, scope)
    return {
        (
            "walk" if entry["level"] == "walk" else "leaf",
            int(entry["va"]),
            int(entry["asid"]),
            bool(entry["is_global"]),
        )
        for entry in tlb.entries(0)
    }


def leaves(left: set[tuple[str, int, int, bool]]) -> set[tuple[int, int]]:
    return {(va, asid) for kind, va, asid, is_global in left if kind == "leaf" and not is_global}


def test_x0_x0_drops_everything_global_entries_too() -> None:
    assert kinds(sfence_vma()) == set()


def test_x0_asid_drops_leaves_and_pointers_of_the_asid_but_no_global_entry() -> None:
    left = kinds(sfence_vma(asid=1))
    assert leaves(left) == {(VA, 2), (OTHER, 2)}
    assert {asid for kind, _, asid, _ in left if kind == "walk"} == {2}
    assert any(is_global for *_, is_global in left)


def test_an_address_drops_its_leaf_and_no_pointer() -> None:
    before = kinds(NOTHING)
    left = kinds(sfence_vma(VA, 1))
    assert leaves(before) - leaves(left) == {(VA, 1)}
    assert {e for e in left if e[0] == "walk"} == {e for e in before if e[0] == "walk"}


def test_an_address_in_all_address_spaces_drops_global_leaves_too() -> None:
    assert leaves(kinds(sfence_vma(VA))) == {(OTHER, 1), (OTHER, 2)}
    assert not any(is_global for *_, is_global in kinds(sfence_vma(0x8000_0000)))


def test_a_fence_by_address_is_the_only_one_that_leaves_walk_cache_entries() -> None:
    assert scope_of(sfence_vma(VA, 1)) == ops.SCOPE_LEAF
    assert scope_of(sfence_vma(asid=1)) == scope_of(sfence_vma()) == ops.SCOPE_BOTH
