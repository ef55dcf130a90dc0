"""More than six attributes, marks of global pages by level, and the rights of a walk that a plugin writes itself."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from shootdown import ShootdownError
from shootdown.formats import (
    EVERY_ACCESS,
    Access,
    AddressSpace,
    Attribute,
    CustomFormat,
    Deny,
    Format,
    Level,
    PhysicalMemory,
    Piece,
    Test,
    Walker,
    bit,
    bits,
    trace,
)
from shootdown.kernels import FLAGS_SET, check_by
from shootdown.porting import typical_tlb

NAMES = ("user", "writable", "kernel_only", "no_read", "no_execute", "locked", "secret", "sealed")
EIGHT = Format(
    name="eight",
    summary="",
    levels=(
        Level("L1", "pmd", 4, "flag", leaf_bits=3, global_page=Test(bit(60), bit(60))),
        Level("L0", "pte", 4, "always"),
    ),
    page_shift=12,
    va_bits=20,
    present=Test(1, 1),
    points_to_table=Test(2, 0),
    address=(Piece(bits(12, 47)),),
    attributes=tuple(Attribute(name, 50 + n) for n, name in enumerate(NAMES)),
    deny=(
        Deny(user=True, lacks=("user",)),
        Deny(kinds=("write",), lacks=("writable",)),
        Deny(user=True, has=("kernel_only",)),
        Deny(kinds=("read",), has=("no_read",)),
        Deny(kinds=("execute",), has=("no_execute",)),
        Deny(kinds=("write",), has=("locked",)),
        Deny(user=True, has=("secret",)),
        Deny(user=False, has=("sealed",)),
    ),
    table_bits=1,
    leaf_bits=1,
    global_page=Test(bit(59), bit(59)),
    va_upper="zero",
)


@pytest.mark.parametrize("access", EVERY_ACCESS, ids=lambda one: f"{one.kind} {one.user}")
def test_each_of_256_sets_of_attributes_is_judged_as_its_rules_say(access: Access) -> None:
    space = AddressSpace(EIGHT, PhysicalMemory())
    walker = Walker(EIGHT, space.memory)
    table = space.entry_address(0, "pte", create=True)
    assert table is not None
    for index in range(256):
        held = EIGHT.held(index)
        space.write(table, space.leaf_entry(1 << 20, 1, held))
        allowed = EIGHT.allows(access, held, EIGHT.settings())
        assert (trace(EIGHT, space.memory, space.root, 0, access).pa is not None) == allowed
        walk = walker.walk(space.root, 0, access)
        assert (walk.reason == 0) == allowed
        assert walk.rights == index


def test_nine_attributes_are_one_too_many() -> None:
    nine = (*EIGHT.attributes, Attribute("ninth", 58))
    with pytest.raises(ShootdownError, match="it has 9 attributes; a walk carries at most 8"):
        attrs.evolve(EIGHT, attributes=nine)


def test_a_level_has_its_own_mark_of_global_pages() -> None:
    assert EIGHT.is_global(bit(59), 1)
    assert not EIGHT.is_global(bit(60), 1)
    assert EIGHT.is_global(bit(60), 0)
    assert not EIGHT.is_global(bit(59), 0)
    space = AddressSpace(EIGHT, PhysicalMemory())
    space.map(0, 0, 1 << 16, "r", extra=bit(60))
    space.map(1 << 16, 0, 1 << 12, "r", extra=bit(60))
    assert trace(EIGHT, space.memory, space.root, 0).is_global
    assert not trace(EIGHT, space.memory, space.root, 1 << 16).is_global


def test_a_mark_at_one_level_is_enough_for_a_tlb_with_global_entries() -> None:
    assert typical_tlb(attrs.evolve(EIGHT, global_page=None)).global_entries
    without = tuple(attrs.evolve(level, global_page=None) for level in EIGHT.levels)
    assert not typical_tlb(attrs.evolve(EIGHT, global_page=None, levels=without)).global_entries


def test_the_check_of_a_walk_of_ones_own_is_that_of_a_format_with_the_same_rules() -> None:
    from shootdown._pagetables.format_layout import check

    for access in EVERY_ACCESS:
        own = check_by(EIGHT.attributes, EIGHT.deny, access, EIGHT.settings())
        same = check(EIGHT, access)
        assert (own.allowed, own.allowed_beyond, own.write) == (same.allowed, same.allowed_beyond, same.write)


def test_a_custom_format_is_written_with_public_names_alone() -> None:
    form = CustomFormat(
        name="flat",
        summary="",
        va_bits=20,
        walk="nowhere:walk",
        check=lambda access, settings, sets: check_by(
            EIGHT.attributes, EIGHT.deny, access, settings, flags=FLAGS_SET if sets else 0
        ),
        steps=lambda *_: None,
        attributes=EIGHT.attributes,
    )
    found = form.check(Access("write", True), form.settings(), True)
    assert (found.write, found.flags) == (np.uint64(1), np.uint64(FLAGS_SET))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"attributes": EIGHT.attributes[:1]},
            r"test_rights\.py, line \d+: check_by\(\): a rule names the attribute",
        ),
        ({"flags": 9}, "flags is 9: one of FLAGS_"),
        ({"attributes": (*EIGHT.attributes, Attribute("x", 1))}, "9 attributes; a walk carries at most 8"),
    ],
)
def test_a_wrong_argument_of_check_by_is_named(wrong: dict[str, object], says: str) -> None:
    given: dict[str, object] = {"attributes": EIGHT.attributes, "flags": 0, **wrong}
    with pytest.raises(ShootdownError, match=says):
        check_by(given["attributes"], EIGHT.deny, EVERY_ACCESS[0], EIGHT.settings(), flags=given["flags"])  # type: ignore[arg-type]
