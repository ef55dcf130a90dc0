"""What each fence drops, tried out on a TLB."""

from __future__ import annotations

import pytest

from shootdown import ShootdownError
from shootdown.porting import NOTHING, FlushScope, Tlb
from shootdown_riscv._platforms import KUNMINGHU
from shootdown_riscv._tlb_rules import FenceRules

VA, OTHER = 0x4000_1000, 0x4000_3000
RULES = FenceRules(mode="sv48")


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
    assert kinds(RULES.sfence_vma()) == set()


def test_x0_asid_drops_leaves_and_pointers_of_the_asid_but_no_global_entry() -> None:
    left = kinds(RULES.sfence_vma(asid=1))
    assert leaves(left) == {(VA, 2), (OTHER, 2)}
    assert {asid for kind, _, asid, _ in left if kind == "walk"} == {2}
    assert any(is_global for *_, is_global in left)


def test_an_address_drops_its_leaf_and_no_pointer() -> None:
    before = kinds(NOTHING)
    left = kinds(RULES.sfence_vma(VA, 1))
    assert leaves(before) - leaves(left) == {(VA, 1)}
    assert {e for e in left if e[0] == "walk"} == {e for e in before if e[0] == "walk"}


def test_an_address_in_all_address_spaces_drops_global_leaves_too() -> None:
    assert leaves(kinds(RULES.sfence_vma(VA))) == {(OTHER, 1), (OTHER, 2)}
    assert not any(is_global for *_, is_global in kinds(RULES.sfence_vma(0x8000_0000)))


def test_an_address_that_is_not_valid_in_the_mode_does_nothing() -> None:
    assert RULES.sfence_vma(1 << 47) is NOTHING
    assert FenceRules(mode="sv57").sfence_vma(1 << 47) is not NOTHING
    assert RULES.sfence_vma((1 << 64) - 4096) is not NOTHING


def test_asid_bits_beyond_asidlen_are_ignored() -> None:
    assert FenceRules(asid_bits=4).sfence_vma(asid=0x12).asid == 2
    assert FenceRules(asid_bits=0).sfence_vma(asid=7).asid == 0


def test_sinval_vma_drops_what_sfence_vma_does_and_its_brackets_nothing() -> None:
    for va, asid in ((None, None), (None, 3), (VA, None), (VA, 3)):
        assert RULES.sinval_vma(va, asid) == RULES.sfence_vma(va, asid)
    assert (RULES.sfence_w_inval(), RULES.sfence_inval_ir()) == (NOTHING, NOTHING)


def test_without_svinval_its_instructions_are_illegal() -> None:
    old = FenceRules(svinval=False)
    for use in (old.sinval_vma, old.sfence_w_inval, old.sfence_inval_ir):
        with pytest.raises(ShootdownError, match="no Svinval"):
            use()


@pytest.mark.parametrize(("mode", "bits"), [("sv32", 10), ("sv39", 17), ("sv48", -1)])
def test_satp_holds_9_asid_bits_on_rv32_and_16_on_rv64(mode: str, bits: int) -> None:
    with pytest.raises(ShootdownError, match="satp has 0 to"):
        FenceRules(mode=mode, asid_bits=bits)  # type: ignore[arg-type]
