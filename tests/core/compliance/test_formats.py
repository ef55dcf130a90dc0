"""Section 1, page-table formats: what is right is shown, and one wrong value is found and named."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
from tests.core.compliance.toys import findings, good, outcome, vax

from shootdown import Architecture
from shootdown.formats import (
    Attribute,
    BitField,
    Contiguous,
    Deny,
    Fault,
    Format,
    Level,
    Piece,
    Reason,
    Refused,
    Reserved,
    Setting,
    Test,
    UsedFlags,
    bit,
    bits,
)

VAX: Format = vax.VAX
SECTION = [f"1.{n}" for n in range(1, 11)]


def with_format(**changes: Any) -> Architecture:
    return good(formats=(attrs.evolve(VAX, **changes),))


def levels(*changes: dict[str, Any]) -> tuple[Level, ...]:
    return tuple(attrs.evolve(row, **change) for row, change in zip(VAX.levels, changes, strict=True))


NX = Attribute("no_execute", 63, table=63, combine="or")


@pytest.mark.parametrize("number", SECTION)
def test_each_statement_is_shown_of_the_toy(number: str) -> None:
    assert outcome(number, good()).word == "shown"


@pytest.mark.parametrize(
    ("number", "wrong", "named"),
    [
        # a bit that has two uses
        ("1.1", {"attributes": (Attribute("user", 12), Attribute("writable", 3))}, "a L0 .* share bit 12"),
        (
            "1.1",
            {"attributes": (Attribute("user", 2), Attribute("writable", 2))},
            "attribute writable share bit 2",
        ),
        (
            "1.1",
            {"attributes": (Attribute("user", 0), Attribute("writable", 3))},
            "present and attribute user",
        ),
        ("1.1", {"address": (Piece(bits(3, 63)),)}, ""),  # low bits are no address bits of a page
        (
            "1.1",
            {"used": UsedFlags(bit(3), on_tables=False)},
            "attribute writable and used.accessed share bit 3",
        ),
        (
            "1.1",
            {"used": UsedFlags(bit(4), False, dirty_set=bit(4))},
            "used.accessed and used.dirty_set share bit 4",
        ),
        ("1.1", {"global_page": Test(bit(2), bit(2))}, "attribute user and global_page share bit 2"),
        (
            "1.1",
            {"reserved": (Reserved(bit(3), why="must be zero"),)},
            "attribute writable uses bit 3, which is res",
        ),
        ("1.1", {"fields": (BitField("A", bits(1, 3)), BitField("B", bit(3)))}, "fields A and B share bit 3"),
        (
            "1.1",
            {"contiguous": (Contiguous("L0", Test(bit(12), bit(12)), 4),)},
            "address and contiguous share bit 12",
        ),
        # a bit beyond the entry
        (
            "1.2",
            {"attributes": (Attribute("user", 64), Attribute("writable", 3))},
            "attribute user .* names bit 64",
        ),
        ("1.2", {"entry_bytes": 4}, "address names bits 32 to 63; an entry has bits 0 to 31"),
        ("1.2", {"address": (Piece(bits(12, 63), up=4),)}, "address reaches address bit 67"),
        ("1.2", {"address": (Piece(bits(0, 63), down=2),)}, "bits 0 to 1 of address move down by 2, out of"),
        ("1.2", {"attributes": (Attribute("user", -1), Attribute("writable", 3))}, "attribute user .* is -1"),
        # a test that never or always holds
        ("1.3", {"present": Test(bit(0), bit(1))}, "present can never hold: its value 0x2 has bit 1 set"),
        ("1.3", {"points_to_table": Test(bit(1), 1)}, "points_to_table can never hold"),
        ("1.3", {"present": Test(0, 0)}, "present holds of every entry"),
        ("1.3", {"present": Test(bits(0, 1), 3)}, "present and points_to_table contradict"),
        ("1.3", {"present": Test(bits(0, 1), 1)}, "points_to_table holds of every present entry"),
        # what is written is something else
        ("1.4", {"leaf_bits": bit(0)}, "L1 that maps a page .* is a pointer to a table: look at leaf_bits"),
        ("1.4", {"leaf_bits": bit(1)}, "L0 that maps a page .* is absent: look at leaf_bits"),
        ("1.4", {"table_bits": 0}, "L2 that points to a table .* is absent: look at table_bits"),
        ("1.4", {"table_bits": 3}, "L1 that points to a table .* is a page: look at table_bits"),
        ("1.4", {"leaf_bits": 3 | bit(40)}, "is written with address bit 40 set"),
        (
            "1.4",
            {"refused": (Refused(Test(bits(2, 3), bits(2, 3))),), "leaf_bits": 15},
            "refused as reserved",
        ),
        (
            "1.5",
            {"present": Test(bit(0), 0), "table_bits": 0, "leaf_bits": 2},
            "an entry of 0 is present in a L0",
        ),
        # rules that say nothing
        (
            "1.6",
            {"deny": (*VAX.deny, Deny(has=("user",), lacks=("user",)))},
            "has=.'user',., lacks=.* never applies",
        ),
        ("1.6", {"deny": (*VAX.deny, Deny(user=True, kinds=("read",), lacks=("user",)))}, "decides nothing"),
        (
            "1.6",
            {"faults": (Fault("never", (Reason.ADDRESS_SIZE,)), Fault("f"))},
            "'never' is never raised: no walk",
        ),
        ("1.6", {"faults": (Fault("f"), Fault("g"))}, "'g' is never raised: faults before it have all"),
        # levels and addresses
        ("1.7", {"levels": levels({}, {"name": "L2"}, {})}, "two levels have one name"),
        ("1.7", {"levels": levels({}, {"linux": "pte"}, {"linux": "pmd"})}, "in this order"),
        (
            "1.7",
            {"levels": levels({}, {"leaf": "always"}, {})},
            "every L1 maps a page, so that no walk reaches",
        ),
        ("1.7", {"levels": levels({}, {}, {"leaf": "never"})}, "no L0 maps a page"),
        ("1.7", {"levels": levels({"bits": 18}, {"bits": 0}, {})}, "0 address bits index a L1"),
        ("1.7", {"address": (Piece(bits(13, 63)),)}, "lacks address bits 12 to 12"),
        ("1.7", {"address": (Piece(bits(14, 63), down=1),)}, "lacks address bits 12 to 12"),
        ("1.7", {"address": (Piece(bits(12, 30) | bits(32, 63)),)}, "lacks address bit 31 between"),
        ("1.7", {"address": (Piece(bits(12, 40)), Piece(bits(50, 55), up=0))}, "lacks address bits 41 to 49"),
        ("1.7", {"address": (Piece(bits(12, 40)), Piece(bits(40, 55)))}, "one address bit in both pieces"),
        ("1.8", {"root_mask": bits(14, 63)}, "root_mask begins at bit 14, but a top table has 4096 bytes"),
        ("1.8", {"root_mask": bits(12, 20)}, "root_mask ends at bit 20"),
        (
            "1.8",
            {"root_mask": bits(12, 51)},
            "root_mask ends at bit 51, below what entries can point to: bit 63",
        ),
        (
            "1.8",
            {"root_mask": bits(0, 63)},
            "root_mask lets bits 0 to 11 through: a top table has 4096 bytes",
        ),
        ("1.8", {"root_mask": bits(12, 20) | bits(30, 63)}, "has holes"),
        # what is mapped is not found
        (
            "1.9",
            {"reserved": (Reserved(bit(2), levels=("L0",), slot="leaf", why="zero"),)},
            "reserved bit set",
        ),
    ],
)
def test_a_wrong_value_is_named(number: str, wrong: dict[str, Any], named: str) -> None:
    text = findings(number, with_format(**wrong))
    if named:
        assert re.search(named, text), text
        assert "toy: format vax: " in text
    else:
        assert not text


def test_bits_that_are_free_under_a_setting_may_be_reserved_otherwise() -> None:
    free = Reserved(bit(63), unless=("nx",), why="without nx")
    architecture = with_format(
        attributes=(*VAX.attributes, NX),
        address=(Piece(bits(12, 62)),),
        deny=(*VAX.deny, Deny(kinds=("execute",), has=("no_execute",), when=("nx",))),
        reserved=(free,),
        settings_known=(Setting("nx", True, "execution can be forbidden"),),
    )
    for number in SECTION:
        assert outcome(number, architecture).word == "shown", number


def test_a_kernel_that_differs_from_the_literal_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin is a second opinion: let it read `and` where the format says `or`."""
    from shootdown._compliance import twin

    monkeypatch.setattr(twin, "_held", lambda *_: True)
    assert "the literal read slowly" in findings("1.10", good())
