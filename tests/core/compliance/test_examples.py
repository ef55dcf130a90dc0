"""Section 1, evidence: a format that is wrong and consistent is contradicted by its examples, and by nothing else."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
from tests.core.compliance.toys import findings, good, outcome, vax

from shootdown import Architecture, ShootdownError
from shootdown._compliance.asked import asked
from shootdown._compliance.checking import check
from shootdown._compliance.otherwise import unshown
from shootdown._compliance.registry import chosen
from shootdown._compliance.subject import Subject
from shootdown._plugins.registry import registry
from shootdown.formats import (
    AddressExample,
    Attribute,
    Deny,
    Example,
    Format,
    Level,
    Piece,
    Reserved,
    Setting,
    Test,
    UsedFlags,
    WalkExample,
    bit,
    bits,
)

M = "VAX manual, table 1"
TABLES, EVERY = ("L2", "L1"), ("L2", "L1", "L0")

#: An imaginary manual's: valid 0, page 1, user 2, writable 3, accessed 4, modified 5, global 6, the frame from 12 on.
EXAMPLES = (
    Example(0x3001, TABLES, "table", M, address=0x3000, user="rwx", supervisor="rwx", accessed=False),
    Example(0x3001, "L2", "table", M, span=1 << 30),
    Example(0x20_000F, "L1", "leaf", M, address=0x20_0000, span=1 << 21, user="rwx", supervisor="rwx"),
    Example(
        0x500F, "L0", "leaf", M, address=0x5000, span=1 << 12, user="rwx", accessed=False, is_global=False
    ),
    Example(0x5007, "L0", "leaf", M, user="rx", supervisor="rx"),
    Example(0x500B, "L0", "leaf", M, user="", supervisor="rwx"),
    Example(0x5013, "L0", "leaf", M, accessed=True, dirty=False),
    Example(0x5023, "L0", "leaf", M, accessed=False, dirty=True),
    Example(0x5043, "L0", "leaf", M, is_global=True),
    Example(0x3011, TABLES, "table", M, accessed=False),
    Example(0x8000_0000_0000_1003, "L0", "leaf", M, address=0x8000_0000_0000_1000),
    Example(bytes.fromhex("0f 50 00 00 00 00 00 00"), "L0", "leaf", "a dump", address=0x5000),
    Example(0, EVERY, "absent", M),
    Example(0xFFFE, EVERY, "absent", M),
    AddressExample(0x3F_C060_1000, (255, 3, 1), M),
    AddressExample(0xFFFF_FFC0_0000_0000, (256, 0, 0), M),
    AddressExample(0x40_0000_0000, None, M),
)
FULL: Format = attrs.evolve(
    vax.VAX,
    source="VAX manual",
    used=UsedFlags(bit(4), on_tables=False, dirty_set=bit(5)),
    global_page=Test(bit(6), bit(6)),
    examples=EXAMPLES,
)
USER, WRITABLE = FULL.attributes


def levels(*bits_: int) -> tuple[Level, ...]:
    return tuple(attrs.evolve(row, bits=n) for row, n in zip(FULL.levels, bits_, strict=True))


def with_format(**changes: Any) -> Architecture:
    return good(formats=(attrs.evolve(FULL, **changes),))


def test_complete_examples_show_a_format() -> None:
    assert unshown(FULL) == []
    assert outcome("1.11", with_format()).word == "shown"


#: A consistent mistake each; whatever else is checked of the format, it passes.
CONSISTENT: list[tuple[dict[str, Any], str]] = [
    (
        {"attributes": (attrs.evolve(USER, leaf=7), WRITABLE)},
        "user mode may rx; the format reads nothing in a L0",
    ),
    ({"attributes": (attrs.evolve(USER, leaf=3), attrs.evolve(WRITABLE, leaf=2))}, "user mode may"),
    ({"deny": (Deny(user=True, has=("user",)), *FULL.deny[1:])}, "user mode may"),
    ({"deny": (FULL.deny[0], Deny(kinds=("write",), has=("writable",)))}, "may"),
    ({"deny": FULL.deny[:1]}, "user mode may rx; the format reads rwx"),
    ({"deny": (Deny(user=False, lacks=("user",)), FULL.deny[1])}, "supervisor mode may"),
    ({"deny": (*FULL.deny, Deny(kinds=("execute",), user=False, has=("user",)))}, "supervisor mode may rwx"),
    (
        {"attributes": (USER, attrs.evolve(WRITABLE, table=3))},
        "user mode may rwx; the format reads rx in a L2",
    ),
    ({"address": (Piece(bits(12, 62)),)}, "address 0x8000000000001000; the format reads 0x1000"),
    ({"address": (Piece(bits(13, 62), up=1),)}, "address"),
    ({"address": (Piece(bits(13, 63), down=1),)}, "address 0x5000; the format reads 0x2000"),
    ({"levels": levels(10, 8, 9)}, "span"),
    ({"levels": levels(8, 10, 9)}, "indices"),
    (
        {"used": UsedFlags(bit(7), on_tables=False, dirty_set=bit(5))},
        "accessed is True; the format reads False",
    ),
    ({"used": UsedFlags(bit(5), on_tables=False, dirty_set=bit(4))}, "accessed is"),
    (
        {"used": UsedFlags(bit(4), on_tables=True, dirty_set=bit(5))},
        "accessed is False; the format reads True in a L2",
    ),
    ({"used": None}, "accessed is True; the format reads False"),
    ({"global_page": Test(bit(7), bit(7))}, "global is True; the format reads False"),
    ({"global_page": Test(bit(6), 0)}, "global is"),
    ({"global_page": None}, "global is True; the format reads False"),
    ({"big_endian": True}, "bytes 0f 50 00 00 00 00 00 00 .* it is a page; the format reads absent"),
    ({"va_upper": "zero"}, "indices"),
    ({"va_upper": "either"}, "indices"),
    ({"present": Test(bit(0), 0), "table_bits": 0, "leaf_bits": 2}, "it is"),
    (
        {"points_to_table": Test(bit(1), bit(1)), "table_bits": 3, "leaf_bits": 1},
        "it is a pointer to a table",
    ),
    (
        {"present": Test(bit(7), bit(7)), "table_bits": 128, "leaf_bits": 130},
        "it is a page; the format reads absent",
    ),
    ({"page_shift": 13, "levels": levels(9, 9, 8)}, "span 4096; the format reads 8192"),
]


@pytest.mark.parametrize(("wrong", "named"), CONSISTENT)
def test_a_consistent_mistake_is_contradicted_by_an_example(wrong: dict[str, Any], named: str) -> None:
    text = findings("1.11", with_format(**wrong))
    assert re.search(named, text), text
    assert "(VAX manual, table 1)" in text or "(a dump)" in text


def test_an_entry_of_another_size_is_contradicted() -> None:
    small = Example(bytes.fromhex("0f 50 00 00"), "L0", "leaf", "a dump", address=0x5000)
    assert "it has 4 bytes; the format says entry_bytes 8" in findings("1.11", with_format(examples=(small,)))


def test_a_wrong_example_is_a_finding_too() -> None:
    wrong = Example(0x500F, "L0", "leaf", M, address=0x6000)
    text = findings("1.11", with_format(examples=(*EXAMPLES, wrong)))
    assert text == (
        "toy: format vax: example 0x500f at L0 (VAX manual, table 1): address 0x6000; the format reads 0x5000 in a L0"
    )


def test_a_format_without_a_manual_is_unevidenced() -> None:
    (message,) = outcome("1.11", with_format(source="")).unevidenced
    assert message == "toy: format vax names no manual (Format.source)"


def test_without_examples_a_format_is_unevidenced_and_never_passed() -> None:
    found = outcome("1.11", with_format(examples=()))
    assert (found.word, found.tried) == ("unevidenced", ())
    assert "format vax has no examples" in found.unevidenced[0]


@pytest.mark.parametrize(
    ("left_out", "named"),
    [
        (5, "the rule user every access refused without user"),
        (4, "the rule write refused without writable"),
        (8, "the mark of global pages"),
        (11, "the byte order"),
        (16, "which addresses are translated at all"),
        (0, "a L1 that points to a table"),
    ],
)
def test_what_no_example_shows_is_named(left_out: int, named: str) -> None:
    fewer = EXAMPLES[:left_out] + EXAMPLES[left_out + 1 :]
    if left_out == 0:
        fewer = tuple(one for one in EXAMPLES if not isinstance(one, Example) or one.meaning != "table")
    found = outcome("1.11", with_format(examples=fewer))
    assert found.word == "unevidenced"
    assert named in found.unevidenced[0]


@pytest.mark.parametrize(("shown", "missing"), [((40, 45), ()), ((41,), (40, 45)), ((45,), (40,))])
def test_an_outer_bit_of_reserved_ones_is_shown_by_an_entry_of_its_own(
    shown: tuple[int, ...], missing: tuple[int, ...]
) -> None:
    refused = [Example(0xF | 1 << place, "L0", "refused", M) for place in shown]
    low = tuple(one for one in EXAMPLES if not isinstance(one, Example) or one.address is None)
    architecture = with_format(
        address=(Piece(bits(12, 39)),), reserved=(Reserved(bits(40, 45)),), examples=(*low, *refused)
    )
    text = " ".join(outcome("1.11", architecture).unevidenced)
    for place in (40, 45):
        assert (f"that bit {place} is among reserved bits" in text) == (place in missing)


def test_a_walk_shows_what_entries_do() -> None:
    tables = {
        0x1000: (0x2001).to_bytes(8, "little"),
        0x2000 + 8 * 3: (0x3001).to_bytes(8, "little"),
        0x3000 + 8: (0x500F).to_bytes(8, "little"),
    }
    walk = WalkExample(tables, 0x1000, 0x60_1234, 0x5234, "a dump")
    assert outcome("1.11", with_format(examples=(*EXAMPLES, walk))).word == "shown"
    moved = attrs.evolve(walk, pa=0x6234)
    assert "translates to 0x6234; the format says 0x5234" in findings("1.11", with_format(examples=(moved,)))
    refused = attrs.evolve(walk, pa=None)
    assert "translates to a fault; the format says 0x5234" in findings(
        "1.11", with_format(examples=(refused,))
    )


def test_an_example_of_an_unknown_level_or_setting_is_refused_at_once() -> None:
    with pytest.raises(ShootdownError, match="a rule names the level 'L9'; nearest"):
        with_format(examples=(Example(0, "L9", "absent", M),))
    with pytest.raises(ShootdownError, match="a rule names the setting 'nx'"):
        with_format(examples=(Example(0, "L0", "absent", M, settings={"nx": 1}),))
    with pytest.raises(ShootdownError, match="meaning is 'nothing'; there is: absent, leaf, refused, table"):
        Example(0, "L0", "nothing", M)  # type: ignore[arg-type]


def test_settings_of_an_example_are_those_under_which_it_is_read() -> None:
    nx = attrs.evolve(
        FULL,
        attributes=(*FULL.attributes, Attribute("nx", 7)),
        deny=(*FULL.deny, Deny(kinds=("execute",), has=("nx",), when=("nx",))),
        settings_known=(Setting("nx", False, "execution can be forbidden"),),
        examples=(
            Example(0x508F, "L0", "leaf", M, user="rwx"),
            Example(0x508F, "L0", "leaf", M, user="rw", settings={"nx": 1}),
        ),
    )
    assert not outcome("1.11", good(formats=(nx,))).findings


@pytest.mark.parametrize("name", sorted(registry().architectures()))
def test_installed_formats_are_shown_in_every_part_and_changes_stand_in_order(name: str) -> None:
    subject, *others = asked(name).subjects
    assert isinstance(subject, Subject)
    assert not any(isinstance(other, Subject) for other in others), "scenarios and the like have no formats"
    for found in check(subject, chosen(["1.8", "1.11", "2.6"])):
        assert found.word == "shown", [*found.findings, *found.unevidenced]
